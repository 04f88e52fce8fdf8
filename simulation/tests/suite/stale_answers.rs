//! A controller of several instances, of which one does not know the latest changes: each story
//! also with a client that believes every answer, which must fail it.

use std::time::Duration;

use pravega_sdk_controller_client::Controller as _;
use pravega_sdk_event_stream::{
    BatchClient, BatchConfig, EventReader, EventWriter, ReadUntil, ReaderConfig, SegmentContext,
    StreamPosition, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_segment_client::{StoreConfig, machine::CONTROLLER_LAG, seeded_bugs::SeededBug};
use pravega_sdk_simulation::client::segment_context_with;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, KeyRange, Offset, ScopedSegment, SegmentId, StreamCut,
};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Cluster, block_on};

/// Far longer than anything here takes.
const FAR: Duration = Duration::from_secs(600);
/// The time after which the instance that lags knows everything.
const BEHIND: Duration = Duration::from_secs(4);

/// A client of a cluster, as it is or with the bug.
struct Client {
    cluster: Cluster,
    context: SegmentContext,
    reader: ReaderConfig,
    writer: WriterConfig,
}

/// Runs a story with the client as it is, which must hold, and with one that believes stale
/// answers, which must not.
fn story(run: impl AsyncFn(&Client) -> Result<(), String>) {
    story_of(SeededBug::BelievesStaleAnswers, run);
}

/// Runs a story with the client as it is, which must hold, and with the bug, which must not.
fn story_of(bug: SeededBug, run: impl AsyncFn(&Client) -> Result<(), String>) {
    let outcome = |bug: Option<SeededBug>| {
        block_on(async {
            let cluster = Cluster::new(1);
            let mut store = StoreConfig::default();
            let backoff = (Duration::from_millis(20), Duration::from_secs(1));
            let mut reader =
                ReaderConfig::default().with_seed(7).with_backoff(backoff.0, backoff.1);
            let mut writer =
                WriterConfig::default().with_seed(7).with_backoff(backoff.0, backoff.1);
            if let Some(bug) = bug {
                store = store.with_seeded_bug(bug);
                reader = reader.with_seeded_bug(bug);
                writer = writer.with_seeded_bug(bug);
            }
            let network = cluster.network.clone();
            let context = segment_context_with(cluster.controller.clone(), network, store);
            let client = Client { cluster, context, reader, writer };
            timeout(FAR, run(&client)).await.expect("the story ends")
        })
    };
    outcome(None).unwrap();
    assert!(outcome(Some(bug)).is_err(), "the story holds with {bug:?}");
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Client {
    /// From now on an instance notices no changes. It answers nothing yet.
    fn instance_stops(&self) {
        self.cluster.world.set_stale_answers(100);
        self.cluster.world.set_stale_share(0);
    }

    /// Only that instance answers, for a while.
    fn instance_answers(&self) {
        let world = self.cluster.world.clone();
        world.set_stale_share(100);
        tokio::spawn(async move {
            sleep(BEHIND).await;
            world.set_stale_answers(0);
        });
    }

    /// Replaces all segments by one.
    fn scale(&self) -> ScopedSegment {
        let Cluster { world, stream, .. } = &self.cluster;
        let sealed = world.active_segments(stream).iter().map(|segment| segment.id).collect();
        world.begin_scale(stream, sealed, KeyRange::equal(1));
        world.finish_scale();
        ScopedSegment::new(stream, world.active_segments(stream)[0].id)
    }

    /// Replaces the first segment by another, each with an event, and seals the stream. An instance
    /// knows of neither.
    fn seal_after_scale(&self) -> (ScopedSegment, ScopedSegment) {
        let first = self.cluster.segment(0);
        self.append(&first, "one..");
        self.instance_stops();
        let second = self.scale();
        self.append(&second, "two..");
        self.cluster.world.seal_stream(&self.cluster.stream);
        (first, second)
    }

    /// Appends an event of 5 bytes, 13 with its header.
    fn append(&self, segment: &ScopedSegment, event: &str) {
        let mut bytes = bytes::BytesMut::new();
        pravega_sdk_wire_protocol::event::put(&mut bytes, event.as_bytes()).unwrap();
        self.cluster.world.append_raw(segment, &bytes);
    }

    async fn open(&self, start: impl Into<StreamPosition>) -> Result<EventReader<Utf8>, String> {
        let config = self.reader.clone().with_start(start);
        let opened = EventReader::open(self.context.clone(), &self.cluster.stream, Utf8, config);
        opened.await.map_err(|error| format!("{error:?}"))
    }

    async fn batch(&self) -> BatchClient {
        let config = BatchConfig::default().with_reader(self.reader.clone());
        BatchClient::open(self.context.clone(), &self.cluster.stream, config).await.unwrap()
    }

    fn cut(&self, segment: &ScopedSegment, offset: i64) -> BoundedCut {
        let positions = [(segment.id(), Offset(offset))];
        BoundedCut::new(self.cluster.stream.clone(), positions).unwrap()
    }
}

/// The next event, or the kind of an error.
async fn next(reader: &mut EventReader<Utf8>) -> String {
    match reader.next().await {
        Some(Ok(event)) => event.into_event(),
        Some(Err(error)) => format!("{:?}", error.kind()),
        None => "end".to_owned(),
    }
}

#[test]
fn a_reader_takes_its_own_cut_from_an_instance_that_does_not_know_the_segment_yet() {
    story(async |client| {
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "one..");
        client.append(&second, "two..");
        let mut reader = client.open(StreamPosition::Head).await?;
        assert_eq!(next(&mut reader).await, "one..");
        let cut = reader.stream_cut();
        drop(reader);
        client.instance_answers();
        let mut reader = client.open(cut).await?;
        let found = next(&mut reader).await;
        check(found == "two..", || found)
    });
}

#[test]
fn a_reader_does_not_take_its_stream_for_deleted_while_an_instance_does_not_know_its_segment() {
    story(async |client| {
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "one..");
        let mut reader = client.open(StreamPosition::Head).await?;
        assert_eq!(next(&mut reader).await, "one..");
        let third = client.scale();
        client.append(&third, "two..");
        client.cluster.world.truncate(&client.cluster.stream, &[(third.id(), Offset(0))].into());
        client.instance_answers();
        let mut found = Vec::new();
        for _ in 0..2 {
            found.push(next(&mut reader).await);
        }
        // The end of the second segment may have been read before it was truncated.
        check(found == ["Truncated", "two.."] || found[0] == "two..", || format!("{found:?}"))
    });
}

#[test]
fn a_writer_does_not_take_its_stream_for_deleted_while_an_instance_does_not_know_its_segment() {
    story(async |client| {
        client.instance_stops();
        client.scale();
        let (context, config) = (client.context.clone(), client.writer.clone());
        let stream = &client.cluster.stream;
        let writer = EventWriter::open(context, stream, Raw, config).await.unwrap();
        writer.write("key", "one..").await.unwrap();
        client.scale();
        client.instance_answers();
        let written = writer.write("key", "two..").await;
        check(written.is_ok(), || format!("{written:?}"))
    });
}

#[test]
fn the_tail_is_that_of_the_present_segments() {
    story(async |client| {
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "one..");
        client.instance_answers();
        let tail = client.batch().await.tail_cut().await.unwrap();
        check(tail == client.cut(&second, 13), || format!("{tail:?}"))
    });
}

#[test]
fn a_reader_up_to_the_tail_returns_what_was_acknowledged_before_it_was_opened() {
    story(async |client| {
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "one..");
        client.instance_answers();
        let config = client.reader.clone().with_end(ReadUntil::Tail);
        let stream = &client.cluster.stream;
        let mut reader =
            EventReader::open(client.context.clone(), stream, Utf8, config).await.unwrap();
        let found = [next(&mut reader).await, next(&mut reader).await];
        check(found == ["one..", "end"], || format!("{found:?}"))
    });
}

#[test]
fn an_event_that_was_truncated_away_is_not_taken_for_one_of_a_deleted_stream() {
    story(async |client| {
        let batch = client.batch().await;
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "one..");
        let third = client.scale();
        client.cluster.world.truncate(&client.cluster.stream, &[(third.id(), Offset(0))].into());
        client.instance_answers();
        let pointer = EventPointer::new(second, Offset(0), 13).unwrap();
        let error = batch.fetch(&pointer, &Raw).await.unwrap_err();
        check(error.kind() == ErrorKind::Truncated, || format!("{error:?}"))
    });
}

#[test]
fn the_tail_of_a_sealed_stream_is_a_start_at_an_instance_that_does_not_know_the_seal() {
    story(async |client| {
        client.instance_stops();
        client.cluster.world.seal_stream(&client.cluster.stream);
        let tail = client.batch().await.tail_cut().await.unwrap();
        client.instance_answers();
        let mut reader = client.open(tail).await?;
        let found = next(&mut reader).await;
        check(found == "end", || found)
    });
}

/// Some answers are from an instance that knows neither the scale nor the seal, in any order.
#[test]
fn a_reader_reaches_the_end_of_a_sealed_stream_while_an_instance_knows_neither_scale_nor_seal() {
    story_of(SeededBug::MixesInstances, async |client| {
        let first = client.cluster.segment(0);
        client.append(&first, "one..");
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "two..");
        client.cluster.world.add_stale_instance();
        client.cluster.world.seal_stream(&client.cluster.stream);
        for _ in 0..300 {
            client.cluster.world.set_stale_share(60);
            let mut reader = client.open(client.cut(&first, 0)).await?;
            let mut found = Vec::new();
            while found.last().is_none_or(|last| last != "end") && found.len() < 5 {
                let next = timeout(BEHIND, next(&mut reader)).await;
                // All instances know everything by now.
                client.cluster.world.set_stale_share(if next.is_err() { 0 } else { 60 });
                found.extend(next.ok());
            }
            check(found == ["one..", "two..", "end"], || format!("{found:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn the_next_cut_in_a_sealed_stream_goes_through_its_last_segments() {
    story_of(SeededBug::MixesInstances, async |client| {
        let (first, second) = client.seal_after_scale();
        let batch = client.batch().await;
        for _ in 0..50 {
            client.cluster.world.set_stale_share(60);
            let next = batch.next_cut(&client.cut(&first, 13), 100).await.unwrap();
            check(next == client.cut(&second, 13), || format!("{next:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn the_bytes_up_to_the_end_of_a_sealed_stream_are_those_of_all_its_segments() {
    story_of(SeededBug::MixesInstances, async |client| {
        let (first, _) = client.seal_after_scale();
        let batch = client.batch().await;
        for _ in 0..50 {
            client.cluster.world.set_stale_share(60);
            let from = client.cut(&first, 0).into();
            let distance = batch.distance(&from, &StreamCut::Unbounded).await.unwrap();
            check(distance == 26, || format!("{distance}"))?;
        }
        Ok(())
    });
}

#[test]
fn the_bytes_between_two_cuts_are_those_of_all_segments_between_them() {
    story(async |client| {
        let first = client.cluster.segment(0);
        client.append(&first, "one..");
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "two..");
        let third = client.scale();
        client.append(&third, "three");
        let (from, to) = (client.cut(&first, 0), client.cut(&third, 13));
        let batch = client.batch().await;
        client.instance_answers();
        let measured = batch.distance(&StreamCut::from(from), &StreamCut::from(to)).await;
        check(matches!(measured, Ok(39)), || format!("{measured:?}"))
    });
}

#[test]
fn the_next_cut_goes_through_segments_that_an_instance_does_not_know_yet() {
    story(async |client| {
        let first = client.cluster.segment(0);
        client.append(&first, "one..");
        client.instance_stops();
        let second = client.scale();
        client.append(&second, "two..");
        let batch = client.batch().await;
        client.instance_answers();
        let next = batch.next_cut(&client.cut(&first, 13), 100).await.unwrap();
        check(next == client.cut(&second, 13), || format!("{next:?}"))
    });
}

#[test]
fn a_cut_of_an_earlier_stream_is_refused_at_once_and_one_of_no_stream_after_the_longest_lag() {
    block_on(async {
        let Cluster { world, controller, stream, network } = Cluster::new(2);
        let context = segment_context_with(controller.clone(), network, StoreConfig::default());
        let sealed = world.active_segments(&stream).iter().map(|segment| segment.id).collect();
        world.begin_scale(&stream, sealed, KeyRange::equal(1));
        world.finish_scale();
        let earlier = world.active_segments(&stream)[0].id;
        world.recreate_stream(&stream, 1);
        let never = SegmentId::from((7 << 32) | 1000);
        for (id, took) in [(earlier, Duration::ZERO), (never, CONTROLLER_LAG)] {
            let cut = BoundedCut::new(stream.clone(), [(id, Offset(0))]).unwrap();
            let config = ReaderConfig::default().with_start(cut);
            let begun = Instant::now();
            let opened = EventReader::open(context.clone(), &stream, Utf8, config).await;
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidStreamCut, "{id}");
            let slack = Duration::from_secs(1);
            assert!((took..took + slack).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        }
        assert!(controller.current_segments(&stream).await.is_ok());
    });
}
