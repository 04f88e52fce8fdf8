//! The thread that writes runs and checkpoints, and gives up files in which nothing is read.
//!
//! ```text
//! news of commits ──> files to remove
//!                 ──> runs of files that ended
//!                 ──> what the owner has freed ──> which files had it
//!                 ──> a checkpoint, in short slices
//!                 ──> files that seem dead ──each span is judged──> given up by a batch
//! ```
//!
//! Whatever fails here is tried again later, and the log goes on meanwhile.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::{
    log::{
        CheckpointEffect, Checkpoints, Coverage, FileNumber, Freed, FreedStep, NextOfCheckpoint,
        Outcome,
    },
    record::Sequence,
};

use super::{
    deaths::Deaths,
    disk::carry_out,
    keeping::Keeping,
    kept::{News, Phase},
    owner::{Changes, Epoch, Keys, Owner, SegmentRange},
    pace::{Backoff, Throttle},
    runs::write_run,
};

/// The time between two looks at the news.
const TICK: Duration = Duration::from_millis(100);
/// The time between two checkpoints that are written to free space or memory.
const APART: Duration = Duration::from_secs(1);
/// The most reads of runs between two looks at the news.
const READS: usize = 256;
/// The most ranges that wait until they are counted. If there are more, all files are counted
/// again.
const MOST_FREED: usize = 65_536;

/// The thread; it ends after [`Kept::close`](super::kept::Kept::close).
#[derive(Debug)]
pub(super) struct Tidy {
    thread: JoinHandle<()>,
}

impl Tidy {
    pub(super) fn start(
        keeping: Keeping,
        owner: Arc<dyn Owner>,
        checkpoints: Checkpoints,
        durable: Sequence,
    ) -> io::Result<Self> {
        let tidying = Tidying {
            keeping,
            owner,
            checkpoints,
            durable,
            state: OwnersState::Changed,
            epoch: Epoch::default(),
            removals: VecDeque::new(),
            keys_held: 0,
            freed: VecDeque::new(),
            counting: None,
            counted_at_end: None,
            deaths: Deaths::default(),
            throttle: Throttle::default(),
            indexing: Backoff::default(),
            checkpointing: Backoff::default(),
            begun: None,
        };
        let thread = std::thread::Builder::new()
            .name("pravega-tidy".to_owned())
            .spawn(move || tidying.run())?;
        Ok(Self { thread })
    }

    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that tidies the log has panicked");
        }
    }
}

/// Whether the owner may have changes that were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnersState {
    Taken,
    Changed,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// More work, at once.
    Work,
    /// More work, after a time.
    After(Duration),
    /// Whatever commits bring, or what failed before, after a time.
    News(Option<Duration>),
}

struct Tidying {
    keeping: Keeping,
    owner: Arc<dyn Owner>,
    checkpoints: Checkpoints,
    durable: Sequence,
    state: OwnersState,
    /// That of the owner's state which the checkpoint has, and what was freed.
    epoch: Epoch,
    /// The names of files that are not needed.
    removals: VecDeque<String>,
    /// The memory of keys that the owner knows of.
    keys_held: u64,
    /// Ranges that were freed by batches up to one.
    freed: VecDeque<(Sequence, SegmentRange)>,
    counting: Option<Freed>,
    /// The batch up to which freed ranges must be counted before the end of the checkpoint is
    /// written.
    counted_at_end: Option<Sequence>,
    deaths: Deaths,
    throttle: Throttle,
    indexing: Backoff,
    checkpointing: Backoff,
    /// When the last checkpoint was begun.
    begun: Option<Instant>,
}

impl Tidying {
    fn run(mut self) {
        loop {
            let news = self.keeping.kept.take_news();
            self.hear(news);
            let kept = Arc::clone(&self.keeping.kept);
            let step = kept.step();
            let next = self.work();
            drop(step);
            let phase = match next {
                Next::Work => kept.rest(Duration::ZERO),
                Next::After(time) => kept.rest(time),
                Next::News(timeout) => match kept.rest(TICK) {
                    Phase::Running => kept.listen(timeout),
                    Phase::Ending => Phase::Ending,
                },
            };
            if phase == Phase::Ending {
                return;
            }
        }
    }

    fn hear(&mut self, news: News) {
        let News { durable, grown, gone, leftovers, refusals } = news;
        self.checkpoints.grow(grown.bytes, grown.records);
        self.removals.extend(gone.into_iter().map(FileNumber::name));
        self.removals.extend(leftovers);
        if let Some(durable) = durable {
            (self.durable, self.state) = (durable, OwnersState::Changed);
        }
        if refusals > 0 {
            self.forget();
        }
        // After the news: until the owner has taken the refused changes back, the checkpoint that
        // was begun since the refusal has them too, and its batches seem durable later.
        self.note_epoch(self.owner.epoch());
    }

    fn note_epoch(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.forget();
        }
    }

    /// Forgets what the owner told: changes of it were refused.
    fn forget(&mut self) {
        // What was freed may be read again. The owner tells what is not.
        self.checkpoints.abort();
        // It may be another one, which knows of none.
        self.note_keys();
        self.freed.clear();
        (self.counting, self.state) = (None, OwnersState::Changed);
    }

    /// Does one piece of work.
    fn work(&mut self) -> Next {
        self.remove();
        if self.write_run() || self.count_freed() {
            return Next::Work;
        }
        if let Some(next) = self.checkpoint() {
            return next;
        }
        if self.deaths.give_up(&self.keeping, &*self.owner) {
            return Next::Work;
        }
        self.measure();
        let now = Instant::now();
        let again =
            self.begun.map_or(Duration::ZERO, |at| (at + APART).saturating_duration_since(now));
        let waits =
            [self.indexing.wait(now), self.checkpointing.wait(now), self.deaths.wait(now), again];
        Next::News(waits.into_iter().filter(|wait| !wait.is_zero()).min())
    }

    /// Removes files that are not needed. One that stays is removed at the next start.
    fn remove(&mut self) {
        while let Some(name) = self.removals.pop_front() {
            let is_deferred = self.keeping.kept.defer(&name);
            if !is_deferred && let Err(error) = self.keeping.disk.remove(&name) {
                tracing::warn!(name, %error, "cannot remove a file that is not needed any longer");
            }
            self.keeping.kept.end_removal(&name);
        }
    }

    /// Writes or merges a run; returns true if there was one to write.
    fn write_run(&mut self) -> bool {
        let now = Instant::now();
        if !self.indexing.wait(now).is_zero() {
            return false;
        }
        let Keeping { disk, kept, folder, .. } = &self.keeping;
        let Some(work) = kept.keeper().index().work() else { return false };
        match write_run(&**disk, *folder, kept, &work) {
            Ok(len) => {
                self.indexing.succeed();
                self.throttle.spend(now, len);
            }
            Err(failure) => {
                if self.indexing.fail(now) {
                    tracing::warn!(%failure, "cannot write the log's index; it is tried again");
                }
            }
        }
        true
    }

    /// Takes what the owner has changed.
    fn take_changes(&mut self) {
        let Changes { touched, touched_coverage, freed, freed_coverage, up_to, epoch } =
            self.owner.take_changes();
        self.note_epoch(epoch);
        self.checkpoints.note_touched(touched, touched_coverage);
        self.freed.extend(freed.into_iter().map(|range| (up_to, range)));
        if freed_coverage == Coverage::Partial || self.freed.len() > MOST_FREED {
            self.freed.clear();
            self.keeping.kept.keeper().space_mut().doubt();
        }
        self.state = OwnersState::Taken;
        if self.checkpoints.is_at_end() {
            self.counted_at_end.get_or_insert(up_to);
        }
    }

    /// Takes the keys of what the owner has changed, before it is asked for the values.
    fn take_keys(&mut self) {
        let Keys { keys, coverage } = self.owner.take_keys();
        keys.into_iter().for_each(|key| self.checkpoints.touch(key));
        if coverage == Coverage::Partial {
            self.checkpoints.touch_all();
        }
        self.note_keys();
    }

    /// Tells the owner what the keys take that it does not have.
    fn note_keys(&mut self) {
        self.keys_held = self.checkpoints.held();
        self.owner.note_keys(self.keys_held);
    }

    /// Finds out which files had bytes that were freed; returns true if more is left.
    fn count_freed(&mut self) -> bool {
        if self.state == OwnersState::Changed {
            self.take_changes();
        }
        for _ in 0..READS {
            let Some(mut freed) = self.next_freed() else { return false };
            match freed.poll() {
                FreedStep::Read { file, range } => {
                    let len = range.end.saturating_sub(range.start);
                    match self.keeping.disk.read_at(&file.name(), range.start, len) {
                        Ok(bytes) => {
                            // What is not counted takes space until the file is counted again.
                            if let Err(damaged) = freed.handle_read(&bytes) {
                                tracing::warn!(%damaged, "the index of the log");
                            }
                        }
                        Err(_) => freed.handle_gone(),
                    }
                    self.counting = Some(freed);
                }
                FreedStep::Done(counts) => {
                    let mut keeper = self.keeping.kept.keeper();
                    counts.into_iter().for_each(|(file, len)| keeper.space_mut().free(file, len));
                }
            }
        }
        true
    }

    /// The count that is under way, or the next one of a range whose change is durable: then its
    /// bytes are in the index.
    fn next_freed(&mut self) -> Option<Freed> {
        if let Some(freed) = self.counting.take() {
            return Some(freed);
        }
        self.freed.front().filter(|(up_to, _)| *up_to <= self.durable)?;
        let (_, (segment, range)) = self.freed.pop_front()?;
        Some(Freed::new(segment, range, self.keeping.kept.keeper().index()))
    }

    /// One step of a checkpoint; `None` if there is none.
    fn checkpoint(&mut self) -> Option<Next> {
        let now = Instant::now();
        if self.checkpoints.is_idle()
            && self.checkpointing.wait(now).is_zero()
            && (self.checkpoints.is_due() || self.is_wanted(now))
        {
            self.begun = Some(now);
            self.begin_checkpoint();
        }
        let wait = self.throttle.wait(now);
        if !wait.is_zero() {
            return Some(Next::After(wait));
        }
        if self.checkpoints.is_at_end() && !self.note_live() {
            return None;
        }
        let next = self.checkpoints.poll(self.durable);
        if self.checkpoints.held() != self.keys_held {
            self.note_keys();
        }
        match next {
            NextOfCheckpoint::Idle | NextOfCheckpoint::Wait => return None,
            NextOfCheckpoint::Slice(slice) => {
                let (entries, up_to) = self.owner.slice(&slice);
                self.checkpoints.handle_slice(&entries, up_to);
                if self.checkpoints.is_at_end() {
                    // What was freed until now is counted next.
                    (self.state, self.counted_at_end) = (OwnersState::Changed, None);
                }
            }
            NextOfCheckpoint::Effect(effect) => self.carry_out(&effect),
            NextOfCheckpoint::Completed(position) => {
                self.checkpointing.succeed();
                let runs = self.keeping.kept.keeper().complete_checkpoint(&position);
                self.removals.extend(runs.into_iter().map(|run| run.name()));
            }
        }
        Some(Next::Work)
    }

    /// Notes in the checkpoint how much of its files can be read; returns false while ranges that
    /// were freed before its last slice are not counted, as their batches are not durable.
    fn note_live(&mut self) -> bool {
        let is_counted = |(of, _): &(Sequence, SegmentRange)| {
            self.counted_at_end.is_some_and(|up_to| *of > up_to)
        };
        if !self.freed.front().is_none_or(is_counted) {
            return false;
        }
        let keeper = self.keeping.kept.keeper();
        self.checkpoints.note_live(|file| keeper.recorded(file));
        true
    }

    /// Returns true if a checkpoint would give memory back, or if files could be given up or moved
    /// after one, which a start reads before it.
    fn is_wanted(&self, now: Instant) -> bool {
        if self.begun.is_some_and(|begun| now < begun + APART) {
            return false;
        }
        if self.checkpoints.is_pressed() {
            return true;
        }
        let Keeping { kept, file_len, .. } = &self.keeping;
        let keeper = kept.keeper();
        let Some(first) = keeper.index().oldest_in_memory() else { return false };
        let space = keeper.space();
        let (dead, victims) = (keeper.candidates(), keeper.victims(*file_len));
        space.candidates(first).any(|file| !dead.contains(&file))
            || space.victims(first, *file_len).iter().any(|file| !victims.contains(file))
    }

    fn begin_checkpoint(&mut self) {
        // Before the position is known: all changes before it are among these.
        self.take_keys();
        let kept = &self.keeping.kept;
        self.checkpoints.begin(|| kept.keeper().begin_checkpoint(), fastrand::u64(..));
    }

    fn carry_out(&mut self, effect: &CheckpointEffect) {
        if let CheckpointEffect::Remove { name } = effect {
            // In the same order.
            self.removals.push_back(name.clone());
            self.checkpoints.handle(&Outcome::Done);
            return;
        }
        let outcome = carry_out(&*self.keeping.disk, effect);
        let now = Instant::now();
        if let CheckpointEffect::Append { bytes, .. } = effect {
            self.throttle.spend(now, bytes.len() as u64);
        }
        if let Outcome::NoSpace(error) | Outcome::Failed(error) = &outcome
            && self.checkpointing.fail(now)
        {
            tracing::warn!(error, "cannot write a checkpoint of the log; it is tried again");
        }
        self.checkpoints.handle(&outcome);
    }

    /// Notes what all files take, after the removals that are under way.
    fn measure(&self) {
        let Ok(files) = self.keeping.disk.list() else { return };
        self.keeping.kept.measured(&files);
    }
}
