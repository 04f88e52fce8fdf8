//! The folder of a server: what is read back when it starts, and the log that goes on.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_server_core::{
    Restoring,
    log::{Contents, Event, NotTaken, Place, PlacedRecord, Slice, StateEntry},
    machine::Machine,
    record::{Durability, Sequence},
    store::Fetch,
};
use tokio::sync::watch;

use crate::{
    builder::ServerBuilder,
    clock::Clock,
    durable::Durable,
    folder::LockedFolder,
    journal::OpenProblem,
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
    log: OpenedLog,
    pub(crate) handle: LogHandle,
    pub(crate) machine: Machine,
}

/// The log of a server, with its threads.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) disk: Arc<dyn Disk>,
    running: RunningLog,
}

impl OpenedStorage {
    /// Locks a folder, which is created if it does not exist, and reads it back. That of an earlier
    /// version is converted.
    pub(crate) fn open(builder: &ServerBuilder, path: &Path) -> Result<Self, OpenProblem> {
        let folder = LockedFolder::open(path).map_err(OpenProblem::of_folder)?;
        let listing = folder.list();
        let listing = listing
            .map_err(|error| OpenProblem::Io { what: "cannot list its files".to_owned(), error })?;
        let has_journal = log::is_of_journal(listing.keys().map(String::as_str));
        let lens = listing.into_iter().map(|(name, listed)| (name, listed.len)).collect();
        // Before anything is created in it.
        if !has_journal && let Ok(Contents::Others { name }) = Contents::of(&lens) {
            return Err(log::foreign(name));
        }
        let claimed = folder.claim().map_err(OpenProblem::of_folder)?;
        let disk: Arc<dyn Disk> = Arc::new(Files::new(claimed));
        if has_journal {
            let settings = builder.log_configuration().writer;
            log::convert(&*disk, settings, builder.machine(Durability::Logged))?;
        }
        log::finish_conversion(&*disk)?;
        Self::read(builder, disk)
    }

    /// Reads back a folder that belongs to this process.
    fn read(builder: &ServerBuilder, disk: Arc<dyn Disk>) -> Result<Self, OpenProblem> {
        let configure = builder.log_configuration();
        let mut restored = Restored::new(builder.machine(Durability::Logged), None);
        let (log, keeper) = log::open(&*disk, configure, &mut restored)?;
        let machine = restored.finish(log.sequence)?;
        let handle = LogHandle::new(keeper, configure.space);
        Ok(Self { disk, log, handle, machine })
    }

    /// Starts the threads of the log.
    pub(crate) fn start(self, clock: Clock) -> io::Result<(Arc<ServerState>, Storage)> {
        let Self { disk, log, handle, machine } = self;
        let durable = watch::Sender::new(Durable::To(log.sequence));
        let telling = Telling(durable.clone());
        let state = Arc::new(ServerState::new(machine, clock, durable, Some(handle.clone())));
        let owner: Arc<dyn Owner> = Arc::clone(&state) as Arc<dyn Owner>;
        let running = RunningLog::start(log, &disk, &handle, &owner, telling)?;
        Ok((state, Storage { disk, running }))
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
                let read_back = move || read_back(&builder, &*disk, &log, to);
                let Ok(read_back) = tokio::task::spawn_blocking(read_back).await else { return };
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

    /// Waits for the threads, after the log was closed: then the folder is free.
    pub(crate) fn join(self) {
        self.running.join();
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
    fn new(machine: Machine, up_to: Option<Sequence>) -> Self {
        Self { restoring: Restoring::new(machine), up_to }
    }

    fn finish(self, sequence: Sequence) -> Result<Machine, OpenProblem> {
        self.restoring.finish(sequence).map_err(|error| {
            let what = "its log cannot be applied".to_owned();
            OpenProblem::Io { what, error: io::Error::other(error) }
        })
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
    log::read_back(disk, builder.log_configuration().space, &mut restored)?;
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

impl Owner for ServerState {
    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    fn take_changes(&self) -> Changes {
        let (touched, freed, up_to) = self.with_machine(|machine| {
            (machine.take_touched(), machine.take_freed(), machine.journal.latest())
        });
        Changes { touched: touched.into_keys().collect(), freed, up_to }
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
        state: Arc<ServerState>,
        storage: Storage,
        disk: Arc<Faulty>,
        watching: tokio::task::JoinHandle<()>,
        _folder: tempfile::TempDir,
    }

    impl Server {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (disk, builder) = (Faulty::of(folder.path()), ServerBuilder::default());
            let opened = OpenedStorage::read(&builder, Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
            let (state, storage) = opened.start(Clock::standing()).unwrap();
            let watching = tokio::spawn(storage.watch(Arc::clone(&state), builder));
            let server = Self { state, storage, disk, watching, _folder: folder };
            server.create("one").await.unwrap().unwrap();
            server
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
}
