//! The handle of a table segment.

use std::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_segment_client::{
    context::SegmentContext,
    machine::delay,
    request::Repeats,
    runtime::{random_bits, rng},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{
    Backoff, ErrorKind, Offset, Outcome, ScopedKeyValueTable, ScopedSegment, SegmentId,
};
use pravega_sdk_wire_protocol::commands::{
    CreateTableSegment, DeleteTableSegment, GetTableSegmentInfo, TableSegmentInfo,
};
use tokio::time::sleep;

use super::{
    driver::{Deadline, Driver},
    iteration::{Following, TableDeltas, TableItems},
    machine::{Item, MAX_READ_KEYS, PageMachine, TableKind, check_changes, check_keys},
};
use crate::{
    config::TableConfig,
    entry::{Entry, Put, Removal, Version, VersionedKey},
    error::TableError,
};

/// The pauses while a table is being deleted.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
/// Number of requests of one read in flight.
const READS_IN_FLIGHT: usize = 5;
/// Number of keys that are read by the requests that may be in flight.
pub(crate) const READ_AT_ONCE: usize = READS_IN_FLIGHT * MAX_READ_KEYS;

/// A table segment: keys and values with versions, on one segment store.
///
/// It is the level below key-value tables, whose partitions are table segments, and below tables
/// that clients agree on. Clones are cheap. Each request finds the segment's store again if the
/// segment has moved.
///
/// A change whose reply was lost may have been made. It is sent again if one of its keys has a
/// condition [`At`](crate::Condition::At) a version, as then it takes effect once at most; after
/// that, versions and, if [unique](super::Values::Unique), values tell what happened. If they do
/// not, the error has the outcome [`Unknown`](Outcome::Unknown).
///
/// Versions, and the positions of [`deltas`](Self::deltas), are those of one table segment. One
/// that is deleted and created again under its name begins with version 0, so what is known of the
/// old one must be dropped; the partitions of key-value tables get other names instead.
///
/// | limit | value | source |
/// |---|---|---|
/// | key | 1 to 8192 bytes, or one length up to 256 bytes | server |
/// | value | 1,040,384 bytes | Java's client; the server takes 1 MiB less 17 bytes with the key |
/// | keys changed together | 256, and 16,769,023 bytes | Java's client |
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_table_synchronizer::{Condition, Put, TableConfig, TableKind, TableSegment};
/// # use pravega_sdk_segment_client::context::SegmentContext;
/// # struct Client(SegmentContext);
/// # impl Client {
/// #     fn segment_context(&self) -> SegmentContext { self.0.clone() }
/// # }
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let (context, table) = (client.segment_context(), "shop/prices".parse()?);
/// let config = TableConfig::default();
/// let (prices, _) =
///     TableSegment::create(context, &table, 0.into(), TableKind::Hash, config).await?;
/// let versions = prices.put([Put::new("apple", "3").when(Condition::Absent)]).await?;
/// prices.put(versions.iter().map(|version| Put::new("apple", "4").when(*version))).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TableSegment {
    driver: Driver,
    kind: TableKind,
}

/// The size of a table segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// The kind of the table.
    pub kind: TableKind,
    /// Number of entries, which is exact on an embedded server alone.
    ///
    /// A 0.13.0 server returns it late for a table with keys of one length, and for others adds up
    /// what puts and removals have changed since it wrote its index: until it has written it again,
    /// the number may be too large, too small, or 0 for a table with entries. Read the entries to
    /// learn if a table is empty.
    pub entry_count: u64,
    /// The end of the segment, which each put moves. A removal moves it too, but not in a table
    /// with keys of one length on a 0.13.0 server.
    pub end: Offset,
}

impl TableInfo {
    fn from_wire(info: &TableSegmentInfo) -> Result<Self, TableError> {
        let kind = TableKind::from_wire(info.key_length).ok_or_else(|| {
            let detail =
                format_args!("the server returned {} as the length of keys", info.key_length);
            TableError::protocol(Outcome::NotApplied, detail)
        })?;
        // The sum of changes that a 0.13.0 server has not indexed may be below zero.
        let entry_count = info.entry_count.try_into().unwrap_or(0);
        Ok(Self { kind, entry_count, end: Offset(info.length) })
    }
}

impl TableSegment {
    /// Creates the table segment `id` of a table, unless it exists.
    ///
    /// The controller does not list tables that are created in this way. After a lost reply a
    /// segment that this call created may be reported as one that existed. A 0.13.0 server does not
    /// create a segment again for some minutes after its deletion.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the server refuses the request or does not answer, and of the kind
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the segment exists and is of another kind, of
    /// the kind [`Unavailable`](ErrorKind::Unavailable) while a deleted one is not created again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the segment may or may not exist.
    pub async fn create(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        id: SegmentId,
        kind: TableKind,
        config: TableConfig,
    ) -> Result<(Self, Creation), TableError> {
        let segment = Self { driver: Driver::new(context, table, id, config), kind };
        let named = |error| segment.driver.name("creating", error);
        let deadline = segment.driver.deadline();
        let mut random = random_bits(rng(None));
        let mut attempt = 1;
        let info = loop {
            match segment.ask_create(deadline).await.map_err(named)? {
                Creation::Created => return Ok((segment, Creation::Created)),
                Creation::AlreadyExisted => {}
            }
            // A server that deletes a table says for a while that it exists and that it does not.
            let pause = delay(&BACKOFF, attempt, &mut random);
            match segment.ask_info(deadline).await {
                Ok(info) => break info,
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(named(error)),
                Err(_) if pause < deadline.left() => sleep(pause).await,
                Err(_) => {
                    let detail = "a table of this name was deleted, and the server does not create \
                                  it again yet: try again in some minutes, or choose another name";
                    let error =
                        TableError::new(ErrorKind::Unavailable, Outcome::NotApplied, detail);
                    return Err(named(error));
                }
            }
            attempt += 1;
        };
        if info.kind != kind {
            let (has, wanted) = (info.kind.keys(), kind.keys());
            let detail = format_args!("the table exists and has {has}, not {wanted}");
            let error = TableError::new(ErrorKind::AlreadyExists, Outcome::NotApplied, detail);
            return Err(named(error));
        }
        Ok((segment, Creation::AlreadyExisted))
    }

    async fn ask_create(&self, deadline: Deadline) -> Result<Creation, TableError> {
        let asked = self.driver.ask(deadline, Repeats::Always, |token| CreateTableSegment {
            request_id: 0,
            segment: self.driver.name_on_wire(),
            delegation_token: token.into(),
            sorted_deprecated: false,
            key_length: self.kind.to_wire(),
            rollover_size_bytes: 0,
        });
        match asked.await {
            Ok(_) => Ok(Creation::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Creation::AlreadyExisted),
            Err(error) => Err(TableError::from_ask(error)),
        }
    }

    /// Opens the table segment `id` of a table, and finds out its kind.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table segment, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        id: SegmentId,
        config: TableConfig,
    ) -> Result<Self, TableError> {
        let driver = Driver::new(context, table, id, config);
        let mut segment = Self { driver, kind: TableKind::Hash };
        segment.kind = segment.info().await?.kind;
        Ok(segment)
    }

    /// A table segment whose kind is known.
    pub(crate) fn of_kind(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        id: SegmentId,
        kind: TableKind,
        config: TableConfig,
    ) -> Self {
        Self { driver: Driver::new(context, table, id, config), kind }
    }

    /// Returns a handle of the same segment with other settings.
    #[must_use]
    pub fn with_config(mut self, config: TableConfig) -> Self {
        self.driver.config = config;
        self
    }

    /// Returns a handle of which iterations take a share of the usual page, for one of some that
    /// are read together.
    pub(crate) fn as_one_of(&self, count: usize) -> Self {
        let mut share = self.clone();
        let page = &mut share.driver.config.page_size;
        page.0 = page.0.div_euclid(i32::try_from(count).unwrap_or(i32::MAX).max(1)).max(1);
        share
    }

    /// The seeded bugs that are switched on.
    pub(crate) fn bugs(&self) -> Bugs {
        self.driver.config.bugs
    }

    /// Returns the settings.
    pub(crate) fn config(&self) -> &TableConfig {
        &self.driver.config
    }

    /// Returns the time that a call takes at most.
    pub(crate) fn limit(&self) -> Duration {
        self.driver.limit()
    }

    /// Names the call and the segment in an error.
    pub(crate) fn name(&self, operation: &'static str, error: TableError) -> TableError {
        self.driver.name(operation, error)
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.driver.segment
    }

    /// Returns the kind of the table.
    #[must_use]
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Returns the size of the table segment.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table segment, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn info(&self) -> Result<TableInfo, TableError> {
        let info = self.ask_info(self.driver.deadline()).await;
        info.map_err(|error| self.driver.name("describing", error))
    }

    async fn ask_info(&self, deadline: Deadline) -> Result<TableInfo, TableError> {
        let asked = self.driver.ask(deadline, Repeats::Always, |token| GetTableSegmentInfo {
            request_id: 0,
            segment_name: self.driver.name_on_wire(),
            delegation_token: token.into(),
        });
        let info = asked.await.map_err(TableError::from_read)?;
        TableInfo::from_wire(&info)
    }

    /// Puts entries: all of them, or none if a condition does not hold. Returns their versions, in
    /// order.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`ConditionFailed`](ErrorKind::ConditionFailed) if a condition does not
    /// hold, [`InvalidArgument`](ErrorKind::InvalidArgument) if an entry or all together are over a
    /// limit or a key occurs twice, [`NotFound`](ErrorKind::NotFound) if there is no such table.
    /// After a lost reply the outcome may be [`Unknown`](Outcome::Unknown).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entries may be put, all of them or none.
    pub async fn put(
        &self,
        entries: impl IntoIterator<Item = Put>,
    ) -> Result<Vec<Version>, TableError> {
        let items: Vec<Item> = entries.into_iter().map(|put| Item::from(&put)).collect();
        self.change("putting into", items, None).await
    }

    /// As [`put`](Self::put), on the condition that the table ends at an offset.
    pub(crate) async fn put_at_end(
        &self,
        entries: &[Put],
        end: Option<Offset>,
    ) -> Result<Vec<Version>, TableError> {
        let items: Vec<Item> = entries.iter().map(Item::from).collect();
        self.change("putting into", items, end).await
    }

    /// Removes keys: all of them, or none if a condition does not hold. A key without a condition
    /// need not exist.
    ///
    /// # Errors
    ///
    /// As of [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the keys may be removed, all of them or none.
    pub async fn remove(&self, keys: impl IntoIterator<Item = Removal>) -> Result<(), TableError> {
        let items: Vec<Item> = keys.into_iter().map(|removal| Item::from(&removal)).collect();
        self.change("removing from", items, None).await.map(drop)
    }

    async fn change(
        &self,
        operation: &'static str,
        items: Vec<Item>,
        end: Option<Offset>,
    ) -> Result<Vec<Version>, TableError> {
        let named = |error| self.driver.name(operation, error);
        check_changes(self.kind, &items).map_err(named)?;
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.driver.change(items, end).await.map_err(named)
    }

    /// Reads keys; the entries are in the order of the keys, and `None` for one that does not
    /// exist. More than 15 keys are read by several requests, up to 5 at a time, so they are no
    /// snapshot.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`InvalidArgument`](ErrorKind::InvalidArgument) if a key has a wrong length,
    /// [`NotFound`](ErrorKind::NotFound) if there is no such table, and otherwise that of the
    /// request which failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read(
        &self,
        keys: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Result<Vec<Option<Entry>>, TableError> {
        let keys: Vec<Bytes> = keys.into_iter().map(Into::into).collect();
        self.read_all(keys).await.map_err(|error| self.driver.name("reading", error))
    }

    async fn read_all(&self, keys: Vec<Bytes>) -> Result<Vec<Option<Entry>>, TableError> {
        check_keys(self.kind, &keys)?;
        let deadline = self.driver.deadline();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if keys.len() <= MAX_READ_KEYS {
            // One request, as of most calls, needs no queue of requests.
            return self.driver.read_some(deadline, &keys).await;
        }
        let requests: Vec<Vec<Bytes>> = keys.chunks(MAX_READ_KEYS).map(<[Bytes]>::to_vec).collect();
        let reads = requests.into_iter().map(|keys| {
            let driver = self.driver.clone();
            async move { driver.read_some(deadline, &keys).await }
        });
        let found: Vec<Vec<Option<Entry>>> =
            stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads one key; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Option<Entry>, TableError> {
        Ok(self.read([key.into()]).await?.pop().flatten())
    }

    /// Returns all keys with their versions: of a hash table in the order of their hashes, of a
    /// table with keys of one length in their own order.
    pub fn keys(&self) -> TableItems<VersionedKey> {
        TableItems::keys(self.driver.clone(), PageMachine::all(self.kind))
    }

    /// Returns all entries, in the order of [`keys`](Self::keys).
    pub fn entries(&self) -> TableItems<Entry> {
        TableItems::entries(self.driver.clone(), PageMachine::all(self.kind))
    }

    /// As [`keys`](Self::keys), of a range of the keys with both ends.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`Unsupported`](ErrorKind::Unsupported) for a hash table, and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if an end does not have the length of the
    /// keys.
    pub fn keys_in(
        &self,
        range: RangeInclusive<Bytes>,
    ) -> Result<TableItems<VersionedKey>, TableError> {
        Ok(TableItems::keys(self.driver.clone(), self.pages_in(range)?))
    }

    /// As [`entries`](Self::entries), of a range of the keys with both ends.
    ///
    /// # Errors
    ///
    /// As of [`keys_in`](Self::keys_in).
    pub fn entries_in(
        &self,
        range: RangeInclusive<Bytes>,
    ) -> Result<TableItems<Entry>, TableError> {
        Ok(TableItems::entries(self.driver.clone(), self.pages_in(range)?))
    }

    fn pages_in(&self, range: RangeInclusive<Bytes>) -> Result<PageMachine, TableError> {
        PageMachine::range(self.kind, range)
            .map_err(|error| self.driver.name("iterating over", error))
    }

    /// Returns the changes of a hash table since a position, page by page. Position 0 is the
    /// beginning; later ones are in each [`TableDelta`](super::TableDelta).
    ///
    /// Removals are not reported: a key that was removed does not appear, or appears with an entry
    /// that is older than the removal. A table with keys of one length has no such changes: the
    /// first item is an error of the kind [`Unsupported`](ErrorKind::Unsupported).
    pub fn deltas(&self, from: Offset, following: Following) -> TableDeltas {
        TableDeltas::new(self.driver.clone(), from, following)
    }

    /// Deletes the table segment with all its entries.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the server refuses the request or does not answer. After a lost reply the
    /// outcome is [`Unknown`](Outcome::Unknown) unless the table is gone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the table may or may not exist.
    pub async fn delete(&self) -> Result<Deletion, TableError> {
        self.delete_if(false).await
    }

    /// Deletes the table segment if it has no entries. Only hash tables have this call.
    ///
    /// # Errors
    ///
    /// As of [`delete`](Self::delete), [`NotEmpty`](ErrorKind::NotEmpty) if there are entries, and
    /// [`Unsupported`](ErrorKind::Unsupported) for a table with keys of one length.
    ///
    /// # Cancel safety
    ///
    /// As of [`delete`](Self::delete).
    pub async fn delete_if_empty(&self) -> Result<Deletion, TableError> {
        self.delete_if(true).await
    }

    async fn delete_if(&self, must_be_empty: bool) -> Result<Deletion, TableError> {
        let deadline = self.driver.deadline();
        let asked = self.driver.ask(deadline, Repeats::UntilInDoubt, |token| DeleteTableSegment {
            request_id: 0,
            segment: self.driver.name_on_wire(),
            must_be_empty,
            delegation_token: token.into(),
        });
        let error = match asked.await {
            Ok(_) => return Ok(Deletion::Deleted),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Deletion::NotFound),
            Err(error) => error,
        };
        // Sent again, it might delete a table that was created since.
        let is_in_doubt = error.outcome() == Outcome::Unknown;
        if is_in_doubt && is_gone(self.ask_info(deadline).await) {
            return Ok(Deletion::Deleted);
        }
        Err(self.driver.name("deleting", TableError::from_ask(error)))
    }
}

fn is_gone(info: Result<TableInfo, TableError>) -> bool {
    info.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_wire(key_length: i32, entry_count: i64) -> Result<TableInfo, TableError> {
        TableInfo::from_wire(&TableSegmentInfo {
            request_id: 1,
            segment_name: "s".into(),
            start_offset: 0,
            length: 19,
            entry_count,
            key_length,
        })
    }

    #[test]
    fn a_number_of_entries_below_zero_is_none() {
        for (counted, count) in [(-1, 0), (i64::MIN, 0), (0, 0), (7, 7)] {
            let info = of_wire(0, counted).unwrap();
            assert_eq!(
                (info.entry_count, info.end, info.kind),
                (count, Offset(19), TableKind::Hash)
            );
        }
    }

    #[test]
    fn a_length_of_keys_that_no_table_has_is_refused_with_its_number() {
        let error = of_wire(i32::MAX, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(&i32::MAX.to_string()), "{error}");
    }
}
