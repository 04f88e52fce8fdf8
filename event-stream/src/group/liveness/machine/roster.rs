//! When the readers of a group are looked up beside the program.

use pravega_sdk_segment_client::machine::Now;

use super::times::LeaseTimes;

/// Decides when the task of a lease looks up which readers are in the group.
///
/// A reader reads the state of its group while its program polls it, and so learns which readers
/// it watches. A program may take long for an event. Then its task looks them up, so that a reader
/// which has joined meanwhile is found dead as soon as any other.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{LeaseTimes, RosterMachine};
///
/// let seconds = Duration::from_secs;
/// let mut roster = RosterMachine::new(LeaseTimes::new(seconds(30)), seconds(0));
/// assert!(!roster.poll_look(seconds(14)));
/// assert!(roster.poll_look(seconds(15)));
/// ```
#[derive(Debug, Clone)]
pub struct RosterMachine {
    times: LeaseTimes,
    next: Now,
    is_in_flight: bool,
    is_told: bool,
}

impl RosterMachine {
    /// The readers are known at a moment.
    #[must_use]
    pub fn new(times: LeaseTimes, now: Now) -> Self {
        let next = now.saturating_add(times.roster());
        Self { times, next, is_in_flight: false, is_told: true }
    }

    /// The program has found the readers.
    pub fn handle_found(&mut self, now: Now) {
        self.next = now.saturating_add(self.times.roster());
        self.is_told = true;
    }

    /// Returns true if the program has found the readers since the last look: what a look needs is
    /// not needed soon.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Returns true if they should be looked up now.
    pub fn poll_look(&mut self, now: Now) -> bool {
        let is_due = !self.is_in_flight && now >= self.next;
        self.is_in_flight |= is_due;
        self.is_told &= !is_due;
        is_due
    }

    /// A look has ended: the readers were found, or not.
    pub fn handle_looked(&mut self, is_found: bool, now: Now) {
        self.is_in_flight = false;
        let pause = if is_found { self.times.roster() } else { self.times.retry() };
        self.next = self.next.max(now.saturating_add(pause));
    }

    /// Returns the moment of the next look; `None` while one is in flight.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        (!self.is_in_flight).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn readers_are_looked_up_if_the_program_has_not_found_them_for_half_a_lease() {
        let seconds = Duration::from_secs;
        let mut roster = RosterMachine::new(LeaseTimes::new(seconds(30)), seconds(0));
        for at in [3, 17, 30] {
            assert!(!roster.poll_look(seconds(at)), "{at}");
            roster.handle_found(seconds(at));
        }
        assert_eq!(roster.poll_timeout(), Some(seconds(45)));
        assert!(!roster.poll_look(seconds(44)));
        assert!(roster.poll_look(seconds(45)));
        assert!(!roster.poll_look(seconds(90)), "one is in flight");
        assert_eq!(roster.poll_timeout(), None);
        roster.handle_looked(false, seconds(90));
        assert!(!roster.poll_look(seconds(90)), "failures have a pause");
        assert!(roster.poll_look(seconds(92)));
        assert!(!roster.is_told());
        roster.handle_looked(true, seconds(93));
        assert!(!roster.is_told());
        assert_eq!(roster.poll_timeout(), Some(seconds(108)));
        roster.handle_found(seconds(100));
        assert!(roster.is_told());
    }
}
