//! Failures of commands: their text, hint and exit code.

use std::{fmt, io::Write as _, process::ExitCode};

use pravega_sdk::types::{Classified, ErrorKind};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// An error text with its causes, and the kind that decides the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Option<ErrorKind>,
    text: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure without a kind.
    pub(crate) fn other(text: impl fmt::Display) -> Self {
        Self { kind: None, text: text.to_string(), hint: None }
    }

    /// An invalid argument that clap does not detect.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self { kind: Some(ErrorKind::InvalidArgument), text: text.to_string(), hint: None }
    }

    /// A failure of a kind.
    pub(crate) fn of_kind(kind: ErrorKind, text: impl fmt::Display) -> Self {
        Self { kind: Some(kind), text: text.to_string(), hint: None }
    }

    /// Replaces the hint that the kind has.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writes the error to stderr and returns its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "error: {}", self.text).ok();
        if let Some(hint) = self.hint.as_deref().or_else(|| self.kind.and_then(hint)) {
            writeln!(stderr, "  help: {hint}").ok();
        }
        ExitCode::from(self.kind.map_or(1, code))
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
        | ErrorKind::Truncated => 4,
        ErrorKind::Timeout
        | ErrorKind::Unreachable
        | ErrorKind::ConnectionLost
        | ErrorKind::Unavailable => 5,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::TokenExpired => 6,
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
            "check the scheme (tcp or tls) and trust_store; `pravega doctor` checks step by step"
        }
        ErrorKind::Unauthenticated => {
            "set PRAVEGA_USER and PRAVEGA_PASSWORD, or PRAVEGA_AUTH_METHOD and PRAVEGA_AUTH_TOKEN"
        }
        ErrorKind::NotSealed => "seal it first: pravega stream seal SCOPE/STREAM",
        ErrorKind::NotEmpty => "delete its content first, or use --recursive",
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<E: Classified> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { kind: Some(error.kind()), text: with_causes(&error), hint: None }
    }
}

/// The text of an error and of its causes; a cause that the text ends with is not repeated.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let cause_text = next.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        cause = next.source();
    }
    text
}
