//! Connections that hang, end or are shared: what waits in front of a request, and for whom.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use pravega_sdk_controller_client::{AccessOperation, Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::{EventReader, ReadEvent, ReaderConfig, SegmentContext, codec::Utf8};
use pravega_sdk_segment_client::{
    RawClient, StoreConfig, StoreDialer, StorePool, request::AskError, seeded_bugs::SeededBug,
};
use pravega_sdk_simulation::{SimNetwork, World};
use pravega_sdk_types::{Outcome, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::{WireCommand, commands::SealSegment, event};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::common::{Cluster, block_on};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = SECOND;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest virtual time of a test.
const FAR: Duration = Duration::from_secs(600);

/// Two stores; every segment of the stream is on the first.
fn cluster(segments: u32) -> Cluster {
    let world = World::new(2);
    let network = SimNetwork::perfect(&world);
    let cluster = Cluster::with_network(world, network, segments);
    move_all(&cluster, segments, 0);
    cluster
}

fn move_all(cluster: &Cluster, segments: u32, store: usize) {
    for id in 0..i64::from(segments) {
        cluster.world.move_segment(&cluster.segment(id), store);
    }
}

/// The machine of the first store dies: its links break, and packets to it are dropped.
fn kill(network: &SimNetwork) {
    network.kill_machine(0);
    network.reset(0);
}

fn config() -> StoreConfig {
    StoreConfig::default()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_request_timeout(REQUEST_TIMEOUT)
}

fn buggy(bug: Option<SeededBug>) -> StoreConfig {
    bug.into_iter().fold(config(), StoreConfig::with_seeded_bug)
}

fn context(cluster: &Cluster, config: StoreConfig) -> SegmentContext {
    let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
    let network = Arc::new(cluster.network.clone());
    let pool = StorePool::new(StoreDialer::with_transport(config, network));
    let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
    let tokens = Arc::new(TokenCache::new(Arc::clone(&controller)));
    SegmentContext::new(controller, endpoints, tokens, RawClient::with_pool(pool.clone()), pool)
}

async fn reader(context: &SegmentContext, stream: &ScopedStream) -> EventReader<Utf8> {
    let config = ReaderConfig::default()
        .with_seed(7)
        .with_backoff(Duration::from_millis(20), Duration::from_millis(200));
    EventReader::open(context.clone(), stream, Utf8, config).await.unwrap()
}

async fn next(reader: &mut EventReader<Utf8>) -> ReadEvent<String> {
    timeout(FAR, reader.next()).await.expect("an event comes").unwrap().unwrap()
}

fn append(world: &World, segment: &ScopedSegment, text: &str) {
    let mut bytes = bytes::BytesMut::new();
    event::put(&mut bytes, text.as_bytes()).unwrap();
    world.append_raw(segment, &bytes);
}

/// The number of segments does not matter: they find out together, from the same two dials.
#[test]
fn every_segment_of_a_dead_store_is_read_again_after_the_same_time() {
    const SEGMENTS: u32 = 24;
    let cluster = cluster(SEGMENTS);
    block_on(async {
        let mut reader = reader(&context(&cluster, config()), &cluster.stream).await;
        append(&cluster.world, &cluster.segment(0), "first");
        assert_eq!(next(&mut reader).await.into_event(), "first");
        kill(&cluster.network);
        move_all(&cluster, SEGMENTS, 1);
        for id in 0..i64::from(SEGMENTS) {
            append(&cluster.world, &cluster.segment(id), "after");
        }
        let started = Instant::now();
        let mut segments = BTreeSet::new();
        while segments.len() < SEGMENTS as usize {
            segments.insert(next(&mut reader).await.segment().clone());
        }
        assert!(started.elapsed() <= 4 * CONNECT_TIMEOUT, "{:?}", started.elapsed());
    });
}

#[test]
fn one_failure_to_connect_counts_for_every_segment_of_the_store() {
    const SEGMENTS: u32 = 12;
    let time_to_inspect = |bug: Option<SeededBug>| {
        let cluster = cluster(SEGMENTS);
        block_on(async {
            let context = context(&cluster, buggy(bug));
            for id in 0..i64::from(SEGMENTS) {
                context.inspect(&cluster.segment(id)).await.unwrap();
            }
            kill(&cluster.network);
            move_all(&cluster, SEGMENTS, 1);
            let started = Instant::now();
            for id in 0..i64::from(SEGMENTS) {
                context.inspect(&cluster.segment(id)).await.unwrap();
            }
            started.elapsed()
        })
    };
    assert!(time_to_inspect(None) <= 2 * CONNECT_TIMEOUT);
    assert!(time_to_inspect(Some(SeededBug::BelievesDeadStores)) > 8 * CONNECT_TIMEOUT);
}

/// The owner of a reader works on an event for as long as it likes.
#[test]
fn a_reader_that_is_not_polled_holds_up_no_other_user_of_its_client() {
    for polls in 0..20 {
        let cluster = cluster(2);
        block_on(async {
            let context = context(&cluster, config());
            let mut reader = reader(&context, &cluster.stream).await;
            {
                let mut next = Box::pin(reader.next());
                for _ in 0..polls {
                    assert!(next.as_mut().now_or_never().is_none(), "there is no event");
                    tokio::task::yield_now().await;
                }
                let segment = cluster.segment(1);
                let others = context.inspect(&segment);
                timeout(SECOND, others).await.expect("not held up").unwrap();
            }
            append(&cluster.world, &cluster.segment(0), "event");
            assert_eq!(next(&mut reader).await.into_event(), "event");
        });
    }
}

#[test]
fn requests_that_are_not_polled_hold_up_no_other() {
    let held_up = |bug: Option<SeededBug>| {
        let is_held_up = |polls: &u32| {
            let cluster = cluster(1);
            block_on(async {
                let context = context(&cluster, buggy(bug).with_max_in_flight(1));
                let segment = cluster.segment(0);
                let mut stalled = Box::pin(context.inspect(&segment));
                for _ in 0..*polls {
                    if stalled.as_mut().now_or_never().is_some() {
                        return false;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                timeout(SECOND, context.inspect(&segment)).await.is_err()
            })
        };
        (0..20).filter(is_held_up).count()
    };
    assert_eq!(held_up(None), 0);
    assert_ne!(held_up(Some(SeededBug::UnpolledKeepsCapacity)), 0);
}

#[test]
fn a_request_about_a_segment_ends_by_its_deadline_with_the_outcome_of_all_attempts() {
    // What is wrong, and the outcome of a request that changes something.
    type Trouble = fn(&Cluster);
    let troubles: [(&str, Trouble, Outcome); 4] = [
        ("a dead store", |cluster| kill(&cluster.network), Outcome::NotApplied),
        (
            "a silent store",
            |cluster| {
                cluster.world.set_misbehaviour(Box::new(|reply| match reply {
                    WireCommand::SegmentSealed(_) | WireCommand::SegmentIsSealed(_) => Vec::new(),
                    other => vec![other],
                }));
            },
            Outcome::Unknown,
        ),
        ("no controller", |cluster| cluster.world.set_controller_away(true), Outcome::NotApplied),
        (
            "a silent controller",
            |cluster| cluster.world.leave_unanswered(|_| true),
            Outcome::NotApplied,
        ),
    ];
    for (what, trouble, outcome) in troubles {
        let seal = |bug: Option<SeededBug>| {
            let cluster = cluster(1);
            block_on(async {
                let context = context(&cluster, buggy(bug));
                trouble(&cluster);
                let started = Instant::now();
                let error = timeout(FAR, sealed(&context, &cluster.segment(0))).await.expect(what);
                (error.unwrap_err(), started.elapsed())
            })
        };
        let (error, ended) = seal(None);
        assert_eq!(error.outcome(), outcome, "{what}: {error}");
        assert!(error.kind().is_retryable(), "{what}: {error}");
        assert!(ended <= 2 * REQUEST_TIMEOUT, "{what}: {ended:?}");
        if what != "no controller" {
            let (_, ended) = seal(Some(SeededBug::AsksWithoutDeadline));
            assert!(ended > 2 * REQUEST_TIMEOUT, "{what}: {ended:?}");
        }
    }
}

async fn sealed(context: &SegmentContext, segment: &ScopedSegment) -> Result<(), AskError> {
    let asked = context.ask(segment, |token| SealSegment {
        request_id: 0,
        segment: segment.to_string().into(),
        delegation_token: token.into(),
    });
    asked.await.map(drop)
}

/// The first attempt takes effect and its answer is lost; the later ones reach no store.
#[test]
fn an_attempt_that_may_have_taken_effect_is_not_forgotten_by_later_ones() {
    let outcome = |bug: Option<SeededBug>| {
        let cluster = cluster(1);
        block_on(async {
            let context = context(&cluster, buggy(bug));
            let (applied, is_applied) = oneshot::channel();
            let mut applied = Some(applied);
            cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
                WireCommand::SegmentSealed(_) => {
                    applied.take().map(|applied| applied.send(()));
                    Vec::new()
                }
                other => vec![other],
            }));
            let network = cluster.network.clone();
            tokio::spawn(async move {
                is_applied.await.unwrap();
                kill(&network);
            });
            let segment = cluster.segment(0);
            let sealing = timeout(FAR, sealed(&context, &segment));
            sealing.await.unwrap().unwrap_err().outcome()
        })
    };
    assert_eq!(outcome(None), Outcome::Unknown);
    assert_eq!(outcome(Some(SeededBug::ForgetsAttempts)), Outcome::NotApplied);
}

/// Two readers share a connection and wait at the same offset. The token of one expires.
#[test]
fn a_refused_token_of_one_reader_is_not_taken_for_that_of_another() {
    let bugs = [None, Some(SeededBug::RefusesOneRead)];
    for bug in bugs {
        let cluster = cluster(1);
        let other: ScopedStream = "sim/other".parse().unwrap();
        cluster.world.set_tokens(10 * MINUTE);
        cluster.world.create_stream(&other, 1);
        let segments = [cluster.segment(0), ScopedSegment::new(&other, SegmentId::from(0))];
        cluster.world.move_segment(&segments[1], 0);
        block_on(async {
            let context = context(&cluster, buggy(bug));
            let mut first = reader(&context, &cluster.stream).await;
            // It waits at the tail with its first token.
            assert!(timeout(SECOND, first.next()).await.is_err());
            cluster.world.advance_clock(11 * MINUTE);
            let mut second = reader(&context, &other).await;
            append(&cluster.world, &segments[1], "event 1");
            assert_eq!(next(&mut second).await.into_event(), "event 1");
            assert!(timeout(SECOND, second.next()).await.is_err());
            append(&cluster.world, &segments[0], "event 1");
            assert_eq!(next(&mut first).await.into_event(), "event 1");
            // The next read is refused, at the offset at which the other one waits.
            assert!(timeout(SECOND, first.next()).await.is_err());
            append(&cluster.world, &segments[0], "event 2");
            append(&cluster.world, &segments[1], "event 2");
            let event = timeout(10 * SECOND, first.next()).await;
            assert_eq!(event.is_err(), bug.is_some(), "{bug:?}");
            assert_eq!(next(&mut second).await.into_event(), "event 2");
        });
    }
}

#[test]
fn a_token_that_expired_in_a_suspend_is_replaced_before_it_is_used() {
    let cluster = cluster(1);
    cluster.world.set_tokens(10 * MINUTE);
    block_on(async {
        let slept = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&slept);
        let since_1970 = move || Duration::from_secs(clock.load(Ordering::SeqCst));
        let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
        let tokens =
            TokenCache::with_clock(controller, move || SystemTime::UNIX_EPOCH + since_1970());
        let token = async || tokens.token(&cluster.stream, AccessOperation::Read).await.unwrap();
        let first = token().await;
        assert_eq!(token().await.expose(), first.expose());
        cluster.world.advance_clock(11 * MINUTE);
        slept.store(11 * 60, Ordering::SeqCst);
        let second = token().await;
        assert_ne!(second.expose(), first.expose());
        assert_eq!(token().await.expose(), second.expose());
    });
}
