//! Segments in a log with an index and checkpoints, whose files die when nothing in them is read:
//! after any crash every byte that was acknowledged is read back from files.

mod moving;
mod scrub;

use std::{collections::BTreeMap, ops::Range, panic::catch_unwind};

use bytes::Bytes;

use super::{
    super::{
        CheckpointSettings, Slice,
        seeded_bugs::{Bug, with},
    },
    FOLDER, Held, LogRecord, OpenFailure, SegmentNumber, StateEntry,
    disk::Disk,
    kept::{Kept, Mistake},
    open,
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

struct Storage {
    kept: Kept,
    state: State,
    changes: Vec<Change>,
    /// The number of the next segment.
    next: u64,
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
        let settings = CheckpointSettings {
            tail_len: 3000,
            tail_records: 25,
            slice: 3,
            ..CheckpointSettings::new(FOLDER)
        };
        let mut storage = Self {
            kept: Kept::new((disk, writer), held.as_ref(), settings, seed, mistake),
            state: State::new(),
            changes: Vec::new(),
            next: changes.iter().map(Change::segment).max().unwrap_or(0) + 1,
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
        let Held { entries, frames, recovered, .. } = held;
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
        for record in frames.iter().flat_map(|frame| &frame.records) {
            let before = self.state.clone();
            replay(&mut self.state, record);
            // What was freed before the checkpoint had its hint is freed twice.
            for (segment, Segment { start, end }) in before {
                let to = self.state.get(&segment).map_or(end, |now| now.start);
                if start < to {
                    self.kept.free(SegmentNumber(segment), start..to);
                }
            }
        }
        (0..self.next).for_each(|segment| self.touch(segment));
        recovered.sequence.0
    }

    fn touch(&mut self, segment: u64) {
        self.kept.checkpoints.touch(Bytes::copy_from_slice(&segment.to_be_bytes()));
    }

    fn draw(&mut self) -> Change {
        let random = &mut self.kept.log.random;
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
        let number = Sequence(self.changes.len() as u64 + 1);
        let state = &self.state;
        let dying = self.kept.dying(&|segment, range| live(state, segment, &range));
        let mut records = vec![record];
        records.extend(Kept::dropped(&dying).chain(more));
        if self.kept.log.writer.submit(number, records.clone()).is_err() {
            return;
        }
        self.changes.push(change);
        self.next = self.next.max(segment + 1);
        replay(&mut self.state, &records[0]);
        self.touch(segment);
        self.kept.drop_files(dying, number);
        self.kept.free(SegmentNumber(segment), freed);
    }

    fn step(&mut self) {
        if self.kept.step() {
            self.changes.truncate(self.kept.log.writer.durable().0 as usize);
            self.state = model(&self.changes).0;
            (0..self.next).for_each(|segment| self.touch(segment));
        }
    }

    fn checkpoint(&mut self) {
        let Self { kept, state, changes, .. } = self;
        kept.checkpoint(|asked| (slice(state, asked), Sequence(changes.len() as u64)));
    }

    /// Writes the runs and a checkpoint that a start has left, while nothing is committed.
    fn idle(&mut self) {
        while self.kept.keeper.index().work().is_some() {
            let before = self.kept.keeper.index().runs().count();
            self.kept.index();
            if self.kept.keeper.index().runs().count() == before {
                return;
            }
        }
        self.kept.begin_checkpoint();
        (0..self.kept.log.random.u8(..60)).for_each(|_| self.checkpoint());
    }

    /// Writes changes, runs and checkpoints side by side; returns the last acknowledged change.
    fn run(&mut self, more: usize) -> usize {
        if self.kept.log.random.u8(..4) == 0 {
            self.idle();
        }
        let goal = self.changes.len() + more;
        for _ in 0..4000 {
            let is_written = self.changes.len() >= goal && self.kept.log.writer.queued() == 0;
            let is_over = self.kept.log.random.u16(..1500) == 0;
            if self.kept.log.writer.failure().is_some() || is_written || is_over {
                break;
            }
            match self.kept.log.random.u8(..12) {
                0..=2 if self.changes.len() < goal => self.submit(),
                3 => self.kept.log.prepare(),
                4 => self.kept.log.extend(),
                5 => self.kept.index(),
                6 | 7 => self.checkpoint(),
                8..=10 => self.compact(),
                _ => self.step(),
            }
        }
        self.kept.log.writer.durable().0 as usize
    }

    /// Reads the segments of a storage that has written all of them.
    fn read_back(&mut self) {
        let (_, contents) = model(&self.changes);
        for (segment, Segment { start, end }) in self.state.clone() {
            let from = self.kept.log.random.u64(start..=end);
            for (from, to) in [(start, end), (from, end.min(from + 100))] {
                let found = self.kept.fetch(SegmentNumber(segment), from..to);
                let found = found.unwrap_or_else(|why| panic!("{segment} at {from}: {why:?}"));
                let expected = &contents[&segment][from as usize..to as usize];
                assert!(found == expected, "segment {segment} from {from} to {to}");
            }
        }
    }
}

/// The parts of a range of a segment that can be read.
fn live(state: &State, segment: SegmentNumber, range: &Range<u64>) -> Vec<Range<u64>> {
    let Some(found) = state.get(&segment.0) else { return Vec::new() };
    let part = range.start.max(found.start)..range.end.min(found.end);
    if part.is_empty() { Vec::new() } else { vec![part] }
}

/// The values of a slice of keys.
fn slice(state: &State, slice: Slice) -> Vec<StateEntry> {
    let value = |segment: u64| -> StateEntry {
        let numbers = |it: &Segment| [it.start, it.end].map(u64::to_be_bytes).concat();
        let value = state.get(&segment).map(|found| numbers(found).into());
        (Bytes::copy_from_slice(&segment.to_be_bytes()), value)
    };
    let number = |key: &Bytes| u64::from_be_bytes(key[..].try_into().unwrap());
    match slice {
        Slice::Keys(keys) => keys.iter().map(|key| value(number(key))).collect(),
        Slice::After(after, most) => {
            let from = after.map_or(0, |key| number(&key) + 1);
            state.range(from..).take(most).map(|(key, _)| value(*key)).collect()
        }
    }
}

/// The lives of a storage; see those of a log. Returns how many files died, and how often bytes
/// were moved.
fn lives(seed: u64, mistake: Option<Mistake>) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut disk, mut acknowledged, mut changes) = (Disk::default(), 0, Vec::new());
    let (mut deaths, mut moves) = (0, 0);
    for _ in 0..random.usize(1..6) {
        let failing = disk.failing(&mut random);
        disk = match Storage::open(failing, &changes, acknowledged, random.u64(..), mistake) {
            Err(disk) => disk,
            Ok(mut storage) => {
                acknowledged = storage.run(random.usize(1..250));
                deaths += storage.kept.deaths;
                moves += storage.kept.moves;
                changes = storage.changes;
                storage.kept.log.disk
            }
        };
        disk = disk.after_end(&mut random);
    }
    let opened = Storage::open(disk, &changes, acknowledged, random.u64(..), mistake);
    let Ok(mut storage) = opened else { panic!("a disk without faults fails") };
    let goal = storage.changes.len() + 100;
    while storage.kept.log.writer.queued() > 0 || storage.changes.len() < goal {
        storage.run(goal.saturating_sub(storage.changes.len()));
    }
    storage.read_back();
    (deaths + storage.kept.deaths, moves + storage.kept.moves)
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
        Mistake::ForgetsLate,
    ];
    for mistake in mistakes {
        let is_caught = |seed: &u64| catch_unwind(|| lives(*seed, Some(mistake))).is_err();
        let caught = (0..400).find(is_caught);
        println!("{mistake:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{mistake:?} is not caught");
    }
}
