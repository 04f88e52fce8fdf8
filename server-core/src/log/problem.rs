//! What is wrong with a folder's files.

use std::fmt;

use super::{
    head::{BadHead, VERSION},
    ids::{FileNumber, FolderId},
};

/// A log that cannot be read back. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} at byte {at}: {what}")]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The offset in the file.
    pub at: u64,
    /// The problem.
    pub what: What,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It does not exist.
    Missing,
    /// It is not the next file of the folder.
    NotNext,
    /// It is not as long as it was when the folder was listed.
    Shortened,
    /// Its head is damaged.
    Head,
    /// It was written by a newer version.
    Version(u32),
    /// It belongs to another folder.
    OtherFolder(FolderId),
    /// It is no log file.
    OtherKind,
    /// It is a copy of a file with another number.
    OtherNumber(FileNumber),
    /// Its first frame does not begin the file after the one before.
    NotAfter,
    /// A frame is older than the one before it.
    Older,
    /// A frame ends where another one was synced.
    NotMarked,
    /// A frame has records that only the first of a file has.
    BegunTwice,
    /// Bytes are not those that were written.
    Altered,
    /// Bytes are not those that were written, and a frame follows them.
    Damaged,
    /// Bytes are not those that were written, and the next file was begun after them.
    DamagedBeforeNext,
    /// A checkpoint is damaged or incomplete.
    DamagedCheckpoint,
    /// The file does not have what a checkpoint says of it.
    NotOfCheckpoint,
    /// The file is not the one that a record of the log names.
    NotOfLog,
    /// A block of a run, or what names its blocks, is damaged.
    DamagedRun,
    /// The mark is damaged.
    DamagedMark,
    /// Bytes that were synced are not those that were written, or are missing.
    DamagedBeforeMark,
    /// The folder is a copy that was not completed.
    UnfinishedCopy,
}

impl From<BadHead> for What {
    fn from(bad: BadHead) -> Self {
        match bad {
            BadHead::Damaged => Self::Head,
            BadHead::Version(found) => Self::Version(found),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the file is missing",
            Self::NotNext => "the file is neither one of the folder's files nor the next",
            Self::Shortened => "the file became shorter while it was read",
            Self::Head => "the head of the file is damaged",
            Self::Version(found) => {
                return write!(f, "the file has version {found}, the newest known is {VERSION}");
            }
            Self::OtherFolder(found) => return write!(f, "the file belongs to folder {found}"),
            Self::OtherKind => "the file is a copy of one of another kind",
            Self::OtherNumber(found) => return write!(f, "the file is a copy of {}", found.name()),
            Self::NotAfter => "the file does not continue the one before it",
            Self::Older => "the frame is older than the one before it",
            Self::NotMarked => "the frame is not the one that was synced",
            Self::BegunTwice => "the file begins a second time",
            Self::Altered => "the bytes are not those that were written",
            Self::Damaged => "the bytes are not those that were written, and more follow",
            Self::DamagedBeforeNext => {
                "the bytes are not those that were written, and the next file was begun"
            }
            Self::DamagedCheckpoint => "the checkpoint is damaged or incomplete",
            Self::NotOfCheckpoint => "the file is not the one that the checkpoint names",
            Self::NotOfLog => "the file is not the one that the log names",
            Self::DamagedRun => "the index of the log is damaged",
            Self::DamagedMark => "the note of how far the log was synced is damaged",
            Self::DamagedBeforeMark => "the synced bytes are missing, or are not those written",
            Self::UnfinishedCopy => {
                "the folder is a copy that was interrupted; remove it, and make the copy again"
            }
        })
    }
}
