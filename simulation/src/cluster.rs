//! The server of a simulated cluster: the machine that the embedded server runs, its clock and
//! random ids, and the connections to its stores.
//!
//! ```text
//! connection ──> handle ──> Session ┐
//!                                   ├──> Machine ──> replies ──> faults ──> connections
//! controller ──> call ────> Catalog ┘
//! ```

use std::collections::{BTreeMap, HashMap};

use bytestring::ByteString;
use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_server_core::{
    catalog::{Catalog, Intervals},
    ids::{ConnectionId, Moment, StoreIndex},
    machine::{Config, Machine},
    placement::Placement,
    record::{Durability, Millis},
    store::{Info, MemoryLimit, Read, Session, Step, WaitingRead},
};
use pravega_sdk_types::{EventNumber, ScopedSegment, ScopedStream, SegmentId, Successor};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::{faults::StoreFaults, messages};

/// The time at which every simulation begins.
const EPOCH: Millis = Millis(1_700_000_000_000);
/// The clock ends leases. Watermarks, retention and scaling by rate are never due.
const NOTHING_BUT_LEASES: Intervals =
    Intervals { watermarks: i64::MAX, retention: i64::MAX, rates: i64::MAX, rate_window: i64::MAX };
/// The connection of the reads that inspect a segment; no client has it.
const INSPECTOR: ConnectionId = ConnectionId(u64::MAX);

/// The machine of the server with the stores' faults.
pub(crate) struct Cluster {
    machine: Machine,
    begun: Instant,
    random: fastrand::Rng,
    connections: HashMap<ConnectionId, mpsc::WeakUnboundedSender<Due>>,
    next_connection: u64,
    counters: BTreeMap<&'static str, u64>,
    pub(crate) faults: StoreFaults,
}

/// A reply, and the time at which it leaves.
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) reply: WireCommand,
}

/// A connection has ended: the server closed it, or its client takes no replies.
pub(crate) struct Ended;

impl Cluster {
    /// A cluster without streams; its ids follow from the seed.
    pub(crate) fn new(stores: usize, seed: u64) -> Self {
        let config = Config {
            memory_limit: MemoryLimit(u64::MAX),
            durability: Durability::InMemory,
            placement: Placement::over(stores),
            access: None,
            intervals: NOTHING_BUT_LEASES,
        };
        Self {
            machine: Machine::new(config),
            begun: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            connections: HashMap::new(),
            next_connection: 0,
            counters: BTreeMap::new(),
            faults: StoreFaults::default(),
        }
    }

    /// Counts an occurrence.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }

    /// The number of occurrences of each kind.
    pub(crate) fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }

    fn moment(&mut self) -> Moment {
        let elapsed = Instant::now().saturating_duration_since(self.begun);
        let now = Millis(EPOCH.0 + i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        Moment { now, random: Uuid::from_u128(self.random.u128(..)) }
    }

    /// Makes a call of the controller.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        let at = self.moment();
        let (catalog, mut step) = self.machine.call(at);
        let result = call(catalog, &mut step);
        self.wake();
        result
    }

    /// Does the work that is due by the clock: aborts the transactions whose leases ran out.
    pub(crate) fn tick(&mut self) {
        let at = self.moment();
        self.machine.tick(at);
        self.wake();
    }

    // Connections to the stores.

    /// Opens a connection to a store.
    pub(crate) fn connect(&mut self, store: StoreIndex, replies: &Replies) -> Session {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(id, replies.0.downgrade());
        Session::new(id, store)
    }

    /// Closes a connection; its reads no longer wait.
    pub(crate) fn disconnect(&mut self, session: &mut Session) {
        session.end(&mut self.machine.store);
        self.connections.retain(|_, replies| replies.strong_count() > 0);
    }

    /// Handles a command of a connection.
    pub(crate) fn handle(
        &mut self,
        mut command: WireCommand,
        session: &mut Session,
        replies: &Replies,
    ) -> Result<(), Ended> {
        if let (WireCommand::ReadSegment(read), Some(most)) = (&mut command, self.faults.max_reply)
        {
            let most = i32::try_from(most).unwrap_or(i32::MAX);
            read.suggested_length = read.suggested_length.min(most);
        }
        let is_append = is_append(&command);
        let mut made = Vec::new();
        let at = self.moment();
        let handled = session.handle(command, &mut self.machine.context(at, &mut made));
        if is_append && handled.is_err() && made.is_empty() {
            self.count("append violation");
        }
        let mut sent = Ok(());
        for reply in made {
            sent = sent.and(self.reply(reply.command, &replies.0));
        }
        self.wake();
        sent.and(handled.map_err(|_| Ended))
    }

    /// Sends the replies to the reads that waited.
    fn wake(&mut self) {
        for woken in self.machine.store.take_woken() {
            let replies = self.connections.get(&woken.connection);
            if let Some(replies) = replies.and_then(mpsc::WeakUnboundedSender::upgrade) {
                // A connection that has ended takes no replies.
                self.reply(woken.reply, &replies).ok();
            }
        }
    }

    /// Sends what the faults of the stores make of a reply.
    fn reply(
        &mut self,
        reply: WireCommand,
        replies: &mpsc::UnboundedSender<Due>,
    ) -> Result<(), Ended> {
        if let WireCommand::AppendSetup(set_up) = &reply
            && set_up.last_event_number != EventNumber::NONE.0
        {
            self.count("set-up of a known writer");
        }
        for reply in self.faults.change(reply) {
            self.count(reply.name());
            let mut at = Instant::now();
            if matches!(reply, WireCommand::DataAppended(_)) {
                at += self.faults.ack_delay;
            }
            replies.send(Due { at, reply }).map_err(|_| Ended)?;
        }
        Ok(())
    }

    // The placement of segments on stores.

    /// The store of a segment.
    pub(crate) fn store_of(&self, segment: &str) -> StoreIndex {
        self.machine.placement.store_of(segment)
    }

    /// Moves the container of a segment to another store.
    pub(crate) fn place(&mut self, segment: &str, store: StoreIndex) {
        self.machine.placement.place(segment, store);
    }

    // The present state.

    /// The state of a segment; `None` if it does not exist.
    pub(crate) fn info(&self, segment: &ScopedSegment) -> Option<Info> {
        self.machine.store.info(&segment.to_string()).ok()
    }

    /// The bytes of a segment from its start to its end; none if it does not exist.
    pub(crate) fn bytes(&mut self, segment: &ScopedSegment) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(Info { start, len, .. }) = self.info(segment) else { return bytes };
        let name = ByteString::from(segment.to_string());
        let mut offset = start;
        while offset < len {
            let (connection, request_id) = (INSPECTOR, 0);
            let read = WaitingRead { connection, request_id, offset, max_len: usize::MAX };
            let Ok(Read::Data { data, .. }) = self.machine.store.read(&name, read) else {
                unreachable!("the segment has bytes at {offset}");
            };
            offset += data.len() as u64;
            bytes.extend_from_slice(&data);
        }
        bytes
    }

    /// The segments of a stream that take events, in the order of their ranges.
    pub(crate) fn active_segments(&mut self, stream: &ScopedStream) -> Vec<SegmentWithRange> {
        let info = messages::stream_info(stream);
        let segments = self.call(|catalog, step| catalog.current_segments(&info, step));
        segments.map(|found| messages::segments(&found.segment_ranges)).unwrap_or_default()
    }

    /// The direct successors of a segment.
    pub(crate) fn successors(&mut self, segment: &ScopedSegment) -> Vec<Successor> {
        let info = messages::stream_info(&segment.scoped_stream());
        let id = i64::from(segment.id());
        let successors = self.call(|catalog, step| catalog.successors(&info, id, step));
        successors.map(|found| messages::successors(&found)).unwrap_or_default()
    }

    /// Every segment that a stream has had, in the order of their ids.
    pub(crate) fn all_segments(&mut self, stream: &ScopedStream) -> Vec<SegmentId> {
        let info = messages::stream_info(stream);
        let mut ids: Vec<SegmentId> = (0..)
            .map_while(|epoch| {
                self.call(|catalog, step| catalog.epoch_segments(&info, epoch, step)).ok()
            })
            .flat_map(|found| messages::segments(&found.segment_ranges))
            .map(|segment| segment.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Sends the replies of one connection.
pub(crate) struct Replies(pub(crate) mpsc::UnboundedSender<Due>);

fn is_append(command: &WireCommand) -> bool {
    matches!(
        command,
        WireCommand::AppendBlock(_)
            | WireCommand::AppendBlockEnd(_)
            | WireCommand::ConditionalAppend(_)
            | WireCommand::ConditionalBlockEnd(_)
            | WireCommand::Padding(_)
            | WireCommand::PartialEvent(_)
    )
}
