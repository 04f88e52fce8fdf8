//! Failures of commands: their text, hint and exit code.

use std::{fmt, io::Write as _, process::ExitCode};

use pravega_sdk::{
    tls::{TlsError, TlsProblem},
    types::{Classified, ErrorKind},
};

use crate::signal::Signal;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// An error text with its causes, and what decides the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: Cause,
    text: String,
    /// The text of the error, if `text` is about what was found out later.
    details: Option<String>,
    hint: Option<String>,
}

/// Why a command ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Other,
    Kind(ErrorKind),
    /// The arguments are right, the data that the command reads is not.
    InvalidInput,
    Stopped(Signal),
}

/// Whether the details of a failure are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Details {
    Hidden,
    Shown,
}

impl Failure {
    fn new(cause: Cause, text: impl fmt::Display) -> Self {
        Self { cause, text: text.to_string(), details: None, hint: None }
    }

    /// A failure without a kind.
    pub(crate) fn other(text: impl fmt::Display) -> Self {
        Self::new(Cause::Other, text)
    }

    /// An invalid argument that clap does not detect.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::of_kind(ErrorKind::InvalidArgument, text)
    }

    /// Invalid data in a file or on stdin.
    pub(crate) fn invalid_input(text: impl fmt::Display) -> Self {
        Self::new(Cause::InvalidInput, text)
    }

    /// The end of a command that a signal stopped; the text says how far it came.
    pub(crate) fn stopped(signal: Signal, text: impl fmt::Display) -> Self {
        Self::new(Cause::Stopped(signal), format_args!("stopped by {}: {text}", signal.name()))
    }

    /// A failure of a kind.
    pub(crate) fn of_kind(kind: ErrorKind, text: impl fmt::Display) -> Self {
        Self::new(Cause::Kind(kind), text)
    }

    /// The kind, if it has one.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        match self.cause {
            Cause::Kind(kind) => Some(kind),
            Cause::Other | Cause::InvalidInput | Cause::Stopped(_) => None,
        }
    }

    /// Replaces the hint that the kind has.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the hint, if neither the failure nor its kind has one.
    pub(crate) fn with_default_hint(mut self, hint: &str) -> Self {
        if self.hint().is_none() {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    /// Replaces the hint of a kind, unless the failure is of another one or has a hint of its own.
    pub(crate) fn with_hint_for(mut self, kind: ErrorKind, hint: impl FnOnce() -> String) -> Self {
        if self.hint.is_none() && self.kind() == Some(kind) {
            self.hint = Some(hint());
        }
        self
    }

    /// Tells what was found out about the failure; its own text is among the details.
    pub(crate) fn explained(self, text: String, hint: String) -> Self {
        Self { cause: self.cause, details: Some(self.text), text, hint: Some(hint) }
    }

    /// Names the context whose settings are in use.
    pub(crate) fn within_context(mut self, name: &str) -> Self {
        self.text = format!("context {name}: {}", self.text);
        self
    }

    /// Writes the error to stderr, with its details if they are wanted, and returns its exit code.
    pub(crate) fn report(&self, details: Details) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        // The caller wanted it to stop, so that is no error.
        let label = if matches!(self.cause, Cause::Stopped(_)) { "" } else { "error: " };
        writeln!(stderr, "{label}{}", self.text).ok();
        if let Some(hint) = self.hint() {
            writeln!(stderr, "  help: {hint}").ok();
        }
        if let (Details::Shown, Some(details)) = (details, &self.details) {
            writeln!(stderr, "  details: {details}").ok();
        }
        ExitCode::from(self.exit_code())
    }

    fn hint(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| match self.cause {
            Cause::Kind(kind) => hint(kind),
            Cause::Other | Cause::InvalidInput | Cause::Stopped(_) => None,
        })
    }

    fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::Other => 1,
            Cause::Kind(kind) => code(kind),
            Cause::InvalidInput => 7,
            Cause::Stopped(signal) => signal.exit_code(),
        }
    }
}

/// The exit code of a kind, as listed in the help.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidArgument
        | ErrorKind::InvalidName
        | ErrorKind::InvalidStreamCut
        | ErrorKind::Config => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists
        | ErrorKind::NotEmpty
        | ErrorKind::NotSealed
        | ErrorKind::Sealed
        | ErrorKind::ConditionFailed
        | ErrorKind::TransactionNotOpen
        | ErrorKind::ReaderOffline
        | ErrorKind::Truncated => 4,
        ErrorKind::Timeout
        | ErrorKind::Unreachable
        | ErrorKind::ConnectionLost
        | ErrorKind::Unavailable => 5,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::TokenExpired => 6,
        ErrorKind::OutOfSpace => 8,
        _ => 1,
    }
}

/// Advice for a kind, if there is any.
fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Unreachable => {
            "check that the server runs and that --controller is right; `pravega doctor` checks \
             step by step"
        }
        ErrorKind::Tls => {
            "check the scheme (tcp or tls), --ca and --cert; `pravega doctor` checks step by step"
        }
        ErrorKind::NotEmpty => "delete its content first, or use --recursive",
        ErrorKind::Timeout => {
            "the server may hang or be overloaded: `pravega doctor` checks step by step; --timeout \
             sets how long to wait"
        }
        ErrorKind::ConnectionLost | ErrorKind::Unavailable => {
            "try again; `pravega doctor` checks step by step"
        }
        ErrorKind::PermissionDenied => {
            "`pravega auth status` shows the account in use; what it may do is set at the cluster"
        }
        ErrorKind::TokenExpired => "try again, or log in again with `pravega auth login`",
        ErrorKind::OutOfSpace => {
            "truncate or delete streams, or give the server more: `pravega dev --memory 4G`, and \
             --disk with --dir"
        }
        ErrorKind::Sealed => {
            "a sealed stream is read-only for good; to create another one: pravega stream create \
             SCOPE/STREAM"
        }
        ErrorKind::TransactionNotOpen => "its state: pravega txn status SCOPE/STREAM ID",
        ErrorKind::ReaderOffline => "start the reader again: its group goes on without it",
        ErrorKind::Truncated => "begin at the head, or at a later position",
        ErrorKind::Corrupt => {
            "a byte stream is read with `pravega bytes get`; `pravega dev --check DIR` looks for \
             damage in the folder of a server"
        }
        ErrorKind::Unsupported | ErrorKind::IncompatibleServer | ErrorKind::Protocol => {
            "check address and port; `pravega doctor` checks step by step, and shows the versions"
        }
        ErrorKind::WrongHost => "the segment has moved: try again",
        ErrorKind::ServerFailure => "see the log of the server",
        _ => return None,
    })
}

/// Advice for a problem of TLS, if it is the scheme of the URL.
fn tls_hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    let problem = causes.find_map(|cause| cause.downcast_ref::<TlsError>())?.problem();
    Some(match problem {
        TlsProblem::ServerIsPlain => "use tcp:// in place of tls://",
        TlsProblem::ServerIsTlsOnly => "use tls:// in place of tcp://",
        TlsProblem::ServerMayBeTlsOnly => {
            "use tls:// if the cluster has TLS; if not, check the port: that of the REST interface \
             of `pravega dev` is one above that of its controller"
        }
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<E: Classified + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let hint = tls_hint(&error).map(str::to_owned);
        Self { hint, ..Self::of_kind(error.kind(), with_causes(&error)) }
    }
}

/// The text of an error and of its causes; a cause that the text has is not repeated.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let cause_text = next.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{error::Error, io};

    use super::*;

    /// Every kind that has an exit code of its own; all others exit with 1.
    const CODES: &[(u8, &[ErrorKind])] = &[
        (
            2,
            &[
                ErrorKind::InvalidArgument,
                ErrorKind::InvalidName,
                ErrorKind::InvalidStreamCut,
                ErrorKind::Config,
            ],
        ),
        (3, &[ErrorKind::NotFound]),
        (
            4,
            &[
                ErrorKind::AlreadyExists,
                ErrorKind::NotEmpty,
                ErrorKind::NotSealed,
                ErrorKind::Sealed,
                ErrorKind::ConditionFailed,
                ErrorKind::TransactionNotOpen,
                ErrorKind::ReaderOffline,
                ErrorKind::Truncated,
            ],
        ),
        (
            5,
            &[
                ErrorKind::Timeout,
                ErrorKind::Unreachable,
                ErrorKind::ConnectionLost,
                ErrorKind::Unavailable,
            ],
        ),
        (6, &[ErrorKind::Unauthenticated, ErrorKind::PermissionDenied, ErrorKind::TokenExpired]),
        (8, &[ErrorKind::OutOfSpace]),
        (
            1,
            &[
                ErrorKind::NoRuntime,
                ErrorKind::Closed,
                ErrorKind::Protocol,
                ErrorKind::IncompatibleServer,
                ErrorKind::Tls,
                ErrorKind::WrongHost,
                ErrorKind::Corrupt,
                ErrorKind::Unsupported,
                ErrorKind::LimitReached,
                ErrorKind::ServerFailure,
            ],
        ),
    ];

    #[test]
    fn each_kind_has_the_exit_code_that_the_help_lists() {
        for (expected, kinds) in CODES {
            for kind in *kinds {
                let failure = Failure::of_kind(*kind, "text");
                assert_eq!(failure.exit_code(), *expected, "{kind:?}");
            }
        }
        assert_eq!(Failure::other("text").exit_code(), 1);
        assert_eq!(Failure::usage("text").exit_code(), 2);
        assert_eq!(Failure::invalid_input("text").exit_code(), 7);
        assert_eq!(Failure::stopped(Signal::Interrupt, "text").exit_code(), 130);
        assert_eq!(Failure::stopped(Signal::Terminate, "text").exit_code(), 143);
    }

    #[test]
    fn a_hint_of_the_failure_replaces_the_hint_of_its_kind() {
        let failure = Failure::of_kind(ErrorKind::NotEmpty, "text");
        assert_eq!(failure.hint(), hint(ErrorKind::NotEmpty));
        assert_eq!(failure.with_hint("mine").hint(), Some("mine"));
        assert_eq!(Failure::other("text").hint(), None);
        let kind = ErrorKind::NotEmpty;
        let of_kind = || Failure::of_kind(kind, "text");
        let other = |failure: Failure| failure.with_hint_for(kind, || "other".to_owned());
        assert_eq!(other(of_kind()).hint(), Some("other"));
        assert_eq!(other(of_kind().with_hint("mine")).hint(), Some("mine"));
        assert_eq!(other(Failure::other("text")).hint(), None);
    }

    #[test]
    fn what_was_found_out_replaces_text_and_hint_and_keeps_the_exit_code() {
        let failure = Failure::of_kind(ErrorKind::NotFound, "reading a/b: no such stream");
        let explained = failure.explained("there is no scope a".to_owned(), "mine".to_owned());
        assert_eq!((explained.exit_code(), explained.hint()), (3, Some("mine")));
        assert_eq!(explained.to_string(), "there is no scope a");
        assert_eq!(explained.details.as_deref(), Some("reading a/b: no such stream"));
    }

    #[test]
    fn the_advice_for_a_scheme_that_does_not_fit_names_the_other_one() {
        for (error, advice) in [
            (TlsError::speaks_only_tls(), "tls:// in place of tcp://"),
            (TlsError::may_speak_only_tls(None), "tls:// if the cluster has TLS"),
        ] {
            let failure = pravega_sdk::types::Failure::new(
                ErrorKind::Tls,
                pravega_sdk::types::Outcome::NotApplied,
                "unreachable",
            );
            let error =
                pravega_sdk::controller_client::ControllerError::from(failure.with_source(error));
            let hint = Failure::from(error).hint().map(str::to_owned).unwrap();
            assert!(hint.contains(advice), "{hint}");
        }
    }

    #[test]
    fn every_kind_that_a_server_reports_has_a_next_step() {
        for kind in CODES.iter().flat_map(|(_, kinds)| *kinds) {
            let own = matches!(
                kind,
                // The text says what is wrong with the command line, or what exists.
                ErrorKind::InvalidArgument
                    | ErrorKind::InvalidName
                    | ErrorKind::InvalidStreamCut
                    | ErrorKind::Config
                    | ErrorKind::NotFound
                    | ErrorKind::AlreadyExists
                    | ErrorKind::NotSealed
                    | ErrorKind::ConditionFailed
                    | ErrorKind::LimitReached
                    // What is used tells what to do.
                    | ErrorKind::Unauthenticated
                    // The tool itself is wrong.
                    | ErrorKind::NoRuntime
                    | ErrorKind::Closed
            );
            assert_eq!(hint(*kind).is_none(), own, "{kind:?}");
        }
    }

    /// An error with a text and a cause.
    #[derive(Debug)]
    struct Caused(&'static str, Option<Box<dyn Error>>);

    impl fmt::Display for Caused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref()
        }
    }

    #[test]
    fn a_cause_that_the_text_has_is_not_repeated() {
        let cause = || Some(io::Error::other("disk full").into());
        assert_eq!(with_causes(&Caused("writing", cause())), "writing: disk full");
        assert_eq!(with_causes(&Caused("writing: disk full", cause())), "writing: disk full");
        let inside = Caused("writing: disk full; free some", cause());
        assert_eq!(with_causes(&inside), "writing: disk full; free some");
        let nested = Caused("outer", Some(Box::new(Caused("inner", cause()))));
        assert_eq!(with_causes(&nested), "outer: inner: disk full");
        assert_eq!(with_causes(&Caused("alone", None)), "alone");
    }
}
