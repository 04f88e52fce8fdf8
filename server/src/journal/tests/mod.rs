//! The journal on a simulated disk that fails and loses writes.
//!
//! Bytes that were not synced may be lost in a crash: all of them, any part, or from the middle of
//! a write on; a file may be missing if its folder was not synced. Every call may be the last, or
//! may fail.

mod disk;
mod file;
mod folders;
mod frames;
mod items;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use pravega_sdk_server_core::{
    catalog::RestoreError,
    record::{Millis, Record, Sequence},
};

use self::{
    disk::Disk,
    file::{Batch, JournalFile},
    items::{Item, Portion, write_items},
};
use super::{
    disk::ReadDisk,
    files::file_name,
    problem::OpenProblem,
    recovery::{Recovered, read_back},
};

/// A disk whose content a test can read.
#[derive(Debug, Clone, Default)]
struct SimulatedDisk {
    state: Arc<Mutex<DiskState>>,
}

#[derive(Debug, Clone, Default)]
struct DiskState {
    files: BTreeMap<String, FileState>,
    /// The files whose names are durable.
    durable: BTreeMap<String, FileState>,
    calls: usize,
    /// The call that fails, and the kind of its failure.
    fails_at: Option<(usize, Failure)>,
    /// True after a crash: every call fails.
    down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The power fails before the call.
    Crash,
    /// The call fails with half of its effect; later calls work again.
    Error,
}

#[derive(Debug, Clone, Default)]
struct FileState {
    id: usize,
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// The loss of bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Everything,
    Nothing,
    /// The second half.
    TornInTheMiddle,
    /// Every second sector of 512 bytes.
    EverySecondSector,
}

const LOSSES: [Loss; 4] =
    [Loss::Everything, Loss::Nothing, Loss::TornInTheMiddle, Loss::EverySecondSector];

impl SimulatedDisk {
    fn call<T>(
        &self,
        half: impl FnOnce(&mut DiskState),
        whole: impl FnOnce(&mut DiskState) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        if state.down {
            return Err(io::Error::other("the power is off"));
        }
        state.calls += 1;
        match state.fails_at {
            Some((call, Failure::Crash)) if call == state.calls => {
                // What the call was about to do may have begun.
                half(&mut state);
                state.down = true;
                Err(io::Error::other("the power went"))
            }
            Some((call, Failure::Error)) if call == state.calls => {
                half(&mut state);
                Err(io::Error::other("an I/O error"))
            }
            _ => whole(&mut state),
        }
    }

    /// The disk after a crash.
    fn after(&self, loss: Loss) -> Self {
        let state = self.state.lock().unwrap();
        let mut files = BTreeMap::new();
        for (name, durable) in &state.durable {
            // The durable name decides; the content is that of the file with its id.
            let file = state.files.values().find(|file| file.id == durable.id).unwrap_or(durable);
            let left = match loss {
                Loss::Everything => file.synced.clone(),
                Loss::Nothing => file.now.clone(),
                Loss::TornInTheMiddle => {
                    let extra = file.now.len().saturating_sub(file.synced.len());
                    file.now[..file.now.len() - extra / 2].to_vec()
                }
                Loss::EverySecondSector => {
                    let mut left = file.now.clone();
                    for (sector, bytes) in left.chunks_mut(512).enumerate() {
                        let start = sector * 512;
                        let synced = file.synced.get(start..).unwrap_or_default();
                        let synced = &synced[..synced.len().min(bytes.len())];
                        if sector % 2 == 1 {
                            bytes.fill(0);
                            bytes[..synced.len()].copy_from_slice(synced);
                        }
                    }
                    left
                }
            };
            files.insert(
                name.clone(),
                FileState { id: durable.id, now: left.clone(), synced: left },
            );
        }
        // Names that were not synced may survive too.
        if loss == Loss::Nothing {
            for (name, file) in &state.files {
                files
                    .entry(name.clone())
                    .or_insert_with(|| FileState { synced: file.now.clone(), ..file.clone() });
            }
        }
        let state = DiskState { durable: files.clone(), files, ..DiskState::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk for another process after the first was killed: the system keeps everything, but
    /// what was not synced can still be lost.
    fn for_another_process(&self) -> Self {
        let DiskState { files, durable, .. } = self.state.lock().unwrap().clone();
        let state = DiskState { files, durable, ..DiskState::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.state
            .lock()
            .unwrap()
            .files
            .iter()
            .map(|(name, file)| (name.clone(), file.now.clone()))
            .collect()
    }

    fn with_contents(contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let file = |(id, (name, bytes)): (usize, (&String, &Vec<u8>))| {
            (name.clone(), FileState { id, now: bytes.clone(), synced: bytes.clone() })
        };
        let files: BTreeMap<String, FileState> = contents.iter().enumerate().map(file).collect();
        let state = DiskState { durable: files.clone(), files, ..DiskState::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn failing_at(self, call: usize, failure: Failure) -> Self {
        self.state.lock().unwrap().fails_at = Some((call, failure));
        self
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl ReadDisk for SimulatedDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.call(|_| (), |state| Ok(state.files.keys().cloned().collect()))
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        let len = |file: &FileState| file.now.len() as u64;
        self.call(|_| (), |state| state.files.get(name).map(len).ok_or_else(missing))
    }

    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let part = |file: &FileState| -> Vec<u8> {
            file.now.iter().skip(offset as usize).take(len).copied().collect()
        };
        self.call(|_| (), |state| state.files.get(name).map(part).ok_or_else(missing))
    }
}

impl Disk for SimulatedDisk {
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.call(
            |_| (),
            |state| {
                let id = state.calls;
                state.files.insert(name.to_owned(), FileState { id, ..FileState::default() });
                Ok(())
            },
        )
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let put = |bytes: Vec<u8>| {
            move |state: &mut DiskState| {
                state.files.get_mut(name).map(|file| file.now.extend(bytes)).ok_or_else(missing)
            }
        };
        let half = put(bytes[..bytes.len() / 2].to_vec());
        self.call(|state| drop(half(state)), put(bytes.to_vec()))
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let write = |state: &mut DiskState, bytes: &[u8]| {
            let file = state.files.get_mut(name).ok_or_else(missing)?;
            file.now.resize(file.now.len().max(offset + bytes.len()), 0);
            file.now[offset..offset + bytes.len()].copy_from_slice(bytes);
            Ok(())
        };
        self.call(
            |state| drop(write(state, &bytes[..bytes.len() / 2])),
            |state| write(state, bytes),
        )
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.call(
            |_| (),
            |state| {
                state.files.get_mut(name).ok_or_else(missing)?.now.truncate(len as usize);
                Ok(())
            },
        )
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.call(
            |_| (),
            |state| {
                let file = state.files.get_mut(name).ok_or_else(missing)?;
                file.synced = file.now.clone();
                Ok(())
            },
        )
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.call(
            |_| (),
            |state| {
                let file = state.files.remove(from).ok_or_else(missing)?;
                state.files.insert(to.to_owned(), file);
                Ok(())
            },
        )
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.call(|_| (), |state| state.files.remove(name).map(drop).ok_or_else(missing))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.call(
            |_| (),
            |state| {
                state.durable = state.files.clone();
                Ok(())
            },
        )
    }
}

/// The result of a run of a script: the last batch that was acknowledged.
struct Outcome {
    acknowledged: u64,
    failed: bool,
}

fn batch(number: u64, len: usize) -> Batch {
    let data = vec![number as u8; len].into();
    let segment = "scope/stream/0.#epoch.0".into();
    let record =
        Record::Appended { segment, data, attributes: Vec::new(), at: Millis(number as i64) };
    let entry = Record::CatalogEntry { key: format!("scope/{number}"), value: None };
    Batch { sequence: Sequence(number), records: vec![record, entry], followed: Vec::new() }
}

/// Reads a journal back and prepares the folder for writing, as earlier versions did.
fn recover(
    disk: &mut dyn Disk,
    apply: impl FnMut(&Record) -> Result<(), RestoreError>,
) -> Result<Option<Recovered>, OpenProblem> {
    let Some(read) = read_back(disk, apply)? else {
        return Ok(None);
    };
    let file = file_name(read.number);
    if read.torn > 0 {
        disk.truncate(&file, read.len)
            .map_err(OpenProblem::io(format!("cannot cut off the torn end of {file}")))?;
    }
    // What was read may be in the memory of the system only. It is served, so it must last.
    disk.sync(&file).map_err(OpenProblem::io(format!("cannot sync {file}")))?;
    disk.sync_folder().map_err(OpenProblem::io("cannot sync the folder"))?;
    for name in &read.obsolete {
        disk.remove(name)
            .map_err(OpenProblem::io(format!("cannot remove {name}, which is obsolete")))?;
    }
    Ok(Some(read))
}

/// Opens the journal, or creates it.
fn open(disk: &SimulatedDisk) -> Result<(JournalFile, Vec<Record>), OpenProblem> {
    let mut records = Vec::new();
    let recovered = recover(&mut disk.clone(), |record| {
        records.push(record.clone());
        Ok(())
    })?;
    let is_new = recovered.is_none();
    let mut journal = JournalFile::open(Box::new(disk.clone()), recovered, 0x1234_5678);
    if is_new {
        let begun = journal.finish_copy();
        begun.map_err(OpenProblem::io("begun"))?;
    }
    Ok((journal, records))
}

/// The lengths of the batches that each step writes together. A step without batches begins a new
/// file, with those of [`COPYING`] between the portions of the copy.
type Script = Vec<Vec<usize>>;

/// The lengths of the batches of a step that begins a new file.
const COPYING: [usize; 3] = [30, 400, 50];

/// The work of a step that begins a new file: the first batch changes what was not copied yet, the
/// second what was, the third comes after the copy.
fn copying(all: &[Record], first: u64) -> Vec<Item> {
    let [one, two, three] = COPYING;
    let (one, three) = (batch(first, one), batch(first + 2, three));
    let mut two = batch(first + 1, two);
    two.followed = two.records.clone();
    let portion = |records: &[&[Record]], is_last| {
        Item::Portion(Portion { records: records.concat(), is_last })
    };
    let (head, tail) = all.split_at(all.len() / 2);
    let rest = portion(&[tail, &one.records], false);
    let [one, two, three] = [one, two, three].map(Item::Batch);
    vec![portion(&[head], false), one, rest, two, portion(&[], true), three]
}

/// Scripts drawn from seeds, with short batches and long ones, single ones and many.
fn scripts() -> impl Iterator<Item = Script> {
    (0..60).map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let step = |random: &mut fastrand::Rng| {
            let batches = if random.u8(..8) == 0 { 0 } else { random.usize(1..5) };
            (0..batches)
                .map(|_| if random.bool() { random.usize(..40) } else { random.usize(..2000) })
                .collect()
        };
        (0..random.usize(4..14)).map(|_| step(&mut random)).collect()
    })
}

/// Runs a script until it ends or the disk fails; an empty step begins a new file.
fn run(disk: &SimulatedDisk, script: &Script) -> Outcome {
    let mut outcome = Outcome { acknowledged: 0, failed: true };
    let Ok((mut journal, mut all)) = open(disk) else { return outcome };
    for step in script {
        let next = outcome.acknowledged + 1;
        let items = if step.is_empty() {
            copying(&all, next)
        } else {
            let batches = (next..).zip(step).map(|(number, len)| batch(number, *len));
            batches.map(Item::Batch).collect()
        };
        let durable = |sequence: Sequence| outcome.acknowledged = sequence.0;
        if write_items(&mut journal, &items, durable).is_err() {
            return outcome;
        }
        all.extend(items.into_iter().flat_map(|item| match item {
            Item::Batch(batch) => batch.records,
            Item::Portion(_) => Vec::new(),
        }));
    }
    outcome.failed = journal.end().is_err();
    outcome
}

/// Everything that was written, in order.
fn expected(script: &Script) -> Vec<Record> {
    let lens = |step: &Vec<usize>| {
        if step.is_empty() { COPYING.to_vec() } else { step.clone() }
    };
    let lens = script.iter().flat_map(lens);
    (1..).zip(lens).flat_map(|(number, len)| batch(number, len).records).collect()
}

/// A crash at any call of the disk, with the loss of any part of the bytes that were not synced,
/// loses no acknowledged batch.
#[test]
fn a_crash_at_any_call_loses_no_acknowledged_batch() {
    let mut recoveries = 0;
    for script in &scripts().collect::<Vec<_>>() {
        let whole = SimulatedDisk::default();
        assert!(!run(&whole, script).failed);
        let expected = expected(script);
        for call in 1..=whole.calls() {
            let disk = SimulatedDisk::default().failing_at(call, Failure::Crash);
            let outcome = run(&disk, script);
            for loss in LOSSES {
                recoveries += 1;
                let after = disk.after(loss);
                let (_, records) = open(&after)
                    .unwrap_or_else(|problem| panic!("call {call}, {loss:?}: {problem}"));
                let acknowledged = outcome.acknowledged as usize * 2;
                assert!(
                    records.len() >= acknowledged,
                    "call {call}, {loss:?}: {} of {acknowledged}",
                    records.len()
                );
                assert!(
                    expected.starts_with(&records),
                    "call {call}, {loss:?}: other records than were written"
                );
                // And once more, after the torn end was cut off.
                let (_, again) = open(&after).unwrap();
                assert_eq!(again, records);
            }
        }
    }
    assert!(recoveries >= 8_000, "{recoveries} recoveries");
}

/// A process is killed at any call. The next one serves what it read back, so no crash of the
/// system may lose that any more.
#[test]
fn what_a_start_has_read_back_is_durable_before_it_is_served() {
    let mut later = 0;
    for script in &scripts().take(10).collect::<Vec<_>>() {
        let whole = SimulatedDisk::default();
        run(&whole, script);
        for call in 1..=whole.calls() {
            let disk = SimulatedDisk::default().failing_at(call, Failure::Crash);
            let outcome = run(&disk, script);
            let disk = disk.for_another_process();
            let (_, served) = open(&disk).unwrap();
            later += usize::from(served.len() as u64 > outcome.acknowledged * 2);
            let (_, again) = open(&disk.after(Loss::Everything)).unwrap();
            assert_eq!(again, served, "call {call}");
        }
    }
    assert!(later > 50, "{later} times more was served than had been acknowledged");
}

/// A call that fails ends the writing. Acknowledged batches can be read, and no other batch was
/// acknowledged.
#[test]
fn a_call_that_fails_ends_the_writing_and_no_acknowledgement_is_invented() {
    for script in &scripts().collect::<Vec<_>>() {
        let whole = SimulatedDisk::default();
        run(&whole, script);
        for call in 1..=whole.calls() {
            let disk = SimulatedDisk::default().failing_at(call, Failure::Error);
            let outcome = run(&disk, script);
            assert!(outcome.failed, "call {call} failed unnoticed");
            for loss in LOSSES {
                let Ok((_, records)) = open(&disk.after(loss)) else {
                    panic!("call {call}, {loss:?}: the acknowledged batches cannot be read");
                };
                assert!(
                    records.len() >= outcome.acknowledged as usize * 2,
                    "call {call}, {loss:?}"
                );
            }
        }
    }
}

/// Four kilobytes of a journal that a crash ended.
fn small_store() -> (BTreeMap<String, Vec<u8>>, Vec<Record>) {
    let disk = SimulatedDisk::default();
    let (mut journal, _) = open(&disk).unwrap();
    let lens = [300, 40, 800, 500, 10, 900, 60, 900, 5];
    for (number, len) in (1..).zip(lens) {
        journal.write([batch(number, len)].iter()).unwrap();
    }
    let all = (1..).zip(lens).flat_map(|(number, len)| batch(number, len).records).collect();
    (disk.contents(), all)
}

/// Either all batches but the last are read back as they were written, or the damage is named.
fn check_damaged(contents: &BTreeMap<String, Vec<u8>>, file: &str, all: &[Record], what: &str) {
    match open(&SimulatedDisk::with_contents(contents)) {
        Ok((_, records)) => {
            assert!(all.starts_with(&records), "{what}: bad records were served");
            assert!(
                records.len() >= all.len() - 2,
                "{what}: {} of {} records",
                records.len(),
                all.len()
            );
        }
        Err(
            OpenProblem::Corrupt { file: named, .. } | OpenProblem::Missing { file: named, .. },
        ) => {
            assert_eq!(named, file, "{what}");
        }
        Err(OpenProblem::Version { .. }) => {}
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn a_file_that_is_missing_is_reported_as_missing() {
    let (whole, _) = small_store();
    for file in ["mark", "journal-00000001"] {
        let mut contents = whole.clone();
        assert!(contents.remove(file).is_some(), "{:?}", whole.keys());
        match open(&SimulatedDisk::with_contents(&contents)) {
            Err(OpenProblem::Missing { file: named, .. }) => assert_eq!(named, file),
            other => panic!("{file}: {:?}", other.map(|(_, records)| records.len())),
        }
    }
}

/// Every bit of a small journal is flipped.
#[test]
fn any_flipped_bit_is_named_or_does_no_harm() {
    let (contents, all) = small_store();
    let mut flips = 0;
    for (file, bytes) in &contents {
        for bit in 0..bytes.len() * 8 {
            let mut damaged = contents.clone();
            damaged.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            check_damaged(&damaged, file, &all, &format!("bit {bit} of {file}"));
            flips += 1;
        }
    }
    assert!(flips >= 32_768, "{flips} bits");
}

/// Every file of a small journal is cut off at every byte, and missing.
#[test]
fn any_file_that_is_cut_off_or_missing_is_named_or_does_no_harm() {
    let (contents, all) = small_store();
    for (file, bytes) in &contents {
        for len in 0..bytes.len() {
            let mut damaged = contents.clone();
            damaged.get_mut(file).unwrap().truncate(len);
            check_damaged(&damaged, file, &all, &format!("{len} bytes of {file}"));
        }
        let mut damaged = contents.clone();
        damaged.remove(file);
        check_damaged(&damaged, file, &all, &format!("{file} missing"));
    }
}

#[test]
fn unknown_files_are_ignored() {
    let (mut contents, all) = small_store();
    contents.insert("notes.txt".to_owned(), b"of a user".to_vec());
    let disk = SimulatedDisk::with_contents(&contents);
    let (_, records) = open(&disk).unwrap();
    assert_eq!(records, all);
    assert_eq!(disk.contents()["notes.txt"], b"of a user");
}

/// A store whose journal was replaced once, and the files of each moment: before, while both files
/// exist, and after.
fn replaced(salt: u64) -> [BTreeMap<String, Vec<u8>>; 3] {
    let disk = SimulatedDisk::default();
    let mut journal = JournalFile::open(Box::new(disk.clone()), None, salt);
    journal.finish_copy().unwrap();
    journal.write([batch(1, 300), batch(2, 40)].iter()).unwrap();
    let before = disk.contents();
    journal.add_to_copy(&batch(1, 300).records).unwrap();
    journal.add_to_copy(&batch(2, 40).records).unwrap();
    journal.finish_copy().unwrap();
    let after = disk.contents();
    let mut between = before.clone();
    between.insert(file_name(2), after[&file_name(2)].clone());
    [before, between, after]
}

fn check_foreign(contents: &BTreeMap<String, Vec<u8>>, file: &str) {
    let disk = SimulatedDisk::with_contents(contents);
    match open(&disk).map(drop).unwrap_err() {
        OpenProblem::Foreign { file: named, .. } => assert_eq!(named, file),
        other => panic!("{file}: {other}"),
    }
    assert!(disk.contents() == *contents, "{file}: nothing is changed");
}

#[test]
fn a_copy_of_the_journal_or_that_of_another_folder_is_refused_and_nothing_is_removed() {
    let (own, other) = (replaced(7), replaced(8));
    for contents in &own {
        let (_, records) = open(&SimulatedDisk::with_contents(contents)).unwrap();
        assert_eq!(records.len(), 4);
    }
    let [before, between, after] = own;
    let with = |contents: &BTreeMap<String, Vec<u8>>, name: &str, bytes: &[u8]| {
        let mut contents = contents.clone();
        contents.insert(name.to_owned(), bytes.to_vec());
        contents
    };
    let (one, two) = (file_name(1), file_name(2));
    // A backup under the next number or a later one, and the next file of another folder.
    check_foreign(&with(&before, &two, &before[&one]), &two);
    check_foreign(&with(&before, &two, &other[1][&two]), &two);
    check_foreign(&with(&before, &file_name(7), &before[&one]), &file_name(7));
    check_foreign(&with(&after, &file_name(3), &after[&two]), &file_name(3));
    assert!(open(&SimulatedDisk::with_contents(&between)).is_ok());
    // The journal of another folder under the same number, which is longer.
    let disk = SimulatedDisk::default();
    let mut longer = JournalFile::open(Box::new(disk.clone()), None, 9);
    longer.finish_copy().unwrap();
    longer.write([batch(1, 3000)].iter()).unwrap();
    longer.write([batch(2, 10)].iter()).unwrap();
    check_foreign(&with(&before, &one, &disk.contents()[&one]), &one);
    // The mark of another folder, and a lost end.
    let mut cut = with(&before, "mark", &disk.contents()["mark"]);
    let journal = cut.get_mut(&one).unwrap();
    journal.truncate(journal.len() - 1);
    assert!(open(&SimulatedDisk::with_contents(&cut)).is_err());
    // Files of others are not removed as if they were older files of the journal.
    check_foreign(&with(&before, &file_name(0), &before[&one]), &file_name(0));
    check_foreign(&with(&after, &one, &other[1][&one]), &one);
    let text = with(&after, &one, b"a text, and not a file of the journal");
    assert!(open(&SimulatedDisk::with_contents(&text)).is_err());
    // Nor is an old backup.
    let mut old = after.clone();
    old.insert(file_name(9), old[&two].clone());
    old.remove(&two);
    check_foreign(&old, &file_name(9));
}

#[test]
fn a_crash_while_a_start_begins_a_new_file_never_makes_the_folder_a_foreign_one() {
    for (first, second, third) in (0..27).map(|all| (all / 9, all / 3 % 3, all % 3)) {
        let disk = SimulatedDisk::default();
        let mut next = 1..;
        let mut write = |journal: &mut JournalFile, count: u64| {
            for number in next.by_ref().take(count as usize) {
                journal.write([batch(number, 30)].iter()).unwrap();
            }
        };
        // A server that is killed after so many writes, begins a new file, and is killed again.
        let (mut journal, _) = open(&disk).unwrap();
        write(&mut journal, first);
        journal.finish_copy().unwrap();
        write(&mut journal, second);
        drop(journal);
        write(&mut open(&disk).unwrap().0, third);
        let contents = disk.contents();
        for call in 1.. {
            let disk = SimulatedDisk::with_contents(&contents);
            let (mut journal, _) = open(&disk).unwrap();
            let before = disk.calls();
            let disk = disk.failing_at(before + call, Failure::Crash);
            let is_done = journal.finish_copy().is_ok();
            for loss in LOSSES {
                if let Err(problem) = open(&disk.after(loss)) {
                    panic!("{first}, {second}, {third} writes, call {call}, {loss:?}: {problem}");
                }
            }
            if is_done {
                break;
            }
        }
    }
}
