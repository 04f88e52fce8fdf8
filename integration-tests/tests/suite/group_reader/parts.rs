//! Groups that read several streams, parts of streams, and one part after another.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupEvent, GroupItem, ReaderGroup},
};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, factory, new_scope, new_stream, scale_all, unique,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, Offset, ReaderGroupConfiguration, ScalingPolicy,
    ScopedReaderGroup, ScopedStream, SegmentId, StreamConfiguration, StreamCut,
};
use tokio::time::timeout;

use super::support::{
    Reader, configuration, create, next, next_event, next_within, open, read_all,
};

/// The length of an event with its header.
const EVENT: i64 = 20;
/// The time in which a reader would return what it should not.
const QUIET: Duration = Duration::from_millis(700);
const SHORT: Duration = Duration::from_millis(20);

/// Writes the events of some numbers, each under a key of its own.
async fn write(factory: &ClientFactory, stream: &ScopedStream, numbers: std::ops::Range<u32>) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in numbers {
        writer.write(&format!("key-{number}"), &text(number)).await.unwrap();
    }
    writer.close(FAR).await.into_result().unwrap();
}

fn text(number: u32) -> String {
    format!("{number:012}")
}

fn cut(stream: &ScopedStream, segment: i64, offset: i64) -> BoundedCut {
    BoundedCut::new(stream.clone(), [(SegmentId::from(segment), Offset(offset))]).unwrap()
}

fn part(
    stream: &ScopedStream,
    from: impl Into<StreamCut>,
    to: impl Into<StreamCut>,
) -> GroupStream {
    GroupStream { stream: stream.clone(), from: from.into(), to: to.into() }
}

fn whole(stream: &ScopedStream) -> GroupStream {
    part(stream, StreamCut::Unbounded, StreamCut::Unbounded)
}

fn reading(parts: &[GroupStream]) -> ReaderGroupConfiguration {
    let quick = configuration(&parts[0].stream);
    ReaderGroupConfiguration::bounded(parts.iter().cloned())
        .unwrap()
        .with_refresh_interval(quick.refresh_interval())
        .with_automatic_checkpoint_interval(quick.automatic_checkpoint_interval())
}

async fn group_of(factory: &ClientFactory, parts: &[GroupStream]) -> ReaderGroup {
    let scope = parts[0].stream.scope().clone();
    let name = ScopedReaderGroup::new(scope, unique("group").parse().unwrap());
    create(factory, &name, &reading(parts)).await
}

/// Reads until all parts are read.
async fn read_to_end(reader: &mut Reader) -> Vec<GroupEvent<String>> {
    let mut read = Vec::new();
    while let Some(item) = timeout(FAR, reader.next()).await.expect("the end in time") {
        read.extend(item.unwrap().into_event());
    }
    read
}

fn texts(read: &[GroupEvent<String>]) -> Vec<&str> {
    read.iter().map(|event| event.event().as_str()).collect()
}

/// Waits until a reader that has come to its end learns that the group has begun again.
async fn is_told(reader: &mut Reader) {
    eventually("the reader learns that the group has begun again", async || {
        let Some(Err(told)) = next_within(reader, SHORT).await else { return false };
        assert_eq!(told.kind(), ErrorKind::ReaderOffline, "{told}");
        true
    })
    .await;
}

/// Nothing but checkpoints is returned for a time.
async fn is_quiet(reader: &mut Reader) {
    let end = tokio::time::Instant::now() + QUIET;
    while let Ok(item) = tokio::time::timeout_at(end, reader.next()).await {
        match item {
            Some(item) => assert!(item.unwrap().into_event().is_none()),
            None => tokio::time::sleep(SHORT).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_name_in_two_scopes_are_read_by_one_group() {
    let factory = factory().await;
    let controller = factory.controller();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let scope = new_scope(controller).await;
        let stream = ScopedStream::new(scope, "events".parse().unwrap());
        let two = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(2));
        controller.create_stream(&stream, &two).await.unwrap();
        streams.push(stream);
    }
    let group = group_of(&factory, &[whole(&streams[0]), whole(&streams[1])]).await;
    let mut readers = Vec::new();
    for id in ["one", "two"] {
        readers.push(open(&factory, group.group(), id).await.unwrap());
    }
    write(&factory, &streams[0], 0..40).await;
    let mut read = read_all(&mut readers, 40).await.concat();
    write(&factory, &streams[1], 40..100).await;
    write(&factory, &streams[0], 100..110).await;
    read.extend(read_all(&mut readers, 70).await.concat());
    let mut found: BTreeMap<ScopedStream, BTreeSet<String>> = BTreeMap::new();
    for event in read {
        let of_stream = found.entry(event.segment().scoped_stream()).or_default();
        assert!(of_stream.insert(event.event().clone()), "{} twice", event.event());
    }
    let first = (0..40).chain(100..110).map(text).collect();
    let expected =
        [(streams[0].clone(), first), (streams[1].clone(), (40..100).map(text).collect())];
    assert_eq!(found, BTreeMap::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_to_its_end_beside_one_that_goes_on() {
    let factory = factory().await;
    let controller = factory.controller();
    let (ends, goes_on) = (new_stream(controller, 1).await, new_stream(controller, 1).await);
    write(&factory, &ends, 0..4).await;
    let end = cut(&ends, 0, 2 * EVENT);
    let parts = [part(&ends, StreamCut::Unbounded, end), whole(&goes_on)];
    let group = group_of(&factory, &parts).await;
    let mut reader = open(&factory, group.group(), "one").await.unwrap();
    let mut read = vec![next_event(&mut reader).await, next_event(&mut reader).await];
    is_quiet(&mut reader).await;
    write(&factory, &ends, 4..6).await;
    write(&factory, &goes_on, 6..8).await;
    read.extend([next_event(&mut reader).await, next_event(&mut reader).await]);
    assert_eq!(texts(&read), [0, 1, 6, 7].map(text));
    is_quiet(&mut reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_ends_where_it_begins_has_no_events() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..4).await;
    let place = cut(&stream, 0, 2 * EVENT);
    let group = group_of(&factory, &[part(&stream, place.clone(), place)]).await;
    let mut reader = open(&factory, group.group(), "one").await.unwrap();
    assert!(read_to_end(&mut reader).await.is_empty());
    write(&factory, &stream, 4..6).await;
    is_quiet(&mut reader).await;
    assert_eq!(group.unread_bytes().await.unwrap().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_one_after_the_other_have_each_event_once_across_a_scale() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..10).await;
    scale_all(factory.controller(), &stream, 3).await;
    write(&factory, &stream, 10..70).await;
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    let halves = tail.positions().map(|(id, at)| (id, Offset(at.to_wire() / EVENT / 2 * EVENT)));
    let middle = BoundedCut::new(stream.clone(), halves).unwrap();
    let first = cut(&stream, 0, 5 * EVENT);

    let group = group_of(&factory, &[part(&stream, StreamCut::Unbounded, first.clone())]).await;
    let mut one = open(&factory, group.group(), "one").await.unwrap();
    let mut read = read_to_end(&mut one).await;
    assert_eq!(texts(&read), [0, 1, 2, 3, 4].map(text));
    group.reset(&reading(&[part(&stream, first, middle.clone())])).await.unwrap();
    is_told(&mut one).await;
    let mut two = open(&factory, group.group(), "two").await.unwrap();
    let second = read_to_end(&mut two).await;
    let in_middle = second.iter().filter(|event| event.segment().id() != SegmentId::from(0));
    let ends: BTreeMap<SegmentId, Offset> =
        in_middle.map(|event| (event.segment().id(), event.end_offset())).collect();
    let expected = middle.positions().filter_map(|(id, at)| Some((id, at.offset()?)));
    assert_eq!(ends, expected.collect(), "it ends at the cut in each segment");
    read.extend(second);

    group.reset(&reading(&[part(&stream, middle, StreamCut::Unbounded)])).await.unwrap();
    is_told(&mut two).await;
    factory.controller().seal_stream(&stream).await.unwrap();
    let mut three = open(&factory, group.group(), "three").await.unwrap();
    read.extend(read_to_end(&mut three).await);
    let mut texts = texts(&read);
    texts.sort_unstable();
    assert_eq!(texts, (0..70).map(text).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_begin_was_truncated_is_read_from_the_head_of_the_stream() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..4).await;
    let (begin, end) = (cut(&stream, 0, EVENT), cut(&stream, 0, 2 * EVENT));
    let group = group_of(&factory, &[part(&stream, begin.clone(), end.clone())]).await;
    let mut one = open(&factory, group.group(), "one").await.unwrap();
    assert_eq!(texts(&read_to_end(&mut one).await), [text(1)]);
    // What is before it does not concern a reader.
    factory.controller().truncate_stream(&end).await.unwrap();
    is_quiet(&mut one).await;
    group.reset(&reading(&[part(&stream, begin, StreamCut::Unbounded)])).await.unwrap();
    is_told(&mut one).await;
    let mut two = open(&factory, group.group(), "two").await.unwrap();
    let told = loop {
        match next(&mut two).await {
            Ok(item) => assert!(item.into_event().is_none(), "the event is not there any more"),
            Err(told) => break told,
        }
    };
    assert_eq!(told.kind(), ErrorKind::Truncated, "{told}");
    for number in [2, 3] {
        assert_eq!(*next_event(&mut two).await.event(), text(number));
    }
}

/// What readers return while they are polled by turns.
#[derive(Default)]
struct Seen {
    read: Vec<GroupEvent<String>>,
    /// For each reader, and the name of a checkpoint, how often it was shown.
    shown: BTreeMap<(String, String), u32>,
}

impl Seen {
    /// Polls readers until it is dropped.
    async fn watch(&mut self, readers: &mut [Reader]) {
        loop {
            for reader in &mut *readers {
                let id = reader.id().to_string();
                while let Some(item) = next_within(reader, SHORT).await {
                    match item.unwrap() {
                        GroupItem::Event(event) => self.read.push(event),
                        GroupItem::Checkpoint(name) => {
                            *self.shown.entry((id.clone(), name.to_string())).or_default() += 1;
                        }
                    }
                }
            }
            tokio::time::sleep(SHORT).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_shown_once_to_each_reader_also_to_those_without_segments() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..20).await;
    let group = group_of(&factory, &[whole(&stream)]).await;
    let mut readers = Vec::new();
    for id in ["one", "two", "three"] {
        readers.push(open(&factory, group.group(), id).await.unwrap());
    }
    let mut seen = Seen::default();
    let checkpoint = tokio::select! {
        checkpoint = group.checkpoint("named", FAR) => checkpoint.unwrap(),
        () = seen.watch(&mut readers) => unreachable!(),
    };
    for id in ["one", "two", "three"] {
        let key = (id.to_owned(), "named".to_owned());
        assert_eq!(seen.shown.get(&key), Some(&1), "{id}: {:?}", seen.shown);
    }
    assert_eq!(checkpoint.cut(&stream).unwrap().positions().len(), 1);
    let left = 20 - seen.read.len();
    seen.read.extend(read_all(&mut readers, left).await.concat());
    assert_eq!(texts(&seen.read), (0..20).map(text).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_after_the_end_of_a_group_are_complete_without_places() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..4).await;
    let end = cut(&stream, 0, 2 * EVENT);
    let group = group_of(&factory, &[part(&stream, StreamCut::Unbounded, end)]).await;
    let mut readers = [open(&factory, group.group(), "one").await.unwrap()];
    assert_eq!(texts(&read_to_end(&mut readers[0]).await), [0, 1].map(text));
    for name in ["late", "later"] {
        let mut seen = Seen::default();
        let checkpoint = tokio::select! {
            checkpoint = group.checkpoint(name, FAR) => checkpoint.unwrap(),
            () = seen.watch(&mut readers) => unreachable!(),
        };
        assert_eq!((checkpoint.name(), checkpoint.cuts()), (name, &[][..]));
        assert_eq!(seen.shown.get(&("one".to_owned(), name.to_owned())), Some(&1));
        assert!(seen.read.is_empty());
        assert!(read_to_end(&mut readers[0]).await.is_empty(), "it is at the end again");
    }
}
