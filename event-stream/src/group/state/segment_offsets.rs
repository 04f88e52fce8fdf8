//! Segments with an offset in each, in the order in which they were added.

use std::collections::BTreeMap;

use pravega_sdk_types::{KeyRange, ScopedSegment, SegmentOffset};

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
#[derive(Debug, Clone, Default)]
pub struct SegmentOffsets {
    entries: BTreeMap<ScopedSegment, Entry>,
    /// The segments by the numbers of their entries, which rise.
    order: BTreeMap<u64, ScopedSegment>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u64,
    range: Option<KeyRange>,
    offset: SegmentOffset,
}

impl SegmentOffsets {
    /// Sets the offset of a segment, which is added if it is not among them.
    pub fn insert(&mut self, segment: GroupSegment, offset: SegmentOffset) {
        if !self.replace(&segment.segment, offset) {
            self.add(segment, offset);
        }
    }

    /// Adds a segment, unless it is among them.
    pub fn insert_if_absent(&mut self, segment: GroupSegment, offset: SegmentOffset) {
        if !self.contains(&segment.segment) {
            self.add(segment, offset);
        }
    }

    /// Sets the offset of a segment. Returns false if it is not among them.
    pub fn replace(&mut self, segment: &ScopedSegment, offset: SegmentOffset) -> bool {
        let entry = self.entries.get_mut(segment);
        entry.map(|entry| entry.offset = offset).is_some()
    }

    /// Takes a segment out.
    pub fn remove(&mut self, segment: &ScopedSegment) -> Option<(GroupSegment, SegmentOffset)> {
        let (segment, entry) = self.entries.remove_entry(segment)?;
        self.order.remove(&entry.number);
        Some((GroupSegment { segment, range: entry.range }, entry.offset))
    }

    /// Returns the offset in a segment.
    #[must_use]
    pub fn get(&self, segment: &ScopedSegment) -> Option<SegmentOffset> {
        self.entries.get(segment).map(|entry| entry.offset)
    }

    /// Returns the range of a segment and the offset in it.
    pub(super) fn ranged(
        &self,
        segment: &ScopedSegment,
    ) -> Option<(Option<KeyRange>, SegmentOffset)> {
        self.entries.get(segment).map(|entry| (entry.range, entry.offset))
    }

    /// Returns true if a segment is among them.
    #[must_use]
    pub fn contains(&self, segment: &ScopedSegment) -> bool {
        self.entries.contains_key(segment)
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the segments, their ranges and their offsets, in the order in which they were added.
    pub fn iter(
        &self,
    ) -> impl Iterator<Item = (&ScopedSegment, Option<KeyRange>, SegmentOffset)> + '_ {
        self.order.values().filter_map(|segment| {
            self.entries.get(segment).map(|entry| (segment, entry.range, entry.offset))
        })
    }

    /// Returns the segments, in the order in which they were added.
    pub fn segments(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        self.order.values()
    }

    fn add(&mut self, segment: GroupSegment, offset: SegmentOffset) {
        let GroupSegment { segment, range } = segment;
        self.order.insert(self.next, segment.clone());
        self.entries.insert(segment, Entry { number: self.next, range, offset });
        self.next += 1;
    }
}

impl PartialEq for SegmentOffsets {
    /// Two are the same if they have the same segments, ranges and offsets in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
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
