//! Segments in a log with an index and checkpoints, whose files die when nothing in them is read:
//! after any crash every byte that was acknowledged is read back from files.

mod moving;

use std::{collections::BTreeMap, ops::Range, panic::catch_unwind, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    super::{
        Chain, CheckpointNeeds, CheckpointSettings, Checkpoints, Compaction, Directory, Entry,
        FOOTER_LEN, Fetch, FetchStep, FileKind, FileUse, Footer, Freed, FreedStep, IndexWork,
        Keeper, KnownFile, Merge, NextOfCheckpoint, Run, RunBuilder, Slice, SpaceSettings, live_in,
        read_block,
        seeded_bugs::{Bug, with},
    },
    FOLDER, FileChange, FileHead, FileNumber, Held, Log, LogRecord, OpenFailure, Position, RunFile,
    Salt, SegmentNumber, StateEntry,
    disk::{Disk, Failed, Fault, LOSSES, Part, carry_out},
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
    keeper: Keeper,
    state: State,
    changes: Vec<Change>,
    /// The number of the next segment.
    next: u64,
    deaths: usize,
    compaction: Option<Compaction>,
    moves: usize,
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
            keeper: Keeper::new(SpaceSettings { limit: None, reserve: 0 }),
            state: State::new(),
            changes: Vec::new(),
            next: changes.iter().map(Change::segment).max().unwrap_or(0) + 1,
            deaths: 0,
            compaction: None,
            moves: 0,
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
        let Held { entries, ends, known, frames, recovered, .. } = held;
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
            let listing = self.log.disk.list();
            let exists = |file: FileNumber| listing.contains_key(&file.name());
            self.keeper.take_checkpoint(&position, &end, exists);
            // A hint may be wrong.
            for file in end.files.iter().map(|file| file.number) {
                if self.log.random.u8(..8) == 0 {
                    self.keeper.space_mut().recount(file, 0);
                }
            }
            for known in &end.runs {
                let footer = self.footer(known.run, known.salt, known.len);
                self.keeper.take_run(known, footer);
            }
        }
        for moved in &recovered.moved {
            let footer = self.footer(RunFile::of(moved.file), moved.run_salt, moved.run_len);
            self.keeper.take_moved(moved, footer);
        }
        self.keeper.take_last_moved(recovered.last_moved);
        for frame in &frames {
            let salt = self.salt(frame.place.file);
            self.keeper.take_frame(frame.place, salt, &frame.placed).unwrap();
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
        self.log.ends = ends;
        (0..self.next).for_each(|segment| self.touch(segment));
        recovered.sequence.0
    }

    fn touch(&mut self, segment: u64) {
        self.checkpoints.touch(Bytes::copy_from_slice(&segment.to_be_bytes()));
    }

    fn salt(&self, file: FileNumber) -> Salt {
        FileHead::decode(&self.log.disk.read(&file.name(), 0, 64)).unwrap().salt
    }

    fn footer(&self, run: RunFile, salt: Salt, len: u64) -> Footer {
        let at = len - FOOTER_LEN as u64;
        let footer = self.log.disk.read(&run.name(), at, FOOTER_LEN as u64);
        Footer::decode(&footer, salt, at).expect("a whole run")
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
        for file in dying {
            if self.mistake == Some(Mistake::RemovesUnrecorded) {
                self.log.disk.remove(&file.name()).ok();
            }
            self.keeper.drop_file(file, Sequence(number));
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
            let runs = self.keeper.index().runs().map(|(run, _)| run);
            let runs = runs.filter(|run| run.first <= *file && *file <= run.last);
            let entries: Vec<Entry> = runs.flat_map(|run| self.entries(run)).collect();
            self.mistake == Some(Mistake::DropsOnHint) || live_in(*file, entries, live) == 0
        };
        self.keeper.candidates().into_iter().filter(is_dead).collect()
    }

    /// Corrects the hints after a range was freed.
    fn free(&mut self, segment: u64, range: Range<u64>) {
        let mut freed = Freed::new(SegmentNumber(segment), range, self.keeper.index());
        loop {
            match freed.poll() {
                FreedStep::Read { file, range } => {
                    freed.handle_read(&self.read(&file.name(), range)).unwrap();
                }
                FreedStep::Done(counts) => {
                    let space = self.keeper.space_mut();
                    counts.into_iter().for_each(|(file, bytes)| space.free(file, bytes));
                    return;
                }
            }
        }
    }

    fn read(&self, name: &str, range: Range<u64>) -> Bytes {
        self.log.disk.read(name, range.start, range.end - range.start)
    }

    fn entries(&self, run: RunFile) -> Vec<Entry> {
        let (_, content) = self.keeper.index().runs().find(|(other, _)| *other == run).unwrap();
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
        let Some(work) = self.keeper.index().work() else { return };
        let (run, entries): (RunFile, Vec<Entry>) = match work {
            IndexWork::Write(file) => {
                let spans = self.keeper.index().spans_of(file).unwrap();
                let entry = |(segment, span)| Entry::new(segment, file, span);
                (RunFile::of(file), spans.all().map(entry).collect())
            }
            IndexWork::Merge(runs) => {
                let exists = |file| self.keeper.index().salt(file).is_some();
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
        let before: Vec<RunFile> = self.keeper.index().runs().map(|(run, _)| run).collect();
        self.keeper.handle_run(run, Run { salt, footer }, content.len() as u64);
        if self.mistake == Some(Mistake::RemovesRunsEarly) {
            let is_left = |run: &RunFile| self.keeper.index().runs().any(|(it, _)| it == *run);
            for run in before.iter().filter(|run| !is_left(run)) {
                self.log.disk.remove(&run.name()).ok();
            }
        }
    }

    fn step(&mut self) {
        let refusals = self.log.refusals;
        if !self.log.step() {
            self.log.now += Duration::from_millis(30);
        }
        for committed in std::mem::take(&mut self.log.committed) {
            let moved = self.keeper.space().moved().count();
            let gone = self.keeper.handle_committed(&committed).unwrap();
            self.moves += usize::from(self.keeper.space().moved().count() > moved);
            gone.into_iter().for_each(|file| self.remove_file(file));
            self.checkpoints.grow(100, 1);
        }
        if self.log.refusals > refusals {
            let durable = self.log.writer.durable();
            let leftovers = self.keeper.handle_refused(durable);
            self.remove_leftovers(&leftovers);
            if let Some(compaction) = &mut self.compaction {
                compaction.abort();
            }
            self.checkpoints.abort();
            self.changes.truncate(durable.0 as usize);
            self.state = model(&self.changes).0;
            (0..self.next).for_each(|segment| self.touch(segment));
        }
    }

    /// Removes a file that is not needed any longer.
    fn remove_file(&mut self, file: FileNumber) {
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
                for run in self.keeper.complete_checkpoint(&position) {
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

    fn begin_checkpoint(&mut self) {
        let Some(mut needs) = self.keeper.begin_checkpoint() else { return };
        if self.mistake == Some(Mistake::PassesUnindexed) {
            let (place, sequence) = (self.log.writer.end().unwrap(), self.log.writer.durable().0);
            needs.position = Position { place, sequence };
            let files = self.keeper.space().settled(place.file.next());
            let known = |(number, FileUse { len, bytes, live })| {
                let salt = self.keeper.index().salt(number).unwrap();
                KnownFile { number, salt, len, bytes, live }
            };
            needs.files = files.map(known).collect();
        }
        let CheckpointNeeds { position, files, runs } = needs;
        self.checkpoints.begin(position, files, runs, self.log.random.u64(..));
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
                    match fetch.poll(self.keeper.index()) {
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
