//! The files of a log as its threads know them, and what the commit thread tells the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_server_core::{
    log::{
        Committed, Entry, FileNumber, Full, Keeper, KnownSpans, OutOfOrder, SegmentNumber,
        SpaceSettings,
    },
    record::Sequence,
};

use crate::{folder::Kind, locks::lock};

/// Whether the threads go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Running,
    Ending,
}

/// What became known since it was taken last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The last durable batch, if there was a commit.
    pub(super) durable: Option<Sequence>,
    /// The bytes and records that commits added to the log.
    pub(super) grown: Grown,
    /// Files that are not needed any longer.
    pub(super) gone: Vec<FileNumber>,
    /// The names of files that were never used.
    pub(super) leftovers: Vec<String>,
    /// How often batches were refused.
    pub(super) refusals: u64,
}

/// What commits added to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Grown {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// How long the index of the file that is written is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexSize {
    Usual,
    /// The file should end.
    Full,
}

#[derive(Debug, Default)]
struct State {
    news: News,
    /// The state of a thread that takes the news.
    listener: Listener,
    phase: Phase,
    /// The steps that change files, which are under way.
    steps: usize,
    quiet: Quietness,
    /// The names of files that are not removed, and by how many that is wanted.
    pinned: BTreeMap<String, usize>,
    /// Those of them that are not needed any longer.
    removable: BTreeSet<String>,
}

/// Files that are not removed until they are released, or this is dropped.
#[derive(Debug)]
pub(crate) struct Pins {
    kept: Arc<Kept>,
    names: BTreeSet<String>,
}

impl Pins {
    /// Returns true if a file is kept.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Releases a file.
    pub(crate) fn release(&mut self, name: &str) {
        if self.names.remove(name) {
            self.kept.unpin([name]);
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        self.kept.unpin(self.names.iter().map(String::as_str));
    }
}

/// Whether steps are begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Quietness {
    #[default]
    None,
    Wanted,
}

/// A step that removes, renames or adds files.
#[derive(Debug)]
pub(super) struct Step<'a> {
    kept: &'a Kept,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let mut state = self.kept.state();
        state.steps -= 1;
        if state.quiet == Quietness::Wanted {
            drop(state);
            self.kept.changed.notify_all();
        }
    }
}

/// A time in which no step is under way.
#[derive(Debug)]
pub(crate) struct Quiet<'a> {
    kept: &'a Kept,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.kept.state().quiet = Quietness::None;
        self.kept.changed.notify_all();
    }
}

impl State {
    fn has_news(&self) -> bool {
        let News { durable, gone, leftovers, refusals, .. } = &self.news;
        durable.is_some() || !gone.is_empty() || !leftovers.is_empty() || *refusals > 0
    }
}

/// Whether the thread that takes the news is woken by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Listener {
    /// It works, or rests for a while.
    #[default]
    Away,
    Waits,
}

/// How full a folder is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FolderFill {
    /// The bytes of all files, and those that are queued for them.
    pub(crate) used: u64,
    /// The part of the limit that is not for freeing space, in bytes.
    pub(crate) usable: u64,
    /// The most bytes that all files may have.
    pub(crate) limit: u64,
}

/// The files of a log, for all its threads.
#[derive(Debug)]
pub(crate) struct Kept {
    keeper: Mutex<Keeper>,
    state: Mutex<State>,
    changed: Condvar,
    space: SpaceSettings,
    /// The bytes of all files.
    used: AtomicU64,
    /// Where the bytes of the next reads are, by those before.
    spans: Mutex<KnownSpans>,
    /// Memory of those, in bytes.
    held_by_spans: AtomicU64,
}

impl Kept {
    /// The files of a server with a memory limit in bytes.
    pub(crate) fn new(keeper: Keeper, space: SpaceSettings, memory: u64) -> Self {
        Self {
            used: AtomicU64::new(keeper.space().used()),
            keeper: Mutex::new(keeper),
            state: Mutex::default(),
            changed: Condvar::new(),
            space,
            spans: Mutex::new(KnownSpans::within(memory)),
            held_by_spans: AtomicU64::new(0),
        }
    }

    /// The known spans of a segment that may have bytes from an offset on.
    pub(super) fn spans_of(&self, segment: SegmentNumber, offset: u64) -> Vec<Entry> {
        lock(&self.spans).of(segment, offset)
    }

    /// Keeps the spans of a segment that a read knew at its end.
    pub(crate) fn keep_spans(&self, segment: SegmentNumber, spans: Vec<Entry>) {
        let mut known = lock(&self.spans);
        known.keep(segment, spans);
        // Under the lock, so that the last one to keep some has the last word.
        self.held_by_spans.store(known.held(), Ordering::Relaxed);
    }

    /// Memory of the known spans, in bytes.
    pub(crate) fn held_by_spans(&self) -> u64 {
        self.held_by_spans.load(Ordering::Relaxed)
    }

    /// Checks whether there is space for more besides what is queued for the disk.
    ///
    /// # Errors
    ///
    /// [`Full`] if only what frees space is allowed.
    pub(crate) fn check_space(&self, queued: u64) -> Result<(), Full> {
        let SpaceSettings { limit: Some(limit), reserve } = self.space else { return Ok(()) };
        let used = self.used.load(Ordering::Relaxed);
        let needed = used.saturating_add(queued).saturating_add(reserve);
        if needed > limit { Err(Full { used, limit }) } else { Ok(()) }
    }

    /// How full the folder is, with what is queued for the disk; `None` if it has no limit.
    pub(super) fn fill(&self, queued: u64) -> Option<FolderFill> {
        let SpaceSettings { limit: Some(limit), reserve } = self.space else { return None };
        let used = self.used.load(Ordering::Relaxed).saturating_add(queued);
        Some(FolderFill { used, usable: limit.saturating_sub(reserve), limit })
    }

    /// Notes what all files take, by their names, kinds and lengths.
    pub(super) fn measured(&self, files: &[(String, Kind, u64)]) {
        let mut keeper = self.keeper();
        let space = keeper.space_mut();
        space.measure(files.iter().map(|(name, _, len)| (name.as_str(), *len)));
        self.used.store(space.used(), Ordering::Relaxed);
    }

    /// Notes that a file was removed, or stays.
    pub(super) fn end_removal(&self, name: &str) {
        if let Some(file) = FileNumber::of_name(name) {
            self.keeper().space_mut().end_removal(file);
        }
    }

    /// The files, which no thread holds for longer than a moment: commits need them.
    pub(crate) fn keeper(&self) -> MutexGuard<'_, Keeper> {
        lock(&self.keeper)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins a step of a thread that removes, renames or adds files.
    pub(super) fn step(&self) -> Step<'_> {
        let is_quiet = |state: &mut State| state.quiet == Quietness::Wanted;
        let state = self.changed.wait_while(self.state(), is_quiet);
        state.unwrap_or_else(PoisonError::into_inner).steps += 1;
        Step { kept: self }
    }

    /// Keeps the files as they are, but for those that commits are written to, until the guard is
    /// dropped.
    pub(crate) fn quiet(&self) -> Quiet<'_> {
        let mut state = self.state();
        state.quiet = Quietness::Wanted;
        let state = self.changed.wait_while(state, |state| state.steps > 0);
        drop(state.unwrap_or_else(PoisonError::into_inner));
        Quiet { kept: self }
    }

    /// Keeps files from being removed, in a time without steps: then they exist.
    pub(crate) fn pin(self: &Arc<Self>, names: BTreeSet<String>) -> Pins {
        let mut state = self.state();
        for name in &names {
            *state.pinned.entry(name.clone()).or_default() += 1;
        }
        drop(state);
        Pins { kept: Arc::clone(self), names }
    }

    fn unpin<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.tell(|state| {
            for name in names {
                match state.pinned.get_mut(name) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => drop(state.pinned.remove(name)),
                }
                if !state.pinned.contains_key(name) && state.removable.remove(name) {
                    state.news.leftovers.push(name.to_owned());
                }
            }
        });
    }

    /// Returns true if a file that is not needed any longer is kept for now. Its name is among the
    /// news once it is not.
    pub(super) fn defer(&self, name: &str) -> bool {
        let mut state = self.state();
        let is_pinned = state.pinned.contains_key(name);
        if is_pinned {
            state.removable.insert(name.to_owned());
        }
        is_pinned
    }

    /// Takes a commit, and what it adds to the log.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if the bytes of a segment do not follow those before them.
    pub(super) fn handle_committed(
        &self,
        committed: &Committed,
        grown: Grown,
    ) -> Result<IndexSize, OutOfOrder> {
        let mut keeper = self.keeper();
        let gone = keeper.handle_committed(committed)?;
        self.used.store(keeper.space().used(), Ordering::Relaxed);
        let size = if keeper.index().is_full() { IndexSize::Full } else { IndexSize::Usual };
        drop(keeper);
        self.tell(|State { news, .. }| {
            news.durable = Some(committed.sequence);
            news.grown.bytes = news.grown.bytes.saturating_add(grown.bytes);
            news.grown.records = news.grown.records.saturating_add(grown.records);
            news.gone.extend(gone);
        });
        Ok(size)
    }

    /// Notes the names of files that were never used. The folder is measured without them.
    pub(super) fn leave(&self, names: &[String]) {
        self.tell(|State { news, .. }| news.leftovers.extend_from_slice(names));
    }

    /// Notes that all batches after a durable one were refused.
    pub(super) fn handle_refused(&self, durable: Sequence) {
        let leftovers = self.keeper().handle_refused(durable);
        self.tell(|State { news, .. }| {
            news.refusals += 1;
            news.leftovers.extend(leftovers);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if state.listener == Listener::Waits {
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Takes what became known.
    pub(super) fn take_news(&self) -> News {
        mem::take(&mut self.state().news)
    }

    /// Waits for news, at most for a time; without one, for as long as it takes.
    pub(super) fn listen(&self, timeout: Option<Duration>) -> Phase {
        let mut state = self.state();
        state.listener = Listener::Waits;
        let goes_on = |state: &mut State| state.phase == Phase::Running && !state.has_news();
        state = match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(state, timeout, goes_on);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait_while(state, goes_on);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.listener = Listener::Away;
        state.phase
    }

    /// Waits for a time, unless the threads end.
    pub(super) fn rest(&self, time: Duration) -> Phase {
        let state = self.state();
        let goes_on = |state: &mut State| state.phase == Phase::Running;
        let waited = self.changed.wait_timeout_while(state, time, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.phase
    }

    /// Ends the threads after the steps that they are at.
    pub(crate) fn close(&self) {
        self.state().phase = Phase::Ending;
        self.changed.notify_all();
    }
}
