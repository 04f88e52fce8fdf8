//! Groups that begin at the head or at the tail, and events that come while they read.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    ReadUntil, StreamPosition,
    codec::Utf8,
    group::{GroupReaderConfig, ReaderGroup},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, unique};
use pravega_sdk_types::{
    ErrorKind, Offset, Position, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream,
    SegmentOffset,
};

use super::support::{
    Reader, by_key, configuration, create, expected, lens, next_event, next_within, read_all,
    segment, write,
};

async fn group_from(
    factory: &ClientFactory,
    stream: &ScopedStream,
    start: StreamPosition,
) -> ReaderGroup {
    let part = factory.reader_group_part(stream, start, ReadUntil::Sealed).await.unwrap();
    let quick = configuration(stream);
    let configuration = ReaderGroupConfiguration::bounded([part])
        .unwrap()
        .with_refresh_interval(quick.refresh_interval())
        .with_automatic_checkpoint_interval(quick.automatic_checkpoint_interval());
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    create(factory, &group, &configuration).await
}

/// Opens readers that take their parts, as they wait for each other.
async fn open(factory: &ClientFactory, group: &ReaderGroup, ids: &[&str]) -> Vec<Reader> {
    let mut readers = Vec::new();
    for id in ids {
        let config =
            GroupReaderConfig::default().with_initial_allocation_delay(Duration::from_secs(1));
        let id = id.parse().unwrap();
        readers.push(factory.group_reader_with(group.group(), &id, Utf8, config).await.unwrap());
    }
    readers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_begins_at_the_tail_reads_what_is_written_after() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..10).await;
    let group = group_from(&factory, &stream, StreamPosition::Tail).await;
    let mut readers = open(&factory, &group, &["one"]).await;
    let nothing = next_within(&mut readers[0], Duration::from_millis(1500)).await;
    assert!(nothing.is_none_or(|item| item.unwrap().into_event().is_none()));
    write(&factory, &stream, 10..20).await;
    let read = read_all(&mut readers, 10).await;
    assert_eq!(by_key(&read[0]), expected(10..20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_begins_at_the_head_reads_all_segments_and_long_events() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let event = |number: u32| format!("{number}:{}", "x".repeat(1000));
    for number in 0..1000 {
        drop(writer.enqueue(&format!("key-{number}"), event(number)).await.unwrap());
    }
    writer.flush().await.unwrap();
    let group = group_from(&factory, &stream, StreamPosition::Head).await;
    let mut readers = open(&factory, &group, &["one"]).await;
    let mut read = read_all(&mut readers, 1000).await.remove(0);
    let number = |text: &str| -> u32 { text.split_once(':').unwrap().0.parse().unwrap() };
    read.sort_by_key(|read| number(read.event()));
    for (number, read) in (0..).zip(&read) {
        assert_eq!(*read.event(), event(number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_share_what_is_written_while_they_read() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = group_from(&factory, &stream, StreamPosition::Tail).await;
    let mut readers = open(&factory, &group, &["one", "two"]).await;
    let writing = tokio::spawn({
        let (factory, stream) = (factory.clone(), stream.clone());
        async move {
            for round in 0..20 {
                write(&factory, &stream, round * 100..(round + 1) * 100).await;
            }
        }
    });
    let read = read_all(&mut readers, 2000).await;
    writing.await.unwrap();
    assert!(lens(&read).iter().all(|len| *len > 0), "{:?}", lens(&read));
    assert_eq!(by_key(read.iter().flatten()), expected(0..2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_returned_comes_again_if_the_reader_closes_before_it() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..1000).await;
    let group = group_from(&factory, &stream, StreamPosition::Head).await;
    let mut start = Offset(0);
    for is_at_start in [false, true] {
        let mut reader = open(&factory, &group, &["one"]).await.remove(0);
        let mut read = Vec::new();
        for _ in 0..5 {
            read.push(next_event(&mut reader).await);
        }
        assert_eq!(read[0].offset(), start);
        let last = read[4].end_offset();
        if is_at_start {
            let segment = segment(&stream, 0);
            let at =
                Position::new([(segment.clone(), SegmentOffset::At(start))], [(segment, None)]);
            reader.close_at(&at, FAR).await.unwrap();
        } else {
            reader.close(FAR).await.unwrap();
            start = last;
        }
        let described = group.describe().await.unwrap();
        assert_eq!(described.unassigned[0].offset.offset(), Some(start));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_ends_its_reader_and_is_not_found() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    write(&factory, &stream, 0..100).await;
    let group = group_from(&factory, &stream, StreamPosition::Head).await;
    let mut readers = open(&factory, &group, &["one"]).await;
    read_all(&mut readers, 100).await;
    group.delete().await.unwrap();
    let ended = loop {
        match tokio::time::timeout(FAR, readers[0].next()).await.expect("an end in time") {
            Some(Ok(item)) => assert!(item.into_event().is_none()),
            Some(Err(error)) => break error,
            None => panic!("it ends without an error"),
        }
    };
    assert_eq!(ended.kind(), ErrorKind::NotFound, "{ended}");
    let refused = factory.group_reader(group.group(), &"two".parse().unwrap(), Utf8).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(readers.remove(0).close(FAR).await.is_err());
}
