//! Why a pool could not hand out a connection.

use std::time::Duration;

use pravega_sdk_types::{Classified, ErrorKind, Outcome};

/// An error of a user's connector or resolver.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Tells why a claim got no connection. Nothing was sent anywhere.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// No connection became free in time.
    #[error(
        "no connection within {waited:?}: {backends} backends, {connected} connections of which {claimed} are claimed{}",
        last_failure.as_ref().map(|reason| format!("; the last attempt to connect failed: {reason}")).unwrap_or_default()
    )]
    Timeout {
        /// How long the claim waited.
        waited: Duration,
        /// How many backends the resolver knew.
        backends: usize,
        /// How many connections there were.
        connected: usize,
        /// How many of those were claimed.
        claimed: usize,
        /// Why the last attempt to connect failed, if one did since the last success.
        last_failure: Option<String>,
    },
    /// Too many claims are waiting already.
    #[error("{waiting} claims are waiting already")]
    TooManyWaiting {
        /// How many.
        waiting: usize,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// There is no tokio runtime here.
    #[error(
        "a pool must be made inside a tokio runtime: call it from async code, or enter a runtime first"
    )]
    NoRuntime,
}

impl Classified for ClaimError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::TooManyWaiting { .. } => ErrorKind::LimitReached,
            Self::Closed => ErrorKind::Closed,
            Self::NoRuntime => ErrorKind::NoRuntime,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::NotApplied
    }
}
