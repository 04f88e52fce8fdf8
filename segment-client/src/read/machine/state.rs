//! The read machine: the segments it reads, what the caller asks of it, and its results.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use pravega_sdk_types::{Backoff, Endpoint, Offset, ScopedSegment};
use pravega_sdk_wire_protocol::commands::{GetStreamSegmentInfo, ReadSegment};

use super::{
    delivery::{Delivery, ReadKind, StartOffset},
    segment_reader::{LengthProbe, LocateState, SegmentReader},
};
use crate::{
    machine::{Now, Random, Token},
    seeded_bugs::Bugs,
};

/// The settings of a read machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many bytes may be under way or wait, over all segments.
    pub budget: usize,
    /// The longest read.
    pub max_read: usize,
    /// The wait after failures.
    pub backoff: Backoff,
    /// A segment that could not be read for this long is reported; attempts go on.
    pub stall_timeout: Duration,
    /// The seeded bug, if one is switched on.
    pub bugs: Bugs,
}

/// The longest read: as long as Java's buffer, and half of what the server returns at once.
pub const MAX_READ: usize = 1 << 20;

/// Names a segment that is being read. A segment that is opened again gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderId(u64);

/// Work for the driver.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Find the store of a segment, and a token: answered by [`ReadMachine::handle_located`].
    Locate(ReaderId, Arc<ScopedSegment>),
    /// The endpoint does not serve the segment: what is remembered of that is wrong.
    Forget(Arc<ScopedSegment>, Endpoint),
    /// The token ended: what is remembered of it is wrong.
    TokenExpired(Arc<ScopedSegment>, Token),
    /// Read: answered by [`ReadMachine::handle_read`].
    Read {
        /// The reader of the segment.
        reader: ReaderId,
        /// The number of the read.
        read: u64,
        /// The store to ask.
        endpoint: Endpoint,
        /// The request.
        request: ReadSegment,
        /// Whether the bytes are known to exist.
        kind: ReadKind,
    },
    /// Ask how long a segment is: answered by [`ReadMachine::handle_inspected`].
    Inspect {
        /// The reader of the segment.
        reader: ReaderId,
        /// The store to ask.
        endpoint: Endpoint,
        /// The request.
        request: GetStreamSegmentInfo,
    },
    /// Nothing of it is wanted any more.
    Abandon(ReaderId),
}

/// Reads many segments. Call [`Self::open`] for each, [`Self::poll_delivery`] for what comes of
/// them, and carry out what [`Self::poll_effect`] says.
pub struct ReadMachine {
    pub(super) settings: Settings,
    pub(super) readers: BTreeMap<ReaderId, SegmentReader>,
    next_reader: u64,
    pub(super) next_read: u64,
    pub(super) effects: VecDeque<Effect>,
    /// The readers with something to deliver, in turn.
    pub(super) ready: VecDeque<ReaderId>,
    /// The readers with known bytes to read, in turn.
    pub(super) wants_read: VecDeque<ReaderId>,
    /// The reader that may exceed the budget, as otherwise nothing would move.
    pub(super) over_budget: Option<ReaderId>,
    /// Bytes of reads below the known length that are under way.
    pub(super) asked: usize,
    /// Bytes that have arrived and were not released.
    pub(super) held: usize,
    pub(super) random: Random,
    pub(super) timer: Option<Now>,
}

impl ReadMachine {
    /// Makes a machine that reads nothing yet.
    #[must_use]
    pub fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            readers: BTreeMap::new(),
            next_reader: 0,
            next_read: 0,
            effects: VecDeque::new(),
            ready: VecDeque::new(),
            wants_read: VecDeque::new(),
            over_budget: None,
            asked: 0,
            held: 0,
            random,
            timer: None,
        }
    }

    /// Begins to read a segment, up to `limit` if there is one.
    pub fn open(
        &mut self,
        segment: Arc<ScopedSegment>,
        from: StartOffset,
        limit: Option<Offset>,
    ) -> ReaderId {
        let id = ReaderId(self.next_reader);
        self.next_reader += 1;
        let reader = SegmentReader::new(segment, from, limit);
        self.readers.insert(id, reader);
        self.locate(id);
        self.update_queues(id);
        id
    }

    /// Stops reading a segment; what was not handed out of it is forgotten.
    pub fn close(&mut self, id: ReaderId) {
        let Some(reader) = self.readers.remove(&id) else { return };
        self.held -= reader.window.arrived();
        self.asked -= reader
            .reads
            .values()
            .filter(|read| read.kind == ReadKind::Known)
            .map(|read| read.len)
            .sum::<usize>();
        self.ready.retain(|ready| *ready != id);
        self.wants_read.retain(|wants_read| *wants_read != id);
        self.effects.push_back(Effect::Abandon(id));
    }

    /// Bytes that were handed out are done with.
    pub fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// The caller has seen that the segment must reach up to `offset`. If it does not, it is
    /// [`Delivery::Short`].
    pub fn expect(&mut self, id: ReaderId, offset: Offset) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        reader.expected = offset;
        if offset > reader.known_len && reader.probe == LengthProbe::Idle {
            reader.probe = LengthProbe::Wanted;
            self.inspect(id);
        }
    }

    /// The time at which to call [`Self::handle_timeout`], unless something changes it before.
    #[must_use]
    pub fn timeout(&self) -> Option<Now> {
        self.timer
    }

    /// Does what is due, and finds out when the next thing is.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        let readers: Vec<ReaderId> = self.readers.keys().copied().collect();
        for id in readers {
            let Some(reader) = self.readers.get(&id) else { continue };
            match reader.state {
                LocateState::Waiting(until) if until <= now => self.locate(id),
                LocateState::Waiting(until) => self.arm(until),
                LocateState::Locating | LocateState::At(_) => {}
            }
        }
    }

    /// What is to be done next outside.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.schedule_reads();
        }
        self.effects.pop_front()
    }

    /// What has come of a segment; none if nothing can be handed out now.
    pub fn poll_delivery(&mut self) -> Option<(ReaderId, Delivery)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(reader) = self.readers.get_mut(&id) else { continue };
            reader.is_ready = false;
            let arrived = reader.window.arrived();
            let delivery = reader.deliver();
            // What was skipped is nobody's any more; what is handed out is, until it is released.
            let (left, taken) =
                (reader.window.arrived(), delivery.as_ref().map_or(0, Delivery::len));
            self.held -= arrived - left - taken;
            self.update_queues(id);
            if let Some(delivery) = delivery {
                return Some((id, delivery));
            }
        }
        None
    }
}

impl fmt::Debug for ReadMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadMachine")
            .field("readers", &self.readers.len())
            .field("asked", &self.asked)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
