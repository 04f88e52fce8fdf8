//! The pool among connectors that fail and users that leave, in memory and with virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use pravega_sdk_connection_pool::{
    BoxError, ClaimError, Connector, FixedResolver, Policy, Pool, SlotState,
};
use pravega_sdk_types::{Endpoint, ErrorKind};
use tokio::time::{sleep, timeout};

/// How the connector behaves, and what it counted.
#[derive(Debug, Default)]
struct Behaviour {
    refuses_to_share: AtomicBool,
    panics_in_checks: AtomicBool,
    fails_to_close: AtomicBool,
    /// How long a close and a check take, in milliseconds.
    close_ms: AtomicUsize,
    check_ms: AtomicUsize,
    /// Connections that were closed, not dropped.
    closed: AtomicUsize,
    dials: AtomicUsize,
    /// Connections that are open, those that are closing included.
    open: Arc<AtomicUsize>,
}

/// Connects to every backend but `down`, which refuses, and `silent`, which never answers.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Behaviour>);

#[derive(Debug)]
struct Connection {
    is_dead: AtomicBool,
    open: Arc<AtomicUsize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connector for Memory {
    type Connection = Connection;
    type Shared = Connection;

    async fn connect(&self, backend: &Endpoint) -> Result<Connection, BoxError> {
        self.0.dials.fetch_add(1, Ordering::SeqCst);
        match backend.host() {
            "down" => return Err("refused".into()),
            "silent" => std::future::pending().await,
            _ => sleep(Duration::from_millis(1)).await,
        }
        self.0.open.fetch_add(1, Ordering::SeqCst);
        Ok(Connection { is_dead: AtomicBool::new(false), open: Arc::clone(&self.0.open) })
    }

    fn share(&self, connection: Connection) -> Result<Connection, BoxError> {
        if self.0.refuses_to_share.load(Ordering::SeqCst) {
            return Err("not shared".into());
        }
        Ok(connection)
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), BoxError> {
        assert!(!self.0.panics_in_checks.load(Ordering::SeqCst), "on purpose");
        sleep(Duration::from_millis(self.0.check_ms.load(Ordering::SeqCst) as u64)).await;
        Ok(())
    }

    fn is_alive(&self, connection: &Connection) -> bool {
        !connection.is_dead.load(Ordering::SeqCst)
    }

    async fn close(&self, connection: Connection) -> Result<(), BoxError> {
        self.close_shared(connection).await
    }

    async fn close_shared(&self, connection: Connection) -> Result<(), BoxError> {
        sleep(Duration::from_millis(self.0.close_ms.load(Ordering::SeqCst) as u64)).await;
        drop(connection);
        self.0.closed.fetch_add(1, Ordering::SeqCst);
        if self.0.fails_to_close.load(Ordering::SeqCst) { Err("stuck".into()) } else { Ok(()) }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn policy() -> Policy {
    let policy = Policy::default().with_spares(0).with_claim_timeout(Duration::from_secs(10));
    policy.with_backoff(Duration::ZERO, Duration::ZERO).unwrap()
}

fn pool(policy: Policy) -> (Memory, Pool<Memory>) {
    let memory = Memory::default();
    let pool = Pool::new(FixedResolver::new([]), memory.clone(), policy);
    (memory, pool)
}

fn backend(host: &str) -> Endpoint {
    Endpoint::new(host, 1).unwrap()
}

async fn is_ready_at_once(future: impl Future) -> bool {
    let mut future = Box::pin(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn every_claim_of_a_connection_that_cannot_be_shared_is_answered() {
    let (memory, pool) = pool(policy());
    memory.0.refuses_to_share.store(true, Ordering::SeqCst);
    let at = backend("a");
    let claims = async {
        tokio::join!(
            pool.claim_shared_at(&at),
            pool.claim_shared_at(&at),
            pool.claim_shared_at(&at)
        )
    };
    let (one, two, three) = timeout(MINUTE, claims).await.unwrap();
    for error in [one.unwrap_err(), two.unwrap_err(), three.unwrap_err()] {
        let ClaimError::Connect { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), "not shared");
    }
    memory.0.refuses_to_share.store(false, Ordering::SeqCst);
    assert!(pool.claim_shared_at(&at).await.is_ok());
}

/// The task of the pool runs only when this one waits, so it sees claims that are gone already.
#[tokio::test(start_paused = true)]
async fn claims_that_are_dropped_at_once_take_no_place_and_no_dial() {
    let (memory, pool) = pool(policy().with_max_waiting(1).unwrap());
    for _ in 0..3 {
        assert!(!is_ready_at_once(pool.claim_shared_at(&backend("silent"))).await);
    }
    let snapshot = pool.snapshot().await.unwrap();
    assert_eq!((snapshot.waiting, snapshot.counters.abandoned), (0, 3));
    assert_eq!(memory.0.dials.load(Ordering::SeqCst), 0);
    assert!(pool.claim_at(&backend("a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waits_for_room_never_gets_a_dead_connection() {
    let one = policy().with_max_users(1).and_then(|policy| policy.with_max_slots(1)).unwrap();
    let (memory, pool) = pool(one);
    let at = backend("a");
    let first = pool.claim_shared_at(&at).await.unwrap();
    let second = async {
        let second = pool.claim_shared_at(&at).await.unwrap();
        assert!(!second.is_dead.load(Ordering::SeqCst), "the dead connection was granted");
    };
    let dying = async {
        // The second claim waits by now.
        sleep(Duration::from_secs(1)).await;
        first.is_dead.store(true, Ordering::SeqCst);
        drop(first);
    };
    tokio::join!(second, dying);
    assert_eq!(memory.0.dials.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_is_a_failed_check_and_no_failed_dial() {
    let checked = policy().with_health_check(Duration::from_secs(1), MINUTE).unwrap();
    let memory = Memory::default();
    let spare = checked.with_spares(1);
    let pool = Pool::new(FixedResolver::new([backend("a")]), memory.clone(), spare);
    sleep(Duration::from_millis(500)).await;
    memory.0.panics_in_checks.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    let snapshot = pool.snapshot().await.unwrap();
    assert_eq!((snapshot.counters.unhealthy, snapshot.counters.connect_failures), (1, 0));
    assert_eq!(snapshot.sets[0].failures, 0);
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_as_long_as_a_duration_can_be() {
    let endless = Policy::default()
        .with_claim_timeout(Duration::MAX)
        .with_connect_timeout(Duration::MAX)
        .with_backoff(Duration::MAX, Duration::MAX)
        .and_then(|policy| policy.with_health_check(Duration::MAX, Duration::MAX))
        .unwrap();
    let (_, pool) = pool(endless);
    let claim = pool.claim_at(&backend("a")).await.unwrap();
    assert!(pool.claim_shared_at(&backend("a")).await.is_ok());
    let error = pool.claim_at(&backend("down")).await.unwrap_err();
    assert!(matches!(error, ClaimError::Connect { .. }), "{error:?}");
    drop(claim);
    assert_eq!(pool.snapshot().await.unwrap().counters.granted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_reported_though_an_earlier_report_was_given_up() {
    let (memory, pool) = pool(policy());
    memory.0.fails_to_close.store(true, Ordering::SeqCst);
    let claim = pool.claim_at(&backend("a")).await.unwrap();
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 1);
    drop(claim);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.close(Duration::from_secs(1)).await.failures.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_while_other_connections_keep_closing() {
    let (memory, pool) = pool(policy());
    memory.0.close_ms.store(100, Ordering::SeqCst);
    let closing = async {
        loop {
            drop(pool.claim_at(&backend("a")).await.unwrap());
            sleep(Duration::from_millis(20)).await;
        }
    };
    let draining = async {
        sleep(Duration::from_secs(1)).await;
        assert!(memory.0.open.load(Ordering::SeqCst) > 2, "connections overlap as they close");
        timeout(MINUTE, pool.drain()).await.unwrap();
    };
    tokio::select! {
        () = closing => {}
        () = draining => {}
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_hang_as_they_close_are_bounded() {
    let (memory, pool) = pool(policy().with_max_slots(2).unwrap());
    memory.0.close_ms.store(3_000, Ordering::SeqCst);
    for _ in 0..20 {
        drop(pool.claim_at(&backend("a")).await.unwrap());
        let open = memory.0.open.load(Ordering::SeqCst);
        assert!(open <= 4, "{open} connections are open");
    }
    let failures = pool.drain().await;
    assert!(!failures.is_empty(), "those that were not closed in order are reported");
    assert_eq!(memory.0.open.load(Ordering::SeqCst), 0);
}

/// A deadline needs a timer, which belongs to a runtime.
#[test]
fn a_pool_may_be_closed_from_a_thread_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_, pool) = pool(policy());
    let claim = runtime.block_on(pool.claim_at(&backend("a"))).unwrap();
    let report = block_on(pool.close(Duration::from_millis(10)));
    assert_eq!(report.still_claimed, 1);
    drop(claim);
    assert_eq!(block_on(pool.close(MINUTE)).still_claimed, 0);
}

/// Waits for a future on a thread that no runtime knows.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = Box::pin(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_counts_until_its_last_user_leaves() {
    let (memory, pool) = pool(policy().with_max_slots(1).unwrap());
    let at = backend("a");
    let (one, two) = (pool.claim_shared_at(&at).await.unwrap(), pool.claim_shared_at(&at).await);
    one.retire();
    let error = pool.claim_shared_at(&at).await.unwrap_err();
    assert!(matches!(error, ClaimError::Timeout { connected: 1, claimed: 1, .. }), "{error:?}");
    let state = pool.snapshot().await.unwrap().sets[0].slots[0].state;
    assert_eq!(state, SlotState::Retired { users: 2 });
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 1);
    drop(one);
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 1);
    drop(two);
    assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 0);
    assert_eq!(memory.0.open.load(Ordering::SeqCst), 0);
}

/// Owners may stop to poll any number of claims, as a reader does with one for each segment.
#[tokio::test(start_paused = true)]
async fn claims_that_are_not_polled_hold_up_no_other_however_many() {
    let (_, pool) = pool(policy().with_max_users(10_000).unwrap());
    let at = backend("a");
    let mut stalled: Vec<_> = (0..2000).map(|_| Box::pin(pool.claim_shared_at(&at))).collect();
    for claim in &mut stalled {
        let is_ready = poll_fn(|cx| Poll::Ready(claim.as_mut().poll(cx).is_ready())).await;
        assert!(!is_ready, "nothing is connected yet");
    }
    let other = timeout(MINUTE, pool.claim_shared_at(&at)).await;
    assert!(other.unwrap().is_ok());
    assert!(timeout(MINUTE, pool.snapshot()).await.unwrap().is_ok());
}

/// As a program that makes its client on a runtime which it only enters.
#[test]
fn calls_of_a_pool_whose_runtime_is_not_driven_end_at_a_deadline() {
    let runtime = |is_paused| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(is_paused).build().unwrap()
    };
    let (idle, driven) = (runtime(false), runtime(true));
    let policy = Policy::default().with_claim_timeout(Duration::from_secs(2));
    let pool = {
        let _context = idle.enter();
        Pool::new(FixedResolver::new(["a:1".parse().unwrap()]), Memory::default(), policy)
    };
    driven.block_on(async {
        let started = tokio::time::Instant::now();
        let error = pool.claim().await.unwrap_err();
        assert!(matches!(error, ClaimError::NotDriven { .. }), "{error:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(7));
        assert!(pool.snapshot().await.is_err());
        assert!(pool.drain().await.is_empty());
        assert_eq!(pool.close(Duration::from_secs(1)).await.still_claimed, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn the_report_of_a_close_is_an_error_if_a_connection_is_in_use_or_did_not_close() {
    let memory = Memory::default();
    let backend: Endpoint = "a:1".parse().unwrap();
    let pool = Pool::new(FixedResolver::new([]), memory.clone(), Policy::default().with_spares(0));
    let claim = pool.claim_at(&backend).await.unwrap();
    memory.0.fails_to_close.store(true, Ordering::SeqCst);
    let in_use = pool.close(Duration::from_secs(1)).await.into_result().unwrap_err();
    assert_eq!((in_use.still_claimed, in_use.kind()), (1, ErrorKind::Timeout));
    drop(claim);
    let not_closed = pool.close(Duration::from_secs(1)).await.into_result().unwrap_err();
    assert_eq!((not_closed.still_claimed, not_closed.failures.len()), (0, 1));
    assert_eq!(not_closed.kind(), ErrorKind::ConnectionLost);
    pool.close(Duration::from_secs(1)).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_connections_close_slowly_is_not_reported_as_closed() {
    let (memory, pool) = pool(policy());
    memory.0.close_ms.store(1500, Ordering::SeqCst);
    drop(pool.claim_at(&backend("a")).await.unwrap());
    let report = pool.close(Duration::from_secs(1)).await;
    assert_eq!((report.still_claimed, report.still_closing), (0, 1));
    let error = report.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(pool.close(Duration::from_secs(1)).await.into_result().is_ok());
    assert_eq!(memory.0.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_retired_during_its_check_is_closed_after_it() {
    for drains in [true, false] {
        let policy = policy().with_spares(1).with_health_check(MINUTE, MINUTE).unwrap();
        let memory = Memory::default();
        let resolver = FixedResolver::new([backend("a")]);
        let pool = Pool::new(resolver, memory.clone(), policy);
        memory.0.check_ms.store(2000, Ordering::SeqCst);
        let is_checking = async || {
            let sets = pool.snapshot().await.unwrap().sets;
            sets.iter().flat_map(|set| &set.slots).any(|slot| slot.state == SlotState::Checking)
        };
        while !is_checking().await {
            sleep(Duration::from_millis(500)).await;
        }
        if drains {
            assert_eq!(pool.drain().await.len(), 0);
        } else {
            pool.close(MINUTE).await.into_result().unwrap();
        }
        assert_eq!(memory.0.closed.load(Ordering::SeqCst), 1, "drains: {drains}");
    }
}
