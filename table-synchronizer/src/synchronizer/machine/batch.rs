//! The changes that a function has made to its view of a table, and what they depend on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pravega_sdk_segment_client::seeded_bugs::SeededBug;

use super::copy::LocalCopy;
use crate::{
    entry::{Condition, Put},
    synchronizer::layout::{entry_key, entry_value},
};

/// What a function has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// These keys.
    Keys(BTreeSet<Bytes>),
    /// All entries, or how many there are.
    All,
}

impl Default for Reads {
    fn default() -> Self {
        Self::Keys(BTreeSet::new())
    }
}

impl Reads {
    pub(crate) fn note(&mut self, key: &Bytes) {
        if let Self::Keys(keys) = self
            && !keys.contains(key)
        {
            keys.insert(key.clone());
        }
    }

    fn has(&self, key: &Bytes) -> bool {
        match self {
            Self::Keys(keys) => keys.contains(key),
            Self::All => true,
        }
    }
}

/// The changes of one run of a function.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The new values; `None` for a key that is removed.
    pub(crate) changes: BTreeMap<Bytes, Option<Bytes>>,
    pub(crate) reads: Reads,
}

impl Batch {
    /// Returns true if the function has looked at more than it changes, so that its changes are
    /// right only if no other client has changed the table.
    ///
    /// A table checks conditions of the keys that are changed, and that its end has not moved.
    pub(crate) fn needs_end(&self) -> bool {
        match &self.reads {
            Reads::All => true,
            Reads::Keys(keys) => keys.iter().any(|key| !self.changes.contains_key(key)),
        }
    }

    /// Returns the entries that are stored, each on the condition that the key has not changed, if
    /// the function has looked at it.
    pub(crate) fn puts(&self, copy: &LocalCopy) -> Vec<Put> {
        let is_removed_for_good = |key: &Bytes| {
            copy.bugs().has(SeededBug::RemovedIsAbsent) && !copy.entries().contains_key(key)
        };
        let put = |(key, value): (&Bytes, &Option<Bytes>)| {
            let condition = match (self.reads.has(key), copy.version(key)) {
                (false, _) => Condition::Any,
                _ if copy.bugs().has(SeededBug::IgnoresConditions) => Condition::Any,
                (true, Some(_)) if is_removed_for_good(key) => Condition::Absent,
                (true, Some(version)) => Condition::At(version),
                (true, None) => Condition::Absent,
            };
            Put::new(entry_key(key), entry_value(value.as_deref())).when(condition)
        };
        self.changes.iter().map(put).collect()
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Offset;

    use super::*;
    use crate::{
        entry::{Entry, Version},
        synchronizer::layout::Identity,
    };

    #[test]
    fn only_what_was_looked_at_is_a_condition() {
        let version = Version::new(7).unwrap();
        let mut copy = LocalCopy::new(Identity(1), Offset(0), 1 << 20);
        for (key, value) in [("a", Some(&b"1"[..])), ("b", Some(b"1")), ("gone", None)] {
            let (key, value) = (entry_key(key.as_bytes()), entry_value(value));
            copy.apply(&Entry { key, value, version }, None).unwrap();
        }
        let mut batch = Batch::default();
        for key in ["a", "b", "gone", "new"] {
            batch.changes.insert(key.into(), Some("2".into()));
        }
        batch.changes.insert("b".into(), None);
        for read in ["b", "gone", "new"] {
            batch.reads.note(&read.into());
        }
        let put = |key: &str, value: Option<&[u8]>, condition: Condition| {
            Put::new(entry_key(key.as_bytes()), entry_value(value)).when(condition)
        };
        let expected = [
            put("a", Some(b"2"), Condition::Any),
            put("b", None, version.into()),
            put("gone", Some(b"2"), version.into()),
            put("new", Some(b"2"), Condition::Absent),
        ];
        assert_eq!(batch.puts(&copy), expected);
        assert!(!batch.needs_end(), "each key that was looked at is changed");
        batch.reads.note(&"other".into());
        assert!(batch.needs_end());
        batch.reads = Reads::All;
        assert!(batch.needs_end());
        assert_eq!(batch.puts(&copy)[0], put("a", Some(b"2"), version.into()));
    }
}
