//! What waits for the commit thread.

use std::{
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_server_core::{
    log::{Extended, LogRecord, NotTaken, Outcome, batch_len},
    record::Sequence,
};

use crate::locks::lock;

/// Records that take effect together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sequence: Sequence,
    pub(super) records: Vec<LogRecord>,
    /// The most bytes that they take in the log.
    pub(super) len: u64,
}

/// Everything that came since it was taken last.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) batches: Vec<Batch>,
    /// How the creation of the next file ended.
    pub(super) prepared: Option<Outcome>,
    /// How the writing of zeros ended.
    pub(super) extended: Option<Extended>,
    /// There may be space again.
    pub(super) resumes: bool,
    pub(super) closes: bool,
    /// Why nothing more may be written.
    pub(super) ends: Option<String>,
}

impl Arrivals {
    fn is_empty(&self) -> bool {
        let has_reports = self.prepared.is_some() || self.extended.is_some() || self.ends.is_some();
        self.batches.is_empty() && !has_reports && !self.resumes && !self.closes
    }
}

/// Whether batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Intake {
    #[default]
    Open,
    /// Those before found no space.
    Refusing,
    Closed,
}

#[derive(Debug, Default)]
struct State {
    arrivals: Arrivals,
    intake: Intake,
}

/// The inbox of the commit thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    queued: AtomicU64,
    /// The disk has no space for more than what is queued.
    is_short: AtomicBool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Adds a batch.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if it is longer than one write can have, while there is no space, and after the
    /// end of the log.
    pub(crate) fn submit(
        &self,
        sequence: Sequence,
        records: Vec<LogRecord>,
    ) -> Result<(), NotTaken> {
        let len = batch_len(&records)?;
        let mut state = self.state();
        match state.intake {
            Intake::Open => {}
            Intake::Refusing => return Err(NotTaken::NoSpace),
            Intake::Closed => return Err(NotTaken::Ended),
        }
        self.shared.queued.fetch_add(len, Ordering::Relaxed);
        let is_first = state.arrivals.is_empty();
        state.arrivals.batches.push(Batch { sequence, records, len });
        drop(state);
        if is_first {
            self.shared.filled.notify_one();
        }
        Ok(())
    }

    /// The bytes of the batches that are not durable yet.
    pub(crate) fn queued(&self) -> u64 {
        self.shared.queued.load(Ordering::Relaxed)
    }

    /// Returns true if the disk has no space for more than what is queued.
    pub(crate) fn is_short(&self) -> bool {
        self.shared.is_short.load(Ordering::Relaxed)
    }

    pub(super) fn set_short(&self, is_short: bool) {
        self.shared.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Takes batches again after some were refused: they continue after the last durable one.
    pub(crate) fn resume(&self) {
        self.add(|state| {
            if state.intake == Intake::Refusing {
                (state.intake, state.arrivals.resumes) = (Intake::Open, true);
            }
        });
    }

    /// Takes no more batches; those that were taken are written.
    pub(crate) fn close(&self) {
        self.add(|state| (state.intake, state.arrivals.closes) = (Intake::Closed, true));
    }

    pub(super) fn prepared(&self, outcome: Outcome) {
        self.add(|state| state.arrivals.prepared = Some(outcome));
    }

    pub(super) fn extended(&self, outcome: Extended) {
        self.add(|state| state.arrivals.extended = Some(outcome));
    }

    /// Has the commit thread end, as if it could not write any longer.
    pub(super) fn end_for(&self, why: String) {
        self.add(|state| state.arrivals.ends = Some(why));
    }

    fn add(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.filled.notify_one();
    }

    /// Takes everything that came.
    pub(super) fn take(&self) -> Arrivals {
        mem::take(&mut self.state().arrivals)
    }

    /// Waits until something comes, at most for a time; without one, for as long as it takes.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let state = self.state();
        let is_empty = |state: &mut State| state.arrivals.is_empty();
        match timeout {
            Some(timeout) => {
                drop(self.shared.filled.wait_timeout_while(state, timeout, is_empty));
            }
            None => drop(self.shared.filled.wait_while(state, is_empty)),
        }
    }

    /// Gives back the room of batches that are durable.
    pub(super) fn done_with(&self, len: u64) {
        self.shared.queued.fetch_sub(len, Ordering::Relaxed);
    }

    /// Refuses batches from now on, and gives up those that came. They can be taken again after
    /// [`resume`](Self::resume).
    pub(super) fn refuse(&self) {
        self.give_up(Intake::Refusing);
    }

    /// Refuses batches for good, and gives up those that came.
    pub(super) fn end(&self) {
        self.give_up(Intake::Closed);
    }

    fn give_up(&self, intake: Intake) {
        let mut state = self.state();
        if state.intake != Intake::Closed {
            state.intake = intake;
        }
        state.arrivals.batches.clear();
        // The machine has given up those that it had.
        self.shared.queued.store(0, Ordering::Relaxed);
    }
}
