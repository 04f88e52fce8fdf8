//! What the transactions of a real cluster have beyond the catalog's: a commit is accepted first
//! and carried out later, and one that is accepted while the stream scales waits for the scale.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_controller_client::{CreatedTransaction, TransactionState};
use pravega_sdk_proto::{
    StreamInfo, ping_txn_status::Status as PingStatus, txn_state::State, txn_status::Status,
};
use pravega_sdk_server_core::{
    catalog::{CallResult, id_of},
    store::transaction_segment,
};
use pravega_sdk_types::{ScopedSegment, ScopedStream, TransactionId};
use tokio::time::Instant;

use crate::{cluster::Cluster, messages};

/// The longest lease that the catalog takes, in milliseconds.
const MAX_LEASE: i64 = 600_000;

/// The transactions of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    known: BTreeMap<TransactionId, Known>,
    longest_ping_gap: Duration,
}

/// A transaction that a client began.
#[derive(Debug)]
struct Known {
    stream: ScopedStream,
    info: StreamInfo,
    segments: Vec<ScopedSegment>,
    last_ping: Instant,
    /// The commit that was accepted and is not yet carried out.
    accepted: Option<Accepted>,
}

#[derive(Debug, Clone, Default)]
struct Accepted {
    note: Note,
    /// True if the commit waits for the end of a scale.
    is_postponed: bool,
}

/// The time that a writer notes with a commit.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) writer: String,
    pub(crate) time: i64,
}

impl Default for Note {
    /// No note, as clients send it.
    fn default() -> Self {
        Self { writer: String::new(), time: i64::MIN }
    }
}

impl Transactions {
    /// Begins a transaction on the active segments of a stream.
    pub(crate) fn begin(
        &mut self,
        cluster: &mut Cluster,
        stream: &ScopedStream,
        lease: Duration,
    ) -> CallResult<CreatedTransaction> {
        let info = messages::stream_info(stream);
        let lease = millis(lease);
        let created =
            cluster.call(|catalog, step| catalog.create_transaction(&info, lease, step))?;
        let id = TransactionId(id_of(created.txn_id));
        let segments = messages::segments(&created.active_segments);
        let known = Known {
            stream: stream.clone(),
            info,
            segments: segments
                .iter()
                .map(|segment| ScopedSegment::new(stream, segment.id))
                .collect(),
            last_ping: Instant::now(),
            accepted: None,
        };
        self.known.insert(id, known);
        Ok(CreatedTransaction::new(id, segments))
    }

    /// Extends the lease of a transaction.
    pub(crate) fn ping(
        &mut self,
        cluster: &mut Cluster,
        id: TransactionId,
        lease: Duration,
    ) -> PingStatus {
        self.expire(cluster);
        let Some(known) = self.known.get_mut(&id) else { return PingStatus::Unknown };
        if known.accepted.is_some() {
            return PingStatus::Committed;
        }
        let (info, lease) = (&known.info, millis(lease));
        let status =
            cluster.call(|catalog, step| catalog.ping_transaction(info, id.0, lease, step));
        let status = status.unwrap_or(PingStatus::Unknown);
        if status == PingStatus::Ok {
            self.longest_ping_gap = self.longest_ping_gap.max(known.last_ping.elapsed());
            known.last_ping = Instant::now();
        }
        status
    }

    /// The longest time between two pings of a transaction that stayed open.
    pub(crate) fn longest_ping_gap(&self) -> Duration {
        self.longest_ping_gap
    }

    /// The state of a transaction; `None` if it does not exist.
    pub(crate) fn state(
        &mut self,
        cluster: &mut Cluster,
        id: TransactionId,
    ) -> Option<TransactionState> {
        self.expire(cluster);
        self.known.get(&id).and_then(|known| known.state(cluster, id))
    }

    /// The states of all transactions.
    pub(crate) fn states(
        &mut self,
        cluster: &mut Cluster,
    ) -> BTreeMap<TransactionId, TransactionState> {
        self.expire(cluster);
        let states = self.known.iter().map(|(id, known)| (*id, known.state(cluster, *id)));
        states.filter_map(|(id, state)| Some((id, state?))).collect()
    }

    /// Accepts a commit, which [`finish_commit`](Self::finish_commit) carries out. From then on
    /// nothing is written to the transaction, and its lease no longer runs out.
    pub(crate) fn accept_commit(
        &mut self,
        cluster: &mut Cluster,
        id: TransactionId,
        note: Note,
    ) -> Status {
        use TransactionState::{Committed, Committing, Open};
        let state = self.state(cluster, id);
        let (Some(state), Some(known)) = (state, self.known.get_mut(&id)) else {
            return Status::Failure;
        };
        match state {
            Committing | Committed => Status::Success,
            Open => {
                known.accepted = Some(Accepted { note, is_postponed: false });
                let (info, segments) = (&known.info, &known.segments);
                cluster.call(|catalog, step| {
                    catalog.ping_transaction(info, id.0, MAX_LEASE, step).ok();
                    for segment in segments {
                        // A segment that a client sealed or deleted stays as it is.
                        step.seal(&transaction_segment(segment, id).into()).ok();
                    }
                });
                Status::Success
            }
            _ => Status::Failure,
        }
    }

    /// Lets an accepted commit wait for the end of a scale.
    pub(crate) fn postpone_commit(&mut self, id: TransactionId) {
        if let Some(accepted) = self.known.get_mut(&id).and_then(|known| known.accepted.as_mut()) {
            accepted.is_postponed = true;
        }
    }

    /// Carries out the commits that waited for the end of a scale.
    pub(crate) fn finish_postponed(&mut self, cluster: &mut Cluster) {
        self.finish_where(cluster, |accepted| accepted.is_postponed);
    }

    /// Carries out all accepted commits.
    pub(crate) fn finish_all(&mut self, cluster: &mut Cluster) {
        self.finish_where(cluster, |_| true);
    }

    fn finish_where(&mut self, cluster: &mut Cluster, which: impl Fn(&Accepted) -> bool) {
        let due: Vec<TransactionId> = self
            .known
            .iter()
            .filter(|(_, known)| known.accepted.as_ref().is_some_and(&which))
            .map(|(id, _)| *id)
            .collect();
        due.into_iter().for_each(|id| self.finish_commit(cluster, id));
    }

    /// Carries out a commit that was accepted; does nothing for another one.
    pub(crate) fn finish_commit(&mut self, cluster: &mut Cluster, id: TransactionId) {
        let Some(known) = self.known.get_mut(&id) else { return };
        let Some(Accepted { note, .. }) = known.accepted.take() else { return };
        let (info, stream) = (&known.info, &known.stream);
        let before = cluster.active_segments(stream);
        let committed = cluster.call(|catalog, step| {
            catalog.commit_transaction(info, id.0, &note.writer, note.time, step)
        });
        assert_eq!(committed, Ok(Status::Success), "an accepted commit is carried out");
        if cluster.active_segments(stream) != before {
            cluster.count("rolling commit");
        }
    }

    /// Aborts a transaction.
    pub(crate) fn abort(&mut self, cluster: &mut Cluster, id: TransactionId) -> CallResult<Status> {
        self.expire(cluster);
        let Some(known) = self.known.get(&id) else { return Ok(Status::Failure) };
        if known.accepted.is_some() {
            return Ok(Status::Failure);
        }
        cluster.call(|catalog, step| catalog.abort_transaction(&known.info, id.0, step))
    }

    /// Aborts the transactions whose leases ran out.
    fn expire(&self, cluster: &mut Cluster) {
        let open = |cluster: &mut Cluster| {
            let states = self.known.iter().map(|(id, known)| known.state(cluster, *id));
            states.filter(|state| *state == Some(TransactionState::Open)).count()
        };
        let before = open(cluster);
        cluster.tick();
        for _ in open(cluster)..before {
            cluster.count("lease ran out");
        }
    }
}

impl Known {
    fn state(&self, cluster: &mut Cluster, id: TransactionId) -> Option<TransactionState> {
        if self.accepted.is_some() {
            return Some(TransactionState::Committing);
        }
        let state = cluster.call(|catalog, _| catalog.transaction_state(&self.info, id.0));
        match state.ok()? {
            State::Unknown => None,
            State::Open => Some(TransactionState::Open),
            State::Committing => Some(TransactionState::Committing),
            State::Committed => Some(TransactionState::Committed),
            State::Aborting => Some(TransactionState::Aborting),
            State::Aborted => Some(TransactionState::Aborted),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
