//! Successors of segments that were read to their ends, and which of them is read when.

use std::{collections::BTreeSet, ops::Bound};

use pravega_sdk_segment_client::{
    error::ReadError,
    machine::{CONTROLLER_LAG, LookupError, Now, delay},
    read::machine::StartOffset,
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, KeyRange, Offset, SegmentId, SegmentOffset, Successor};

use super::state::{Ahead, Effect, Search, StreamMachine, Successors, arm};

impl StreamMachine {
    /// The controller named the successors of a segment, or failed.
    pub(crate) fn handle_successors(
        &mut self,
        id: SegmentId,
        found: Result<Vec<Successor>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        let (end, is_missing) = (passed.end, passed.is_missing);
        let is_confirmed = matches!(passed.successors, Successors::Confirming);
        match found {
            Ok(successors) if !successors.is_empty() => {
                passed.search = Search::default();
                passed.is_missing = false;
                if is_missing {
                    self.was_truncated(id, end);
                }
                self.follow(id, successors);
            }
            // In the middle of a scale segments are sealed before they have successors.
            Ok(_) if !is_missing => self.effects.push_back(Effect::ConfirmEnd(id)),
            Ok(_) if !is_confirmed => {
                passed.search.asked = now;
                self.effects.push_back(Effect::FindSegments(id));
            }
            // An instance that lags knows neither the segment nor its successors.
            Ok(_) if !self.is_gone(id, now) => self.wait(id, now),
            Ok(_) => {
                let detail = "the segment does not exist anymore: its stream was deleted";
                let error = self.error_at(ErrorKind::NotFound, detail, id, end);
                self.fail(error);
            }
            Err(error) => self.ask_again(id, error, now),
        }
    }

    /// An instance of the controller named the successors that no other segments will follow, or
    /// does not know that the stream is sealed.
    pub(crate) fn handle_final_successors(
        &mut self,
        id: SegmentId,
        found: Result<Option<Vec<Successor>>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        let end = passed.end;
        match found {
            // This was the last segment here.
            Ok(Some(successors)) if successors.is_empty() => self.finish(id, end),
            Ok(Some(successors)) => self.handle_successors(id, Ok(successors), now),
            Ok(None) => {
                passed.search.cause = None;
                self.wait(id, now);
            }
            Err(error) => self.ask_again(id, error, now),
        }
    }

    /// The controller named the present segments, as the store does not have one without
    /// successors.
    pub(crate) fn handle_segments(
        &mut self,
        id: SegmentId,
        found: Result<Vec<SegmentId>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        match found {
            Ok(segments) if segments.contains(&id) => {
                passed.search.cause = None;
                self.wait(id, now);
            }
            Ok(_) => {
                passed.successors = Successors::Confirming;
                self.effects.push_back(Effect::FindSuccessors(id));
            }
            Err(error) => self.ask_again(id, error, now),
        }
    }

    /// Notes that the controller says that the stream does not have a segment. Returns true if it
    /// was asked longer after it first said so than an instance of it may lag. An answer that was
    /// on its way for long, or that the reader was not polled for, knows no more for that.
    fn is_gone(&mut self, id: SegmentId, now: Now) -> bool {
        let Some(passed) = self.passed.get_mut(&id) else { return false };
        passed.search.cause = None;
        passed.search.asked >= *passed.search.gone_since.get_or_insert(now) + CONTROLLER_LAG
            || self.settings.bugs.has(SeededBug::BelievesStaleAnswers)
    }

    pub(super) fn ask_again(&mut self, id: SegmentId, error: LookupError, now: Now) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        if error.kind.is_retryable() {
            passed.search.cause = Some(error.cause);
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
        passed.search.attempts = passed.search.attempts.saturating_add(1);
        let attempts = passed.search.attempts;
        let until = now + delay(&self.settings.backoff, attempts, &mut self.random);
        passed.successors = Successors::Waiting(until);
        arm(&mut self.timer, until);
        self.report_stalls(now);
    }

    /// The driver has begun to ask about a segment.
    pub(super) fn search_began(&mut self, id: SegmentId, now: Now) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        let since = *passed.search.since.get_or_insert(now);
        arm(&mut self.timer, since + self.settings.stall_timeout);
    }

    /// Reports the searches that have found nothing for the stall timeout, also those in which a
    /// question has had no answer yet.
    pub(super) fn report_stalls(&mut self, now: Now) {
        if self.settings.bugs.has(SeededBug::SilentSearches) {
            return;
        }
        let limit = self.settings.stall_timeout;
        for (id, passed) in &mut self.passed {
            let Some(since) = passed.search.since else { continue };
            if now < since + limit {
                arm(&mut self.timer, since + limit);
                continue;
            }
            passed.search.since = Some(now);
            arm(&mut self.timer, now + limit);
            let detail = format_args!(
                "the successors of the segment, which was read to its end, could not be found for \
                 {limit:?}"
            );
            let error = ReadError::new(ErrorKind::Unavailable, detail)
                .with_stream(&self.stream)
                .with_segment(*id, None, passed.search.attempts);
            self.errors.push_back(error.with_source(passed.search.cause.clone()));
        }
    }

    /// Lets the successors of a segment wait for their other predecessors, or begin.
    pub(super) fn follow(&mut self, id: SegmentId, successors: Vec<Successor>) {
        if !self.passed.contains_key(&id) {
            return;
        }
        let mut ahead = BTreeSet::new();
        for successor in successors {
            let next = successor.id;
            if self.is_begun(next) {
                continue;
            }
            if let Some(later) = self.later_start(&successor) {
                return self.skipped(next, later);
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
            || self.starts.contains_key(&id)
    }

    /// Returns a segment in which reading began although it comes after this one, of which nothing
    /// was read.
    fn later_start(&self, successor: &Successor) -> Option<SegmentId> {
        let later = self.starts.range((Bound::Excluded(successor.id), Bound::Unbounded));
        let is_after =
            |range: &Option<KeyRange>| range.is_some_and(|range| range.overlaps(&successor.range));
        later.into_iter().find(|(_, range)| is_after(range)).map(|(id, _)| *id)
    }

    /// The position at which reading began leaves out a segment.
    fn skipped(&mut self, id: SegmentId, later: SegmentId) {
        let detail = format_args!(
            "reading began at a position that leaves out this segment, but not {later}, which \
             comes after it"
        );
        let start = SegmentOffset::At(Offset(0));
        let error = self.error_at(ErrorKind::InvalidStreamCut, detail, id, start);
        self.fail(error);
    }

    /// Returns true if a segment is read, or was and is not followed yet.
    fn is_in_cut(&self, id: SegmentId) -> bool {
        self.active.contains_key(&id) || self.passed.contains_key(&id)
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
                is_followed && !passed.predecessors.iter().any(|before| self.is_in_cut(*before))
            });
            let Some(id) = done.map(|(id, _)| *id) else { break };
            self.passed.remove(&id);
        }
        self.check_for_gaps();
    }

    /// What waits for a segment that is nowhere waits forever: where reading began, or where it
    /// ends, a part of the key space is missing.
    pub(super) fn check_for_gaps(&mut self) {
        let is_stuck = self.active.is_empty()
            && !self.ahead.is_empty()
            && self.passed.values().all(|passed| matches!(passed.successors, Successors::Ahead(_)));
        if !is_stuck {
            return;
        }
        let unreached: Vec<SegmentId> = match &self.ends {
            Some(ends) => {
                let is_reached = |id: &&SegmentId| self.finished.contains_key(id);
                ends.keys().filter(|id| !is_reached(id)).copied().collect()
            }
            None => self.ahead.keys().copied().collect(),
        };
        let trusts = self.settings.bugs.has(SeededBug::TrustsCuts) && self.ends.is_some();
        if unreached.is_empty() || trusts {
            // Whatever waits is after the end, as its other predecessors are.
            self.ahead.clear();
            for (id, passed) in std::mem::take(&mut self.passed) {
                self.finished.insert(id, passed.end);
            }
            return;
        }
        let waits_for = self.ahead.values().flat_map(|ahead| &ahead.waits_for);
        let missing: BTreeSet<SegmentId> =
            waits_for.filter(|id| !self.finished.contains_key(id)).copied().collect();
        let list = |ids: &mut dyn Iterator<Item = &SegmentId>| {
            ids.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let detail = if missing.is_empty() {
            let unreached = list(&mut unreached.iter());
            format!("reading ends before segments that its end names: {unreached}")
        } else {
            let missing = list(&mut missing.iter());
            format!("reading began at a position that leaves out segments: {missing}")
        };
        self.fail(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(&self.stream));
    }
}
