//! The account of the memory that requests and replies on their way keep alive, for all connections
//! together.
//!
//! Requests and replies have a pool each, so that a request that waits for the memory of its reply
//! never waits for itself. Of those that wait at a pool the one that needs least is first: what a
//! client claims for a long request that it does not send delays no shorter request of another. One
//! that has waited for [`PATIENCE`] is next, whatever it needs, but no more often than once in that
//! time, and for [`TURN`] at most: those that have bytes and wait for more must go on before it can
//! have all that it needs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use crate::limits::{CREDENTIALS_BYTES, REPLY_BYTES, REQUEST_BYTES, WAITING_ANSWERS};
use crate::locks::lock;

/// How long others that need less may overtake one that waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing is lent to others while bytes are gathered for one that was overtaken.
const TURN: Duration = Duration::from_secs(1);
/// How long a pool is wanted after bytes were missed: longer than the interval between two checks
/// of a client that occupies them.
const MOMENT: Duration = Duration::from_secs(2);

/// The pools of a server.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Requests that arrive, are handled, or wait for the disk.
    pub(crate) requests: Pool,
    /// Replies that clients have not taken.
    pub(crate) replies: Pool,
    /// Long credentials of calls.
    pub(crate) credentials: Pool,
    /// Answers of the controller that wait for the pool of replies.
    pub(crate) waiting_answers: Semaphore,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            requests: Pool::new(REQUEST_BYTES),
            replies: Pool::new(REPLY_BYTES),
            credentials: Pool::new(CREDENTIALS_BYTES),
            waiting_answers: Semaphore::new(WAITING_ANSWERS),
        }
    }
}

/// A number of bytes, which are lent.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    size: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    free: usize,
    next: u64,
    /// Those that wait, by what they need and in the order in which they came.
    waiting: BTreeMap<(usize, u64), oneshot::Sender<Charge>>,
    /// What each of them needs, and since when, in the order in which they came.
    oldest: BTreeMap<u64, (usize, Instant)>,
    /// The one that was overtaken and has its turn, and when the last turn began.
    turn: Option<(u64, Instant)>,
    /// When bytes were missed without waiting for them.
    missed: Option<Instant>,
}

/// Bytes of a pool, which go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    pool: Pool,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        let shared = Shared { free: size, ..Shared::default() };
        Self { size, shared: Arc::new(Mutex::new(shared)) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// What is asked for more than the whole pool waits for the whole pool.
    fn capped(&self, bytes: usize) -> usize {
        bytes.min(self.size)
    }

    fn lend(&self, bytes: usize) -> Charge {
        Charge { bytes, pool: self.clone() }
    }

    /// Lends bytes; `None` if too few are left.
    pub(crate) fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let bytes = self.capped(bytes);
        self.shared().take(bytes).then(|| self.lend(bytes))
    }

    /// Waits for bytes. Dropping the future gives up the place among those that wait.
    pub(crate) async fn charge(&self, bytes: usize) -> Charge {
        let bytes = self.capped(bytes);
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut shared = self.shared();
            if shared.take(bytes) {
                drop(shared);
                return self.lend(bytes);
            }
            shared.wait(bytes, sender)
        };
        let _waiting = Waiting { pool: self, bytes, id };
        match receiver.await {
            Ok(charge) => charge,
            // A sender is only dropped with the place of this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// Returns true if bytes can be lent at the moment, and no others wait.
    pub(crate) fn may_charge(&self, bytes: usize) -> bool {
        let shared = self.shared();
        shared.free >= bytes && !shared.is_wanted()
    }

    /// Returns true if others wait for bytes, or went on with fewer a moment ago.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared().is_wanted()
    }

    /// Notes that a client goes on with fewer bytes than it could use.
    pub(crate) fn miss(&self) {
        self.shared().missed = Some(Instant::now());
    }

    /// Ends a turn that was not enough, which is checked once in a while.
    pub(crate) fn tick(&self) {
        self.give_back(0);
    }

    /// The bytes that are lent.
    pub(crate) fn lent(&self) -> usize {
        self.size.saturating_sub(self.shared().free)
    }

    /// Takes bytes back, and lends them to those that wait.
    fn give_back(&self, bytes: usize) {
        let mut granted = Vec::new();
        {
            let mut shared = self.shared();
            shared.free += bytes;
            while let Some((bytes, sender)) = shared.next() {
                granted.push((sender, self.lend(bytes)));
            }
        }
        for (sender, charge) in granted {
            // One that has left gives its bytes to the next by this.
            sender.send(charge).ok();
        }
    }
}

impl Shared {
    fn is_wanted(&self) -> bool {
        !self.waiting.is_empty() || self.missed.is_some_and(|missed| missed.elapsed() <= MOMENT)
    }

    /// Takes bytes at once; returns false if too few are left for it.
    fn take(&mut self, bytes: usize) -> bool {
        let is_free = self.overtaken().is_none() && self.free >= bytes;
        if is_free {
            self.free -= bytes;
        }
        is_free
    }

    fn wait(&mut self, bytes: usize, sender: oneshot::Sender<Charge>) -> u64 {
        self.next += 1;
        self.waiting.insert((bytes, self.next), sender);
        self.oldest.insert(self.next, (bytes, Instant::now()));
        self.next
    }

    /// The one that was overtaken for long enough, if it is the turn of such a one.
    fn overtaken(&mut self) -> Option<(usize, u64)> {
        if let Some((id, begun)) = self.turn
            && begun.elapsed() < PATIENCE
        {
            let (bytes, _) = self.oldest.get(&id).filter(|_| begun.elapsed() < TURN)?;
            return Some((*bytes, id));
        }
        let (id, (bytes, since)) = self.oldest.first_key_value()?;
        if since.elapsed() < PATIENCE {
            return None;
        }
        self.turn = Some((*id, Instant::now()));
        Some((*bytes, *id))
    }

    /// Takes bytes for the next of those that wait; `None` if too few are left for it.
    fn next(&mut self) -> Option<(usize, oneshot::Sender<Charge>)> {
        let place = self.overtaken().or_else(|| self.waiting.keys().next().copied())?;
        let (bytes, id) = place;
        if self.free < bytes {
            return None;
        }
        self.free -= bytes;
        self.oldest.remove(&id);
        Some((bytes, self.waiting.remove(&place)?))
    }
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the bytes of another charge of the same pool.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        if surplus > 0 {
            self.pool.give_back(surplus);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.pool.give_back(self.bytes);
        }
    }
}

/// The place of one that waits, until it is dropped.
struct Waiting<'a> {
    pool: &'a Pool,
    bytes: usize,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut shared = self.pool.shared();
        shared.oldest.remove(&self.id);
        let waited = shared.waiting.remove(&(self.bytes, self.id)).is_some();
        drop(shared);
        if waited {
            // Others may have waited for its turn only.
            self.pool.give_back(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::advance};

    use super::*;

    async fn waits(pool: &Pool, bytes: usize) -> tokio::task::JoinHandle<Charge> {
        let pool = pool.clone();
        let waiting = tokio::spawn(async move { pool.charge(bytes).await });
        yield_now().await;
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn claims_for_long_requests_delay_no_shorter_one() {
        let pool = Pool::new(100);
        // Clients that claim almost all of it, and send nothing.
        let first = pool.charge(90).await;
        let mut others = Vec::new();
        for _ in 0..50 {
            others.push(waits(&pool, 90).await);
        }
        assert!(pool.is_wanted());
        let short = pool.try_charge(10).unwrap();
        let next = waits(&pool, 10).await;
        assert!(!next.is_finished());
        drop(first);
        assert_eq!(next.await.unwrap().bytes(), 10, "it came last and needs least");
        drop(short);
        for other in others {
            other.await.unwrap();
        }
        assert_eq!((pool.lent(), pool.is_wanted()), (0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_is_not_overtaken_forever_by_small_ones() {
        let pool = Pool::new(100);
        let mut small = pool.try_charge(60).unwrap();
        let large = waits(&pool, 500).await;
        let second = waits(&pool, 100).await;
        assert!(pool.try_charge(1).is_some());
        advance(PATIENCE).await;
        assert!(pool.try_charge(1).is_none(), "a small request overtakes the large one");
        let waiting = waits(&pool, 1).await;
        small.shrink_to(10);
        assert_eq!(small.bytes(), 10);
        drop(small);
        let large = large.await.unwrap();
        assert_eq!(large.bytes(), 100);
        // Now small ones have their time.
        drop(large);
        assert_eq!(waiting.await.unwrap().bytes(), 1);
        drop(second.await.unwrap());
        assert_eq!((pool.lent(), pool.is_wanted()), (0, false));
        pool.miss();
        assert!(pool.is_wanted());
        advance(Duration::from_secs(3)).await;
        assert!(!pool.is_wanted());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_although_it_was_not_enough() {
        let pool = Pool::new(100);
        let has = pool.try_charge(10).unwrap();
        let large = waits(&pool, 100).await;
        advance(PATIENCE).await;
        let more = waits(&pool, 30).await;
        pool.tick();
        yield_now().await;
        assert!(!more.is_finished(), "it is the turn of the large one");
        advance(TURN).await;
        pool.tick();
        drop((has, more.await.unwrap()));
        yield_now().await;
        assert_eq!(large.await.unwrap().bytes(), 100);
        assert_eq!(pool.lent(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leaves_keeps_nothing() {
        let pool = Pool::new(100);
        let all = pool.try_charge(100).unwrap();
        let leaving = waits(&pool, 50).await;
        let staying = waits(&pool, 60).await;
        leaving.abort();
        assert!(leaving.await.is_err());
        drop(all);
        assert_eq!(staying.await.unwrap().bytes(), 60);
        // It leaves in the moment in which it is served.
        let all = pool.try_charge(100).unwrap();
        let leaving = waits(&pool, 50).await;
        drop(all);
        leaving.abort();
        drop(leaving.await);
        assert_eq!((pool.lent(), pool.is_wanted()), (0, false));
    }

    #[test]
    fn charges_are_added_and_shrunk() {
        let pool = Pool::new(100);
        let mut charge = pool.try_charge(10).unwrap();
        charge.add(pool.try_charge(30).unwrap());
        assert_eq!((charge.bytes(), pool.lent()), (40, 40));
        charge.shrink_to(50);
        charge.shrink_to(15);
        assert_eq!((charge.bytes(), pool.lent(), pool.may_charge(86)), (15, 15, false));
        drop(charge);
        assert!(pool.may_charge(100) && pool.try_charge(101).is_some_and(|all| all.bytes() == 100));
    }
}
