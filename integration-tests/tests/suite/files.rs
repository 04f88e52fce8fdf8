//! A real file through every kind of stream of a real server: the data read is the data written.

use std::time::{Duration, Instant};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    EventWriter, ReadUntil, ReaderConfig, StreamPosition, TransactionConfig, TransactionalWriter,
    codec::Utf8,
};
use pravega_sdk_integration_tests::harness::{
    factory,
    lines::{Line, as_file, by_key, megabytes, real_lines},
    new_stream, scale_all,
};
use pravega_sdk_types::ScopedStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn write(writer: &EventWriter<Utf8>, lines: &[Line]) {
    for line in lines {
        drop(writer.enqueue(&line.key, line.text.as_str()).await.unwrap());
    }
    writer.flush().await.unwrap();
}

async fn read(
    factory: &ClientFactory,
    stream: &ScopedStream,
    count: usize,
    end: ReadUntil,
) -> Vec<String> {
    let config = ReaderConfig::default().with_start(StreamPosition::Head).with_end(end);
    let mut reader = factory.event_reader_with(stream, Utf8, config).await.unwrap();
    let mut texts = Vec::new();
    while let Some(batch) = reader.next_batch(1000).await {
        texts.extend(batch.unwrap().into_iter().map(|event| event.into_event()));
        if texts.len() >= count {
            break;
        }
    }
    texts
}

fn report(what: &str, bytes: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what}: {:.1} MB in {seconds:.2} s", bytes as f64 / 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_events_is_read_in_order_per_key_while_segments_split_and_merge() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 4).await;
    let lines = real_lines(megabytes() << 20);
    let started = Instant::now();
    // One reader reads all the time, one starts after the last write.
    let along = {
        let (factory, stream, count) = (factory.clone(), stream.clone(), lines.len());
        tokio::spawn(async move { read(&factory, &stream, count, ReadUntil::Sealed).await })
    };
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let third = lines.len() / 3;
    write(&writer, &lines[..third]).await;
    tokio::join!(write(&writer, &lines[third..2 * third]), scale_all(controller, &stream, 6));
    tokio::join!(write(&writer, &lines[2 * third..]), scale_all(controller, &stream, 4));
    let expected = by_key(lines.iter().map(|line| line.text.as_str()));
    let found = along.await.unwrap();
    assert!(
        by_key(found.iter().map(String::as_str)) == expected,
        "what was read all along differs"
    );
    let found = read(&factory, &stream, usize::MAX, ReadUntil::Tail).await;
    assert!(
        by_key(found.iter().map(String::as_str)) == expected,
        "what was read at the end differs"
    );
    report("events", as_file(&lines).len(), started);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_bytes_is_read_byte_for_byte() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let file = as_file(&real_lines(megabytes() << 20));
    let started = Instant::now();
    let reading = {
        let (factory, stream) = (factory.clone(), stream.clone());
        tokio::spawn(async move {
            let mut reader = factory.byte_reader(&stream).await.unwrap();
            let mut found = Vec::new();
            reader.read_to_end(&mut found).await.unwrap();
            found
        })
    };
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    writer.write_all(&file).await.unwrap();
    writer.seal().await.unwrap();
    assert!(reading.await.unwrap() == file, "the data read differs");
    report("bytes", file.len(), started);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_committed_transactions_are_read_each_as_a_whole() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let config = TransactionConfig::default().with_lease(Duration::from_secs(60));
    let writer: TransactionalWriter<Utf8> =
        factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let lines = real_lines(megabytes() << 20);
    let started = Instant::now();
    let mut expected = Vec::new();
    let mut last = None;
    for (number, chunk) in lines.chunks(500).enumerate() {
        let mut transaction = writer.begin().await.unwrap();
        for line in chunk {
            transaction.write(&line.key, line.text.as_str()).await.unwrap();
        }
        if number % 3 == 2 {
            transaction.abort().await.unwrap();
        } else {
            last = Some(transaction.commit().await.unwrap());
            expected.extend(chunk.iter().map(|line| line.text.as_str()));
        }
    }
    let accepted = started.elapsed();
    // The controller executes the commits of a stream in the order in which it accepted them.
    last.unwrap().wait_until_visible(Duration::from_secs(300)).await.unwrap();
    let found = read(&factory, &stream, usize::MAX, ReadUntil::Tail).await;
    assert!(by_key(found.iter().map(String::as_str)) == by_key(expected), "the data read differs");
    println!("all decided after {:.2} s", accepted.as_secs_f64());
    report("transactions", as_file(&lines).len(), started);
}
