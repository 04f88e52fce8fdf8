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
    plan::{Plan, check_settled},
    rounds::Place,
    segments::{plan_sealing, plan_segments},
    state::Catalog,
    stream::{Stream, WriterMark, WriterTime},
    time::{check_writer, plan_note},
    transaction::{Transaction, TransactionState, Transactions, message_of, new_id},
    weight,
};
use crate::{
    record::{Attributes, Each, Millis},
    store::{MemoryLimit, MergeTarget, Merging, Progress, Refusal, SegmentKind, Step},
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
/// All outcomes together take at most this part of the memory limit, so that transactions which
/// are begun and aborted give their memory back for good.
const COMPLETED_PART: u64 = 16;
/// The most transactions that are aborted or forgotten at once, with their segments: a millisecond
/// or two of work.
const SLICE: usize = 500;
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
        let (of, ids) = (names::scoped(scope, stream), records.iter().map(|record| record.id));
        let parts = step.creations(of, ids, SegmentKind::Stream, Attributes::new());
        let parts = parts.of_transaction(id);
        if step.has_any(&parts) {
            // A client created it: its bytes are no part of a transaction.
            return Err(Refusal::AlreadyExists.into());
        }
        let mut plan = Plan::new();
        plan.each(parts, step);
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
        let Some((found, state)) = self.transaction(info, id) else {
            return Ok(Status::Unknown);
        };
        match state {
            TransactionState::Committed => return Ok(Status::Committed),
            TransactionState::Aborted => return Ok(Status::Aborted),
            TransactionState::Open => {}
        }
        if !(MIN_LEASE..=MAX_LEASE).contains(&lease) {
            return Ok(Status::LeaseTooLarge);
        }
        let (expires, ends) = (step.at.now.after(lease), found.ends);
        if expires > ends {
            return Ok(Status::MaxExecutionTimeExceeded);
        }
        // It was begun by a clock that was ahead, or ends before that.
        let ends = ends.min(step.at.now.after(MAX_LIFE));
        let pinged = Transaction { expires, ends, ..found.clone() };
        let mut plan = Plan::new();
        plan.stream(&info.scope, &info.stream, StreamPart::Transaction(id, Some(pinged)));
        self.carry_out(plan, step)?;
        Ok(Status::Ok)
    }

    fn transaction(
        &self,
        info: &StreamInfo,
        id: TransactionId,
    ) -> Option<(&Transaction, TransactionState)> {
        let found = self.stream(&info.scope, &info.stream)?;
        Some((found.transactions.get(id)?, found.state_of(id)?))
    }

    /// The state of a transaction.
    pub fn transaction_state(&self, info: &StreamInfo, id: Uuid) -> CallResult<State> {
        let found = self.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        Ok(match found.state_of(TransactionId(id)) {
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
        match found.state_of(id) {
            None | Some(TransactionState::Aborted) => return Ok(Status::Failure),
            Some(TransactionState::Committed) => return Ok(Status::Success),
            Some(TransactionState::Open) => {}
        }
        check_settled(scope, stream, step)?;
        check_writer(writer)?;
        let mut plan = Plan::new();
        let position = plan_merge(&mut plan, found, scope, stream, id, step)?;
        if !writer.is_empty() && time >= 0 {
            let mark = WriterMark { time: WriterTime(time), position, at: step.at.now };
            plan_note(&mut plan, found, scope, stream, writer, mark);
        }
        let committed = TransactionState::Committed;
        self.plan_completion(&mut plan, (scope, stream), found, id, committed, step);
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
        match self.transaction(info, id).map(|(_, state)| state) {
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
        let parts = step.many(names::scoped(scope, stream), transaction.ids(id), Each::Deleted);
        plan.each(parts.of_transaction(id), step);
        self.plan_completion(plan, (scope, stream), found, id, TransactionState::Aborted, step);
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

    /// Plans the end of the first open transactions of a stream that is sealed.
    pub(super) fn plan_aborts(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        found: &Stream,
        step: &Step<'_>,
    ) {
        let mut left = SLICE;
        for (_, id) in found.transactions.open() {
            self.plan_abort(plan, scope, stream, id, step);
            left = left.saturating_sub(found.transactions.cost(id));
            if left == 0 {
                break;
            }
        }
    }

    /// Aborts the next transactions that were open when their streams were sealed.
    pub(crate) fn abort_slice(&mut self, step: &mut Step<'_>) -> Progress {
        let mut left = SLICE;
        while left > 0
            && let Some((scope, stream)) = self.doomed.first().cloned()
        {
            let found = self.stream(&scope, &stream);
            let first = found.and_then(|found| {
                let (_, id) = found.transactions.open().next()?;
                Some((id, found.transactions.cost(id)))
            });
            let Some((id, cost)) = first else {
                // The stream has left.
                self.doomed.pop_first();
                continue;
            };
            let mut plan = Plan::new();
            self.plan_abort(&mut plan, &scope, &stream, id, step);
            if self.carry_out(plan, step).is_err() {
                return Progress::Finished;
            }
            left = left.saturating_sub(cost);
        }
        if self.doomed.is_empty() { Progress::Finished } else { Progress::Unfinished }
    }

    /// Aborts transactions whose leases ran out, forgets those completed long ago, and sets the
    /// times of those of a clock that was ahead: for the next slice of all streams. Returns where
    /// the round goes on.
    pub(crate) fn expire_transactions(
        &mut self,
        after: &Place,
        step: &mut Step<'_>,
    ) -> Option<Place> {
        let now = step.at.now;
        let (due, next) = self.next_in_round(after, |stream| stream.is_due(now).then_some(0));
        let (mut reached, mut left) = (after.clone(), SLICE);
        for place in due {
            while let Some((plan, cost)) = self.next_expiry(&place, step) {
                if left == 0 {
                    return Some(reached);
                }
                if self.carry_out(plan, step).is_err() {
                    return None;
                }
                left = left.saturating_sub(cost);
            }
            reached = place;
        }
        next
    }

    /// The change of the next transaction of a stream that is due, and its cost.
    fn next_expiry(&self, place: &Place, step: &Step<'_>) -> Option<(Plan, usize)> {
        let Place { scope, stream } = place;
        let (found, mut plan) = (self.stream(scope, stream)?, Plan::new());
        let now = step.at.now;
        if let Some((_, id)) = found.transactions.open().next().filter(|(at, _)| *at <= now) {
            self.plan_abort(&mut plan, scope, stream, id, step);
            return Some((plan, found.transactions.cost(id)));
        }
        let oldest = found.transactions.completed().next();
        let changed = match oldest.filter(|(at, _)| at.after(REMEMBERED) <= now) {
            Some((_, id)) => (id, None),
            None => found.transactions.ahead(now).map(|(id, timed)| (id, Some(timed)))?,
        };
        let (id, transaction) = changed;
        plan.stream(scope, stream, StreamPart::Transaction(id, transaction));
        Some((plan, 1))
    }
}

impl Stream {
    /// The state of a transaction. One that was open when the stream was sealed is aborted, though
    /// its segments may not be gone yet.
    fn state_of(&self, id: TransactionId) -> Option<TransactionState> {
        match self.transactions.get(id)?.state {
            TransactionState::Open if self.is_sealed() => Some(TransactionState::Aborted),
            state => Some(state),
        }
    }

    /// Returns true if a transaction is aborted or forgotten now, or if its time is too far ahead.
    fn is_due(&self, now: Millis) -> bool {
        let transactions = &self.transactions;
        transactions.open().next().is_some_and(|(at, _)| at <= now)
            || transactions.completed().next().is_some_and(|(at, _)| at.after(REMEMBERED) <= now)
            || transactions.is_ahead(now)
    }
}

impl Transactions {
    /// Returns true if a time is further ahead than any that is noted now: the clock was ahead when
    /// it was noted.
    fn is_ahead(&self, now: Millis) -> bool {
        self.last_open().is_some_and(|(at, _)| at > now.after(MAX_LEASE))
            || self.completed().next_back().is_some_and(|(at, _)| at > now.after(REMEMBERED))
    }

    /// The transaction whose time is furthest ahead, with the longest time that it would have if it
    /// was begun or completed now; `None` if no time is too far ahead.
    fn ahead(&self, now: Millis) -> Option<(TransactionId, Transaction)> {
        if !self.is_ahead(now) {
            return None;
        }
        if let Some((_, id)) = self.last_open().filter(|(at, _)| *at > now.after(MAX_LEASE)) {
            let found = self.get(id)?;
            let ends = found.ends.min(now.after(MAX_LIFE));
            return Some((
                id,
                Transaction { expires: now.after(MAX_LEASE), ends, ..found.clone() },
            ));
        }
        let (_, id) = self.completed().next_back()?;
        Some((id, Transaction { completed: now, ..self.get(id)?.clone() }))
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
    plan_sealing(plan, scope, stream, found.active(), step);
    let target = |id| MergeTarget::Created(names::segment(scope, stream, id));
    let position = plan_merge_into(plan, id, (scope, stream), &theirs, target, step)?;
    plan_sealing_of_new(plan, (scope, stream), &theirs, step);
    plan_segments(plan, scope, stream, found.config(), &ours, step);
    let ids = |records: &[SegmentRecord]| records.iter().map(|record| record.id).collect();
    let (at, sealed) = (history.next_begins(step.at.now), ids(found.active()));
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
    let (mut position, mut merges, mut ids) = (WriterPosition::new(), Vec::new(), Vec::new());
    let mut all_growth = 0_i64;
    for record in records {
        // A client deleted a missing source without the controller, so nothing is left to merge.
        let source = names::part(scope, stream, id, record.number());
        let Merging { record: merge, end, growth } = step.merging(&target(record.id), &source)?;
        if let Some(merge) = merge {
            merges.push(merge);
            ids.push(record.id);
            all_growth = all_growth.saturating_add(growth.max(0));
        }
        position.insert(record.id, Offset(end as i64));
    }
    let all = step.many(names::scoped(scope, stream), ids, Each::Merged).of_transaction(id);
    if plan.is_sliced(&all, step) {
        plan.sliced(all, all_growth);
    } else {
        merges.into_iter().for_each(|merge| plan.segment(merge));
    }
    Ok(position)
}

/// Plans the sealing of segments that are created by the same plan.
fn plan_sealing_of_new(
    plan: &mut Plan,
    (scope, stream): (&str, &str),
    segments: &[SegmentRecord],
    step: &Step<'_>,
) {
    let ids = segments.iter().map(|record| record.id);
    let all = step.many(names::scoped(scope, stream), ids, Each::Sealed);
    if plan.is_sliced(&all, step) {
        plan.sliced(all, 0);
        return;
    }
    for record in segments {
        plan.segment(step.sealing_of_new(names::segment(scope, stream, record.id)));
    }
}

impl Catalog {
    /// Plans the end of a transaction. The oldest of its stream is forgotten beyond a number of
    /// them, or if the outcomes of all streams take more than their part of the memory.
    fn plan_completion(
        &self,
        plan: &mut Plan,
        (scope, stream): (&str, &str),
        found: &Stream,
        id: TransactionId,
        state: TransactionState,
        step: &Step<'_>,
    ) {
        let MemoryLimit(limit) = step.memory_limit;
        let Some(transaction) = found.transactions.get(id) else { return };
        let completed = transaction.completed(state, step.at.now);
        let weight = weight::of_transaction(&completed) * self.remembered as u64;
        plan.stream(scope, stream, StreamPart::Transaction(id, Some(completed)));
        let mut others = found.transactions.completed();
        if (others.len() >= MAX_COMPLETED || weight >= limit / COMPLETED_PART)
            && let Some((_, oldest)) = others.next()
        {
            plan.stream(scope, stream, StreamPart::Transaction(oldest, None));
        }
    }
}
