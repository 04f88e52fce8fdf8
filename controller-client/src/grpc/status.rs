//! Meaning of gRPC statuses.

use std::time::Duration;

use pravega_sdk_tls::TlsError;
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Printable};
use tonic::{Code, Status};

use crate::{
    ControllerError,
    machine::{Sent, Verdict},
};

/// A failed attempt, and what it means for its call.
#[derive(Debug, Clone)]
pub(super) struct FailedAttempt {
    pub(super) error: ControllerError,
    pub(super) verdict: Verdict,
    /// What was sent over its connection.
    pub(super) sent: Sent,
}

impl FailedAttempt {
    /// Classifies a status: of a connection that is not established, of one that has broken, or of
    /// the controller. That is classified by its code only, as the server's texts are for people.
    pub(super) fn from_status(status: Status) -> Self {
        if is_connect_error(&status) {
            return Self::unconnected(&status);
        }
        let code = status.code();
        if causes(&status).next().is_some() {
            // A status of the controller has no cause on this side.
            let failure = Failure::new(ErrorKind::Unavailable, Outcome::Unknown, BROKEN)
                .with_source(StatusCause::of(&status, code));
            return Self { error: failure.into(), verdict: Verdict::Lost, sent: Sent::Unanswered };
        }
        if code == Code::Unknown && status.message().ends_with(TOO_LONG) {
            let detail = "the headers of the call, with its credentials, are too long for the \
                          controller";
            let failure = Failure::new(ErrorKind::Unauthenticated, Outcome::NotApplied, detail);
            let (error, verdict) = (failure.into(), Verdict::Final);
            return Self { error, verdict, sent: Sent::Request };
        }
        let detail = format!("the controller answered {code:?}: {}", status.message());
        let error = Failure::new(kind_of(code), outcome_of(code), detail).into();
        let verdict = match code {
            Code::Unavailable => Verdict::Lost,
            code if is_retried(code) => Verdict::Later,
            _ => Verdict::Final,
        };
        Self { error, verdict, sent: Sent::Request }
    }

    /// Creates the failure of an attempt that has no connection.
    pub(super) fn unconnected(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()) {
            return Self::insecure(error.clone());
        }
        let failure = Failure::new(ErrorKind::Unreachable, Outcome::NotApplied, UNREACHABLE)
            .with_source(StatusCause::of(error, Code::Unavailable));
        Self { error: failure.into(), verdict: Verdict::Unreached, sent: Sent::Nothing }
    }

    /// Creates the failure of an attempt whose handshake of TLS failed, or whose controller refused
    /// it afterwards, before it read the request.
    pub(super) fn insecure(error: TlsError) -> Self {
        // A failed handshake fails again, but that of a controller that ended meanwhile.
        let (kind, verdict) = match error.kind() {
            ErrorKind::ConnectionLost => (ErrorKind::Unreachable, Verdict::Unreached),
            kind => (kind, Verdict::Final),
        };
        let failure = Failure::new(kind, Outcome::NotApplied, UNREACHABLE).with_source(error);
        Self { error: failure.into(), verdict, sent: Sent::Nothing }
    }

    /// Adds a cause: the controller has sent nothing over the connection, and may speak TLS only.
    /// What follows from the failure stays, as a controller that ends does the same.
    pub(super) fn of_silent_controller(self) -> Self {
        let error = self.error.map(|failure| {
            let cause = failure.shared_source().cloned();
            failure.with_source(TlsError::may_speak_only_tls(cause))
        });
        Self { error, ..self }
    }

    /// Creates the failure of an attempt without a connection, which another controller may not
    /// have.
    pub(super) fn unreached(error: ControllerError) -> Self {
        Self { error, verdict: Verdict::Unreached, sent: Sent::Nothing }
    }

    /// Creates the failure of an attempt whose connection was not established in time.
    pub(super) fn connected_late(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format_args!("{UNREACHABLE}: not connected within {seconds:.1} s");
        Self::unreached(ControllerError::new(ErrorKind::Timeout, Outcome::NotApplied, detail))
    }

    /// Creates the failure of an attempt that timed out.
    pub(super) fn timed_out(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format_args!("no answer within {seconds:.1} s");
        let error = ControllerError::new(ErrorKind::Timeout, Outcome::Unknown, detail);
        Self { error, verdict: Verdict::Lost, sent: Sent::Unanswered }
    }

    /// Creates the failure of an attempt whose credentials did not arrive in time. Another
    /// controller would not get them sooner.
    pub(super) fn without_credentials(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail = format_args!("the credential provider returned nothing within {seconds:.1} s");
        let error = ControllerError::new(ErrorKind::Timeout, Outcome::NotApplied, detail);
        Self { error, verdict: Verdict::NotSent, sent: Sent::Nothing }
    }

    /// Creates the failure of an attempt that ended before anything was sent, and that a repeat
    /// does not help.
    pub(super) fn not_sent(error: ControllerError) -> Self {
        Self { error, verdict: Verdict::Final, sent: Sent::Nothing }
    }

    /// Creates the failure of an attempt whose task ended without a result.
    pub(super) fn lost(outcome: Outcome) -> Self {
        let detail = "the call was ended by a shutdown of its runtime, or a panic in its task";
        let error = ControllerError::new(ErrorKind::Closed, outcome, detail);
        Self { error, verdict: Verdict::Final, sent: Sent::Request }
    }
}

const UNREACHABLE: &str = "the controller cannot be reached";
/// How the text of the library ends for an answer of HTTP that headers are too long: RFC 6585, 5.
const TOO_LONG: &str = "HTTP status code 431";
const BROKEN: &str = "the connection to the controller has broken before the answer";

/// Returns the causes of a status as text, because their types belong to the gRPC library.
#[derive(Debug)]
struct StatusCause(String);

impl StatusCause {
    fn of(error: &(dyn std::error::Error + 'static), code: Code) -> Self {
        let mut text = String::new();
        let mut next = error.source();
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
            text = format!("gRPC status {code:?}");
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

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause.source())
}

fn is_connect_error(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<tonic::ConnectError>())
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
        let retried =
            |code| FailedAttempt::from_status(Status::new(code, "")).verdict != Verdict::Final;
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
    fn a_connection_that_breaks_is_no_answer_and_another_controller_is_tried_at_once() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let failed = FailedAttempt::from_status(Status::from_error(Box::new(broken)));
        assert_eq!((failed.verdict, failed.sent), (Verdict::Lost, Sent::Unanswered));
        let found = (failed.error.kind(), failed.error.outcome());
        assert_eq!(found, (ErrorKind::Unavailable, Outcome::Unknown));
    }

    #[test]
    fn headers_that_are_too_long_for_a_controller_are_not_sent_again() {
        let text = "grpc-status header missing, mapped from HTTP status code 431";
        let failed = FailedAttempt::from_status(Status::unknown(text));
        assert_eq!(failed.verdict, Verdict::Final);
        let found = (failed.error.kind(), failed.error.outcome());
        assert_eq!(found, (ErrorKind::Unauthenticated, Outcome::NotApplied));
    }

    #[test]
    fn a_server_without_space_says_so_at_once() {
        let failed = FailedAttempt::from_status(Status::resource_exhausted("the limit is reached"));
        assert_eq!(failed.verdict, Verdict::Final);
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
