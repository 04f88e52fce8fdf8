//! The lease of another reader.

use pravega_sdk_segment_client::machine::Now;

use super::{
    effect::{LeaseEffect, RemovalEnd},
    seeded_bugs::LivenessBug,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
};

/// Watches the lease of one other reader, and takes the reader out of the group if it is dead.
///
/// ```text
/// Watching ── 3/5 L without a change ─▶ Marking ─ set ─▶ Removing ─▶ Clearing ─▶ Gone
///    ▲  └───── marked by another ──────────│───────────────▲ │
///    └──────── has another value ──────────┴─────────────────┘
/// ```
#[derive(Debug, Clone)]
pub(super) struct WatchMachine {
    /// The times of this client, which count while the lease is not known.
    times: LeaseTimes,
    note: Option<Note>,
    step: Step,
    next: Now,
    in_flight: Option<Now>,
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
    Clearing(LeaseValue),
    Gone,
}

impl WatchMachine {
    pub(super) fn new(times: LeaseTimes, now: Now) -> Self {
        Self { times, note: None, step: Step::Watching, next: now, in_flight: None }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Returns true if the reader may be dead, or is.
    pub(super) fn is_suspected(&self) -> bool {
        match self.step {
            Step::Watching => self.note.is_some_and(|note| note.is_suspected),
            Step::Marking(_) | Step::Removing(_) | Step::Clearing(_) => true,
            Step::WithoutLease | Step::Gone => false,
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
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
            Step::Clearing(dead) => LeaseEffect::Swap { expected: Some(dead), new: None },
            Step::Gone => return None,
        };
        self.in_flight = Some(now);
        Some(effect)
    }

    pub(super) fn handle_read(&mut self, found: Option<LeaseValue>, now: Now) {
        let asked = self.in_flight.take().unwrap_or(now);
        let Some(found) = found else {
            self.note = None;
            self.step = Step::WithoutLease;
            self.next = now.saturating_add(self.times.lease());
            return;
        };
        if found.phase() == LeasePhase::Dead {
            self.step = Step::Removing(found);
            self.next = now;
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
            self.next = expected;
            let not_before = now;
            self.note =
                Some(Note { value: found, since, expected, not_before, is_suspected: false });
            return;
        };
        if now > note.expected.saturating_add(times.lateness()) {
            // The store was out of reach, or this client was paused: so may the reader have been.
            note.not_before = now.saturating_add(times.grace());
        }
        let dead_at = note.since.saturating_add(times.silence()).max(note.not_before);
        note.is_suspected = now >= note.since.saturating_add(times.suspicion());
        if now >= dead_at {
            self.next = now;
            self.step = if times.bugs.has(LivenessBug::RemovesUnmarked) {
                Step::Removing(found)
            } else {
                Step::Marking(found)
            };
            return;
        }
        note.expected = dead_at.min(now.saturating_add(times.close_watch()));
        self.next = note.expected;
    }

    /// A request failed: the lease is read again.
    pub(super) fn handle_failed(&mut self, now: Now) {
        self.in_flight = None;
        if let Step::Marking(_) = self.step {
            self.step = Step::Watching;
        }
        match self.step {
            Step::Clearing(_) => self.step = Step::Gone,
            Step::Removing(_) => self.next = now.saturating_add(self.times.retry()),
            _ => self.next = now.saturating_add(self.times.close_watch()),
        }
    }

    pub(super) fn handle_swapped(&mut self, is_set: bool, now: Now) {
        self.in_flight = None;
        self.next = now;
        self.step = match self.step {
            Step::Marking(value) if is_set => Step::Removing(value.dead()),
            Step::Clearing(_) => Step::Gone,
            _ => Step::Watching,
        };
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
