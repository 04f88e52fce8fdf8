//! What waits until a batch is durable.
//!
//! A commit makes a few batches durable while hundreds of clients wait for later ones, so waits are
//! kept in the order of their batches, and only those that are over are woken. A task of the
//! runtime wakes them. A task that another thread wakes joins a queue of the whole runtime, from
//! which a thread that always has tasks of its own takes only one now and then; one that a task
//! wakes is the next on its thread.

use std::{
    collections::BTreeMap,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use pravega_sdk_server_core::record::Sequence;
use tokio::sync::watch;

use crate::{durable::Durable, locks::lock};

/// The waits of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct DurableWaits(Arc<Mutex<Waits>>);

#[derive(Debug, Default)]
struct Waits {
    /// By the batch that is waited for.
    wakers: BTreeMap<(Sequence, u64), Waker>,
    next: u64,
}

impl DurableWaits {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        lock(&self.0)
    }

    /// Waits until there is an outcome for a batch. It is asked for at first, and once more after
    /// that batch became durable, or any is lost.
    pub(crate) fn wait<T, F: FnMut() -> Option<T> + Unpin>(
        &self,
        after: Sequence,
        outcome: F,
    ) -> Wait<'_, F> {
        Wait { waits: self, after, number: None, outcome }
    }

    /// Wakes the waits that are over, until the server and its log are dropped.
    pub(crate) async fn wake(self, mut durable: watch::Receiver<Durable>) {
        while durable.changed().await.is_ok() {
            let up_to = match &*durable.borrow_and_update() {
                Durable::To(to) => Some(*to),
                // The outcome of every wait is known.
                Durable::Refused { .. } | Durable::Failed { .. } | Durable::Ended { .. } => None,
            };
            self.wake_up_to(up_to);
        }
    }

    /// Wakes the waits for batches up to one, or all.
    fn wake_up_to(&self, up_to: Option<Sequence>) {
        let over = {
            let mut waits = self.waits();
            let later = up_to.map(|Sequence(to)| Sequence(to.saturating_add(1)));
            let later = later.map(|later| waits.wakers.split_off(&(later, 0)));
            mem::replace(&mut waits.wakers, later.unwrap_or_default())
        };
        over.into_values().for_each(Waker::wake);
    }
}

/// A wait, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a, F> {
    waits: &'a DurableWaits,
    after: Sequence,
    /// Its number among the waits.
    number: Option<u64>,
    outcome: F,
}

impl<F> Wait<'_, F> {
    fn register(&mut self, waker: &Waker) {
        let mut waits = self.waits.waits();
        let number = *self.number.get_or_insert_with(|| {
            waits.next += 1;
            waits.next
        });
        waits.wakers.insert((self.after, number), waker.clone());
    }
}

impl<T, F: FnMut() -> Option<T> + Unpin> Future for Wait<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(outcome) = (self.outcome)() {
            return Poll::Ready(outcome);
        }
        self.register(cx.waker());
        // What became durable before that has not woken it.
        (self.outcome)().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.waits.waits().wakers.remove(&(self.after, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, AtomicUsize, Ordering},
        task::Wake,
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn reached(
        durable: &watch::Sender<Durable>,
        after: u64,
    ) -> impl FnMut() -> Option<bool> + use<> {
        let durable = durable.clone();
        move || match &*durable.borrow() {
            Durable::To(to) => (to.0 >= after).then_some(true),
            _ => Some(false),
        }
    }

    #[tokio::test]
    async fn a_commit_wakes_what_waits_for_its_batches_and_nothing_else() {
        let durable = watch::Sender::new(Durable::To(Sequence(0)));
        let waits = DurableWaits::default();
        let task = tokio::spawn(waits.clone().wake(durable.subscribe()));
        tokio::task::yield_now().await;
        let counts: Vec<_> = (0..10).map(|_| Arc::new(Count::default())).collect();
        let mut waiting: Vec<_> =
            (1..=10).map(|after| waits.wait(Sequence(after), reached(&durable, after))).collect();
        let poll = |wait: &mut Wait<'_, _>, count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            Pin::new(wait).poll(&mut Context::from_waker(&waker))
        };
        for (wait, count) in waiting.iter_mut().zip(&counts) {
            assert_eq!(poll(wait, count), Poll::Pending);
        }
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum::<usize>();
        for to in 1..=4 {
            durable.send_replace(Durable::To(Sequence(to)));
            tokio::task::yield_now().await;
            assert_eq!(woken() as u64, to);
        }
        assert_eq!(poll(&mut waiting[3], &counts[3]), Poll::Ready(true));
        assert_eq!(poll(&mut waiting[4], &counts[4]), Poll::Pending);
        // One that leaves is forgotten.
        drop(waiting.pop());
        assert_eq!(waits.waits().wakers.len(), 5);
        let ended = Durable::Ended { to: Sequence(4) };
        durable.send_replace(ended);
        tokio::task::yield_now().await;
        assert_eq!(woken(), 9);
        assert_eq!(poll(&mut waiting[8], &counts[8]), Poll::Ready(false));
        drop((waiting, durable));
        timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wait_is_missed_while_batches_become_durable() {
        const BATCHES: u64 = 20_000;
        let durable = watch::Sender::new(Durable::To(Sequence(0)));
        let waits = DurableWaits::default();
        let next = Arc::new(AtomicU64::new(1));
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (waits, durable, next) = (waits.clone(), durable.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let after = next.fetch_add(1, Ordering::Relaxed);
                        if after > BATCHES {
                            return;
                        }
                        assert!(waits.wait(Sequence(after), reached(&durable, after)).await);
                    }
                })
            })
            .collect();
        let waking = tokio::spawn(waits.clone().wake(durable.subscribe()));
        let commits = std::thread::spawn(move || {
            (1..=BATCHES).for_each(|to| drop(durable.send_replace(Durable::To(Sequence(to)))));
        });
        for wait in waiting {
            timeout(Duration::from_secs(30), wait).await.unwrap().unwrap();
        }
        commits.join().unwrap();
        timeout(Duration::from_secs(5), waking).await.unwrap().unwrap();
        assert!(waits.waits().wakers.is_empty());
    }
}
