//! The event writer against a real server.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    EventWriter, LargeEvents, ReadEvent, SegmentTail, TimeNotes, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_integration_tests::harness::{
    self, FAR, factory, new_scope, new_stream, read_all, scale,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Offset, Outcome, RoutingKey, ScalingPolicy, ScopedSegment,
    ScopedStream, SegmentId, StreamConfiguration, Timestamp, WriterName,
};

fn texts(found: &[ReadEvent<Bytes>]) -> Vec<String> {
    found.iter().map(|read| String::from_utf8(read.event().to_vec()).unwrap()).collect()
}

/// The numbers of each key, in the order of the stream.
fn by_key(found: &[ReadEvent<Bytes>]) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for text in texts(found) {
        let (key, number) = text.split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    keys
}

fn range(low: f64, high: f64) -> KeyRange {
    KeyRange::new(low, high).unwrap()
}

fn id(epoch: i64, number: i64) -> SegmentId {
    SegmentId::from((epoch << 32) | number)
}

#[tokio::test]
async fn a_key_function_sends_each_event_to_the_segment_of_its_key() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let borrowed = writer.clone().with_key(|text: &str| text.split_once(':').unwrap().0);
    let computed = writer.clone().with_optional_key(|text: &str| {
        text.split_once(':').map(|(key, _)| key.to_uppercase().into())
    });
    for number in 0..20 {
        let (key, text) = (format!("key-{number}"), format!("key-{number}:event"));
        let segment_of =
            async |key: &str| writer.write(key, text.as_str()).await.unwrap().segment().id();
        let expected = segment_of(&key).await;
        assert_eq!(borrowed.write(&text).await.unwrap().segment().id(), expected);
        let appended = borrowed.enqueue(&text).await.unwrap().await.unwrap();
        assert_eq!(appended.segment().id(), expected);
        let expected = segment_of(&key.to_uppercase()).await;
        let appended = computed.try_enqueue(&text).unwrap().await.unwrap();
        assert_eq!(appended.segment().id(), expected);
    }
    computed.write("no key").await.unwrap();
    let report = computed.close(FAR).await;
    assert_eq!(report.acknowledged, 101);
    assert!(report.into_result().is_ok());
}

#[tokio::test]
async fn ten_plain_events_are_stored_where_their_acks_say() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let mut pointers = Vec::new();
    for number in 0..10 {
        pointers
            .push(writer.write(None, format!("event {number}")).await.unwrap().pointer().unwrap());
    }
    let found = read_all(&factory, &stream).await;
    assert_eq!(texts(&found), (0..10).map(|number| format!("event {number}")).collect::<Vec<_>>());
    let offsets: Vec<_> = pointers.iter().map(|pointer| pointer.offset()).collect();
    assert_eq!(offsets, found.iter().map(|read| read.offset()).collect::<Vec<_>>());
    assert_eq!((offsets[1].0, pointers[0].length()), (15, 15), "type, length and seven bytes");
    let report = writer.close(FAR).await;
    assert_eq!((report.acknowledged, report.failed), (10, 0));
}

/// Writes 1000 events to `keys` in turn, with something happening after the 500th was enqueued.
async fn write_across(
    factory: &ClientFactory,
    stream: &ScopedStream,
    keys: &[&str],
    meanwhile: impl AsyncFnOnce(),
) -> Vec<Result<(), ErrorKind>> {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    let mut acks = Vec::new();
    let writing = async |from: u32, acks: &mut Vec<_>| {
        for number in from..from + 500 {
            let key = keys[number as usize % keys.len()];
            acks.push(writer.enqueue(key, format!("{key}:{number}")).await.unwrap());
        }
    };
    writing(0, &mut acks).await;
    writer.flush().await.unwrap();
    meanwhile().await;
    writing(500, &mut acks).await;
    let mut results = Vec::new();
    for ack in acks {
        results.push(ack.await.map(drop).map_err(|error| error.kind()));
    }
    let failed = results.iter().filter(|result| result.is_err()).count() as u64;
    let report = writer.close(FAR).await;
    assert_eq!(report.failed, failed);
    assert_eq!(report.into_result().is_err(), failed > 0);
    results
}

fn numbers_of(at: u32, step: u32) -> Vec<u32> {
    (0..1000).filter(|number| number % step == at).collect()
}

#[tokio::test]
async fn a_scale_up_in_the_middle_keeps_every_event_in_order() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let results = write_across(&factory, &stream, &["even", "odd"], async || {
        scale(factory.controller(), &stream, &[id(0, 0)], &[range(0.0, 0.5), range(0.5, 1.0)])
            .await;
    });
    assert!(results.await.iter().all(Result::is_ok));
    let found = read_all(&factory, &stream).await;
    let keys = by_key(&found);
    assert_eq!((&keys["even"], &keys["odd"]), (&numbers_of(0, 2), &numbers_of(1, 2)));
    // The first half is in the old segment, the second in the successor that owns its key.
    let in_old = found.iter().filter(|read| read.segment().id() == id(0, 0)).count();
    assert_eq!(in_old, 500);
    for read in &found[500..] {
        let key = texts(std::slice::from_ref(read))[0].split_once(':').unwrap().0.to_owned();
        let owner =
            if RoutingKey::from(key.as_str()).position() <= 0.5 { id(1, 1) } else { id(1, 2) };
        assert_eq!(read.segment().id(), owner, "{key}");
    }
}

#[tokio::test]
async fn a_scale_down_in_the_middle_keeps_every_event_in_order() {
    let factory = factory().await;
    // A stream cannot have fewer segments than it was created with.
    let stream = new_stream(factory.controller(), 1).await;
    scale(factory.controller(), &stream, &[id(0, 0)], &[range(0.0, 0.5), range(0.5, 1.0)]).await;
    let results =
        write_across(&factory, &stream, &["even", "odd", "Grüße", "😀"], async || {
            scale(factory.controller(), &stream, &[id(1, 1), id(1, 2)], &[range(0.0, 1.0)]).await;
        });
    assert!(results.await.iter().all(Result::is_ok));
    let keys = by_key(&read_all(&factory, &stream).await);
    for (at, key) in ["even", "odd", "Grüße", "😀"].into_iter().enumerate() {
        assert_eq!(keys[key], numbers_of(at as u32, 4), "{key}");
    }
}

#[tokio::test]
async fn two_keys_of_two_segments_stay_apart_and_in_order() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let results = write_across(&factory, &stream, &["even", "Grüße"], async || ()).await;
    assert!(results.iter().all(Result::is_ok));
    for read in read_all(&factory, &stream).await {
        let text = texts(std::slice::from_ref(&read)).remove(0);
        let position = RoutingKey::from(text.split_once(':').unwrap().0).position();
        assert_eq!(
            read.segment().id(),
            if position <= 0.5 { id(0, 0) } else { id(0, 1) },
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_stream_sealed_in_the_middle_fails_later_events_by_kind() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let results = write_across(&factory, &stream, &["a", "b", "c"], async || {
        factory.controller().seal_stream(&stream).await.unwrap();
    });
    let results = results.await;
    assert!(results[..500].iter().all(Result::is_ok));
    assert!(results[500..].iter().all(|result| *result == Err(ErrorKind::Sealed)));
    assert_eq!(read_all(&factory, &stream).await.len(), 500);
    let error = factory.event_writer(&stream, Raw).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Sealed, Outcome::NotApplied));
}

#[tokio::test]
async fn a_missing_or_deleted_stream_fails_with_not_found() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("a", "first").await.unwrap();
    factory.controller().seal_stream(&stream).await.unwrap();
    factory.controller().delete_stream(&stream).await.unwrap();
    let error = writer.write("a", "second").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::NotFound, Outcome::NotApplied),
        "{error}"
    );
    let error = writer.write("a", "third").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "the writer stays with its first error: {error}");
    let error = factory.event_writer(&stream, Raw).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn scaling_up_and_down_under_load_loses_duplicates_and_reorders_nothing() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let config = WriterConfig::default().with_max_block_bytes(2048);
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let written: Arc<[AtomicU32; 4]> = Arc::default();
    let writers: Vec<_> = (0..4)
        .map(|at| {
            let (writer, stopped) = (writer.clone(), stopped.clone());
            let written = Arc::clone(&written);
            tokio::spawn(async move {
                let mut number = 0_u32;
                let mut acks = Vec::new();
                while !*stopped.borrow() {
                    let key = format!("key-{at}");
                    acks.push(writer.enqueue(&key, format!("{key}:{number}")).await.unwrap());
                    number += 1;
                    written[at].store(number, Ordering::Relaxed);
                    if number.is_multiple_of(50) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                for ack in acks {
                    ack.await.unwrap();
                }
                number
            })
        })
        .collect();
    let controller = factory.controller();
    let quarters = [range(0.0, 0.25), range(0.25, 0.5), range(0.5, 0.75), range(0.75, 1.0)];
    let halves = [range(0.0, 0.5), range(0.5, 1.0)];
    let all_wrote = async |count: u32| {
        harness::eventually("every key has its events", async || {
            written.iter().all(|written| written.load(Ordering::Relaxed) > count)
        })
        .await;
    };
    all_wrote(250).await;
    scale(controller, &stream, &[id(0, 0), id(0, 1)], &quarters).await;
    scale(controller, &stream, &[id(1, 2), id(1, 3), id(1, 4), id(1, 5)], &halves).await;
    scale(controller, &stream, &[id(2, 6)], &quarters[..2]).await;
    scale(controller, &stream, &[id(2, 7), id(3, 9)], &[range(0.25, 1.0)]).await;
    // Each key continues after the last scale.
    let most = written.iter().map(|written| written.load(Ordering::Relaxed)).max();
    all_wrote(most.unwrap() + 250).await;
    stop.send(true).unwrap();
    let mut counts = Vec::new();
    for task in writers {
        counts.push(task.await.unwrap());
    }
    let keys = by_key(&read_all(&factory, &stream).await);
    for (at, count) in counts.into_iter().enumerate() {
        assert_eq!(keys[&format!("key-{at}")], (0..count).collect::<Vec<_>>());
        assert!(count > 500, "{count} events are no load");
    }
}

#[tokio::test]
async fn batches_are_whole_and_large_events_stay_in_order() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let config = WriterConfig::default().with_large_events(LargeEvents::UpTo(64 << 20));
    let writer = factory.event_writer_with(&stream, Raw, config).await.unwrap();
    let large = Bytes::from((0..20_u32 << 20).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let exact = Bytes::from(vec![7; 8 << 20]);
    let mut acks = vec![writer.enqueue("k", "first").await.unwrap()];
    acks.push(writer.enqueue_batch("k", ["b1", "b2", "b3"]).await.unwrap());
    acks.push(writer.enqueue("k", large.clone()).await.unwrap());
    acks.push(writer.enqueue("k", "after").await.unwrap());
    acks.push(writer.enqueue("k", large.slice(..9 << 20)).await.unwrap());
    acks.push(writer.enqueue("k", exact.clone()).await.unwrap());
    acks.push(writer.enqueue("k", Bytes::new()).await.unwrap());
    acks.push(
        writer.enqueue_batch("k", [exact.clone(), exact.clone(), exact.clone()]).await.unwrap(),
    );
    acks.push(writer.enqueue("k", "last").await.unwrap());
    let mut offsets = Vec::new();
    for ack in acks {
        let appended = ack.await.unwrap();
        offsets.push(appended.offset().expect("an undisturbed writer knows every place"));
    }
    let found = read_all(&factory, &stream).await;
    let expected: Vec<Bytes> = [
        vec!["first".into(), "b1".into(), "b2".into(), "b3".into(), large.clone(), "after".into()],
        vec![
            large.slice(..9 << 20),
            exact.clone(),
            Bytes::new(),
            exact.clone(),
            exact.clone(),
            exact,
            "last".into(),
        ],
    ]
    .concat();
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(read, expected)| read.event() == expected));
    let starts: Vec<_> = [0, 1, 4, 5, 6, 7, 8, 9, 12].map(|at| found[at].offset()).to_vec();
    assert_eq!(offsets, starts);

    // A large event may be the first that the segment sees of a writer.
    let config = WriterConfig::default()
        .with_max_event_bytes(100)
        .with_large_events(LargeEvents::UpTo(1000));
    let another = factory.event_writer_with(&stream, Raw, config).await.unwrap();
    let end = found.last().unwrap().offset().0 + 8 + 4;
    let appended = another.write("k", vec![1; 500]).await.unwrap();
    assert_eq!(appended.offset(), Some(end.into()));
    another.write("k", "small").await.unwrap();
    assert_eq!(read_all(&factory, &stream).await.len(), found.len() + 2);

    let plain = factory.event_writer(&stream, Raw).await.unwrap();
    let error = plain.write("k", vec![0; (8 << 20) + 1]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    assert!(error.to_string().contains("8388609 bytes, 8388608 are allowed"), "{error}");
    assert!(error.to_string().contains("with_large_events"), "{error}");
}

#[tokio::test]
async fn a_condition_on_the_tail_holds_or_nothing_is_written() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let other = factory.event_writer(&stream, Utf8).await.unwrap();
    let segment = ScopedSegment::new(&stream, 0.into());
    let head = SegmentTail::new(segment, 0.into());
    let first = writer.write_at("k", &head, "first").await.unwrap();
    assert_eq!(first.offset(), Some(0.into()));
    let tail = first.tail().unwrap();
    let error = other.write_at("k", &head, "late").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ConditionFailed, Outcome::NotApplied));
    other.write_at("k", &tail, "second").await.unwrap();
    let (refused, plain) =
        tokio::join!(writer.write_at("k", &tail, "late"), writer.write("k", "third"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConditionFailed);
    plain.unwrap();
    assert_eq!(texts(&read_all(&factory, &stream).await), ["first", "second", "third"]);
}

#[tokio::test]
async fn time_is_noted_by_hand_and_never_backwards_and_a_closed_writer_removes_itself() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = ScopedStream::new(new_scope(controller).await, "stream".parse().unwrap());
    // The writer is not removed for its silence while the test runs.
    let configuration = StreamConfiguration::default()
        .with_scaling(ScalingPolicy::fixed(2))
        .with_timestamp_aggregation_timeout(Duration::from_secs(3600));
    controller.create_stream(&stream, &configuration).await.unwrap();
    let name: WriterName = "notes".parse().unwrap();
    let config = WriterConfig::default().with_writer_name(name.clone());
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    writer.write("a", "a").await.unwrap();
    writer.note_time(Timestamp::from_millis(1000)).await.unwrap();
    writer.write("b", "b").await.unwrap();
    writer.note_time(Timestamp::from_millis(2000)).await.unwrap();
    let error = writer.note_time(Timestamp::from_millis(1500)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConditionFailed, "{error}");
    writer.close(FAR).await.into_result().unwrap();
    drop(writer);
    // An earlier time is refused, and changes nothing, for as long as the writer is known. A call
    // that removes the writer would hide that the writer did not, and can keep a 0.13.0 server
    // from ever doing so: the server passes over a writer that changes while it removes it.
    let start = [0, 1].map(|number| (SegmentId::from(number), Offset(0)));
    let position = BoundedCut::new(stream.clone(), start).unwrap();
    harness::eventually("the writer is removed", async || {
        match controller.note_time(&name, &position, Timestamp::from_millis(1)).await {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConditionFailed, "{error}");
                false
            }
        }
    })
    .await;
}

#[tokio::test]
async fn time_is_noted_automatically() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let name: WriterName = "automatic".parse().unwrap();
    let config = WriterConfig::default()
        .with_time_notes(TimeNotes::Automatic)
        .with_writer_name(name.clone());
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    writer.write("a", "a").await.unwrap();
    // The controller knows a writer once it has noted a time.
    harness::eventually("the writer is known by its time", async || {
        // While the writer notes its time, a 0.13.0 server may report a failure.
        matches!(factory.controller().remove_writer(&stream, &name).await, Ok(true))
    })
    .await;
}

#[tokio::test]
async fn a_sink_takes_a_stream_of_events() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let config = WriterConfig::default().with_max_in_flight_bytes(16 * 1024);
    let writer: EventWriter<Utf8> = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let events =
        stream::iter((0..2000).map(|number| Ok((Some("k".to_owned()), format!("k:{number}")))));
    events.forward(writer.sink()).await.unwrap();
    assert_eq!(by_key(&read_all(&factory, &stream).await)["k"], (0..2000).collect::<Vec<_>>());
}
