//! The stream reader and batch reads against a real server.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::try_join_all};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    LargeEvents, ReadEvent, ReadFrom, ReadUntil, ReaderConfig, StreamReader, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_integration_tests::harness::{
    eventually, factory, new_stream, read_all, read_between, scale,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, KeyRange, Offset, ScopedStream, SegmentId, SegmentRange,
    StreamConfiguration, StreamCut,
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

async fn reader(
    factory: &ClientFactory,
    stream: &ScopedStream,
    start: ReadFrom,
) -> StreamReader<Utf8> {
    factory
        .stream_reader_with(stream, Utf8, ReaderConfig::default().with_start(start))
        .await
        .unwrap()
}

async fn next(reader: &mut StreamReader<Utf8>) -> String {
    timeout(SOON, reader.next())
        .await
        .expect("an event in time")
        .expect("an event")
        .unwrap()
        .into_event()
}

async fn write(factory: &ClientFactory, stream: &ScopedStream, numbers: std::ops::Range<u32>) {
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

/// The numbers behind each key, in the order in which they came.
fn by_key<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for text in texts {
        let (key, number) = text.split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    keys
}

fn expected(numbers: std::ops::Range<u32>) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    numbers.for_each(|number| keys.entry(format!("key-{}", number % 7)).or_default().push(number));
    keys
}

fn texts(events: &[ReadEvent<Bytes>]) -> Vec<&str> {
    events.iter().map(|event| std::str::from_utf8(event.event()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_tail_is_given_what_comes_and_one_at_the_head_all_there_is() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    write(&factory, &stream, 0..10).await;
    let mut tail = reader(&factory, &stream, ReadFrom::Tail).await;
    assert!(
        timeout(Duration::from_millis(300), tail.next()).await.is_err(),
        "nothing was written yet"
    );
    write(&factory, &stream, 10..20).await;
    let mut found = Vec::new();
    for _ in 0..10 {
        found.push(next(&mut tail).await);
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(10..20));
    let mut head = reader(&factory, &stream, ReadFrom::Head).await;
    let mut found = Vec::new();
    while found.len() < 20 {
        let batch = timeout(SOON, head.next_batch(7)).await.unwrap().unwrap().unwrap();
        assert!((1..=7).contains(&batch.len()));
        found.extend(batch.into_iter().map(ReadEvent::into_event));
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(0..20));
    assert!(timeout(Duration::from_millis(300), head.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_size_come_out_as_they_went_in() {
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
    // Less room than the largest event needs.
    let config = ReaderConfig::default().with_max_buffered_bytes(1 << 20).with_end(ReadUntil::Tail);
    let mut reader = factory.stream_reader_with(&stream, Raw, config).await.unwrap();
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
        let mut reader = reader(&factory, &stream, ReadFrom::Head).await;
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
    // One that comes later sees the same; and all of it ends once the stream is sealed.
    controller.seal_stream(&stream).await.unwrap();
    let mut late = reader(&factory, &stream, ReadFrom::Head).await;
    let mut found = Vec::new();
    while let Some(event) = timeout(SOON, late.next()).await.unwrap() {
        found.push(event.unwrap().into_event());
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(0..900));
    assert!(late.next().await.is_none());
    let mut none = reader(&factory, &stream, ReadFrom::Tail).await;
    assert!(none.next().await.is_none(), "a sealed stream has no tail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_taken_anywhere_divides_the_stream_into_what_was_read_and_the_rest() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 2).await;
    let id = |epoch: i64, number: i64| SegmentId::from((epoch << 32) | number);
    write(&factory, &stream, 0..100).await;
    scale(controller, &stream, &[id(0, 0)], &KeyRange::new(0.0, 0.5).unwrap().split(2)).await;
    write(&factory, &stream, 100..200).await;
    scale(controller, &stream, &[id(1, 3), id(0, 1)], &[KeyRange::new(0.25, 1.0).unwrap()]).await;
    write(&factory, &stream, 200..300).await;
    for taken in [0, 1, 50, 99, 100, 150, 199, 201, 299, 300] {
        let mut first = reader(&factory, &stream, ReadFrom::Head).await;
        let mut before = Vec::new();
        for _ in 0..taken {
            before.push(next(&mut first).await);
        }
        // As text, as it travels between programs.
        let text = StreamCut::from(first.stream_cut()).to_text();
        let StreamCut::At(cut) = text.parse().unwrap() else { panic!("a bounded cut") };
        let rest =
            read_between(&factory, &stream, ReadFrom::Cut(cut.clone()), ReadUntil::Tail).await;
        let whole = before.iter().map(String::as_str).chain(texts(&rest));
        assert_eq!(by_key(whole), expected(0..300), "after {taken}");
        let again = read_between(&factory, &stream, ReadFrom::Head, ReadUntil::Cut(cut)).await;
        assert_eq!(
            by_key(texts(&again)),
            by_key(before.iter().map(String::as_str)),
            "up to {taken}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_none_of_the_stream_are_refused_with_what_is_wrong() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let other = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..50).await;
    let cut = |stream: &ScopedStream, offsets: &[(i64, i64)]| {
        let positions = offsets.iter().map(|(id, offset)| (SegmentId::from(*id), Offset(*offset)));
        BoundedCut::new(stream.clone(), positions).unwrap()
    };
    let open = async |start, end| {
        let config = ReaderConfig::default().with_start(start).with_end(end);
        factory.stream_reader_with(&stream, Raw, config).await.unwrap_err()
    };
    let refused = open(ReadFrom::Cut(cut(&other, &[(0, 0)])), ReadUntil::Sealed).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut);
    assert!(
        refused.to_string().contains(&format!("the stream cut is one of {other}")),
        "{refused}"
    );
    let refused = open(ReadFrom::Head, ReadUntil::Cut(cut(&other, &[(0, 0)]))).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut);
    let start = ReadFrom::Cut(cut(&stream, &[(0, 40), (1, 0)]));
    let refused = open(start, ReadUntil::Cut(cut(&stream, &[(0, 20), (1, 20)]))).await;
    assert_eq!(
        (refused.kind(), refused.segment()),
        (ErrorKind::InvalidArgument, Some(SegmentId::from(0)))
    );
    assert!(refused.to_string().contains("the start, 40, is behind the end, 20"), "{refused}");
    let pointer: EventPointer = format!("{other}/0.#epoch.0:0-16").parse().unwrap();
    assert_eq!(
        open(ReadFrom::Event(pointer), ReadUntil::Sealed).await.kind(),
        ErrorKind::InvalidStreamCut
    );
    let missing: ScopedStream = format!("{}/missing", stream.scope()).parse().unwrap();
    assert_eq!(factory.stream_reader(&missing, Raw).await.unwrap_err().kind(), ErrorKind::NotFound);
    // A cut behind the tail would wait for ever for what nobody knows.
    let config =
        ReaderConfig::default().with_start(ReadFrom::Cut(cut(&stream, &[(0, 1 << 40), (1, 0)])));
    let mut behind = factory.stream_reader_with(&stream, Raw, config).await.unwrap();
    let refused = loop {
        if let Err(error) = timeout(SOON, behind.next()).await.unwrap().unwrap() {
            break error;
        }
    };
    assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut, "{refused}");
    assert!(behind.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_from_an_event_begins_with_it() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..20).await;
    let all = read_all(&factory, &stream).await;
    let rest = read_between(
        &factory,
        &stream,
        ReadFrom::Event(all[12].pointer().unwrap()),
        ReadUntil::Tail,
    )
    .await;
    assert_eq!(texts(&rest), texts(&all[12..]));
    let batch = factory.batch_client(&stream);
    for event in &all {
        let fetched = batch.fetch(&event.pointer().unwrap(), &Raw).await.unwrap();
        assert_eq!(fetched, event.event());
    }
    let wrong = |offset, length| {
        EventPointer::new(all[0].segment().clone(), Offset(offset), length).unwrap()
    };
    assert_eq!(batch.fetch(&wrong(1, 16), &Raw).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(batch.fetch(&wrong(0, 9), &Raw).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(
        batch.fetch(&wrong(1 << 40, 16), &Raw).await.unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_from_a_time_leaves_out_what_watermarks_say_is_older() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let marks = stream.watermark_stream();
    let mut written = Vec::new();
    for time in 1..=3_i64 {
        for number in 0..10 {
            writer.write("k", format!("{time}:{number}")).await.unwrap();
            written.push((time, number));
        }
        writer.note_time(time * 1000).await.unwrap();
        // The controller makes a mark every ten seconds.
        eventually("there is a mark", async || {
            read_all(&factory, &marks).await.len() >= time as usize
        })
        .await;
    }
    let since = async |time| {
        let found = read_between(&factory, &stream, ReadFrom::Time(time), ReadUntil::Tail).await;
        texts(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let from = |time: i64| -> Vec<String> {
        written
            .iter()
            .filter(|(of, _)| *of > time)
            .map(|(time, number)| format!("{time}:{number}"))
            .collect()
    };
    assert_eq!(since(2500).await, from(2));
    assert_eq!(since(2000).await, from(2));
    assert_eq!(since(1999).await, from(1));
    assert_eq!(since(0).await, from(0), "before all marks nothing is left out");
    // Without marks the age of segments tells, by the servers' clock.
    let unmarked = new_stream(controller, 1).await;
    write(&factory, &unmarked, 0..10).await;
    scale(controller, &unmarked, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &unmarked, 10..20).await;
    let later = ReadFrom::Time(i64::MAX);
    assert_eq!(
        by_key(texts(&read_between(&factory, &unmarked, later, ReadUntil::Tail).await)),
        expected(10..20)
    );
    let all = read_between(&factory, &unmarked, ReadFrom::Time(0), ReadUntil::Tail).await;
    assert_eq!(by_key(texts(&all)), expected(0..20));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_truncated_is_told_once_and_the_rest_is_read() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    write(&factory, &stream, 0..100).await;
    let all = read_all(&factory, &stream).await;
    let start = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(0))]).unwrap();
    let half = BoundedCut::new(stream.clone(), [(SegmentId::from(0), all[50].offset())]).unwrap();
    controller.truncate_stream(&half).await.unwrap();
    let mut from_start = reader(&factory, &stream, ReadFrom::Cut(start.clone())).await;
    let told = timeout(SOON, from_start.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (told.kind(), told.offset(), told.is_retryable()),
        (ErrorKind::Truncated, Some(Offset(0)), false)
    );
    for number in 50..100 {
        assert_eq!(next(&mut from_start).await, format!("key-{}:{number}", number % 7));
    }
    assert_eq!(read_all(&factory, &stream).await.len(), 50, "at the head nobody misses anything");
    // Truncated behind a scale: the whole segment is gone.
    scale(controller, &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 100..120).await;
    let head = factory.batch_client(&stream).tail_cut().await.unwrap();
    let behind =
        BoundedCut::new(stream.clone(), head.positions().map(|(id, _)| (id, Offset(0)))).unwrap();
    controller.truncate_stream(&behind).await.unwrap();
    let mut from_start = reader(&factory, &stream, ReadFrom::Cut(start)).await;
    let told = timeout(SOON, from_start.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (told.kind(), told.segment()),
        (ErrorKind::Truncated, Some(SegmentId::from(0))),
        "{told}"
    );
    let mut found = Vec::new();
    for _ in 0..20 {
        found.push(next(&mut from_start).await);
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(100..120));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_or_made_again_under_a_reader_is_an_error() {
    let factory = factory().await;
    let controller = factory.controller();
    for is_made_again in [false, true] {
        let stream = new_stream(controller, 1).await;
        write(&factory, &stream, 0..20).await;
        let mut reading = reader(&factory, &stream, ReadFrom::Head).await;
        for _ in 0..20 {
            next(&mut reading).await;
        }
        let cut = reading.stream_cut();
        controller.seal_stream(&stream).await.unwrap();
        controller.delete_stream(&stream).await.unwrap();
        if is_made_again {
            controller.create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
            // Not the reader that was there, which saw the old stream sealed: one that comes with
            // an old position.
            let mut old = reader(&factory, &stream, ReadFrom::Cut(cut)).await;
            let told = timeout(SOON, old.next()).await.unwrap().unwrap().unwrap_err();
            // The server gives the new stream's segments numbers of their own, so the old ones are
            // gone.
            assert_eq!(told.kind(), ErrorKind::NotFound, "{told}");
            assert!(old.next().await.is_none());
        } else {
            let outcome = timeout(SOON, reading.next()).await.unwrap();
            // It may have seen the seal before the deletion.
            assert!(outcome.is_none_or(|told| told.unwrap_err().kind() == ErrorKind::NotFound));
            let gone = factory.stream_reader(&stream, Raw).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_between_cuts_are_read_side_by_side_by_whoever_is_handed_them() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 2).await;
    let batch = factory.batch_client(&stream);
    write(&factory, &stream, 0..300).await;
    let first = batch.tail_cut().await.unwrap();
    scale(controller, &stream, &[0, 1].map(SegmentId::from), &KeyRange::equal(3)).await;
    write(&factory, &stream, 300..500).await;
    let second = batch.tail_cut().await.unwrap();
    write(&factory, &stream, 500..600).await;
    let read = async |from: StreamCut, to: StreamCut| {
        // Over text, as to another process.
        let ranges: Vec<String> =
            batch.ranges(&from, &to).await.unwrap().iter().map(ToString::to_string).collect();
        let reading = ranges.iter().map(|range| {
            let batch = batch.clone();
            let range: SegmentRange = range.parse().unwrap();
            async move {
                let events: Vec<_> = batch.read(&range, Utf8).unwrap().collect().await;
                let events: Result<Vec<_>, _> = events.into_iter().collect();
                events.map(|events| (range, events))
            }
        });
        let mut texts = Vec::new();
        let mut bytes = 0;
        for (range, events) in try_join_all(reading).await.unwrap() {
            assert!(events.iter().all(|event| event.segment() == range.segment()));
            assert_eq!(range.end(), events.last().unwrap().end_offset());
            bytes += range.len();
            texts.extend(events.into_iter().map(ReadEvent::into_event));
        }
        assert_eq!(batch.distance(&from, &to).await.unwrap(), bytes);
        let mut numbers: Vec<u32> =
            by_key(texts.iter().map(String::as_str)).into_values().flatten().collect();
        numbers.sort_unstable();
        numbers
    };
    let at = |cut: &BoundedCut| StreamCut::from(cut.clone());
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (0..600).collect::<Vec<_>>()
    );
    assert_eq!(read(StreamCut::Unbounded, at(&first)).await, (0..300).collect::<Vec<_>>());
    assert_eq!(read(at(&first), at(&second)).await, (300..500).collect::<Vec<_>>());
    assert_eq!(read(at(&second), StreamCut::Unbounded).await, (500..600).collect::<Vec<_>>());
    assert_eq!(read(at(&second), at(&second)).await, Vec::<u32>::new());
    assert!(batch.ranges(&at(&second), &at(&first)).await.is_err(), "from is behind to");
    // What is gone is told, with where the stream begins by now.
    controller.truncate_stream(&second).await.unwrap();
    let gone = batch.ranges(&at(&first), &StreamCut::Unbounded).await;
    let gone = match gone {
        Err(error) => error,
        Ok(ranges) => {
            let mut reader = batch.read(&ranges[0], Utf8).unwrap();
            reader.next().await.unwrap().unwrap_err()
        }
    };
    assert_eq!(gone.kind(), ErrorKind::Truncated, "{gone}");
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (500..600).collect::<Vec<_>>()
    );
    controller.seal_stream(&stream).await.unwrap();
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (500..600).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_walked_in_steps_of_about_so_many_bytes_through_scales() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    let batch = factory.batch_client(&stream);
    let id = |epoch: i64, number: i64| SegmentId::from((epoch << 32) | number);
    write(&factory, &stream, 0..200).await;
    scale(controller, &stream, &[id(0, 0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 200..400).await;
    scale(controller, &stream, &[id(1, 1), id(1, 2)], &KeyRange::equal(1)).await;
    write(&factory, &stream, 400..500).await;
    let whole = batch.distance(&StreamCut::Unbounded, &StreamCut::Unbounded).await.unwrap();
    for step in [1, 100, 777, 1 << 30] {
        let mut cut = batch.head_cut().await.unwrap();
        let (mut sum, mut texts) = (0, Vec::new());
        loop {
            let further = batch.next_cut(&cut, step).await.unwrap();
            if further == cut {
                break;
            }
            assert!(controller.is_stream_cut_valid(&further).await.unwrap(), "{further}");
            let (from, to) = (StreamCut::from(cut), StreamCut::from(further.clone()));
            let distance = batch.distance(&from, &to).await.unwrap();
            // Each segment may go beyond its share by an event.
            assert!(distance <= step.saturating_add(2 * 20), "{distance} for {step}");
            sum += distance;
            for range in batch.ranges(&from, &to).await.unwrap() {
                let mut reader = batch.read(&range, Utf8).unwrap();
                while let Some(event) = reader.next().await {
                    texts.push(event.unwrap().into_event());
                }
            }
            cut = further;
            if step == 1 && texts.len() > 30 {
                // Event by event is enough for a beginning.
                break;
            }
        }
        if step > 1 {
            assert_eq!(sum, whole);
            assert_eq!(by_key(texts.iter().map(String::as_str)), expected(0..500));
        } else {
            assert_eq!(by_key(texts.iter().map(String::as_str)), expected(0..texts.len() as u32));
        }
    }
    let other = new_stream(controller, 1).await;
    let foreign = factory.batch_client(&other).head_cut().await.unwrap();
    assert_eq!(batch.next_cut(&foreign, 10).await.unwrap_err().kind(), ErrorKind::InvalidStreamCut);
    let head = batch.head_cut().await.unwrap();
    assert_eq!(batch.next_cut(&head, 0).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reader_reads_many_segments_over_one_connection() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 200).await;
    let mut tail = reader(&factory, &stream, ReadFrom::Tail).await;
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
