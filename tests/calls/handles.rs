//! One handle of each kind, and every public call of each.

use std::{
    fmt::Display,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use pravega_sdk::{
    Ack, BatchClient, ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig, ClientConfig,
    ClientFactory, Commit, EventReader, EventWriter, KeyedEventWriter, ReaderConfig, SegmentTail,
    Timestamp, Transaction, TransactionConfig, TransactionalWriter, WriterConfig,
    codec::{Raw, Utf8},
    connection_pool::{BoxError, Connector, FixedResolver, Policy, Pool},
    controller_client::{AccessOperation, Credentials, KeyValueTableConfiguration},
    embedded::{Embedded, EmbeddedServer, backup, salvage},
    index::{IndexReader, IndexReaderConfig, IndexRecords, IndexWriter, IndexWriterConfig},
    segment_client::{
        SharedConnection, StoreConfig, StoreConnection, StoreDialer, attributes::AttributeId,
    },
    table_synchronizer::{
        Entries, Following, KeyPut, KeyRemoval, KeyValueTable, KeyVersion, Keys, Put, Removal,
        Revision, RevisionedStream, RevisionedStreamConfig, StateConfig, StateSynchronizer,
        SynchronizerConfig, TableConfig, TableKind, TableSegment, TableSynchronizer, WatchPosition,
        recipes::{Counter, Election, LeaseConfig, Lock, Members, SharedMap},
    },
    types::{
        BoundedCut, Endpoint, EventPointer, Offset, ScopedKeyValueTable, ScopedSegment,
        ScopedStream, SegmentId, StreamConfiguration, StreamCut, TransactionId,
    },
    wire_protocol::{
        WireCommand,
        commands::{GetStreamSegmentInfo, ReadSegment},
    },
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::{
    groups::Groups,
    log::Log,
    seen::Io,
    sum::{Numbers, Sum},
};

/// A folder of a test, with that of a server in it.
struct Folder(PathBuf);

impl Folder {
    async fn with_a_log() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("pravega-sdk-calls-{process}-{number}"));
        let builder = EmbeddedServer::builder().with_directory(folder.join("data"));
        builder.start().await.unwrap().shutdown().await;
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// One handle of each kind, of one client.
pub(crate) struct Handles {
    streams: Streams,
    url: String,
    client: ClientFactory,
    endpoint: Endpoint,
    writer: EventWriter<Utf8>,
    ack: Ack,
    keyed: KeyedEventWriter<Utf8, str>,
    reader: EventReader<Utf8>,
    batch: BatchClient,
    cut: BoundedCut,
    event: EventPointer,
    transactions: TransactionalWriter<Utf8>,
    id: TransactionId,
    /// For the calls that take a transaction, and for those that end one.
    open: Vec<Transaction<Utf8>>,
    commit: Commit,
    bytes: (ByteWriter, ByteReader),
    /// The last one has no entries.
    tables: (TableSegment, TableSegment),
    /// Two of one table.
    synchronizers: Vec<TableSynchronizer<Utf8, Utf8>>,
    recipes: Recipes,
    prices: KeyValueTable,
    /// The versions of the keys `key` and `two`.
    price: (KeyVersion, KeyVersion),
    /// With the revision of its entry.
    log: (RevisionedStream, Revision, Entries),
    state: StateSynchronizer<Sum, Numbers>,
    /// Those of `six` and `ten`.
    typed_price: (KeyVersion, KeyVersion),
    index: (IndexWriter, IndexReader, IndexRecords),
    groups: Groups,
    connection: SharedConnection,
    pool: Pool<Nowhere>,
    pravega: Embedded,
    server: EmbeddedServer,
    folder: Folder,
}

/// One of each recipe.
struct Recipes {
    map: SharedMap<Utf8, Utf8>,
    counter: Counter,
    locks: (Lock, Lock),
    election: Election,
    members: Members,
}

impl Recipes {
    async fn open(client: &ClientFactory, scope: &impl Display) -> Self {
        let name = &format!("{scope}/recipes").parse().unwrap();
        let table = async || client.table_synchronizer(name, Raw, Raw).await.unwrap();
        let config = LeaseConfig::default;
        let map = format!("{scope}/map").parse().unwrap();
        let map = client.table_synchronizer(&map, Utf8, Utf8).await.unwrap();
        Self {
            map: SharedMap::new(map),
            counter: Counter::new(table().await, "counter"),
            locks: (
                Lock::new(table().await, "lock", config()),
                Lock::new(table().await, "held", config()),
            ),
            election: Election::new(table().await, "leader", config()),
            members: Members::new(table().await, "members/", config()),
        }
    }
}

/// The streams that the handles are of.
struct Streams {
    events: ScopedStream,
    bytes: ScopedStream,
    index: ScopedStream,
    log: ScopedStream,
    state: ScopedStream,
}

impl Streams {
    /// Creates them in a scope of their own.
    async fn create(client: &ClientFactory) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let scope = format!("calls-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stream = async |name: &str| {
            let stream = format!("{scope}/{name}").parse().unwrap();
            let configuration = StreamConfiguration::default();
            client.create_stream_if_absent(&stream, &configuration).await.unwrap();
            stream
        };
        Self {
            events: stream("events").await,
            bytes: stream("bytes").await,
            index: stream("index").await,
            log: stream("log").await,
            state: stream("state").await,
        }
    }
}

/// Makes connections to nowhere.
struct Nowhere;

impl Connector for Nowhere {
    type Connection = ();
    type Shared = ();

    async fn connect(&self, _: &Endpoint) -> Result<(), BoxError> {
        Ok(())
    }

    fn share(&self, (): ()) -> Result<(), BoxError> {
        Ok(())
    }
}

const SOON: Duration = Duration::from_secs(10);

/// Two tables, the second one without entries.
async fn tables(client: &ClientFactory, scope: &impl Display) -> (TableSegment, TableSegment) {
    let create = async |name: &str| {
        let name = format!("{scope}/{name}").parse().unwrap();
        let (context, config) = (client.segment_context(), TableConfig::default());
        let created = TableSegment::create(context, &name, 0.into(), TableKind::Hash, config).await;
        created.unwrap().0
    };
    let tables = (create("table").await, create("empty").await);
    tables.0.put([Put::new("key", "value")]).await.unwrap();
    tables
}

async fn put(prices: &KeyValueTable, key: &'static str) -> KeyVersion {
    prices.insert(key, "").await.unwrap()
}

/// A synchronizer of a table, which has changed it.
async fn agreed(
    client: &ClientFactory,
    name: &ScopedKeyValueTable,
) -> TableSynchronizer<Utf8, Utf8> {
    let mut table = client.table_synchronizer(name, Utf8, Utf8).await.unwrap();
    table.update(|changes| changes.put("key", "value")).await.unwrap();
    table
}

/// A revisioned stream with an entry, its revision, and the reading of it.
async fn open_log(
    client: &ClientFactory,
    stream: &ScopedStream,
) -> (RevisionedStream, Revision, Entries) {
    let log = client.revisioned_stream(stream).await.unwrap();
    let revision = log.write("entry").await.unwrap().unwrap();
    let entries = log.entries(&log.oldest_revision().await.unwrap()).await.unwrap();
    (log, revision, entries)
}

impl Handles {
    /// Opens one handle of each kind on the caller's runtime.
    pub(crate) async fn open(url: &str) -> Self {
        let client = ClientFactory::new(ClientConfig::from_url(url).unwrap()).unwrap();
        let streams = Streams::create(&client).await;
        let scope = streams.events.scope();
        let events = &streams.events;
        let writer = client.event_writer(events, Utf8).await.unwrap();
        let event = writer.write("key", "event").await.unwrap().pointer().unwrap();
        let ack = writer.enqueue("key", "event").await.unwrap();
        let reader = client.event_reader(events, Utf8).await.unwrap();
        let batch = client.batch_client(events).await.unwrap();
        let transactions = client.transactional_writer(events, Utf8).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..6 {
            open.push(transactions.begin().await.unwrap());
        }
        let id = open[5].id();
        let commit = transactions.begin().await.unwrap().commit().await.unwrap();
        let mut bytes = client.byte_writer(&streams.bytes).await.unwrap();
        bytes.write_bytes(b"some bytes".as_slice().into()).await.unwrap();
        bytes.flush().await.unwrap();
        let mut index = client.index_writer(&streams.index).await.unwrap();
        index.append(&[("time", 1)], b"record").await.unwrap();
        index.flush().await.unwrap();
        let index_reader = client.index_reader(&streams.index).await.unwrap();
        let records = index_reader.read(Offset(0), None).await.unwrap();
        let tables = tables(&client, scope).await;
        let name = format!("{scope}/agreed").parse().unwrap();
        let synchronizers = vec![agreed(&client, &name).await, agreed(&client, &name).await];
        let name = format!("{scope}/prices").parse().unwrap();
        let configuration = KeyValueTableConfiguration::new(1, 3);
        client.controller().create_key_value_table(&name, &configuration).await.unwrap();
        let prices = client.key_value_table(&name).await.unwrap();
        let price = (put(&prices, "key").await, put(&prices, "two").await);
        let typed_price = (put(&prices, "six").await, put(&prices, "ten").await);
        let log = open_log(&client, &streams.log).await;
        let mut state = client.state_synchronizer(&streams.state, Numbers).await.unwrap();
        state.initialize(1).await.unwrap();
        let segment = ScopedSegment::new(events, SegmentId::from(0));
        let endpoint = client.endpoints().endpoint(&segment).await.unwrap();
        let pool = Pool::new(FixedResolver::new([endpoint.clone()]), Nowhere, Policy::default());
        Self {
            url: url.to_owned(),
            keyed: writer.clone().with_key(|event: &str| event),
            writer,
            ack,
            reader,
            cut: batch.tail_cut().await.unwrap(),
            batch,
            event,
            transactions,
            id,
            open,
            commit,
            tables,
            synchronizers,
            recipes: Recipes::open(&client, scope).await,
            prices,
            price,
            log,
            state,
            typed_price,
            groups: Groups::open(&client, events).await,
            bytes: (bytes, client.byte_reader(&streams.bytes).await.unwrap()),
            index: (index, index_reader, records),
            connection: client.pool().connection(&endpoint).await.unwrap(),
            endpoint,
            pool,
            pravega: pravega_sdk::embedded().await.unwrap(),
            server: EmbeddedServer::builder().start().await.unwrap(),
            folder: Folder::with_a_log().await,
            client,
            streams,
        }
    }

    /// Makes every public call.
    pub(crate) async fn call_all(mut self) -> Log {
        let mut log = Log::default();
        Box::pin(self.open_all(&mut log)).await;
        Box::pin(self.write_all(&mut log)).await;
        Box::pin(self.read_all(&mut log)).await;
        Box::pin(self.use_bytes(&mut log)).await;
        Box::pin(self.use_tables(&mut log)).await;
        Box::pin(self.use_key_value_tables(&mut log)).await;
        Box::pin(self.use_synchronizers(&mut log)).await;
        Box::pin(self.use_states(&mut log)).await;
        Box::pin(self.use_recipes(&mut log)).await;
        Box::pin(self.use_transactions(&mut log)).await;
        Box::pin(self.groups.call_all(&self.client, &mut log)).await;
        Box::pin(self.use_connections(&mut log)).await;
        Box::pin(self.use_servers(&mut log)).await;
        log
    }

    async fn open_all(&self, log: &mut Log) {
        let (client, context) = (&self.client, || self.client.segment_context());
        let Streams { events, bytes, index, .. } = &self.streams;
        let configuration = StreamConfiguration::default();
        log.see("factory: ClientFactory::connect", ClientFactory::connect(&self.url)).await;
        let created = client.create_stream_if_absent(events, &configuration);
        log.see("factory: client.create_stream_if_absent", created).await;
        log.see("factory: client.event_writer", client.event_writer(events, Utf8)).await;
        let opened = client.event_writer_with(events, Utf8, WriterConfig::default());
        log.see("factory: client.event_writer_with", opened).await;
        let opened = EventWriter::open(context(), events, Utf8, WriterConfig::default());
        log.see("event_writer: EventWriter::open", opened).await;
        log.see("factory: client.event_reader", client.event_reader(events, Utf8)).await;
        let opened = client.event_reader_with(events, Utf8, ReaderConfig::default());
        log.see("factory: client.event_reader_with", opened).await;
        let opened = EventReader::open(context(), events, Utf8, ReaderConfig::default());
        log.see("event_reader: EventReader::open", opened).await;
        let opened = client.transactional_writer(events, Utf8);
        log.see("factory: client.transactional_writer", opened).await;
        let config = TransactionConfig::default();
        let opened = client.transactional_writer_with(events, Utf8, config.clone());
        log.see("factory: client.transactional_writer_with", opened).await;
        let opened = TransactionalWriter::open(context(), events, Utf8, config);
        log.see("transactions: TransactionalWriter::open", opened).await;
        log.see("factory: client.byte_writer", client.byte_writer(bytes)).await;
        let opened = client.byte_writer_with(bytes, ByteWriterConfig::default());
        log.see("factory: client.byte_writer_with", opened).await;
        let opened = ByteWriter::open(context(), bytes, ByteWriterConfig::default());
        log.see("bytes: ByteWriter::open", opened).await;
        log.see("factory: client.byte_reader", client.byte_reader(bytes)).await;
        let opened = client.byte_reader_with(bytes, ByteReaderConfig::default());
        log.see("factory: client.byte_reader_with", opened).await;
        let opened = ByteReader::open(context(), bytes, ByteReaderConfig::default());
        log.see("bytes: ByteReader::open", opened).await;
        log.see("factory: client.index_writer", client.index_writer(index)).await;
        let opened = client.index_writer_with(index, IndexWriterConfig::default());
        log.see("factory: client.index_writer_with", opened).await;
        let opened = IndexWriter::open(context(), index, IndexWriterConfig::default());
        log.see("index: IndexWriter::open", opened).await;
        log.see("factory: client.index_reader", client.index_reader(index)).await;
        let opened = client.index_reader_with(index, IndexReaderConfig::default());
        log.see("factory: client.index_reader_with", opened).await;
        let opened = IndexReader::open(context(), index, IndexReaderConfig::default());
        log.see("index: IndexReader::open", opened).await;
        log.see("factory: client.batch_client", client.batch_client(events)).await;
        let opened = client.batch_client_with(events, Default::default());
        log.see("factory: client.batch_client_with", opened).await;
        let opened = BatchClient::open(context(), events, Default::default());
        log.see("batch: BatchClient::open", opened).await;
    }

    async fn write_all(&self, log: &mut Log) {
        let (writer, keyed) = (&self.writer, &self.keyed);
        log.see("event_writer: ack", &self.ack).await;
        log.see("event_writer: writer.write", writer.write("key", "event")).await;
        // The events before this one have another length.
        let tail = SegmentTail::new(
            ScopedSegment::new(&self.streams.events, SegmentId::from(0)),
            Offset(1),
        );
        log.see("event_writer: writer.write_at", writer.write_at("key", &tail, "event")).await;
        log.see("event_writer: writer.enqueue", writer.enqueue("key", "event")).await;
        log.see("event_writer: writer.enqueue_batch", writer.enqueue_batch("key", ["event"])).await;
        log.see("event_writer: writer.reserve", writer.reserve(10)).await;
        let enqueuing = async {
            let permit = writer.reserve(10).await?;
            permit.enqueue("key", "event")
        };
        log.see("event_writer: permit", enqueuing).await;
        log.see("event_writer: writer.flush", writer.flush()).await;
        log.see("event_writer: writer.note_time", writer.note_time(Timestamp::from_millis(1)))
            .await;
        log.see("keyed_event_writer: writer.write", keyed.write("event")).await;
        log.see("keyed_event_writer: writer.enqueue", keyed.enqueue("event")).await;
        log.see("keyed_event_writer: writer.flush", keyed.flush()).await;
        log.see("keyed_event_writer: writer.close", keyed.close(SOON)).await;
        log.see("event_writer: writer.close", writer.close(SOON)).await;
    }

    async fn read_all(&mut self, log: &mut Log) {
        let (reader, batch) = (&mut self.reader, &self.batch);
        log.see("event_reader: reader.next", reader.next()).await;
        log.see("event_reader: reader.next_batch", reader.next_batch(10)).await;
        log.see("event_reader: reader.time_window", reader.time_window()).await;
        let (head, tail) = (StreamCut::Unbounded, StreamCut::from(self.cut.clone()));
        log.see("batch: client.head_cut", batch.head_cut()).await;
        log.see("batch: client.tail_cut", batch.tail_cut()).await;
        log.see("batch: client.ranges", batch.ranges(&head, &tail)).await;
        log.see("batch: client.distance", batch.distance(&head, &tail)).await;
        log.see("batch: client.next_cut", batch.next_cut(&self.cut, 10)).await;
        log.see("batch: client.fetch", batch.fetch(&self.event, &Utf8)).await;
    }

    async fn use_bytes(&mut self, log: &mut Log) {
        let (writer, reader) = &mut self.bytes;
        log.see("bytes: writer.head_offset", writer.head_offset()).await;
        log.see("bytes: writer.tail_offset", writer.tail_offset()).await;
        log.see("bytes: writer.truncate", writer.truncate(Offset(0))).await;
        let segment = ScopedSegment::new(&self.streams.bytes, SegmentId::from(0));
        let attributes = self.client.segment_attributes(segment);
        let id = AttributeId::new(uuid::Uuid::from_u128(7));
        log.see("segment_attributes: attributes.value", attributes.value(id)).await;
        let swapped = attributes.compare_and_set(id, None, Some(1.into()));
        log.see("segment_attributes: attributes.compare_and_set", swapped).await;
        log.see("bytes: writer.write_bytes", writer.write_bytes(b"x".as_slice().into())).await;
        log.see("bytes: writer.write_all", async { Io(writer.write_all(b"y").await) }).await;
        log.see("bytes: writer.flush", writer.flush()).await;
        log.see("bytes: writer.seek_to_tail", writer.seek_to_tail()).await;
        log.see("bytes: writer.shutdown", async { Io(writer.shutdown().await) }).await;
        log.see("bytes: writer.seal", writer.seal()).await;
        let mut buffer = [0; 1];
        log.see("bytes: reader.read", async { Io(reader.read(&mut buffer).await) }).await;
        log.see("bytes: reader.next_bytes", reader.next_bytes()).await;
        log.see("bytes: reader.head_offset", reader.head_offset()).await;
        log.see("bytes: reader.tail_offset", reader.tail_offset()).await;
        let seeking = reader.seek(std::io::SeekFrom::Start(0));
        log.see("bytes: reader.seek", async { Io(seeking.await) }).await;
        let (writer, reader, records) = &mut self.index;
        let appended = writer.append_if(&[("time", 1)], &[("time", 2)], b"");
        log.see("index: writer.append_if", appended).await;
        log.see("index: writer.append", writer.append(&[("time", 3)], b"")).await;
        log.see("index: writer.flush", writer.flush()).await;
        log.see("index: writer.truncate", writer.truncate(Offset(0))).await;
        log.see("index: reader.search", reader.search("time", 1)).await;
        log.see("index: reader.first", reader.first()).await;
        log.see("index: reader.last", reader.last()).await;
        log.see("index: reader.read", reader.read(Offset(0), None)).await;
        log.see("index: records.next", async { records.next().await.map(drop) }).await;
    }

    async fn use_tables(&mut self, log: &mut Log) {
        let (client, (table, empty)) = (&self.client, &self.tables);
        let config = TableConfig::default;
        let name = format!("{}/table", self.streams.events.scope()).parse().unwrap();
        log.see("factory: client.table_segment", client.table_segment(&name, 0.into())).await;
        let opened = client.table_segment_with(&name, 0.into(), config());
        log.see("factory: client.table_segment_with", opened).await;
        let context = || client.segment_context();
        let opened = TableSegment::open(context(), &name, 0.into(), config());
        log.see("tables: TableSegment::open", opened).await;
        let created = TableSegment::create(context(), &name, 0.into(), TableKind::Hash, config());
        log.see("tables: TableSegment::create", created).await;
        log.see("tables: table.info", table.info()).await;
        log.see("tables: table.put", table.put([Put::new("k", "v")])).await;
        log.see("tables: table.read", table.read(["k"])).await;
        log.see("tables: table.get", table.get("k")).await;
        log.see("tables: table.remove", table.remove([Removal::new("k")])).await;
        log.see("tables: items.next", table.entries().next()).await;
        let mut deltas = table.deltas(Offset(0), Following::UntilEnd);
        log.see("tables: deltas.next", deltas.next()).await;
        log.see("tables: table.delete_if_empty", empty.delete_if_empty()).await;
        log.see("tables: table.delete", table.delete()).await;
    }

    async fn use_synchronizers(&mut self, log: &mut Log) {
        let client = &self.client;
        let name = &format!("{}/agreed", self.streams.events.scope()).parse().unwrap();
        let opened = client.table_synchronizer(name, Utf8, Utf8);
        log.see("factory: client.table_synchronizer", opened).await;
        let config = SynchronizerConfig::default;
        let opened = client.table_synchronizer_with(name, Utf8, Utf8, config());
        log.see("factory: client.table_synchronizer_with", opened).await;
        let context = client.segment_context();
        let opened = TableSynchronizer::open(context, name, Utf8, Utf8, config());
        log.see("synchronizers: TableSynchronizer::open", opened).await;
        let context = client.segment_context();
        let opened = TableSynchronizer::open_existing(context, name, Utf8, Utf8, config());
        log.see("synchronizers: TableSynchronizer::open_existing", opened).await;
        let (mut table, other) = (self.synchronizers.remove(0), self.synchronizers.remove(0));
        log.see("synchronizers: table.fetch", table.fetch()).await;
        let updated = table.update(|changes| changes.put("key", "new"));
        log.see("synchronizers: table.update", updated).await;
        log.see("synchronizers: table.clean", table.clean()).await;
        log.see("synchronizers: table.close", other.close()).await;
        let (context, config) = (client.segment_context(), config());
        let deleted = TableSynchronizer::delete(context, name, &config);
        log.see("synchronizers: TableSynchronizer::delete", deleted).await;
    }

    async fn use_recipes(&mut self, log: &mut Log) {
        let Recipes { map, counter, locks: (lock, other), election, members } = &mut self.recipes;
        log.see("recipes: map.insert", map.insert("key", "value")).await;
        log.see("recipes: map.remove", map.remove("key")).await;
        log.see("recipes: map.refresh", map.refresh()).await;
        log.see("recipes: counter.add", counter.add(1)).await;
        log.see("recipes: counter.value", counter.value()).await;
        log.see("recipes: lock.try_acquire", lock.try_acquire()).await;
        log.see("recipes: lock.acquire", other.acquire(SOON)).await;
        let renewing = async { other.acquire(SOON).await?.renew().await };
        log.see("recipes: guard.renew", renewing).await;
        let releasing = async { other.acquire(SOON).await?.release().await };
        log.see("recipes: guard.release", releasing).await;
        log.see("groups: election.round", election.round()).await;
        log.see("groups: election.resign", election.resign()).await;
        log.see("groups: members.round", members.round()).await;
        log.see("groups: members.leave", members.leave()).await;
    }

    async fn use_key_value_tables(&mut self, log: &mut Log) {
        let (client, table, price) = (&self.client, &self.prices, self.price);
        let (name, config) = (table.table(), TableConfig::default);
        log.see("factory: client.key_value_table", client.key_value_table(name)).await;
        let opened = client.key_value_table_with(name, config());
        log.see("factory: client.key_value_table_with", opened).await;
        let opened = KeyValueTable::open(client.segment_context(), name, config());
        log.see("key_value_tables: KeyValueTable::open", opened).await;
        log.see("key_value_tables: table.get", table.get("key")).await;
        log.see("key_value_tables: table.get_all", table.get_all(["key"])).await;
        log.see("key_value_tables: table.exists", table.exists("key")).await;
        let mut entries = table.entries(&Keys::all()).unwrap();
        log.see("key_value_tables: entries.next", entries.next()).await;
        let mut watch = table.watch(&WatchPosition::start(), SOON);
        log.see("key_value_tables: watch.next", watch.next()).await;
        log.see("key_value_tables: table.insert", table.insert("new", "")).await;
        log.see("key_value_tables: table.put", table.put("old", "")).await;
        log.see("key_value_tables: table.put_at", table.put_at("key", "", price.0)).await;
        log.see("key_value_tables: table.put_all", table.put_all([KeyPut::new("old", "")])).await;
        log.see("key_value_tables: table.remove", table.remove("key")).await;
        log.see("key_value_tables: table.remove_at", table.remove_at("two", price.1)).await;
        let removal = table.remove_all([KeyRemoval::new("old")]);
        log.see("key_value_tables: table.remove_all", removal).await;
        let typed = table.clone().with_codecs(Utf8, Utf8);
        log.see("typed_tables: table.get", typed.get("key")).await;
        log.see("typed_tables: table.get_all", typed.get_all(["key"])).await;
        log.see("typed_tables: table.exists", typed.exists("key")).await;
        let mut entries = typed.entries(&Keys::all()).unwrap();
        log.see("typed_tables: entries.next", entries.next()).await;
        log.see("typed_tables: table.insert", typed.insert("one", "")).await;
        log.see("typed_tables: table.put", typed.put("one", "")).await;
        let price = self.typed_price;
        log.see("typed_tables: table.put_at", typed.put_at("six", "", price.0)).await;
        log.see("typed_tables: table.remove", typed.remove("one")).await;
        log.see("typed_tables: table.remove_at", typed.remove_at("ten", price.1)).await;
    }

    async fn use_states(&mut self, log: &mut Log) {
        let (client, (stream, first, entries)) = (&self.client, &mut self.log);
        let (name, config) = (&self.streams.log, RevisionedStreamConfig::default);
        log.see("factory: client.revisioned_stream", client.revisioned_stream(name)).await;
        let opened = client.revisioned_stream_with(name, config());
        log.see("factory: client.revisioned_stream_with", opened).await;
        let opened = RevisionedStream::open(client.segment_context(), name, config());
        log.see("revisioned_streams: RevisionedStream::open", opened).await;
        log.see("revisioned_streams: stream.latest_revision", stream.latest_revision()).await;
        log.see("revisioned_streams: stream.oldest_revision", stream.oldest_revision()).await;
        log.see("revisioned_streams: stream.write_at", stream.write_at(first, "next")).await;
        log.see("revisioned_streams: stream.write", stream.write("last")).await;
        log.see("revisioned_streams: stream.entries", stream.entries(first)).await;
        let between = stream.entries_between(first, first);
        log.see("revisioned_streams: stream.entries_between", between).await;
        log.see("revisioned_streams: stream.follow", stream.follow(first)).await;
        log.see("revisioned_streams: entries.next", entries.next()).await;
        log.see("revisioned_streams: stream.mark", stream.mark()).await;
        let marked = stream.set_mark(None, Some(first));
        log.see("revisioned_streams: stream.set_mark", marked).await;
        log.see("revisioned_streams: stream.truncate", stream.truncate(first)).await;

        let (name, state) = (&self.streams.state, &mut self.state);
        let opened = client.state_synchronizer(name, Numbers);
        log.see("factory: client.state_synchronizer", opened).await;
        let opened = client.state_synchronizer_with(name, Numbers, StateConfig::default());
        log.see("factory: client.state_synchronizer_with", opened).await;
        let (context, config) = (client.segment_context(), StateConfig::default());
        let opened = StateSynchronizer::open(context, name, Numbers, config);
        log.see("states: StateSynchronizer::open", opened).await;
        log.see("states: state.initialize", state.initialize(1)).await;
        log.see("states: state.fetch", state.fetch()).await;
        log.see("states: state.update", state.update(|_, adding| adding.push(1))).await;
        let updated = state.update_unconditionally(vec![1]);
        log.see("states: state.update_unconditionally", updated).await;
        log.see("states: state.compact", state.compact(|sum| Some(sum.0))).await;
        log.see("states: state.bytes_since_compaction", state.bytes_since_compaction()).await;
    }

    async fn use_transactions(&mut self, log: &mut Log) {
        let writer = &self.transactions;
        log.see("transactions: writer.begin", writer.begin()).await;
        log.see("transactions: writer.resume", writer.resume(self.id)).await;
        log.see("transactions: writer.status", writer.status(self.id)).await;
        log.see("transactions: writer.completed", writer.completed()).await;
        let visible = self.commit.wait_until_visible(SOON);
        log.see("transactions: commit.wait_until_visible", visible).await;
        let mut transactions = std::mem::take(&mut self.open).into_iter();
        let mut next = || transactions.next().unwrap();
        let mut transaction = next();
        log.see("transactions: transaction.write", transaction.write("key", "event")).await;
        log.see("transactions: transaction.flush", transaction.flush()).await;
        log.see("transactions: transaction.status", transaction.status()).await;
        log.see("transactions: transaction.commit", next().commit()).await;
        let time = Timestamp::from_millis(2);
        log.see("transactions: transaction.commit_at", next().commit_at(time)).await;
        log.see("transactions: transaction.abort", next().abort()).await;
        log.see("transactions: transaction.leave_open", next().leave_open()).await;
    }

    async fn use_connections(&self, log: &mut Log) {
        let (client, endpoint) = (&self.client, &self.endpoint);
        let segment = ScopedSegment::new(&self.streams.events, SegmentId::from(0));
        log.see("controller: credentials.authorization", Credentials::default().authorization())
            .await;
        log.see("controller: endpoints.endpoint", client.endpoints().endpoint(&segment)).await;
        let token = client.tokens().token(&self.streams.events, AccessOperation::Read);
        log.see("controller: tokens.token", token).await;
        let info = || GetStreamSegmentInfo {
            request_id: 0,
            segment_name: segment.to_string().into(),
            delegation_token: "".into(),
        };
        let read = || ReadSegment {
            segment: segment.to_string().into(),
            offset: 0,
            suggested_length: 10,
            delegation_token: "".into(),
            request_id: 0,
        };
        let connection: &StoreConnection = &self.connection;
        log.see("store_connections: connection.request", connection.request(info())).await;
        let asking = connection.request_within(info(), SOON);
        log.see("store_connections: connection.request_within", asking).await;
        let exchanging = connection.exchange(WireCommand::from(info()));
        log.see("store_connections: connection.exchange", exchanging).await;
        log.see("store_connections: connection.read", connection.read(read(), SOON)).await;
        let raw = client.raw_client();
        // With a connection, and without.
        log.see("store_connections: client.request", raw.request(endpoint, info())).await;
        log.see("store_connections: client.connection", raw.connection(endpoint)).await;
        let exchanging = raw.exchange(endpoint, WireCommand::from(info()));
        log.see("store_connections: client.exchange", exchanging).await;
        log.see("store_connections: client.read", raw.read(endpoint, read(), SOON)).await;
        log.see("store_connections: client.close", raw.close()).await;
        let pool = client.pool();
        log.see("store_connections: pool.connection", pool.connection(endpoint)).await;
        log.see("store_connections: pool.stream", pool.stream(endpoint)).await;
        log.see("store_connections: pool.snapshot", pool.snapshot()).await;
        log.see("store_connections: pool.drain", pool.drain()).await;
        let dialer = StoreDialer::new(StoreConfig::default());
        log.see("store_connections: dialer.connect", dialer.connect(endpoint)).await;
        log.see("store_connections: dialer.connect_stream", dialer.connect_stream(endpoint)).await;
        // No peer answers its greeting.
        let near = tokio::io::duplex(100).0;
        let config = StoreConfig::default();
        let opening = StoreConnection::open(near, endpoint, &config);
        log.see("store_connections: StoreConnection::open", opening).await;
        log.see("factory: client.close", client.close()).await;
        let pool = &self.pool;
        log.see("pool: pool.claim", pool.claim()).await;
        log.see("pool: pool.claim_at", pool.claim_at(endpoint)).await;
        log.see("pool: pool.claim_shared", pool.claim_shared()).await;
        log.see("pool: pool.claim_shared_at", pool.claim_shared_at(endpoint)).await;
        log.see("pool: pool.set_policy", pool.set_policy(Policy::default())).await;
        log.see("pool: pool.snapshot", pool.snapshot()).await;
        log.see("pool: pool.drain", pool.drain()).await;
        log.see("pool: pool.close", pool.close(SOON)).await;
    }

    async fn use_servers(self, log: &mut Log) {
        let pravega = self.pravega;
        log.see("embedded: pravega.create_stream", pravega.create_stream("a/b", 1)).await;
        log.see("embedded: pravega.shutdown", pravega.shutdown()).await;
        log.see("embedded: server.shutdown", self.server.shutdown()).await;
        log.see("embedded: pravega_sdk::embedded", pravega_sdk::embedded()).await;
        log.see("embedded: Embedded::with", Embedded::with(EmbeddedServer::builder())).await;
        log.see("embedded: builder.start", EmbeddedServer::builder().start()).await;
        let [from, to, new] = ["data", "to", "new"].map(|name| self.folder.0.join(name));
        log.see("embedded: pravega_sdk::embedded::backup", backup(&from, to)).await;
        log.see("embedded: pravega_sdk::embedded::salvage", salvage(from, new)).await;
    }
}
