//! The events that a reader returns, and their order.

use std::time::Duration;

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    LargeEvents, ReadEvent, ReadUntil, ReaderConfig, StreamPosition, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, scale};
use pravega_sdk_types::{KeyRange, Offset, ScopedStream, SegmentId};
use tokio::time::timeout;

use super::support::{by_key, expected, next, reader, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_tail_returns_new_events_and_one_at_the_head_all_events() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    write(&factory, &stream, 0..10).await;
    let mut tail = reader(&factory, &stream, StreamPosition::Tail).await;
    assert!(
        timeout(Duration::from_millis(300), tail.next()).await.is_err(),
        "no event was written yet"
    );
    write(&factory, &stream, 10..20).await;
    let mut found = Vec::new();
    for _ in 0..10 {
        found.push(next(&mut tail).await);
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(10..20));
    let mut head = reader(&factory, &stream, StreamPosition::Head).await;
    let mut found = Vec::new();
    while found.len() < 20 {
        let batch = timeout(FAR, head.next_batch(7)).await.unwrap().unwrap().unwrap();
        assert!((1..=7).contains(&batch.len()));
        found.extend(batch.into_iter().map(ReadEvent::into_event));
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(0..20));
    assert!(timeout(Duration::from_millis(300), head.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_size_are_read_as_they_were_written() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let config = WriterConfig::default().with_large_events(LargeEvents::UpTo(64 << 20));
    let writer = factory.event_writer_with(&stream, Raw, config).await.unwrap();
    let event = |number: usize, len: usize| -> Bytes {
        (0..len).map(|at| (at * 31 + number) as u8).collect()
    };
    let mut sizes: Vec<usize> = vec![1000; 1000];
    sizes.extend([0, 1, 0, 8 << 20, 20 << 20, 0, (1 << 20) - 8, (1 << 20) + 1, 9 << 20, 3]);
    for (number, len) in sizes.iter().enumerate() {
        drop(writer.enqueue("k", event(number, *len)).await.unwrap());
    }
    writer.flush().await.unwrap();
    // A smaller budget than the largest event needs.
    let config = ReaderConfig::default().with_max_buffered_bytes(1 << 20).with_end(ReadUntil::Tail);
    let mut reader = factory.event_reader_with(&stream, Raw, config).await.unwrap();
    let mut offset = 0;
    for (number, len) in sizes.iter().enumerate() {
        let read = reader.next().await.unwrap().unwrap();
        assert_eq!(read.offset(), Offset(offset));
        offset = read.end_offset().0;
        assert!(*read.event() == event(number, *len), "event {number} of {len} bytes");
    }
    assert!(reader.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_scales_up_and_down_in_order_per_key() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 2).await;
    let reading = {
        let mut reader = reader(&factory, &stream, StreamPosition::Head).await;
        tokio::spawn(async move {
            let mut found = Vec::new();
            while found.len() < 900 {
                found.push(next(&mut reader).await);
            }
            found
        })
    };
    write(&factory, &stream, 0..300).await;
    let id = |epoch: i64, number: i64| SegmentId::from((epoch << 32) | number);
    scale(controller, &stream, &[id(0, 0), id(0, 1)], &KeyRange::equal(4)).await;
    write(&factory, &stream, 300..600).await;
    let all = [id(1, 2), id(1, 3), id(1, 4), id(1, 5)];
    scale(controller, &stream, &all, &KeyRange::equal(2)).await;
    write(&factory, &stream, 600..900).await;
    let found = reading.await.unwrap();
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(0..900));
    // A later reader returns the same events, and both end once the stream is sealed.
    controller.seal_stream(&stream).await.unwrap();
    let mut late = reader(&factory, &stream, StreamPosition::Head).await;
    let mut found = Vec::new();
    while let Some(event) = timeout(FAR, late.next()).await.unwrap() {
        found.push(event.unwrap().into_event());
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(0..900));
    assert!(late.next().await.is_none());
    let mut none = reader(&factory, &stream, StreamPosition::Tail).await;
    assert!(none.next().await.is_none(), "a sealed stream has no tail");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reader_reads_many_segments_over_one_connection() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 200).await;
    let mut tail = reader(&factory, &stream, StreamPosition::Tail).await;
    write_spread(&factory, &stream).await;
    let mut numbers = Vec::new();
    for _ in 0..2000 {
        numbers.push(next(&mut tail).await.parse::<u32>().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
    assert_eq!(tail.stream_cut().positions().len(), 200);
    assert_eq!(factory.raw_client().endpoints().len(), 1);
}

async fn write_spread(factory: &ClientFactory, stream: &ScopedStream) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in 0..2000 {
        drop(writer.enqueue(None, number.to_string()).await.unwrap());
    }
    writer.flush().await.unwrap();
}
