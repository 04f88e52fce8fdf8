//! The faults that are active at the moment.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::locks::lock;

/// The faults that are active at the moment.
#[derive(Debug, Default)]
pub(crate) struct FaultState {
    /// Replies that may still be sent before a connection is cut; `None` without a limit.
    answers_left: Mutex<Option<u32>>,
    delay_ms: AtomicU64,
    refuses: AtomicBool,
    outage: AtomicBool,
}

impl FaultState {
    /// Returns true if one more reply may be sent. The first that may not ends its connection, and
    /// lifts the limit.
    pub(crate) fn may_answer(&self) -> bool {
        let mut left = lock(&self.answers_left);
        let may = *left != Some(0);
        *left = left.and_then(|left| left.checked_sub(1));
        may
    }

    pub(crate) fn drop_connection_after(&self, answers: u32) {
        *lock(&self.answers_left) = Some(answers);
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Acquire))
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(millis, Ordering::Release);
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    pub(crate) fn refuse_connections(&self, refuse: bool) {
        self.refuses.store(refuse, Ordering::Release);
    }

    pub(crate) fn controller_is_away(&self) -> bool {
        self.outage.load(Ordering::Acquire)
    }

    pub(crate) fn take_controller_away(&self, away: bool) {
        self.outage.store(away, Ordering::Release);
    }
}
