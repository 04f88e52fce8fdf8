//! The calls of the disk that commits need, and how they end.

use std::fmt;

use bytes::Bytes;

use super::{
    ids::{FileNumber, Place},
    mark::MarkSlot,
};

/// The next call of the disk.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write bytes at a place, which is the end of its file.
    Write {
        /// The place.
        place: Place,
        /// The bytes.
        bytes: Bytes,
    },
    /// Make the content of a file durable.
    Sync {
        /// The file.
        file: FileNumber,
    },
    /// Shorten a file: a write of it failed.
    Cut {
        /// The end of the file.
        end: Place,
    },
    /// Write the mark.
    Mark {
        /// The slot of the mark.
        slot: MarkSlot,
        /// The bytes of the slot.
        bytes: Bytes,
        /// Whether the mark is made durable, or left to the system.
        sync: MarkSync,
    },
}

impl fmt::Debug for Effect {
    /// Shows lengths, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { place, bytes } => {
                f.debug_struct("Write").field("place", place).field("len", &bytes.len()).finish()
            }
            Self::Sync { file } => f.debug_struct("Sync").field("file", file).finish(),
            Self::Cut { end } => f.debug_struct("Cut").field("end", end).finish(),
            Self::Mark { slot, sync, .. } => f
                .debug_struct("Mark")
                .field("slot", slot)
                .field("sync", sync)
                .finish_non_exhaustive(),
        }
    }
}

/// Whether the mark is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkSync {
    /// The system writes it when it likes.
    Lazy,
    /// It is synced: no more frames follow.
    Now,
}

/// The outcome of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// The disk, a quota or a limit on the size of files left no space. A part may have its effect.
    NoSpace(String),
    /// It failed for another reason. A part may have its effect.
    Failed(String),
}
