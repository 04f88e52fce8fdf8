//! What the controller is asked for and what it answers, in the SDK's own types.

use std::time::Duration;

use pravega_sdk_types::{Epoch, KeyRange, ScopedReaderGroup, SegmentId, StreamCut, TransactionId};

/// What a create call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Creation {
    /// It was made now.
    Created,
    /// It was there before. After a retry this may be our own first attempt.
    AlreadyExisted,
}

/// What a delete call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// It was removed now.
    Deleted,
    /// It was not there. After a retry this may be the work of our own first attempt.
    NotFound,
}

/// A segment and the part of the key space that it owns.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentWithRange {
    /// The segment.
    pub id: SegmentId,
    /// What it owns.
    pub range: KeyRange,
}

impl SegmentWithRange {
    /// Creates a segment that owns `range`.
    #[must_use]
    pub fn new(id: SegmentId, range: KeyRange) -> Self {
        Self { id, range }
    }
}

/// What became of the wish to scale a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ScaleStart {
    /// The scale is under way.
    Started {
        /// The epoch from which the stream is scaled, which is the one to ask
        /// [`Controller::scale_state`](crate::Controller::scale_state) about. The new segments
        /// belong to the next.
        epoch: Epoch,
        /// The segments that take over.
        segments: Vec<SegmentWithRange>,
    },
    /// The segments to seal are not active any more, or too few would be left. The same request
    /// sent twice ends here.
    PreconditionFailed,
}

/// How far a scale is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleState {
    /// It is under way.
    InProgress,
    /// It is done.
    Done,
}

/// What a delegation token shall allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessOperation {
    /// Reading.
    Read,
    /// Writing; the token allows reading too.
    Write,
    /// Reading and writing.
    ReadWrite,
}

/// A transaction that was begun.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTransaction {
    /// Its id.
    pub id: TransactionId,
    /// The segments that it writes to.
    pub segments: Vec<SegmentWithRange>,
}

impl CreatedTransaction {
    /// Creates the answer to a call that began transaction `id`.
    #[must_use]
    pub fn new(id: TransactionId, segments: Vec<SegmentWithRange>) -> Self {
        Self { id, segments }
    }
}

/// The state of a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// It can be written to, committed and aborted.
    Open,
    /// A commit was accepted and is being carried out.
    Committing,
    /// What it wrote is in the stream.
    Committed,
    /// An abort was accepted, or the lease ran out.
    Aborting,
    /// What it wrote is gone.
    Aborted,
}

/// The result of a ping of a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PingStatus {
    /// The transaction is open, and its lease starts anew.
    Open,
    /// It is committed, or about to be.
    Committed,
    /// It is aborted, or about to be.
    Aborted,
    /// The lease asked for is longer than the server allows; the old one runs on.
    LeaseTooLarge,
    /// The transaction has lived as long as the server allows.
    MaxExecutionTimeExceeded,
    /// The controller is not connected to its store just now.
    Disconnected,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    /// What it wrote is in the stream.
    Committed,
    /// What it wrote is gone.
    Aborted,
}

/// A transaction that ended not long ago.
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

/// A part of a stream between two cuts; at least one of them is not unbounded.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutRange {
    /// Where it starts; unbounded is the head.
    pub from: StreamCut,
    /// Where it ends; unbounded is the tail.
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
    /// Number of partitions; at least 1. Some counts (49, 98, 103, …) make tables that Java's
    /// client refuses.
    pub partition_count: u32,
    /// Length of every primary key in bytes; at least 1.
    pub primary_key_length: u32,
    /// Length of every secondary key in bytes; 0 if there are no secondary keys.
    pub secondary_key_length: u32,
    /// The size of a piece in long-term storage, in bytes; 0 is the server's own choice.
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
    /// What is on the page, in no particular order. A page without items is the end.
    pub items: Vec<T>,
    /// Where the next page starts. Not empty even at the end.
    pub next: PageToken,
}

/// Where a page of a listing starts; the server alone knows how to read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PageToken(pub String);

impl PageToken {
    /// The first page.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }
}

/// The lease that servers accept by default.
pub(crate) const DEFAULT_LEASE_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(600);
