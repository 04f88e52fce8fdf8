//! What all drivers of a server share: the machine behind a lock, the connections that wait for
//! replies, and how much of the journal is durable.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use pravega_sdk_server_core::{
    ids::{ConnectionId, Moment},
    machine::Machine,
    record::Sequence,
    store::Progress,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    budget::Budget,
    clock::Clock,
    fault_state::FaultState,
    journal::{Durable, JournalQueue, NotDurable},
    limits::QUEUED_BYTES,
    outbox::Outbox,
};

/// What all drivers of a server share.
#[derive(Debug)]
pub(crate) struct ServerState {
    machine: Mutex<Machine>,
    connections: Mutex<HashMap<ConnectionId, Arc<Outbox>>>,
    next_connection: AtomicU64,
    durable: watch::Receiver<Durable>,
    queue: Option<JournalQueue>,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultState,
    pub(crate) budget: Budget,
}

impl ServerState {
    pub(crate) fn new(
        machine: Machine,
        clock: Clock,
        durable: watch::Receiver<Durable>,
        queue: Option<JournalQueue>,
    ) -> Self {
        Self {
            machine: Mutex::new(machine),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            durable,
            queue,
            clock,
            faults: FaultState::default(),
            budget: Budget::default(),
        }
    }

    /// The current time, with fresh random bits.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), random: Uuid::from_u128(fastrand::u128(..)) }
    }

    /// Runs work on the machine and hands its records and the replies of waiting reads to the
    /// drivers; returns the batch that a reply to the work waits for.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&mut Machine, Moment) -> T) -> (T, Sequence) {
        let at = self.moment();
        let mut machine = lock(&self.machine);
        let done = work(&mut machine, at);
        let woken = machine.store.take_woken();
        if let Some((sequence, records)) = machine.journal.take()
            && let Some(queue) = &self.queue
        {
            // Under the lock, so that the queue has the batches in the order of their numbers.
            queue.push(sequence, records);
        }
        let after = machine.journal.latest();
        drop(machine);
        if !woken.is_empty() {
            let connections = lock(&self.connections);
            for woken in woken {
                if let Some(outbox) = connections.get(&woken.connection) {
                    outbox.push_woken(woken);
                }
            }
        }
        (done, after)
    }

    /// Runs work on the machine, and waits until what it changed is durable.
    pub(crate) async fn run_durably<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
    ) -> Result<T, NotDurable> {
        let (done, after) = self.run(work);
        self.wait_durable(after).await.map(|()| done)
    }

    /// Does the work that calls have left, in slices. Between two of them other clients are served,
    /// and the journal catches up.
    pub(crate) async fn finish_work(&self) -> Result<(), NotDurable> {
        while self.run_durably(Machine::work).await? == Progress::Unfinished {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Waits until a batch is durable; fails if it never will be.
    pub(crate) async fn wait_durable(&self, after: Sequence) -> Result<(), NotDurable> {
        if after == Sequence::default() {
            return Ok(());
        }
        let mut durable = self.durable.clone();
        let reached = durable.wait_for(|durable| match durable {
            Durable::To(sequence) => *sequence >= after,
            Durable::Failed { .. } => true,
        });
        match reached.await.as_deref() {
            Ok(Durable::To(_)) => Ok(()),
            Ok(Durable::Failed { to, .. }) if *to >= after => Ok(()),
            Ok(Durable::Failed { why, .. }) => Err(NotDurable::Failed(why.clone())),
            Err(_) => Err(NotDurable::Ended),
        }
    }

    /// Waits until less is queued for the disk, for a connection whose last change is `own`. One
    /// that waits for nothing on the disk goes on, whatever the others have queued.
    pub(crate) async fn wait_for_disk(&self, own: Sequence) {
        let Some(queue) = self.queue.as_ref().filter(|queue| queue.bytes() >= QUEUED_BYTES) else {
            return;
        };
        let mut durable = self.durable.clone();
        let goes_on = durable.wait_for(|durable| match durable {
            Durable::To(sequence) => *sequence >= own || queue.bytes() < QUEUED_BYTES,
            Durable::Failed { .. } => true,
        });
        goes_on.await.ok();
    }

    /// Waits for the journal to fail and returns the reason; pends forever while it works.
    pub(crate) async fn journal_failed(&self) -> String {
        let mut durable = self.durable.clone();
        loop {
            if let Durable::Failed { why, .. } = &*durable.borrow_and_update() {
                return why.clone();
            }
            if durable.changed().await.is_err() {
                // The journal was closed after a shutdown.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Replaces the machine, and ends every connection, whose state belongs to the old one.
    pub(crate) fn replace(&self, machine: Machine) {
        *lock(&self.machine) = machine;
        self.cut_all();
    }

    /// Begins a new file of the journal if the old one is too long.
    pub(crate) fn tidy_journal(&self) {
        let Some(queue) = self.queue.as_ref().filter(|queue| queue.wants_snapshot()) else {
            return;
        };
        let machine = lock(&self.machine);
        let mut records = Vec::new();
        machine.snapshot(|record| records.push(record));
        queue.rewrite(machine.journal.latest(), records);
    }

    /// Closes the journal, which ends after all writes.
    pub(crate) fn close_journal(&self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }

    /// Registers a connection, whose replies go to an outbox.
    pub(crate) fn connect(&self, outbox: &Arc<Outbox>) -> ConnectionId {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        lock(&self.connections).insert(id, Arc::clone(outbox));
        id
    }

    pub(crate) fn disconnect(&self, id: ConnectionId) {
        lock(&self.connections).remove(&id);
    }

    /// The number of connections to the stores.
    pub(crate) fn connection_count(&self) -> usize {
        lock(&self.connections).len()
    }

    /// Ends every connection after its replies have left.
    pub(crate) fn close_all(&self) {
        for outbox in lock(&self.connections).values() {
            outbox.close();
        }
    }

    /// Ends every connection to the stores at once.
    pub(crate) fn cut_all(&self) {
        for outbox in lock(&self.connections).values() {
            outbox.cut();
        }
    }
}

/// No change under these locks is half done after a panic, so a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
