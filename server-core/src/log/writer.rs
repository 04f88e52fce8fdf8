//! Writing the log: batches go in, writes and syncs come out.
//!
//! ```text
//! submit ──> queue ──frame──> Write ──> Sync ──> Committed
//!                               │ no space
//!                               └──> Cut ──> Sync ──> Refused
//! ```
//!
//! A driver carries out one effect after the other, and reports how each ended. While it does,
//! batches gather for the next frame. A write that finds no space is taken back: nothing of it was
//! acknowledged, and once the cut is durable nothing of it can come back. So it is refused with all
//! batches after it, and the owner goes on from the last durable one. After any other failure the
//! content of the file is unknown, and nothing more is written.
//!
//! The next file is prepared by another thread before it is needed, so that no commit waits for it.

use std::{collections::VecDeque, fmt, mem, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{
    ahead::{Ahead, Extend, Extended, next_begins},
    effect::{Effect, MarkSync, Outcome},
    frame::{Closed, FRAME_HEAD_LEN, FileChange, FrameBuilder, LogRecord, MAX_BODY, TooLong},
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt, SpanPlace},
    mark::{Mark, MarkSlot},
    seeded_bugs::{Bug, has},
};
use crate::record::Sequence;

/// The configuration of a writer.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The folder of the log.
    pub folder: FolderId,
    /// The length after which the next file is begun, in bytes.
    pub file_len: u64,
    /// The length at which a frame takes no more batches, in bytes.
    pub frame_len: u64,
    /// The time between two marks.
    pub mark_every: Duration,
    /// The zeros that are kept after the last frame, in bytes; 0 if none are.
    pub ahead: u64,
    /// The length from which a frame is large: after one no zeros are added. In bytes.
    pub large_frame: u64,
}

impl Settings {
    /// The usual configuration for a folder.
    #[must_use]
    pub fn new(folder: FolderId) -> Self {
        Self {
            folder,
            file_len: 64 << 20,
            frame_len: 4 << 20,
            mark_every: Duration::from_millis(100),
            ahead: 8 << 20,
            large_frame: 256 << 10,
        }
    }
}

/// The most bytes that the records of a batch take in the log.
///
/// # Errors
///
/// [`TooLong`] if they cannot be written as a whole.
pub fn batch_len(records: &[LogRecord]) -> Result<u64, TooLong> {
    let len = records.iter().map(LogRecord::encoded_len).fold(0, u64::saturating_add);
    if len > MAX_BODY - BEGIN_LEN { Err(TooLong(len)) } else { Ok(len) }
}

/// Records that take effect together.
#[derive(Debug, Clone)]
struct Batch {
    sequence: Sequence,
    records: Vec<LogRecord>,
    len: u64,
}

/// Batches that became durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The last of them.
    pub sequence: Sequence,
    /// Where the bytes of segments are.
    pub spans: Vec<SpanPlace>,
    /// The file that ended before them, if they are the first in theirs.
    pub closed: Option<Closed>,
    /// The file that they are in, up to its present end.
    pub file: CurrentFile,
}

/// What became known by the end of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Batches became durable.
    Committed(Committed),
    /// There is no space for the batches after the last durable one. They are given up, and no more
    /// are taken until [`LogWriter::resume`].
    Refused {
        /// The last durable batch.
        durable: Sequence,
        /// The failure, as text.
        why: String,
    },
}

/// The reason why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It cannot be written as a whole.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Batches before it found no space.
    #[error("there is no space for the changes before this one")]
    NoSpace,
    /// Writing failed before, or the writer was closed.
    #[error("the log takes no more changes")]
    Ended,
}

/// The file that frames are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentFile {
    /// The number of the file.
    pub number: FileNumber,
    /// Its salt.
    pub salt: Salt,
    /// The length of its frames with its head, in bytes.
    pub len: u64,
}

/// The file after the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextFile {
    /// It was not asked for yet, or could not be prepared.
    Missing,
    /// A thread creates it.
    InHand(FileHead),
    /// Its head is durable, and so is its name.
    Ready(FileHead),
}

/// A frame on its way to the disk.
struct Commit {
    file: CurrentFile,
    bytes: Bytes,
    spans: Vec<SpanPlace>,
    closed: Option<Closed>,
    sequence: Sequence,
    /// The encoded length of its batches.
    len: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    Commit(Box<Commit>, CommitStep),
    /// A mark is being written.
    Marking(Place, MarkSync),
    /// Nothing more is written.
    Failed(String),
    /// Everything was written, and the mark.
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum CommitStep {
    Write,
    Writing,
    Sync,
    Syncing,
    /// The write found no space, and is taken back.
    Cut(String),
    Cutting(String),
    SyncCut(String),
    SyncingCut(String),
}

impl CommitStep {
    /// Returns true if the write is taken back.
    fn takes_back(&self) -> bool {
        !matches!(self, Self::Write | Self::Writing | Self::Sync | Self::Syncing)
    }
}

/// Whether more batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// Batches that were taken are refused.
    Refusing,
    Closed,
}

/// When the current file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileEnds {
    /// When it is long.
    ByLength,
    /// As soon as the next one is ready.
    Now,
}

/// The writer of a log.
pub struct LogWriter {
    settings: Settings,
    current: Option<CurrentFile>,
    ends: FileEnds,
    next: NextFile,
    ahead: Ahead,
    /// A file that ended while frames were large.
    leaves: Option<FileNumber>,
    queue: VecDeque<Batch>,
    queued: u64,
    state: State,
    intake: Intake,
    durable: Sequence,
    marked: Option<Place>,
    marked_at: Option<Duration>,
    slot: MarkSlot,
    /// The memory of the last frame, for the next one.
    memory: BytesMut,
}

/// The most bytes of the record that begins a file, with its head.
const BEGIN_LEN: u64 = 128;

impl fmt::Debug for LogWriter {
    /// Shows what is written where, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter")
            .field("current", &self.current)
            .field("next", &self.next)
            .field("queue", &self.queue.len())
            .field("queued", &self.queued)
            .field("state", &self.state)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

impl LogWriter {
    /// A writer that continues after the last frame of the current file; the first frame of a
    /// folder has none before it. A next file may be prepared already.
    #[must_use]
    pub fn new(
        settings: Settings,
        current: Option<CurrentFile>,
        next: Option<FileHead>,
        durable: Sequence,
        slot: MarkSlot,
    ) -> Self {
        Self {
            settings,
            current,
            ends: FileEnds::ByLength,
            next: next.map_or(NextFile::Missing, NextFile::Ready),
            ahead: Ahead::new(settings.ahead, settings.large_frame),
            leaves: None,
            queue: VecDeque::new(),
            queued: 0,
            state: State::Idle,
            intake: Intake::Open,
            durable,
            marked: None,
            marked_at: None,
            slot,
            memory: BytesMut::new(),
        }
    }

    /// Adds a batch.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if it is longer than one frame can have, or after the end of the writer.
    pub fn submit(&mut self, sequence: Sequence, records: Vec<LogRecord>) -> Result<(), NotTaken> {
        match self.intake {
            Intake::Open if !self.is_ended() => {}
            Intake::Refusing if !self.is_ended() => return Err(NotTaken::NoSpace),
            Intake::Open | Intake::Refusing | Intake::Closed => return Err(NotTaken::Ended),
        }
        let len = batch_len(&records)?;
        self.queued = self.queued.saturating_add(len);
        self.queue.push_back(Batch { sequence, records, len });
        Ok(())
    }

    /// The bytes of the batches that are not durable yet.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// The last durable batch.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        self.durable
    }

    /// The reason why nothing more is written; `None` while the writer works.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed(why) => Some(why),
            _ => None,
        }
    }

    /// Takes batches again after [`Event::Refused`], which continue after the last durable one.
    pub fn resume(&mut self) {
        if self.intake == Intake::Refusing && matches!(self.state, State::Idle) {
            self.intake = Intake::Open;
        }
    }

    /// Ends the current file, whatever its length, once the next one is ready.
    pub fn end_file(&mut self) {
        self.ends = FileEnds::Now;
    }

    /// Takes no more batches. Those in the queue are written, and a durable mark: that does not end
    /// while the next file is needed and cannot be created, so a driver has a deadline.
    pub fn close(&mut self) {
        self.intake = Intake::Closed;
    }

    /// Returns true if everything was written after [`close`](Self::close), or writing failed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Failed(_) | State::Ended)
    }

    /// The head of the file to create next: its head and its name must be durable before
    /// [`handle_prepared`](Self::handle_prepared). `None` if it is not needed yet.
    pub fn poll_prepare(&mut self, random: u64) -> Option<FileHead> {
        let is_long = |file: &CurrentFile| file.len >= next_begins(self.settings.file_len);
        let is_due = self.ends == FileEnds::Now || self.current.as_ref().is_none_or(is_long);
        if self.next != NextFile::Missing || !is_due {
            return None;
        }
        let number = self.current.map_or(FileNumber::FIRST, |file| file.number.next());
        let (kind, folder) = (FileKind::Log, self.settings.folder);
        let head = FileHead { kind, folder, number, salt: Salt(random) };
        self.next = match has(Bug::UsesUnprepared) {
            true => NextFile::Ready(head),
            false => NextFile::InHand(head),
        };
        Some(head)
    }

    /// Continues after the next file was created, or could not be.
    pub fn handle_prepared(&mut self, outcome: &Outcome) {
        if let NextFile::InHand(head) = self.next {
            self.next = match outcome {
                Outcome::Done => NextFile::Ready(head),
                Outcome::NoSpace(_) | Outcome::Failed(_) => NextFile::Missing,
            };
        }
    }

    /// Notes that the current file has zeros up to an offset, from before the start.
    pub fn set_zeros(&mut self, to: u64) {
        if let Some(CurrentFile { number: file, len, .. }) = self.current {
            self.ahead.set(Place { file, at: to.max(len) });
        }
    }

    /// The zeros to write next, if there are few after the last frame: the driver writes and syncs
    /// them beside commits, and then calls [`handle_extended`](Self::handle_extended).
    pub fn poll_extend(&mut self, now: Duration) -> Option<Extend> {
        let end = match &self.state {
            State::Idle | State::Marking(..) => self.end()?,
            State::Commit(commit, step) if !step.takes_back() => commit.end(),
            State::Commit(..) | State::Failed(_) | State::Ended => return None,
        };
        let next = match self.next {
            NextFile::Ready(FileHead { number, .. }) if number != end.file => {
                Some(Place { file: number, at: HEAD_LEN as u64 })
            }
            _ => None,
        };
        self.ahead.poll(now, end, next, self.settings.file_len)
    }

    /// Continues after zeros were written, or could not be. After a sync of them that failed,
    /// nothing more is written, as after that of a commit.
    pub fn handle_extended(&mut self, outcome: &Extended) {
        self.ahead.handle(outcome);
        if let (Extended::NotSynced(why), false) = (outcome, self.is_ended()) {
            self.give_up();
            self.state = State::Failed(why.clone());
        }
    }

    /// A file that has ended, and that the system need not keep in its memory: it was filled so
    /// fast that its pages are worth more to the files after it. A reader of what was just written
    /// gets it from the memory of the server.
    pub fn poll_leave(&mut self) -> Option<FileNumber> {
        self.leaves.take()
    }

    /// Returns false if a batch of a length would take space that the disk does not have: it had
    /// none for more zeros, and those that are left are needed. What takes space is refused then,
    /// before it is applied.
    #[must_use]
    pub fn has_room(&self, len: u64) -> bool {
        let needed = self.queued.saturating_add(len).saturating_add(BEGIN_LEN);
        // Perhaps in the next file, which has zeros of its own.
        let begins = self.target().map(|(file, _)| Place { file: file.number, at: file.len });
        !self.ahead.is_full() || needed <= self.ahead.left(begins)
    }

    /// The next effect; `None` while one is carried out, and if there is nothing to do before
    /// [`timeout`](Self::timeout).
    pub fn poll(&mut self, now: Duration) -> Option<Effect> {
        if let State::Idle = self.state {
            if let Some(effect) = self.mark(now) {
                return Some(effect);
            }
            self.begin_commit();
        }
        match &mut self.state {
            State::Commit(commit, step) => commit.poll(step, &mut self.ahead),
            State::Idle if self.intake == Intake::Closed && self.queue.is_empty() => self.last(),
            _ => None,
        }
    }

    /// The time at which [`poll`](Self::poll) has something to do, if nothing else happens.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Idle if self.is_unmarked() => Some(self.mark_at()),
            _ => None,
        }
    }

    /// Continues after the last effect.
    pub fn handle(&mut self, outcome: Outcome) -> Option<Event> {
        let state = mem::replace(&mut self.state, State::Idle);
        let (state, event) = match state {
            State::Commit(commit, step) => self.continue_commit(commit, step, outcome),
            State::Marking(end, sync) => {
                // A mark that could not be written is tried again later: the log is right.
                if outcome == Outcome::Done {
                    (self.marked, self.slot) = (Some(end), self.slot.other());
                }
                let state = if sync == MarkSync::Now { State::Ended } else { State::Idle };
                (state, None)
            }
            other => (other, None),
        };
        self.state = state;
        event
    }

    /// The end of the last durable frame; `None` if there is none.
    #[must_use]
    pub fn end(&self) -> Option<Place> {
        self.current.map(|file| Place { file: file.number, at: file.len })
    }

    fn is_unmarked(&self) -> bool {
        self.end() != self.marked
    }

    fn mark_at(&self) -> Duration {
        self.marked_at.map_or(Duration::ZERO, |at| at.saturating_add(self.settings.mark_every))
    }

    /// The mark, if it is time for one.
    fn mark(&mut self, now: Duration) -> Option<Effect> {
        let end = self.end().filter(|_| self.is_unmarked() && now >= self.mark_at())?;
        self.marked_at = Some(now);
        Some(self.mark_with(end, MarkSync::Lazy))
    }

    /// The mark after the last frame; `None` if there is no frame at all.
    fn last(&mut self) -> Option<Effect> {
        let Some(end) = self.end() else {
            self.state = State::Ended;
            return None;
        };
        Some(self.mark_with(end, MarkSync::Now))
    }

    fn mark_with(&mut self, end: Place, sync: MarkSync) -> Effect {
        self.state = State::Marking(end, sync);
        let mark = Mark { folder: self.settings.folder, end, sequence: self.durable };
        Effect::Mark { slot: self.slot, bytes: mark.encode().into(), sync }
    }

    /// The file for the next frame, and the one that ends before it; `None` if it must wait for
    /// the next file.
    fn target(&self) -> Option<(CurrentFile, Option<Closed>)> {
        let next = match self.next {
            NextFile::Ready(FileHead { number, salt, .. }) => {
                Some(CurrentFile { number, salt, len: HEAD_LEN as u64 })
            }
            _ => None,
        };
        let Some(current) = self.current else {
            return next.map(|next| (next, None));
        };
        let CurrentFile { number: file, len, .. } = current;
        let closed = Closed { file, len, sequence: self.durable.0 };
        let file_len = self.settings.file_len;
        match next.filter(|_| len >= file_len || self.ends == FileEnds::Now) {
            Some(next) => Some((next, Some(closed))),
            None => (len < file_len.saturating_mul(2)).then_some((current, None)),
        }
    }

    /// Makes a frame of the batches in the queue.
    fn begin_commit(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let Some((file, closed)) = self.target() else { return };
        let start = Place { file: file.number, at: file.len };
        let mut frame = FrameBuilder::new(file.salt, start, mem::take(&mut self.memory));
        if file.len == HEAD_LEN as u64 {
            frame.push(&LogRecord::File(FileChange::Begun { previous: closed }));
        }
        let (mut sequence, mut len, mut is_first) = (self.durable, 0, true);
        while let Some(batch) = self.queue.front()
            && (is_first || self.fits(&frame, batch))
        {
            batch.records.iter().for_each(|record| frame.push(record));
            (sequence, len, is_first) = (batch.sequence, len + batch.len, false);
            self.queue.pop_front();
        }
        self.state = match frame.finish(sequence) {
            Ok((bytes, spans)) => {
                self.ahead.note_frame(bytes.len() as u64);
                let commit = Commit { file, bytes, spans, closed, sequence, len };
                State::Commit(Box::new(commit), CommitStep::Write)
            }
            // Every batch was checked when it came.
            Err(error) => State::Failed(error.to_string()),
        };
    }

    /// Returns true if a batch may follow others in a frame.
    fn fits(&self, frame: &FrameBuilder, batch: &Batch) -> bool {
        frame.len() < self.settings.frame_len
            && frame.len().saturating_add(batch.len) <= MAX_BODY - BEGIN_LEN
    }

    fn continue_commit(
        &mut self,
        commit: Box<Commit>,
        step: CommitStep,
        outcome: Outcome,
    ) -> (State, Option<Event>) {
        let step = match (step, outcome) {
            (CommitStep::Writing, Outcome::Done) if !has(Bug::SkipsSync) => CommitStep::Sync,
            (CommitStep::Writing, Outcome::NoSpace(why)) => {
                self.give_up();
                if has(Bug::KeepsRefused) { CommitStep::SyncCut(why) } else { CommitStep::Cut(why) }
            }
            (CommitStep::Writing | CommitStep::Syncing, Outcome::Done) => {
                return (State::Idle, Some(Event::Committed(self.finish(*commit))));
            }
            (CommitStep::Cutting(why), Outcome::Done) if !has(Bug::CutsUnsynced) => {
                CommitStep::SyncCut(why)
            }
            (CommitStep::Cutting(why) | CommitStep::SyncingCut(why), Outcome::Done) => {
                let durable = self.durable;
                return (State::Idle, Some(Event::Refused { durable, why }));
            }
            (
                CommitStep::Writing
                | CommitStep::Syncing
                | CommitStep::Cutting(_)
                | CommitStep::SyncingCut(_),
                Outcome::NoSpace(why) | Outcome::Failed(why),
            ) => {
                self.give_up();
                return (State::Failed(why), None);
            }
            (other, _) => other,
        };
        (State::Commit(commit, step), None)
    }

    /// Gives up every batch that is not durable.
    fn give_up(&mut self) {
        self.queue.clear();
        self.queued = 0;
        if self.intake == Intake::Open {
            self.intake = Intake::Refusing;
        }
    }

    /// A frame is durable.
    fn finish(&mut self, commit: Commit) -> Committed {
        let Commit { mut file, bytes, spans, closed, sequence, len } = commit;
        if self.current.map(|current| current.number) != Some(file.number) {
            (self.next, self.ends) = (NextFile::Missing, FileEnds::ByLength);
        }
        file.len += bytes.len() as u64;
        self.leaves = closed.map(|closed| closed.file).filter(|_| self.ahead.is_large());
        self.current = Some(file);
        self.durable = sequence;
        self.queued = self.queued.saturating_sub(len);
        if bytes.len() as u64 <= 2 * self.settings.frame_len + FRAME_HEAD_LEN as u64 {
            self.memory = bytes.try_into_mut().unwrap_or_default();
        }
        Committed { sequence, spans, closed, file }
    }
}

impl fmt::Debug for Commit {
    /// Shows the length, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("file", &self.file)
            .field("len", &self.bytes.len())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Commit {
    fn place(&self) -> Place {
        Place { file: self.file.number, at: self.file.len }
    }

    fn end(&self) -> Place {
        let Place { file, at } = self.place();
        Place { file, at: at.saturating_add(self.len()) }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn poll(&self, step: &mut CommitStep, ahead: &mut Ahead) -> Option<Effect> {
        let file = self.file.number;
        let (next, effect) = match step {
            // Zeros that are being written there come first.
            CommitStep::Write if ahead.is_writing(self.place(), self.len()) => return None,
            CommitStep::Cut(_) if ahead.is_writing(self.place(), u64::MAX) => return None,
            CommitStep::Write => {
                let bytes = self.bytes.clone();
                (CommitStep::Writing, Effect::Write { place: self.place(), bytes })
            }
            CommitStep::Sync => (CommitStep::Syncing, Effect::Sync { file }),
            CommitStep::Cut(why) => {
                let end = self.place();
                ahead.cut(end);
                (CommitStep::Cutting(mem::take(why)), Effect::Cut { end })
            }
            CommitStep::SyncCut(why) => {
                (CommitStep::SyncingCut(mem::take(why)), Effect::Sync { file })
            }
            _ => return None,
        };
        *step = next;
        Some(effect)
    }
}
