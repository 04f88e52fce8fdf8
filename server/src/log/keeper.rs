//! The thread for work that no acknowledgement waits for.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{Extend, Extended, FileHead, FileNumber, Outcome};

use super::{
    disk::{Disk, outcome},
    inbox::Inbox,
};

/// The wait after the first failure, and the longest one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The bytes of zeros that are written at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Work for the keeper.
#[derive(Debug)]
enum Task {
    /// Create the next file of the log.
    Prepare(FileHead),
    /// Write zeros ahead of the log.
    Extend(Extend),
    /// Take a file that has ended out of the system's cache.
    Leave(FileNumber),
}

/// The keeper's thread.
#[derive(Debug)]
pub(super) struct Keeper {
    tasks: SyncSender<Task>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread. It reports to the inbox of the commit thread.
    pub(super) fn start(disk: Arc<dyn Disk>, inbox: Inbox) -> io::Result<Self> {
        // The log asks for one task of each kind at a time, and to leave a file when it can.
        let (tasks, receiver) = sync_channel(3);
        let keeping = Keeping { disk, inbox, tasks: receiver, wait: None, late: None };
        let thread = std::thread::Builder::new()
            .name("pravega-keeper".to_owned())
            .spawn(move || keeping.run())?;
        Ok(Self { tasks, thread })
    }

    /// Creates the next file, and reports to the inbox how that ended.
    pub(super) fn prepare(&self, head: FileHead) {
        // The thread ends only after this handle.
        self.tasks.send(Task::Prepare(head)).ok();
    }

    /// Writes zeros, and reports to the inbox how that ended.
    pub(super) fn extend(&self, extend: Extend) {
        self.tasks.send(Task::Extend(extend)).ok();
    }

    /// Takes a file that has ended out of the system's cache, unless other tasks wait.
    pub(super) fn leave(&self, file: FileNumber) {
        self.tasks.try_send(Task::Leave(file)).ok();
    }

    /// Ends the thread after the call that it makes. Then it does not hold the folder any longer.
    pub(super) fn end(self) {
        drop(self.tasks);
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the log has panicked");
        }
    }
}

struct Keeping {
    disk: Arc<dyn Disk>,
    inbox: Inbox,
    tasks: Receiver<Task>,
    /// The wait after the last failure to create a file.
    wait: Option<Duration>,
    /// That failure, and when it is reported, so that it is not tried again at once.
    late: Option<(Instant, Outcome)>,
}

impl Keeping {
    fn run(mut self) {
        loop {
            let task = match &self.late {
                None => self.tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((at, _)) => {
                    self.tasks.recv_timeout(at.saturating_duration_since(Instant::now()))
                }
            };
            match task {
                Ok(Task::Prepare(head)) => self.prepare(&head),
                Ok(Task::Extend(extend)) => self.inbox.extended(self.extend(&extend)),
                Ok(Task::Leave(file)) => self.disk.will_not_read(&file.name()),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some((_, outcome)) = self.late.take() {
                        self.inbox.prepared(outcome);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn prepare(&mut self, head: &FileHead) {
        let file = head.number.name();
        let created = self.disk.create(&file, &head.encode());
        let outcome = outcome(created.and_then(|()| self.disk.sync_folder()));
        let (Outcome::NoSpace(error) | Outcome::Failed(error)) = &outcome else {
            self.wait = None;
            self.inbox.prepared(outcome);
            return;
        };
        if self.wait.is_none() {
            tracing::warn!(
                file,
                error,
                "cannot create the next file of the log; it is tried again"
            );
        }
        let wait = self.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
        self.wait = Some(wait);
        self.late = Some((Instant::now() + wait, outcome));
    }

    fn extend(&self, Extend { from, to }: &Extend) -> Extended {
        let (file, mut at) = (from.file.name(), from.at);
        while at < *to {
            let len = ZEROS.len().min(usize::try_from(*to - at).unwrap_or(usize::MAX));
            let zeros = ZEROS.get(..len).unwrap_or(&ZEROS);
            if let Err(error) = self.disk.write_at(&file, at, zeros) {
                return Extended::NotWritten(error.to_string());
            }
            at += len as u64;
        }
        match self.disk.sync(&file) {
            Ok(()) => Extended::Done,
            Err(error) => Extended::NotSynced(error.to_string()),
        }
    }
}
