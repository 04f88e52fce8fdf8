//! Orders of events in which a writer could store something twice or in the wrong place, or report
//! a wrong outcome. Each runs with the code as it is, and with the code as it was.

use std::time::Duration;

use pravega_sdk_event_stream::{
    Appended, ByteWriter, ByteWriterConfig, LargeEvents, SeededBug, SegmentTail, WriteError,
    WriterConfig,
};
use pravega_sdk_simulation::{Requests, Stall, Stuck};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, RoutingKey, SegmentId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Cluster, block_on};

/// The settings of the code as it is, or with a bug of the code as it was.
fn config(bug: Option<SeededBug>) -> WriterConfig {
    let config = WriterConfig::default()
        .with_delivery_timeout(Duration::from_secs(20))
        .with_max_event_bytes(40)
        .with_large_events(LargeEvents::UpTo(1000));
    match bug {
        Some(bug) => config.with_seeded_bug(bug),
        None => config,
    }
}

impl Cluster {
    /// Seals the first segment, which others take over.
    fn scale(&self, segments: u32) {
        self.world.begin_scale(&self.stream, vec![SegmentId::from(0)], KeyRange::equal(segments));
        self.world.finish_scale();
    }
}

/// What the writer says of an event, and what is in the stream.
type Told = (Result<Appended, WriteError>, Vec<String>);

/// The connection ends with an append on its way. The client sets up and sends again; then the
/// first attempt is applied, the segment is sealed, and the second one arrives.
async fn late_append_before_the_seal(event: &str, bug: Option<SeededBug>) -> Told {
    let cluster = Cluster::new(1);
    let writer = cluster.writer_with(config(bug)).await.unwrap();
    let (late, again) = cluster.hold_attempts();
    let ack = writer.enqueue("k", event.to_owned()).await.unwrap();
    late.reached().await;
    cluster.network.reset(0);
    again.reached().await;
    late.release();
    cluster.scale(2);
    again.release();
    (ack.await, cluster.texts())
}

#[test]
fn an_append_that_comes_late_and_before_the_seal_is_stored_once() {
    block_on(async {
        let large = "a large event, ".repeat(10);
        for event in ["zombie", &large] {
            let (told, texts) = late_append_before_the_seal(event, None).await;
            assert_eq!(told.unwrap().segment().id(), SegmentId::from(0));
            assert_eq!(texts, [event]);
            let bug = SeededBug::BelievesSeals;
            let (_, texts) = late_append_before_the_seal(event, Some(bug)).await;
            assert_eq!(texts, [event, event], "the bug is no longer what it was");
        }
    });
}

#[test]
fn an_append_that_comes_after_the_seal_moves_and_is_stored_once() {
    block_on(async {
        let large = "a large event, ".repeat(10);
        for event in ["zombie", &large] {
            let cluster = Cluster::new(1);
            let writer = cluster.writer_with(config(None)).await.unwrap();
            let (late, again) = cluster.hold_attempts();
            let ack = writer.enqueue("k", event.to_owned()).await.unwrap();
            late.reached().await;
            cluster.network.reset(0);
            again.reached().await;
            cluster.scale(2);
            again.release();
            let appended = ack.await.unwrap();
            late.release();
            assert_ne!(appended.segment().id(), SegmentId::from(0));
            assert_eq!(cluster.texts(), [event]);
        }
    });
}

#[test]
fn bytes_that_come_late_and_before_the_seal_are_acknowledged() {
    block_on(async {
        let cluster = Cluster::new(1);
        let config = ByteWriterConfig::default().with_seed(7);
        let mut writer =
            ByteWriter::open(cluster.context(), &cluster.stream, config).await.unwrap();
        let (late, again) = cluster.hold_attempts();
        writer.write_bytes("some bytes".into()).await.unwrap();
        late.reached().await;
        cluster.network.reset(0);
        again.reached().await;
        late.release();
        cluster.world.seal_stream(&cluster.stream);
        again.release();
        writer.flush().await.unwrap();
        assert_eq!(writer.tail_offset().await.unwrap(), writer.offset());
        writer.write_bytes("more".into()).await.ok();
        let error = writer.flush().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Sealed, Outcome::NotApplied));
    });
}

/// The acknowledgement of an event is lost; its segment is truncated away before the writer comes
/// back. Another event waits behind it.
async fn truncated_away_in_doubt(bug: Option<SeededBug>) -> (Told, Result<Appended, WriteError>) {
    let cluster = Cluster::new(1);
    let writer = cluster.writer_with(config(bug)).await.unwrap();
    let lost = cluster
        .world
        .lose_replies(|departure| matches!(departure.reply, WireCommand::DataAppended(_)));
    let paid = writer.enqueue("k", "pay 100").await.unwrap();
    lost.reached().await;
    lost.release();
    cluster.world.set_store_up(0, false);
    cluster.network.reset(0);
    let next = writer.enqueue("k", "next").await.unwrap();
    assert_eq!(cluster.texts(), ["pay 100"], "readers see it now");
    cluster.scale(2);
    cluster.world.truncate_at_tail(&cluster.stream);
    cluster.world.set_store_up(0, true);
    ((paid.await, cluster.texts()), next.await)
}

#[test]
fn an_event_that_may_be_stored_in_a_segment_that_is_gone_is_unknown_and_not_written_again() {
    block_on(async {
        let ((paid, _), next) = truncated_away_in_doubt(None).await;
        let error = paid.unwrap_err();
        let (kind, outcome) = (error.kind(), error.outcome());
        assert_eq!((kind, outcome), (ErrorKind::Truncated, Outcome::Unknown), "{error}");
        next.unwrap();
        let bug = SeededBug::MovesEventsInDoubt;
        let ((paid, texts), _) = truncated_away_in_doubt(Some(bug)).await;
        paid.unwrap();
        assert!(texts.contains(&"pay 100".to_owned()), "the bug is no longer what it was");
    });
}

/// A writer appends on the condition that its own event is the last one. Meanwhile the stream
/// scaled, and another event of the key is in the successor, which is as long.
async fn condition_across_a_scale(bug: Option<SeededBug>) -> Told {
    let cluster = Cluster::new(1);
    let writer = cluster.writer_with(config(bug)).await.unwrap();
    let mine = writer.write("k", "balance 100").await.unwrap();
    cluster.scale(1);
    let other = cluster.writer().await;
    let theirs = other.write("k", "balance 050").await.unwrap();
    let tail = mine.tail().unwrap();
    assert_eq!(theirs.tail().unwrap().offset(), tail.offset());
    (writer.write_at("k", &tail, "balance 80").await, cluster.texts())
}

#[test]
fn a_condition_is_about_its_segment_and_fails_with_it() {
    block_on(async {
        let (told, texts) = condition_across_a_scale(None).await;
        let error = told.unwrap_err();
        let (kind, outcome) = (error.kind(), error.outcome());
        assert_eq!((kind, outcome), (ErrorKind::ConditionFailed, Outcome::NotApplied), "{error}");
        assert_eq!(texts, ["balance 100", "balance 050"]);
        let (told, _) = condition_across_a_scale(Some(SeededBug::RoutesConditions)).await;
        told.expect("the bug is no longer what it was");
    });
}

#[test]
fn a_condition_is_taken_where_it_holds_and_refused_for_another_stream_or_segment() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.writer_with(config(None)).await.unwrap();
        let first = writer.write("k", "first").await.unwrap();
        let tail = first.tail().unwrap();
        let second = writer.write_at("k", &tail, "second").await.unwrap();
        let pointer = second.pointer().unwrap();
        writer.write_at(None, &SegmentTail::from(pointer), "third").await.unwrap();
        let kind = |told: Result<Appended, WriteError>| told.unwrap_err().kind();
        let failed = writer.write_at("k", &tail, "late").await;
        assert_eq!(kind(failed), ErrorKind::ConditionFailed);
        let elsewhere = SegmentTail::new(cluster.segment(5), tail.offset());
        assert_eq!(kind(writer.write_at("k", &elsewhere, "x").await), ErrorKind::ConditionFailed);
        let foreign = SegmentTail::new("a/b/0.#epoch.0".parse().unwrap(), tail.offset());
        assert_eq!(kind(writer.write_at("k", &foreign, "x").await), ErrorKind::InvalidArgument);
        let large = "x".repeat(200);
        assert_eq!(kind(writer.write_at("k", &tail, large).await), ErrorKind::InvalidArgument);
        assert_eq!(cluster.texts(), ["first", "second", "third"]);
    });
}

/// A key of each of the two halves of the key space.
fn keys() -> [String; 2] {
    let of = |half: usize| {
        (0..)
            .map(|number| format!("key-{number}"))
            .find(|key| usize::from(RoutingKey::from(key.as_str()).position() > 0.5) == half)
            .unwrap()
    };
    [of(0), of(1)]
}

/// One of two segments of a store is stuck, and events go to both. Returns the longest write to
/// the healthy one, and the number of connections.
async fn one_segment_is_stuck(stall: Stall, bug: Option<SeededBug>) -> (Duration, usize) {
    let cluster = Cluster::new(2);
    let config = config(bug).with_delivery_timeout(Duration::from_secs(3));
    let writer = cluster.writer_with(config).await.unwrap();
    let [stuck, healthy] = keys();
    for key in [&stuck, &healthy] {
        writer.write(key, "first").await.unwrap();
    }
    let part = Stuck::Segment(cluster.segment(0));
    let hold = cluster.world.stall(part, Requests::Appends, stall);
    let started = Instant::now();
    let mut longest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(12) {
        drop(writer.enqueue(&stuck, "stuck").await.unwrap());
        let begun = Instant::now();
        writer.write(&healthy, "healthy").await.ok();
        longest = longest.max(begun.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    let links = cluster.network.links();
    hold.release();
    if bug.is_none() {
        // The longest back-off, and the delivery timeout of the first event after it.
        timeout(Duration::from_secs(20), async {
            while writer.write(&stuck, "again").await.is_err() {}
        })
        .await
        .unwrap();
    }
    (longest, links)
}

#[test]
fn a_segment_that_takes_no_appends_does_not_hold_up_the_others_of_its_store() {
    block_on(async {
        for stall in [Stall::Loses, Stall::LosesReplies, Stall::Queues] {
            let (longest, links) = one_segment_is_stuck(stall, None).await;
            assert!(longest < Duration::from_millis(100), "{stall:?}: {longest:?}");
            assert!(links <= 12, "{stall:?}: {links} connections");
        }
        let bug = SeededBug::ClosesForOneSegment;
        let (longest, _) = one_segment_is_stuck(Stall::Loses, Some(bug)).await;
        assert!(longest > Duration::from_secs(1), "the bug is no longer what it was: {longest:?}");
    });
}

/// The servers' clocks go on while that of the client stands still, until the token has expired.
async fn expired_token(bug: Option<SeededBug>) -> Result<Appended, WriteError> {
    let cluster = Cluster::new(1);
    cluster.world.set_tokens(Duration::from_secs(600));
    let writer = cluster.writer_with(config(bug)).await.unwrap();
    writer.write("k", "before").await.unwrap();
    cluster.world.advance_clock(Duration::from_secs(660));
    cluster.network.reset(0);
    writer.write("k", "after").await
}

#[test]
fn a_token_that_is_refused_by_the_end_of_the_connection_is_renewed() {
    block_on(async {
        let started = Instant::now();
        expired_token(None).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let error = expired_token(Some(SeededBug::TrustsTokens)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "the bug is no longer what it was");
    });
}

#[test]
fn the_delivery_timeout_covers_the_wait_for_capacity() {
    block_on(async {
        let cluster = Cluster::new(1);
        let bytes = 16 * 1024;
        let config = config(None).with_max_in_flight_bytes(bytes);
        let writer = cluster.writer_with(config).await.unwrap();
        let permit = writer.reserve(bytes).await.unwrap();
        let started = Instant::now();
        let error = writer.write("k", "event").await.unwrap_err();
        let (kind, outcome) = (error.kind(), error.outcome());
        assert_eq!((kind, outcome), (ErrorKind::Timeout, Outcome::NotApplied), "{error}");
        assert_eq!(started.elapsed().as_secs(), 20);
        // A write that gets its capacity late has the rest.
        cluster.world.set_deaf();
        let started = Instant::now();
        let late = writer.clone();
        let write = tokio::spawn(async move { late.write("k", "event").await });
        sleep(Duration::from_secs(15)).await;
        drop(permit);
        let error = write.await.unwrap().unwrap_err();
        let (kind, outcome) = (error.kind(), error.outcome());
        assert_eq!((kind, outcome), (ErrorKind::Timeout, Outcome::Unknown), "{error}");
        assert_eq!(started.elapsed().as_secs(), 20);
    });
}
