//! Opens readers of reader groups.

use pravega_sdk_event_stream::{
    codec::Codec,
    group::{GroupReader, GroupReaderConfig, GroupReaderError},
};
use pravega_sdk_types::{ReaderId, ScopedReaderGroup};

use crate::factory::ClientFactory;

impl ClientFactory {
    /// Joins a reader group, which must exist, under an id that no other reader of it has; see
    /// [`GroupReader::open`].
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`] if there is no such group, a reader of that id is in it, or a server
    /// does not answer.
    ///
    /// # Cancel safety
    ///
    /// As [`GroupReader::open`].
    pub async fn group_reader<C: Codec>(
        &self,
        group: &ScopedReaderGroup,
        id: &ReaderId,
        codec: C,
    ) -> Result<GroupReader<C>, GroupReaderError> {
        self.group_reader_with(group, id, codec, GroupReaderConfig::default()).await
    }

    /// As [`Self::group_reader`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::group_reader`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::group_reader`].
    pub async fn group_reader_with<C: Codec>(
        &self,
        group: &ScopedReaderGroup,
        id: &ReaderId,
        codec: C,
        config: GroupReaderConfig,
    ) -> Result<GroupReader<C>, GroupReaderError> {
        GroupReader::open(self.segment_context(), group, id, codec, config).await
    }
}
