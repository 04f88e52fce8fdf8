//! The lease of another reader.

use pravega_sdk_segment_client::machine::Now;

use super::{
    effect::{LeaseEffect, RemovalEnd},
    seeded_bugs::LivenessBug,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
};

/// How often the wait for a silent reader is prolonged after a late answer. More often would never
/// end if every answer is late.
const MAX_GRACES: u32 = 2;
/// Number of failures after which a request is not given more time.
const MAX_FAILURES: u32 = 8;
/// Number of attempts to remove a mark.
const MAX_CLEARS: u32 = 32;

/// Watches the lease of one other reader, and takes the reader out of the group if it is dead.
///
/// ```text
/// Watching ── 3/5 L without a change ─▶ Marking ─ set ─▶ Removing ─▶ Clearing ─▶ Gone
///    ▲  └───── marked by another ──────────│───────────────▲ │          ▲
///    └──────── has another value ──────────┴─────────────────┘          │
///       └───── 3/5 L without a change, of one that was taken out ───────┘
/// ```
///
/// A reader that is no longer in the group is watched until its lease is gone: it may have been
/// taken out by a client that does not know leases, and one without a lease may join under its
/// name, and is another one.
#[derive(Debug, Clone)]
pub(super) struct WatchMachine {
    /// The times of this client, which count while the lease is not known.
    times: LeaseTimes,
    /// The lease is that of the reader of this client, which is ended.
    own: Option<LeaseValue>,
    is_in_group: bool,
    note: Option<Note>,
    /// True once the lease has changed while it was watched.
    has_changed: bool,
    step: Step,
    next: Now,
    in_flight: Option<Now>,
    failures: u32,
    clears: u32,
}

/// A value of the lease, by the clock of this observer.
#[derive(Debug, Clone, Copy)]
struct Note {
    value: LeaseValue,
    /// When an answer had it for the first time.
    since: Now,
    /// When an answer was last expected.
    expected: Now,
    /// The reader is not dead before.
    not_before: Now,
    /// How often that was prolonged.
    graces: u32,
    /// True if the last answer came so long after the first that it may be dead.
    is_suspected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Watching,
    /// The reader has no lease: it is not one of this client.
    WithoutLease,
    Marking(LeaseValue),
    Removing(LeaseValue),
    /// The value is no longer needed, and is removed.
    Clearing(LeaseValue),
    Gone,
}

impl WatchMachine {
    pub(super) fn new(times: LeaseTimes, now: Now) -> Self {
        Self {
            times,
            own: None,
            is_in_group: true,
            note: None,
            has_changed: false,
            step: Step::Watching,
            next: now,
            in_flight: None,
            failures: 0,
            clears: 0,
        }
    }

    /// Ends the lease of this client's own reader, which may or may not be in the group: it is
    /// marked at once, as the reader is known to be dead.
    pub(super) fn ending(own: LeaseValue, times: LeaseTimes, now: Now) -> Self {
        Self { own: Some(own), is_in_group: false, ..Self::new(times, now) }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    pub(super) fn is_in_group(&self) -> bool {
        self.is_in_group
    }

    /// The reader is in the group by the latest state, or not.
    pub(super) fn set_in_group(&mut self, is_in_group: bool) {
        self.is_in_group = is_in_group;
    }

    /// Returns true if there is something to do about a reader that is not in the group.
    pub(super) fn is_needed(&self) -> bool {
        match self.step {
            Step::Watching => self.note.is_some(),
            Step::Marking(_) | Step::Removing(_) | Step::Clearing(_) => true,
            Step::WithoutLease | Step::Gone => false,
        }
    }

    /// Returns true if the reader may hold a lease, as far as this observer knows.
    pub(super) fn may_hold(&self) -> bool {
        let is_known = !matches!(self.step, Step::WithoutLease | Step::Gone);
        is_known && self.is_in_group && !self.is_taken_out()
    }

    /// Returns true if the lease is that of a reader which was taken out. One that is in the group
    /// under its name has none.
    fn is_taken_out(&self) -> bool {
        self.note.is_some_and(|note| note.value.phase() == LeasePhase::TakenOut)
    }

    /// Returns true if the reader may be dead, or is.
    pub(super) fn is_suspected(&self) -> bool {
        match self.step {
            Step::Watching => self.note.is_some_and(|note| note.is_suspected),
            Step::Marking(_) | Step::Removing(_) | Step::Clearing(_) => true,
            Step::WithoutLease | Step::Gone => false,
        }
    }

    /// Returns true if the reader was found alive, taken out, or without a lease.
    pub(super) fn is_settled(&self) -> bool {
        match self.step {
            Step::Watching => self.has_changed || self.is_taken_out(),
            Step::WithoutLease | Step::Gone => true,
            Step::Marking(_) | Step::Removing(_) | Step::Clearing(_) => false,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns the time that the next request may take.
    pub(super) fn patience(&self) -> Now {
        self.times.patience(self.failures)
    }

    pub(super) fn next(&self) -> Option<Now> {
        (self.step != Step::Gone && !self.is_in_flight()).then_some(self.next)
    }

    pub(super) fn poll_effect(&mut self, now: Now) -> Option<LeaseEffect> {
        if self.is_in_flight() || now < self.next {
            return None;
        }
        let effect = match self.step {
            Step::Watching | Step::WithoutLease => LeaseEffect::Read,
            Step::Marking(value) => {
                LeaseEffect::Swap { expected: Some(value), new: Some(value.dead()) }
            }
            Step::Removing(dead) => LeaseEffect::TakeOffline(dead),
            Step::Clearing(ended) => LeaseEffect::Swap { expected: Some(ended), new: None },
            Step::Gone => return None,
        };
        self.in_flight = Some(now);
        Some(effect)
    }

    pub(super) fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        let asked = self.in_flight.take().unwrap_or(now);
        self.failures = self.failures.saturating_sub(1);
        let Some(found) = found else { return self.without_lease(now) };
        if let Some(own) = self.own {
            return self.go(next_of_own(own, found), now);
        }
        if found.phase() == LeasePhase::Dead {
            self.go(Step::Removing(found), now);
            if self.times.bugs.has(LivenessBug::LeavesMarked) {
                self.step = Step::Gone;
            }
            return;
        }
        self.step = Step::Watching;
        let times = found.times().with_bugs_of(self.times);
        let Some(note) = self.note.as_mut().filter(|note| note.value == found) else {
            let since = if times.bugs.has(LivenessBug::CountsFromRequest) { asked } else { now };
            let expected = now.saturating_add(times.watch());
            self.has_changed |= self.note.is_some();
            self.next = expected;
            self.note = Some(Note {
                value: found,
                since,
                expected,
                not_before: now,
                graces: 0,
                is_suspected: false,
            });
            return;
        };
        let is_late = now > note.expected.saturating_add(times.lateness());
        let is_endless = times.bugs.has(LivenessBug::WaitsForLateAnswers);
        if is_late && (note.graces < MAX_GRACES || is_endless) {
            // The store was out of reach, or this client was paused: so may the reader have been.
            note.not_before = now.saturating_add(times.grace());
            note.graces += 1;
        }
        let is_ended = found.is_ended() && !times.bugs.has(LivenessBug::MistakesSuccessors);
        let dead_at = note.since.saturating_add(times.silence()).max(note.not_before);
        note.is_suspected = !is_ended && now >= note.since.saturating_add(times.suspicion());
        if now >= dead_at {
            let step = if is_ended {
                // Its reader trusts it no longer.
                Step::Clearing(found)
            } else if times.bugs.has(LivenessBug::RemovesUnmarked) {
                Step::Removing(found)
            } else {
                Step::Marking(found)
            };
            return self.go(step, now);
        }
        note.expected = dead_at.min(now.saturating_add(times.close_watch()));
        self.next = note.expected;
    }

    fn go(&mut self, step: Step, now: Now) {
        self.step = step;
        self.next = now;
    }

    /// The reader has no lease, or no longer.
    fn without_lease(&mut self, now: Now) {
        self.note = None;
        self.clears = 0;
        self.step = if self.is_in_group { Step::WithoutLease } else { Step::Gone };
        self.next = now.saturating_add(self.times.lease());
    }

    /// A request failed: the lease is read again.
    pub(super) fn handle_failed(&mut self, now: Now) {
        self.in_flight = None;
        self.failures = self.failures.saturating_add(1).min(MAX_FAILURES);
        if let Step::Marking(_) = self.step {
            self.step = Step::Watching;
        }
        match self.step {
            Step::Clearing(_) => {
                self.clears += 1;
                self.next = now.saturating_add(self.times.retry());
                if self.clears >= MAX_CLEARS {
                    self.without_lease(now);
                }
            }
            Step::Removing(_) => self.next = now.saturating_add(self.times.retry()),
            _ => self.next = now.saturating_add(self.times.close_watch()),
        }
    }

    pub(super) fn handle_swapped(&mut self, is_set: bool, now: Now) {
        self.in_flight = None;
        match self.step {
            Step::Marking(value) if is_set => self.go(Step::Removing(value.dead()), now),
            // Of an earlier attempt the reply may have been lost.
            Step::Clearing(_) if is_set || self.clears > 0 => self.without_lease(now),
            _ => self.go(Step::Watching, now),
        }
    }

    pub(super) fn handle_removal(&mut self, end: RemovalEnd, now: Now) {
        match end {
            RemovalEnd::Failed => self.handle_failed(now),
            RemovalEnd::Changed => self.handle_swapped(false, now),
            RemovalEnd::Removed | RemovalEnd::NotInGroup => {
                self.in_flight = None;
                self.next = now;
                if let Step::Removing(dead) = self.step {
                    self.step = Step::Clearing(dead);
                }
            }
        }
    }
}

/// What follows for the lease of this client's own reader, which has ended.
fn next_of_own(own: LeaseValue, found: LeaseValue) -> Step {
    if !found.is_of_same_reader(own) {
        return Step::Gone;
    }
    match found.phase() {
        LeasePhase::Claimed | LeasePhase::Member => Step::Marking(found),
        LeasePhase::Dead => Step::Removing(found),
        LeasePhase::TakenOut => Step::Clearing(found),
    }
}
