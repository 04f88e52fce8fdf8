//! The handle of a key-value table.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_controller_client::{KeyValueTableConfiguration, SegmentWithRange};
use pravega_sdk_segment_client::{context::SegmentContext, runtime::runtime};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable, SegmentId, SegmentMap, routing};

use super::{
    entries::KeyValueItems,
    key::{Key, Keys},
    layout::KeyLayout,
    version::{KeyCondition, KeyVersion},
};
use crate::{
    config::TableConfig,
    entry::{Entry, Put, Removal, Version, VersionedKey},
    error::TableError,
    segment::{TableItems, TableSegment},
};

/// Number of partitions that one call reads at the same time.
const PARTITIONS_IN_FLIGHT: usize = 16;
/// The most times that a table which changes meanwhile is asked for.
const DESCRIPTIONS: usize = 5;

/// A key-value table: values by keys with versions, spread over partitions by the primary key.
///
/// Tables are created, listed and deleted by the controller. Java's client reads what is written
/// here, and the reverse; the versions are the same. Clones are cheap.
///
/// A handle is one of the table that was opened. Once that is deleted its calls fail with
/// [`NotFound`](ErrorKind::NotFound), also if a table of the same name is created: open that.
///
/// A change whose reply was lost may have been made: see [`TableSegment`]. [`put_at`](Self::put_at)
/// is sent again and takes effect once at most; [`insert`](Self::insert), [`put`](Self::put) and
/// [`remove`](Self::remove) are not, and then fail with the outcome [`Unknown`](Outcome::Unknown)
/// unless the values of the table are [unique](crate::Values::Unique).
///
/// | limit | value | source |
/// |---|---|---|
/// | primary and secondary key together | 256 bytes | server |
/// | value | 1,040,384 bytes | Java's client |
/// | keys changed together | 256, and 16,769,023 bytes | Java's client |
///
/// # Examples
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use pravega_sdk_table_synchronizer::Keys;
/// # use pravega_sdk_segment_client::context::SegmentContext;
/// # use pravega_sdk_table_synchronizer::{KeyValueTable, TableConfig, TableError};
/// # use pravega_sdk_types::ScopedKeyValueTable;
/// # struct Client(SegmentContext);
/// # impl Client {
/// #     async fn key_value_table(
/// #         &self,
/// #         table: &ScopedKeyValueTable,
/// #     ) -> Result<KeyValueTable, TableError> {
/// #         KeyValueTable::open(self.0.clone(), table, TableConfig::default()).await
/// #     }
/// # }
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// // A table whose primary keys have 5 bytes.
/// let prices = client.key_value_table(&"shop/prices".parse()?).await?;
/// let first = prices.insert("apple", "3").await?;
/// prices.put_at("apple", "4", first).await?;
/// let mut fruit = prices.entries(&Keys::prefix("a"))?;
/// while let Some(entry) = fruit.try_next().await? {
///     println!("{:?} costs {:?}", entry.key.primary(), entry.value);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyValueTable {
    shared: Arc<Shared>,
}

struct Shared {
    table: ScopedKeyValueTable,
    configuration: KeyValueTableConfiguration,
    layout: KeyLayout,
    map: SegmentMap,
    partitions: BTreeMap<SegmentId, TableSegment>,
}

/// An entry of a key-value table.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyValueEntry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Bytes,
    /// The version of the key.
    pub version: KeyVersion,
}

impl fmt::Debug for KeyValueEntry {
    /// Shows the length of the value, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (&self.key, self.value.len());
        write!(f, "KeyValueEntry({key:?} to {value} bytes, version {})", self.version)
    }
}

/// An entry to put into a key-value table.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPut {
    key: Key,
    value: Bytes,
    condition: KeyCondition,
}

impl KeyPut {
    /// Creates an entry without a condition.
    pub fn new(key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: value.into(), condition: KeyCondition::Any }
    }

    /// Sets what must hold of the key. Default: nothing.
    #[must_use]
    pub fn when(mut self, condition: impl Into<KeyCondition>) -> Self {
        self.condition = condition.into();
        self
    }
}

impl fmt::Debug for KeyPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (&self.key, self.value.len());
        write!(f, "KeyPut({key:?} to {value} bytes, {:?})", self.condition)
    }
}

/// A key to remove from a key-value table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRemoval {
    key: Key,
    condition: KeyCondition,
}

impl KeyRemoval {
    /// Creates a removal without a condition: a key that does not exist is no failure.
    pub fn new(key: impl Into<Key>) -> Self {
        Self { key: key.into(), condition: KeyCondition::Any }
    }

    /// Sets what must hold of the key. Default: nothing.
    #[must_use]
    pub fn when(mut self, condition: impl Into<KeyCondition>) -> Self {
        self.condition = condition.into();
        self
    }
}

impl KeyValueTable {
    /// Opens a table: asks the controller for its keys and its partitions.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`NotFound`](ErrorKind::NotFound) if there is no such table,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// controller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        config: TableConfig,
    ) -> Result<Self, TableError> {
        let named = |error: TableError| error.of("opening", table);
        runtime().map_err(|error| named(error.into()))?;
        let (configuration, segments) = describe(&context, table).await.map_err(named)?;
        let count = usize::try_from(configuration.partition_count);
        if segments.is_empty() || count != Ok(segments.len()) {
            return Err(named(TableError::protocol(
                Outcome::NotApplied,
                format_args!(
                    "the controller returned {} partitions, and the table has {}",
                    segments.len(),
                    configuration.partition_count
                ),
            )));
        }
        let lengths = (configuration.primary_key_length, configuration.secondary_key_length);
        let layout = KeyLayout::new(lengths.0, lengths.1).map_err(named)?;
        let partition = |id| {
            let (context, config) = (context.clone(), config.clone());
            (id, TableSegment::of_kind(context, table, id, layout.kind(), config))
        };
        let partitions = segments.iter().map(|segment| partition(segment.id)).collect();
        let map = SegmentMap::new(segments.iter().map(|segment| (segment.id, segment.range)));
        let table = table.clone();
        let shared = Shared { table, configuration, layout, map, partitions };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table(&self) -> &ScopedKeyValueTable {
        &self.shared.table
    }

    /// Returns the configuration of the table, which never changes.
    #[must_use]
    pub fn configuration(&self) -> &KeyValueTableConfiguration {
        &self.shared.configuration
    }

    /// Returns the table segments of the partitions.
    pub fn partitions(&self) -> impl Iterator<Item = &TableSegment> + '_ {
        self.shared.partitions.values()
    }

    /// Returns the lengths of the keys.
    #[must_use]
    pub fn layout(&self) -> KeyLayout {
        self.shared.layout
    }

    /// Returns the partition of a primary key.
    fn partition(&self, primary: &[u8]) -> Result<(SegmentId, &TableSegment), TableError> {
        let id = self.shared.map.segment_for(routing::table_key_position(primary));
        let found = id.and_then(|id| Some((id, self.shared.partitions.get(&id)?)));
        found.ok_or_else(|| {
            TableError::protocol(Outcome::NotApplied, "the table has no partition for the key")
        })
    }

    fn name(&self, operation: &'static str, error: TableError) -> TableError {
        error.of(operation, &self.shared.table)
    }

    /// Puts a value under a key that does not exist.
    ///
    /// # Errors
    ///
    /// As of [`put_all`](Self::put_all); [`ConditionFailed`](ErrorKind::ConditionFailed) if the key
    /// exists.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn insert(
        &self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
    ) -> Result<KeyVersion, TableError> {
        self.put_one(KeyPut::new(key, value).when(KeyCondition::Absent)).await
    }

    /// Puts a value under a key, whatever it has.
    ///
    /// # Errors
    ///
    /// As of [`put_all`](Self::put_all).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn put(
        &self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
    ) -> Result<KeyVersion, TableError> {
        self.put_one(KeyPut::new(key, value)).await
    }

    /// Puts a value under a key that has a version: one that a read, an iteration or a put of this
    /// key has returned. After a lost reply it is sent again, and takes effect once at most.
    ///
    /// # Errors
    ///
    /// As of [`put_all`](Self::put_all); [`ConditionFailed`](ErrorKind::ConditionFailed) if the key
    /// has another version or does not exist, [`InvalidArgument`](ErrorKind::InvalidArgument) if
    /// the version is of another partition than the key, as may be that of another key.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the value may or may not be put.
    pub async fn put_at(
        &self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
        version: KeyVersion,
    ) -> Result<KeyVersion, TableError> {
        self.put_one(KeyPut::new(key, value).when(version)).await
    }

    async fn put_one(&self, put: KeyPut) -> Result<KeyVersion, TableError> {
        let version = self.put_all([put]).await?.pop();
        version.ok_or_else(|| {
            let detail = "the server returned no version";
            self.name("putting into", TableError::protocol(Outcome::Applied, detail))
        })
    }

    /// Puts entries with one primary key: all of them, or none if a condition does not hold.
    /// Returns their versions, in order.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`ConditionFailed`](ErrorKind::ConditionFailed) if a condition does not
    /// hold; [`InvalidArgument`](ErrorKind::InvalidArgument) if the entries have several primary
    /// keys, a key or a value has a wrong length, a key occurs twice, or a version is of another
    /// partition; [`NotFound`](ErrorKind::NotFound) if the table no longer exists. After a lost
    /// reply the outcome may be [`Unknown`](Outcome::Unknown).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entries may be put, all of them or none.
    pub async fn put_all(
        &self,
        entries: impl IntoIterator<Item = KeyPut>,
    ) -> Result<Vec<KeyVersion>, TableError> {
        let entries: Vec<KeyPut> = entries.into_iter().collect();
        let keys = entries.iter().map(|put| (&put.key, put.condition));
        let Some(target) = self.target(keys).map_err(|error| self.name("putting into", error))?
        else {
            return Ok(Vec::new());
        };
        let puts = target.items.into_iter().zip(entries);
        let puts = puts.map(|((key, condition), put)| Put::new(key, put.value).when(condition));
        let versions = target.partition.put(puts).await?;
        Ok(versions.into_iter().map(|version| KeyVersion::new(target.id, version)).collect())
    }

    /// Removes a key, which need not exist.
    ///
    /// # Errors
    ///
    /// As of [`remove_all`](Self::remove_all).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the key may or may not be removed.
    pub async fn remove(&self, key: impl Into<Key>) -> Result<(), TableError> {
        self.remove_all([KeyRemoval::new(key)]).await
    }

    /// Removes a key that has a version.
    ///
    /// # Errors
    ///
    /// As of [`remove_all`](Self::remove_all); [`ConditionFailed`](ErrorKind::ConditionFailed) if
    /// the key has another version or does not exist, and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the version is of another partition than
    /// the key.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the key may or may not be removed.
    pub async fn remove_at(
        &self,
        key: impl Into<Key>,
        version: KeyVersion,
    ) -> Result<(), TableError> {
        self.remove_all([KeyRemoval::new(key).when(version)]).await
    }

    /// Removes keys with one primary key: all of them, or none if a condition does not hold.
    ///
    /// # Errors
    ///
    /// As of [`put_all`](Self::put_all).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the keys may be removed, all of them or none.
    pub async fn remove_all(
        &self,
        keys: impl IntoIterator<Item = KeyRemoval>,
    ) -> Result<(), TableError> {
        let removals: Vec<KeyRemoval> = keys.into_iter().collect();
        let keys = removals.iter().map(|removal| (&removal.key, removal.condition));
        match self.target(keys).map_err(|error| self.name("removing from", error))? {
            None => Ok(()),
            Some(target) => {
                let items = target.items.into_iter();
                let removals = items.map(|(key, condition)| Removal::new(key).when(condition));
                target.partition.remove(removals).await
            }
        }
    }

    /// Finds the partition of keys that are changed together; `None` for no keys.
    fn target<'k>(
        &self,
        keys: impl Iterator<Item = (&'k Key, KeyCondition)>,
    ) -> Result<Option<Target<'_>>, TableError> {
        let mut keys = keys.peekable();
        let Some((first, _)) = keys.peek() else { return Ok(None) };
        let first = *first;
        self.shared.layout.join(first)?;
        let (id, partition) = self.partition(first.primary())?;
        let mut items = Vec::new();
        for (number, (key, condition)) in keys.enumerate() {
            if key.primary() != first.primary() {
                return Err(TableError::invalid(format_args!(
                    "key {number} has another primary key than key 0, and only keys of one primary \
                     key are changed together"
                )));
            }
            let condition = condition.within(id).ok_or_else(|| elsewhere(number, id, condition))?;
            items.push((self.shared.layout.join(key)?, condition));
        }
        Ok(Some(Target { id, partition, items }))
    }

    /// Reads the value of a key; `None` if the key does not exist.
    ///
    /// # Errors
    ///
    /// As of [`get_all`](Self::get_all).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get(&self, key: impl Into<Key>) -> Result<Option<KeyValueEntry>, TableError> {
        let key = key.into();
        let named = |error| self.name("reading", error);
        let stored = self.shared.layout.join(&key).map_err(named)?;
        let (id, partition) = self.partition(key.primary()).map_err(named)?;
        let found = partition.read([stored]).await?.pop().flatten();
        Ok(found.map(|entry| {
            let version = KeyVersion::new(id, entry.version);
            KeyValueEntry { key, value: entry.value, version }
        }))
    }

    /// Returns true if a key exists.
    ///
    /// # Errors
    ///
    /// As of [`get_all`](Self::get_all).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn exists(&self, key: impl Into<Key>) -> Result<bool, TableError> {
        Ok(self.get(key).await?.is_some())
    }

    /// Reads the values of keys, which may be in several partitions; the entries are in the order
    /// of the keys, and `None` for one that does not exist. It is no snapshot.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`InvalidArgument`](ErrorKind::InvalidArgument) if a key has a wrong length,
    /// [`NotFound`](ErrorKind::NotFound) if the table no longer exists, and otherwise that of the
    /// request which failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get_all(
        &self,
        keys: impl IntoIterator<Item = impl Into<Key>>,
    ) -> Result<Vec<Option<KeyValueEntry>>, TableError> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        let named = |error| self.name("reading", error);
        let mut parts: BTreeMap<SegmentId, Vec<(usize, Bytes)>> = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            let stored = self.shared.layout.join(key).map_err(named)?;
            let (id, _) = self.partition(key.primary()).map_err(named)?;
            parts.entry(id).or_default().push((at, stored));
        }
        let reads = parts.into_iter().map(|(id, wanted)| self.read_part(id, wanted));
        // Boxed, as the futures of all partitions would be large.
        let reads: Vec<_> = reads.map(Box::pin).collect();
        let found: Vec<Vec<(usize, Option<KeyVersion>, Bytes)>> =
            stream::iter(reads).buffer_unordered(PARTITIONS_IN_FLIGHT).try_collect().await?;
        let mut entries: Vec<Option<KeyValueEntry>> = keys.iter().map(|_| None).collect();
        for (at, version, value) in found.into_iter().flatten() {
            if let (Some(entry), Some(key), Some(version)) =
                (entries.get_mut(at), keys.get(at), version)
            {
                *entry = Some(KeyValueEntry { key: key.clone(), value, version });
            }
        }
        Ok(entries)
    }

    /// Reads the keys of one partition; the numbers are their places in the result.
    async fn read_part(
        &self,
        id: SegmentId,
        wanted: Vec<(usize, Bytes)>,
    ) -> Result<Vec<(usize, Option<KeyVersion>, Bytes)>, TableError> {
        let Some(partition) = self.shared.partitions.get(&id) else { return Ok(Vec::new()) };
        let found = partition.read(wanted.iter().map(|(_, key)| key.clone())).await?;
        let places = wanted.iter().map(|(at, _)| *at);
        let entry = |(at, entry): (usize, Option<Entry>)| match entry {
            Some(entry) => (at, Some(KeyVersion::new(id, entry.version)), entry.value),
            None => (at, None, Bytes::new()),
        };
        Ok(places.zip(found).map(entry).collect())
    }

    /// Returns entries in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`TableError`] if an end of the range or a prefix does not fit the keys of the table.
    pub fn entries(&self, keys: &Keys) -> Result<KeyValueItems<KeyValueEntry>, TableError> {
        let (parts, whole) = self.parts(keys, TableSegment::entries_in)?;
        let convert = move |index: usize, entry: Entry| {
            let (key, version) = whole.place(index, &entry.key, entry.version)?;
            Ok(KeyValueEntry { key, value: entry.value, version })
        };
        Ok(KeyValueItems::new(parts, |entry| &entry.key, convert))
    }

    /// Returns keys with their versions, in the order of the keys.
    ///
    /// # Errors
    ///
    /// As of [`entries`](Self::entries).
    pub fn keys(&self, keys: &Keys) -> Result<KeyValueItems<(Key, KeyVersion)>, TableError> {
        let (parts, whole) = self.parts(keys, TableSegment::keys_in)?;
        let convert =
            move |index: usize, key: VersionedKey| whole.place(index, &key.key, key.version);
        Ok(KeyValueItems::new(parts, |key| &key.key, convert))
    }

    /// Begins an iteration in each partition that may have some of the keys.
    fn parts<S>(
        &self,
        keys: &Keys,
        open: OpenItems<S>,
    ) -> Result<(Vec<TableItems<S>>, Placed), TableError> {
        let named = |error| self.name("iterating over", error);
        let range = self.shared.layout.bounds(keys).map_err(named)?;
        let partitions: Vec<(SegmentId, &TableSegment)> = match keys.primary() {
            Some(primary) => vec![self.partition(primary).map_err(named)?],
            None => self.shared.partitions.iter().map(|(id, part)| (*id, part)).collect(),
        };
        let ids = partitions.iter().map(|(id, _)| *id).collect();
        // Pages of all partitions are in memory at the same time.
        let count = partitions.len();
        let parts =
            partitions.into_iter().map(|(_, part)| open(&part.as_one_of(count), range.clone()));
        let placed = Placed { ids, layout: self.shared.layout };
        Ok((parts.collect::<Result<_, _>>()?, placed))
    }
}

/// Asks for the configuration and the partitions of one and the same table: it may be deleted and
/// created again with another configuration between two calls. It may be twice, so that it has its
/// first configuration again; its partitions are always new ones.
async fn describe(
    context: &SegmentContext,
    table: &ScopedKeyValueTable,
) -> Result<(KeyValueTableConfiguration, Vec<SegmentWithRange>), TableError> {
    let controller = context.controller();
    let partitions = || async {
        let found = controller.key_value_table_segments(table).await;
        found.map_err(TableError::from_controller)
    };
    let configuration = || async {
        let found = controller.key_value_table_configuration(table).await;
        found.map_err(TableError::from_controller)
    };
    // A table that does not exist has an answer of its own here.
    configuration().await?;
    let mut before = partitions().await?;
    for _ in 0..DESCRIPTIONS {
        let found = configuration().await?;
        let after = partitions().await?;
        if before == after {
            return Ok((found, after));
        }
        before = after;
    }
    let detail = "the table is deleted and created again all the time";
    Err(TableError::new(ErrorKind::Unavailable, Outcome::NotApplied, detail))
}

type OpenItems<S> =
    fn(&TableSegment, std::ops::RangeInclusive<Bytes>) -> Result<TableItems<S>, TableError>;

/// The error of a version that no read of the key has returned.
fn elsewhere(number: usize, id: SegmentId, condition: KeyCondition) -> TableError {
    TableError::invalid(format_args!(
        "key {number} is in partition {}, and the version given for it, {condition}, is of another \
         one, so it is that of another key or of a deleted table: read the key for its version",
        i64::from(id)
    ))
}

/// The keys of one change, and their partition.
struct Target<'t> {
    id: SegmentId,
    partition: &'t TableSegment,
    /// The stored key of each, and its condition.
    items: Vec<(Bytes, crate::entry::Condition)>,
}

/// Where the items of an iteration are from.
struct Placed {
    ids: Vec<SegmentId>,
    layout: KeyLayout,
}

impl Placed {
    fn place(
        &self,
        index: usize,
        stored: &Bytes,
        version: Version,
    ) -> Result<(Key, KeyVersion), TableError> {
        let id = self.ids.get(index).ok_or_else(|| {
            let detail = "the entry is of no partition";
            TableError::new(ErrorKind::Protocol, Outcome::NotApplied, detail)
        })?;
        Ok((self.layout.place(stored)?, KeyVersion::new(*id, version)))
    }
}

impl fmt::Debug for KeyValueTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { table, configuration, .. } = &*self.shared;
        f.debug_struct("KeyValueTable")
            .field("table", &format_args!("{table}"))
            .field("configuration", configuration)
            .finish_non_exhaustive()
    }
}
