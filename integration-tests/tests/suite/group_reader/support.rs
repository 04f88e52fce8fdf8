//! Groups, their readers, and what they return.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{
        GroupEvent, GroupHandleConfig, GroupInit, GroupItem, GroupReader, GroupReaderError,
        GroupStorage, GroupStore, GroupUpdate, ReaderGroup, ReaderGroupState,
    },
};
use pravega_sdk_integration_tests::harness::{FAR, unique};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    SegmentOffset,
};
use tokio::time::timeout;
use uuid::Uuid;

pub(super) type Reader = GroupReader<Utf8>;

/// Where groups have their state: the tests are in the suite once for each.
pub(super) fn storage() -> GroupStorage {
    let is_in_tables = module_path!().contains("_in_tables");
    if is_in_tables { GroupStorage::Table } else { GroupStorage::Stream }
}

/// A configuration with which everything happens soon.
pub(super) fn configuration(stream: &ScopedStream) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_refresh_interval(Duration::from_millis(200))
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(500)))
}

/// Creates a group that reads a stream of so many segments from its head.
pub(super) async fn new_group(
    factory: &ClientFactory,
    stream: &ScopedStream,
    segments: i64,
    configuration: ReaderGroupConfiguration,
    ends: Vec<(ScopedSegment, SegmentOffset)>,
) -> ScopedReaderGroup {
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    let configuration = configuration.with_identity(Uuid::new_v4(), None);
    let registered = factory.controller().create_reader_group(&group, &configuration).await;
    let starts = (0..segments).map(|number| (segment(stream, number).into(), at(0)));
    let init = GroupInit { ends, ..GroupInit::new(registered.unwrap(), starts) };
    let mut store = store(factory, &group).await.with_new_storage(storage());
    store.initialize(init).await.unwrap();
    group
}

/// Creates a group by its handle.
pub(super) async fn create(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    configuration: &ReaderGroupConfiguration,
) -> ReaderGroup {
    let config = GroupHandleConfig::default().with_storage(storage());
    factory.create_reader_group_with(group, configuration, config).await.unwrap().0
}

pub(super) fn segment(stream: &ScopedStream, number: i64) -> ScopedSegment {
    ScopedSegment::new(stream, SegmentId::from(number))
}

pub(super) fn at(offset: i64) -> SegmentOffset {
    SegmentOffset::At(Offset(offset))
}

pub(super) async fn store(factory: &ClientFactory, group: &ScopedReaderGroup) -> GroupStore {
    let context = factory.segment_context();
    GroupStore::open(context, group, StateConfig::default()).await.unwrap()
}

pub(super) async fn state(factory: &ClientFactory, group: &ScopedReaderGroup) -> ReaderGroupState {
    let mut store = store(factory, group).await;
    store.fetch().await.unwrap();
    store.state().unwrap().clone()
}

pub(super) async fn update(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    update: GroupUpdate,
) {
    store(factory, group).await.report(update).await.unwrap();
}

pub(super) async fn open(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    id: &str,
) -> Result<Reader, GroupReaderError> {
    factory.group_reader(group, &id.parse().unwrap(), Utf8).await
}

/// The next item, if it comes within so long.
pub(super) async fn next_within(
    reader: &mut Reader,
    limit: Duration,
) -> Option<Result<GroupItem<String>, GroupReaderError>> {
    timeout(limit, reader.next()).await.ok().flatten()
}

pub(super) async fn next(reader: &mut Reader) -> Result<GroupItem<String>, GroupReaderError> {
    timeout(FAR, reader.next()).await.expect("an item in time").expect("an item")
}

/// The next event, whatever checkpoints come before it.
pub(super) async fn next_event(reader: &mut Reader) -> GroupEvent<String> {
    loop {
        if let Some(event) = next(reader).await.unwrap().into_event() {
            return event;
        }
    }
}

/// Lets readers read until they have returned so many events, and returns the events by reader. A
/// reader that is not read from holds up all others.
pub(super) async fn read_all(readers: &mut [Reader], count: usize) -> Vec<Vec<GroupEvent<String>>> {
    let mut read = vec![Vec::new(); readers.len()];
    let deadline = tokio::time::Instant::now() + FAR;
    while read.iter().map(Vec::len).sum::<usize>() < count {
        assert!(tokio::time::Instant::now() < deadline, "{:?} of {count}", lens(&read));
        for (reader, read) in readers.iter_mut().zip(&mut read) {
            while let Some(item) = next_within(reader, Duration::from_millis(20)).await {
                read.extend(item.unwrap().into_event());
            }
        }
    }
    read
}

pub(super) fn lens<T>(read: &[Vec<T>]) -> Vec<usize> {
    read.iter().map(Vec::len).collect()
}

pub(super) async fn write(
    factory: &ClientFactory,
    stream: &ScopedStream,
    numbers: std::ops::Range<u32>,
) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in numbers {
        let key = number % 23;
        drop(writer.enqueue(&format!("key-{key}"), format!("{key}:{number}")).await.unwrap());
    }
    writer.flush().await.unwrap();
}

/// The numbers of each key, sorted: each once, if each event was returned once.
pub(super) fn by_key<'a>(
    events: impl IntoIterator<Item = &'a GroupEvent<String>>,
) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for event in events {
        let (key, number) = event.event().split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    keys.values_mut().for_each(|numbers| numbers.sort_unstable());
    keys
}

pub(super) fn expected(numbers: std::ops::Range<u32>) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    numbers.for_each(|number| keys.entry((number % 23).to_string()).or_default().push(number));
    keys
}
