//! The keys of entries, and how far a copy of the catalog has come in their order.

use pravega_sdk_types::{Epoch, SegmentId, TransactionId};

/// The key of an entry. A copy of the catalog has the entries in the order of their keys, in which
/// each comes after those that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey {
    pub(super) scope: String,
    pub(super) part: PartKey,
}

/// The key of an entry in its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartKey {
    Scope,
    Leaving,
    Floor,
    Number(String),
    Table(String),
    Group(String),
    Stream(String, StreamKey),
}

/// The key of an entry in its stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamKey {
    State,
    Epoch(Epoch),
    Head,
    End(SegmentId),
    Writer(String),
    Watermark,
    Subscriber(String),
    RetentionPoint(u64),
    Transaction(TransactionId),
}

/// How far a copy of the catalog has come.
#[derive(Debug, Default)]
pub(super) enum CopyPlace {
    /// Nothing is copied.
    #[default]
    Begin,
    /// Everything up to an entry is.
    After(EntryKey),
    /// Everything is.
    End,
}
