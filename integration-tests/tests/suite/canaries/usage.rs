//! What a client does with a server that lets it in.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{AccessOperation, KeyValueTableConfiguration, PageToken};
use pravega_sdk_event_stream::{
    ReaderConfig,
    codec::{Raw, Utf8},
    index::Fields,
};
use pravega_sdk_integration_tests::harness::{
    FAR,
    log::{append, open_log},
    new_scope, new_stream, scale_all, unique,
};
use pravega_sdk_table_synchronizer::Keys;
use pravega_sdk_types::{
    ReaderGroupConfiguration, Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment,
    SegmentId,
};

use super::{
    secrets::{DATA, Secrets, USER},
    story::show,
};

/// The token of an account, as it is sent.
pub(super) fn basic_token(password: &str) -> String {
    BASE64_STANDARD.encode(format!("{USER}:{password}"))
}

pub(super) async fn everything(secrets: &Secrets, client: &ClientFactory) {
    show(secrets, "a client", client);
    events(secrets, client).await;
    transactions(secrets, client).await;
    bytes(secrets, client).await;
    tables(secrets, client).await;
    states(secrets, client).await;
    groups(secrets, client).await;
    parts(secrets, client).await;
    administration(secrets, client).await;
}

pub(super) async fn events(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 2).await;
    let writer = client.event_writer(&stream, Utf8).await.unwrap();
    for key in ["a", "b", "c"] {
        writer.write(key, DATA).await.unwrap();
    }
    let ack = writer.enqueue("a", DATA).await.unwrap();
    show(secrets, "an acknowledgement", &ack);
    show(secrets, "a writer", &writer);
    ack.await.unwrap();
    // Longer than one append.
    writer.write("a", DATA.repeat(50_000)).await.unwrap();
    let config = ReaderConfig::default();
    let mut reader = client.event_reader_with(&stream, Raw, config).await.unwrap();
    for _ in 0..4 {
        reader.next().await.unwrap().unwrap();
    }
    show(secrets, "a reader", &reader);
    let batch = client.batch_client(&stream).await.unwrap();
    show(secrets, "a batch client", &batch);
    assert!(writer.close(FAR).await.into_result().is_ok());
}

async fn transactions(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 2).await;
    let writer = client.transactional_writer(&stream, Utf8).await.unwrap();
    show(secrets, "a writer of transactions", &writer);
    let mut kept = writer.begin().await.unwrap();
    kept.write("a", DATA).await.unwrap();
    show(secrets, "a transaction", &kept);
    let commit = kept.commit().await.unwrap();
    show(secrets, "a commit", &commit);
    commit.wait_until_visible(FAR).await.unwrap();
    let mut dropped = writer.begin().await.unwrap();
    dropped.write("a", DATA).await.unwrap();
    dropped.abort().await.unwrap();
}

/// The fields of a record.
struct Number(u64);

impl Fields for Number {
    fn fields(&self) -> Vec<(&'static str, u64)> {
        vec![("number", self.0)]
    }
}

async fn bytes(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 1).await;
    let mut writer = client.byte_writer(&stream).await.unwrap();
    writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    writer.flush().await.unwrap();
    writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    show(secrets, "a writer of bytes", &writer);
    let mut reader = client.byte_reader(&stream).await.unwrap();
    reader.next_bytes().await.unwrap();
    show(secrets, "a reader of bytes", &reader);
    writer.seal().await.unwrap();
    let refused = writer.write_bytes(Bytes::from(DATA)).await;
    if let Err(error) = refused {
        secrets.scanner.error("a write to a sealed stream", &error);
    }

    let stream = new_stream(client.controller(), 1).await;
    let mut writer = client.index_writer(&stream).await.unwrap();
    writer.append(&Number(1), DATA.as_bytes()).await.unwrap();
    show(secrets, "a writer of an index", &writer);
    writer.flush().await.unwrap();
    let reader = client.index_reader(&stream).await.unwrap();
    reader.last().await.unwrap().unwrap();
    show(secrets, "a reader of an index", &reader);
}

async fn new_table(client: &ClientFactory) -> ScopedKeyValueTable {
    let scope = new_scope(client.controller()).await;
    ScopedKeyValueTable::new(scope, unique("table").parse().unwrap())
}

async fn tables(secrets: &Secrets, client: &ClientFactory) {
    let name = new_table(client).await;
    let configuration = KeyValueTableConfiguration::new(2, 4);
    client.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let table = client.key_value_table(&name).await.unwrap();
    let version = table.insert("pear", DATA).await.unwrap();
    table.put("plum", DATA).await.unwrap();
    table.put_at("pear", DATA, version).await.unwrap();
    secrets.scanner.error("a late change", &table.put_at("pear", DATA, version).await.unwrap_err());
    secrets.scanner.error("a second entry", &table.insert("pear", DATA).await.unwrap_err());
    secrets.scanner.error("a long key", &table.insert("too long", DATA).await.unwrap_err());
    table.get("pear").await.unwrap().unwrap();
    let entries = table.entries(&Keys::prefix("p")).unwrap();
    show(secrets, "the entries of a table", &entries);
    assert_eq!(entries.try_collect::<Vec<_>>().await.unwrap().len(), 2);
    show(secrets, "a table", &table);

    let name = new_table(client).await;
    let mut agreed = client.table_synchronizer(&name, Utf8, Utf8).await.unwrap();
    agreed.update(|changes| changes.put("key", DATA)).await.unwrap();
    show(secrets, "a table that clients agree on", &agreed);
    let segment = client.table_segment(&name, 0.into()).await.unwrap();
    let entries: Vec<_> = segment.entries().try_collect().await.unwrap();
    assert!(!entries.is_empty());
    show(secrets, "a segment of a table", &segment);
    agreed.fetch().await.unwrap();
}

async fn states(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 1).await;
    let mut log = open_log(client, &stream).await;
    log.initialize(vec![DATA.to_owned()]).await.unwrap();
    append(&mut log, DATA).await;
    show(secrets, "a state", &log);
    let refused = log.update(|_, lines| lines.push("refused".to_owned())).await.map(|_| ());
    if let Err(error) = refused {
        secrets.scanner.error("an update that fits no state", &error);
    }
}

async fn groups(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 2).await;
    let writer = client.event_writer(&stream, Utf8).await.unwrap();
    for key in ["a", "b", "c"] {
        writer.write(key, DATA).await.unwrap();
    }
    client.controller().seal_stream(&stream).await.unwrap();
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    let configuration = ReaderGroupConfiguration::new([stream])
        .unwrap()
        .with_refresh_interval(Duration::from_millis(50))
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(100)));
    client.create_reader_group(&group, &configuration).await.unwrap();
    let handle = client.reader_group(&group).await.unwrap();
    let mut reader = client.group_reader(&group, &"one".parse().unwrap(), Utf8).await.unwrap();
    let mut count = 0;
    while let Some(item) = reader.next().await {
        count += usize::from(item.unwrap().into_event().is_some());
        show(secrets, "a reader of a group", &reader);
    }
    assert_eq!(count, 3);
    show(secrets, "a description of a group", &handle.describe().await.unwrap());
    reader.close(FAR).await.unwrap();
    show(secrets, "a group", &handle);
    handle.delete().await.unwrap();
}

/// The parts of which clients are made.
async fn parts(secrets: &Secrets, client: &ClientFactory) {
    let stream = new_stream(client.controller(), 1).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let token = client.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    assert!(!token.is_empty());
    let endpoint = client.endpoints().endpoint(&segment).await.unwrap();
    let connection = client.raw_client().connection(&endpoint).await.unwrap();
    let context = client.segment_context();
    for (what, value) in [
        ("a token", &token as &dyn std::fmt::Debug),
        ("what a token claims", &token.claims()),
        ("the tokens", client.tokens()),
        ("the endpoints", client.endpoints()),
        ("the controller", client.controller()),
        ("a connection", &connection),
        ("the pool", client.pool()),
        ("what the pool has", &client.pool().snapshot().await),
        ("the configuration", client.config()),
        ("the settings", &client.config().settings()),
        ("the context", &context),
        ("a place", &context.locate(&segment, AccessOperation::Write).await.unwrap()),
        ("attributes", &client.segment_attributes(segment.clone())),
    ] {
        show(secrets, what, value);
    }
}

async fn administration(secrets: &Secrets, client: &ClientFactory) {
    let controller = client.controller();
    controller.controllers().await.unwrap();
    let stream = new_stream(controller, 2).await;
    scale_all(controller, &stream, 3).await;
    controller.stream_configuration(&stream).await.unwrap();
    controller.head_segments(&stream).await.unwrap();
    controller.streams_page(stream.scope(), &PageToken::start()).await.unwrap();
    controller.scopes_page(&PageToken::start()).await.unwrap();
    let error = controller.delete_scope(stream.scope()).await.map(|_| ()).unwrap_err();
    secrets.scanner.error("a scope with a stream", &error);
    controller.seal_stream(&stream).await.unwrap();
    controller.delete_stream(&stream).await.unwrap();
    controller.delete_scope(stream.scope()).await.unwrap();
    let gone = controller.stream_configuration(&stream).await.unwrap_err();
    secrets.scanner.error("a stream that is gone", &gone);
    controller.scope_exists(&Scope::new("none").unwrap()).await.unwrap();
}
