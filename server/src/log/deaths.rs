//! Giving up files in which nothing is read.
//!
//! That nothing of a file is read is a hint at first, which a crash may have made wrong. So each
//! span of the file is judged by the owner of the log before a batch gives the file up.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{
    Entry, FileChange, FileNumber, LogRecord, NotTaken, Run, RunFile,
};

use super::{
    keeping::Keeping,
    owner::{Owner, SegmentRange},
    pace::Backoff,
    runs::{RunEntries, RunFailure},
};

/// The most files that are given up at once.
const FILES: usize = 8;
/// The time after which a file is tried again whose runs could not be read: a disk may fail for a
/// moment.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(600);
/// The most spans that the owner judges at once.
const JUDGED: usize = 500;

/// Which files were not given up, and why.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// Files whose runs could not be read, and when they are tried again.
    unknown: BTreeMap<FileNumber, Instant>,
    submitting: Backoff,
}

impl Deaths {
    /// How long to wait before the next attempt after one that failed.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.submitting.wait(now)
    }

    /// Gives up files in which nothing is read; returns true if there may be more.
    pub(super) fn give_up(&mut self, keeping: &Keeping, owner: &dyn Owner) -> bool {
        let now = Instant::now();
        if !self.submitting.wait(now).is_zero() {
            return false;
        }
        // Before anything is judged.
        let epoch = owner.epoch();
        let mut candidates = keeping.kept.keeper().candidates();
        self.unknown.retain(|_, again| *again > now);
        candidates.retain(|file| !self.unknown.contains_key(file));
        candidates.truncate(FILES);
        let had_some = !candidates.is_empty();
        let mut dead = Vec::new();
        for file in candidates {
            match live(keeping, owner, file) {
                Ok(0) => dead.push(file),
                Ok(live) => keeping.kept.keeper().space_mut().recount(file, live),
                Err(failure) => {
                    let file_name = file.name();
                    tracing::warn!(file_name, %failure, "cannot give up a file of the log");
                    self.unknown.insert(file, now + UNREADABLE_PAUSE);
                }
            }
        }
        if dead.is_empty() {
            return had_some;
        }
        let dropped = dead.iter().map(|file| LogRecord::File(FileChange::Dropped { file: *file }));
        let records: Vec<LogRecord> = dropped.collect();
        let submitted = owner.submit(epoch, &mut |sequence| {
            // A commit of the batch finds this note: it waits for the same lock.
            let mut keeper = keeping.kept.keeper();
            keeping.inbox.submit(sequence, records.clone())?;
            dead.iter().for_each(|file| keeper.drop_file(*file, sequence));
            Ok(())
        });
        match submitted {
            Ok(()) => self.submitting.succeed(),
            Err(NotTaken::TooLong(_) | NotTaken::NoSpace | NotTaken::Ended) => {
                self.submitting.fail(now);
            }
        }
        submitted.is_ok()
    }
}

/// The number of bytes of a file that can be read.
fn live(keeping: &Keeping, owner: &dyn Owner, file: FileNumber) -> Result<u64, RunFailure> {
    let runs: Vec<(RunFile, Run)> = {
        let keeper = keeping.kept.keeper();
        let runs = keeper.index().runs();
        runs.filter(|(run, _)| run.first <= file && file <= run.last).collect()
    };
    let failure = RefCell::new(None);
    let mut live = 0;
    for run in runs {
        let entries = RunEntries::open(&*keeping.disk, run, &failure)?;
        let mut ranges = entries.filter(|entry| entry.file == file).map(range);
        loop {
            let judged: Vec<SegmentRange> = ranges.by_ref().take(JUDGED).collect();
            if judged.is_empty() {
                break;
            }
            let parts = owner.live(&judged).into_iter().flatten();
            let lens = parts.map(|part| part.end.saturating_sub(part.start));
            live = lens.fold(live, u64::saturating_add);
        }
        if let Some(failure) = failure.take() {
            return Err(failure);
        }
    }
    Ok(live)
}

fn range(Entry { segment, from, to, .. }: Entry) -> SegmentRange {
    (segment, Range { start: from, end: to })
}
