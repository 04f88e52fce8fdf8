//! What changes: the records from which everything can be made again.
//!
//! Nothing changes a segment or the catalog but a record that is applied. Where the server keeps
//! its data, the records go to the journal in the order in which they were applied, and no answer
//! that could tell of a change leaves before the change is durable: each answer carries the
//! [`Sequence`] that it has to wait for.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A wall-clock time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Millis(pub i64);

/// How many batches of records were made so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

/// Attributes and what they are set to; `i64::MIN` removes.
pub type Attributes = Vec<(Uuid, i64)>;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A segment was made: of a table if there is a key length, of a stream if not.
    Created { segment: ByteString, key_len: Option<u32>, attributes: Attributes, at: Millis },
    /// Bytes stand at the end of a segment.
    Appended { segment: ByteString, data: Bytes, attributes: Attributes, at: Millis },
    /// A segment stands at the end of another and is gone.
    Merged { target: ByteString, source: ByteString, attributes: Attributes, at: Millis },
    /// Attributes of a segment were set.
    Attributed { segment: ByteString, attributes: Attributes },
    /// A segment is read-only.
    Sealed { segment: ByteString, at: Millis },
    /// A segment starts at an offset.
    Truncated { segment: ByteString, offset: u64, at: Millis },
    /// A segment is gone.
    Deleted { segment: ByteString },
    /// Entries were put in a table segment.
    Put { segment: ByteString, entries: Vec<(Bytes, Bytes)>, at: Millis },
    /// Keys were removed from a table segment.
    Removed { segment: ByteString, keys: Vec<Bytes>, at: Millis },
    /// An entry of the catalog was set or removed.
    Cataloged { key: String, value: Option<Bytes> },
    /// A segment begins at an offset with nothing in it, or a table has a length: first of what a
    /// snapshot has of it.
    Restored { segment: ByteString, start: u64, length: u64 },
    /// An entry of a table as a snapshot has it.
    RestoredEntry { segment: ByteString, key: Bytes, value: Bytes, version: i64 },
}

/// The records that were made and not yet handed to the driver.
#[derive(Debug, Default)]
pub struct Journal {
    keeps: bool,
    sequence: Sequence,
    pending: Vec<Record>,
}

impl Journal {
    /// A journal whose records are kept, or one that forgets them at once.
    pub fn new(keeps: bool) -> Self {
        Self { keeps, sequence: Sequence::default(), pending: Vec::new() }
    }

    /// Goes on behind what was read back.
    pub fn resume(&mut self, sequence: Sequence) {
        self.sequence = sequence;
    }

    /// The batch that the next record will be part of; what an answer to the change waits for.
    pub fn next(&self) -> Sequence {
        if self.keeps { Sequence(self.sequence.0 + 1) } else { self.sequence }
    }

    /// The last batch that something was put in; what an answer to a question waits for.
    pub fn latest(&self) -> Sequence {
        if self.pending.is_empty() { self.sequence } else { self.next() }
    }

    /// Notes a record that was applied.
    pub fn push(&mut self, record: Record) {
        if self.keeps {
            self.pending.push(record);
        }
    }

    /// What was made since the last call, as one batch: it takes effect after a crash as a whole or
    /// not at all.
    pub fn take(&mut self) -> Option<(Sequence, Vec<Record>)> {
        if self.pending.is_empty() {
            return None;
        }
        self.sequence.0 += 1;
        Some((self.sequence, std::mem::take(&mut self.pending)))
    }
}
