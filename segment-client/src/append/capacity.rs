//! The capacity for bytes that wait for their acknowledgement, and other state that the handles of
//! a writer share with its task.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};
use tokio::time::Instant;

use super::{
    ack::Acks,
    permits::{Closed, Permits},
};
use crate::error::WriteError;

/// The least that an event counts for: the memory that tracks it.
const MIN_COST: usize = 512;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: ScopedStream,
    /// Bytes that may be written before something is acknowledged. Closed with the writer.
    permits: Permits,
    /// All of the permits.
    capacity: u32,
    /// How long a write may wait for capacity.
    pub(super) delivery_timeout: Duration,
    pub(super) acks: Acks,
    /// The first failure of a write.
    first_failure: OnceLock<WriteError>,
    /// The failure that the first report of a close had.
    close_failure: OnceLock<WriteError>,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    pub(super) fn new(stream: ScopedStream, capacity: u32, delivery_timeout: Duration) -> Self {
        Self {
            stream,
            permits: Permits::new(capacity as usize),
            capacity,
            delivery_timeout,
            acks: Acks::new(),
            first_failure: OnceLock::new(),
            close_failure: OnceLock::new(),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Counts a write that the task has taken.
    pub(super) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a write that has a result.
    pub(super) fn count<A>(&self, result: &Result<A, WriteError>) {
        let counter = match result {
            Ok(_) => &self.acknowledged,
            Err(error) => {
                self.first_failure.get_or_init(|| error.clone());
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The first failure of a write; `None` if none has failed.
    pub(super) fn first_failure(&self) -> Option<&WriteError> {
        self.first_failure.get()
    }

    /// The number of writes that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The number of writes that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The number of writes that have no result. After the end of the task they have none ever.
    pub(super) fn unanswered(&self) -> u64 {
        let answered = self.acknowledged() + self.failed();
        self.sent.load(Ordering::Relaxed).saturating_sub(answered)
    }

    /// Returns the failure of the first report of a close that has one, so that all have the same.
    pub(super) fn close_failure(&self, failure: Option<WriteError>) -> Option<WriteError> {
        match failure {
            Some(failure) => Some(self.close_failure.get_or_init(|| failure).clone()),
            None => self.close_failure.get().cloned(),
        }
    }

    /// Returns the capacity that so many bytes take, which is at most all of it.
    pub(super) fn cost_of(&self, bytes: usize) -> usize {
        bytes.max(MIN_COST).min(self.capacity as usize)
    }

    /// Lets others go on if a write does not take the capacity that it waited for. Returns when to
    /// call this again; `cx` is woken when that changes.
    pub(super) fn poll_lapse(&self, cx: &Context<'_>) -> Option<Instant> {
        self.permits.poll_lapse(cx)
    }

    /// Releases capacity, by the task of the writer, which calls [`Self::poll_lapse`] after that.
    pub(super) fn release_completed(&self, cost: usize) {
        self.permits.release_watched(cost);
    }

    /// Releases capacity.
    fn release(&self, cost: usize) {
        self.permits.release(cost);
    }

    /// Refuses every later write.
    pub(super) fn close(&self) {
        self.permits.close();
    }

    /// Returns true if every later write is refused, and every one that waits for capacity.
    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Waits for capacity, in the order of the calls, and without a limit.
    pub(super) async fn reserve(
        &self,
        bytes: usize,
        waiting_since: Instant,
    ) -> Result<Capacity<'_>, WriteError> {
        let cost = self.cost_of(bytes);
        match self.permits.acquire(cost).await {
            Ok(()) => Ok(self.taken(cost, Some(waiting_since))),
            Err(Closed) => Err(WriteError::closed(&self.stream)),
        }
    }

    /// The error of a write for which there was no capacity in time.
    pub(super) fn is_full(&self) -> WriteError {
        let detail = format_args!(
            "no capacity within {:?}: too many bytes wait for their acknowledgement",
            self.delivery_timeout
        );
        WriteError::new(ErrorKind::Timeout, Outcome::NotApplied, detail).with_stream(&self.stream)
    }

    pub(super) fn try_reserve(&self, bytes: usize) -> Result<Option<Capacity<'_>>, WriteError> {
        let cost = self.cost_of(bytes);
        match self.permits.try_acquire(cost) {
            Ok(is_taken) => Ok(is_taken.then(|| self.taken(cost, None))),
            Err(Closed) => Err(WriteError::closed(&self.stream)),
        }
    }

    /// Takes over capacity that was [detached](Capacity::detach) before.
    pub(super) fn attach(&self, bytes: usize) -> Capacity<'_> {
        self.taken(self.cost_of(bytes), None)
    }

    fn taken(&self, cost: usize, waiting_since: Option<Instant>) -> Capacity<'_> {
        Capacity { shared: self, cost, waiting_since }
    }

    /// The error of a call after the end of the task.
    pub(super) fn ended(&self) -> WriteError {
        WriteError::new(ErrorKind::Closed, Outcome::NotApplied, "the writer's task has ended")
            .with_stream(&self.stream)
    }
}

/// Capacity for bytes that wait for their acknowledgement. Dropping it releases it.
#[must_use = "unused capacity keeps others waiting"]
pub struct Capacity<'h> {
    shared: &'h Shared,
    cost: usize,
    /// When its caller began to wait for it; `None` if there was enough at once.
    waiting_since: Option<Instant>,
}

impl<'h> Capacity<'h> {
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Splits off the capacity for so many bytes, whose write begins now. Returns `None` if there
    /// is less.
    pub fn split(&mut self, bytes: usize) -> Option<Capacity<'h>> {
        let cost = self.shared.cost_of(bytes);
        self.cost = self.cost.checked_sub(cost)?;
        Some(self.shared.taken(cost, None))
    }

    /// Keeps the capacity taken, for [`Handle::attach`](super::Handle::attach) later, or for the
    /// task to release.
    pub fn detach(mut self) {
        self.cost = 0;
    }
}

impl Drop for Capacity<'_> {
    fn drop(&mut self) {
        if self.cost > 0 {
            self.shared.release(self.cost);
        }
    }
}

impl fmt::Debug for Capacity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capacity").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u32 = 4096;

    fn shared() -> Shared {
        Shared::new("shop/orders".parse().unwrap(), CAPACITY, Duration::from_secs(9))
    }

    fn left(shared: &Shared) -> usize {
        shared.permits.free()
    }

    #[test]
    fn a_write_costs_at_least_the_minimum_and_at_most_everything() {
        let shared = shared();
        let costs = [0, 1, 512, 513, 4096, 4097, usize::MAX].map(|bytes| shared.cost_of(bytes));
        assert_eq!(costs, [512, 512, 512, 513, 4096, 4096, 4096]);
    }

    #[test]
    fn a_dropped_capacity_is_free_again_and_a_detached_one_when_its_write_completes() {
        let shared = shared();
        let dropped = shared.try_reserve(1000).unwrap().unwrap();
        let detached = shared.try_reserve(2000).unwrap().unwrap();
        assert_eq!(left(&shared), 1096);
        assert!(shared.try_reserve(1097).unwrap().is_none());
        drop(dropped);
        detached.detach();
        assert_eq!(left(&shared), 2096);
        shared.release(shared.cost_of(2000));
        assert_eq!(left(&shared), 4096);
    }

    #[test]
    fn detached_capacity_is_attached_again_and_released_once() {
        let shared = shared();
        shared.try_reserve(700).unwrap().unwrap().detach();
        let attached = shared.attach(700);
        assert_eq!(left(&shared), 3396);
        drop(attached);
        assert_eq!(left(&shared), 4096);
    }

    #[test]
    fn parts_of_a_capacity_add_up_and_more_than_all_of_it_is_refused() {
        let shared = shared();
        let mut whole = shared.try_reserve(2000).unwrap().unwrap();
        assert!(whole.split(2001).is_none());
        let part = whole.split(1500).unwrap();
        assert!(whole.split(1).is_none(), "500 are left, and the least is 512");
        assert_eq!(left(&shared), 2096);
        drop(whole);
        assert_eq!(left(&shared), 2596);
        part.detach();
        assert_eq!(left(&shared), 2596);
        shared.release(shared.cost_of(1500));
        assert_eq!(left(&shared), 4096);
    }

    #[tokio::test]
    async fn a_dropped_reservation_keeps_nothing_and_closing_fails_the_others() {
        let shared = shared();
        let all = shared.reserve(usize::MAX, Instant::now()).await.unwrap();
        let mut waiting = Box::pin(shared.reserve(1, Instant::now()));
        let mut dropped = Box::pin(shared.reserve(4096, Instant::now()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        drop(all);
        drop(dropped);
        assert_eq!(left(&shared), 4096, "the one that still waits has not taken its part");
        assert!(shared.try_reserve(4000).unwrap().is_none(), "and no other write takes it");
        drop(waiting);
        assert_eq!(left(&shared), 4096);
        shared.close();
        for error in [
            shared.reserve(1, Instant::now()).await.unwrap_err(),
            shared.try_reserve(1).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotApplied));
        }
    }
}
