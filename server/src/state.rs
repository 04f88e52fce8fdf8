//! What all drivers of a server share: the machine behind a lock, the connections that wait for
//! replies, and how much of the log is durable.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_server_core::{
    ids::{ConnectionId, Moment},
    log::NotTaken,
    machine::Machine,
    record::Sequence,
    store::{Discarded, Fetch, MemoryLimit, Progress, Unreadable, Woken},
};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

#[cfg(feature = "jwt")]
use crate::jwt::Keys;
use crate::{
    budget::Budget,
    clock::Clock,
    disk_queue::{DiskQueue, Writes},
    durable::{Durable, Lost, NotDurable},
    durable_waits::DurableWaits,
    eviction::Eviction,
    fault_state::FaultState,
    fullness::{MemoryFill, Warnings},
    identity::{Caller, Identity, Refused},
    limits::QUEUED_BYTES,
    locks::lock,
    log::{Job, LogHandle, ReadFailure, SegmentRange, Then},
    outbox::Outbox,
    shared_machine::SharedMachine,
    turns::{self, Account, Turns},
};

/// The bytes that may be queued for the disk with the least memory.
const LEAST_QUEUED: u64 = 64 << 10;

/// The most failures of reads that are logged.
const MOST_LOGGED: usize = 1000;

/// What all drivers of a server share.
#[derive(Debug)]
pub(crate) struct ServerState {
    machine: SharedMachine,
    connections: Mutex<HashMap<ConnectionId, Arc<Outbox>>>,
    next_connection: AtomicU64,
    pub(crate) durable: watch::Sender<Durable>,
    /// What waits until a batch is durable, which a task of the log's wakes.
    pub(crate) waits: DurableWaits,
    /// Batches that were refused after they had a number.
    lost: Mutex<Lost>,
    /// How often batches were refused.
    pub(crate) epoch: AtomicU64,
    pub(crate) log: Option<LogHandle>,
    eviction: Eviction,
    /// The failures of reads that were logged, each once.
    logged: Mutex<HashSet<String>>,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultState,
    /// What the operator was warned of.
    pub(crate) warnings: Warnings,
    /// The accounts; not set on a server without any.
    identity: OnceLock<Arc<Identity>>,
    /// The account of the work of checking passwords.
    checks: Arc<Account>,
    pub(crate) budget: Budget,
    pub(crate) disk_queue: DiskQueue,
    /// The line of calls that wait until less is queued for the disk.
    calls: tokio::sync::Mutex<()>,
    /// That of connections. There may be more of them, and they wait for a shorter queue.
    writers: tokio::sync::Mutex<()>,
    pub(crate) turns: Turns,
}

impl ServerState {
    pub(crate) fn new(
        machine: Machine,
        clock: Clock,
        durable: watch::Sender<Durable>,
        log: Option<LogHandle>,
    ) -> Self {
        let MemoryLimit(limit) = machine.memory_limit;
        let turns = Turns::of_runtime();
        Self {
            disk_queue: DiskQueue::new(QUEUED_BYTES.min(limit / 8).max(LEAST_QUEUED)),
            machine: SharedMachine::new(machine),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            durable,
            waits: DurableWaits::default(),
            lost: Mutex::default(),
            epoch: AtomicU64::new(0),
            log,
            eviction: Eviction::default(),
            logged: Mutex::default(),
            clock,
            faults: FaultState::default(),
            warnings: Warnings::default(),
            identity: OnceLock::new(),
            checks: turns.account(),
            budget: Budget::default(),
            calls: tokio::sync::Mutex::default(),
            writers: tokio::sync::Mutex::default(),
            turns,
        }
    }

    /// Sets the accounts, before any client is served.
    pub(crate) fn set_identity(&self, identity: Identity) {
        self.identity.set(Arc::new(identity)).ok();
    }

    /// Returns true if a header has a scheme by which clients say who they are.
    pub(crate) fn knows_scheme_of(&self, header: &str) -> bool {
        self.identity.get().is_some_and(|identity| identity.knows_scheme_of(header))
    }

    /// What a client may do whose call has a header.
    pub(crate) async fn caller(&self, header: &str) -> Result<Caller, Refused> {
        match self.identity.get() {
            Some(identity) => {
                let identified = identity.identify(header, || self.clock.now(), &self.checks);
                identified.await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// The keys that sign the tokens of clients.
    #[cfg(feature = "jwt")]
    pub(crate) fn keys(&self) -> Option<&Arc<Keys>> {
        self.identity.get()?.keys()
    }

    /// The accounts, if they may change.
    pub(crate) fn followed_accounts(&self) -> Option<&Arc<Identity>> {
        self.identity.get().filter(|identity| identity.is_followed())
    }

    /// The current time, with fresh random bits.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), random: Uuid::from_u128(fastrand::u128(..)) }
    }

    /// Runs work on the machine and hands its records and the replies of waiting reads to the
    /// drivers; returns the batch that a reply to the work waits for.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&mut Machine, Moment) -> T) -> (T, Sequence) {
        let at = self.moment();
        let (done, woken, fetches, discarded, memory, after) = self.machine.with(|machine| {
            if let Some(log) = &self.log {
                note_log(machine, log);
            }
            let done = work(machine, at);
            let woken = machine.store.take_woken();
            let mut fetches = Vec::new();
            if let Some(log) = &self.log {
                self.submit(machine, log);
                fetches = machine.store.take_fetches();
                self.eviction.make_room(machine, || self.durable.borrow().to());
            }
            let discarded = machine.store.take_discarded();
            // With a log, more is held for a moment than what cannot be given back.
            let memory = self.log.is_none().then(|| MemoryFill::of(machine));
            (done, woken, fetches, discarded, memory, machine.journal.latest())
        });
        discard(discarded);
        match memory {
            Some(memory) => _ = self.warnings.note_memory(memory),
            None => self.note_folder(),
        }
        self.send_woken(woken);
        self.fetch(fetches);
        (done, after)
    }

    /// Warns the operator if the folder is nearly full.
    pub(crate) fn note_folder(&self) {
        if let Some(fill) = self.log.as_ref().and_then(LogHandle::fill) {
            self.warnings.note_folder(fill);
        }
    }

    /// Hands the records of the machine to the log, under its lock, so that the log has the batches
    /// in the order of their numbers.
    fn submit(&self, machine: &mut Machine, log: &LogHandle) {
        let Some((sequence, records)) = machine.take_batch() else { return };
        match log.submit(sequence, records) {
            // What waits for it learns of the refusal, or of the end, by the state of the log.
            Ok(()) | Err(NotTaken::NoSpace | NotTaken::Ended) => {}
            Err(error @ NotTaken::TooLong(_)) => {
                // No request has as much; a reply to one that had would not leave.
                tracing::error!(%error, "a change cannot be written; no more are taken");
                machine.journal.fail(&error.to_string());
                log.close();
            }
        }
    }

    fn send_woken(&self, woken: Vec<Woken>) {
        if woken.is_empty() {
            return;
        }
        let connections = lock(&self.connections);
        for woken in woken {
            if let Some(outbox) = connections.get(&woken.connection) {
                outbox.push_woken(woken);
            }
        }
    }

    /// Has bytes read that were evicted.
    fn fetch(&self, fetches: Vec<Fetch>) {
        let Some(log) = &self.log else { return };
        let mut refused = Vec::new();
        for mut fetch in fetches {
            let job = Job { parts: mem::take(&mut fetch.parts), then: Then::Fetched(fetch) };
            if let Err(Job { then: Then::Fetched(fetch), .. }) = log.read(job) {
                refused.push(fetch);
            }
        }
        if !refused.is_empty() {
            let why = Unreadable::Now("too many reads wait for the disk");
            self.run(|machine, _| {
                refused.iter().for_each(|it| _ = machine.store.lost(it, why));
            });
        }
    }

    /// Runs the work of a call, once little enough is queued for the disk, whatever
    /// calls there are: a short one may change much.
    pub(crate) async fn run_call<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
    ) -> (T, Sequence) {
        let Some(log) = &self.log else {
            return self.run(work);
        };
        // The calls of all clients wait for the one that has the lock, whatever its client used.
        turns::wanted(self.run_next(work, log)).await
    }

    async fn run_next<T>(
        &self,
        work: impl FnOnce(&mut Machine, Moment) -> T,
        log: &LogHandle,
    ) -> (T, Sequence) {
        let _turn = self.calls.lock().await;
        let mut work = Some(work);
        let mut durable = self.durable.subscribe();
        loop {
            // After a failure or a refusal nothing is queued any more.
            let is_full = || self.is_queue_full(log, Writes::Little, Duration::ZERO);
            let may_go_on = |durable: &Durable| !durable.goes_on() || !is_full();
            durable.wait_for(may_go_on).await.ok();
            let (done, after) = self.run(|machine, at| {
                // Under the lock, so that no other has filled the queue meanwhile.
                let may_go_on = !is_full();
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
        self.waits.wait(after, || self.outcome_of(after)).await
    }

    /// What has become of a batch; `None` if that is not known yet.
    fn outcome_of(&self, after: Sequence) -> Option<Result<(), NotDurable>> {
        let durable = self.durable.borrow();
        let is_reached = durable.to() >= after;
        let is_lost = self.is_lost(after);
        if durable.goes_on() && !is_reached && !is_lost {
            return None;
        }
        Some(match &*durable {
            _ if is_reached && !is_lost => Ok(()),
            Durable::Failed { why, .. } => Err(NotDurable::Failed(why.clone())),
            Durable::Refused { why, .. } => Err(NotDurable::Refused(why.clone())),
            Durable::To(_) => Err(NotDurable::Refused("there was no space for it".to_owned())),
            Durable::Ended { .. } => Err(NotDurable::Ended),
        })
    }

    fn is_lost(&self, batch: Sequence) -> bool {
        lock(&self.lost).has(batch)
    }

    /// Returns true if a client that writes so much, and has waited for a time, has to wait.
    fn is_queue_full(&self, log: &LogHandle, writes: Writes, waited: Duration) -> bool {
        log.queued() >= self.disk_queue.limit(writes, waited, std::time::Instant::now())
    }

    /// Waits in the line until less is queued for the disk, for a connection whose last change is
    /// `own`; the others in the line wait until the result is dropped.
    pub(crate) async fn line_for_disk(&self, own: Sequence, writes: Writes) -> impl Drop {
        let begun = Instant::now();
        let turn = self.writers.lock().await;
        if let Some(log) = &self.log {
            let mut durable = self.durable.subscribe();
            let is_full = || self.is_queue_full(log, writes, begun.elapsed());
            let may_go_on = |durable: &Durable| is_on_disk(durable, own) || !is_full();
            durable.wait_for(may_go_on).await.ok();
        }
        turn
    }

    /// Returns true if a connection whose last change is `own` has to wait until less is queued for
    /// the disk. One that waits for nothing on the disk goes on, whatever the others have queued.
    pub(crate) fn has_to_wait_for_disk(&self, own: Sequence, writes: Writes) -> bool {
        let is_full = |log: &LogHandle| self.is_queue_full(log, writes, Duration::ZERO);
        let is_full = self.log.as_ref().is_some_and(is_full);
        is_full && !self.is_on_disk(own)
    }

    /// Returns true if nothing up to a batch waits for the disk.
    pub(crate) fn is_on_disk(&self, own: Sequence) -> bool {
        is_on_disk(&self.durable.borrow(), own)
    }

    /// Waits until batches are refused or lost; pends forever while all become durable.
    pub(crate) async fn not_durable(&self) -> Durable {
        let mut durable = self.durable.subscribe();
        let found = durable.wait_for(|durable| {
            matches!(durable, Durable::Refused { .. } | Durable::Failed { .. })
        });
        let found = found.await.ok().as_deref().cloned();
        match found {
            Some(found) => found,
            // The log was closed after a shutdown.
            None => std::future::pending().await,
        }
    }

    /// Replaces the machine by one as of a durable batch, and ends every connection, whose state
    /// belongs to the old one. The batches of the old one after it are lost. Takes batches again,
    /// unless writing failed for a reason.
    pub(crate) fn replace(&self, mut machine: Machine, durable: Sequence, failure: Option<String>) {
        if let Some(why) = &failure {
            machine.journal.fail(why);
        }
        self.machine.with(|old| {
            let last = old.journal.latest();
            // No number is used twice. This one is that of the machine as it was read back.
            let begins = Sequence(last.0 + 1);
            machine.journal.resume(begins);
            machine.store.continue_fetches(&old.store);
            // The tokens that clients have were issued with its secret.
            machine.access = old.access.take();
            lock(&self.lost).add(durable, last);
            self.epoch.fetch_add(1, Ordering::Release);
            *old = machine;
            self.durable.send_if_modified(|durable| {
                *durable = match (&*durable, failure) {
                    (_, Some(why)) => Durable::Failed { to: begins, why },
                    (Durable::Refused { .. }, None) => Durable::To(begins),
                    // Writing has failed meanwhile, or the log was closed.
                    _ => return false,
                };
                true
            });
            // Under the lock: a change of the new machine that is not taken would be missing in the
            // log before those after it.
            if let Some(log) = &self.log {
                log.resume();
            }
        });
        self.cut_all();
    }

    /// Reads bytes that were evicted, without bringing them back; `None` if they cannot be read.
    pub(crate) async fn read_from_disk(&self, parts: Vec<SegmentRange>) -> Option<Bytes> {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |read: Result<Bytes, ReadFailure>| {
            // The one that waits may have left.
            sender.send(read).ok();
        });
        self.log.as_ref()?.read(Job { parts, then: Then::Done(done) }).ok()?;
        let read = receiver.await.ok()?;
        read.inspect_err(|failure| self.log_failure(failure)).ok()
    }

    /// Logs a failure to read from the disk, unless it was logged before.
    pub(crate) fn log_failure(&self, failure: &ReadFailure) {
        let mut logged = lock(&self.logged);
        if logged.len() < MOST_LOGGED && logged.insert(failure.to_string()) {
            tracing::error!(%failure, "bytes of a segment cannot be read; all else goes on");
        }
    }

    /// The number of failures that were logged.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> usize {
        lock(&self.logged).len()
    }

    /// Returns true while batches become durable.
    #[cfg(test)]
    pub(crate) fn is_writing(&self) -> bool {
        self.durable.borrow().goes_on()
    }

    /// Does work on the machine that changes nothing.
    pub(crate) fn with_machine<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        self.machine.with(work)
    }

    /// Closes the log, which ends after all writes.
    pub(crate) fn close_log(&self) {
        if let Some(log) = &self.log {
            log.close();
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

/// Refuses what takes space on the disk while there is none, and nothing else; and counts the
/// memory of what the log knows.
fn note_log(machine: &mut Machine, log: &LogHandle) {
    machine.note_spans(log.held_by_spans());
    let why = log.why_full();
    if why.is_some() != machine.journal.full().is_some() {
        machine.journal.set_full(why);
    }
}

/// Frees what was deleted: much of it where no client waits for that.
fn discard(discarded: Discarded) {
    if discarded.is_much()
        && let Ok(runtime) = Handle::try_current()
    {
        drop(runtime.spawn_blocking(move || drop(discarded)));
    }
}

/// Returns true if nothing up to a batch waits for the disk, by what is known of that.
fn is_on_disk(durable: &Durable, own: Sequence) -> bool {
    !durable.goes_on() || durable.to() >= own
}

#[cfg(test)]
mod tests {
    use pravega_sdk_proto::{
        ReaderGroupConfiguration, StreamCut, StreamInfo, create_reader_group_response,
    };
    use pravega_sdk_server_core::{
        access::{Grant, Operation},
        log::{Entry, FileNumber, SegmentNumber, Span},
        record::Durability,
    };
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

    /// A server with a scope on a log that nothing writes, and what is durable of it.
    fn on_a_log() -> (Arc<ServerState>, LogHandle, watch::Sender<Durable>) {
        let machine = ServerBuilder::default().machine(Durability::Logged);
        let disk = watch::Sender::new(Durable::To(Sequence::default()));
        let log = LogHandle::without_threads();
        let state = ServerState::new(machine, Clock::standing(), disk.clone(), Some(log.clone()));
        state.run(|machine, at| {
            let (catalog, mut step) = machine.call(at);
            catalog.create_scope("s", &mut step).unwrap();
        });
        (Arc::new(state), log, disk)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_writes_much_waits_for_the_disk_while_others_write_little() {
        let (state, log, disk) = on_a_log();
        let mut last = Sequence::default();
        for number in 0.. {
            if log.queued() >= 2 << 20 {
                break;
            }
            (_, last) = state.run(|machine, at| create(machine, at, number));
        }
        assert!(!state.has_to_wait_for_disk(last, Writes::Much), "there is no other");
        state.disk_queue.note(Writes::Little, std::time::Instant::now());
        assert!(!state.has_to_wait_for_disk(last, Writes::Little));
        let none = Sequence::default();
        assert!(!state.has_to_wait_for_disk(none, Writes::Much), "nothing of it is queued");
        assert!(state.has_to_wait_for_disk(last, Writes::Much));
        let waiting = state.line_for_disk(last, Writes::Much);
        tokio::pin!(waiting);
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
        log.drain();
        disk.send_replace(Durable::To(none));
        timeout(Duration::from_secs(1), waiting).await.unwrap();
    }

    #[tokio::test]
    async fn spans_that_are_known_for_the_next_reads_count_towards_the_memory_limit() {
        let (state, log, _disk) = on_a_log();
        let held = || state.run(|machine, _| machine.held()).0;
        let before = held();
        let (segment, file) = (SegmentNumber(1), FileNumber(1));
        let span = Entry::new(segment, file, Span { from: 0, to: 1, at: 0, end: 1 });
        log.kept().keep_spans(segment, vec![span; 100]);
        assert!(log.held_by_spans() >= (100 * size_of::<Entry>()) as u64);
        assert_eq!(held(), before + log.held_by_spans());
        // Also of a machine that was read back, which has none of its own.
        let again = ServerBuilder::default().machine(Durability::Logged);
        let without = again.held();
        state.replace(again, Sequence::default(), None);
        assert_eq!(held(), without + log.held_by_spans());
        log.kept().keep_spans(segment, Vec::new());
        assert_eq!(held(), without);
    }

    #[tokio::test]
    async fn tokens_are_valid_after_the_machine_was_read_back() {
        let builder = ServerBuilder::default().with_account("ann", "pw");
        let machine = || builder.machine(Durability::Logged);
        let disk = watch::Sender::new(Durable::To(Sequence::default()));
        let log = Some(LogHandle::without_threads());
        let state = ServerState::new(machine(), Clock::standing(), disk, log);
        let (now, allows) = (state.clock.now(), Grant::of(None, "a", "b", Operation::Write));
        let token =
            state.with_machine(|it| it.access.as_ref().unwrap().issue("a", "b", allows, now, None));
        state.replace(machine(), Sequence::default(), None);
        let checked = state.with_machine(|it| {
            let access = it.access.as_ref().unwrap();
            access.check_token(&token, Operation::Write, ["a/b/0"], |_| true, now)
        });
        assert!(checked.is_ok(), "{checked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_change_much_wait_for_the_disk_whatever_calls_there_are() {
        let (state, log, disk) = on_a_log();
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
            assert!(log.queued() <= most, "{} bytes are queued", log.queued());
            log.drain();
            disk.send_replace(Durable::To(Sequence::default()));
            rounds += 1;
        }
        assert!(rounds >= 5, "{rounds} rounds");
        // After a failure no call waits.
        disk.send_replace(Durable::Failed { to: Sequence::default(), why: String::new() });
        log.close();
        let ended = state.run_call(|machine, at| create(machine, at, 100));
        timeout(Duration::from_secs(1), ended).await.unwrap();
    }

    #[tokio::test]
    async fn a_call_waits_for_those_before_it_and_not_for_clients_with_other_work() {
        const CALLS: u64 = 8;
        let (state, log, disk) = on_a_log();
        let little = state.turns.account();
        let mut number = 0;
        while log.queued() < QUEUED_BYTES {
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
        log.drain();
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
