//! The lease of a reader itself.

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::Outcome;

use super::{
    effect::LeaseEffect,
    seeded_bugs::LivenessBug,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
};

/// Number of attempts in doubt whose begins are kept.
const MAX_IN_DOUBT: usize = 16;

/// Why a reader has no lease any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseEnd {
    /// An observer has found the reader dead, and takes it out of the group.
    FoundDead,
    /// Another reader has taken the name.
    Replaced,
    /// Another client has taken the reader out of the group.
    TakenOut,
    /// The reader has given the lease back.
    Released,
}

/// Whether a reader may return an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseStatus {
    /// Events may be returned until this moment.
    Held(Now),
    /// The lease may have run out: no event may be returned before it is renewed.
    RunOut,
    /// It ran out and is renewed. The state must be read before an event is returned, as another
    /// client may have taken the reader out meanwhile.
    StateUnread,
    /// The reader has no lease and never will.
    Ended(LeaseEnd),
}

/// The lease of a reader itself: renews it, and decides until when the reader may return events.
///
/// ```text
///             Swap: set, or found later
/// Held ◀──────────────────────────────────┐
///   │ after 4/7 L without a renewal        │
///   ▼                                      │
/// RunOut ──Swap──▶ StateUnread ──state read┘
///   └─ another value than those of its own: Ended
/// ```
///
/// A renewal compares and sets, and no value is set twice. So a renewal fails after an observer has
/// marked the reader dead, and a request that arrives late changes nothing. The lease counts from
/// the *begin* of the renewal whose value is stored: an observer that saw the value saw it later.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{
///     HolderMachine, LeaseEffect, LeaseStatus, LeaseTimes, LeaseValue,
/// };
///
/// let times = LeaseTimes::new(Duration::from_secs(21));
/// let claimed = LeaseValue::claimed(times, 1);
/// let mut holder = HolderMachine::new(claimed, times, Duration::ZERO);
/// assert_eq!(holder.status(Duration::ZERO), LeaseStatus::Held(Duration::from_secs(12)));
///
/// let (begun, now) = (Duration::from_secs(7), Duration::from_secs(8));
/// holder.handle_joined(begun);
/// let Some(LeaseEffect::Swap { new, .. }) = holder.poll_effect(begun) else { panic!() };
/// assert_eq!(new, Some(claimed.member().renewed(1)));
/// holder.handle_swapped(true, now);
/// assert_eq!(holder.status(now), LeaseStatus::Held(Duration::from_secs(19)));
/// ```
#[derive(Debug, Clone)]
pub struct HolderMachine {
    times: LeaseTimes,
    /// The value that was stored when it was last known.
    value: LeaseValue,
    /// When the attempt began that stored it.
    from: Now,
    /// Attempts of which it is not known if they were made, each with its begin. All expect
    /// `value`.
    in_doubt: Vec<(LeaseValue, Now)>,
    /// Number of those, also of the ones that are not kept.
    number: u32,
    is_member: bool,
    step: Step,
    next: Now,
    in_flight: Option<InFlight>,
    /// Since when the state must be read again.
    unread_since: Option<Now>,
    /// True while the lease is left to run out.
    is_suspended: bool,
    /// Until when the lease is tried to be removed, once it is given back.
    release_until: Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Renew,
    Read,
    /// The lease is given back, and removed if it has the value that is known.
    Release,
    /// It is given back, and it is not known which value it has.
    FindReleased,
    Ended(LeaseEnd),
}

#[derive(Debug, Clone, Copy)]
enum InFlight {
    Read,
    Swap(LeaseValue, Now),
    Release,
}

impl HolderMachine {
    /// The lease of a reader that has stored `claimed` by a request that began at `from`.
    #[must_use]
    pub fn new(claimed: LeaseValue, times: LeaseTimes, from: Now) -> Self {
        Self {
            times,
            value: claimed,
            from,
            in_doubt: Vec::new(),
            number: 0,
            is_member: false,
            step: Step::Renew,
            next: from.saturating_add(times.renewal()),
            in_flight: None,
            unread_since: None,
            is_suspended: false,
            release_until: Now::ZERO,
        }
    }

    /// The reader has joined the group. The lease is renewed at once, as its value says so.
    pub fn handle_joined(&mut self, now: Now) {
        self.is_member = true;
        if self.step == Step::Renew {
            self.next = now;
        }
    }

    /// The reader has left the group, or will not join it: the lease is removed. A request without
    /// a reply is made again, for the length of the lease or 30 s.
    pub fn release(&mut self, now: Now) {
        if self.is_releasing() || self.is_over() {
            return;
        }
        self.step = Step::Release;
        self.next = now;
        self.release_until = now.saturating_add(self.times.release());
    }

    /// The lease cannot be removed, as there is no such group any more.
    pub fn give_up(&mut self) {
        if self.is_releasing() {
            self.in_flight = None;
            self.end(LeaseEnd::Released);
        }
    }

    /// The reader returns no more events, and is in the group: the lease is left to run out, so
    /// that other readers take it out.
    pub fn suspend(&mut self) {
        self.is_suspended = true;
    }

    /// The lease is renewed again, as the reader is about to leave the group by itself.
    pub fn resume(&mut self, now: Now) {
        self.is_suspended = false;
        self.next = self.next.max(now);
    }

    /// Returns true if the lease is left to run out.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// Returns true while the lease is given back, and may not be removed yet.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        matches!(self.step, Step::Release | Step::FindReleased)
    }

    /// Returns the value of the lease, as far as it is known.
    #[must_use]
    pub fn value(&self) -> LeaseValue {
        self.value
    }

    /// Returns if events may be returned at a moment.
    #[must_use]
    pub fn status(&self, now: Now) -> LeaseStatus {
        let until = self.valid_until();
        match self.step {
            Step::Ended(end) => LeaseStatus::Ended(end),
            Step::Release | Step::FindReleased => LeaseStatus::Ended(LeaseEnd::Released),
            _ if now >= until => LeaseStatus::RunOut,
            _ if self.unread_since.is_some() => LeaseStatus::StateUnread,
            Step::Renew | Step::Read => LeaseStatus::Held(until),
        }
    }

    /// Returns until when the lease is valid, without a renewal.
    fn valid_until(&self) -> Now {
        self.from.saturating_add(self.times.trust())
    }

    /// Returns true if the lease has ended, and nothing is left to do. That of a reader which was
    /// taken out is removed when the reader knows it, and gives it back.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Ended(end) if end != LeaseEnd::TakenOut)
    }

    /// The state was read by requests of which the first began at this moment.
    pub fn handle_state_read(&mut self, begun: Now) {
        self.unread_since.take_if(|since| *since <= begun);
    }

    /// Returns what to do next; `None` before [`poll_timeout`](Self::poll_timeout), and while an
    /// effect is not answered.
    pub fn poll_effect(&mut self, now: Now) -> Option<LeaseEffect> {
        if self.in_flight.is_some() || now < self.next || !self.has_work() {
            return None;
        }
        match self.step {
            Step::Ended(_) => None,
            Step::Read | Step::FindReleased => {
                self.in_flight = Some(InFlight::Read);
                Some(LeaseEffect::Read)
            }
            Step::Release => {
                self.in_flight = Some(InFlight::Release);
                Some(LeaseEffect::Swap { expected: Some(self.value), new: None })
            }
            Step::Renew => {
                let new = self.next_value();
                self.in_flight = Some(InFlight::Swap(new, now));
                Some(LeaseEffect::Swap { expected: Some(self.value), new: Some(new) })
            }
        }
    }

    fn next_value(&self) -> LeaseValue {
        let next = self.value.renewed(self.number.wrapping_add(1));
        if self.is_member { next.member() } else { next }
    }

    /// Returns the moment at which there is something to do again. `None` means when the effect is
    /// answered, or never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        (self.has_work() && self.in_flight.is_none()).then_some(self.next)
    }

    fn has_work(&self) -> bool {
        match self.step {
            Step::Ended(_) => false,
            Step::Release | Step::FindReleased => true,
            Step::Renew | Step::Read => !self.is_suspended,
        }
    }

    /// The lease was read.
    pub fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        self.in_flight = None;
        if self.step == Step::FindReleased {
            return self.handle_found_released(found, now);
        }
        if self.step != Step::Read {
            return;
        }
        match found {
            Some(found) if found == self.value => {}
            Some(found) if self.is_own(found) => {
                let mut attempts = self.in_doubt.iter().rev();
                let attempt = attempts.find(|(value, _)| *value == found);
                // One that is no longer known began after the one that is.
                let begun = attempt.map_or(self.from, |(_, begun)| *begun);
                let is_hasty = self.times.bugs.has(LivenessBug::CountsFromFinding);
                let begun = if is_hasty { now } else { begun };
                self.renewed(found, begun, now);
            }
            _ if self.times.bugs.has(LivenessBug::RevivesItself) => self.from = now,
            Some(found) if found.is_of_same_reader(self.value) => {
                self.value = found;
                let is_dead = found.phase() == LeasePhase::Dead;
                self.end(if is_dead { LeaseEnd::FoundDead } else { LeaseEnd::TakenOut });
            }
            Some(_) => self.end(LeaseEnd::Replaced),
            None => self.end(LeaseEnd::FoundDead),
        }
        if self.step == Step::Read {
            self.step = Step::Renew;
            self.next = now.max(self.from.saturating_add(self.times.renewal()));
        }
    }

    fn is_own(&self, found: LeaseValue) -> bool {
        found.is_of_same_reader(self.value) && !found.is_ended()
    }

    /// A lease that is given back has this value. One that is marked as dead is removed by the
    /// observer that has marked it.
    fn handle_found_released(&mut self, found: Option<LeaseValue>, now: Now) {
        let is_left = |found: &LeaseValue| {
            found.is_of_same_reader(self.value) && found.phase() != LeasePhase::Dead
        };
        match found.filter(is_left) {
            Some(found) => {
                self.value = found;
                self.step = Step::Release;
                self.next = now;
            }
            None => self.end(LeaseEnd::Released),
        }
    }

    /// The lease may not be removed: it is read, and removed again, until the time is over.
    fn handle_release_failed(&mut self, now: Now) {
        self.step = Step::FindReleased;
        self.next = now.saturating_add(self.times.retry());
        if self.next >= self.release_until {
            self.end(LeaseEnd::Released);
        }
    }

    fn end(&mut self, end: LeaseEnd) {
        self.step = Step::Ended(end);
    }

    /// The lease could not be read.
    pub fn handle_read_failed(&mut self, now: Now) {
        self.in_flight = None;
        if self.step == Step::FindReleased {
            return self.handle_release_failed(now);
        }
        self.next = now.saturating_add(self.times.retry());
    }

    /// The lease was compared: it is set if it had the expected value.
    pub fn handle_swapped(&mut self, is_set: bool, now: Now) {
        match self.in_flight.take() {
            Some(InFlight::Release) if is_set => self.end(LeaseEnd::Released),
            Some(InFlight::Release) => {
                // An attempt to renew it was made late, or to remove it.
                self.step = Step::FindReleased;
                self.next = now;
            }
            Some(InFlight::Swap(value, begun)) if is_set => self.renewed(value, begun, now),
            Some(InFlight::Swap(..)) if self.step == Step::Renew => {
                self.step = Step::Read;
                self.next = now;
            }
            Some(InFlight::Swap(..) | InFlight::Read) | None => {}
        }
    }

    /// A value is stored that an attempt which began at `begun` has set.
    fn renewed(&mut self, value: LeaseValue, begun: Now, now: Now) {
        if now >= self.valid_until() && !self.times.bugs.has(LivenessBug::SkipsState) {
            self.unread_since = Some(now);
        }
        let from_reply = self.times.bugs.has(LivenessBug::CountsFromReply);
        self.value = value;
        self.from = if from_reply { now } else { begun };
        self.in_doubt.clear();
        self.number = 0;
        if !self.is_releasing() {
            self.step = Step::Renew;
            self.next = now.max(self.from.saturating_add(self.times.renewal()));
        }
    }

    /// The lease could not be set, or it is not known if it was.
    pub fn handle_swap_failed(&mut self, outcome: Outcome, now: Now) {
        match self.in_flight.take() {
            Some(InFlight::Release) => self.handle_release_failed(now),
            Some(InFlight::Swap(value, begun)) => {
                let is_in_doubt = outcome != Outcome::NotApplied;
                if is_in_doubt && self.times.bugs.has(LivenessBug::TrustsLostRenewals) {
                    return self.renewed(value, begun, now);
                }
                if is_in_doubt {
                    self.doubt(value, begun);
                }
                if self.step == Step::Renew {
                    self.step = if is_in_doubt { Step::Read } else { Step::Renew };
                    self.next = now.saturating_add(self.times.retry());
                }
            }
            Some(InFlight::Read) | None => {}
        }
    }

    fn doubt(&mut self, value: LeaseValue, begun: Now) {
        self.number = self.number.wrapping_add(1);
        if self.in_doubt.len() < MAX_IN_DOUBT {
            self.in_doubt.push((value, begun));
        }
    }
}
