//! Errors of claims, dials and closes.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, Printable, classify};

/// An error of a user's connector or resolver.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A claim got no connection. Nothing was sent on any connection.
///
/// The variants are public, so that a caller can match on the reason and its numbers.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// No connection became free in time.
    #[error(
        "no connection{} within {waited:?}: {backends} backends, \
         {connected} connections of which {claimed} are claimed{}",
        backend.as_ref().map(|backend| format!(" to {backend}")).unwrap_or_default(),
        last_failure
            .as_ref()
            .map(|reason| format!("; the last attempt to connect failed: {reason}"))
            .unwrap_or_default()
    )]
    Timeout {
        /// The backend that the claim was for; `None` if it was for any backend.
        backend: Option<Endpoint>,
        /// Time that the claim waited.
        waited: Duration,
        /// Number of backends that the resolver names.
        backends: usize,
        /// Number of connections of the pool.
        connected: usize,
        /// Number of those that are in use.
        claimed: usize,
        /// Cause of the last failed dial; `None` if no dial failed since the last success.
        last_failure: Option<String>,
    },
    /// The claim was for one backend, and the dial that it waited for failed.
    #[error("no connection to {backend}")]
    Connect {
        /// The backend.
        backend: Endpoint,
        /// The failure of the dial.
        source: ConnectFailure,
    },
    /// Too many claims are waiting.
    #[error("{waiting} claims are waiting already")]
    TooManyWaiting {
        /// Number of claims that wait.
        waiting: usize,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The call was made outside a tokio runtime.
    #[error(
        "a pool works inside a tokio runtime only: \
         call it from async code, or enter a runtime first"
    )]
    NoRuntime,
    /// The runtime of the pool's task was shut down. The next claim starts a task on its caller's
    /// runtime.
    #[error("the runtime of the pool was shut down")]
    RuntimeEnded,
    /// The pool's task does not answer: its runtime is kept and not driven.
    #[error("the pool does not answer within {waited:?}: its runtime is not driven")]
    NotDriven {
        /// Time that the claim waited.
        waited: Duration,
    },
}

classify!(ClaimError, |error| match error {
    ClaimError::Timeout { .. } | ClaimError::NotDriven { .. } => ErrorKind::Timeout,
    ClaimError::Connect { source, .. } => source.kind(),
    ClaimError::TooManyWaiting { .. } => ErrorKind::LimitReached,
    ClaimError::Closed => ErrorKind::Closed,
    ClaimError::NoRuntime => ErrorKind::NoRuntime,
    ClaimError::RuntimeEnded => ErrorKind::ConnectionLost,
});

/// A dial failed. Clones are cheap: every claim that waited for the dial gets the same failure.
#[derive(Clone)]
pub struct ConnectFailure {
    kind: ErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

impl ConnectFailure {
    /// The connector failed.
    pub(crate) fn refused(source: BoxError) -> Self {
        Self { kind: ErrorKind::Unreachable, source: source.into() }
    }

    /// The connector took too long.
    pub(crate) fn timeout(limit: Duration) -> Self {
        let source = BoxError::from(format!("not connected within {limit:?}"));
        Self { kind: ErrorKind::Timeout, source: source.into() }
    }

    /// The error of the connector.
    #[must_use]
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl PartialEq for ConnectFailure {
    /// Two failures are equal if they are of the same dial.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Eq for ConnectFailure {}

impl fmt::Debug for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectFailure({:?}, {:?})", self.kind, self.source)
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable::new(&self.source.to_string()))
    }
}

impl Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

classify!(ConnectFailure, |failure| failure.kind);

/// A connection could not be closed in order. It is closed nevertheless.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[error("the connection to {backend} was not closed in order")]
pub struct CloseFailure {
    /// The backend of the connection.
    pub backend: Endpoint,
    /// The error of the connector, or the pool's reason.
    pub source: BoxError,
}

classify!(CloseFailure, |_| ErrorKind::ConnectionLost, |_| Outcome::Applied);

/// A pool was closed with connections that were still in use, or that were not closed in order.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
#[error(
    "the pool was closed with {still_claimed} connections in use, {still_closing} that were not \
     closed yet and {} that were not closed in order",
    failures.len()
)]
pub struct CloseError {
    /// Connections that were still in use at the deadline. They close with their guards.
    pub still_claimed: usize,
    /// Connections that were not closed yet at the deadline.
    pub still_closing: usize,
    /// Connections that were not closed in order.
    pub failures: Vec<CloseFailure>,
}

classify!(
    CloseError,
    |error| if error.still_claimed + error.still_closing > 0 {
        ErrorKind::Timeout
    } else {
        ErrorKind::ConnectionLost
    },
    |_| Outcome::Applied
);
