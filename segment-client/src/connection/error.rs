//! Why a connection ended, and why a request failed.

use std::{fmt, sync::Arc};

use pravega_sdk_types::{Classified, Endpoint, ErrorKind, Outcome, Printable};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
};

/// Tells why a connection could not be made, or ended. Clones are cheap: every waiter is told the
/// same.
#[derive(Clone)]
pub struct ConnectionError(Arc<Cause>);

struct Cause {
    kind: ErrorKind,
    endpoint: Endpoint,
    detail: String,
}

impl ConnectionError {
    pub(crate) fn new(kind: ErrorKind, endpoint: &Endpoint, detail: impl fmt::Display) -> Self {
        let detail = Printable::new(&detail.to_string()).to_string();
        Self(Arc::new(Cause { kind, endpoint: endpoint.clone(), detail }))
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Says whether a new connection may do better.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// The segment store.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to segment store {}: {}", self.0.endpoint, self.0.detail)
    }
}

impl fmt::Debug for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionError({:?}, {self})", self.0.kind)
    }
}

impl std::error::Error for ConnectionError {}

impl Classified for ConnectionError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    /// What was under way when the connection ended may or may not have taken effect; making one
    /// takes none.
    fn outcome(&self) -> Outcome {
        match self.0.kind {
            ErrorKind::ConnectionLost | ErrorKind::Timeout | ErrorKind::Protocol => {
                Outcome::Unknown
            }
            _ => Outcome::NotApplied,
        }
    }
}

/// Tells why a request to a segment store failed.
#[derive(Debug)]
pub struct RequestError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    request: &'static str,
    endpoint: Option<Endpoint>,
    request_id: Option<i64>,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// The store answered with something else than success.
    Refused(WireCommand),
    /// The connection could not be made, so nothing was sent.
    NotConnected(ConnectionError),
    /// The connection ended before the answer came.
    Lost(ConnectionError),
    /// The answer did not come in time; whether anything was sent is known.
    Timeout { seconds: f64, was_sent: bool },
    /// There is nothing by which a reply could be known.
    NoRequestId,
    /// The request cannot be put into a frame.
    Encode(pravega_sdk_wire_protocol::EncodeError),
}

impl RequestError {
    fn new(request: &'static str, reason: Reason) -> Self {
        Self(Box::new(Failure { request, endpoint: None, request_id: None, reason }))
    }

    pub(crate) fn refused(request: &'static str, reply: WireCommand) -> Self {
        Self::new(request, Reason::Refused(reply))
    }

    pub(crate) fn not_connected(request: &'static str, error: ConnectionError) -> Self {
        Self::new(request, Reason::NotConnected(error))
    }

    pub(crate) fn lost(request: &'static str, error: ConnectionError) -> Self {
        Self::new(request, Reason::Lost(error))
    }

    pub(crate) fn timeout(request: &'static str, seconds: f64, was_sent: bool) -> Self {
        Self::new(request, Reason::Timeout { seconds, was_sent })
    }

    pub(crate) fn no_request_id(request: &'static str) -> Self {
        Self::new(request, Reason::NoRequestId)
    }

    pub(crate) fn encode(
        request: &'static str,
        error: pravega_sdk_wire_protocol::EncodeError,
    ) -> Self {
        Self::new(request, Reason::Encode(error))
    }

    #[must_use]
    pub(crate) fn at(mut self, endpoint: &Endpoint, request_id: Option<i64>) -> Self {
        self.0.endpoint = Some(endpoint.clone());
        self.0.request_id = request_id;
        self
    }

    /// The reply that the store gave instead of the one that means success.
    #[must_use]
    pub fn reply(&self) -> Option<&WireCommand> {
        match &self.0.reason {
            Reason::Refused(reply) => Some(reply),
            _ => None,
        }
    }

    /// The segment store, if the request got that far.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// The name of the request.
    #[must_use]
    pub fn request(&self) -> &'static str {
        self.0.request
    }

    /// Says what kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0.reason {
            Reason::Refused(reply) => kind_of(reply),
            Reason::NotConnected(error) | Reason::Lost(error) => error.kind(),
            Reason::Timeout { .. } => ErrorKind::Timeout,
            Reason::Encode(_) | Reason::NoRequestId => ErrorKind::InvalidArgument,
        }
    }

    /// Says whether the same request may succeed when it is made again later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Says whether the request took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.0.reason {
            Reason::Refused(WireCommand::ErrorMessage(message))
                if message.error_code == FailureCode::Unspecified =>
            {
                Outcome::Unknown
            }
            Reason::Refused(_)
            | Reason::NotConnected(_)
            | Reason::NoRequestId
            | Reason::Encode(_) => Outcome::NotApplied,
            Reason::Timeout { was_sent, .. } if !was_sent => Outcome::NotApplied,
            Reason::Lost(_) | Reason::Timeout { .. } => Outcome::Unknown,
        }
    }
}

/// What a reply that is not success means, whatever was asked.
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
        WireCommand::ErrorMessage(_) => ErrorKind::ServerFailure,
        _ => ErrorKind::Protocol,
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { request, endpoint, request_id, reason } = &*self.0;
        write!(f, "{request}")?;
        if let Some(endpoint) = endpoint {
            write!(f, " to {endpoint}")?;
        }
        if let Some(id) = request_id {
            write!(f, " (request {id})")?;
        }
        match reason {
            Reason::Refused(reply) => {
                write!(f, ": the segment store answered {}", reply.name())?;
                match reply {
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
            Reason::NotConnected(_) => write!(f, ": not connected"),
            Reason::Lost(_) => write!(f, ": the connection ended before the reply"),
            Reason::Timeout { seconds, was_sent: true } => {
                write!(f, ": no reply within {seconds:.1} s")
            }
            Reason::Timeout { seconds, was_sent: false } => {
                write!(
                    f,
                    ": could not be sent within {seconds:.1} s, too much is under way on the connection"
                )
            }
            Reason::NoRequestId => {
                write!(f, ": it carries no request id, so no reply can be known as its own")
            }
            Reason::Encode(_) => write!(f, ": it cannot be put into a frame"),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.reason {
            Reason::NotConnected(error) | Reason::Lost(error) => Some(error),
            Reason::Encode(error) => Some(error),
            Reason::Refused(_) | Reason::NoRequestId | Reason::Timeout { .. } => None,
        }
    }
}

impl Classified for RequestError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}
