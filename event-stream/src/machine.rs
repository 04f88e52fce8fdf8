//! What all machines of this crate speak of: time, chance, and where a segment is.

use std::{fmt, sync::Arc, time::Duration};

use bytestring::ByteString;
use pravega_sdk_types::{Classified, Endpoint, ErrorKind};

use crate::error::Cause;

/// Since the machine was made.
pub(crate) type Now = Duration;

/// Random bits; the same seed gives the same run.
pub(crate) type Random = Box<dyn FnMut() -> u64 + Send + Sync>;

/// A delegation token as the wire takes it. It is secret, so it is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Token(pub(crate) ByteString);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

/// Where a segment is, and what lets us in there.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Token,
}

/// Why a controller or a segment store did not help.
#[derive(Debug, Clone)]
pub(crate) struct LookupError {
    pub(crate) kind: ErrorKind,
    pub(crate) cause: Cause,
}

impl<E: Classified + Send + Sync + 'static> From<E> for LookupError {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), cause: Arc::new(error) }
    }
}

/// What a store or a controller did that it must not do, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misbehaviour(pub(crate) String);

impl From<Misbehaviour> for Cause {
    fn from(error: Misbehaviour) -> Self {
        Arc::new(error)
    }
}

/// How long to wait after failures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// With no wait below a millisecond, and the longest no shorter than the first.
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        let initial = initial.max(Duration::from_millis(1));
        Self { initial, max: max.max(initial) }
    }

    /// Exponential with full jitter, so that those who failed together do not come back together.
    pub(crate) fn delay(&self, attempts: u32, random: &mut Random) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(pravega_sdk_types::routing::fraction(random()))
    }
}
