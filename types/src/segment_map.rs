//! The segments of a stream and their parts of the key space, as a writer sees them.

use std::fmt;

use crate::{ErrorKind, KeyRange, SegmentId, classify};

/// The active segments of a stream by the part of the key space they own.
///
/// Segments are kept by their upper bound, which is inclusive for look-ups as in the Java client: a
/// key exactly on a bound belongs to the segment below it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SegmentMap {
    /// Sorted by `upper`, without duplicates.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    upper: f64,
    id: SegmentId,
    range: KeyRange,
}

/// A segment that takes over the range of sealed segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Successor {
    /// The new segment.
    pub id: SegmentId,
    /// Its key range.
    pub range: KeyRange,
    /// All sealed segments whose ranges it takes over.
    pub predecessors: Vec<SegmentId>,
}

/// Successors that cannot replace a sealed segment.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SegmentMapError {
    /// The sealed segment is not in the map.
    UnknownSegment(SegmentId),
    /// The successors do not cover the range of the sealed segment.
    NotCovered {
        /// The sealed segment.
        sealed: SegmentId,
        /// Its key range.
        range: KeyRange,
    },
}

classify!(SegmentMapError, |_| ErrorKind::InvalidArgument);

impl fmt::Display for SegmentMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSegment(id) => write!(f, "segment {id} is not among the active ones"),
            Self::NotCovered { sealed, range } => {
                write!(f, "the successors of segment {sealed} do not cover its range {range}")
            }
        }
    }
}

impl std::error::Error for SegmentMapError {}

impl SegmentMap {
    /// Creates a map from segments and their key ranges, in any order.
    #[must_use]
    pub fn new(segments: impl IntoIterator<Item = (SegmentId, KeyRange)>) -> Self {
        let entries = segments
            .into_iter()
            .map(|(id, range)| Entry { upper: range.high(), id, range })
            .collect();
        Self::from_entries(entries)
    }

    /// Creates the map of a new stream of `count` segments: numbers from 0, epoch 0, equal ranges.
    #[must_use]
    pub fn equal_ranges(count: u32) -> Self {
        Self::new((0_i64..).map(SegmentId::from).zip(KeyRange::equal(count)))
    }

    /// Creates a map in which each segment has a separate upper bound for look-ups, as after one
    /// half of a merge.
    #[must_use]
    pub fn with_upper_bounds(
        segments: impl IntoIterator<Item = (f64, SegmentId, KeyRange)>,
    ) -> Self {
        Self::from_entries(
            segments.into_iter().map(|(upper, id, range)| Entry { upper, id, range }).collect(),
        )
    }

    fn from_entries(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        Self { entries }
    }

    /// Returns the segment that owns `position`; `None` only if the map is empty.
    ///
    /// For some counts of equal ranges the controller computes a last bound just below 1.0. A
    /// position above it goes to the last segment; the Java client fails there.
    #[must_use]
    pub fn segment_for(&self, position: f64) -> Option<SegmentId> {
        let at = self.entries.partition_point(|entry| entry.upper < position);
        self.entries.get(at).or(self.entries.last()).map(|entry| entry.id)
    }

    /// Returns the entries in ascending order: upper bound for look-ups, segment, and the full key
    /// range of the segment.
    pub fn iter(&self) -> impl Iterator<Item = (f64, SegmentId, KeyRange)> + '_ {
        self.entries.iter().map(|entry| (entry.upper, entry.id, entry.range))
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if the map has no segment, as for a sealed stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Replaces `sealed` by its successors.
    ///
    /// A successor of several segments (a merge) owns only the range of `sealed` until the other
    /// predecessors are known to be sealed too: their events must reach the old segments first.
    ///
    /// # Errors
    ///
    /// [`SegmentMapError`] if `sealed` is not in the map, or its range would not be covered; the
    /// map stays unchanged.
    pub fn replace_sealed(
        &mut self,
        sealed: SegmentId,
        successors: &[Successor],
    ) -> Result<(), SegmentMapError> {
        let Some(old) = self.entries.iter().find(|entry| entry.id == sealed).copied() else {
            return Err(SegmentMapError::UnknownSegment(sealed));
        };
        let mut heirs: Vec<&Successor> =
            successors.iter().filter(|s| s.predecessors.contains(&sealed)).collect();
        heirs.sort_by(|a, b| a.range.high().total_cmp(&b.range.high()));
        check_heirs(&old, &heirs)?;

        let mut entries = Vec::with_capacity(self.entries.len() + heirs.len());
        let mut below = f64::NEG_INFINITY;
        for entry in &self.entries {
            if entry.id != sealed {
                entries.push(*entry);
            } else {
                for heir in heirs.iter().filter(|heir| heir.range.high() > below) {
                    let upper = heir.range.high().min(entry.upper);
                    if entries.last().is_none_or(|last| last.upper < upper) {
                        entries.push(Entry { upper, id: heir.id, range: heir.range });
                    }
                }
            }
            below = entry.upper;
        }
        // Two neighbors with the same segment become one: the upper bound stays.
        let mut merged: Vec<Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            match merged.last_mut() {
                Some(last) if last.id == entry.id => *last = entry,
                _ => merged.push(entry),
            }
        }
        self.entries = merged;
        Ok(())
    }
}

/// Checks that the heirs cover the sealed segment's range from end to end, without a gap.
fn check_heirs(old: &Entry, heirs: &[&Successor]) -> Result<(), SegmentMapError> {
    let not_covered = SegmentMapError::NotCovered { sealed: old.id, range: old.range };
    let (Some(lowest), Some(highest)) = (heirs.first(), heirs.last()) else {
        return Err(not_covered);
    };
    let meets =
        heirs.iter().zip(heirs.iter().skip(1)).all(|(a, b)| a.range.high() == b.range.low());
    let reaches = lowest.range.low() <= old.range.low() && highest.range.high() >= old.upper;
    if meets && reaches { Ok(()) } else { Err(not_covered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: f64, high: f64) -> KeyRange {
        KeyRange::new(low, high).unwrap()
    }

    fn successor(id: i64, low: f64, high: f64, predecessors: &[i64]) -> Successor {
        Successor {
            id: id.into(),
            range: range(low, high),
            predecessors: predecessors.iter().map(|p| SegmentId::from(*p)).collect(),
        }
    }

    #[test]
    fn a_bound_belongs_to_the_segment_below_it() {
        let map = SegmentMap::equal_ranges(4);
        assert_eq!(map.segment_for(0.25), Some(0.into()));
        assert_eq!(map.segment_for(0.250_000_1), Some(1.into()));
        assert_eq!(map.segment_for(0.0), Some(0.into()));
    }

    #[test]
    fn positions_above_the_last_bound_go_to_the_last_segment() {
        let map = SegmentMap::equal_ranges(49);
        let last = map.iter().last().unwrap();
        assert!(last.0 < 1.0, "the controller's rounding leaves {} here", last.0);
        assert_eq!(map.segment_for(0.999_999_999_999_999_9), Some(48.into()));
    }

    #[test]
    fn successors_that_leave_a_gap_are_refused_and_change_nothing() {
        let mut map = SegmentMap::equal_ranges(2);
        let before = map.clone();
        let gap = [successor(10, 0.0, 0.2, &[0]), successor(11, 0.3, 0.5, &[0])];
        assert!(matches!(
            map.replace_sealed(0.into(), &gap),
            Err(SegmentMapError::NotCovered { .. })
        ));
        let short = [successor(10, 0.0, 0.4, &[0])];
        assert!(map.replace_sealed(0.into(), &short).is_err());
        assert!(map.replace_sealed(0.into(), &[]).is_err());
        assert!(map.replace_sealed(9.into(), &short).is_err());
        assert_eq!(map, before);
    }

    #[test]
    fn an_empty_map_has_no_segment() {
        assert_eq!(SegmentMap::default().segment_for(0.5), None);
    }
}
