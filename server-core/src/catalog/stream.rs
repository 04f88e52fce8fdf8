//! One stream: its epochs, and which segment follows which.
//!
//! ```text
//! epoch 0   [ 0.0      0.5 ][ 0.5      1.0 ]
//! epoch 1   [ 2 ][    3    ][    1 stays   ]      each epoch covers the key space
//! ```

use std::collections::BTreeMap;

use pravega_sdk_proto::{SegmentId, SegmentRange, StreamConfig, StreamInfo};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{message, names, transaction::Transaction};
use crate::record::Millis;

/// Offsets of segments, by segment id.
pub(super) type Cut = BTreeMap<i64, i64>;

/// What the controller knows of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stream {
    #[serde(with = "message")]
    pub(super) config: StreamConfig,
    pub(super) sealed: bool,
    /// By their number.
    pub(super) epochs: Vec<Epoch>,
    pub(super) next_number: i32,
    /// Where the stream begins; empty for its first epoch.
    pub(super) head: Cut,
    /// The lengths of deleted segments.
    pub(super) deleted_lengths: BTreeMap<i64, i64>,
    pub(super) writers: BTreeMap<String, WriterMark>,
    pub(super) watermark: Option<WatermarkBounds>,
    pub(super) subscribers: BTreeMap<String, Subscriber>,
    /// Cuts that retention may truncate at.
    pub(super) retention_points: Vec<RetentionPoint>,
    /// Entries of their own in the journal.
    #[serde(skip)]
    pub(super) transactions: BTreeMap<Uuid, Transaction>,
}

/// The segments of a stream from one scale to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Epoch {
    /// The epoch whose segments have the same numbers. It differs only after a rolling commit.
    pub(super) reference: i32,
    /// In the order of their ranges.
    pub(super) segments: Vec<SegmentRecord>,
    pub(super) at: Millis,
}

/// A segment and its part of the key space.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentRecord {
    pub(super) id: i64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The last time that a writer noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WriterMark {
    pub(super) time: i64,
    pub(super) position: Cut,
    /// When it was noted.
    pub(super) at: Millis,
}

/// The last watermark of a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct WatermarkBounds {
    pub(super) lower: i64,
    pub(super) upper: i64,
}

/// A reader group that keeps a stream from being truncated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Subscriber {
    pub(super) generation: i64,
    pub(super) group_id: String,
    /// What is before it is no longer needed; empty at first.
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
    pub(super) fn number(self) -> i32 {
        self.id as i32
    }

    /// The epoch in which the segment was made.
    pub(super) fn epoch_created(self) -> i64 {
        self.id >> 32
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.low < other.high && other.low < self.high
    }

    pub(super) fn message(self, scope: &str, stream: &str) -> SegmentRange {
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let segment_id = SegmentId { stream_info: Some(stream_info), segment_id: self.id };
        SegmentRange { segment_id: Some(segment_id), min_key: self.low, max_key: self.high }
    }
}

impl Stream {
    pub(super) fn new(
        config: StreamConfig,
        segments: Vec<SegmentRecord>,
        next_number: i32,
        created: Millis,
    ) -> Self {
        Self {
            config,
            sealed: false,
            epochs: vec![Epoch { reference: 0, segments, at: created }],
            next_number,
            head: Cut::new(),
            deleted_lengths: BTreeMap::new(),
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
    pub(super) fn active_epoch(&self) -> i32 {
        i32::try_from(self.epochs.len()).unwrap_or(i32::MAX) - 1
    }

    pub(super) fn epoch(&self, number: i32) -> Option<&Epoch> {
        usize::try_from(number).ok().and_then(|index| self.epochs.get(index))
    }

    /// The segments that are written to, unless the stream is sealed.
    pub(super) fn active(&self) -> &[SegmentRecord] {
        self.epochs.last().map_or(&[], |epoch| &epoch.segments)
    }

    /// The epoch whose segments have the numbers of the active ones.
    pub(super) fn reference(&self) -> i32 {
        self.epochs.last().map_or(0, |epoch| epoch.reference)
    }

    /// The part of the key space that a segment has or had.
    pub(super) fn segment(&self, id: i64) -> Option<SegmentRecord> {
        let epoch = self.epoch(i32::try_from(id >> 32).ok()?)?;
        epoch.segments.iter().find(|record| record.id == id).copied()
    }

    /// Every segment that there ever was, in the order in which they were made.
    pub(super) fn all_segments(&self) -> impl Iterator<Item = SegmentRecord> + '_ {
        let made = |(number, epoch): (usize, &Epoch)| {
            let made: Vec<SegmentRecord> = epoch
                .segments
                .iter()
                .filter(|record| record.epoch_created() == number as i64)
                .copied()
                .collect();
            made
        };
        self.epochs.iter().enumerate().flat_map(made)
    }

    /// The segments that follow a segment, with what each of them follows; none if it is open or
    /// not known.
    pub(super) fn successors(&self, id: i64) -> Vec<(SegmentRecord, Vec<i64>)> {
        let Some(record) = self.segment(id) else {
            return Vec::new();
        };
        let holds = |epoch: &&Epoch| epoch.segments.contains(&record);
        let first = usize::try_from(record.epoch_created()).unwrap_or(0);
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

    /// Where the stream begins.
    pub(super) fn head(&self) -> Cut {
        if !self.head.is_empty() {
            return self.head.clone();
        }
        self.epochs
            .first()
            .into_iter()
            .flat_map(|epoch| &epoch.segments)
            .map(|record| (record.id, 0))
            .collect()
    }

    /// Adds an epoch.
    pub(super) fn add_epoch(
        &mut self,
        reference: i32,
        mut segments: Vec<SegmentRecord>,
        at: Millis,
    ) {
        segments.sort_by(|a, b| a.low.total_cmp(&b.low));
        self.epochs.push(Epoch { reference, segments, at });
    }

    /// The segments of an epoch with the same numbers and ranges, as they would be in another.
    pub(super) fn duplicates(&self, epoch: i32, under: i32) -> Vec<SegmentRecord> {
        let segments = self.epoch(epoch).map_or(&[][..], |epoch| &epoch.segments);
        segments
            .iter()
            .map(|record| SegmentRecord {
                id: names::segment_id(under, record.number()),
                ..*record
            })
            .collect()
    }
}
