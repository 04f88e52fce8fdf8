//! Transactions: begun, pinged, committed, aborted, and what becomes of those nobody asks for any
//! more.
//!
//! A commit across a scale adds two epochs: one with the segments as the transaction knew them,
//! into which it is merged, and one with the segments as they are now. Writers and readers pass
//! both as they pass any scale.

use pravega_sdk_proto::{
    CreateTxnResponse, ListCompletedTxnResponse, StreamInfo, TxnId, TxnResponse, ping_txn_status,
    txn_response, txn_state::State, txn_status,
};
use pravega_sdk_types::{
    Scope, ScopedSegment, ScopedStream, SegmentId, Stream as StreamName, TransactionId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Answer, Fault, names, no_stream,
    stream::{Cut, Mark, Part},
    streams::make_segments,
};
use crate::{
    ids::Moment,
    machine::Machine,
    record::Attributes,
    store::{Refusal, Store, transaction_segment},
};

/// What leases may be, in milliseconds.
const MIN_LEASE: i64 = 10_000;
const MAX_LEASE: i64 = 600_000;
/// A transaction lives no longer, in milliseconds, and no longer than a thousand leases.
const MAX_LIFE: i64 = 24 * 3600 * 1000;
/// How long it is known what became of a transaction, in milliseconds.
const REMEMBERED: i64 = 24 * 3600 * 1000;
/// How many completed transactions are listed.
const LISTED: usize = 500;

/// A transaction, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) state: TransactionState,
    /// The numbers of the segments that it writes to.
    pub(super) numbers: Vec<i32>,
    /// When it is aborted unless somebody pings, and when it is in any case.
    pub(super) expires: i64,
    pub(super) ends: i64,
    /// When it was completed.
    pub(super) completed: i64,
}

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TransactionState {
    Open,
    Committed,
    Aborted,
}

impl Transaction {
    /// Deletes the segments of a transaction.
    pub(super) fn drop_segments(&self, store: &mut Store, scope: &str, stream: &str, id: Uuid) {
        for number in &self.numbers {
            if let Some(segment) = segment_of(scope, stream, id, *number) {
                store.delete(&segment).ok();
            }
        }
    }
}

/// The segment of a transaction under the segment with a number.
fn segment_of(scope: &str, stream: &str, id: Uuid, number: i32) -> Option<bytestring::ByteString> {
    let stream =
        ScopedStream::new(Scope::internal(scope).ok()?, StreamName::internal(stream).ok()?);
    let epoch = TransactionId(id).epoch();
    let parent = ScopedSegment::new(
        &stream,
        SegmentId::new(epoch, pravega_sdk_types::SegmentNumber(number)),
    );
    Some(transaction_segment(&parent, TransactionId(id)).into())
}

/// The id of a transaction: the epoch whose segments it writes to, and chance.
fn new_id(epoch: i32, random: Uuid) -> Uuid {
    let (high, low) = random.as_u64_pair();
    // Java's server counts, so neither half is ever negative there; `pravega-client` 0.3.7 loses
    // the upper half if the lower one is.
    Uuid::from_u64_pair((u64::from(epoch.unsigned_abs()) << 32) | (high & 0xFFFF_FFFF), low >> 1)
}

impl Machine {
    pub fn create_transaction(
        &mut self,
        info: &StreamInfo,
        lease: i64,
        at: Moment,
    ) -> Answer<CreateTxnResponse> {
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        if !(MIN_LEASE..=MAX_LEASE).contains(&lease) {
            return Err(Fault::Unknown(format!(
                "the lease of {lease} ms is not within {MIN_LEASE} to {MAX_LEASE} ms"
            )));
        }
        let found = self.catalog.stream(scope, stream).ok_or_else(|| no_stream(scope, stream))?;
        if found.sealed {
            return Err(Fault::Internal(format!("stream {scope}/{stream} is sealed")));
        }
        let (epoch, parts) = (found.reference(), found.active().to_vec());
        self.store.reserve(parts.len())?;
        let id = new_id(epoch, at.random);
        for part in &parts {
            if let Some(segment) = segment_of(scope, stream, id, part.number()) {
                self.store.create(&segment, Attributes::new(), at.now)?;
            }
        }
        let transaction = Transaction {
            state: TransactionState::Open,
            numbers: parts.iter().map(|part| part.number()).collect(),
            expires: at.now.0 + lease,
            ends: at.now.0 + MAX_LIFE.min(lease * 1000),
            completed: 0,
        };
        if let Some(found) = self.catalog.stream_mut(scope, stream) {
            found.transactions.insert(id, transaction);
        }
        self.catalog.keep_transaction(&mut self.store, scope, stream, id);
        // Each segment is named with the transaction's epoch, as its own part of the transaction
        // is.
        let as_named = |part: &Part| Part { id: names::segment_id(epoch, part.number()), ..*part };
        let active_segments =
            parts.iter().map(|part| as_named(part).message(scope, stream)).collect();
        let delegation_token = self.token(info, at);
        Ok(CreateTxnResponse { txn_id: Some(message_of(id)), active_segments, delegation_token })
    }

    pub fn ping_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        lease: i64,
        at: Moment,
    ) -> ping_txn_status::Status {
        use ping_txn_status::Status;
        let Some(found) = self.transaction_mut(info, id) else {
            return Status::Unknown;
        };
        match found.state {
            TransactionState::Committed => Status::Committed,
            TransactionState::Aborted => Status::Aborted,
            TransactionState::Open if !(MIN_LEASE..=MAX_LEASE).contains(&lease) => {
                Status::LeaseTooLarge
            }
            TransactionState::Open if at.now.0 + lease > found.ends => {
                Status::MaxExecutionTimeExceeded
            }
            TransactionState::Open => {
                found.expires = at.now.0 + lease;
                self.catalog.keep_transaction(&mut self.store, &info.scope, &info.stream, id);
                Status::Ok
            }
        }
    }

    fn transaction_mut(&mut self, info: &StreamInfo, id: Uuid) -> Option<&mut Transaction> {
        self.catalog.stream_mut(&info.scope, &info.stream)?.transactions.get_mut(&id)
    }

    pub fn transaction_state(&self, info: &StreamInfo, id: Uuid) -> Answer<State> {
        let found = self.catalog.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        Ok(match found.transactions.get(&id).map(|transaction| transaction.state) {
            None => State::Unknown,
            Some(TransactionState::Open) => State::Open,
            Some(TransactionState::Committed) => State::Committed,
            Some(TransactionState::Aborted) => State::Aborted,
        })
    }

    pub fn commit_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        writer: &str,
        time: i64,
        at: Moment,
    ) -> Answer<txn_status::Status> {
        use txn_status::Status;
        match self.transaction_mut(info, id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Aborted) => return Ok(Status::Failure),
            Some(TransactionState::Committed) => return Ok(Status::Success),
            Some(TransactionState::Open) => {}
        }
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let position = self.merge_transaction(scope, stream, id, at)?;
        if !writer.is_empty() && time >= 0 {
            self.note(scope, stream, writer, Mark { time, position, at: at.now.0 });
        }
        self.complete(scope, stream, id, TransactionState::Committed, at);
        Ok(Status::Success)
    }

    /// Puts what a transaction holds in its stream; gives where the segments that it was merged
    /// into end.
    fn merge_transaction(
        &mut self,
        scope: &str,
        stream: &str,
        id: Uuid,
        at: Moment,
    ) -> Answer<Cut> {
        let Some(found) = self.catalog.stream(scope, stream) else {
            return Err(no_stream(scope, stream));
        };
        let epoch = TransactionId(id).epoch().0;
        if epoch == found.reference() {
            let parts = found.active().to_vec();
            return self.merge_into(scope, stream, id, &parts, at);
        }
        // The stream was scaled since: the segments that the transaction knew come back for its
        // sake.
        let old = found.active().to_vec();
        let between = found.active_epoch() + 1;
        let (theirs, ours) =
            (found.duplicates(epoch, between), found.duplicates(found.active_epoch(), between + 1));
        let (config, reference) = (found.config.clone(), found.reference());
        self.store.reserve(theirs.len() + ours.len())?;
        make_segments(&mut self.store, scope, stream, &config, &theirs, at)?;
        for part in &old {
            self.store.seal(&names::segment(scope, stream, part.id), at.now).ok();
        }
        let position = self.merge_into(scope, stream, id, &theirs, at)?;
        for part in &theirs {
            self.store.seal(&names::segment(scope, stream, part.id), at.now).ok();
        }
        make_segments(&mut self.store, scope, stream, &config, &ours, at)?;
        if let Some(found) = self.catalog.stream_mut(scope, stream) {
            found.add_epoch(epoch, theirs, at.now.0);
            found.add_epoch(reference, ours, at.now.0);
        }
        self.catalog.keep_stream(&mut self.store, scope, stream);
        Ok(position)
    }

    fn merge_into(
        &mut self,
        scope: &str,
        stream: &str,
        id: Uuid,
        parts: &[Part],
        at: Moment,
    ) -> Answer<Cut> {
        let mut position = Cut::new();
        for part in parts {
            let Some(source) = segment_of(scope, stream, id, part.number()) else { continue };
            let target = names::segment(scope, stream, part.id);
            let end = match self.store.merge(&target, &source, &[], at.now) {
                // Somebody deleted it past the controller: there is nothing of it to merge.
                Err(Refusal::NoSuchSource) => self.store.info(&target)?.len,
                merged => merged?,
            };
            position.insert(part.id, end as i64);
        }
        Ok(position)
    }

    fn complete(
        &mut self,
        scope: &str,
        stream: &str,
        id: Uuid,
        state: TransactionState,
        at: Moment,
    ) {
        let info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        if let Some(found) = self.transaction_mut(&info, id) {
            found.state = state;
            found.completed = at.now.0;
        }
        self.catalog.keep_transaction(&mut self.store, scope, stream, id);
    }

    pub fn abort_transaction(
        &mut self,
        info: &StreamInfo,
        id: Uuid,
        at: Moment,
    ) -> Answer<txn_status::Status> {
        use txn_status::Status;
        self.store.reserve(0)?;
        match self.transaction_mut(info, id).map(|transaction| transaction.state) {
            None | Some(TransactionState::Committed) => Ok(Status::Failure),
            Some(TransactionState::Aborted) => Ok(Status::Success),
            Some(TransactionState::Open) => {
                self.abort(&info.scope, &info.stream, id, at);
                Ok(Status::Success)
            }
        }
    }

    fn abort(&mut self, scope: &str, stream: &str, id: Uuid, at: Moment) {
        let found = self
            .catalog
            .stream(scope, stream)
            .and_then(|stream| stream.transactions.get(&id))
            .cloned();
        if let Some(transaction) = found {
            transaction.drop_segments(&mut self.store, scope, stream, id);
            self.complete(scope, stream, id, TransactionState::Aborted, at);
        }
    }

    /// Aborts the open transactions of a stream.
    pub(super) fn abort_all(&mut self, scope: &str, stream: &str, at: Moment) {
        let Some(found) = self.catalog.stream(scope, stream) else { return };
        let is_open = |(id, transaction): (&Uuid, &Transaction)| {
            (transaction.state == TransactionState::Open).then_some(*id)
        };
        let open: Vec<Uuid> = found.transactions.iter().filter_map(is_open).collect();
        for id in open {
            self.abort(scope, stream, id, at);
        }
    }

    pub fn completed_transactions(&self, info: &StreamInfo) -> Answer<ListCompletedTxnResponse> {
        let found = self.catalog.stream(&info.scope, &info.stream);
        let found = found.ok_or_else(|| no_stream(&info.scope, &info.stream))?;
        let mut completed: Vec<(&Uuid, &Transaction)> = found
            .transactions
            .iter()
            .filter(|(_, transaction)| transaction.state != TransactionState::Open)
            .collect();
        completed.sort_by_key(|(_, transaction)| std::cmp::Reverse(transaction.completed));
        let entry = |(id, transaction): (&Uuid, &Transaction)| {
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

    /// Aborts what nobody pinged, and forgets what was completed long ago.
    pub fn expire_transactions(&mut self, at: Moment) {
        let (mut late, mut old) = (Vec::new(), Vec::new());
        for (scope, found) in &self.catalog.scopes {
            for (stream, found) in &found.streams {
                for (id, transaction) in &found.transactions {
                    let open = transaction.state == TransactionState::Open;
                    if open && transaction.expires.min(transaction.ends) <= at.now.0 {
                        late.push((scope.clone(), stream.clone(), *id));
                    } else if !open && transaction.completed + REMEMBERED <= at.now.0 {
                        old.push((scope.clone(), stream.clone(), *id));
                    }
                }
            }
        }
        for (scope, stream, id) in late {
            self.abort(&scope, &stream, id, at);
        }
        for (scope, stream, id) in old {
            if let Some(found) = self.catalog.stream_mut(&scope, &stream) {
                found.transactions.remove(&id);
            }
            self.catalog.keep_transaction(&mut self.store, &scope, &stream, id);
        }
    }
}

fn message_of(id: Uuid) -> TxnId {
    let (high_bits, low_bits) = TransactionId(id).to_halves();
    TxnId { high_bits, low_bits }
}

/// The id that a message holds.
pub fn id_of(id: Option<TxnId>) -> Uuid {
    id.map_or(Uuid::nil(), |id| TransactionId::from_halves(id.high_bits, id.low_bits).0)
}
