//! Stores without space: a writer fails at once or waits, as it is set, and its reports are true.

use std::time::Duration;

use pravega_sdk_event_stream::{
    ByteWriter, ByteWriterConfig, EventWriter, LargeEvents, SeededBug, TransactionConfig,
    TransactionalWriter, WhenFull, WriteError, WriterConfig,
    codec::{Raw, Utf8},
};
use pravega_sdk_simulation::{SimNetwork, World, link::Faults};
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::time::{Instant, sleep};

use crate::common::{Cluster, block_on};

/// An event that needs memory, whatever is left in the last piece of a segment.
const LONG: usize = 10_000;
const FULL: (ErrorKind, Outcome) = (ErrorKind::OutOfSpace, Outcome::NotApplied);

fn config(when_full: WhenFull) -> WriterConfig {
    WriterConfig::default()
        .with_delivery_timeout(Duration::from_secs(60))
        .with_max_event_bytes(2 * LONG)
        .with_large_events(LargeEvents::UpTo(1 << 20))
        .with_when_full(when_full)
}

fn of(error: &WriteError) -> (ErrorKind, Outcome) {
    (error.kind(), error.outcome())
}

/// An event that begins with a letter.
fn event(letter: char, len: usize) -> String {
    letter.to_string().repeat(len)
}

/// The first letter of each event in the stream.
fn letters(cluster: &Cluster) -> String {
    cluster.texts().iter().filter_map(|text| text.chars().next()).collect()
}

async fn open(cluster: &Cluster, config: WriterConfig) -> EventWriter<Raw> {
    cluster.writer_with(config).await.unwrap()
}

#[test]
fn a_writer_that_fails_when_full_tells_it_in_a_round_trip_and_stores_nothing_that_came_after() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = open(&cluster, config(WhenFull::Fail)).await;
        writer.write("k", event('a', 1)).await.unwrap();
        cluster.world.fill_stores(0);
        let started = Instant::now();
        let mut acks = Vec::new();
        for (letter, len) in [('b', LONG), ('c', 1), ('d', LONG), ('e', 1)] {
            acks.push(writer.enqueue("k", event(letter, len)).await.unwrap());
        }
        for ack in acks {
            assert_eq!(of(&ack.await.unwrap_err()), FULL);
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        cluster.world.free_stores();
        writer.write("k", event('f', LONG)).await.unwrap();
        assert_eq!(letters(&cluster), "af");
    });
}

/// The time of each direction of a link. It is virtual, so a time counts the trips.
const TRIP: Duration = Duration::from_secs(1);

/// A cluster whose links take [`TRIP`] in each direction.
fn distant() -> Cluster {
    let world = World::new(1);
    let late = || Faults { delay: (TRIP, TRIP), ..Faults::default() };
    let network = SimNetwork::new(&world, Box::new(move || (late(), late())));
    Cluster::with_network(world, network, 1)
}

#[test]
fn a_writer_is_told_that_a_store_is_full_by_the_reply_to_its_first_append() {
    block_on(async {
        let cluster = distant();
        let writer = open(&cluster, config(WhenFull::Fail)).await;
        writer.write("k", event('a', 1)).await.unwrap();
        for letter in ['b', 'c', 'd'] {
            cluster.world.fill_stores(0);
            let started = Instant::now();
            let error = writer.write("k", event(letter, LONG)).await.unwrap_err();
            assert_eq!(of(&error), FULL, "{error}");
            let trips = started.elapsed().div_duration_f64(TRIP);
            assert!((2.0..2.5).contains(&trips), "{letter}: {trips} trips");
            // The next one is refused by the same connection, or by one that is set up again.
            cluster.world.free_stores();
            writer.write("k", event('x', 1)).await.unwrap();
        }
        assert_eq!(letters(&cluster), "axxx");
    });
}

/// Stores are full for some seconds while events of different lengths are in hand.
async fn wait_for_space(bug: Option<SeededBug>) -> (String, Duration) {
    let cluster = Cluster::new(1);
    let mut config = config(WhenFull::Wait).with_max_block_bytes(1);
    if let Some(bug) = bug {
        config = config.with_seeded_bug(bug);
    }
    let writer = open(&cluster, config).await;
    cluster.world.fill_stores(0);
    let mut acks = Vec::new();
    for (letter, len) in [('a', LONG), ('b', 1), ('c', 3 * LONG), ('d', 1)] {
        acks.push(writer.enqueue("k", event(letter, len)).await.unwrap());
    }
    sleep(Duration::from_secs(3)).await;
    assert!(acks.iter().all(|ack| ack.result().is_none()), "an ack without space");
    cluster.world.free_stores();
    let freed = Instant::now();
    for ack in acks {
        ack.await.unwrap();
    }
    (letters(&cluster), freed.elapsed())
}

#[test]
fn a_writer_that_waits_when_full_stores_everything_in_order_once_there_is_space() {
    let (stored, took) = block_on(wait_for_space(None));
    assert_eq!(stored, "abcd");
    assert!(took < Duration::from_secs(11), "{took:?}");
}

#[test]
fn a_client_that_passes_over_refused_events_is_caught() {
    let (stored, _) = block_on(wait_for_space(Some(SeededBug::PassesOverRefused)));
    assert_ne!(stored, "abcd");
}

#[test]
fn a_wait_for_space_ends_with_the_delivery_timeout_and_names_the_reason() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = open(&cluster, config(WhenFull::Wait)).await;
        cluster.world.fill_stores(0);
        let started = Instant::now();
        let error = writer.write("k", event('a', LONG)).await.unwrap_err();
        assert_eq!(of(&error), FULL, "{error}");
        let took = started.elapsed();
        assert!((60..62).contains(&took.as_secs()), "{took:?}");
        cluster.world.free_stores();
        writer.write("k", event('b', 1)).await.unwrap();
        assert_eq!(letters(&cluster), "b");
    });
}

/// An append is on its way when its connection ends. The next attempt finds no space, and then the
/// first one arrives and finds some.
async fn late_append_and_refusal(bug: Option<SeededBug>) -> (WriteError, String) {
    let cluster = Cluster::new(1);
    let mut config = config(WhenFull::Fail);
    if let Some(bug) = bug {
        config = config.with_seeded_bug(bug);
    }
    let writer = open(&cluster, config).await;
    let (late, again) = cluster.hold_attempts();
    let ack = writer.enqueue("k", event('a', LONG)).await.unwrap();
    late.reached().await;
    cluster.network.reset(0);
    again.reached().await;
    cluster.world.fill_stores(0);
    again.release();
    let error = ack.await.unwrap_err();
    cluster.world.free_stores();
    late.release();
    sleep(Duration::from_secs(1)).await;
    (error, letters(&cluster))
}

#[test]
fn a_refusal_leaves_what_is_still_on_its_way_in_doubt() {
    let (error, stored) = block_on(late_append_and_refusal(None));
    assert_eq!((of(&error), &*stored), ((ErrorKind::OutOfSpace, Outcome::Unknown), "a"));
}

#[test]
fn a_client_that_believes_a_refusal_of_what_is_still_on_its_way_is_caught() {
    let (error, stored) = block_on(late_append_and_refusal(Some(SeededBug::BelievesRefusals)));
    assert_eq!((of(&error), &*stored), (FULL, "a"));
}

#[test]
fn a_large_event_that_finds_no_space_fails_at_once_or_waits() {
    for when_full in [WhenFull::Fail, WhenFull::Wait] {
        block_on(async {
            let cluster = Cluster::new(1);
            let writer = open(&cluster, config(when_full)).await;
            // Enough for the transient segment and a few of its pieces.
            cluster.world.fill_stores(5 * LONG as u64);
            let ack = writer.enqueue("k", event('a', 20 * LONG)).await.unwrap();
            sleep(Duration::from_secs(2)).await;
            if when_full == WhenFull::Fail {
                assert_eq!(of(ack.result().unwrap().as_ref().unwrap_err()), FULL);
            } else {
                assert!(ack.result().is_none());
                cluster.world.free_stores();
                ack.await.unwrap();
                assert_eq!(cluster.texts(), [event('a', 20 * LONG)]);
            }
        });
    }
}

#[test]
fn bytes_that_find_no_space_end_their_writer_unless_it_waits() {
    for when_full in [WhenFull::Fail, WhenFull::Wait] {
        block_on(async {
            let cluster = Cluster::new(1);
            let config = ByteWriterConfig::default().with_seed(7).with_when_full(when_full);
            let mut writer =
                ByteWriter::open(cluster.context(), &cluster.stream, config).await.unwrap();
            cluster.world.fill_stores(0);
            writer.write_bytes(vec![1; LONG].into()).await.unwrap();
            let (flushed, ()) = tokio::join!(writer.flush(), async {
                sleep(Duration::from_secs(3)).await;
                cluster.world.free_stores();
            });
            if when_full == WhenFull::Fail {
                assert_eq!(of(&flushed.unwrap_err()), FULL);
                let error = writer.write_bytes(vec![2; 1].into()).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutOfSpace);
                assert_eq!(writer.seek_to_tail().await.unwrap().0, 0, "it goes on from the tail");
                writer.write_bytes(vec![3; 1].into()).await.unwrap();
                writer.flush().await.unwrap();
            } else {
                flushed.unwrap();
                assert_eq!(writer.tail_offset().await.unwrap().0, LONG as i64);
            }
        });
    }
}

#[test]
fn a_transaction_whose_event_found_no_space_is_not_committed() {
    block_on(async {
        let cluster = Cluster::new(1);
        let config = TransactionConfig::default()
            .with_lease(Duration::from_secs(30))
            .with_writer(config(WhenFull::Fail).with_seed(7));
        let writer = TransactionalWriter::open(cluster.context(), &cluster.stream, Utf8, config);
        let writer = writer.await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.write("k", event('a', 1)).await.unwrap();
        transaction.flush().await.unwrap();
        cluster.world.fill_stores(0);
        transaction.write("k", event('b', LONG)).await.unwrap();
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(letters(&cluster), "");
    });
}
