//! Rights on streams, tables and reader groups, and passwords, as clients meet them.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{KeyValueTableConfiguration, TransactionState};
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupHandleConfig, GroupReader, GroupStorage},
};
use pravega_sdk_integration_tests::harness::{
    FAR,
    passwords::{self, ODD},
};
use pravega_sdk_server::{EmbeddedServer, account_line};
use pravega_sdk_table_synchronizer::Put;
use pravega_sdk_types::{
    ErrorKind, Outcome, ReaderGroupConfiguration, ScopedKeyValueTable, ScopedReaderGroup,
    ScopedStream,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    super::support::{numbers, stream, write},
    client,
};

/// Requires that a call is refused for want of a right, at the first attempt, and that it has
/// changed nothing.
macro_rules! denied {
    ($what:expr, $call:expr) => {{
        let error = match timeout(FAR, Box::pin(async { $call })).await.unwrap() {
            Ok(_) => panic!("{}: it is allowed", $what),
            Err(error) => error,
        };
        let found = (error.kind(), error.outcome(), error.is_retryable());
        let expected = (ErrorKind::PermissionDenied, Outcome::NotApplied, false);
        assert_eq!(found, expected, "{}: {error} {error:?}", $what);
        assert!(error.attempts() <= 1, "{}: {error} {error:?}", $what);
    }};
}

/// A server with some accounts and their rules, and the client of one that may do everything.
async fn start(accounts: &[(&str, &str)]) -> (EmbeddedServer, ClientFactory) {
    let builder = EmbeddedServer::builder().with_account("full", "pw");
    let builder = accounts
        .iter()
        .fold(builder, |builder, (user, rules)| builder.with_limited_account(user, "pw", rules));
    let server = builder.start().await.unwrap();
    let full = client(&server, "full").await;
    (server, full)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_on_a_table_opens_that_table_and_only_the_right_to_change_writes_it() {
    let (server, full) = start(&[
        ("writer", "prn::/scope:scope/key-value-table:table,READ_UPDATE"),
        ("reader", "prn::/scope:scope/key-value-table:table,READ"),
        (
            "neighbour",
            "prn::/scope:scope/key-value-table:tables,READ_UPDATE;\
             prn::/scope:scope/stream:table,READ_UPDATE;\
             prn::/scope:scope/reader-group:table,READ_UPDATE;prn::/scope:scope,READ_UPDATE",
        ),
    ])
    .await;
    full.controller().create_scope(&"scope".parse().unwrap()).await.unwrap();
    let name: ScopedKeyValueTable = "scope/table".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(2, 4);
    full.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let of_full = full.key_value_table(&name).await.unwrap();
    of_full.put("pear", "1").await.unwrap();

    let writer = client(&server, "writer").await;
    let table = writer.key_value_table(&name).await.unwrap();
    let version = table.put("plum", "2").await.unwrap();
    assert_eq!(table.get("plum").await.unwrap().unwrap().version, version);
    table.remove_at("plum", version).await.unwrap();
    table.put("pear", "3").await.unwrap();

    // The controller names the partitions of a table only to those who may change it, as in Java.
    let reader = client(&server, "reader").await;
    let found = reader.controller().key_value_table_configuration(&name).await.unwrap();
    assert_eq!(found, configuration);
    denied!("a reader's table", reader.key_value_table(&name).await);
    denied!("a reader's deletion", reader.controller().delete_key_value_table(&name).await);
    for (user, segment) in [("reader", 0), ("neighbour", 0), ("neighbour", 1)] {
        let client = client(&server, user).await;
        match client.table_segment(&name, segment.into()).await {
            Ok(part) => {
                denied!("a partition's entry", part.put([Put::new("pear", "no")]).await);
            }
            refused => denied!("a partition", refused),
        }
    }
    let neighbour = client(&server, "neighbour").await;
    denied!("a neighbour's table", neighbour.key_value_table(&name).await);
    let asked = neighbour.controller().key_value_table_configuration(&name).await;
    denied!("a neighbour's look", asked);
    for user in ["reader", "neighbour"] {
        let client = client(&server, user).await;
        denied!("agreed entries", client.table_synchronizer(&name, Utf8, Utf8).await);
    }
    let entry = of_full.get("pear").await.unwrap().unwrap();
    assert_eq!(&entry.value[..], b"3");

    // Clients that agree on the entries of a table create it by themselves.
    let name: ScopedKeyValueTable = "scope/tables".parse().unwrap();
    let mut agreed = neighbour.table_synchronizer(&name, Utf8, Utf8).await.unwrap();
    agreed.update(|changes| changes.put("key", "value")).await.unwrap();
    denied!("another's agreed entries", writer.table_synchronizer(&name, Utf8, Utf8).await);
}

/// Reads as many events as a stream has.
async fn read(reader: &mut GroupReader<Utf8>, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let item = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
        numbers.extend(item.into_event().map(|event| event.event().parse::<u32>().unwrap()));
    }
    numbers.sort_unstable();
    numbers
}

const READS_STREAM: &str = "prn::/scope:scope/stream:stream,READ";
const IN_GROUP: &str = "prn::/scope:scope,READ;prn::/scope:scope/reader-group:group,READ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_needs_the_right_to_read_its_group_and_the_streams_of_that() {
    let (server, full) = start(&[
        ("member", &format!("{IN_GROUP};{READS_STREAM}")),
        ("blind", IN_GROUP),
        (
            "outsider",
            &format!(
                "prn::/scope:scope,READ;{READS_STREAM};\
                 prn::/scope:scope/reader-group:groups,READ_UPDATE;\
                 prn::/scope:scope/stream:group,READ_UPDATE"
            ),
        ),
        ("of_group", &format!("prn::/scope:scope/reader-group:group,READ;{READS_STREAM}")),
    ])
    .await;
    let stream = stream(&full, 2).await;
    write(&full, &stream, 0..10).await;
    let group: ScopedReaderGroup = "scope/group".parse().unwrap();
    for storage in [GroupStorage::Stream, GroupStorage::Table] {
        let configuration = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
        let config = || GroupHandleConfig::default().with_storage(storage);
        let without_scope = client(&server, "of_group").await;
        denied!(
            "a group in a scope of others",
            without_scope.create_reader_group_with(&group, &configuration, config()).await
        );
        let member = client(&server, "member").await;
        let created = member.create_reader_group_with(&group, &configuration, config()).await;
        let (handle, _) = created.unwrap();
        let id = "one".parse().unwrap();
        let mut reader = member.group_reader(&group, &id, Utf8).await.unwrap();
        assert_eq!(read(&mut reader, 10).await, (0..10).collect::<Vec<_>>(), "{storage:?}");
        assert_eq!(handle.online_readers().await.unwrap().len(), 1);

        let outsider = client(&server, "outsider").await;
        let id = "two".parse().unwrap();
        denied!("a reader", outsider.group_reader(&group, &id, Utf8).await);
        denied!("a handle", outsider.reader_group(&group).await);
        assert_eq!(handle.online_readers().await.unwrap().len(), 1, "nothing was written");
        reader.close(FAR).await.unwrap();

        // It joins, and can read no segment.
        let blind = client(&server, "blind").await;
        let mut reader = blind.group_reader(&group, &id, Utf8).await.unwrap();
        let refused = loop {
            match timeout(FAR, reader.next()).await.unwrap().unwrap() {
                Ok(item) => assert!(item.into_event().is_none(), "it reads"),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert!(!refused.is_retryable(), "{refused}");
        reader.close(FAR).await.ok();
        drop(handle);
        member.delete_reader_group(&group).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_need_the_right_to_change_their_stream() {
    let (server, full) = start(&[
        ("writer", "prn::/scope:scope/stream:stream,READ_UPDATE"),
        ("reader", READS_STREAM),
        (
            "neighbour",
            "prn::/scope:scope,READ_UPDATE;prn::/scope:scope/*:streams,READ_UPDATE;\
             prn::/scope:scope/key-value-table:stream,READ_UPDATE",
        ),
    ])
    .await;
    let stream = stream(&full, 2).await;
    let writer = client(&server, "writer").await;
    let transactions = writer.transactional_writer(&stream, Utf8).await.unwrap();
    let mut open = transactions.begin().await.unwrap();
    open.write("key", "1").await.unwrap();
    open.flush().await.unwrap();

    let lease = Duration::from_secs(20);
    for user in ["reader", "neighbour"] {
        let client = client(&server, user).await;
        let controller = client.controller();
        denied!(user, controller.create_transaction(&stream, lease).await);
        denied!(user, controller.ping_transaction(&stream, open.id(), lease).await);
        denied!(user, controller.commit_transaction(&stream, open.id(), None).await);
        denied!(user, controller.abort_transaction(&stream, open.id()).await);
        match client.transactional_writer(&stream, Utf8).await {
            Ok(writer) => denied!(user, writer.begin().await),
            refused => denied!(user, refused),
        }
    }
    // Those who may read see how it is, and can neither write to it nor end it.
    let reader = client(&server, "reader").await.transactional_writer(&stream, Utf8).await.unwrap();
    assert_eq!(reader.status(open.id()).await.unwrap(), TransactionState::Open);
    match reader.resume(open.id()).await {
        Ok(mut resumed) => {
            denied!("a transaction of others", {
                match resumed.write("key", "no").await {
                    Ok(()) => resumed.flush().await,
                    refused => refused,
                }
            });
            // Its end, which it may not cause either, would be tried when it is dropped.
            resumed.leave_open().await.ok();
        }
        refused => denied!("a transaction of others", refused),
    }
    let neighbour = client(&server, "neighbour").await;
    denied!("a look", neighbour.controller().transaction_state(&stream, open.id()).await);
    open.commit().await.unwrap().wait_until_visible(FAR).await.unwrap();
    assert_eq!(numbers(&full, &stream).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_may_read_a_stream_of_entries_or_bytes_cannot_change_it() {
    let (server, full) = start(&[
        ("writer", "prn::/scope:scope/stream:stream,READ_UPDATE"),
        ("reader", READS_STREAM),
        ("neighbour", "prn::/scope:scope,READ_UPDATE;prn::/scope:scope/*:streams,READ_UPDATE"),
    ])
    .await;
    let stream = stream(&full, 1).await;
    let writer = client(&server, "writer").await.revisioned_stream(&stream).await.unwrap();
    let oldest = writer.oldest_revision().await.unwrap();
    let first = writer.write_at(&oldest, "first").await.unwrap();
    writer.write("second").await.unwrap();
    writer.set_mark(None, Some(&first)).await.unwrap();

    let of_reader = client(&server, "reader").await;
    let reader = of_reader.revisioned_stream(&stream).await.unwrap();
    let entries = || async {
        let entries = reader.entries(&oldest).await.unwrap();
        let entries: Vec<_> = entries.try_collect().await.unwrap();
        entries.into_iter().map(|entry| entry.value).collect::<Vec<_>>()
    };
    assert_eq!(entries().await, ["first", "second"]);
    assert_eq!(reader.mark().await.unwrap(), Some(first.clone()));
    let latest = reader.latest_revision().await.unwrap();
    denied!("an entry", reader.write("no").await);
    denied!("an entry at a revision", reader.write_at(&latest, "no").await);
    denied!("a mark", reader.set_mark(Some(&first), Some(&latest)).await);
    denied!("a truncation", reader.truncate(&latest).await);
    assert_eq!(entries().await, ["first", "second"]);
    let of_neighbour = client(&server, "neighbour").await;
    denied!("a neighbour", of_neighbour.revisioned_stream(&stream).await);

    let bytes: ScopedStream = "scope/streams".parse().unwrap();
    of_neighbour.controller().create_stream(&bytes, &Default::default()).await.unwrap();
    let mut writer = of_neighbour.byte_writer(&bytes).await.unwrap();
    writer.write_all(b"some bytes").await.unwrap();
    writer.flush().await.unwrap();
    let mut found = [0; 10];
    of_neighbour.byte_reader(&bytes).await.unwrap().read_exact(&mut found).await.unwrap();
    assert_eq!(&found, b"some bytes");
    denied!("a reader of bytes", of_reader.byte_reader(&bytes).await);
    denied!("a writer of bytes", of_reader.byte_writer(&bytes).await);
    match of_reader.byte_writer(&stream).await {
        Ok(mut writer) => {
            denied!("bytes", {
                writer.write_bytes("no".into()).await?;
                writer.flush().await
            });
        }
        refused => denied!("bytes", refused),
    }
}

#[tokio::test]
async fn a_password_may_have_any_characters() {
    let rules = "prn::*,READ";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts");
    std::fs::write(&file, account_line("odd", ODD, rules)).unwrap();
    for builder in [
        EmbeddedServer::builder().with_limited_account("odd", ODD, rules),
        EmbeddedServer::builder().with_accounts_file(&file),
    ] {
        let server = builder.start().await.unwrap();
        let config = ClientConfig::from_url(&server.url()).unwrap();
        passwords::a_password_may_have_any_characters(config).await;
    }
}
