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
    store::{Discarded, Progress},
};
use tokio::{runtime::Handle, sync::watch};
use uuid::Uuid;

use crate::{
    budget::Budget,
    clock::Clock,
    fault_state::FaultState,
    journal::{Durable, JournalQueue, NotDurable},
    limits::QUEUED_BYTES,
    outbox::Outbox,
    shared_machine::SharedMachine,
    turns::{self, Turns},
};

/// What all drivers of a server share.
#[derive(Debug)]
pub(crate) struct ServerState {
    machine: SharedMachine,
    connections: Mutex<HashMap<ConnectionId, Arc<Outbox>>>,
    next_connection: AtomicU64,
    durable: watch::Receiver<Durable>,
    queue: Option<JournalQueue>,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultState,
    pub(crate) budget: Budget,
    /// The line of calls that wait until less is queued for the disk.
    calls: tokio::sync::Mutex<()>,
    pub(crate) turns: Turns,
}

impl ServerState {
    pub(crate) fn new(
        machine: Machine,
        clock: Clock,
        durable: watch::Receiver<Durable>,
        queue: Option<JournalQueue>,
    ) -> Self {
        Self {
            machine: SharedMachine::new(machine),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            durable,
            queue,
            clock,
            faults: FaultState::default(),
            budget: Budget::default(),
            calls: tokio::sync::Mutex::default(),
            turns: Turns::of_runtime(),
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
        let (done, woken, discarded, after) = self.machine.with(|machine| {
            let done = work(machine, at);
            let woken = machine.store.take_woken();
            if let Some((sequence, records)) = machine.journal.take()
                && let Some(queue) = &self.queue
            {
                // Under the lock, so that the queue has the batches in the order of their numbers.
                let followed = machine.take_followed();
                queue.push(sequence, records, followed);
            }
            (done, woken, machine.store.take_discarded(), machine.journal.latest())
        });
        discard(discarded);
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

    /// Runs the work of a call, once less than [`QUEUED_BYTES`] are queued for the disk, whatever
    /// calls there are: a short one may change much.
    pub(crate) async fn run_call<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
    ) -> (T, Sequence) {
        let Some(queue) = &self.queue else {
            return self.run(work);
        };
        // The calls of all clients wait for the one that has the lock, whatever its client used.
        turns::wanted(self.run_next(work, queue)).await
    }

    async fn run_next<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
        queue: &JournalQueue,
    ) -> (T, Sequence) {
        let _turn = self.calls.lock().await;
        let mut work = Some(work);
        let mut durable = self.durable.clone();
        loop {
            // After a failure nothing is queued any more.
            let may_go_on = |durable: &Durable| {
                matches!(durable, Durable::Failed { .. }) || queue.bytes() < QUEUED_BYTES
            };
            durable.wait_for(may_go_on).await.ok();
            let (done, after) = self.run(|machine, at| {
                // Under the lock, so that no other has filled the queue meanwhile.
                let may_go_on = queue.bytes() < QUEUED_BYTES;
                work.take_if(|_| may_go_on).map(|work| work(machine, at))
            });
            if let Some(done) = done {
                return (done, after);
            }
        }
    }

    /// Runs the work of a call, and waits until what it changed is durable.
    pub(crate) async fn run_durably<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
    ) -> Result<T, NotDurable> {
        let (done, after) = self.run_call(work).await;
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

    /// Returns true if nothing up to a batch waits for the disk.
    pub(crate) fn is_on_disk(&self, own: Sequence) -> bool {
        match *self.durable.borrow() {
            Durable::To(sequence) => sequence >= own,
            Durable::Failed { .. } => true,
        }
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
        self.machine.with(|old| *old = machine);
        self.cut_all();
    }

    /// Begins a new file of the journal if the old one is too long, in portions between which
    /// clients are served.
    pub(crate) async fn tidy_journal(&self) {
        let Some(queue) = self.queue.as_ref().filter(|queue| queue.takes_copy()) else {
            return;
        };
        self.machine.with(Machine::begin_copy);
        let mut progress = Progress::Unfinished;
        while progress == Progress::Unfinished {
            let written = self.machine.with(|machine| {
                let (records, copied) = machine.copy(queue.portion());
                progress = copied;
                if progress == Progress::Finished {
                    // From here on all changes are for the new file.
                    machine.end_copy();
                }
                // Under the lock, so that the queue has it among the batches in their order.
                queue.push_portion(records, progress == Progress::Finished)
            });
            if written.await.is_err() {
                // The journal has ended.
                self.machine.with(Machine::end_copy);
                return;
            }
        }
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

/// No change under this lock is half done after a panic, so a poisoned lock is used on.
/// Frees what was deleted: much of it where no client waits for that.
fn discard(discarded: Discarded) {
    if discarded.is_much()
        && let Ok(runtime) = Handle::try_current()
    {
        drop(runtime.spawn_blocking(move || drop(discarded)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pravega_sdk_proto::{
        ReaderGroupConfiguration, StreamCut, StreamInfo, create_reader_group_response,
    };
    use pravega_sdk_server_core::record::Durability;
    use tokio::time::timeout;

    use super::*;
    use crate::builder::ServerBuilder;

    /// Creates a reader group of 5,000 streams with long names.
    fn create(machine: &mut Machine, at: Moment, number: usize) {
        let (catalog, mut step) = machine.call(at);
        let (scope, stream) = ("s".to_owned(), "x".repeat(200));
        let stream_info = Some(StreamInfo { scope, stream, access_operation: 0 });
        let config = ReaderGroupConfiguration {
            scope: "s".to_owned(),
            reader_group_name: number.to_string(),
            reader_group_id: at.random.to_string(),
            starting_stream_cuts: vec![StreamCut { stream_info, cut: [].into() }; 5000],
            ..ReaderGroupConfiguration::default()
        };
        let created = catalog.create_group(config, &mut step).unwrap();
        assert_eq!(created.status(), create_reader_group_response::Status::Success);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_change_much_wait_for_the_disk_whatever_calls_there_are() {
        let machine = ServerBuilder::default().machine(Durability::Kept);
        let (disk, durable) = watch::channel(Durable::To(Sequence::default()));
        let queue = JournalQueue::default();
        let state =
            Arc::new(ServerState::new(machine, Clock::standing(), durable, Some(queue.clone())));
        state.run(|machine, at| {
            let (catalog, mut step) = machine.call(at);
            catalog.create_scope("s", &mut step).unwrap();
        });
        let mut calls = Vec::new();
        for number in 0..60 {
            let state = Arc::clone(&state);
            calls.push(tokio::spawn(async move {
                state.run_call(|machine, at| create(machine, at, number)).await.1
            }));
        }
        // The longest call has less than this.
        let most = QUEUED_BYTES + (3 << 20);
        let mut rounds = 0;
        while calls.iter().any(|call| !call.is_finished()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(queue.bytes() <= most, "{} bytes are queued", queue.bytes());
            queue.drain();
            disk.send_replace(Durable::To(Sequence::default()));
            rounds += 1;
        }
        assert!(rounds >= 5, "{rounds} rounds");
        // After a failure no call waits.
        disk.send_replace(Durable::Failed { to: Sequence::default(), why: String::new() });
        queue.end(Vec::new());
        let ended = state.run_call(|machine, at| create(machine, at, 100));
        timeout(Duration::from_secs(1), ended).await.unwrap();
    }

    #[tokio::test]
    async fn a_call_waits_for_those_before_it_and_not_for_clients_with_other_work() {
        const CALLS: u64 = 8;
        let machine = ServerBuilder::default().machine(Durability::Kept);
        let (disk, durable) = watch::channel(Durable::To(Sequence::default()));
        let queue = JournalQueue::default();
        let state =
            Arc::new(ServerState::new(machine, Clock::standing(), durable, Some(queue.clone())));
        state.run(|machine, at| {
            let (catalog, mut step) = machine.call(at);
            catalog.create_scope("s", &mut step).unwrap();
        });
        let little = state.turns.account();
        let mut number = 0;
        while queue.bytes() < QUEUED_BYTES {
            state.run(|machine, at| create(machine, at, number));
            number += 1;
        }
        let done = Arc::new(AtomicU64::new(0));
        // Clients whose calls wait for the disk, and have used much when it has written.
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let (account, state) = (state.turns.account(), Arc::clone(&state));
                let (own, done) = (Arc::clone(&account), Arc::clone(&done));
                let call = account.meter(async move {
                    let work = move |_: &mut Machine, _| done.fetch_add(1, Ordering::Relaxed);
                    let call = async move { state.run_call(work).await };
                    if number % 2 == 0 { call.await } else { own.apart(call).await }
                });
                (tokio::spawn(call), account)
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Others always have work: so much that all of it takes turns.
        let slices = Arc::new(AtomicU64::new(0));
        let busy = [(); 12].map(|()| {
            let slices = Arc::clone(&slices);
            let work = async move {
                loop {
                    let begun = std::time::Instant::now();
                    while begun.elapsed() < Duration::from_micros(500) {}
                    slices.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            };
            tokio::spawn(state.turns.account().meter(work))
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        calls.iter().for_each(|(_, account)| (0..1000).for_each(|_| account.owe()));
        queue.drain();
        let before = slices.load(Ordering::Relaxed);
        disk.send_replace(Durable::To(Sequence::default()));
        let call = {
            let state = Arc::clone(&state);
            little.meter(async move { state.run_call(|_, _| ()).await })
        };
        tokio::spawn(call).await.unwrap();
        let waited = slices.load(Ordering::Relaxed) - before;
        busy.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(done.load(Ordering::Relaxed), CALLS);
        assert!(waited <= 4 * CALLS, "{waited} slices of others");
    }
}
