//! What waits for the thread that writes the journal.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use pravega_sdk_server_core::record::{Record, Sequence};
use tokio::sync::oneshot;

/// The least memory of a portion of a copy, in bytes.
const PORTION: usize = 1 << 20;
/// The most. While one is made, other clients wait.
const LONG_PORTION: usize = 4 << 20;

/// Records that take effect together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) sequence: Sequence,
    pub(crate) records: Vec<Record>,
    /// The records of a copy that follow from it, while one is made.
    pub(crate) followed: Vec<Record>,
}

impl Batch {
    /// The approximate memory of its records, in bytes.
    pub(super) fn memory(&self) -> usize {
        memory(&self.records) + memory(&self.followed)
    }
}

/// A part of a copy of the whole server, with which a new file begins.
#[derive(Debug)]
pub(crate) struct Portion {
    pub(super) records: Vec<Record>,
    pub(super) is_last: bool,
    pub(super) written: oneshot::Sender<()>,
}

/// One piece of work, in the order in which the machine has made them.
#[derive(Debug)]
pub(crate) enum Item {
    Batch(Batch),
    Portion(Portion),
}

/// Batches on their way to the disk, and portions of a copy among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    /// The memory of all batches that were not written, in bytes.
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    /// True if the file is so long that a new one should be begun.
    wants_copy: bool,
    /// The memory of the batches since the last portion.
    since_portion: usize,
    closed: bool,
    /// The thread has ended.
    ended: bool,
}

/// The next work of the thread.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) items: Vec<Item>,
    /// True if no more work follows.
    pub(super) closed: bool,
}

impl JournalQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch.
    pub(crate) fn push(&self, sequence: Sequence, records: Vec<Record>, followed: Vec<Record>) {
        let batch = Batch { sequence, records, followed };
        let memory = batch.memory();
        let mut state = self.state();
        if state.ended {
            return;
        }
        self.shared.bytes.fetch_add(memory as u64, Ordering::Relaxed);
        state.since_portion += memory;
        state.items.push(Item::Batch(batch));
        drop(state);
        self.shared.filled.notify_one();
    }

    /// The memory of the batches that were not written yet, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Returns true, once, if a new file should be begun, with a copy of the server.
    pub(crate) fn takes_copy(&self) -> bool {
        std::mem::take(&mut self.state().wants_copy)
    }

    /// The memory of the next portion of the copy, in bytes. It is more than what was changed since
    /// the last one, unless that was very much, so the copy is finished sooner than the old file
    /// grows by as much.
    pub(crate) fn portion(&self) -> usize {
        (PORTION + self.state().since_portion).min(LONG_PORTION)
    }

    /// Adds a portion of the copy; the receiver fails if it is never written.
    pub(crate) fn push_portion(
        &self,
        records: Vec<Record>,
        is_last: bool,
    ) -> oneshot::Receiver<()> {
        let (written, receiver) = oneshot::channel();
        let mut state = self.state();
        if !state.ended {
            state.since_portion = 0;
            state.items.push(Item::Portion(Portion { records, is_last, written }));
        }
        drop(state);
        self.shared.filled.notify_one();
        receiver
    }

    /// Ends the writer after the work in the queue.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.shared.filled.notify_one();
    }

    /// Asks for a copy, or for none.
    pub(super) fn want_copy(&self, wants_copy: bool) {
        self.state().wants_copy = wants_copy;
    }

    /// Waits for work.
    pub(super) fn next(&self) -> Work {
        let mut state = self.state();
        while state.items.is_empty() && !state.closed {
            state = self.shared.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Work { items: std::mem::take(&mut state.items), closed: state.closed }
    }

    /// Gives back the memory of work that was done.
    pub(super) fn done_with(&self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Batch(batch) => self.drop_batch(batch),
                // The receiver may have given up.
                Item::Portion(portion) => drop(portion.written.send(())),
            }
        }
    }

    fn drop_batch(&self, batch: Batch) {
        let memory = batch.memory() as u64;
        drop(batch);
        self.shared.bytes.fetch_sub(memory, Ordering::Relaxed);
    }

    /// Takes all work as if it were done.
    #[cfg(test)]
    pub(crate) fn drain(&self) {
        let items = std::mem::take(&mut self.state().items);
        self.done_with(items);
    }

    /// Takes no more work, and drops what is left, with work that was not done.
    pub(crate) fn end(&self, not_done: Vec<Item>) {
        let mut state = self.state();
        state.ended = true;
        let left = std::mem::take(&mut state.items);
        drop(state);
        for item in not_done.into_iter().chain(left) {
            if let Item::Batch(batch) = item {
                self.drop_batch(batch);
            }
        }
    }
}

/// The approximate memory of records, in bytes.
pub(super) fn memory(records: &[Record]) -> usize {
    records.iter().map(Record::memory).sum()
}
