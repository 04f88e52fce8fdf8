//! What the simulated stores hold, and what the controller knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_types::{
    Endpoint, Epoch, KeyRange, ScopedSegment, ScopedStream, SegmentId, SegmentNumber, Successor,
    TransactionId,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{NoSuchSegment, ReadSegment, SegmentIsSealed, SegmentIsTruncated, SegmentRead},
    event::{self, EVENT_HEADER_LEN},
};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::transactions::{TransactionRecord, link};

/// The state of a simulated cluster. Clones are the same cluster.
#[derive(Clone, Default)]
pub struct World {
    state: Arc<Mutex<State>>,
}

/// Changes what a store answers.
pub type Misbehaviour = Box<dyn FnMut(WireCommand) -> Vec<WireCommand> + Send>;

/// What can be set and seen inside a [`World`].
#[derive(Default)]
pub(crate) struct State {
    pub(crate) segments: BTreeMap<String, SegmentState>,
    streams: BTreeMap<ScopedStream, StreamState>,
    stores: Vec<bool>,
    /// Segments that are not where their number says.
    moved: BTreeMap<String, usize>,
    /// What happened, and how often.
    counters: BTreeMap<&'static str, u64>,
    pub(crate) transient: u64,
    /// A scale that is under way: the stream, its sealed segments, and what the new ones will own.
    scale: Option<(ScopedStream, Vec<SegmentId>, Vec<KeyRange>)>,
    /// How long a store takes for an append.
    pub(crate) ack_delay: Duration,
    /// The controller does not answer.
    pub(crate) is_controller_away: bool,
    pub(crate) is_store_deaf: bool,
    pub(crate) keeps_nothing: bool,
    pub(crate) misbehaviour: Option<Misbehaviour>,
    pub(crate) transactions: BTreeMap<TransactionId, TransactionRecord>,
    pub(crate) next_transaction: u64,
    /// Of a hundred requests to the controller, how many are carried out without an answer.
    pub(crate) lost_answers: u32,
    pub(crate) longest_ping_gap: Duration,
    /// Reads that wait for something to be appended.
    pub(crate) parked: Vec<Parked>,
    /// A store gives at most so many bytes at once, as where its cache ends.
    pub(crate) max_reply: Option<usize>,
}

/// A read that waits at the tail of a segment.
pub(crate) struct Parked {
    pub(crate) read: ReadSegment,
    /// Weak, so that a read does not keep a connection from ending.
    pub(crate) replies: mpsc::WeakUnboundedSender<(Instant, WireCommand)>,
}

#[derive(Debug, Default)]
pub(crate) struct SegmentState {
    pub(crate) data: Vec<u8>,
    /// As many bytes were appended and not kept.
    pub(crate) forgotten: i64,
    pub(crate) attributes: BTreeMap<Uuid, i64>,
    pub(crate) is_sealed: bool,
    /// What lies before was truncated away. The data is kept, so that tests see it.
    pub(crate) start: i64,
}

impl State {
    pub(crate) fn counter(&mut self, what: &'static str) -> &mut u64 {
        self.counters.entry(what).or_default()
    }

    pub(crate) fn epoch_of(&self, stream: &ScopedStream) -> i32 {
        self.streams.get(stream).map_or(0, |known| known.epoch)
    }

    /// Seals all active segments, and puts behind them first segments that hold what is given, then
    /// as many as there were, for the same keys.
    pub(crate) fn roll(
        &mut self,
        stream: &ScopedStream,
        active: &BTreeMap<SegmentId, KeyRange>,
        merged: Vec<(SegmentNumber, KeyRange, Vec<u8>)>,
    ) {
        let Some(known) = self.streams.get_mut(stream) else { return };
        let (between, last) = (Epoch(known.epoch + 1), Epoch(known.epoch + 2));
        known.epoch += 2;
        let middle: BTreeMap<SegmentId, KeyRange> = merged
            .iter()
            .map(|(number, range, _)| (SegmentId::new(between, *number), *range))
            .collect();
        let after: BTreeMap<SegmentId, KeyRange> =
            active.iter().map(|(id, range)| (SegmentId::new(last, id.number()), *range)).collect();
        for (from, to) in [(active, &middle), (&middle, &after)] {
            let successors = link(from, to);
            for id in from.keys() {
                let of_it = successors
                    .iter()
                    .filter(|next| next.predecessors.contains(id))
                    .cloned()
                    .collect();
                known.successors.insert(*id, of_it);
            }
        }
        known.active.clone_from(&after);
        for (number, _, data) in merged {
            let name = ScopedSegment::new(stream, SegmentId::new(between, number)).to_string();
            self.segments
                .insert(name, SegmentState { data, is_sealed: true, ..SegmentState::default() });
        }
        for id in after.keys() {
            self.segments
                .insert(ScopedSegment::new(stream, *id).to_string(), SegmentState::default());
        }
        for id in active.keys() {
            let name = ScopedSegment::new(stream, *id).to_string();
            if let Some(segment) = self.segments.get_mut(&name) {
                segment.is_sealed = true;
            }
            self.wake(&name);
        }
    }

    /// Answers a read, or lets it wait.
    pub(crate) fn read(
        &mut self,
        read: ReadSegment,
        replies: &mpsc::UnboundedSender<(Instant, WireCommand)>,
    ) {
        match self.answer(&read, false) {
            Some(reply) => self.send(replies, reply),
            None => self.parked.push(Parked { read, replies: replies.downgrade() }),
        }
    }

    /// Something happened to a segment: reads that waited for it are answered.
    pub(crate) fn wake(&mut self, segment: &str) {
        for parked in std::mem::take(&mut self.parked) {
            let Some(replies) = parked.replies.upgrade() else { continue };
            let answer = Some(&parked.read).filter(|read| &*read.segment == segment);
            match answer.and_then(|read| self.answer(read, true)) {
                Some(reply) => self.send(&replies, reply),
                None => self.parked.push(parked),
            }
        }
    }

    fn send(
        &mut self,
        replies: &mpsc::UnboundedSender<(Instant, WireCommand)>,
        reply: WireCommand,
    ) {
        let replies_to_send = match &mut self.misbehaviour {
            Some(misbehaviour) => misbehaviour(reply),
            None => vec![reply],
        };
        for reply in replies_to_send {
            *self.counters.entry(reply.name()).or_default() += 1;
            replies.send((Instant::now(), reply)).ok();
        }
    }

    fn answer(&self, read: &ReadSegment, has_waited: bool) -> Option<WireCommand> {
        let ReadSegment { segment, offset, suggested_length, request_id, .. } = read;
        let (offset, request_id) = (*offset, *request_id);
        let found = |data: &[u8], at_tail, end_of_segment| {
            let data = data.to_vec().into();
            Some(
                SegmentRead {
                    segment: segment.clone(),
                    offset,
                    at_tail,
                    end_of_segment,
                    data,
                    request_id,
                }
                .into(),
            )
        };
        let Some(known) = self.segments.get(&**segment) else {
            // A read that waits is told nothing; one that comes is told that there is none.
            if has_waited {
                return found(&[], true, false);
            }
            let server_stack_trace = "".into();
            return Some(
                NoSuchSegment { request_id, segment: segment.clone(), server_stack_trace, offset }
                    .into(),
            );
        };
        if offset < known.start {
            let server_stack_trace = "".into();
            let start_offset = known.start;
            return Some(
                SegmentIsTruncated {
                    request_id,
                    segment: segment.clone(),
                    start_offset,
                    server_stack_trace,
                    offset,
                }
                .into(),
            );
        }
        let from = usize::try_from(offset).ok()?;
        if from < known.data.len() {
            let asked = usize::try_from(*suggested_length).unwrap_or(0).max(8);
            let end = known.data.len().min(from + asked.min(self.max_reply.unwrap_or(usize::MAX)));
            let is_end = end == known.data.len();
            return found(
                &known.data[from..end],
                is_end && !known.is_sealed,
                is_end && known.is_sealed,
            );
        }
        if !known.is_sealed {
            return None;
        }
        if has_waited {
            let server_stack_trace = "".into();
            return Some(
                SegmentIsSealed {
                    request_id,
                    segment: segment.clone(),
                    server_stack_trace,
                    offset,
                }
                .into(),
            );
        }
        found(&[], false, true)
    }
}

impl SegmentState {
    pub(crate) fn len(&self) -> i64 {
        self.forgotten + self.data.len() as i64
    }
}

#[derive(Debug, Default)]
struct StreamState {
    epoch: i32,
    next_number: i32,
    active: BTreeMap<SegmentId, KeyRange>,
    successors: BTreeMap<SegmentId, Vec<Successor>>,
    is_gone: bool,
    /// The first segments that were not truncated away, and where each begins.
    head: BTreeMap<SegmentId, i64>,
}

/// An event as it stands in a stream at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands.
    pub segment: SegmentId,
    /// Where in the segment its header starts.
    pub offset: i64,
    /// The event.
    pub event: Vec<u8>,
}

/// Simulated stores listen on ports from here on.
const FIRST_PORT: u16 = 12_000;

impl World {
    /// A cluster of that many segment stores.
    #[must_use]
    pub fn new(stores: usize) -> Self {
        let world = Self::default();
        world.lock().stores = vec![true; stores];
        world
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something happened.
    pub fn count(&self, what: &'static str) {
        *self.lock().counters.entry(what).or_default() += 1;
    }

    /// What happened, and how often.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counters.clone()
    }

    /// How long stores take for an append.
    pub fn set_ack_delay(&self, delay: Duration) {
        self.lock().ack_delay = delay;
    }

    /// Lets stores take appends and never acknowledge them.
    pub fn set_deaf(&self) {
        self.lock().is_store_deaf = true;
    }

    /// Lets stores forget the bytes that they acknowledge, and keep their delays to the
    /// microsecond: for benchmarks in real time.
    pub fn keep_nothing(&self) {
        self.lock().keeps_nothing = true;
    }

    /// Lets stores answer with what `misbehaviour` makes of each reply.
    pub fn set_misbehaviour(&self, misbehaviour: Misbehaviour) {
        self.lock().misbehaviour = Some(misbehaviour);
    }

    /// Lets so many of a hundred requests about transactions be carried out, now or later, without
    /// an answer.
    pub fn set_lost_answers(&self, percent: u32) {
        self.lock().lost_answers = percent;
    }

    /// Lets the controller be away, or come back.
    pub fn set_controller_away(&self, is_away: bool) {
        self.lock().is_controller_away = is_away;
        if is_away {
            self.count("controller away");
        }
    }

    // ------------------------------------------------------------------------------------------------------- streams

    /// Makes a stream of that many segments.
    pub fn create_stream(&self, stream: &ScopedStream, segments: u32) {
        let mut state = self.lock();
        let mut made = StreamState { next_number: segments as i32, ..StreamState::default() };
        for (number, range) in KeyRange::equal(segments).into_iter().enumerate() {
            let id = SegmentId::from(number as i64);
            made.active.insert(id, range);
            made.head.insert(id, 0);
            state
                .segments
                .insert(ScopedSegment::new(stream, id).to_string(), SegmentState::default());
        }
        state.streams.insert(stream.clone(), made);
    }

    /// Begins a scale: segments are sealed in their stores, and have no successors until
    /// [`Self::finish_scale`].
    pub fn begin_scale(
        &self,
        stream: &ScopedStream,
        sealed: Vec<SegmentId>,
        ranges: Vec<KeyRange>,
    ) {
        self.finish_scale();
        self.seal_segments(stream, &sealed);
        self.lock().scale = Some((stream.clone(), sealed, ranges));
    }

    /// Finishes the scale that is under way, if one is.
    pub fn finish_scale(&self) {
        let scale = self.lock().scale.take();
        if let Some((stream, sealed, ranges)) = scale {
            self.replace_segments(&stream, &sealed, &ranges);
        }
    }

    fn seal_segments(&self, stream: &ScopedStream, sealed: &[SegmentId]) {
        let mut state = self.lock();
        for id in sealed {
            let name = ScopedSegment::new(stream, *id).to_string();
            if let Some(segment) = state.segments.get_mut(&name) {
                segment.is_sealed = true;
            }
            state.wake(&name);
        }
    }

    /// Puts new segments in the place of sealed ones, as the last step of a scale does.
    fn replace_segments(&self, stream: &ScopedStream, sealed: &[SegmentId], ranges: &[KeyRange]) {
        self.count("scale");
        let mut state = self.lock();
        let Some(known) = state.streams.get_mut(stream) else { return };
        known.epoch += 1;
        let old: Vec<(SegmentId, KeyRange)> = sealed
            .iter()
            .filter_map(|id| known.active.remove(id).map(|range| (*id, range)))
            .collect();
        let mut names = Vec::new();
        let mut successors = Vec::new();
        for range in ranges {
            let id = SegmentId::new(Epoch(known.epoch), SegmentNumber(known.next_number));
            known.next_number += 1;
            known.active.insert(id, *range);
            let predecessors =
                old.iter().filter(|(_, old)| old.overlaps(range)).map(|(id, _)| *id).collect();
            successors.push(Successor { id, range: *range, predecessors });
            names.push(ScopedSegment::new(stream, id).to_string());
        }
        for (id, _) in &old {
            let of_it = successors
                .iter()
                .filter(|successor| successor.predecessors.contains(id))
                .cloned()
                .collect();
            known.successors.insert(*id, of_it);
        }
        for name in names {
            state.segments.insert(name, SegmentState::default());
        }
    }

    /// Seals a stream for good.
    pub fn seal_stream(&self, stream: &ScopedStream) {
        let sealed: Vec<SegmentId> =
            self.active_segments(stream).iter().map(|segment| segment.id).collect();
        self.seal_segments(stream, &sealed);
        if let Some(known) = self.lock().streams.get_mut(stream) {
            known.active.clear();
        }
    }

    /// Removes a stream with all its segments.
    pub fn delete_stream(&self, stream: &ScopedStream) {
        let mut state = self.lock();
        let prefix = format!("{stream}/");
        let names: Vec<String> =
            state.segments.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        for name in names {
            state.segments.remove(&name);
            state.wake(&name);
        }
        if let Some(known) = state.streams.get_mut(stream) {
            known.is_gone = true;
            known.active.clear();
        }
    }

    /// Drops all that stands before a cut.
    pub fn truncate(&self, stream: &ScopedStream, cut: &BTreeMap<SegmentId, i64>) {
        self.count("truncation");
        let mut state = self.lock();
        let Some(known) = state.streams.get_mut(stream) else { return };
        known.head = cut.clone();
        let mut kept: BTreeSet<SegmentId> = cut.keys().copied().collect();
        let mut rest: Vec<SegmentId> = kept.iter().copied().collect();
        while let Some(id) = rest.pop() {
            for successor in known.successors.get(&id).into_iter().flatten() {
                if kept.insert(successor.id) {
                    rest.push(successor.id);
                }
            }
        }
        let prefix = format!("{stream}/");
        let names: Vec<String> =
            state.segments.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        for name in names {
            let id = name.parse::<ScopedSegment>().expect("a segment's name").id();
            if !kept.contains(&id) {
                state.segments.remove(&name);
                state.wake(&name);
            } else if let (Some(segment), Some(offset)) =
                (state.segments.get_mut(&name), cut.get(&id))
            {
                segment.start = segment.start.max(*offset);
            }
        }
    }

    /// Lets stores give at most so many bytes at once.
    pub fn set_max_reply(&self, bytes: Option<usize>) {
        self.lock().max_reply = bytes;
    }

    pub(crate) fn head(&self, stream: &ScopedStream) -> BTreeMap<SegmentId, i64> {
        self.lock().streams.get(stream).map(|known| known.head.clone()).unwrap_or_default()
    }

    /// Puts bytes behind a segment, as a writer does that has its own idea of events.
    pub fn append_raw(&self, segment: &ScopedSegment, bytes: &[u8]) {
        let mut state = self.lock();
        let name = segment.to_string();
        if let Some(known) = state.segments.get_mut(&name) {
            known.data.extend_from_slice(bytes);
        }
        state.wake(&name);
    }

    /// How long a segment is.
    #[must_use]
    pub fn segment_len(&self, segment: &ScopedSegment) -> Option<i64> {
        self.lock().segments.get(&segment.to_string()).map(SegmentState::len)
    }

    /// Removes a sealed segment, as truncation does.
    pub fn truncate_away(&self, stream: &ScopedStream, segment: SegmentId) {
        let name = ScopedSegment::new(stream, segment).to_string();
        let mut state = self.lock();
        state.segments.remove(&name);
        state.wake(&name);
    }

    pub(crate) fn is_stream_there(&self, stream: &ScopedStream) -> bool {
        self.lock().streams.get(stream).is_some_and(|known| !known.is_gone)
    }

    /// The segments that take events.
    #[must_use]
    pub fn active_segments(&self, stream: &ScopedStream) -> Vec<SegmentWithRange> {
        let state = self.lock();
        let active = state.streams.get(stream).map(|known| known.active.iter());
        active.into_iter().flatten().map(|(id, range)| SegmentWithRange::new(*id, *range)).collect()
    }

    /// The direct successors of a segment.
    #[must_use]
    pub fn successors(&self, segment: &ScopedSegment) -> Vec<Successor> {
        let state = self.lock();
        let known = state.streams.get(&segment.scoped_stream());
        known.and_then(|known| known.successors.get(&segment.id())).cloned().unwrap_or_default()
    }

    /// All events of a stream: segment after segment, predecessors first.
    ///
    /// # Panics
    ///
    /// If a segment holds something else than whole events.
    #[must_use]
    pub fn content(&self, stream: &ScopedStream) -> Vec<Stored> {
        let state = self.lock();
        let prefix = format!("{stream}/");
        let mut segments: Vec<(SegmentId, &SegmentState)> = state
            .segments
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && !name.contains("#trans"))
            .map(|(name, segment)| {
                (name.parse::<ScopedSegment>().expect("a segment's name").id(), segment)
            })
            .collect();
        segments.sort_by_key(|(id, _)| *id);
        let mut all = Vec::new();
        for (id, segment) in segments {
            let mut rest = bytes::BytesMut::from(&segment.data[..]);
            while !rest.is_empty() {
                let offset = (segment.data.len() - rest.len()) as i64;
                let event = event::take(&mut rest, usize::MAX - EVENT_HEADER_LEN)
                    .expect("an event's header");
                let event = event.expect("a torn event stands at the end of a segment");
                all.push(Stored { segment: id, offset, event: event.to_vec() });
            }
        }
        all
    }

    // -------------------------------------------------------------------------------------------------------- stores

    /// The endpoint of a store.
    #[must_use]
    pub fn endpoint(store: usize) -> Endpoint {
        format!("store-{store}:{}", FIRST_PORT + store as u16).parse().expect("an endpoint")
    }

    /// The store that listens there, if it is up.
    #[must_use]
    pub fn store_at(&self, endpoint: &Endpoint) -> Option<usize> {
        let store = usize::from(endpoint.port().checked_sub(FIRST_PORT)?);
        self.lock().stores.get(store).filter(|is_up| **is_up).map(|_| store)
    }

    /// Lets a store be down, or come back. Its links are for the network to cut.
    pub fn set_store_up(&self, store: usize, is_up: bool) {
        if let Some(known) = self.lock().stores.get_mut(store) {
            *known = is_up;
        }
        if !is_up {
            self.count("store down");
        }
    }

    /// Lets another store serve a segment.
    pub fn move_segment(&self, segment: &ScopedSegment, store: usize) {
        self.lock().moved.insert(segment.to_string(), store);
        self.count("segment moved");
    }

    /// The store that serves a segment.
    #[must_use]
    pub fn owner(&self, segment: &str) -> usize {
        let state = self.lock();
        let parent = pravega_sdk_types::segment_name::parent(segment).unwrap_or(segment);
        let stores = state.stores.len().max(1);
        let number =
            parent.parse::<ScopedSegment>().map_or(0, |segment| segment.id().number().0 as usize);
        state.moved.get(parent).copied().unwrap_or(number % stores)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("counters", &self.counters()).finish_non_exhaustive()
    }
}
