//! The keys of values that changed since a checkpoint was begun, and ranges that are not read any
//! longer, within bounds.
//!
//! A checkpoint of everything needs no keys. So beyond a bound none is kept, and the next
//! checkpoint has everything.

use std::ops::Range;

use bytes::Bytes;
use uuid::Uuid;

use super::key::StateKey;
use crate::log::{BoundedKeys, CountedKey, Coverage, SegmentNumber};

/// The keys of values that changed since they were taken last.
pub(crate) type TouchedKeys = BoundedKeys<StateKey>;

impl CountedKey for StateKey {
    fn content_len(&self) -> usize {
        match self {
            Self::Catalog(path) => path.len(),
            Self::Entry(_, key) => key.len(),
            Self::Next
            | Self::Segment(_)
            | Self::Attribute(..)
            | Self::Part(..)
            | Self::Merge(_)
            | Self::Many(_) => 0,
        }
    }
}

impl TouchedKeys {
    /// Forgets the keys of a segment that is gone, and is in no checkpoint.
    pub(crate) fn forget(&mut self, number: SegmentNumber) {
        let next = SegmentNumber(number.0.saturating_add(1));
        let ranges = [
            StateKey::Segment(number)..StateKey::Segment(next),
            StateKey::Attribute(number, Uuid::nil())..StateKey::Attribute(next, Uuid::nil()),
            StateKey::Entry(number, Bytes::new())..StateKey::Entry(next, Bytes::new()),
            StateKey::Part(number, 0)..StateKey::Part(next, 0),
        ];
        ranges.into_iter().for_each(|range| self.remove_range(range));
    }
}

/// The keys of values that changed since they were taken last.
#[derive(Debug, Default)]
pub struct Touched {
    pub(crate) catalog: TouchedKeys,
    pub(crate) segments: TouchedKeys,
}

impl Touched {
    /// Whether these are all keys of values that changed.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.catalog.coverage().and(self.segments.coverage())
    }

    /// Memory that the keys use, in bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.catalog.held().saturating_add(self.segments.held())
    }

    /// The keys, encoded. It takes a moment for each: the owner's lock is not needed.
    pub fn into_keys(self) -> impl Iterator<Item = Bytes> {
        self.catalog.into_keys().chain(self.segments.into_keys()).map(|key| key.encode())
    }
}

/// The most ranges that are noted.
const MOST_RANGES: usize = 16_384;

/// Ranges of segments that can be read no longer, since they were taken last.
#[derive(Debug, Default)]
pub struct FreedRanges {
    ranges: Vec<(SegmentNumber, Range<u64>)>,
    coverage: Coverage,
}

impl FreedRanges {
    /// Notes ranges.
    pub(crate) fn extend(&mut self, ranges: impl IntoIterator<Item = (SegmentNumber, Range<u64>)>) {
        for (segment, range) in ranges {
            let count = self.ranges.len();
            match self.ranges.last_mut() {
                Some((last, before)) if *last == segment && before.end == range.start => {
                    before.end = range.end;
                }
                _ if count < MOST_RANGES => self.ranges.push((segment, range)),
                _ => self.coverage = Coverage::Partial,
            }
        }
    }

    /// Whether these are all ranges.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The ranges, in the order in which they were freed.
    #[must_use]
    pub fn into_ranges(self) -> Vec<(SegmentNumber, Range<u64>)> {
        self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::KEY_HELD;

    fn keys_of(number: u64) -> [StateKey; 4] {
        let number = SegmentNumber(number);
        [
            StateKey::Segment(number),
            StateKey::Attribute(number, Uuid::max()),
            StateKey::Entry(number, Bytes::from_static(&[0xFF; 40])),
            StateKey::Part(number, u64::MAX),
        ]
    }

    #[test]
    fn the_keys_of_a_segment_are_forgotten_and_no_others() {
        let mut touched = TouchedKeys::default();
        for number in 6..9 {
            touched.extend(keys_of(number));
        }
        touched.extend([StateKey::Next, StateKey::Merge(7), StateKey::Many(7)]);
        touched.forget(SegmentNumber(7));
        let mut others = TouchedKeys::default();
        others.extend([6, 8].into_iter().flat_map(keys_of));
        others.extend([StateKey::Next, StateKey::Merge(7), StateKey::Many(7)]);
        assert_eq!(touched, others);
    }

    #[test]
    fn a_key_takes_memory_for_what_it_has_besides_itself() {
        let entry = StateKey::Catalog("path".to_owned());
        for (key, content) in keys_of(1).into_iter().chain([entry]).zip([0, 0, 40, 0, 4]) {
            let mut touched = TouchedKeys::default();
            touched.insert(key.clone());
            assert_eq!(touched.held(), KEY_HELD + content, "{key:?}");
        }
    }

    #[test]
    fn ranges_that_follow_each_other_are_one_and_their_number_is_bounded() {
        let mut freed = FreedRanges::default();
        freed.extend((0..100).map(|at| (SegmentNumber(1), at..at + 1)));
        assert_eq!(freed.ranges, [(SegmentNumber(1), 0..100)]);
        let numbers = 0..2 * MOST_RANGES as u64;
        freed.extend(numbers.map(|number| (SegmentNumber(number), 5..6)));
        assert_eq!((freed.ranges.len(), freed.coverage), (MOST_RANGES, Coverage::Partial));
    }
}
