//! Segments in a log with an index and checkpoints, whose files die when nothing in them is read:
//! after any crash every byte that was acknowledged is read back from files.

mod moving;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    panic::catch_unwind,
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    super::{
        Chain, CheckpointEffect, CheckpointSettings, Checkpoints, Compaction, Directory, Entry,
        FOOTER_LEN, Fetch, FetchStep, FileKind, FileUse, Footer, Freed, FreedStep, Index,
        IndexWork, KnownFile, KnownRun, Merge, Moved, NextOfCheckpoint, Run, RunBuilder, Slice,
        Space, SpaceSettings, live_in, read_block,
        seeded_bugs::{Bug, with},
    },
    FOLDER, FileChange, FileHead, FileNumber, Held, Log, LogRecord, OpenFailure, Place, Position,
    RunFile, Salt, SegmentNumber, StateEntry,
    disk::{Disk, Failed, Fault, LOSSES, Part},
    open, outcome,
};
use crate::record::Sequence;

/// A batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Append { segment: u64, len: u64, draw: u64 },
    Truncate { segment: u64, start: u64 },
    Delete { segment: u64 },
}

impl Change {
    fn segment(&self) -> u64 {
        let (Self::Append { segment, .. }
        | Self::Truncate { segment, .. }
        | Self::Delete { segment }) = self;
        *segment
    }
}

/// The first and the last offset of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    start: u64,
    end: u64,
}

type State = BTreeMap<u64, Segment>;

fn data(draw: u64, len: u64) -> Vec<u8> {
    (0..len).map(|byte| (draw + byte) as u8).collect()
}

/// What segments are after changes, and what they hold.
fn model(changes: &[Change]) -> (State, BTreeMap<u64, Vec<u8>>) {
    let (mut state, mut contents) = (State::new(), BTreeMap::<u64, Vec<u8>>::new());
    for change in changes {
        match *change {
            Change::Append { segment, len, draw } => {
                let content = contents.entry(segment).or_default();
                content.extend(data(draw, len));
                let found = state.entry(segment).or_insert(Segment { start: 0, end: 0 });
                found.end = content.len() as u64;
            }
            Change::Truncate { segment, start } => state.get_mut(&segment).unwrap().start = start,
            Change::Delete { segment } => drop(state.remove(&segment)),
        }
    }
    (state, contents)
}

/// Applies a record as a recovery does: each sets values that do not depend on those before.
fn replay(state: &mut State, record: &LogRecord) {
    match record {
        LogRecord::Data { segment, offset, data, .. } => {
            let found = state.entry(segment.0).or_insert(Segment { start: 0, end: 0 });
            found.end = offset + data.len() as u64;
        }
        LogRecord::Change { meta } => {
            let text = String::from_utf8(meta.to_vec()).unwrap();
            let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().unwrap()).collect();
            match numbers[..] {
                [segment, start] => {
                    let found = state.entry(segment).or_insert(Segment { start: 0, end: start });
                    found.start = start;
                }
                [segment] => drop(state.remove(&segment)),
                _ => panic!("{text}"),
            }
        }
        LogRecord::File(_) => {}
    }
}

/// A mistake of the owner of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    /// A file is given up by its hint alone.
    DropsOnHint,
    /// A checkpoint is at the end of the log, though files before it have no run.
    PassesUnindexed,
    /// Runs are removed when they were merged, though the checkpoint needs them.
    RemovesRunsEarly,
    /// A file is removed before the log says so.
    RemovesUnrecorded,
    /// A file is replaced by what was moved from it before the log says so.
    ReplacesUnrecorded,
}

struct Storage {
    log: Log,
    checkpoints: Checkpoints,
    index: Index,
    space: Space,
    state: State,
    changes: Vec<Change>,
    /// The number of the next segment.
    next: u64,
    /// The files before this one are not replayed any longer.
    replayed_from: FileNumber,
    run_lens: BTreeMap<RunFile, u64>,
    /// Files that a batch gives up, with its number.
    dropped: Vec<(FileNumber, u64)>,
    deaths: usize,
    compaction: Option<Compaction>,
    /// What was moved by a batch that is not durable yet, its number, and the names of its files.
    moving: Option<(Moved, u64, [String; 3])>,
    next_moved: u64,
    moves: usize,
    /// Runs that are not needed after the next checkpoint, and after that which is written.
    retired: Vec<RunFile>,
    removable: Vec<RunFile>,
    mistake: Option<Mistake>,
}

impl Storage {
    /// Opens a folder that had these changes, or not all of the last ones, and checks all of it.
    #[allow(clippy::result_large_err, reason = "a test goes on with the disk")]
    fn open(
        mut disk: Disk,
        changes: &[Change],
        acknowledged: usize,
        seed: u64,
        mistake: Option<Mistake>,
    ) -> Result<Self, Disk> {
        let (writer, held) = match open(&mut disk, seed) {
            Ok(opened) => opened,
            Err(OpenFailure::Disk(_)) => return Err(disk),
            Err(failure) => panic!("{failure:?} in {:?}", disk.list()),
        };
        let chain = held.as_ref().and_then(|held| {
            let (newest, base_len) = (*held.checkpoints.last()?, *held.lens.first()?);
            Some(Chain { newest, base_len, deltas_len: held.lens.iter().skip(1).sum() })
        });
        let settings =
            CheckpointSettings { folder: FOLDER, tail_len: 3000, tail_records: 25, slice: 3 };
        let mut storage = Self {
            log: Log::with(disk, writer, Vec::new(), seed),
            checkpoints: Checkpoints::new(settings, chain),
            index: Index::default(),
            space: Space::new(SpaceSettings { limit: None, reserve: 0 }),
            state: State::new(),
            changes: Vec::new(),
            next: changes.iter().map(Change::segment).max().unwrap_or(0) + 1,
            replayed_from: FileNumber::FIRST,
            run_lens: BTreeMap::new(),
            dropped: Vec::new(),
            deaths: 0,
            compaction: None,
            moving: None,
            next_moved: 0,
            moves: 0,
            retired: Vec::new(),
            removable: Vec::new(),
            mistake,
        };
        let last = held.map_or(0, |held| storage.take(held)) as usize;
        assert!(acknowledged <= last && last <= changes.len(), "{acknowledged} to {last}");
        storage.changes = changes[..last].to_vec();
        assert_eq!(storage.state, model(&storage.changes).0, "after {last} batches");
        storage.read_back();
        Ok(storage)
    }

    /// Takes what a folder holds; returns its last batch.
    fn take(&mut self, held: Held) -> u64 {
        let Held { entries, ends, begins, known, frames, recovered, .. } = held;
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        for (key, value) in entries {
            match value {
                Some(value) => {
                    let (start, end) = (number(&value[..8]), number(&value[8..]));
                    self.state.insert(number(&key), Segment { start, end });
                }
                None => drop(self.state.remove(&number(&key))),
            }
        }
        if let Some((position, end)) = known {
            self.replayed_from = position.place.file;
            let is_settled =
                |file: &&KnownFile| file.number < position.place.file || file.number.is_moved();
            for file in end.files.iter().filter(is_settled) {
                if self.log.disk.list().contains_key(&file.number.name()) {
                    self.index.add_file(file.number, file.salt);
                    let KnownFile { len, bytes, live, .. } = *file;
                    // A hint may be wrong.
                    let live = if self.log.random.u8(..8) == 0 { 0 } else { live };
                    self.space.set_file(file.number, FileUse { len, bytes, live });
                }
            }
            for KnownRun { run, salt, len } in &end.runs {
                let at = len - FOOTER_LEN as u64;
                let footer = self.log.disk.read(&run.name(), at, FOOTER_LEN as u64);
                let footer = Footer::decode(&footer, *salt, at).expect("a whole run");
                self.index.add_run(*run, Run { salt: *salt, footer });
                self.run_lens.insert(*run, *len);
            }
        }
        recovered.moved.iter().for_each(|moved| self.take_moved(moved));
        self.next_moved = recovered.last_moved;
        for frame in &frames {
            self.begin(frame.place.file);
            self.index.commit(&frame.spans).unwrap();
            for span in &frame.spans {
                self.space.grow(frame.place.file, span.end, span.to - span.from);
            }
            for record in &frame.records {
                let before = self.state.clone();
                replay(&mut self.state, record);
                // What was freed before the checkpoint had its hint is freed twice.
                for (segment, Segment { start, end }) in before {
                    let to = self.state.get(&segment).map_or(end, |now| now.start);
                    if start < to {
                        self.free(segment, start..to);
                    }
                }
            }
        }
        (self.log.ends, self.log.begins) = (ends, begins);
        (0..self.next).for_each(|segment| self.touch(segment));
        recovered.sequence.0
    }

    fn touch(&mut self, segment: u64) {
        self.checkpoints.touch(Bytes::copy_from_slice(&segment.to_be_bytes()));
    }

    fn salt(&self, file: FileNumber) -> Salt {
        FileHead::decode(&self.log.disk.read(&file.name(), 0, 64)).unwrap().salt
    }

    /// Notes that a file is written.
    fn begin(&mut self, file: FileNumber) {
        if self.index.salt(file).is_none() {
            let salt = self.salt(file);
            self.index.begin(file, salt);
            self.space.grow(file, 64, 0);
        }
    }

    fn draw(&mut self) -> Change {
        let random = &mut self.log.random;
        let segments: Vec<(u64, Segment)> = self.state.iter().map(|(k, v)| (*k, *v)).collect();
        let any = (!segments.is_empty()).then(|| segments[random.usize(..segments.len())]);
        // Some segments are kept long, so that old files have bytes that are read.
        let is_kept = any.is_some_and(|(segment, _)| segment % 3 == 0) && random.u8(..8) > 0;
        match (any, random.u8(if is_kept { 6 } else { 0 }..20)) {
            (Some((segment, Segment { start, end })), 0..=4) => {
                let start = if random.bool() { end } else { random.u64(start..=end) };
                Change::Truncate { segment, start }
            }
            (Some((segment, _)), 5) => Change::Delete { segment },
            (any, roll) => {
                let any = any.filter(|_| segments.len() > 4 || roll > 7);
                let segment = any.map_or(self.next, |(segment, _)| segment);
                let len = if roll == 8 { random.u64(1..3000) } else { random.u64(1..200) };
                Change::Append { segment, len, draw: random.u64(..1000) }
            }
        }
    }

    fn submit(&mut self) {
        self.submit_with(Vec::new());
    }

    /// Submits a change, with records of the log's files.
    fn submit_with(&mut self, more: Vec<LogRecord>) {
        let change = self.draw();
        let text = |text: String| LogRecord::Change { meta: text.into() };
        let nothing = Segment { start: 0, end: 0 };
        let before = |segment: &u64| self.state.get(segment).copied().unwrap_or(nothing);
        let (segment, freed, record) = match change {
            Change::Append { segment, len, draw } => {
                let (offset, meta) = (before(&segment).end, Bytes::from_static(b"append"));
                let (number, data) = (SegmentNumber(segment), data(draw, len).into());
                (segment, 0..0, LogRecord::Data { segment: number, offset, meta, data })
            }
            Change::Truncate { segment, start } => {
                (segment, before(&segment).start..start, text(format!("{segment} {start}")))
            }
            Change::Delete { segment } => {
                let Segment { start, end } = before(&segment);
                (segment, start..end, text(format!("{segment}")))
            }
        };
        let (number, dying) = (self.changes.len() as u64 + 1, self.dying());
        let drop = |file: &FileNumber| LogRecord::File(FileChange::Dropped { file: *file });
        let mut records = vec![record];
        records.extend(dying.iter().map(drop).chain(more));
        if self.log.writer.submit(Sequence(number), records.clone()).is_err() {
            return;
        }
        self.changes.push(change);
        self.next = self.next.max(segment + 1);
        replay(&mut self.state, &records[0]);
        self.touch(segment);
        match self.mistake {
            Some(Mistake::RemovesUnrecorded) => {
                dying.iter().for_each(|file| self.remove_file(*file));
            }
            _ => self.dropped.extend(dying.into_iter().map(|file| (file, number))),
        }
        self.free(segment, freed);
    }

    /// Files that have nothing that is read, and are not replayed.
    fn dying(&self) -> Vec<FileNumber> {
        let live = |segment: SegmentNumber, from: u64, to: u64| match self.state.get(&segment.0) {
            Some(found) => to.min(found.end).saturating_sub(from.max(found.start)),
            None => 0,
        };
        let is_dead = |file: &FileNumber| {
            let runs = self.index.runs().map(|(run, _)| run);
            let runs = runs.filter(|run| run.first <= *file && *file <= run.last);
            let entries: Vec<Entry> = runs.flat_map(|run| self.entries(run)).collect();
            self.mistake == Some(Mistake::DropsOnHint) || live_in(*file, entries, live) == 0
        };
        let moved = self.moving.iter().flat_map(|(moved, ..)| &moved.victims);
        let dropped: BTreeSet<FileNumber> =
            self.dropped.iter().map(|(file, _)| *file).chain(moved.copied()).collect();
        let is_dropped = |file: &FileNumber| dropped.contains(file);
        let candidates = self.space.candidates(self.replayed_from);
        candidates.filter(|file| !is_dropped(file) && is_dead(file)).collect()
    }

    /// Corrects the hints after a range was freed.
    fn free(&mut self, segment: u64, range: Range<u64>) {
        let mut freed = Freed::new(SegmentNumber(segment), range, &self.index);
        loop {
            match freed.poll() {
                FreedStep::Read { file, range } => {
                    freed.handle_read(&self.read(&file.name(), range)).unwrap();
                }
                FreedStep::Done(counts) => {
                    counts.into_iter().for_each(|(file, bytes)| self.space.free(file, bytes));
                    return;
                }
            }
        }
    }

    fn read(&self, name: &str, range: Range<u64>) -> Bytes {
        self.log.disk.read(name, range.start, range.end - range.start)
    }

    fn entries(&self, run: RunFile) -> Vec<Entry> {
        let (_, content) = self.index.runs().find(|(other, _)| *other == run).unwrap();
        let directory = self.read(&run.name(), content.footer.directory_place());
        let directory = Directory::decode(&directory, content.salt, &content.footer).unwrap();
        let block = |place: Range<u64>| {
            let at = place.start;
            read_block(&self.read(&run.name(), place), content.salt, at).unwrap()
        };
        directory.blocks().flat_map(block).collect()
    }

    /// Writes or merges one run.
    fn index(&mut self) {
        let Some(work) = self.index.work() else { return };
        let (run, entries): (RunFile, Vec<Entry>) = match work {
            IndexWork::Write(file) => {
                let spans = self.index.spans_of(file).unwrap();
                let entry = |(segment, span)| Entry::new(segment, file, span);
                (RunFile::of(file), spans.all().map(entry).collect())
            }
            IndexWork::Merge(runs) => {
                let exists = |file| self.index.salt(file).is_some();
                let all = runs.iter().map(|run| self.entries(*run).into_iter());
                let (first, last) = (runs[0].first, runs[runs.len() - 1].last);
                (RunFile { first, last }, Merge::new(all, exists).collect())
            }
        };
        let salt = Salt(self.log.random.u64(..));
        let head = FileHead { kind: FileKind::Index, folder: FOLDER, number: run.first, salt };
        let mut builder = RunBuilder::new(&head, run.last);
        let mut content = BytesMut::new();
        entries.iter().for_each(|entry| builder.push(entry).unwrap());
        content.put_slice(&builder.finish());
        if write_whole(&mut self.log.disk, &run.name(), &content).is_err() {
            return;
        }
        let at = content.len() - FOOTER_LEN;
        let footer = Footer::decode(&content[at..], salt, at as u64).unwrap();
        let replaced = self.index.add_run(run, Run { salt, footer });
        self.run_lens.insert(run, content.len() as u64);
        if self.mistake == Some(Mistake::RemovesRunsEarly) {
            for run in &replaced {
                self.log.disk.remove(&run.name()).ok();
            }
        }
        self.retired.extend(replaced);
    }

    fn step(&mut self) {
        let (refusals, end) = (self.log.refusals, self.log.writer.end());
        if !self.log.step() {
            self.log.now += Duration::from_millis(30);
        }
        if let Some(after) = self.log.writer.end().filter(|after| Some(*after) != end) {
            self.begin(after.file);
            self.checkpoints.grow(100, 1);
        }
        let spans = std::mem::take(&mut self.log.spans);
        self.index.commit(&spans).unwrap();
        for span in spans {
            self.space.grow(span.record.file, span.end, span.to - span.from);
        }
        let durable = self.log.writer.durable().0;
        let is_refused = self.log.refusals > refusals;
        self.check_moved(durable, is_refused);
        if is_refused {
            self.checkpoints.abort();
            self.changes.truncate(durable as usize);
            self.state = model(&self.changes).0;
            self.dropped.retain(|(_, number)| *number <= durable);
            (0..self.next).for_each(|segment| self.touch(segment));
        }
        let dead: Vec<FileNumber> =
            self.dropped.extract_if(.., |(_, number)| *number <= durable).map(|it| it.0).collect();
        dead.into_iter().for_each(|file| self.remove_file(file));
    }

    /// Removes a file that is not needed any longer.
    fn remove_file(&mut self, file: FileNumber) {
        self.retired.extend(self.index.remove_file(file));
        self.space.remove(file);
        self.log.ends.remove(&file);
        self.deaths += 1;
        if self.log.disk.list().contains_key(&file.name()) {
            self.log.disk.remove(&file.name()).ok();
        }
    }

    /// One step of a checkpoint.
    fn checkpoint(&mut self) {
        if self.checkpoints.is_due() {
            self.begin_checkpoint();
        }
        match self.checkpoints.poll(self.log.writer.durable()) {
            NextOfCheckpoint::Idle | NextOfCheckpoint::Wait => {}
            NextOfCheckpoint::Slice(slice) => {
                let entries = self.slice(slice);
                let up_to = Sequence(self.changes.len() as u64);
                self.checkpoints.handle_slice(&entries, up_to);
            }
            NextOfCheckpoint::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                self.checkpoints.handle(&outcome(done));
            }
            NextOfCheckpoint::Completed(position) => {
                self.replayed_from = position.place.file;
                for run in std::mem::take(&mut self.removable) {
                    self.log.disk.remove(&run.name()).ok();
                }
            }
        }
    }

    fn slice(&self, slice: Slice) -> Vec<StateEntry> {
        let value = |segment: u64| -> StateEntry {
            let numbers = |it: &Segment| [it.start, it.end].map(u64::to_be_bytes).concat();
            let value = self.state.get(&segment).map(|found| numbers(found).into());
            (Bytes::copy_from_slice(&segment.to_be_bytes()), value)
        };
        let number = |key: &Bytes| u64::from_be_bytes(key[..].try_into().unwrap());
        match slice {
            Slice::Keys(keys) => keys.iter().map(|key| value(number(key))).collect(),
            Slice::After(after, most) => {
                let from = after.map_or(0, |key| number(&key) + 1);
                self.state.range(from..).take(most).map(|(key, _)| value(*key)).collect()
            }
        }
    }

    /// Begins a checkpoint at the start of the oldest file that has no run.
    fn begin_checkpoint(&mut self) {
        let Some(end) = self.log.writer.end() else { return };
        let exists = |file: &FileNumber| self.index.salt(*file).is_some();
        let files = self.log.ends.keys().copied().chain([end.file]);
        let files: BTreeSet<FileNumber> = files.filter(exists).collect();
        let in_memory = |file: &FileNumber| self.index.spans_of(*file).is_some();
        let first = files.iter().copied().find(in_memory).unwrap_or(end.file);
        let sequence = self.log.begins.get(&first).copied().unwrap_or_default();
        let (place, sequence) = match self.mistake {
            Some(Mistake::PassesUnindexed) => (end, self.log.writer.durable().0),
            _ => (Place { file: first, at: 64 }, sequence),
        };
        let known = |number: FileNumber| {
            let len = if number == place.file { place.at } else { self.log.ends[&number] };
            let FileUse { bytes, live, .. } = self.space.file(number).unwrap_or_default();
            KnownFile { number, salt: self.salt(number), len, bytes, live }
        };
        let files = files.into_iter().filter(|file| *file <= place.file);
        let moved = self.space.moved();
        let moved = moved.map(|(number, FileUse { len, bytes, live })| KnownFile {
            number,
            salt: self.index.salt(number).unwrap(),
            len,
            bytes,
            live,
        });
        let files: Vec<KnownFile> = files.map(known).chain(moved).collect();
        let run = |(run, content): (RunFile, Run)| KnownRun {
            run,
            salt: content.salt,
            len: self.run_lens[&run],
        };
        let runs: Vec<KnownRun> = self.index.runs().map(run).collect();
        self.removable.append(&mut self.retired);
        let random = self.log.random.u64(..);
        self.checkpoints.begin(Position { place, sequence }, files, runs, random);
    }

    /// Writes changes, runs and checkpoints side by side; returns the last acknowledged change.
    fn run(&mut self, more: usize) -> usize {
        let goal = self.changes.len() + more;
        for _ in 0..4000 {
            let is_written = self.changes.len() >= goal && self.log.writer.queued() == 0;
            let is_over = self.log.random.u16(..1500) == 0;
            if self.log.writer.failure().is_some() || is_written || is_over {
                break;
            }
            match self.log.random.u8(..12) {
                0..=2 if self.changes.len() < goal => self.submit(),
                3 => self.log.prepare(),
                4 => self.log.extend(),
                5 => self.index(),
                6 | 7 => self.checkpoint(),
                8..=10 => self.compact(),
                _ => self.step(),
            }
        }
        self.log.writer.durable().0 as usize
    }

    /// Reads the segments of a storage that has written all of them.
    fn read_back(&mut self) {
        let (_, contents) = model(&self.changes);
        for (segment, Segment { start, end }) in self.state.clone() {
            let from = self.log.random.u64(start..=end);
            for (from, to) in [(start, end), (from, end.min(from + 100))] {
                let mut fetch = Fetch::new(SegmentNumber(segment), from, to);
                let mut found = Vec::new();
                loop {
                    match fetch.poll(&self.index) {
                        FetchStep::Read { file, range } => {
                            fetch.handle_read(self.read(&file.name(), range));
                        }
                        FetchStep::Bytes(bytes) => found.extend_from_slice(&bytes),
                        FetchStep::Done => break,
                        other => panic!("segment {segment} from {from} to {to}: {other:?}"),
                    }
                }
                let expected = &contents[&segment][from as usize..to as usize];
                assert!(found == expected, "segment {segment} from {from} to {to}");
            }
        }
    }
}

/// Writes a file that is whole once it has its name.
fn write_whole(disk: &mut Disk, name: &str, content: &[u8]) -> Result<(), Failed> {
    let new = format!("{name}.new");
    if disk.list().contains_key(&new) {
        disk.remove(&new)?;
    }
    disk.create(&new)?;
    disk.write(&new, 0, content)?;
    disk.sync(&new)?;
    disk.rename(&new, name)?;
    disk.sync_folder()
}

fn carry_out(disk: &mut Disk, effect: CheckpointEffect) -> Result<(), Failed> {
    match effect {
        CheckpointEffect::Append { name, at, bytes } => {
            if at == 0 && !disk.list().contains_key(&name) {
                disk.create(&name)?;
            }
            disk.write(&name, at, &bytes)
        }
        CheckpointEffect::Sync { name } => disk.sync(&name),
        CheckpointEffect::Rename { from, to } => disk.rename(&from, &to),
        CheckpointEffect::SyncFolder => disk.sync_folder(),
        CheckpointEffect::Remove { name } => match disk.list().contains_key(&name) {
            true => disk.remove(&name),
            false => Ok(()),
        },
    }
}

/// The lives of a storage; see those of a log. Returns how many files died, and how often bytes
/// were moved.
fn lives(seed: u64, mistake: Option<Mistake>) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut disk, mut acknowledged, mut changes) = (Disk::default(), 0, Vec::new());
    let (mut deaths, mut moves) = (0, 0);
    for _ in 0..random.usize(1..6) {
        let part = [Part::Nothing, Part::Half, Part::Everything][random.usize(..3)];
        let fault = match random.u8(..6) {
            0..=2 => Fault::Crash(part),
            3 => Fault::Error(part),
            _ => Fault::NoSpace(random.usize(1..30), part),
        };
        let failing = disk.failing_at(random.usize(1..800), fault);
        disk = match Storage::open(failing, &changes, acknowledged, random.u64(..), mistake) {
            Err(disk) => disk,
            Ok(mut storage) => {
                acknowledged = storage.run(random.usize(1..250));
                deaths += storage.deaths;
                moves += storage.moves;
                changes = storage.changes;
                storage.log.disk
            }
        };
        disk = match random.u8(..5) {
            0 => disk.after_kill(),
            _ => disk.after(LOSSES[random.usize(..LOSSES.len())], &mut random),
        };
    }
    let opened = Storage::open(disk, &changes, acknowledged, random.u64(..), mistake);
    let Ok(mut storage) = opened else { panic!("a disk without faults fails") };
    let goal = storage.changes.len() + 100;
    while storage.log.writer.queued() > 0 || storage.changes.len() < goal {
        storage.run(goal.saturating_sub(storage.changes.len()));
    }
    storage.read_back();
    (deaths + storage.deaths, moves + storage.moves)
}

#[test]
fn every_acknowledged_byte_is_read_back_after_every_life() {
    let lives = (0..200).map(|seed| lives(seed, None));
    let (deaths, moves) = lives.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!("{deaths} files died, {moves} moves");
    assert!(deaths > 200 && moves > 50, "{deaths} files died, {moves} moves");
}

#[test]
fn mistakes_of_the_owner_are_caught() {
    let bug = (0..400)
        .find(|seed| catch_unwind(|| with(Bug::MovesUnsynced, || lives(*seed, None))).is_err());
    println!("MovesUnsynced is caught by seed {bug:?}");
    assert!(bug.is_some(), "MovesUnsynced is not caught");
    let mistakes = [
        Mistake::DropsOnHint,
        Mistake::PassesUnindexed,
        Mistake::RemovesRunsEarly,
        Mistake::RemovesUnrecorded,
        Mistake::ReplacesUnrecorded,
    ];
    for mistake in mistakes {
        let is_caught = |seed: &u64| catch_unwind(|| lives(*seed, Some(mistake))).is_err();
        let caught = (0..400).find(is_caught);
        println!("{mistake:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{mistake:?} is not caught");
    }
}
