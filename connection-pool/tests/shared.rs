//! Shared claims, with connections in memory and virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use pravega_sdk_connection_pool::{
    BoxError, ClaimError, Connector, FixedResolver, NotShared, Policy, Pool, SharedClaim,
};
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use tokio::time::{Instant, sleep, timeout};

/// Dials take this long.
const DIAL: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counts {
    dials: AtomicUsize,
    closes: AtomicUsize,
    fails_to_close: AtomicBool,
}

/// Connects to every backend but `down`, which refuses, and `silent`, which never answers.
#[derive(Clone, Default)]
struct Memory(Arc<Counts>);

struct Connection {
    number: usize,
    is_dead: AtomicBool,
}

impl Connector for Memory {
    type Connection = Connection;
    type Shared = Connection;

    async fn connect(&self, backend: &Endpoint) -> Result<Connection, BoxError> {
        let number = self.0.dials.fetch_add(1, Ordering::SeqCst);
        sleep(DIAL).await;
        match backend.host() {
            "down" => Err("refused".into()),
            "silent" => std::future::pending().await,
            _ => Ok(Connection { number, is_dead: AtomicBool::new(false) }),
        }
    }

    fn share(&self, connection: Connection) -> Result<Connection, BoxError> {
        Ok(connection)
    }

    fn is_alive(&self, connection: &Connection) -> bool {
        !connection.is_dead.load(Ordering::SeqCst)
    }

    async fn close(&self, connection: Connection) -> Result<(), BoxError> {
        self.close_shared(connection).await
    }

    async fn close_shared(&self, _: Connection) -> Result<(), BoxError> {
        self.0.closes.fetch_add(1, Ordering::SeqCst);
        if self.0.fails_to_close.load(Ordering::SeqCst) { Err("stuck".into()) } else { Ok(()) }
    }
}

fn policy() -> Policy {
    Policy::default()
        .with_spares(0)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_backoff(Duration::ZERO, Duration::ZERO)
        .unwrap()
}

fn pool() -> (Memory, Pool<Memory>) {
    let memory = Memory::default();
    let pool = Pool::new(FixedResolver::new([]), memory.clone(), policy());
    (memory, pool)
}

fn backend(host: &str) -> Endpoint {
    Endpoint::new(host, 1).unwrap()
}

async fn share(pool: &Pool<Memory>, host: &str) -> SharedClaim<Connection> {
    pool.claim_shared_at(&backend(host)).await.unwrap()
}

fn dials(memory: &Memory) -> usize {
    memory.0.dials.load(Ordering::SeqCst)
}

fn closes(memory: &Memory) -> usize {
    memory.0.closes.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn many_users_share_one_dial_and_one_who_gives_up_does_not_end_it() {
    let (memory, pool) = pool();
    let at = backend("a");
    let gave_up = timeout(DIAL / 2, pool.claim_shared_at(&at));
    let (gave_up, one, two) =
        tokio::join!(gave_up, pool.claim_shared_at(&at), pool.claim_shared_at(&at));
    assert!(gave_up.is_err());
    assert_eq!(one.unwrap().slot(), two.unwrap().slot());
    assert_eq!(dials(&memory), 1);
}

/// A user that polled its claim once, and then never again, keeps no other user waiting.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_polled_holds_up_no_other() {
    let (memory, pool) = pool();
    let at = backend("a");
    let mut stalled = Box::pin(pool.claim_shared_at(&at));
    let polled = std::future::poll_fn(|cx| Poll::Ready(stalled.as_mut().poll(cx).is_ready())).await;
    assert!(!polled, "nothing is connected yet");
    let started = Instant::now();
    let other = share(&pool, "a").await;
    assert_eq!((started.elapsed(), dials(&memory)), (DIAL, 1));
    assert_eq!(stalled.await.unwrap().slot(), other.slot());
}

#[tokio::test(start_paused = true)]
async fn the_last_user_to_leave_closes_and_a_failure_is_reported() {
    let (memory, pool) = pool();
    let (one, two) = (share(&pool, "a").await, share(&pool, "a").await);
    memory.0.fails_to_close.store(true, Ordering::SeqCst);
    drop(one);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(closes(&memory), 0);
    drop(two);
    let failures = pool.drain().await;
    assert_eq!(closes(&memory), 1);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].backend, backend("a"));
    assert!(pool.snapshot().await.unwrap().sets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_is_gone_for_every_user_and_is_dialled_again_once() {
    let (memory, pool) = pool();
    let (one, two) = (share(&pool, "a").await, share(&pool, "a").await);
    two.retire();
    assert!(one.is_retired());
    let (three, four) = (share(&pool, "a").await, share(&pool, "a").await);
    assert_eq!((three.slot(), dials(&memory)), (four.slot(), 2));
    assert_ne!(one.slot(), three.slot());
    // A late retirement of the first does the second no harm.
    one.retire();
    assert!(!three.is_retired());
    assert_eq!(share(&pool, "a").await.slot(), three.slot());
    assert_eq!(closes(&memory), 0, "the first still has users");
    drop((one, two));
    assert!(pool.snapshot().await.is_ok());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(closes(&memory), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_never_granted_and_its_users_learn_of_it() {
    let (memory, pool) = pool();
    let one = share(&pool, "a").await;
    one.is_dead.store(true, Ordering::SeqCst);
    let two = share(&pool, "a").await;
    assert!(one.is_retired() && !two.is_retired());
    assert_ne!(one.number, two.number);
    // Without a claim, the next health check finds it.
    two.is_dead.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(31)).await;
    assert!(two.is_retired());
    assert_eq!(dials(&memory), 2);
}

#[tokio::test(start_paused = true)]
async fn claims_that_wait_for_one_dial_share_its_failure() {
    let (memory, pool) = pool();
    let down = backend("down");
    let started = Instant::now();
    let claims = (0..12).map(|_| {
        let (pool, down) = (pool.clone(), down.clone());
        tokio::spawn(async move { pool.claim_shared_at(&down).await.unwrap_err() })
    });
    for claim in claims.collect::<Vec<_>>() {
        let error = claim.await.unwrap();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::NotApplied));
        let ClaimError::Connect { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), "refused");
    }
    assert_eq!((started.elapsed(), dials(&memory)), (DIAL, 1));
}

#[tokio::test(start_paused = true)]
async fn claims_of_a_silent_backend_end_together_with_its_dial_or_at_their_deadline() {
    let (memory, pool) = pool();
    let silent = backend("silent");
    let started = Instant::now();
    let (one, two) = tokio::join!(pool.claim_shared_at(&silent), pool.claim_shared_at(&silent));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(matches!(error, ClaimError::Connect { .. }), "{error}");
    }
    assert_eq!((started.elapsed(), dials(&memory)), (CONNECT_TIMEOUT, 1));
    pool.set_policy(policy().with_claim_timeout(DIAL)).await.unwrap();
    let error = pool.claim_at(&silent).await.unwrap_err();
    assert!(matches!(error, ClaimError::Timeout { backend: Some(_), .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn draining_closes_everything_once_and_the_pool_goes_on() {
    let (memory, pool) = pool();
    let mut claims = Vec::new();
    for host in ["a", "b", "c"] {
        claims.push(share(&pool, host).await);
    }
    memory.0.fails_to_close.store(true, Ordering::SeqCst);
    assert!(pool.drain().await.is_empty(), "all of them have users");
    assert!(claims.iter().all(SharedClaim::is_retired));
    drop(claims);
    assert_eq!((pool.drain().await.len(), closes(&memory)), (3, 3));
    assert_eq!(share(&pool, "a").await.number, 3);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_shared_users_too() {
    let (memory, pool) = pool();
    let claim = share(&pool, "a").await;
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 1);
    assert_eq!(pool.claim_shared().await.unwrap_err(), ClaimError::Closed);
    drop(claim);
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 0);
    assert_eq!(closes(&memory), 1);
}

#[tokio::test(start_paused = true)]
async fn both_kinds_of_claims_are_served_by_one_backend() {
    let (memory, pool) = pool();
    let shared = share(&pool, "a").await;
    let alone = pool.claim_at(&backend("a")).await.unwrap();
    let also_shared = share(&pool, "a").await;
    assert_eq!(shared.slot(), also_shared.slot());
    assert_ne!(shared.slot(), alone.slot());
    assert_eq!(dials(&memory), 2);
    let snapshot = pool.snapshot().await.unwrap();
    let set = &snapshot.sets[0];
    assert_eq!((set.is_listed, set.slots.len(), snapshot.counters.granted), (false, 2, 3));
}

struct Unsharable;

impl Connector for Unsharable {
    type Connection = ();
    type Shared = NotShared;

    async fn connect(&self, _: &Endpoint) -> Result<(), BoxError> {
        Ok(())
    }

    fn share(&self, connection: ()) -> Result<NotShared, BoxError> {
        NotShared::refuse(connection)
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_claim_of_connections_that_cannot_be_shared_fails_at_once() {
    let pool = Pool::new(FixedResolver::new([backend("a")]), Unsharable, policy());
    let error = pool.claim_shared().await.unwrap_err();
    assert!(matches!(error, ClaimError::Connect { .. }), "{error}");
    drop(pool.claim().await.unwrap());
}

#[test]
fn a_pool_made_outside_a_runtime_starts_with_its_first_claim() {
    let (_, pool) = pool();
    let error = poll_once(pool.claim_shared()).unwrap_err();
    assert_eq!((error.kind(), &error), (ErrorKind::NoRuntime, &ClaimError::NoRuntime));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    drop(runtime.block_on(share(&pool, "a")));
}

#[test]
fn a_pool_goes_on_in_another_runtime_after_the_first_was_shut_down() {
    let (memory, pool) = pool();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = runtime.block_on(share(&pool, "a"));
    let silent = backend("silent");
    let mut waiting = Box::pin(pool.claim_at(&silent));
    runtime.block_on(async { assert!(timeout(DIAL, &mut waiting).await.is_err()) });
    drop(runtime);
    assert_eq!(poll_once(waiting).unwrap_err(), ClaimError::RuntimeEnded);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let second = runtime.block_on(share(&pool, "a"));
    assert_ne!(first.number, second.number);
    assert_eq!(dials(&memory), 3);
}

fn poll_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}
