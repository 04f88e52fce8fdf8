//! Orders of events in the line, and what holds after each.

use std::{sync::Arc, task::Wake};

use futures_util::task::noop_waker;

use super::{super::line::LAPSE, *};

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
async fn a_release_of_the_watcher_wakes_the_write_and_not_the_watcher() {
    let permits = Permits::new(0);
    let [write, watcher] = [(); 2].map(|()| Arc::new(Woken(AtomicBool::new(false))));
    let [write_waker, watcher_waker] = [&write, &watcher].map(|it| Waker::from(Arc::clone(it)));
    let watching = Context::from_waker(&watcher_waker);
    let mut waiting = permits.acquire(1);
    let waits = Pin::new(&mut waiting).poll(&mut Context::from_waker(&write_waker));
    assert!(waits.is_pending());
    assert_eq!(permits.poll_lapse(&watching), None);
    permits.release_watched(1);
    assert!(write.0.load(SeqCst));
    assert!(!watcher.0.load(SeqCst), "it looks at the line by itself");
    assert_eq!(permits.poll_lapse(&watching), Some(Instant::now() + LAPSE));
    assert_eq!(poll(&mut waiting), TAKEN);
    assert!(!watcher.0.load(SeqCst), "a write that comes has no lapse");
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

/// A task that is owned by its waker, as with a simple executor, and that waits with two futures.
struct Owning(#[allow(dead_code)] Acquire<'static>);

impl Wake for Owning {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_owns_another_write_of_the_line_may_be_dropped_at_each_step() {
    for step in ["polled by another task", "dropped", "taken"] {
        let permits: &'static Permits = Box::leak(Box::new(Permits::new(0)));
        let mut owned = permits.acquire(1);
        assert!(poll(&mut owned).is_pending());
        let mut moved = permits.acquire(1);
        {
            let waker = Waker::from(Arc::new(Owning(owned)));
            assert!(Pin::new(&mut moved).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(permits.waiting.load(SeqCst), 2);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            match step {
                "dropped" => drop(moved),
                "taken" => {
                    permits.release(2);
                    assert_eq!(poll(&mut moved), TAKEN);
                }
                _ => assert!(poll(&mut moved).is_pending()),
            }
            done.send(permits.waiting.load(SeqCst)).ok();
        });
        let left = is_done.recv_timeout(std::time::Duration::from_secs(60));
        let expected = usize::from(step == "polled by another task");
        assert_eq!(left, Ok(expected), "{step}");
    }
}

/// A write of a random run.
struct Write<'p> {
    acquire: Acquire<'p>,
    woken: Arc<Woken>,
}

impl<'p> Write<'p> {
    fn new(permits: &'p Permits, cost: usize) -> Self {
        Self { acquire: permits.acquire(cost), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls it. Returns true if it has its permits.
    fn poll(&mut self) -> bool {
        self.woken.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        match Pin::new(&mut self.acquire).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(taken) => taken.is_ok(),
            Poll::Pending => false,
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst)
    }
}

/// A random run: some writes that wait, and some that have their permits.
struct Run<'p> {
    permits: &'p Permits,
    total: usize,
    waiting: Vec<Write<'p>>,
    held: Vec<usize>,
    watcher: Arc<Woken>,
    lapse: Option<Instant>,
}

impl<'p> Run<'p> {
    fn new(permits: &'p Permits, total: usize) -> Self {
        let watcher = Arc::new(Woken(AtomicBool::new(true)));
        Self { permits, total, waiting: Vec::new(), held: Vec::new(), watcher, lapse: None }
    }

    fn poll(&mut self, at: usize) {
        if self.waiting[at].poll() {
            let cost = self.waiting.remove(at).acquire.cost;
            self.held.push(cost);
        }
    }

    fn watch(&mut self) {
        self.watcher.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.watcher));
        self.lapse = self.permits.poll_lapse(&Context::from_waker(&waker));
    }

    async fn step(&mut self, random: &mut fastrand::Rng) {
        let cost = random.usize(1..=self.total);
        let (waiting, held) = (self.waiting.len(), self.held.len());
        match random.u32(0..12) {
            0..=2 => {
                self.waiting.push(Write::new(self.permits, cost));
                self.poll(waiting);
            }
            3..=5 if waiting > 0 => self.poll(random.usize(0..waiting)),
            6 if waiting > 0 => drop(self.waiting.remove(random.usize(0..waiting))),
            7..=9 if held > 0 => {
                self.permits.release(self.held.swap_remove(random.usize(0..held)));
            }
            10 => {
                tokio::time::advance(LAPSE.mul_f64(random.f64() * 1.5)).await;
                self.watch();
            }
            11 if self.permits.try_acquire(cost) == Ok(true) => self.held.push(cost),
            _ => {}
        }
    }

    /// What holds after each step.
    fn check(&self) {
        let free = self.permits.free();
        assert_eq!(free + self.held.iter().sum::<usize>(), self.total, "permits are lost or made");
        assert_eq!(self.permits.waiting.load(SeqCst), self.waiting.len());
        let mut line = self.permits.lock();
        let is_called = |line: &Line<Waker>, write: &Write<'_>| {
            write.acquire.place.is_some_and(|place| line.called_beside(place).is_some())
        };
        let called: Vec<_> = self.waiting.iter().filter(|it| is_called(&line, it)).collect();
        assert!(called.iter().all(|write| write.is_woken()), "called, and not woken");
        assert!(called.iter().map(|it| it.acquire.cost).sum::<usize>() <= free);
        let settled = line.settle(free, Instant::now());
        assert!(settled.wakers.is_empty(), "there are permits for a write that is not called");
        let is_watched = self.watcher.0.load(SeqCst)
            || line.next_lapse().is_none_or(|next| self.lapse.is_some_and(|lapse| lapse <= next));
        assert!(is_watched, "no lapse is watched for");
    }

    /// All writes get their permits, though each is polled only when it was woken.
    async fn finish(&mut self) {
        for _ in 0..self.waiting.len() * 2 + 2 {
            self.held.drain(..).for_each(|cost| self.permits.release(cost));
            for at in (0..self.waiting.len()).rev() {
                if self.waiting[at].is_woken() {
                    self.poll(at);
                }
            }
            tokio::time::advance(LAPSE).await;
            self.watch();
            self.check();
        }
        assert_eq!(self.waiting.len(), 0, "a write was forgotten");
    }
}

#[tokio::test(start_paused = true)]
async fn in_every_order_of_events_no_permit_and_no_wake_up_is_lost() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = random.usize(1..20);
        let permits = Permits::new(total);
        let mut run = Run::new(&permits, total);
        for _ in 0..200 {
            run.step(&mut random).await;
            run.check();
        }
        run.finish().await;
    }
}
