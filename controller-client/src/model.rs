//! Arguments and results of the controller's calls.

use std::time::Duration;

use pravega_sdk_types::{Epoch, KeyRange, ScopedReaderGroup, SegmentId, StreamCut, TransactionId};

/// The result of a create call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Creation {
    /// The item was created.
    Created,
    /// The item existed. After a retry, the first attempt may have created it.
    AlreadyExisted,
}

/// The result of a delete call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// The item was removed.
    Deleted,
    /// The item did not exist. After a retry, the first attempt may have removed it.
    NotFound,
}

/// A segment and the part of the key space that it owns.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentWithRange {
    /// The segment.
    pub id: SegmentId,
    /// Its key range.
    pub range: KeyRange,
}

impl SegmentWithRange {
    /// Creates a segment that owns `range`.
    #[must_use]
    pub fn new(id: SegmentId, range: KeyRange) -> Self {
        Self { id, range }
    }
}

/// The result of a request to scale a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ScaleStart {
    /// The scale is in progress.
    Started {
        /// The epoch before the scale, for
        /// [`Controller::scale_state`](crate::Controller::scale_state). The new segments belong to
        /// the next epoch.
        epoch: Epoch,
        /// The new segments.
        segments: Vec<SegmentWithRange>,
    },
    /// The segments to seal are no longer active, or too few segments would be left. This is also
    /// the result of a repeated request.
    PreconditionFailed,
}

/// The progress of a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleState {
    /// The scale is in progress.
    InProgress,
    /// The scale is done.
    Done,
}

/// The operations that a delegation token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessOperation {
    /// Reading.
    Read,
    /// Writing; the token also allows reading.
    Write,
    /// Reading and writing.
    ReadWrite,
}

/// A new transaction.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTransaction {
    /// Its id.
    pub id: TransactionId,
    /// The segments to write to.
    pub segments: Vec<SegmentWithRange>,
}

impl CreatedTransaction {
    /// Creates the result of a call that began transaction `id`.
    #[must_use]
    pub fn new(id: TransactionId, segments: Vec<SegmentWithRange>) -> Self {
        Self { id, segments }
    }
}

/// The state of a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// The transaction can be written to, committed and aborted.
    Open,
    /// A commit was accepted and is in progress.
    Committing,
    /// Its events are in the stream.
    Committed,
    /// An abort was accepted, or the lease expired.
    Aborting,
    /// Its events were removed.
    Aborted,
}

/// The result of a ping of a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PingStatus {
    /// The transaction is open, and its lease was renewed.
    Open,
    /// The transaction is committed or committing.
    Committed,
    /// The transaction is aborted or aborting.
    Aborted,
    /// The requested lease is longer than the server allows; the old one continues.
    LeaseTooLarge,
    /// The transaction reached the maximum age that the server allows.
    MaxExecutionTimeExceeded,
    /// The controller is not connected to its store.
    Disconnected,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    /// Its events are in the stream.
    Committed,
    /// Its events were removed.
    Aborted,
}

/// A transaction that ended recently.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompletedTransaction {
    /// Its id.
    pub id: TransactionId,
    /// How it ended.
    pub outcome: TransactionOutcome,
}

impl CompletedTransaction {
    /// Creates an entry of the list of transactions that ended.
    #[must_use]
    pub fn new(id: TransactionId, outcome: TransactionOutcome) -> Self {
        Self { id, outcome }
    }
}

/// A part of a stream between two cuts; at most one of them is unbounded.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutRange {
    /// The start; unbounded means the head.
    pub from: StreamCut,
    /// The end; unbounded means the tail.
    pub to: StreamCut,
}

impl CutRange {
    /// Creates the part of a stream from one cut to another.
    #[must_use]
    pub fn new(from: impl Into<StreamCut>, to: impl Into<StreamCut>) -> Self {
        Self { from: from.into(), to: to.into() }
    }
}

/// The configuration of a key-value table.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyValueTableConfiguration {
    /// Number of partitions; at least 1. Java's client refuses tables with some counts (49, 98,
    /// 103, …).
    pub partition_count: u32,
    /// Length of every primary key in bytes, at least 1; with the secondary key 256 at most.
    pub primary_key_length: u32,
    /// Length of every secondary key in bytes; 0 if there are no secondary keys.
    pub secondary_key_length: u32,
    /// The size of a chunk in long-term storage, in bytes; 0 means the server's choice.
    pub rollover_size_bytes: u64,
}

impl KeyValueTableConfiguration {
    /// Creates the configuration of a table without secondary keys.
    #[must_use]
    pub fn new(partition_count: u32, primary_key_length: u32) -> Self {
        Self {
            partition_count,
            primary_key_length,
            secondary_key_length: 0,
            rollover_size_bytes: 0,
        }
    }

    /// Sets the length of every secondary key, in bytes. Default: 0, no secondary keys.
    #[must_use]
    pub fn with_secondary_key_length(mut self, bytes: u32) -> Self {
        self.secondary_key_length = bytes;
        self
    }

    /// Sets the size of a chunk in long-term storage, in bytes. Default: 0, the server's choice.
    #[must_use]
    pub fn with_rollover_size_bytes(mut self, bytes: u64) -> Self {
        self.rollover_size_bytes = bytes;
        self
    }
}

/// A reader group whose progress holds back the truncation of its streams.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The group.
    pub group: ScopedReaderGroup,
    /// Its id.
    pub id: uuid::Uuid,
    /// Its generation.
    pub generation: i64,
}

impl Subscriber {
    /// Creates a subscriber from a group's name, id and generation.
    #[must_use]
    pub fn new(group: ScopedReaderGroup, id: uuid::Uuid, generation: i64) -> Self {
        Self { group, id, generation }
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of the page, in no particular order. Items that the caller may not see are left
    /// out.
    pub items: Vec<T>,
    /// The start of the next page. Not empty even at the end.
    pub next: PageToken,
}

impl<T> Page<T> {
    /// Returns true if this page, requested with the token `requested`, ends the listing: it has no
    /// items and leads nowhere.
    #[must_use]
    pub fn is_last(&self, requested: &PageToken) -> bool {
        self.items.is_empty() && (self.next == *requested || self.next == PageToken::start())
    }
}

/// The start of a page of a listing, in a form of the server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PageToken(pub String);

impl PageToken {
    /// Returns the token of the first page.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }
}

/// The shortest lease of a transaction, which every server accepts.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(10);

/// The lease that servers accept by default.
pub(crate) const DEFAULT_LEASE_RANGE: std::ops::RangeInclusive<Duration> =
    SHORTEST_LEASE..=Duration::from_secs(600);
