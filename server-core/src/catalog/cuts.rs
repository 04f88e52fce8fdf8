//! Cuts of a stream: which cover the key space, their order, and the segments between two.

use pravega_sdk_types::{Epoch, SegmentOffset};

use super::{
    cut::{Cut, START},
    stream::{SegmentRecord, Stream},
};

impl Stream {
    /// The segments of a cut with their offsets, in the order of their ranges; `None` if one of
    /// them is unknown.
    fn records(&self, cut: &Cut) -> Option<Vec<(SegmentRecord, SegmentOffset)>> {
        let mut records: Vec<(SegmentRecord, SegmentOffset)> = cut
            .iter()
            .map(|(id, offset)| Some((self.segment(id)?, offset)))
            .collect::<Option<_>>()?;
        records.sort_by(|(a, _), (b, _)| a.low.total_cmp(&b.low));
        Some(records)
    }

    /// Returns true if a cut has exactly one segment for each key.
    pub(super) fn is_complete(&self, cut: &Cut) -> bool {
        let Some(records) = self.records(cut) else {
            return false;
        };
        let mut reached = 0.0;
        for (record, _) in &records {
            if record.low != reached {
                return false;
            }
            reached = record.high;
        }
        // For some counts of equal segments the last bound comes out below 1.0.
        !records.is_empty() && self.active().last().is_none_or(|last| reached >= last.high.min(1.0))
    }

    /// Returns true if a cut is at or after another at every key. A segment created later is after
    /// one created earlier.
    pub(super) fn is_at_or_after(&self, cut: &Cut, other: &Cut) -> bool {
        let (Some(ours), Some(theirs)) = (self.records(cut), self.records(other)) else {
            return false;
        };
        ours.iter().all(|(record, offset)| {
            theirs.iter().filter(|(other, _)| other.overlaps(*record)).all(
                |(other, other_offset)| {
                    if record.id == other.id {
                        offset >= other_offset
                    } else {
                        record.epoch_created() > other.epoch_created()
                    }
                },
            )
        })
    }

    /// The segments that are wholly before a cut.
    pub(super) fn before(&self, cut: &Cut) -> Vec<SegmentRecord> {
        let Some(records) = self.records(cut) else {
            return Vec::new();
        };
        let is_before = |record: &SegmentRecord| {
            records
                .iter()
                .filter(|(at, _)| at.overlaps(*record))
                .all(|(at, _)| at.id != record.id && at.epoch_created() > record.epoch_created())
        };
        self.all_segments().filter(is_before).collect()
    }

    /// The segments from one cut to another, both included. An empty cut is the head or the tail of
    /// the stream.
    pub(super) fn between(&self, from: &Cut, to: &Cut) -> Vec<SegmentRecord> {
        let from = if from.is_empty() { self.head() } else { from.clone() };
        let to: Cut = if to.is_empty() {
            self.active().iter().map(|record| (record.id, START)).collect()
        } else {
            to.clone()
        };
        let (Some(from), Some(to)) = (self.records(&from), self.records(&to)) else {
            return Vec::new();
        };
        // A cut that does not cover a key sets no bound there.
        let within = |cut: &[(SegmentRecord, SegmentOffset)],
                      record: &SegmentRecord,
                      is_beyond: fn(Epoch, Epoch) -> bool| {
            let mut met = cut.iter().filter(|(at, _)| at.overlaps(*record)).peekable();
            met.peek().is_none()
                || met.any(|(at, _)| {
                    at.id == record.id || is_beyond(record.epoch_created(), at.epoch_created())
                })
        };
        let is_between = |record: &SegmentRecord| {
            within(&from, record, |made, start| made > start)
                && within(&to, record, |made, end| made < end)
        };
        self.all_segments().filter(is_between).collect()
    }

    /// For each key the earlier offset of two cuts.
    pub(super) fn earlier(&self, one: &Cut, other: &Cut) -> Cut {
        let (Some(ones), Some(others)) = (self.records(one), self.records(other)) else {
            return one.clone();
        };
        let mut earlier = Cut::default();
        for (record, offset) in ones.iter().chain(&others) {
            let met = ones.iter().chain(&others).filter(|(at, _)| at.overlaps(*record));
            // A segment stays only if none that shares keys with it was created earlier.
            if met
                .clone()
                .all(|(at, _)| at.id == record.id || at.epoch_created() >= record.epoch_created())
            {
                let least = earlier.entry(record.id).or_insert(*offset);
                *least = (*least).min(*offset);
            }
        }
        earlier
    }
}
