//! Where the entries that a client does not know are read.
//!
//! ```text
//! with a state      Read(its revision) ──▶ end
//!                        │ truncated
//!                        ▼
//! without         FindStart ──▶ Read(mark, or oldest); an initial state must come first ──▶ end
//!                        ▲                │ truncated
//!                        └──── Pause ─────┘
//! ```

use std::time::Duration;

use pravega_sdk_segment_client::{
    machine::{Random, delay},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::Backoff;

use crate::revisioned::Revision;

/// How often truncations may be faster than the reading.
const MAX_TRUNCATIONS: u32 = 20;

/// What happens next.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the mark, or else the oldest revision: answered by [`FetchMachine::handle_start`].
    FindStart,
    /// Read the entries after the revision: answered by [`FetchMachine::counts`] for each and then
    /// [`FetchMachine::handle_end`] or [`FetchMachine::handle_truncated`].
    Read(Revision),
    /// Wait.
    Pause(Duration),
    /// All entries are read.
    Done,
    /// Entries after the known state are truncated, and there is no initial state after them.
    Lost,
}

/// Decides about one fetch.
pub(crate) struct FetchMachine {
    next: Effect,
    after_pause: Option<Effect>,
    /// Only an initial state counts.
    needs_initial: bool,
    truncations: u32,
    backoff: Backoff,
    random: Random,
    bugs: Bugs,
}

impl FetchMachine {
    /// Begins with the revision of the known state, if there is one.
    pub(crate) fn new(
        known: Option<Revision>,
        backoff: Backoff,
        random: Random,
        bugs: Bugs,
    ) -> Self {
        let needs_initial = known.is_none();
        let next = known.map_or(Effect::FindStart, Effect::Read);
        Self { next, after_pause: None, needs_initial, truncations: 0, backoff, random, bugs }
    }

    /// Returns what happens next.
    pub(crate) fn poll_effect(&mut self) -> Effect {
        let then = self.after_pause.take().unwrap_or(Effect::Lost);
        std::mem::replace(&mut self.next, then)
    }

    /// The mark or the oldest revision was found.
    pub(crate) fn handle_start(&mut self, revision: Revision) {
        self.next = Effect::Read(revision);
    }

    /// Returns true if an entry that was read counts.
    pub(crate) fn counts(&mut self, is_initial: bool) -> bool {
        self.needs_initial &= !is_initial;
        !self.needs_initial
    }

    /// All entries were read.
    pub(crate) fn handle_end(&mut self) {
        let is_lost = self.needs_initial && self.truncations > 0;
        self.next = if is_lost { Effect::Lost } else { Effect::Done };
    }

    /// Entries were truncated before they were read.
    pub(crate) fn handle_truncated(&mut self) {
        self.truncations += 1;
        self.needs_initial |= !self.bugs.has(SeededBug::AppliesOverGaps);
        self.next = match self.truncations {
            1 => Effect::FindStart,
            2..=MAX_TRUNCATIONS => {
                self.after_pause = Some(Effect::FindStart);
                Effect::Pause(delay(&self.backoff, self.truncations - 1, &mut self.random))
            }
            _ => Effect::Lost,
        };
    }
}

impl std::fmt::Debug for FetchMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchMachine").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Revision {
        format!("s/t/0.#epoch.0:{offset}:0").parse().unwrap()
    }

    fn fetch(known: Option<Revision>) -> FetchMachine {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(8));
        FetchMachine::new(known, backoff, Box::new(|| u64::MAX), Bugs::default())
    }

    #[test]
    fn a_known_state_goes_on_after_its_revision_and_every_entry_counts() {
        let mut machine = fetch(Some(at(30)));
        assert_eq!(machine.poll_effect(), Effect::Read(at(30)));
        assert!(machine.counts(false) && machine.counts(true) && machine.counts(false));
        machine.handle_end();
        assert_eq!(machine.poll_effect(), Effect::Done);
    }

    #[test]
    fn without_a_state_the_start_is_found_and_nothing_counts_before_an_initial_state() {
        let mut machine = fetch(None);
        assert_eq!(machine.poll_effect(), Effect::FindStart);
        machine.handle_start(at(10));
        assert_eq!(machine.poll_effect(), Effect::Read(at(10)));
        assert!(!machine.counts(false) && machine.counts(true) && machine.counts(false));
        machine.handle_end();
        assert_eq!(machine.poll_effect(), Effect::Done);
    }

    #[test]
    fn a_stream_without_an_initial_state_is_no_failure() {
        let mut machine = fetch(None);
        machine.poll_effect();
        machine.handle_start(at(0));
        machine.poll_effect();
        assert!(!machine.counts(false));
        machine.handle_end();
        assert_eq!(machine.poll_effect(), Effect::Done);
    }

    #[test]
    fn after_a_truncation_only_an_initial_state_counts_also_for_a_known_state() {
        let mut machine = fetch(Some(at(30)));
        machine.poll_effect();
        assert!(machine.counts(false));
        machine.handle_truncated();
        assert_eq!(machine.poll_effect(), Effect::FindStart);
        machine.handle_start(at(50));
        assert_eq!(machine.poll_effect(), Effect::Read(at(50)));
        // Applied to the old state, it would skip the truncated updates.
        assert!(!machine.counts(false));
        machine.handle_end();
        assert_eq!(machine.poll_effect(), Effect::Lost);
    }

    #[test]
    fn truncations_that_are_always_faster_are_given_up_after_a_number_of_pauses() {
        let mut machine = fetch(None);
        let (mut reads, mut pauses) = (0, Vec::new());
        loop {
            match machine.poll_effect() {
                Effect::FindStart => machine.handle_start(at(reads)),
                Effect::Read(revision) => {
                    assert_eq!(revision, at(reads));
                    reads += 1;
                    machine.handle_truncated();
                }
                Effect::Pause(pause) => pauses.push(pause),
                Effect::Lost => break,
                Effect::Done => panic!("nothing was read"),
            }
        }
        assert_eq!((reads, pauses.len()), (21, 19));
        assert!(pauses.is_sorted() && pauses[18] <= Duration::from_millis(8), "{pauses:?}");
    }
}
