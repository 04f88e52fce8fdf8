//! One stream: its epochs, and the predecessors and successors of its segments.
//!
//! ```text
//! epoch 0   [ 0.0      0.5 ][ 0.5      1.0 ]
//! epoch 1   [ 2 ][    3    ][    1 stays   ]      each epoch covers the key space
//! ```

use std::collections::BTreeMap;

use pravega_sdk_proto::{SegmentId as SegmentIdMessage, SegmentRange, StreamConfig, StreamInfo};
use pravega_sdk_types::{Epoch, Offset, SegmentId, SegmentNumber, TransactionId};
use serde::{Deserialize, Serialize};

use super::{
    cut::{Cut, START, WriterPosition},
    message,
    transaction::Transaction,
};
use crate::record::Millis;

/// The state of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stream {
    #[serde(with = "message")]
    pub(super) config: StreamConfig,
    pub(super) sealed: bool,
    /// By their number.
    pub(super) epochs: Vec<EpochRecord>,
    /// The number of the next segment.
    pub(super) next_number: SegmentNumber,
    /// The cut at which the stream begins; empty until it is truncated.
    pub(super) head: Cut,
    /// The ends of deleted segments.
    pub(super) deleted_ends: BTreeMap<SegmentId, Offset>,
    pub(super) writers: BTreeMap<String, WriterMark>,
    pub(super) watermark: Option<WatermarkBounds>,
    pub(super) subscribers: BTreeMap<String, Subscriber>,
    /// Cuts that retention may truncate at.
    pub(super) retention_points: Vec<RetentionPoint>,
    /// Entries of their own in the journal.
    #[serde(skip)]
    pub(super) transactions: BTreeMap<TransactionId, Transaction>,
}

/// The segments of a stream from one scale to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EpochRecord {
    /// The epoch whose segments have the same numbers. It differs only after a rolling commit.
    pub(super) reference: Epoch,
    /// In the order of their ranges.
    pub(super) segments: Vec<SegmentRecord>,
    pub(super) at: Millis,
}

/// A segment and its part of the key space.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentRecord {
    pub(super) id: SegmentId,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A time that a writer noted, by a clock of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct WriterTime(pub(super) i64);

/// The last time that a writer noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WriterMark {
    pub(super) time: WriterTime,
    pub(super) position: WriterPosition,
    /// When it was noted.
    pub(super) at: Millis,
}

/// The last watermark of a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct WatermarkBounds {
    pub(super) lower: WriterTime,
    pub(super) upper: WriterTime,
}

/// A reader group that keeps a stream from being truncated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Subscriber {
    pub(super) generation: i64,
    pub(super) group_id: String,
    /// The group no longer needs what is before this cut; empty at first.
    pub(super) cut: Cut,
}

/// The tail of a stream at a time, and its length in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RetentionPoint {
    pub(super) at: Millis,
    pub(super) bytes: i64,
    pub(super) cut: Cut,
}

impl SegmentRecord {
    pub(super) fn number(self) -> SegmentNumber {
        self.id.number()
    }

    /// The epoch in which the segment was created.
    pub(super) fn epoch_created(self) -> Epoch {
        self.id.epoch()
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.low < other.high && other.low < self.high
    }

    pub(super) fn message(self, scope: &str, stream: &str) -> SegmentRange {
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let (stream_info, segment_id) = (Some(stream_info), self.id.into());
        let segment_id = SegmentIdMessage { stream_info, segment_id };
        SegmentRange { segment_id: Some(segment_id), min_key: self.low, max_key: self.high }
    }
}

impl Stream {
    pub(super) fn new(
        config: StreamConfig,
        segments: Vec<SegmentRecord>,
        next_number: SegmentNumber,
        created: Millis,
    ) -> Self {
        Self {
            config,
            sealed: false,
            epochs: vec![EpochRecord { reference: Epoch(0), segments, at: created }],
            next_number,
            head: Cut::default(),
            deleted_ends: BTreeMap::new(),
            writers: BTreeMap::new(),
            watermark: None,
            subscribers: BTreeMap::new(),
            retention_points: Vec::new(),
            transactions: BTreeMap::new(),
        }
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.config.tags.as_ref().is_some_and(|tags| tags.tag.iter().any(|found| found == tag))
    }

    /// The number of the newest epoch.
    pub(super) fn active_epoch(&self) -> Epoch {
        Epoch(i32::try_from(self.epochs.len()).unwrap_or(i32::MAX) - 1)
    }

    pub(super) fn epoch(&self, number: Epoch) -> Option<&EpochRecord> {
        usize::try_from(number.0).ok().and_then(|index| self.epochs.get(index))
    }

    /// The segments that are written to, unless the stream is sealed.
    pub(super) fn active(&self) -> &[SegmentRecord] {
        self.epochs.last().map_or(&[], |epoch| &epoch.segments)
    }

    /// The epoch whose segments have the numbers of the active ones.
    pub(super) fn reference(&self) -> Epoch {
        self.epochs.last().map_or(Epoch(0), |epoch| epoch.reference)
    }

    /// A segment that the stream has or had.
    pub(super) fn segment(&self, id: SegmentId) -> Option<SegmentRecord> {
        let epoch = self.epoch(id.epoch())?;
        epoch.segments.iter().find(|record| record.id == id).copied()
    }

    /// Every segment that the stream ever had, in the order in which they were created.
    pub(super) fn all_segments(&self) -> impl Iterator<Item = SegmentRecord> + '_ {
        let created = |(number, epoch): (i32, &EpochRecord)| {
            let created: Vec<SegmentRecord> = epoch
                .segments
                .iter()
                .filter(|record| record.epoch_created() == Epoch(number))
                .copied()
                .collect();
            created
        };
        (0..).zip(&self.epochs).flat_map(created)
    }

    /// The segments that follow a segment, each with all its predecessors; empty if the segment is
    /// open or unknown.
    pub(super) fn successors(&self, id: SegmentId) -> Vec<(SegmentRecord, Vec<SegmentId>)> {
        let Some(record) = self.segment(id) else {
            return Vec::new();
        };
        let holds = |epoch: &&EpochRecord| epoch.segments.contains(&record);
        let first = usize::try_from(record.epoch_created().0).unwrap_or(0);
        let last = first + self.epochs.iter().skip(first).take_while(holds).count();
        let (Some(before), Some(next)) =
            (self.epochs.get(last.wrapping_sub(1)), self.epochs.get(last))
        else {
            return Vec::new();
        };
        let successors = next.segments.iter().filter(|successor| successor.overlaps(record));
        let followed = |successor: &SegmentRecord| {
            before
                .segments
                .iter()
                .filter(|old| old.overlaps(*successor))
                .map(|old| old.id)
                .collect()
        };
        successors.map(|successor| (*successor, followed(successor))).collect()
    }

    /// The cut at which the stream begins.
    pub(super) fn head(&self) -> Cut {
        if !self.head.is_empty() {
            return self.head.clone();
        }
        self.epochs
            .first()
            .into_iter()
            .flat_map(|epoch| &epoch.segments)
            .map(|record| (record.id, START))
            .collect()
    }

    /// Adds an epoch.
    pub(super) fn add_epoch(
        &mut self,
        reference: Epoch,
        mut segments: Vec<SegmentRecord>,
        at: Millis,
    ) {
        segments.sort_by(|a, b| a.low.total_cmp(&b.low));
        self.epochs.push(EpochRecord { reference, segments, at });
    }

    /// Copies of the segments of an epoch, with the same numbers and ranges, for another epoch.
    pub(super) fn duplicates(&self, epoch: Epoch, under: Epoch) -> Vec<SegmentRecord> {
        let segments = self.epoch(epoch).map_or(&[][..], |epoch| &epoch.segments);
        segments
            .iter()
            .map(|record| SegmentRecord { id: SegmentId::new(under, record.number()), ..*record })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode<T: Serialize>(value: &T) -> Vec<u8> {
        postcard::to_allocvec(value).unwrap()
    }

    #[test]
    fn the_fields_of_each_part_of_a_stream_are_kept_in_their_order() {
        let offsets: BTreeMap<i64, i64> = [(4, 5)].into();
        let cut = || Cut::from(&offsets);
        let point = RetentionPoint { at: Millis(1), bytes: 2, cut: cut() };
        assert_eq!(encode(&point), encode(&(1_i64, 2_i64, &offsets)));
        let position = WriterPosition::from([(SegmentId::from(4), Offset(5))]);
        let mark = WriterMark { time: WriterTime(1), position, at: Millis(2) };
        assert_eq!(encode(&mark), encode(&(1_i64, &offsets, 2_i64)));
        let bounds = WatermarkBounds { lower: WriterTime(1), upper: WriterTime(2) };
        assert_eq!(encode(&bounds), encode(&(1_i64, 2_i64)));
        let subscriber = Subscriber { generation: 1, group_id: "g".to_owned(), cut: cut() };
        assert_eq!(encode(&subscriber), encode(&(1_i64, "g", &offsets)));
        let epoch = EpochRecord { reference: Epoch(1), segments: Vec::new(), at: Millis(2) };
        assert_eq!(encode(&epoch), encode(&(1_i32, Vec::<u8>::new(), 2_i64)));
    }
}
