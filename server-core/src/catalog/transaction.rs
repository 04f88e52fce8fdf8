//! One transaction: its state, its id, and its segments.

use pravega_sdk_proto::TxnId;
use pravega_sdk_types::{
    Epoch, Scope, ScopedSegment, ScopedStream, SegmentId, SegmentNumber, Stream as StreamName,
    TransactionId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    record::Millis,
    store::{Step, transaction_segment},
};

/// A transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) state: TransactionState,
    /// The numbers of the segments that it writes to.
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
    /// Deletes the segments of a transaction.
    pub(super) fn drop_segments(
        &self,
        step: &mut Step<'_>,
        scope: &str,
        stream: &str,
        id: TransactionId,
    ) {
        for number in &self.numbers {
            if let Some(segment) = segment_of(scope, stream, id, *number) {
                step.delete(&segment).ok();
            }
        }
    }
}

/// The segment of a transaction under the segment with a number.
pub(super) fn segment_of(
    scope: &str,
    stream: &str,
    id: TransactionId,
    number: SegmentNumber,
) -> Option<bytestring::ByteString> {
    let stream =
        ScopedStream::new(Scope::internal(scope).ok()?, StreamName::internal(stream).ok()?);
    let parent = ScopedSegment::new(&stream, SegmentId::new(id.epoch(), number));
    Some(transaction_segment(&parent, id).into())
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
