//! What a log knows of the segments, besides what they are.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use bytestring::ByteString;

use super::segment::Segment;
use crate::{
    log::{
        LogRecord, SegmentNumber,
        seeded_bugs::{Bug, has},
    },
    record::Attributes,
    state::{FreedRanges, PartOf, StateChange, StateKey, TouchedKeys, encode},
};

/// What the log knows of the segments, besides what they are.
#[derive(Debug, Default)]
pub(crate) struct SegmentLog {
    /// The records that were not taken yet.
    pub(super) pending: Vec<LogRecord>,
    /// The keys whose values changed since they were taken last.
    pub(crate) touched: TouchedKeys,
    /// No checkpoint has a segment with this number or a later one.
    pub(crate) recorded: u64,
    /// The bytes that cannot be read any longer, since they were taken last.
    pub(crate) freed: FreedRanges,
    /// The segments that exist.
    pub(crate) names: BTreeMap<SegmentNumber, ByteString>,
    /// The parts of all segments, by the records that have their bytes: the segment with the part,
    /// and its offset there.
    pub(crate) holders: BTreeMap<(SegmentNumber, u64), (SegmentNumber, u64)>,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
}

impl SegmentLog {
    pub(super) fn change(&mut self, change: &StateChange) {
        self.pending.push(LogRecord::Change { meta: encode(change) });
    }

    pub(super) fn touch(&mut self, number: SegmentNumber) {
        self.touched.insert(StateKey::Segment(number));
    }

    pub(super) fn touch_attributes(&mut self, number: SegmentNumber, attributes: &Attributes) {
        let keys = StateChange::ids(attributes).map(|id| StateKey::Attribute(number, id));
        self.touched.extend(keys);
    }

    /// The segments from one on that a checkpoint may have. The others were created after it was
    /// begun: the log after it has them.
    pub(super) fn recorded_names(
        &self,
        from: Bound<SegmentNumber>,
    ) -> impl Iterator<Item = (&SegmentNumber, &ByteString)> {
        let named = self.names.range((from, Bound::Unbounded));
        named.take_while(move |(number, _)| number.0 < self.recorded)
    }

    /// Notes that a segment has a part.
    pub(crate) fn hold(&mut self, holder: SegmentNumber, part: PartOf) {
        self.holders.insert((part.segment, part.from), (holder, part.at));
    }

    pub(super) fn release(&mut self, holder: SegmentNumber, part: PartOf) {
        self.holders.remove(&(part.segment, part.from));
        self.touched.insert(StateKey::Part(holder, part.at));
    }

    pub(super) fn add_part(&mut self, number: SegmentNumber, segment: &mut Segment, part: PartOf) {
        segment.parts.push(part);
        self.hold(number, part);
        if !has(Bug::ForgetsParts) {
            self.touched.insert(StateKey::Part(number, part.at));
        }
    }

    /// Notes that a segment is gone, whose bytes can be read no longer if they are freed.
    pub(super) fn leave(&mut self, segment: &Segment) {
        let number = segment.number;
        self.names.remove(&number);
        self.touch(number);
        for part in segment.parts.iter() {
            self.release(number, part);
        }
        // What no checkpoint has need not be removed by one.
        if number.0 >= self.recorded {
            self.touched.forget(number);
        }
    }

    pub(super) fn free(&mut self, segment: &Segment, range: Range<u64>) {
        if segment.bytes().is_some() {
            self.freed.extend(segment.parts.ranges(segment.number, range));
        }
    }
}
