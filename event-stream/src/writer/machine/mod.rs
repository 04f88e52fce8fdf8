//! Decides for all segments of a stream: which segment an event goes to, which connection a segment
//! uses, and what happens when either fails.
//!
//! Events come in through [`WriterMachine::write`]; what happened outside through the `handle_*`
//! methods, each with the time since the writer was made. What is to be done comes out of
//! [`WriterMachine::poll_effect`] (ask the controller, connect), [`WriterMachine::transmit`] (bytes
//! for a connection), [`WriterMachine::take_completions`] (events that are done),
//! [`WriterMachine::poll_flushed`], and [`WriterMachine::timeout`] (when to call
//! [`WriterMachine::handle_timeout`]).
//!
//! *Invariant:* events of one routing key are in one lane, in the order in which they came in. A
//! lane whose segment was sealed keeps its events, and takes new ones, until its successors are
//! known; then all of them move, in order.

mod flush;
mod lane;
mod link;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use pravega_sdk_segment_client::{
    error::WriteError,
    machine::Cause,
    machine::{Backoff, Location, LookupError, Misbehaviour, Now, Random, Token},
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{
    Endpoint, ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream, SegmentId, SegmentMap,
    Successor, TransactionId, segment_name,
};
use pravega_sdk_wire_protocol::{FlowId, FlowIds, RequestId, SendBuffer, WireCommand};
use uuid::Uuid;

pub(crate) use self::link::LinkId;
use self::{
    flush::Flushes,
    lane::{Lane, Place},
    link::{Link, LinkState},
};
use crate::append::machine::{
    AppendMachine, Limits, Verdict,
    item::{Completion, Item},
};

/// What is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The segments of a stream, and their successors.
    Stream,
    /// The segments of a transaction, which have none.
    Transaction(TransactionId),
    /// The one segment of a byte stream.
    Bytes,
}

/// What a writer machine is given besides events.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// How long an event may wait for its acknowledgement.
    pub(crate) delivery_timeout: Duration,
    /// How long a set-up may wait for its answer.
    pub(crate) request_timeout: Duration,
    pub(crate) backoff: Backoff,
}

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the store of a segment, and a token: answered by [`WriterMachine::handle_located`].
    Locate(SegmentId),
    /// The endpoint does not serve the segment: what is remembered of that is wrong.
    Forget(SegmentId, Endpoint),
    /// The token ended: what is remembered of it is wrong.
    TokenExpired(Token),
    /// Connect: answered by [`WriterMachine::handle_connected`] or [`WriterMachine::handle_lost`].
    Connect(LinkId, Endpoint),
    /// The connection is to be closed; nothing of it is wanted any more.
    Close(LinkId),
    /// Find the successors of a sealed segment: answered by [`WriterMachine::handle_successors`].
    FindSuccessors(SegmentId),
    /// It has none; find out why: answered by [`WriterMachine::handle_segments`].
    FindSegments(SegmentId),
}

/// After this many answers in a row that cannot be, the events are given up: a bad request, or a
/// bad server, repeats for ever.
const MAX_STRIKES: u32 = 5;
/// More is put into a connection's buffer only below this: what waits behind it grows into larger
/// blocks.
const SEND_HIGH_WATER: usize = 1 << 20;

pub(crate) struct WriterMachine<T, W> {
    stream: ScopedStream,
    target: Target,
    settings: Settings,
    map: SegmentMap,
    lanes: BTreeMap<SegmentId, Lane<T>>,
    flows: HashMap<FlowId, SegmentId>,
    flow_ids: FlowIds,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    effects: VecDeque<Effect>,
    completions: Vec<Completion<T>>,
    flushes: Flushes<W>,
    random: Random,
    timer: Option<Now>,
    /// Why nothing can be written any more.
    ended: Option<WriteError>,
    bugs: Bugs,
}

impl<T, W> WriterMachine<T, W> {
    pub(crate) fn new(
        stream: ScopedStream,
        target: Target,
        map: SegmentMap,
        settings: Settings,
        random: Random,
        bugs: Bugs,
    ) -> Self {
        Self {
            stream,
            target,
            settings,
            map,
            lanes: BTreeMap::new(),
            flows: HashMap::new(),
            flow_ids: FlowIds::default(),
            links: BTreeMap::new(),
            next_link: 0,
            effects: VecDeque::new(),
            completions: Vec::new(),
            flushes: Flushes::default(),
            random,
            timer: None,
            ended: None,
            bugs,
        }
    }

    // ------------------------------------------------------------------------------------------------------ commands

    /// Takes an event. A position that is not a number stands for no routing key: it is chosen
    /// here.
    pub(crate) fn write(&mut self, mut item: Item<T>) {
        item.generation = self.flushes.begin();
        if item.position.is_nan() {
            item.position = self.fraction();
        }
        self.route(item);
    }

    /// Takes somebody who waits for all events that came in so far.
    pub(crate) fn flush(&mut self, waiter: W) {
        self.flushes.wait(waiter);
    }

    /// Ends the writer: every event fails, those that come later too.
    pub(crate) fn end(&mut self, error: WriteError) {
        for lane in self.lanes.values_mut() {
            lane.appends.fail_all(&error, &mut self.completions);
        }
        self.lanes.clear();
        self.flows.clear();
        for link in std::mem::take(&mut self.links).into_keys() {
            self.effects.push_back(Effect::Close(link));
        }
        self.ended.get_or_insert(error);
    }

    // ----------------------------------------------------------------------------------------------------- questions

    /// Up to where each segment that takes events now is known to be written; −1 where nothing is
    /// known.
    pub(crate) fn tail_offsets(&self) -> Vec<(SegmentId, Offset)> {
        let mut tails = BTreeMap::new();
        for (_, id, _) in self.map.iter() {
            let tail = self.lanes.get(&id).and_then(|lane| lane.appends.tail_offset());
            tails.insert(id, Offset(tail.unwrap_or(-1)));
        }
        tails.into_iter().collect()
    }

    /// How many events are not done.
    pub(crate) fn outstanding(&self) -> usize {
        self.flushes.outstanding()
    }

    /// Says whether a store owes an answer on `link`.
    pub(crate) fn is_waiting(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.waiting > 0)
    }

    /// Says whether a connection is in use.
    pub(crate) fn is_open(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.state == LinkState::Open)
    }

    /// Says whether there is something to put into a connection's buffer.
    pub(crate) fn has_to_send(&self, link: LinkId) -> bool {
        self.links
            .get(&link)
            .is_some_and(|link| link.state == LinkState::Open && !link.ready.is_empty())
    }

    // --------------------------------------------------------------------------------------------------- connections

    /// A connection is there.
    pub(crate) fn handle_connected(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            self.effects.push_back(Effect::Close(id));
            return;
        };
        link.state = LinkState::Open;
        for segment in link.lanes.clone() {
            self.queue(segment);
        }
    }

    /// A connection did not come about, or ended.
    pub(crate) fn handle_lost(&mut self, id: LinkId, error: LookupError, now: Now) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let was_open = link.state == LinkState::Open;
        // Without a set-up since it was made, it counts as one that never came about.
        link.attempts = link.attempts.saturating_add(1);
        link.ready.clear();
        link.waiting = 0;
        let (attempts, endpoint) = (link.attempts, link.endpoint.clone());
        let lanes = std::mem::take(&mut link.lanes);
        // A connection that nobody waits for is forgotten, with its attempts; those who wait
        // remember theirs.
        let failures = lanes
            .iter()
            .filter_map(|segment| self.lanes.get(segment))
            .map(|lane| lane.attempts + 1)
            .max();
        let until = now + self.backoff(attempts.max(failures.unwrap_or(0)));
        tracing::debug!(stream = %self.stream, %endpoint, error = %error.cause, ?until, "connection of the writer ended");
        let mut kept = BTreeSet::new();
        for segment in lanes {
            let Some(lane) = self.lanes.get_mut(&segment) else { continue };
            lane.appends.detach();
            (lane.is_queued, lane.is_waiting) = (false, false);
            if lane.appends.is_empty() {
                lane.place = Place::Idle;
            } else {
                lane.failed(Arc::clone(&error.cause));
                if was_open && attempts == 1 {
                    // It served until now: once more to the same address, before the controller is
                    // asked.
                    kept.insert(segment);
                    continue;
                }
                lane.place = Place::Waiting(until);
            }
            self.effects.push_back(Effect::Forget(segment, endpoint.clone()));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.lanes = kept;
            link.state = LinkState::Waiting(until);
        }
        if !error.kind.is_retryable() {
            self.give_up_on(&endpoint, &error);
        }
        self.arm(until);
    }

    /// Whoever waits for a store that cannot be used at all (another protocol, another certificate)
    /// is told so.
    fn give_up_on(&mut self, endpoint: &Endpoint, error: &LookupError) {
        if error.kind == ErrorKind::Protocol {
            return;
        }
        let failure =
            WriteError::new(error.kind, Outcome::NotApplied, "the segment store cannot be used");
        let failure = failure.with_stream(&self.stream).with_source(Some(Arc::clone(&error.cause)));
        for (segment, lane) in &mut self.lanes {
            let is_same =
                lane.last_error.as_ref().is_some_and(|last| Arc::ptr_eq(last, &error.cause));
            if is_same {
                let failure =
                    failure.clone().with_segment(*segment, Some(endpoint.clone()), lane.attempts);
                lane.appends.fail_all(&failure, &mut self.completions);
            }
        }
    }

    /// A command came in on a connection. If it is one that cannot be, the connection is given up.
    pub(crate) fn handle_command(&mut self, id: LinkId, command: WireCommand, now: Now) {
        let flow = command.request_id().map(|request| RequestId(request).flow());
        let Some(&segment) = flow.and_then(|flow| self.flows.get(&flow)) else {
            tracing::debug!(stream = %self.stream, command = command.name(), "a reply for nobody");
            return;
        };
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        if lane.place != Place::At(id) {
            return;
        }
        let name = command.name();
        match lane.appends.handle(command, &mut self.completions) {
            Verdict::Fine => self.answered(segment, id),
            Verdict::Progress => {
                lane.made_progress();
                if let Some(link) = self.links.get_mut(&id) {
                    link.attempts = 0;
                }
                self.answered(segment, id);
            }
            Verdict::Sealed | Verdict::Missing => {
                tracing::debug!(stream = %self.stream, %segment, reply = name, "segment takes no more");
                self.leave(segment);
                self.sealed(segment);
            }
            Verdict::WrongHost => {
                let endpoint = self.leave(segment);
                self.move_on(
                    segment,
                    endpoint,
                    Misbehaviour("another segment store has the segment".to_owned()),
                    now,
                );
            }
            Verdict::TokenExpired => {
                let token = lane.appends.token().clone();
                self.leave(segment);
                self.effects.push_back(Effect::TokenExpired(token));
                self.move_on(
                    segment,
                    None,
                    Misbehaviour("the delegation token expired".to_owned()),
                    now,
                );
            }
            Verdict::Refused(kind, reason) => {
                let error =
                    WriteError::new(kind, Outcome::NotApplied, reason).with_stream(&self.stream);
                let endpoint = self.leave(segment);
                self.fail_lane(segment, &error, endpoint);
                if self.target == Target::Bytes {
                    // What comes later would stand behind a gap.
                    self.end(error);
                }
            }
            Verdict::Broken(reason) => {
                lane.strikes += 1;
                let has_to_end = lane.strikes >= MAX_STRIKES;
                let cause = Cause::from(Misbehaviour(reason.clone()));
                if has_to_end {
                    let error = WriteError::new(ErrorKind::Protocol, Outcome::Unknown, &reason)
                        .with_stream(&self.stream);
                    let endpoint = self.leave(segment);
                    self.fail_lane(segment, &error, endpoint);
                }
                self.effects.push_back(Effect::Close(id));
                self.handle_lost(id, LookupError { kind: ErrorKind::Protocol, cause }, now);
            }
        }
    }

    /// Puts what there is to send on a connection into `out`, segment after segment, until that is
    /// full enough.
    pub(crate) fn transmit(&mut self, id: LinkId, out: &mut SendBuffer, now: Now) {
        use bytes::Buf as _;

        let Some(link) = self.links.get_mut(&id).filter(|link| link.state == LinkState::Open)
        else {
            return;
        };
        let mut set_up_by = None;
        while out.remaining() < SEND_HIGH_WATER
            && let Some(segment) = link.ready.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&segment) else { continue };
            lane.appends.transmit(out);
            if lane.appends.is_waiting() && !lane.is_waiting {
                lane.is_waiting = true;
                link.waiting += 1;
            }
            if lane.appends.is_setting_up() {
                lane.set_up_at = now;
                set_up_by = Some(now + self.settings.request_timeout);
            }
            if lane.appends.wants_to_send() {
                link.ready.push_back(segment);
            } else {
                lane.is_queued = false;
            }
        }
        if let Some(at) = set_up_by {
            self.arm(at);
        }
    }

    // ---------------------------------------------------------------------------------------------------- controller

    /// The controller told where a segment is, or did not.
    pub(crate) fn handle_located(
        &mut self,
        segment: SegmentId,
        found: Result<Location, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        if lane.place != Place::Locating {
            return;
        }
        match found {
            Ok(location) => {
                lane.appends.attach(location.token);
                let id = self.link_to(location.endpoint, now);
                if let Some(lane) = self.lanes.get_mut(&segment) {
                    lane.place = Place::At(id);
                    lane.is_queued = false;
                }
                if let Some(link) = self.links.get_mut(&id) {
                    link.lanes.insert(segment);
                }
                self.queue(segment);
            }
            Err(error) if error.kind.is_retryable() => {
                lane.failed(error.cause);
                let attempts = lane.attempts;
                self.wait(segment, attempts, now, Place::Waiting);
            }
            Err(error) => {
                lane.place = Place::Idle;
                let failure = WriteError::new(
                    error.kind,
                    Outcome::NotApplied,
                    "the segment's store cannot be found",
                );
                let failure = failure.with_stream(&self.stream).with_source(Some(error.cause));
                self.fail_lane(segment, &failure, None);
            }
        }
    }

    /// The controller told who takes over from a sealed segment, or did not.
    pub(crate) fn handle_successors(
        &mut self,
        segment: SegmentId,
        found: Result<Vec<Successor>, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        let error = match found {
            Ok(successors) if successors.is_empty() => {
                self.effects.push_back(Effect::FindSegments(segment));
                return;
            }
            Ok(successors) => match self.map.replace_sealed(segment, &successors) {
                Ok(()) => return self.move_to_successors(segment),
                Err(error) => LookupError {
                    kind: ErrorKind::Unavailable,
                    cause: Misbehaviour(format!("the controller's answer cannot be: {error}"))
                        .into(),
                },
            },
            Err(error) => error,
        };
        if error.kind.is_retryable() {
            lane.failed(error.cause);
            let attempts = lane.attempts;
            return self.wait(segment, attempts, now, Place::SealedWaiting);
        }
        self.end_because(
            error.kind,
            "the successors of a sealed segment cannot be found",
            Some(error.cause),
        );
    }

    /// The controller told which segments there are, as a sealed one has no successors.
    pub(crate) fn handle_segments(
        &mut self,
        segment: SegmentId,
        found: Result<Vec<SegmentId>, LookupError>,
        now: Now,
    ) {
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        match found {
            Ok(segments) if segments.is_empty() => {
                self.end_because(ErrorKind::Sealed, "the stream is sealed", None)
            }
            Ok(segments) => {
                // In the middle of a scale segments are sealed before they have successors.
                let is_gone = !segments.contains(&segment);
                lane.strikes += u32::from(is_gone);
                if lane.strikes >= MAX_STRIKES {
                    return self.end_because(
                        ErrorKind::NotFound,
                        "the stream was deleted and made again",
                        None,
                    );
                }
                lane.failed(
                    Misbehaviour("the segment is sealed and has no successors yet".to_owned())
                        .into(),
                );
                let attempts = lane.attempts;
                self.wait(segment, attempts, now, Place::SealedWaiting);
            }
            Err(error) if error.kind.is_retryable() => {
                lane.failed(error.cause);
                let attempts = lane.attempts;
                self.wait(segment, attempts, now, Place::SealedWaiting);
            }
            Err(error) => self.end_because(error.kind, "the stream is gone", Some(error.cause)),
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
        let segments: Vec<SegmentId> = self.lanes.keys().copied().collect();
        for segment in segments {
            self.check_lane(segment, now);
        }
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            let Some(link) = self.links.get_mut(&id) else { continue };
            match link.state {
                LinkState::Waiting(until) if until > now => self.arm(until),
                LinkState::Waiting(_) if link.lanes.is_empty() => drop(self.links.remove(&id)),
                LinkState::Waiting(_) => self.connect(id),
                LinkState::Connecting | LinkState::Open => {}
            }
        }
    }

    fn check_lane(&mut self, segment: SegmentId, now: Now) {
        self.check_delivery(segment, now);
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        match lane.place {
            Place::Waiting(until) if until <= now && lane.appends.is_empty() => {
                lane.place = Place::Idle
            }
            Place::Waiting(until) if until <= now => self.locate(segment),
            Place::SealedWaiting(until) if until <= now => {
                if !lane.appends.is_empty() {
                    self.find_successors(segment);
                }
            }
            Place::Waiting(until) | Place::SealedWaiting(until) => self.arm(until),
            Place::At(id) if lane.appends.is_setting_up() => {
                let until = lane.set_up_at + self.settings.request_timeout;
                if until > now {
                    return self.arm(until);
                }
                self.effects.push_back(Effect::Close(id));
                let cause = Misbehaviour("a set-up was not answered in time".to_owned()).into();
                self.handle_lost(id, LookupError { kind: ErrorKind::Timeout, cause }, now);
            }
            Place::At(_) | Place::Idle | Place::Locating | Place::Sealed => {}
        }
    }

    /// Fails events that have waited for too long. If such a one is in flight its connection is
    /// given up first: only so can it be told from one that was stored.
    fn check_delivery(&mut self, segment: SegmentId, now: Now) {
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        let Some(oldest) = lane.appends.oldest() else { return };
        let limit = now.checked_sub(self.settings.delivery_timeout);
        if let Some(limit) = limit {
            let (is_there, is_in_flight) = lane.appends.has_older_than(limit);
            if let (true, Place::At(id)) = (is_in_flight, lane.place) {
                self.effects.push_back(Effect::Close(id));
                let cause = Misbehaviour("an event was not acknowledged in time".to_owned()).into();
                self.handle_lost(id, LookupError { kind: ErrorKind::Timeout, cause }, now);
            }
            if is_there && let Some(lane) = self.lanes.get_mut(&segment) {
                let detail =
                    format_args!("not acknowledged within {:?}", self.settings.delivery_timeout);
                let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, detail)
                    .with_stream(&self.stream);
                let error = error
                    .with_segment(segment, None, lane.attempts)
                    .with_source(lane.last_error.clone());
                lane.appends.fail_older_than(limit, &error, &mut self.completions);
            }
        }
        let oldest =
            self.lanes.get(&segment).and_then(|lane| lane.appends.oldest()).unwrap_or(oldest);
        // Not before it is really too old, lest the timer turns on the spot.
        self.arm((oldest + self.settings.delivery_timeout).max(now + Duration::from_millis(1)));
    }

    // ------------------------------------------------------------------------------------------------------- results

    /// What is to be done next outside.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes all events that are done.
    pub(crate) fn take_completions(&mut self) -> std::vec::Drain<'_, Completion<T>> {
        for completion in &self.completions {
            self.flushes.end(completion.generation, completion.result.as_ref().err());
        }
        self.completions.drain(..)
    }

    pub(crate) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    /// The next waiter for a flush whose events are all done. Ask after [`Self::take_completions`].
    pub(crate) fn poll_flushed(&mut self) -> Option<(W, Option<WriteError>)> {
        self.flushes.poll_done()
    }

    // ------------------------------------------------------------------------------------------------------- helpers

    fn route(&mut self, item: Item<T>) {
        let error = match (&self.ended, self.map.segment_for(item.position)) {
            (None, Some(segment)) => return self.push(segment, item),
            (Some(error), _) => error.with_outcome(Outcome::NotApplied),
            (None, None) => {
                WriteError::new(ErrorKind::Sealed, Outcome::NotApplied, "the stream is sealed")
                    .with_stream(&self.stream)
            }
        };
        self.completions.push(item.complete(Err(error)));
    }

    fn push(&mut self, segment: SegmentId, item: Item<T>) {
        if !self.lanes.contains_key(&segment) {
            self.add_lane(segment);
        }
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        if lane.appends.is_empty() {
            let due = item.enqueued + self.settings.delivery_timeout;
            self.timer = Some(self.timer.map_or(due, |timer| timer.min(due)));
        }
        lane.appends.push(item);
        match lane.place {
            Place::At(_) => self.queue(segment),
            Place::Idle => self.locate(segment),
            // Its time has passed while there was nothing to ask for.
            Place::SealedWaiting(until) => self.arm(until),
            Place::Locating | Place::Waiting(_) | Place::Sealed => {}
        }
    }

    fn add_lane(&mut self, segment: SegmentId) {
        let flow = self.flow_ids.next_flow();
        let writer_id = Uuid::from_u64_pair((self.random)(), (self.random)());
        let scoped = ScopedSegment::new(&self.stream, segment);
        let name = match self.target {
            Target::Stream | Target::Bytes => scoped.to_string(),
            Target::Transaction(id) => segment_name::transaction(&scoped, id),
        };
        let limits = self.settings.limits;
        let appends =
            AppendMachine::new(Arc::new(scoped), name.into(), writer_id, flow, limits, self.bugs);
        self.flows.insert(flow, segment);
        self.lanes.insert(segment, Lane::new(appends));
    }

    /// A store answered: perhaps it owes nothing any more, perhaps there is more to send.
    fn answered(&mut self, segment: SegmentId, id: LinkId) {
        if let (Some(lane), Some(link)) = (self.lanes.get_mut(&segment), self.links.get_mut(&id))
            && lane.is_waiting
            && !lane.appends.is_waiting()
        {
            lane.is_waiting = false;
            link.waiting = link.waiting.saturating_sub(1);
        }
        self.queue(segment);
    }

    /// Lets a segment that has something to send stand in its connection's row.
    fn queue(&mut self, segment: SegmentId) {
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        let Place::At(id) = lane.place else { return };
        if lane.is_queued || !lane.appends.wants_to_send() {
            return;
        }
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.state == LinkState::Open) {
            lane.is_queued = true;
            link.ready.push_back(segment);
        }
    }

    fn locate(&mut self, segment: SegmentId) {
        if let Some(lane) = self.lanes.get_mut(&segment) {
            lane.place = Place::Locating;
            self.effects.push_back(Effect::Locate(segment));
        }
    }

    /// The connection to an endpoint; a new one if there is none.
    fn link_to(&mut self, endpoint: Endpoint, now: Now) -> LinkId {
        if let Some((id, link)) = self.links.iter().find(|(_, link)| link.endpoint == endpoint) {
            let id = *id;
            match link.state {
                LinkState::Waiting(until) if until <= now => self.connect(id),
                LinkState::Waiting(until) => self.arm(until),
                LinkState::Connecting | LinkState::Open => {}
            }
            return id;
        }
        let id = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(id, Link::new(endpoint));
        self.connect(id);
        id
    }

    fn connect(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.state = LinkState::Connecting;
        self.effects.push_back(Effect::Connect(id, link.endpoint.clone()));
        for segment in link.lanes.clone() {
            if let Some(lane) = self.lanes.get_mut(&segment) {
                let token = lane.appends.token().clone();
                lane.appends.attach(token);
            }
        }
    }

    /// Takes a segment off its connection, which stays; answers with the connection's endpoint.
    fn leave(&mut self, segment: SegmentId) -> Option<Endpoint> {
        let lane = self.lanes.get_mut(&segment)?;
        lane.appends.detach();
        lane.is_queued = false;
        let Place::At(id) = std::mem::replace(&mut lane.place, Place::Idle) else { return None };
        let link = self.links.get_mut(&id)?;
        link.waiting -= usize::from(std::mem::take(&mut lane.is_waiting));
        link.lanes.remove(&segment);
        link.ready.retain(|ready| *ready != segment);
        Some(link.endpoint.clone())
    }

    /// After a store turned a segment away: at once the first time, then with growing patience.
    fn move_on(
        &mut self,
        segment: SegmentId,
        endpoint: Option<Endpoint>,
        reason: Misbehaviour,
        now: Now,
    ) {
        if let Some(endpoint) = endpoint.filter(|_| !self.bugs.has(SeededBug::KeepsStaleEndpoint)) {
            self.effects.push_back(Effect::Forget(segment, endpoint));
        }
        let Some(lane) = self.lanes.get_mut(&segment) else { return };
        lane.failed(reason.into());
        let attempts = lane.attempts;
        if lane.appends.is_empty() {
            lane.place = Place::Idle;
        } else if attempts == 1 {
            self.locate(segment);
        } else {
            self.wait(segment, attempts, now, Place::Waiting);
        }
    }

    /// A segment takes no more.
    fn sealed(&mut self, segment: SegmentId) {
        match self.target {
            Target::Stream => self.find_successors(segment),
            Target::Transaction(_) => {
                self.end_because(
                    ErrorKind::TransactionNotOpen,
                    "the transaction is not open any more",
                    None,
                );
            }
            Target::Bytes => {
                self.end_because(ErrorKind::Sealed, "the byte stream is sealed, or deleted", None)
            }
        }
    }

    fn find_successors(&mut self, segment: SegmentId) {
        if let Some(lane) = self.lanes.get_mut(&segment) {
            lane.place = Place::Sealed;
            self.effects.push_back(Effect::FindSuccessors(segment));
        }
    }

    /// Hands the events of a sealed segment to its successors, in order.
    fn move_to_successors(&mut self, segment: SegmentId) {
        let Some(mut lane) = self.lanes.remove(&segment) else { return };
        self.flows.retain(|_, of| *of != segment);
        #[cfg(feature = "seeded-bugs")]
        lane.appends.spoil_move(&mut self.completions);
        let items = lane.appends.take_items();
        tracing::debug!(stream = %self.stream, %segment, events = items.len(), "successors take over");
        for item in items {
            self.route(item);
        }
    }

    fn fail_lane(&mut self, segment: SegmentId, error: &WriteError, endpoint: Option<Endpoint>) {
        if let Some(lane) = self.lanes.get_mut(&segment) {
            let error = error.clone().with_segment(segment, endpoint, lane.attempts);
            lane.appends.fail_all(&error, &mut self.completions);
        }
    }

    fn end_because(&mut self, kind: ErrorKind, detail: &str, cause: Option<Cause>) {
        self.end(
            WriteError::new(kind, Outcome::NotApplied, detail)
                .with_stream(&self.stream)
                .with_source(cause),
        );
    }

    fn wait(&mut self, segment: SegmentId, attempts: u32, now: Now, place: fn(Now) -> Place) {
        let until = now + self.backoff(attempts);
        if let Some(lane) = self.lanes.get_mut(&segment) {
            lane.place = place(until);
        }
        self.arm(until);
    }

    fn backoff(&mut self, attempts: u32) -> Duration {
        self.settings.backoff.delay(attempts, &mut self.random)
    }

    fn fraction(&mut self) -> f64 {
        pravega_sdk_types::routing::fraction((self.random)())
    }

    fn arm(&mut self, at: Now) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }
}

impl<T, W> fmt::Debug for WriterMachine<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterMachine").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
