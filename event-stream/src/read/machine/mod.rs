//! Decides what is read of many segments, and when, so that their bytes come in order and never
//! more of them than there is room for.
//!
//! ```text
//!   open ──▶ Locating ──▶ At(location) ──▶ reads ──▶ data, in order ──▶ end of the segment
//!                ▲            │
//!                └── Waiting ◀┘ a store failed, or turned the segment away
//! ```
//!
//! Two kinds of reads differ. Below the length that a segment is known to have, several are under
//! way at once, and one budget bounds them all together with what has arrived. At the tail, where a
//! store answers only when something is appended, each segment has one, of a length that is small
//! enough for all of them to come back at once.
//!
//! What is deliberately absent: what the bytes mean, and what comes after a segment.

mod lane;
mod window;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_types::{Endpoint, ErrorKind, ScopedSegment};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{GetStreamSegmentInfo, ReadSegment, SegmentRead, StreamSegmentInfo},
};

use self::{
    lane::{Asked, Lane, Last, Look, Place},
    window::Window,
};
use crate::{
    error::ReadError,
    machine::{Backoff, Location, LookupError, Misbehaviour, Now, Random, Token},
    seeded_bugs::{Bugs, SeededBug},
};

/// What a read machine is given.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How many bytes may be under way or wait, over all segments.
    pub(crate) budget: usize,
    /// The longest read.
    pub(crate) max_read: usize,
    pub(crate) backoff: Backoff,
    /// A segment that could not be read for this long is reported, and tried on.
    pub(crate) stall_timeout: Duration,
    pub(crate) bugs: Bugs,
}

/// As long as Java's buffer, and half of what the server gives at once.
pub(crate) const MAX_READ: usize = 1 << 20;
/// The longest read at a tail. What comes in there is younger than the read before it.
const MAX_TAIL_READ: usize = 256 << 10;
/// However many segments there are, no read is shorter.
const MIN_READ: usize = 64 << 10;
const MIN_TAIL_READ: usize = 2 << 10;
/// Failures that are further apart belong to different troubles. Longer than a back-off, a lookup
/// and a request together.
const SAME_TROUBLE: Duration = Duration::from_secs(90);
/// After this many answers in a row that cannot be, a segment is given up.
const MAX_STRIKES: u32 = 5;

/// Names a segment that is being read. A segment that is opened again gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId(u64);

/// Where in a segment to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The segment is known to reach so far.
    Known(i64),
    /// The segment has to be asked whether it reaches so far; negative is its end.
    Claimed(i64),
    /// Where the segment ends by now.
    Tail,
}

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the store of a segment, and a token: answered by [`ReadMachine::handle_located`].
    Locate(LaneId, Arc<ScopedSegment>),
    /// The endpoint does not serve the segment: what is remembered of that is wrong.
    Forget(Arc<ScopedSegment>, Endpoint),
    /// The token ended: what is remembered of it is wrong.
    TokenExpired(Arc<ScopedSegment>, Token),
    /// Read: answered by [`ReadMachine::handle_read`].
    Read { lane: LaneId, read: u64, endpoint: Endpoint, request: ReadSegment, patience: Patience },
    /// Ask how long a segment is: answered by [`ReadMachine::handle_inspected`].
    Inspect { lane: LaneId, endpoint: Endpoint, request: GetStreamSegmentInfo },
    /// Nothing of it is wanted any more.
    Abandon(LaneId),
}

/// How long the answer to a read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The bytes are there.
    Request,
    /// They may not have been written yet.
    Tail,
}

/// What came of reading a segment, in order.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Bytes of the segment from `offset` on. They count against the budget until
    /// [`ReadMachine::release`].
    Data { offset: i64, data: Bytes },
    /// The bytes from `asked` up to `head` were truncated away; what follows comes from `head` on.
    Truncated { asked: i64, head: i64 },
    /// The end: of a sealed segment, or where the caller wanted it.
    End { offset: i64 },
    /// The segment is not there any more.
    Missing,
    /// The segment has `length` bytes, and does not reach where it was, or was said to be. It is
    /// not read any further.
    Short { length: i64 },
    /// For as long as the settings allow nothing could be read. It is tried on.
    Stalled(ReadError),
    /// It cannot be read.
    Failed(ReadError),
}

/// Reads many segments. Call [`Self::open`] for each, [`Self::poll_delivery`] for what comes of
/// them, and carry out what [`Self::poll_effect`] says.
pub(crate) struct ReadMachine {
    settings: Settings,
    lanes: BTreeMap<LaneId, Lane>,
    next_lane: u64,
    next_read: u64,
    effects: VecDeque<Effect>,
    /// Those that have something to hand out, in turn.
    ready: VecDeque<LaneId>,
    /// Those that want to read what is there, in turn.
    hungry: VecDeque<LaneId>,
    /// The segment that may go beyond the budget, as otherwise nothing would move.
    favoured: Option<LaneId>,
    /// Bytes of reads below the known length that are under way.
    asked: usize,
    /// Bytes that have arrived and were not released.
    held: usize,
    random: Random,
    timer: Option<Now>,
}

impl ReadMachine {
    pub(crate) fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            lanes: BTreeMap::new(),
            next_lane: 0,
            next_read: 0,
            effects: VecDeque::new(),
            ready: VecDeque::new(),
            hungry: VecDeque::new(),
            favoured: None,
            asked: 0,
            held: 0,
            random,
            timer: None,
        }
    }

    // ------------------------------------------------------------------------------------------------------ commands

    /// Begins to read a segment, up to `limit` if there is one.
    pub(crate) fn open(
        &mut self,
        segment: Arc<ScopedSegment>,
        from: From,
        limit: Option<i64>,
    ) -> LaneId {
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        let lane = Lane::new(segment, from, limit);
        self.lanes.insert(id, lane);
        self.locate(id);
        self.touch(id);
        id
    }

    /// Stops reading a segment; what was not handed out of it is forgotten.
    pub(crate) fn close(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        self.held -= lane.window.arrived();
        self.asked -= lane
            .reads
            .values()
            .filter(|read| read.patience == Patience::Request)
            .map(|read| read.len)
            .sum::<usize>();
        self.ready.retain(|ready| *ready != id);
        self.hungry.retain(|hungry| *hungry != id);
        self.effects.push_back(Effect::Abandon(id));
    }

    /// Bytes that were handed out are done with.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// The caller has seen that the segment must reach up to `offset`. If it does not, it is
    /// [`Delivery::Short`].
    pub(crate) fn expect(&mut self, id: LaneId, offset: i64) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.expected = offset;
        if offset > lane.known_len && lane.look == Look::No {
            lane.look = Look::Wanted;
            self.inspect(id);
        }
    }

    // ------------------------------------------------------------------------------------------------------- answers

    /// The controller told where a segment is, or did not.
    pub(crate) fn handle_located(
        &mut self,
        id: LaneId,
        found: Result<Location, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if !matches!(lane.place, Place::Locating) {
            return;
        }
        match found {
            Ok(location) => {
                lane.place = Place::At(location);
                self.inspect(id);
                self.touch(id);
            }
            Err(error) if error.kind.is_retryable() => self.failed(id, error, now),
            Err(error) => {
                let failure = ReadError::not(error.kind, "the segment's store cannot be found");
                self.give_up(id, failure.because(Some(error.cause)));
            }
        }
    }

    /// A read was answered, or was not.
    pub(crate) fn handle_read(
        &mut self,
        id: LaneId,
        read: u64,
        answer: Result<WireCommand, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some(asked) = lane.reads.remove(&read) else { return };
        if asked.patience == Patience::Request {
            self.asked -= asked.len;
        }
        let is_old = read < lane.era;
        match answer {
            Ok(WireCommand::SegmentRead(reply)) if reply.offset == asked.offset => {
                self.take_data(id, read, reply, now);
            }
            other => {
                lane.window.fail(read);
                match other {
                    // At a tail that is quiet for long, it is asked again: nobody knows whether the
                    // store still remembers.
                    Err(error)
                        if asked.patience == Patience::Tail && error.kind == ErrorKind::Timeout =>
                    {
                        self.look_again(id);
                    }
                    Err(error) if !is_old => self.lost(id, error, now),
                    Err(_) => {}
                    Ok(refusal) => self.refused(id, &refusal, is_old, now),
                }
            }
        }
        self.touch(id);
    }

    /// A segment told how long it is, or did not.
    pub(crate) fn handle_inspected(
        &mut self,
        id: LaneId,
        answer: Result<WireCommand, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Look::UnderWay { floor, is_needed } = lane.look else { return };
        lane.look = Look::No;
        match answer {
            Ok(WireCommand::StreamSegmentInfo(info)) => self.take_info(id, floor, &info),
            other => {
                lane.look = if is_needed { Look::Needed } else { Look::Wanted };
                match other {
                    Ok(refusal) => self.refused(id, &refusal, false, now),
                    Err(error) => self.lost(id, error, now),
                }
            }
        }
        self.touch(id);
    }

    fn take_data(&mut self, id: LaneId, read: u64, reply: SegmentRead, now: Now) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let is_empty = reply.data.is_empty();
        let end = reply.offset + reply.data.len() as i64;
        let useful = lane.window.arrive(read, reply.data);
        self.held += useful;
        if reply.end_of_segment {
            lane.set_end(end);
        }
        if !is_empty {
            lane.known_len = lane.known_len.max(end);
        }
        if useful > 0 || reply.end_of_segment {
            (lane.attempts, lane.strikes, lane.failing_since) = (0, 0, None);
            let is_behind =
                !reply.at_tail && !reply.end_of_segment && lane.window.frontier() >= lane.known_len;
            if is_behind && lane.look == Look::No {
                // There is more; how much, the segment can tell.
                lane.look = Look::Wanted;
                self.inspect(id);
            }
        } else if is_empty {
            // A segment that nobody wrote to for a while, or one that was deleted.
            lane.look = Look::Needed;
            lane.attempts = lane.attempts.saturating_add(1);
            self.wait(id, now);
        }
    }

    fn take_info(&mut self, id: LaneId, floor: i64, info: &StreamSegmentInfo) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let length = info.write_offset;
        match lane.start.take() {
            None => {}
            Some(From::Known(offset)) => lane.window = Window::new(offset),
            Some(From::Tail) => lane.window = Window::new(length),
            Some(From::Claimed(offset)) => {
                let offset = if offset < 0 { length } else { offset };
                lane.window = Window::new(offset);
                if offset > length {
                    lane.last = Some(Last::Short(length));
                    return;
                }
            }
        }
        if length < floor {
            lane.last = Some(Last::Short(length));
            return;
        }
        lane.known_len = lane.known_len.max(length);
        lane.head = lane.head.max(info.start_offset);
        if info.is_sealed {
            let is_early =
                self.settings.bugs.has(SeededBug::EndsEarly) && lane.window.next() < length;
            lane.set_end(if is_early { lane.window.next() } else { length });
        }
        if lane.expected > length && lane.expected > lane.known_len {
            lane.last = Some(Last::Short(length));
        }
    }

    /// A store did not do what it was asked.
    fn refused(&mut self, id: LaneId, refusal: &WireCommand, is_old: bool, now: Now) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        match refusal {
            WireCommand::SegmentIsSealed(sealed) => lane.set_end(sealed.offset.max(lane.known_len)),
            WireCommand::SegmentIsTruncated(truncated) => {
                lane.head = lane.head.max(truncated.start_offset);
                lane.known_len = lane.known_len.max(truncated.start_offset);
                // It must begin behind what was asked for; otherwise this would go on for ever.
                if truncated.start_offset <= truncated.offset {
                    self.strike(id, "it calls an offset truncated that is not", now);
                }
            }
            WireCommand::NoSuchSegment(_) => lane.last = Some(Last::Missing),
            _ if is_old => {}
            WireCommand::WrongHost(_) => {
                if let Place::At(location) = &lane.place {
                    let endpoint = location.endpoint.clone();
                    self.effects.push_back(Effect::Forget(Arc::clone(&lane.segment), endpoint));
                }
                let cause = Misbehaviour("another segment store has the segment".to_owned()).into();
                self.move_on(id, LookupError { kind: ErrorKind::WrongHost, cause }, now);
            }
            WireCommand::AuthTokenCheckFailed(failed)
                if failed.error_code == TokenFailure::Expired =>
            {
                if let Place::At(location) = &lane.place {
                    let token = location.token.clone();
                    self.effects.push_back(Effect::TokenExpired(Arc::clone(&lane.segment), token));
                }
                let cause = Misbehaviour("the delegation token expired".to_owned()).into();
                self.move_on(id, LookupError { kind: ErrorKind::TokenExpired, cause }, now);
            }
            WireCommand::AuthTokenCheckFailed(_) => {
                let detail = "the segment store refused the delegation token";
                self.give_up(id, ReadError::not(ErrorKind::PermissionDenied, detail));
            }
            WireCommand::OperationUnsupported(_) => {
                self.give_up(
                    id,
                    ReadError::not(ErrorKind::Unsupported, "the segment store cannot read"),
                );
            }
            WireCommand::ErrorMessage(message)
                if message.error_code == FailureCode::IllegalArgument =>
            {
                let detail = format_args!("the segment store says: {}", message.message);
                self.give_up(id, ReadError::not(ErrorKind::InvalidArgument, detail));
            }
            WireCommand::ErrorMessage(message) => {
                let cause =
                    Misbehaviour(format!("the segment store says: {}", message.message)).into();
                self.failed(id, LookupError { kind: ErrorKind::ServerFailure, cause }, now);
            }
            other => self.strike(id, &format!("it answered {} to a read", other.name()), now),
        }
    }

    // ---------------------------------------------------------------------------------------------------------- time

    /// When [`Self::handle_timeout`] is to be called, if nothing changes it before.
    pub(crate) fn timeout(&self) -> Option<Now> {
        self.timer
    }

    /// Does what is due, and finds out when the next thing is.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in lanes {
            let Some(lane) = self.lanes.get(&id) else { continue };
            match lane.place {
                Place::Waiting(until) if until <= now => self.locate(id),
                Place::Waiting(until) => self.arm(until),
                Place::Locating | Place::At(_) => {}
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------- results

    /// What is to be done next outside.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.feed();
        }
        self.effects.pop_front()
    }

    /// What has come of a segment; none if nothing can be handed out now.
    pub(crate) fn poll_delivery(&mut self) -> Option<(LaneId, Delivery)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.is_ready = false;
            let arrived = lane.window.arrived();
            let delivery = lane.deliver();
            // What was skipped is nobody's any more; what is handed out is, until it is released.
            let (left, taken) = (lane.window.arrived(), delivery.as_ref().map_or(0, Delivery::len));
            self.held -= arrived - left - taken;
            self.touch(id);
            if let Some(delivery) = delivery {
                return Some((id, delivery));
            }
        }
        None
    }

    // ------------------------------------------------------------------------------------------------------- reading

    /// Asks for as much as there is room for, segment after segment.
    fn feed(&mut self) {
        let (mut left, read_len) = (self.hungry.len(), self.read_len());
        while left > 0
            && let Some(id) = self.hungry.pop_front()
        {
            left -= 1;
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.is_hungry = false;
            if let Some((offset, len)) = lane.wants(read_len) {
                if self.asked + self.held + len > self.settings.budget / 2 {
                    lane.is_hungry = true;
                    self.hungry.push_front(id);
                    break;
                }
                self.ask(id, offset, len, Patience::Request);
                self.touch(id);
            }
        }
        // With nothing under way and nothing to hand out, somebody has begun an event that is
        // larger than all the room.
        if self.asked == 0 && self.ready.is_empty() {
            let read_len = self.read_len();
            let favoured = self
                .favoured
                .filter(|id| self.hungry.contains(id))
                .or(self.hungry.front().copied());
            self.favoured = favoured;
            if let Some(id) = favoured {
                self.hungry.retain(|hungry| *hungry != id);
                let Some(lane) = self.lanes.get_mut(&id) else { return };
                lane.is_hungry = false;
                if let Some((offset, len)) = lane.wants(read_len) {
                    self.ask(id, offset, len, Patience::Request);
                }
                self.touch(id);
            }
        }
    }

    fn read_len(&self) -> usize {
        (self.settings.budget / 2 / self.lanes.len().max(1))
            .max(MIN_READ)
            .min(self.settings.max_read)
    }

    /// All tails may come back at once, with as much as was asked for.
    fn tail_read_len(&self) -> usize {
        (self.settings.budget / 2 / self.lanes.len().max(1))
            .clamp(MIN_TAIL_READ, MAX_TAIL_READ)
            .min(self.settings.max_read)
    }

    /// Puts a segment into the rows that it belongs to, and asks at its tail if nothing else is to
    /// be done.
    fn touch(&mut self, id: LaneId) {
        let (read_len, tail_len) = (self.read_len(), self.tail_read_len());
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if self.settings.bugs.has(SeededBug::SkipsGaps)
            && let Some((gap, len)) = lane.window.first_open()
            && gap == lane.window.next()
        {
            lane.window.skip_to(gap + len);
        }
        if !lane.is_ready && lane.can_deliver() {
            lane.is_ready = true;
            self.ready.push_back(id);
        }
        if lane.is_hungry {
            return;
        }
        if lane.wants(read_len).is_some() {
            lane.is_hungry = true;
            self.hungry.push_back(id);
        } else if let Some((offset, len)) = lane.wants_at_tail(tail_len) {
            self.ask(id, offset, len, Patience::Tail);
        }
    }

    fn ask(&mut self, id: LaneId, offset: i64, len: usize, patience: Patience) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Place::At(location) = &lane.place else { return };
        let read = self.next_read;
        self.next_read += 1;
        lane.window.ask(offset, len as i64, read);
        lane.reads.insert(read, Asked { offset, len, patience });
        if patience == Patience::Request {
            self.asked += len;
        }
        let request = ReadSegment {
            segment: lane.name.clone(),
            offset,
            suggested_length: i32::try_from(len).unwrap_or(i32::MAX),
            delegation_token: location.token.0.clone(),
            request_id: 0,
        };
        self.effects.push_back(Effect::Read {
            lane: id,
            read,
            endpoint: location.endpoint.clone(),
            request,
            patience,
        });
    }

    fn inspect(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let is_needed = match lane.look {
            Look::Wanted => false,
            Look::Needed => true,
            Look::No | Look::UnderWay { .. } => return,
        };
        let Place::At(location) = &lane.place else { return };
        lane.look = Look::UnderWay { floor: lane.known_len, is_needed };
        let request = GetStreamSegmentInfo {
            request_id: 0,
            segment_name: lane.name.clone(),
            delegation_token: location.token.0.clone(),
        };
        self.effects.push_back(Effect::Inspect {
            lane: id,
            endpoint: location.endpoint.clone(),
            request,
        });
    }

    // ------------------------------------------------------------------------------------------------------- failing

    fn look_again(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && lane.look == Look::No
        {
            lane.look = Look::Needed;
            self.inspect(id);
        }
    }

    /// A request did not come through.
    fn lost(&mut self, id: LaneId, error: LookupError, now: Now) {
        if error.kind == ErrorKind::Protocol {
            return self.strike(id, &error.cause.to_string(), now);
        }
        if !error.kind.is_retryable() && error.kind != ErrorKind::Closed {
            let failure = ReadError::not(error.kind, "the segment store cannot be used");
            return self.give_up(id, failure.because(Some(error.cause)));
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        // It served until now: once more to the same address, before the controller is asked.
        if lane.attempts > 0
            && let Place::At(location) = &lane.place
        {
            let endpoint = location.endpoint.clone();
            self.effects.push_back(Effect::Forget(Arc::clone(&lane.segment), endpoint));
        }
        self.failed(id, error, now);
    }

    fn strike(&mut self, id: LaneId, reason: &str, now: Now) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.strikes += 1;
        if lane.strikes >= MAX_STRIKES {
            return self.give_up(
                id,
                ReadError::not(ErrorKind::Protocol, format_args!("the segment store: {reason}")),
            );
        }
        let cause = Misbehaviour(reason.to_owned()).into();
        self.failed(id, LookupError { kind: ErrorKind::Protocol, cause }, now);
    }

    /// A store turned the segment away: the next is tried at once the first time.
    fn move_on(&mut self, id: LaneId, error: LookupError, now: Now) {
        let is_first = self.lanes.get(&id).is_some_and(|lane| lane.attempts == 0);
        self.failed(id, error, now);
        if is_first {
            self.locate(id);
        }
    }

    fn failed(&mut self, id: LaneId, error: LookupError, now: Now) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let cause = Arc::clone(&error.cause);
        // A tail may have been quiet since the last failure: then this one has nothing to do with
        // it.
        if now.saturating_sub(std::mem::replace(&mut lane.last_failure, now)) > SAME_TROUBLE {
            (lane.attempts, lane.failing_since) = (0, None);
        }
        lane.attempts = lane.attempts.saturating_add(1);
        if lane.look == Look::No || lane.look == Look::Wanted {
            // The stream may have been made again meanwhile.
            lane.look = Look::Needed;
        }
        let since = *lane.failing_since.get_or_insert(now);
        if now.saturating_sub(since) >= self.settings.stall_timeout {
            lane.failing_since = Some(now);
            let detail =
                format_args!("nothing could be read for {:?}", self.settings.stall_timeout);
            let failure = lane.about_it(ReadError::not(ErrorKind::Unavailable, detail));
            lane.stalled = Some(failure.because(Some(error.cause)));
        }
        tracing::debug!(segment = %lane.segment, attempts = lane.attempts, %cause, "reading failed");
        self.wait(id, now);
        self.touch(id);
    }

    fn give_up(&mut self, id: LaneId, error: ReadError) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.last = Some(Last::Failed(lane.about_it(error)));
        }
        self.touch(id);
    }

    fn wait(&mut self, id: LaneId, now: Now) {
        let attempts = self.lanes.get(&id).map_or(0, |lane| lane.attempts);
        let until = now
            + self.settings.backoff.delay(attempts, &mut self.random).max(Duration::from_millis(1));
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.place = Place::Waiting(until);
            lane.era = self.next_read;
            if let Look::UnderWay { is_needed, .. } = lane.look {
                lane.look = if is_needed { Look::Needed } else { Look::Wanted };
            }
        }
        self.arm(until);
    }

    fn locate(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.place = Place::Locating;
            self.effects.push_back(Effect::Locate(id, Arc::clone(&lane.segment)));
        }
    }

    fn arm(&mut self, at: Now) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }
}

impl Delivery {
    fn len(&self) -> usize {
        match self {
            Self::Data { data, .. } => data.len(),
            _ => 0,
        }
    }
}

impl fmt::Debug for ReadMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadMachine")
            .field("lanes", &self.lanes.len())
            .field("asked", &self.asked)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
