//! The core of all errors about segments, and the errors of writing and reading on it.

use std::{error::Error, fmt, sync::Arc};

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_types::{Endpoint, ErrorKind, Offset, Outcome, Printable, ScopedStream, SegmentId};

use crate::machine::Cause;

/// The error of a call that needs timers and tasks, outside a tokio runtime.
#[derive(Debug, thiserror::Error)]
#[error("there is no tokio runtime here; call it inside one")]
pub struct NoRuntime;

/// What every error about segments holds.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: ErrorKind,
    outcome: Outcome,
    detail: String,
    stream: Option<ScopedStream>,
    segment: Option<SegmentId>,
    endpoint: Option<Endpoint>,
    attempts: u32,
    offset: Option<Offset>,
    source: Option<Cause>,
}

impl Failure {
    /// Makes a failure that names no place yet.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            outcome,
            detail: Printable::new(&detail.to_string()).to_string(),
            stream: None,
            segment: None,
            endpoint: None,
            attempts: 0,
            offset: None,
            source: None,
        }
    }

    /// The kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the operation took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The stream, if it is known.
    #[must_use]
    pub fn stream(&self) -> Option<&ScopedStream> {
        self.stream.as_ref()
    }

    /// The segment, if one was chosen.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentId> {
        self.segment
    }

    /// The segment store of the last attempt, if there was one.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The number of attempts since the last success.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The cause, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// Sets the stream.
    pub fn set_stream(&mut self, stream: &ScopedStream) {
        self.stream = Some(stream.clone());
    }

    /// Sets the segment, and the store and number of the attempts on it.
    pub fn set_segment(&mut self, segment: SegmentId, endpoint: Option<Endpoint>, attempts: u32) {
        self.segment = Some(segment);
        self.endpoint = endpoint;
        self.attempts = attempts;
    }

    /// Sets the cause.
    pub fn set_source(&mut self, source: Option<Cause>) {
        self.source = source;
    }

    /// Sets whether the operation took effect.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Writes `doing what to stream, segment at endpoint (attempts): detail`.
    ///
    /// # Errors
    ///
    /// Those of the formatter.
    pub fn describe(
        &self,
        f: &mut fmt::Formatter<'_>,
        doing: &str,
        preposition: &str,
    ) -> fmt::Result {
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

/// Implements what errors about segments have in common, for a type with a field
/// `failure: Arc<Failure>` and `From<Failure>`.
#[macro_export]
macro_rules! error_surface {
    ($name:ident) => {
        impl $name {
            /// Makes the error of an argument that is refused before anything is sent.
            #[must_use]
            pub fn invalid(detail: impl ::std::fmt::Display) -> Self {
                $crate::error::Failure::new(
                    ::pravega_sdk_types::ErrorKind::InvalidArgument,
                    ::pravega_sdk_types::Outcome::NotApplied,
                    detail,
                )
                .into()
            }

            /// Names the stream.
            #[must_use]
            pub fn with_stream(mut self, stream: &::pravega_sdk_types::ScopedStream) -> Self {
                ::std::sync::Arc::make_mut(&mut self.failure).set_stream(stream);
                self
            }

            /// Names the segment, and the store and number of the attempts on it.
            #[must_use]
            pub fn with_segment(
                mut self,
                segment: ::pravega_sdk_types::SegmentId,
                endpoint: ::std::option::Option<::pravega_sdk_types::Endpoint>,
                attempts: u32,
            ) -> Self {
                ::std::sync::Arc::make_mut(&mut self.failure)
                    .set_segment(segment, endpoint, attempts);
                self
            }

            /// Names the cause.
            #[must_use]
            pub fn with_source(
                mut self,
                source: ::std::option::Option<$crate::machine::Cause>,
            ) -> Self {
                ::std::sync::Arc::make_mut(&mut self.failure).set_source(source);
                self
            }

            /// The kind of the error.
            #[must_use]
            pub fn kind(&self) -> ::pravega_sdk_types::ErrorKind {
                self.failure.kind()
            }

            /// The stream, if it is known.
            #[must_use]
            pub fn stream(&self) -> ::std::option::Option<&::pravega_sdk_types::ScopedStream> {
                self.failure.stream()
            }

            /// The segment, if one was chosen.
            #[must_use]
            pub fn segment(&self) -> ::std::option::Option<::pravega_sdk_types::SegmentId> {
                self.failure.segment()
            }

            /// The segment store of the last attempt, if there was one.
            #[must_use]
            pub fn endpoint(&self) -> ::std::option::Option<&::pravega_sdk_types::Endpoint> {
                self.failure.endpoint()
            }

            /// The number of attempts since the segment last answered as it should.
            #[must_use]
            pub fn attempts(&self) -> u32 {
                self.failure.attempts()
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let (kind, outcome) = (self.failure.kind(), self.failure.outcome());
                write!(f, "{}({kind:?}, {outcome:?}, {self})", stringify!($name))
            }
        }

        impl ::std::convert::From<$crate::error::NoRuntime> for $name {
            fn from(error: $crate::error::NoRuntime) -> Self {
                $crate::error::Failure::new(
                    ::pravega_sdk_types::ErrorKind::NoRuntime,
                    ::pravega_sdk_types::Outcome::NotApplied,
                    error,
                )
                .into()
            }
        }

        impl ::std::error::Error for $name {
            fn source(&self) -> ::std::option::Option<&(dyn ::std::error::Error + 'static)> {
                self.failure.source()
            }
        }

        impl ::pravega_sdk_types::Classified for $name {
            fn kind(&self) -> ::pravega_sdk_types::ErrorKind {
                self.failure.kind()
            }

            fn outcome(&self) -> ::pravega_sdk_types::Outcome {
                self.failure.outcome()
            }
        }
    };
}

/// Tells why an event was not written, or why it is not known whether it was.
///
/// Clones are cheap: everybody who waited for the same thing is told the same. Payloads and routing
/// keys never appear.
#[derive(Clone)]
pub struct WriteError {
    failure: Arc<Failure>,
}

error_surface!(WriteError);

impl WriteError {
    /// Makes an error that names no place yet.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// Makes the error of a write to a writer that is closed.
    #[must_use]
    pub fn closed(stream: &ScopedStream) -> Self {
        Self::new(ErrorKind::Closed, Outcome::NotApplied, "the writer is closed")
            .with_stream(stream)
    }

    /// The same failure, of an event of which it is known better whether it was stored.
    #[must_use]
    pub fn with_outcome(&self, outcome: Outcome) -> Self {
        let mut failure = Arc::clone(&self.failure);
        Arc::make_mut(&mut failure).set_outcome(outcome);
        Self { failure }
    }

    /// The core, for an error of another surface.
    #[must_use]
    pub fn into_failure(self) -> Arc<Failure> {
        self.failure
    }

    /// Returns true if the same write may succeed when it is made again. With an unknown outcome
    /// that may double the event.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Whether the event was stored.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.failure.outcome
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self { failure: Arc::new(failure) }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.describe(f, "writing", "to ")?;
        match self.failure.outcome {
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
pub struct ReadError {
    failure: Arc<Failure>,
}

error_surface!(ReadError);

impl ReadError {
    /// Makes an error that names no place yet.
    pub fn new(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Failure::new(kind, Outcome::NotApplied, detail).into()
    }

    /// Makes the error of a call of the controller that failed.
    #[must_use]
    pub fn from_controller(error: ControllerError, detail: &str, stream: &ScopedStream) -> Self {
        let detail =
            if error.kind() == ErrorKind::NotFound { "there is no such stream" } else { detail };
        Self::new(error.kind(), detail).with_stream(stream).with_source(Some(Arc::new(error)))
    }

    /// Takes out the error that a reader of bytes put into one of the standard library.
    #[must_use]
    pub fn from_io(error: std::io::Error, stream: &ScopedStream) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(other) => Self::new(ErrorKind::ConnectionLost, other).with_stream(stream),
        }
    }

    /// The same failure under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        Arc::make_mut(&mut self.failure).kind = kind;
        self
    }

    /// Names the offset in the segment.
    #[must_use]
    pub fn with_offset(mut self, offset: Offset) -> Self {
        Arc::make_mut(&mut self.failure).offset = Some(offset);
        self
    }

    /// Returns true if reading on may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// The offset in the segment, if the failure belongs to one.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.failure.offset
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        Self { failure: Arc::new(failure) }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.describe(f, "reading", "")
    }
}

/// The kind that the standard library gives to such an error.
fn io_kind(kind: ErrorKind) -> std::io::ErrorKind {
    use std::io::ErrorKind as Io;
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::InvalidName | ErrorKind::InvalidStreamCut => {
            Io::InvalidInput
        }
        ErrorKind::Timeout | ErrorKind::Unavailable => Io::TimedOut,
        ErrorKind::Unreachable => Io::NotConnected,
        ErrorKind::ConnectionLost => Io::ConnectionAborted,
        ErrorKind::NotFound => Io::NotFound,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::TokenExpired => {
            Io::PermissionDenied
        }
        ErrorKind::Unsupported => Io::Unsupported,
        ErrorKind::Closed | ErrorKind::Sealed => Io::BrokenPipe,
        ErrorKind::Protocol | ErrorKind::Corrupt => Io::InvalidData,
        _ => Io::Other,
    }
}

impl From<WriteError> for std::io::Error {
    fn from(error: WriteError) -> Self {
        Self::new(io_kind(error.kind()), error)
    }
}

impl From<ReadError> for std::io::Error {
    fn from(error: ReadError) -> Self {
        Self::new(io_kind(error.kind()), error)
    }
}
