//! The deadlines of writes that wait for capacity.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use super::capacity::Shared;
use crate::due::poll_until;

/// Writes that wait for capacity, each with its deadline. The task of the writer watches the clock,
/// as the callers may be outside any runtime.
pub(super) struct Expiries {
    /// In the order of the deadlines, as all have the same timeout.
    waiting: VecDeque<(Instant, oneshot::Sender<()>)>,
    /// Writes that no longer wait are removed when there are so many.
    limit: usize,
    timer: Pin<Box<Sleep>>,
    /// The next write that must have taken its capacity by then, or others go on without it.
    lapse: Pin<Box<Sleep>>,
}

/// The fewest writes among which those that no longer wait are looked for.
const MIN_LIMIT: usize = 64;

impl Expiries {
    pub(super) fn new() -> Self {
        let [timer, lapse] = [(); 2].map(|()| Box::pin(sleep_until(Instant::now())));
        Self { waiting: VecDeque::new(), limit: MIN_LIMIT, timer, lapse }
    }

    /// Adds a write, which is notified at its deadline unless it has dropped the receiver.
    pub(super) fn push(&mut self, until: Instant, expire: oneshot::Sender<()>) {
        if self.waiting.len() >= self.limit {
            self.waiting.retain(|(_, expire)| !expire.is_closed());
            self.limit = MIN_LIMIT.max(2 * self.waiting.len());
        }
        self.waiting.push_back((until, expire));
    }

    /// Forgets all writes: their receivers end without a notice.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Notifies the writes whose deadline has passed, and wakes the task for the next one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some((until, expire)) = self.waiting.front() {
            // Capacity is granted in order, so those at the front have theirs first.
            if !expire.is_closed() {
                match poll_until(&mut self.timer, *until, cx) {
                    Poll::Pending => return,
                    Poll::Ready(()) => {}
                }
            }
            if let Some((_, expire)) = self.waiting.pop_front() {
                expire.send(()).ok();
            }
        }
    }

    /// Watches that the writes take the capacity that there is for them.
    pub(super) fn poll_lapses(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        while let Some(lapse) = shared.poll_lapse(cx) {
            // Each release of capacity moves the time on; a timer that is early costs less than a
            // new one for each.
            if self.lapse.deadline() > lapse || self.lapse.is_elapsed() {
                self.lapse.as_mut().reset(lapse);
            }
            if self.lapse.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_write_is_notified_at_its_own_deadline() {
        let mut expiries = Expiries::new();
        let started = Instant::now();
        let mut waiting: Vec<_> = (1..4)
            .map(|second| {
                let (expire, expired) = oneshot::channel();
                expiries.push(started + Duration::from_secs(second), expire);
                expired
            })
            .collect();
        drop(waiting.remove(1));
        for (second, expired) in [1, 3].into_iter().zip(waiting) {
            let mut expired = Box::pin(expired);
            poll_fn(|cx| {
                expiries.poll(cx);
                expired.as_mut().poll(cx)
            })
            .await
            .unwrap();
            assert_eq!(started.elapsed(), Duration::from_secs(second));
        }
        assert!(expiries.waiting.is_empty());
    }

    #[tokio::test]
    async fn writes_that_are_forgotten_end_without_a_notice() {
        let mut expiries = Expiries::new();
        let (expire, expired) = oneshot::channel();
        expiries.push(Instant::now() + Duration::from_secs(1), expire);
        expiries.clear();
        assert!(expired.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_no_longer_wait_take_no_memory() {
        let mut expiries = Expiries::new();
        let until = Instant::now() + Duration::from_secs(1);
        let (first, _kept) = oneshot::channel();
        expiries.push(until, first);
        for _ in 0..10_000 {
            expiries.push(until, oneshot::channel().0);
        }
        assert!(expiries.waiting.len() <= 2 * MIN_LIMIT, "{}", expiries.waiting.len());
    }
}
