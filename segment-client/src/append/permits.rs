//! Permits that writes wait for, in order, and that no write keeps which its owner does not poll.
//!
//! Released permits are not granted: the writes at the front of the line that they suffice for are
//! called, and each takes its share when it is polled. One that is called and not polled for a
//! while is passive: it keeps its place in the line, and those after it go on without it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// A write that was called takes its permits within this time, or others go on without it. A task
/// that runs needs far less.
const LAPSE: Duration = Duration::from_millis(100);

/// A number of permits.
#[derive(Default)]
pub(super) struct Permits {
    free: AtomicUsize,
    /// Number of writes in the line. Without any, permits are taken without the lock.
    waiting: AtomicUsize,
    is_closed: AtomicBool,
    line: Mutex<Line>,
    /// The task that calls [`Permits::poll_lapse`].
    watcher: AtomicWaker,
}

/// No permits are taken any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// The writes that wait, by their places.
#[derive(Default)]
struct Line {
    next: u64,
    waiters: BTreeMap<u64, Waiter>,
    /// The permits that the writes in the line need, without those that are passive.
    needed: usize,
}

struct Waiter {
    cost: usize,
    waker: Waker,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is called when there are permits for it.
    Waiting,
    /// There are permits for it, since that time.
    Called(Instant),
    /// It was called and did not come.
    Passive,
}

impl Permits {
    pub(super) fn new(free: usize) -> Self {
        Self { free: AtomicUsize::new(free), ..Self::default() }
    }

    /// Takes permits if there are enough, and none that others wait for.
    pub(super) fn try_acquire(&self, cost: usize) -> Result<bool, Closed> {
        if self.is_closed() {
            return Err(Closed);
        }
        if self.waiting.load(SeqCst) == 0 {
            return Ok(self.take(cost, 0));
        }
        let line = self.lock();
        Ok(self.take(cost, line.needed))
    }

    /// Waits for permits.
    pub(super) fn acquire(&self, cost: usize) -> Acquire<'_> {
        Acquire { permits: self, cost, place: None }
    }

    /// Gives permits back, or adds new ones.
    pub(super) fn release(&self, permits: usize) {
        self.free.fetch_add(permits, SeqCst);
        // A write that joins the line looks at the permits after that.
        if self.waiting.load(SeqCst) > 0 {
            self.call();
        }
    }

    /// Refuses permits from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        let wakers: Vec<Waker> = self.lock().waiters.values().map(|it| it.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(SeqCst)
    }

    /// Goes on without the writes that were called and did not come. Returns when to call this
    /// again, if any write is called; `cx` is woken when that changes.
    pub(super) fn poll_lapse(&self, cx: &Context<'_>) -> Option<Instant> {
        self.watcher.register(cx.waker());
        if self.waiting.load(SeqCst) == 0 {
            return None;
        }
        let now = Instant::now();
        let mut line = self.lock();
        let has_lapsed = line.lapse(now);
        if has_lapsed {
            drop(line);
            self.call();
            line = self.lock();
        }
        line.called().map(|(_, since)| since + LAPSE).min()
    }

    /// The permits that are not taken.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.load(SeqCst)
    }

    /// Calls the writes at the front of the line that there are permits for.
    fn call(&self) {
        let called = self.lock().call(self.free.load(SeqCst), Instant::now());
        if called.is_empty() {
            return;
        }
        called.into_iter().for_each(Waker::wake);
        self.watcher.wake();
    }

    /// Takes permits if `kept` are left after that.
    fn take(&self, cost: usize, kept: usize) -> bool {
        let needed = cost.saturating_add(kept);
        let taken = self.free.fetch_update(SeqCst, SeqCst, |free| {
            (free >= needed).then(|| free.saturating_sub(cost))
        });
        taken.is_ok()
    }

    /// The lock is held for a few instructions, none of which panics.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The permits that are needed by the writes before a place; `None` if they are more than there
    /// are. It looks at no more writes than these suffice for.
    fn needed_before(&self, place: u64, free: usize) -> Option<usize> {
        let before = self.waiters.range(..place).filter(|(_, it)| it.state != State::Passive);
        before.map(|(_, it)| it.cost).try_fold(0_usize, |needed, cost| {
            needed.checked_add(cost).filter(|needed| *needed <= free)
        })
    }

    fn set_state(&mut self, place: u64, state: State) {
        let Some(waiter) = self.waiters.get_mut(&place) else { return };
        let (was, is) = (waiter.state == State::Passive, state == State::Passive);
        match (was, is) {
            (true, false) => self.needed = self.needed.saturating_add(waiter.cost),
            (false, true) => self.needed = self.needed.saturating_sub(waiter.cost),
            _ => {}
        }
        waiter.state = state;
    }

    /// Adds a write at the end, or at its place if it has one.
    fn wait(&mut self, place: Option<u64>, cost: usize, waker: &Waker) -> u64 {
        if let Some(place) = place
            && let Some(waiter) = self.waiters.get_mut(&place)
        {
            waiter.waker.clone_from(waker);
            self.set_state(place, State::Waiting);
            return place;
        }
        let place = self.next;
        self.next += 1;
        self.needed = self.needed.saturating_add(cost);
        let (waker, state) = (waker.clone(), State::Waiting);
        self.waiters.insert(place, Waiter { cost, waker, state });
        place
    }

    fn remove(&mut self, place: u64) {
        self.set_state(place, State::Passive);
        self.waiters.remove(&place);
    }

    /// Marks the writes at the front as called, as far as the permits suffice.
    fn call(&mut self, free: usize, now: Instant) -> Vec<Waker> {
        let mut left = free;
        let mut called = Vec::new();
        for waiter in self.waiters.values_mut().filter(|it| it.state != State::Passive) {
            let Some(rest) = left.checked_sub(waiter.cost) else { break };
            left = rest;
            if waiter.state == State::Waiting {
                waiter.state = State::Called(now);
                called.push(waiter.waker.clone());
            }
        }
        called
    }

    /// The writes at the front of the line that were called and have not come yet.
    fn called(&self) -> impl Iterator<Item = (u64, Instant)> + '_ {
        let front = self.waiters.iter().take_while(|(_, it)| it.state != State::Waiting);
        front.filter_map(|(place, waiter)| match waiter.state {
            State::Called(since) => Some((*place, since)),
            State::Waiting | State::Passive => None,
        })
    }

    /// Makes the writes passive that were called too long ago. Returns true if there are any.
    fn lapse(&mut self, now: Instant) -> bool {
        let late = self.called().filter(|(_, since)| now >= *since + LAPSE);
        let late: Vec<u64> = late.map(|(place, _)| place).collect();
        late.iter().for_each(|place| self.set_state(*place, State::Passive));
        !late.is_empty()
    }
}

/// A write that waits for permits. Dropping it leaves the line.
pub(super) struct Acquire<'p> {
    permits: &'p Permits,
    cost: usize,
    /// Its place in the line.
    place: Option<u64>,
}

impl Future for Acquire<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (permits, cost) = (this.permits, this.cost);
        if permits.is_closed() {
            return Poll::Ready(Err(Closed));
        }
        let has_taken = {
            let mut line = permits.lock();
            if this.place.is_none() {
                permits.waiting.fetch_add(1, SeqCst);
            }
            let place = line.wait(this.place, cost, cx.waker());
            this.place = Some(place);
            let needed = line.needed_before(place, permits.free.load(SeqCst));
            needed.is_some_and(|needed| permits.take(cost, needed))
        };
        if has_taken {
            this.leave();
            return Poll::Ready(Ok(()));
        }
        // A close may have missed this write.
        if permits.is_closed() { Poll::Ready(Err(Closed)) } else { Poll::Pending }
    }
}

impl Acquire<'_> {
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.permits.lock().remove(place);
        if self.permits.waiting.fetch_sub(1, SeqCst) > 1 {
            self.permits.call();
            // The write that is at the front now may have been called before.
            self.permits.watcher.wake();
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("free", &self.free).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use futures_util::task::noop_waker;

    use super::*;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    fn poll(acquire: &mut Acquire<'_>) -> Poll<Result<(), Closed>> {
        Pin::new(acquire).poll(&mut Context::from_waker(&noop_waker()))
    }

    const TAKEN: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));

    #[tokio::test(start_paused = true)]
    async fn permits_are_taken_in_the_order_of_the_line() {
        let permits = Permits::new(3);
        let (mut large, mut small) = (permits.acquire(5), permits.acquire(1));
        assert!(poll(&mut large).is_pending());
        assert!(poll(&mut small).is_pending(), "the large one is before it");
        assert_eq!(permits.try_acquire(1), Ok(false));
        permits.release(1);
        assert!(poll(&mut small).is_pending());
        permits.release(2);
        assert_eq!(poll(&mut small), TAKEN, "six are enough for both");
        assert_eq!(poll(&mut large), TAKEN);
        assert_eq!(permits.free(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_called_write_after_one_that_returned_to_the_line_lapses_once_it_is_the_first() {
        let permits = Permits::new(0);
        let mut returned = permits.acquire(2);
        let (mut idle, mut busy) = (permits.acquire(1), permits.acquire(1));
        assert!(poll(&mut returned).is_pending() && poll(&mut idle).is_pending());
        assert!(poll(&mut busy).is_pending());
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        permits.release(2);
        let lapse = permits.poll_lapse(&cx).expect("a write is called");
        tokio::time::sleep_until(lapse).await;
        assert!(permits.poll_lapse(&cx).is_some(), "the second and the third are called");
        assert!(permits.take(1, 0));
        assert!(poll(&mut returned).is_pending(), "one permit is left");
        assert_eq!(permits.poll_lapse(&cx), None, "the first write waits again");
        woken.0.store(false, SeqCst);
        drop(returned);
        assert!(woken.0.load(SeqCst), "the lapse of the second has to be waited for");
        let lapse = permits.poll_lapse(&cx).expect("the second is still called");
        tokio::time::sleep_until(lapse).await;
        permits.poll_lapse(&cx);
        assert_eq!(poll(&mut busy), TAKEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_called_and_does_not_come_holds_up_no_other() {
        let permits = Permits::new(0);
        let (mut idle, mut busy) = (permits.acquire(1), permits.acquire(1));
        assert!(poll(&mut idle).is_pending() && poll(&mut busy).is_pending());
        permits.release(1);
        assert!(poll(&mut busy).is_pending(), "the first one is called");
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let lapse = permits.poll_lapse(&cx).unwrap();
        assert_eq!(lapse - Instant::now(), LAPSE);
        tokio::time::sleep_until(lapse).await;
        assert!(permits.poll_lapse(&cx).is_some(), "the next one is called");
        assert_eq!(poll(&mut busy), TAKEN);
        assert!(permits.poll_lapse(&cx).is_none());
        // It has kept its place.
        let mut late = permits.acquire(1);
        assert!(poll(&mut late).is_pending());
        permits.release(1);
        assert!(poll(&mut idle).is_ready());
        assert!(poll(&mut late).is_pending());
        permits.release(1);
        assert_eq!(poll(&mut late), TAKEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passive_write_keeps_no_permits_from_later_ones() {
        let permits = Permits::new(0);
        let mut idle = permits.acquire(2);
        assert!(poll(&mut idle).is_pending());
        permits.release(2);
        assert_eq!(permits.try_acquire(1), Ok(false), "they are for the one in the line");
        tokio::time::sleep(LAPSE).await;
        permits.poll_lapse(&Context::from_waker(&noop_waker()));
        assert_eq!(permits.try_acquire(1), Ok(true));
        assert!(poll(&mut idle).is_pending());
        permits.release(1);
        assert_eq!(poll(&mut idle), TAKEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_write_leaves_the_line_and_a_close_ends_all() {
        let permits = Permits::new(1);
        let (mut dropped, mut next) = (permits.acquire(2), permits.acquire(1));
        assert!(poll(&mut dropped).is_pending() && poll(&mut next).is_pending());
        drop(dropped);
        assert_eq!(poll(&mut next), TAKEN);
        drop(next);
        let mut last = permits.acquire(1);
        assert!(poll(&mut last).is_pending());
        permits.close();
        assert_eq!(poll(&mut last), Poll::Ready(Err(Closed)));
        assert_eq!(permits.try_acquire(1), Err(Closed));
        assert!(permits.is_closed());
    }

    #[test]
    fn many_threads_take_and_release_permits_and_none_is_lost() {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(4).enable_all().build().unwrap();
        let permits = Arc::new(Permits::new(10));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50)
                .map(|number| {
                    let permits = Arc::clone(&permits);
                    tokio::spawn(async move {
                        for round in 0..200 {
                            let cost = 1 + (number + round) % 10;
                            permits.acquire(cost).await.unwrap();
                            tokio::task::yield_now().await;
                            permits.release(cost);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!((permits.free(), permits.waiting.load(SeqCst)), (10, 0));
    }
}
