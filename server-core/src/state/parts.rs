//! The parts of a segment whose bytes are in the records of others: of segments that were merged
//! into it.
//!
//! ```text
//! target  │ own │ 7: 0..90 │ own │ 9: 20..50 │ 7 …      a merge adds the parts of its source
//! ```
//!
//! No byte is copied by a merge, and no file changes. What is before the first part is in the
//! segment's own records, at its own offsets, so most segments have no parts.

use std::{collections::VecDeque, ops::Range};

use super::change::PartOf;
use crate::log::SegmentNumber;

/// The parts of a segment, in the order of their offsets. The first one is of another segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts(VecDeque<PartOf>);

impl Parts {
    /// Parts in the order of their offsets, of which those before a start are left out.
    pub(crate) fn of(
        parts: impl IntoIterator<Item = PartOf>,
        own: SegmentNumber,
        start: u64,
    ) -> Self {
        let mut parts = Self(parts.into_iter().collect());
        parts.truncate(own, start);
        parts
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PartOf> + '_ {
        self.0.iter().copied()
    }

    /// The parts from an offset on.
    pub(crate) fn from(&self, at: u64) -> impl Iterator<Item = PartOf> + '_ {
        let first = self.0.partition_point(|part| part.at < at);
        self.0.range(first..).copied()
    }

    /// The part that begins at an offset.
    pub(crate) fn at(&self, at: u64) -> Option<PartOf> {
        self.from(at).next().filter(|part| part.at == at)
    }

    /// The offset at which the first part begins.
    pub(crate) fn first_at(&self) -> Option<u64> {
        self.0.front().map(|part| part.at)
    }

    /// The offset at which the part after one ends: at the next, or at the end of the segment.
    pub(crate) fn end_of(&self, at: u64, len: u64) -> u64 {
        self.from(at.saturating_add(1)).next().map_or(len, |part| part.at)
    }

    /// The part that bytes at the end of a segment begin; `None` if they continue one.
    pub(crate) fn own_at(&self, own: SegmentNumber, len: u64) -> Option<PartOf> {
        let last = self.0.back()?;
        (last.segment != own).then_some(PartOf { at: len, segment: own, from: len })
    }

    pub(crate) fn push(&mut self, part: PartOf) {
        self.0.push_back(part);
    }

    /// Removes the parts before an offset; returns those that were removed.
    pub(crate) fn truncate(&mut self, own: SegmentNumber, start: u64) -> Vec<PartOf> {
        let mut removed = Vec::new();
        while let Some(front) = self.0.front().copied() {
            let is_before = self.0.get(1).is_some_and(|next| next.at <= start);
            // Own bytes are at their own offsets.
            if !is_before && front.segment != own {
                break;
            }
            removed.extend(self.0.pop_front());
        }
        removed
    }

    /// Where the bytes of a range are, in order.
    pub(crate) fn within(
        &self,
        own: SegmentNumber,
        range: Range<u64>,
    ) -> impl Iterator<Item = PartOf> + '_ {
        let next = self.0.partition_point(|part| part.at <= range.start);
        let before = next.checked_sub(1).and_then(|index| self.0.get(index)).copied();
        let first = before.unwrap_or(PartOf { at: 0, segment: own, from: 0 });
        let skipped = range.start - first.at;
        let first = PartOf { at: range.start, from: first.from + skipped, ..first };
        let rest = self.0.range(next..).copied().take_while(move |part| part.at < range.end);
        (range.start < range.end).then_some(first).into_iter().chain(rest)
    }

    /// The ranges of segments in whose records the bytes of a range are, in order.
    pub(crate) fn ranges(
        &self,
        own: SegmentNumber,
        range: Range<u64>,
    ) -> Vec<(SegmentNumber, Range<u64>)> {
        let end = range.end;
        let mut parts = self.within(own, range).peekable();
        let mut ranges = Vec::new();
        while let Some(part) = parts.next() {
            let to = parts.peek().map_or(end, |next| next.at);
            if part.at < to {
                ranges.push((part.segment, part.from..part.from + (to - part.at)));
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SegmentNumber = SegmentNumber(1);

    fn part(at: u64, segment: u64, from: u64) -> PartOf {
        PartOf { at, segment: SegmentNumber(segment), from }
    }

    #[test]
    fn a_range_is_found_in_the_records_of_every_segment_that_has_a_part_of_it() {
        let parts = [part(10, 7, 100), part(20, 1, 20), part(30, 9, 0)];
        let parts = Parts::of(parts, OWN, 0);
        let n = SegmentNumber;
        assert_eq!(
            parts.ranges(OWN, 5..35),
            [(OWN, 5..10), (n(7), 100..110), (OWN, 20..30), (n(9), 0..5)]
        );
        assert_eq!(parts.ranges(OWN, 12..14), [(n(7), 102..104)]);
        assert_eq!(parts.ranges(OWN, 20..20), []);
        assert_eq!(Parts::default().ranges(OWN, 3..9), [(OWN, 3..9)]);
    }

    #[test]
    fn a_truncation_leaves_the_part_that_has_the_start() {
        let all = [part(10, 7, 100), part(20, 1, 20), part(30, 9, 0)];
        for (start, first) in [(0, Some(10)), (19, Some(10)), (20, Some(30)), (99, Some(30))] {
            let parts = Parts::of(all, OWN, start);
            assert_eq!(parts.first_at(), first, "from {start} on");
            assert_eq!(parts.own_at(OWN, 40), Some(part(40, 1, 40)));
        }
    }
}
