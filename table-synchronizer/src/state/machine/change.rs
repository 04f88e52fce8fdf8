//! How a change goes on: conflicts with other clients, and attempts whose result is unknown.
//!
//! ```text
//!            ┌──────────────────── refused: another client was faster ───────────────────┐
//!            ▼                                                                            │
//! Pause ─▶ Fetch ─▶ Prepare ─▶ Write ─▶ written                                           │
//!            │ (the state has no change to make: done)  └──────────────────────────────────┘
//!            │
//!            └─ after an attempt in doubt, what is at its place tells if it is stored
//! ```
//!
//! Each attempt is for one place in the stream, at which one entry can be. After a lost result the
//! entry there is read: another value proves that the attempt is not stored and never will be. The
//! same value proves nothing, as another client may write the same; then the outcome is unknown. If
//! the place is empty, the same attempt is made again.

use std::time::Duration;

use pravega_sdk_segment_client::{
    machine::{Random, delay},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{Backoff, ErrorKind, Outcome};

/// How often an attempt in doubt is made again.
const MAX_REPEATS: u32 = 10;

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Wait.
    Pause(Duration),
    /// Read what the client does not know: answered by [`ChangeMachine::handle_fetched`].
    Fetch,
    /// Prepare the change of the present state: answered by [`ChangeMachine::handle_prepared`].
    Prepare,
    /// Write what was prepared last, at the revision of its state: answered by
    /// [`ChangeMachine::handle_written`], [`ChangeMachine::handle_failed`].
    Write,
    /// The change ends.
    End(Verdict),
}

/// The end of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The state has no change to make.
    Nothing,
    /// What was prepared last is stored.
    Written,
    /// Other clients were faster as often as is allowed.
    Conflicts(u32),
    /// There is no initial state.
    Uninitialized,
    /// The last failure is the result, and this what is known of the effect.
    Failed(Outcome),
}

/// What a fetch found at the place of the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// No entry: the stream ends there.
    Empty,
    /// An entry with the value of the attempt.
    Same,
    /// An entry with another value.
    Other,
    /// It is truncated.
    Unseen,
}

/// Decides about one change.
pub(crate) struct ChangeMachine {
    next: Effect,
    after_pause: Option<Effect>,
    conflicts: u32,
    max_conflicts: u32,
    repeats: u32,
    /// The last attempt may be stored, or be stored later.
    is_in_doubt: bool,
    backoff: Backoff,
    random: Random,
    bugs: Bugs,
}

impl ChangeMachine {
    /// Begins with the known state, or by fetching it.
    pub(crate) fn new(
        has_state: bool,
        max_conflicts: u32,
        backoff: Backoff,
        random: Random,
        bugs: Bugs,
    ) -> Self {
        let next = if has_state { Effect::Prepare } else { Effect::Fetch };
        Self {
            next,
            after_pause: None,
            conflicts: 0,
            max_conflicts,
            repeats: 0,
            is_in_doubt: false,
            backoff,
            random,
            bugs,
        }
    }

    /// Returns what happens next.
    pub(crate) fn poll_effect(&mut self) -> Effect {
        let gone = Effect::End(Verdict::Failed(Outcome::Unknown));
        let then = self.after_pause.take().unwrap_or(gone);
        std::mem::replace(&mut self.next, then)
    }

    /// Returns true if an attempt may be stored, or be stored later.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// The entries of the stream were read. Without an attempt in doubt the place has no meaning.
    pub(crate) fn handle_fetched(&mut self, has_state: bool, place: Place) {
        self.next = match place {
            _ if !self.is_in_doubt && has_state => Effect::Prepare,
            _ if !self.is_in_doubt => Effect::End(Verdict::Uninitialized),
            Place::Other => {
                self.is_in_doubt = false;
                Effect::Prepare
            }
            Place::Empty => {
                self.repeats += 1;
                if self.repeats > MAX_REPEATS {
                    Effect::End(Verdict::Failed(Outcome::Unknown))
                } else {
                    Effect::Write
                }
            }
            Place::Same | Place::Unseen => Effect::End(Verdict::Failed(Outcome::Unknown)),
        };
    }

    /// The change was prepared; `has_change` is false if there is nothing to write.
    pub(crate) fn handle_prepared(&mut self, has_change: bool) {
        self.next = if has_change { Effect::Write } else { Effect::End(Verdict::Nothing) };
    }

    /// The entry is stored.
    pub(crate) fn handle_written(&mut self) {
        self.is_in_doubt = false;
        self.next = Effect::End(Verdict::Written);
    }

    /// An attempt failed.
    pub(crate) fn handle_failed(&mut self, kind: ErrorKind, outcome: Outcome) {
        let denies = self.bugs.has(SeededBug::DeniesLostUpdates);
        let outcome = if denies { Outcome::NotApplied } else { outcome };
        let is_refused = kind == ErrorKind::ConditionFailed;
        self.is_in_doubt |= outcome != Outcome::NotApplied;
        if is_refused {
            self.conflicts += 1;
        }
        let is_over = self.conflicts >= self.max_conflicts;
        self.next = if is_over && !self.is_in_doubt {
            Effect::End(Verdict::Conflicts(self.conflicts))
        } else if is_refused {
            self.pause(self.conflicts)
        } else if self.is_in_doubt && kind.is_retryable() && self.repeats < MAX_REPEATS {
            self.pause(self.repeats + 1)
        } else {
            let outcome = if self.is_in_doubt { Outcome::Unknown } else { outcome };
            Effect::End(Verdict::Failed(outcome))
        };
    }

    fn pause(&mut self, failures: u32) -> Effect {
        self.after_pause = Some(Effect::Fetch);
        Effect::Pause(delay(&self.backoff, failures, &mut self.random))
    }
}

impl std::fmt::Debug for ChangeMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeMachine")
            .field("next", &self.next)
            .field("conflicts", &self.conflicts)
            .field("is_in_doubt", &self.is_in_doubt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(max_conflicts: u32) -> ChangeMachine {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(8));
        ChangeMachine::new(true, max_conflicts, backoff, Box::new(|| u64::MAX), Bugs::default())
    }

    /// A change that was prepared and is written.
    fn written(max_conflicts: u32) -> ChangeMachine {
        let mut machine = machine(max_conflicts);
        assert_eq!(machine.poll_effect(), Effect::Prepare);
        machine.handle_prepared(true);
        assert_eq!(machine.poll_effect(), Effect::Write);
        machine
    }

    #[track_caller]
    fn fetches_after_a_pause(machine: &mut ChangeMachine) -> Duration {
        let Effect::Pause(pause) = machine.poll_effect() else { panic!("{machine:?}") };
        assert_eq!(machine.poll_effect(), Effect::Fetch);
        pause
    }

    #[test]
    fn a_change_is_made_of_the_state_or_there_is_none_to_make() {
        let mut one = written(3);
        one.handle_written();
        assert_eq!(one.poll_effect(), Effect::End(Verdict::Written));
        let mut other = machine(3);
        other.poll_effect();
        other.handle_prepared(false);
        assert_eq!(other.poll_effect(), Effect::End(Verdict::Nothing));
    }

    #[test]
    fn without_a_state_it_is_fetched_first_and_its_absence_is_an_end() {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(8));
        for has_state in [true, false] {
            let mut machine =
                ChangeMachine::new(false, 3, backoff, Box::new(|| 0), Bugs::default());
            assert_eq!(machine.poll_effect(), Effect::Fetch);
            machine.handle_fetched(has_state, Place::Unseen);
            let next = machine.poll_effect();
            let uninitialized = Effect::End(Verdict::Uninitialized);
            assert_eq!(next, if has_state { Effect::Prepare } else { uninitialized });
        }
    }

    #[test]
    fn a_refused_change_is_prepared_again_after_longer_pauses_until_the_limit() {
        let mut machine = written(100);
        let mut pauses = Vec::new();
        for _ in 1..100 {
            machine.handle_failed(ErrorKind::ConditionFailed, Outcome::NotApplied);
            pauses.push(fetches_after_a_pause(&mut machine));
            machine.handle_fetched(true, Place::Other);
            assert_eq!(machine.poll_effect(), Effect::Prepare);
            machine.handle_prepared(true);
            assert_eq!(machine.poll_effect(), Effect::Write);
        }
        assert!(pauses.is_sorted() && pauses[98] <= Duration::from_millis(8), "{pauses:?}");
        machine.handle_failed(ErrorKind::ConditionFailed, Outcome::NotApplied);
        assert_eq!(machine.poll_effect(), Effect::End(Verdict::Conflicts(100)));
    }

    #[test]
    fn another_entry_at_the_place_of_an_attempt_in_doubt_proves_that_it_is_not_stored() {
        for kind in [ErrorKind::ConditionFailed, ErrorKind::ConnectionLost] {
            let mut machine = written(3);
            machine.handle_failed(kind, Outcome::Unknown);
            assert!(machine.is_in_doubt());
            fetches_after_a_pause(&mut machine);
            machine.handle_fetched(true, Place::Other);
            assert_eq!(machine.poll_effect(), Effect::Prepare);
            assert!(!machine.is_in_doubt());
        }
    }

    #[test]
    fn the_same_entry_at_the_place_of_an_attempt_in_doubt_proves_nothing() {
        for place in [Place::Same, Place::Unseen] {
            let mut machine = written(3);
            machine.handle_failed(ErrorKind::ConditionFailed, Outcome::Unknown);
            fetches_after_a_pause(&mut machine);
            machine.handle_fetched(true, place);
            let unknown = Effect::End(Verdict::Failed(Outcome::Unknown));
            assert_eq!(machine.poll_effect(), unknown);
        }
    }

    #[test]
    fn an_attempt_in_doubt_is_made_again_unchanged_while_its_place_is_empty() {
        let mut machine = written(3);
        for _ in 0..10 {
            machine.handle_failed(ErrorKind::ConnectionLost, Outcome::Unknown);
            fetches_after_a_pause(&mut machine);
            machine.handle_fetched(true, Place::Empty);
            assert_eq!(machine.poll_effect(), Effect::Write, "never prepared again: {machine:?}");
        }
        machine.handle_failed(ErrorKind::ConnectionLost, Outcome::NotApplied);
        let unknown = Effect::End(Verdict::Failed(Outcome::Unknown));
        assert_eq!(machine.poll_effect(), unknown, "the first attempt may still be stored");
    }

    #[test]
    fn a_refusal_in_doubt_is_settled_also_when_the_conflicts_are_used_up() {
        let mut machine = written(1);
        machine.handle_failed(ErrorKind::ConditionFailed, Outcome::Unknown);
        fetches_after_a_pause(&mut machine);
        machine.handle_fetched(true, Place::Other);
        assert_eq!(machine.poll_effect(), Effect::Prepare);
    }

    #[test]
    fn a_failure_that_is_no_conflict_ends_the_change_with_its_outcome() {
        for (kind, outcome) in [
            (ErrorKind::Sealed, Outcome::NotApplied),
            (ErrorKind::Timeout, Outcome::NotApplied),
            (ErrorKind::PermissionDenied, Outcome::Unknown),
        ] {
            let mut machine = written(3);
            machine.handle_failed(kind, outcome);
            assert_eq!(machine.poll_effect(), Effect::End(Verdict::Failed(outcome)));
        }
    }
}
