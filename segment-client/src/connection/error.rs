//! The errors of connections to segment stores and of requests on them.

use std::{fmt, sync::Arc, time::Duration};

use pravega_sdk_tls::TlsError;
use pravega_sdk_types::{Endpoint, ErrorKind, Failure, Outcome, Printable, Wording, error_type};
use pravega_sdk_wire_protocol::{
    EncodeError, WireCommand,
    codes::{FailureCode, TokenFailure},
};

error_type! {
    /// A connection that was not made, or that ended.
    ///
    /// Clones are cheap: all waiters of a connection get the same error. A request in flight when
    /// the connection ended may or may not have taken effect; making a connection has none.
    pub struct ConnectionError {}
    wording: Wording::new("connection to the segment store");
    accessors: endpoint, attempts, hint;
}

impl ConnectionError {
    pub(crate) fn new(kind: ErrorKind, endpoint: &Endpoint, detail: impl fmt::Display) -> Self {
        let outcome = match kind {
            ErrorKind::ConnectionLost | ErrorKind::Timeout | ErrorKind::Protocol => {
                Outcome::Unknown
            }
            _ => Outcome::NotApplied,
        };
        Failure::new(kind, outcome, detail).with_endpoint(endpoint.clone()).into()
    }

    /// TLS with the store failed, or one of the two speaks no TLS.
    pub(crate) fn insecure(endpoint: &Endpoint, error: &TlsError) -> Self {
        let error = error.clone();
        Self::new(error.kind(), endpoint, &error).map(|failure| failure.with_source(error))
    }

    /// Adds a cause: the store has sent nothing over a connection without TLS, and may speak TLS
    /// only. What follows from the error stays, as a store that ends does the same.
    pub(crate) fn of_silent_store(self) -> Self {
        self.map(|failure| {
            let cause = failure.shared_source().cloned();
            failure.with_source(TlsError::may_speak_only_tls(cause))
        })
    }

    /// Returns true if no connection to the store could be made.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unreachable | ErrorKind::Timeout)
    }
}

error_type! {
    /// A failed request to a segment store. Clones are cheap.
    pub struct RequestError {
        reply: Option<Arc<WireCommand>>,
    }
    wording: Wording::new("request").with_preposition("");
    accessors: operation, endpoint, attempts, hint;
}

impl RequestError {
    fn new(
        request: &'static str,
        kind: ErrorKind,
        outcome: Outcome,
        detail: impl fmt::Display,
    ) -> Self {
        Failure::new(kind, outcome, detail).with_operation(request).into()
    }

    /// The store replied with something other than success.
    pub(crate) fn refused(request: &'static str, reply: WireCommand) -> Self {
        let kind = kind_of(&reply);
        let outcome = match &reply {
            WireCommand::ErrorMessage(message)
                if message.error_code == FailureCode::Unspecified =>
            {
                Outcome::Unknown
            }
            // A reply of another kind says nothing of the request.
            _ if kind == ErrorKind::Protocol => Outcome::Unknown,
            _ => Outcome::NotApplied,
        };
        let error = Self::new(request, kind, outcome, Refusal(&reply));
        Self { reply: Some(Arc::new(reply)), ..error }
    }

    /// The connection was not made, so nothing was sent.
    pub(crate) fn not_connected(request: &'static str, error: ConnectionError) -> Self {
        Self::new(request, error.kind(), Outcome::NotApplied, "not connected")
            .map(|failure| failure.with_source(error))
    }

    /// The store of the segment was not found in time, so nothing was sent.
    pub(crate) fn not_located(request: &'static str, limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let detail =
            format_args!("the segment's store and a token for it were not found in {seconds:.1} s");
        Self::new(request, ErrorKind::Timeout, Outcome::NotApplied, detail)
    }

    /// The connection ended before the reply.
    pub(crate) fn lost(request: &'static str, error: ConnectionError) -> Self {
        let detail = "the connection ended before the reply";
        Self::new(request, error.kind(), Outcome::Unknown, detail)
            .map(|failure| failure.with_source(error))
    }

    /// The reply did not arrive in time; if `was_sent` is false the request was not sent either.
    pub(crate) fn timeout(request: &'static str, limit: Duration, was_sent: bool) -> Self {
        let seconds = limit.as_secs_f64();
        if was_sent {
            let detail = format_args!("no reply within {seconds:.1} s");
            return Self::new(request, ErrorKind::Timeout, Outcome::Unknown, detail);
        }
        let detail = format_args!(
            "not sent within {seconds:.1} s: too many requests or bytes are in flight on the \
             connection"
        );
        Self::new(request, ErrorKind::Timeout, Outcome::NotApplied, detail)
    }

    /// Another request with the same id waits for its reply.
    pub(crate) fn id_in_use(request: &'static str) -> Self {
        let detail = "another request of the connection has its id";
        Self::new(request, ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
    }

    /// The command has no request id, so no reply can be matched to it.
    pub(crate) fn no_request_id(request: &'static str) -> Self {
        Self::new(
            request,
            ErrorKind::InvalidArgument,
            Outcome::NotApplied,
            "it has no request id, so no reply can be matched to it",
        )
    }

    /// The request does not fit a frame.
    pub(crate) fn encode(request: &'static str, error: EncodeError) -> Self {
        let detail = "it cannot be put into a frame";
        Self::new(request, ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
            .map(|failure| failure.with_source(error))
    }

    /// Counts the attempts, of which this is the error.
    #[must_use]
    pub(crate) fn with_attempts(self, attempts: u32) -> Self {
        self.map(|failure| failure.with_attempts(attempts))
    }

    /// Names the segment store and the id of the request.
    #[must_use]
    pub(crate) fn at(self, endpoint: &Endpoint, request_id: Option<i64>) -> Self {
        self.map(|failure| {
            let failure = failure.with_endpoint(endpoint.clone());
            match request_id {
                Some(id) => failure.with_target(&format_args!("request {id}")),
                None => failure,
            }
        })
    }

    /// Returns the reply of the store, if it replied with something other than success.
    #[must_use]
    pub fn reply(&self) -> Option<&WireCommand> {
        self.reply.as_deref()
    }

    /// Returns true if no connection to the store could be made.
    pub(crate) fn is_unreachable(&self) -> bool {
        let source = std::error::Error::source(self);
        source.and_then(|source| source.downcast_ref()).is_some_and(ConnectionError::is_unreachable)
    }

    /// An earlier attempt may have taken effect.
    #[must_use]
    pub(crate) fn after_unknown(self) -> Self {
        self.map(|failure| failure.with_outcome(Outcome::Unknown))
    }

    /// Returns the name of the request.
    #[must_use]
    pub fn request(&self) -> &'static str {
        self.failure.operation().unwrap_or_default()
    }
}

/// Shows a reply that is not success.
struct Refusal<'a>(&'a WireCommand);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the segment store answered {}", self.0.name())?;
        match self.0 {
            WireCommand::ErrorMessage(message) => {
                write!(f, ": {}", Printable::new(&message.message))
            }
            WireCommand::OperationUnsupported(unsupported) => {
                write!(f, ": {}", Printable::new(&unsupported.operation_name))
            }
            WireCommand::SegmentIsTruncated(truncated) => {
                write!(f, ": the segment starts at {}", truncated.start_offset)
            }
            _ => Ok(()),
        }
    }
}

/// Returns the kind of a reply that is not success, whatever the request was.
fn kind_of(reply: &WireCommand) -> ErrorKind {
    match reply {
        WireCommand::WrongHost(_) => ErrorKind::WrongHost,
        WireCommand::SegmentIsSealed(_) => ErrorKind::Sealed,
        WireCommand::SegmentAlreadyExists(_) => ErrorKind::AlreadyExists,
        WireCommand::NoSuchSegment(_) | WireCommand::TableKeyDoesNotExist(_) => ErrorKind::NotFound,
        WireCommand::SegmentIsTruncated(_) => ErrorKind::Truncated,
        WireCommand::OperationUnsupported(_) => ErrorKind::Unsupported,
        WireCommand::AuthTokenCheckFailed(failed) if failed.error_code == TokenFailure::Expired => {
            ErrorKind::TokenExpired
        }
        WireCommand::AuthTokenCheckFailed(_) => ErrorKind::PermissionDenied,
        WireCommand::TableSegmentNotEmpty(_) => ErrorKind::NotEmpty,
        WireCommand::TableKeyBadVersion(_)
        | WireCommand::ConditionalCheckFailed(_)
        | WireCommand::InvalidEventNumber(_)
        | WireCommand::SegmentAttributeUpdated(_) => ErrorKind::ConditionFailed,
        WireCommand::ErrorMessage(message)
            if message.error_code == FailureCode::IllegalArgument =>
        {
            ErrorKind::InvalidArgument
        }
        WireCommand::ErrorMessage(message) if message.error_code == FailureCode::OutOfSpace => {
            ErrorKind::OutOfSpace
        }
        WireCommand::ErrorMessage(message) if message.error_code == FailureCode::Damaged => {
            ErrorKind::Corrupt
        }
        WireCommand::ErrorMessage(_) => ErrorKind::ServerFailure,
        _ => ErrorKind::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use pravega_sdk_wire_protocol::commands::{ErrorMessage, NoSuchSegment, SegmentIsTruncated};

    use super::*;

    fn endpoint() -> Endpoint {
        "store:12345".parse().unwrap()
    }

    fn message(error_code: FailureCode) -> WireCommand {
        let (segment, message) = ("s".into(), "disk is full".into());
        ErrorMessage { request_id: 7, segment, message, error_code }.into()
    }

    #[test]
    fn a_refused_request_keeps_the_reply_and_names_the_request_once() {
        let reply: WireCommand = NoSuchSegment {
            request_id: 7,
            segment: "s".into(),
            server_stack_trace: "at Main.java".into(),
            offset: 0,
        }
        .into();
        let error = RequestError::refused("Read", reply.clone()).at(&endpoint(), Some(7));
        let shown = error.to_string();
        let text = "Read request 7 at store:12345: the segment store answered NoSuchSegment";
        assert_eq!(shown, text);
        assert_eq!((error.reply(), error.request()), (Some(&reply), "Read"));
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    }

    #[test]
    fn only_a_failure_without_a_code_leaves_the_effect_of_a_refused_request_unknown() {
        for (code, kind, outcome) in [
            (FailureCode::Unspecified, ErrorKind::ServerFailure, Outcome::Unknown),
            (FailureCode::IllegalArgument, ErrorKind::InvalidArgument, Outcome::NotApplied),
            (FailureCode::OutOfSpace, ErrorKind::OutOfSpace, Outcome::NotApplied),
            (FailureCode::Damaged, ErrorKind::Corrupt, Outcome::NotApplied),
        ] {
            let error = RequestError::refused("Seal", message(code));
            assert_eq!((error.kind(), error.outcome()), (kind, outcome));
            assert!(error.to_string().ends_with("ErrorMessage: disk is full"), "{error}");
        }
    }

    #[test]
    fn a_reply_that_answers_another_request_leaves_the_effect_unknown() {
        use pravega_sdk_wire_protocol::commands::SegmentSealed;
        let reply = SegmentSealed { request_id: 7, segment: "s".into() };
        let error = RequestError::refused("UpdateTableEntries", reply.into());
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::Unknown));
    }

    #[test]
    fn a_truncated_segment_is_reported_with_its_head() {
        let truncated = SegmentIsTruncated {
            request_id: 1,
            segment: "s".into(),
            start_offset: 40,
            server_stack_trace: "".into(),
            offset: 0,
        };
        let error = RequestError::refused("Read", truncated.into());
        assert!(error.to_string().ends_with("the segment starts at 40"), "{error}");
    }

    #[test]
    fn a_request_that_was_not_sent_was_not_applied_and_one_without_a_reply_may_have_been() {
        const SECOND: Duration = Duration::from_secs(1);
        let cause = ConnectionError::new(ErrorKind::ConnectionLost, &endpoint(), "reset");
        let cases = [
            (RequestError::not_connected("Seal", cause.clone()), Outcome::NotApplied, true),
            (RequestError::lost("Seal", cause), Outcome::Unknown, true),
            (RequestError::timeout("Seal", SECOND, false), Outcome::NotApplied, true),
            (RequestError::timeout("Seal", SECOND, true), Outcome::Unknown, true),
            (RequestError::no_request_id("Seal"), Outcome::NotApplied, false),
        ];
        for (error, outcome, is_retryable) in cases {
            let found = (error.outcome(), error.is_retryable());
            assert_eq!(found, (outcome, is_retryable), "{error}");
        }
    }

    #[test]
    fn the_cause_of_a_lost_request_is_its_source_and_not_in_its_message() {
        let cause = ConnectionError::new(ErrorKind::ConnectionLost, &endpoint(), "reset");
        let error = RequestError::lost("Seal", cause).at(&endpoint(), None);
        let expected = "Seal at store:12345: the connection ended before the reply";
        assert_eq!(error.to_string(), expected);
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "connection to the segment store at store:12345: reset");
    }
}
