//! The handle of a table that clients agree on.

use std::fmt;

use pravega_sdk_codec::Codec;
use pravega_sdk_controller_client::Deletion;
use pravega_sdk_segment_client::{context::SegmentContext, runtime::runtime};
use pravega_sdk_types::ScopedKeyValueTable;

use super::{
    config::SynchronizerConfig,
    driver::{Driver, Updated},
    view::{Codecs, TableChanges, TableState},
};
use crate::{
    error::TableError,
    segment::{TableKind, TableSegment},
};

/// A table whose entries many clients agree on. Each has all of them in memory, and changes them by
/// functions.
///
/// A function sees the entries as its client knows them, and changes some. The table takes the
/// changes together, and only if no other client has changed what the function has looked at;
/// otherwise the client reads what is new, and runs the function again. So all updates have the
/// effect of one after the other. An update sends what it changes, however large the table is.
///
/// A function that looks only at keys which it also changes, such as the owner of a lock, conflicts
/// with updates of the same keys. One that looks at more, or at all entries, conflicts with every
/// update of the table: a table checks versions of the keys that are changed, and nothing else but
/// that it has not grown.
///
/// After a lost reply the synchronizer finds out whether its change was made; see
/// [`update`](Self::update).
///
/// The table is one hash table segment, which no controller lists. It is created when it is first
/// opened, also in a scope that does not exist: a misspelt name is an empty table, and the deletion
/// of a scope leaves its tables of this kind. Codecs are not stored: a table that is opened with
/// other codecs than it was written with opens, and its entries are not found or are corrupt.
///
/// Several synchronizers may have the same table, in one process too. What a client leaves in the
/// table besides its entries, about 60 bytes for a client that ended without
/// [`close`](Self::close), and removed keys, is cleaned away in the course of updates.
///
/// | limit | value | source |
/// |---|---|---|
/// | encoded key | 8191 bytes | server, less a byte of the layout |
/// | encoded value | 1,040,383 bytes | Java's client, less a byte of the layout |
/// | keys changed together | 255, and 16,769,023 bytes | Java's client, less the receipt |
/// | entries | [`with_max_bytes`](SynchronizerConfig::with_max_bytes), 64 MiB | this client |
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::Utf8;
/// use pravega_sdk_segment_client::context::SegmentContext;
/// use pravega_sdk_table_synchronizer::{SynchronizerConfig, TableSynchronizer};
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let table = "shop/owners".parse()?;
/// let config = SynchronizerConfig::default();
/// let mut owners = TableSynchronizer::open(context, &table, Utf8, Utf8, config).await?;
/// let owner = owners
///     .update(|owners| {
///         if let Some(owner) = owners.get("shelf-7")? {
///             return Ok(owner);
///         }
///         owners.put("shelf-7", "ann")?;
///         Ok("ann".to_owned())
///     })
///     .await?
///     .into_inner();
/// println!("shelf 7 is of {owner}");
/// owners.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct TableSynchronizer<K, V> {
    driver: Driver,
    codecs: Codecs<K, V>,
}

/// The result of an update: what its function has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update<R> {
    /// The changes of the function were made.
    Made(R),
    /// The function has changed nothing, so nothing was sent.
    Unchanged(R),
}

impl<R> Update<R> {
    /// Returns what the function has returned.
    pub fn into_inner(self) -> R {
        match self {
            Self::Made(result) | Self::Unchanged(result) => result,
        }
    }
}

impl<K: Codec, V: Codec> TableSynchronizer<K, V> {
    /// Opens a table, which is created unless it exists, and reads all its entries.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a server refuses a request or does not answer. The kind is
    /// [`Corrupt`](pravega_sdk_types::ErrorKind::Corrupt) if the table has entries that no
    /// synchronizer has written,
    /// [`AlreadyExists`](pravega_sdk_types::ErrorKind::AlreadyExists) if it is a partition of a
    /// key-value table, [`LimitReached`](pravega_sdk_types::ErrorKind::LimitReached) if its entries
    /// are over the limit of the configuration, and
    /// [`NoRuntime`](pravega_sdk_types::ErrorKind::NoRuntime) outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the table may or may not exist.
    pub async fn open(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        key_codec: K,
        value_codec: V,
        config: SynchronizerConfig,
    ) -> Result<Self, TableError> {
        runtime().map_err(|error| TableError::from(error).of("opening", table))?;
        let driver = Driver::open(context, table, config).await?;
        Ok(Self { driver, codecs: Codecs { key: key_codec, value: value_codec } })
    }

    /// Opens a table that exists, and reads all its entries.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open), and of the kind
    /// [`NotFound`](pravega_sdk_types::ErrorKind::NotFound) if there is no such table.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, a table without an entry may or may not be marked as one of a
    /// synchronizer.
    pub async fn open_existing(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        key_codec: K,
        value_codec: V,
        config: SynchronizerConfig,
    ) -> Result<Self, TableError> {
        runtime().map_err(|error| TableError::from(error).of("opening", table))?;
        let driver = Driver::open_existing(context, table, config).await?;
        Ok(Self { driver, codecs: Codecs { key: key_codec, value: value_codec } })
    }

    /// Returns true if other clients have changed the table since it was last read, as far as the
    /// versions of the last update show it.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.driver.copy().end().is_none()
    }

    /// Returns the entries as they are known, from the last update or fetch.
    #[must_use]
    pub fn state(&self) -> TableState<'_, K, V> {
        TableState { copy: self.driver.copy(), codecs: &self.codecs }
    }

    /// Reads what other clients have changed. Returns the number of entries that changed; of a
    /// table that had to be read from the beginning, the number of all.
    ///
    /// A table that was deleted and created again meanwhile is read like any other.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or a server does not answer; and as of
    /// [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the changes may be known.
    pub async fn fetch(&mut self) -> Result<usize, TableError> {
        let fetched = self.driver.fetch().await;
        fetched.map_err(|error| self.driver.table().name("fetching", error))
    }

    /// Changes entries by a function, which runs again while other clients change what it has
    /// looked at. If it changes nothing, nothing is sent, and it has seen the entries as they were
    /// known: [`fetch`](Self::fetch) first if they must be new.
    ///
    /// The result is that of the run whose changes were made. The function should do nothing else:
    /// the effects of runs before would stay.
    ///
    /// After a lost reply the synchronizer makes sure that the change was made, or that it never is
    /// and the function runs again. The outcome is [`Unknown`](pravega_sdk_types::Outcome::Unknown)
    /// only if the server does not answer that either, within the time of the update.
    ///
    /// # Errors
    ///
    /// [`TableError`]: that of the function;
    /// [`LimitReached`](pravega_sdk_types::ErrorKind::LimitReached) if other clients were faster in
    /// each run, or the entries would be over the limit of the configuration;
    /// [`InvalidArgument`](pravega_sdk_types::ErrorKind::InvalidArgument) if the changes are over a
    /// limit; [`NotFound`](pravega_sdk_types::ErrorKind::NotFound) if the table no
    /// longer exists; and otherwise that of the request which failed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the changes of the last run may be made, all of them or none. The
    /// synchronizer can be used: its next update begins with what is in the table.
    pub async fn update<R>(
        &mut self,
        mut function: impl FnMut(&mut TableChanges<'_, K, V>) -> Result<R, TableError>,
    ) -> Result<Update<R>, TableError> {
        let codecs = &self.codecs;
        let updated = self.driver.update(|copy| {
            let mut changes = TableChanges::new(copy, codecs);
            let result = function(&mut changes)?;
            Ok((result, changes.into_batch()))
        });
        match updated.await {
            Ok(Updated::Made(result)) => Ok(Update::Made(result)),
            Ok(Updated::Unchanged(result)) => Ok(Update::Unchanged(result)),
            Err(error) => Err(self.driver.table().name("updating", error)),
        }
    }

    /// Names the call and the table in an error.
    pub(crate) fn name(&self, operation: &'static str, error: TableError) -> TableError {
        self.driver.table().name(operation, error)
    }

    /// Cleans the table of removed keys now, which updates do as well when there are many. Returns
    /// the number of keys that were cleaned away.
    ///
    /// A client that has not read one of the removals before reads the whole table the next time.
    ///
    /// # Errors
    ///
    /// As of [`fetch`](Self::fetch).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the keys may be cleaned away.
    pub async fn clean(&mut self) -> Result<usize, TableError> {
        let cleaned = self.driver.clean().await;
        cleaned.map_err(|error| self.driver.table().name("cleaning", error))
    }

    /// Removes what this synchronizer has in the table for itself. The entries stay.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a server refuses the request or does not answer. Nothing has to be done
    /// then: other synchronizers clean it away.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may or may not be removed.
    pub async fn close(self) -> Result<(), TableError> {
        let table = self.driver.table().clone();
        self.driver.close().await.map_err(|error| table.name("closing", error))
    }
}

impl TableSynchronizer<(), ()> {
    /// Deletes a table with its entries. Synchronizers that have it open fail at their next call.
    ///
    /// # Errors
    ///
    /// As of [`TableSegment::delete`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the table may or may not exist.
    pub async fn delete(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        config: &SynchronizerConfig,
    ) -> Result<Deletion, TableError> {
        runtime().map_err(|error| TableError::from(error).of("deleting", table))?;
        let (settings, segment) = (config.table.clone(), config.segment);
        TableSegment::of_kind(context, table, segment, TableKind::Hash, settings).delete().await
    }
}

impl<K, V> fmt::Debug for TableSynchronizer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSynchronizer").field("driver", &self.driver).finish_non_exhaustive()
    }
}
