//! How many bytes of its streams a group has not read.

use std::{collections::BTreeMap, sync::Arc};

use pravega_sdk_types::{Offset, ScopedSegment, SegmentOffset};

use crate::group::state::ReaderGroupState;

/// The reader of a segment, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentHolder {
    /// This reader reads it.
    Reader(Arc<str>),
    /// It is without a reader.
    Unassigned,
    /// It begins when others were read to their ends.
    Later,
}

/// Bytes that a group has not read, with the headers of the events.
///
/// # Examples
///
/// ```no_run
/// # async fn example(
/// #     group: pravega_sdk_event_stream::group::ReaderGroup,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let unread = group.unread_bytes().await?;
/// println!("{} bytes behind", unread.total());
/// for reader in group.online_readers().await? {
///     println!("{reader}: {}", unread.of_reader(&reader));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnreadBytes {
    segments: Vec<UnreadSegment>,
}

/// Bytes of a segment that a group has not read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadSegment {
    /// The segment.
    pub segment: ScopedSegment,
    /// Its reader.
    pub holder: SegmentHolder,
    /// Number of bytes, with the headers of the events.
    pub bytes: u64,
}

impl UnreadBytes {
    /// Returns the bytes of all segments.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    /// Returns the bytes of the segments of a reader; 0 for one that is not in the group.
    #[must_use]
    pub fn of_reader(&self, reader: &str) -> u64 {
        self.sum(|holder| matches!(holder, SegmentHolder::Reader(it) if **it == *reader))
    }

    /// Returns the bytes of the segments without a reader.
    #[must_use]
    pub fn unassigned(&self) -> u64 {
        self.sum(|holder| *holder == SegmentHolder::Unassigned)
    }

    /// Returns the bytes of one segment; 0 for one that the group has read, or does not read.
    #[must_use]
    pub fn of_segment(&self, segment: &ScopedSegment) -> u64 {
        let found = self.segments.iter().find(|unread| unread.segment == *segment);
        found.map_or(0, |unread| unread.bytes)
    }

    /// Returns the segments that the group reads, or will read, sorted by their names.
    #[must_use]
    pub fn segments(&self) -> &[UnreadSegment] {
        &self.segments
    }

    fn sum(&self, counts: impl Fn(&SegmentHolder) -> bool) -> u64 {
        let counted = self.segments.iter().filter(|unread| counts(&unread.holder));
        counted.fold(0, |sum, unread| sum.saturating_add(unread.bytes))
    }
}

/// Where the readers of a group are, as they last said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Places {
    pub(crate) segments: BTreeMap<ScopedSegment, (SegmentHolder, SegmentOffset)>,
    pub(crate) ends: BTreeMap<ScopedSegment, SegmentOffset>,
}

impl Places {
    /// Finds the places in a state. In a segment of a reader that is the later one of where the
    /// reader began and what it has reported since.
    pub(crate) fn of(state: &ReaderGroupState) -> Self {
        let mut segments = BTreeMap::new();
        for reader in state.readers() {
            let assigned = state.assigned(reader).into_iter().flat_map(|segments| segments.iter());
            for (segment, _, offset) in assigned {
                let reported = state.last_read().get(segment).unwrap_or(offset);
                let holder = SegmentHolder::Reader(reader.clone());
                segments.insert(segment.clone(), (holder, offset.max(reported)));
            }
        }
        for (segment, _, offset) in state.unassigned().iter() {
            segments.insert(segment.clone(), (SegmentHolder::Unassigned, offset));
        }
        let ends = state.ends().map(|(segment, end)| (segment.clone(), end)).collect();
        Self { segments, ends }
    }

    /// Counts the bytes by the extents of all segments from here on: where each begins and ends.
    /// One without an extent was truncated away.
    pub(crate) fn unread(
        &self,
        extents: impl IntoIterator<Item = (ScopedSegment, Option<Extent>)>,
    ) -> UnreadBytes {
        let mut segments: Vec<UnreadSegment> = Vec::new();
        for (segment, extent) in extents {
            let known = self.segments.get(&segment);
            let (holder, from) = known.map_or_else(
                || (SegmentHolder::Later, SegmentOffset::At(Offset(0))),
                |(holder, from)| (holder.clone(), *from),
            );
            let end = self.ends.get(&segment).and_then(|end| end.offset());
            let bytes = extent.map_or(0, |extent| extent.after(from, end));
            segments.push(UnreadSegment { segment, holder, bytes });
        }
        segments.sort_by(|a, b| a.segment.cmp(&b.segment));
        UnreadBytes { segments }
    }
}

/// What of a segment can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) head: Offset,
    pub(crate) tail: Offset,
}

impl Extent {
    /// Returns the number of bytes after a place, up to the end if there is one before the tail.
    fn after(self, from: SegmentOffset, end: Option<Offset>) -> u64 {
        let Some(from) = from.offset() else { return 0 };
        let end = end.map_or(self.tail, |end| end.min(self.tail));
        // What was truncated cannot be read any more.
        let from = from.max(self.head);
        u64::try_from(end.0.saturating_sub(from.0)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ReaderGroupConfiguration;

    use super::*;
    use crate::group::state::{GroupInit, GroupUpdate};

    fn segment(number: u32) -> ScopedSegment {
        format!("a/b/{number}.#epoch.0").parse().unwrap()
    }

    fn at(offset: i64) -> SegmentOffset {
        SegmentOffset::from_wire(offset)
    }

    /// Reader r1 has segment 0 from 10 on, and segment 1 is without a reader, at 20.
    fn state() -> ReaderGroupState {
        let configuration = ReaderGroupConfiguration::new(["a/b".parse().unwrap()]).unwrap();
        let segments = [(segment(0).into(), at(10)), (segment(1).into(), at(20))];
        let mut state = ReaderGroupState::new(GroupInit::new(configuration, segments));
        let reader: Arc<str> = "r1".into();
        state.apply(GroupUpdate::AddReader { reader: reader.clone() }).unwrap();
        state.apply(GroupUpdate::AcquireSegment { reader, segment: segment(0) }).unwrap();
        state
    }

    fn extent(head: i64, tail: i64) -> Option<Extent> {
        Some(Extent { head: Offset(head), tail: Offset(tail) })
    }

    #[test]
    fn bytes_are_counted_by_group_reader_and_segment() {
        let unread = Places::of(&state()).unread([
            (segment(0), extent(0, 100)),
            (segment(1), extent(0, 50)),
            (segment(2), extent(0, 7)),
        ]);
        assert_eq!((unread.total(), unread.of_reader("r1"), unread.unassigned()), (127, 90, 30));
        assert_eq!((unread.of_segment(&segment(2)), unread.of_reader("r2")), (7, 0));
        assert_eq!(unread.segments()[2].holder, SegmentHolder::Later);
    }

    #[test]
    fn what_a_reader_has_reported_counts_as_read() {
        let mut state = state();
        let report = GroupUpdate::UpdateDistanceToTail {
            reader: "r1".into(),
            lag_ms: 0,
            read: vec![(segment(0).into(), at(60))],
        };
        state.apply(report).unwrap();
        let unread = Places::of(&state).unread([(segment(0), extent(0, 100))]);
        assert_eq!(unread.total(), 40);
    }

    #[test]
    fn truncated_data_is_not_unread_and_never_counts_below_zero() {
        let places = Places::of(&state());
        for (extent, expected) in [
            (extent(30, 100), 70),
            (extent(100, 100), 0),
            (extent(0, 5), 0),
            (None, 0),
            (extent(i64::MIN, i64::MAX), i64::MAX as u64 - 10),
        ] {
            assert_eq!(places.unread([(segment(0), extent)]).total(), expected, "{extent:?}");
        }
    }

    #[test]
    fn a_segment_ends_where_the_group_does_and_one_that_was_read_has_nothing_left() {
        let mut places = Places::of(&state());
        places.ends.insert(segment(0), at(40));
        places.ends.insert(segment(1), SegmentOffset::End);
        let unread = |places: &Places| {
            places.unread([(segment(0), extent(0, 100)), (segment(1), extent(0, 50))]).total()
        };
        assert_eq!(unread(&places), 30 + 30);
        places.segments.insert(segment(0), (SegmentHolder::Unassigned, SegmentOffset::End));
        assert_eq!(unread(&places), 30);
    }
}
