//! The wall clock of a server: the machine's own, or one that a test moves.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pravega_sdk_server_core::record::Millis;

/// Tells the server what time it is.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What a moved clock shows, in milliseconds since 1970; below 0 the machine's own goes.
    moved: AtomicI64,
}

impl Clock {
    /// The machine's own clock.
    pub(crate) fn wall() -> Self {
        Self { moved: AtomicI64::new(-1) }
    }

    /// A clock that stands at the machine's time until it is moved.
    pub(crate) fn standing() -> Self {
        Self { moved: AtomicI64::new(wall_time().0) }
    }

    pub(crate) fn now(&self) -> Millis {
        match self.moved.load(Ordering::Acquire) {
            ..0 => wall_time(),
            moved => Millis(moved),
        }
    }

    /// Moves a standing clock on; says whether it was one.
    pub(crate) fn advance(&self, by: Duration) -> bool {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let on = |now: i64| (now >= 0).then(|| now.saturating_add(by));
        self.moved.fetch_update(Ordering::AcqRel, Ordering::Acquire, on).is_ok()
    }
}

fn wall_time() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
