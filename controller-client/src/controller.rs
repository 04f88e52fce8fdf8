//! Every call of the controller, as a trait.

use std::time::Duration;

use async_trait::async_trait;
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, KeyRange, Offset, ReaderGroupConfiguration, Scope,
    ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, Successor, Tag, Timestamp, TransactionId, WriterName,
};

use crate::{
    AccessOperation, CompletedTransaction, ControllerError, CreatedTransaction, Creation, CutRange,
    DelegationToken, Deletion, KeyValueTableConfiguration, Page, PageToken, PingStatus, ScaleStart,
    ScaleState, SegmentWithRange, Subscriber, TransactionState,
};

/// Every call of Pravega's controller.
///
/// Each call ends by a deadline of its implementation.
///
/// # Errors
///
/// Every call answers with a [`ControllerError`], whose kind says what happened and whose outcome
/// says whether it took effect. What is named and does not exist is
/// [`ErrorKind::NotFound`](pravega_sdk_types::ErrorKind::NotFound).
///
/// # Cancel safety
///
/// Dropping a call's future gives the call up on this side; the controller may carry it out all the
/// same. Every call can be repeated without harm but [`scale`](Self::scale),
/// [`create_transaction`](Self::create_transaction) and
/// [`update_reader_group`](Self::update_reader_group), whose documentation says what a repeat does.
#[async_trait]
pub trait Controller: Send + Sync + std::fmt::Debug {
    // cluster

    /// Lists the controllers of the cluster. A standalone server cannot answer that.
    async fn controllers(&self) -> Result<Vec<Endpoint>, ControllerError>;

    // scopes

    /// Makes a scope.
    async fn create_scope(&self, scope: &Scope) -> Result<Creation, ControllerError>;

    /// Removes an empty scope.
    ///
    /// A 0.13.0 server damages a scope that is not empty when it is asked this: reader groups and
    /// tables cannot be made in it afterwards. This call therefore looks first, and refuses with
    /// [`ErrorKind::NotEmpty`](pravega_sdk_types::ErrorKind::NotEmpty) without asking if it finds a
    /// stream or a table.
    async fn delete_scope(&self, scope: &Scope) -> Result<Deletion, ControllerError>;

    /// Removes a scope with all that is in it. The server answers the same for a scope that does
    /// not exist.
    async fn delete_scope_recursive(&self, scope: &Scope) -> Result<Deletion, ControllerError>;

    /// Says whether a scope exists.
    async fn scope_exists(&self, scope: &Scope) -> Result<bool, ControllerError>;

    /// One page of the scopes; see [`listing`](crate::listing) for all of them.
    async fn scopes_page(&self, token: &PageToken) -> Result<Page<Scope>, ControllerError>;

    // streams

    /// Makes a stream. If there is one, its configuration stays as it is.
    async fn create_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation, ControllerError>;

    /// Replaces a stream's configuration.
    ///
    /// A fixed policy with another number of segments than there are scales the stream to that
    /// many. The server answers an update that comes while another is under way with a failure.
    async fn update_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<(), ControllerError>;

    /// Drops all that stands before a cut.
    async fn truncate_stream(&self, cut: &BoundedCut) -> Result<(), ControllerError>;

    /// Makes a stream read-only. Sealing a sealed stream succeeds.
    async fn seal_stream(&self, stream: &ScopedStream) -> Result<(), ControllerError>;

    /// Removes a sealed stream.
    async fn delete_stream(&self, stream: &ScopedStream) -> Result<Deletion, ControllerError>;

    /// Says whether a stream exists.
    async fn stream_exists(&self, stream: &ScopedStream) -> Result<bool, ControllerError>;

    /// What is set about a stream.
    async fn stream_configuration(
        &self,
        stream: &ScopedStream,
    ) -> Result<StreamConfiguration, ControllerError>;

    /// One page of the streams of a scope, internal ones too; see [`listing`](crate::listing) for
    /// all of them.
    async fn streams_page(
        &self,
        scope: &Scope,
        token: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError>;

    /// One page of the streams of a scope that carry a tag.
    async fn streams_by_tag_page(
        &self,
        scope: &Scope,
        tag: &Tag,
        token: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError>;

    // segments

    /// The active segments by the part of the key space they own. A sealed stream has none.
    async fn current_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// The segments of an epoch.
    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// The segments at the head of a stream, and the first offset of each that was not truncated
    /// away.
    async fn head_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<(SegmentId, Offset)>, ControllerError>;

    /// The direct successors of a sealed segment, each with all its predecessors. An open segment,
    /// an unknown one and those of a sealed stream have none.
    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>, ControllerError>;

    /// All segments between two cuts, of which one at the most may be unbounded.
    async fn segments_between(
        &self,
        stream: &ScopedStream,
        range: &CutRange,
    ) -> Result<Vec<ScopedSegment>, ControllerError>;

    /// The segment store that serves a segment. It is computed from the name, so it says nothing
    /// about whether the segment exists. For a table's segment see
    /// [`ScopedKeyValueTable::segment_stream`](pravega_sdk_types::ScopedKeyValueTable::segment_stream).
    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError>;

    /// Says whether a segment is among the active ones of its stream.
    async fn is_segment_open(&self, segment: &ScopedSegment) -> Result<bool, ControllerError>;

    /// Says whether a cut covers the key space.
    async fn is_stream_cut_valid(&self, cut: &BoundedCut) -> Result<bool, ControllerError>;

    /// Starts to replace `sealed` segments by new ones that own `ranges`, which must cover the same
    /// keys. Give the ranges in ascending order: the new segments are numbered in the order given.
    ///
    /// Not to be repeated blindly: a second request fails its precondition. After an unknown
    /// outcome ask for the epoch.
    async fn scale(
        &self,
        stream: &ScopedStream,
        sealed: &[SegmentId],
        ranges: &[KeyRange],
    ) -> Result<ScaleStart, ControllerError>;

    /// How far the scale is that [`ScaleStart::Started`] gave `epoch` for.
    async fn scale_state(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<ScaleState, ControllerError>;

    // transactions

    /// Begins a transaction, which the controller aborts if it is not pinged for as long as `lease`
    /// says. Servers take 10 s to 600 s by default.
    ///
    /// A repeat begins another one; the first ends with its lease.
    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction, ControllerError>;

    /// Starts the lease of a transaction anew.
    async fn ping_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        lease: Duration,
    ) -> Result<PingStatus, ControllerError>;

    /// Asks for a transaction to be committed, with the time that its writer notes, by a clock of
    /// the writer's. Success means accepted: what was written becomes visible a little later.
    async fn commit_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        note: Option<(&WriterName, Timestamp)>,
    ) -> Result<(), ControllerError>;

    /// Asks for a transaction to be aborted. Success means accepted.
    async fn abort_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<(), ControllerError>;

    /// Where a transaction stands.
    async fn transaction_state(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState, ControllerError>;

    /// Transactions that ended not long ago; at most 500, of the last 24 hours by default. A 0.13.0
    /// server answers none where transactions of several streams ended.
    async fn completed_transactions(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>, ControllerError>;

    // time

    /// Notes that a writer has written all up to `position` by `time`, of a clock of the writer's.
    async fn note_time(
        &self,
        writer: &WriterName,
        position: &BoundedCut,
        time: Timestamp,
    ) -> Result<(), ControllerError>;

    /// Forgets a writer, so that watermarks do not wait for it; false if it was not known.
    async fn remove_writer(
        &self,
        stream: &ScopedStream,
        writer: &WriterName,
    ) -> Result<bool, ControllerError>;

    // authorization

    /// A credential for the segments of a stream; empty where authorization is off. For a table
    /// give the stream of the same name.
    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken, ControllerError>;

    // key-value tables

    /// Makes a key-value table.
    async fn create_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
        configuration: &KeyValueTableConfiguration,
    ) -> Result<Creation, ControllerError>;

    /// Removes a key-value table with all that is in it.
    async fn delete_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Deletion, ControllerError>;

    /// What is set about a key-value table.
    async fn key_value_table_configuration(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration, ControllerError>;

    /// The segments of a key-value table by the part of the key space they own.
    async fn key_value_table_segments(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// One page of the key-value tables of a scope.
    async fn key_value_tables_page(
        &self,
        scope: &Scope,
        token: &PageToken,
    ) -> Result<Page<ScopedKeyValueTable>, ControllerError>;

    // reader groups

    /// Makes a reader group, and answers with the configuration that it has: if the group was there
    /// before, that may be another one than was given. The configuration's id must not be nil.
    ///
    /// A group that has a say in what its streams keep needs those streams to exist: a 0.13.0
    /// server never answers otherwise.
    async fn create_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<ReaderGroupConfiguration, ControllerError>;

    /// What is set about a reader group.
    async fn reader_group_configuration(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<ReaderGroupConfiguration, ControllerError>;

    /// Replaces a group's configuration, and answers with its new generation. The id and the
    /// generation must be those that the controller has, otherwise the kind is
    /// [`ErrorKind::ConditionFailed`](pravega_sdk_types::ErrorKind::ConditionFailed).
    ///
    /// A repeat fails that condition, as the first attempt moved the generation on.
    async fn update_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<i64, ControllerError>;

    /// Removes a reader group of that id.
    async fn delete_reader_group(
        &self,
        group: &ScopedReaderGroup,
        id: uuid::Uuid,
    ) -> Result<Deletion, ControllerError>;

    /// The reader groups that have a say in what a stream keeps, by their names as the controller
    /// has them.
    async fn subscribers(&self, stream: &ScopedStream) -> Result<Vec<String>, ControllerError>;

    /// Tells up to where a subscriber does not need a stream any more.
    async fn update_subscriber_cut(
        &self,
        subscriber: &Subscriber,
        cut: &BoundedCut,
    ) -> Result<(), ControllerError>;
}
