//! The transactions of a simulated cluster: leases, commits that take a while, and rolling ones
//! after a scale.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_controller_client::{
    CreatedTransaction, PingStatus, SegmentWithRange, TransactionState,
};
use pravega_sdk_types::{
    Epoch, KeyRange, ScopedSegment, ScopedStream, SegmentId, SegmentNumber, Successor,
    TransactionId, segment_name,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    World,
    world::{SegmentState, State},
};

/// What the controller knows of a transaction.
#[derive(Debug, Clone)]
pub(crate) struct TransactionRecord {
    stream: ScopedStream,
    segments: Vec<SegmentWithRange>,
    state: TransactionState,
    lease: Duration,
    last_ping: Instant,
}

impl World {
    /// Begins a transaction on the segments that are active.
    pub(crate) fn begin_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> CreatedTransaction {
        let segments = self.active_segments(stream);
        let mut state = self.lock();
        let epoch = state.epoch_of(stream);
        state.next_transaction += 1;
        let id = TransactionId(Uuid::from_u128(
            (epoch as u128) << 96 | u128::from(state.next_transaction),
        ));
        for segment in &segments {
            let name = segment_name::transaction(&ScopedSegment::new(stream, segment.id), id);
            state.segments.insert(name, SegmentState::default());
        }
        let record = TransactionRecord {
            stream: stream.clone(),
            segments: segments.clone(),
            state: TransactionState::Open,
            lease,
            last_ping: Instant::now(),
        };
        state.transactions.insert(id, record);
        CreatedTransaction::new(id, segments)
    }

    /// The segments that a transaction writes to.
    pub(crate) fn transaction_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Vec<SegmentWithRange> {
        let state = self.lock();
        let of_epoch = |(id, record): &(&TransactionId, &TransactionRecord)| {
            record.stream == *stream && id.epoch() == epoch
        };
        state
            .transactions
            .iter()
            .find(of_epoch)
            .map(|(_, record)| record.segments.clone())
            .unwrap_or_default()
    }

    pub(crate) fn ping_transaction(
        &self,
        id: TransactionId,
        lease: Duration,
    ) -> Option<PingStatus> {
        self.expire_transactions();
        let mut state = self.lock();
        let record = state.transactions.get_mut(&id)?;
        Some(match record.state {
            TransactionState::Open => {
                let gap = record.last_ping.elapsed();
                record.last_ping = Instant::now();
                record.lease = lease;
                state.longest_ping_gap = state.longest_ping_gap.max(gap);
                PingStatus::Open
            }
            TransactionState::Committing | TransactionState::Committed => PingStatus::Committed,
            _ => PingStatus::Aborted,
        })
    }

    /// The longest time between two pings of a transaction that stayed open.
    #[must_use]
    pub fn longest_ping_gap(&self) -> Duration {
        self.lock().longest_ping_gap
    }

    pub(crate) fn transaction_state(&self, id: TransactionId) -> Option<TransactionState> {
        self.expire_transactions();
        self.lock().transactions.get(&id).map(|record| record.state)
    }

    /// Where every transaction ended.
    #[must_use]
    pub fn transaction_states(&self) -> BTreeMap<TransactionId, TransactionState> {
        self.expire_transactions();
        self.lock().transactions.iter().map(|(id, record)| (*id, record.state)).collect()
    }

    /// Accepts a commit, or says what stands against it. [`Self::finish_commit`] carries it out.
    pub(crate) fn accept_commit(&self, id: TransactionId) -> Option<TransactionState> {
        self.expire_transactions();
        let mut state = self.lock();
        let record = state.transactions.get_mut(&id)?;
        if record.state == TransactionState::Open {
            record.state = TransactionState::Committing;
            // From here on nothing is written to it any more.
            let names: Vec<String> = record.segment_names(id).collect();
            for name in names {
                if let Some(segment) = state.segments.get_mut(&name) {
                    segment.is_sealed = true;
                }
            }
            return Some(TransactionState::Committing);
        }
        Some(record.state)
    }

    pub(crate) fn abort_transaction(&self, id: TransactionId) -> Option<TransactionState> {
        self.expire_transactions();
        let mut state = self.lock();
        let record = state.transactions.get_mut(&id)?;
        if record.state == TransactionState::Open {
            record.state = TransactionState::Aborted;
            let names: Vec<String> = record.segment_names(id).collect();
            names.into_iter().for_each(|name| drop(state.segments.remove(&name)));
        }
        state.transactions.get(&id).map(|record| record.state)
    }

    /// Merges what an accepted transaction wrote: into its segments if they take events, otherwise
    /// into segments of two new epochs, as the real controller does.
    pub(crate) fn finish_commit(&self, id: TransactionId) {
        let record = {
            let mut state = self.lock();
            let Some(record) = state.transactions.get_mut(&id) else { return };
            if record.state != TransactionState::Committing {
                return;
            }
            record.state = TransactionState::Committed;
            record.clone()
        };
        let active: BTreeMap<SegmentId, KeyRange> = self
            .active_segments(&record.stream)
            .iter()
            .map(|segment| (segment.id, segment.range))
            .collect();
        let is_current = record.segments.iter().all(|segment| active.contains_key(&segment.id));
        let mut state = self.lock();
        let take = |state: &mut State, segment: &SegmentWithRange| {
            let name =
                segment_name::transaction(&ScopedSegment::new(&record.stream, segment.id), id);
            state.segments.remove(&name).unwrap_or_default().data
        };
        if is_current {
            for segment in &record.segments {
                let data = take(&mut state, segment);
                let name = ScopedSegment::new(&record.stream, segment.id).to_string();
                if let Some(parent) = state.segments.get_mut(&name) {
                    parent.data.extend_from_slice(&data);
                }
                state.wake(&name);
            }
            return;
        }
        *state.counter("rolling commit") += 1;
        let merged: Vec<(SegmentNumber, KeyRange, Vec<u8>)> = record
            .segments
            .iter()
            .map(|segment| (segment.id.number(), segment.range, take(&mut state, segment)))
            .collect();
        state.roll(&record.stream, &active, merged);
    }

    /// Aborts what nobody spoke up for.
    fn expire_transactions(&self) {
        let mut state = self.lock();
        let expired: Vec<TransactionId> = state
            .transactions
            .iter()
            .filter(|(_, record)| {
                record.state == TransactionState::Open && record.last_ping.elapsed() > record.lease
            })
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            *state.counter("lease ran out") += 1;
            let Some(record) = state.transactions.get_mut(&id) else { continue };
            record.state = TransactionState::Aborted;
            let names: Vec<String> = record.segment_names(id).collect();
            names.into_iter().for_each(|name| drop(state.segments.remove(&name)));
        }
    }
}

impl TransactionRecord {
    fn segment_names(&self, id: TransactionId) -> impl Iterator<Item = String> {
        let stream = self.stream.clone();
        let ids: Vec<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        ids.into_iter().map(move |segment| {
            segment_name::transaction(&ScopedSegment::new(&stream, segment), id)
        })
    }
}

/// The successors of segments among others: those that own some of the same keys.
pub(crate) fn link(
    before: &BTreeMap<SegmentId, KeyRange>,
    after: &BTreeMap<SegmentId, KeyRange>,
) -> Vec<Successor> {
    after
        .iter()
        .map(|(id, range)| {
            let predecessors =
                before.iter().filter(|(_, old)| old.overlaps(range)).map(|(id, _)| *id).collect();
            Successor { id: *id, range: *range, predecessors }
        })
        .collect()
}
