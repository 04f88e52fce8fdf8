//! The wall clock of a server: the system's, or one that a test advances.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pravega_sdk_server_core::record::Millis;
use pravega_sdk_types::{ErrorKind, classify};

/// The error of advancing the clock of a server that was not started with a
/// [standing one](crate::ServerBuilder::with_standing_clock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server has the system's clock, which cannot be advanced; start it with a standing clock"
)]
#[non_exhaustive]
pub struct ClockError;

classify!(ClockError, |_| ErrorKind::Unsupported);

/// The clock of a server.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The system's clock.
    Wall,
    /// A clock that only [`advance`](Self::advance) advances, in milliseconds since 1970.
    Standing(AtomicI64),
}

impl Clock {
    /// A clock that shows the present time until it is advanced.
    pub(crate) fn standing() -> Self {
        Self::Standing(AtomicI64::new(wall_time().0))
    }

    pub(crate) fn now(&self) -> Millis {
        match self {
            Self::Wall => wall_time(),
            Self::Standing(now) => Millis(now.load(Ordering::Acquire)),
        }
    }

    /// Advances a standing clock.
    pub(crate) fn advance(&self, by: Duration) -> Result<(), ClockError> {
        let Self::Standing(now) = self else { return Err(ClockError) };
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let later = |now: i64| Some(now.saturating_add(by));
        now.fetch_update(Ordering::AcqRel, Ordering::Acquire, later).ok();
        Ok(())
    }
}

fn wall_time() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
