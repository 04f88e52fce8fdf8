//! Why there is no copy of a folder.

use std::{io, path::PathBuf};

use pravega_sdk_types::{ErrorKind, classify};

use crate::journal::{OpenError, OpenProblem, user};

/// An error from copying the folder of a server. The folder was not changed, and the new one is
/// empty, or is refused as unfinished.
///
/// The variants are public, so that a caller can match on the side that failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The folder cannot be read.
    #[error("cannot copy the data in {}: {}", .0.folder.display(), .0.problem)]
    Source(OpenError),
    /// The new folder cannot be written.
    #[error("cannot copy to {}: {}", .0.folder.display(), .0.problem)]
    Target(OpenError),
    /// A process uses the folder, and does not tell which files it has.
    #[error(
        "cannot copy the data in {}: {} uses it, and does not answer on its socket `keeping`",
        folder.display(),
        user(*pid)
    )]
    NoAnswer {
        /// The folder.
        folder: PathBuf,
        /// The id of the process, as it is in the lock; `None` if it is not known.
        pid: Option<u32>,
        /// The cause.
        source: io::Error,
    },
    /// There is no tokio runtime to make the copy on.
    #[error("there is no tokio runtime here; call it inside one")]
    NoRuntime,
}

classify!(CopyError, |error| match error {
    CopyError::Source(error) | CopyError::Target(error) => error.kind(),
    CopyError::NoAnswer { .. } => ErrorKind::Unavailable,
    CopyError::NoRuntime => ErrorKind::NoRuntime,
});

/// The side of a copy that failed.
#[derive(Debug)]
pub(crate) enum Side {
    Source(OpenProblem),
    Target(OpenProblem),
}

impl Side {
    /// A call of the system failed at the folder that is copied.
    pub(super) fn source(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let problem = OpenProblem::io(what);
        move |error| Self::Source(problem(error))
    }

    /// A call of the system failed at the new folder.
    pub(super) fn target(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let problem = OpenProblem::io(what);
        move |error| Self::Target(problem(error))
    }

    /// The error with the folders of both sides.
    pub(super) fn error(self, from: PathBuf, to: PathBuf) -> CopyError {
        match self {
            Self::Source(problem) => CopyError::Source(OpenError { folder: from, problem }),
            Self::Target(problem) => CopyError::Target(OpenError { folder: to, problem }),
        }
    }
}
