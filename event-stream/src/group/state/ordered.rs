//! Segments with a value for each, in the order in which they were added.

use std::collections::BTreeMap;

use pravega_sdk_types::ScopedSegment;

/// Segments with a value for each, in the order of their numbers, which rise as they are added.
#[derive(Debug, Clone)]
pub(super) struct Ordered<V> {
    entries: BTreeMap<ScopedSegment, Numbered<V>>,
    /// The segments by the numbers of their entries.
    order: BTreeMap<u64, ScopedSegment>,
    next: u64,
}

/// A value, with the number by which its segment is in the order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbered<V> {
    pub(super) number: u64,
    pub(super) value: V,
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0 }
    }
}

impl<V> Ordered<V> {
    pub(super) fn get(&self, segment: &ScopedSegment) -> Option<&V> {
        self.entries.get(segment).map(|entry| &entry.value)
    }

    pub(super) fn get_mut(&mut self, segment: &ScopedSegment) -> Option<&mut V> {
        self.entries.get_mut(segment).map(|entry| &mut entry.value)
    }

    pub(super) fn numbered(&self, segment: &ScopedSegment) -> Option<&Numbered<V>> {
        self.entries.get(segment)
    }

    pub(super) fn contains(&self, segment: &ScopedSegment) -> bool {
        self.entries.contains_key(segment)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the segments and their values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ScopedSegment, &V)> + '_ {
        self.order.values().filter_map(|segment| Some((segment, self.get(segment)?)))
    }

    /// Returns the segments, in order.
    pub(super) fn segments(&self) -> impl Iterator<Item = &ScopedSegment> + '_ {
        self.order.values()
    }

    /// Adds a segment as the last one, or returns false if it is among them.
    pub(super) fn add(&mut self, segment: ScopedSegment, value: V) -> bool {
        if self.contains(&segment) {
            return false;
        }
        self.place(segment, Numbered { number: self.next, value });
        true
    }

    /// Puts a segment where its number is in the order. No other segment may have that number.
    pub(super) fn place(&mut self, segment: ScopedSegment, entry: Numbered<V>) {
        if let Some(known) = self.entries.get_mut(&segment)
            && known.number == entry.number
        {
            known.value = entry.value;
            return;
        }
        self.remove(&segment);
        self.next = self.next.max(entry.number.saturating_add(1));
        if let Some(other) = self.order.insert(entry.number, segment.clone()) {
            self.entries.remove(&other);
        }
        self.entries.insert(segment, entry);
    }

    /// Takes a segment out.
    pub(super) fn remove(&mut self, segment: &ScopedSegment) -> Option<(ScopedSegment, V)> {
        let (segment, entry) = self.entries.remove_entry(segment)?;
        self.order.remove(&entry.number);
        Some((segment, entry.value))
    }

    /// Puts a segment back as it was: with an entry, or not among them.
    pub(super) fn restore(&mut self, segment: ScopedSegment, entry: Option<Numbered<V>>) {
        match entry {
            Some(entry) => self.place(segment, entry),
            None => drop(self.remove(&segment)),
        }
    }
}

impl<V: PartialEq> PartialEq for Ordered<V> {
    /// Two are the same if they have the same segments and values in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: i64) -> ScopedSegment {
        ScopedSegment::new(&"s/t".parse().unwrap(), number.into())
    }

    #[test]
    fn a_segment_is_put_back_where_it_was() {
        let mut ordered = Ordered::default();
        (0..3).for_each(|number| assert!(ordered.add(segment(number), number)));
        let before = ordered.clone();
        let entry = ordered.numbered(&segment(1)).cloned();
        ordered.remove(&segment(1));
        assert!(ordered.add(segment(1), 9), "as the last one");
        assert_ne!(ordered, before);
        ordered.restore(segment(1), entry);
        ordered.restore(segment(7), None);
        assert_eq!(ordered, before);
        assert!(!ordered.add(segment(1), 5));
        assert_eq!(ordered.get(&segment(1)), Some(&1));
    }
}
