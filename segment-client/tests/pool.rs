//! The pool below requests and writers, over connections in memory and with virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use pravega_sdk_connection_pool::{SlotState, resolver::FixedResolver};
use pravega_sdk_segment_client::{
    ByteStream, Opening, RawClient, RequestError, StoreConfig, StoreDialer, StorePool, Transport,
};
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, WireCommand,
    commands::{Hello, SealSegment, SegmentSealed},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{Instant, sleep},
};

/// Duration of a dial.
const CONNECT: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Stores that greet and seal. `down` refuses connections, `silent` never answers one.
#[derive(Debug, Default)]
struct Stores {
    dials: AtomicUsize,
}

impl Transport for Stores {
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a> {
        Box::pin(async {
            self.dials.fetch_add(1, Ordering::SeqCst);
            sleep(CONNECT).await;
            match endpoint.host() {
                "down" => return Err(io::ErrorKind::ConnectionRefused.into()),
                "silent" => std::future::pending::<()>().await,
                _ => {}
            }
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            tokio::spawn(serve(theirs));
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

/// Answers until a segment named `die` is sealed.
async fn serve(mut socket: DuplexStream) {
    let mut received = BytesMut::new();
    loop {
        while let Some(command) = Decoder::default().decode(&mut received).unwrap() {
            let mut out = SendBuffer::new();
            let reply: WireCommand = match command {
                WireCommand::Hello(_) => Hello { high_version: 16, low_version: 5 }.into(),
                WireCommand::KeepAlive(echo) => echo.into(),
                WireCommand::SealSegment(seal) if seal.segment == "die" => return,
                WireCommand::SealSegment(seal) => {
                    SegmentSealed { request_id: seal.request_id, segment: seal.segment }.into()
                }
                other => panic!("not in this script: {other:?}"),
            };
            reply.encode(&mut out).unwrap();
            socket.write_all(&out.to_vec()).await.unwrap();
        }
        if socket.read_buf(&mut received).await.unwrap() == 0 {
            return;
        }
    }
}

fn pool() -> (Arc<Stores>, StorePool) {
    let stores = Arc::new(Stores::default());
    let config = StoreConfig::default()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_request_timeout(Duration::from_secs(2));
    let transport: Arc<dyn Transport> = Arc::clone(&stores) as _;
    (stores, StorePool::new(StoreDialer::with_transport(config, transport)))
}

fn client() -> (Arc<Stores>, RawClient) {
    let (stores, pool) = pool();
    (stores, RawClient::with_pool(pool))
}

fn store(host: &str) -> Endpoint {
    Endpoint::new(host, 12345).unwrap()
}

async fn seal(client: &RawClient, host: &str, segment: &str) -> Result<(), RequestError> {
    let request =
        SealSegment { request_id: 0, segment: segment.into(), delegation_token: "".into() };
    client.request(&store(host), request).await.map(drop)
}

fn dials(stores: &Stores) -> usize {
    stores.dials.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn requests_share_one_connection_and_writers_have_their_own() {
    let (stores, pool) = pool();
    let client = RawClient::with_pool(pool.clone());
    let requests = (0..100).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { seal(&client, "a", &number.to_string()).await.unwrap() })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    assert_eq!(dials(&stores), 1);
    let store = store("a");
    let (one, two) = tokio::join!(pool.stream(&store), pool.stream(&store));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.slot(), two.slot());
    let snapshot = pool.snapshot().await.unwrap();
    let mut states: Vec<SlotState> = snapshot.sets[0].slots.iter().map(|slot| slot.state).collect();
    states.sort_by_key(|state| *state == SlotState::Claimed);
    let shared = SlotState::Shared { users: 1 };
    assert_eq!(states, [shared, SlotState::Claimed, SlotState::Claimed]);
    drop((one, two));
    assert!(client.close().await.is_empty());
    assert!(pool.snapshot().await.unwrap().sets.is_empty(), "the last users have left");
}

#[tokio::test(start_paused = true)]
async fn requests_to_a_dead_store_end_together_with_one_dial() {
    let (stores, client) = client();
    let started = Instant::now();
    let requests = (0..12).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { seal(&client, "silent", "s").await.unwrap_err() })
    });
    for request in requests.collect::<Vec<_>>() {
        let error = request.await.unwrap();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    }
    assert_eq!((started.elapsed(), dials(&stores)), (CONNECT_TIMEOUT, 1));
    let error = seal(&client, "down", "s").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.to_string(), "SealSegment at down:12345: not connected");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "connection to the segment store at down:12345: connection refused");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_request_covers_the_wait_for_its_connection() {
    let stores = Arc::new(Stores::default());
    let config = StoreConfig::default().with_request_timeout(Duration::from_millis(300));
    let client = RawClient::with_dialer(StoreDialer::with_transport(config, stores));
    let started = Instant::now();
    let error = seal(&client, "silent", "s").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert_eq!(started.elapsed(), Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_as_long_as_a_duration_can_be() {
    let config = StoreConfig::default()
        .with_connect_timeout(Duration::MAX)
        .with_request_timeout(Duration::MAX);
    let client =
        RawClient::with_dialer(StoreDialer::with_transport(config, Arc::new(Stores::default())));
    seal(&client, "a", "s").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_polled_does_not_delay_others() {
    let (stores, client) = client();
    let mut stalled = Box::pin(seal(&client, "a", "stalled"));
    let is_ready = std::future::poll_fn(|cx| Poll::Ready(stalled.as_mut().poll(cx).is_ready()));
    assert!(!is_ready.await, "nothing is connected yet");
    let started = Instant::now();
    seal(&client, "a", "other").await.unwrap();
    assert_eq!((started.elapsed(), dials(&stores)), (CONNECT, 1));
    stalled.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_is_dialled_again_once() {
    let (stores, client) = client();
    let error = seal(&client, "a", "die").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ConnectionLost, Outcome::Unknown));
    let (one, two) = tokio::join!(seal(&client, "a", "s"), seal(&client, "a", "t"));
    one.unwrap();
    two.unwrap();
    assert_eq!((dials(&stores), client.endpoints()), (2, vec![store("a")]));
}

/// As where each restart of a store gives it another address.
#[tokio::test(start_paused = true)]
async fn stores_that_are_gone_cost_no_living_one_its_connection() {
    let (stores, client) = client();
    seal(&client, "a", "s").await.unwrap();
    for number in 0..1500 {
        assert!(seal(&client, &format!("gone-{number}"), "die").await.is_err());
    }
    seal(&client, "a", "s").await.unwrap();
    assert_eq!(dials(&stores), 1501);
    assert!(client.endpoints().len() <= 1024);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_leaves_the_resolvers_list_serves_requests_by_name() {
    let stores = Arc::new(Stores::default());
    let resolver = Arc::new(FixedResolver::new([store("a"), store("b")]));
    let dialer = StoreDialer::with_transport(StoreConfig::default(), stores);
    let client = RawClient::with_pool(StorePool::with_resolver(dialer, Arc::clone(&resolver)));
    seal(&client, "a", "s").await.unwrap();
    resolver.set([store("b")]);
    seal(&client, "a", "t").await.unwrap();
    let snapshot = client.pool().snapshot().await.unwrap();
    let listed: Vec<_> = snapshot.sets.iter().map(|set| (set.is_listed, set.slots.len())).collect();
    assert_eq!(listed, [(false, 1), (true, 0)]);
}

#[test]
fn a_client_created_outside_a_runtime_works_and_survives_the_end_of_its_runtime() {
    let (stores, client) = client();
    for round in 1..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { seal(&client, "a", "s").await.unwrap() });
        assert_eq!(dials(&stores), round);
    }
    let mut outside = Box::pin(seal(&client, "b", "s"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match outside.as_mut().poll(&mut context) {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
        other => panic!("{other:?}"),
    }
}

/// As a program with an executor of its own, beside the runtime of the client.
#[test]
fn a_request_on_a_live_connection_works_outside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let (_, client) = client();
    runtime.block_on(async { seal(&client, "a", "s").await.unwrap() });
    let mut outside = Box::pin(seal(&client, "a", "t"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match outside.as_mut().poll(&mut context) {
            Poll::Ready(sealed) => break sealed.unwrap(),
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
