//! A simulated cluster as tests set it up and inspect it: streams, stores, faults and content.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_controller_client::{SegmentWithRange, TransactionState};
use pravega_sdk_proto::{
    create_scope_status, create_stream_status, delete_stream_status,
    scale_response::ScaleStreamStatus, update_stream_status,
};
use pravega_sdk_server_core::ids::StoreIndex;
use pravega_sdk_types::{
    Endpoint, KeyRange, Offset, ScopedSegment, ScopedStream, SegmentId, Successor, TransactionId,
};

use crate::{
    cluster::Cluster,
    content::{self, Stored},
    faults::{ControllerFaults, Misbehaviour},
    messages,
    transactions::{Note, Transactions},
};

/// A simulated cluster. Clones are the same cluster.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
}

/// The cluster with what a real one has beyond the server's machine.
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    pub(crate) transactions: Transactions,
    pub(crate) controller: ControllerFaults,
    /// For each store, true if it is up.
    stores: Vec<bool>,
    /// The scale under way.
    scale: Option<Scale>,
}

/// A scale that is half done: its segments are sealed, their successors are not yet known.
struct Scale {
    stream: ScopedStream,
    sealed: Vec<SegmentId>,
    ranges: Vec<KeyRange>,
}

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
            stores: vec![true; stores],
            scale: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
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

    /// Makes the stores send what `misbehaviour` returns for each reply.
    pub fn set_misbehaviour(&self, misbehaviour: Misbehaviour) {
        self.lock().cluster.faults.misbehaviour = Some(misbehaviour);
    }

    /// Limits the bytes that a store returns for one read.
    pub fn set_max_reply(&self, bytes: Option<usize>) {
        self.lock().cluster.faults.max_reply = bytes;
    }

    /// Makes that many of a hundred requests about transactions take effect, at once or late,
    /// without an answer.
    pub fn set_lost_answers(&self, percent: u32) {
        self.lock().controller.lost_answers = percent;
    }

    /// Makes every call of the controller fail, or ends that.
    pub fn set_controller_away(&self, is_away: bool) {
        self.lock().controller.is_away = is_away;
        if is_away {
            self.count("controller away");
        }
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
        self.lock().cluster.call(|catalog, step| {
            let created = catalog.create_scope(&scope, step);
            let scopes =
                [create_scope_status::Status::Success, create_scope_status::Status::ScopeExists];
            assert!(scopes.contains(&created.expect("a scope")));
            let created = catalog.create_stream(with(segments), step);
            assert_eq!(created, Ok(create_stream_status::Status::Success));
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

    /// Seals a stream, after the commits that were accepted.
    ///
    /// # Panics
    ///
    /// If the stream does not exist.
    pub fn seal_stream(&self, stream: &ScopedStream) {
        self.finish_scale();
        let info = messages::stream_info(stream);
        let mut state = self.lock();
        let State { cluster, transactions, .. } = &mut *state;
        transactions.finish_all(cluster);
        let sealed = cluster.call(|catalog, step| catalog.seal_stream(&info, step));
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

    /// Truncates a stream at a cut.
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

    /// The store that listens at an endpoint; `None` if it is down.
    #[must_use]
    pub fn store_at(&self, endpoint: &Endpoint) -> Option<usize> {
        let store = usize::from(endpoint.port().checked_sub(FIRST_PORT)?);
        self.lock().stores.get(store).filter(|is_up| **is_up).map(|_| store)
    }

    /// Takes a store down, or brings it up again. Its links stay as they are; the network resets
    /// them.
    pub fn set_store_up(&self, store: usize, is_up: bool) {
        if let Some(known) = self.lock().stores.get_mut(store) {
            *known = is_up;
        }
        if !is_up {
            self.count("store down");
        }
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
