//! When a checkpoint is written, what of, and in which order of calls of the disk.
//!
//! ```text
//! due ──> begin ──> slice, append ──> … ──> sync ──> wait for the log ──> rename ──> sync folder
//!                                                                                         │
//!                       files that it replaces are removed <── completed <────────────────┘
//! ```
//!
//! A slice is short, so that the owner's lock is held for a moment only, and a driver may wait
//! between any two steps. A checkpoint has what changed since the one before, until those together
//! are longer than their base: then the next one has everything. One that fails is given up, and
//! its changes are in the next. The keys of what changed take a small share of the memory at most:
//! if there are more, the next checkpoint has everything, and needs none of them.

use std::{collections::VecDeque, fmt, mem};

use bytes::Bytes;

use super::{
    bounded_keys::{BoundedKeys, Coverage},
    checkpoint::{
        CheckpointBuilder, CheckpointEnd, CheckpointFile, CheckpointNeeds, Position, StateEntry,
    },
    effect::Outcome,
    head::{FileHead, FileKind},
    ids::{FileNumber, FolderId, Salt},
    seeded_bugs::{Bug, has},
};
use crate::record::Sequence;

/// When checkpoints are written.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointSettings {
    /// The folder of the log.
    pub folder: FolderId,
    /// The bytes of the log after a checkpoint that make the next one due.
    pub tail_len: u64,
    /// The records of the log after a checkpoint that make the next one due.
    pub tail_records: u64,
    /// The most keys of a slice.
    pub slice: usize,
    /// The memory of keys of changed values that makes the next one due, in bytes.
    pub due_touched: u64,
    /// The most memory of such keys, in bytes.
    pub most_touched: u64,
}

impl CheckpointSettings {
    /// The usual configuration for a folder.
    #[must_use]
    pub fn new(folder: FolderId) -> Self {
        Self::within(folder, u64::MAX)
    }

    /// The configuration for a folder of a server with a memory limit, in bytes.
    #[must_use]
    pub fn within(folder: FolderId, memory: u64) -> Self {
        let most_touched = most_touched(memory);
        Self {
            folder,
            tail_len: 64 << 20,
            tail_records: 250_000,
            slice: 500,
            due_touched: most_touched / 4,
            most_touched,
        }
    }
}

/// The part of the memory that the keys of changed values may take.
const SHARE: u64 = 16;
/// The most memory that they take in any case.
const MOST_TOUCHED: u64 = 256 << 20;

/// The most memory of keys of changed values with a memory limit, in bytes.
pub(crate) fn most_touched(memory: u64) -> u64 {
    (memory / SHARE).min(MOST_TOUCHED)
}

/// The most checkpoints on top of one base.
const MAX_DELTAS: u64 = 8;

/// The checkpoints that a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The newest.
    pub newest: CheckpointFile,
    /// The length of its base, in bytes.
    pub base_len: u64,
    /// The length of all on top of the base, in bytes.
    pub deltas_len: u64,
}

/// The keys of a slice, whose present values the owner of the log tells.
#[derive(Clone, PartialEq, Eq)]
pub enum Slice {
    /// These keys, of which each is there or was removed.
    Keys(Vec<Bytes>),
    /// At most this many after a key, or from the first on, in the order of keys.
    After(Option<Bytes>, usize),
}

impl fmt::Debug for Slice {
    /// Shows the number of keys, not what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => f.debug_tuple("Keys").field(&keys.len()).finish(),
            Self::After(_, most) => f.debug_tuple("After").field(most).finish(),
        }
    }
}

/// A call of the disk.
#[derive(Clone, PartialEq, Eq)]
pub enum CheckpointEffect {
    /// Write bytes at the end of a file, which is created if they are the first.
    Append {
        /// The name.
        name: String,
        /// The length of the file before.
        at: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Make the content of a file durable.
    Sync {
        /// The name.
        name: String,
    },
    /// Rename a file.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Make the names of the files durable.
    SyncFolder,
    /// Remove a file, if it exists.
    Remove {
        /// The name.
        name: String,
    },
}

impl fmt::Debug for CheckpointEffect {
    /// Shows lengths, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { name, at, bytes } => f
                .debug_struct("Append")
                .field("name", name)
                .field("at", at)
                .field("len", &bytes.len())
                .finish(),
            Self::Sync { name } => f.debug_struct("Sync").field("name", name).finish(),
            Self::Rename { from, to } => {
                f.debug_struct("Rename").field("from", from).field("to", to).finish()
            }
            Self::SyncFolder => f.write_str("SyncFolder"),
            Self::Remove { name } => f.debug_struct("Remove").field("name", name).finish(),
        }
    }
}

/// The next step of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The owner tells the values of these keys: [`Checkpoints::handle_slice`].
    Slice(Slice),
    /// A call of the disk: [`Checkpoints::handle`].
    Effect(CheckpointEffect),
    /// The log is waited for, or a step under way.
    Wait,
    /// A checkpoint is complete and durable: no older change is read again.
    Completed(Position),
    /// There is nothing to do.
    Idle,
}

/// The step of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Slice,
    Append,
    Sync,
    /// The log must have the batches whose changes are in the checkpoint.
    WaitForLog,
    Rename,
    SyncFolder,
    Completed,
}

struct Job {
    file: CheckpointFile,
    position: Position,
    builder: Option<CheckpointBuilder>,
    end: CheckpointEnd,
    /// The keys that are left, or the last key of a base.
    left: Left,
    /// The keys of what changed, in order: those of the checkpoint, and of the next one if this one
    /// fails.
    keys: Vec<Bytes>,
    /// Whether these are all.
    coverage: Coverage,
    /// Memory of the keys.
    held: u64,
    len: u64,
    step: Step,
    is_under_way: Progress,
}

enum Left {
    /// The keys from this index on.
    Keys(usize),
    After(Option<Bytes>),
    Nothing,
}

/// Whether a step waits for its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Ready,
    UnderWay,
}

/// The checkpoints of a log.
pub struct Checkpoints {
    settings: CheckpointSettings,
    chain: Option<Chain>,
    /// The number of the last checkpoint that was begun.
    number: u64,
    /// The keys of changed values.
    dirty: BoundedKeys<Bytes>,
    /// Memory of the keys that the owner has, and whether they are all that it had.
    touched_elsewhere: (u64, Coverage),
    tail_len: u64,
    tail_records: u64,
    job: Option<Job>,
    /// Files that are no longer needed.
    removals: VecDeque<String>,
    removing: Progress,
}

impl fmt::Debug for Checkpoints {
    /// Shows how many keys changed, not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints")
            .field("chain", &self.chain)
            .field("number", &self.number)
            .field("touched", &self.dirty.len())
            .field("step", &self.job.as_ref().map(|job| job.step))
            .finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// The checkpoints of a folder that has some, or none. The keys of all changes after the newest
    /// must be [`touch`](Self::touch)ed.
    #[must_use]
    pub fn new(settings: CheckpointSettings, chain: Option<Chain>) -> Self {
        Self {
            settings,
            chain,
            number: chain.map_or(0, |chain| chain.newest.number),
            dirty: BoundedKeys::within(settings.most_touched),
            touched_elsewhere: (0, Coverage::Complete),
            tail_len: 0,
            tail_records: 0,
            job: None,
            removals: VecDeque::new(),
            removing: Progress::Ready,
        }
    }

    /// Notes that the value of a key changes.
    pub fn touch(&mut self, key: Bytes) {
        self.dirty.insert(key);
    }

    /// Notes that any value may have changed: the next checkpoint has all of them.
    pub fn touch_all(&mut self) {
        self.dirty.give_up();
    }

    /// Notes the memory of the keys of changed values that the owner has, in bytes, and whether
    /// they are all that it had.
    pub fn note_touched(&mut self, held: u64, coverage: Coverage) {
        self.touched_elsewhere = (held, coverage);
    }

    /// Memory of the keys of changed values, without those of the owner, in bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.dirty.held().saturating_add(self.job.as_ref().map_or(0, |job| job.held))
    }

    /// Notes what a commit adds to the log.
    pub fn grow(&mut self, bytes: u64, records: u64) {
        self.tail_len = self.tail_len.saturating_add(bytes);
        self.tail_records = self.tail_records.saturating_add(records);
    }

    /// The number of keys that changed since the newest checkpoint was begun.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.dirty.len()
    }

    /// Returns true if no checkpoint is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    /// Returns true if a checkpoint should begin.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let CheckpointSettings { tail_len, tail_records, .. } = self.settings;
        self.is_idle() && (self.tail_len >= tail_len || self.tail_records >= tail_records)
    }

    /// Returns true if a checkpoint should begin because the keys of changed values take memory, or
    /// took too much.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        let (elsewhere, coverage) = self.touched_elsewhere;
        let held = self.dirty.held().saturating_add(elsewhere);
        let coverage = self.dirty.coverage().and(coverage);
        self.is_idle()
            && (held >= self.settings.due_touched.max(1) || coverage == Coverage::Partial)
    }

    /// Begins a checkpoint whose state has every change up to a position: the end of a durable
    /// frame, or the start of a file. It needs the files up to there, and the runs of those before:
    /// bytes of segments are looked for from there on only.
    ///
    /// While one is being written none begins, and what it would need is not asked for: the files
    /// that are given up since then are those of the next one, and the one that is being written
    /// still names them.
    pub fn begin(&mut self, needs: impl FnOnce() -> Option<CheckpointNeeds>, random: u64) {
        if !self.is_idle() {
            return;
        }
        let Some(CheckpointNeeds { position, files, runs }) = needs() else { return };
        self.number += 1;
        let number = self.number;
        let base = self.chain.filter(|chain| {
            let deltas = chain.newest.number - chain.newest.base;
            self.dirty.coverage() == Coverage::Complete
                && chain.deltas_len < chain.base_len
                && deltas < MAX_DELTAS
                && chain.newest.number + 1 == number
        });
        let dirty = self.dirty.take();
        let (coverage, held) = (dirty.coverage(), dirty.held());
        let keys: Vec<Bytes> = dirty.into_keys().collect();
        let (base, left) = match base {
            Some(chain) => (chain.newest.base, Left::Keys(0)),
            None => (number, Left::After(None)),
        };
        let (kind, folder, salt) = (FileKind::Checkpoint, self.settings.folder, Salt(random));
        let head = FileHead { kind, folder, number: FileNumber(number), salt };
        (self.tail_len, self.tail_records) = (0, 0);
        self.touched_elsewhere = (0, Coverage::Complete);
        self.job = Some(Job {
            file: CheckpointFile { base, number },
            position,
            builder: Some(CheckpointBuilder::new(&head, position)),
            end: CheckpointEnd { up_to: position.sequence, files, runs },
            left,
            keys,
            coverage,
            held,
            len: 0,
            step: Step::Slice,
            is_under_way: Progress::Ready,
        });
    }

    /// Gives the checkpoint up that is being written: batches whose changes it has were refused.
    pub fn abort(&mut self) {
        if !has(Bug::KeepsAborted) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        if let Some(job) = self.job.take() {
            match job.coverage {
                Coverage::Complete => self.dirty.extend(job.keys),
                Coverage::Partial => self.touch_all(),
            }
            self.removals.push_back(job.file.unfinished_name());
            // The next one has everything: it does not need this number.
            self.tail_len = self.tail_len.max(self.settings.tail_len);
        }
    }

    /// The next step, when the log is durable up to a batch.
    pub fn poll(&mut self, durable: Sequence) -> Next {
        if self.removing == Progress::UnderWay {
            return Next::Wait;
        }
        if let Some(name) = self.removals.front() {
            self.removing = Progress::UnderWay;
            return Next::Effect(CheckpointEffect::Remove { name: name.clone() });
        }
        let Some(job) = &mut self.job else { return Next::Idle };
        if job.is_under_way == Progress::UnderWay {
            return Next::Wait;
        }
        let next = job.poll(durable, self.settings.slice);
        match next {
            Next::Wait => {}
            Next::Completed(_) => self.complete(),
            _ => job.is_under_way = Progress::UnderWay,
        }
        next
    }

    /// Continues with the entries of a slice, which have changes of batches up to one. Of some
    /// keys, those after the last entry are asked for again: a slice may be as short as one entry.
    pub fn handle_slice(&mut self, entries: &[StateEntry], up_to: Sequence) {
        let Some(job) = &mut self.job else { return };
        job.is_under_way = Progress::Ready;
        job.end.up_to = job.end.up_to.max(up_to.0);
        if let Some(builder) = &mut job.builder {
            for (key, value) in entries {
                builder.push(key, value.as_deref());
            }
        }
        job.left = match mem::replace(&mut job.left, Left::Nothing) {
            Left::Keys(from) => {
                let next = from.saturating_add(entries.len());
                if next >= job.keys.len() { Left::Nothing } else { Left::Keys(next) }
            }
            Left::After(_) => match entries.last() {
                Some((key, _)) => Left::After(Some(key.clone())),
                None => Left::Nothing,
            },
            Left::Nothing => Left::Nothing,
        };
        job.step = Step::Append;
    }

    /// Returns true if the checkpoint that is being written has all slices, and not its end yet.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.job.as_ref().is_some_and(|job| {
            matches!(job.left, Left::Nothing) && job.builder.is_some() && job.step == Step::Append
        })
    }

    /// Notes how many bytes of its files can be read, at the end. What was freed before the last
    /// slice may be in no change that a start applies: the slices have it already.
    pub fn note_live(&mut self, live: impl Fn(FileNumber) -> Option<u64>) {
        for file in self.job.iter_mut().flat_map(|job| &mut job.end.files) {
            file.live = live(file.number).unwrap_or(file.live).min(file.bytes);
        }
    }

    /// Continues after a call of the disk.
    pub fn handle(&mut self, outcome: &Outcome) {
        if self.removing == Progress::UnderWay {
            self.removing = Progress::Ready;
            // One that stays is removed at the next start.
            self.removals.pop_front();
            return;
        }
        let Some(job) = &mut self.job else { return };
        job.is_under_way = Progress::Ready;
        if *outcome != Outcome::Done {
            self.give_up();
            return;
        }
        job.step = match (job.step, &job.left) {
            (Step::Append, Left::Nothing) if job.builder.is_none() => Step::Sync,
            (Step::Append, Left::Nothing) => Step::Append,
            (Step::Append, _) => Step::Slice,
            (Step::Sync, _) => Step::WaitForLog,
            (Step::Rename, _) => Step::SyncFolder,
            (Step::SyncFolder, _) => Step::Completed,
            (step, _) => step,
        };
    }

    /// Notes the files that a complete checkpoint replaces.
    fn complete(&mut self) {
        let Some(job) = self.job.take() else { return };
        let Job { file, len, .. } = job;
        let is_base = file.base == file.number;
        let old = self.chain.filter(|_| is_base).map(|chain| chain.newest);
        if let Some(CheckpointFile { base, number: newest }) = old {
            // The newest first, so that what is left after a crash is a chain.
            let names = (base..=newest).rev().map(|number| CheckpointFile { base, number }.name());
            self.removals.extend(names);
        }
        self.chain = Some(match self.chain.filter(|_| !is_base) {
            Some(chain) => Chain { newest: file, deltas_len: chain.deltas_len + len, ..chain },
            None => Chain { newest: file, base_len: len, deltas_len: 0 },
        });
    }
}

impl Job {
    fn poll(&mut self, durable: Sequence, limit: usize) -> Next {
        let unfinished = self.file.unfinished_name();
        Next::Effect(match self.step {
            Step::Slice => return Next::Slice(self.slice(limit)),
            Step::Append => self.append(unfinished),
            Step::Sync => CheckpointEffect::Sync { name: unfinished },
            Step::WaitForLog if durable.0 < self.end.up_to && !has(Bug::SkipsWaitForLog) => {
                return Next::Wait;
            }
            Step::WaitForLog | Step::Rename => {
                self.step = Step::Rename;
                CheckpointEffect::Rename { from: unfinished, to: self.file.name() }
            }
            Step::SyncFolder => CheckpointEffect::SyncFolder,
            Step::Completed => return Next::Completed(self.position),
        })
    }

    fn slice(&self, limit: usize) -> Slice {
        match &self.left {
            Left::After(key) => Slice::After(key.clone(), limit),
            Left::Nothing => Slice::Keys(Vec::new()),
            Left::Keys(from) => {
                Slice::Keys(self.keys.iter().skip(*from).take(limit).cloned().collect())
            }
        }
    }

    /// The bytes of the last slice; after the last one, all that are left.
    fn append(&mut self, name: String) -> CheckpointEffect {
        let bytes = match (&self.left, self.builder.take()) {
            (Left::Nothing, Some(builder)) => builder.finish(&self.end),
            (_, Some(mut builder)) => {
                let bytes = builder.take();
                self.builder = Some(builder);
                bytes
            }
            (_, None) => Bytes::new(),
        };
        let at = self.len;
        self.len += bytes.len() as u64;
        CheckpointEffect::Append { name, at, bytes }
    }
}
