//! Every public call, on a handle that is opened before the fault.

use std::{pin::Pin, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{AccessOperation, KeyValueTableConfiguration};
use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig,
    EventReader, EventWriter, ReaderConfig, SegmentTail, Transaction, TransactionConfig,
    TransactionalWriter, WriterConfig,
    codec::{Raw, Utf8},
    group::{GroupInit, GroupReader, GroupReaderConfig, GroupStore},
    index::{IndexReader, IndexReaderConfig, IndexWriter, IndexWriterConfig},
};
use pravega_sdk_segment_client::{
    StoreConfig, StoreConnection, Transport as _,
    attributes::{AttributeId, SegmentAttributes, Swap},
};
use pravega_sdk_table_synchronizer::{
    Following, KeyPut, KeyRemoval, KeyValueTable, KeyVersion, Keys, Put, Removal, RevisionedStream,
    RevisionedStreamConfig, StateConfig, StateSynchronizer, SynchronizerConfig, TableConfig,
    TableKind, TableSegment, TableSynchronizer, TypedTable, WatchPosition,
    recipes::{Counter, Election, LeaseConfig, Lock, Members, SharedMap},
};
use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedReaderGroup, StreamCut, Timestamp,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{GetStreamSegmentInfo, ReadSegment},
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use crate::{
    faults::Cluster,
    seen::{Io, Seen, Told},
    sum::{Numbers, Sum},
};

/// A call that is about to be made.
pub(crate) struct Act(pub(crate) Pin<Box<dyn Future<Output = Seen> + Send>>);

type Preparing = Pin<Box<dyn Future<Output = Act> + Send>>;

/// A public call: its name in the list of futures, and what is prepared for it.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn(Cluster) -> Preparing,
}

/// Makes the list: `name: |cluster| preparation => call`.
macro_rules! calls {
    ($($name:literal: |$cluster:ident| { $($prepare:tt)* } => $call:expr;)*) => {
        &[$(Call {
            name: $name,
            prepare: |$cluster| Box::pin(async move {
                $($prepare)*
                Act(Box::pin(async move { ($call).seen() }))
            }),
        },)*]
    };
}

/// The longest that `close` and `wait_until_visible` may take.
const LIMIT: Duration = Duration::from_secs(10);

async fn writer(c: &Cluster) -> EventWriter<Utf8> {
    let opened = EventWriter::open(c.context.clone(), &c.events, Utf8, WriterConfig::default());
    let writer = opened.await.unwrap();
    writer.write("key", "event").await.unwrap();
    writer
}

async fn reader(c: &Cluster) -> EventReader<Utf8> {
    let config = ReaderConfig::default();
    EventReader::open(c.context.clone(), &c.events, Utf8, config).await.unwrap()
}

fn group() -> ScopedReaderGroup {
    "sim/group".parse().unwrap()
}

/// Creates the group. Its stream has an event.
async fn create_group(c: &Cluster) {
    writer(c).await;
    c.world.create_stream(&group().state_stream(), 1);
    let configuration = ReaderGroupConfiguration::new([c.events.clone()]).unwrap();
    let init = GroupInit::new(configuration, [(c.segment().into(), Offset(0).into())]);
    let store = GroupStore::open(c.context.clone(), &group(), StateConfig::default()).await;
    store.unwrap().initialize(init).await.unwrap();
}

async fn member(c: &Cluster) -> GroupReader<Utf8> {
    create_group(c).await;
    let (id, config) = ("one".parse().unwrap(), GroupReaderConfig::default());
    GroupReader::open(c.context.clone(), &group(), &id, Utf8, config).await.unwrap()
}

/// A reader that has the segment of the group.
async fn reading_member(c: &Cluster) -> GroupReader<Utf8> {
    let mut member = member(c).await;
    member.next().await.unwrap().unwrap();
    member
}

async fn batch(c: &Cluster) -> BatchClient {
    BatchClient::open(c.context.clone(), &c.events, BatchConfig::default()).await.unwrap()
}

async fn transactions(c: &Cluster) -> TransactionalWriter<Utf8> {
    let config = TransactionConfig::default();
    TransactionalWriter::open(c.context.clone(), &c.events, Utf8, config).await.unwrap()
}

/// A transaction with an event that is not flushed.
async fn transaction(c: &Cluster) -> Transaction<Utf8> {
    let mut transaction = transactions(c).await.begin().await.unwrap();
    transaction.write("key", "event").await.unwrap();
    transaction
}

async fn byte_writer(c: &Cluster) -> ByteWriter {
    let config = ByteWriterConfig::default();
    let mut writer = ByteWriter::open(c.context.clone(), &c.bytes, config).await.unwrap();
    writer.write_bytes(b"bytes".as_slice().into()).await.unwrap();
    writer.flush().await.unwrap();
    writer
}

/// A byte reader of a stream that has bytes.
async fn byte_reader(c: &Cluster) -> ByteReader {
    byte_writer(c).await;
    ByteReader::open(c.context.clone(), &c.bytes, ByteReaderConfig::default()).await.unwrap()
}

async fn index_writer(c: &Cluster) -> IndexWriter {
    let config = IndexWriterConfig::default();
    let mut writer = IndexWriter::open(c.context.clone(), &c.index, config).await.unwrap();
    writer.append(&[("time", 1)], b"record").await.unwrap();
    writer.flush().await.unwrap();
    writer
}

/// An index reader of a stream that has a record.
async fn index_reader(c: &Cluster) -> IndexReader {
    index_writer(c).await;
    IndexReader::open(c.context.clone(), &c.index, IndexReaderConfig::default()).await.unwrap()
}

/// A table with an entry.
async fn table(c: &Cluster) -> TableSegment {
    let table = empty_table(c).await;
    table.put([Put::new("key", "value")]).await.unwrap();
    table
}

async fn empty_table(c: &Cluster) -> TableSegment {
    let (context, config) = (c.context.clone(), TableConfig::default());
    let name = "sim/table".parse().unwrap();
    let created = TableSegment::create(context, &name, 0.into(), TableKind::Hash, config).await;
    created.unwrap().0
}

/// A table with an entry, that clients agree on.
async fn agreed(c: &Cluster) -> TableSynchronizer<Utf8, Utf8> {
    let (context, config) = (c.context.clone(), SynchronizerConfig::default());
    let name = "sim/agreed".parse().unwrap();
    let opened = TableSynchronizer::open(context, &name, Utf8, Utf8, config);
    let mut table = opened.await.unwrap();
    table.update(|changes| changes.put("key", "value")).await.unwrap();
    table
}

/// A key-value table with an entry, whose version is returned too.
async fn prices(c: &Cluster) -> (KeyValueTable, KeyVersion) {
    let name = "sim/prices".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(1, 3);
    c.context.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let config = TableConfig::default();
    let table = KeyValueTable::open(c.context.clone(), &name, config).await.unwrap();
    let version = table.insert("key", "value").await.unwrap();
    (table, version)
}

const MARK: AttributeId = AttributeId::new(Uuid::from_u128(7));

/// The attributes of a segment, of which one is 1.
async fn attributes(c: &Cluster) -> SegmentAttributes {
    let attributes = SegmentAttributes::new(c.context.clone(), c.segment());
    let set = attributes.compare_and_set(MARK, None, Some(1.into())).await.unwrap();
    assert_eq!(set, Swap::Set);
    attributes
}

async fn typed(c: &Cluster) -> (TypedTable<Utf8, Utf8>, KeyVersion) {
    let (table, version) = prices(c).await;
    (table.with_codecs(Utf8, Utf8), version)
}

/// A table for a recipe.
async fn recipe(c: &Cluster) -> TableSynchronizer<Raw, Raw> {
    let (context, config) = (c.context.clone(), SynchronizerConfig::default());
    let name = "sim/recipes".parse().unwrap();
    TableSynchronizer::open(context, &name, Raw, Raw, config).await.unwrap()
}

async fn map(c: &Cluster) -> SharedMap<Utf8, Utf8> {
    SharedMap::new(agreed(c).await)
}

async fn counter(c: &Cluster) -> Counter {
    let mut counter = Counter::new(recipe(c).await, "counter");
    counter.add(1).await.unwrap();
    counter
}

/// A lock that was held before.
async fn lock(c: &Cluster) -> Lock {
    let mut lock = Lock::new(recipe(c).await, "lock", LeaseConfig::default());
    lock.acquire(LIMIT).await.unwrap().release().await.unwrap();
    lock
}

/// An election with this leader.
async fn election(c: &Cluster) -> Election {
    let mut election = Election::new(recipe(c).await, "leader", LeaseConfig::default());
    election.round().await.unwrap();
    election
}

async fn members(c: &Cluster) -> Members {
    let mut members = Members::new(recipe(c).await, "members/", LeaseConfig::default());
    members.round().await.unwrap();
    members
}

/// A revisioned stream with an entry.
async fn log(c: &Cluster) -> RevisionedStream {
    let config = RevisionedStreamConfig::default();
    let log = RevisionedStream::open(c.context.clone(), &c.bytes, config).await.unwrap();
    log.write("entry").await.unwrap();
    log
}

/// A shared state.
async fn state(c: &Cluster) -> StateSynchronizer<Sum, Numbers> {
    let (context, config) = (c.context.clone(), StateConfig::default());
    let mut state = StateSynchronizer::open(context, &c.bytes, Numbers, config).await.unwrap();
    state.initialize(1).await.unwrap();
    state
}

fn info(c: &Cluster) -> GetStreamSegmentInfo {
    let (segment_name, delegation_token) = (c.segment().to_string().into(), "".into());
    GetStreamSegmentInfo { request_id: 0, segment_name, delegation_token }
}

fn read(c: &Cluster) -> ReadSegment {
    ReadSegment {
        segment: c.segment().to_string().into(),
        offset: 0,
        suggested_length: 10,
        delegation_token: "".into(),
        request_id: 0,
    }
}

/// Every call that needs a server.
#[rustfmt::skip]
pub(crate) const CALLS: &[Call] = calls! {
    "event_writer: EventWriter::open": |c| {} => {
        EventWriter::open(c.context.clone(), &c.events, Utf8, WriterConfig::default()).await
    };
    "event_writer: writer.write": |c| { let w = writer(&c).await; } => w.write("k", "e").await;
    "event_writer: writer.write_at": |c| { let w = writer(&c).await; } => {
        w.write_at("k", &SegmentTail::new(c.segment(), Offset(13)), "e").await
    };
    "event_writer: writer.enqueue": |c| { let w = writer(&c).await; } => {
        w.enqueue("k", "e").await.map(drop)
    };
    "event_writer: writer.enqueue_batch": |c| { let w = writer(&c).await; } => {
        w.enqueue_batch("k", ["e"]).await.map(drop)
    };
    "event_writer: writer.reserve": |c| { let w = writer(&c).await; } => {
        // All of it is taken.
        drop(w.enqueue("k", "e".repeat(8_000_000)).await);
        w.reserve(32 * 1024 * 1024).await.map(drop)
    };
    "event_writer: permit": |c| { let w = writer(&c).await; } => {
        w.reserve(10).await.and_then(|permit| permit.enqueue("k", "e")).map(drop)
    };
    "event_writer: ack": |c| { let w = writer(&c).await; } => {
        match w.enqueue("k", "e").await { Ok(ack) => ack.await, Err(error) => Err(error) }
    };
    "event_writer: writer.flush": |c| { let w = writer(&c).await; } => {
        drop(w.enqueue("k", "e").await);
        w.flush().await
    };
    "event_writer: writer.note_time": |c| { let w = writer(&c).await; } => {
        w.note_time(Timestamp::from_millis(1)).await
    };
    "event_writer: writer.close": |c| { let w = writer(&c).await; } => {
        drop(w.enqueue("k", "e").await);
        w.close(LIMIT).await
    };
    "keyed_event_writer: writer.write": |c| {
        let w = writer(&c).await.with_key(|event: &str| event);
    } => w.write("e").await;
    "keyed_event_writer: writer.enqueue": |c| {
        let w = writer(&c).await.with_key(|event: &str| event);
    } => w.enqueue("e").await.map(drop);
    "keyed_event_writer: writer.flush": |c| {
        let w = writer(&c).await.with_key(|event: &str| event);
    } => {
        drop(w.enqueue("e").await);
        w.flush().await
    };
    "keyed_event_writer: writer.close": |c| {
        let w = writer(&c).await.with_key(|event: &str| event);
    } => {
        drop(w.enqueue("e").await);
        w.close(LIMIT).await
    };
    "event_reader: EventReader::open": |c| {} => {
        EventReader::open(c.context.clone(), &c.events, Utf8, ReaderConfig::default()).await
    };
    "event_reader: reader.next": |c| { writer(&c).await; let mut r = reader(&c).await; } => {
        r.next().await
    };
    "event_reader: reader.next_batch": |c| {
        writer(&c).await; let mut r = reader(&c).await;
    } => r.next_batch(10).await;
    "event_reader: reader.time_window": |c| {
        writer(&c).await; let mut r = reader(&c).await;
    } => r.time_window().await;
    "group_readers: GroupReader::open": |c| { create_group(&c).await; } => {
        let (id, config) = ("one".parse().unwrap(), GroupReaderConfig::default());
        GroupReader::open(c.context.clone(), &group(), &id, Utf8, config).await
    };
    "group_readers: reader.next": |c| { let mut r = member(&c).await; } => r.next().await;
    "group_readers: reader.next_batch": |c| { let mut r = member(&c).await; } => {
        r.next_batch(10).await
    };
    "group_readers: reader.time_window": |c| { let mut r = reading_member(&c).await; } => {
        r.time_window(&c.events).await
    };
    "group_readers: reader.close": |c| { let mut r = reading_member(&c).await; } => {
        r.close(LIMIT).await
    };
    "group_readers: reader.close_at": |c| { let mut r = reading_member(&c).await; } => {
        let at = r.position();
        r.close_at(&at, LIMIT).await
    };
    "batch: BatchClient::open": |c| {} => {
        BatchClient::open(c.context.clone(), &c.events, BatchConfig::default()).await
    };
    "batch: client.head_cut": |c| { let b = batch(&c).await; } => b.head_cut().await;
    "batch: client.tail_cut": |c| { let b = batch(&c).await; } => b.tail_cut().await;
    "batch: client.ranges": |c| {
        writer(&c).await; let b = batch(&c).await; let head = b.head_cut().await.unwrap().into();
    } => b.ranges(&head, &StreamCut::Unbounded).await;
    "batch: client.distance": |c| {
        writer(&c).await; let b = batch(&c).await; let head = b.head_cut().await.unwrap().into();
    } => b.distance(&head, &StreamCut::Unbounded).await;
    "batch: client.next_cut": |c| {
        writer(&c).await; let b = batch(&c).await; let head = b.head_cut().await.unwrap();
    } => b.next_cut(&head, 10).await;
    "batch: client.fetch": |c| {
        let event = writer(&c).await.write("k", "e").await.unwrap().pointer().unwrap();
        let b = batch(&c).await;
    } => b.fetch(&event, &Utf8).await;
    "transactions: TransactionalWriter::open": |c| {} => {
        let config = TransactionConfig::default();
        TransactionalWriter::open(c.context.clone(), &c.events, Utf8, config).await
    };
    "transactions: writer.begin": |c| { let w = transactions(&c).await; } => w.begin().await;
    "transactions: writer.resume": |c| {
        let w = transactions(&c).await;
        let id = w.begin().await.unwrap().leave_open().await.unwrap();
    } => w.resume(id).await;
    "transactions: writer.status": |c| {
        let w = transactions(&c).await;
        let id = w.begin().await.unwrap().leave_open().await.unwrap();
    } => w.status(id).await;
    "transactions: writer.completed": |c| { let w = transactions(&c).await; } => {
        w.completed().await
    };
    "transactions: transaction.write": |c| { let mut t = transaction(&c).await; } => {
        t.write("k", "e").await
    };
    "transactions: transaction.flush": |c| { let mut t = transaction(&c).await; } => {
        t.write("k", "e").await.ok();
        t.flush().await
    };
    "transactions: transaction.status": |c| { let t = transaction(&c).await; } => t.status().await;
    "transactions: transaction.commit": |c| { let mut t = transaction(&c).await; } => {
        t.write("k", "e").await.ok();
        t.commit().await
    };
    "transactions: transaction.commit_at": |c| { let mut t = transaction(&c).await; } => {
        t.write("k", "e").await.ok();
        t.commit_at(Timestamp::from_millis(1)).await
    };
    "transactions: transaction.abort": |c| { let t = transaction(&c).await; } => t.abort().await;
    "transactions: transaction.leave_open": |c| { let mut t = transaction(&c).await; } => {
        t.write("k", "e").await.ok();
        t.leave_open().await
    };
    "transactions: commit.wait_until_visible": |c| {
        let commit = transaction(&c).await.commit().await.unwrap();
    } => commit.wait_until_visible(LIMIT).await;
    "tables: TableSegment::create": |c| { table(&c).await; } => {
        let (name, config) = ("sim/table".parse().unwrap(), TableConfig::default());
        TableSegment::create(c.context.clone(), &name, 0.into(), TableKind::Hash, config).await
    };
    "tables: TableSegment::open": |c| { table(&c).await; } => {
        let (name, config) = ("sim/table".parse().unwrap(), TableConfig::default());
        TableSegment::open(c.context.clone(), &name, 0.into(), config).await
    };
    "tables: table.info": |c| { let t = table(&c).await; } => t.info().await;
    "tables: table.read": |c| { let t = table(&c).await; } => t.read(["key"]).await;
    "tables: table.get": |c| { let t = table(&c).await; } => t.get("key").await;
    "tables: items.next": |c| { let t = table(&c).await; } => t.entries().next().await;
    "tables: deltas.next": |c| { let t = table(&c).await; } => {
        t.deltas(Offset(0), Following::UntilEnd).next().await
    };
    "tables: table.put": |c| { let t = table(&c).await; } => t.put([Put::new("k", "v")]).await;
    "tables: table.remove": |c| { let t = table(&c).await; } => {
        t.remove([Removal::new("key")]).await
    };
    "tables: table.delete": |c| { let t = table(&c).await; } => t.delete().await;
    "tables: table.delete_if_empty": |c| { let t = empty_table(&c).await; } => {
        t.delete_if_empty().await
    };
    "synchronizers: TableSynchronizer::open": |c| { agreed(&c).await; } => {
        let (name, config) = ("sim/agreed".parse().unwrap(), SynchronizerConfig::default());
        TableSynchronizer::open(c.context.clone(), &name, Utf8, Utf8, config).await
    };
    "synchronizers: TableSynchronizer::open_existing": |c| {
        agreed(&c).await;
        let (name, config) = ("sim/agreed".parse().unwrap(), SynchronizerConfig::default());
    } => TableSynchronizer::open_existing(c.context.clone(), &name, Utf8, Utf8, config).await;
    "synchronizers: TableSynchronizer::delete": |c| {
        agreed(&c).await;
        let (name, config) = ("sim/agreed".parse().unwrap(), SynchronizerConfig::default());
    } => TableSynchronizer::delete(c.context.clone(), &name, &config).await;
    "synchronizers: table.fetch": |c| { let mut t = agreed(&c).await; } => t.fetch().await;
    "synchronizers: table.update": |c| { let mut t = agreed(&c).await; } => {
        t.update(|changes| changes.put("key", "new")).await
    };
    "synchronizers: table.clean": |c| { let mut t = agreed(&c).await; } => t.clean().await;
    "synchronizers: table.close": |c| { let t = agreed(&c).await; } => t.close().await;
    "key_value_tables: KeyValueTable::open": |c| { prices(&c).await; } => {
        let (name, config) = ("sim/prices".parse().unwrap(), TableConfig::default());
        KeyValueTable::open(c.context.clone(), &name, config).await
    };
    "key_value_tables: table.get": |c| { let (t, _) = prices(&c).await; } => t.get("key").await;
    "key_value_tables: table.get_all": |c| { let (t, _) = prices(&c).await; } => {
        t.get_all(["key"]).await
    };
    "key_value_tables: table.exists": |c| { let (t, _) = prices(&c).await; } => {
        t.exists("key").await
    };
    "key_value_tables: entries.next": |c| { let (t, _) = prices(&c).await; } => {
        t.entries(&Keys::all()).unwrap().next().await
    };
    "key_value_tables: watch.next": |c| { let (t, _) = prices(&c).await; } => {
        t.watch(&WatchPosition::start(), LIMIT).next().await
    };
    "key_value_tables: table.insert": |c| { let (t, _) = prices(&c).await; } => {
        t.insert("new", "").await
    };
    "key_value_tables: table.put": |c| { let (t, _) = prices(&c).await; } => t.put("key", "").await;
    "key_value_tables: table.put_all": |c| { let (t, _) = prices(&c).await; } => {
        t.put_all([KeyPut::new("key", "")]).await
    };
    "key_value_tables: table.put_at": |c| { let (t, v) = prices(&c).await; } => {
        t.put_at("key", "", v).await
    };
    "key_value_tables: table.remove": |c| { let (t, _) = prices(&c).await; } => {
        t.remove("key").await
    };
    "key_value_tables: table.remove_all": |c| { let (t, _) = prices(&c).await; } => {
        t.remove_all([KeyRemoval::new("key")]).await
    };
    "key_value_tables: table.remove_at": |c| { let (t, v) = prices(&c).await; } => {
        t.remove_at("key", v).await
    };
    "typed_tables: table.get": |c| { let (t, _) = typed(&c).await; } => t.get("key").await;
    "typed_tables: table.get_all": |c| { let (t, _) = typed(&c).await; } => {
        t.get_all(["key"]).await
    };
    "typed_tables: table.exists": |c| { let (t, _) = typed(&c).await; } => t.exists("key").await;
    "typed_tables: entries.next": |c| { let (t, _) = typed(&c).await; } => {
        t.entries(&Keys::all()).unwrap().next().await
    };
    "typed_tables: table.insert": |c| { let (t, _) = typed(&c).await; } => {
        t.insert("new", "").await
    };
    "typed_tables: table.put": |c| { let (t, _) = typed(&c).await; } => t.put("key", "").await;
    "typed_tables: table.put_at": |c| { let (t, v) = typed(&c).await; } => {
        t.put_at("key", "", v).await
    };
    "typed_tables: table.remove": |c| { let (t, _) = typed(&c).await; } => t.remove("key").await;
    "typed_tables: table.remove_at": |c| { let (t, v) = typed(&c).await; } => {
        t.remove_at("key", v).await
    };
    "recipes: map.refresh": |c| { let mut m = map(&c).await; } => m.refresh().await;
    "recipes: map.insert": |c| { let mut m = map(&c).await; } => m.insert("key", "new").await;
    "recipes: map.remove": |c| { let mut m = map(&c).await; } => m.remove("key").await;
    "recipes: counter.add": |c| { let mut n = counter(&c).await; } => n.add(1).await;
    "recipes: counter.value": |c| { let mut n = counter(&c).await; } => n.value().await;
    "recipes: lock.try_acquire": |c| { let mut l = lock(&c).await; } => l.try_acquire().await;
    "recipes: lock.acquire": |c| { let mut l = lock(&c).await; } => l.acquire(LIMIT).await;
    "recipes: guard.renew": |c| {
        let lock = Box::leak(Box::new(lock(&c).await));
        let mut guard = lock.acquire(LIMIT).await.unwrap();
    } => guard.renew().await;
    "recipes: guard.release": |c| {
        let lock = Box::leak(Box::new(lock(&c).await));
        let guard = lock.acquire(LIMIT).await.unwrap();
    } => guard.release().await;
    "groups: election.round": |c| { let mut e = election(&c).await; } => e.round().await;
    "groups: election.resign": |c| { let mut e = election(&c).await; } => e.resign().await;
    "groups: members.round": |c| { let mut m = members(&c).await; } => m.round().await;
    "groups: members.leave": |c| { let mut m = members(&c).await; } => m.leave().await;
    "revisioned_streams: RevisionedStream::open": |c| {} => {
        let config = RevisionedStreamConfig::default();
        RevisionedStream::open(c.context.clone(), &c.bytes, config).await
    };
    "revisioned_streams: stream.latest_revision": |c| { let s = log(&c).await; } => {
        s.latest_revision().await
    };
    "revisioned_streams: stream.oldest_revision": |c| { let s = log(&c).await; } => {
        s.oldest_revision().await
    };
    "revisioned_streams: stream.write_at": |c| {
        let s = log(&c).await; let at = s.latest_revision().await.unwrap();
    } => s.write_at(&at, "next").await;
    "revisioned_streams: stream.write": |c| { let s = log(&c).await; } => s.write("next").await;
    "revisioned_streams: stream.entries": |c| {
        let s = log(&c).await; let at = s.oldest_revision().await.unwrap();
    } => s.entries(&at).await;
    "revisioned_streams: stream.entries_between": |c| {
        let s = log(&c).await; let at = s.oldest_revision().await.unwrap();
    } => s.entries_between(&at, &at).await;
    "revisioned_streams: stream.follow": |c| {
        let s = log(&c).await; let at = s.oldest_revision().await.unwrap();
    } => s.follow(&at).await;
    "revisioned_streams: entries.next": |c| {
        let s = log(&c).await; let at = s.oldest_revision().await.unwrap();
        let mut entries = s.entries(&at).await.unwrap();
    } => entries.next().await;
    "revisioned_streams: stream.mark": |c| { let s = log(&c).await; } => s.mark().await;
    "revisioned_streams: stream.set_mark": |c| {
        let s = log(&c).await; let at = s.oldest_revision().await.unwrap();
    } => s.set_mark(None, Some(&at)).await;
    "revisioned_streams: stream.truncate": |c| {
        let s = log(&c).await; let at = s.latest_revision().await.unwrap();
    } => s.truncate(&at).await;
    "states: StateSynchronizer::open": |c| {} => {
        let (context, config) = (c.context.clone(), StateConfig::default());
        StateSynchronizer::open(context, &c.bytes, Numbers, config).await
    };
    "states: state.initialize": |c| { let mut s = state(&c).await; } => s.initialize(1).await;
    "states: state.fetch": |c| { let mut s = state(&c).await; } => s.fetch().await;
    "states: state.update": |c| { let mut s = state(&c).await; } => {
        s.update(|_, adding| adding.push(1)).await
    };
    "states: state.update_unconditionally": |c| { let mut s = state(&c).await; } => {
        s.update_unconditionally(vec![1]).await
    };
    "states: state.compact": |c| { let mut s = state(&c).await; } => {
        s.compact(|sum| Some(sum.0)).await
    };
    "states: state.bytes_since_compaction": |c| { let mut s = state(&c).await; } => {
        s.bytes_since_compaction().await
    };
    "segment_attributes: attributes.value": |c| { let a = attributes(&c).await; } => {
        a.value(AttributeId::EVENT_COUNT).await
    };
    "segment_attributes: attributes.compare_and_set": |c| { let a = attributes(&c).await; } => {
        a.compare_and_set(MARK, Some(1.into()), Some(2.into())).await
    };
    "bytes: ByteWriter::open": |c| {} => {
        ByteWriter::open(c.context.clone(), &c.bytes, ByteWriterConfig::default()).await
    };
    "bytes: writer.write_bytes": |c| { let mut w = byte_writer(&c).await; } => {
        w.write_bytes(b"more".as_slice().into()).await
    };
    "bytes: writer.flush": |c| { let mut w = byte_writer(&c).await; } => {
        w.write_bytes(b"more".as_slice().into()).await.ok();
        w.flush().await
    };
    "bytes: writer.seal": |c| { let mut w = byte_writer(&c).await; } => w.seal().await;
    "bytes: writer.seek_to_tail": |c| { let mut w = byte_writer(&c).await; } => {
        w.seek_to_tail().await
    };
    "bytes: writer.truncate": |c| { let w = byte_writer(&c).await; } => w.truncate(Offset(1)).await;
    "bytes: writer.head_offset": |c| { let w = byte_writer(&c).await; } => w.head_offset().await;
    "bytes: writer.tail_offset": |c| { let w = byte_writer(&c).await; } => w.tail_offset().await;
    "bytes: writer.write_all": |c| { let mut w = byte_writer(&c).await; } => {
        Io(w.write_all(b"more").await)
    };
    "bytes: writer.shutdown": |c| { let mut w = byte_writer(&c).await; } => {
        w.write_bytes(b"more".as_slice().into()).await.ok();
        Io(w.shutdown().await)
    };
    "bytes: ByteReader::open": |c| {} => {
        ByteReader::open(c.context.clone(), &c.bytes, ByteReaderConfig::default()).await
    };
    "bytes: reader.next_bytes": |c| { let mut r = byte_reader(&c).await; } => r.next_bytes().await;
    "bytes: reader.head_offset": |c| { let r = byte_reader(&c).await; } => r.head_offset().await;
    "bytes: reader.tail_offset": |c| { let r = byte_reader(&c).await; } => r.tail_offset().await;
    "bytes: reader.read": |c| { let mut r = byte_reader(&c).await; } => {
        Io(r.read(&mut [0; 1]).await)
    };
    "bytes: reader.seek": |c| { let mut r = byte_reader(&c).await; } => {
        Io(r.seek(std::io::SeekFrom::End(0)).await)
    };
    "index: IndexWriter::open": |c| {} => {
        IndexWriter::open(c.context.clone(), &c.index, IndexWriterConfig::default()).await
    };
    "index: writer.append": |c| { let mut w = index_writer(&c).await; } => {
        w.append(&[("time", 2)], b"").await
    };
    "index: writer.append_if": |c| { let mut w = index_writer(&c).await; } => {
        w.append_if(&[("time", 1)], &[("time", 2)], b"").await
    };
    "index: writer.flush": |c| { let mut w = index_writer(&c).await; } => {
        w.append(&[("time", 2)], b"").await.ok();
        w.flush().await
    };
    "index: writer.truncate": |c| { let w = index_writer(&c).await; } => {
        w.truncate(Offset(0)).await
    };
    "index: IndexReader::open": |c| {} => {
        IndexReader::open(c.context.clone(), &c.index, IndexReaderConfig::default()).await
    };
    "index: reader.search": |c| { let r = index_reader(&c).await; } => r.search("time", 1).await;
    "index: reader.first": |c| { let r = index_reader(&c).await; } => r.first().await;
    "index: reader.last": |c| { let r = index_reader(&c).await; } => r.last().await;
    "index: reader.read": |c| { let r = index_reader(&c).await; } => r.read(Offset(0), None).await;
    "index: records.next": |c| {
        let mut records = index_reader(&c).await.read(Offset(0), None).await.unwrap();
    } => records.next().await.map(drop);
    "controller: endpoints.endpoint": |c| {} => c.context.endpoints().endpoint(&c.segment()).await;
    "controller: tokens.token": |c| {} => {
        c.context.tokens().token(&c.events, AccessOperation::Read).await
    };
    "store_connections: dialer.connect": |c| {} => {
        Cluster::dialer(&c.network).connect(&c.endpoint()).await
    };
    "store_connections: dialer.connect_stream": |c| {} => {
        Cluster::dialer(&c.network).connect_stream(&c.endpoint()).await
    };
    "store_connections: client.request": |c| {} => {
        c.context.raw_client().request(&c.endpoint(), info(&c)).await
    };
    "store_connections: client.exchange": |c| {} => {
        c.context.raw_client().exchange(&c.endpoint(), WireCommand::from(info(&c))).await
    };
    "store_connections: client.read": |c| { writer(&c).await; } => {
        c.context.raw_client().read(&c.endpoint(), read(&c), LIMIT).await
    };
    "store_connections: client.connection": |c| {} => {
        c.context.raw_client().connection(&c.endpoint()).await
    };
    "store_connections: client.close": |c| {
        c.context.raw_client().connection(&c.endpoint()).await.unwrap();
    } => c.context.raw_client().close().await;
    "store_connections: StoreConnection::open": |c| {
        let io = c.network.open(&c.endpoint()).await.unwrap();
    } => StoreConnection::open(io, &c.endpoint(), &StoreConfig::default()).await;
    "store_connections: connection.request": |c| {
        let connection = c.context.pool().connection(&c.endpoint()).await.unwrap();
    } => connection.request(info(&c)).await;
    "store_connections: connection.request_within": |c| {
        let connection = c.context.pool().connection(&c.endpoint()).await.unwrap();
    } => connection.request_within(info(&c), LIMIT).await;
    "store_connections: connection.exchange": |c| {
        let connection = c.context.pool().connection(&c.endpoint()).await.unwrap();
    } => connection.exchange(WireCommand::from(info(&c))).await;
    "store_connections: connection.read": |c| {
        writer(&c).await;
        let connection = c.context.pool().connection(&c.endpoint()).await.unwrap();
    } => connection.read(read(&c), LIMIT).await;
    "store_connections: pool.connection": |c| {} => {
        c.context.pool().connection(&c.endpoint()).await
    };
    "store_connections: pool.stream": |c| {} => c.context.pool().stream(&c.endpoint()).await;
    "store_connections: pool.snapshot": |c| {} => c.context.pool().snapshot().await;
    "store_connections: pool.drain": |c| {} => c.context.pool().drain().await;
};
