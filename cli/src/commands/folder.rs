//! Failures with the folder of a server: one kind, and so one exit code, for each cause, whatever
//! the command.

use std::io;

use pravega_sdk::{
    ErrorKind,
    embedded::{CopyError, OpenError, OpenProblem, StartError},
};

/// The table of exit codes of the commands that work with a folder, for their help.
macro_rules! codes {
    () => {
        "\
Exit codes of `pravega dev`, also with --check and --salvage, and of `pravega backup`:
  0  done; also of a server that stops after SIGINT or SIGTERM
  1  a file is damaged or missing, even if a server starts with the rest; or any other failure
  2  the folder, or a file in it, is not a server's; or an argument is invalid
  3  the folder does not exist
  4  another process uses the folder, or a port
  5  the server that uses the folder does not answer
  6  the system does not permit it
  8  the disk has no space left
  130, 143  a second SIGINT or SIGTERM has ended the server at once"
    };
}
pub(super) use codes;

/// The kind of a problem with a folder.
pub(super) fn kind_of_problem(error: &OpenError) -> ErrorKind {
    match error.problem() {
        // To try again does not help, as it does with a server that does not answer.
        OpenProblem::InUse { .. } => ErrorKind::ConditionFailed,
        OpenProblem::Io { error: cause, .. } => match (cause.kind(), error.kind()) {
            (io::ErrorKind::NotFound, _) => ErrorKind::NotFound,
            // What is named is of a kind that cannot be used.
            (
                io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::Other,
                kind,
            ) => kind,
            // The disk fails.
            (_, ErrorKind::Config) => ErrorKind::ServerFailure,
            (_, kind) => kind,
        },
        _ => error.kind(),
    }
}

/// The kind of the failure of a copy.
pub(super) fn kind_of_copy(error: &CopyError) -> ErrorKind {
    match error {
        CopyError::Source(error) | CopyError::Target(error) => kind_of_problem(error),
        _ => error.kind(),
    }
}

/// The kind of the failure of a start.
pub(super) fn kind_of_start(error: &StartError) -> ErrorKind {
    match error {
        StartError::Data(error) => kind_of_problem(error),
        StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            ErrorKind::ConditionFailed
        }
        _ => match error.kind() {
            // The hints of these kinds are about the servers of a client.
            ErrorKind::Tls => ErrorKind::Config,
            ErrorKind::Unreachable => ErrorKind::Unavailable,
            kind => kind,
        },
    }
}

/// The kind of a refusal that a check reports.
pub(super) fn kind_of_refusal(refusal: Option<&OpenProblem>) -> ErrorKind {
    match refusal {
        Some(OpenProblem::Foreign { .. }) => ErrorKind::Config,
        Some(OpenProblem::Version { .. }) => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    }
}

/// What can be done about a folder that is damaged or not whole.
pub(super) const DAMAGED: &str = "\
no file was changed. All streams are in one log, which cannot be used without the damaged part: \
restore the folder from a backup, or write what can be read of it to a new folder with `pravega \
dev --salvage DIR NEW`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_check_has_the_kind_that_a_start_would_have() {
        let (file, what) = ("log-00000001".to_owned(), String::new());
        let foreign = OpenProblem::Foreign { file: file.clone(), what: what.clone() };
        let missing = OpenProblem::Missing { file: file.clone(), what };
        let version = OpenProblem::Version { file, found: 2, max: 1 };
        for (refusal, kind) in [
            (Some(foreign), ErrorKind::Config),
            (Some(version), ErrorKind::Unsupported),
            (Some(missing), ErrorKind::Corrupt),
            (None, ErrorKind::Corrupt),
        ] {
            assert_eq!(kind_of_refusal(refusal.as_ref()), kind, "{refusal:?}");
        }
    }
}
