//! The calls of the controller, as a trait.

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

/// The calls of Pravega's controller.
///
/// The implementation sets a deadline for each call.
///
/// # Errors
///
/// Every call fails with a [`ControllerError`], which has the kind of failure and the outcome of
/// the call. For a name that does not exist the kind is
/// [`ErrorKind::NotFound`](pravega_sdk_types::ErrorKind::NotFound).
///
/// # Cancel safety
///
/// Dropping a call's future abandons the call on this side; the controller may still carry it out.
/// Every call is safe to repeat except [`scale`](Self::scale),
/// [`create_transaction`](Self::create_transaction) and
/// [`update_reader_group`](Self::update_reader_group), whose documentation describes a repeat.
#[async_trait]
pub trait Controller: Send + Sync + std::fmt::Debug {
    // cluster

    /// Lists the controllers of the cluster. A standalone server does not support this call.
    async fn controllers(&self) -> Result<Vec<Endpoint>, ControllerError>;

    // scopes

    /// Creates a scope.
    async fn create_scope(&self, scope: &Scope) -> Result<Creation, ControllerError>;

    /// Removes an empty scope.
    ///
    /// On a 0.13.0 server this request damages a scope that is not empty: reader groups and tables
    /// cannot be created in it afterwards. Therefore this call lists the scope first, and fails
    /// with
    /// [`ErrorKind::NotEmpty`](pravega_sdk_types::ErrorKind::NotEmpty) without the request if it
    /// finds a stream or a table.
    async fn delete_scope(&self, scope: &Scope) -> Result<Deletion, ControllerError>;

    /// Removes a scope with all its streams, tables and groups. The result is the same for a scope
    /// that does not exist.
    async fn delete_scope_recursive(&self, scope: &Scope) -> Result<Deletion, ControllerError>;

    /// Returns true if a scope exists.
    async fn scope_exists(&self, scope: &Scope) -> Result<bool, ControllerError>;

    /// Returns a page of the scopes; see [`listing`](crate::listing) for all of them.
    async fn scopes_page(&self, token: &PageToken) -> Result<Page<Scope>, ControllerError>;

    // streams

    /// Creates a stream. If it exists, its configuration stays unchanged.
    async fn create_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation, ControllerError>;

    /// Replaces a stream's configuration.
    ///
    /// A fixed policy with another number of segments scales the stream to that number. The server
    /// refuses an update during another update.
    async fn update_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<(), ControllerError>;

    /// Truncates a stream: drops all data before a cut.
    async fn truncate_stream(&self, cut: &BoundedCut) -> Result<(), ControllerError>;

    /// Makes a stream read-only. Sealing a sealed stream succeeds.
    async fn seal_stream(&self, stream: &ScopedStream) -> Result<(), ControllerError>;

    /// Removes a sealed stream.
    async fn delete_stream(&self, stream: &ScopedStream) -> Result<Deletion, ControllerError>;

    /// Returns true if a stream exists.
    async fn stream_exists(&self, stream: &ScopedStream) -> Result<bool, ControllerError>;

    /// Returns the configuration of a stream.
    async fn stream_configuration(
        &self,
        stream: &ScopedStream,
    ) -> Result<StreamConfiguration, ControllerError>;

    /// Returns a page of the streams of a scope, including internal ones; see
    /// [`listing`](crate::listing) for all of them.
    async fn streams_page(
        &self,
        scope: &Scope,
        token: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError>;

    /// Returns a page of the streams of a scope that have a tag.
    async fn streams_by_tag_page(
        &self,
        scope: &Scope,
        tag: &Tag,
        token: &PageToken,
    ) -> Result<Page<ScopedStream>, ControllerError>;

    // segments

    /// Returns the active segments with their key ranges; no segments for a sealed stream.
    async fn current_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// Returns the segments of an epoch.
    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// Returns the segments at the head of a stream, and the first offset of each that is not
    /// truncated.
    async fn head_segments(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<(SegmentId, Offset)>, ControllerError>;

    /// Returns the direct successors of a sealed segment, each with all its predecessors. The
    /// result is empty for an open or unknown segment, and for the last segments of a sealed
    /// stream.
    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>, ControllerError>;

    /// Returns the successors of a segment as an instance of the controller names them that knows
    /// that the stream is sealed, so that no more can come: none if the stream ends with the
    /// segment. `None` means that the instance that answered knows segments that take events.
    ///
    /// Instances may differ in what they know. Of two calls, one may reach an instance that knows
    /// of the seal, the other one an instance that knows neither it nor the scale before it. This
    /// call makes two requests of the same instance.
    async fn final_successors(
        &self,
        segment: &ScopedSegment,
    ) -> Result<Option<Vec<Successor>>, ControllerError>;

    /// Returns all segments from a cut to the end of a sealed stream, as an instance of the
    /// controller names them that knows of the seal, and so of every scale before it. `None` means
    /// that the instance that answered knows segments that take events. Both requests are made of
    /// the same instance, as in [`Self::final_successors`].
    async fn final_segments_after(
        &self,
        cut: &BoundedCut,
    ) -> Result<Option<Vec<ScopedSegment>>, ControllerError>;

    /// Returns all segments between two cuts, of which at most one may be unbounded.
    async fn segments_between(
        &self,
        stream: &ScopedStream,
        range: &CutRange,
    ) -> Result<Vec<ScopedSegment>, ControllerError>;

    /// Returns the segment store that serves a segment. It follows from the name, also if the
    /// segment does not exist. For a table's segment see [`ScopedKeyValueTable::segment_stream`].
    ///
    /// [`ScopedKeyValueTable::segment_stream`]:
    /// pravega_sdk_types::ScopedKeyValueTable::segment_stream
    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint, ControllerError>;

    /// Returns true if a segment is an active segment of its stream.
    async fn is_segment_open(&self, segment: &ScopedSegment) -> Result<bool, ControllerError>;

    /// Returns true if a cut covers the key space.
    async fn is_stream_cut_valid(&self, cut: &BoundedCut) -> Result<bool, ControllerError>;

    /// Starts to replace the segments in `sealed` by new ones with `ranges`, which must cover the
    /// same keys. Pass the ranges in ascending order: the new segments are numbered in the order
    /// given.
    ///
    /// Do not repeat it blindly: a second request fails its precondition. After an unknown outcome,
    /// ask for the epoch.
    async fn scale(
        &self,
        stream: &ScopedStream,
        sealed: &[SegmentId],
        ranges: &[KeyRange],
    ) -> Result<ScaleStart, ControllerError>;

    /// Returns the progress of the scale whose [`ScaleStart::Started`] has `epoch`.
    async fn scale_state(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<ScaleState, ControllerError>;

    // transactions

    /// Begins a transaction, which the controller aborts after `lease` without a ping. Servers
    /// accept leases of 10 s to 600 s by default.
    ///
    /// A repeat begins another transaction; the first ends with its lease.
    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction, ControllerError>;

    /// Renews the lease of a transaction.
    async fn ping_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        lease: Duration,
    ) -> Result<PingStatus, ControllerError>;

    /// Requests the commit of a transaction, with the time that its writer notes, by the writer's
    /// clock. Success means accepted: the events become visible later.
    async fn commit_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        note: Option<(&WriterName, Timestamp)>,
    ) -> Result<(), ControllerError>;

    /// Requests the abort of a transaction. Success means accepted.
    async fn abort_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<(), ControllerError>;

    /// Returns the state of a transaction.
    async fn transaction_state(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState, ControllerError>;

    /// Returns transactions that ended recently: at most 500, of the last 24 hours by default. A
    /// 0.13.0 server returns an empty list if transactions of several streams ended.
    async fn completed_transactions(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>, ControllerError>;

    // time

    /// Notes that a writer wrote everything up to `position` by `time`, by the writer's clock.
    async fn note_time(
        &self,
        writer: &WriterName,
        position: &BoundedCut,
        time: Timestamp,
    ) -> Result<(), ControllerError>;

    /// Removes a writer, so that watermarks do not wait for it; returns false if it is not known.
    async fn remove_writer(
        &self,
        stream: &ScopedStream,
        writer: &WriterName,
    ) -> Result<bool, ControllerError>;

    // authorization

    /// Returns a credential for the segments of a stream; it is empty without authorization. For a
    /// table pass the stream of the same name.
    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken, ControllerError>;

    // key-value tables

    /// Creates a key-value table. Its scope must exist: otherwise the kind is
    /// [`NotFound`](pravega_sdk_types::ErrorKind::NotFound). A table that exists keeps its
    /// configuration, which may differ from the one given; the result is then
    /// [`AlreadyExisted`](Creation::AlreadyExisted).
    async fn create_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
        configuration: &KeyValueTableConfiguration,
    ) -> Result<Creation, ControllerError>;

    /// Removes a key-value table with all its entries.
    async fn delete_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Deletion, ControllerError>;

    /// Returns the configuration of a key-value table.
    async fn key_value_table_configuration(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration, ControllerError>;

    /// Returns the segments of a key-value table with their key ranges.
    async fn key_value_table_segments(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>, ControllerError>;

    /// Returns a page of the key-value tables of a scope.
    async fn key_value_tables_page(
        &self,
        scope: &Scope,
        token: &PageToken,
    ) -> Result<Page<ScopedKeyValueTable>, ControllerError>;

    // reader groups

    /// Creates a reader group, and returns its configuration: if the group existed, that may differ
    /// from the one given. The configuration's id must not be nil.
    ///
    /// The streams of a group that limits truncation must exist: otherwise a 0.13.0 server never
    /// replies.
    async fn create_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<ReaderGroupConfiguration, ControllerError>;

    /// Returns the configuration of a reader group.
    async fn reader_group_configuration(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<ReaderGroupConfiguration, ControllerError>;

    /// Replaces a group's configuration, and returns its new generation. The id and the
    /// generation must be those on the controller, otherwise the kind is
    /// [`ErrorKind::ConditionFailed`](pravega_sdk_types::ErrorKind::ConditionFailed).
    ///
    /// A repeat fails that condition, because the first attempt changed the generation.
    async fn update_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<i64, ControllerError>;

    /// Removes the reader group with that id.
    async fn delete_reader_group(
        &self,
        group: &ScopedReaderGroup,
        id: uuid::Uuid,
    ) -> Result<Deletion, ControllerError>;

    /// Returns the reader groups that limit the truncation of a stream, by their names on the
    /// controller.
    async fn subscribers(&self, stream: &ScopedStream) -> Result<Vec<String>, ControllerError>;

    /// Sets the cut up to which a subscriber no longer needs a stream.
    async fn update_subscriber_cut(
        &self,
        subscriber: &Subscriber,
        cut: &BoundedCut,
    ) -> Result<(), ControllerError>;
}
