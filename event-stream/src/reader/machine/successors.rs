//! Successors of segments that were read to their ends, and which of them is read when.

use std::collections::BTreeSet;

use pravega_sdk_segment_client::{
    error::ReadError,
    machine::{LookupError, Now, delay},
    read::machine::StartOffset,
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, Offset, SegmentId, Successor};

use super::state::{Ahead, Effect, StreamMachine, Successors};

impl StreamMachine {
    /// The controller named the successors of a segment, or failed.
    pub(crate) fn handle_successors(
        &mut self,
        id: SegmentId,
        found: Result<Vec<Successor>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        match found {
            Ok(successors) if successors.is_empty() => {
                self.effects.push_back(Effect::FindSegments(id));
            }
            Ok(successors) => {
                if std::mem::take(&mut passed.is_missing) {
                    let detail = "the segment was truncated; reading goes on with its successors";
                    let error = ReadError::new(ErrorKind::Truncated, detail)
                        .with_offset(Offset(passed.end));
                    self.errors
                        .push_back(error.with_stream(&self.stream).with_segment(id, None, 0));
                }
                self.follow(id, successors);
            }
            Err(error) => self.ask_again(id, error, now),
        }
    }

    /// The controller named the present segments, as one has no successors.
    pub(crate) fn handle_segments(
        &mut self,
        id: SegmentId,
        found: Result<Vec<SegmentId>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get(&id) else { return };
        match found {
            // The stream is sealed: this was its last segment here.
            Ok(segments) if segments.is_empty() && !passed.is_missing => {
                let end = passed.end;
                self.passed.remove(&id);
                self.finished.insert(id, end);
                self.unblock();
            }
            Ok(segments) if passed.is_missing && !segments.contains(&id) => {
                let detail = "the segment does not exist anymore: its stream was deleted";
                let error =
                    ReadError::new(ErrorKind::NotFound, detail).with_offset(Offset(passed.end));
                self.fail(error.with_stream(&self.stream).with_segment(id, None, 0));
            }
            // In the middle of a scale segments are sealed before they have successors.
            Ok(_) => self.wait(id, now),
            Err(error) => self.ask_again(id, error, now),
        }
    }

    pub(super) fn ask_again(&mut self, id: SegmentId, error: LookupError, now: Now) {
        if error.kind.is_retryable() {
            return self.wait(id, now);
        }
        let failure = match error.kind {
            ErrorKind::NotFound => ReadError::new(ErrorKind::NotFound, "the stream was deleted"),
            kind => ReadError::new(kind, "the successors of a segment cannot be found"),
        };
        self.fail(
            failure
                .with_stream(&self.stream)
                .with_segment(id, None, 0)
                .with_source(Some(error.cause)),
        );
    }

    pub(super) fn wait(&mut self, id: SegmentId, now: Now) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        passed.attempts = passed.attempts.saturating_add(1);
        let until = now + delay(&self.settings.backoff, passed.attempts, &mut self.random);
        passed.successors = Successors::Waiting(until);
        self.timer = Some(self.timer.map_or(until, |timer| timer.min(until)));
    }

    /// Lets the successors of a segment wait for their other predecessors, or begin.
    pub(super) fn follow(&mut self, id: SegmentId, successors: Vec<Successor>) {
        let mut ahead = BTreeSet::new();
        for successor in successors {
            let next = successor.id;
            if self.is_begun(next) {
                continue;
            }
            ahead.insert(next);
            let waiting = self.ahead.entry(next).or_insert_with(|| Ahead {
                waits_for: successor.predecessors.iter().copied().collect(),
                predecessors: successor.predecessors,
            });
            waiting.waits_for.remove(&id);
            if self.settings.bugs.has(SeededBug::BeginsSuccessorsEarly) {
                waiting.waits_for.clear();
            }
        }
        if let Some(passed) = self.passed.get_mut(&id) {
            passed.successors = Successors::Ahead(ahead);
        }
        self.unblock();
    }

    pub(super) fn is_begun(&self, id: SegmentId) -> bool {
        self.active.contains_key(&id)
            || self.passed.contains_key(&id)
            || self.finished.contains_key(&id)
    }

    /// Begins segments that wait for nothing, and forgets those whose successors have all begun.
    pub(super) fn unblock(&mut self) {
        let free: Vec<SegmentId> = self
            .ahead
            .iter()
            .filter(|(_, ahead)| ahead.waits_for.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in free {
            let Some(ahead) = self.ahead.remove(&id) else { continue };
            for passed in self.passed.values_mut() {
                if let Successors::Ahead(waiting) = &mut passed.successors {
                    waiting.remove(&id);
                }
            }
            self.open(id, StartOffset::Known(Offset(0)), ahead.predecessors);
        }
        // A segment stays in the cut as long as one of its predecessors does: a reader that starts
        // from there reaches it again.
        loop {
            let done = self.passed.iter().find(|(_, passed)| {
                let is_followed =
                    matches!(&passed.successors, Successors::Ahead(ahead) if ahead.is_empty());
                is_followed
                    && !passed.predecessors.iter().any(|before| self.passed.contains_key(before))
            });
            let Some(id) = done.map(|(id, _)| *id) else { break };
            self.passed.remove(&id);
        }
        self.check_for_gaps();
    }

    /// What waits for a segment that is nowhere waits forever: where reading began, a part of the
    /// key space was missing.
    pub(super) fn check_for_gaps(&mut self) {
        let is_stuck = self.active.is_empty()
            && !self.ahead.is_empty()
            && self.passed.values().all(|passed| matches!(passed.successors, Successors::Ahead(_)));
        if !is_stuck {
            return;
        }
        if self.ends.is_some() {
            // It is after the end, as its other predecessors are.
            self.ahead.clear();
            for (id, passed) in std::mem::take(&mut self.passed) {
                self.finished.insert(id, passed.end);
            }
            return;
        }
        let missing: Vec<String> = self
            .ahead
            .values()
            .flat_map(|ahead| ahead.waits_for.iter().map(ToString::to_string))
            .collect();
        let detail = format_args!(
            "reading began at a position that leaves out segments: {}",
            missing.join(", ")
        );
        self.fail(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(&self.stream));
    }
}
