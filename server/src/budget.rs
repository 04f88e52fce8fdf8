//! The account of the memory that requests and replies on their way keep alive, for all connections
//! together.
//!
//! Requests and replies have a pool each, so that a request that waits for the memory of its reply
//! never waits for itself. A pool is fair: who waits longest is first.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::limits::{REPLY_BYTES, REQUEST_BYTES, WAITING_ANSWERS};

/// How long a pool is wanted after bytes were missed, in milliseconds: longer than the interval
/// between two checks of a client that occupies them.
const MOMENT: u64 = 2000;

/// Both pools of a server.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Requests that arrive, are handled, or wait for the disk.
    pub(crate) requests: Pool,
    /// Replies that clients have not taken.
    pub(crate) replies: Pool,
    /// Answers of the controller that wait for the pool of replies.
    pub(crate) waiting_answers: Semaphore,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            requests: Pool::new(REQUEST_BYTES),
            replies: Pool::new(REPLY_BYTES),
            waiting_answers: Semaphore::new(WAITING_ANSWERS),
        }
    }
}

/// A number of bytes, which are lent.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    size: usize,
    waiting: Arc<AtomicUsize>,
    begun: Instant,
    /// When bytes were missed without waiting for them, in milliseconds after `begun`; 0 if never.
    missed: Arc<AtomicU64>,
}

/// Bytes of a pool, which go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge(OwnedSemaphorePermit);

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(size)),
            size,
            waiting: Arc::default(),
            begun: Instant::now(),
            missed: Arc::default(),
        }
    }

    /// What is asked for more than the whole pool waits for the whole pool.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.size)).unwrap_or(u32::MAX)
    }

    /// Lends bytes; `None` if too few are left.
    pub(crate) fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let permits = self.permits(bytes);
        Arc::clone(&self.free).try_acquire_many_owned(permits).ok().map(Charge)
    }

    /// Waits for bytes. Dropping the future gives up the place in the queue.
    pub(crate) async fn charge(&self, bytes: usize) -> Charge {
        if let Some(charge) = self.try_charge(bytes) {
            return charge;
        }
        let _waiting = Waiting::new(&self.waiting);
        match Arc::clone(&self.free).acquire_many_owned(self.permits(bytes)).await {
            Ok(permit) => Charge(permit),
            // No pool is ever closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Returns true if bytes can be lent at the moment.
    pub(crate) fn may_charge(&self, bytes: usize) -> bool {
        self.free.available_permits() >= bytes && !self.is_wanted()
    }

    /// Returns true if others wait for bytes, or went on with fewer a moment ago.
    pub(crate) fn is_wanted(&self) -> bool {
        let missed = self.missed.load(Ordering::Relaxed);
        let is_missed = missed > 0 && self.now().saturating_sub(missed) <= MOMENT;
        is_missed || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Notes that a client goes on with fewer bytes than it could use.
    pub(crate) fn miss(&self) {
        self.missed.store(self.now().max(1), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The bytes that are lent.
    pub(crate) fn lent(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    /// Adds the bytes of another charge of the same pool.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes().saturating_sub(bytes);
        drop(self.0.split(surplus));
    }
}

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_large_request_is_not_overtaken_forever_by_small_ones() {
        let pool = Pool::new(100);
        let mut small = pool.try_charge(60).unwrap();
        let other = pool.try_charge(40).unwrap();
        let large = tokio::spawn({
            let pool = pool.clone();
            async move { pool.charge(500).await.bytes() }
        });
        tokio::task::yield_now().await;
        assert!(pool.is_wanted());
        drop(other);
        assert!(pool.try_charge(1).is_none(), "a small request overtakes the large one");
        small.shrink_to(10);
        assert_eq!(small.bytes(), 10);
        drop(small);
        assert_eq!(large.await.unwrap(), 100);
        assert!(!pool.is_wanted());
        assert_eq!(pool.lent(), 0);
        pool.miss();
        assert!(pool.is_wanted());
        tokio::time::advance(std::time::Duration::from_secs(3)).await;
        assert!(!pool.is_wanted());
    }
}
