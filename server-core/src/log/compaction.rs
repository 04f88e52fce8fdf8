//! Moving what is still read out of files of which most is not.
//!
//! ```text
//! spans of the victims ──> which parts can be read? ──> records, checked ──> frames of the output
//!                                                                                    │
//!   Moved and Dropped in one batch <── done <── synced, with its run <───────────────┘
//! ```
//!
//! Until the batch is durable, the victims have everything; after it, the output has. So a crash
//! leaves one of them that is not needed, which the recovery names. What can be read is judged
//! before the batch is submitted: if batches are refused in between, the compaction is given up, as
//! a range that was cut off may be back.

use std::{collections::VecDeque, fmt, mem, ops::Range};

use bytes::{Buf as _, Bytes, BytesMut};

use super::{
    checkpoints::CheckpointEffect,
    effect::Outcome,
    fetch::ReadFile,
    frame::{
        FRAME_HEAD_LEN, FileChange, FrameBuilder, FrameHead, LogRecord, MAX_DATA, MovedFile,
        read_record,
    },
    head::{FileHead, FileKind},
    ids::{FileNumber, FolderId, Place, Salt, SegmentNumber},
    index::{Index, Run, RunFile},
    run::{Directory, Entry, FOOTER_LEN, Footer, RunBuilder, read_block},
    seeded_bugs::{Bug, has},
    spans::FileSpans,
};
use crate::record::Sequence;

/// The usual length of a write, in bytes.
const WRITE_LEN: u64 = 256 << 10;
/// The most spans that are judged at once.
const JUDGED: usize = 500;

/// The next step of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompactionStep {
    /// Bytes of a file are needed, for [`Compaction::handle_read`].
    Read {
        /// The file.
        file: ReadFile,
        /// The places of the bytes.
        range: Range<u64>,
    },
    /// The owner tells which parts of these ranges can be read: [`Compaction::handle_live`].
    Judge(Vec<(SegmentNumber, Range<u64>)>),
    /// A call of the disk, for [`Compaction::handle`].
    Effect(CheckpointEffect),
    /// The output is durable. The owner submits [`Moved::records`] as one batch.
    Done(Box<Moved>),
    /// The compaction was given up. The owner removes [`Compaction::leftovers`].
    GivenUp,
    /// A step is under way.
    Wait,
}

/// The result of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The files that are not needed any longer once the batch is durable.
    pub victims: Vec<FileNumber>,
    /// The output; `None` if nothing of the victims can be read.
    pub output: Option<(MovedFile, Run)>,
}

impl Moved {
    /// The records of the batch after which the output is used, and the victims are removed.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        let moved = self.output.map(|(moved, _)| FileChange::Moved(moved));
        let dropped = self.victims.iter().map(|file| FileChange::Dropped { file: *file });
        moved.into_iter().chain(dropped).map(LogRecord::File).collect()
    }
}

/// The reason why a compaction was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// Bytes of a file are not those that were written.
    Damaged {
        /// The file.
        file: ReadFile,
        /// The offset of the damage in the file.
        at: u64,
    },
    /// Writing failed.
    Failed(Outcome),
}

#[derive(Debug)]
enum State {
    /// The directory of a victim's run is read.
    Directory,
    /// Its blocks are read.
    Blocks(VecDeque<Range<u64>>),
    /// The spans of all victims are known, in order.
    Next,
    /// The owner judges spans.
    Judging(Vec<Entry>),
    /// The records of a span are read.
    Records(Entry),
    Write(Step),
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Frames,
    Sync,
    Run,
    SyncRun,
    Rename,
    SyncFolder,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Ready,
    UnderWay,
}

/// The compaction of some files to one.
pub struct Compaction {
    head: FileHead,
    run_salt: Salt,
    victims: Vec<(FileNumber, Salt)>,
    /// Victims whose spans are not known yet, with their runs.
    left: VecDeque<(FileNumber, RunFile, Run)>,
    spans: Vec<Entry>,
    /// Spans to judge.
    unjudged: VecDeque<Entry>,
    /// Parts that can be read, by span.
    live: VecDeque<(Entry, Vec<Range<u64>>)>,
    /// Bytes that continue each other, for one record.
    joined: Option<(SegmentNumber, u64, BytesMut)>,
    frame: Option<FrameBuilder>,
    /// The length of the output, with what is in the frame not.
    len: u64,
    frames: u64,
    /// Bytes to write.
    out: BytesMut,
    output: FileSpans,
    /// The length of the run of the output, and its end.
    run: Option<(u64, Run)>,
    state: State,
    progress: Progress,
    /// The step after the call of the disk that is under way.
    after: Option<State>,
}

impl fmt::Debug for Compaction {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compaction")
            .field("output", &self.head.number)
            .field("victims", &self.victims)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Compaction {
    /// The compaction of files that have runs to a new file; `None` if one of them has none.
    #[must_use]
    pub fn new(
        folder: FolderId,
        output: FileNumber,
        victims: &[FileNumber],
        index: &Index,
        random: (u64, u64),
    ) -> Option<Self> {
        let (salt, run_salt) = (Salt(random.0), Salt(random.1));
        let head = FileHead { kind: FileKind::Moved, folder, number: output, salt };
        let run_of = |file: &FileNumber| {
            let mut runs = index.runs();
            let (run, content) = runs.find(|(run, _)| run.first <= *file && *file <= run.last)?;
            index.spans_of(*file).is_none().then_some((*file, run, content))
        };
        let left: Option<VecDeque<_>> = victims.iter().map(run_of).collect();
        let salts: Option<Vec<_>> =
            victims.iter().map(|file| Some((*file, index.salt(*file)?))).collect();
        Some(Self {
            head,
            run_salt,
            victims: salts?,
            left: left?,
            spans: Vec::new(),
            unjudged: VecDeque::new(),
            live: VecDeque::new(),
            joined: None,
            frame: None,
            len: 0,
            frames: 0,
            out: BytesMut::from(&head.encode()[..]),
            output: FileSpans::new(output),
            run: None,
            state: State::Directory,
            progress: Progress::Ready,
            after: None,
        })
    }

    /// The file that is written.
    #[must_use]
    pub fn output(&self) -> FileNumber {
        self.head.number
    }

    /// Gives the compaction up: batches were refused, or the owner ends.
    pub fn abort(&mut self) {
        self.state = State::Ended;
    }

    /// The names of the files that the compaction may have written, which are removed after it was
    /// given up.
    #[must_use]
    pub fn leftovers(&self) -> [String; 3] {
        let run = RunFile::of(self.head.number).name();
        [self.head.number.name(), unfinished(&run), run]
    }

    /// The next step.
    pub fn poll(&mut self) -> CompactionStep {
        loop {
            if self.progress == Progress::UnderWay {
                return CompactionStep::Wait;
            }
            let step = match &self.state {
                State::Directory => self.read_directory(),
                State::Blocks(blocks) => match (blocks.front().cloned(), self.left.front()) {
                    (Some(range), Some((_, run, _))) => {
                        let file = ReadFile::Run(*run);
                        Some(CompactionStep::Read { file, range })
                    }
                    _ => {
                        self.left.pop_front();
                        self.state = State::Directory;
                        None
                    }
                },
                State::Next => self.next(),
                State::Judging(entries) => {
                    let range = |entry: &Entry| (entry.segment, entry.from..entry.to);
                    Some(CompactionStep::Judge(entries.iter().map(range).collect()))
                }
                State::Records(entry) => {
                    let (file, range) = (ReadFile::Log(entry.file), entry.at..entry.end);
                    Some(CompactionStep::Read { file, range })
                }
                State::Write(step) => self.write(*step),
                State::Ended => Some(CompactionStep::GivenUp),
            };
            if let Some(step) = step {
                let waits = !matches!(step, CompactionStep::Done(_) | CompactionStep::GivenUp);
                self.progress = if waits { Progress::UnderWay } else { Progress::Ready };
                return step;
            }
        }
    }

    fn read_directory(&mut self) -> Option<CompactionStep> {
        match self.left.front() {
            Some((_, run, content)) => {
                let (file, range) = (ReadFile::Run(*run), content.footer.directory_place());
                Some(CompactionStep::Read { file, range })
            }
            None => {
                // Neighbours of a segment become neighbours in the output.
                self.spans.sort_unstable();
                self.unjudged = mem::take(&mut self.spans).into();
                self.state = State::Next;
                None
            }
        }
    }

    /// Continues after the file of the last read was not found.
    pub fn handle_gone(&mut self) {
        (self.progress, self.state) = (Progress::Ready, State::Ended);
    }

    /// Continues with the bytes of the last [`CompactionStep::Read`].
    ///
    /// # Errors
    ///
    /// [`GivenUp::Damaged`] if they are damaged: then the compaction is given up.
    pub fn handle_read(&mut self, bytes: Bytes) -> Result<(), GivenUp> {
        self.progress = Progress::Ready;
        let read = match mem::replace(&mut self.state, State::Ended) {
            State::Directory => self.take_directory(&bytes),
            State::Blocks(blocks) => self.take_block(blocks, &bytes),
            State::Records(entry) => self.take_records(&entry, bytes),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.state = read?;
        Ok(())
    }

    fn take_directory(&mut self, bytes: &[u8]) -> Result<State, GivenUp> {
        let Some((_, run, content)) = self.left.front() else { return Ok(State::Next) };
        match Directory::decode(bytes, content.salt, &content.footer) {
            Some(directory) => Ok(State::Blocks(directory.blocks().collect())),
            None => {
                let at = content.footer.directory_place().start;
                Err(GivenUp::Damaged { file: ReadFile::Run(*run), at })
            }
        }
    }

    fn take_block(
        &mut self,
        mut blocks: VecDeque<Range<u64>>,
        bytes: &[u8],
    ) -> Result<State, GivenUp> {
        if let (Some(place), Some((victim, run, content))) = (blocks.pop_front(), self.left.front())
        {
            let Some(entries) = read_block(bytes, content.salt, place.start) else {
                return Err(GivenUp::Damaged { file: ReadFile::Run(*run), at: place.start });
            };
            self.spans.extend(entries.into_iter().filter(|entry| entry.file == *victim));
        }
        Ok(State::Blocks(blocks))
    }

    /// Continues with the parts of each range of the last [`CompactionStep::Judge`] that can be
    /// read, in order.
    pub fn handle_live(&mut self, live: Vec<Vec<Range<u64>>>) {
        self.progress = Progress::Ready;
        if let State::Judging(entries) = &mut self.state {
            let entries = mem::take(entries).into_iter().zip(live);
            self.live.extend(entries.filter(|(_, parts)| !parts.is_empty()));
            self.state = State::Next;
        }
    }

    /// What comes after a span was moved, or spans were judged.
    fn next(&mut self) -> Option<CompactionStep> {
        if self.out.len() as u64 >= WRITE_LEN {
            return Some(self.append(State::Next));
        }
        if let Some((entry, _)) = self.live.front() {
            self.state = State::Records(*entry);
        } else if self.unjudged.is_empty() {
            self.state = State::Write(Step::Frames);
        } else {
            let count = self.unjudged.len().min(JUDGED);
            self.state = State::Judging(self.unjudged.drain(..count).collect());
        }
        None
    }

    /// Moves the parts of a span that can be read.
    fn take_records(&mut self, entry: &Entry, mut bytes: Bytes) -> Result<State, GivenUp> {
        let parts = self.live.pop_front().map(|(_, parts)| parts).unwrap_or_default();
        let salt = self.victims.iter().find(|(file, _)| *file == entry.file).map(|(_, salt)| *salt);
        let Some(salt) = salt else { return Ok(State::Ended) };
        let mut at = entry.at;
        while at < entry.end {
            if FrameHead::decode(&bytes, salt, at).is_some() {
                bytes.advance(FRAME_HEAD_LEN);
                at += FRAME_HEAD_LEN as u64;
                continue;
            }
            let Some(record) = read_record(&bytes, salt, at) else {
                return Err(GivenUp::Damaged { file: ReadFile::Log(entry.file), at });
            };
            bytes.advance(usize::try_from(record.end - at).unwrap_or(usize::MAX).min(bytes.len()));
            at = record.end;
            if let LogRecord::Data { segment, offset, data, .. } = record.record
                && segment == entry.segment
            {
                for part in &parts {
                    self.take_part(segment, offset, &data, part);
                }
            }
        }
        Ok(State::Next)
    }

    /// Adds what a record has of a part to the output.
    fn take_part(&mut self, segment: SegmentNumber, offset: u64, data: &Bytes, part: &Range<u64>) {
        let from = part.start.max(offset);
        let to = part.end.min(offset.saturating_add(data.len() as u64));
        let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(bytes) = data.get(place(from)..place(to)).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        let continues = self.joined.as_ref().is_some_and(|(of, at, joined)| {
            let is_next = *of == segment && at.saturating_add(joined.len() as u64) == from;
            is_next && joined.len() + bytes.len() <= MAX_DATA
        });
        if !continues {
            self.end_record();
        }
        let (_, _, joined) = self.joined.get_or_insert_with(|| (segment, from, BytesMut::new()));
        joined.extend_from_slice(bytes);
    }

    fn end_record(&mut self) {
        let Some((segment, offset, data)) = self.joined.take() else { return };
        let at = self.len + self.out.len() as u64;
        let start = Place { file: self.head.number, at };
        let salt = self.head.salt;
        let frame =
            self.frame.get_or_insert_with(|| FrameBuilder::new(salt, start, BytesMut::new()));
        frame.push(&LogRecord::Data { segment, offset, meta: Bytes::new(), data: data.freeze() });
        if frame.len() >= WRITE_LEN {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        let Some(frame) = self.frame.take() else { return };
        self.frames += 1;
        // Far below what a frame can have, and in the order of segments and offsets.
        if let Ok((bytes, spans)) = frame.finish(Sequence(self.frames)) {
            self.out.extend_from_slice(&bytes);
            let is_in_order = spans.iter().all(|span| self.output.add(span).is_ok());
            debug_assert!(is_in_order, "spans are sorted, and no byte is in two files");
        }
    }

    /// Writes the bytes so far, and continues with a state.
    fn append(&mut self, after: State) -> CompactionStep {
        let (at, bytes) = (self.len, self.out.split().freeze());
        self.len += bytes.len() as u64;
        self.after = Some(after);
        let name = self.head.number.name();
        CompactionStep::Effect(CheckpointEffect::Append { name, at, bytes })
    }

    fn write(&mut self, step: Step) -> Option<CompactionStep> {
        let run = RunFile::of(self.head.number).name();
        let (effect, after) = match step {
            Step::Frames => {
                self.end_record();
                self.end_frame();
                if self.output.count() == 0 {
                    return Some(self.done(None));
                }
                let after = if has(Bug::MovesUnsynced) { Step::Run } else { Step::Sync };
                return Some(self.append(State::Write(after)));
            }
            Step::Sync => (CheckpointEffect::Sync { name: self.head.number.name() }, Step::Run),
            Step::Run => {
                let Some((bytes, content)) = self.build_run() else {
                    self.state = State::Ended;
                    return None;
                };
                self.run = Some((bytes.len() as u64, content));
                let append = CheckpointEffect::Append { name: unfinished(&run), at: 0, bytes };
                (append, Step::SyncRun)
            }
            Step::SyncRun => (CheckpointEffect::Sync { name: unfinished(&run) }, Step::Rename),
            Step::Rename => {
                (CheckpointEffect::Rename { from: unfinished(&run), to: run }, Step::SyncFolder)
            }
            Step::SyncFolder => (CheckpointEffect::SyncFolder, Step::Done),
            Step::Done => {
                let output = self.moved();
                return Some(self.done(output));
            }
        };
        self.after = Some(State::Write(after));
        Some(CompactionStep::Effect(effect))
    }

    fn build_run(&self) -> Option<(Bytes, Run)> {
        let (kind, folder, salt) = (FileKind::Index, self.head.folder, self.run_salt);
        let number = self.head.number;
        let mut builder = RunBuilder::new(&FileHead { kind, folder, number, salt }, number);
        for (segment, span) in self.output.all() {
            builder.push(&Entry::new(segment, number, span)).ok()?;
        }
        let bytes = builder.finish();
        let at = bytes.len().checked_sub(FOOTER_LEN)?;
        let footer = Footer::decode(bytes.get(at..)?, salt, at as u64)?;
        Some((bytes, Run { salt, footer }))
    }

    fn moved(&self) -> Option<(MovedFile, Run)> {
        let (run_len, run) = self.run?;
        let moved = MovedFile {
            file: self.head.number,
            salt: self.head.salt,
            len: self.len,
            bytes: self.output.bytes(),
            run_salt: self.run_salt,
            run_len,
        };
        Some((moved, run))
    }

    fn done(&mut self, output: Option<(MovedFile, Run)>) -> CompactionStep {
        self.state = State::Ended;
        let victims = self.victims.iter().map(|(file, _)| *file).collect();
        CompactionStep::Done(Box::new(Moved { victims, output }))
    }

    /// Continues after a call of the disk.
    ///
    /// # Errors
    ///
    /// [`GivenUp::Failed`] if it failed: then the compaction is given up.
    pub fn handle(&mut self, outcome: Outcome) -> Result<(), GivenUp> {
        self.progress = Progress::Ready;
        let after = self.after.take().unwrap_or(State::Ended);
        if outcome != Outcome::Done {
            self.state = State::Ended;
            return Err(GivenUp::Failed(outcome));
        }
        // One that was given up in the meantime has ended.
        if !matches!(self.state, State::Ended) {
            self.state = after;
        }
        Ok(())
    }
}

/// The name of a run until it is complete.
fn unfinished(name: &str) -> String {
    format!("{name}.new")
}
