//! The stream machine: its data, what a reader asks of it, and its results.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    error::ReadError,
    machine::{Cause, Now, Random},
    read::{
        machine::{Driven, ReadMachine, ReaderId, StartOffset},
        parser::{EventParser, Parsed},
    },
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{
    Backoff, KeyRange, Offset, ScopedSegment, ScopedStream, SegmentId, SegmentOffset,
};

/// What a reader does with bytes that are not a valid event: bytes that no writer of events put
/// there, or that were damaged.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CorruptEvents {
    /// The reader ends with the error.
    #[default]
    Stop,
    /// The error is returned, and reading goes on after the present end of the segment: there is
    /// no way to find the next event.
    Skip,
}

impl CorruptEvents {
    /// What an error says about bytes that are not an event, and about what follows them.
    pub(crate) fn detail(self, what: &str) -> String {
        let next = match self {
            Self::Stop => "reading stops here",
            Self::Skip => "what follows up to the segment's tail is skipped",
        };
        format!("the bytes are not an event ({what}); {next}")
    }
}

/// Settings of a stream machine, without those of its read machine.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) max_event_bytes: usize,
    pub(crate) corrupt_events: CorruptEvents,
    pub(crate) backoff: Backoff,
    /// Successors that could not be found for this long are reported; attempts go on.
    pub(crate) stall_timeout: Duration,
    pub(crate) bugs: Bugs,
}

/// Where reading ends: an offset in each of the last segments.
pub(crate) type Ends = BTreeMap<SegmentId, SegmentOffset>;

/// Where reading begins and ends.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) starts: Vec<Start>,
    /// `None` means the end of the sealed stream.
    pub(crate) ends: Option<Ends>,
}

/// A segment in which reading begins.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) id: SegmentId,
    pub(crate) from: StartOffset,
    /// Its part of the key space, if it is known.
    pub(crate) range: Option<KeyRange>,
    /// Those of its predecessors in which reading begins too, at their ends.
    pub(crate) predecessors: Vec<SegmentId>,
}

impl Start {
    /// A start without a predecessor among the others.
    pub(crate) fn new(id: SegmentId, from: StartOffset) -> Self {
        Self { id, from, range: None, predecessors: Vec::new() }
    }
}

/// What the driver must do, besides reading.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the successors of a segment: answered by [`StreamMachine::handle_successors`].
    FindSuccessors(SegmentId),
    /// It has none; find out if the stream is sealed, and once more the successors, from one
    /// instance of the controller: answered by [`StreamMachine::handle_final_successors`].
    ConfirmEnd(SegmentId),
    /// The store does not have the segment, and it has no successors; find out why: answered by
    /// [`StreamMachine::handle_segments`].
    FindSegments(SegmentId),
}

/// An event, and where it is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: Arc<ScopedSegment>,
    pub(crate) offset: i64,
    pub(crate) event: Bytes,
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<ScopedSegment>,
    pub(super) reader: ReaderId,
    pub(super) parser: EventParser,
    pub(super) predecessors: Vec<SegmentId>,
    /// Where reading began, until the first answer shows where in the segment that is.
    pub(super) unplaced: Option<SegmentOffset>,
}

/// A segment that was read to its end, and whose successors are not all being read.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) segment: Arc<ScopedSegment>,
    pub(super) end: SegmentOffset,
    pub(super) predecessors: Vec<SegmentId>,
    pub(super) successors: Successors,
    pub(super) search: Search,
    /// It was truncated; an error says so once its successors are known.
    pub(super) is_missing: bool,
}

#[derive(Debug)]
pub(super) enum Successors {
    Asking,
    /// It had none, and after that the stream did not have the segment. They are asked for once
    /// more, as a scale may have ended between the two answers.
    Confirming,
    Waiting(Now),
    /// Those that are not being read yet.
    Ahead(BTreeSet<SegmentId>),
}

/// The search for the successors of a segment.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) attempts: u32,
    /// When it began, or when it was last reported as stalled.
    pub(super) since: Option<Now>,
    /// When the controller first said that the stream does not have the segment, which ends reading
    /// if it holds.
    pub(super) gone_since: Option<Now>,
    /// When the controller was last asked for the segments of the stream.
    pub(super) asked: Now,
    /// Why the last attempt failed.
    pub(super) cause: Option<Cause>,
}

/// Whether reading has failed.
#[derive(Debug)]
pub(super) enum State {
    Reading,
    Failed(Option<ReadError>),
}

pub(crate) struct StreamMachine {
    pub(super) stream: ScopedStream,
    pub(super) settings: Settings,
    pub(super) reads: ReadMachine,
    pub(super) active: BTreeMap<SegmentId, Active>,
    pub(super) readers: HashMap<ReaderId, SegmentId>,
    pub(super) passed: BTreeMap<SegmentId, Passed>,
    /// Segments that wait for their predecessors, and for which.
    pub(super) ahead: BTreeMap<SegmentId, Ahead>,
    /// The segments in which reading began, and their parts of the key space.
    pub(super) starts: BTreeMap<SegmentId, Option<KeyRange>>,
    /// Where the caller wants it to end.
    pub(super) ends: Option<Ends>,
    pub(super) finished: Ends,
    /// The segment whose bytes are being taken apart.
    pub(super) current: Option<SegmentId>,
    pub(super) errors: VecDeque<ReadError>,
    /// The error about an event that is after all that was returned, and before everything else.
    pub(super) held_back: Option<HeldBack>,
    pub(super) effects: VecDeque<Effect>,
    pub(super) state: State,
    pub(super) random: Random,
    pub(super) timer: Option<Now>,
}

/// An error about an event, and where the event is.
#[derive(Debug)]
pub(super) struct HeldBack {
    id: SegmentId,
    offset: Offset,
    error: ReadError,
}

#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) waits_for: BTreeSet<SegmentId>,
    pub(super) predecessors: Vec<SegmentId>,
}

/// The driver of reads sees this machine alone, which passes on what is about bytes.
impl Driven for StreamMachine {
    fn reads(&self) -> &ReadMachine {
        &self.reads
    }

    fn reads_mut(&mut self) -> &mut ReadMachine {
        &mut self.reads
    }

    fn timeout(&self) -> Option<Now> {
        self.timeout()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }
}

impl StreamMachine {
    pub(crate) fn new(
        stream: ScopedStream,
        settings: Settings,
        reads: ReadMachine,
        bounds: Bounds,
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
            starts: bounds.starts.iter().map(|start| (start.id, start.range)).collect(),
            ends: bounds.ends,
            finished: BTreeMap::new(),
            current: None,
            errors: VecDeque::new(),
            held_back: None,
            effects: VecDeque::new(),
            state: State::Reading,
            random,
            timer: None,
        };
        for start in bounds.starts {
            machine.open(start.id, start.from, start.predecessors);
        }
        machine
    }

    /// The position of reading, as the offset of the next event of each segment. Reading can
    /// start again from there.
    pub(crate) fn cut(&self) -> BTreeMap<SegmentId, SegmentOffset> {
        let passed = self.passed.iter().map(|(id, passed)| (*id, passed.end));
        let finished = self.finished.iter().map(|(id, end)| (*id, *end));
        let is_ahead = self.settings.bugs.has(SeededBug::CutsAhead);
        let active = self.active.iter().map(|(id, active)| match active.position() {
            SegmentOffset::At(Offset(offset)) if is_ahead => {
                (*id, Offset(offset + active.parser.held() as i64).into())
            }
            position => (*id, position),
        });
        let mut cut: BTreeMap<_, _> = passed.chain(finished).chain(active).collect();
        if let Some(held_back) = &self.held_back {
            cut.insert(held_back.id, held_back.offset.into());
        }
        cut
    }

    /// The segments that are being read, and the offset of the next event of each; the end for
    /// those that were read to their ends and are not followed by all their successors yet.
    pub(crate) fn owned(&self) -> Vec<(Arc<ScopedSegment>, SegmentOffset)> {
        let position = |active: &Active| match &self.held_back {
            Some(held_back) if held_back.id == active.segment.id() => held_back.offset.into(),
            _ => active.position(),
        };
        let active =
            self.active.values().map(|active| (Arc::clone(&active.segment), position(active)));
        let passed =
            self.passed.values().map(|passed| (Arc::clone(&passed.segment), SegmentOffset::End));
        passed.chain(active).collect()
    }

    /// The bug that is switched on, if any.
    pub(crate) fn bugs(&self) -> Bugs {
        self.settings.bugs
    }

    /// Returns true if no event and no error will come.
    pub(crate) fn is_done(&self) -> bool {
        let is_over = match &self.state {
            State::Failed(error) => error.is_none(),
            State::Reading => {
                self.active.is_empty() && self.passed.is_empty() && self.ahead.is_empty()
            }
        };
        is_over && self.errors.is_empty() && self.held_back.is_none()
    }

    /// The next event or error; `None` if there is none yet.
    pub(crate) fn poll(&mut self) -> Option<Result<Found, ReadError>> {
        if let Some(held_back) = self.held_back.take() {
            return Some(Err(held_back.error));
        }
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
            if !self.errors.is_empty() || matches!(self.state, State::Failed(_)) {
                continue;
            }
            let (reader, delivery) = self.reads.poll_delivery()?;
            self.take(reader, delivery);
        }
    }

    /// The next event that has arrived; `None` if an error comes first.
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

    /// Returns this error before anything else.
    fn put_back(&mut self, error: ReadError) {
        self.errors.push_front(error);
    }

    /// Returns this error, about an event that was taken last, before anything else. Until then the
    /// event is not part of the position of reading.
    pub(crate) fn hold_back(&mut self, id: SegmentId, offset: Offset, error: ReadError) {
        self.held_back = Some(HeldBack { id, offset, error });
    }

    /// The next event of the segment whose bytes are being taken apart.
    fn next_of_current(&mut self) -> Option<Found> {
        let id = self.current?;
        let Some(active) = self.active.get_mut(&id) else {
            self.current = None;
            return None;
        };
        match active.parser.next(self.settings.max_event_bytes) {
            Parsed::Event { offset, event, released } => {
                self.reads.release(released);
                Some(Found { segment: Arc::clone(&active.segment), offset, event })
            }
            Parsed::More { released, expected } => {
                self.reads.release(released);
                if let Some(expected) = expected {
                    self.reads.expect(active.reader, Offset(expected));
                }
                self.current = None;
                None
            }
            Parsed::Corrupt { offset, found } => {
                self.current = None;
                self.corrupt(id, offset, &found.to_string());
                None
            }
        }
    }

    /// Returns true if the driver must do something besides reading.
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// What the driver must do next, besides reading.
    pub(crate) fn poll_effect(&mut self, now: Now) -> Option<Effect> {
        let effect = self.effects.pop_front()?;
        let (Effect::FindSuccessors(id) | Effect::ConfirmEnd(id) | Effect::FindSegments(id)) =
            effect;
        self.search_began(id, now);
        Some(effect)
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
                Successors::Waiting(until) => arm(&mut self.timer, until),
                Successors::Asking | Successors::Confirming | Successors::Ahead(_) => {}
            }
        }
        self.report_stalls(now);
    }

    pub(super) fn open(&mut self, id: SegmentId, from: StartOffset, predecessors: Vec<SegmentId>) {
        let end = self.ends.as_ref().and_then(|ends| ends.get(&id));
        let limit = end.and_then(|end| end.offset());
        let segment = Arc::new(ScopedSegment::new(&self.stream, id));
        // Reading ends in segments that follow this one, which only do once it is sealed.
        let is_followed = self.ends.is_some() && end.is_none();
        let reader = if is_followed {
            self.reads.open_sealed(Arc::clone(&segment), from)
        } else {
            self.reads.open(Arc::clone(&segment), from, limit)
        };
        let (offset, unplaced) = match from {
            StartOffset::Known(offset) => (offset, None),
            StartOffset::Claimed(offset) => (offset, Some(offset.into())),
            StartOffset::Tail => (Offset(0), Some(SegmentOffset::End)),
        };
        let parser = EventParser::new(offset.0);
        self.readers.insert(reader, id);
        self.active.insert(id, Active { segment, reader, parser, predecessors, unplaced });
    }

    pub(super) fn forget(&mut self, id: SegmentId) -> Option<Active> {
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

    /// Ends reading with this error.
    pub(crate) fn fail(&mut self, error: ReadError) {
        let readers: Vec<ReaderId> = self.readers.drain().map(|(reader, _)| reader).collect();
        for reader in readers {
            self.reads.close(reader);
        }
        self.current = None;
        self.timer = None;
        self.state = State::Failed(Some(error));
    }
}

impl Active {
    /// The first reply shows where in the segment reading began.
    pub(super) fn place(&mut self, offset: Offset) {
        if self.unplaced.take().is_some() {
            self.parser.restart(offset.0);
        }
    }

    /// The offset of the next event.
    pub(super) fn position(&self) -> SegmentOffset {
        self.unplaced.unwrap_or(SegmentOffset::At(Offset(self.parser.offset())))
    }
}

/// Sets a timer, unless it is due earlier.
pub(super) fn arm(timer: &mut Option<Now>, at: Now) {
    *timer = Some(timer.map_or(at, |timer| timer.min(at)));
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
