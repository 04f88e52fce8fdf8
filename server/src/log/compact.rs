//! The thread that moves what is still read out of files of which most is not.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::log::{
    CheckpointEffect, Compaction, CompactionStep, FileNumber, GivenUp, Moved, Pressure, ReadFile,
};

use super::{
    disk::carry_out,
    keeping::Keeping,
    kept::Phase,
    owner::{Epoch, Owner},
    pace::{Backoff, Throttle},
};

/// The time between two looks for files.
const TICK: Duration = Duration::from_millis(500);
/// The bytes that are read and written between two looks at commits.
const SLICE: u64 = 256 << 10;

/// The thread; it ends after [`Kept::close`](super::kept::Kept::close).
#[derive(Debug)]
pub(super) struct Compactor {
    thread: JoinHandle<()>,
}

impl Compactor {
    pub(super) fn start(keeping: Keeping, owner: Arc<dyn Owner>) -> io::Result<Self> {
        let compacting = Compacting {
            keeping,
            owner,
            throttle: Throttle::default(),
            spent: 0,
            backoff: Backoff::default(),
        };
        let thread = std::thread::Builder::new()
            .name("pravega-compact".to_owned())
            .spawn(move || compacting.run())?;
        Ok(Self { thread })
    }

    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that compacts the log has panicked");
        }
    }
}

struct Compacting {
    keeping: Keeping,
    owner: Arc<dyn Owner>,
    throttle: Throttle,
    /// The bytes since the last look at commits.
    spent: u64,
    backoff: Backoff,
}

impl Compacting {
    fn run(mut self) {
        loop {
            let phase = match self.begin() {
                Some((compaction, victims, epoch)) => self.compact(compaction, &victims, epoch),
                None => self.keeping.kept.rest(TICK),
            };
            if phase == Phase::Ending {
                return;
            }
        }
    }

    /// Begins the compaction that frees most; `None` if none is worth it.
    fn begin(&mut self) -> Option<(Compaction, Vec<FileNumber>, Epoch)> {
        if !self.backoff.wait(Instant::now()).is_zero() {
            return None;
        }
        let epoch = self.owner.epoch();
        let Keeping { kept, folder, file_len, .. } = &self.keeping;
        let mut keeper = kept.keeper();
        let victims = keeper.victims(*file_len);
        if victims.is_empty() {
            return None;
        }
        let (output, random) = (keeper.next_moved(), (fastrand::u64(..), fastrand::u64(..)));
        let compaction = Compaction::new(*folder, output, &victims, keeper.index(), random)?;
        Some((compaction, victims, epoch))
    }

    fn compact(
        &mut self,
        mut compaction: Compaction,
        victims: &[FileNumber],
        epoch: Epoch,
    ) -> Phase {
        let leftovers = compaction.leftovers();
        loop {
            if self.pause() == Phase::Ending {
                self.remove(&leftovers);
                return Phase::Ending;
            }
            if self.owner.epoch() != epoch {
                compaction.abort();
            }
            let kept = Arc::clone(&self.keeping.kept);
            let _step = kept.step();
            match compaction.poll() {
                CompactionStep::Read { file, range } => {
                    let len = range.end.saturating_sub(range.start);
                    match self.keeping.disk.read_at(&file.name(), range.start, len) {
                        Ok(bytes) => {
                            self.spend(bytes.len());
                            let read = compaction.handle_read(bytes);
                            self.note(read, victims);
                        }
                        Err(error) => {
                            self.note_unread(file, &error, victims);
                            compaction.handle_gone();
                        }
                    }
                }
                CompactionStep::Judge(ranges) => {
                    compaction.handle_live(self.owner.live(&ranges));
                }
                CompactionStep::Effect(effect) => {
                    let outcome = carry_out(&*self.keeping.disk, &effect);
                    if let CheckpointEffect::Append { bytes, .. } = &effect {
                        self.spend(bytes.len());
                    }
                    let done = compaction.handle(outcome);
                    self.note(done, victims);
                }
                CompactionStep::Done(moved) => {
                    self.submit(*moved, &leftovers, epoch);
                    return Phase::Running;
                }
                CompactionStep::GivenUp | CompactionStep::Wait => {
                    self.remove(&leftovers);
                    return Phase::Running;
                }
            }
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.throttle.spend(Instant::now(), bytes as u64);
        self.spent += bytes as u64;
    }

    /// Leaves the disk to commits, for a while, unless there is hardly any space left.
    fn pause(&mut self) -> Phase {
        let kept = &self.keeping.kept;
        if self.spent < SLICE {
            return kept.rest(Duration::ZERO);
        }
        self.spent = 0;
        if kept.keeper().space().pressure() == Pressure::Critical {
            return kept.rest(Duration::ZERO);
        }
        self.keeping.leave_the_disk(self.throttle.wait(Instant::now()))
    }

    /// Submits what was moved: when that is durable, the victims are removed.
    fn submit(&mut self, moved: Moved, leftovers: &[String; 3], epoch: Epoch) {
        let Keeping { kept, inbox, .. } = &self.keeping;
        let (records, mut moved) = (moved.records(), Some(moved));
        let submitted = self.owner.submit(epoch, &mut |sequence| {
            // A commit of the batch finds this note: it waits for the same lock.
            let mut keeper = kept.keeper();
            inbox.submit(sequence, records.clone())?;
            if let Some(moved) = moved.take() {
                keeper.move_files(moved, leftovers.clone(), sequence);
            }
            Ok(())
        });
        match submitted {
            Ok(()) => self.backoff.succeed(),
            Err(_) => {
                self.backoff.fail(Instant::now());
                self.remove(leftovers);
            }
        }
    }

    fn note(&mut self, step: Result<(), GivenUp>, victims: &[FileNumber]) {
        match step {
            Ok(()) => {}
            Err(GivenUp::Damaged { file, at }) => {
                tracing::error!(
                    file = file.name(),
                    at,
                    "the file is damaged: it takes space until it can be read"
                );
                self.shun(file, victims);
            }
            Err(GivenUp::Failed(outcome)) => {
                if self.backoff.fail(Instant::now()) {
                    tracing::warn!(?outcome, "cannot compact the log; it is tried again");
                }
            }
        }
    }

    fn note_unread(&mut self, file: ReadFile, error: &io::Error, victims: &[FileNumber]) {
        if error.kind() == io::ErrorKind::NotFound {
            // One that is not needed any longer was given up meanwhile.
            if self.is_needed(file) {
                tracing::error!(file = file.name(), "a file of the log is missing");
                self.shun(file, victims);
            }
        } else if self.backoff.fail(Instant::now()) {
            tracing::warn!(file = file.name(), %error, "cannot compact the log; it is tried again");
        }
    }

    fn is_needed(&self, file: ReadFile) -> bool {
        let keeper = self.keeping.kept.keeper();
        match file {
            ReadFile::Log(file) => keeper.index().salt(file).is_some(),
            ReadFile::Run(run) => keeper.index().run(run).is_some(),
        }
    }

    fn shun(&self, file: ReadFile, victims: &[FileNumber]) {
        let mut keeper = self.keeping.kept.keeper();
        match file {
            ReadFile::Log(file) => keeper.space_mut().note_unreadable(file),
            ReadFile::Run(_) => {
                victims.iter().for_each(|file| keeper.space_mut().note_unreadable(*file));
            }
        }
    }

    /// Removes what a compaction has written. What stays is removed at the next start.
    fn remove(&self, names: &[String; 3]) {
        self.keeping.remove_unused(names);
    }
}
