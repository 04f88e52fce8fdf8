//! The journal: records on disk, so that what was acknowledged survives the process.
//!
//! ```text
//! machine ──batches──> queue ──all that waits──> one frame, one write, one sync ──> Durable::To(sequence)
//! ```
//!
//! While one sync runs, what comes meanwhile gathers for the next: many clients share each. A write
//! or a sync that fails is the end of writing: nobody knows what the disk has then, so nothing more
//! is acknowledged until the journal is opened anew.
//!
//! The catalog and the segments share one journal, because one request changes both: a scale or a
//! commit is in it as a whole or not at all.

mod disk;
mod durable;
mod format;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

use std::{fmt, io, path::PathBuf};

pub(crate) use self::{
    disk::{Disk, Folder, FolderError, ReadDisk, ReadOnlyFolder},
    durable::{Durable, NotDurable},
    recovery::{Recovered, read_back, recover},
    writer::{JournalQueue, Writer, start},
};

/// Why a folder with a server's data cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the data in {} cannot be used: {problem}", folder.display())]
pub struct OpenError {
    pub(crate) folder: PathBuf,
    pub(crate) problem: OpenProblem,
}

/// What is wrong with a folder of data.
#[non_exhaustive]
#[derive(Debug)]
pub enum OpenProblem {
    /// Another process uses it.
    InUse {
        /// The process, as it wrote it down.
        pid: String,
    },
    /// A file is damaged. Nothing was changed.
    Corrupt {
        /// The file.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file was written by a newer version.
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest version that is known here.
        max: u32,
    },
    /// The system refused.
    Io {
        /// What was being done.
        what: String,
        /// The reason.
        error: io::Error,
    },
}

impl fmt::Display for OpenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { pid } => write!(f, "process {pid} uses it"),
            Self::Corrupt { file, offset, what } => {
                write!(f, "{file} is damaged at byte {offset}: {what}")
            }
            Self::Version { file, found, max } => {
                write!(f, "{file} is of version {found}, the newest that is known here is {max}")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl OpenError {
    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &OpenProblem {
        &self.problem
    }
}

impl OpenProblem {
    pub(crate) fn of_folder(error: FolderError) -> Self {
        match error {
            FolderError::InUse { pid } => Self::InUse { pid },
            FolderError::Io { what, error } => Self::Io { what: what.to_owned(), error },
        }
    }
}

/// The name of a journal's file.
fn file_name(number: u64) -> String {
    format!("journal-{number:08}")
}

/// The number in the name of a journal's file.
fn file_number(name: &str) -> Option<u64> {
    name.strip_prefix("journal-").filter(|digits| digits.len() >= 8)?.parse().ok()
}

/// The file that says how far the journal was synced.
const MARK: &str = "mark";
/// A journal's file that is not whole yet.
const UNFINISHED: &str = "journal.new";
