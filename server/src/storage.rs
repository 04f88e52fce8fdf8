//! The folder of a server: what is read back when it starts, and the log that goes on.

use std::{
    io,
    ops::Range,
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_server_core::{
    Restoring,
    log::{Contents, Event, KEEPING_NAME, NotTaken, Place, PlacedRecord, Slice, StateEntry},
    machine::Machine,
    record::{Durability, Sequence},
    store::Fetch,
};
use tokio::sync::watch;

use crate::{
    builder::ServerBuilder,
    clock::Clock,
    copy::Snapshots,
    durable::Durable,
    folder::LockedFolder,
    journal::OpenProblem,
    locks::lock,
    log::{
        self, Changes, Disk, Epoch, Files, LogHandle, OpenedLog, Owner, ReadFailure, Replay,
        RunningLog, SegmentRange, Sink,
    },
    state::ServerState,
};

/// A folder that was read back.
#[derive(Debug)]
pub(crate) struct OpenedStorage {
    disk: Arc<dyn Disk>,
    pub(crate) log: OpenedLog,
    pub(crate) handle: LogHandle,
    pub(crate) machine: Machine,
    /// Where the folder is asked to keep its files, if it has a socket.
    pub(crate) socket: Option<UnixListener>,
}

/// The log of a server, with its threads.
#[derive(Debug)]
pub(crate) struct Storage {
    /// What is read back after a refusal; `None` after the end. Locked while it is read.
    disk: Arc<Mutex<Option<Arc<dyn Disk>>>>,
    running: RunningLog,
}

impl OpenedStorage {
    /// Locks a folder, which is created if it does not exist, and reads it back. That of an earlier
    /// version is converted.
    pub(crate) fn open(builder: &ServerBuilder, path: &Path) -> Result<Self, OpenProblem> {
        let folder = LockedFolder::open(path).map_err(OpenProblem::of_folder)?;
        let listing = folder.list().map_err(OpenProblem::io("cannot list its files"))?;
        let has_journal = log::is_of_journal(listing.keys().map(String::as_str));
        let lens = listing.into_iter().map(|(name, listed)| (name, listed.len)).collect();
        // Before anything is created in it.
        if !has_journal && let Ok(Contents::Others { name }) = Contents::of(&lens) {
            return Err(log::foreign(name));
        }
        let claimed = folder.claim().map_err(OpenProblem::of_folder)?;
        let socket = claimed.listen(KEEPING_NAME);
        let disk: Arc<dyn Disk> = Arc::new(Files::new(claimed));
        let read = || {
            if has_journal {
                let settings = builder.log_configuration(disk.capacity()).writer;
                log::convert(&*disk, settings, builder.machine(Durability::Logged))?;
            }
            log::finish_conversion(&*disk)?;
            Self::read(builder, Arc::clone(&disk))
        };
        let opened = read().inspect_err(|_| {
            // A folder that is refused stays as it is.
            disk.remove(KEEPING_NAME).ok();
        })?;
        if let Err(error) = &socket {
            tracing::info!(%error, "no backup can be made of the folder while it is in use");
        }
        Ok(Self { socket: socket.ok(), ..opened })
    }

    /// Reads back a folder that belongs to this process.
    pub(crate) fn read(builder: &ServerBuilder, disk: Arc<dyn Disk>) -> Result<Self, OpenProblem> {
        let configure = builder.log_configuration(disk.capacity());
        let mut restored = Restored::new(builder.machine(Durability::Logged), None);
        let (log, keeper) = log::open(&*disk, configure, &mut restored)?;
        let machine = restored.finish(log.sequence)?;
        let handle = LogHandle::new(keeper, configure.space);
        Ok(Self { disk, log, handle, machine, socket: None })
    }

    /// Starts the threads of the log, and the task that wakes what waits for them, on the runtime
    /// of the caller.
    pub(crate) fn start(self, clock: Clock) -> io::Result<(Arc<ServerState>, Storage)> {
        let Self { disk, log, handle, machine, .. } = self;
        let durable = watch::Sender::new(Durable::To(log.sequence));
        let telling = Telling(durable.clone());
        let state = Arc::new(ServerState::new(machine, clock, durable, Some(handle.clone())));
        let owner: Arc<dyn Owner> = Arc::clone(&state) as Arc<dyn Owner>;
        tokio::spawn(state.waits.clone().wake(state.durable.subscribe()));
        let running = RunningLog::start(log, &disk, &handle, &owner, telling)?;
        Ok((state, Storage { disk: Arc::new(Mutex::new(Some(disk))), running }))
    }
}

/// The time between two attempts to read back what is durable.
const AGAIN: Duration = Duration::from_secs(1);

impl Storage {
    /// After batches are refused or lost, serves what is durable; for reading only if none can be
    /// written any more.
    pub(crate) fn watch(
        &self,
        state: Arc<ServerState>,
        builder: ServerBuilder,
    ) -> impl Future<Output = ()> + Send + use<> {
        let disk = Arc::clone(&self.disk);
        async move {
            loop {
                let ended = state.not_durable().await;
                let failure = match &ended {
                    Durable::Failed { why, .. } => Some(why.clone()),
                    _ => None,
                };
                if let Some(why) = &failure {
                    state.run(|machine, _| machine.journal.fail(why));
                }
                let (builder, disk, to) = (builder.clone(), Arc::clone(&disk), ended.to());
                let Some(log) = state.log.clone() else { return };
                let read_back = move || {
                    let disk = lock(&disk);
                    disk.as_ref().map(|disk| read_back(&builder, &**disk, &log, to))
                };
                let Ok(Some(read_back)) = tokio::task::spawn_blocking(read_back).await else {
                    return;
                };
                match (read_back, failure) {
                    (Ok(machine), failure) => {
                        let has_failed = failure.is_some();
                        state.replace(machine, to, failure);
                        if has_failed {
                            return;
                        }
                    }
                    (Err(problem), None) => {
                        tracing::error!(%problem, "the log cannot be read back");
                        tokio::time::sleep(AGAIN).await;
                    }
                    (Err(problem), Some(_)) => {
                        tracing::error!(%problem, "the log failed and cannot be read back");
                        return;
                    }
                }
            }
        }
    }

    /// What snapshots of the log are made of.
    pub(crate) fn snapshots(&self, log: LogHandle) -> Snapshots {
        Snapshots { disk: Arc::clone(&self.disk), log }
    }

    /// Waits for the threads, after the log was closed: then the folder is free.
    pub(crate) fn join(self) {
        self.running.join();
        // After what reads it back, which goes on without the one that watches.
        let disk = lock(&self.disk).take();
        // One that stays is replaced at the next start.
        disk.map(|disk| disk.remove(KEEPING_NAME).ok());
    }
}

/// The machine of a folder, as far as it was read back.
#[derive(Debug)]
pub(crate) struct Restored {
    restoring: Restoring,
    /// The last batch that counts; `None` if all of them do.
    up_to: Option<Sequence>,
}

impl Restored {
    pub(crate) fn new(machine: Machine, up_to: Option<Sequence>) -> Self {
        Self { restoring: Restoring::new(machine), up_to }
    }

    pub(crate) fn finish(self, sequence: Sequence) -> Result<Machine, OpenProblem> {
        let finished = self.restoring.finish(sequence).map_err(io::Error::other);
        finished.map_err(OpenProblem::io("its log cannot be applied"))
    }
}

impl Replay for Restored {
    fn entries(&mut self, entries: Vec<StateEntry>) {
        self.restoring.entries(entries);
    }

    fn frame(&mut self, _: Place, sequence: Sequence, records: Vec<PlacedRecord>) {
        if self.up_to.is_none_or(|up_to| sequence <= up_to) {
            self.restoring.frame(records);
        }
    }
}

/// The machine as of a durable batch, of a folder whose log is not written to.
pub(crate) fn read_back(
    builder: &ServerBuilder,
    disk: &dyn Disk,
    log: &LogHandle,
    durable: Sequence,
) -> Result<Machine, OpenProblem> {
    let _quiet = log.kept().quiet();
    let mut restored = Restored::new(builder.machine(Durability::Logged), Some(durable));
    log::read_back(disk, builder.log_configuration(disk.capacity()).space, &mut restored)?;
    restored.finish(durable)
}

/// Tells a server how much of its log is durable.
#[derive(Debug)]
pub(crate) struct Telling(pub(crate) watch::Sender<Durable>);

impl Sink for Telling {
    fn handle(&mut self, event: Event) {
        self.0.send_replace(match event {
            Event::Committed(committed) => Durable::To(committed.sequence),
            Event::Refused { durable: to, why } => Durable::Refused { to, why },
        });
    }

    fn fail(&mut self, to: Sequence, why: &str) {
        self.0.send_replace(Durable::Failed { to, why: why.to_owned() });
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.send_if_modified(|durable| {
            let is_open = matches!(durable, Durable::To(_) | Durable::Refused { .. });
            if is_open {
                *durable = Durable::Ended { to: durable.to() };
            }
            is_open
        });
    }
}

/// The names of the segments with bytes of ranges that can be read, and where those are in them.
pub(crate) fn names(machine: &Machine, ranges: &[SegmentRange]) -> Vec<(String, Range<u64>)> {
    let held = ranges
        .iter()
        .flat_map(|(segment, range)| machine.store.holders(*segment, range.clone()).into_iter());
    held.map(|(name, range)| (name.to_string(), range)).collect()
}

impl Owner for ServerState {
    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    fn take_changes(&self) -> Changes {
        let (touched, freed, up_to, epoch) = self.with_machine(|machine| {
            let up_to = machine.journal.latest();
            (machine.take_touched(), machine.take_freed(), up_to, self.epoch())
        });
        Changes { touched: touched.into_keys().collect(), freed, up_to, epoch }
    }

    fn slice(&self, slice: &Slice) -> (Vec<StateEntry>, Sequence) {
        self.with_machine(|machine| (machine.slice(slice), machine.journal.latest()))
    }

    fn live(&self, ranges: &[SegmentRange]) -> Vec<Vec<Range<u64>>> {
        let live = |machine: &Machine, (segment, range): &SegmentRange| {
            machine.store.live(*segment, range.clone())
        };
        self.with_machine(|machine| ranges.iter().map(|range| live(machine, range)).collect())
    }

    fn names(&self, ranges: &[SegmentRange]) -> Vec<(String, Range<u64>)> {
        self.with_machine(|machine| names(machine, ranges))
    }

    fn submit(
        &self,
        epoch: Epoch,
        submit: &mut dyn FnMut(Sequence) -> Result<(), NotTaken>,
    ) -> Result<(), NotTaken> {
        self.with_machine(|machine| {
            // Under the lock, as it changes under it.
            if self.epoch() != epoch {
                return Err(NotTaken::NoSpace);
            }
            submit(machine.journal.next())?;
            machine.journal.skip();
            Ok(())
        })
    }

    fn fetched(&self, fetch: &Fetch, read: Result<Bytes, ReadFailure>) {
        if let Err(failure) = &read {
            self.log_failure(failure);
        }
        self.run(|machine, _| match read {
            Ok(bytes) => machine.store.fetched(fetch, &bytes),
            Err(failure) => {
                machine.store.lost(fetch, &failure.to_string());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use pravega_sdk_server_core::store::{Info, Refusal};
    use tokio::time::timeout;

    use super::*;
    use crate::{
        durable::NotDurable,
        log::{Failing, Faulty},
    };

    const FAR: Duration = Duration::from_secs(60);

    struct Server {
        builder: ServerBuilder,
        state: Arc<ServerState>,
        storage: Storage,
        disk: Arc<Faulty>,
        watching: tokio::task::JoinHandle<()>,
        folder: tempfile::TempDir,
    }

    impl Server {
        async fn start() -> Self {
            let mut server = Self::start_unwatched(ServerBuilder::default(), |_| {});
            server.watch();
            server.create("one").await.unwrap().unwrap();
            server
        }

        /// A server that serves what is durable after a refusal only once it is watched.
        fn start_unwatched(
            builder: ServerBuilder,
            change: impl FnOnce(&mut OpenedStorage),
        ) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let disk = Faulty::of(folder.path());
            let mut opened =
                OpenedStorage::read(&builder, Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
            change(&mut opened);
            let (state, storage) = opened.start(Clock::standing()).unwrap();
            let watching = tokio::spawn(std::future::ready(()));
            Self { builder, state, storage, disk, watching, folder }
        }

        fn watch(&mut self) {
            let watching = self.storage.watch(Arc::clone(&self.state), self.builder.clone());
            self.watching = tokio::spawn(watching);
        }

        /// Ends the server, and reads its folder back.
        async fn read_again(self) -> Machine {
            let Self { builder, state, storage, disk, watching, folder } = self;
            watching.abort();
            state.close_log();
            tokio::task::spawn_blocking(move || storage.join()).await.unwrap();
            drop((watching.await, state, disk));
            let disk: Arc<dyn Disk> = Faulty::of(folder.path());
            OpenedStorage::read(&builder, disk).unwrap().machine
        }

        fn has_space(&self) -> bool {
            self.state.run(|machine, _| machine.journal.full().is_none()).0
        }

        /// Does work on the machine, and waits until what it changed is durable.
        async fn change(
            &self,
            work: impl FnOnce(&mut Machine, pravega_sdk_server_core::ids::Moment),
        ) -> Result<(), NotDurable> {
            let ((), after) = self.state.run(work);
            timeout(FAR, self.state.wait_durable(after)).await.unwrap()
        }

        /// Creates a segment, and waits until it is durable.
        async fn create(&self, name: &str) -> Result<Result<(), Refusal>, NotDurable> {
            let (created, after) = self.state.run(|machine, at| {
                let (_, mut step) = machine.call(at);
                step.create(&name.into(), Vec::new())
            });
            timeout(FAR, self.state.wait_durable(after)).await.unwrap().map(|()| created)
        }

        fn info(&self, name: &str) -> Result<Info, Refusal> {
            self.state.run(|machine, _| machine.store.info(name)).0
        }

        async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
            let waited = async {
                while !holds(self) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(FAR, waited).await.expect(what);
        }

        async fn end(self) {
            self.watching.abort();
            self.state.close_log();
            tokio::task::spawn_blocking(move || self.storage.join()).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_finds_no_space_is_refused_and_gone_and_writing_resumes_when_there_is_some() {
        let server = Server::start().await;
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        // It is applied before the disk is known to be full.
        let refused = server.create("two").await.unwrap_err();
        assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
        server.until("it is gone", |server| server.info("two").is_err()).await;
        assert!(server.info("one").is_ok());
        // Now it is known, before anything is applied.
        server.until("it resumes", |server| server.state.is_writing()).await;
        let refused = server.create("three").await.unwrap().unwrap_err();
        assert!(matches!(refused, Refusal::DiskFull(_)), "{refused:?}");
        server.disk.set(&[]);
        let has_space =
            |server: &Server| server.state.run(|machine, _| machine.journal.full().is_none()).0;
        server.until("there is space", has_space).await;
        server.create("four").await.unwrap().unwrap();
        server.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reply_to_a_refused_change_never_leaves_whatever_becomes_durable_later() {
        let server = Server::start().await;
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        let (_, after) = server.state.run(|machine, at| {
            let (_, mut step) = machine.call(at);
            step.create(&"two".into(), Vec::new())
        });
        server.until("it is gone", |server| server.info("two").is_err()).await;
        server.disk.set(&[]);
        let has_space =
            |server: &Server| server.state.run(|machine, _| machine.journal.full().is_none()).0;
        server.until("there is space", has_space).await;
        for number in 0..10 {
            server.create(&format!("more-{number}")).await.unwrap().unwrap();
        }
        // It waited for nothing meanwhile: a slow client takes its reply now.
        let refused = timeout(FAR, server.state.wait_durable(after)).await.unwrap();
        assert!(matches!(refused, Err(NotDurable::Refused(_))), "{refused:?}");
        server.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_a_sync_that_failed_what_was_durable_is_served_and_nothing_else() {
        let server = Server::start().await;
        server.disk.set(&[Failing::Sync("log-")]);
        let lost = server.create("two").await.unwrap_err();
        assert!(matches!(lost, NotDurable::Failed(_)), "{lost:?}");
        server.disk.set(&[]);
        server.until("it is gone", |server| server.info("two").is_err()).await;
        assert!(server.info("one").is_ok());
        let refused = server.create("three").await.unwrap().unwrap_err();
        assert!(matches!(refused, Refusal::Ended(_)), "{refused:?}");
        server.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_checkpoint_that_is_begun_after_a_refusal_has_nothing_that_was_refused() {
        let builder = ServerBuilder::default().with_disk_limit(64 << 20);
        let mut server =
            Server::start_unwatched(builder, |opened| opened.log.checkpoints.tail_len = 2 << 20);
        for name in ["one", "other"] {
            server.create(name).await.unwrap().unwrap();
        }
        // Other files begin, so that a start finds "one" in a checkpoint only.
        for _ in 0..9 {
            let append = |machine: &mut Machine, at| {
                let data = Bytes::from(vec![7; 1 << 20]);
                let (_, mut step) = machine.call(at);
                step.append_internal(&"other".into(), data, Vec::new()).unwrap();
            };
            server.change(append).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The next checkpoint is due, and takes a while.
        let create = |machine: &mut Machine, at| {
            let (_, mut step) = machine.call(at);
            for number in 0..40_000 {
                step.create(&format!("more-{number}").into(), Vec::new()).unwrap();
            }
        };
        server.change(create).await.unwrap();
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        let delete = |machine: &mut Machine, at| {
            machine.call(at).1.delete(&"one".into()).unwrap();
        };
        let refused = server.change(delete).await.unwrap_err();
        assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
        server.disk.set(&[]);
        // That checkpoint is given up, and the next one is begun, before the machine is replaced.
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.watch();
        server.until("it is back", |server| server.info("one").is_ok()).await;
        server.until("there is space", Server::has_space).await;
        server.create("more").await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(server.info("one").is_ok());
        let machine = server.read_again().await;
        assert!(machine.store.info("more").is_ok());
        assert!(machine.store.info("one").is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_change_is_acknowledged_that_comes_while_the_machine_is_replaced_and_is_lost() {
        const SEGMENTS: usize = 40_000;
        let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
        server
            .change(|machine, at| {
                let (_, mut step) = machine.call(at);
                for number in 0..SEGMENTS {
                    step.create(&format!("old-{number}").into(), Vec::new()).unwrap();
                }
            })
            .await
            .unwrap();
        // Connections, which end with the old machine.
        let outboxes: Vec<_> = (0..100_000)
            .map(|_| Arc::new(crate::outbox::Outbox::new(server.state.budget.replies.clone())))
            .collect();
        outboxes.iter().for_each(|outbox| _ = server.state.connect(outbox));
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        let refused = server.create("two").await.unwrap_err();
        assert!(matches!(refused, NotDurable::Refused(_)), "{refused:?}");
        server.disk.set(&[]);
        let epoch = server.state.epoch.load(Ordering::Acquire);
        let state = Arc::clone(&server.state);
        let deleting = tokio::spawn(async move {
            while state.epoch.load(Ordering::Acquire) == epoch {
                tokio::task::yield_now().await;
            }
            let mut deleted = Vec::new();
            for number in 0..200 {
                // What frees space is taken also while there is none.
                let name = format!("old-{number}");
                let (gone, after) =
                    state.run(|machine, at| machine.call(at).1.delete(&name.into()));
                gone.unwrap();
                deleted.push((number, after));
            }
            deleted
        });
        server.watch();
        let deleted = deleting.await.unwrap();
        server.until("it resumes", |server| server.state.is_writing()).await;
        server
            .change(|machine, at| machine.call(at).1.delete(&"old-39999".into()).unwrap())
            .await
            .unwrap();
        let mut acknowledged = Vec::new();
        for (number, after) in deleted {
            if timeout(FAR, server.state.wait_durable(after)).await.unwrap().is_ok() {
                acknowledged.push(number);
            }
        }
        let machine = server.read_again().await;
        let back: Vec<_> = acknowledged
            .iter()
            .filter(|number| machine.store.info(&format!("old-{number}")).is_ok())
            .collect();
        assert!(back.is_empty(), "{} of {}: {back:?}", back.len(), acknowledged.len());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_old_machine_has_fetched_is_not_of_a_segment_of_the_new_one() {
        use pravega_sdk_server_core::{
            ids::ConnectionId,
            store::{Read, WaitingRead},
        };
        let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
        server.create("one").await.unwrap().unwrap();
        let append = |text: &'static str| {
            move |machine: &mut Machine, at| {
                let (_, mut step) = machine.call(at);
                step.append_internal(&"one".into(), text.into(), Vec::new()).unwrap();
            }
        };
        // The read of it is not handed to the threads that read: they are slow.
        let fetch = |server: &Server| {
            server.state.with_machine(|machine| {
                (0..3).for_each(|_| _ = machine.store.evict(Sequence(u64::MAX), u64::MAX));
                let (connection, request_id, offset, max_len) = (ConnectionId(7), 1, 0, 10);
                let read = WaitingRead { connection, request_id, offset, max_len };
                let read = machine.store.read(&"one".into(), read).unwrap();
                assert!(matches!(read, Read::Waits));
                machine.store.take_fetches().remove(0)
            })
        };
        server.change(append("old")).await.unwrap();
        let slow = fetch(&server);
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        server.create("two").await.unwrap_err();
        server.disk.set(&[]);
        server.watch();
        server.until("it is gone", |server| server.info("two").is_err()).await;
        server.until("there is space", Server::has_space).await;
        server
            .change(|machine, at| machine.call(at).1.delete(&"one".into()).unwrap())
            .await
            .unwrap();
        server.create("one").await.unwrap().unwrap();
        server.change(append("new")).await.unwrap();
        let _fetch = fetch(&server);
        server.state.with_machine(|machine| {
            machine.store.fetched(&slow, &Bytes::from_static(b"old"));
            let woken = machine.store.take_woken();
            assert!(woken.is_empty(), "{woken:?}");
        });
        server.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failure_while_the_machine_is_read_back_after_a_refusal_is_not_forgotten() {
        let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
        server.create("one").await.unwrap().unwrap();
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        server.create("two").await.unwrap_err();
        // The machine is not replaced before the end of this.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let state = Arc::clone(&server.state);
        let holding = tokio::task::spawn_blocking(move || {
            state.with_machine(|_| {
                begin.send(()).unwrap();
                released.recv().unwrap();
            });
        });
        begun.recv().unwrap();
        server.watch();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Zeros are written beside the log also while nothing is taken.
        server.disk.set(&[Failing::Sync("log-")]);
        let has_failed =
            |server: &Server| matches!(*server.state.durable.borrow(), Durable::Failed { .. });
        server.until("it fails", has_failed).await;
        server.disk.set(&[]);
        release.send(()).unwrap();
        holding.await.unwrap();
        server.until("it is gone", |server| server.info("two").is_err()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!server.state.is_writing());
        let created = timeout(Duration::from_secs(5), server.create("three")).await;
        let refused = created.expect("it waits forever").unwrap().unwrap_err();
        assert!(matches!(refused, Refusal::Ended(_)), "{refused:?}");
        assert!(server.info("one").is_ok());
        server.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_folder_is_free_after_the_end_also_while_it_is_read_back_after_a_refusal() {
        let mut server = Server::start_unwatched(ServerBuilder::default(), |_| {});
        server.create("one").await.unwrap().unwrap();
        server.disk.set(&[Failing::Write("log-", ErrorKind::StorageFull)]);
        server.create("two").await.unwrap_err();
        server.disk.set(&[]);
        let disk = Arc::clone(&server.disk);
        disk.hold_reads(true);
        let begun = disk.begun_reads.load(Ordering::SeqCst);
        server.watch();
        let reads = |server: &Server| server.disk.begun_reads.load(Ordering::SeqCst) > begun;
        server.until("it is read back", reads).await;
        let reading = tokio::spawn(server.read_again());
        tokio::time::sleep(Duration::from_millis(100)).await;
        disk.hold_reads(false);
        drop(disk);
        let machine = reading.await.unwrap();
        assert!(machine.store.info("one").is_ok());
    }
}
