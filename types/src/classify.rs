//! The macro that gives an error type its kind and outcome.

/// Gives an error type that does not hold a [`Failure`](crate::Failure) the methods `kind`,
/// `outcome` and `is_retryable`, and [`Classified`](crate::Classified).
///
/// It takes the type, a function from a reference to its kind, and a function from a reference to
/// its outcome. Without the latter the outcome is
/// [`NotApplied`](crate::Outcome::NotApplied): nothing was sent.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{Classified, ErrorKind, Outcome, classify};
///
/// /// The crate is empty.
/// #[derive(Debug)]
/// pub struct EmptyError;
///
/// classify!(EmptyError, |_| ErrorKind::InvalidArgument);
///
/// impl std::fmt::Display for EmptyError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("the crate is empty")
///     }
/// }
///
/// impl std::error::Error for EmptyError {}
///
/// let error: &dyn Classified = &EmptyError;
/// assert_eq!((error.kind(), error.outcome()), (EmptyError.kind(), Outcome::NotApplied));
/// assert!(!EmptyError.is_retryable());
/// ```
#[macro_export]
macro_rules! classify {
    ($name:ident, $kind:expr $(,)?) => {
        $crate::classify!($name, $kind, |_| $crate::Outcome::NotApplied);
    };
    ($name:ident, $kind:expr, $outcome:expr $(,)?) => {
        impl $name {
            /// Returns the kind of failure.
            #[must_use]
            pub fn kind(&self) -> $crate::ErrorKind {
                let kind: fn(&Self) -> $crate::ErrorKind = $kind;
                kind(self)
            }

            /// Returns what is known of the effect of the call.
            #[must_use]
            pub fn outcome(&self) -> $crate::Outcome {
                let outcome: fn(&Self) -> $crate::Outcome = $outcome;
                outcome(self)
            }

            /// Returns true if the same call may succeed when it is repeated later, unchanged.
            #[must_use]
            pub fn is_retryable(&self) -> bool {
                self.kind().is_retryable()
            }
        }

        impl $crate::Classified for $name {
            fn kind(&self) -> $crate::ErrorKind {
                self.kind()
            }

            fn outcome(&self) -> $crate::Outcome {
                self.outcome()
            }
        }
    };
}
