//! How a reader gets its lease, before it joins the group.

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::Outcome;

use super::{
    effect::{LeaseEffect, RemovalEnd},
    holder::HolderMachine,
    seeded_bugs::LivenessBug,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
    watch::{Step as WatchStep, WatchMachine},
};

/// The result of a claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClaimEnd {
    /// The name is claimed, and the reader may join the group.
    Held(HolderMachine),
    /// The name has no lease, and the reader may join the group without one.
    Free,
    /// A reader of this name is alive, or is one of another client.
    InUse,
}

/// Claims the name of a reader before it joins the group.
///
/// ```text
///          lease   in the group
/// Read ─▶  none    no            ─▶ set it                           ─▶ Held
///          none    yes           ─▶ a reader of another client       ─▶ InUse
///          dead    no            ─▶ set it                           ─▶ Held
///          dead    yes           ─▶ take that reader out, read again
///          out     yes           ─▶ a reader without a lease         ─▶ InUse
///          out     no            ─▶ wait: it does not change         ─▶ set it, Held
///          else                  ─▶ wait: it is given back           ─▶ read again
///                                         it changes                 ─▶ InUse
///                                         it does not: mark it, take it out, read again
/// ```
///
/// A member that is not in the group was taken out, and may not know it yet: it still answers for
/// its segments, which a reader of the same name would get. `out` is a lease that shows it.
///
/// A reader that joins without a lease [frees](Self::freeing) its name: it removes the lease where
/// others set it. A lease that is left would count for it, and it would be taken out.
///
/// So a program that is started again at once gets the name of its reader, for which it waits at
/// most the length of the lease.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{
///     ClaimEnd, ClaimMachine, LeaseEffect, LeaseTimes,
/// };
///
/// let now = Duration::ZERO;
/// let mut claim = ClaimMachine::new(LeaseTimes::new(Duration::from_secs(30)), 7, now);
/// assert_eq!(claim.poll_effect(now), Some(LeaseEffect::Read));
/// claim.handle_read(None, now);
/// assert_eq!(claim.poll_effect(now), Some(LeaseEffect::FindReader));
/// claim.handle_state(false, now);
/// assert!(matches!(claim.poll_effect(now), Some(LeaseEffect::Swap { expected: None, .. })));
/// claim.handle_swapped(true, now);
/// assert!(matches!(claim.end(), Some(ClaimEnd::Held(_))));
/// ```
#[derive(Debug, Clone)]
pub struct ClaimMachine {
    times: LeaseTimes,
    /// The value of the next attempt.
    value: LeaseValue,
    /// The lease is removed, and not set.
    is_freeing: bool,
    in_doubt: Vec<(LeaseValue, Now)>,
    step: Step,
    next: Now,
    in_flight: Option<(Kind, Now)>,
    end: Option<ClaimEnd>,
}

#[derive(Debug, Clone)]
enum Step {
    Read,
    Find(Option<LeaseValue>),
    Take(Option<LeaseValue>),
    TakeOffline(LeaseValue),
    Wait(LeaseValue, Box<WatchMachine>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    Watch,
}

impl ClaimMachine {
    /// Begins a claim. `random` distinguishes the reader from others of its name; the lowest 20
    /// bits count.
    #[must_use]
    pub fn new(times: LeaseTimes, random: u64, now: Now) -> Self {
        Self {
            times,
            value: LeaseValue::claimed(times, random),
            is_freeing: false,
            in_doubt: Vec::new(),
            step: Step::Read,
            next: now,
            in_flight: None,
            end: None,
        }
    }

    /// Begins to free the name of a reader that joins without a lease. `times` is for requests, and
    /// while it is not known how long the lease is that is left.
    #[must_use]
    pub fn freeing(times: LeaseTimes, now: Now) -> Self {
        Self { is_freeing: true, ..Self::new(times, 0, now) }
    }

    /// Returns true if the lease may be set by an attempt whose reply was lost.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !self.in_doubt.is_empty()
    }

    /// Returns true while it waits for a reader of its name.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.step, Step::Wait(..))
    }

    /// Returns the result; `None` while there is none.
    #[must_use]
    pub fn end(&self) -> Option<ClaimEnd> {
        self.end.clone()
    }

    /// Returns what to do next; `None` before [`poll_timeout`](Self::poll_timeout), and while an
    /// effect is not answered.
    pub fn poll_effect(&mut self, now: Now) -> Option<LeaseEffect> {
        if self.end.is_some() || self.in_flight.is_some() || now < self.next {
            return None;
        }
        let (kind, effect) = match &mut self.step {
            Step::Read => (Kind::Own, LeaseEffect::Read),
            Step::Find(_) => (Kind::Own, LeaseEffect::FindReader),
            Step::Take(expected) => {
                let new = (!self.is_freeing).then_some(self.value);
                (Kind::Own, LeaseEffect::Swap { expected: *expected, new })
            }
            Step::TakeOffline(dead) => (Kind::Own, LeaseEffect::TakeOffline(*dead)),
            Step::Wait(_, watch) => (Kind::Watch, watch.poll_effect(now)?),
        };
        self.in_flight = Some((kind, now));
        Some(effect)
    }

    /// Returns the moment at which there is something to do again. `None` means when the effect is
    /// answered, or never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        if self.end.is_some() || self.in_flight.is_some() {
            return None;
        }
        match &self.step {
            Step::Wait(_, watch) => watch.next(),
            _ => Some(self.next),
        }
    }

    /// The lease was read.
    pub fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        self.in_flight = None;
        let attempt = self.in_doubt.iter().find(|(value, _)| Some(*value) == found).copied();
        if let Some((value, begun)) = attempt {
            return self.hold(value, begun);
        }
        match &mut self.step {
            Step::Wait(seen, watch) => {
                let is_ended = found.is_some_and(LeaseValue::is_ended);
                if found.is_some_and(|found| found != *seen) && !is_ended {
                    self.end = Some(ClaimEnd::InUse);
                } else if found.is_none() {
                    self.again(now);
                } else {
                    watch.handle_read(found, now);
                    self.after_wait(now);
                }
            }
            _ => self.go(Step::Find(found), now),
        }
    }

    /// The state was read.
    pub fn handle_state(&mut self, is_in_group: bool, now: Now) {
        self.in_flight = None;
        let Step::Find(found) = self.step else { return };
        let claims_at_once = self.times.bugs.has(LivenessBug::ClaimsAtOnce);
        let step = match (found, found.map(LeaseValue::phase), is_in_group) {
            (Some(_), ..) if claims_at_once => Step::Take(found),
            (None, _, true) | (Some(_), Some(LeasePhase::TakenOut), true) => {
                self.end = Some(ClaimEnd::InUse);
                return;
            }
            (None, _, false) if self.is_freeing => {
                self.end = Some(ClaimEnd::Free);
                return;
            }
            (None, _, false) | (Some(_), Some(LeasePhase::Dead), false) => Step::Take(found),
            (Some(dead), Some(LeasePhase::Dead), true) => Step::TakeOffline(dead),
            (Some(found), ..) => {
                let mut watch = WatchMachine::new(self.times, now);
                watch.handle_read(Some(found), now);
                Step::Wait(found, Box::new(watch))
            }
        };
        self.go(step, now);
    }

    /// The state could not be read.
    pub fn handle_state_failed(&mut self, now: Now) {
        self.again_later(now);
    }

    /// The lease could not be read.
    pub fn handle_read_failed(&mut self, now: Now) {
        match (self.in_flight.take(), &mut self.step) {
            (Some((Kind::Watch, _)), Step::Wait(_, watch)) => watch.handle_failed(now),
            _ => self.again_later(now),
        }
    }

    /// The lease was compared: it is set if it had the expected value.
    pub fn handle_swapped(&mut self, is_set: bool, now: Now) {
        match (self.in_flight.take(), &mut self.step) {
            (Some((Kind::Watch, _)), Step::Wait(_, watch)) => {
                watch.handle_swapped(is_set, now);
                self.after_wait(now);
            }
            (Some(_), Step::Take(_)) if is_set && self.is_freeing => {
                self.end = Some(ClaimEnd::Free);
            }
            (Some((_, begun)), Step::Take(_)) if is_set => self.hold(self.value, begun),
            _ => self.again(now),
        }
    }

    /// The lease could not be set, or it is not known if it was.
    pub fn handle_swap_failed(&mut self, outcome: Outcome, now: Now) {
        match (self.in_flight.take(), &mut self.step) {
            (Some((Kind::Watch, _)), Step::Wait(_, watch)) => {
                watch.handle_failed(now);
                return;
            }
            (Some((_, begun)), Step::Take(_))
                if outcome != Outcome::NotApplied && !self.is_freeing =>
            {
                self.in_doubt.push((self.value, begun));
                self.value = self.value.renewed(1);
            }
            _ => {}
        }
        self.again_later(now);
    }

    /// The reader that had the name was taken out of the group, or not.
    pub fn handle_removal(&mut self, end: RemovalEnd, now: Now) {
        self.in_flight = None;
        match end {
            RemovalEnd::Failed => self.again_later(now),
            RemovalEnd::Changed | RemovalEnd::Removed | RemovalEnd::NotInGroup => self.again(now),
        }
    }

    /// The mark that the wait has set is used like any other.
    fn after_wait(&mut self, now: Now) {
        let Step::Wait(_, watch) = &self.step else { return };
        match watch.step() {
            WatchStep::Watching | WatchStep::Marking(_) => {}
            WatchStep::Clearing(ended) if ended.phase() == LeasePhase::TakenOut => {
                self.go(Step::Take(Some(ended)), now);
            }
            WatchStep::Removing(_)
            | WatchStep::Clearing(_)
            | WatchStep::Gone
            | WatchStep::WithoutLease => self.again(now),
        }
    }

    fn hold(&mut self, value: LeaseValue, begun: Now) {
        self.end = Some(ClaimEnd::Held(HolderMachine::new(value, self.times, begun)));
    }

    fn go(&mut self, step: Step, now: Now) {
        self.step = step;
        self.next = now;
    }

    fn again(&mut self, now: Now) {
        self.go(Step::Read, now);
    }

    fn again_later(&mut self, now: Now) {
        self.in_flight = None;
        self.go(Step::Read, now.saturating_add(self.times.retry()));
    }
}
