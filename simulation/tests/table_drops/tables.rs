//! Tables on which calls are made, and what is stored in them.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use pravega_sdk_controller_client::KeyValueTableConfiguration;
use pravega_sdk_event_stream::{
    SegmentContext,
    codec::{Raw, Utf8},
};
use pravega_sdk_table_synchronizer::{
    Key, KeyPut, KeyValueTable, KeyVersion, Keys, Put, SynchronizerConfig, TableConfig, TableKind,
    TableSegment, TableSynchronizer, TypedTable,
    recipes::{Counter, Election, LeaseConfig, Lock, Members, Role, SharedMap},
};
use pravega_sdk_types::{ErrorKind, ScopedKeyValueTable};

use crate::subject::{Stage, Subject, sorted, text};

/// Longer than any lock is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// The bytes of a stored value that are the same in each run: of a lease those before its session.
const MEANT: usize = 19;
/// The bytes of a stored lease that tell if it is held.
const IS_HELD: usize = 3;

pub(crate) fn name() -> ScopedKeyValueTable {
    "sim/table".parse().unwrap()
}

pub(crate) fn config() -> TableConfig {
    // Small pages, so that reading takes several requests.
    TableConfig::default().with_page_size(1)
}

pub(crate) fn agreed_config() -> SynchronizerConfig {
    SynchronizerConfig::default().with_table(config())
}

pub(crate) async fn create(context: SegmentContext) -> TableSegment {
    TableSegment::create(context, &name(), 0.into(), TableKind::Hash, config()).await.unwrap().0
}

/// The entries of a table that clients agree on, without what clients have for themselves: the
/// receipt of a new one comes before its first change.
async fn meant(stage: &Stage) -> String {
    meant_of(stage, MEANT).await
}

async fn meant_of(stage: &Stage, bytes: usize) -> String {
    let listed = listing_of(stage, bytes).await;
    sorted(listed.split("; ").filter(|entry| !entry.starts_with("\"\\0")))
}

/// The entries of a table segment, without what differs from run to run.
async fn listing(stage: &Stage) -> String {
    listing_of(stage, MEANT).await
}

async fn listing_of(stage: &Stage, bytes: usize) -> String {
    let opened = TableSegment::open(stage.other(), &name(), 0.into(), config()).await;
    let table = match opened {
        Ok(table) => table,
        Err(error) if error.kind() == ErrorKind::NotFound => return "no table".to_owned(),
        Err(error) => panic!("{error}"),
    };
    let entries: Vec<_> = table.entries().try_collect().await.unwrap();
    sorted(entries.iter().map(|entry| {
        // What synchronizers have for themselves, and the keys of members, have random numbers.
        let end = entry.key.iter().position(|byte| *byte == b'/').map(|end| end + 1);
        let key = match entry.key.first() {
            Some(0) => &entry.key[..2],
            _ => &entry.key[..end.unwrap_or(entry.key.len())],
        };
        let value = if key.starts_with(b"\0") { &[][..] } else { &entry.value[..] };
        format!("{:?}={:?}", text(key), &value[..value.len().min(bytes)])
    }))
}

/// A table segment with two entries.
pub(crate) struct Segment {
    pub(crate) context: SegmentContext,
    pub(crate) table: TableSegment,
}

impl Subject for Segment {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        let table = create(context.clone()).await;
        table.put(["a", "b"].map(|key| Put::new(key, "old"))).await.unwrap();
        Self { context, table }
    }

    async fn stored(stage: &Stage) -> String {
        listing(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        self.table.put([Put::new("c", "again")]).await.unwrap();
        assert_eq!(self.table.get("c").await.unwrap().unwrap().value, "again");
    }
}

/// A table segment that does not exist.
pub(crate) struct NoSegment {
    pub(crate) context: SegmentContext,
}

impl Subject for NoSegment {
    async fn new(stage: &Stage) -> Self {
        Self { context: stage.context() }
    }

    async fn stored(stage: &Stage) -> String {
        listing(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let table = create(self.context.clone()).await;
        table.put([Put::new("c", "again")]).await.unwrap();
    }
}

/// A table segment without entries, that is deleted.
pub(crate) struct Doomed {
    pub(crate) table: TableSegment,
    context: SegmentContext,
}

impl Subject for Doomed {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        Self { table: create(context.clone()).await, context }
    }

    async fn stored(stage: &Stage) -> String {
        listing(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let again = create(self.context.clone()).await;
        // The handle is of the table that was created again, too.
        self.table.put([Put::new("c", "again")]).await.unwrap();
        assert_eq!(again.get("c").await.unwrap().unwrap().value, "again");
    }
}

pub(crate) type Agreed = TableSynchronizer<Utf8, Utf8>;

pub(crate) async fn agreed(context: SegmentContext) -> Agreed {
    TableSynchronizer::open(context, &name(), Utf8, Utf8, agreed_config()).await.unwrap()
}

pub(crate) async fn put(table: &mut Agreed, key: &str, value: &str) {
    table.update(|changes| changes.put(key, value)).await.unwrap();
}

/// A table that clients agree on. Another one has changed it since it was read.
pub(crate) struct Synchronized {
    pub(crate) context: SegmentContext,
    /// `None` while it is closed.
    pub(crate) table: Option<Agreed>,
}

impl Synchronized {
    pub(crate) fn table(&mut self) -> &mut Agreed {
        self.table.as_mut().unwrap()
    }
}

impl Subject for Synchronized {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        let mut table = agreed(context.clone()).await;
        put(&mut table, "key", "old").await;
        put(&mut agreed(stage.other()).await, "other", "new").await;
        Self { context, table: Some(table) }
    }

    async fn stored(stage: &Stage) -> String {
        listing(stage).await
    }

    async fn use_again(&mut self, stage: &Stage) {
        if self.table.is_none() {
            self.table = Some(agreed(self.context.clone()).await);
        }
        put(self.table(), "again", "again").await;
        let other = agreed(stage.other()).await;
        self.table().fetch().await.unwrap();
        assert_eq!(entries(self.table()), entries(&other));
    }
}

fn entries(table: &Agreed) -> Vec<(String, String)> {
    table.state().entries().collect::<Result<_, _>>().unwrap()
}

/// A table with removed keys, which are cleaned away.
pub(crate) struct Removals(pub(crate) Agreed);

impl Subject for Removals {
    async fn new(stage: &Stage) -> Self {
        let mut table = agreed(stage.context()).await;
        let keys: Vec<String> = (0..5).map(|key| format!("removed {key}")).collect();
        let puts = table.update(|changes| keys.iter().try_for_each(|key| changes.put(&**key, "")));
        puts.await.unwrap();
        let removals =
            table.update(|changes| keys.iter().try_for_each(|k| changes.remove(&**k).map(drop)));
        removals.await.unwrap();
        put(&mut table, "key", "value").await;
        Self(table)
    }

    /// Without the removed keys, some of which may be cleaned away.
    async fn stored(stage: &Stage) -> String {
        let entries = entries(&agreed(stage.other()).await);
        sorted(entries.iter().map(|(key, value)| format!("{key}={value}")))
    }

    async fn use_again(&mut self, stage: &Stage) {
        put(&mut self.0, "removed 0", "again").await;
        self.0.clean().await.unwrap();
        // What it has announced to clean away, and not cleaned, it leaves to clients that come.
        agreed(stage.other()).await.clean().await.unwrap();
        assert_eq!(listing(stage).await.matches("removed").count(), 1);
    }
}

/// A table that clients agree on and that does not exist.
pub(crate) struct NoAgreed {
    pub(crate) context: SegmentContext,
}

impl Subject for NoAgreed {
    async fn new(stage: &Stage) -> Self {
        Self { context: stage.context() }
    }

    /// Without the identity of a table, which is put after it was created.
    async fn stored(stage: &Stage) -> String {
        meant(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let mut table = agreed(self.context.clone()).await;
        put(&mut table, "again", "again").await;
    }
}

pub(crate) fn key(secondary: &'static str) -> Key {
    Key::new("key").with_secondary(secondary)
}

async fn open_prices(context: SegmentContext) -> KeyValueTable {
    KeyValueTable::open(context, &name(), config()).await.unwrap()
}

/// Creates a key-value table of two partitions.
pub(crate) async fn create_prices(
    stage: &Stage,
    context: SegmentContext,
    secondary: u32,
) -> KeyValueTable {
    use pravega_sdk_controller_client::Controller as _;
    let controller = &stage.cluster.controller;
    controller.create_scope(&"sim".parse().unwrap()).await.unwrap();
    let configuration = KeyValueTableConfiguration::new(2, 3).with_secondary_key_length(secondary);
    controller.create_key_value_table(&name(), &configuration).await.unwrap();
    open_prices(context).await
}

async fn prices_listing(stage: &Stage) -> String {
    let table = open_prices(stage.other()).await;
    let entries: Vec<_> = table.entries(&Keys::all()).unwrap().try_collect().await.unwrap();
    sorted(entries.iter().map(|entry| {
        let (primary, secondary) = (text(entry.key.primary()), text(entry.key.secondary()));
        format!("{primary}/{secondary}={}", text(&entry.value))
    }))
}

/// A key-value table with two keys of the same primary key, and one beside them.
pub(crate) struct Prices {
    pub(crate) context: SegmentContext,
    pub(crate) table: KeyValueTable,
    /// That of the first key.
    pub(crate) version: KeyVersion,
}

impl Subject for Prices {
    async fn new(stage: &Stage) -> Self {
        let context = stage.context();
        let table = create_prices(stage, context.clone(), 1).await;
        let puts = ["1", "2"].map(|secondary| KeyPut::new(key(secondary), "old"));
        let version = table.put_all(puts).await.unwrap()[0];
        table.insert(Key::new("cat").with_secondary("1"), "old").await.unwrap();
        Self { context, table, version }
    }

    async fn stored(stage: &Stage) -> String {
        prices_listing(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let version = self.table.insert(key("9"), "again").await.unwrap();
        let version = self.table.put_at(key("9"), "again and again", version).await.unwrap();
        assert_eq!(self.table.get(key("9")).await.unwrap().unwrap().version, version);
    }
}

/// A key-value table of texts, without secondary keys.
pub(crate) struct Typed {
    pub(crate) table: TypedTable<Utf8, Utf8>,
    pub(crate) version: KeyVersion,
}

impl Subject for Typed {
    async fn new(stage: &Stage) -> Self {
        let table = create_prices(stage, stage.context(), 0).await.with_codecs(Utf8, Utf8);
        let version = table.insert("key", "old").await.unwrap();
        table.insert("cat", "old").await.unwrap();
        Self { table, version }
    }

    async fn stored(stage: &Stage) -> String {
        prices_listing(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        self.table.insert("use", "again").await.unwrap();
        assert_eq!(self.table.get("use").await.unwrap().unwrap().value, "again");
    }
}

async fn recipe(stage: &Stage) -> TableSynchronizer<Raw, Raw> {
    let context = stage.context();
    TableSynchronizer::open(context, &name(), Raw, Raw, agreed_config()).await.unwrap()
}

/// A map with an entry, that another client has changed since.
pub(crate) struct Map(pub(crate) SharedMap<Utf8, Utf8>);

impl Subject for Map {
    async fn new(stage: &Stage) -> Self {
        let Synchronized { table, .. } = Synchronized::new(stage).await;
        Self(SharedMap::new(table.unwrap()))
    }

    async fn stored(stage: &Stage) -> String {
        meant(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        assert_eq!(self.0.insert("again", "1").await.unwrap(), None);
        assert_eq!(self.0.remove("again").await.unwrap().as_deref(), Some("1"));
    }
}

/// A counter, to which another client has added since.
pub(crate) struct Sold(pub(crate) Counter);

impl Subject for Sold {
    async fn new(stage: &Stage) -> Self {
        let mut counter = Counter::new(recipe(stage).await, "sold");
        counter.add(1).await.unwrap();
        let table =
            TableSynchronizer::open(stage.other(), &name(), Raw, Raw, agreed_config()).await;
        Counter::new(table.unwrap(), "sold").add(10).await.unwrap();
        Self(counter)
    }

    async fn stored(stage: &Stage) -> String {
        meant(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let sum = self.0.add(1000).await.unwrap();
        assert_eq!(self.0.value().await.unwrap(), sum);
    }
}

/// A lock that was held before.
pub(crate) struct Locked(pub(crate) Lock);

impl Subject for Locked {
    async fn new(stage: &Stage) -> Self {
        let mut lock = Lock::new(recipe(stage).await, "lock", LeaseConfig::default());
        lock.acquire(LIMIT).await.unwrap().release().await.unwrap();
        Self(lock)
    }

    async fn stored(stage: &Stage) -> String {
        meant(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        let mut held = self.0.acquire(LIMIT).await.unwrap();
        assert!(held.renew().await.unwrap());
        held.release().await.unwrap();
    }
}

/// An election in which a program takes part; it leads if `LEADS`.
pub(crate) struct Elected<const LEADS: bool>(pub(crate) Election);

impl<const LEADS: bool> Subject for Elected<LEADS> {
    async fn new(stage: &Stage) -> Self {
        let mut election = Election::new(recipe(stage).await, "leader", LeaseConfig::default());
        if LEADS {
            assert!(matches!(election.round().await.unwrap(), Role::Leader { .. }));
        }
        Self(election)
    }

    /// One that does not know that it leads takes the lease again, with another token.
    async fn stored(stage: &Stage) -> String {
        meant_of(stage, if LEADS { MEANT } else { IS_HELD }).await
    }

    async fn use_again(&mut self, _: &Stage) {
        // It may be the leader already, and not know it.
        assert!(matches!(self.0.round().await.unwrap(), Role::Leader { .. }));
        self.0.resign().await.unwrap();
    }
}

/// A member of a group; `JOINED` if it has joined.
pub(crate) struct Joined<const JOINED: bool>(pub(crate) Members);

impl<const JOINED: bool> Subject for Joined<JOINED> {
    async fn new(stage: &Stage) -> Self {
        let config = LeaseConfig::default().with_name("one");
        let mut members = Members::new(recipe(stage).await, "members/", config);
        if JOINED {
            members.round().await.unwrap();
        }
        Self(members)
    }

    async fn stored(stage: &Stage) -> String {
        meant(stage).await
    }

    async fn use_again(&mut self, _: &Stage) {
        self.0.round().await.unwrap();
        assert_eq!(self.0.names().unwrap(), ["one"]);
        self.0.leave().await.unwrap();
    }
}
