//! The terms that all machines share: time, random bits, the location of a segment, back-off.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytestring::ByteString;
use pravega_sdk_types::{Backoff, Classified, Endpoint, ErrorKind, routing::fraction};

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

/// The longest time for which an instance of the controller may not know what another one knows.
///
/// The instances read their state from a ZooKeeper ensemble, and a server of it that is further
/// behind the others than its `syncLimit`, by default 10 s, leaves the ensemble. So an answer that
/// contradicts what is known for certain, from a segment store or from an earlier answer, is
/// believed only if it is the same after this time.
pub const CONTROLLER_LAG: Duration = Duration::from_secs(10);

/// The shortest first wait of a back-off: retries without a wait would spin.
const MIN_BACKOFF: Duration = Duration::from_millis(1);

/// Returns the back-off of an engine, whose first wait is at least a millisecond.
#[must_use]
pub fn backoff(initial: Duration, max: Duration) -> Backoff {
    Backoff::new(initial.max(MIN_BACKOFF), max)
}

/// Returns the wait after `failures` failures in a row, spread by random bits.
pub fn delay(backoff: &Backoff, failures: u32, random: &mut Random) -> Duration {
    backoff.delay(failures, fraction(random()))
}
