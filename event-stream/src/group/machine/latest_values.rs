//! Values that replace each other until they are sent.

use std::collections::{BTreeMap, VecDeque};

/// Values by key, of which only the latest counts: a value replaces one of its key that waits. One
/// is in flight at a time, and the keys take turns.
///
/// It holds one value for each key, whatever the rate at which they change.
#[derive(Debug, Clone)]
pub(super) struct LatestValues<K, V> {
    waiting: BTreeMap<K, V>,
    /// The keys of the values that wait, in the order of their turns.
    turns: VecDeque<K>,
    in_flight: Option<(K, V)>,
}

impl<K, V> Default for LatestValues<K, V> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), turns: VecDeque::new(), in_flight: None }
    }
}

impl<K: Ord + Clone, V> LatestValues<K, V> {
    /// Sets the value of a key. One that waits is replaced, and keeps its turn.
    pub(super) fn set(&mut self, key: K, value: V) {
        if self.waiting.insert(key.clone(), value).is_none() {
            self.turns.push_back(key);
        }
    }

    /// Takes the next value to send. `None` means that one is in flight, or that none waits.
    pub(super) fn take(&mut self) -> Option<(&K, &V)> {
        if self.in_flight.is_some() {
            return None;
        }
        let entry = self.waiting.remove_entry(&self.turns.pop_front()?)?;
        let (key, value) = self.in_flight.insert(entry);
        Some((key, value))
    }

    /// The value in flight was sent.
    pub(super) fn handle_sent(&mut self) {
        self.in_flight = None;
    }

    /// The value in flight was not sent. It waits again, after all others, unless there is a later
    /// one of its key.
    pub(super) fn handle_failed(&mut self) {
        if let Some((key, value)) = self.in_flight.take()
            && !self.waiting.contains_key(&key)
        {
            self.set(key, value);
        }
    }

    /// Returns true if no value waits, and none is in flight.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_none()
    }

    /// Drops all values that wait, and forgets the one in flight.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(values: &mut LatestValues<u8, u32>) -> Option<(u8, u32)> {
        values.take().map(|(key, value)| (*key, *value))
    }

    #[test]
    fn the_latest_value_of_each_key_is_sent_and_the_keys_take_turns() {
        let mut values = LatestValues::default();
        for (key, value) in [(1, 10), (2, 20), (1, 11), (3, 30)] {
            values.set(key, value);
        }
        for expected in [(1, 11), (2, 20), (3, 30)] {
            assert_eq!(take(&mut values), Some(expected));
            assert_eq!(take(&mut values), None, "one is in flight");
            values.handle_sent();
        }
        assert!(values.is_empty());
    }

    #[test]
    fn a_value_that_failed_waits_again_unless_a_later_one_replaced_it() {
        let mut values = LatestValues::default();
        values.set(1, 10);
        values.set(2, 20);
        assert_eq!(take(&mut values), Some((1, 10)));
        values.handle_failed();
        assert_eq!(take(&mut values), Some((2, 20)), "the others come first");
        values.set(2, 21);
        values.handle_failed();
        assert_eq!(take(&mut values), Some((1, 10)));
        values.handle_sent();
        assert_eq!(take(&mut values), Some((2, 21)));
    }

    proptest! {
        #[test]
        fn the_last_value_of_each_key_is_sent_last_and_never_an_older_one_after_a_newer(
            steps in prop::collection::vec((0..4_u8, 0..3_u8), 0..200),
        ) {
            let mut values = LatestValues::default();
            let (mut set, mut sent) = (BTreeMap::new(), BTreeMap::new());
            let mut flying = None;
            for (number, (step, key)) in (0_u32..).zip(steps) {
                match step {
                    0 | 1 => {
                        values.set(key, number);
                        set.insert(key, number);
                    }
                    2 => flying = flying.or_else(|| take(&mut values)),
                    _ => match flying.take() {
                        Some((key, value)) if number % 3 > 0 => {
                            values.handle_sent();
                            let before = sent.insert(key, value);
                            prop_assert!(before.is_none_or(|before| before < value));
                        }
                        Some(_) => values.handle_failed(),
                        None => {}
                    },
                }
            }
            if let Some((key, value)) = flying {
                values.handle_sent();
                sent.insert(key, value);
            }
            while let Some((key, value)) = take(&mut values) {
                values.handle_sent();
                sent.insert(key, value);
            }
            prop_assert_eq!(sent, set);
        }
    }
}
