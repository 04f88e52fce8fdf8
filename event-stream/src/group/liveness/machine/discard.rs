//! The lease of a reader that a client takes out of the group, whether it is alive or not.

use pravega_sdk_segment_client::machine::Now;

use super::{
    effect::LeaseEffect,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
};

/// Ends the lease of a reader that a client takes out of the group by its name.
///
/// ```text
/// Read ─▶ the client changes the state ─▶ claimed or a member   ─▶ set it to `TakenOut`
///                                         dead                  ─▶ remove it
///                                         none, or `TakenOut`   ─▶ done
/// ```
///
/// A lease that is left would count for a later reader of the name that has none, and the other
/// readers would take that one out. `TakenOut` counts for no reader of the group; it keeps the name
/// for as long as the reader may not know that it was taken out. It is removed by that reader, by
/// other readers, or by the next one of the name.
///
/// The lease of another reader of the name is not touched: it has another incarnation.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{
///     DiscardMachine, LeaseEffect, LeaseTimes, LeaseValue,
/// };
///
/// let (now, times) = (Duration::ZERO, LeaseTimes::new(Duration::from_secs(30)));
/// let mut discard = DiscardMachine::new(times, now);
/// assert_eq!(discard.poll_effect(now), Some(LeaseEffect::Read));
/// let member = LeaseValue::claimed(times, 1).member();
/// discard.handle_read(Some(member), now);
/// assert_eq!(discard.poll_effect(now), None, "the state is changed first");
/// discard.handle_removed(true, now);
/// let (expected, new) = (Some(member), Some(member.taken_out()));
/// assert_eq!(discard.poll_effect(now), Some(LeaseEffect::Swap { expected, new }));
/// discard.handle_swapped(true, now);
/// assert!(discard.is_over());
/// ```
#[derive(Debug, Clone)]
pub struct DiscardMachine {
    times: LeaseTimes,
    /// The lease before the reader was taken out.
    before: Option<LeaseValue>,
    /// The lease as it was read last.
    latest: Option<LeaseValue>,
    /// True if the reader was in the group.
    was_in_group: bool,
    step: Step,
    next: Now,
    is_in_flight: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The lease is read before the state is changed.
    ReadBefore,
    /// The client changes the state.
    Remove,
    Set,
    ReadAgain,
    Over,
}

impl DiscardMachine {
    /// Begins with the lease of a reader that is about to be taken out.
    #[must_use]
    pub fn new(times: LeaseTimes, now: Now) -> Self {
        Self {
            times,
            before: None,
            latest: None,
            was_in_group: false,
            step: Step::ReadBefore,
            next: now,
            is_in_flight: false,
        }
    }

    /// Returns true if the state may be changed now.
    #[must_use]
    pub fn may_remove(&self) -> bool {
        self.step == Step::Remove
    }

    /// Returns true if nothing is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// Returns what to do next; `None` before [`poll_timeout`](Self::poll_timeout), while an effect
    /// is not answered, and while the state [may be changed](Self::may_remove).
    pub fn poll_effect(&mut self, now: Now) -> Option<LeaseEffect> {
        if self.is_in_flight || now < self.next {
            return None;
        }
        let effect = match self.step {
            Step::Remove | Step::Over => return None,
            Step::ReadBefore | Step::ReadAgain => LeaseEffect::Read,
            Step::Set => {
                let expected = self.latest;
                let is_dead = |value: &LeaseValue| value.phase() == LeasePhase::Dead;
                let new = expected.filter(|it| !is_dead(it)).map(LeaseValue::taken_out);
                LeaseEffect::Swap { expected, new }
            }
        };
        self.is_in_flight = true;
        Some(effect)
    }

    /// Returns the moment at which there is something to do again. `None` means when the effect is
    /// answered or the state is changed, or never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        let waits = self.is_in_flight || matches!(self.step, Step::Remove | Step::Over);
        (!waits).then_some(self.next)
    }

    /// The lease was read.
    pub fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        self.is_in_flight = false;
        self.latest = found;
        if self.step == Step::ReadBefore {
            self.before = found;
            self.go(Step::Remove, now);
        } else {
            self.decide(now);
        }
    }

    /// The reader was taken out of the state, or was not in it.
    pub fn handle_removed(&mut self, was_in_group: bool, now: Now) {
        self.was_in_group = was_in_group;
        self.decide(now);
    }

    /// The lease was compared: it is set if it had the expected value.
    pub fn handle_swapped(&mut self, is_set: bool, now: Now) {
        self.is_in_flight = false;
        self.go(if is_set { Step::Over } else { Step::ReadAgain }, now);
    }

    /// A request failed, or it is not known if it was made. The lease is read again.
    pub fn handle_failed(&mut self, now: Now) {
        self.is_in_flight = false;
        let step = if self.step == Step::Set { Step::ReadAgain } else { self.step };
        self.go(step, now.saturating_add(self.times.retry()));
    }

    fn decide(&mut self, now: Now) {
        let is_same =
            |found: &LeaseValue| self.before.is_some_and(|before| before.is_of_same_reader(*found));
        let is_left = self.latest.filter(is_same).is_some_and(|found| match found.phase() {
            // It may be about to join.
            LeasePhase::Claimed => self.was_in_group,
            LeasePhase::Member | LeasePhase::Dead => true,
            LeasePhase::TakenOut => false,
        });
        self.go(if is_left { Step::Set } else { Step::Over }, now);
    }

    fn go(&mut self, step: Step, next: Now) {
        self.step = step;
        self.next = next;
    }
}
