//! One transaction: its state, its id, and its segments.

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_proto::TxnId;
use pravega_sdk_types::{Epoch, SegmentId, SegmentNumber, TransactionId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::Millis;

/// A transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) state: TransactionState,
    /// The numbers of the segments that it writes to while it is open.
    pub(super) numbers: Vec<SegmentNumber>,
    /// When it is aborted unless it is pinged, and when it is aborted in any case.
    pub(super) expires: Millis,
    pub(super) ends: Millis,
    /// When it was completed.
    pub(super) completed: Millis,
}

/// The state of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TransactionState {
    Open,
    Committed,
    Aborted,
}

impl Transaction {
    /// The segments of which an open transaction has parts.
    pub(super) fn ids(&self, id: TransactionId) -> impl Iterator<Item = SegmentId> + '_ {
        self.numbers.iter().map(move |number| SegmentId::new(id.epoch(), *number))
    }

    /// The transaction after its end. Its segments are no longer known.
    pub(super) fn completed(&self, state: TransactionState, at: Millis) -> Self {
        Self { state, numbers: Vec::new(), completed: at, ..*self }
    }

    fn is_open(&self) -> bool {
        self.state == TransactionState::Open
    }

    /// When an open transaction is aborted.
    fn deadline(&self) -> Millis {
        self.expires.min(self.ends)
    }
}

/// The transactions of a stream.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    all: BTreeMap<TransactionId, Transaction>,
    /// The open ones, by the times at which they are aborted.
    open: BTreeSet<(Millis, TransactionId)>,
    /// The others, by the times at which they were completed.
    completed: BTreeSet<(Millis, TransactionId)>,
}

impl Transactions {
    pub(super) fn get(&self, id: TransactionId) -> Option<&Transaction> {
        self.all.get(&id)
    }

    /// Sets or removes a transaction, and returns the one before.
    pub(super) fn set(
        &mut self,
        id: TransactionId,
        transaction: Option<Transaction>,
    ) -> Option<Transaction> {
        let before = self.all.remove(&id);
        if let Some(before) = &before {
            self.open.remove(&(before.deadline(), id));
            self.completed.remove(&(before.completed, id));
        }
        if let Some(transaction) = transaction {
            if transaction.is_open() {
                self.open.insert((transaction.deadline(), id));
            } else {
                self.completed.insert((transaction.completed, id));
            }
            self.all.insert(id, transaction);
        }
        before
    }

    pub(super) fn by_id(&self) -> &BTreeMap<TransactionId, Transaction> {
        &self.all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TransactionId, &Transaction)> {
        self.all.iter().map(|(id, transaction)| (*id, transaction))
    }

    /// The open transactions, beginning with the one that is aborted first.
    pub(super) fn open(&self) -> impl Iterator<Item = (Millis, TransactionId)> + '_ {
        self.open.iter().copied()
    }

    /// The open transaction that is aborted last.
    pub(super) fn last_open(&self) -> Option<(Millis, TransactionId)> {
        self.open.last().copied()
    }

    /// The number of steps that the end of a transaction takes.
    pub(super) fn cost(&self, id: TransactionId) -> usize {
        1 + self.get(id).map_or(0, |transaction| transaction.numbers.len())
    }

    /// The completed transactions, beginning with the oldest.
    pub(super) fn completed(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Millis, TransactionId)> + ExactSizeIterator + '_ {
        self.completed.iter().copied()
    }
}

/// The id of a transaction: the epoch whose segments it writes to, and random bits.
pub(super) fn new_id(epoch: Epoch, random: Uuid) -> TransactionId {
    let (high, low) = random.as_u64_pair();
    // Java's server counts up, so neither half is ever negative there; `pravega-client` 0.3.7 loses
    // the upper half if the lower one is.
    let high = (u64::from(epoch.0.unsigned_abs()) << 32) | (high & 0xFFFF_FFFF);
    TransactionId(Uuid::from_u64_pair(high, low >> 1))
}

pub(super) fn message_of(id: TransactionId) -> TxnId {
    let (high_bits, low_bits) = id.to_halves();
    TxnId { high_bits, low_bits }
}

/// The id that a message holds.
pub fn id_of(id: Option<TxnId>) -> Uuid {
    id.map_or(Uuid::nil(), |id| TransactionId::from_halves(id.high_bits, id.low_bits).0)
}
