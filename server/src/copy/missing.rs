//! What a salvaged folder does not have.

use std::fmt;

/// Something that a salvaged folder does not have, or may not have.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A file is missing, or cannot be used.
    File {
        /// The name of the file.
        file: String,
        /// Why.
        why: String,
    },
    /// A part of a file cannot be read: what changed with it is not known. It may be anything:
    /// streams that were created or deleted, events, transactions.
    Changes {
        /// The name of the file.
        file: String,
        /// The offset of the first byte.
        from: u64,
        /// The offset after the last byte.
        to: u64,
    },
    /// Bytes of a segment. The segment has the others at their offsets; a read of these fails.
    Bytes {
        /// The name of the segment.
        segment: String,
        /// The offset of the first byte.
        from: u64,
        /// The offset after the last byte.
        to: u64,
    },
    /// Bytes that can be read and are of no segment that is known: of a deleted one, or of one
    /// whose creation cannot be read.
    Nameless {
        /// The number of the segment in the damaged folder.
        number: u64,
        /// The offset of the first byte.
        from: u64,
        /// The offset after the last byte.
        to: u64,
    },
    /// A part of the state that was read, and contradicts the rest, or belongs to what is missing.
    Entry {
        /// What it is, and why it cannot be used.
        why: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, why } => write!(f, "file {file}: {why}"),
            Self::Changes { file, from, to } => {
                write!(f, "changes in {file}, bytes {from} to {to}: what they were is not known")
            }
            Self::Bytes { segment, from, to } => {
                write!(f, "segment {segment}, bytes {from} to {to}")
            }
            Self::Nameless { number, from, to } => write!(
                f,
                "segment number {number}, bytes {from} to {to}: it was deleted, or its name is lost"
            ),
            Self::Entry { why } => write!(f, "entry: {why}"),
        }
    }
}
