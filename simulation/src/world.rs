//! A simulated cluster as tests set it up and inspect it: streams, stores, faults and content.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use pravega_sdk_controller_client::{SegmentWithRange, TransactionState};
use pravega_sdk_proto::{
    create_scope_status, create_stream_status, delete_stream_status,
    scale_response::ScaleStreamStatus, update_stream_status,
};
use pravega_sdk_server_core::{ids::StoreIndex, store::MemoryLimit};
use pravega_sdk_types::{
    Endpoint, KeyRange, Offset, ScopedSegment, ScopedStream, SegmentId, Successor, TransactionId,
};
use tokio::sync::Notify;

use crate::{
    cluster::Cluster,
    content::{self, Stored},
    faults::{Connects, ControllerFaults, Misbehaviour},
    messages,
    transactions::{Note, Transactions},
};

/// A simulated cluster. Clones are the same cluster.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    /// Wakes what waits for the end of a fault.
    changed: Arc<Notify>,
}

/// The cluster with what a real one has beyond the server's machine.
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    pub(crate) transactions: Transactions,
    pub(crate) controller: ControllerFaults,
    pub(crate) interruptions: Option<Interruptions>,
    /// How each store takes new connections.
    stores: Vec<Connects>,
    /// The scale under way.
    scale: Option<Scale>,
}

/// A scale that is half done: its segments are sealed, their successors are not yet known.
struct Scale {
    stream: ScopedStream,
    sealed: Vec<SegmentId>,
    ranges: Vec<KeyRange>,
}

/// Connections that end at the worst moments for the writer of an append.
#[derive(Clone)]
pub struct Interruptions {
    /// Of a hundred connections, the number that are interrupted, once each.
    pub percent: u32,
    /// The longest time that an interruption waits for the next connection of the writer.
    pub longest: Duration,
    /// What happens at the moment: a seal, a merge, a truncation.
    pub between: Option<Between>,
}

/// A moment at which a connection is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// An append or a merge of the connection took effect after the next set-up of its writer was
    /// answered. The one that was sent again is still on its way.
    LateAppend,
    /// An append or a merge of the connection took effect and its acknowledgement is lost. The next
    /// set-up of its writer is still on its way.
    LostAck,
}

/// What happens to a segment of a stream between two steps of an append.
pub type Between =
    Arc<dyn Fn(World, ScopedSegment, Interruption) -> BoxFuture<'static, ()> + Send + Sync>;

/// The simulated stores listen on the ports from this one on.
const FIRST_PORT: u16 = 12_000;

impl World {
    /// A cluster with a number of segment stores.
    #[must_use]
    pub fn new(stores: usize) -> Self {
        Self::with_seed(stores, 0)
    }

    /// A cluster whose ids follow from a seed.
    #[must_use]
    pub fn with_seed(stores: usize, seed: u64) -> Self {
        let state = State {
            cluster: Cluster::new(stores, seed),
            transactions: Transactions::default(),
            controller: ControllerFaults::default(),
            interruptions: None,
            stores: vec![Connects::Accepted; stores],
            scale: None,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an occurrence.
    pub fn count(&self, what: &'static str) {
        self.lock().cluster.count(what);
    }

    /// The number of occurrences of each kind.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.lock().cluster.counters().clone()
    }

    /// Sets the time that stores take to acknowledge an append.
    pub fn set_ack_delay(&self, delay: Duration) {
        self.lock().cluster.faults.ack_delay = delay;
    }

    /// Makes the stores keep appends without acknowledging them.
    pub fn set_deaf(&self) {
        self.lock().cluster.faults.is_deaf = true;
    }

    /// Makes every reply up to that much late, so that replies overtake each other as the protocol
    /// allows: all but those to the appends of one writer.
    pub fn set_reply_delay(&self, longest: Duration) {
        self.lock().cluster.faults.reply_delay = longest;
    }

    /// Makes the stores send what `misbehaviour` returns for each reply.
    pub fn set_misbehaviour(&self, misbehaviour: Misbehaviour) {
        self.lock().cluster.faults.misbehaviour = Some(misbehaviour);
    }

    /// Limits the bytes that a store returns for one read.
    pub fn set_max_reply(&self, bytes: Option<usize>) {
        self.lock().cluster.faults.max_reply = bytes;
    }

    /// Fills all stores: from now on they take `left` bytes more than they use. What fits the last
    /// piece of a segment takes none, and what is truncated makes space. Calls of the controller
    /// are not refused.
    pub fn fill_stores(&self, left: u64) {
        let mut state = self.lock();
        let held = state.cluster.machine.store.held();
        state.cluster.faults.memory_limit = Some(MemoryLimit(held.saturating_add(left)));
        drop(state);
        self.count("stores filled");
    }

    /// Gives all stores space again.
    pub fn free_stores(&self) {
        self.lock().cluster.faults.memory_limit = None;
    }

    // Streams.

    /// Creates a stream with a number of segments.
    ///
    /// # Panics
    ///
    /// If the stream exists.
    pub fn create_stream(&self, stream: &ScopedStream, segments: u32) {
        let scope = stream.scope().to_string();
        let segments = i32::try_from(segments).expect("a number of segments");
        let with = |segments| messages::configuration(stream, segments);
        let mut state = self.lock();
        state.cluster.call(|catalog, step| {
            let created = catalog.create_scope(&scope, step);
            let scopes =
                [create_scope_status::Status::Success, create_scope_status::Status::ScopeExists];
            assert!(scopes.contains(&created.expect("a scope")));
            let created = catalog.create_stream(with(segments), step);
            assert_eq!(created, Ok(create_stream_status::Status::Success));
        });
        // Its segments exist by now, however many they are.
        state.cluster.call(|catalog, step| {
            // Merges may leave one segment.
            let updated = catalog.update_stream(with(1), step);
            assert_eq!(updated, Ok(update_stream_status::Status::Success));
        });
    }

    /// Begins a scale: its segments are sealed, and have no successors until
    /// [`finish_scale`](Self::finish_scale). Finishes the scale before it.
    pub fn begin_scale(
        &self,
        stream: &ScopedStream,
        sealed: Vec<SegmentId>,
        ranges: Vec<KeyRange>,
    ) {
        self.finish_scale();
        let mut state = self.lock();
        state.cluster.call(|_, step| {
            for id in &sealed {
                let segment = ScopedSegment::new(stream, *id).to_string();
                step.seal(&segment.into()).expect("the segment takes events");
            }
        });
        state.scale = Some(Scale { stream: stream.clone(), sealed, ranges });
    }

    /// Finishes the scale under way, and the commits that waited for it.
    ///
    /// # Panics
    ///
    /// If the ranges do not take the place of the sealed segments.
    pub fn finish_scale(&self) {
        let mut state = self.lock();
        let State { cluster, transactions, scale, .. } = &mut *state;
        let Some(Scale { stream, sealed, ranges }) = scale.take() else { return };
        let request = messages::scale_request(&stream, &sealed, &ranges);
        let scaled = cluster.call(|catalog, step| catalog.scale(&request, step));
        let status = scaled.map(|response| response.status());
        assert_eq!(status, Ok(ScaleStreamStatus::Started), "{request:?}");
        cluster.count("scale");
        transactions.finish_postponed(cluster);
    }

    /// Finishes the scale under way, and carries out the commits that were accepted.
    pub(crate) fn finish_changes(&self) {
        self.finish_scale();
        self.with_transactions(Transactions::finish_all);
    }

    /// Seals a stream, after the commits that were accepted.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    pub fn seal_stream(&self, stream: &ScopedStream) {
        self.finish_changes();
        let info = messages::stream_info(stream);
        let sealed = self.lock().cluster.call(|catalog, step| catalog.seal_stream(&info, step));
        assert_eq!(sealed, Ok(update_stream_status::Status::Success));
    }

    /// Seals and deletes a stream.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    pub fn delete_stream(&self, stream: &ScopedStream) {
        self.seal_stream(stream);
        let info = messages::stream_info(stream);
        let deleted = self.lock().cluster.call(|catalog, step| catalog.delete_stream(&info, step));
        assert_eq!(deleted, Ok(delete_stream_status::Status::Success));
    }

    /// Seals and deletes a stream, and creates one with the same name.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    pub fn recreate_stream(&self, stream: &ScopedStream, segments: u32) {
        self.delete_stream(stream);
        self.create_stream(stream, segments);
        self.count("stream created again");
    }

    /// Truncates a stream at a cut: bytes before it are dropped, segments before it deleted.
    ///
    /// # Panics
    ///
    /// If the controller refuses the cut.
    pub fn truncate(&self, stream: &ScopedStream, cut: &BTreeMap<SegmentId, Offset>) {
        let info = messages::stream_info(stream);
        let cut = cut.iter().map(|(id, offset)| (i64::from(*id), offset.0)).collect();
        let mut state = self.lock();
        let truncated =
            state.cluster.call(|catalog, step| catalog.truncate_stream(&info, cut, step));
        assert_eq!(truncated, Ok(update_stream_status::Status::Success));
        state.cluster.count("truncation");
    }

    /// Truncates a stream at the ends of its segments that take events.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    pub fn truncate_at_tail(&self, stream: &ScopedStream) {
        self.truncate(stream, &self.tail(stream));
    }

    /// The ends of the segments that take events.
    #[must_use]
    pub fn tail(&self, stream: &ScopedStream) -> BTreeMap<SegmentId, Offset> {
        let state = &mut *self.lock();
        let active = state.cluster.active_segments(stream);
        let end = |id| state.cluster.info(&ScopedSegment::new(stream, id)).map(|info| info.len);
        active
            .into_iter()
            .map(|segment| (segment.id, Offset(end(segment.id).unwrap_or_default() as i64)))
            .collect()
    }

    /// Deletes a segment, as a truncation after it does.
    ///
    /// # Panics
    ///
    /// If the segment does not exist.
    pub fn truncate_away(&self, stream: &ScopedStream, segment: SegmentId) {
        let name = ScopedSegment::new(stream, segment).to_string().into();
        let deleted = self.lock().cluster.call(|_, step| step.delete(&name));
        assert_eq!(deleted, Ok(()));
    }

    /// Appends bytes to a segment, as a writer does that does not write events.
    ///
    /// # Panics
    ///
    /// If the segment takes no appends.
    pub fn append_raw(&self, segment: &ScopedSegment, bytes: &[u8]) {
        let (name, bytes) = (segment.to_string().into(), bytes.to_vec().into());
        let attributes = Vec::new();
        let append = |cluster: &mut Cluster| {
            cluster.call(|_, step| step.append_internal(&name, bytes, attributes))
        };
        append(&mut self.lock().cluster).expect("the segment takes appends");
    }

    /// The segments that take events, in the order of their ranges.
    #[must_use]
    pub fn active_segments(&self, stream: &ScopedStream) -> Vec<SegmentWithRange> {
        self.lock().cluster.active_segments(stream)
    }

    /// The direct successors of a segment.
    #[must_use]
    pub fn successors(&self, segment: &ScopedSegment) -> Vec<Successor> {
        self.lock().cluster.successors(segment)
    }

    /// All events of a stream: segment after segment, predecessors first.
    ///
    /// # Panics
    ///
    /// If a segment has bytes that are not whole events.
    #[must_use]
    pub fn content(&self, stream: &ScopedStream) -> Vec<Stored> {
        content::content(&mut self.lock().cluster, stream)
    }

    /// All events that a stream has ever had, those of truncated and deleted segments included.
    ///
    /// # Panics
    ///
    /// If a segment had bytes that are not whole events.
    #[must_use]
    pub fn all_content(&self, stream: &ScopedStream) -> Vec<Stored> {
        content::archived(&self.lock().cluster.archive, stream)
    }

    // Transactions.

    /// The longest time between two pings of a transaction that stayed open.
    #[must_use]
    pub fn longest_ping_gap(&self) -> Duration {
        self.lock().transactions.longest_ping_gap()
    }

    /// The state of every transaction.
    #[must_use]
    pub fn transaction_states(&self) -> BTreeMap<TransactionId, TransactionState> {
        self.with_transactions(Transactions::states)
    }

    pub(crate) fn with_transactions<T>(
        &self,
        call: impl FnOnce(&mut Transactions, &mut Cluster) -> T,
    ) -> T {
        let State { cluster, transactions, .. } = &mut *self.lock();
        call(transactions, cluster)
    }

    /// Accepts a commit that the controller received late, and carries it out.
    pub(crate) fn commit_late(&self, id: TransactionId, note: Note) {
        self.with_transactions(|transactions, cluster| {
            transactions.accept_commit(cluster, id, note);
        });
        self.finish_commit(id);
    }

    /// Carries out a commit that was accepted, or lets it wait for the end of the scale under way.
    pub(crate) fn finish_commit(&self, id: TransactionId) {
        let State { cluster, transactions, scale, .. } = &mut *self.lock();
        if scale.is_some() {
            transactions.postpone_commit(id);
        } else {
            transactions.finish_commit(cluster, id);
        }
    }

    // Stores.

    /// The endpoint of a store.
    ///
    /// # Panics
    ///
    /// If there is no port for the store.
    #[must_use]
    pub fn endpoint(store: usize) -> Endpoint {
        format!("store-{store}:{}", FIRST_PORT + store as u16).parse().expect("an endpoint")
    }

    /// The store of an endpoint, and how it takes new connections; `None` if there is none.
    #[must_use]
    pub fn store_at(&self, endpoint: &Endpoint) -> Option<(usize, Connects)> {
        let store = usize::from(endpoint.port().checked_sub(FIRST_PORT)?);
        self.lock().stores.get(store).map(|connects| (store, *connects))
    }

    /// Sets how a store takes new connections. Its links stay as they are.
    pub fn set_connects(&self, store: usize, connects: Connects) {
        if let Some(known) = self.lock().stores.get_mut(store) {
            *known = connects;
        }
        self.notify_changed();
    }

    /// Takes a store down, or brings it up again. Its links stay as they are; the network resets
    /// them. What a [`Hold`](crate::Hold) holds stays, as the data of a store does.
    pub fn set_store_up(&self, store: usize, is_up: bool) {
        self.set_connects(store, if is_up { Connects::Accepted } else { Connects::Refused });
        if !is_up {
            self.count("store down");
        }
    }

    /// Wakes what waits for the end of a fault.
    pub(crate) fn notify_changed(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until a fault has ended, or another has begun. Counts from the call, not from the
    /// first poll.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    /// Interrupts some of the connections that are opened from now on.
    pub fn set_interruptions(&self, interruptions: Option<Interruptions>) {
        self.lock().interruptions = interruptions;
    }

    /// Moves a segment to another store, with all segments of its container.
    pub fn move_segment(&self, segment: &ScopedSegment, store: usize) {
        let mut state = self.lock();
        state.cluster.place(&segment.to_string(), StoreIndex(store));
        state.cluster.count("segment moved");
    }

    /// The store of a segment.
    #[must_use]
    pub fn owner(&self, segment: &str) -> usize {
        self.lock().cluster.store_of(segment).0
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("counters", &self.counters()).finish_non_exhaustive()
    }
}
