//! The parts of a segment whose bytes are in the records of others: of segments that were merged
//! into it.
//!
//! ```text
//! target  │ own │ 7: 0..90 │ own │ 9: 20..50 │ 7 …      a merge adds the parts of its source
//! ```
//!
//! No byte is copied by a merge, and no file changes. What is in no part is in the segment's own
//! records, at its own offsets. So most segments have no parts, and each part is known without
//! those beside it, which a checkpoint may have taken at another moment.

use std::{collections::VecDeque, ops::Range};

use super::change::PartOf;
use crate::log::SegmentNumber;

/// The parts of a segment that are of others, in the order of their offsets.
///
/// Boxed, and `None` if there are none, as most segments have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "a segment without any should be small")]
pub(crate) struct Parts(Option<Box<VecDeque<PartOf>>>);

impl Parts {
    /// Parts in the order of their offsets, of which those before a start are left out.
    pub(crate) fn of(parts: impl IntoIterator<Item = PartOf>, start: u64) -> Self {
        let mut parts = Self(Some(Box::new(parts.into_iter().collect())));
        parts.truncate(start);
        parts
    }

    /// The parts whose ends are after an offset, if there are any.
    fn after(&self, offset: u64) -> impl Iterator<Item = &PartOf> {
        self.0.iter().flat_map(move |all| {
            let first = all.partition_point(|part| part.end() <= offset);
            all.range(first..)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PartOf> + '_ {
        self.0.iter().flat_map(|all| all.iter().copied())
    }

    /// The parts that begin at an offset or after it.
    pub(crate) fn from(&self, at: u64) -> impl Iterator<Item = PartOf> + '_ {
        self.0.iter().flat_map(move |all| {
            let first = all.partition_point(|part| part.at < at);
            all.range(first..).copied()
        })
    }

    /// The part that begins at an offset.
    pub(crate) fn at(&self, at: u64) -> Option<PartOf> {
        self.from(at).next().filter(|part| part.at == at)
    }

    pub(crate) fn push(&mut self, part: PartOf) {
        self.0.get_or_insert_default().push_back(part);
    }

    /// Removes the parts before an offset; returns those that were removed.
    pub(crate) fn truncate(&mut self, start: u64) -> Vec<PartOf> {
        let Some(all) = &mut self.0 else { return Vec::new() };
        let before = all.partition_point(|part| part.end() <= start);
        let removed = all.drain(..before).collect();
        if all.is_empty() {
            self.0 = None;
        }
        removed
    }

    /// Where the bytes of a range are, in order.
    pub(crate) fn within(&self, own: SegmentNumber, range: Range<u64>) -> Vec<PartOf> {
        let (mut all, mut at) = (Vec::new(), range.start);
        let own = |at: u64, to: u64| PartOf { at, len: to - at, segment: own, from: at };
        for part in self.after(range.start).take_while(|part| part.at < range.end) {
            if at < part.at {
                all.push(own(at, part.at));
            }
            let (first, end) = (part.at.max(range.start), part.end().min(range.end));
            let from = part.from + (first - part.at);
            all.push(PartOf { at: first, len: end - first, from, ..*part });
            at = end;
        }
        if at < range.end {
            all.push(own(at, range.end));
        }
        all
    }

    /// The ranges of segments in whose records the bytes of a range are, in order.
    pub(crate) fn ranges(
        &self,
        own: SegmentNumber,
        range: Range<u64>,
    ) -> Vec<(SegmentNumber, Range<u64>)> {
        let parts = self.within(own, range).into_iter();
        parts.map(|part| (part.segment, part.from..part.from + part.len)).collect()
    }

    /// The first of those ranges, where there are many: of some parts, and what is between them.
    pub(crate) fn first_ranges(
        &self,
        own: SegmentNumber,
        range: Range<u64>,
        parts: usize,
    ) -> Vec<(SegmentNumber, Range<u64>)> {
        let next = self.after(range.start).nth(parts.max(1));
        let end = next.map_or(range.end, |next| next.at.min(range.end));
        self.ranges(own, range.start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SegmentNumber = SegmentNumber(1);

    fn part(at: u64, len: u64, segment: u64, from: u64) -> PartOf {
        PartOf { at, len, segment: SegmentNumber(segment), from }
    }

    #[test]
    fn a_range_is_found_in_the_records_of_every_segment_that_has_a_part_of_it() {
        let parts = Parts::of([part(10, 10, 7, 100), part(30, 20, 9, 0), part(50, 5, 7, 0)], 0);
        let n = SegmentNumber;
        assert_eq!(
            parts.ranges(OWN, 5..35),
            [(OWN, 5..10), (n(7), 100..110), (OWN, 20..30), (n(9), 0..5)]
        );
        assert_eq!(parts.ranges(OWN, 12..14), [(n(7), 102..104)]);
        assert_eq!(parts.ranges(OWN, 45..60), [(n(9), 15..20), (n(7), 0..5), (OWN, 55..60)]);
        assert_eq!(parts.ranges(OWN, 20..20), []);
        assert_eq!(Parts::default().ranges(OWN, 3..9), [(OWN, 3..9)]);
    }

    #[test]
    fn a_truncation_leaves_the_part_that_has_the_start() {
        let all = [part(10, 10, 7, 100), part(30, 20, 9, 0)];
        for (start, first) in [(0, Some(10)), (19, Some(10)), (20, Some(30)), (50, None)] {
            let mut parts = Parts::of(all, 0);
            let removed = parts.truncate(start).len();
            assert_eq!(parts.iter().next().map(|part| part.at), first, "from {start} on");
            assert_eq!(removed + parts.iter().count(), 2);
            assert_eq!(parts, Parts::of(all, start));
        }
    }
}
