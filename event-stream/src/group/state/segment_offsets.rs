//! Segments with an offset in each, in the order in which they were added.

use pravega_sdk_types::{KeyRange, ScopedSegment, SegmentOffset};

use super::ordered::{Numbered, Ordered};

/// A segment, and its part of the key space if it is known. Groups know it for segments that a
/// scale created, and not for those with which they begin.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSegment {
    /// The segment.
    pub segment: ScopedSegment,
    /// Its part of the key space; `None` means that it is not known.
    pub range: Option<KeyRange>,
}

impl From<ScopedSegment> for GroupSegment {
    /// A segment of which the range is not known.
    fn from(segment: ScopedSegment) -> Self {
        Self { segment, range: None }
    }
}

/// Segments with an offset in each, in the order in which they were added. A segment is in it once,
/// with the range that it had when it was added.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::group::{GroupSegment, SegmentOffsets};
/// use pravega_sdk_types::{Offset, ScopedSegment, SegmentOffset};
///
/// let segment: ScopedSegment = "shop/orders/0.#epoch.0".parse()?;
/// let mut offsets = SegmentOffsets::default();
/// offsets.insert(GroupSegment::from(segment.clone()), Offset(7).into());
/// assert_eq!(offsets.get(&segment), Some(SegmentOffset::At(Offset(7))));
/// # Ok::<(), pravega_sdk_types::NameError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SegmentOffsets {
    segments: Ordered<RangedOffset>,
}

/// The range of a segment, and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RangedOffset {
    pub(super) range: Option<KeyRange>,
    pub(super) offset: SegmentOffset,
}

impl SegmentOffsets {
    /// Sets the offset of a segment, which is added if it is not among them.
    pub fn insert(&mut self, segment: GroupSegment, offset: SegmentOffset) {
        if !self.replace(&segment.segment, offset) {
            self.insert_if_absent(segment, offset);
        }
    }

    /// Adds a segment, unless it is among them.
    pub fn insert_if_absent(&mut self, segment: GroupSegment, offset: SegmentOffset) {
        let GroupSegment { segment, range } = segment;
        self.segments.add(segment, RangedOffset { range, offset });
    }

    /// Sets the offset of a segment. Returns false if it is not among them.
    pub fn replace(&mut self, segment: &ScopedSegment, offset: SegmentOffset) -> bool {
        let entry = self.segments.get_mut(segment);
        entry.map(|entry| entry.offset = offset).is_some()
    }

    /// Takes a segment out.
    pub fn remove(&mut self, segment: &ScopedSegment) -> Option<(GroupSegment, SegmentOffset)> {
        let (segment, RangedOffset { range, offset }) = self.segments.remove(segment)?;
        Some((GroupSegment { segment, range }, offset))
    }

    /// Returns the offset in a segment.
    #[must_use]
    pub fn get(&self, segment: &ScopedSegment) -> Option<SegmentOffset> {
        self.ranged(segment).map(|entry| entry.offset)
    }

    /// Returns the range of a segment and the offset in it.
    pub(super) fn ranged(&self, segment: &ScopedSegment) -> Option<RangedOffset> {
        self.segments.get(segment).copied()
    }

    /// Returns the entry of a segment, with its place in the order.
    pub(super) fn numbered(&self, segment: &ScopedSegment) -> Option<&Numbered<RangedOffset>> {
        self.segments.numbered(segment)
    }

    /// Puts a segment in a place of the order.
    pub(super) fn place(&mut self, segment: ScopedSegment, entry: Numbered<RangedOffset>) {
        self.segments.place(segment, entry);
    }

    /// Puts a segment back as it was.
    pub(super) fn restore(
        &mut self,
        segment: ScopedSegment,
        entry: Option<Numbered<RangedOffset>>,
    ) {
        self.segments.restore(segment, entry);
    }

    /// Returns true if a segment is among them.
    #[must_use]
    pub fn contains(&self, segment: &ScopedSegment) -> bool {
        self.segments.contains(segment)
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Returns true if there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the segments, their ranges and their offsets, in the order in which they were added.
    pub fn iter(
        &self,
    ) -> impl Iterator<Item = (&ScopedSegment, Option<KeyRange>, SegmentOffset)> + '_ {
        self.segments.iter().map(|(segment, entry)| (segment, entry.range, entry.offset))
    }

    /// Returns the segments, in the order in which they were added.
    pub fn segments(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        self.segments.segments()
    }
}

impl FromIterator<(GroupSegment, SegmentOffset)> for SegmentOffsets {
    fn from_iter<I: IntoIterator<Item = (GroupSegment, SegmentOffset)>>(segments: I) -> Self {
        let mut offsets = Self::default();
        for (segment, offset) in segments {
            offsets.insert(segment, offset);
        }
        offsets
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Offset;

    use super::*;

    fn segment(number: u32) -> GroupSegment {
        format!("s/t/{number}.#epoch.0").parse::<ScopedSegment>().unwrap().into()
    }

    fn at(offset: i64) -> SegmentOffset {
        Offset(offset).into()
    }

    fn numbers(offsets: &SegmentOffsets) -> Vec<(i64, i64)> {
        offsets.iter().map(|(segment, _, at)| (segment.id().into(), at.to_wire())).collect()
    }

    #[test]
    fn segments_are_in_the_order_in_which_they_were_added() {
        let mut offsets: SegmentOffsets =
            [2, 0, 1].map(|number| (segment(number), at(0))).into_iter().collect();
        offsets.insert(segment(2), at(9));
        assert_eq!(numbers(&offsets), [(2, 9), (0, 0), (1, 0)]);
        assert_eq!(offsets.remove(&segment(2).segment), Some((segment(2), at(9))));
        offsets.insert(segment(2), at(7));
        assert_eq!(numbers(&offsets), [(0, 0), (1, 0), (2, 7)]);
    }

    #[test]
    fn a_segment_keeps_the_range_with_which_it_was_added() {
        let mut offsets = SegmentOffsets::default();
        offsets.insert(segment(0), at(1));
        let ranged = GroupSegment { range: Some(KeyRange::FULL), ..segment(0) };
        offsets.insert(ranged.clone(), at(2));
        offsets.insert_if_absent(ranged, at(3));
        assert_eq!(offsets.remove(&segment(0).segment), Some((segment(0), at(2))));
        assert!(offsets.is_empty() && offsets.segments().next().is_none());
    }
}
