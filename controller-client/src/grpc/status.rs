//! Meaning of gRPC statuses.

use std::time::Duration;

use pravega_sdk_types::{ErrorKind, Failure, Outcome, Printable};
use tonic::{Code, Status};

use crate::ControllerError;

/// A failed attempt, and whether to try again.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) error: ControllerError,
    /// True if the reference client would try again.
    pub(super) is_retryable: bool,
    /// True if the request was never sent, so that a repeat has no double effect.
    pub(super) was_not_sent: bool,
    /// True if another controller may succeed at once.
    pub(super) is_controllers_fault: bool,
}

impl FailedAttempt {
    /// Classifies a status by its code only, as the server's texts are for people.
    pub(super) fn from_status(status: Status) -> Self {
        let code = status.code();
        let was_not_sent = is_connect_error(&status);
        let kind = if was_not_sent { connect_kind(&status) } else { kind_of(code) };
        let outcome = if was_not_sent { Outcome::NotApplied } else { outcome_of(code) };
        let detail = if was_not_sent {
            "the controller cannot be reached".to_owned()
        } else {
            format!("the controller answered {code:?}: {}", status.message())
        };
        let error = Failure::new(kind, outcome, detail).with_source(StatusCause::of(status)).into();
        Self {
            error,
            is_retryable: is_retried(code) && kind != ErrorKind::Tls,
            was_not_sent,
            is_controllers_fault: was_not_sent || code == Code::Unavailable,
        }
    }

    /// Creates the failure of an attempt that timed out.
    pub(super) fn timed_out(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format_args!("no answer within {seconds:.1} s");
        Self {
            error: ControllerError::new(ErrorKind::Timeout, Outcome::Unknown, detail),
            is_retryable: true,
            was_not_sent: false,
            is_controllers_fault: true,
        }
    }

    /// Creates the failure of an attempt whose credentials did not arrive in time. Another
    /// controller would not get them sooner.
    pub(super) fn without_credentials(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format_args!("the credential provider returned nothing within {seconds:.1} s");
        Self {
            error: ControllerError::new(ErrorKind::Timeout, Outcome::NotApplied, detail),
            is_retryable: true,
            was_not_sent: true,
            is_controllers_fault: false,
        }
    }

    /// Creates the failure of an attempt that ended before anything was sent, and that a repeat
    /// does not help.
    pub(super) fn not_sent(error: ControllerError) -> Self {
        Self { error, is_retryable: false, was_not_sent: true, is_controllers_fault: false }
    }

    /// Creates the failure of an attempt whose task ended without a result.
    pub(super) fn lost() -> Self {
        let detail = "the call was ended by a shutdown of its runtime, or a panic in its task";
        Self {
            error: ControllerError::new(ErrorKind::Closed, Outcome::Unknown, detail),
            is_retryable: false,
            was_not_sent: false,
            is_controllers_fault: false,
        }
    }
}

/// Returns the causes of a status as text, because their types belong to the gRPC library.
#[derive(Debug)]
struct StatusCause(String);

impl StatusCause {
    fn of(status: Status) -> Self {
        let mut text = String::new();
        let mut next: Option<&dyn std::error::Error> = std::error::Error::source(&status);
        while let Some(cause) = next {
            // Wrappers repeat the text of their source.
            let said = cause.to_string();
            if !text.ends_with(&said) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&said);
            }
            next = cause.source();
        }
        if text.is_empty() {
            text = format!("gRPC status {:?}", status.code());
        }
        Self(Printable::new(&text).to_string())
    }
}

impl std::fmt::Display for StatusCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StatusCause {}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |cause| cause.source())
}

fn is_connect_error(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<tonic::ConnectError>())
}

/// Returns true for a failed handshake, which fails again; a refused connection may not.
fn connect_kind(status: &Status) -> ErrorKind {
    let is_tls = causes(status).any(|cause| {
        let text = cause.to_string().to_ascii_lowercase();
        text.contains("certificate") || text.contains("tls") || text.contains("invalidcontenttype")
    });
    if is_tls { ErrorKind::Tls } else { ErrorKind::Unreachable }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::ResourceExhausted => ErrorKind::OutOfSpace,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Unavailable => ErrorKind::Unavailable,
        Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss
        | Code::Unknown
        | Code::Cancelled
        | Code::Ok => ErrorKind::ServerFailure,
    }
}

fn outcome_of(code: Code) -> Outcome {
    match code {
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::FailedPrecondition
        | Code::ResourceExhausted => Outcome::NotApplied,
        Code::DeadlineExceeded
        | Code::Unavailable
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss
        | Code::Unknown
        | Code::Cancelled
        | Code::Ok => Outcome::Unknown,
    }
}

/// Returns true for codes after which the reference client retries every call.
fn is_retried(code: Code) -> bool {
    match code {
        Code::Aborted
        | Code::Cancelled
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::FailedPrecondition
        | Code::Internal
        | Code::Unavailable
        | Code::Unknown => true,
        Code::AlreadyExists
        | Code::InvalidArgument
        | Code::NotFound
        | Code::Ok
        | Code::OutOfRange
        | Code::PermissionDenied
        // The reference client would repeat it; a server without space says so at once.
        | Code::ResourceExhausted
        | Code::Unauthenticated
        | Code::Unimplemented => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_retried_as_by_the_reference_client() {
        let retried = |code| FailedAttempt::from_status(Status::new(code, "")).is_retryable;
        for code in
            [Code::NotFound, Code::PermissionDenied, Code::Unauthenticated, Code::InvalidArgument]
        {
            assert!(!retried(code), "{code:?}");
        }
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::FailedPrecondition] {
            assert!(retried(code), "{code:?}");
        }
    }

    #[test]
    fn a_server_without_space_says_so_at_once() {
        let failed = FailedAttempt::from_status(Status::resource_exhausted("the limit is reached"));
        assert!(!failed.is_retryable);
        let found = (failed.error.kind(), failed.error.outcome());
        assert_eq!(found, (ErrorKind::OutOfSpace, Outcome::NotApplied));
    }

    #[test]
    fn the_text_of_a_server_is_escaped_and_cut() {
        let failed = FailedAttempt::from_status(Status::unknown(format!(
            "a\u{1b}[31m{}",
            "x".repeat(1 << 20)
        )));
        let shown = format!("{} {:?}", failed.error, failed.error);
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.len() < 10_000, "{} bytes", shown.len());
    }
}
