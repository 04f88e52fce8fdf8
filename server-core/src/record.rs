//! Records: the changes from which the whole server can be restored.
//!
//! A segment or the catalog changes only by a record that is applied. A server that keeps its data
//! writes the records to the journal in the order in which they were applied. No reply that could
//! reveal a change leaves before the change is durable: each reply carries the [`Sequence`] that it
//! waits for.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::SegmentId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A wall-clock time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// The time some milliseconds later.
    pub fn after(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The milliseconds since an earlier time.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The version of a key in a table: the offset at which its entry would be in the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyVersion(pub i64);

/// The number of batches of records made so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

/// Attributes and their new values; `i64::MIN` removes an attribute.
pub type Attributes = Vec<(Uuid, i64)>;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A segment was created: of a table if there is a key length, of a stream if not.
    Created {
        /// The segment.
        segment: ByteString,
        /// The length of every key of a table, 0 if it varies; `None` for a stream.
        key_len: Option<u32>,
        /// The attributes that are set.
        attributes: Attributes,
        /// The time of the change.
        at: Millis,
    },
    /// Bytes were appended to a segment.
    Appended {
        /// The segment.
        segment: ByteString,
        /// The bytes.
        data: Bytes,
        /// The attributes that are set.
        attributes: Attributes,
        /// The time of the change.
        at: Millis,
    },
    /// A segment was appended to another and removed.
    Merged {
        /// The segment that grows.
        target: ByteString,
        /// The segment that is removed.
        source: ByteString,
        /// The attributes that are set.
        attributes: Attributes,
        /// The time of the change.
        at: Millis,
    },
    /// Attributes of a segment were set.
    Attributed {
        /// The segment.
        segment: ByteString,
        /// The attributes that are set.
        attributes: Attributes,
    },
    /// A segment was sealed.
    Sealed {
        /// The segment.
        segment: ByteString,
        /// The time of the change.
        at: Millis,
    },
    /// The bytes of a segment before an offset were dropped.
    Truncated {
        /// The segment.
        segment: ByteString,
        /// The first offset that stays.
        offset: u64,
        /// The time of the change.
        at: Millis,
    },
    /// A segment was deleted.
    Deleted {
        /// The segment.
        segment: ByteString,
    },
    /// Entries were put in a table segment.
    Put {
        /// The segment.
        segment: ByteString,
        /// Keys and values.
        entries: Vec<(Bytes, Bytes)>,
        /// The time of the change.
        at: Millis,
    },
    /// Keys were removed from a table segment.
    Removed {
        /// The segment.
        segment: ByteString,
        /// The keys.
        keys: Vec<Bytes>,
        /// The time of the change.
        at: Millis,
    },
    /// An entry of the catalog was set or removed.
    CatalogEntry {
        /// The key of the entry.
        key: String,
        /// The encoded entry; `None` if it was removed.
        value: Option<Bytes>,
    },
    /// The start of a segment without bytes, or the length of a table: first in a snapshot.
    Restored {
        /// The segment.
        segment: ByteString,
        /// The first offset of the segment.
        start: u64,
        /// The length of a table.
        length: u64,
    },
    /// An entry of a table in a snapshot.
    RestoredEntry {
        /// The segment.
        segment: ByteString,
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The version of the entry.
        version: KeyVersion,
    },
    /// Many segments of a stream were changed in the same way.
    Many(Many),
}

/// A change of each of many segments of a stream. A segment that it does not fit, such as one that
/// clients deleted, is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Many {
    /// The scope and the stream.
    pub stream: ByteString,
    /// The segments, in the order of their numbers.
    pub ids: Vec<SegmentId>,
    /// The transaction whose parts of these segments change, or are merged into them.
    pub transaction: Option<Uuid>,
    /// The change.
    pub change: Each,
    /// The time of the change.
    pub at: Millis,
}

/// A change of one of many segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Each {
    /// It was created: of a table if there is a key length, of a stream if not.
    Created {
        /// The length of every key of a table, 0 if it varies; `None` for a stream.
        key_len: Option<u32>,
        /// The attributes that are set.
        attributes: Attributes,
    },
    /// Attributes were set, unless it is sealed or has them.
    Attributed {
        /// The attributes that are set.
        attributes: Attributes,
    },
    /// It was sealed.
    Sealed,
    /// The bytes before an offset were dropped.
    Truncated {
        /// The first offset that stays, of each segment.
        offsets: Vec<u64>,
    },
    /// It was deleted.
    Deleted,
    /// The transaction's part of it was appended to it and removed.
    Merged,
}

/// The memory of a record besides its names and data, in bytes.
const RECORD_OVERHEAD: usize = 192;

impl Record {
    /// The approximate memory of the record, in bytes.
    pub fn memory(&self) -> usize {
        RECORD_OVERHEAD + self.content_len()
    }

    /// The segment that changes; `None` for a merge, which changes two, for a change of many, and
    /// for an entry of the catalog.
    pub(crate) fn segment(&self) -> Option<&ByteString> {
        match self {
            Self::Created { segment, .. }
            | Self::Appended { segment, .. }
            | Self::Attributed { segment, .. }
            | Self::Sealed { segment, .. }
            | Self::Truncated { segment, .. }
            | Self::Deleted { segment }
            | Self::Put { segment, .. }
            | Self::Removed { segment, .. }
            | Self::Restored { segment, .. }
            | Self::RestoredEntry { segment, .. } => Some(segment),
            Self::Merged { .. } | Self::CatalogEntry { .. } | Self::Many(_) => None,
        }
    }

    /// The length of the names, data and numbers of the record.
    fn content_len(&self) -> usize {
        match self {
            Self::Created { segment, attributes, .. }
            | Self::Attributed { segment, attributes } => segment.len() + attributes.len() * 24,
            Self::Appended { segment, data, attributes, .. } => {
                segment.len() + data.len() + attributes.len() * 24
            }
            Self::Merged { target, source, attributes, .. } => {
                target.len() + source.len() + attributes.len() * 24
            }
            Self::Sealed { segment, .. }
            | Self::Truncated { segment, .. }
            | Self::Deleted { segment }
            | Self::Restored { segment, .. } => segment.len(),
            Self::Put { segment, entries, .. } => {
                let entry = |(key, value): &(Bytes, Bytes)| key.len() + value.len() + 64;
                segment.len() + entries.iter().map(entry).sum::<usize>()
            }
            Self::Removed { segment, keys, .. } => {
                segment.len() + keys.iter().map(|key| key.len() + 32).sum::<usize>()
            }
            Self::Many(many) => many.stream.len() + many.ids.len() * 16,
            Self::CatalogEntry { key, value } => key.len() + value.as_ref().map_or(0, Bytes::len),
            Self::RestoredEntry { segment, key, value, .. } => {
                segment.len() + key.len() + value.len()
            }
        }
    }
}

/// Whether the records of a server are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Records are handed to the driver, which keeps them.
    Kept,
    /// Changes are encoded for a log, from which segments are read and the server is restored:
    /// [`Machine::take_batch`](crate::machine::Machine::take_batch).
    Logged,
    /// Everything is in memory only; records are dropped as soon as they are applied.
    #[default]
    InMemory,
}

/// The records that the driver has not taken yet.
#[derive(Default)]
pub struct Journal {
    durability: Durability,
    sequence: Sequence,
    pending: Vec<Record>,
    /// True if a change was made that no batch has.
    is_begun: bool,
    /// The number of records that were ever added, kept or not.
    changes: u64,
    failure: Option<String>,
    /// Why there is no space for more.
    full: Option<String>,
    /// The number of checks until one is refused.
    #[cfg(test)]
    refuses_in: std::cell::Cell<Option<usize>>,
}

impl fmt::Debug for Journal {
    /// Shows how many records there are, not what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("durability", &self.durability)
            .field("sequence", &self.sequence)
            .field("pending", &self.pending.len())
            .field("failure", &self.failure)
            .finish()
    }
}

impl Journal {
    /// An empty journal.
    pub fn new(durability: Durability) -> Self {
        Self { durability, ..Self::default() }
    }

    /// Continues after the batches that were read back.
    pub fn resume(&mut self, sequence: Sequence) {
        self.sequence = sequence;
    }

    /// The batch that the next record becomes part of: a reply to the change waits for it.
    pub fn next(&self) -> Sequence {
        match self.durability {
            Durability::Kept | Durability::Logged => Sequence(self.sequence.0 + 1),
            Durability::InMemory => self.sequence,
        }
    }

    /// The last batch with a record: a reply that may reveal any change so far waits for it.
    pub fn latest(&self) -> Sequence {
        if self.pending.is_empty() && !self.is_begun { self.sequence } else { self.next() }
    }

    /// Adds a record that was applied.
    pub fn push(&mut self, record: Record) {
        self.changes += 1;
        match self.durability {
            Durability::Kept => self.pending.push(record),
            Durability::Logged => self.is_begun = true,
            Durability::InMemory => {}
        }
    }

    /// Whether changes are kept, and how.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Ends the batch of changes that were encoded for a log; `None` if there is none.
    pub(crate) fn end_batch(&mut self, has_more: bool) -> Option<Sequence> {
        let is_begun = std::mem::take(&mut self.is_begun);
        (is_begun || has_more).then(|| {
            self.sequence.0 += 1;
            self.sequence
        })
    }

    /// Uses the number of the next batch up for one without changes. All changes so far were taken.
    pub fn skip(&mut self) {
        self.sequence.0 += 1;
    }

    /// The number of changes so far. A call that has changed something has added to it.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The records since the last call as one batch, which survives a crash as a whole or not at
    /// all.
    pub fn take(&mut self) -> Option<(Sequence, Vec<Record>)> {
        if self.pending.is_empty() {
            return None;
        }
        self.sequence.0 += 1;
        Some((self.sequence, std::mem::take(&mut self.pending)))
    }

    /// Makes a check of whether changes are possible fail: the first, or one after some others.
    #[cfg(test)]
    pub(crate) fn refuse_in(&self, checks: usize) {
        self.refuses_in.set(Some(checks));
    }

    /// Returns true if this check is the one that fails.
    #[cfg(test)]
    pub(crate) fn refuses_now(&self) -> bool {
        let left = self.refuses_in.get();
        self.refuses_in.set(left.and_then(|left| left.checked_sub(1)));
        left == Some(0)
    }

    /// Refuses every change from now on, because none can be made durable. Keeps the first reason.
    pub fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }

    /// Refuses what takes space on the disk, for a reason, or allows it again.
    pub fn set_full(&mut self, reason: Option<String>) {
        self.full = reason;
    }

    /// The reason why there is no space on the disk for more; `None` while there is some.
    pub fn full(&self) -> Option<&str> {
        self.full.as_deref()
    }

    /// The reason why no change can be made durable; `None` while the journal works.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
