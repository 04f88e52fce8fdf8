//! Positions at which a reader starts and ends: cuts, events, times.

use pravega_sdk_event_stream::{
    ReadUntil, ReaderConfig, StreamPosition,
    codec::{Raw, Utf8},
};
use pravega_sdk_integration_tests::harness::{
    FAR, eventually, factory, new_stream, read_all, read_between, scale,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, KeyRange, Offset, ScopedStream, SegmentId, StreamCut,
    Timestamp,
};
use tokio::time::timeout;

use super::support::{by_key, expected, next, reader, texts, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_a_reader_divides_the_stream_into_the_events_read_and_the_rest() {
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
        let mut first = reader(&factory, &stream, StreamPosition::Head).await;
        let mut before = Vec::new();
        for _ in 0..taken {
            before.push(next(&mut first).await);
        }
        // As text, as it travels between programs.
        let text = StreamCut::from(first.stream_cut()).to_text();
        let StreamCut::At(cut) = text.parse().unwrap() else { panic!("a bounded cut") };
        let rest =
            read_between(&factory, &stream, StreamPosition::Cut(cut.clone()), ReadUntil::Tail)
                .await;
        let whole = before.iter().map(String::as_str).chain(texts(&rest));
        assert_eq!(by_key(whole), expected(0..300), "after {taken}");
        let again =
            read_between(&factory, &stream, StreamPosition::Head, ReadUntil::Cut(cut)).await;
        assert_eq!(
            by_key(texts(&again)),
            by_key(before.iter().map(String::as_str)),
            "up to {taken}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_outside_the_stream_are_refused_with_the_reason() {
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
        factory.event_reader_with(&stream, Raw, config).await.unwrap_err()
    };
    let refused = open(StreamPosition::Cut(cut(&other, &[(0, 0)])), ReadUntil::Sealed).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut);
    assert!(
        refused.to_string().contains(&format!("the stream cut is one of {other}")),
        "{refused}"
    );
    let refused = open(StreamPosition::Head, ReadUntil::Cut(cut(&other, &[(0, 0)]))).await;
    assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut);
    let start = StreamPosition::Cut(cut(&stream, &[(0, 40), (1, 0)]));
    let refused = open(start, ReadUntil::Cut(cut(&stream, &[(0, 20), (1, 20)]))).await;
    assert_eq!(
        (refused.kind(), refused.segment()),
        (ErrorKind::InvalidArgument, Some(SegmentId::from(0)))
    );
    assert!(refused.to_string().contains("the start, 40, is after the end, 20"), "{refused}");
    let pointer: EventPointer = format!("{other}/0.#epoch.0:0-16").parse().unwrap();
    assert_eq!(
        open(StreamPosition::Event(pointer), ReadUntil::Sealed).await.kind(),
        ErrorKind::InvalidStreamCut
    );
    let missing: ScopedStream = format!("{}/missing", stream.scope()).parse().unwrap();
    assert_eq!(factory.event_reader(&missing, Raw).await.unwrap_err().kind(), ErrorKind::NotFound);
    // A reader would wait forever for an end that is after the tail.
    let config = ReaderConfig::default()
        .with_start(StreamPosition::Cut(cut(&stream, &[(0, 1 << 40), (1, 0)])));
    let mut behind = factory.event_reader_with(&stream, Raw, config).await.unwrap();
    let refused = loop {
        if let Err(error) = timeout(FAR, behind.next()).await.unwrap().unwrap() {
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
        StreamPosition::Event(all[12].pointer().unwrap()),
        ReadUntil::Tail,
    )
    .await;
    assert_eq!(texts(&rest), texts(&all[12..]));
    let batch = factory.batch_client(&stream).await.unwrap();
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
async fn reading_from_a_time_omits_events_before_its_watermark() {
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
        writer.note_time(Timestamp::from_millis(time * 1000)).await.unwrap();
        // The controller writes a watermark every ten seconds.
        eventually("there is a mark", async || {
            read_all(&factory, &marks).await.len() >= time as usize
        })
        .await;
    }
    let since = async |time| {
        let found = read_between(
            &factory,
            &stream,
            StreamPosition::Time(Timestamp::from_millis(time)),
            ReadUntil::Tail,
        )
        .await;
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
    assert_eq!(since(0).await, from(0), "before all watermarks no event is omitted");
    // Without watermarks the age of segments decides, by the servers' clock.
    let unmarked = new_stream(controller, 1).await;
    write(&factory, &unmarked, 0..10).await;
    scale(controller, &unmarked, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &unmarked, 10..20).await;
    let later = StreamPosition::Time(Timestamp::from_millis(i64::MAX));
    assert_eq!(
        by_key(texts(&read_between(&factory, &unmarked, later, ReadUntil::Tail).await)),
        expected(10..20)
    );
    let all = read_between(
        &factory,
        &unmarked,
        StreamPosition::Time(Timestamp::from_millis(0)),
        ReadUntil::Tail,
    )
    .await;
    assert_eq!(by_key(texts(&all)), expected(0..20));
}
