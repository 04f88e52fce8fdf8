//! What the threads that keep the files of a log share.

use std::{sync::Arc, time::Duration};

use pravega_sdk_server_core::log::FolderId;

use super::{
    disk::Disk,
    inbox::Inbox,
    kept::{Kept, Phase},
};

/// How long work in the background waits for commits at most, and between two looks at them.
const YIELDS: Duration = Duration::from_millis(50);
const YIELD: Duration = Duration::from_millis(2);

/// What the threads that keep files share.
#[derive(Debug, Clone)]
pub(super) struct Keeping {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) inbox: Inbox,
    pub(super) kept: Arc<Kept>,
    pub(super) folder: FolderId,
    /// The length after which a log file ends.
    pub(super) file_len: u64,
}

impl Keeping {
    /// Removes files that were never used. The folder may have been measured with them, and while
    /// it seems full no commit has it measured again.
    pub(super) fn remove_unused(&self, names: &[String]) {
        for name in names {
            self.disk.remove(name).ok();
        }
        self.kept.leave(names);
    }

    /// Rests for a time, and then until no commit waits for the disk, but not for long.
    pub(super) fn leave_the_disk(&self, time: Duration) -> Phase {
        let mut phase = self.kept.rest(time);
        let mut waited = Duration::ZERO;
        while phase == Phase::Running && self.inbox.queued() > 0 && waited < YIELDS {
            phase = self.kept.rest(YIELD);
            waited += YIELD;
        }
        phase
    }
}
