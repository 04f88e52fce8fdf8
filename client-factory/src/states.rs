//! Opens revisioned streams, and states on which clients agree.

use pravega_sdk_table_synchronizer::{
    RevisionedStream, RevisionedStreamConfig, RevisionedStreamError, SharedState, StateConfig,
    StateError, StateSerializer, StateSynchronizer,
};
use pravega_sdk_types::ScopedStream;

use crate::factory::ClientFactory;

impl ClientFactory {
    /// Opens the revisioned stream `stream`, which must have one segment; see
    /// [`RevisionedStream::open`].
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`] if the stream does not exist, has several segments or is sealed,
    /// or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn revisioned_stream(
        &self,
        stream: &ScopedStream,
    ) -> Result<RevisionedStream, RevisionedStreamError> {
        self.revisioned_stream_with(stream, RevisionedStreamConfig::default()).await
    }

    /// As [`Self::revisioned_stream`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::revisioned_stream`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::revisioned_stream`].
    pub async fn revisioned_stream_with(
        &self,
        stream: &ScopedStream,
        config: RevisionedStreamConfig,
    ) -> Result<RevisionedStream, RevisionedStreamError> {
        RevisionedStream::open(self.segment_context(), stream, config).await
    }

    /// Opens the state on which clients agree in `stream`, which must have one segment; see
    /// [`StateSynchronizer::open`].
    ///
    /// # Errors
    ///
    /// [`StateError`] if the stream does not exist, has several segments or is sealed, or the
    /// controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the stream.
    pub async fn state_synchronizer<S: SharedState, C: StateSerializer<S>>(
        &self,
        stream: &ScopedStream,
        serializer: C,
    ) -> Result<StateSynchronizer<S, C>, StateError> {
        self.state_synchronizer_with(stream, serializer, StateConfig::default()).await
    }

    /// As [`Self::state_synchronizer`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::state_synchronizer`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::state_synchronizer`].
    pub async fn state_synchronizer_with<S: SharedState, C: StateSerializer<S>>(
        &self,
        stream: &ScopedStream,
        serializer: C,
        config: StateConfig,
    ) -> Result<StateSynchronizer<S, C>, StateError> {
        StateSynchronizer::open(self.segment_context(), stream, serializer, config).await
    }
}
