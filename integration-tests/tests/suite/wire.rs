//! Wire compatibility: every request of the protocol sent to a segment store, and every reply that
//! it can give provoked and decoded.
//!
//! `every_request_is_sent_and_every_reply_is_seen` runs last of all scenarios and holds the list of
//! what was seen against the protocol's table. What a standalone server cannot be brought to say is
//! listed there with the reason.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_integration_tests::harness::{
    eventually, factory, is_embedded, new_stream, unique,
};
use pravega_sdk_segment_client::{StoreConfig, StoreConnection, StoreDialer};
use pravega_sdk_types::{Endpoint, ErrorKind, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{
    AttributeUpdate, IterationArgs, Request, TableEntry, TableKey, TableValue, WireCommand,
    commands::*, event::Event,
};
use uuid::Uuid;

/// What was sent and what came back, over all scenarios.
static SEEN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

fn see(name: &'static str) {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
}

/// A connection that keeps a list of what goes over it.
struct Store {
    connection: StoreConnection,
}

impl Store {
    async fn connect() -> Self {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), 1).await;
        let segment = ScopedSegment::new(&stream, SegmentId::from(0));
        let endpoint = factory.controller().segment_endpoint(&segment).await.unwrap();
        Self::to(&endpoint).await
    }

    async fn to(endpoint: &Endpoint) -> Self {
        Self::within(endpoint, Duration::from_secs(30)).await
    }

    async fn within(endpoint: &Endpoint, limit: Duration) -> Self {
        let config = StoreConfig::default().with_request_timeout(limit);
        let connection = StoreDialer::new(config).connect(endpoint).await.unwrap();
        see("Hello");
        Self { connection }
    }

    /// Sends a request that must succeed.
    async fn ask<Q: Request>(&self, request: Q) -> Q::Reply {
        see(Q::NAME);
        let reply = self
            .connection
            .request(request)
            .await
            .unwrap_or_else(|error| panic!("{error}: {:?}", error.reply()));
        see(<Q::Reply as pravega_sdk_wire_protocol::Command>::NAME);
        reply
    }

    /// Sends a request that must be refused, and gives the reply.
    async fn refused<Q: Request>(&self, request: Q) -> WireCommand {
        see(Q::NAME);
        let error = match self.connection.request(request).await {
            Ok(reply) => panic!("{} succeeded: {reply:?}", Q::NAME),
            Err(error) => error,
        };
        let reply =
            error.reply().unwrap_or_else(|| panic!("{}: no reply but {error:?}", Q::NAME)).clone();
        see(reply.name());
        reply
    }

    /// Sends a command as it is and waits for the reply with its id.
    async fn exchange(&self, command: impl Into<WireCommand>) -> WireCommand {
        let command = command.into();
        see(command.name());
        let reply = self.connection.exchange(command).await.unwrap();
        see(reply.name());
        reply
    }

    fn send(&self, command: impl Into<WireCommand>) {
        let command = command.into();
        see(command.name());
        self.connection.send(command).unwrap();
    }

    async fn new_segment(&self) -> String {
        let name = format!("{}/stream/0.#epoch.0", unique("wire"));
        self.ask(create(&name)).await;
        name
    }

    async fn new_table(&self, key_length: i32) -> String {
        let name = format!("{}/table_kvtable/0.#epoch.0", unique("wire"));
        self.ask(create_table(&name, key_length)).await;
        name
    }

    async fn set_up(&self, segment: &str) -> Uuid {
        let writer_id = Uuid::new_v4();
        assert_eq!(self.ask(setup(segment, writer_id)).await.last_event_number, i64::MIN);
        writer_id
    }

    /// A reply may hold less than was asked for: as much as is at hand in one piece.
    async fn read_all(&self, segment: &str, len: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < len {
            let more = self.ask(read(segment, data.len() as i64)).await.data;
            assert!(!more.is_empty(), "the segment ends after {} bytes", data.len());
            data.extend_from_slice(&more);
        }
        data
    }

    async fn append(&self, writer_id: Uuid, number: i64, data: &'static [u8]) -> WireCommand {
        self.exchange(append(self.connection.next_id(), writer_id, number, data)).await
    }
}

fn no_token() -> bytestring::ByteString {
    "".into()
}

fn create(segment: &str) -> CreateSegment {
    CreateSegment {
        request_id: 0,
        segment: segment.into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: no_token(),
        rollover_size_bytes: 0,
    }
}

fn create_table(segment: &str, key_length: i32) -> CreateTableSegment {
    CreateTableSegment {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        sorted_deprecated: false,
        key_length,
        rollover_size_bytes: 0,
    }
}

fn setup(segment: &str, writer_id: Uuid) -> SetupAppend {
    SetupAppend { request_id: 0, writer_id, segment: segment.into(), delegation_token: no_token() }
}

fn append(request_id: i64, writer_id: Uuid, number: i64, data: &'static [u8]) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data: Bytes::from_static(data),
        num_events: 1,
        last_event_number: number,
        request_id,
    }
}

fn read(segment: &str, offset: i64) -> ReadSegment {
    ReadSegment {
        segment: segment.into(),
        offset,
        suggested_length: 1024,
        delegation_token: no_token(),
        request_id: 0,
    }
}

fn info(segment: &str) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.into(),
        delegation_token: no_token(),
    }
}

fn seal(segment: &str) -> SealSegment {
    SealSegment { request_id: 0, segment: segment.into(), delegation_token: no_token() }
}

fn delete(segment: &str) -> DeleteSegment {
    DeleteSegment { request_id: 0, segment: segment.into(), delegation_token: no_token() }
}

fn truncate(segment: &str, truncation_offset: i64) -> TruncateSegment {
    TruncateSegment {
        request_id: 0,
        segment: segment.into(),
        truncation_offset,
        delegation_token: no_token(),
    }
}

fn merge(target: &str, source: &str) -> MergeSegments {
    MergeSegments {
        request_id: 0,
        target: target.into(),
        source: source.into(),
        delegation_token: no_token(),
        attribute_updates: vec![],
    }
}

fn entry(key: &'static [u8], value: &'static [u8], key_version: i64) -> TableEntry {
    TableEntry {
        key: TableKey { data: Bytes::from_static(key), key_version },
        value: TableValue { data: Bytes::from_static(value) },
    }
}

fn update(segment: &str, table_entries: Vec<TableEntry>) -> UpdateTableEntries {
    UpdateTableEntries {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        table_entries,
        table_segment_offset: -1,
    }
}

fn remove(segment: &str, key: &'static [u8], key_version: i64) -> RemoveTableKeys {
    RemoveTableKeys {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        keys: vec![TableKey { data: Bytes::from_static(key), key_version }],
        table_segment_offset: -1,
    }
}

fn delta(segment: &str) -> ReadTableEntriesDelta {
    ReadTableEntriesDelta {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        from_position: 0,
        suggested_entry_count: 10,
    }
}

async fn segments(store: &Store) {
    let segment = store.new_segment().await;
    assert!(matches!(store.refused(create(&segment)).await, WireCommand::SegmentAlreadyExists(_)));
    let writer = store.set_up(&segment).await;
    assert!(matches!(store.append(writer, 1, b"0123456789").await, WireCommand::DataAppended(_)));
    let answer = store.ask(info(&segment)).await;
    assert_eq!((answer.write_offset, answer.start_offset, answer.is_sealed), (10, 0, false));
    let policy = UpdateSegmentPolicy {
        request_id: 0,
        segment: segment.as_str().into(),
        target_rate: 10,
        scale_type: 1,
        delegation_token: no_token(),
    };
    store.ask(policy).await;

    store.ask(truncate(&segment, 4)).await;
    match store.refused(truncate(&segment, 2)).await {
        WireCommand::SegmentIsTruncated(truncated) => {
            assert_eq!((truncated.start_offset, truncated.offset), (4, 2))
        }
        other => panic!("{other:?}"),
    }
    match store.refused(read(&segment, 0)).await {
        WireCommand::SegmentIsTruncated(truncated) => {
            assert_eq!((truncated.start_offset, truncated.offset), (4, 0))
        }
        other => panic!("{other:?}"),
    }
    let answer = store.ask(read(&segment, 4)).await;
    assert_eq!(answer.offset, 4);
    assert!(b"456789".starts_with(&answer.data) && !answer.data.is_empty(), "{:?}", answer.data);

    store.ask(seal(&segment)).await;
    assert!(matches!(store.refused(seal(&segment)).await, WireCommand::SegmentIsSealed(_)));
    let end = store.ask(read(&segment, 10)).await;
    assert!(end.end_of_segment && end.data.is_empty());
    store.ask(delete(&segment)).await;
    assert!(matches!(store.refused(delete(&segment)).await, WireCommand::NoSuchSegment(_)));
    assert!(matches!(store.refused(info(&segment)).await, WireCommand::NoSuchSegment(_)));
}

async fn merges(store: &Store) {
    let (target, source) = (store.new_segment().await, store.new_segment().await);
    let writer = store.set_up(&source).await;
    store.append(writer, 1, b"abc").await;
    let counter = Uuid::new_v4();
    let unmatched = AttributeUpdate {
        attribute_id: counter,
        attribute_update_type: 4,
        new_value: 2,
        old_value: 1,
    };
    let conditional =
        MergeSegments { attribute_updates: vec![unmatched], ..merge(&target, &source) };
    assert!(matches!(
        store.refused(conditional).await,
        WireCommand::SegmentAttributeUpdated(SegmentAttributeUpdated { success: false, .. })
    ));
    assert_eq!(store.ask(merge(&target, &source)).await.new_target_write_offset, 3);
    assert!(matches!(
        store.refused(merge(&target, "nowhere/stream/0.#epoch.0")).await,
        WireCommand::NoSuchSegment(_)
    ));

    let sources = [store.new_segment().await, store.new_segment().await];
    for (source, data) in sources.iter().zip([&b"de"[..], b"fgh"]) {
        let writer = store.set_up(source).await;
        store.append(writer, 1, data).await;
    }
    let batch = MergeSegmentsBatch {
        request_id: 0,
        target_segment_id: target.as_str().into(),
        source_segment_ids: sources.iter().map(|source| source.as_str().into()).collect(),
        delegation_token: no_token(),
    };
    let merged = store.ask(batch).await.merged;
    assert_eq!(merged.iter().map(|part| part.new_target_write_offset).collect::<Vec<_>>(), [5, 8]);
    assert_eq!(store.read_all(&target, 8).await, b"abcdefgh");
}

async fn appends(store: &Store) {
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    // Whole block, block with padding, block with a split event, and an end by itself.
    let whole = AppendBlock { writer_id, data: Bytes::from_static(b"whole") };
    store.send(whole);
    let end = AppendBlockEnd {
        size_of_whole_events: 5,
        ..append(store.connection.next_id(), writer_id, 1, b"")
    };
    assert!(matches!(store.exchange(end).await, WireCommand::DataAppended(_)));
    for (nested, rest, number) in [
        (WireCommand::from(Padding { length: 4 }), &b""[..], 2),
        (PartialEvent { data: Bytes::from_static(b"par") }.into(), b"tial", 3),
    ] {
        see(nested.name());
        let mut frame = pravega_sdk_wire_protocol::SendBuffer::new();
        nested.encode(&mut frame).unwrap();
        store
            .send(AppendBlock { writer_id, data: [b"x".to_vec(), frame.to_vec()].concat().into() });
        let end = AppendBlockEnd {
            size_of_whole_events: 1,
            ..append(store.connection.next_id(), writer_id, number, rest)
        };
        match store.exchange(end).await {
            WireCommand::DataAppended(appended) => assert_eq!(appended.event_number, number),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.read_all(&segment, 14).await, b"wholexxpartial");

    let conditional = |event_number, expected_offset| ConditionalAppend {
        writer_id,
        event_number,
        expected_offset,
        event: Event { data: Bytes::from_static(b"event") },
        request_id: 0,
    };
    assert!(matches!(
        store.refused(conditional(4, 3)).await,
        WireCommand::ConditionalCheckFailed(_)
    ));
    assert_eq!(store.ask(conditional(5, 14)).await.current_segment_write_offset, 14 + 13);
    let block = ConditionalBlockEnd {
        writer_id,
        event_number: 6,
        expected_offset: 27,
        data: Bytes::from_static(b"raw"),
        request_id: 0,
    };
    assert_eq!(store.ask(block).await.current_segment_write_offset, 30);

    // What was stored is found again by the writer's id.
    let again = store.ask(setup(&segment, writer_id)).await;
    assert_eq!(again.last_event_number, 6);
    let attribute = GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id: writer_id,
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(attribute).await.value, 6);

    store.ask(seal(&segment)).await;
    match store.append(writer_id, 7, b"late").await {
        WireCommand::SegmentIsSealed(sealed) => {
            assert_eq!(sealed.offset, 7, "the event number stands there")
        }
        other => panic!("{other:?}"),
    }
    let nowhere = store.refused(setup("nowhere/stream/0.#epoch.0", Uuid::new_v4())).await;
    assert!(matches!(nowhere, WireCommand::NoSuchSegment(NoSuchSegment { offset: -1, .. })));
}

/// Two connections with one writer id: the one that was overtaken is told, and closed.
async fn event_numbers(store: &Store) {
    let segment = store.new_segment().await;
    let other = Store::to(store.connection.endpoint()).await;
    let writer_id = store.set_up(&segment).await;
    store.append(writer_id, 1, b"a").await;
    other.ask(setup(&segment, writer_id)).await;
    other.append(writer_id, 5, b"b").await;
    match store.append(writer_id, 6, b"c").await {
        WireCommand::InvalidEventNumber(invalid) => assert_eq!(invalid.event_number, 6),
        other => panic!("{other:?}"),
    }
    // A number that goes back closes the connection without a word.
    let backwards =
        other.connection.exchange(append(77, writer_id, 2, b"d").into()).await.unwrap_err();
    assert_eq!(backwards.kind(), ErrorKind::ConnectionLost);
}

async fn transient_segments(store: &Store) {
    let parent = store.new_segment().await;
    let writer_id = Uuid::new_v4();
    let request = CreateTransientSegment {
        request_id: 0,
        writer_id,
        parent_segment: parent.as_str().into(),
        delegation_token: no_token(),
    };
    let transient = store.ask(request).await.segment.to_string();
    assert!(pravega_sdk_types::segment_name::is_transient(&transient), "{transient}");
    assert_eq!(pravega_sdk_types::segment_name::parent(&transient), Some(parent.as_str()));
    store.ask(setup(&transient, writer_id)).await;
    let block = ConditionalBlockEnd {
        writer_id,
        event_number: 0,
        expected_offset: 0,
        data: Bytes::from(vec![7; 1 << 20]),
        request_id: 0,
    };
    assert_eq!(store.ask(block).await.current_segment_write_offset, 1 << 20);
    assert_eq!(store.ask(merge(&parent, &transient)).await.new_target_write_offset, 1 << 20);
}

async fn tail_reads(store: &Store) {
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    let (waited, appended) = tokio::join!(store.ask(read(&segment, 0)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.append(writer_id, 1, b"news").await
    });
    assert!(matches!(appended, WireCommand::DataAppended(_)));
    assert_eq!((waited.at_tail, &waited.data[..]), (true, &b"news"[..]));
    let (sealed, _) = tokio::join!(store.refused(read(&segment, 4)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.ask(seal(&segment)).await
    });
    assert!(matches!(sealed, WireCommand::SegmentIsSealed(SegmentIsSealed { offset: 4, .. })));
    let missing = store.refused(read("nowhere/stream/0.#epoch.0", 9)).await;
    assert!(matches!(missing, WireCommand::NoSuchSegment(NoSuchSegment { offset: 9, .. })));
}

async fn attributes(store: &Store) {
    let segment = store.new_segment().await;
    let attribute_id = Uuid::new_v4();
    let get = || GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id,
        delegation_token: no_token(),
    };
    let set = |new_value, expected_value| UpdateSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id,
        new_value,
        expected_value,
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(get()).await.value, i64::MIN);
    assert!(store.ask(set(7, i64::MIN)).await.success);
    assert!(!store.ask(set(8, 6)).await.success);
    assert_eq!(store.ask(get()).await.value, 7);
}

async fn hash_tables(store: &Store) {
    let table = store.new_table(0).await;
    let (none, absent) = (TableKey::NO_VERSION, TableKey::NOT_EXISTS);
    let versions =
        store.ask(update(&table, vec![entry(b"a", b"1", none), entry(b"bb", b"", absent)])).await;
    assert_eq!(versions.updated_versions.len(), 2);
    let bad = store.refused(update(&table, vec![entry(b"a", b"2", absent)])).await;
    assert!(matches!(bad, WireCommand::TableKeyBadVersion(_)));
    let missing = store.refused(update(&table, vec![entry(b"zz", b"2", 5)])).await;
    assert!(matches!(missing, WireCommand::TableKeyDoesNotExist(_)));

    let keys = [&b"a"[..], b"nope"].map(|key| TableKey { data: key.into(), key_version: none });
    let found = store
        .ask(ReadTable {
            request_id: 0,
            segment: table.as_str().into(),
            delegation_token: no_token(),
            keys: keys.to_vec(),
        })
        .await;
    assert_eq!(found.entries[0].value.data, "1");
    assert_eq!(found.entries[1].key.key_version, TableKey::NOT_EXISTS);

    let page = |continuation_token| ReadTableKeys {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_key_count: 10,
        args: IterationArgs { continuation_token, ..IterationArgs::default() },
    };
    let first = store.ask(page(Bytes::new())).await;
    assert_eq!(first.keys.len(), 2);
    assert!(store.ask(page(first.continuation_token)).await.keys.is_empty());
    let entries = ReadTableEntries {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_entry_count: 10,
        args: IterationArgs::default(),
    };
    assert_eq!(store.ask(entries).await.entries.len(), 2);
    let delta = store.ask(delta(&table)).await;
    assert!(delta.reached_end && delta.entries.len() == 2);

    let size = GetTableSegmentInfo {
        request_id: 0,
        segment_name: table.as_str().into(),
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(size).await.key_length, 0);
    let drop_table = |must_be_empty| DeleteTableSegment {
        request_id: 0,
        segment: table.as_str().into(),
        must_be_empty,
        delegation_token: no_token(),
    };
    assert!(matches!(store.refused(drop_table(true)).await, WireCommand::TableSegmentNotEmpty(_)));
    store.ask(remove(&table, b"a", none)).await;
    store.ask(drop_table(false)).await;
    assert!(matches!(store.refused(drop_table(false)).await, WireCommand::NoSuchSegment(_)));
}

async fn fixed_key_tables(store: &Store) {
    let table = store.new_table(2).await;
    let none = TableKey::NO_VERSION;
    store.ask(update(&table, vec![entry(b"aa", b"1", none), entry(b"bb", b"2", none)])).await;
    let wrong_length = store.refused(update(&table, vec![entry(b"a", b"1", none)])).await;
    assert!(matches!(wrong_length, WireCommand::ErrorMessage(_)));
    let range = ReadTableEntries {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_entry_count: 10,
        args: IterationArgs {
            from_key: Bytes::from_static(b"ab"),
            to_key: Bytes::from_static(b"zz"),
            ..IterationArgs::default()
        },
    };
    let found = store.ask(range).await.entries;
    assert_eq!(found.iter().map(|entry| &entry.key.data[..]).collect::<Vec<_>>(), [b"bb"]);
    assert!(matches!(store.refused(delta(&table)).await, WireCommand::OperationUnsupported(_)));
}

async fn administration() {
    let admin: Endpoint = match std::env::var("PRAVEGA_TEST_ADMIN") {
        Ok(admin) => admin.parse().unwrap(),
        Err(_) => panic!(
            "run these tests with `cargo xtask interop`, which starts a server with an admin port"
        ),
    };
    let store = Store::connect().await;
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    store.append(writer_id, 1, b"in storage").await;
    let admin_store = Store::within(&admin, FLUSH_LIMIT).await;
    for container_id in 0..CONTAINERS {
        admin_store
            .ask(FlushToStorage { container_id, delegation_token: no_token(), request_id: 0 })
            .await;
    }
    // The server answers before its storage knows the segment, and until then fails and closes the
    // connection.
    let listed = Mutex::new(None);
    eventually("the pieces of the segment are known", async || {
        let store = Store::to(&admin).await;
        let chunks = ListStorageChunks {
            segment: segment.as_str().into(),
            delegation_token: no_token(),
            request_id: 0,
        };
        see("ListStorageChunks");
        match store.connection.request(chunks).await {
            Ok(reply) => {
                see("StorageChunksListed");
                *listed.lock().unwrap() = Some(reply);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
                false
            }
        }
    })
    .await;
    let listed = listed.into_inner().unwrap().unwrap();
    // How far the server has come with writing them is its own business.
    for chunk in &listed.chunks {
        assert!(
            !chunk.chunk_name.is_empty() && (0..=10).contains(&chunk.length_in_metadata),
            "{chunk:?}"
        );
    }
}

/// Of a standalone server.
const CONTAINERS: i32 = 4;
/// A server that has just made a thousand segments has all of them to write.
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// A command that only the admin port serves, or none at all, closes the connection.
async fn violations() {
    for command in [
        WireCommand::from(FlushToStorage {
            container_id: 0,
            delegation_token: no_token(),
            request_id: 1,
        }),
        append(1, Uuid::new_v4(), 1, b"no set-up").into(),
        SegmentSealed { request_id: 1, segment: "a reply".into() }.into(),
    ] {
        let store = Store::connect().await;
        let error = store.connection.exchange(command).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    }
}

/// What this server cannot be brought to say, and where it is provoked instead.
const NOT_HERE: &[(&str, &str)] = &[
    ("WrongHost", "needs two segment stores: the cluster suite provokes it"),
    ("AuthTokenCheckFailed", "needs authorization: the secured suite provokes it"),
];

/// What the embedded server does not say either.
const NOT_EMBEDDED: &[(&str, &str)] = &[
    ("FlushToStorage", "it has no port for administration"),
    ("StorageFlushed", "it has no port for administration"),
    ("ListStorageChunks", "it has no port for administration"),
    ("StorageChunksListed", "it has no long-term storage"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_sent_and_every_reply_is_seen() {
    let store = Store::connect().await;
    store.send(KeepAlive {});
    segments(&store).await;
    merges(&store).await;
    appends(&Store::connect().await).await;
    event_numbers(&Store::connect().await).await;
    transient_segments(&store).await;
    tail_reads(&store).await;
    attributes(&store).await;
    hash_tables(&store).await;
    fixed_key_tables(&store).await;
    if !is_embedded() {
        administration().await;
    }
    violations().await;

    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let expected: BTreeSet<&str> = WireCommand::NAMES.iter().copied().collect();
    let exceptions = || NOT_HERE.iter().chain(if is_embedded() { NOT_EMBEDDED } else { &[] });
    let missing: Vec<&&str> = expected
        .iter()
        .filter(|name| !seen.contains(**name) && !exceptions().any(|(known, _)| known == *name))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    assert!(
        exceptions().all(|(name, _)| !seen.contains(name)),
        "the list of exceptions is out of date"
    );
    assert_eq!(expected.len(), 67, "and Event, which stands inside others, makes 68");
    assert!(store.connection.end().is_none());
}
