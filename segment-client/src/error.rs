//! The errors of writing and reading segments, on the core that every public error has.

use std::{fmt, sync::Arc};

use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_types::{
    ErrorKind, Failure, Offset, Outcome, ScopedStream, Wording, classify, error_type,
};

/// The error of a call that needs timers and tasks, outside a tokio runtime.
#[derive(Debug, thiserror::Error)]
#[error("there is no tokio runtime here; call it inside one")]
pub struct NoRuntime;

classify!(NoRuntime, |_| ErrorKind::NoRuntime);

/// Adds what the errors about segments have in common beside
/// [`error_type!`](pravega_sdk_types::error_type): how they are created and completed.
#[macro_export]
macro_rules! segment_error {
    ($name:ident) => {
        impl $name {
            /// Creates the error of an argument that is refused before anything is sent.
            #[must_use]
            pub fn invalid(detail: impl ::std::fmt::Display) -> Self {
                ::pravega_sdk_types::Failure::invalid(detail).into()
            }

            /// Names the stream.
            #[must_use]
            pub fn with_stream(self, stream: &::pravega_sdk_types::ScopedStream) -> Self {
                self.map(|failure| failure.with_stream(stream))
            }

            /// Names the segment, its store if one was asked, and the number of attempts.
            #[must_use]
            pub fn with_segment(
                self,
                segment: ::pravega_sdk_types::SegmentId,
                endpoint: ::std::option::Option<::pravega_sdk_types::Endpoint>,
                attempts: u32,
            ) -> Self {
                self.map(|failure| {
                    failure.with_segment(segment).with_endpoint(endpoint).with_attempts(attempts)
                })
            }

            /// Sets the cause, or removes it with `None`.
            #[must_use]
            pub fn with_source(
                self,
                source: ::std::option::Option<$crate::machine::Cause>,
            ) -> Self {
                self.map(|failure| failure.with_shared_source(source))
            }
        }

        impl ::std::convert::From<$crate::error::NoRuntime> for $name {
            fn from(error: $crate::error::NoRuntime) -> Self {
                ::pravega_sdk_types::Failure::new(
                    ::pravega_sdk_types::ErrorKind::NoRuntime,
                    ::pravega_sdk_types::Outcome::NotApplied,
                    error,
                )
                .into()
            }
        }
    };
}

error_type! {
    /// A failed write, or one whose result is unknown.
    ///
    /// Clones are cheap: all that wait for the same thing get the same error. Payloads and routing
    /// keys never appear.
    pub struct WriteError {}
    wording: Wording::new("writing")
        .with_preposition("to")
        .with_effects("the event was stored", "it is not known whether the event was stored");
    accessors: stream, segment, endpoint, attempts, hint;
}

segment_error!(WriteError);

impl WriteError {
    /// Creates an error without a place.
    pub fn new(kind: ErrorKind, outcome: Outcome, detail: impl fmt::Display) -> Self {
        Failure::new(kind, outcome, detail).into()
    }

    /// Creates the error of a write to a closed writer.
    #[must_use]
    pub fn closed(stream: &ScopedStream) -> Self {
        Self::new(ErrorKind::Closed, Outcome::NotApplied, "the writer is closed")
            .with_stream(stream)
    }

    /// Creates the error of a failed call of the controller, before anything was written.
    #[must_use]
    pub fn from_controller(error: ControllerError, detail: &str, stream: &ScopedStream) -> Self {
        Self::new(error.kind(), Outcome::NotApplied, detail_of(&error, detail))
            .with_stream(stream)
            .with_source(Some(Arc::new(error)))
    }

    /// Returns the same failure for an event about whose effect more is known.
    #[must_use]
    pub fn with_outcome(&self, outcome: Outcome) -> Self {
        self.clone().map(|failure| failure.with_outcome(outcome))
    }

    /// Takes out the core, for an error of another surface.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        self.failure
    }
}

error_type! {
    /// A failed read.
    ///
    /// Reading changes nothing, so the outcome is always [`Outcome::NotApplied`]. Payloads never
    /// appear.
    pub struct ReadError {}
    wording: Wording::new("reading").with_preposition("");
    accessors: stream, segment, offset, endpoint, attempts, hint;
}

segment_error!(ReadError);

/// Returns what failed, as the error of a surface says it: a missing stream is named as such,
/// whatever was asked for.
#[must_use]
pub fn detail_of<'d>(error: &ControllerError, detail: &'d str) -> &'d str {
    if error.kind() == ErrorKind::NotFound { "there is no such stream" } else { detail }
}

impl ReadError {
    /// Creates an error without a place.
    pub fn new(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Failure::new(kind, Outcome::NotApplied, detail).into()
    }

    /// Creates the error of a failed call of the controller.
    #[must_use]
    pub fn from_controller(error: ControllerError, detail: &str, stream: &ScopedStream) -> Self {
        Self::new(error.kind(), detail_of(&error, detail))
            .with_stream(stream)
            .with_source(Some(Arc::new(error)))
    }

    /// Takes out the core, for an error of another surface.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        self.failure
    }

    /// Takes out the error that a reader of bytes put into one of the standard library.
    #[must_use]
    pub fn from_io(error: std::io::Error, stream: &ScopedStream) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(other) => Self::new(ErrorKind::ConnectionLost, other).with_stream(stream),
        }
    }

    /// Returns the same failure under another kind.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.map(|failure| failure.with_kind(kind))
    }

    /// Names the offset in the segment.
    #[must_use]
    pub fn with_offset(self, offset: Offset) -> Self {
        self.map(|failure| failure.with_offset(offset))
    }
}

/// Returns the kind of the standard library that is closest.
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
        ErrorKind::OutOfSpace => Io::StorageFull,
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

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Endpoint, SegmentId};

    use super::*;

    fn endpoint() -> Endpoint {
        "store:12345".parse().unwrap()
    }

    #[test]
    fn a_write_error_names_each_fact_once() {
        let segment = SegmentId::from(3);
        let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "no acknowledgement")
            .with_stream(&"shop/orders".parse().unwrap())
            .with_segment(segment, Some(endpoint()), 4);
        let place = format!("shop/orders, segment {segment} at store:12345 (4 attempts)");
        assert_eq!(
            error.to_string(),
            format!(
                "writing to {place}: no acknowledgement; it is not known whether the event was \
                 stored"
            )
        );
        let stored = error.with_outcome(Outcome::Applied).to_string();
        assert!(stored.ends_with("no acknowledgement; the event was stored"), "{stored}");
        let unsent = error.with_outcome(Outcome::NotApplied).to_string();
        assert!(unsent.ends_with("no acknowledgement"), "{unsent}");
        assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, true));
    }

    #[test]
    fn a_read_error_survives_the_way_through_the_standard_library() {
        let stream = "shop/orders".parse().unwrap();
        let error = ReadError::new(ErrorKind::Corrupt, "not an event")
            .with_stream(&stream)
            .with_offset(Offset(12));
        let text = error.to_string();
        assert_eq!(text, "reading shop/orders, offset 12: not an event");
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::InvalidData);
        let back = ReadError::from_io(io, &stream);
        assert_eq!((back.to_string(), back.offset()), (text, Some(Offset(12))));
        let other = ReadError::from_io(std::io::ErrorKind::BrokenPipe.into(), &stream);
        assert_eq!((other.kind(), other.stream()), (ErrorKind::ConnectionLost, Some(&stream)));
    }

    #[test]
    fn a_missing_stream_is_named_as_such_whatever_was_asked() {
        let stream = "shop/orders".parse().unwrap();
        for (kind, detail) in
            [(ErrorKind::NotFound, "there is no such stream"), (ErrorKind::Unavailable, "no head")]
        {
            let cause = ControllerError::new(kind, Outcome::NotApplied, "x");
            let error = ReadError::from_controller(cause.clone(), "no head", &stream);
            assert_eq!(error.to_string(), format!("reading shop/orders: {detail}"));
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "x");
            let error = WriteError::from_controller(cause, "no head", &stream);
            assert_eq!(error.to_string(), format!("writing to shop/orders: {detail}"));
            assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied));
        }
    }
}
