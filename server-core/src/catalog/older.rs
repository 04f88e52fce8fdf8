//! Streams as earlier versions kept them: one entry for the whole stream, with all the segments of
//! each epoch.

use std::collections::{BTreeMap, HashSet};

use pravega_sdk_proto::StreamConfig;
use pravega_sdk_types::{Epoch, Offset, SegmentId, SegmentNumber};
use serde::{Deserialize, Serialize};

use super::{
    cut::Cut,
    history::{EpochRecord, SegmentRecord},
    message,
    stream::{RetentionPoint, StreamState, Subscriber, WatermarkBounds, WriterMark},
};
use crate::record::Millis;

/// A stream without its transactions, which were entries of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OlderStream {
    #[serde(with = "message")]
    config: StreamConfig,
    sealed: bool,
    epochs: Vec<OlderEpoch>,
    /// It follows from the epochs.
    next_number: SegmentNumber,
    pub(super) head: Cut,
    pub(super) deleted_ends: BTreeMap<SegmentId, Offset>,
    pub(super) writers: BTreeMap<String, WriterMark>,
    pub(super) watermark: Option<WatermarkBounds>,
    pub(super) subscribers: BTreeMap<String, Subscriber>,
    pub(super) retention_points: Vec<RetentionPoint>,
}

/// An epoch with all its segments.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OlderEpoch {
    reference: Epoch,
    segments: Vec<SegmentRecord>,
    at: Millis,
}

impl OlderStream {
    pub(super) fn state(&self) -> StreamState {
        StreamState { config: self.config.clone(), sealed: self.sealed }
    }

    /// A stream of two epochs, of which the second has one segment of the first.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        let segment = |id: i64, low, high| SegmentRecord { id: SegmentId::from(id), low, high };
        let epoch = |segments: &[SegmentRecord], at| OlderEpoch {
            reference: Epoch(0),
            segments: segments.to_vec(),
            at: Millis(at),
        };
        let (left, right, next) =
            (segment(0, 0.0, 0.5), segment(1, 0.5, 1.0), segment((1 << 32) | 2, 0.5, 1.0));
        Self {
            config: StreamConfig::default(),
            sealed: false,
            epochs: vec![epoch(&[left, right], 5), epoch(&[left, next], 7)],
            next_number: SegmentNumber(3),
            head: Cut::default(),
            deleted_ends: [(right.id, Offset(9))].into(),
            writers: BTreeMap::new(),
            watermark: None,
            subscribers: BTreeMap::new(),
            retention_points: vec![RetentionPoint { at: Millis(1), bytes: 2, cut: Cut::default() }],
        }
    }

    /// The differences between the epochs.
    pub(super) fn epochs(&self) -> impl Iterator<Item = EpochRecord> + '_ {
        let before = std::iter::once(None).chain(self.epochs.iter().map(Some));
        before.zip(&self.epochs).map(|(before, epoch)| {
            let before = before.map_or(&[][..], |before| &before.segments);
            let ids = |segments: &[SegmentRecord]| -> HashSet<SegmentId> {
                segments.iter().map(|record| record.id).collect()
            };
            let (old, new) = (ids(before), ids(&epoch.segments));
            let sealed = before.iter().map(|record| record.id).filter(|id| !new.contains(id));
            let created = epoch.segments.iter().filter(|record| !old.contains(&record.id));
            EpochRecord {
                reference: epoch.reference,
                at: epoch.at,
                sealed: sealed.collect(),
                created: created.copied().collect(),
            }
        })
    }
}
