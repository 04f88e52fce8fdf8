//! One update of a table, from the first run of its function to its outcome.
//!
//! ```text
//! Register ─▶ Fetch ─▶ Run ─▶ Send ─▶ End(Made)
//!               ▲               │ refused            │ reply lost
//!               └──── Pause ◀───┴──────── dead ◀── Fence ─▶ End(Made)
//! ```
//!
//! Each change has the receipt of its writer at the version that it had before. So of all changes
//! that a writer has sent, one at most is made while the receipt has a version. After a lost reply,
//! a change of the receipt alone, a *fence*, either is made, and then the change before it never
//! is, or it is refused, and then the receipt shows whether that change was made.

use std::time::Duration;

use pravega_sdk_segment_client::{
    machine::{Random, delay},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{Backoff, Outcome};

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Puts the receipt of the writer for the first time.
    Register,
    /// Reads what has changed.
    Fetch,
    /// Runs the function.
    Run,
    /// Sends what the function has changed.
    Send,
    /// Makes sure that the last change that was sent is never made, or finds out that it was.
    Fence,
    /// Waits.
    Pause(Duration),
    /// Reports the result.
    End(Verdict),
}

/// How an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The change was made.
    Made,
    /// The function has changed nothing.
    Unchanged,
    /// Other clients were faster in each of so many runs.
    Conflicts(u32),
    /// The last failure is the result, with this outcome.
    Failed(Outcome),
}

/// The result of sending a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was made.
    Made,
    /// A condition does not hold.
    Refused,
    /// It failed, with this effect.
    Failed(Outcome),
}

/// The result of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fenced {
    /// The change before it was not made, and never will be.
    Dead,
    /// The change before it was made.
    Made,
    /// Neither is known.
    Unclear,
}

/// What is known of the writer's receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It is not in the table.
    Missing,
    /// Its version may not be the one that is known, as an earlier update was given up.
    InDoubt,
    /// Its version is known.
    Known,
}

/// Decides about one update.
pub(crate) struct UpdateMachine {
    next: Step,
    /// Number of runs whose changes were refused.
    conflicts: u32,
    max_runs: u32,
    backoff: Backoff,
    random: Random,
    bugs: Bugs,
}

impl UpdateMachine {
    pub(crate) fn new(receipt: Receipt, max_runs: u32, backoff: Backoff, random: Random) -> Self {
        let next = match receipt {
            Receipt::Missing => Step::Register,
            Receipt::InDoubt => Step::Fetch,
            Receipt::Known => Step::Run,
        };
        let (max_runs, bugs) = (max_runs.max(1), Bugs::default());
        Self { next, conflicts: 0, max_runs, backoff, random, bugs }
    }

    pub(crate) fn with_bugs(mut self, bugs: Bugs) -> Self {
        self.bugs = bugs;
        self
    }

    /// Returns what happens next. Each step is reported back by the method for its result.
    pub(crate) fn poll_step(&mut self) -> Step {
        std::mem::replace(&mut self.next, Step::End(Verdict::Failed(Outcome::Unknown)))
    }

    /// The receipt was put, or was not.
    pub(crate) fn handle_registered(&mut self, is_put: bool) {
        // What is known of the table may be of one before.
        self.next = if is_put { Step::Fetch } else { failed(Outcome::NotApplied) };
    }

    /// What has changed was read, and the receipt with it; or that failed.
    pub(crate) fn handle_fetched(&mut self, receipt: Option<Receipt>) {
        self.next = match receipt {
            // It was cleaned away, or the table was created again.
            Some(Receipt::Missing) => Step::Register,
            Some(Receipt::InDoubt | Receipt::Known) => Step::Run,
            None => failed(Outcome::NotApplied),
        };
    }

    /// The function ran; `can_send` is false if its changes depend on the end of the table, and it
    /// is not known.
    pub(crate) fn handle_run(&mut self, has_changes: bool, can_send: bool) {
        self.next = match (has_changes, can_send) {
            (false, _) => Step::End(Verdict::Unchanged),
            (true, false) => Step::Fetch,
            (true, true) => Step::Send,
        };
    }

    /// The change was sent.
    pub(crate) fn handle_sent(&mut self, sent: Sent) {
        self.next = match sent {
            Sent::Made | Sent::Failed(Outcome::Applied) => Step::End(Verdict::Made),
            Sent::Refused => self.conflict(),
            Sent::Failed(Outcome::Unknown) if self.bugs.has(SeededBug::BelievesLostUpdates) => {
                Step::End(Verdict::Made)
            }
            Sent::Failed(Outcome::Unknown) if self.bugs.has(SeededBug::RunsAfterLostReplies) => {
                self.conflict()
            }
            Sent::Failed(Outcome::Unknown) => Step::Fence,
            Sent::Failed(outcome) => failed(outcome),
        };
    }

    /// The fence ended.
    pub(crate) fn handle_fenced(&mut self, fenced: Fenced) {
        self.next = match fenced {
            Fenced::Dead => self.conflict(),
            Fenced::Made => Step::End(Verdict::Made),
            Fenced::Unclear => failed(Outcome::Unknown),
        };
    }

    /// The pause is over.
    pub(crate) fn handle_rested(&mut self) {
        let skips = self.bugs.has(SeededBug::SkipsFetches);
        self.next = if skips { Step::Run } else { Step::Fetch };
    }

    fn conflict(&mut self) -> Step {
        self.conflicts += 1;
        if self.conflicts >= self.max_runs {
            return Step::End(Verdict::Conflicts(self.conflicts));
        }
        Step::Pause(delay(&self.backoff, self.conflicts, &mut self.random))
    }
}

fn failed(outcome: Outcome) -> Step {
    Step::End(Verdict::Failed(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));

    fn machine(receipt: Receipt, max_runs: u32) -> UpdateMachine {
        UpdateMachine::new(receipt, max_runs, BACKOFF, Box::new(|| u64::MAX))
    }

    /// A machine whose change was sent.
    fn sent() -> UpdateMachine {
        let mut machine = machine(Receipt::Known, 3);
        assert_eq!(machine.poll_step(), Step::Run);
        machine.handle_run(true, true);
        assert_eq!(machine.poll_step(), Step::Send);
        machine
    }

    fn after(sent: Sent, mut machine: UpdateMachine) -> Step {
        machine.handle_sent(sent);
        machine.poll_step()
    }

    #[test]
    fn an_update_begins_with_what_is_known_of_the_receipt() {
        let mut first = machine(Receipt::Missing, 3);
        assert_eq!(first.poll_step(), Step::Register);
        first.handle_registered(true);
        assert_eq!(first.poll_step(), Step::Fetch);
        first.handle_fetched(Some(Receipt::Known));
        assert_eq!(first.poll_step(), Step::Run);
        let mut unregistered = machine(Receipt::Missing, 3);
        unregistered.poll_step();
        unregistered.handle_registered(false);
        assert_eq!(unregistered.poll_step(), failed(Outcome::NotApplied));
        assert_eq!(machine(Receipt::InDoubt, 3).poll_step(), Step::Fetch);
        assert_eq!(machine(Receipt::Known, 3).poll_step(), Step::Run);
    }

    #[test]
    fn a_receipt_that_is_gone_is_put_again() {
        let mut machine = machine(Receipt::InDoubt, 3);
        machine.poll_step();
        machine.handle_fetched(Some(Receipt::Missing));
        assert_eq!(machine.poll_step(), Step::Register);
    }

    #[test]
    fn a_function_that_changes_nothing_sends_nothing() {
        let mut machine = machine(Receipt::Known, 3);
        machine.poll_step();
        machine.handle_run(false, false);
        assert_eq!(machine.poll_step(), Step::End(Verdict::Unchanged));
    }

    #[test]
    fn a_change_that_depends_on_the_whole_table_is_sent_once_its_end_is_known() {
        let mut machine = machine(Receipt::Known, 3);
        machine.poll_step();
        machine.handle_run(true, false);
        assert_eq!(machine.poll_step(), Step::Fetch);
        machine.handle_fetched(Some(Receipt::Known));
        assert_eq!(machine.poll_step(), Step::Run);
    }

    #[test]
    fn each_result_of_sending_leads_on() {
        assert_eq!(after(Sent::Made, sent()), Step::End(Verdict::Made));
        assert_eq!(after(Sent::Failed(Outcome::Applied), sent()), Step::End(Verdict::Made));
        assert_eq!(after(Sent::Failed(Outcome::NotApplied), sent()), failed(Outcome::NotApplied));
        assert_eq!(after(Sent::Failed(Outcome::Unknown), sent()), Step::Fence);
        assert!(matches!(after(Sent::Refused, sent()), Step::Pause(_)));
    }

    #[test]
    fn a_lost_reply_is_found_out_by_a_fence() {
        for (fenced, expected) in
            [(Fenced::Made, Step::End(Verdict::Made)), (Fenced::Unclear, failed(Outcome::Unknown))]
        {
            let mut machine = sent();
            machine.handle_sent(Sent::Failed(Outcome::Unknown));
            machine.poll_step();
            machine.handle_fenced(fenced);
            assert_eq!(machine.poll_step(), expected);
        }
        let mut machine = sent();
        machine.handle_sent(Sent::Failed(Outcome::Unknown));
        machine.poll_step();
        machine.handle_fenced(Fenced::Dead);
        assert!(matches!(machine.poll_step(), Step::Pause(_)));
        machine.handle_rested();
        assert_eq!(machine.poll_step(), Step::Fetch);
    }

    #[test]
    fn runs_are_limited_and_pauses_grow_and_are_spread() {
        let pauses = |random: u64| {
            let random = Box::new(move || random);
            let mut machine = UpdateMachine::new(Receipt::Known, 100, BACKOFF, random);
            let mut pauses = Vec::new();
            loop {
                match machine.poll_step() {
                    Step::Run => machine.handle_run(true, true),
                    Step::Send => machine.handle_sent(Sent::Refused),
                    Step::Fetch => machine.handle_fetched(Some(Receipt::Known)),
                    Step::Pause(pause) => {
                        pauses.push(pause);
                        machine.handle_rested();
                    }
                    step => return (step, pauses),
                }
            }
        };
        let (end, longest) = pauses(u64::MAX);
        assert_eq!(end, Step::End(Verdict::Conflicts(100)));
        assert_eq!(longest.len(), 99);
        assert!(longest.is_sorted() && longest[98] <= Duration::from_secs(1));
        let (_, shortest) = pauses(0);
        assert!(shortest.iter().all(|pause| *pause < Duration::from_millis(1)), "full jitter");
    }
}
