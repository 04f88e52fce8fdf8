//! Why a folder of data cannot be opened.

use std::{fmt, io, path::PathBuf};

use super::disk::FolderError;

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
