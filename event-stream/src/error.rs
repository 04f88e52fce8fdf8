//! Why an event was not written, or not read, or a transaction came to nothing.

use std::{error::Error, fmt, sync::Arc};

use pravega_sdk_controller_client::{ControllerError, TransactionState};
use pravega_sdk_types::{
    Classified, Endpoint, ErrorKind, Offset, Outcome, Printable, ScopedStream, SegmentId,
};

use crate::surroundings::NoRuntime;

pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

/// What the errors of this crate hold.
#[derive(Debug, Clone)]
struct Failure {
    kind: ErrorKind,
    outcome: Outcome,
    detail: String,
    stream: Option<ScopedStream>,
    segment: Option<SegmentId>,
    endpoint: Option<Endpoint>,
    attempts: u32,
    offset: Option<Offset>,
    state: Option<TransactionState>,
    source: Option<Cause>,
}

impl Failure {
    fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            outcome,
            detail: Printable::new(&detail.to_string()).to_string(),
            stream: None,
            segment: None,
            endpoint: None,
            attempts: 0,
            offset: None,
            state: None,
            source: None,
        }
    }

    /// `doing what to stream, segment at endpoint (attempts): detail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>, doing: &str, preposition: &str) -> fmt::Result {
        f.write_str(doing)?;
        if let Some(stream) = &self.stream {
            write!(f, " {preposition}{stream}")?;
        }
        if let Some(segment) = self.segment {
            write!(f, ", segment {segment}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " from {offset}")?;
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " at {endpoint}")?;
        }
        if self.attempts > 0 {
            write!(f, " ({} attempts)", self.attempts)?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// The parts that the errors have in common.
macro_rules! surface {
    ($name:ident) => {
        // Not every surface needs every part.
        #[allow(dead_code)]
        impl $name {
            pub(crate) fn new(
                kind: ErrorKind,
                outcome: Outcome,
                detail: impl fmt::Display,
            ) -> Self {
                Self(Arc::new(Failure::new(kind, outcome, detail)))
            }

            /// An argument that is refused before anything is sent.
            pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
                Self::new(ErrorKind::InvalidArgument, Outcome::NotApplied, detail)
            }

            #[must_use]
            pub(crate) fn of(self, stream: &ScopedStream) -> Self {
                self.change(|failure| failure.stream = Some(stream.clone()))
            }

            #[must_use]
            pub(crate) fn at(
                self,
                segment: SegmentId,
                endpoint: Option<Endpoint>,
                attempts: u32,
            ) -> Self {
                self.change(|failure| {
                    failure.segment = Some(segment);
                    failure.endpoint = endpoint;
                    failure.attempts = attempts;
                })
            }

            #[must_use]
            pub(crate) fn because(self, source: Option<Cause>) -> Self {
                self.change(|failure| failure.source = source)
            }

            fn change(mut self, change: impl FnOnce(&mut Failure)) -> Self {
                change(Arc::make_mut(&mut self.0));
                self
            }

            /// Says what kind of thing went wrong.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                self.0.kind
            }

            /// The stream, once it got that far.
            #[must_use]
            pub fn stream(&self) -> Option<&ScopedStream> {
                self.0.stream.as_ref()
            }

            /// The segment, if one was chosen.
            #[must_use]
            pub fn segment(&self) -> Option<SegmentId> {
                self.0.segment
            }

            /// The segment store that was tried last, if one was.
            #[must_use]
            pub fn endpoint(&self) -> Option<&Endpoint> {
                self.0.endpoint.as_ref()
            }

            /// How often something was tried since the segment last answered as it should.
            #[must_use]
            pub fn attempts(&self) -> u32 {
                self.0.attempts
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?}, {:?}, {self})", stringify!($name), self.0.kind, self.0.outcome)
            }
        }

        impl From<NoRuntime> for $name {
            fn from(error: NoRuntime) -> Self {
                Self::new(ErrorKind::NoRuntime, Outcome::NotApplied, error)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.0.source.as_deref().map(|source| source as _)
            }
        }

        impl Classified for $name {
            fn kind(&self) -> ErrorKind {
                self.kind()
            }

            fn outcome(&self) -> Outcome {
                self.0.outcome
            }
        }
    };
}

/// Tells why an event was not written, or why it is not known whether it was.
///
/// Clones are cheap: everybody who waited for the same thing is told the same. Payloads and routing
/// keys never appear.
#[derive(Clone)]
pub struct WriteError(Arc<Failure>);

surface!(WriteError);

impl WriteError {
    pub(crate) fn closed(stream: &ScopedStream) -> Self {
        Self::new(ErrorKind::Closed, Outcome::NotApplied, "the writer is closed").of(stream)
    }

    /// The same failure, of an event of which it is known better whether it was stored.
    #[must_use]
    pub(crate) fn with_outcome(&self, outcome: Outcome) -> Self {
        self.clone().change(|failure| failure.outcome = outcome)
    }

    /// Says whether the same write may succeed when it is made again. With an unknown outcome that
    /// may double the event.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Says whether the event was stored.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f, "writing", "to ")?;
        match self.0.outcome {
            Outcome::Unknown => f.write_str("; it is not known whether the event was stored"),
            Outcome::Applied => f.write_str("; the event was stored"),
            Outcome::NotApplied => Ok(()),
        }
    }
}

/// Tells why nothing can be read, or not from where it was asked for.
///
/// Reading changes nothing, so the outcome is always [`Outcome::NotApplied`]. Payloads never
/// appear.
#[derive(Clone)]
pub struct ReadError(Arc<Failure>);

surface!(ReadError);

impl ReadError {
    pub(crate) fn not(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Self::new(kind, Outcome::NotApplied, detail)
    }

    pub(crate) fn from_controller(
        error: ControllerError,
        detail: &str,
        stream: &ScopedStream,
    ) -> Self {
        let detail =
            if error.kind() == ErrorKind::NotFound { "there is no such stream" } else { detail };
        Self::not(error.kind(), detail).of(stream).because(Some(Arc::new(error)))
    }

    /// The error that a reader of bytes put into one of the standard library.
    pub(crate) fn from_io(error: std::io::Error, stream: &ScopedStream) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(other) => Self::not(ErrorKind::ConnectionLost, other).of(stream),
        }
    }

    #[must_use]
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        self.change(|failure| failure.kind = kind)
    }

    #[must_use]
    pub(crate) fn at_offset(self, offset: i64) -> Self {
        self.change(|failure| failure.offset = Some(Offset(offset)))
    }

    /// Says whether reading on may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Where in the segment it happened, if it was anywhere.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.0.offset
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f, "reading", "")
    }
}

/// Tells why something about a transaction failed.
#[derive(Clone)]
pub struct TransactionError(Arc<Failure>);

surface!(TransactionError);

impl TransactionError {
    /// The transaction is in that state, so it takes nothing any more.
    pub(crate) fn not_open(state: Option<TransactionState>, stream: &ScopedStream) -> Self {
        let detail = match state {
            Some(TransactionState::Committing | TransactionState::Committed) => {
                "the transaction is committed"
            }
            Some(TransactionState::Aborting | TransactionState::Aborted) => {
                "the transaction is aborted"
            }
            Some(TransactionState::Open) | None => "the transaction is not open any more",
        };
        let error =
            Self::new(ErrorKind::TransactionNotOpen, Outcome::NotApplied, detail).of(stream);
        error.change(|failure| failure.state = state)
    }

    pub(crate) fn from_controller(
        error: ControllerError,
        detail: &str,
        stream: &ScopedStream,
    ) -> Self {
        Self::new(error.kind(), error.outcome(), detail).of(stream).because(Some(Arc::new(error)))
    }

    /// The same failure, of a call of which it is known better whether it took effect.
    #[must_use]
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        self.change(|failure| failure.outcome = outcome)
    }

    /// Says whether the same call may succeed when it is made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Says whether the call took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Where the transaction stands, if that is why and it is known.
    #[must_use]
    pub fn state(&self) -> Option<TransactionState> {
        self.0.state
    }
}

impl From<WriteError> for TransactionError {
    fn from(error: WriteError) -> Self {
        Self(error.0)
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f, "transaction", "on ")?;
        match self.0.outcome {
            Outcome::Unknown => f.write_str("; it is not known whether it took effect"),
            Outcome::Applied => f.write_str("; it took effect"),
            Outcome::NotApplied => Ok(()),
        }
    }
}
