//! The machine behind a lock that no thread keeps from the others.
//!
//! The lock of the standard library prefers the thread that runs: one that works in slices, and
//! locks again as soon as it has unlocked, keeps it from a thread that waits and has yet to wake.
//! So a thread that had this lock for long leaves it to one that waits.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// The threads that leave the lock to one that waits.
    leaving: AtomicUsize,
    /// How often a thread that waited has got it while another left it.
    granted: Mutex<u64>,
    is_granted: Condvar,
    /// How long a thread that waits may take to wake.
    waking: Duration,
}

impl SharedMachine {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine: Mutex::new(machine),
            waiting: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            granted: Mutex::new(0),
            is_granted: Condvar::new(),
            waking: WAKING,
        }
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
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let machine = lock(&self.machine);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.leaving.load(Ordering::SeqCst) > 0 {
            *lock(&self.granted) += 1;
            self.is_granted.notify_all();
        }
        turns::waited(asked.elapsed());
        machine
    }

    /// Waits until a thread that waits has got the lock, or seems not to come.
    ///
    /// It sleeps meanwhile: a thread that yields in a loop keeps a processor busy that the other
    /// may need, and has used its share when it goes on. The client whose work the thread does has
    /// used nothing by that.
    fn leave_to_others(&self) {
        let left = Instant::now();
        let granted = lock(&self.granted);
        let before = *granted;
        // In this order, and the other thread in the reverse: either it is seen to have got the
        // lock, or it sees that this one waits.
        self.leaving.fetch_add(1, Ordering::SeqCst);
        let waits =
            |granted: &mut u64| *granted == before && self.waiting.load(Ordering::SeqCst) > 0;
        let waited = self.is_granted.wait_timeout_while(granted, self.waking, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.leaving.fetch_sub(1, Ordering::SeqCst);
        turns::waited(left.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, AtomicU64},
        thread,
    };

    use pravega_sdk_server_core::record::Durability;

    use super::*;
    use crate::builder::ServerBuilder;

    struct Ending<'a>(&'a AtomicBool);

    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn shared_machine(waking: Duration) -> SharedMachine {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        SharedMachine { waking, ..SharedMachine::new(machine) }
    }

    /// Works until a thread waits, and for long.
    fn work_long(shared: &SharedMachine) {
        let since = std::time::Instant::now();
        while since.elapsed() < LONG || shared.waiting.load(Ordering::Relaxed) == 0 {}
    }

    #[test]
    fn a_thread_that_works_in_long_slices_leaves_the_lock_to_one_that_waits() {
        let shared = shared_machine(Duration::MAX);
        let (ended, granted) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    shared.with(|_| granted.fetch_add(1, Ordering::Relaxed));
                }
            });
            // Also after a failure, so that the other thread ends.
            let _ending = Ending(&ended);
            for _ in 0..100 {
                let before = shared.with(|_| {
                    work_long(&shared);
                    granted.load(Ordering::Relaxed)
                });
                // That of the other thread was before this, or this waits for it.
                let after = shared.with(|_| granted.load(Ordering::Relaxed));
                assert!(after > before);
            }
        });
    }

    #[test]
    fn threads_that_all_work_in_long_slices_leave_the_lock_to_each_other() {
        let shared = shared_machine(Duration::MAX);
        let (ended, done) = (AtomicU64::new(0), [const { AtomicU64::new(0) }; 3]);
        thread::scope(|scope| {
            for mine in &done {
                scope.spawn(|| {
                    while mine.fetch_add(1, Ordering::Relaxed) < 100 {
                        shared.with(|_| {
                            let since = std::time::Instant::now();
                            while since.elapsed() < LONG {}
                        });
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(ended.into_inner(), 3);
    }
    #[test]
    fn a_thread_leaves_the_lock_for_a_while_at_most_and_that_is_not_on_an_account() {
        let waking = Duration::from_millis(50);
        let shared = shared_machine(waking);
        // One that does not wake.
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        let (since, before) = (std::time::Instant::now(), turns::time_waited());
        shared.with(|_| work_long(&shared));
        assert!(since.elapsed() >= waking);
        assert!(turns::time_waited() - before >= waking);
        assert_eq!(shared.leaving.load(Ordering::SeqCst), 0);
    }
}
