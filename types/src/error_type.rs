//! The macro that defines a public error type on top of a [`Failure`](crate::Failure).

/// Defines a public error type on top of a [`Failure`](crate::Failure).
///
/// The type gets `kind`, `outcome`, `is_retryable`, the accessors named in the list, `Display` in
/// its own wording, `Debug`, `Clone`, [`Error`](std::error::Error),
/// [`Classified`](crate::Classified), `From<Failure>`, and `map` (for its own crate), which changes
/// the failure below. Fields beside the failure start with their default and are the crate's own to
/// set; the failure is the field `failure`.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{ErrorKind, Failure, Outcome, Wording, error_type};
///
/// error_type! {
///     /// An error from sending a parcel.
///     pub struct ParcelError {
///         weight: Option<u32>,
///     }
///     wording: Wording::new("sending").with_preposition("to");
///     accessors: stream, attempts;
/// }
///
/// impl ParcelError {
///     /// Returns the weight of the parcel, if it was weighed.
///     #[must_use]
///     pub fn weight(&self) -> Option<u32> {
///         self.weight
///     }
/// }
///
/// let error = ParcelError::from(Failure::invalid("too heavy").with_target(&"Ann"));
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// assert_eq!(error.to_string(), "sending to Ann: too heavy");
/// assert_eq!(error.weight(), None);
/// ```
#[macro_export]
macro_rules! error_type {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field:ident: $type:ty),* $(,)?
        }
        wording: $wording:expr;
        accessors: $($accessor:ident),* $(,)?;
    ) => {
        $(#[$attribute])*
        #[derive(Clone)]
        $visibility struct $name {
            failure: $crate::Failure,
            $($(#[$field_attribute])* $field: $type,)*
        }

        impl $name {
            const WORDING: $crate::Wording = $wording;

            /// Returns the kind of failure.
            #[must_use]
            pub fn kind(&self) -> $crate::ErrorKind {
                self.failure.kind()
            }

            /// Returns what is known of the effect of the call.
            #[must_use]
            pub fn outcome(&self) -> $crate::Outcome {
                self.failure.outcome()
            }

            /// Returns true if the same call may succeed when it is repeated later, unchanged.
            /// With an [unknown](Self::outcome) outcome a repeat may apply it twice.
            #[must_use]
            pub fn is_retryable(&self) -> bool {
                self.failure.is_retryable()
            }

            $($crate::error_type!(@accessor $accessor);)*

            /// Changes the failure below, and keeps the rest.
            #[allow(dead_code)]
            #[must_use]
            pub(crate) fn map(
                mut self,
                change: impl FnOnce($crate::Failure) -> $crate::Failure,
            ) -> Self {
                self.failure = change(self.failure);
                self
            }
        }

        impl From<$crate::Failure> for $name {
            fn from(failure: $crate::Failure) -> Self {
                Self { failure, $($field: <$type as Default>::default(),)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.failure.describe(f, &Self::WORDING)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.failure.debug(f, stringify!($name), self)
            }
        }

        impl std::error::Error for $name {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                std::error::Error::source(&self.failure)
            }
        }

        impl $crate::Classified for $name {
            fn kind(&self) -> $crate::ErrorKind {
                self.failure.kind()
            }

            fn outcome(&self) -> $crate::Outcome {
                self.failure.outcome()
            }
        }
    };
    (@accessor operation) => {
        /// Returns the name of the operation, if it is known.
        #[must_use]
        pub fn operation(&self) -> Option<&'static str> {
            self.failure.operation()
        }
    };
    (@accessor stream) => {
        /// Returns the stream, if it is known.
        #[must_use]
        pub fn stream(&self) -> Option<&$crate::ScopedStream> {
            self.failure.stream()
        }
    };
    (@accessor segment) => {
        /// Returns the segment, if it is known.
        #[must_use]
        pub fn segment(&self) -> Option<$crate::SegmentId> {
            self.failure.segment()
        }
    };
    (@accessor offset) => {
        /// Returns the offset in the segment, if the failure has one.
        #[must_use]
        pub fn offset(&self) -> Option<$crate::Offset> {
            self.failure.offset()
        }
    };
    (@accessor endpoint) => {
        /// Returns the server that was asked last, if one was.
        #[must_use]
        pub fn endpoint(&self) -> Option<&$crate::Endpoint> {
            self.failure.endpoint()
        }
    };
    (@accessor attempts) => {
        /// Returns the number of attempts made, 0 if nothing was attempted.
        #[must_use]
        pub fn attempts(&self) -> u32 {
            self.failure.attempts()
        }
    };
    (@accessor hint) => {
        /// Returns what the user can do about it, if there is advice.
        #[must_use]
        pub fn hint(&self) -> Option<&str> {
            self.failure.hint()
        }
    };
}

// The macro makes public types, and this one is public for nothing outside.
#[allow(unreachable_pub)]
#[cfg(test)]
mod tests {
    use crate::{Classified, ErrorKind, Failure, Outcome, Wording};

    error_type! {
        /// An error with a field of its own.
        struct Sample {
            count: u8,
        }
        wording: Wording::new("counting").with_preposition("");
        accessors: operation, stream, segment, offset, endpoint, attempts, hint;
    }

    #[test]
    fn an_error_type_answers_as_its_failure_does() {
        let failure = Failure::new(ErrorKind::Sealed, Outcome::Unknown, "the stream is sealed")
            .with_stream(&"a/b".parse().unwrap())
            .with_hint("create another")
            .with_source("cause");
        let mut error = Sample::from(failure.clone());
        error.count += 1;
        let changed = error.clone().map(|failure| failure.with_kind(ErrorKind::Timeout));
        assert_eq!((changed.kind(), changed.count), (ErrorKind::Timeout, 1));
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Sealed, Outcome::Unknown));
        assert!(!error.is_retryable() && changed.is_retryable());
        let classified: &dyn Classified = &error;
        assert_eq!((classified.kind(), classified.outcome()), (error.kind(), error.outcome()));
        assert_eq!(error.stream(), failure.stream());
        assert_eq!((error.segment(), error.offset(), error.endpoint()), (None, None, None));
        assert_eq!(error.operation(), None);
        assert_eq!((error.attempts(), error.hint()), (0, Some("create another")));
        assert_eq!(error.to_string(), "counting a/b: the stream is sealed; create another");
        assert!(format!("{error:?}").starts_with("Sample { kind: Sealed, outcome: Unknown"));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "cause");
    }
}
