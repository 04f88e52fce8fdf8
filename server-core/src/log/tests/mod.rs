//! The log on a simulated disk: crashes and failures at every call, damage of every bit, and files
//! of other folders.

mod checkpoints;
mod crashes;
mod damage;
mod disk;
mod failures;
mod files;
mod kept;
mod room;
mod seeds;
mod servers;
mod storage;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use self::disk::{Disk, Failed};
use super::{
    CheckpointEnd, CheckpointFile, CheckpointReader, CheckpointStep, Committed, Effect, Event,
    Extend, Extended, FileChange, FileHead, FileNumber, FolderId, LogRecord, LogWriter, Mark,
    MarkSlot, MarkSync, NotTaken, Outcome, Place, PlacedRecord, Position, Problem, Recovered,
    Recovery, RecoveryStep, RunFile, Salt, SegmentNumber, Settings, Start, StateEntry, What,
    folder::{Contents, FOLDER_NAME, FolderStep, creation, read_identity},
    mark::MARK_NAME,
};
use crate::record::Sequence;

const FOLDER: FolderId = FolderId(0xF01D);

/// A log on a disk.
struct Log {
    disk: Disk,
    writer: LogWriter,
    /// The batches that were submitted and not refused, and those recovered before them.
    history: Vec<u64>,
    random: fastrand::Rng,
    now: Duration,
    /// The file that is being created.
    /// How many of 20 rounds go on with the next file: in some logs, it is late.
    prepares: u8,
    preparing: Option<FileHead>,
    /// The zeros that are being written.
    extending: Option<Extend>,
    /// Whether zeros are written.
    zeros: Zeros,
    /// The ends of the files before the last.
    ends: BTreeMap<FileNumber, u64>,
    /// What became durable since it was taken last.
    committed: Vec<Committed>,
    /// Records that the next batch has besides its own.
    extra: Vec<LogRecord>,
    /// How often a write found no space.
    full: usize,
    /// How often batches were refused.
    refusals: usize,
}

/// Whether zeros are written after the last frame.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Zeros {
    Written,
    None,
}

/// The reason why a log cannot be opened.
#[derive(Debug, PartialEq)]
enum OpenFailure {
    Problem(Problem),
    Disk(Failed),
    OtherFiles(String),
}

impl From<Problem> for OpenFailure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Failed> for OpenFailure {
    fn from(failed: Failed) -> Self {
        Self::Disk(failed)
    }
}

/// A configuration with short files, frames and times.
fn settings() -> Settings {
    Settings {
        folder: FOLDER,
        file_len: 3000,
        frame_len: 1000,
        mark_every: Duration::from_millis(100),
        ahead: 600,
        large_frame: 700,
    }
}

fn outcome(result: Result<(), Failed>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(Failed::NoSpace) => Outcome::NoSpace("no space left".to_owned()),
        Err(Failed::Other) => Outcome::Failed("an I/O error".to_owned()),
    }
}

/// A frame of a log.
struct Frame {
    place: Place,
    sequence: Sequence,
    records: Vec<LogRecord>,
    /// The same, with their places.
    placed: Vec<PlacedRecord>,
}

/// What a folder holds.
struct Held {
    /// The entries of its checkpoints, from the oldest to the newest.
    entries: Vec<StateEntry>,
    checkpoints: Vec<CheckpointFile>,
    /// The lengths of its checkpoints.
    lens: Vec<u64>,
    /// The ends of the files before the last.
    ends: BTreeMap<FileNumber, u64>,
    /// The end of the newest checkpoint.
    known: Option<(Position, CheckpointEnd)>,
    frames: Vec<Frame>,
    recovered: Recovered,
    /// Files that can be removed.
    leftovers: Vec<String>,
}

/// Reads a folder, without a change to the disk.
fn read_folder(disk: &Disk) -> Result<Held, OpenFailure> {
    let listing = disk.list();
    let Contents::Log { files, checkpoints, runs, mut leftovers, .. } = Contents::of(&listing)?
    else {
        return Err(OpenFailure::OtherFiles("no log".to_owned()));
    };
    let id = read_identity(&disk.read(FOLDER_NAME, 0, 100))?;
    let (checkpoints, others) = CheckpointFile::chain(checkpoints)?;
    leftovers.extend(others.into_iter().map(CheckpointFile::name));
    let (mut entries, mut lens, mut start) = (Vec::new(), Vec::new(), Start::First);
    for file in &checkpoints {
        let len = listing[&file.name()];
        let mut reader = CheckpointReader::new(id, *file, len);
        start = loop {
            match reader.poll()? {
                CheckpointStep::Read { at, len } => {
                    reader.handle_read(disk.read(&file.name(), at, len));
                }
                CheckpointStep::Entries(more) => entries.extend(more),
                CheckpointStep::Done(position, end) => break Start::Checkpoint(position, end),
            }
        };
        lens.push(len);
    }
    let (mut ends, mut known) = (BTreeMap::new(), None);
    let other_runs: Vec<RunFile> = match &start {
        Start::Checkpoint(position, end) => {
            ends.extend(end.files.iter().map(|file| (file.number, file.len)));
            known = Some((*position, end.clone()));
            end.other_runs(&runs)?
        }
        Start::First => runs.into_keys().collect(),
    };
    let mut recovery = Recovery::new(id, &disk.read(MARK_NAME, 0, 1000), files, start)?;
    let mut frames: Vec<Frame> = Vec::new();
    loop {
        match recovery.poll()? {
            RecoveryStep::Read { place, len } => {
                recovery.handle_read(disk.read(&place.file.name(), place.at, len));
            }
            RecoveryStep::Frame { place, sequence, records } => {
                let placed = records;
                let records: Vec<_> = placed.iter().map(|placed| placed.record.clone()).collect();
                for record in &records {
                    if let LogRecord::File(FileChange::Begun { previous: Some(closed) }) = record {
                        ends.insert(closed.file, closed.len);
                    }
                }
                frames.push(Frame { place, sequence, records, placed });
            }
            RecoveryStep::Done(recovered) => {
                let is_moved = |run: &RunFile| {
                    recovered.moved.iter().any(|moved| *run == RunFile::of(moved.file))
                };
                let others = other_runs.into_iter().filter(|run| !is_moved(run));
                leftovers.extend(others.map(RunFile::name));
                let obsolete = recovered.obsolete.iter().map(|file| file.name());
                leftovers.extend(obsolete);
                ends.retain(|file, _| {
                    listing.contains_key(&file.name()) && !recovered.obsolete.contains(file)
                });
                return Ok(Held {
                    entries,
                    checkpoints,
                    lens,
                    ends,
                    known,
                    frames,
                    recovered,
                    leftovers,
                });
            }
        }
    }
}

/// All frames of a log, without a change to the disk.
fn read_frames(disk: &Disk) -> Result<(Vec<Frame>, Recovered), OpenFailure> {
    let held = read_folder(disk)?;
    Ok((held.frames, held.recovered))
}

/// Everything that a log holds.
fn read_all(disk: &Disk) -> Result<(Vec<LogRecord>, Recovered), OpenFailure> {
    let (frames, recovered) = read_frames(disk)?;
    Ok((frames.into_iter().flat_map(|frame| frame.records).collect(), recovered))
}

fn create(disk: &mut Disk, steps: Vec<FolderStep>) -> Result<(), Failed> {
    for step in steps {
        match step {
            FolderStep::Remove(name) => disk.remove(&name)?,
            FolderStep::Create { name, bytes } => {
                disk.create(&name)?;
                disk.write(&name, 0, &bytes)?;
                disk.sync(&name)?;
            }
            FolderStep::Rename { from, to } => disk.rename(&from, &to)?,
            FolderStep::Sync => disk.sync_folder()?,
        }
    }
    Ok(())
}

/// Opens the log of a disk, as a driver does, or creates it; then it holds nothing.
fn open(disk: &mut Disk, seed: u64) -> Result<(LogWriter, Option<Held>), OpenFailure> {
    match Contents::of(&disk.list())? {
        Contents::Others { name } => return Err(OpenFailure::OtherFiles(name)),
        Contents::Nothing { leftovers } => {
            let (steps, head) = creation(FOLDER, Salt(seed), leftovers);
            create(disk, steps)?;
            let slot = MarkSlot::Second;
            let writer = LogWriter::new(settings(), None, Some(head), Sequence(0), slot);
            return Ok((writer, None));
        }
        Contents::Log { .. } => {}
    }
    let held = read_folder(disk)?;
    let found = &held.recovered;
    for end in &found.cuts {
        disk.cut(&end.file.name(), end.at)?;
        disk.sync(&end.file.name())?;
    }
    for (place, len) in &found.rewrites {
        let bytes = disk.read(&place.file.name(), place.at, *len);
        disk.write(&place.file.name(), place.at, &bytes)?;
    }
    let unfinished = found.unfinished.map(FileNumber::name);
    for name in held.leftovers.iter().chain(&unfinished) {
        disk.remove(name)?;
    }
    for file in found.current.map(|file| file.number).into_iter().chain(found.next_number()) {
        disk.sync(&file.name())?;
    }
    disk.sync_folder()?;
    let (sequence, slot) = (found.sequence, found.slot);
    let mut writer = LogWriter::new(settings(), found.current, found.next, sequence, slot);
    writer.set_zeros(found.zeros);
    Ok((writer, Some(held)))
}

impl Recovered {
    fn next_number(&self) -> Option<FileNumber> {
        self.next.map(|head| head.number)
    }
}

/// The records of a batch, which follow from its number and its draw: long data and short, and
/// other changes.
fn batch(number: u64, draw: u64) -> Vec<LogRecord> {
    let mut random = fastrand::Rng::with_seed(number ^ draw);
    let meta = |text: &str| Bytes::from(format!("{text} {number} {draw}"));
    let mut records = Vec::new();
    for part in 0..random.u64(1..4) {
        let len = if random.u8(..4) == 0 { random.usize(..900) } else { random.usize(..60) };
        records.push(match random.bool() {
            true => LogRecord::Change { meta: meta("change") },
            false => LogRecord::Data {
                segment: SegmentNumber(part),
                offset: number * 1000,
                meta: meta("data"),
                data: vec![draw as u8; len].into(),
            },
        });
    }
    records
}

/// The draws of the batches that records are, which must be whole and in order.
fn batches_in(records: &[LogRecord]) -> Vec<u64> {
    // What begins a file is no part of a batch.
    let is_of_batch = |record: &&LogRecord| !matches!(record, LogRecord::File(_));
    let mut rest = records.iter().filter(is_of_batch).peekable();
    let mut draws = Vec::new();
    while let Some(first) = rest.peek() {
        let (LogRecord::Change { meta } | LogRecord::Data { meta, .. }) = first else { continue };
        let text = String::from_utf8(meta.to_vec()).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let (number, draw) = (words[1].parse::<u64>().unwrap(), words[2].parse::<u64>().unwrap());
        assert_eq!(number, draws.len() as u64 + 1, "batches come in order");
        for expected in batch(number, draw) {
            assert_eq!(rest.next(), Some(&expected), "batch {number} is whole");
        }
        draws.push(draw);
    }
    draws
}

/// Fails a test in which a log must open.
fn failed((failure, disk): (OpenFailure, Disk)) -> Log {
    panic!("{failure:?} in {:?}", disk.list());
}

impl Log {
    #[allow(clippy::result_large_err, reason = "a test goes on with the disk")]
    fn open(mut disk: Disk, seed: u64) -> Result<Self, (OpenFailure, Disk)> {
        let (writer, held) = match open(&mut disk, seed) {
            Ok(opened) => opened,
            Err(failure) => return Err((failure, disk)),
        };
        let frames = held.into_iter().flat_map(|held| held.frames);
        let records: Vec<LogRecord> = frames.flat_map(|frame| frame.records).collect();
        Ok(Self::with(disk, writer, batches_in(&records), seed))
    }

    fn with(disk: Disk, writer: LogWriter, history: Vec<u64>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let prepares = if random.u8(..3) == 0 { 1 } else { 10 };
        Self {
            disk,
            writer,
            history,
            random,
            now: Duration::ZERO,
            prepares,
            preparing: None,
            extending: None,
            zeros: Zeros::Written,
            ends: BTreeMap::new(),
            committed: Vec::new(),
            extra: Vec::new(),
            full: 0,
            refusals: 0,
        }
    }

    /// Submits a batch with a number.
    fn submit(&mut self) {
        let (number, draw) = (self.history.len() as u64 + 1, self.random.u64(..1000));
        let mut records = batch(number, draw);
        records.append(&mut self.extra);
        match self.writer.submit(Sequence(number), records) {
            Ok(()) => self.history.push(draw),
            Err(refused) => assert_eq!(refused, NotTaken::NoSpace),
        }
    }

    /// Submits more batches, and carries out effects until they are durable or writing fails.
    /// Returns the number of the last acknowledged batch.
    fn run(&mut self, more: usize) -> usize {
        let goal = self.history.len() + more;
        for _ in 0..5000 {
            if self.writer.failure().is_some() {
                break;
            }
            if self.history.len() < goal && self.random.u8(..3) > 0 {
                self.submit();
                continue;
            }
            match self.random.u8(..20) {
                0 => self.extend(),
                // As one with many spans.
                1 if self.random.u8(..20) == 0 => self.writer.end_file(),
                draw if (1..=self.prepares).contains(&draw) => self.prepare(),
                _ => {}
            }
            if self.step() {
                continue;
            }
            if self.history.len() >= goal && self.writer.queued() == 0 {
                break;
            }
            self.now += Duration::from_millis(self.random.u64(0..200));
        }
        self.writer.durable().0 as usize
    }

    /// Writes zeros after the last frame, or begins to.
    fn extend(&mut self) {
        let Some(Extend { from, to }) = self.extending.take() else {
            if self.zeros == Zeros::Written {
                self.extending = self.writer.poll_extend(self.now);
            }
            return;
        };
        let (name, zeros) = (from.file.name(), vec![0; (to - from.at) as usize]);
        let why = |failed: Failed| format!("{failed:?}");
        let done = match self.disk.write(&name, from.at, &zeros).map_err(why) {
            Err(why) => Extended::NotWritten(why),
            Ok(()) => match self.disk.sync(&name).map_err(why) {
                Err(why) => Extended::NotSynced(why),
                Ok(()) => Extended::Done,
            },
        };
        self.writer.handle_extended(&done);
    }

    /// Creates the next file, or begins to.
    fn prepare(&mut self) {
        let Some(head) = self.preparing.take() else {
            self.preparing = self.writer.poll_prepare(self.random.u64(..));
            return;
        };
        let name = head.number.name();
        let done = match self.disk.list().contains_key(&name) {
            // A half of it, from a failure before.
            true => self.disk.remove(&name),
            false => Ok(()),
        };
        let done = done
            .and_then(|()| self.disk.create(&name))
            .and_then(|()| self.disk.write(&name, 0, &head.encode()))
            .and_then(|()| self.disk.sync(&name))
            .and_then(|()| self.disk.sync_folder());
        self.writer.handle_prepared(&outcome(done));
    }

    /// Carries out one effect; returns false if there is none.
    fn step(&mut self) -> bool {
        let Some(effect) = self.writer.poll(self.now) else { return false };
        assert_eq!(self.writer.poll(self.now), None, "one effect at a time");
        let done = match &effect {
            Effect::Write { place, bytes } => {
                let name = place.file.name();
                assert!(self.disk.list()[&name] >= place.at, "no write leaves a gap");
                let rest = self.disk.read(&name, place.at, u64::from(u32::MAX));
                assert!(rest.iter().all(|byte| *byte == 0), "nothing is written twice");
                self.disk.write(&name, place.at, bytes)
            }
            Effect::Sync { file } => self.disk.sync(&file.name()),
            Effect::Cut { end } => self.disk.cut(&end.file.name(), end.at),
            Effect::Mark { slot, bytes, sync } => {
                let done = self.disk.write(MARK_NAME, slot.at(), bytes);
                match sync {
                    MarkSync::Lazy => done,
                    MarkSync::Now => done.and_then(|()| self.disk.sync(MARK_NAME)),
                }
            }
        };
        self.full += usize::from(done == Err(Failed::NoSpace));
        let before = self.writer.durable();
        match self.writer.handle(outcome(done)) {
            None => {}
            Some(Event::Committed(committed)) => {
                assert!(committed.sequence > before);
                assert_eq!(committed.sequence, self.writer.durable());
                let closed = committed.closed.map(|closed| (closed.file, closed.len));
                self.ends.extend(closed);
                self.committed.push(committed);
            }
            Some(Event::Refused { durable, .. }) => {
                assert_eq!(durable, before);
                self.history.truncate(durable.0 as usize);
                self.refusals += 1;
                self.writer.resume();
            }
        }
        true
    }

    /// Ends the writer as a shutdown does.
    fn close(&mut self) {
        self.writer.close();
        for _ in 0..1000 {
            if self.writer.is_ended() {
                return;
            }
            self.prepare();
            if self.extending.is_some() {
                self.extend();
            }
            while self.step() {}
            self.now += Duration::from_millis(100);
        }
        panic!("the writer does not end: {:?}", self.writer);
    }
}

#[test]
fn what_was_written_is_read_back_over_many_files() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    assert_eq!(log.run(100), 100);
    log.close();
    assert!(log.disk.list().len() > 5, "{:?}", log.disk.list());
    let mut again = Log::open(log.disk, 2).unwrap_or_else(failed);
    assert_eq!(again.history, log.history);
    assert_eq!(again.run(50), 150);
    again.close();
    let (records, _) = read_all(&again.disk).unwrap();
    assert_eq!(batches_in(&records), again.history);
}

#[test]
fn a_commit_is_one_write_and_one_sync_whatever_it_carries() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    (0..5).for_each(|_| log.submit());
    let before = log.disk.calls();
    while log.writer.queued() > 0 {
        assert!(log.step());
    }
    assert_eq!(log.disk.calls() - before, 2);
}

#[test]
fn no_commit_waits_for_the_next_file_if_it_is_ready_in_time() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    for number in 1..=300 {
        log.prepare();
        log.submit();
        while log.writer.queued() > 0 {
            assert!(log.step(), "commit {number} waits");
        }
    }
}

#[test]
fn a_file_ends_at_twice_its_length_if_the_next_one_cannot_be_created() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    (0..200).for_each(|_| log.submit());
    log.now = Duration::from_secs(1);
    while log.step() {}
    let len = log.disk.list()["log-00000001"];
    assert!((6000..8000).contains(&len), "{len} bytes");
    assert!(log.writer.queued() > 0);
    (0..2).for_each(|_| log.prepare());
    assert!(log.step(), "the next file is there");
}

#[test]
fn a_file_that_should_end_ends_before_the_next_frame() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    log.run(3);
    log.writer.end_file();
    while !log.disk.list().contains_key("log-00000002") {
        log.prepare();
    }
    let before = log.disk.list()["log-00000001"];
    log.run(3);
    let listing = log.disk.list();
    assert_eq!(listing["log-00000001"], before);
    assert!(listing["log-00000002"] > 64 && !listing.contains_key("log-00000003"));
}

#[test]
fn a_batch_that_no_frame_can_have_is_refused_before_anything_is_written() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    let meta = Bytes::from(vec![0; 64 << 20]);
    let long = vec![LogRecord::Change { meta }; 4];
    let refused = log.writer.submit(Sequence(1), long).unwrap_err();
    assert!(matches!(refused, NotTaken::TooLong(_)), "{refused}");
    assert_eq!(log.run(3), 3, "the writer goes on");
}

#[test]
fn a_mark_is_written_after_acknowledgements_and_at_most_every_100_ms() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    let mut marks = Vec::new();
    for _ in 1..=1000 {
        log.prepare();
        log.submit();
        while let Some(effect) = log.writer.poll(log.now) {
            if matches!(effect, Effect::Mark { .. }) {
                marks.push(log.now);
            }
            log.writer.handle(Outcome::Done);
        }
        log.now += Duration::from_millis(1);
    }
    assert!((9..=11).contains(&marks.len()), "{marks:?}");
    assert!(marks.windows(2).all(|two| two[1] - two[0] >= Duration::from_millis(100)));
}

#[test]
fn an_idle_log_is_marked_up_to_its_end() {
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    log.run(10);
    log.now = log.writer.timeout().unwrap_or(log.now);
    while log.step() {}
    assert_eq!(log.writer.timeout(), None);
    let (mark, _) = Mark::read(&log.disk.read(MARK_NAME, 0, 1000)).unwrap();
    assert_eq!(mark.sequence, Sequence(10));
}

/// Checks that a text shows nothing of what was stored.
fn quiet(shown: &impl std::fmt::Debug) {
    let shown = format!("{shown:?}");
    for canary in ["canary", "99, 97, 110, 97, 114, 121"] {
        assert!(!shown.contains(canary), "{shown}");
    }
}

#[test]
fn no_debug_output_shows_what_is_stored() {
    let (meta, data) = (Bytes::from_static(b"canary 1"), Bytes::from_static(b"canary 2"));
    let record = LogRecord::Data { segment: SegmentNumber(1), offset: 0, meta, data };
    let mut log = Log::open(Disk::default(), 1).unwrap_or_else(failed);
    log.writer.submit(Sequence(1), vec![record.clone(), record]).unwrap();
    quiet(&log.writer);
    while let Some(effect) = log.writer.poll(log.now) {
        quiet(&(&effect, &log.writer));
        if let Effect::Write { place, bytes } = effect {
            log.disk.write(&place.file.name(), place.at, &bytes).unwrap();
        }
        quiet(&log.writer.handle(Outcome::Done));
    }
    quiet(&log.writer);
    let Ok(Contents::Log { files, .. }) = Contents::of(&log.disk.list()) else { panic!("no log") };
    let mark = log.disk.read(MARK_NAME, 0, 1000);
    let mut recovery = Recovery::new(FOLDER, &mark, files, Start::First).unwrap();
    let mut frames = 0;
    loop {
        let step = recovery.poll().unwrap();
        quiet(&(&step, &recovery));
        match step {
            RecoveryStep::Read { place, len } => {
                recovery.handle_read(log.disk.read(&place.file.name(), place.at, len));
                quiet(&recovery);
            }
            RecoveryStep::Frame { .. } => frames += 1,
            RecoveryStep::Done(_) => break,
        }
    }
    assert_eq!(frames, 1);
}
