//! Openers of reader groups.

use std::sync::Arc;

use pravega_sdk_controller_client::{
    Creation, Deletion,
    listing::{self, Listing},
};
use pravega_sdk_event_stream::{
    ReadUntil,
    group::{GroupHandleConfig, ReaderGroup, ReaderGroupError},
};
use pravega_sdk_types::{
    GroupStream, ReaderGroupConfiguration, Scope, ScopedReaderGroup, ScopedStream, StreamPosition,
};

use crate::factory::ClientFactory;

impl ClientFactory {
    /// Creates a reader group, or opens one that exists with the same configuration; see
    /// [`ReaderGroup::create`].
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if the group exists with another configuration, the scope or a stream
    /// does not exist, a cut is refused, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the group may or may not exist.
    pub async fn create_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<(ReaderGroup, Creation), ReaderGroupError> {
        let config = GroupHandleConfig::default();
        self.create_reader_group_with(group, configuration, config).await
    }

    /// As [`Self::create_reader_group`], with settings of the handle.
    ///
    /// # Errors
    ///
    /// As [`Self::create_reader_group`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::create_reader_group`].
    pub async fn create_reader_group_with(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
        config: GroupHandleConfig,
    ) -> Result<(ReaderGroup, Creation), ReaderGroupError> {
        ReaderGroup::create(self.segment_context(), group, configuration, config).await
    }

    /// Creates a reader group unless one of the name exists, whatever its configuration is; see
    /// [`ReaderGroup::create_if_absent`].
    ///
    /// # Errors
    ///
    /// As [`Self::create_reader_group`], except that an existing group is no error.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::create_reader_group`].
    pub async fn create_reader_group_if_absent(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<(ReaderGroup, Creation), ReaderGroupError> {
        let config = GroupHandleConfig::default();
        ReaderGroup::create_if_absent(self.segment_context(), group, configuration, config).await
    }

    /// Opens a reader group that exists; see [`ReaderGroup::open`].
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if there is no such group, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect, or gives a group its first state that has none.
    pub async fn reader_group(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<ReaderGroup, ReaderGroupError> {
        self.reader_group_with(group, GroupHandleConfig::default()).await
    }

    /// As [`Self::reader_group`], with settings.
    ///
    /// # Errors
    ///
    /// As [`Self::reader_group`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::reader_group`].
    pub async fn reader_group_with(
        &self,
        group: &ScopedReaderGroup,
        config: GroupHandleConfig,
    ) -> Result<ReaderGroup, ReaderGroupError> {
        ReaderGroup::open(self.segment_context(), group, config).await
    }

    /// Lists the reader groups of a scope, page by page; see [`listing::reader_groups`].
    pub fn reader_groups(&self, scope: Scope) -> Listing<ScopedReaderGroup> {
        listing::reader_groups(Arc::clone(self.controller()), scope)
    }

    /// Finds a place in a stream for the configuration of a group; see [`ReaderGroup::part`].
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if there is no such stream, or the place is not in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn reader_group_part(
        &self,
        stream: &ScopedStream,
        from: StreamPosition,
        until: ReadUntil,
    ) -> Result<GroupStream, ReaderGroupError> {
        ReaderGroup::part(&self.segment_context(), stream, from, until).await
    }

    /// Deletes a reader group with its state; see [`ReaderGroup::delete`].
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`] if the controller refuses the call, or does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the group is deleted or not.
    pub async fn delete_reader_group(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<Deletion, ReaderGroupError> {
        let config = GroupHandleConfig::default();
        ReaderGroup::delete_by_name(&self.segment_context(), group, &config).await
    }
}
