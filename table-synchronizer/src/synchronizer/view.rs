//! What a program sees of a table, and changes in it.

use std::{collections::btree_map, fmt, iter::Peekable, ops::Bound};

use bytes::Bytes;
use pravega_sdk_codec::{Codec, Encode};
use pravega_sdk_types::{ErrorKind, Failure, Outcome};

use super::{
    layout::{MAX_ENTRY_KEY_LEN, MAX_ENTRY_VALUE_LEN},
    machine::{Batch, Held, LocalCopy, Reads},
};
use crate::error::TableError;

/// The entries of a table as a synchronizer knows them, in the order of their encoded keys.
///
/// It borrows them: nothing is copied but what is decoded.
pub struct TableState<'s, K, V> {
    pub(super) copy: &'s LocalCopy,
    pub(super) codecs: &'s Codecs<K, V>,
}

/// A moment in what a synchronizer has known of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableMoment(u64);

/// The codecs of keys and values.
#[derive(Debug, Clone)]
pub(super) struct Codecs<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

impl<K: Codec, V: Codec> Codecs<K, V> {
    fn encode_key<Q>(&self, key: Q) -> Result<Bytes, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.key.encode(key).map_err(|error| {
            TableError::from(Failure::caused_by(error, "the key cannot be encoded"))
        })?;
        check("key", key.len(), MAX_ENTRY_KEY_LEN)?;
        Ok(key)
    }

    fn encode_value<W>(&self, value: W) -> Result<Bytes, TableError>
    where
        V: Encode<W>,
    {
        let value = self.value.encode(value).map_err(|error| {
            TableError::from(Failure::caused_by(error, "the value cannot be encoded"))
        })?;
        check("value", value.len(), MAX_ENTRY_VALUE_LEN)?;
        Ok(value)
    }

    fn decode_value(&self, value: &Bytes) -> Result<V::Event, TableError> {
        self.value.decode(value.clone()).map_err(|error| corrupt(error, "the value"))
    }

    fn decode(&self, key: &Bytes, value: &Bytes) -> Result<(K::Event, V::Event), TableError> {
        let decoded = self.key.decode(key.clone()).map_err(|error| corrupt(error, "the key"))?;
        Ok((decoded, self.decode_value(value)?))
    }
}

fn check(what: &str, len: usize, max: usize) -> Result<(), TableError> {
    if len <= max {
        return Ok(());
    }
    Err(TableError::invalid(format_args!("a {what} has {len} bytes, and at most {max} can be")))
}

fn corrupt(error: pravega_sdk_codec::CodecError, what: &str) -> TableError {
    let detail = format_args!("{what} of a stored entry cannot be decoded");
    Failure::new(ErrorKind::Corrupt, Outcome::NotApplied, detail).with_source(error).into()
}

impl<'s, K: Codec, V: Codec> TableState<'s, K, V> {
    /// Returns the value of a key; `None` if the key does not exist.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a codec refuses the key or the stored value.
    pub fn get<Q>(&self, key: Q) -> Result<Option<V::Event>, TableError>
    where
        K: Encode<Q>,
    {
        let held = self.copy.entries().get(&self.codecs.encode_key(key)?);
        held.map(|held| self.codecs.decode_value(&held.value)).transpose()
    }

    /// Returns true if a key exists.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the codec refuses the key.
    pub fn contains<Q>(&self, key: Q) -> Result<bool, TableError>
    where
        K: Encode<Q>,
    {
        Ok(self.copy.entries().contains_key(&self.codecs.encode_key(key)?))
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.copy.entries().len()
    }

    /// Returns true if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copy.entries().is_empty()
    }

    /// Returns the moment at which the entries are as they are known.
    #[must_use]
    pub fn moment(&self) -> TableMoment {
        TableMoment(self.copy.logged())
    }

    /// Returns the encoded keys of the entries that have changed, appeared or gone since a moment
    /// of this synchronizer; one may be among them several times. `None` means that this is not
    /// known: the table was read from the beginning meanwhile, or much has changed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::collections::BTreeMap;
    /// # use bytes::Bytes;
    /// # use pravega_sdk_codec::Raw;
    /// # use pravega_sdk_table_synchronizer::{TableError, TableMoment, TableState};
    /// /// Keeps the lengths of all values.
    /// fn follow(
    ///     table: &TableState<'_, Raw, Raw>,
    ///     since: TableMoment,
    ///     lengths: &mut BTreeMap<Bytes, usize>,
    /// ) -> Result<TableMoment, TableError> {
    ///     let Some(changed) = table.changed_since(since) else {
    ///         let all = table.entries().map(|entry| entry.map(|(key, value)| (key, value.len())));
    ///         *lengths = all.collect::<Result<_, _>>()?;
    ///         return Ok(table.moment());
    ///     };
    ///     for key in changed {
    ///         match table.get(key.clone())? {
    ///             Some(value) => lengths.insert(key.clone(), value.len()),
    ///             None => lengths.remove(key),
    ///         };
    ///     }
    ///     Ok(table.moment())
    /// }
    /// ```
    pub fn changed_since(
        &self,
        moment: TableMoment,
    ) -> Option<impl Iterator<Item = &'s Bytes> + use<'s, K, V>> {
        self.copy.changed_since(moment.0)
    }

    /// Returns the entries, each decoded when it is reached.
    pub fn entries(
        &self,
    ) -> impl Iterator<Item = Result<(K::Event, V::Event), TableError>> + use<'s, K, V> {
        self.entries_with_prefix(b"")
    }

    /// As [`entries`](Self::entries), of the keys whose encoded form begins with a prefix.
    pub fn entries_with_prefix(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(K::Event, V::Event), TableError>> + use<'s, K, V> {
        let (copy, codecs) = (self.copy, self.codecs);
        let prefix = Bytes::copy_from_slice(prefix);
        let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
        let all = copy.entries().range(from);
        all.take_while(move |(key, _)| key.starts_with(&prefix))
            .map(move |(key, held)| codecs.decode(key, &held.value))
    }
}

impl<K, V> fmt::Debug for TableState<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.copy.entries().len();
        f.debug_struct("TableState").field("entries", &entries).finish_non_exhaustive()
    }
}

/// The entries of a table for the function of an update, which sees its own changes in them.
///
/// Only what the function changes is copied. What it looks at is noted: its changes are made only
/// if no other client has changed that meanwhile, and else it runs again.
pub struct TableChanges<'s, K, V> {
    copy: &'s LocalCopy,
    codecs: &'s Codecs<K, V>,
    batch: Batch,
}

impl<'s, K: Codec, V: Codec> TableChanges<'s, K, V> {
    pub(super) fn new(copy: &'s LocalCopy, codecs: &'s Codecs<K, V>) -> Self {
        Self { copy, codecs, batch: Batch::default() }
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    /// Returns the value of a key; `None` if the key does not exist.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a codec refuses the key or the stored value.
    pub fn get<Q>(&mut self, key: Q) -> Result<Option<V::Event>, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.codecs.encode_key(key)?;
        self.batch.reads.note(&key);
        let value = self.value(&key);
        value.map(|value| self.codecs.decode_value(value)).transpose()
    }

    /// Returns true if a key exists.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the codec refuses the key.
    pub fn contains<Q>(&mut self, key: Q) -> Result<bool, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.codecs.encode_key(key)?;
        self.batch.reads.note(&key);
        Ok(self.value(&key).is_some())
    }

    /// Returns the entries as they are known, without the changes of this run. What the function
    /// looks at there does not count as looked at: changes that depend on it are made also if
    /// another client has changed it.
    #[must_use]
    pub fn known(&self) -> TableState<'s, K, V> {
        TableState { copy: self.copy, codecs: self.codecs }
    }

    fn value(&self, key: &Bytes) -> Option<&Bytes> {
        match self.batch.changes.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.copy.entries().get(key).map(|held| &held.value),
        }
    }

    /// Puts a value under a key, whatever it has. The key counts as looked at only if the function
    /// has looked at it.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a codec refuses the key or the value, or one is over its limit.
    pub fn put<Q, W>(&mut self, key: Q, value: W) -> Result<(), TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
    {
        let (key, value) = (self.codecs.encode_key(key)?, self.codecs.encode_value(value)?);
        self.batch.changes.insert(key, Some(value));
        Ok(())
    }

    /// Removes a key, and returns true if it existed. The key counts as looked at.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the codec refuses the key.
    pub fn remove<Q>(&mut self, key: Q) -> Result<bool, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.codecs.encode_key(key)?;
        self.batch.reads.note(&key);
        if self.value(&key).is_none() {
            return Ok(false);
        }
        if self.copy.entries().contains_key(&key) {
            self.batch.changes.insert(key, None);
        } else {
            self.batch.changes.remove(&key);
        }
        Ok(true)
    }

    /// Forgets all changes of this run: the function then changes nothing.
    pub fn clear(&mut self) {
        self.batch.changes.clear();
    }

    /// Returns the entries in the order of their encoded keys, each decoded when it is reached. The
    /// whole table counts as looked at.
    pub fn entries(
        &mut self,
    ) -> impl Iterator<Item = Result<(K::Event, V::Event), TableError>> + '_ {
        self.batch.reads = Reads::All;
        let codecs = self.codecs;
        self.raw_entries().map(move |(key, value)| codecs.decode(key, value))
    }

    /// Returns the number of entries. The whole table counts as looked at.
    pub fn len(&mut self) -> usize {
        self.batch.reads = Reads::All;
        let known = self.copy.entries();
        self.batch.changes.iter().fold(known.len(), |len, (key, value)| {
            match (known.contains_key(key), value.is_some()) {
                (false, true) => len + 1,
                (true, false) => len.saturating_sub(1),
                _ => len,
            }
        })
    }

    /// Returns true if there are no entries. The whole table counts as looked at.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    fn raw_entries(&self) -> Merged<'_> {
        let known = self.copy.entries().iter().peekable();
        Merged { known, changes: self.batch.changes.iter().peekable() }
    }
}

impl<K, V> fmt::Debug for TableChanges<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, changes) = (self.copy.entries().len(), self.batch.changes.len());
        f.debug_struct("TableChanges")
            .field("entries", &entries)
            .field("changes", &changes)
            .finish_non_exhaustive()
    }
}

/// Known entries with the changes of a function on top.
struct Merged<'m> {
    known: Peekable<btree_map::Iter<'m, Bytes, Held>>,
    changes: Peekable<btree_map::Iter<'m, Bytes, Option<Bytes>>>,
}

impl<'m> Iterator for Merged<'m> {
    type Item = (&'m Bytes, &'m Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let known = self.known.peek().map(|(key, _)| *key);
            let changed = self.changes.peek().map(|(key, _)| *key);
            if changed.is_none_or(|changed| known.is_some_and(|known| known < changed)) {
                return self.known.next().map(|(key, held)| (key, &held.value));
            }
            if known == changed {
                self.known.next();
            }
            if let Some((key, Some(value))) = self.changes.next() {
                return Some((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_codec::Utf8;
    use pravega_sdk_types::Offset;

    use super::*;
    use crate::{
        entry::{Entry, Version},
        synchronizer::layout::{Identity, entry_key, entry_value},
    };

    const CODECS: Codecs<Utf8, Utf8> = Codecs { key: Utf8, value: Utf8 };

    fn copy(entries: &[(&str, &str)]) -> LocalCopy {
        let mut copy = LocalCopy::new(Identity(1), Offset(0), 1 << 20);
        for (at, (key, value)) in (0..).zip(entries) {
            let (key, value) = (entry_key(key.as_bytes()), entry_value(Some(value.as_bytes())));
            copy.apply(&Entry { key, value, version: Version::new(at).unwrap() }, None).unwrap();
        }
        copy
    }

    fn all(changes: &mut TableChanges<'_, Utf8, Utf8>) -> Vec<(String, String)> {
        changes.entries().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_function_sees_its_own_changes_in_their_order() {
        let copy = copy(&[("b", "1"), ("d", "1"), ("f", "1")]);
        let mut changes = TableChanges::new(&copy, &CODECS);
        for key in ["a", "d", "e", "g"] {
            changes.put(key, "2").unwrap();
        }
        assert!(changes.remove("b").unwrap() && changes.remove("e").unwrap());
        assert!(!changes.remove("b").unwrap() && !changes.remove("x").unwrap());
        let entries = [("a", "2"), ("d", "2"), ("f", "1"), ("g", "2")];
        let expected = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(all(&mut changes), expected);
        assert_eq!(changes.len(), 4);
        assert_eq!(changes.get("d").unwrap().as_deref(), Some("2"));
        assert_eq!(changes.get("b").unwrap(), None);
        assert_eq!(copy.entries().len(), 3, "the copy is as it was");
        changes.clear();
        assert!(changes.contains("b").unwrap());
        assert_eq!((changes.len(), changes.into_batch().changes.len()), (3, 0));
    }

    #[test]
    fn what_a_function_looks_at_is_noted_and_what_it_only_puts_is_not() {
        let copy = copy(&[("a", "1"), ("b", "1")]);
        let mut changes = TableChanges::new(&copy, &CODECS);
        changes.put("a", "2").unwrap();
        changes.get("b").unwrap();
        changes.contains("c").unwrap();
        changes.remove("d").unwrap();
        assert_eq!(changes.known().get("a").unwrap().as_deref(), Some("1"), "as it was");
        let batch = changes.into_batch();
        assert_eq!(batch.reads, Reads::Keys(["b", "c", "d"].map(Bytes::from).into()));
        let mut changes = TableChanges::new(&copy, &CODECS);
        assert!(!changes.is_empty());
        assert_eq!(changes.into_batch().reads, Reads::All);
    }

    #[test]
    fn the_state_is_in_the_order_of_keys_and_can_be_cut_to_a_prefix() {
        let copy = copy(&[("ab", "2"), ("b", "3"), ("aa", "1")]);
        let state = TableState { copy: &copy, codecs: &CODECS };
        let keys = |entries: &mut dyn Iterator<Item = Result<(String, String), TableError>>| {
            entries.map(|entry| entry.unwrap().0).collect::<Vec<_>>()
        };
        assert_eq!(keys(&mut state.entries()), ["aa", "ab", "b"]);
        assert_eq!(keys(&mut state.entries_with_prefix(b"a")), ["aa", "ab"]);
        assert_eq!(keys(&mut state.entries_with_prefix(b"c")).len(), 0);
        assert_eq!((state.len(), state.get("ab").unwrap().as_deref()), (3, Some("2")));
        assert!(state.contains("b").unwrap() && !state.contains("c").unwrap());
    }

    #[test]
    fn a_key_or_a_value_over_its_limit_is_refused() {
        let copy = copy(&[]);
        let mut changes = TableChanges::new(&copy, &CODECS);
        changes.put("k".repeat(8191), "v".repeat(1_040_383)).unwrap();
        for (key, value) in [("k".repeat(8192), String::new()), ("k".into(), "v".repeat(1_040_384))]
        {
            let error = changes.put(key, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
    }

    #[test]
    fn a_value_that_is_none_of_the_codec_is_corrupt() {
        let mut copy = copy(&[]);
        let (key, value) = (entry_key(b"k"), entry_value(Some(&[0xFF])));
        copy.apply(&Entry { key, value, version: Version::new(0).unwrap() }, None).unwrap();
        let error = TableState { copy: &copy, codecs: &CODECS }.get("k").unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    }
}
