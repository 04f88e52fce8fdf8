//! Decides for a whole stream: which segments are read, which wait for others, and where each event
//! begins.
//!
//! A segment is read when all its predecessors have been read to their ends, so events of one
//! routing key come in order across scaling. [`ReadMachine`] below brings the bytes; this one makes
//! events of them and follows the segments.
//!
//! *Invariant:* [`StreamMachine::cut`] is always a place from which another reader goes on without
//! a gap or a repeat: each segment stands in it from when it may be read until all that follows it
//! stands there in its place.

mod parser;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    error::ReadError,
    machine::{Backoff, LookupError, Now, Random},
    read::machine::{Delivery, ReadMachine, ReaderId, StartOffset},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{ErrorKind, Offset, ScopedSegment, ScopedStream, SegmentId, Successor};

use self::parser::{Parser, Step};

/// What a stream machine is given besides what its read machine is.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) max_event_bytes: usize,
    pub(crate) corrupt_events: OnCorrupt,
    pub(crate) follow: Follow,
    pub(crate) backoff: Backoff,
    pub(crate) bugs: Bugs,
}

/// What happens where no event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCorrupt {
    Stop,
    Skip,
}

/// What happens at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Successors,
    /// Only the segments given are read.
    Nothing,
}

/// What is to be done outside, besides reading.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the successors of a segment: answered by [`StreamMachine::handle_successors`].
    FindSuccessors(SegmentId),
    /// It has none; find out why: answered by [`StreamMachine::handle_segments`].
    FindSegments(SegmentId),
}

/// An event, and where it stands.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: Arc<ScopedSegment>,
    pub(crate) offset: i64,
    pub(crate) event: Bytes,
}

/// A segment that is being read.
#[derive(Debug)]
struct Active {
    segment: Arc<ScopedSegment>,
    reader: ReaderId,
    parser: Parser,
    predecessors: Vec<SegmentId>,
    /// It began where the segment ends; the parser learns where that is with the first answer.
    is_placed: bool,
}

/// A segment that was read to its end, and whose successors are not all being read.
#[derive(Debug)]
struct Passed {
    segment: Arc<ScopedSegment>,
    end: i64,
    predecessors: Vec<SegmentId>,
    successors: Successors,
    attempts: u32,
    /// It was truncated away; whoever reads is told once its successors are known.
    is_missing: bool,
}

#[derive(Debug)]
enum Successors {
    Asking,
    Waiting(Now),
    /// Those that are not being read yet.
    Ahead(BTreeSet<SegmentId>),
}

/// Where reading stopped for good.
#[derive(Debug)]
enum State {
    Reading,
    Failed(Option<ReadError>),
}

pub(crate) struct StreamMachine {
    stream: ScopedStream,
    settings: Settings,
    pub(crate) reads: ReadMachine,
    active: BTreeMap<SegmentId, Active>,
    readers: HashMap<ReaderId, SegmentId>,
    passed: BTreeMap<SegmentId, Passed>,
    /// Segments that wait for their predecessors, and for which.
    ahead: BTreeMap<SegmentId, Ahead>,
    /// Where the caller wants it to end.
    ends: Option<BTreeMap<SegmentId, i64>>,
    finished: BTreeMap<SegmentId, i64>,
    /// The segment whose bytes are being taken apart.
    current: Option<SegmentId>,
    errors: VecDeque<ReadError>,
    effects: VecDeque<Effect>,
    state: State,
    random: Random,
    timer: Option<Now>,
}

#[derive(Debug)]
struct Ahead {
    waits_for: BTreeSet<SegmentId>,
    predecessors: Vec<SegmentId>,
}

impl StreamMachine {
    pub(crate) fn new(
        stream: ScopedStream,
        settings: Settings,
        reads: ReadMachine,
        starts: impl IntoIterator<Item = (SegmentId, StartOffset)>,
        ends: Option<BTreeMap<SegmentId, i64>>,
        random: Random,
    ) -> Self {
        let mut machine = Self {
            stream,
            settings,
            reads,
            active: BTreeMap::new(),
            readers: HashMap::new(),
            passed: BTreeMap::new(),
            ahead: BTreeMap::new(),
            ends,
            finished: BTreeMap::new(),
            current: None,
            errors: VecDeque::new(),
            effects: VecDeque::new(),
            state: State::Reading,
            random,
            timer: None,
        };
        for (id, from) in starts {
            machine.open(id, from, Vec::new());
        }
        machine
    }

    // ----------------------------------------------------------------------------------------------------- questions

    /// Where reading is, as the offset of the next event of each segment. It starts anew from
    /// there.
    pub(crate) fn cut(&self) -> BTreeMap<SegmentId, Offset> {
        let passed = self.passed.iter().map(|(id, passed)| (*id, Offset(passed.end)));
        let finished = self.finished.iter().map(|(id, end)| (*id, Offset(*end)));
        let is_ahead = self.settings.bugs.has(SeededBug::CutsAhead);
        let active = self.active.iter().map(|(id, active)| {
            let ahead = if is_ahead { active.parser.held() as i64 } else { 0 };
            (*id, Offset(active.parser.offset() + ahead))
        });
        passed.chain(finished).chain(active).collect()
    }

    /// The segments that are being read, and the offset of the next event of each; none for those
    /// that were read to their ends and are not followed by all their successors yet.
    pub(crate) fn owned(&self) -> Vec<(Arc<ScopedSegment>, Option<i64>)> {
        let active = self
            .active
            .values()
            .map(|active| (Arc::clone(&active.segment), Some(active.parser.offset())));
        let passed = self.passed.values().map(|passed| (Arc::clone(&passed.segment), None));
        passed.chain(active).collect()
    }

    /// Says whether nothing will ever come any more.
    pub(crate) fn is_done(&self) -> bool {
        let is_over = match &self.state {
            State::Failed(error) => error.is_none(),
            State::Reading => {
                self.active.is_empty() && self.passed.is_empty() && self.ahead.is_empty()
            }
        };
        is_over && self.errors.is_empty()
    }

    // ------------------------------------------------------------------------------------------------------- results

    /// The next event, or what stands in the way of it; none if it has to be waited for.
    pub(crate) fn poll(&mut self) -> Option<Result<Found, ReadError>> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Some(Err(error));
            }
            match &mut self.state {
                State::Failed(error) => return error.take().map(Err),
                State::Reading => {}
            }
            if let Some(found) = self.next_of_current() {
                return Some(Ok(found));
            }
            if !self.errors.is_empty() {
                continue;
            }
            let (reader, delivery) = self.reads.poll_delivery()?;
            self.take(reader, delivery);
        }
    }

    /// The next event that is there already; none where an error comes first.
    pub(crate) fn poll_event(&mut self) -> Option<Found> {
        if !self.errors.is_empty() || matches!(self.state, State::Failed(_)) {
            return None;
        }
        match self.poll()? {
            Ok(found) => Some(found),
            Err(error) => {
                self.put_back(error);
                None
            }
        }
    }

    /// The next thing to be told is this error.
    pub(crate) fn put_back(&mut self, error: ReadError) {
        self.errors.push_front(error);
    }

    /// The next event of the segment whose bytes are being taken apart.
    fn next_of_current(&mut self) -> Option<Found> {
        let id = self.current?;
        let Some(active) = self.active.get_mut(&id) else {
            self.current = None;
            return None;
        };
        match active.parser.next(self.settings.max_event_bytes) {
            Step::Event { offset, event, released } => {
                self.reads.release(released);
                Some(Found { segment: Arc::clone(&active.segment), offset, event })
            }
            Step::More { released, expected } => {
                self.reads.release(released);
                if let Some(expected) = expected {
                    self.reads.expect(active.reader, expected);
                }
                self.current = None;
                None
            }
            Step::Corrupt { offset, found } => {
                self.current = None;
                self.corrupt(id, offset, &found.to_string());
                None
            }
        }
    }

    /// What is to be done next outside, besides reading.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn timeout(&self) -> Option<Now> {
        match (self.timer, self.reads.timeout()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.reads.handle_timeout(now);
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        for (id, passed) in &mut self.passed {
            match passed.successors {
                Successors::Waiting(until) if until <= now => {
                    passed.successors = Successors::Asking;
                    self.effects.push_back(Effect::FindSuccessors(*id));
                }
                Successors::Waiting(until) => {
                    self.timer = Some(self.timer.map_or(until, |timer| timer.min(until)))
                }
                Successors::Asking | Successors::Ahead(_) => {}
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------- reading

    fn take(&mut self, reader: ReaderId, delivery: Delivery) {
        let Some(&id) = self.readers.get(&reader) else {
            if let Delivery::Data { data, .. } = delivery {
                self.reads.release(data.len());
            }
            return;
        };
        let Some(active) = self.active.get_mut(&id) else { return };
        match delivery {
            Delivery::Data { offset, data } => {
                active.place(offset);
                active.parser.push(data);
                self.current = Some(id);
            }
            Delivery::Truncated { asked, head } => {
                active.is_placed = true;
                self.reads.release(active.parser.restart(head));
                let detail = format_args!(
                    "the segment was truncated up to {head}; reading goes on from there"
                );
                let error = ReadError::new(ErrorKind::Truncated, detail).with_offset(Offset(asked));
                self.errors.push_back(error.with_stream(&self.stream).with_segment(id, None, 0));
            }
            Delivery::End { offset } => {
                active.place(offset);
                self.end(id);
            }
            Delivery::Missing => self.pass(id, true),
            Delivery::Short { length } => self.short(id, length),
            Delivery::Stalled(error) => self.errors.push_back(error),
            Delivery::Failed(error) => self.fail(error),
        }
    }

    /// A segment was read up to where it ends, or up to where it was to be read.
    fn end(&mut self, id: SegmentId) {
        let Some(active) = self.active.get(&id) else { return };
        if active.parser.held() > 0 {
            let offset = active.parser.offset();
            return self.corrupt(id, offset, "the event is cut off by the end");
        }
        let is_wanted_end = self.ends.as_ref().is_some_and(|ends| ends.contains_key(&id));
        if is_wanted_end || self.settings.follow == Follow::Nothing {
            let offset = active.parser.offset();
            self.forget(id);
            self.finished.insert(id, offset);
            self.unblock();
        } else {
            self.pass(id, false);
        }
    }

    /// A segment was read to its end, or is gone: its successors are next.
    fn pass(&mut self, id: SegmentId, is_missing: bool) {
        let Some(active) = self.forget(id) else { return };
        if self.settings.follow == Follow::Nothing {
            let detail = "the segment is not there any more: it was truncated away, or its stream was deleted";
            let error = ReadError::new(ErrorKind::Truncated, detail)
                .with_offset(Offset(active.parser.offset()));
            return self.fail(error.with_stream(&self.stream).with_segment(id, None, 0));
        }
        let passed = Passed {
            segment: active.segment,
            end: active.parser.offset(),
            predecessors: active.predecessors,
            successors: Successors::Asking,
            attempts: 0,
            is_missing,
        };
        self.passed.insert(id, passed);
        self.effects.push_back(Effect::FindSuccessors(id));
    }

    /// A segment does not reach as far as was known, or as was claimed.
    fn short(&mut self, id: SegmentId, length: i64) {
        let Some(active) = self.active.get(&id) else { return };
        let offset = active.parser.offset();
        let held = active.parser.held();
        if held > 0 && offset + held as i64 <= length {
            return self.corrupt(id, offset, "the event is longer than the segment");
        }
        let (kind, detail) = if active.is_placed {
            let detail = format!(
                "the segment has only {length} bytes: its stream was deleted and made again"
            );
            (ErrorKind::NotFound, detail)
        } else {
            (ErrorKind::InvalidStreamCut, format!("the segment has only {length} bytes"))
        };
        self.fail(
            ReadError::new(kind, detail)
                .with_offset(Offset(offset))
                .with_stream(&self.stream)
                .with_segment(id, None, 0),
        );
    }

    /// What stands there is no event.
    fn corrupt(&mut self, id: SegmentId, offset: i64, what: &str) {
        let skips = self.settings.corrupt_events == OnCorrupt::Skip;
        let next = if skips {
            "what follows up to the segment's tail is skipped"
        } else {
            "reading stops here"
        };
        let error = ReadError::new(
            ErrorKind::Corrupt,
            format_args!("no event stands there ({what}); {next}"),
        );
        let error =
            error.with_offset(Offset(offset)).with_stream(&self.stream).with_segment(id, None, 0);
        if !skips {
            return self.fail(error);
        }
        self.errors.push_back(error);
        if let Some(active) = self.forget(id) {
            // Appends are whole events, so the next one begins where the segment ends now.
            self.open(id, StartOffset::Tail, active.predecessors);
            if let Some(again) = self.active.get_mut(&id) {
                again.parser = Parser::new(offset);
            }
        }
    }

    fn open(&mut self, id: SegmentId, from: StartOffset, predecessors: Vec<SegmentId>) {
        let limit = match self.ends.as_ref().and_then(|ends| ends.get(&id)) {
            Some(end) if *end >= 0 => Some(*end),
            _ => None,
        };
        let segment = Arc::new(ScopedSegment::new(&self.stream, id));
        let reader = self.reads.open(Arc::clone(&segment), from, limit);
        let (offset, is_placed) = match from {
            StartOffset::Known(offset) => (offset, true),
            StartOffset::Claimed(offset) => (offset, false),
            StartOffset::Tail => (0, false),
        };
        self.readers.insert(reader, id);
        self.active.insert(
            id,
            Active { segment, reader, parser: Parser::new(offset), predecessors, is_placed },
        );
    }

    fn forget(&mut self, id: SegmentId) -> Option<Active> {
        let mut active = self.active.remove(&id)?;
        self.readers.remove(&active.reader);
        self.reads.close(active.reader);
        let offset = active.parser.offset();
        self.reads.release(active.parser.restart(offset));
        if self.current == Some(id) {
            self.current = None;
        }
        Some(active)
    }

    fn fail(&mut self, error: ReadError) {
        let readers: Vec<ReaderId> = self.readers.drain().map(|(reader, _)| reader).collect();
        for reader in readers {
            self.reads.close(reader);
        }
        self.current = None;
        self.timer = None;
        self.state = State::Failed(Some(error));
    }

    // ---------------------------------------------------------------------------------------------------- successors

    /// The controller told who follows a segment, or did not.
    pub(crate) fn handle_successors(
        &mut self,
        id: SegmentId,
        found: Result<Vec<Successor>, LookupError>,
        now: Now,
    ) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        match found {
            Ok(successors) if successors.is_empty() => {
                self.effects.push_back(Effect::FindSegments(id))
            }
            Ok(successors) => {
                if std::mem::take(&mut passed.is_missing) {
                    let detail =
                        "the segment was truncated away; reading goes on with its successors";
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

    /// The controller told which segments there are, as one has no successors.
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
                let detail = "the segment is not there any more: its stream was deleted, and perhaps made again";
                let error =
                    ReadError::new(ErrorKind::NotFound, detail).with_offset(Offset(passed.end));
                self.fail(error.with_stream(&self.stream).with_segment(id, None, 0));
            }
            // In the middle of a scale segments are sealed before they have successors.
            Ok(_) => self.wait(id, now),
            Err(error) => self.ask_again(id, error, now),
        }
    }

    fn ask_again(&mut self, id: SegmentId, error: LookupError, now: Now) {
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

    fn wait(&mut self, id: SegmentId, now: Now) {
        let Some(passed) = self.passed.get_mut(&id) else { return };
        passed.attempts = passed.attempts.saturating_add(1);
        let until = now + self.settings.backoff.delay(passed.attempts, &mut self.random);
        passed.successors = Successors::Waiting(until);
        self.timer = Some(self.timer.map_or(until, |timer| timer.min(until)));
    }

    /// Lets the successors of a segment wait for their other predecessors, or begin.
    fn follow(&mut self, id: SegmentId, successors: Vec<Successor>) {
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

    fn is_begun(&self, id: SegmentId) -> bool {
        self.active.contains_key(&id)
            || self.passed.contains_key(&id)
            || self.finished.contains_key(&id)
    }

    /// Begins what waits for nothing any more, and forgets what all have passed.
    fn unblock(&mut self) {
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
            self.open(id, StartOffset::Known(0), ahead.predecessors);
        }
        // A segment stays in the cut as long as one of its predecessors does: whoever starts from
        // there meets it again.
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

    /// What waits for a segment that is nowhere waits for ever: where reading began, a part of the
    /// key space was missing.
    fn check_for_gaps(&mut self) {
        let is_stuck = self.active.is_empty()
            && !self.ahead.is_empty()
            && self.passed.values().all(|passed| matches!(passed.successors, Successors::Ahead(_)));
        if !is_stuck {
            return;
        }
        if self.ends.is_some() {
            // It lies behind the end, as its other predecessors do.
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
            "reading began at a place that leaves out segments: {}",
            missing.join(", ")
        );
        self.fail(ReadError::new(ErrorKind::InvalidStreamCut, detail).with_stream(&self.stream));
    }
}

impl Active {
    /// The first answer tells where a segment's tail was.
    fn place(&mut self, offset: i64) {
        if !std::mem::replace(&mut self.is_placed, true) {
            self.parser.restart(offset);
        }
    }
}

impl fmt::Debug for StreamMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMachine")
            .field("stream", &self.stream)
            .field("active", &self.active.len())
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
