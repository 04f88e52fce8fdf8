//! A set of keys that takes no more than some memory.
//!
//! What the keys are for can be done without them, at a higher price: a checkpoint of everything
//! needs none. So beyond the bound the set has no keys, and only knows that it has not all.

use std::{collections::BTreeSet, mem, ops::Range};

use bytes::Bytes;

/// Memory of a key besides its content, in bytes: its places in the sets and lists that it goes
/// through.
pub(crate) const KEY_HELD: u64 = 128;

/// Whether a list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coverage {
    /// Everything is listed.
    #[default]
    Complete,
    /// There is more, which was too much to list.
    Partial,
}

impl Coverage {
    /// That of two lists together.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Partial { self } else { other }
    }
}

/// A key whose memory is counted.
pub(crate) trait CountedKey: Ord {
    /// Length of what the key has elsewhere in memory, in bytes.
    fn content_len(&self) -> usize;
}

impl CountedKey for Bytes {
    fn content_len(&self) -> usize {
        self.len()
    }
}

/// The keys that were inserted since they were taken last, of at most some memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BoundedKeys<K> {
    /// Empty unless these are all.
    keys: BTreeSet<K>,
    /// Memory that the keys use, in bytes.
    held: u64,
    /// The most of it.
    most: u64,
    coverage: Coverage,
}

impl<K: CountedKey> Default for BoundedKeys<K> {
    fn default() -> Self {
        Self::within(u64::MAX)
    }
}

impl<K: CountedKey> BoundedKeys<K> {
    /// No keys yet, of at most so much memory in bytes.
    pub(crate) fn within(most: u64) -> Self {
        Self { keys: BTreeSet::new(), held: 0, most, coverage: Coverage::Complete }
    }

    /// Inserts a key. If there is no memory for it, the set has no keys until they are taken.
    pub(crate) fn insert(&mut self, key: K) {
        if self.coverage == Coverage::Partial {
            return;
        }
        let held = self.held.saturating_add(weight(&key));
        if held <= self.most {
            if self.keys.insert(key) {
                self.held = held;
            }
        } else if !self.keys.contains(&key) {
            self.give_up();
        }
    }

    /// Inserts some keys.
    pub(crate) fn extend(&mut self, keys: impl IntoIterator<Item = K>) {
        keys.into_iter().for_each(|key| self.insert(key));
    }

    /// Removes the keys of a range.
    pub(crate) fn remove_range(&mut self, range: Range<K>)
    where
        K: Clone,
    {
        if range.is_empty() {
            return;
        }
        while let Some(key) = self.keys.range(&range.start..&range.end).next().cloned() {
            self.keys.remove(&key);
            self.held = self.held.saturating_sub(weight(&key));
        }
    }

    /// Notes that there are keys that are not in the set, which has none from then on until they
    /// are taken.
    pub(crate) fn give_up(&mut self) {
        self.coverage = Coverage::Partial;
        self.keys.clear();
        self.held = 0;
    }

    /// Whether the set has all keys that were inserted; if not, it has none.
    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Memory that the keys use, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes the keys, and whether they are all.
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::within(self.most))
    }

    /// The keys, in order.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = K> {
        self.keys.into_iter()
    }
}

/// Memory of a key, in bytes.
fn weight(key: &impl CountedKey) -> u64 {
    KEY_HELD.saturating_add(key.content_len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of as many bytes as its number.
    fn key(number: u8) -> Bytes {
        vec![number; number.into()].into()
    }

    fn keys(of: &BoundedKeys<Bytes>) -> Vec<u8> {
        of.keys.iter().map(|key| key[0]).collect()
    }

    /// Memory of the keys with some numbers.
    fn memory(numbers: &[u8]) -> u64 {
        numbers.iter().map(|number| KEY_HELD + u64::from(*number)).sum()
    }

    #[test]
    fn each_key_is_counted_once_with_its_content() {
        let mut set = BoundedKeys::default();
        for _ in 0..3 {
            set.extend([3, 1, 2].map(key));
        }
        assert_eq!((keys(&set), set.len(), set.held()), (vec![1, 2, 3], 3, memory(&[1, 2, 3])));
        assert_eq!(set.coverage(), Coverage::Complete);
        assert!(set.into_keys().eq([1, 2, 3].map(key)));
    }

    #[test]
    fn a_set_is_filled_to_its_last_byte_and_a_key_that_it_has_is_within_it() {
        let mut set = BoundedKeys::within(memory(&[1, 2, 3]));
        set.extend([1, 2, 3, 3, 2, 1].map(key));
        assert_eq!((keys(&set), set.coverage()), (vec![1, 2, 3], Coverage::Complete));
        let mut less = BoundedKeys::within(memory(&[1, 2, 3]) - 1);
        less.extend([1, 2, 3].map(key));
        assert_eq!((less.len(), less.held(), less.coverage()), (0, 0, Coverage::Partial));
    }

    #[test]
    fn beyond_the_bound_a_set_has_no_keys_and_no_memory_until_it_is_taken() {
        let mut set = BoundedKeys::within(memory(&[1, 2]));
        for give_up in [
            (|set| set.insert(key(3))) as fn(&mut BoundedKeys<Bytes>),
            |set| set.extend([2, 4].map(key)),
            BoundedKeys::give_up,
        ] {
            set.insert(key(1));
            assert_eq!((set.held(), set.coverage()), (memory(&[1]), Coverage::Complete));
            give_up(&mut set);
            // One that there would be memory for is not inserted: it would not be all.
            set.insert(key(1));
            set.remove_range(key(0)..key(9));
            assert_eq!((set.len(), set.held(), set.coverage()), (0, 0, Coverage::Partial));
            let taken = set.take();
            assert_eq!((taken.coverage(), taken.into_keys().count()), (Coverage::Partial, 0));
            assert_eq!((&set, set.most), (&BoundedKeys::within(set.most), memory(&[1, 2])));
        }
    }

    #[test]
    fn keys_that_are_removed_give_their_memory_to_others() {
        let mut set = BoundedKeys::within(memory(&[1, 2, 3, 4]));
        set.extend([1, 2, 3, 4].map(key));
        set.remove_range(key(2)..key(4));
        assert_eq!((keys(&set), set.held()), (vec![1, 4], memory(&[1, 4])));
        set.remove_range(key(5)..key(9));
        set.extend([2, 3].map(key));
        assert_eq!((set.len(), set.coverage()), (4, Coverage::Complete));
    }

    #[test]
    fn what_is_taken_leaves_an_empty_set_with_the_same_bound() {
        let mut set = BoundedKeys::within(memory(&[1, 2]));
        set.extend([1, 2].map(key));
        let taken = set.take();
        assert_eq!((taken.held(), taken.coverage()), (memory(&[1, 2]), Coverage::Complete));
        assert!(taken.into_keys().eq([1, 2].map(key)));
        assert_eq!((set.len(), set.held()), (0, 0));
        set.extend([1, 2, 3].map(key));
        assert_eq!(set.coverage(), Coverage::Partial);
    }

    #[test]
    fn two_lists_are_complete_together_if_both_are() {
        use Coverage::{Complete, Partial};
        for (one, other, both) in [
            (Complete, Complete, Complete),
            (Complete, Partial, Partial),
            (Partial, Complete, Partial),
            (Partial, Partial, Partial),
        ] {
            assert_eq!(one.and(other), both);
        }
    }
}
