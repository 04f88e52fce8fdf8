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
    segment_reader::{InFlight, LengthProbe, LocateState, SegmentReader},
};
use crate::{
    machine::{Now, Random, Token},
    seeded_bugs::Bugs,
};

/// The settings of a read machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most bytes in flight or waiting for delivery, over all segments.
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

/// Identifies a segment being read. A segment that is opened again gets a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderId(u64);

/// Work for the driver.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Find the store of a segment, and a token: answered by [`ReadMachine::handle_located`].
    Locate(ReaderId, Arc<ScopedSegment>),
    /// The endpoint does not serve the segment: forget that it does.
    Forget(Arc<ScopedSegment>, Endpoint),
    /// The token expired: forget it.
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
        /// What is known about the bytes.
        kind: ReadKind,
    },
    /// Ask how long a segment is: answered by [`ReadMachine::handle_inspected`].
    Inspect {
        /// The reader of the segment.
        reader: ReaderId,
        /// The number of the question.
        question: u64,
        /// The store to ask.
        endpoint: Endpoint,
        /// The request.
        request: GetStreamSegmentInfo,
    },
    /// The segment is no longer read: cancel its requests.
    Abandon(ReaderId),
}

/// Reads many segments. Call [`Self::open`] for each, take their bytes from
/// [`Self::poll_delivery`], and carry out the effects of [`Self::poll_effect`].
pub struct ReadMachine {
    pub(super) settings: Settings,
    pub(super) readers: BTreeMap<ReaderId, SegmentReader>,
    next_reader: u64,
    /// The number of the next read or question for a length.
    pub(super) next_request: u64,
    pub(super) effects: VecDeque<Effect>,
    /// The readers with something to deliver, in turn.
    pub(super) ready: VecDeque<ReaderId>,
    /// The readers with known bytes to read, in turn.
    pub(super) wants_read: VecDeque<ReaderId>,
    /// The reader that may exceed the budget, as otherwise nothing would move.
    pub(super) over_budget: Option<ReaderId>,
    /// Bytes of reads in flight below the known length.
    pub(super) asked: usize,
    /// Those of them that have had no answer for long.
    pub(super) late: usize,
    /// Bytes that have arrived and were not released.
    pub(super) held: usize,
    /// Something has changed that may allow a read.
    pub(super) may_schedule: bool,
    /// The time of the last call.
    pub(super) now: Now,
    pub(super) random: Random,
    pub(super) timer: Option<Now>,
}

impl ReadMachine {
    /// Creates a machine without segments.
    #[must_use]
    pub fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            readers: BTreeMap::new(),
            next_reader: 0,
            next_request: 0,
            effects: VecDeque::new(),
            ready: VecDeque::new(),
            wants_read: VecDeque::new(),
            over_budget: None,
            asked: 0,
            late: 0,
            may_schedule: false,
            now: Now::ZERO,
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
        self.begin(SegmentReader::new(segment, from, limit))
    }

    /// Begins to read a segment to its end, which must be sealed, as others follow it. A store that
    /// has it open is reported as one that fails: nothing would ever end that.
    pub fn open_sealed(&mut self, segment: Arc<ScopedSegment>, from: StartOffset) -> ReaderId {
        self.begin(SegmentReader::sealed(segment, from))
    }

    fn begin(&mut self, reader: SegmentReader) -> ReaderId {
        let id = ReaderId(self.next_reader);
        self.next_reader += 1;
        self.readers.insert(id, reader);
        self.locate(id);
        self.update_queues(id);
        id
    }

    /// Stops reading a segment and drops its undelivered bytes.
    pub fn close(&mut self, id: ReaderId) {
        let Some(reader) = self.readers.remove(&id) else { return };
        self.held -= reader.window.arrived();
        self.may_schedule = true;
        for read in reader.reads.values() {
            self.settle(*read);
        }
        self.ready.retain(|ready| *ready != id);
        self.wants_read.retain(|wants_read| *wants_read != id);
        self.effects.push_back(Effect::Abandon(id));
    }

    /// A read is no longer in flight.
    pub(super) fn settle(&mut self, read: InFlight) {
        if read.kind == ReadKind::Known {
            self.asked -= read.len;
        }
        if read.is_late {
            self.late -= read.len;
        }
        self.may_schedule = true;
    }

    /// Releases delivered bytes.
    pub fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
        self.may_schedule |= bytes > 0;
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

    /// Returns the time at which to call [`Self::handle_timeout`], unless it changes before.
    #[must_use]
    pub fn timeout(&self) -> Option<Now> {
        self.timer
    }

    /// Does what is due, and sets the next timeout.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        self.now = now;
        self.find_late_reads(now);
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

    /// Returns true if there may be an effect to carry out.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.may_schedule || !self.effects.is_empty()
    }

    /// Returns the next effect to carry out.
    pub fn poll_effect(&mut self, now: Now) -> Option<Effect> {
        self.now = now;
        if self.effects.is_empty() && std::mem::take(&mut self.may_schedule) {
            self.schedule_reads();
        }
        self.effects.pop_front()
    }

    /// Returns the next delivery. `None` means that nothing can be delivered now.
    pub fn poll_delivery(&mut self) -> Option<(ReaderId, Delivery)> {
        while let Some(id) = self.ready.pop_front() {
            self.may_schedule = true;
            let Some(reader) = self.readers.get_mut(&id) else { continue };
            reader.is_ready = false;
            let arrived = reader.window.arrived();
            let delivery = reader.deliver();
            // Skipped bytes are free at once, delivered bytes when they are released.
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
