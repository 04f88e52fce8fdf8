//! The keys of values that changed since a checkpoint was begun, and ranges that are not read any
//! longer, within bounds.
//!
//! A checkpoint of everything needs no keys. So beyond a bound no more keys are noted, and the next
//! checkpoint has everything.

use std::{collections::BTreeSet, mem, ops::Range};

use bytes::Bytes;
use uuid::Uuid;

use super::key::StateKey;
use crate::log::{Coverage, KEY_HELD, SegmentNumber};

/// The keys of values that changed since they were taken last.
#[derive(Debug)]
pub(crate) struct TouchedKeys {
    keys: BTreeSet<StateKey>,
    /// Memory that the keys use, in bytes.
    held: u64,
    /// The most of it.
    most: u64,
    coverage: Coverage,
}

impl Default for TouchedKeys {
    fn default() -> Self {
        Self::within(u64::MAX)
    }
}

impl TouchedKeys {
    /// No keys yet, of at most so much memory.
    pub(crate) fn within(most: u64) -> Self {
        Self { keys: BTreeSet::new(), held: 0, most, coverage: Coverage::Complete }
    }

    /// Notes a key.
    pub(crate) fn insert(&mut self, key: StateKey) {
        if self.coverage == Coverage::Partial {
            return;
        }
        let held = weight(&key);
        if self.held.saturating_add(held) > self.most {
            if !self.keys.contains(&key) {
                self.coverage = Coverage::Partial;
            }
        } else if self.keys.insert(key) {
            self.held += held;
        }
    }

    /// Notes some keys.
    pub(crate) fn extend(&mut self, keys: impl IntoIterator<Item = StateKey>) {
        keys.into_iter().for_each(|key| self.insert(key));
    }

    /// Forgets the keys of a segment that is gone, and is in no checkpoint.
    pub(crate) fn forget(&mut self, number: SegmentNumber) {
        let next = SegmentNumber(number.0.saturating_add(1));
        let ranges = [
            StateKey::Segment(number)..StateKey::Segment(next),
            StateKey::Attribute(number, Uuid::nil())..StateKey::Attribute(next, Uuid::nil()),
            StateKey::Entry(number, Bytes::new())..StateKey::Entry(next, Bytes::new()),
            StateKey::Part(number, 0)..StateKey::Part(next, 0),
        ];
        for range in ranges {
            while let Some(key) = self.keys.range(range.clone()).next().cloned() {
                self.keys.remove(&key);
                self.held = self.held.saturating_sub(weight(&key));
            }
        }
    }

    /// Memory that the keys use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Forgets all keys.
    pub(crate) fn clear(&mut self) {
        drop(self.take());
    }

    /// Takes the keys.
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::within(self.most))
    }
}

/// Memory of a key, in bytes.
fn weight(key: &StateKey) -> u64 {
    let content = match key {
        StateKey::Catalog(path) => path.len(),
        StateKey::Entry(_, key) => key.len(),
        StateKey::Next
        | StateKey::Segment(_)
        | StateKey::Attribute(..)
        | StateKey::Part(..)
        | StateKey::Merge(_)
        | StateKey::Many(_) => 0,
    };
    KEY_HELD.saturating_add(content as u64)
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
        self.catalog.coverage.and(self.segments.coverage)
    }

    /// Memory that the keys use, in bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.catalog.held.saturating_add(self.segments.held)
    }

    /// The keys, encoded. It takes a moment for each: the owner's lock is not needed.
    pub fn into_keys(self) -> impl Iterator<Item = Bytes> {
        self.catalog.keys.into_iter().chain(self.segments.keys).map(|key| key.encode())
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
        assert_eq!((&touched.keys, touched.held), (&others.keys, others.held));
    }

    #[test]
    fn keys_are_counted_once_and_no_more_are_noted_than_there_is_memory_for() {
        let mut touched = TouchedKeys::within(3 * KEY_HELD + 40);
        for _ in 0..3 {
            touched.extend(keys_of(1).into_iter().take(3));
        }
        assert_eq!((touched.held, touched.coverage), (3 * KEY_HELD + 40, Coverage::Complete));
        touched.extend(keys_of(1).into_iter().take(3));
        assert_eq!(touched.coverage, Coverage::Complete, "all of them are noted already");
        touched.extend(keys_of(2));
        assert_eq!((touched.keys.len(), touched.coverage), (3, Coverage::Partial));
        // What is given back is not used: the next checkpoint has everything.
        touched.forget(SegmentNumber(1));
        touched.extend(keys_of(3));
        assert_eq!((touched.keys.len(), touched.held), (0, 0));
        assert_eq!(touched.take().coverage, Coverage::Partial);
        touched.extend(keys_of(3).into_iter().take(2));
        assert_eq!((touched.held, touched.coverage), (2 * KEY_HELD, Coverage::Complete));
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
