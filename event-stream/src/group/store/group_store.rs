//! The state of a group, where its readers find it.

use pravega_sdk_controller_client::Creation;
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_table_synchronizer::{StateConfig, StateError, StateSynchronizer};
use pravega_sdk_types::{ScopedReaderGroup, ScopedSegment};

use super::{
    super::state::{GroupInit, GroupInitial, GroupUpdate, ReaderGroupState},
    serializer::GroupSerializer,
};

/// The state of a group, on which all its readers agree, and a copy of it.
///
/// The state is kept in the stream that the controller creates for the group, in the form of
/// Java's client.
///
/// # Cancel safety
///
/// In all calls a future that is dropped leaves a copy that is a state of the group. What it was
/// about to write may or may not be written, and is read by the next call.
#[derive(Debug)]
pub struct GroupStore {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The entries of a stream, as in Java's client.
    Synchronizer(Box<StateSynchronizer<ReaderGroupState, GroupSerializer>>),
}

impl GroupStore {
    /// Opens the state of a group. Nothing is read yet. Each call takes at most the timeout of
    /// `config`.
    ///
    /// # Errors
    ///
    /// [`StateError`]: its kind is [`NotFound`](pravega_sdk_types::ErrorKind::NotFound) if there is
    /// no such group, and [`NoRuntime`](pravega_sdk_types::ErrorKind::NoRuntime) outside a tokio
    /// runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        config: StateConfig,
    ) -> Result<Self, StateError> {
        let stream = group.state_stream();
        let state = StateSynchronizer::open(context, &stream, GroupSerializer, config).await?;
        Ok(Self { kind: Kind::Synchronizer(Box::new(state)) })
    }

    /// Returns the segment that the state is kept in. A group that is deleted and created again has
    /// another one.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        match &self.kind {
            Kind::Synchronizer(state) => state.segment(),
        }
    }

    /// Returns the copy of the state; `None` if the group has none, or it was not read yet.
    #[must_use]
    pub fn state(&self) -> Option<&ReaderGroupState> {
        match &self.kind {
            Kind::Synchronizer(state) => state.state(),
        }
    }

    /// Returns the length of what was written since the state was last written as a whole, as far
    /// as it was read, in bytes. No server is asked.
    #[must_use]
    pub fn bytes_since_compaction(&self) -> u64 {
        match &self.kind {
            Kind::Synchronizer(state) => state.bytes_since_initial(),
        }
    }

    /// Writes what the group begins with, unless it has a state, which is read then.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::initialize`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may or may not be written.
    pub async fn initialize(&mut self, init: GroupInit) -> Result<Creation, StateError> {
        match &mut self.kind {
            Kind::Synchronizer(state) => state.initialize(GroupInitial::Init(init)).await,
        }
    }

    /// Reads the state.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::fetch`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the copy is the latest state or an earlier one.
    pub async fn fetch(&mut self) -> Result<(), StateError> {
        match &mut self.kind {
            Kind::Synchronizer(state) => state.fetch().await,
        }
    }

    /// Changes the state: `prepare` looks at the latest state and pushes the updates to make, all
    /// of which are made together or not at all. It may be called several times, each time with a
    /// newer state; the result of its last call is returned. If it pushes none, nothing is written,
    /// and the copy may be older than the state.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::update`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the updates may or may not be made.
    pub async fn change<R>(
        &mut self,
        prepare: impl FnMut(&ReaderGroupState, &mut Vec<GroupUpdate>) -> R,
    ) -> Result<R, StateError> {
        match &mut self.kind {
            Kind::Synchronizer(state) => state.update(prepare).await,
        }
    }

    /// Writes an update whatever the state is. The copy has it after the next [`Self::fetch`].
    ///
    /// An update that does not fit the state stops Java's readers, so it must be one that always
    /// does: the begin of a checkpoint, or what is about the last one.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::update_unconditionally`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the update may or may not be made.
    pub async fn report(&mut self, update: GroupUpdate) -> Result<(), StateError> {
        match &mut self.kind {
            Kind::Synchronizer(state) => state.update_unconditionally(vec![update]).await,
        }
    }

    /// Writes the state as a whole, so that what was written before it is not needed.
    ///
    /// # Errors
    ///
    /// As [`StateSynchronizer::compact`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may or may not be written.
    pub async fn compact(&mut self) -> Result<(), StateError> {
        let whole = |state: &ReaderGroupState| GroupInitial::Compact(Box::new(state.clone()));
        match &mut self.kind {
            Kind::Synchronizer(state) => {
                state.compact(|latest| Some(whole(latest))).await.map(|_| ())
            }
        }
    }
}
