//! Cuts of a stream: which cover the key space, their order, and the segments between two.

use std::collections::BTreeMap;

use pravega_sdk_types::{SegmentId, SegmentOffset};

use super::{
    cut::{Cut, OffsetsById, START},
    history::SegmentRecord,
    skyline::Skyline,
    stream::Stream,
};

/// The segments of a cut with their offsets, in the order of their ranges.
type Records = Vec<(SegmentRecord, SegmentOffset)>;

/// A cut whose segments are known.
pub(super) struct Located<'a> {
    cut: &'a Cut,
    records: Records,
    skyline: Skyline,
}

fn skyline(records: &Records) -> Skyline {
    Skyline::new(records.iter().map(|(record, _)| record))
}

impl Stream {
    /// The segments of a cut; `None` if one of them is unknown.
    fn records(&self, cut: &Cut) -> Option<Records> {
        if !self.knows(cut.len()) {
            return None;
        }
        let record = |(id, offset)| Some((self.history.segment(id)?, offset));
        let mut records = cut.iter().map(record).collect::<Option<Records>>()?;
        records.sort_by(|(a, _), (b, _)| a.low.total_cmp(&b.low));
        Some(records)
    }

    /// Returns true if the stream has or had this many segments. A longer list of different ids
    /// names one that is unknown.
    pub(super) fn knows(&self, segments: usize) -> bool {
        segments <= self.history.segment_count()
    }

    /// Returns true if the stream has or had each segment that a message names.
    pub(super) fn knows_all(&self, offsets: &OffsetsById) -> bool {
        self.knows(offsets.len())
            && offsets.keys().all(|id| self.history.segment((*id).into()).is_some())
    }

    /// Finds the segments of a cut; `None` if one of them is unknown.
    pub(super) fn locate<'a>(&self, cut: &'a Cut) -> Option<Located<'a>> {
        let records = self.records(cut)?;
        let skyline = skyline(&records);
        Some(Located { cut, records, skyline })
    }

    /// Returns true if a cut has exactly one segment for each key.
    pub(super) fn is_complete(&self, cut: &Cut) -> bool {
        self.records(cut).is_some_and(|records| self.are_complete(&records))
    }

    fn are_complete(&self, records: &Records) -> bool {
        let mut reached = 0.0;
        for (record, _) in records {
            if record.low != reached {
                return false;
            }
            reached = record.high;
        }
        // For some counts of equal segments the last bound comes out below 1.0.
        !records.is_empty()
            && self.history.active().last().is_none_or(|last| reached >= last.high.min(1.0))
    }

    /// Returns true if a cut can be truncated at: it has exactly one segment for each key, and is
    /// not before the head.
    pub(super) fn is_truncatable(&self, cut: &Located<'_>) -> bool {
        self.are_complete(&cut.records)
            && self.locate(&self.head()).is_some_and(|head| cut.is_at_or_after(&head))
    }

    /// Returns true if a cut is at or after another at every key. A segment created later is after
    /// one created earlier.
    pub(super) fn is_at_or_after(&self, cut: &Cut, other: &Cut) -> bool {
        match (self.locate(cut), self.locate(other)) {
            (Some(cut), Some(other)) => cut.is_at_or_after(&other),
            _ => false,
        }
    }

    /// The segments that are wholly before a cut, and are not deleted.
    pub(super) fn before(&self, cut: &Located<'_>) -> Vec<SegmentRecord> {
        self.history.all().filter(|record| self.is_before(&cut.skyline, record)).collect()
    }

    /// Returns true if a segment is wholly before a cut, and is not deleted.
    pub(super) fn is_before(&self, cut: &Skyline, record: &SegmentRecord) -> bool {
        let is_before =
            || cut.across(record).is_none_or(|met| met.earliest > record.epoch_created());
        !self.deleted_ends.contains_key(&record.id) && is_before()
    }

    /// The epochs of a cut by key; `None` if one of its segments is unknown.
    pub(super) fn skyline_of(&self, cut: &Cut) -> Option<Skyline> {
        self.records(cut).as_ref().map(skyline)
    }

    /// The segments from one cut to another, both included. An empty cut is the head or the tail of
    /// the stream.
    pub(super) fn between(&self, from: &Cut, to: &Cut) -> Vec<SegmentRecord> {
        let from = if from.is_empty() { self.head() } else { from.clone() };
        let to: Cut = if to.is_empty() {
            self.history.active().iter().map(|record| (record.id, START)).collect()
        } else {
            to.clone()
        };
        let (Some(from), Some(to)) = (self.records(&from), self.records(&to)) else {
            return Vec::new();
        };
        let (from, to) = (skyline(&from), skyline(&to));
        // A cut that does not cover a key sets no bound there.
        let is_between = |record: &SegmentRecord| {
            let created = record.epoch_created();
            from.across(record).is_none_or(|met| met.earliest <= created)
                && to.across(record).is_none_or(|met| met.latest >= created)
        };
        self.history.all().filter(is_between).collect()
    }

    /// For each key the earlier offset of two cuts.
    pub(super) fn earlier(&self, one: &Cut, other: &Cut) -> Cut {
        let (Some(ones), Some(others)) = (self.records(one), self.records(other)) else {
            return one.clone();
        };
        let both = Skyline::new(ones.iter().chain(&others).map(|(record, _)| record));
        let mut earlier: BTreeMap<SegmentId, SegmentOffset> = BTreeMap::new();
        for (record, offset) in ones.iter().chain(&others) {
            // A segment stays only if none that shares keys with it was created earlier.
            if both.across(record).is_none_or(|met| met.earliest >= record.epoch_created()) {
                let least = earlier.entry(record.id).or_insert(*offset);
                *least = (*least).min(*offset);
            }
        }
        earlier.into_iter().collect()
    }
}

impl Located<'_> {
    fn is_at_or_after(&self, other: &Self) -> bool {
        self.records.iter().all(|(record, offset)| {
            let met = other.skyline.across(record);
            met.is_none_or(|met| met.latest <= record.epoch_created())
                && other.cut.offset(record.id).is_none_or(|other| *offset >= other)
        })
    }
}
