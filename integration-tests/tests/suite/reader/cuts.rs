//! Every cut that the client hands out, through every call that takes one: in a stream that was
//! scaled, truncated, sealed, deleted and created again.

use std::collections::BTreeSet;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    BatchClient, EventReader, ReadError, ReadUntil, ReaderConfig, StreamPosition, codec::Utf8,
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, scale};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Offset, ScopedStream, SegmentId, SegmentOffset,
    StreamConfiguration, StreamCut,
};
use tokio::time::timeout;

use super::support::write;

type Texts = BTreeSet<String>;

/// A cut, where it comes from, and the events before it.
struct Known {
    name: String,
    cut: BoundedCut,
    before: Texts,
}

struct Stream {
    factory: ClientFactory,
    stream: ScopedStream,
    batch: BatchClient,
    cuts: Vec<Known>,
}

fn id(epoch: i64, number: i64) -> SegmentId {
    SegmentId::from((epoch << 32) | number)
}

/// Reads to the end; the kinds of the errors besides the events.
async fn drain(mut reader: EventReader<Utf8>) -> (Texts, Vec<ErrorKind>) {
    let (mut events, mut errors) = (Texts::new(), Vec::new());
    while let Some(found) = timeout(FAR, reader.next()).await.expect("the reader ends") {
        match found {
            Ok(event) => assert!(events.insert(event.into_event()), "an event came twice"),
            Err(error) => errors.push(error.kind()),
        }
    }
    (events, errors)
}

impl Stream {
    async fn new() -> Self {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), 2).await;
        let batch = factory.batch_client(&stream).await.unwrap();
        Self { factory, stream, batch, cuts: Vec::new() }
    }

    async fn reader(
        &self,
        start: impl Into<StreamPosition>,
        end: ReadUntil,
    ) -> Result<EventReader<Utf8>, ReadError> {
        let config = ReaderConfig::default().with_start(start).with_end(end);
        self.factory.event_reader_with(&self.stream, Utf8, config).await
    }

    async fn add(&mut self, name: impl Into<String>, cut: BoundedCut) {
        let reader = self.reader(StreamPosition::Head, ReadUntil::Cut(cut.clone())).await.unwrap();
        let (before, errors) = drain(reader).await;
        assert!(errors.is_empty(), "{errors:?}");
        self.cuts.push(Known { name: name.into(), cut, before });
    }

    /// Adds the present tail, and some cuts of readers and of `next_cut`.
    async fn add_present(&mut self, name: &str) {
        self.add(format!("tail {name}"), self.batch.tail_cut().await.unwrap()).await;
        let mut reader = self.reader(StreamPosition::Head, ReadUntil::Tail).await.unwrap();
        for _ in 0..33 {
            timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
        }
        self.add(format!("reader {name}"), reader.stream_cut()).await;
        while timeout(FAR, reader.next()).await.unwrap().is_some() {}
        self.add(format!("end of reader {name}"), reader.stream_cut()).await;
        let next = self.batch.next_cut(&reader.stream_cut(), 100).await.unwrap();
        self.add(format!("next {name}"), next).await;
    }

    /// The events of the ranges between two cuts.
    async fn ranges(&self, from: &StreamCut, to: &StreamCut) -> Result<Texts, ReadError> {
        let (mut events, mut bytes) = (Texts::new(), 0);
        let ranges = self.batch.ranges(from, to).await;
        let distance = self.batch.distance(from, to).await;
        for range in ranges? {
            let (found, errors) = drain(self.batch.read(&range, Utf8).unwrap()).await;
            assert!(errors.is_empty(), "{range}: {errors:?}");
            events.extend(found);
            bytes += range.len();
        }
        assert_eq!(distance.unwrap(), bytes);
        Ok(events)
    }
}

/// A stream with every kind of cut: at its head and tail, of readers, and of steps.
async fn with_cuts() -> Stream {
    let mut stream = Stream::new().await;
    let controller = stream.factory.controller().clone();
    stream.add("head", stream.batch.head_cut().await.unwrap()).await;
    write(&stream.factory, &stream.stream, 0..60).await;
    let first = stream.batch.next_cut(&stream.cuts[0].cut, 200).await.unwrap();
    stream.add("next", first).await;
    stream.add_present("of two").await;
    let ends = stream.batch.tail_cut().await.unwrap();
    // 2 follows 0, 3 follows 0 and 1.
    let range = |low, high| KeyRange::new(low, high).unwrap();
    scale(&controller, &stream.stream, &[id(0, 0), id(0, 1)], &[range(0.0, 0.3), range(0.3, 1.0)])
        .await;
    write(&stream.factory, &stream.stream, 60..120).await;
    // As of a reader that is in the middle of segment 1 when it begins to read 2.
    let (left, length) = (id(1, 2), ends.offset(id(0, 0)).unwrap());
    let tail = stream.batch.tail_cut().await.unwrap();
    let begun = [
        (id(0, 0), length),
        (left, tail.offset(left).unwrap()),
        (id(0, 1), first_offset(&stream).unwrap()),
    ];
    stream.add("mixed", BoundedCut::new(stream.stream.clone(), begun).unwrap()).await;
    stream.add_present("of a scale").await;
    scale(&controller, &stream.stream, &[id(1, 2), id(1, 3)], &[range(0.0, 0.7), range(0.7, 1.0)])
        .await;
    write(&stream.factory, &stream.stream, 120..150).await;
    stream.add_present("of a second scale").await;
    stream
}

/// The offset in segment 1 of the first step, which is the end of an event.
fn first_offset(stream: &Stream) -> Option<SegmentOffset> {
    stream.cuts.iter().find(|known| known.name == "next")?.cut.offset(id(0, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cuts_bound_the_events_between_them_or_are_in_the_wrong_order() {
    let stream = with_cuts().await;
    let mut is_ordered = 0;
    for a in &stream.cuts {
        for b in &stream.cuts {
            let names = format!("{} to {}", a.name, b.name);
            let between: Texts = b.before.difference(&a.before).cloned().collect();
            let reader = stream.reader(a.cut.clone(), ReadUntil::Cut(b.cut.clone())).await;
            let (from, to) = (a.cut.clone().into(), b.cut.clone().into());
            let ranges = stream.ranges(&from, &to).await;
            match reader {
                Ok(reader) => {
                    is_ordered += 1;
                    assert_eq!(drain(reader).await, (between.clone(), Vec::new()), "{names}");
                    assert_eq!(ranges.unwrap(), between, "{names}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{names}: {error}");
                    let error = ranges.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{names}: {error}");
                    let is_after = !a.before.is_subset(&b.before) || a.before == b.before;
                    assert!(is_after, "{names} is in order");
                }
            }
        }
        let rest = stream.ranges(&a.cut.clone().into(), &StreamCut::Unbounded).await.unwrap();
        assert_eq!(rest.len() + a.before.len(), 150, "from {}", a.name);
        let before = stream.ranges(&StreamCut::Unbounded, &a.cut.clone().into()).await.unwrap();
        assert_eq!(before, a.before, "up to {}", a.name);
        stream.batch.next_cut(&a.cut, 50).await.unwrap();
    }
    assert!(is_ordered > stream.cuts.len() * stream.cuts.len() / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_truncation_the_loss_is_told_and_nothing_after_the_end_is_read() {
    let stream = with_cuts().await;
    let head = stream.cuts.iter().find(|known| known.name == "tail of a scale").unwrap();
    stream.factory.controller().truncate_stream(&head.cut).await.unwrap();
    for a in &stream.cuts {
        for b in &stream.cuts {
            let names = format!("{} to {}", a.name, b.name);
            let between: Texts = b.before.difference(&a.before).cloned().collect();
            let left: Texts = between.difference(&head.before).cloned().collect();
            let opened = stream.reader(a.cut.clone(), ReadUntil::Cut(b.cut.clone())).await;
            let ranges = stream.ranges(&a.cut.clone().into(), &b.cut.clone().into()).await;
            let Ok(reader) = opened else {
                let error = ranges.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{names}: {error}");
                continue;
            };
            let (events, errors) = drain(reader).await;
            assert_eq!(events, left, "{names}");
            let is_told = |kind: &ErrorKind| *kind == ErrorKind::Truncated;
            assert!(errors.iter().all(is_told), "{names}: {errors:?}");
            assert!(left == between || !errors.is_empty(), "{names}: the loss is not told");
            match ranges {
                Ok(events) => assert_eq!(events, between, "{names}"),
                Err(error) => assert!(is_told(&error.kind()), "{names}: {error}"),
            }
        }
        // The head is after a cut that was truncated away.
        let end = ReadUntil::Cut(a.cut.clone());
        if let Err(error) = stream.reader(StreamPosition::Head, end).await {
            assert_eq!(error.kind(), ErrorKind::Truncated, "up to {}: {error}", a.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_of_a_sealed_stream_is_taken_like_any_cut() {
    let mut stream = with_cuts().await;
    stream.factory.controller().seal_stream(&stream.stream).await.unwrap();
    let tail = stream.batch.tail_cut().await.unwrap();
    assert_eq!(tail.positions().len(), 0);
    // As text, as it is stored.
    let StreamCut::At(tail) = StreamCut::from(tail).to_text().parse().unwrap() else {
        panic!("a bounded cut")
    };
    stream.add("the end", tail.clone()).await;
    for known in &stream.cuts {
        let rest = 150 - known.before.len();
        let reader = stream.reader(known.cut.clone(), ReadUntil::Cut(tail.clone())).await;
        assert_eq!(drain(reader.unwrap()).await.0.len(), rest, "from {}", known.name);
        let (from, to) = (known.cut.clone().into(), tail.clone().into());
        assert_eq!(stream.ranges(&from, &to).await.unwrap().len(), rest, "from {}", known.name);
        if known.cut.positions().len() > 0 {
            let reversed = stream.ranges(&to, &from).await.unwrap_err();
            assert_eq!(reversed.kind(), ErrorKind::InvalidArgument, "{reversed}");
        }
    }
    for end in [ReadUntil::Sealed, ReadUntil::Tail, ReadUntil::Cut(tail.clone())] {
        let reader = stream.reader(tail.clone(), end).await.unwrap();
        assert_eq!(drain(reader).await, (Texts::new(), Vec::new()));
    }
    assert_eq!(stream.ranges(&tail.clone().into(), &StreamCut::Unbounded).await.unwrap().len(), 0);
    assert_eq!(stream.batch.next_cut(&tail, 10).await.unwrap(), tail);
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_of_a_stream_that_is_gone_are_refused_by_every_call() {
    let mut stream = with_cuts().await;
    let controller = stream.factory.controller().clone();
    let mut all = stream.reader(StreamPosition::Head, ReadUntil::Tail).await.unwrap();
    let event = timeout(FAR, all.next()).await.unwrap().unwrap().unwrap();
    controller.seal_stream(&stream.stream).await.unwrap();
    stream.add("the end", stream.batch.tail_cut().await.unwrap()).await;
    controller.delete_stream(&stream.stream).await.unwrap();
    for (is_created_again, expected) in
        [(false, ErrorKind::NotFound), (true, ErrorKind::InvalidStreamCut)]
    {
        if is_created_again {
            let again = StreamConfiguration::default();
            controller.create_stream(&stream.stream, &again).await.unwrap();
        }
        for Known { name, cut, .. } in &stream.cuts {
            let bounded = StreamCut::from(cut.clone());
            let batch = &stream.batch;
            let refused = [
                stream.reader(cut.clone(), ReadUntil::Sealed).await.unwrap_err(),
                stream.reader(cut.clone(), ReadUntil::Tail).await.unwrap_err(),
                stream.reader(StreamPosition::Head, ReadUntil::Cut(cut.clone())).await.unwrap_err(),
                batch.ranges(&bounded, &StreamCut::Unbounded).await.unwrap_err(),
                batch.ranges(&StreamCut::Unbounded, &bounded).await.unwrap_err(),
                batch.distance(&bounded, &bounded).await.unwrap_err(),
                batch.next_cut(cut, 100).await.unwrap_err(),
            ];
            for (call, error) in refused.iter().enumerate() {
                assert_eq!(error.kind(), expected, "{name}, call {call}: {error}");
            }
        }
        let fetched = stream.batch.fetch(&event.pointer().unwrap(), &Utf8).await.unwrap_err();
        assert_eq!(fetched.kind(), ErrorKind::NotFound, "{fetched}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_that_no_call_hands_out_are_refused_with_the_reason() {
    let stream = with_cuts().await;
    let cut = |offsets: &[(SegmentId, i64)]| {
        let positions = offsets.iter().map(|(id, offset)| (*id, Offset(*offset)));
        BoundedCut::new(stream.stream.clone(), positions).unwrap()
    };
    let far = 1 << 40;
    let invalid = [
        ("a part of the key space", cut(&[(id(0, 0), 0)])),
        ("a part, between others", cut(&[(id(1, 2), 0), (id(0, 1), 0)])),
        ("a segment that does not exist", cut(&[(id(0, 0), 0), (id(0, 7), 0)])),
        ("an epoch that does not exist", cut(&[(id(9, 0), 0), (id(9, 1), 0)])),
        ("a successor of a part", cut(&[(id(0, 0), 0), (id(1, 2), 0), (id(0, 1), 0)])),
        ("no segment", BoundedCut::empty(stream.stream.clone())),
    ];
    for (name, cut) in invalid {
        let bounded = StreamCut::from(cut.clone());
        // The controller is asked for the epoch for as long as an instance of it may lag.
        let (start, end, from, to, next) = tokio::join!(
            stream.reader(cut.clone(), ReadUntil::Sealed),
            stream.reader(StreamPosition::Head, ReadUntil::Cut(cut.clone())),
            stream.batch.ranges(&bounded, &StreamCut::Unbounded),
            stream.batch.ranges(&StreamCut::Unbounded, &bounded),
            stream.batch.next_cut(&cut, 100),
        );
        let refused = [
            start.unwrap_err(),
            end.unwrap_err(),
            from.unwrap_err(),
            to.unwrap_err(),
            next.unwrap_err(),
        ];
        for (call, error) in refused.iter().enumerate() {
            let kind = error.kind();
            assert_eq!(kind, ErrorKind::InvalidStreamCut, "{name}, call {call}: {error}");
        }
    }
    // A cut after the tail.
    let beyond = StreamCut::from(cut(&[(id(0, 0), far), (id(0, 1), 0)]));
    for (from, to) in [(&StreamCut::Unbounded, &beyond), (&beyond, &StreamCut::Unbounded)] {
        let refused = stream.batch.ranges(from, to).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut, "{refused}");
    }
}
