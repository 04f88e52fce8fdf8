//! The segments of a reader, and where it is in each.

use std::collections::BTreeMap;

use pravega_sdk_types::{KeyRange, Offset, ScopedSegment, SegmentOffset};

use super::super::state::GroupSegment;

/// The segments that a reader reads, or has read to their ends and not yet completed.
#[derive(Debug, Clone, Default)]
pub(super) struct Owned {
    segments: BTreeMap<ScopedSegment, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    range: Option<KeyRange>,
    /// The offset at which it was taken.
    taken: SegmentOffset,
    /// After the last event that was returned.
    at: SegmentOffset,
    is_ended: bool,
}

impl Owned {
    /// A segment is taken. Returns true if there is something of it to read before its end.
    pub(super) fn take(
        &mut self,
        segment: ScopedSegment,
        range: Option<KeyRange>,
        offset: SegmentOffset,
        end: Option<SegmentOffset>,
    ) -> bool {
        // Java's client takes any negative offset for the end.
        let at = match offset {
            SegmentOffset::At(Offset(..0)) => SegmentOffset::End,
            offset => offset,
        };
        let is_ended = at == SegmentOffset::End
            || end.is_some_and(|end| end != SegmentOffset::End && at >= end);
        self.segments.insert(segment, Place { range, taken: at, at, is_ended });
        !is_ended
    }

    pub(super) fn remove(&mut self, segment: &ScopedSegment) {
        self.segments.remove(segment);
    }

    pub(super) fn contains(&self, segment: &ScopedSegment) -> bool {
        self.segments.contains_key(segment)
    }

    /// An event that ends at the offset was returned, or bytes before it are truncated.
    pub(super) fn advance(&mut self, segment: &ScopedSegment, offset: Offset) {
        if let Some(place) = self.segments.get_mut(segment).filter(|place| !place.is_ended) {
            place.at = place.at.max(SegmentOffset::At(offset));
        }
    }

    /// A segment was read to its end, or to the end of reading in it.
    pub(super) fn end(&mut self, segment: &ScopedSegment, is_sealed: bool) {
        if let Some(place) = self.segments.get_mut(segment) {
            place.is_ended = true;
            if is_sealed {
                place.at = SegmentOffset::End;
            }
        }
    }

    /// Returns true if there is a segment to read.
    pub(super) fn is_reading(&self) -> bool {
        self.segments.values().any(|place| !place.is_ended)
    }

    pub(super) fn is_read(&self, segment: &ScopedSegment) -> bool {
        self.segments.get(segment).is_some_and(|place| !place.is_ended)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        self.segments.keys()
    }

    /// Returns the segments that were read to their ends.
    pub(super) fn ended(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        let ended = self.segments.iter().filter(|(_, place)| place.is_ended);
        ended.map(|(segment, _)| segment)
    }

    /// Returns true if a segment was read to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended().next().is_some()
    }

    pub(super) fn range(&self, segment: &ScopedSegment) -> Option<KeyRange> {
        self.segments.get(segment).and_then(|place| place.range)
    }

    pub(super) fn offset(&self, segment: &ScopedSegment) -> Option<SegmentOffset> {
        self.segments.get(segment).map(|place| place.at)
    }

    pub(super) fn taken(&self, segment: &ScopedSegment) -> Option<SegmentOffset> {
        self.segments.get(segment).map(|place| place.taken)
    }

    /// Returns where the reader is in each segment.
    pub(super) fn offsets(&self) -> Vec<(ScopedSegment, SegmentOffset)> {
        self.segments.iter().map(|(segment, place)| (segment.clone(), place.at)).collect()
    }

    /// Returns where the reader is in each segment, with the ranges.
    pub(super) fn ranged(&self) -> Vec<(GroupSegment, SegmentOffset)> {
        let ranged = |(segment, place): (&ScopedSegment, &Place)| {
            (GroupSegment { segment: segment.clone(), range: place.range }, place.at)
        };
        self.segments.iter().map(ranged).collect()
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
    }
}
