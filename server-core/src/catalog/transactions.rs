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
    change::StreamPart,
    cut::WriterPosition,
    error::{CallError, CallResult, no_stream},
    history::{EpochRecord, SegmentRecord},
    names,
    plan::Plan,
    segments::plan_segments,
    state::Catalog,
    stream::{Stream, WriterMark, WriterTime},
    time::{check_writer, plan_note},
    transaction::{Transaction, TransactionState, message_of, new_id, segment_of},
};
use crate::{
    record::{Attributes, Millis},
    store::{MergeTarget, Refusal, SegmentKind, Step},
};

/// The shortest and the longest lease, in milliseconds.
const MIN_LEASE: i64 = 10_000;
const MAX_LEASE: i64 = 600_000;
/// The longest life of a transaction, in milliseconds; a thousand leases is the other limit.
const MAX_LIFE: i64 = 24 * 3600 * 1000;
/// How long the outcome of a transaction is kept, in milliseconds.
const REMEMBERED: i64 = 24 * 3600 * 1000;
/// The most outcomes of one stream that are kept; beyond it the oldest is forgotten.
const MAX_COMPLETED: usize = 100_000;
/// The most transactions that are aborted or forgotten at once; more wait for the next time.
const MAX_EXPIRED: usize = 1000;
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
        if found.is_sealed() {
            return Err(CallError::Internal(format!("stream {scope}/{stream} is sealed")));
        }
        let (epoch, records) = (found.history.reference(), found.active());
        let id = new_id(epoch, step.at.random);
        let transaction = Transaction {
            state: TransactionState::Open,
            numbers: records.iter().map(|record| record.number()).collect(),
            expires: step.at.now.after(lease),
            ends: step.at.now.after(MAX_LIFE.min(lease * 1000)),
            completed: Millis::default(),
        };
        // Each segment is named with the transaction's epoch, as its own part of the transaction
        // is.
        let as_named = |record: &SegmentRecord| SegmentRecord {
            id: SegmentId::new(epoch, record.number()),
            ..*record
        };
        let active_segments =
            records.iter().map(|record| as_named(record).message(scope, stream)).collect();
        let delegation_token = self.token(info, step);
        let mut plan = Plan::new();
        for segment in transaction.segments(scope, stream, id) {
            if step.store.info(&segment).is_ok() {
                // A client created it: its bytes are no part of a transaction.
                return Err(Refusal::AlreadyExists.into());
            }
            plan.segment(step.creation(&segment, SegmentKind::Stream, Attributes::new()));
        }
        plan.stream(scope, stream, StreamPart::Transaction(id, Some(transaction)));
        self.carry_out(plan, step)?;
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
        step.check_growth(0)?;
        let id = TransactionId(id);
        let Some(found) = self.transaction(info, id) else {
            return Ok(Status::Unknown);
        };
        match found.state {
            TransactionState::Committed => return Ok(Status::Committed),
            TransactionState::Aborted => return Ok(Status::Aborted),
            TransactionState::Open => {}
        }
        if !(MIN_LEASE..=MAX_LEASE).contains(&lease) {
            return Ok(Status::LeaseTooLarge);
        }
        if step.at.now.after(lease) > found.ends {
            return Ok(Status::MaxExecutionTimeExceeded);
        }
        let pinged = Transaction { expires: step.at.now.after(lease), ..found.clone() };
        let mut plan = Plan::new();
        plan.stream(&info.scope, &info.stream, StreamPart::Transaction(id, Some(pinged)));
        self.carry_out(plan, step)?;
        Ok(Status::Ok)
    }

    fn transaction(&self, info: &StreamInfo, id: TransactionId) -> Option<&Transaction> {
        self.stream(&info.scope, &info.stream)?.transactions.get(id)
    }

    /// The state of a transaction.
    pub fn transaction_state(&self, info: &StreamInfo, id: Uuid) -> CallResult<State> {
        let found = self.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        Ok(match found.transactions.get(TransactionId(id)).map(|transaction| transaction.state) {
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
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let Some(found) = self.stream(scope, stream) else { return Ok(Status::Failure) };
        match found.transactions.get(id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Aborted) => return Ok(Status::Failure),
            Some(TransactionState::Committed) => return Ok(Status::Success),
            Some(TransactionState::Open) => {}
        }
        check_writer(writer)?;
        let mut plan = Plan::new();
        let position = plan_merge(&mut plan, found, scope, stream, id, step)?;
        if !writer.is_empty() && time >= 0 {
            let mark = WriterMark { time: WriterTime(time), position, at: step.at.now };
            plan_note(&mut plan, found, scope, stream, writer, mark);
        }
        plan_completion(&mut plan, found, scope, stream, id, TransactionState::Committed, step);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
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
        step.check_growth(0)?;
        match self.transaction(info, id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Committed) => Ok(Status::Failure),
            Some(TransactionState::Aborted) => Ok(Status::Success),
            Some(TransactionState::Open) => {
                let mut plan = Plan::new();
                self.plan_abort(&mut plan, &info.scope, &info.stream, id, step);
                self.carry_out(plan, step)?;
                Ok(Status::Success)
            }
        }
    }

    /// Plans the end of an open transaction without its events.
    pub(super) fn plan_abort(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        id: TransactionId,
        step: &Step<'_>,
    ) {
        let Some(found) = self.stream(scope, stream) else { return };
        let Some(transaction) = found.transactions.get(id) else { return };
        for segment in transaction.segments(scope, stream, id) {
            plan.segment(step.deletion(&segment));
        }
        plan_completion(plan, found, scope, stream, id, TransactionState::Aborted, step);
    }

    /// The transactions that completed last, newest first.
    pub fn completed_transactions(
        &self,
        info: &StreamInfo,
    ) -> CallResult<ListCompletedTxnResponse> {
        let found = self.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        let entry = |(_, id): (Millis, TransactionId)| {
            let committed = TransactionState::Committed;
            let is_committed = found.transactions.get(id).is_some_and(|one| one.state == committed);
            let status = if is_committed {
                txn_response::Status::Committed
            } else {
                txn_response::Status::Aborted
            };
            TxnResponse { txn_id: Some(message_of(id)), status: status.into() }
        };
        let newest = found.transactions.completed().rev().take(LISTED);
        Ok(ListCompletedTxnResponse { response: newest.map(entry).collect() })
    }

    /// Aborts transactions whose leases ran out, and forgets those completed long ago.
    pub(crate) fn expire_transactions(&mut self, step: &mut Step<'_>) {
        let (mut late, mut old) = (Vec::new(), Vec::new());
        let now = step.at.now;
        for (scope, found) in &self.scopes {
            for (stream, found) in &found.streams {
                let expired = found.transactions.open().take_while(|(at, _)| *at <= now);
                late.extend(expired.map(|(_, id)| (scope.clone(), stream.clone(), id)));
                let completed = found.transactions.completed();
                let forgotten = completed.take_while(|(at, _)| at.after(REMEMBERED) <= now);
                old.extend(forgotten.map(|(_, id)| (scope.clone(), stream.clone(), id)));
            }
        }
        late.truncate(MAX_EXPIRED);
        old.truncate(MAX_EXPIRED);
        for (scope, stream, id) in late {
            let mut plan = Plan::new();
            self.plan_abort(&mut plan, &scope, &stream, id, step);
            self.carry_out(plan, step).ok();
        }
        for (scope, stream, id) in old {
            let mut plan = Plan::new();
            plan.stream(&scope, &stream, StreamPart::Transaction(id, None));
            self.carry_out(plan, step).ok();
        }
    }
}

/// Plans that the segments of a transaction are merged into its stream; returns the ends of the
/// segments that have its events.
fn plan_merge(
    plan: &mut Plan,
    found: &Stream,
    scope: &str,
    stream: &str,
    id: TransactionId,
    step: &Step<'_>,
) -> CallResult<WriterPosition> {
    let (history, epoch) = (&found.history, id.epoch());
    if epoch == history.reference() {
        let target = |id| MergeTarget::Existing(names::segment(scope, stream, id));
        return plan_merge_into(plan, id, (scope, stream), found.active(), target, step);
    }
    // The stream was scaled since: the segments that the transaction knew are created again.
    let active = history.active_epoch();
    let (between, next) = (Epoch(active.0 + 1), Epoch(active.0 + 2));
    let (theirs, ours) = (history.duplicates(epoch, between), history.duplicates(active, next));
    plan_segments(plan, scope, stream, found.config(), &theirs, step);
    plan.each(&names::segments(scope, stream, found.active()), |segment| step.sealing(segment));
    let target = |id| MergeTarget::Created(names::segment(scope, stream, id));
    let position = plan_merge_into(plan, id, (scope, stream), &theirs, target, step)?;
    for segment in names::segments(scope, stream, &theirs) {
        plan.segment(step.sealing_of_new(&segment));
    }
    plan_segments(plan, scope, stream, found.config(), &ours, step);
    let ids = |records: &[SegmentRecord]| records.iter().map(|record| record.id).collect();
    let (at, sealed) = (step.at.now, ids(found.active()));
    let ended = ids(&theirs);
    let first = EpochRecord { reference: epoch, at, sealed, created: theirs };
    let reference = history.reference();
    let second = EpochRecord { reference, at, sealed: ended, created: ours };
    plan.stream(scope, stream, StreamPart::Epoch(between, first));
    plan.stream(scope, stream, StreamPart::Epoch(next, second));
    Ok(position)
}

fn plan_merge_into(
    plan: &mut Plan,
    id: TransactionId,
    (scope, stream): (&str, &str),
    records: &[SegmentRecord],
    target: impl Fn(SegmentId) -> MergeTarget,
    step: &Step<'_>,
) -> CallResult<WriterPosition> {
    let mut position = WriterPosition::new();
    for record in records {
        let Some(source) = segment_of(scope, stream, id, record.number()) else { continue };
        // A client deleted a missing source without the controller, so nothing is left to merge.
        let (merge, end) = step.merging(&target(record.id), &source)?;
        plan.segment(merge);
        position.insert(record.id, Offset(end as i64));
    }
    Ok(position)
}

/// Plans the end of a transaction. Beyond a number of them the oldest is forgotten.
fn plan_completion(
    plan: &mut Plan,
    found: &Stream,
    scope: &str,
    stream: &str,
    id: TransactionId,
    state: TransactionState,
    step: &Step<'_>,
) {
    let Some(transaction) = found.transactions.get(id) else { return };
    let completed = transaction.completed(state, step.at.now);
    plan.stream(scope, stream, StreamPart::Transaction(id, Some(completed)));
    let mut others = found.transactions.completed();
    if others.len() >= MAX_COMPLETED
        && let Some((_, oldest)) = others.next()
    {
        plan.stream(scope, stream, StreamPart::Transaction(oldest, None));
    }
}
