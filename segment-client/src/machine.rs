//! The terms that all machines share: time, random bits, the location of a segment, back-off.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytestring::ByteString;
use pravega_sdk_types::{Classified, Endpoint, ErrorKind};

/// The time since the machine was made.
pub type Now = Duration;

/// Random bits; the same seed gives the same run.
pub type Random = Box<dyn FnMut() -> u64 + Send + Sync>;

/// The cause of an error.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A delegation token as the wire takes it. It is secret, so it is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Token(pub ByteString);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

/// Where a segment is, and the token for it.
#[derive(Debug, Clone)]
pub struct Location {
    /// The segment store that serves it.
    pub endpoint: Endpoint,
    /// The delegation token for it.
    pub token: Token,
}

/// Why a call of the controller or a request to a segment store failed.
#[derive(Debug, Clone)]
pub struct LookupError {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The error itself.
    pub cause: Cause,
}

impl<E: Classified + Send + Sync + 'static> From<E> for LookupError {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), cause: Arc::new(error) }
    }
}

/// A violation of the protocol by a segment store or a controller, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misbehaviour(pub String);

impl From<Misbehaviour> for Cause {
    fn from(error: Misbehaviour) -> Self {
        Arc::new(error)
    }
}

/// How long to wait after failures.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest first wait.
    pub initial: Duration,
    /// The longest wait of all.
    pub max: Duration,
}

impl Backoff {
    /// Makes one with no wait below a millisecond, and the longest no shorter than the first.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        let initial = initial.max(Duration::from_millis(1));
        Self { initial, max: max.max(initial) }
    }

    /// Returns the wait after that many attempts: exponential with full jitter, so that clients
    /// which failed together do not come back together.
    pub fn delay(&self, attempts: u32, random: &mut Random) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(pravega_sdk_types::routing::fraction(random()))
    }
}
