//! The catalog, folded from the values of checkpoints and the changes after them.
//!
//! Values are taken at different moments, so what is here is no catalog that ever was, until the
//! last change is applied. A value that is newer than a change has later changes too, which follow.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use super::{
    change::{Change, Part, StreamPart},
    key::{EntryKey, PartKey, StreamKey},
    leaving::stream_of,
    persistence::RestoreError,
    state::Catalog,
};
use crate::{
    record::Record,
    state::{StateKey, TouchedKeys, decode},
};

/// A value, and how many streams and scopes had left when it was taken.
#[derive(Debug)]
struct Value {
    leavings: u64,
    bytes: Bytes,
}

/// The entries of the catalog.
#[derive(Debug, Default)]
pub(crate) struct FoldedCatalog {
    entries: BTreeMap<EntryKey, Value>,
    /// The keys that changes have set since the checkpoint.
    pub(crate) touched: TouchedKeys,
}

impl FoldedCatalog {
    /// No entries yet. Keys of at most so much memory are kept.
    pub(crate) fn within(most_touched: u64) -> Self {
        Self { touched: TouchedKeys::within(most_touched), ..Self::default() }
    }

    /// Sets the value of an entry, or removes it.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if it cannot be read.
    pub(crate) fn set(&mut self, path: &str, value: Option<&Bytes>) -> Result<(), RestoreError> {
        let unknown = || RestoreError::UnknownKey(path.to_owned());
        let key = EntryKey::parse(path).ok_or_else(unknown)?;
        let Some(value) = value else {
            self.entries.remove(&key);
            return Ok(());
        };
        let (leavings, bytes) = decode(value).ok_or_else(unknown)?;
        self.entries.insert(key, Value { leavings, bytes });
        Ok(())
    }

    /// Applies a change. Of a stream or scope that leaves, `leaving` is its number.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if it cannot be read.
    pub(crate) fn apply(
        &mut self,
        path: &str,
        value: Option<Bytes>,
        leaving: Option<u64>,
    ) -> Result<(), RestoreError> {
        let change = Change::read(path, value.as_deref())?;
        let key = change.key();
        let Change { scope, part } = change;
        match part {
            Part::Scope(None) => {
                self.remove_from(EntryKey { scope, part: PartKey::Scope }, None);
                return Ok(());
            }
            Part::Stream(stream, StreamPart::State(None)) => {
                self.remove_from(key, Some(&stream));
                return Ok(());
            }
            Part::Stream(stream, StreamPart::Ends(ends)) => {
                for (segment, end) in ends {
                    let part = StreamPart::End(segment, end);
                    self.put(Change::of_stream(&scope, &stream, part));
                }
                return Ok(());
            }
            Part::Leaving => self.leave(&scope, leaving.unwrap_or_default()),
            Part::Floor(floor) => {
                let from = EntryKey { scope: scope.clone(), part: PartKey::Number(String::new()) };
                let numbers = self.entries.range(from..).take_while(|(key, _)| {
                    key.scope == scope && matches!(key.part, PartKey::Number(_))
                });
                let is_low = |value: &Value| decode(&value.bytes).is_some_and(|at| floor >= at);
                let low = numbers.filter(|(_, value)| is_low(value)).map(|(key, _)| key.clone());
                for key in low.collect::<Vec<EntryKey>>() {
                    self.remove(&key);
                }
            }
            _ => {}
        }
        match value {
            Some(bytes) => {
                self.touch(&key);
                self.entries.insert(key, Value { leavings: 0, bytes });
            }
            None => self.remove(&key),
        }
        Ok(())
    }

    fn touch(&mut self, key: &EntryKey) {
        self.touched.insert(StateKey::Catalog(key.path()));
    }

    fn put(&mut self, change: Change) {
        let key = change.key();
        if let Record::CatalogEntry { value: Some(bytes), .. } = change.record() {
            self.touch(&key);
            self.entries.insert(key, Value { leavings: 0, bytes });
        }
    }

    fn remove(&mut self, key: &EntryKey) {
        self.touch(key);
        self.entries.remove(key);
    }

    /// The keys of a scope from one on, or of a stream in it.
    fn keys_from(&self, first: EntryKey, stream: Option<&String>) -> Vec<EntryKey> {
        let scope = first.scope.clone();
        let is_of = |key: &EntryKey| {
            let is_of_stream =
                |stream: &String| matches!(&key.part, PartKey::Stream(name, _) if name == stream);
            key.scope == scope && stream.is_none_or(is_of_stream)
        };
        let keys = self.entries.range((Bound::Included(first), Bound::Unbounded));
        keys.map(|(key, _)| key).take_while(|key| is_of(key)).cloned().collect()
    }

    fn remove_from(&mut self, first: EntryKey, stream: Option<&String>) {
        self.touch(&first);
        for key in self.keys_from(first, stream) {
            self.remove(&key);
        }
    }

    /// Moves the entries of a stream to the scope under whose name it leaves. A value that was
    /// taken after that is not moved: it is of a stream that was created later.
    fn leave(&mut self, leaving: &str, number: u64) {
        let scope = EntryKey { scope: leaving.to_owned(), part: PartKey::Scope };
        let Some((from, stream)) = stream_of(leaving) else { return };
        self.put(Change::new(leaving, Part::Scope(Some(Default::default()))));
        self.touch(&scope);
        let stream = stream.to_owned();
        let first = PartKey::Stream(stream.clone(), StreamKey::State);
        let first = EntryKey { scope: from.to_owned(), part: first };
        for key in self.keys_from(first, Some(&stream)) {
            self.touch(&key);
            let Some(value) = self.entries.remove(&key) else { continue };
            let to = EntryKey { scope: leaving.to_owned(), part: key.part.clone() };
            self.touch(&to);
            if value.leavings >= number {
                self.entries.insert(key, value);
            } else {
                self.entries.entry(to).or_insert(value);
            }
        }
    }

    /// Adds all entries to a catalog that has none.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if one cannot be read, or belongs to a missing one.
    pub(crate) fn unfold(self, catalog: &mut Catalog) -> Result<(), RestoreError> {
        for (key, Value { bytes, .. }) in self.entries {
            catalog.restore(&key.path(), Some(&bytes))?;
        }
        catalog.resume();
        Ok(())
    }

    /// Adds all entries that can be read, and whose parents are there; returns the others.
    pub(crate) fn unfold_salvaged(self, catalog: &mut Catalog) -> Vec<RestoreError> {
        let restored = self.entries.into_iter();
        let failures = restored
            .filter_map(|(key, value)| catalog.restore(&key.path(), Some(&value.bytes)).err())
            .collect();
        catalog.resume();
        failures
    }
}
