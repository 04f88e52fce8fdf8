//! The machine over a log: histories drawn from seeds, restored from checkpoints that are taken
//! while they go on, and from the changes after those.

use std::{collections::BTreeMap, ops::Range};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use pravega_sdk_types::Offset;

use super::{
    at, everything,
    histories::{History, SCOPE, check_same, config, info},
    machine_with,
};
use crate::{
    Restoring,
    catalog::older_entries,
    log::{
        Coverage, FileNumber, FrameBuilder, LogRecord, Place, PlacedRecord, Salt, SegmentNumber,
        Slice, StateEntry, read_frame,
    },
    machine::Machine,
    record::{Durability, Millis, Record, Sequence},
    store::Progress,
};

/// The bytes of segments in all records that were ever written.
#[derive(Default)]
struct Bytestore(BTreeMap<(SegmentNumber, u64), Bytes>);

impl Bytestore {
    fn keep(&mut self, records: &[PlacedRecord]) {
        for placed in records {
            if let LogRecord::Data { segment, offset, data, .. } = &placed.record
                && !data.is_empty()
            {
                self.0.insert((*segment, *offset), data.clone());
            }
        }
    }

    fn read(&self, number: SegmentNumber, range: Range<u64>) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let (key, data) = self.0.range(..=(number, at)).next_back().expect("a record before");
            assert!(key.0 == number && key.1 + data.len() as u64 > at, "{number:?} at {at}");
            let part = &data[(at - key.1) as usize..];
            let part = &part[..part.len().min((range.end - at) as usize)];
            out.extend_from_slice(part);
            at += part.len() as u64;
        }
        out
    }
}

/// The records of a batch as a frame has them.
fn placed(sequence: Sequence, records: &[LogRecord]) -> Vec<PlacedRecord> {
    let place = Place { file: FileNumber(1), at: 64 };
    let mut frame = FrameBuilder::new(Salt(7), place, BytesMut::new());
    records.iter().for_each(|record| frame.push(record));
    let (bytes, _) = frame.finish(sequence).unwrap();
    read_frame(&bytes, Salt(7), place.at).unwrap().1
}

/// A machine, which for some seeds keeps the keys of few changed values.
fn logged(seed: u64) -> Machine {
    let mut machine = machine_with(Durability::Logged);
    if seed.is_multiple_of(3) {
        machine.keep_touched(2000);
    }
    machine
}

/// A history, and the log that it writes.
struct Logged {
    history: History,
    log: Vec<(Sequence, Vec<PlacedRecord>)>,
    bytes: Bytestore,
    random: fastrand::Rng,
    /// The entries of all checkpoints from the base on.
    chain: Vec<StateEntry>,
    /// The number of batches before the first that is applied to the chain.
    position: usize,
    seed: u64,
    /// How many checkpoints have everything because too much changed.
    forced: usize,
}

impl Logged {
    fn new(seed: u64) -> Self {
        let history = History::of(logged(seed), seed);
        let history = if seed.is_multiple_of(2) { history } else { history.with_slices(seed) };
        let mut logged = Self {
            history,
            log: Vec::new(),
            bytes: Bytestore::default(),
            random: fastrand::Rng::with_seed(!seed),
            chain: Vec::new(),
            position: 0,
            seed,
            forced: 0,
        };
        logged.take();
        logged
    }

    fn take(&mut self) {
        let machine = &mut self.history.machine;
        if let Some((sequence, records)) = machine.take_batch() {
            let records = placed(sequence, &records);
            self.bytes.keep(&records);
            self.log.push((sequence, records));
        }
    }

    fn step(&mut self) {
        if self.random.u8(0..3) == 0 {
            self.merge_or_so();
        } else {
            self.history.step();
        }
        self.take();
    }

    /// A change of one of a few segments, which are often merged and truncated.
    fn merge_or_so(&mut self) {
        let random = &mut self.random;
        let mut name = || ByteString::from(format!("merging/{}/0.#epoch.0", random.u8(0..5)));
        let (one, other) = (name(), name());
        let data = vec![random.u8(..); random.usize(0..30)];
        let (cut, choice) = (random.f64(), random.u8(0..12));
        let step = &mut self.history.machine.call(at(1)).1;
        match choice {
            0..4 => drop(step.create(&one, Vec::new())),
            4..8 => drop(step.append_internal(&one, data.into(), Vec::new())),
            8 | 9 => drop(step.merge(&one, &other, &[])),
            10 => {
                let found = step.store.info(&one);
                let offset = found
                    .map_or(0, |info| info.start + ((info.len - info.start) as f64 * cut) as u64);
                drop(step.truncate(&one, Offset(offset as i64)));
            }
            _ => drop(step.delete(&one)),
        }
    }

    /// Writes a checkpoint while the history goes on: of everything, or of what changed.
    fn checkpoint(&mut self, is_base: bool) {
        let most = self.random.usize(1..40);
        self.checkpoint_with(is_base, most, Self::some_steps);
    }

    /// Writes a checkpoint of slices with a number of entries, after each of which something else
    /// happens.
    fn checkpoint_with(&mut self, is_base: bool, most: usize, mut happens: impl FnMut(&mut Self)) {
        let position = self.random.usize(self.position..=self.log.len());
        let touched = self.history.machine.take_touched();
        let is_forced = touched.coverage() == Coverage::Partial;
        self.forced += usize::from(is_forced);
        let (short, mut slices) = (most, 0);
        let mut most = || {
            // The rest is taken quickly.
            slices += 1;
            if slices < 100 { short } else { 1000 }
        };
        let mut entries = Vec::new();
        if is_base || is_forced {
            self.chain.clear();
            let mut after = None;
            loop {
                let slice = self.history.machine.slice(&Slice::After(after, most()));
                let Some((last, _)) = slice.last() else { break };
                after = Some(last.clone());
                entries.extend(slice);
                happens(self);
            }
        } else {
            let mut keys: Vec<Bytes> = touched.into_keys().collect();
            while !keys.is_empty() {
                let asked: Vec<Bytes> = keys.iter().take(most()).cloned().collect();
                let slice = self.history.machine.slice(&Slice::Keys(asked));
                keys.drain(..slice.len());
                entries.extend(slice);
                happens(self);
            }
        }
        self.chain.extend(entries);
        self.position = position;
    }

    fn some_steps(&mut self) {
        for _ in 0..self.random.usize(0..3) {
            self.step();
        }
    }

    fn restored(&self) -> Machine {
        let mut restoring = Restoring::new(logged(self.seed));
        restoring.entries(self.chain.clone());
        for (_, records) in &self.log[self.position..] {
            restoring.frame(records.clone());
        }
        let last = self.log.last().map_or(Sequence(0), |(sequence, _)| *sequence);
        restoring.finish(last).unwrap()
    }

    fn check(&self, what: &str) -> Machine {
        let restored = self.restored();
        check_same(&self.view(&restored), &self.view(&self.history.machine), what);
        for machine in [&restored, &self.history.machine] {
            assert_eq!(machine.store.held(), machine.store.recount_all(), "{what}");
            assert_eq!(machine.catalog.held(), machine.catalog.recount(), "{what}");
        }
        assert!(restored.catalog.counts_remembered() && restored.catalog.knows_tags(), "{what}");
        restored
    }

    /// Everything that a client can read, and what a later change depends on, as sorted text.
    fn view(&self, machine: &Machine) -> Vec<String> {
        let mut all = machine.store.view(&|number, range| self.bytes.read(number, range));
        machine.catalog.snapshot(|record| all.push(format!("{record:?}")));
        all.push(format!("{} {:?}", machine.catalog.leavings(), machine.journal.latest()));
        all.sort();
        all
    }
}

#[test]
fn the_changes_of_the_log_restore_the_machine() {
    let mut parts = 0;
    for seed in 0..300 {
        let mut logged = Logged::new(seed);
        for _ in 0..150 {
            logged.step();
        }
        let restored = logged.check(&format!("seed {seed}"));
        parts += restored.store.parts_count();
    }
    assert!(parts > 200, "{parts} parts: the seeds hardly merge anything");
}

#[test]
fn checkpoints_that_are_taken_while_the_server_changes_restore_it_with_the_log_after_them() {
    let (mut entries, mut forced) = (0, 0);
    for seed in 0..400 {
        let mut logged = Logged::new(seed);
        for _ in 0..logged.random.usize(0..100) {
            logged.step();
        }
        logged.checkpoint(true);
        logged.check(&format!("seed {seed}, base"));
        for delta in 0..logged.random.usize(0..4) {
            for _ in 0..logged.random.usize(0..40) {
                logged.step();
            }
            logged.checkpoint(false);
            logged.check(&format!("seed {seed}, delta {delta}"));
        }
        entries += logged.chain.len();
        forced += logged.forced;
    }
    assert!(entries > 10_000, "{entries} entries");
    assert!(forced > 50, "{forced} checkpoints have everything as too much changed");
}

#[test]
fn a_restored_server_goes_on_as_the_one_before() {
    for seed in 0..200 {
        let mut logged = Logged::new(seed);
        for round in 0..4 {
            for _ in 0..logged.random.usize(0..60) {
                logged.step();
            }
            if round % 2 == 0 {
                logged.checkpoint(round == 0);
            }
            let mut restored = logged.check(&format!("seed {seed}, round {round}"));
            restored.store.few = logged.history.machine.store.few;
            logged.history.machine = restored;
            logged.take();
        }
    }
}

#[test]
fn a_stream_that_leaves_and_another_with_its_name_are_restored_from_any_checkpoint() {
    // A deletion of more is made in slices, and takes the stream to other keys.
    const SEGMENTS: i32 = 1100;
    let mut moved = 0;
    for begins in [0, 2, 3, 5, 8, 12] {
        for is_base in [true, false] {
            let mut logged = Logged::new(2);
            logged.history.call(|catalog, step| {
                catalog.create_stream(config("two", SEGMENTS), step).unwrap();
            });
            while logged.history.machine.store.settle_slice() == Progress::Unfinished {}
            // An entry for each, which the stream takes with it.
            for _ in 0..8 {
                logged.history.call(|catalog, step| {
                    catalog.create_transaction(&info("two"), 600_000, step).unwrap();
                });
            }
            logged.history.call(|catalog, step| catalog.seal_stream(&info("two"), step)).unwrap();
            while logged.history.machine.store.settle_slice() == Progress::Unfinished {}
            logged.take();
            let mut round = 0;
            logged.checkpoint_with(is_base, 1, |logged| {
                if round == begins {
                    logged.history.call(|catalog, step| {
                        catalog.delete_stream(&info("two"), step).unwrap();
                        catalog.create_stream(config("two", 2), step).unwrap();
                    });
                    for _ in 0..4 {
                        logged.history.call(|catalog, step| {
                            catalog.create_transaction(&info("two"), 600_000, step).unwrap();
                        });
                    }
                    moved += usize::from(logged.history.machine.catalog.leavings() > 0);
                }
                if round > begins && round % 40 == 0 {
                    let at = logged.history.at();
                    logged.history.machine.work(at);
                }
                logged.take();
                round += 1;
            });
            let what = format!("after {begins} slices, base {is_base}");
            logged.check(&what);
            logged.checkpoint_with(false, 100, |_| {});
            logged.check(&format!("{what}, and another"));
        }
    }
    assert!(moved == 12, "{moved} streams leave");
}

#[test]
fn what_a_journal_has_is_replayed_into_the_log() {
    for seed in 0..60 {
        let mut history = History::of(machine_with(Durability::Kept), seed);
        for _ in 0..120 {
            history.step();
        }
        let mut logged = Logged::new(0);
        (logged.history.machine, logged.log) = (self::logged(1), Vec::new());
        let mut records = Vec::new();
        // The records of all changes, or a snapshot.
        if seed.is_multiple_of(2) {
            records.append(&mut history.records);
        } else {
            history.machine.snapshot(|record| records.push(record));
        }
        records.extend(older_entries(SCOPE));
        let mut again = machine_with(Durability::Kept);
        for record in &records {
            again.restore(record).unwrap();
            logged.history.machine.replay(record).unwrap();
            if logged.random.u8(0..9) == 0 {
                logged.take();
            }
        }
        logged.take();
        let last = logged.history.machine.journal.latest();
        logged.history.machine.resume(last);
        logged.check(&format!("seed {seed}"));
        let replayed = everything(&logged.history.machine);
        check_same(&replayed, &everything(&again), &format!("seed {seed}"));
    }
}

#[test]
fn a_truncation_between_two_slices_leaves_each_byte_where_it_is() {
    let (target, source) = (ByteString::from("a/b/0.#epoch.0"), ByteString::from("a/c/0.#epoch.0"));
    let mut slices = 0;
    for truncates in 0..30 {
        let mut logged = Logged::new(0);
        let step = &mut logged.history.machine.call(at(1)).1;
        for (segment, data) in [(&target, "0123"), (&source, "456789")] {
            step.create(segment, Vec::new()).unwrap();
            step.append_internal(segment, data.into(), Vec::new()).unwrap();
        }
        step.merge(&target, &source, &[]).unwrap();
        step.append_internal(&target, "abc".into(), Vec::new()).unwrap();
        logged.take();
        // The checkpoint has all of it, and the log only what follows.
        logged.position = logged.log.len();
        slices = 0;
        logged.checkpoint_with(true, 1, |logged| {
            if slices == truncates {
                let step = &mut logged.history.machine.call(at(2)).1;
                step.truncate(&target, Offset(10)).unwrap();
                step.append_internal(&target, "def".into(), Vec::new()).unwrap();
                logged.take();
            }
            slices += 1;
        });
        logged.check(&format!("truncated after {truncates} slices"));
    }
    assert!((5..30).contains(&slices), "{slices} slices");
}

#[test]
fn the_memory_of_parts_is_known_before_a_merge_and_comes_back() {
    let name = |number: u8| ByteString::from(format!("merging/{number}/0.#epoch.0"));
    let (mut logged, mut grown) = (Logged::new(0), 0);
    for _ in 0..2000 {
        logged.merge_or_so();
        let store = &logged.history.machine.store;
        assert_eq!(store.held(), store.recount_all());
        let (target, source) = (name(logged.random.u8(0..5)), name(logged.random.u8(0..5)));
        let are_two = target != source && store.info(&source).is_ok();
        if are_two && store.info(&target).is_ok_and(|info| !info.sealed) {
            let attributes = Vec::new();
            let (into, from) = (target.clone(), source.clone());
            let record = Record::Merged { target: into, source: from, attributes, at: Millis(1) };
            let (foretold, before) = (store.growth(&record), store.held() as i64);
            let step = &mut logged.history.machine.call(at(1)).1;
            step.merge(&target, &source, &[]).unwrap();
            let store = &logged.history.machine.store;
            assert_eq!(store.held() as i64 - before, foretold);
            grown += store.parts_count();
        }
    }
    for number in 0..5 {
        drop(logged.history.machine.call(at(1)).1.delete(&name(number)));
    }
    assert_eq!((logged.history.machine.store.held(), grown > 100), (0, true));
}
