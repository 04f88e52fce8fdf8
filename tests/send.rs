//! Every future of the public API is `Send`, so that a program can spawn it.
//!
//! The functions below are compiled, not run: a future that is not `Send` fails the build. Every
//! new public `async fn` gets a line here. Calls of the controller are not listed: the trait
//! returns boxed futures that are `Send` by their type. Neither is `Claim::run`, whose future is
//! `Send` if the caller's closure returns one that is.

#[path = "calls/sum.rs"]
mod sum;

use bytes::Bytes;
use futures_util::StreamExt as _;
use pravega_sdk::{
    Ack, Appended, BatchClient, ByteReader, ByteWriter, ClientFactory, Commit, EventReader,
    EventSink, EventWriter, KeyedEventWriter, Permit, Transaction, TransactionalWriter, WriteError,
    codec::Utf8,
    connection_pool::{BoxError, Claim, Connector, NotShared, Pool, SharedClaim},
    controller_client::{Controller, Credentials, EndpointCache, TokenCache, listing::Listing},
    group::{GroupReader, GroupReaderNotices, GroupWatch, ReaderGroup},
    index::{IndexReader, IndexRecords, IndexWriter},
    segment_client::{
        RawClient, StoreConnection, StoreDialer, StorePool, StoreStream,
        attributes::SegmentAttributes,
    },
    table_synchronizer::{
        Entries, KeyPut, KeyRemoval, KeyValueEntry, KeyValueItems, KeyValueTable, KeyVersion,
        KeyWatch, Put, Removal, RevisionedStream, StateSynchronizer, TableDeltas, TableItems,
        TableSegment, TableSynchronizer, TypedTable, VersionedKey,
        recipes::{Counter, Election, Lock, LockGuard, Members, SharedMap},
    },
    types::{Endpoint, ScopedStream, StreamCut},
    wire_protocol::commands::{GetStreamSegmentInfo, ReadSegment},
};
use sum::{Numbers, Sum};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

fn send<T: Send>(_: T) {}

fn send_type<T: Send>() {}

/// Returns an argument of any type; it is never called.
fn any<T>() -> T {
    std::process::abort()
}

fn factory(client: &ClientFactory, stream: &ScopedStream) {
    send(ClientFactory::connect(""));
    send(client.create_stream_if_absent(stream, any()));
    send(client.event_writer(stream, Utf8));
    send(client.event_writer_with(stream, Utf8, any()));
    send(client.event_reader(stream, Utf8));
    send(client.event_reader_with(stream, Utf8, any()));
    send(client.transactional_writer(stream, Utf8));
    send(client.transactional_writer_with(stream, Utf8, any()));
    send(client.byte_writer(stream));
    send(client.byte_writer_with(stream, any()));
    send(client.byte_reader(stream));
    send(client.byte_reader_with(stream, any()));
    send(client.index_writer(stream));
    send(client.index_writer_with(stream, any()));
    send(client.index_reader(stream));
    send(client.index_reader_with(stream, any()));
    send(client.batch_client(stream));
    send(client.batch_client_with(stream, any()));
    send(client.key_value_table(any()));
    send(client.key_value_table_with(any(), any()));
    send(client.table_segment(any(), any()));
    send(client.table_segment_with(any(), any(), any()));
    send(client.table_synchronizer(any(), Utf8, Utf8));
    send(client.table_synchronizer_with(any(), Utf8, Utf8, any()));
    send(client.revisioned_stream(stream));
    send(client.revisioned_stream_with(stream, any()));
    send(client.state_synchronizer(stream, Numbers));
    send(client.state_synchronizer_with(stream, Numbers, any()));
    send(client.create_reader_group(any(), any()));
    send(client.create_reader_group_with(any(), any(), any()));
    send(client.create_reader_group_if_absent(any(), any()));
    send(client.reader_group(any()));
    send(client.reader_group_with(any(), any()));
    send(client.reader_group_part(stream, any(), any()));
    send(client.delete_reader_group(any()));
    send(client.group_reader(any(), any(), Utf8));
    send(client.group_reader_with(any(), any(), Utf8, any()));
    send(client.close());
}

fn event_writer(writer: &EventWriter<Utf8>, permit: Permit<'_, Utf8>, ack: Ack) {
    send(EventWriter::open(any(), any(), Utf8, any()));
    send(writer.write("key", "event"));
    send(writer.write_at("key", any(), "event"));
    send(writer.enqueue("key", "event"));
    send(writer.enqueue_batch("key", ["event"]));
    send(writer.reserve(any()));
    send(writer.flush());
    send(writer.note_time(any()));
    send(writer.close(any()));
    send(permit);
    send(ack);
    send_type::<EventSink<Utf8>>();
    send_type::<Result<Appended, WriteError>>();
}

fn keyed_event_writer(writer: &KeyedEventWriter<Utf8, str>) {
    send(writer.write("event"));
    send(writer.enqueue("event"));
    send(writer.flush());
    send(writer.close(any()));
}

fn event_reader(mut reader: EventReader<Utf8>) {
    send(EventReader::open(any(), any(), Utf8, any()));
    send(reader.next());
    send(reader.next_batch(any()));
    send(reader.time_window());
    send(reader);
}

fn batch(client: &BatchClient, cut: &StreamCut) {
    send(BatchClient::open(any(), any(), any()));
    send(client.head_cut());
    send(client.tail_cut());
    send(client.ranges(cut, cut));
    send(client.distance(cut, cut));
    send(client.next_cut(any(), any()));
    send(client.fetch(any(), &Utf8));
}

fn group_readers(mut reader: GroupReader<Utf8>) {
    send(GroupReader::open(any(), any(), any(), Utf8, any()));
    send(reader.next());
    send(reader.next_batch(any()));
    send(reader.time_window(any()));
    send(reader.close(any()));
    send(reader.close_at(any(), any()));
    let mut notices = any::<GroupReaderNotices>();
    send(notices.next());
}

fn reader_groups(group: &ReaderGroup) {
    send(ReaderGroup::create(any(), any(), any(), any()));
    send(ReaderGroup::create_if_absent(any(), any(), any(), any()));
    send(ReaderGroup::open(any(), any(), any()));
    send(ReaderGroup::part(any(), any(), any(), any()));
    send(ReaderGroup::delete_by_name(any(), any(), any()));
    send(group.configuration());
    send(group.describe());
    send(group.online_readers());
    send(group.stream_cuts());
    send(group.unread_bytes());
    send(group.reader_offline("reader", None));
    send(group.take_out_dead(any()));
    send(group.checkpoint("checkpoint", any()));
    send(group.initiate_checkpoint("checkpoint"));
    send(group.generate_stream_cuts(any()));
    send(group.cancel_checkpoints());
    send(group.update_retention_stream_cut(any()));
    send(group.reset(any()));
    send(group.reset_to(any()));
    send(group.reset_to_last_checkpoint());
    send(group.delete());
    let mut watch = any::<GroupWatch>();
    send(watch.next());
}

fn tables(table: &TableSegment) {
    send(TableSegment::create(any(), any(), any(), any(), any()));
    send(TableSegment::open(any(), any(), any(), any()));
    send(table.info());
    send(table.put(any::<Vec<Put>>()));
    send(table.remove(any::<Vec<Removal>>()));
    send(table.read(any::<Vec<Bytes>>()));
    send(table.get("key"));
    send(table.delete());
    send(table.delete_if_empty());
    let (mut items, mut deltas) = (table.entries(), any::<TableDeltas>());
    send(items.next());
    send(deltas.next());
    send_type::<TableItems<VersionedKey>>();
}

fn synchronizers(mut table: TableSynchronizer<Utf8, Utf8>) {
    send(TableSynchronizer::open(any(), any(), Utf8, Utf8, any()));
    send(TableSynchronizer::open_existing(any(), any(), Utf8, Utf8, any()));
    send(TableSynchronizer::delete(any(), any(), any()));
    send(table.fetch());
    send(table.update(|changes| changes.put("key", "value")));
    send(table.clean());
    send(table.close());
}

fn segment_attributes(attributes: &SegmentAttributes) {
    send(attributes.value(any()));
    send(attributes.compare_and_set(any(), None, None));
}

fn typed_tables(table: &TypedTable<Utf8, Utf8>, version: KeyVersion) {
    send(table.insert("key", "value"));
    send(table.put("key", "value"));
    send(table.put_at("key", "value", version));
    send(table.remove("key"));
    send(table.remove_at("key", version));
    send(table.get("key"));
    send(table.get_all(["key"]));
    send(table.exists("key"));
    let Ok(mut entries) = table.entries(any()) else { return };
    send(entries.next());
}

fn recipes(mut map: SharedMap<Utf8, Utf8>, mut counter: Counter, mut lock: Lock) {
    send(map.refresh());
    send(map.insert("key", "value"));
    send(map.remove("key"));
    send(counter.add(1));
    send(counter.value());
    send(lock.try_acquire());
    send(lock.acquire(any()));
    let mut guard = any::<LockGuard<'_>>();
    send(guard.renew());
    send(guard.release());
}

fn groups(mut election: Election, mut members: Members) {
    send(election.round());
    send(election.resign());
    send(members.round());
    send(members.leave());
}

fn key_value_tables(table: &KeyValueTable, version: KeyVersion) {
    send(KeyValueTable::open(any(), any(), any()));
    send(table.insert("key", "value"));
    send(table.put("key", "value"));
    send(table.put_at("key", "value", version));
    send(table.put_all(any::<Vec<KeyPut>>()));
    send(table.remove("key"));
    send(table.remove_at("key", version));
    send(table.remove_all(any::<Vec<KeyRemoval>>()));
    send(table.get("key"));
    send(table.get_all(["key"]));
    send(table.exists("key"));
    let mut entries = any::<KeyValueItems<KeyValueEntry>>();
    send(entries.next());
    let mut watch = any::<KeyWatch>();
    send(watch.next());
}

fn revisioned_streams(stream: &RevisionedStream) {
    send(RevisionedStream::open(any(), any(), any()));
    send(stream.latest_revision());
    send(stream.oldest_revision());
    send(stream.write_at(any(), "value"));
    send(stream.write("value"));
    send(stream.entries(any()));
    send(stream.entries_between(any(), any()));
    send(stream.follow(any()));
    send(stream.mark());
    send(stream.set_mark(None, any()));
    send(stream.truncate(any()));
    let mut entries = any::<Entries>();
    send(entries.next());
}

fn states(mut state: StateSynchronizer<Sum, Numbers>) {
    send(StateSynchronizer::open(any(), any(), Numbers, any()));
    send(state.initialize(1));
    send(state.fetch());
    send(state.update(|sum, updates| updates.push(sum.0)));
    send(state.update_unconditionally(vec![1]));
    send(state.compact(|sum| Some(sum.0)));
    send(state.bytes_since_compaction());
}

fn transactions(writer: &TransactionalWriter<Utf8>, commit: &Commit) {
    let transaction = any::<fn() -> Transaction<Utf8>>;
    send(TransactionalWriter::open(any(), any(), Utf8, any()));
    send(writer.begin());
    send(writer.resume(any()));
    send(writer.status(any()));
    send(writer.completed());
    send(transaction()().write("key", "event"));
    send(transaction()().flush());
    send(transaction()().status());
    send(transaction()().commit());
    send(transaction()().commit_at(any()));
    send(transaction()().abort());
    send(transaction()().leave_open());
    send(commit.wait_until_visible(any()));
}

fn bytes(mut writer: ByteWriter, mut reader: ByteReader) {
    send(ByteWriter::open(any(), any(), any()));
    send(writer.write_bytes(any()));
    send(writer.flush());
    send(writer.seal());
    send(writer.seek_to_tail());
    send(writer.truncate(any()));
    send(writer.head_offset());
    send(writer.tail_offset());
    send(writer.write_all(b""));
    send(writer.shutdown());
    send(ByteReader::open(any(), any(), any()));
    send(reader.next_bytes());
    send(reader.head_offset());
    send(reader.tail_offset());
    send(reader.read(any()));
    send(reader.seek(any()));
}

fn index(mut writer: IndexWriter, reader: &IndexReader, mut records: IndexRecords) {
    let fields = [("time", 1)];
    send(IndexWriter::open(any(), any(), any()));
    send(writer.append(&fields, b""));
    send(writer.truncate(any()));
    send(writer.append_if(&fields, &fields, b""));
    send(writer.flush());
    send(IndexReader::open(any(), any(), any()));
    send(reader.search("time", any()));
    send(reader.first());
    send(reader.last());
    send(reader.read(any(), any()));
    send(records.next());
}

fn controller(credentials: &Credentials, endpoints: &EndpointCache, tokens: &TokenCache) {
    send_type::<std::sync::Arc<dyn Controller>>();
    send_type::<Listing<ScopedStream>>();
    send(credentials.authorization());
    send(endpoints.endpoint(any()));
    send(tokens.token(any(), any()));
}

fn store_connections(
    dialer: &StoreDialer,
    pool: &StorePool,
    client: &RawClient,
    connection: &StoreConnection,
) {
    send(dialer.connect(any()));
    send(dialer.connect_stream(any()));
    send(client.request(any(), any::<GetStreamSegmentInfo>()));
    send(client.exchange(any(), any()));
    send(client.read(any(), any::<ReadSegment>(), any()));
    send(client.connection(any()));
    send(client.close());
    send(StoreConnection::open(any::<tokio::net::TcpStream>(), any(), any()));
    send(connection.request(any::<GetStreamSegmentInfo>()));
    send(connection.request_within(any::<GetStreamSegmentInfo>(), any()));
    send(connection.exchange(any()));
    send(connection.read(any::<ReadSegment>(), any()));
    send_type::<StoreStream>();
    send(pool.connection(any()));
    send(pool.stream(any()));
    send(pool.snapshot());
    send(pool.drain());
}

fn pool<C: Connector>(pool: &Pool<C>)
where
    C::Connection: Send,
{
    send(pool.claim());
    send(pool.claim_at(any()));
    send(pool.claim_shared());
    send(pool.claim_shared_at(any()));
    send(pool.drain());
    send(pool.set_policy(any()));
    send(pool.snapshot());
    send(pool.close(any()));
    send_type::<Claim<C::Connection>>();
    send_type::<SharedClaim<C::Shared>>();
}

/// A connector for the list only.
struct Unused;

impl Connector for Unused {
    type Connection = ();
    type Shared = NotShared;

    async fn connect(&self, _: &Endpoint) -> Result<(), BoxError> {
        any()
    }

    fn share(&self, connection: ()) -> Result<NotShared, BoxError> {
        NotShared::refuse(connection)
    }
}

#[cfg(feature = "embedded")]
fn embedded(pravega: pravega_sdk::embedded::Embedded) {
    use pravega_sdk::embedded::{Embedded, EmbeddedServer};
    send(pravega_sdk::embedded());
    send(Embedded::with(any()));
    send(pravega.create_stream("shop/orders", any()));
    send(pravega.shutdown());
    send(EmbeddedServer::builder().start());
    send(any::<EmbeddedServer>().shutdown());
    send(pravega_sdk::embedded::backup("data", "copy"));
    send(pravega_sdk::embedded::salvage("data", "copy"));
}

#[test]
fn every_future_of_the_public_api_is_send() {
    let _ = (
        factory,
        event_writer,
        keyed_event_writer,
        event_reader,
        batch,
        group_readers,
        reader_groups,
        tables,
        synchronizers,
        key_value_tables,
        revisioned_streams,
        states,
        typed_tables,
        segment_attributes,
        recipes,
        groups,
        transactions,
        bytes,
        index,
    );
    let _ = (controller, store_connections, pool::<Unused>);
    #[cfg(feature = "embedded")]
    let _ = embedded;
}
