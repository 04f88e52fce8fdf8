//! The keys that a watch remembers, so that it finds which were removed.

use std::{collections::BTreeSet, fmt, ops::Bound};

use bytes::Bytes;

/// Approximate memory that a key uses besides its bytes: its place in a tree whose nodes are half
/// full, and its allocation.
const KEY_OVERHEAD: usize = 64;

/// Keys, up to a bound in bytes. Those beyond it are not remembered.
pub(super) struct Known {
    keys: BTreeSet<Box<[u8]>>,
    bytes: usize,
    most: usize,
}

impl Known {
    pub(super) fn new(most: usize) -> Self {
        Self { keys: BTreeSet::new(), bytes: 0, most }
    }

    /// Remembers a key, if there is memory for it.
    pub(super) fn insert(&mut self, key: &[u8]) {
        let bytes = self.bytes + key.len() + KEY_OVERHEAD;
        if bytes <= self.most && !self.keys.contains(key) {
            self.keys.insert(key.into());
            self.bytes = bytes;
        }
    }

    /// Forgets the first key between two, neither of which counts, and returns it. `None` means no
    /// bound.
    pub(super) fn take_between(
        &mut self,
        after: Option<&Bytes>,
        before: Option<&Bytes>,
    ) -> Option<Bytes> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after[..]));
        let first = self.keys.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        if before.is_some_and(|before| **first >= before[..]) {
            return None;
        }
        let key = Bytes::copy_from_slice(first);
        self.keys.remove(&key[..]);
        self.bytes = self.bytes.saturating_sub(key.len() + KEY_OVERHEAD);
        Some(key)
    }
}

impl fmt::Debug for Known {
    /// Shows the sizes, as keys may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} keys, {} of {} bytes)", self.keys.len(), self.bytes, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_remembered_up_to_a_bound_and_forgetting_makes_space() {
        let mut known = Known::new(3 * (1 + KEY_OVERHEAD) + KEY_OVERHEAD);
        for key in ["a", "b", "b", "c", "d", "a"] {
            known.insert(key.as_bytes());
        }
        assert_eq!(known.keys.len(), 3);
        let key = |key: &'static str| Bytes::from(key);
        assert_eq!(known.take_between(Some(&key("a")), Some(&key("b"))), None);
        assert_eq!(known.take_between(Some(&key("a")), Some(&key("c"))), Some(key("b")));
        known.insert(b"d");
        let mut all = std::iter::from_fn(|| known.take_between(None, None));
        assert!(all.by_ref().eq(["a", "c", "d"]));
        assert_eq!(known.bytes, 0);
    }
}
