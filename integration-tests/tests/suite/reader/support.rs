//! Numbered events with keys: writing, reading and grouping them.

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{EventReader, ReadEvent, ReaderConfig, StreamPosition, codec::Utf8};
use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_types::ScopedStream;
use tokio::time::timeout;

pub(super) async fn reader(
    factory: &ClientFactory,
    stream: &ScopedStream,
    start: StreamPosition,
) -> EventReader<Utf8> {
    factory
        .event_reader_with(stream, Utf8, ReaderConfig::default().with_start(start))
        .await
        .unwrap()
}

pub(super) async fn next(reader: &mut EventReader<Utf8>) -> String {
    timeout(FAR, reader.next())
        .await
        .expect("an event in time")
        .expect("an event")
        .unwrap()
        .into_event()
}

pub(super) async fn write(
    factory: &ClientFactory,
    stream: &ScopedStream,
    numbers: std::ops::Range<u32>,
) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in numbers {
        drop(
            writer
                .enqueue(&format!("key-{}", number % 7), format!("key-{}:{number}", number % 7))
                .await
                .unwrap(),
        );
    }
    writer.flush().await.unwrap();
}

/// The numbers of each key, in the order in which they were read.
pub(super) fn by_key<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for text in texts {
        let (key, number) = text.split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    keys
}

pub(super) fn expected(numbers: std::ops::Range<u32>) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    numbers.for_each(|number| keys.entry(format!("key-{}", number % 7)).or_default().push(number));
    keys
}

pub(super) fn texts(events: &[ReadEvent<Bytes>]) -> Vec<&str> {
    events.iter().map(|event| std::str::from_utf8(event.event()).unwrap()).collect()
}
