//! The thread for work that no acknowledgement waits for.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use pravega_sdk_server_core::log::{FileHead, Outcome};

use super::{
    disk::{Disk, outcome},
    inbox::Inbox,
};

/// The wait after the first failure, and the longest one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Work for the keeper.
#[derive(Debug)]
enum Task {
    /// Create the next file of the log.
    Prepare(FileHead),
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
        // The log asks for one file at a time.
        let (tasks, receiver) = sync_channel(1);
        let keeping = Keeping { disk, inbox, tasks: receiver, wait: None };
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
    /// The wait after the last failure.
    wait: Option<Duration>,
}

impl Keeping {
    fn run(mut self) {
        while let Ok(Task::Prepare(head)) = self.tasks.recv() {
            let outcome = outcome(self.prepare(&head));
            if !self.may_report(&head, &outcome) {
                return;
            }
            self.inbox.prepared(outcome);
        }
    }

    fn prepare(&self, head: &FileHead) -> io::Result<()> {
        self.disk.create(&head.number.name(), &head.encode())?;
        self.disk.sync_folder()
    }

    /// Waits after a failure, so that it is not tried again at once; returns false if the keeper
    /// should end.
    fn may_report(&mut self, head: &FileHead, outcome: &Outcome) -> bool {
        let (Outcome::NoSpace(error) | Outcome::Failed(error)) = outcome else {
            self.wait = None;
            return true;
        };
        let file = head.number.name();
        if self.wait.is_none() {
            tracing::warn!(
                file,
                error,
                "cannot create the next file of the log; it is tried again"
            );
        }
        let wait = self.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
        self.wait = Some(wait);
        // No other task comes before this one is reported.
        matches!(self.tasks.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
    }
}
