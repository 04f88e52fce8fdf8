//! The folder of a server: what is read back when it starts, and the log that goes on.

use std::{
    io,
    ops::Range,
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use pravega_sdk_server_core::{
    Restoring,
    log::{Contents, Event, KEEPING_NAME, NotTaken, Place, PlacedRecord, Slice, StateEntry},
    machine::Machine,
    record::{Durability, Sequence},
    store::{Fetch, Gathered, Unreadable},
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
        self, Changes, Disk, Epoch, Files, Keys, LogHandle, OpenedLog, Owner, ReadFailure, Replay,
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
        let handle = LogHandle::new(keeper, configure.space, configure.memory);
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
                    tracing::error!(
                        why,
                        "no more changes are taken, and reading goes on: read out what is needed, \
                         and start the server again once the cause is gone"
                    );
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
            let touched = (machine.touched(), machine.touched_coverage());
            (touched, machine.take_freed(), machine.journal.latest(), self.epoch())
        });
        let (touched, touched_coverage) = touched;
        let freed_coverage = freed.coverage();
        let freed = freed.into_ranges();
        Changes { touched, touched_coverage, freed, freed_coverage, up_to, epoch }
    }

    fn take_keys(&self) -> Keys {
        let touched = self.with_machine(Machine::take_touched);
        let coverage = touched.coverage();
        Keys { keys: touched.into_keys().collect(), coverage }
    }

    fn note_keys(&self, held: u64) {
        self.with_machine(|machine| machine.note_keys(held));
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

    fn fetched(&self, fetch: &Fetch, read: Result<Gathered, ReadFailure>) {
        let failure = match read {
            Ok(bytes) => {
                self.run(|machine, _| machine.store.fetched(fetch, bytes));
                return;
            }
            Err(failure) => failure,
        };
        let text = failure.to_string();
        let (why, is_of_the_disk) = match failure {
            ReadFailure::Damaged { .. } | ReadFailure::Missing(_) => {
                (Unreadable::Damaged(&text), false)
            }
            ReadFailure::Disk { .. } => (Unreadable::Now(&text), true),
        };
        let (is_missing, _) = self.run(|machine, _| machine.store.lost(fetch, why));
        if is_missing || is_of_the_disk {
            self.log_failure(&failure);
        }
    }
}

#[cfg(test)]
mod tests;
