//! A log with its threads.

use std::{io, sync::Arc};

use pravega_sdk_server_core::{
    log::{Checkpoints, Keeper, LogRecord, NotTaken, Settings, SpaceSettings},
    record::Sequence,
};

use super::{
    commit::{CommitThread, Sink},
    compact::Compactor,
    disk::Disk,
    inbox::Inbox,
    keeping::Keeping,
    kept::{FolderFill, Kept},
    open::OpenedLog,
    owner::Owner,
    readers::{Job, ReadQueue, Readers},
    scrub::Scrubber,
    tidy::Tidy,
};

/// What others need of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogHandle {
    inbox: Inbox,
    kept: Arc<Kept>,
    reads: ReadQueue,
}

impl LogHandle {
    /// The handle of a log with these files, of a server with a memory limit in bytes.
    pub(crate) fn new(keeper: Keeper, space: SpaceSettings, memory: u64) -> Self {
        Self {
            inbox: Inbox::default(),
            kept: Arc::new(Kept::new(keeper, space, memory)),
            reads: ReadQueue::default(),
        }
    }

    /// Adds a batch; see [`Inbox::submit`].
    pub(crate) fn submit(
        &self,
        sequence: Sequence,
        records: Vec<LogRecord>,
    ) -> Result<(), NotTaken> {
        self.inbox.submit(sequence, records)
    }

    /// The bytes of the batches that are not durable yet.
    pub(crate) fn queued(&self) -> u64 {
        self.inbox.queued()
    }

    /// What the threads share that keep the files.
    pub(super) fn keeping(&self, disk: &Arc<dyn Disk>, settings: &Settings) -> Keeping {
        Keeping {
            disk: Arc::clone(disk),
            inbox: self.inbox.clone(),
            kept: Arc::clone(&self.kept),
            folder: settings.folder,
            file_len: settings.file_len,
        }
    }

    /// Takes batches again after some were refused.
    pub(crate) fn resume(&self) {
        self.inbox.resume();
    }

    /// Adds a read; returns it if too many wait already.
    pub(crate) fn read(&self, job: Job) -> Result<(), Job> {
        self.reads.add(job)
    }

    /// Returns true if the disk had no space for the last batch.
    pub(crate) fn is_short(&self) -> bool {
        self.inbox.is_short()
    }

    /// The reason why only what frees space is taken; `None` while there is space.
    pub(crate) fn why_full(&self) -> Option<String> {
        if self.is_short() {
            return Some("the disk has no space left".to_owned());
        }
        let checked = self.kept.check_space(self.inbox.queued());
        checked.err().map(|full| full.to_string())
    }

    /// How full the folder is, with what is queued for it; `None` if it has no limit.
    pub(crate) fn fill(&self) -> Option<FolderFill> {
        self.kept.fill(self.inbox.queued())
    }

    /// Memory of the spans that are known for the next reads, in bytes.
    pub(crate) fn held_by_spans(&self) -> u64 {
        self.kept.held_by_spans()
    }

    /// A log that is not written.
    #[cfg(test)]
    pub(crate) fn without_threads() -> Self {
        let space = SpaceSettings { limit: None, reserve: 0 };
        Self::new(Keeper::new(space), space, u64::MAX)
    }

    /// Takes all batches as if they were written.
    #[cfg(test)]
    pub(crate) fn drain(&self) {
        let batches = self.inbox.take().batches;
        batches.into_iter().for_each(|batch| self.inbox.done_with(batch.len));
    }

    /// The files of the log.
    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// Ends the threads, after everything that was submitted is written.
    pub(crate) fn close(&self) {
        self.kept.close();
        self.reads.close();
        self.inbox.close();
    }
}

/// The threads of a log, which end after [`LogHandle::close`].
#[derive(Debug)]
pub(crate) struct RunningLog {
    commit: CommitThread,
    tidy: Tidy,
    compactor: Compactor,
    scrubber: Scrubber,
    readers: Readers,
}

impl RunningLog {
    /// Starts the threads of a log that was opened, all but its files, which the handle has.
    pub(crate) fn start(
        opened: OpenedLog,
        disk: &Arc<dyn Disk>,
        handle: &LogHandle,
        owner: &Arc<dyn Owner>,
        sink: impl Sink + 'static,
    ) -> io::Result<Self> {
        let OpenedLog { writer, sequence, settings, checkpoints, chain } = opened;
        let LogHandle { inbox, kept, reads } = handle;
        let keeping = handle.keeping(disk, &settings);
        let checkpoints = Checkpoints::new(checkpoints, chain);
        let started = || {
            Ok(Self {
                commit: CommitThread::start(
                    writer,
                    Arc::clone(disk),
                    inbox.clone(),
                    Arc::clone(kept),
                    sink,
                )?,
                tidy: Tidy::start(keeping.clone(), Arc::clone(owner), checkpoints, sequence)?,
                compactor: Compactor::start(keeping.clone(), Arc::clone(owner))?,
                scrubber: Scrubber::start(keeping, Arc::clone(owner))?,
                readers: Readers::start(disk, kept, reads, owner)?,
            })
        };
        let started = started();
        if started.is_err() {
            // Those that were started end.
            handle.close();
        }
        started
    }

    /// Waits for the end of all threads: then the folder is free.
    pub(crate) fn join(self) {
        self.readers.join();
        self.compactor.join();
        self.scrubber.join();
        self.tidy.join();
        self.commit.join();
    }
}
