//! Key-value tables whose keys and values are types of the program.

use std::fmt;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use pravega_sdk_codec::{Codec, CodecError, Encode};
use pravega_sdk_types::{ErrorKind, Failure, Outcome};

use super::{
    key::{Key, Keys},
    table::{KeyValueEntry, KeyValueTable},
    version::KeyVersion,
};
use crate::error::TableError;

/// A key-value table with codecs for its keys and values.
///
/// The key codec writes the primary key and then the secondary key, in the lengths of the table;
/// [`BigEndian`](pravega_sdk_codec::BigEndian) does so for numbers. Clones are cheap if those of
/// the codecs are.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::{BigEndian, Utf8};
/// use pravega_sdk_table_synchronizer::KeyValueTable;
///
/// # async fn example(table: KeyValueTable) -> Result<(), Box<dyn std::error::Error>> {
/// // A table whose primary keys have 4 bytes.
/// let names = table.with_codecs(BigEndian::<u32>::new(), Utf8);
/// let first = names.insert(7, "Ann").await?;
/// names.put_at(7, "Anna", first).await?;
/// if let Some(entry) = names.get(7).await? {
///     println!("{} is {}", entry.key, entry.value);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TypedTable<K, V> {
    table: KeyValueTable,
    key_codec: K,
    value_codec: V,
}

/// An entry of a key-value table, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedEntry<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The version of the key.
    pub version: KeyVersion,
}

type Decoded<K, V> = TypedEntry<<K as Codec>::Event, <V as Codec>::Event>;

impl KeyValueTable {
    /// Returns the table with codecs for its keys and values.
    #[must_use]
    pub fn with_codecs<K: Codec, V: Codec>(self, key_codec: K, value_codec: V) -> TypedTable<K, V> {
        TypedTable { table: self, key_codec, value_codec }
    }
}

impl<K: Codec, V: Codec> TypedTable<K, V> {
    /// Returns the table with keys and values that are bytes.
    #[must_use]
    pub fn raw(&self) -> &KeyValueTable {
        &self.table
    }

    /// Puts a value under a key that does not exist.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::insert`], and of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if a codec refuses the key or the value.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn insert<Q, W>(&self, key: Q, value: W) -> Result<KeyVersion, TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
    {
        let (key, value) = self.encode(key, value)?;
        self.table.insert(key, value).await
    }

    /// Puts a value under a key, whatever it has.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::put`], and of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if a codec refuses the key or the value.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn put<Q, W>(&self, key: Q, value: W) -> Result<KeyVersion, TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
    {
        let (key, value) = self.encode(key, value)?;
        self.table.put(key, value).await
    }

    /// Puts a value under a key that has a version.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::put_at`], and of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if a codec refuses the key or the value.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn put_at<Q, W>(
        &self,
        key: Q,
        value: W,
        version: KeyVersion,
    ) -> Result<KeyVersion, TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
    {
        let (key, value) = self.encode(key, value)?;
        self.table.put_at(key, value, version).await
    }

    /// Removes a key, which need not exist.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::remove`], and of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the codec refuses the key.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the key may or may not be removed.
    pub async fn remove<Q>(&self, key: Q) -> Result<(), TableError>
    where
        K: Encode<Q>,
    {
        let key = self.encode_key(key)?;
        self.table.remove(key).await
    }

    /// Removes a key that has a version.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::remove_at`], and of the kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the codec refuses the key.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the key may or may not be removed.
    pub async fn remove_at<Q>(&self, key: Q, version: KeyVersion) -> Result<(), TableError>
    where
        K: Encode<Q>,
    {
        let key = self.encode_key(key)?;
        self.table.remove_at(key, version).await
    }

    /// Reads the value of a key; `None` if the key does not exist.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::get`], of the kind [`InvalidArgument`](ErrorKind::InvalidArgument) if
    /// the codec refuses the key, and [`Corrupt`](ErrorKind::Corrupt) if one refuses what is
    /// stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get<Q>(&self, key: Q) -> Result<Option<Decoded<K, V>>, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.encode_key(key)?;
        let found = self.table.get(key).await?;
        found.map(|entry| self.decode(entry)).transpose()
    }

    /// Reads the values of keys; the entries are in the order of the keys, and `None` for one that
    /// does not exist. It is no snapshot.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get_all<Q>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Option<Decoded<K, V>>>, TableError>
    where
        K: Encode<Q>,
    {
        let keys: Vec<Key> =
            keys.into_iter().map(|key| self.encode_key(key)).collect::<Result<_, _>>()?;
        let found = self.table.get_all(keys).await?.into_iter();
        found.map(|entry| entry.map(|entry| self.decode(entry)).transpose()).collect()
    }

    /// Returns true if a key exists.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn exists<Q>(&self, key: Q) -> Result<bool, TableError>
    where
        K: Encode<Q>,
    {
        let key = self.encode_key(key)?;
        self.table.exists(key).await
    }

    /// Returns entries in the order of their encoded keys.
    ///
    /// # Errors
    ///
    /// As of [`KeyValueTable::entries`]. An entry that a codec refuses is an error of the kind
    /// [`Corrupt`](ErrorKind::Corrupt) in its place.
    pub fn entries(
        &self,
        keys: &Keys,
    ) -> Result<impl Stream<Item = Result<Decoded<K, V>, TableError>> + Unpin + '_, TableError>
    {
        let entries = self.table.entries(keys)?;
        Ok(entries.map(|entry| self.decode(entry?)))
    }

    fn encode<Q, W>(&self, key: Q, value: W) -> Result<(Key, Bytes), TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
    {
        let encoded = self.value_codec.encode(value);
        let value = encoded.map_err(|error| self.refused(error, "the value cannot be encoded"))?;
        Ok((self.encode_key(key)?, value))
    }

    fn encode_key<Q>(&self, key: Q) -> Result<Key, TableError>
    where
        K: Encode<Q>,
    {
        let encoded = self.key_codec.encode(key);
        let key = encoded.map_err(|error| self.refused(error, "the key cannot be encoded"))?;
        self.table.layout().split(&key).ok_or_else(|| {
            let (len, table) = (key.len(), self.table.configuration());
            let wanted = table.primary_key_length + table.secondary_key_length;
            let detail = format_args!("the key has {len} bytes, and those of the table {wanted}");
            TableError::invalid(detail).of("encoding a key of", self.table.table())
        })
    }

    fn refused(&self, error: CodecError, detail: &str) -> TableError {
        let error = TableError::from(Failure::caused_by(error, detail));
        error.of("encoding an entry of", self.table.table())
    }

    fn decode(&self, entry: KeyValueEntry) -> Result<Decoded<K, V>, TableError> {
        let corrupt = |error: CodecError, what: &str| {
            let detail = format_args!("{what} of version {} cannot be decoded", entry.version);
            let failure = Failure::new(ErrorKind::Corrupt, Outcome::NotApplied, detail);
            TableError::from(failure.with_source(error)).of("reading", self.table.table())
        };
        // A key that was read has the lengths of the table.
        let stored = self.table.layout().join(&entry.key)?;
        let key = self.key_codec.decode(stored).map_err(|error| corrupt(error, "the key"))?;
        let value = self.value_codec.decode(entry.value.clone());
        let value = value.map_err(|error| corrupt(error, "the value"))?;
        Ok(TypedEntry { key, value, version: entry.version })
    }
}

impl<K, V> fmt::Debug for TypedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTable").field("table", &self.table).finish_non_exhaustive()
    }
}
