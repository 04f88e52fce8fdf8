//! Errors from opening a folder of data.

use std::{fmt, io, path::PathBuf};

use pravega_sdk_types::{ErrorKind, classify};

use crate::{folder::FolderError, io_kind::io_kind};

/// An error from opening a folder with a server's data.
///
/// A caller can match on the [`problem`](Self::problem).
#[derive(Debug, thiserror::Error)]
#[error("the data in {} cannot be used: {problem}", folder.display())]
pub struct OpenError {
    pub(crate) folder: PathBuf,
    pub(crate) problem: OpenProblem,
}

classify!(OpenError, |error| match &error.problem {
    // The other process may end.
    OpenProblem::InUse { .. } => ErrorKind::Unavailable,
    OpenProblem::Corrupt { .. } | OpenProblem::Missing { .. } => ErrorKind::Corrupt,
    OpenProblem::Foreign { .. } => ErrorKind::Config,
    OpenProblem::Version { .. } => ErrorKind::Unsupported,
    OpenProblem::Io { error, .. } => io_kind(error),
});

/// The problem with a folder of data.
#[non_exhaustive]
#[derive(Debug)]
pub enum OpenProblem {
    /// Another process uses it.
    InUse {
        /// The id of the process, as it is in the lock; `None` if it is not known.
        pid: Option<u32>,
    },
    /// A file is damaged. Nothing was changed.
    Corrupt {
        /// The file.
        file: String,
        /// The offset of the damage, in bytes.
        offset: u64,
        /// The damage.
        what: String,
    },
    /// A file is missing, without which the others cannot be read. Nothing was changed.
    Missing {
        /// The file.
        file: String,
        /// What it is for.
        what: String,
    },
    /// A file is none of the folder's own, or the folder is not one of a server. Nothing was
    /// changed.
    Foreign {
        /// The file.
        file: String,
        /// What it is.
        what: String,
    },
    /// A file was written by a newer version.
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest supported version.
        max: u32,
    },
    /// A call of the system failed.
    Io {
        /// The failed action.
        what: String,
        /// The cause.
        error: io::Error,
    },
}

impl fmt::Display for OpenProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { pid } => write!(f, "{} uses it", user(*pid)),
            Self::Corrupt { file, offset, what } => {
                write!(f, "{file} is damaged at byte {offset}: {what}")
            }
            Self::Missing { file, what } => write!(f, "{file} is missing: {what}"),
            Self::Foreign { file, what } => write!(f, "{file}: {what}"),
            Self::Version { file, found, max } => {
                write!(f, "{file} has version {found}, the newest supported version is {max}")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

/// The process that uses a folder, for people.
pub(crate) fn user(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenProblem {
    /// Makes the problem of a call of the system that failed.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

impl OpenError {
    /// The problem.
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
