//! The pool's task over real sockets on the loopback, with backends that come and go.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pravega_sdk_connection_pool::{
    BoxError, ClaimError, Connector, FixedResolver, NotShared, Policy, Pool, SlotState,
};
use pravega_sdk_types::Endpoint;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Answers each line with its own port.
async fn backend() -> (Endpoint, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut byte = [0];
                while socket.read_exact(&mut byte).await.is_ok() {
                    if socket.write_all(&port.to_be_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (Endpoint::new("127.0.0.1", port).unwrap(), task)
}

#[derive(Default)]
struct Tcp {
    checks: Arc<AtomicUsize>,
}

impl Connector for Tcp {
    type Connection = TcpStream;
    type Shared = NotShared;

    async fn connect(&self, backend: &Endpoint) -> Result<TcpStream, BoxError> {
        Ok(TcpStream::connect((backend.host(), backend.port())).await?)
    }

    fn share(&self, connection: TcpStream) -> Result<NotShared, BoxError> {
        NotShared::refuse(connection)
    }

    async fn is_valid(&self, connection: &mut TcpStream) -> Result<(), BoxError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        ask(connection).await?;
        Ok(())
    }
}

async fn ask(connection: &mut TcpStream) -> std::io::Result<u16> {
    connection.write_all(b"?").await?;
    connection.read_u16().await
}

/// A deadline that is far beyond what any step takes on a busy machine.
const FAR: Duration = Duration::from_secs(120);

/// Waits until a condition holds; two minutes are far more than any of them takes on a busy
/// machine.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + FAR;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: does not hold after {FAR:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn policy() -> Policy {
    Policy::default()
        .with_claim_timeout(FAR)
        .with_backoff(Duration::from_millis(5), Duration::from_millis(50))
        .unwrap()
}

#[tokio::test]
async fn claims_are_spread_over_the_backends_and_connections_are_used_again() {
    let (one, _a) = backend().await;
    let (two, _b) = backend().await;
    let pool = Pool::new(FixedResolver::new([one, two]), Tcp::default(), policy());
    let mut held = Vec::new();
    let mut ports = HashSet::new();
    for _ in 0..4 {
        let mut claim = pool.claim().await.unwrap();
        ports.insert(claim.run(ask).await.unwrap());
        held.push(claim);
    }
    assert_eq!(ports.len(), 2);
    drop(held);
    for _ in 0..20 {
        pool.claim().await.unwrap().run(ask).await.unwrap();
    }
    let counters = pool.snapshot().await.unwrap().counters;
    assert_eq!(counters.granted, 24);
    assert!(counters.connected <= 8, "{counters:?}");
}

#[tokio::test]
async fn a_claim_dropped_in_the_middle_of_a_request_retires_its_connection() {
    let (one, _a) = backend().await;
    let pool = Pool::new(FixedResolver::new([one]), Tcp::default(), policy().with_spares(0));
    let mut claim = pool.claim().await.unwrap();
    let first = claim.slot();
    let given_up = timeout(
        Duration::from_millis(20),
        claim.run(async |socket: &mut TcpStream| {
            socket.write_all(b"?").await.unwrap();
            std::future::pending::<()>().await;
        }),
    );
    assert!(given_up.await.is_err());
    drop(claim);
    let mut next = pool.claim().await.unwrap();
    assert_ne!(next.slot(), first, "the half-read connection was handed out again");
    next.run(ask).await.unwrap();
}

#[tokio::test]
async fn backends_that_die_are_passed_over_and_serve_again_when_they_return() {
    let (one, task) = backend().await;
    let (two, _b) = backend().await;
    let resolver = Arc::new(FixedResolver::new([one.clone(), two.clone()]));
    let policy =
        policy().with_health_check(Duration::from_millis(50), Duration::from_secs(30)).unwrap();
    let pool = Pool::new(Arc::clone(&resolver), Tcp::default(), policy);
    pool.claim().await.unwrap().run(ask).await.unwrap();
    task.abort();
    eventually("the dead backend has no connection left", async || {
        let snapshot = pool.snapshot().await.unwrap();
        let dead = snapshot.sets.iter().find(|set| set.backend == one);
        dead.is_none_or(|set| set.slots.iter().all(|slot| slot.state == SlotState::Connecting))
    })
    .await;
    for _ in 0..20 {
        let mut claim = pool.claim().await.unwrap();
        assert_eq!(claim.run(ask).await.unwrap(), two.port());
    }
    resolver.set([two]);
    eventually("the dead backend is forgotten", async || {
        pool.snapshot().await.unwrap().sets.len() == 1
    })
    .await;
}

#[tokio::test]
async fn free_connections_are_checked_and_snapshots_show_every_slot() {
    let (one, _a) = backend().await;
    let tcp = Tcp::default();
    let checks = Arc::clone(&tcp.checks);
    let policy =
        policy().with_health_check(Duration::from_millis(20), Duration::from_secs(30)).unwrap();
    let pool = Pool::new(FixedResolver::new([one.clone()]), tcp, policy);
    let claim = pool.claim().await.unwrap();
    eventually("health was checked", async || pool.snapshot().await.unwrap().counters.healthy > 2)
        .await;
    assert!(checks.load(Ordering::SeqCst) > 2);
    let snapshot = pool.snapshot().await.unwrap();
    let set = &snapshot.sets[0];
    assert_eq!((&set.backend, set.is_listed, set.failures), (&one, true, 0));
    assert_eq!(set.slots.iter().filter(|slot| slot.state == SlotState::Claimed).count(), 1);
    drop(claim);
}

#[tokio::test]
async fn a_pool_without_backends_says_so_by_the_deadline() {
    let none = FixedResolver::new([]);
    let pool =
        Pool::new(none, Tcp::default(), policy().with_claim_timeout(Duration::from_millis(50)));
    match pool.claim().await {
        Err(ClaimError::Timeout { backends: 0, connected: 0, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closing_waits_for_claims_up_to_its_deadline() {
    let (one, _a) = backend().await;
    let pool = Pool::new(FixedResolver::new([one]), Tcp::default(), policy());
    let claim = pool.claim().await.unwrap();
    assert_eq!(pool.close(Duration::from_millis(30)).await.still_claimed, 1);
    assert_eq!(pool.claim().await.unwrap_err(), ClaimError::Closed);
    drop(claim);
    assert_eq!(pool.close(FAR).await.still_claimed, 0);
}

#[test]
fn dropping_in_any_order_and_without_a_runtime_does_no_harm() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (pool, claim) = runtime.block_on(async {
        let (one, _a) = backend().await;
        let pool = Pool::new(FixedResolver::new([one]), Tcp::default(), policy());
        let claim = pool.claim().await.unwrap();
        (pool, claim)
    });
    drop(runtime);
    drop(pool);
    drop(claim);
}

/// Drops the claim after every number of polls: the pool must go on, and lose no connection.
#[tokio::test]
async fn a_claim_dropped_at_any_poll_costs_nothing() {
    let (one, _a) = backend().await;
    let policy = policy().with_max_slots(1).unwrap();
    let pool = Pool::new(FixedResolver::new([one]), Tcp::default(), policy);
    for polls in 0..8 {
        {
            let mut claim = Box::pin(pool.claim());
            for _ in 0..polls {
                let polled = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(claim.as_mut().poll(context).is_ready())
                });
                if polled.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        pool.claim().await.unwrap().run(ask).await.unwrap();
    }
    let snapshot = pool.snapshot().await.unwrap();
    assert_eq!((snapshot.waiting, snapshot.counters.connected), (0, 1), "{snapshot:?}");
}

/// Connects at once to nothing, and counts the connections that live.
struct Counted(Arc<()>);

impl Connector for Counted {
    type Connection = Arc<()>;
    type Shared = Arc<()>;

    async fn connect(&self, _: &Endpoint) -> Result<Arc<()>, BoxError> {
        Ok(Arc::clone(&self.0))
    }

    fn share(&self, connection: Arc<()>) -> Result<Arc<()>, BoxError> {
        Ok(connection)
    }
}

/// A dial may succeed at the moment in which its backend leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_comes_too_late_is_dropped() {
    let live = Arc::new(());
    let resolver = Arc::new(FixedResolver::new([]));
    let pool = Pool::new(Arc::clone(&resolver), Counted(Arc::clone(&live)), policy());
    for round in 0..5000 {
        resolver.set(["here:1".parse().unwrap()]);
        for _ in 0..round % 9 {
            tokio::task::yield_now().await;
        }
        resolver.set([]);
        tokio::task::yield_now().await;
    }
    // One is ours, one the connector's.
    eventually("no connection is left", async || {
        pool.snapshot().await.unwrap().sets.is_empty() && Arc::strong_count(&live) == 2
    })
    .await;
}

/// Panics at every other connection.
struct Clumsy(AtomicUsize);

impl Connector for Clumsy {
    type Connection = TcpStream;
    type Shared = NotShared;

    async fn connect(&self, backend: &Endpoint) -> Result<TcpStream, BoxError> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) % 2 == 1, "on purpose");
        Ok(TcpStream::connect((backend.host(), backend.port())).await?)
    }

    fn share(&self, connection: TcpStream) -> Result<NotShared, BoxError> {
        NotShared::refuse(connection)
    }
}

#[tokio::test]
async fn a_connector_that_panics_costs_a_slot_and_not_the_pool() {
    let (one, _a) = backend().await;
    let pool = Pool::new(FixedResolver::new([one]), Clumsy(AtomicUsize::new(0)), policy());
    for _ in 0..5 {
        let mut claim = pool.claim().await.unwrap();
        claim.run(ask).await.unwrap();
        claim.retire();
    }
    let snapshot = pool.snapshot().await.unwrap();
    assert!(snapshot.counters.connect_failures > 0, "{snapshot:?}");
}

#[tokio::test]
async fn many_users_on_few_connections_lose_nothing() {
    let (one, _a) = backend().await;
    let (two, _b) = backend().await;
    let policy = policy().with_max_slots(4).unwrap();
    let pool = Pool::new(FixedResolver::new([one, two]), Tcp::default(), policy);
    let users: Vec<_> = (0..100)
        .map(|user| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    let mut claim = pool.claim().await.unwrap();
                    // Some give up half way, which must not reach the next user.
                    if (user + round) % 7 == 0 {
                        let request = claim.run(async |socket: &mut TcpStream| {
                            socket.write_all(b"?").await.unwrap();
                            sleep(Duration::from_secs(60)).await;
                        });
                        assert!(timeout(Duration::from_millis(1), request).await.is_err());
                    } else {
                        claim.run(ask).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    let snapshot = pool.snapshot().await.unwrap();
    assert_eq!(snapshot.counters.granted, 1000);
    assert_eq!(snapshot.waiting, 0);
}
