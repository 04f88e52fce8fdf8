//! The machine behind a lock that no thread keeps from the others.
//!
//! The lock of the standard library prefers the thread that runs: one that works in slices, and
//! locks again as soon as it has unlocked, keeps it from a thread that waits and has yet to wake.
//! So a thread that had this lock for long leaves it to one that waits.

use std::{
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use pravega_sdk_server_core::machine::Machine;
use tokio::time::Instant;

use crate::locks::lock;
use crate::turns;

/// The lock was held for long after this time.
const LONG: Duration = Duration::from_micros(100);
/// How long a thread that waits may take to wake.
const WAKING: Duration = Duration::from_millis(1);

/// The machine behind a lock.
#[derive(Debug)]
pub(crate) struct SharedMachine {
    machine: Mutex<Machine>,
    /// The threads that wait for the lock.
    waiting: AtomicUsize,
    /// How often a thread that waited has got it.
    granted: AtomicU64,
    /// How long a thread that waits may take to wake.
    waking: Duration,
}

impl SharedMachine {
    pub(crate) fn new(machine: Machine) -> Self {
        let (waiting, granted) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { machine: Mutex::new(machine), waiting, granted, waking: WAKING }
    }

    /// Does work on the machine. What the thread waits for it is not on the account of its client.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.lock();
        let since = Instant::now();
        let done = work(&mut machine);
        let held = since.elapsed();
        drop(machine);
        if held >= LONG && self.waiting.load(Ordering::Relaxed) > 0 {
            self.leave_to_others();
        }
        done
    }

    /// No change under this lock is half done after a panic, so a poisoned lock is used on.
    fn lock(&self) -> MutexGuard<'_, Machine> {
        match self.machine.try_lock() {
            Ok(machine) => return machine,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        let asked = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let machine = lock(&self.machine);
        // In this order: a thread that sees none wait knows that the lock was granted.
        self.granted.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Release);
        turns::waited(asked.elapsed());
        machine
    }

    /// Waits until a thread that waits has got the lock, or seems not to come.
    fn leave_to_others(&self) {
        let (granted, since) = (self.granted.load(Ordering::Relaxed), std::time::Instant::now());
        while self.granted.load(Ordering::Relaxed) == granted
            && self.waiting.load(Ordering::Acquire) > 0
            && since.elapsed() < self.waking
        {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use pravega_sdk_server_core::record::Durability;

    use super::*;
    use crate::builder::ServerBuilder;

    struct Ending<'a>(&'a AtomicBool);

    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_thread_that_works_in_long_slices_leaves_the_lock_to_one_that_waits() {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        let shared = SharedMachine { waking: Duration::MAX, ..SharedMachine::new(machine) };
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    shared.with(|_| {});
                }
            });
            // Also after a failure, so that the other thread ends.
            let _ending = Ending(&ended);
            for _ in 0..100 {
                let before = shared.with(|_| {
                    let since = std::time::Instant::now();
                    while since.elapsed() < LONG || shared.waiting.load(Ordering::Relaxed) == 0 {}
                    shared.granted.load(Ordering::Relaxed)
                });
                assert!(shared.granted.load(Ordering::Relaxed) > before);
            }
        });
    }
}
