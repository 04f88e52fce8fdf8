//! Connections that hang, end or are shared: what waits in front of a request, and for whom.

mod common;

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{Cluster, block_on};
use futures_util::FutureExt as _;
use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_event_stream::{EventReader, ReaderConfig, SegmentContext, codec::Utf8};
use pravega_sdk_segment_client::{
    Opening, RawClient, StoreConfig, StoreDialer, StorePool, Transport,
};
use pravega_sdk_simulation::{SimNetwork, World};
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use pravega_sdk_wire_protocol::{WireCommand, commands::SealSegment, event};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = SECOND;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest virtual time of a test.
const FAR: Duration = Duration::from_secs(600);

/// A network with a store whose machine may die without a word: packets to it are dropped.
#[derive(Debug, Clone)]
struct Network {
    stores: SimNetwork,
    dead: Endpoint,
    is_dead: Arc<AtomicBool>,
}

impl Network {
    fn new(cluster: &Cluster) -> Self {
        let (stores, dead) = (cluster.network.clone(), World::endpoint(0));
        Self { stores, dead, is_dead: Arc::default() }
    }

    fn kill(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.stores.reset(0);
    }
}

impl Transport for Network {
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a> {
        if *endpoint == self.dead && self.is_dead.load(Ordering::SeqCst) {
            return pending().boxed();
        }
        self.stores.open(endpoint)
    }
}

/// Two stores; every segment of the stream is on the first.
fn cluster(segments: u32) -> (Cluster, Network) {
    let world = World::new(2);
    let network = SimNetwork::perfect(&world);
    let cluster = Cluster::with_network(world, network, segments);
    move_all(&cluster, segments, 0);
    let network = Network::new(&cluster);
    (cluster, network)
}

fn move_all(cluster: &Cluster, segments: u32, store: usize) {
    for id in 0..i64::from(segments) {
        cluster.world.move_segment(&cluster.segment(id), store);
    }
}

fn context(cluster: &Cluster, network: &Network) -> SegmentContext {
    let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
    let config = StoreConfig::default()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_request_timeout(REQUEST_TIMEOUT);
    let pool = StorePool::new(StoreDialer::with_transport(config, Arc::new(network.clone())));
    let endpoints = Arc::new(EndpointCache::new(Arc::clone(&controller)));
    let tokens = Arc::new(TokenCache::new(Arc::clone(&controller)));
    SegmentContext::new(controller, endpoints, tokens, RawClient::with_pool(pool.clone()), pool)
}

async fn reader(cluster: &Cluster, context: &SegmentContext) -> EventReader<Utf8> {
    let config = ReaderConfig::default()
        .with_seed(7)
        .with_backoff(Duration::from_millis(20), Duration::from_millis(200));
    EventReader::open(context.clone(), &cluster.stream, Utf8, config).await.unwrap()
}

fn append(cluster: &Cluster, segment: i64, text: &str) {
    let mut bytes = bytes::BytesMut::new();
    event::put(&mut bytes, text.as_bytes()).unwrap();
    cluster.world.append_raw(&cluster.segment(segment), &bytes);
}

/// The number of segments does not matter: they find out together, from the same two dials.
#[test]
fn every_segment_of_a_dead_store_is_read_again_after_the_same_time() {
    const SEGMENTS: u32 = 24;
    let (cluster, network) = cluster(SEGMENTS);
    block_on(async {
        let mut reader = reader(&cluster, &context(&cluster, &network)).await;
        append(&cluster, 0, "first");
        assert_eq!(reader.next().await.unwrap().unwrap().into_event(), "first");
        network.kill();
        move_all(&cluster, SEGMENTS, 1);
        for id in 0..i64::from(SEGMENTS) {
            append(&cluster, id, "after");
        }
        let started = Instant::now();
        let mut segments = BTreeSet::new();
        while segments.len() < SEGMENTS as usize {
            let event = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
            segments.insert(event.segment().clone());
        }
        assert!(started.elapsed() <= 4 * CONNECT_TIMEOUT, "{:?}", started.elapsed());
    });
}

#[test]
fn one_failure_to_connect_counts_for_every_segment_of_the_store() {
    const SEGMENTS: u32 = 12;
    let (cluster, network) = cluster(SEGMENTS);
    block_on(async {
        let context = context(&cluster, &network);
        for id in 0..i64::from(SEGMENTS) {
            context.inspect(&cluster.segment(id)).await.unwrap();
        }
        network.kill();
        move_all(&cluster, SEGMENTS, 1);
        let started = Instant::now();
        for id in 0..i64::from(SEGMENTS) {
            context.inspect(&cluster.segment(id)).await.unwrap();
        }
        assert!(started.elapsed() <= 2 * CONNECT_TIMEOUT, "{:?}", started.elapsed());
    });
}

/// The owner of a reader works on an event for as long as it likes.
#[test]
fn a_reader_that_is_not_polled_holds_up_no_other_user_of_its_client() {
    for polls in 0..20 {
        let (cluster, network) = cluster(2);
        block_on(async {
            let context = context(&cluster, &network);
            let mut reader = reader(&cluster, &context).await;
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
            append(&cluster, 0, "event");
            let event = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(event.into_event(), "event");
        });
    }
}

#[test]
fn a_request_about_a_segment_ends_by_its_deadline_with_the_outcome_of_all_attempts() {
    // What is wrong, and the outcome of a request that changes something.
    type Trouble = fn(&Cluster, &Network);
    let troubles: [(&str, Trouble, Outcome); 3] = [
        ("a dead store", |_, network| network.kill(), Outcome::NotApplied),
        (
            "a silent store",
            |cluster, _| {
                cluster.world.set_misbehaviour(Box::new(|reply| match reply {
                    WireCommand::SegmentSealed(_) | WireCommand::SegmentIsSealed(_) => Vec::new(),
                    other => vec![other],
                }));
            },
            Outcome::Unknown,
        ),
        (
            "no controller",
            |cluster, _| cluster.world.set_controller_away(true),
            Outcome::NotApplied,
        ),
    ];
    for (what, trouble, outcome) in troubles {
        let (cluster, network) = cluster(1);
        block_on(async {
            let context = context(&cluster, &network);
            trouble(&cluster, &network);
            let started = Instant::now();
            let name = cluster.segment(0);
            let sealed = context.ask(&name, |token| SealSegment {
                request_id: 0,
                segment: name.to_string().into(),
                delegation_token: token.into(),
            });
            let error = timeout(FAR, sealed).await.expect(what).unwrap_err();
            assert_eq!(error.outcome(), outcome, "{what}: {error}");
            assert!(error.kind().is_retryable(), "{what}: {error}");
            let ended = started.elapsed();
            assert!(ended <= 2 * REQUEST_TIMEOUT, "{what}: {ended:?}");
        });
    }
}

/// The first attempt takes effect and its answer is lost; the later ones reach no store.
#[test]
fn an_attempt_that_may_have_taken_effect_is_not_forgotten_by_later_ones() {
    let (cluster, network) = cluster(1);
    block_on(async {
        let context = context(&cluster, &network);
        let killed = network.clone();
        cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
            WireCommand::SegmentSealed(_) => {
                killed.kill();
                Vec::new()
            }
            other => vec![other],
        }));
        let name = cluster.segment(0);
        let sealed = context.ask(&name, |token| SealSegment {
            request_id: 0,
            segment: name.to_string().into(),
            delegation_token: token.into(),
        });
        let error = timeout(FAR, sealed).await.unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert_eq!(error.kind(), ErrorKind::Timeout);
    });
}
