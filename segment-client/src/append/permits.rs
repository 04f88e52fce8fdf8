//! Permits that writes wait for, in order, and that no write keeps which its owner does not poll.
//!
//! Released permits are not granted: the writes at the front of the [line](super::line) that they
//! suffice for are called, and each takes its share when it is polled. One that is called and not
//! polled for a while is passive: it keeps its place in the line, and those after it go on without
//! it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::line::{Called, Line, Place};

/// A number of permits.
#[derive(Default)]
pub(super) struct Permits {
    free: AtomicUsize,
    /// Number of writes in the line. Without any, permits are taken without the lock.
    waiting: AtomicUsize,
    is_closed: AtomicBool,
    line: Mutex<Line<Waker>>,
    /// The task that calls [`Permits::poll_lapse`].
    watcher: AtomicWaker,
}

/// No permits are taken any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

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
        Ok(usize::try_from(line.needed()).is_ok_and(|needed| self.take(cost, needed)))
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
            self.wake(self.call());
        }
    }

    /// Gives permits back as the watcher does, which calls [`Self::poll_lapse`] after that: the
    /// writes that are called are woken, and it is not.
    pub(super) fn release_watched(&self, permits: usize) {
        self.free.fetch_add(permits, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            wake_all(self.call().wakers);
        }
    }

    /// Refuses permits from now on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        let wakers = self.lock().wakers();
        wake_all(wakers);
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
        let (called, next) = {
            let mut line = self.lock();
            let now = Instant::now();
            let called = line.lapse(now).then(|| self.settle(&mut line, now));
            (called, line.next_lapse())
        };
        // This returns when the next one lapses, so that the watcher need not be woken.
        called.into_iter().for_each(|called| wake_all(called.wakers));
        next
    }

    /// The permits that are not taken.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.load(SeqCst)
    }

    /// Calls the writes at the front of the line that there are permits for.
    fn call(&self) -> Called<Waker> {
        let mut line = self.lock();
        self.settle(&mut line, Instant::now())
    }

    fn settle(&self, line: &mut Line<Waker>, now: Instant) -> Called<Waker> {
        line.settle(self.free.load(SeqCst), now)
    }

    /// Wakes writes, and the watcher if there is a new lapse to watch for.
    fn wake(&self, called: Called<Waker>) {
        wake_all(called.wakers);
        if called.is_new {
            self.watcher.wake();
        }
    }

    /// Takes the permits of a write in the line, if it is called now. Returns those to wake.
    fn take_in_line(
        &self,
        line: &mut Line<Waker>,
        place: Place,
        cost: usize,
    ) -> (bool, Called<Waker>) {
        let now = Instant::now();
        let mut called = self.settle(line, now);
        let has_taken = loop {
            let Some(kept) = line.called_beside(place) else { break false };
            if self.take(cost, kept) {
                break true;
            }
            // A write that has seen an empty line took some.
            called = called.and(self.settle(line, now));
        };
        called.wakers.retain(|(other, _)| *other != place);
        (has_taken, called)
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
    fn lock(&self) -> MutexGuard<'_, Line<Waker>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that waits for permits. Dropping it leaves the line.
pub(super) struct Acquire<'p> {
    permits: &'p Permits,
    cost: usize,
    /// Its place in the line.
    place: Option<Place>,
}

impl Future for Acquire<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (permits, cost) = (this.permits, this.cost);
        if permits.is_closed() {
            return Poll::Ready(Err(Closed));
        }
        let waker = cx.waker().clone();
        let (has_taken, called, known) = {
            let mut line = permits.lock();
            let (place, known) = match this.place {
                Some(place) => (place, line.come(place, waker)),
                None => {
                    permits.waiting.fetch_add(1, SeqCst);
                    (line.join(cost, waker), None)
                }
            };
            this.place = Some(place);
            let (has_taken, called) = permits.take_in_line(&mut line, place, cost);
            let left = has_taken.then(|| this.leave(&mut line)).flatten();
            (has_taken, called, [known, left])
        };
        // Without the lock, as a waker may own another write of the line.
        drop(known);
        permits.wake(called);
        if has_taken {
            return Poll::Ready(Ok(()));
        }
        // A close may have missed this write.
        if permits.is_closed() { Poll::Ready(Err(Closed)) } else { Poll::Pending }
    }
}

impl Acquire<'_> {
    /// Leaves the line. Returns the waker, which must be dropped without the lock.
    fn leave(&mut self, line: &mut Line<Waker>) -> Option<Waker> {
        let waker = line.leave(self.place.take()?);
        self.permits.waiting.fetch_sub(1, SeqCst);
        waker
    }
}

/// Wakes writes. The lock is not held, as a waker may run any code.
fn wake_all(wakers: Vec<(Place, Waker)>) {
    wakers.into_iter().for_each(|(_, waker)| waker.wake());
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if self.place.is_none() {
            return;
        }
        let permits = self.permits;
        let (waker, called) = {
            let mut line = permits.lock();
            let waker = self.leave(&mut line);
            (waker, permits.settle(&mut line, Instant::now()))
        };
        drop(waker);
        permits.wake(called);
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("free", &self.free).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
