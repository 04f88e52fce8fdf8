//! The lease of a reader that could not join, or was dropped before it was known that it had.

use pravega_sdk_segment_client::machine::Now;

use super::{
    effect::{LeaseEffect, RemovalEnd},
    times::LeaseTimes,
    value::LeaseValue,
    watch::{Step, WatchMachine},
};

/// How long it is tried, in lengths of the lease.
const LEASES: u32 = 4;

/// Ends the lease of a reader of this client that may or may not be in the group: marks it as dead,
/// takes the reader out, and removes the mark. So no lease is left that would count for a later
/// reader of the name, and no reader without a lease.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{
///     EndingMachine, LeaseEffect, LeaseTimes, LeaseValue,
/// };
///
/// let (now, times) = (Duration::ZERO, LeaseTimes::new(Duration::from_secs(30)));
/// let own = LeaseValue::claimed(times, 1);
/// let mut ending = EndingMachine::new(own, times, now);
/// assert_eq!(ending.poll_effect(now), Some(LeaseEffect::Read));
/// ending.handle_read(Some(own), now);
/// let mark = LeaseEffect::Swap { expected: Some(own), new: Some(own.dead()) };
/// assert_eq!(ending.poll_effect(now), Some(mark));
/// ending.handle_swapped(true, now);
/// assert_eq!(ending.poll_effect(now), Some(LeaseEffect::TakeOffline(own.dead())));
/// ```
#[derive(Debug, Clone)]
pub struct EndingMachine {
    watch: WatchMachine,
    until: Now,
}

impl EndingMachine {
    /// Begins with the last value of the lease that is known.
    #[must_use]
    pub fn new(own: LeaseValue, times: LeaseTimes, now: Now) -> Self {
        let until = now.saturating_add(times.lease().saturating_mul(LEASES));
        Self { watch: WatchMachine::ending(own, times, now), until }
    }

    /// Returns true if nothing is left to do, or the time is over.
    #[must_use]
    pub fn is_over(&self, now: Now) -> bool {
        now >= self.until || self.watch.step() == Step::Gone
    }

    /// Returns what to do next; `None` before [`poll_timeout`](Self::poll_timeout), and while an
    /// effect is not answered.
    pub fn poll_effect(&mut self, now: Now) -> Option<LeaseEffect> {
        self.watch.poll_effect(now)
    }

    /// Returns the moment at which there is something to do again. `None` means when the effect is
    /// answered, or never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        self.watch.next()
    }

    /// The lease was read.
    pub fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        self.watch.handle_read(found, now);
    }

    /// A request failed, or it is not known if it was made.
    pub fn handle_failed(&mut self, now: Now) {
        self.watch.handle_failed(now);
    }

    /// The lease was compared: it is set if it had the expected value.
    pub fn handle_swapped(&mut self, is_set: bool, now: Now) {
        self.watch.handle_swapped(is_set, now);
    }

    /// The reader was taken out of the group, or not.
    pub fn handle_removal(&mut self, end: RemovalEnd, now: Now) {
        self.watch.handle_removal(end, now);
    }
}
