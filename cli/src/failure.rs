//! What went wrong, for a person and for the exit code.

use std::{fmt, io::Write as _, process::ExitCode};

use pravega_sdk::types::{Classified, ErrorKind};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// An error with its causes, and its kind.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Option<ErrorKind>,
    text: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn other(text: impl fmt::Display) -> Self {
        Self { kind: None, text: text.to_string(), hint: None }
    }

    /// An argument that clap could not judge.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self { kind: Some(ErrorKind::InvalidArgument), text: text.to_string(), hint: None }
    }

    pub(crate) fn of_kind(kind: ErrorKind, text: impl fmt::Display) -> Self {
        Self { kind: Some(kind), text: text.to_string(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writes the error to stderr and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "error: {}", self.text).ok();
        if let Some(hint) = self.hint.as_deref().or_else(|| self.kind.and_then(hint)) {
            writeln!(stderr, "  help: {hint}").ok();
        }
        ExitCode::from(self.kind.map_or(1, code))
    }
}

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

/// What to do about it, where there is something.
fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Unreachable => {
            "is the server up, and --controller right? `pravega doctor` checks step by step"
        }
        ErrorKind::Tls => {
            "check the scheme (tcp or tls) and trust_store; `pravega doctor` checks step by step"
        }
        ErrorKind::Unauthenticated => {
            "set PRAVEGA_USER and PRAVEGA_PASSWORD, or PRAVEGA_AUTH_METHOD and PRAVEGA_AUTH_TOKEN"
        }
        ErrorKind::NotSealed => "seal it first: pravega stream seal SCOPE/STREAM",
        ErrorKind::NotEmpty => "remove what it holds first, or use --recursive",
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

/// An error with all its causes, each said once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}
