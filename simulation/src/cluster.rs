//! The server of a simulated cluster: the machine that the embedded server runs, its clock and
//! random ids, and the connections to its stores.
//!
//! ```text
//! connection ──> gates ──> Session ┐
//!                                  ├──> Machine ──> replies ──> faults, gates ──> connections
//! controller ──> call ───> Catalog ┘
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytestring::ByteString;
use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_server_core::{
    catalog::{Catalog, Intervals},
    ids::{ConnectionId, Moment, StoreIndex},
    machine::{Config, Machine},
    placement::Placement,
    record::{Durability, Millis, Record},
    store::{Info, Progress, Read, Step, WaitingRead},
};
use pravega_sdk_types::{ScopedSegment, ScopedStream, SegmentId, Successor};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    archive::Archive, connection::Connection, faults::StoreFaults, fullness, gates::Gates, messages,
};

/// The time at which every simulation begins.
const EPOCH: Millis = Millis(1_700_000_000_000);
/// The clock ends leases. Watermarks, retention and scaling by rate are never due.
const NOTHING_BUT_LEASES: Intervals =
    Intervals { watermarks: i64::MAX, retention: i64::MAX, rates: i64::MAX, rate_window: i64::MAX };
/// The connection of the reads that inspect a segment; no client has it.
const INSPECTOR: ConnectionId = ConnectionId(u64::MAX);

/// The machine of the server with the stores' faults.
pub(crate) struct Cluster {
    pub(crate) machine: Machine,
    begun: Instant,
    pub(crate) random: fastrand::Rng,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) next_connection: u64,
    counters: BTreeMap<&'static str, u64>,
    pub(crate) faults: StoreFaults,
    pub(crate) gates: Gates,
    pub(crate) archive: Archive,
    clock: Clock,
}

/// The clocks of a cluster, relative to that of its clients.
#[derive(Default)]
struct Clock {
    /// The time by which all clocks are ahead.
    ahead: Duration,
    /// The time by which the clock of a store is ahead of the others.
    of_store: HashMap<StoreIndex, Duration>,
}

impl Cluster {
    /// A cluster without streams; its ids follow from the seed.
    pub(crate) fn new(stores: usize, seed: u64) -> Self {
        let config = Config {
            memory_limit: fullness::UNLIMITED,
            // The records are the archive.
            durability: Durability::Kept,
            placement: Placement::over(stores),
            access: None,
            intervals: NOTHING_BUT_LEASES,
        };
        Self {
            machine: Machine::new(config),
            begun: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            connections: BTreeMap::new(),
            next_connection: 0,
            counters: BTreeMap::new(),
            faults: StoreFaults::default(),
            gates: Gates::default(),
            archive: Archive::default(),
            clock: Clock::default(),
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

    // The clocks.

    /// The time of the controller.
    pub(crate) fn now(&self) -> Millis {
        let elapsed = Instant::now().saturating_duration_since(self.begun) + self.clock.ahead;
        Millis(EPOCH.0 + i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// The time of a store.
    pub(crate) fn now_at(&self, store: StoreIndex) -> Millis {
        let ahead = self.clock.of_store.get(&store).copied().unwrap_or_default();
        self.now().after(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX))
    }

    /// A moment of a store.
    pub(crate) fn moment_at(&mut self, store: StoreIndex) -> Moment {
        Moment { now: self.now_at(store), random: Uuid::from_u128(self.random.u128(..)) }
    }

    fn moment(&mut self) -> Moment {
        Moment { now: self.now(), random: Uuid::from_u128(self.random.u128(..)) }
    }

    /// Moves all clocks forward, except those of the clients.
    pub(crate) fn advance_clock(&mut self, by: Duration) {
        self.clock.ahead += by;
        self.close_expired();
    }

    /// Sets the time by which the clock of a store is ahead of the others.
    pub(crate) fn set_clock_ahead(&mut self, store: StoreIndex, ahead: Duration) {
        self.clock.of_store.insert(store, ahead);
        self.close_expired();
    }

    // Steps of the machine.

    /// Makes a call of the controller.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        let at = self.moment();
        let (catalog, mut step) = self.machine.call(at);
        let result = call(catalog, &mut step);
        self.settle();
        result
    }

    /// Does the work that is due by the clock: aborts the transactions whose leases ran out.
    pub(crate) fn tick(&mut self) {
        let at = self.moment();
        self.machine.tick(at);
        self.settle();
    }

    /// Archives what a step changed, and sends the replies to the reads that waited for it.
    pub(crate) fn settle(&mut self) {
        // The changes of more segments than one step has.
        while self.machine.store.settle_slice() == Progress::Unfinished {}
        let at = self.begun.elapsed();
        for record in self.machine.journal.take().into_iter().flat_map(|(_, records)| records) {
            self.archive.apply(record, at);
        }
        self.wake();
    }

    // The placement of segments on stores.

    /// The catalog and the placement as they are now.
    pub(crate) fn known_now(&self) -> (Catalog, Placement) {
        let mut catalog = Catalog::default();
        self.machine.catalog.snapshot(|record| {
            if let Record::CatalogEntry { key, value } = record {
                catalog.restore(&key, value.as_deref()).expect("an entry of the catalog");
            }
        });
        (catalog, self.machine.placement.clone())
    }

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
