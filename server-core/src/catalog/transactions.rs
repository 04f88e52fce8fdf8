//! Transactions: begun, pinged, committed, aborted, and expired.
//!
//! A commit across a scale adds two epochs: one with the segments as the transaction knew them,
//! into which it is merged, and one with the segments as they are now. Writers and readers pass
//! both as they pass any scale.

use pravega_sdk_proto::{
    CreateTxnResponse, ListCompletedTxnResponse, StreamInfo, TxnResponse, ping_txn_status,
    txn_response, txn_state::State, txn_status,
};
use pravega_sdk_types::{Epoch, Offset, SegmentId, TransactionId};
use uuid::Uuid;

use super::{
    cut::WriterPosition,
    error::{CallError, CallResult, no_stream},
    names,
    segments::create_segments,
    state::Catalog,
    stream::{SegmentRecord, WriterMark, WriterTime},
    transaction::{Transaction, TransactionState, message_of, new_id, segment_of},
};
use crate::{
    record::{Attributes, Millis},
    store::{Refusal, Step},
};

/// The shortest and the longest lease, in milliseconds.
const MIN_LEASE: i64 = 10_000;
const MAX_LEASE: i64 = 600_000;
/// The longest life of a transaction, in milliseconds; a thousand leases is the other limit.
const MAX_LIFE: i64 = 24 * 3600 * 1000;
/// How long the outcome of a transaction is kept, in milliseconds.
const REMEMBERED: i64 = 24 * 3600 * 1000;
/// The most completed transactions that are listed.
const LISTED: usize = 500;

impl Catalog {
    /// Begins a transaction, with a segment for each open segment of the stream. The lease is in
    /// milliseconds.
    pub fn create_transaction(
        &mut self,
        info: &StreamInfo,
        lease: i64,
        step: &mut Step<'_>,
    ) -> CallResult<CreateTxnResponse> {
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        if !(MIN_LEASE..=MAX_LEASE).contains(&lease) {
            return Err(CallError::Unknown(format!(
                "the lease of {lease} ms is not within {MIN_LEASE} to {MAX_LEASE} ms"
            )));
        }
        let found = self.stream(scope, stream).ok_or_else(|| no_stream(scope, stream))?;
        if found.sealed {
            return Err(CallError::Internal(format!("stream {scope}/{stream} is sealed")));
        }
        let (epoch, records) = (found.reference(), found.active().to_vec());
        step.reserve(records.len())?;
        let id = new_id(epoch, step.at.random);
        for record in &records {
            if let Some(segment) = segment_of(scope, stream, id, record.number()) {
                step.create(&segment, Attributes::new())?;
            }
        }
        let transaction = Transaction {
            state: TransactionState::Open,
            numbers: records.iter().map(|record| record.number()).collect(),
            expires: step.at.now.after(lease),
            ends: step.at.now.after(MAX_LIFE.min(lease * 1000)),
            completed: Millis::default(),
        };
        if let Some(found) = self.stream_mut(scope, stream) {
            found.transactions.insert(id, transaction);
        }
        self.save_transaction(step.journal, scope, stream, id);
        // Each segment is named with the transaction's epoch, as its own part of the transaction
        // is.
        let as_named = |record: &SegmentRecord| SegmentRecord {
            id: SegmentId::new(epoch, record.number()),
            ..*record
        };
        let active_segments =
            records.iter().map(|record| as_named(record).message(scope, stream)).collect();
        let delegation_token = self.token(info, step);
        Ok(CreateTxnResponse { txn_id: Some(message_of(id)), active_segments, delegation_token })
    }

    /// Renews the lease of an open transaction, in milliseconds.
    pub fn ping_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        lease: i64,
        step: &mut Step<'_>,
    ) -> CallResult<ping_txn_status::Status> {
        use ping_txn_status::Status;
        step.reserve(0)?;
        let id = TransactionId(id);
        let Some(found) = self.transaction_mut(info, id) else {
            return Ok(Status::Unknown);
        };
        Ok(match found.state {
            TransactionState::Committed => Status::Committed,
            TransactionState::Aborted => Status::Aborted,
            TransactionState::Open if !(MIN_LEASE..=MAX_LEASE).contains(&lease) => {
                Status::LeaseTooLarge
            }
            TransactionState::Open if step.at.now.after(lease) > found.ends => {
                Status::MaxExecutionTimeExceeded
            }
            TransactionState::Open => {
                found.expires = step.at.now.after(lease);
                self.save_transaction(step.journal, &info.scope, &info.stream, id);
                Status::Ok
            }
        })
    }

    fn transaction_mut(
        &mut self,
        info: &StreamInfo,
        id: TransactionId,
    ) -> Option<&mut Transaction> {
        self.stream_mut(&info.scope, &info.stream)?.transactions.get_mut(&id)
    }

    /// The state of a transaction.
    pub fn transaction_state(&self, info: &StreamInfo, id: Uuid) -> CallResult<State> {
        let found = self.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        Ok(match found.transactions.get(&TransactionId(id)).map(|transaction| transaction.state) {
            None => State::Unknown,
            Some(TransactionState::Open) => State::Open,
            Some(TransactionState::Committed) => State::Committed,
            Some(TransactionState::Aborted) => State::Aborted,
        })
    }

    /// Merges a transaction into its stream. Unless `writer` is empty or `time` negative, the time
    /// of the writer is recorded.
    pub fn commit_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        writer: &str,
        time: i64,
        step: &mut Step<'_>,
    ) -> CallResult<txn_status::Status> {
        use txn_status::Status;
        let id = TransactionId(id);
        match self.transaction_mut(info, id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Aborted) => return Ok(Status::Failure),
            Some(TransactionState::Committed) => return Ok(Status::Success),
            Some(TransactionState::Open) => {}
        }
        step.reserve(0)?;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let position = self.merge_transaction(scope, stream, id, step)?;
        if !writer.is_empty() && time >= 0 {
            let mark = WriterMark { time: WriterTime(time), position, at: step.at.now };
            self.note(scope, stream, writer, mark, step);
        }
        self.complete(scope, stream, id, TransactionState::Committed, step);
        Ok(Status::Success)
    }

    /// Merges the segments of a transaction into its stream; returns the ends of the segments that
    /// have its events.
    fn merge_transaction(
        &mut self,
        scope: &str,
        stream: &str,
        id: TransactionId,
        step: &mut Step<'_>,
    ) -> CallResult<WriterPosition> {
        let Some(found) = self.stream(scope, stream) else {
            return Err(no_stream(scope, stream));
        };
        let epoch = id.epoch();
        if epoch == found.reference() {
            let records = found.active().to_vec();
            return self.merge_into(scope, stream, id, &records, step);
        }
        // The stream was scaled since: the segments that the transaction knew are created again.
        let old = found.active().to_vec();
        let active = found.active_epoch();
        let (between, next) = (Epoch(active.0 + 1), Epoch(active.0 + 2));
        let (theirs, ours) = (found.duplicates(epoch, between), found.duplicates(active, next));
        let (config, reference) = (found.config.clone(), found.reference());
        step.reserve(theirs.len() + ours.len())?;
        create_segments(scope, stream, &config, &theirs, step)?;
        for record in &old {
            step.seal(&names::segment(scope, stream, record.id)).ok();
        }
        let position = self.merge_into(scope, stream, id, &theirs, step)?;
        for record in &theirs {
            step.seal(&names::segment(scope, stream, record.id)).ok();
        }
        create_segments(scope, stream, &config, &ours, step)?;
        if let Some(found) = self.stream_mut(scope, stream) {
            found.add_epoch(epoch, theirs, step.at.now);
            found.add_epoch(reference, ours, step.at.now);
        }
        self.save_stream(step.journal, scope, stream);
        Ok(position)
    }

    fn merge_into(
        &mut self,
        scope: &str,
        stream: &str,
        id: TransactionId,
        records: &[SegmentRecord],
        step: &mut Step<'_>,
    ) -> CallResult<WriterPosition> {
        let mut position = WriterPosition::new();
        for record in records {
            let Some(source) = segment_of(scope, stream, id, record.number()) else { continue };
            let target = names::segment(scope, stream, record.id);
            let end = match step.merge(&target, &source, &[]) {
                // A client deleted it without the controller, so nothing is left to merge.
                Err(Refusal::NoSuchSource) => step.store.info(&target)?.len,
                merged => merged?,
            };
            position.insert(record.id, Offset(end as i64));
        }
        Ok(position)
    }

    fn complete(
        &mut self,
        scope: &str,
        stream: &str,
        id: TransactionId,
        state: TransactionState,
        step: &mut Step<'_>,
    ) {
        let info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        if let Some(found) = self.transaction_mut(&info, id) {
            found.state = state;
            found.completed = step.at.now;
        }
        self.save_transaction(step.journal, scope, stream, id);
    }

    /// Aborts a transaction and deletes its segments.
    pub fn abort_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        step: &mut Step<'_>,
    ) -> CallResult<txn_status::Status> {
        use txn_status::Status;
        let id = TransactionId(id);
        step.reserve(0)?;
        match self.transaction_mut(info, id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Committed) => Ok(Status::Failure),
            Some(TransactionState::Aborted) => Ok(Status::Success),
            Some(TransactionState::Open) => {
                self.abort(&info.scope, &info.stream, id, step);
                Ok(Status::Success)
            }
        }
    }

    fn abort(&mut self, scope: &str, stream: &str, id: TransactionId, step: &mut Step<'_>) {
        let found =
            self.stream(scope, stream).and_then(|stream| stream.transactions.get(&id)).cloned();
        if let Some(transaction) = found {
            transaction.drop_segments(step, scope, stream, id);
            self.complete(scope, stream, id, TransactionState::Aborted, step);
        }
    }

    /// Aborts the open transactions of a stream.
    pub(super) fn abort_all(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) {
        let Some(found) = self.stream(scope, stream) else { return };
        let is_open = |(id, transaction): (&TransactionId, &Transaction)| {
            (transaction.state == TransactionState::Open).then_some(*id)
        };
        let open: Vec<TransactionId> = found.transactions.iter().filter_map(is_open).collect();
        for id in open {
            self.abort(scope, stream, id, step);
        }
    }

    /// The transactions that completed last, newest first.
    pub fn completed_transactions(
        &self,
        info: &StreamInfo,
    ) -> CallResult<ListCompletedTxnResponse> {
        let found = self.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        let mut completed: Vec<(&TransactionId, &Transaction)> = found
            .transactions
            .iter()
            .filter(|(_, transaction)| transaction.state != TransactionState::Open)
            .collect();
        completed.sort_by_key(|(_, transaction)| std::cmp::Reverse(transaction.completed));
        let entry = |(id, transaction): (&TransactionId, &Transaction)| {
            let committed = transaction.state == TransactionState::Committed;
            let status = if committed {
                txn_response::Status::Committed
            } else {
                txn_response::Status::Aborted
            };
            TxnResponse { txn_id: Some(message_of(*id)), status: status.into() }
        };
        Ok(ListCompletedTxnResponse {
            response: completed.into_iter().take(LISTED).map(entry).collect(),
        })
    }

    /// Aborts transactions whose leases ran out, and forgets those completed long ago.
    pub(crate) fn expire_transactions(&mut self, step: &mut Step<'_>) {
        let (mut late, mut old) = (Vec::new(), Vec::new());
        for (scope, found) in &self.scopes {
            for (stream, found) in &found.streams {
                for (id, transaction) in &found.transactions {
                    let open = transaction.state == TransactionState::Open;
                    if open && transaction.expires.min(transaction.ends) <= step.at.now {
                        late.push((scope.clone(), stream.clone(), *id));
                    } else if !open && transaction.completed.after(REMEMBERED) <= step.at.now {
                        old.push((scope.clone(), stream.clone(), *id));
                    }
                }
            }
        }
        for (scope, stream, id) in late {
            self.abort(&scope, &stream, id, step);
        }
        for (scope, stream, id) in old {
            if let Some(found) = self.stream_mut(&scope, &stream) {
                found.transactions.remove(&id);
            }
            self.save_transaction(step.journal, &scope, &stream, id);
        }
    }
}
