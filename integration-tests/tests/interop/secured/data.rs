//! Events, transactions and bytes on a server with TLS, with accounts, or with both.

use std::time::Duration;

use pravega_sdk_event_stream::{ReaderConfig, StreamPosition, TransactionConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{admin, new_stream};

#[tokio::test]
async fn what_a_writer_writes_is_read() {
    let factory = admin();
    let stream = new_stream(&factory).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let first = writer.write("k", "first").await.unwrap();
    writer.write("k", "x".repeat(1 << 20)).await.unwrap();
    let found = harness::read_all(&factory, &stream).await;
    assert_eq!((Some(found[0].offset()), &found[0].event()[..]), (first.offset(), &b"first"[..]));
    assert_eq!((found.len(), found[1].event().len()), (2, 1 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_bytes_and_reading_at_the_tail_work() {
    let factory = admin();
    let stream = new_stream(&factory).await;
    let config = ReaderConfig::default().with_start(StreamPosition::Tail);
    let mut reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
    let config = TransactionConfig::default().with_lease(Duration::from_secs(30));
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let mut transaction = writer.begin().await.unwrap();
    transaction.write("k", "event").await.unwrap();
    transaction.commit().await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(60), reader.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(event.event(), "event");

    let stream = new_stream(&factory).await;
    let mut bytes = factory.byte_writer(&stream).await.unwrap();
    bytes.write_all(b"some bytes").await.unwrap();
    bytes.flush().await.unwrap();
    let mut found = [0; 10];
    factory.byte_reader(&stream).await.unwrap().read_exact(&mut found).await.unwrap();
    assert_eq!(&found, b"some bytes");
    bytes.truncate(5.into()).await.unwrap();
    bytes.seal().await.unwrap();
}
