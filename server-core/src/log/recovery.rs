//! Reading a log back, frame by frame.
//!
//! ```text
//! file by file:  head ──> frames ──> end of the file, or bytes that are no frame
//!                                                │
//!       damage, if a later write was begun <─────┴─────> a torn end, cut off
//! ```
//!
//! A write was begun after those bytes if a frame of the file follows them, if the next file has
//! more than its head, or if the mark is after them. Zeros up to the end of a file are no bytes: a
//! file may be extended with them before they are needed. Nothing is changed before all files were
//! read: what the driver should cut off and remove is in the result.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
};

use bytes::Bytes;

use super::{
    checkpoint::{CheckpointEnd, KnownFile, Position},
    frame::{
        Closed, FRAME_HEAD_LEN, FileChange, FrameHead, LogRecord, MovedFile, PlacedRecord,
        find_frame,
    },
    head::{BadHead, FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt},
    mark::{MARK_NAME, Mark, MarkSlot},
    problem::{Problem, What},
    reading::{FileEnd, Found, READ_LEN, Reading, Rest},
    seeded_bugs::{Bug, has},
    writer::CurrentFile,
};
use crate::record::Sequence;

/// The next step of a recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes of a file are needed, for [`Recovery::handle_read`].
    Read {
        /// The place of the first byte.
        place: Place,
        /// The number of bytes, all within the length that the file had.
        len: u64,
    },
    /// The next frame.
    Frame {
        /// The place of the frame.
        place: Place,
        /// The last batch in it.
        sequence: Sequence,
        /// Its records, in order.
        records: Vec<PlacedRecord>,
    },
    /// Everything was read.
    Done(Recovered),
}

impl Step {
    fn read((place, len): (Place, u64)) -> Self {
        Self::Read { place, len }
    }
}

/// A log that was read back, and how it goes on.
///
/// Before anything is served or written, the driver cuts, writes again, removes, and syncs the
/// current file and the folder: what was read may never have reached the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The file of the last frame; `None` if the log has no frame.
    pub current: Option<CurrentFile>,
    /// The file after it, if it was created already.
    pub next: Option<FileHead>,
    /// The last batch.
    pub sequence: Sequence,
    /// The ends of files with a torn write after them.
    pub cuts: Vec<Place>,
    /// The offset up to which the file of the last frame has zeros after it.
    pub zeros: u64,
    /// Bytes that may never reach the disk, as places and lengths: they are written again, as they
    /// were read. After a sync that failed, the system may have them in memory as if they were
    /// durable, and the next sync does not write them.
    pub rewrites: Vec<(Place, u64)>,
    /// A file whose creation was interrupted.
    pub unfinished: Option<FileNumber>,
    /// Files that bytes were moved to after the checkpoint. Their runs are needed.
    pub moved: Vec<MovedFile>,
    /// The last number of a file that bytes were moved to, also of one that is gone: it may be in
    /// runs or records still.
    pub last_moved: u64,
    /// Files of the folder that are not needed any longer.
    pub obsolete: Vec<FileNumber>,
    /// The slot of the next mark.
    pub slot: MarkSlot,
    /// Whether the mark is what was written. One that is not may be older than it was.
    pub mark: MarkState,
}

impl Recovered {
    /// The end of the last frame, or of the head of the first file.
    #[must_use]
    pub fn end(&self) -> Place {
        let head = || Place {
            file: self.next.map_or(FileNumber::FIRST, |head| head.number),
            at: HEAD_LEN as u64,
        };
        self.current.map_or_else(head, |file| Place { file: file.number, at: file.len })
    }
}

/// The state of the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkState {
    /// It is as it was written.
    Whole,
    /// A crash or damage changed it. It is not needed for what the log holds, but a part that a log
    /// has lost at its end may go unnoticed.
    Damaged,
}

/// Where a recovery begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the first file.
    First,
    /// At the position of a checkpoint.
    Checkpoint(Position, CheckpointEnd),
}

#[derive(Debug)]
enum State {
    /// The head of a file before the first one is checked.
    Earlier(FileNumber, u64),
    /// The next file to read, if there is one.
    Next(FileNumber),
    /// Its head is being read.
    Head(FileNumber, u64),
    Frames(Reading),
    /// A frame is looked for from an offset on, after bytes that are none.
    Scan(Reading, u64, Rest),
    Done(Recovered),
}

/// The recovery of a log.
pub struct Recovery {
    folder: FolderId,
    files: BTreeMap<FileNumber, u64>,
    /// The files that bytes were moved to: their lengths, and their salts if their heads are whole.
    targets: BTreeMap<FileNumber, (u64, Option<Salt>)>,
    /// The last number of one, also of one that is gone.
    last_moved: FileNumber,
    /// Those of them that records name.
    moved: BTreeMap<FileNumber, MovedFile>,
    /// The files that the checkpoint needs.
    known: BTreeMap<FileNumber, KnownFile>,
    /// The last batch that the checkpoint has changes of.
    up_to: Sequence,
    /// Files that a record gave up.
    dropped: BTreeSet<FileNumber>,
    obsolete: Vec<FileNumber>,
    mark: Option<Mark>,
    mark_state: MarkState,
    slot: MarkSlot,
    first: FileNumber,
    /// The offset at which the first file is read.
    first_at: u64,
    /// The bytes of the last read.
    input: Option<Bytes>,
    sequence: Sequence,
    /// The place and the length of the last frame.
    last: Option<(Place, u64)>,
    /// The file before the one that is being read.
    previous: Option<FileEnd>,
    unfinished: Option<FileNumber>,
    state: State,
}

impl fmt::Debug for Recovery {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("folder", &self.folder)
            .field("files", &self.files)
            .field("sequence", &self.sequence)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Recovery {
    /// The recovery of the log of a folder, from the bytes of its mark, the lengths of its log
    /// files, and its checkpoint.
    ///
    /// # Errors
    ///
    /// [`Problem`] if the mark is that of another folder.
    pub fn new(
        folder: FolderId,
        mark: &[u8],
        mut files: BTreeMap<FileNumber, u64>,
        start: Start,
    ) -> Result<Self, Problem> {
        let mark_state = if Mark::is_whole(mark) { MarkState::Whole } else { MarkState::Damaged };
        let found = Mark::read(mark);
        if let Some((mark, _)) = found
            && mark.folder != folder
        {
            let what = What::OtherFolder(mark.folder);
            return Err(Problem { file: MARK_NAME.to_owned(), at: 0, what });
        }
        let (position, end) = match start {
            Start::First => {
                let place = Place { file: FileNumber::FIRST, at: HEAD_LEN as u64 };
                let end = CheckpointEnd { up_to: 0, files: Vec::new(), runs: Vec::new() };
                (Position { place, sequence: 0 }, end)
            }
            Start::Checkpoint(position, end) => (position, end),
        };
        let of_runs = end.runs.iter().map(|known| known.run.last);
        let last_moved = of_runs.chain([FileNumber::moved(0)]).max();
        let known = end.files.into_iter().map(|file| (file.number, file)).collect();
        let targets = files.split_off(&FileNumber::moved(0));
        let targets = targets.into_iter().map(|(number, len)| (number, (len, None))).collect();
        let mut recovery = Self {
            folder,
            files,
            targets,
            last_moved: last_moved.unwrap_or(FileNumber::moved(0)),
            moved: BTreeMap::new(),
            known,
            up_to: Sequence(end.up_to),
            dropped: BTreeSet::new(),
            obsolete: Vec::new(),
            mark: found.map(|(mark, _)| mark),
            mark_state,
            slot: found.map(|(_, slot)| slot.other()).unwrap_or_default(),
            input: None,
            first: position.place.file,
            first_at: position.place.at,
            sequence: Sequence(position.sequence),
            last: None,
            previous: None,
            unfinished: None,
            state: State::Next(position.place.file),
        };
        recovery.check_lens()?;
        recovery.state = recovery.earlier_after(FileNumber::moved(0));
        Ok(recovery)
    }

    /// Checks that the files of the checkpoint are as long as they were.
    fn check_lens(&self) -> Result<(), Problem> {
        for (number, known) in &self.known {
            if let Some(len) = self.len_of(*number).filter(|len| *len < known.len) {
                return Err(problem(*number, len, What::NotOfCheckpoint));
            }
        }
        Ok(())
    }

    /// The length of a file; `None` if it does not exist.
    fn len_of(&self, number: FileNumber) -> Option<u64> {
        let target = self.targets.get(&number).map(|(len, _)| *len);
        self.files.get(&number).copied().or(target)
    }

    /// Checks that the files of the checkpoint are there, and those that bytes were moved to since,
    /// but for those that were given up.
    fn check_known(&self) -> Result<(), Problem> {
        let needed = self.known.keys().chain(self.moved.keys());
        let mut needed = needed.filter(|number| !self.dropped.contains(*number));
        if let Some(number) = needed.find(|number| self.len_of(**number).is_none()) {
            return Err(problem(*number, 0, What::Missing));
        }
        let is_other = |moved: &&MovedFile| {
            let found = self.targets.get(&moved.file);
            !self.dropped.contains(&moved.file) && found != Some(&(moved.len, Some(moved.salt)))
        };
        match self.moved.values().find(is_other) {
            Some(moved) => Err(problem(moved.file, 0, What::NotOfLog)),
            None => Ok(()),
        }
    }

    /// The state in which the next file before the first one is checked, if there is one.
    fn earlier_after(&self, number: FileNumber) -> State {
        // First those that bytes were moved to.
        if number.is_moved()
            && let Some((number, (len, _))) = self.targets.range(number.next()..).next()
        {
            return State::Earlier(*number, *len);
        }
        let after = if number.is_moved() { FileNumber::FIRST } else { number.next() };
        match self.files.range(after..self.first.max(after)).next() {
            Some((number, len)) => State::Earlier(*number, *len),
            None => State::Next(self.first),
        }
    }

    /// The next step.
    ///
    /// # Errors
    ///
    /// [`Problem`] if the log cannot be read back.
    pub fn poll(&mut self) -> Result<Step, Problem> {
        loop {
            let step = match mem::replace(&mut self.state, State::Next(self.first)) {
                State::Earlier(number, len) => self.check_earlier(number, len)?,
                State::Next(number) => self.open(number)?,
                State::Head(number, len) => self.read_head(number, len)?,
                State::Frames(reading) => self.read_frames(reading)?,
                State::Scan(reading, at, rest) => self.scan(reading, at, rest)?,
                State::Done(recovered) => self.done(recovered),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Continues with the bytes of the last [`Step::Read`].
    pub fn handle_read(&mut self, bytes: Bytes) {
        self.input = Some(bytes);
    }

    fn done(&mut self, recovered: Recovered) -> Option<Step> {
        self.state = State::Done(recovered.clone());
        Some(Step::Done(recovered))
    }

    fn check_earlier(&mut self, number: FileNumber, len: u64) -> Result<Option<Step>, Problem> {
        let Some(bytes) = self.input.take() else {
            self.state = State::Earlier(number, len);
            let place = Place { file: number, at: 0 };
            return Ok(Some(Step::Read { place, len: len.min(HEAD_LEN as u64) }));
        };
        match (FileHead::decode(&bytes), self.targets.get_mut(&number)) {
            // A file whose writing was interrupted, unless a record names it.
            (Err(BadHead::Damaged), Some(_)) if !self.known.contains_key(&number) => {}
            (Err(bad), _) => return Err(problem(number, 0, bad.into())),
            (Ok(head), target) => {
                if let Some((_, salt)) = target {
                    *salt = Some(head.salt);
                } else if !self.known.contains_key(&number) {
                    self.obsolete.push(number);
                }
                self.check_head(number, &head)?;
            }
        }
        self.state = self.earlier_after(number);
        Ok(None)
    }

    /// Checks that the head of a file is that of the folder's file with its number.
    fn check_head(&self, number: FileNumber, head: &FileHead) -> Result<(), Problem> {
        let folder = if has(Bug::IgnoresFolder) { head.folder } else { self.folder };
        let checked = head.check(folder, FileKind::of_frames(number), number);
        checked.map_err(|what| problem(number, 0, what))?;
        match self.known.get(&number) {
            Some(known) if known.salt != head.salt => {
                Err(problem(number, 0, What::NotOfCheckpoint))
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, number: FileNumber) -> Result<Option<Step>, Problem> {
        let is_first = number == self.first;
        match self.files.get(&number) {
            None if is_first => Err(problem(number, 0, What::Missing)),
            None => self.finish(None),
            Some(0) if !is_first => self.finish_before(number),
            Some(&len) => {
                self.state = State::Head(number, len);
                Ok(None)
            }
        }
    }

    fn read_head(&mut self, number: FileNumber, len: u64) -> Result<Option<Step>, Problem> {
        let Some(bytes) = self.input.take() else {
            self.state = State::Head(number, len);
            let place = Place { file: number, at: 0 };
            return Ok(Some(Step::Read { place, len: len.min(READ_LEN) }));
        };
        let head = match FileHead::decode(&bytes) {
            // Only the head was written, perhaps in part: the file was not begun.
            Err(BadHead::Damaged) if len <= HEAD_LEN as u64 && number != self.first => {
                return self.finish_before(number);
            }
            Err(bad) => return Err(problem(number, 0, bad.into())),
            Ok(head) => head,
        };
        self.check_head(number, &head)?;
        let at = if number == self.first { self.first_at } else { HEAD_LEN as u64 };
        self.state = State::Frames(Reading { head, len, at, buffer: bytes, buffer_at: 0 });
        Ok(None)
    }

    fn read_frames(&mut self, mut reading: Reading) -> Result<Option<Step>, Problem> {
        match reading.find() {
            Found::Frame(head, records) => {
                self.check(&reading, &head, &records)?;
                for placed in &records {
                    match placed.record {
                        LogRecord::File(FileChange::Dropped { file }) => {
                            self.dropped.insert(file);
                        }
                        LogRecord::File(FileChange::Moved(moved)) => {
                            self.moved.insert(moved.file, moved);
                        }
                        _ => {}
                    }
                }
                let place = Place { file: reading.head.number, at: reading.at };
                let sequence = head.sequence;
                self.last = Some((place, head.frame_len()));
                (self.sequence, reading.at) = (sequence, reading.at + head.frame_len());
                self.state = State::Frames(reading);
                Ok(Some(Step::Frame { place, sequence, records }))
            }
            Found::Needs(len) => match self.input.take() {
                Some(bytes) if (bytes.len() as u64) < len => {
                    Err(problem(reading.head.number, reading.at, What::Shortened))
                }
                Some(bytes) => {
                    (reading.buffer, reading.buffer_at) = (bytes, reading.at);
                    self.state = State::Frames(reading);
                    Ok(None)
                }
                None => {
                    let step = Step::read(reading.read(reading.at, len));
                    self.state = State::Frames(reading);
                    Ok(Some(step))
                }
            },
            Found::NoFrame => {
                let at = reading.at;
                self.state = State::Scan(reading, at, Rest::Nothing);
                Ok(None)
            }
        }
    }

    /// Checks that a frame follows the one before it.
    fn check(
        &self,
        reading: &Reading,
        frame: &FrameHead,
        records: &[PlacedRecord],
    ) -> Result<(), Problem> {
        let file = reading.head.number;
        let fails = |what| Err(problem(file, reading.at, what));
        let begins = |placed: &PlacedRecord| {
            matches!(placed.record, LogRecord::File(FileChange::Begun { .. }))
        };
        let mut others = records;
        if reading.at == HEAD_LEN as u64 {
            let (first, after) = match records.split_first() {
                Some((first, after)) => (Some(&first.record), after),
                None => (None, records),
            };
            self.check_begun(file, first)?;
            others = after;
        }
        if others.iter().any(begins) {
            return fails(What::BegunTwice);
        }
        if frame.sequence <= self.sequence {
            return fails(What::Older);
        }
        let end = reading.at + frame.frame_len();
        let is_within =
            |mark: &Mark| file == mark.end.file && reading.at < mark.end.at && mark.end.at <= end;
        match self.mark.filter(is_within) {
            Some(mark) if (end, frame.sequence) != (mark.end.at, mark.sequence) => {
                fails(What::NotMarked)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the first record of a file continues the file before it.
    fn check_begun(&self, file: FileNumber, first: Option<&LogRecord>) -> Result<(), Problem> {
        let end = self.previous;
        if let Some(end) = end.filter(|end| end.rest == Rest::Torn) {
            return Err(before_next(&end));
        }
        if has(Bug::IgnoresBegun) {
            return Ok(());
        }
        let closed = |file, len| Closed { file, len, sequence: self.sequence.0 };
        let previous = match end {
            Some(end) => Some(closed(end.file.number, end.file.len)),
            // The file before is not read, and may be gone.
            None => match first {
                Some(LogRecord::File(FileChange::Begun { previous: Some(found) }))
                    if file > FileNumber::FIRST && found.file.next() == file =>
                {
                    Some(closed(found.file, found.len))
                }
                _ => None,
            },
        };
        match (first, end) {
            (Some(LogRecord::File(FileChange::Begun { previous: found })), _)
                if *found == previous =>
            {
                Ok(())
            }
            (Some(LogRecord::File(FileChange::Begun { previous: Some(found) })), Some(end))
                if found.file == end.file.number && found.len > end.file.len =>
            {
                Err(before_next(&end))
            }
            _ => Err(problem(file, HEAD_LEN as u64, What::NotAfter)),
        }
    }

    fn scan(&mut self, reading: Reading, at: u64, rest: Rest) -> Result<Option<Step>, Problem> {
        if at >= reading.len {
            return self.end_of_file(&reading, rest);
        }
        let Some(bytes) = self.input.take() else {
            let step = Step::read(reading.read(at, READ_LEN));
            self.state = State::Scan(reading, at, rest);
            return Ok(Some(step));
        };
        let file = reading.head.number;
        // The bytes at the first offset are no whole frame, though the head may be one.
        let skipped = usize::from(at == reading.at);
        let others = bytes.get(skipped..).unwrap_or_default();
        let later = find_frame(others, reading.head.salt, at + skipped as u64);
        if later.is_some() && !has(Bug::IgnoresLaterFrames) {
            return Err(problem(file, reading.at, What::Damaged));
        }
        let is_zeros = bytes.iter().all(|byte| *byte == 0) && !has(Bug::RefusesZeros);
        let rest = if is_zeros { rest } else { Rest::Torn };
        let end = at + bytes.len() as u64;
        let next = if end >= reading.len {
            end
        } else {
            // The head of a frame may begin in these bytes and end in the next.
            end.saturating_sub(FRAME_HEAD_LEN as u64 - 1)
        };
        if next <= at {
            return Err(problem(file, at, What::Shortened));
        }
        self.state = State::Scan(reading, next, rest);
        Ok(None)
    }

    fn end_of_file(&mut self, reading: &Reading, rest: Rest) -> Result<Option<Step>, Problem> {
        let end = reading.end(rest);
        if end.is_begun() {
            self.previous = Some(end);
            self.state = State::Next(end.file.number.next());
            return Ok(None);
        }
        match self.previous.filter(|before| [before.rest, rest] == [Rest::Torn; 2]) {
            Some(before) => Err(before_next(&before)),
            None => self.finish(Some((reading.head, end))),
        }
    }

    /// Finishes before a file whose creation was interrupted.
    fn finish_before(&mut self, number: FileNumber) -> Result<Option<Step>, Problem> {
        self.unfinished = Some(number);
        self.finish(None)
    }

    /// What a sync may not have reached: the last frame, unless the mark is after it, as each one
    /// before was durable when the next was written; and the head of the file after it.
    fn rewrites(&self, end: Place, next: Option<FileHead>) -> Vec<(Place, u64)> {
        if has(Bug::TrustsCache) {
            return Vec::new();
        }
        let is_marked = self.mark.is_some_and(|mark| mark.end >= end);
        let last = self.last.filter(|_| !is_marked);
        let head = next.map(|head| (Place { file: head.number, at: 0 }, HEAD_LEN as u64));
        last.into_iter().chain(head).collect()
    }

    /// Finishes after the last file with a frame, and the one that was created after it.
    fn finish(&mut self, next: Option<(FileHead, FileEnd)>) -> Result<Option<Step>, Problem> {
        let last = self.previous.map(|end| end.file.number);
        let created = next.map(|(head, _)| head.number).or(self.unfinished);
        let known = last.into_iter().chain(created).max().unwrap_or(self.first);
        let start = Place { file: self.first, at: self.first_at };
        let end = self.previous.map_or(start, |end| end.place());
        let is_after = |mark: &Mark| mark.end > end && !has(Bug::IgnoresMark);
        if let Some(mark) = self.mark.filter(is_after) {
            let after = next.map_or(end.file.next(), |(head, _)| head.number);
            return Err(match mark.end.file == end.file {
                true => problem(end.file, end.at, What::DamagedBeforeMark),
                false if self.files.contains_key(&after) => {
                    problem(after, HEAD_LEN as u64, What::DamagedBeforeMark)
                }
                false => problem(after, 0, What::Missing),
            });
        }
        let unknown = |number: &&FileNumber| **number > known;
        if let Some(number) = self.files.keys().find(unknown) {
            return Err(problem(*number, 0, What::NotNext));
        }
        if self.sequence < self.up_to {
            return Err(problem(end.file, end.at, What::NotOfCheckpoint));
        }
        let ends = [self.previous, next.map(|(_, end)| end)];
        let torn = ends.into_iter().flatten().filter(|end| end.rest == Rest::Torn);
        self.check_known()?;
        let mut obsolete = mem::take(&mut self.obsolete);
        let is_left =
            |file: &&FileNumber| self.known.contains_key(*file) && self.files.contains_key(*file);
        obsolete.extend(self.dropped.iter().filter(is_left));
        let is_named =
            |file: &FileNumber| self.known.contains_key(file) || self.moved.contains_key(file);
        let is_unneeded = |file: &&FileNumber| self.dropped.contains(*file) || !is_named(file);
        obsolete.extend(self.targets.keys().filter(is_unneeded));
        let is_new = |moved: &&MovedFile| {
            !self.dropped.contains(&moved.file) && !self.known.contains_key(&moved.file)
        };
        let moved = self.moved.values().filter(is_new);
        let numbers = self.targets.keys().chain(self.known.keys()).chain(self.moved.keys());
        let last_moved = numbers.copied().chain([self.last_moved]).max();
        Ok(self.done(Recovered {
            current: self.previous.map(|end| end.file),
            next: next.map(|(head, _)| head),
            sequence: self.sequence,
            cuts: torn.map(|end| end.place()).collect(),
            zeros: self.previous.map_or(0, |end| end.zeros),
            rewrites: self.rewrites(end, next.map(|(head, _)| head)),
            unfinished: self.unfinished,
            moved: moved.copied().collect(),
            last_moved: last_moved.map_or(0, FileNumber::n_of_moved),
            obsolete,
            slot: self.slot,
            mark: self.mark_state,
        }))
    }
}

fn problem(file: FileNumber, at: u64, what: What) -> Problem {
    Problem { file: file.name(), at, what }
}

/// The problem with a file whose end is damaged, as the next one was begun after it.
fn before_next(end: &FileEnd) -> Problem {
    problem(end.file.number, end.file.len, What::DamagedBeforeNext)
}
