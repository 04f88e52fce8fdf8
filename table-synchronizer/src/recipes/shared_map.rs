//! Values by keys, which many programs change.

use std::fmt;

use pravega_sdk_codec::{Codec, Encode};

use crate::{
    error::TableError,
    synchronizer::{TableState, TableSynchronizer, Update},
};

/// A map that many programs have in memory and change.
///
/// Each change returns the value before, as it was in the table when the change was made.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::Utf8;
/// use pravega_sdk_table_synchronizer::{TableSynchronizer, recipes::SharedMap};
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(table: TableSynchronizer<Utf8, Utf8>) -> Done {
/// let mut settings = SharedMap::new(table);
/// let before = settings.insert("color", "green").await?;
/// println!("it was {before:?}");
/// settings.refresh().await?;
/// for entry in settings.state().entries() {
///     let (name, value) = entry?;
///     println!("{name} is {value}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct SharedMap<K, V> {
    table: TableSynchronizer<K, V>,
}

impl<K: Codec, V: Codec> SharedMap<K, V> {
    /// Creates a map of the entries of a table.
    pub fn new(table: TableSynchronizer<K, V>) -> Self {
        Self { table }
    }

    /// Returns the entries as they are known, from the last change or refresh.
    #[must_use]
    pub fn state(&self) -> TableState<'_, K, V> {
        self.table.state()
    }

    /// Reads what other programs have changed.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::fetch`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the changes may be known.
    pub async fn refresh(&mut self) -> Result<(), TableError> {
        self.table.fetch().await.map(drop)
    }

    /// Puts a value under a key, and returns the value before.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn insert<Q, W>(&mut self, key: Q, value: W) -> Result<Option<V::Event>, TableError>
    where
        K: Encode<Q>,
        V: Encode<W>,
        Q: Clone,
        W: Clone,
    {
        let inserted = self.table.update(|changes| {
            let before = changes.get(key.clone())?;
            changes.put(key.clone(), value.clone())?;
            Ok(before)
        });
        inserted.await.map(Update::into_inner)
    }

    /// Removes a key, and returns its value.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the key may or may not be removed.
    pub async fn remove<Q>(&mut self, key: Q) -> Result<Option<V::Event>, TableError>
    where
        K: Encode<Q>,
        Q: Clone,
    {
        // A key that is not known may be in the table.
        self.table.fetch().await?;
        let removed = self.table.update(|changes| {
            let before = changes.get(key.clone())?;
            changes.remove(key.clone())?;
            Ok(before)
        });
        removed.await.map(Update::into_inner)
    }

    /// Returns the table, for other uses.
    #[must_use]
    pub fn into_table(self) -> TableSynchronizer<K, V> {
        self.table
    }
}

impl<K, V> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMap").field("table", &self.table).finish_non_exhaustive()
    }
}
