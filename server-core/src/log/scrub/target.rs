//! What is checked, and what is found.

use std::ops::Range;

use crate::log::{
    checkpoint::CheckpointFile,
    folder::{FOLDER_LEN, FOLDER_NAME},
    ids::{FileNumber, Salt},
    index::RunFile,
    mark::{MARK_LEN, MARK_NAME},
    problem::What,
};

/// A file of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScrubFile {
    /// The identity of the folder.
    Folder,
    /// The mark.
    Mark,
    /// A checkpoint.
    Checkpoint(CheckpointFile),
    /// A run.
    Run(RunFile),
    /// A log file, or one that bytes were moved to.
    Log(FileNumber),
}

impl ScrubFile {
    /// The file with a name; `None` if no file of a log has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            FOLDER_NAME => Some(Self::Folder),
            MARK_NAME => Some(Self::Mark),
            name => CheckpointFile::of_name(name)
                .map(Self::Checkpoint)
                .or_else(|| RunFile::of_name(name).map(Self::Run))
                .or_else(|| FileNumber::of_name(name).map(Self::Log)),
        }
    }

    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Folder => FOLDER_NAME.to_owned(),
            Self::Mark => MARK_NAME.to_owned(),
            Self::Checkpoint(file) => file.name(),
            Self::Run(run) => run.name(),
            Self::Log(file) => file.name(),
        }
    }
}

/// How much of a file is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The file has this many durable bytes, which are checked.
    Exactly(u64),
    /// The file is this long. At the end of a log file there may be bytes that are no frame.
    UpTo(u64),
}

impl Extent {
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Exactly(len) | Self::UpTo(len) => len,
        }
    }
}

/// A file to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubTarget {
    /// The file.
    pub file: ScrubFile,
    /// Its salt, if it is known from elsewhere. Then what follows a damaged head is checked, too.
    pub salt: Option<Salt>,
    /// How much of it is checked.
    pub extent: Extent,
}

impl ScrubTarget {
    /// The file with the identity of the folder.
    pub const FOLDER: Self =
        Self { file: ScrubFile::Folder, salt: None, extent: Extent::Exactly(FOLDER_LEN as u64) };
    /// The file with the mark.
    pub const MARK: Self =
        Self { file: ScrubFile::Mark, salt: None, extent: Extent::Exactly(MARK_LEN as u64) };

    /// A checkpoint of a length.
    #[must_use]
    pub fn checkpoint(file: CheckpointFile, len: u64) -> Self {
        let file = ScrubFile::Checkpoint(file);
        Self { file, salt: None, extent: Extent::Exactly(len) }
    }
}

/// Bytes of a file that are not those that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: ScrubFile,
    /// The offsets in the file: some of the bytes are damaged.
    pub range: Range<u64>,
    /// What is wrong.
    pub what: What,
}

/// The end of a file that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubEnd {
    /// All of it was checked.
    Reached,
    /// From this offset on there is no frame. Whether these bytes are the torn end of a write is
    /// known from other files.
    Torn(u64),
}

/// The next step of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrubStep {
    /// Bytes of the file are needed, for [`Scrub::handle_read`](super::Scrub::handle_read).
    Read {
        /// The offset of the first.
        at: u64,
        /// Their number.
        len: u64,
    },
    /// Damage was found. The check goes on.
    Damaged(Damage),
    /// The file was checked.
    Done(ScrubEnd),
}
