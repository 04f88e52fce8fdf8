//! Whole servers on a log: histories of calls, restored from the disk after any crash, equal those
//! of a server that keeps its records, with every byte read from files.

mod damage;

use std::{collections::BTreeMap, panic::catch_unwind};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    super::{
        CheckpointSettings, Coverage, FetchStep,
        seeded_bugs::{Bug, with},
    },
    FOLDER, Held, LogRecord, NotTaken, OpenFailure, Zeros,
    disk::{Disk, Fault, LOSSES, Part},
    kept::{Kept, Mistake},
    open, read_folder,
};
use crate::{
    Restoring,
    ids::ConnectionId,
    machine::Machine,
    record::{Durability, Record, Sequence},
    store::{Progress, Read, Store, Unreadable, WaitingRead},
    tests::{
        histories::{History, check_same},
        machine_with,
    },
};

/// When checkpoints are written.
fn settings() -> CheckpointSettings {
    CheckpointSettings {
        tail_len: 20_000,
        tail_records: 12,
        slice: 40,
        ..CheckpointSettings::new(FOLDER)
    }
}

/// What was done in all lives of a server.
struct Past {
    history: History,
    /// The same history of a server that keeps its records, and changes segments at once.
    twin: History,
    /// For each batch, how many of the twin's records are in it and in those before.
    batches: BTreeMap<u64, usize>,
}

impl Past {
    fn new(seed: u64) -> Self {
        let history = History::of(machine_with(Durability::Logged), seed);
        let history = if seed.is_multiple_of(2) { history } else { history.with_slices(seed) };
        let twin = History::of(machine_with(Durability::Kept), seed);
        Self { history, twin, batches: BTreeMap::new() }
    }

    /// The server that its records make after a batch.
    fn twin_after(&self, batch: Sequence) -> Machine {
        let mut machine = machine_with(Durability::Kept);
        let records = self.twin.records.iter().take(self.count(batch));
        records.for_each(|record| machine.restore(record).unwrap());
        machine
    }

    fn count(&self, batch: Sequence) -> usize {
        match batch {
            Sequence(0) => 0,
            Sequence(number) => *self.batches.get(&number).expect("a batch that was submitted"),
        }
    }

    /// Goes back to a batch, with the server that was restored.
    fn go_back(&mut self, batch: Sequence, restored: Machine) {
        let twin = self.twin_after(batch);
        self.twin.records.truncate(self.count(batch));
        self.batches.split_off(&(batch.0 + 1));
        self.history.go_on_with(restored);
        self.twin.go_on_with(twin);
    }
}

/// The server as it was after the last batch of a folder.
fn restored(held: &Held) -> Machine {
    let mut restoring = Restoring::new(machine_with(Durability::Logged));
    restoring.entries(held.entries.clone());
    for frame in &held.frames {
        restoring.frame(frame.placed.clone());
    }
    restoring.finish(held.recovered.sequence).unwrap()
}

/// Makes all changes of many segments that are left.
fn settle(store: &mut Store) {
    while store.settle_slice() == Progress::Unfinished {}
}

/// The whole state of a server, as sorted text.
fn image(machine: &Machine) -> Vec<String> {
    let (mut all, mut contents) = (Vec::new(), BTreeMap::<ByteString, BytesMut>::new());
    machine.snapshot(|record| match record {
        Record::Appended { segment, data, .. } => {
            contents.entry(segment).or_default().extend_from_slice(&data);
        }
        record => all.push(format!("{record:?}")),
    });
    let content = |(segment, bytes): (ByteString, BytesMut)| {
        format!("{segment} has {} bytes with {:08x}", bytes.len(), crc32fast::hash(&bytes))
    };
    all.extend(contents.into_iter().map(content));
    all.sort();
    all
}

/// The segments of streams.
fn names(machine: &Machine) -> Vec<ByteString> {
    let mut names = Vec::new();
    machine.snapshot(|record| {
        if let Record::Created { segment, key_len: None, .. } = record {
            names.push(segment);
        }
    });
    names
}

/// Reads from an offset of a segment, with the bytes that are fetched for that from files.
fn read(
    kept: &Kept,
    machine: &mut Machine,
    segment: &ByteString,
    offset: u64,
) -> Result<Bytes, FetchStep> {
    let (connection, request_id, max_len) = (ConnectionId(1), 1, 1 << 30);
    for _ in 0..2 {
        let read = WaitingRead { connection, request_id, offset, max_len };
        match machine.store.read(segment, read) {
            Ok(Read::Data { data, .. }) => return Ok(data),
            Ok(Read::Waits) => {}
            Err(refusal) => panic!("{segment} at {offset}: {refusal:?}"),
        }
        for fetch in machine.store.take_fetches() {
            let mut bytes = fetch.gather();
            for (number, range) in &fetch.parts {
                match kept.fetch(*number, range.clone()) {
                    Ok(part) => bytes.push(&part),
                    Err(why) => {
                        machine.store.lost(&fetch, Unreadable::Now("it is not found"));
                        machine.store.take_woken();
                        return Err(why);
                    }
                }
            }
            assert_eq!(bytes.len(), fetch.to - fetch.from, "{segment} at {offset}");
            machine.store.fetched(&fetch, bytes);
        }
        assert_eq!(machine.store.take_woken().len(), 1, "the read is answered");
    }
    panic!("{segment} at {offset}: a read waits for bytes that were fetched");
}

/// Reads all bytes of all segments.
fn read_all(kept: &Kept, machine: &mut Machine) -> Result<(), FetchStep> {
    for segment in names(machine) {
        let info = machine.store.info(&segment).unwrap();
        let mut at = info.start;
        while at < info.len {
            let data = read(kept, machine, &segment, at)?;
            assert!(!data.is_empty(), "{segment} has nothing at {at}");
            at += data.len() as u64;
        }
    }
    Ok(())
}

/// Checks that a restored server, with its bytes, is the one that its records make.
fn check(kept: &Kept, mut found: Machine, mut expected: Machine, what: &str) {
    for machine in [&mut found, &mut expected] {
        settle(&mut machine.store);
    }
    read_all(kept, &mut found).unwrap_or_else(|why| panic!("{what}: {why:?}"));
    check_same(&image(&found), &image(&expected), what);
    assert_eq!(found.store.held(), found.store.recount(), "{what}");
    assert_eq!(found.catalog.held(), found.catalog.recount(), "{what}");
}

struct Server {
    kept: Kept,
    past: Past,
    /// True if changes were made that the log did not take.
    is_refused: bool,
    /// How often batches were refused, and the server went back to a durable one.
    refusals: usize,
}

/// What a folder has.
struct Opened {
    kept: Kept,
    /// The last batch.
    last: Sequence,
    machine: Machine,
}

impl Opened {
    /// Opens a folder that had this past, or not the last batches of it, and checks all of it.
    #[allow(clippy::result_large_err, reason = "a test goes on with the disk")]
    fn new(
        mut disk: Disk,
        past: &Past,
        acknowledged: Sequence,
        seed: u64,
        mistake: Option<Mistake>,
    ) -> Result<Self, Disk> {
        let (writer, held) = match open(&mut disk, seed) {
            Ok(opened) => opened,
            Err(OpenFailure::Disk(_)) => return Err(disk),
            Err(failure) => panic!("{failure:?} in {:?}", disk.list()),
        };
        let kept = Kept::new((disk, writer), held.as_ref(), settings(), seed, mistake);
        let (last, machine) = match &held {
            Some(held) => (held.recovered.sequence, restored(held)),
            None => (Sequence(0), machine_with(Durability::Logged)),
        };
        assert!(acknowledged <= last, "{acknowledged:?} is lost, {last:?} is left");
        let what = format!("after batch {}", last.0);
        let found = held.as_ref().map_or_else(|| machine_with(Durability::Logged), restored);
        check(&kept, found, past.twin_after(last), &what);
        Ok(Self { kept, last, machine })
    }
}

impl Server {
    /// Opens a folder that had this past, or not the last batches of it, and checks all of it.
    #[allow(clippy::result_large_err, reason = "a test goes on with the disk")]
    fn open(
        disk: Disk,
        mut past: Past,
        acknowledged: Sequence,
        seed: u64,
        mistake: Option<Mistake>,
    ) -> Result<Self, (Disk, Past)> {
        let Opened { kept, last, machine } =
            match Opened::new(disk, &past, acknowledged, seed, mistake) {
                Ok(opened) => opened,
                Err(disk) => return Err((disk, past)),
            };
        past.go_back(last, machine);
        let mut server = Self { kept, past, is_refused: false, refusals: 0 };
        server.commit();
        Ok(server)
    }

    /// One step of the history.
    fn change(&mut self) {
        self.past.history.step();
        self.past.twin.step();
        assert_eq!(self.past.history.open, self.past.twin.open, "both have the same history");
        self.commit();
    }

    /// Submits what was changed.
    fn commit(&mut self) {
        if let Some((sequence, records)) = self.past.history.machine.take_batch() {
            self.submit(sequence, records);
        }
        for (segment, range) in self.past.history.machine.take_freed().into_ranges() {
            self.kept.free(segment, range);
        }
    }

    /// Notes what changed since the last call.
    fn touch(&mut self) {
        let touched = self.past.history.machine.take_touched();
        if touched.coverage() == Coverage::Partial {
            self.kept.checkpoints.touch_all();
        }
        touched.into_keys().for_each(|key| self.kept.checkpoints.touch(key));
    }

    fn submit(&mut self, sequence: Sequence, records: Vec<LogRecord>) {
        match self.kept.log.writer.submit(sequence, records) {
            Ok(()) => drop(self.past.batches.insert(sequence.0, self.past.twin.records.len())),
            Err(NotTaken::TooLong(long)) => panic!("{long}"),
            Err(NotTaken::NoSpace | NotTaken::Ended) => self.is_refused = true,
        }
    }

    /// Submits a batch of the log's own records.
    fn submit_own(&mut self, records: Vec<LogRecord>) -> Sequence {
        self.commit();
        let journal = &mut self.past.history.machine.journal;
        journal.skip();
        let sequence = journal.latest();
        self.submit(sequence, records);
        sequence
    }

    /// Gives up the files in which nothing is read.
    fn drop_files(&mut self) {
        let store = &self.past.history.machine.store;
        let dying = self.kept.dying(&|segment, range| store.live(segment, range));
        if !dying.is_empty() {
            let sequence = self.submit_own(Kept::dropped(&dying).collect());
            if !self.is_refused {
                self.kept.drop_files(dying, sequence);
            }
        }
    }

    fn compact(&mut self) {
        let store = &self.past.history.machine.store;
        let done = self.kept.compact(&|segment, range| store.live(segment, range));
        let Some((moved, leftovers)) = done else { return };
        let sequence = self.submit_own(moved.records());
        match self.is_refused {
            true => self.kept.remove_leftovers(&leftovers),
            false => self.kept.keeper.move_files(moved, leftovers, sequence),
        }
    }

    fn checkpoint(&mut self) {
        if self.kept.checkpoints.is_due() {
            self.touch();
        }
        let machine = &self.past.history.machine;
        let up_to = match self.kept.mistake {
            Some(Mistake::ClaimsDurable) => Sequence(0),
            _ => machine.journal.latest(),
        };
        self.kept.checkpoint(|slice| (machine.slice(&slice), up_to));
    }

    /// Carries out one effect of the writer. After a refusal the server is that of the disk.
    fn step(&mut self) {
        if !self.kept.step() {
            return;
        }
        let held = read_folder(&self.kept.log.disk).unwrap();
        let durable = self.kept.log.writer.durable();
        assert_eq!(held.recovered.sequence, durable, "nothing that was refused is there");
        check(&self.kept, restored(&held), self.past.twin_after(durable), "after a refusal");
        let (last, mut machine) = (self.past.history.machine.journal.latest(), restored(&held));
        machine.journal.resume(last);
        self.past.go_back(durable, machine);
        self.is_refused = false;
        self.refusals += 1;
        self.commit();
    }

    /// Evicts bytes, or reads some.
    fn evict_or_read(&mut self) {
        let random = &mut self.kept.log.random;
        let machine = &mut self.past.history.machine;
        if random.u8(..3) == 0 {
            machine.store.evict(self.kept.log.writer.durable(), random.u64(..100_000));
            return;
        }
        let names = names(&self.past.twin.machine);
        let Some(segment) = random.choice(&names) else { return };
        machine.store.settle(segment);
        let info = self.past.twin.machine.store.info(segment).unwrap();
        if info.start < info.len {
            let offset = random.u64(info.start..info.len);
            let expected = read(&self.kept, &mut self.past.twin.machine, segment, offset).unwrap();
            let found = read(&self.kept, machine, segment, offset).unwrap();
            assert!(!found.is_empty() && expected.starts_with(&found), "{segment} at {offset}");
        }
    }

    /// Does all kinds of work side by side; returns the last acknowledged batch.
    fn run(&mut self, mut changes: usize) -> Sequence {
        for _ in 0..10_000 {
            let is_written = changes == 0 && self.kept.log.writer.queued() == 0;
            let is_over = self.kept.log.random.u16(..3000) == 0;
            if self.kept.log.writer.failure().is_some() || is_written || is_over {
                break;
            }
            match self.kept.log.random.u8(..20) {
                0..=3 if changes > 0 && !self.is_refused => {
                    changes -= 1;
                    self.change();
                }
                4 if !self.is_refused => self.drop_files(),
                5 if !self.is_refused => self.evict_or_read(),
                6 => self.kept.log.prepare(),
                7 => self.kept.log.extend(),
                8 => self.kept.index(),
                9 | 10 => self.checkpoint(),
                11..=13 if !self.is_refused => self.compact(),
                _ => self.step(),
            }
        }
        self.kept.log.writer.durable()
    }
}

/// The lives of a server, which end as those of a log do. Returns how many files died, how often
/// bytes were moved, how often batches were refused, and how many parts of segments were merged.
fn lives(seed: u64, mistake: Option<Mistake>) -> [usize; 4] {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut disk, mut acknowledged) = (Disk::default(), Sequence(0));
    let (mut past, mut counts) = (Past::new(seed), [0; 4]);
    for _ in 0..random.usize(1..6) {
        let failing = disk.failing(&mut random);
        (disk, past) = match Server::open(failing, past, acknowledged, random.u64(..), mistake) {
            Err(left) => left,
            Ok(mut server) => {
                acknowledged = server.run(random.usize(1..500));
                count(&mut counts, &server);
                (server.kept.log.disk, server.past)
            }
        };
        disk = disk.after_end(&mut random);
    }
    let opened = Server::open(disk, past, acknowledged, random.u64(..), mistake);
    let Ok(mut server) = opened else { panic!("a disk without faults fails") };
    server.run(60);
    count(&mut counts, &server);
    counts
}

fn count(counts: &mut [usize; 4], server: &Server) {
    let parts = server.past.history.machine.store.parts_count();
    let more = [server.kept.deaths, server.kept.moves, server.refusals, parts];
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

#[test]
fn a_server_is_restored_from_its_log_after_every_life() {
    let mut counts = [0; 4];
    for seed in 0..60 {
        let more = lives(seed, None);
        counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }
    let [deaths, moves, refusals, parts] = counts;
    println!("{deaths} files died, {moves} moves, {refusals} refusals, {parts} parts");
    assert!(deaths > 500 && moves > 100 && refusals > 40 && parts > 40, "{counts:?}");
}

/// A short history on a disk of which a call fails.
struct Run {
    disk: Disk,
    past: Past,
    acknowledged: Sequence,
    /// True if the log takes nothing more.
    has_failed: bool,
    /// How often batches were refused.
    refusals: usize,
}

impl Run {
    fn to(call: usize, fault: Fault, seed: u64) -> Self {
        let disk = Disk::default().failing_at(call, fault);
        match Server::open(disk, Past::new(seed), Sequence(0), seed, None) {
            Err((disk, past)) => {
                Self { disk, past, acknowledged: Sequence(0), has_failed: true, refusals: 0 }
            }
            Ok(mut server) => {
                let acknowledged = server.run(150);
                let has_failed = server.kept.log.writer.failure().is_some();
                let (disk, past, refusals) = (server.kept.log.disk, server.past, server.refusals);
                Self { disk, past, acknowledged, has_failed, refusals }
            }
        }
    }

    /// Checks what is left after the machine has lost its power, in every way, and after the end of
    /// the process alone. Returns how often that was.
    fn check(&self, call: usize, seed: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(seed * 10_000 + call as u64);
        let lost = LOSSES.map(|loss| (format!("{loss:?}"), self.disk.after(loss, &mut random)));
        let mut count = 0;
        for (end, disk) in lost.into_iter().chain([("a kill".to_owned(), self.disk.after_kill())]) {
            let opened = Opened::new(disk, &self.past, self.acknowledged, seed + 1, None);
            assert!(opened.is_ok(), "seed {seed}, call {call}, {end}: a disk without faults");
            count += 1;
        }
        count
    }
}

const PARTS: [Part; 3] = [Part::Nothing, Part::Half, Part::Everything];

#[test]
fn a_server_is_restored_after_a_crash_at_any_call_of_the_disk_whatever_is_lost() {
    let mut restored = 0;
    for seed in 0..2 {
        for call in 1.. {
            // Each call with a part of its effect, and the same with another one in the other seed.
            let part = PARTS[(call + seed as usize) % PARTS.len()];
            let run = Run::to(call, Fault::Crash(part), seed);
            if !run.disk.is_down() {
                break;
            }
            restored += run.check(call, seed);
        }
    }
    println!("{restored} times");
    assert!(restored > 1500, "{restored} times");
}

#[test]
fn a_server_keeps_what_it_acknowledged_whatever_call_of_the_disk_fails() {
    let (mut failed, mut went_on, mut refusals) = (0, 0, 0);
    for seed in 0..2 {
        for call in 1.. {
            let part = PARTS[(call + seed as usize) % PARTS.len()];
            let run = Run::to(call, Fault::Error(part), seed);
            if run.disk.calls() < call {
                break;
            }
            match run.has_failed {
                true => failed += 1,
                false => went_on += 1,
            }
            run.check(call, seed);
            let run = Run::to(call, Fault::NoSpace(1 + call % 5, part), seed);
            // Only a folder that cannot be created is not used.
            assert!(!run.has_failed || run.acknowledged == Sequence(0), "seed {seed}, call {call}");
            refusals += run.refusals;
            run.check(call, seed);
        }
    }
    println!("{failed} failed, {went_on} went on, {refusals} refusals");
    assert!(failed > 50 && went_on > 100 && refusals > 20, "{failed}, {went_on}, {refusals}");
}

#[test]
fn mistakes_of_a_server_are_caught() {
    // With the seed from which on one is searched, so that rare ones are caught soon.
    let mistakes = [
        (Mistake::DropsOnHint, 0),
        (Mistake::PassesUnindexed, 0),
        (Mistake::RemovesRunsEarly, 0),
        (Mistake::RemovesUnrecorded, 0),
        (Mistake::ReplacesUnrecorded, 0),
        (Mistake::ClaimsDurable, 60),
    ];
    for (mistake, first) in mistakes {
        let is_caught = |seed: &u64| catch_unwind(|| lives(*seed, Some(mistake))).is_err();
        let caught = (first..first + 200).find(is_caught);
        println!("{mistake:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{mistake:?} is not caught");
    }
}

#[test]
fn broken_variants_of_a_server_are_caught() {
    // With the seed from which on one is searched, so that rare ones are caught soon.
    let bugs = [
        (Bug::JudgesOwnOnly, 0),
        (Bug::ReusesNumbers, 150),
        (Bug::ForgetsParts, 0),
        (Bug::ForgetsRecovered, 0),
    ];
    for (bug, first) in bugs {
        let is_caught = |seed: &u64| catch_unwind(|| with(bug, || lives(*seed, None))).is_err();
        let caught = (first..first + 200).find(is_caught);
        println!("{bug:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not caught");
    }
}
