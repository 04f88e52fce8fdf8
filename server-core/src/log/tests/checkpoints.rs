//! A log with checkpoints, which removes the files that they replace: crashes and failures at any
//! moment.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    super::{
        Chain, CheckpointEffect, CheckpointEnd, CheckpointNeeds, CheckpointSettings, Checkpoints,
        Coverage, CurrentFile, KnownFile, NextOfCheckpoint, Position, Slice,
        seeded_bugs::{Bug, with},
    },
    CheckpointFile, CheckpointReader, CheckpointStep, FOLDER, FileChange, FileHead, FileNumber,
    Held, Log, LogRecord, OpenFailure, Outcome, Problem, Recovery, RecoveryStep, Start, StateEntry,
    What,
    disk::{Disk, Fault, Part, carry_out},
    open, outcome, quiet, read_folder,
};
use crate::record::Sequence;

/// The values of keys; a batch sets one of them or removes it.
type State = BTreeMap<u8, u64>;

/// The key that a batch changes.
fn key_of(draw: u64) -> u8 {
    (draw / 5 % 40) as u8
}

/// The change of a batch: every fifth removes the value.
fn apply(state: &mut State, draw: u64) {
    let key = key_of(draw);
    match draw % 5 {
        0 => drop(state.remove(&key)),
        _ => drop(state.insert(key, draw)),
    }
}

fn state_of(history: &[u64]) -> State {
    let mut state = State::new();
    history.iter().for_each(|draw| apply(&mut state, *draw));
    state
}

/// The state that a folder holds, with the number of its last batch.
fn state_in(held: &Held) -> (State, u64) {
    let mut state = State::new();
    for (key, value) in &held.entries {
        match value {
            Some(value) => state.insert(key[0], u64::from_be_bytes(value[..].try_into().unwrap())),
            None => state.remove(&key[0]),
        };
    }
    let mut last = 0;
    for record in held.frames.iter().flat_map(|frame| &frame.records) {
        let (LogRecord::Change { meta } | LogRecord::Data { meta, .. }) = record else { continue };
        let text = String::from_utf8(meta.to_vec()).unwrap();
        let mut words = text.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap());
        let (number, draw) = (words.next().unwrap(), words.next().unwrap());
        // A batch may have several records.
        if number != last {
            apply(&mut state, draw);
            last = number;
        }
    }
    (state, held.recovered.sequence.0)
}

/// A log with its state and its checkpoints.
struct Store {
    log: Log,
    checkpoints: Checkpoints,
    state: State,
    /// Files that are not needed any longer.
    dying: Vec<FileNumber>,
    /// Files that a batch gives up, with its number.
    dropped: Vec<(FileNumber, u64)>,
    completed: usize,
    aborted: usize,
}

fn checkpoint_settings() -> CheckpointSettings {
    CheckpointSettings {
        tail_len: 2500,
        tail_records: 40,
        slice: 7,
        ..CheckpointSettings::new(FOLDER)
    }
}

impl Store {
    /// Opens a folder whose history was at most this one, and checks what it holds.
    #[allow(clippy::result_large_err, reason = "a test goes on with the disk")]
    fn open(mut disk: Disk, history: &[u64], acknowledged: u64, seed: u64) -> Result<Self, Disk> {
        let (writer, held) = match open(&mut disk, seed) {
            Ok(opened) => opened,
            Err(OpenFailure::Disk(_)) => return Err(disk),
            Err(failure) => panic!("{failure:?} in {:?}", disk.list()),
        };
        let (state, last) = held.as_ref().map(state_in).unwrap_or_default();
        assert!(last >= acknowledged, "{last} of {acknowledged} batches are left");
        assert!(last <= history.len() as u64, "more is there than was submitted");
        let history = history[..last as usize].to_vec();
        assert_eq!(state, state_of(&history), "the state after {last} batches");
        let chain = held.as_ref().and_then(|held| {
            let deltas_len = held.lens.iter().skip(1).sum();
            let (newest, base_len) = (*held.checkpoints.last()?, *held.lens.first()?);
            Some(Chain { newest, base_len, deltas_len })
        });
        let mut checkpoints = Checkpoints::new(checkpoint_settings(), chain);
        // All keys, of which those of the changes after the checkpoint are some.
        (0..40_u8).for_each(|key| checkpoints.touch(Bytes::copy_from_slice(&[key])));
        let mut log = Log::with(disk, writer, history, seed);
        log.ends = held.map(|held| held.ends).unwrap_or_default();
        let (dying, dropped) = (Vec::new(), Vec::new());
        Ok(Self { log, checkpoints, state, dying, dropped, completed: 0, aborted: 0 })
    }

    fn submit(&mut self) {
        let before = self.log.history.len();
        let number = before as u64 + 1;
        let dying = std::mem::take(&mut self.dying);
        let drop = |file: &FileNumber| LogRecord::File(FileChange::Dropped { file: *file });
        self.log.extra = dying.iter().map(drop).collect();
        self.log.submit();
        self.log.extra.clear();
        self.dropped.extend(dying.into_iter().map(|file| (file, number)));
        if let Some(draw) = self.log.history.get(before) {
            apply(&mut self.state, *draw);
            self.checkpoints.touch(Bytes::copy_from_slice(&[key_of(*draw)]));
        }
    }

    fn value(&self, key: u8) -> StateEntry {
        let value = self.state.get(&key).map(|value| Bytes::copy_from_slice(&value.to_be_bytes()));
        (Bytes::copy_from_slice(&[key]), value)
    }

    /// Writes batches and checkpoints side by side; returns the last acknowledged batch.
    fn run(&mut self, more: usize) -> u64 {
        let goal = self.log.history.len() + more;
        for _ in 0..4000 {
            let is_written = self.log.history.len() >= goal && self.log.writer.queued() == 0;
            if self.log.writer.failure().is_some() || is_written {
                break;
            }
            // Some lives end in the middle.
            if self.log.random.u16(..1000) == 0 {
                break;
            }
            match self.log.random.u8(..8) {
                0..=2 if self.log.history.len() < goal => self.submit(),
                3 => self.log.prepare(),
                4 => self.log.extend(),
                5 | 6 => self.checkpoint(),
                _ => self.step(),
            }
        }
        self.log.writer.durable().0
    }

    fn step(&mut self) {
        let (end, refusals) = (self.log.writer.end(), self.log.refusals);
        if !self.log.step() {
            self.log.now += std::time::Duration::from_millis(30);
        }
        let durable = self.log.writer.durable().0;
        if self.log.refusals > refusals {
            let refused = self.dropped.extract_if(.., |(_, number)| *number > durable);
            self.dying.extend(refused.map(|(file, _)| file));
            self.checkpoints.abort();
            self.aborted += 1;
            self.state = state_of(&self.log.history);
            (0..40_u8).for_each(|key| self.checkpoints.touch(Bytes::copy_from_slice(&[key])));
        }
        for (file, _) in self.dropped.extract_if(.., |(_, number)| *number <= durable) {
            self.log.ends.remove(&file);
            if self.log.disk.list().contains_key(&file.name()) {
                self.log.disk.remove(&file.name()).ok();
            }
        }
        if let (Some(after), before) = (self.log.writer.end(), end)
            && Some(after) != before
        {
            let len = before.filter(|before| before.file == after.file).map_or(64, |end| end.at);
            self.checkpoints.grow(after.at - len, 1);
        }
    }

    /// One step of a checkpoint.
    fn checkpoint(&mut self) {
        if self.checkpoints.is_due()
            && let Some(place) = self.log.writer.end()
        {
            let (disk, random) = (&self.log.disk, self.log.random.u64(..));
            let known = |(number, len): (FileNumber, u64)| {
                let salt = FileHead::decode(&disk.read(&number.name(), 0, 64)).unwrap().salt;
                KnownFile { number, salt, len, bytes: 0, live: 0 }
            };
            let ends = self.log.ends.iter().map(|(file, len)| (*file, *len));
            let ends = ends.filter(|(file, _)| *file < place.file);
            let files = ends.chain([(place.file, place.at)]).map(known).collect();
            let sequence = self.log.writer.durable().0;
            let position = Position { place, sequence };
            let needs = CheckpointNeeds { position, files, runs: vec![] };
            self.checkpoints.begin(|| Some(needs), random);
        }
        match self.checkpoints.poll(self.log.writer.durable()) {
            NextOfCheckpoint::Idle | NextOfCheckpoint::Wait => {}
            NextOfCheckpoint::Slice(slice) => {
                let entries: Vec<StateEntry> = match slice {
                    // An owner may answer for the first of the keys only.
                    Slice::Keys(keys) => {
                        let answered = keys.iter().take(keys.len().div_ceil(2));
                        answered.map(|key| self.value(key[0])).collect()
                    }
                    Slice::After(after, most) => {
                        let after = after.map_or(-1, |key| i32::from(key[0]));
                        let keys = self.state.keys().filter(|key| i32::from(**key) > after);
                        keys.take(most).map(|key| self.value(*key)).collect()
                    }
                };
                let up_to = Sequence(self.log.history.len() as u64);
                self.checkpoints.handle_slice(&entries, up_to);
            }
            NextOfCheckpoint::Effect(effect) => {
                let done = carry_out(&mut self.log.disk, effect);
                self.checkpoints.handle(&outcome(done));
            }
            NextOfCheckpoint::Completed(position) => {
                self.completed += 1;
                let known = self.log.ends.keys().copied();
                self.dying = known.filter(|file| *file < position.place.file).collect();
            }
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    completed: usize,
    deltas: usize,
    aborted: usize,
    removed: usize,
}

/// The lives of a store; see those of a log.
fn lives(seed: u64, counts: &mut Counts) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut disk, mut acknowledged, mut history) = (Disk::default(), 0, Vec::new());
    for _ in 0..random.usize(1..7) {
        let part = [Part::Nothing, Part::Half, Part::Everything][random.usize(..3)];
        let fault = match random.u8(..6) {
            0 | 1 => Fault::Crash(part),
            2 => Fault::Error(part),
            _ => Fault::NoSpace(random.usize(1..4), part),
        };
        let call = random.usize(1..400);
        let failing = disk.failing_at(call, fault);
        disk = match Store::open(failing, &history, acknowledged, random.u64(..)) {
            Err(disk) => disk,
            Ok(mut store) => {
                acknowledged = store.run(random.usize(1..150));
                let is_up = store.log.writer.failure().is_none() && !store.log.disk.is_down();
                if is_up && random.u8(..5) == 0 {
                    store.log.close();
                }
                counts.completed += store.completed;
                counts.aborted += store.aborted;
                counts.removed += usize::from(!store.log.disk.list().contains_key("log-00000001"));
                history = store.log.history;
                store.log.disk
            }
        };
        disk = disk.after_end(&mut random);
    }
    let Ok(mut store) = Store::open(disk, &history, acknowledged, random.u64(..)) else {
        panic!("a disk without faults fails");
    };
    store.run(60);
    store.log.close();
    let held = read_folder(&store.log.disk).unwrap();
    counts.deltas += usize::from(held.checkpoints.len() > 1);
    assert_eq!(state_in(&held).0, state_of(&store.log.history));
    damage(&store.log, &mut random);
}

/// Damages, removes or cuts a file of a closed store: it is named, or nothing is missing.
fn damage(log: &Log, random: &mut fastrand::Rng) {
    let mut files = log.disk.contents();
    let names: Vec<String> = files.keys().cloned().collect();
    let name = &names[random.usize(..names.len())];
    let content = files.get_mut(name).unwrap();
    match random.u8(..3) {
        0 => {
            let byte = random.usize(..content.len());
            content[byte] ^= 1 << random.u8(..8);
        }
        1 => content.truncate(random.usize(..content.len())),
        _ => drop(files.remove(name)),
    }
    match read_folder(&Disk::with_contents(&files)) {
        Err(OpenFailure::Problem(_)) => {}
        // Without any file there is no log.
        Err(OpenFailure::OtherFiles(_)) => assert_eq!(name, "folder"),
        Err(OpenFailure::Disk(failed)) => panic!("{failed:?}"),
        Ok(held) => assert_eq!(state_in(&held).0, state_of(&log.history), "{name}"),
    }
}

#[test]
fn a_store_has_its_state_after_every_life() {
    let mut counts = Counts::default();
    (0..800).for_each(|seed| lives(seed, &mut counts));
    let Counts { completed, deltas, aborted, removed } = counts;
    assert!(completed > 1000 && deltas > 50 && aborted > 50 && removed > 300, "{counts:?}");
}

#[test]
fn bugs_of_checkpoints_are_caught() {
    for bug in [Bug::SkipsWaitForLog, Bug::KeepsAborted] {
        let caught = (0..1500).find(|seed| {
            let lives = || with(bug, || lives(*seed, &mut Counts::default()));
            std::panic::catch_unwind(lives).is_err()
        });
        println!("{bug:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not caught");
    }
}

#[test]
fn a_checkpoint_that_a_disk_refuses_is_given_up_and_the_next_one_has_everything() {
    let fault = Fault::NoSpace(0, Part::Nothing);
    let disk = Disk::default().failing_at(1, fault);
    let Ok(mut store) = Store::open(disk, &[], 0, 3) else { panic!("an empty store") };
    while store.completed == 0 {
        store.run(10);
    }
    let completed = store.completed;
    while !store.checkpoints.is_due() {
        store.run(1);
    }
    store.checkpoint();
    store.checkpoints.handle(&Outcome::NoSpace("no space left".to_owned()));
    assert!(store.checkpoints.is_due(), "it is tried again");
    store.run(100);
    assert!(store.completed > completed);
    let held = read_folder(&store.log.disk).unwrap();
    assert_eq!(state_in(&held).0, state_of(&store.log.history));
    assert_eq!(store.log.writer.failure(), None);
}

#[test]
fn a_log_without_a_batch_whose_change_is_in_the_checkpoint_is_refused() {
    let Ok(mut store) = Store::open(Disk::default(), &[], 0, 3) else { panic!("an empty store") };
    store.run(100);
    let disk = &store.log.disk;
    let Held { recovered, checkpoints, .. } = read_folder(disk).unwrap();
    assert!(!checkpoints.is_empty());
    let current = recovered.current.unwrap();
    let CurrentFile { number, salt, len } = current;
    let file = KnownFile { number, salt, len, bytes: 0, live: 0 };
    let place = super::Place { file: current.number, at: current.len };
    let position = Position { place, sequence: recovered.sequence.0 };
    let files: BTreeMap<FileNumber, u64> = disk
        .list()
        .into_iter()
        .filter_map(|(name, len)| Some((FileNumber::of_name(&name)?, len)))
        .collect();
    let read = |up_to: u64, file: KnownFile| {
        let end = CheckpointEnd { up_to, files: vec![file], runs: vec![] };
        let mark = disk.read("synced", 0, 1000);
        let start = Start::Checkpoint(position, end);
        let mut recovery = Recovery::new(FOLDER, &mark, files.clone(), start)?;
        loop {
            match recovery.poll()? {
                RecoveryStep::Read { place, len } => {
                    recovery.handle_read(disk.read(&place.file.name(), place.at, len));
                }
                RecoveryStep::Frame { .. } => panic!("nothing follows"),
                RecoveryStep::Done(recovered) => return Ok::<_, Problem>(recovered.sequence),
            }
        }
    };
    assert_eq!(read(position.sequence, file), Ok(Sequence(position.sequence)));
    let refused = |what| {
        move |problem: Problem| assert_eq!((problem.file, problem.what), (file.number.name(), what))
    };
    read(position.sequence + 1, file).map_err(refused(What::NotOfCheckpoint)).unwrap_err();
    // Another file with the number, a shorter one, and none.
    let other = KnownFile { salt: super::Salt(1), ..file };
    read(position.sequence, other).map_err(refused(What::NotOfCheckpoint)).unwrap_err();
    let longer = KnownFile { len: u64::MAX, ..file };
    read(position.sequence, longer).map_err(refused(What::NotOfCheckpoint)).unwrap_err();
    let missing = KnownFile { number: FileNumber(1000), ..file };
    let problem = read(position.sequence, missing).unwrap_err();
    assert_eq!((&*problem.file, problem.what), ("log-00001000", What::Missing));
}

#[test]
fn a_checkpoint_with_changes_is_short_and_the_chain_ends_in_a_base_again() {
    let settings = CheckpointSettings { slice: 100, ..checkpoint_settings() };
    let mut checkpoints = Checkpoints::new(settings, None);
    let key = |number: u32| Bytes::copy_from_slice(&number.to_be_bytes());
    let value = Some(Bytes::from_static(&[1; 50]));
    let all: BTreeMap<Bytes, _> = (0..1000).map(|number| (key(number), value.clone())).collect();
    let mut lens = Vec::new();
    for round in 0..40 {
        (0..30).for_each(|number| checkpoints.touch(key(round * 20 + number)));
        let place = super::Place { file: FileNumber(1), at: 64 + u64::from(round) };
        checkpoints.begin(|| Some(needs_from(place)), 5);
        let mut len = 0;
        loop {
            match checkpoints.poll(Sequence(0)) {
                NextOfCheckpoint::Slice(Slice::Keys(keys)) => {
                    assert!(keys.len() <= 100);
                    let entries: Vec<_> = keys.iter().map(|k| (k.clone(), value.clone())).collect();
                    checkpoints.handle_slice(&entries, Sequence(0));
                }
                NextOfCheckpoint::Slice(Slice::After(after, most)) => {
                    let rest = all.iter().filter(|(key, _)| Some(*key) > after.as_ref());
                    let entries: Vec<_> =
                        rest.take(most).map(|(k, v)| (k.clone(), v.clone())).collect();
                    checkpoints.handle_slice(&entries, Sequence(0));
                }
                NextOfCheckpoint::Effect(effect) => {
                    if let CheckpointEffect::Append { at, bytes, .. } = effect {
                        assert_eq!(at, len);
                        len += bytes.len() as u64;
                    }
                    checkpoints.handle(&Outcome::Done);
                }
                NextOfCheckpoint::Completed(position) => {
                    assert_eq!(position.place, place);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        lens.push(len);
    }
    let bases = lens.iter().filter(|len| **len > 50_000).count();
    assert_eq!(bases, 40_usize.div_ceil(9), "{lens:?}");
    assert!(lens.iter().all(|len| *len > 50_000 || *len < 5000), "{lens:?}");
}

#[test]
fn no_debug_output_of_a_checkpoint_shows_the_state() {
    let mut checkpoints = Checkpoints::new(checkpoint_settings(), None);
    let entry = (Bytes::from_static(b"canary 1"), Some(Bytes::from_static(b"canary 2")));
    checkpoints.touch(entry.0.clone());
    let place = super::Place { file: FileNumber(1), at: 64 };
    checkpoints.begin(|| Some(needs_from(place)), 5);
    let (mut file, mut is_first) = (Vec::new(), true);
    loop {
        let next = checkpoints.poll(Sequence(0));
        quiet(&(&next, &checkpoints));
        match next {
            NextOfCheckpoint::Slice(_) => {
                let entries = if is_first { vec![entry.clone()] } else { vec![] };
                checkpoints.handle_slice(&entries, Sequence(0));
                is_first = false;
            }
            NextOfCheckpoint::Effect(effect) => {
                if let CheckpointEffect::Append { bytes, .. } = effect {
                    file.extend_from_slice(&bytes);
                }
                checkpoints.handle(&Outcome::Done);
            }
            _ => break,
        }
    }
    let name = CheckpointFile { base: 1, number: 1 };
    let mut reader = CheckpointReader::new(FOLDER, name, file.len() as u64);
    let mut entries = 0;
    loop {
        let step = reader.poll().unwrap();
        quiet(&(&step, &reader));
        match step {
            CheckpointStep::Read { .. } => reader.handle_read(Bytes::from(file.clone())),
            CheckpointStep::Entries(found) => entries += found.len(),
            CheckpointStep::Done(..) => break,
        }
    }
    assert_eq!(entries, 1);
}

fn needs_from(place: super::Place) -> CheckpointNeeds {
    let position = Position { place, sequence: 0 };
    CheckpointNeeds { position, files: vec![], runs: vec![] }
}

#[test]
fn while_a_checkpoint_is_written_the_runs_that_it_names_are_not_given_up_for_another() {
    let mut checkpoints = Checkpoints::new(checkpoint_settings(), None);
    let place = super::Place { file: FileNumber(1), at: 64 };
    assert!(checkpoints.is_idle());
    checkpoints.begin(|| Some(needs_from(place)), 5);
    assert!(!checkpoints.is_idle());
    let mut given_up = 0;
    let mut begin = |checkpoints: &mut Checkpoints| {
        let needs = || {
            given_up += 1;
            Some(needs_from(place))
        };
        checkpoints.begin(needs, 6);
        given_up
    };
    assert_eq!(begin(&mut checkpoints), 0);
    checkpoints.abort();
    assert_eq!(begin(&mut checkpoints), 1);
}

/// Writes a checkpoint to its end, or to its first failing call of the disk; returns true if it has
/// everything.
fn is_base(checkpoints: &mut Checkpoints, outcome: &Outcome) -> bool {
    let place = super::Place { file: FileNumber(1), at: 64 };
    checkpoints.begin(|| Some(needs_from(place)), 5);
    let (mut has_all, mut is_first) = (false, true);
    loop {
        match checkpoints.poll(Sequence(0)) {
            NextOfCheckpoint::Slice(Slice::Keys(keys)) => {
                let entries: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
                checkpoints.handle_slice(&entries, Sequence(0));
            }
            NextOfCheckpoint::Slice(Slice::After(..)) => {
                has_all = true;
                let entry = (Bytes::from_static(b"key"), Some(Bytes::from(vec![1; 100_000])));
                let entries = if is_first { vec![entry] } else { vec![] };
                checkpoints.handle_slice(&entries, Sequence(0));
                is_first = false;
            }
            NextOfCheckpoint::Effect(CheckpointEffect::Remove { .. }) => {
                checkpoints.handle(&Outcome::Done);
            }
            NextOfCheckpoint::Effect(_) => {
                checkpoints.handle(outcome);
                if checkpoints.is_idle() {
                    return has_all;
                }
            }
            NextOfCheckpoint::Completed(_) => return has_all,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn keys_of_changed_values_make_a_checkpoint_due_and_too_many_make_it_one_of_everything() {
    const KEY: u64 = 128 + 4;
    let settings = CheckpointSettings {
        due_touched: 10 * KEY,
        most_touched: 20 * KEY,
        ..checkpoint_settings()
    };
    let key = |number: u32| Bytes::copy_from_slice(&number.to_be_bytes());
    let mut checkpoints = Checkpoints::new(settings, None);
    assert!(!checkpoints.is_pressed());
    assert!(is_base(&mut checkpoints, &Outcome::Done), "it is the first");
    (0..9).for_each(|number| checkpoints.touch(key(number)));
    (0..9).for_each(|number| checkpoints.touch(key(number)));
    assert!(!checkpoints.is_pressed());
    // The owner has one more.
    checkpoints.note_touched(KEY, Coverage::Complete);
    assert!(checkpoints.is_pressed() && !checkpoints.is_due());
    assert_eq!(checkpoints.held(), 9 * KEY);
    assert!(!is_base(&mut checkpoints, &Outcome::Done));
    assert!((checkpoints.held(), checkpoints.is_pressed()) == (0, false));
    // The owner had more than it may, and has none of them now.
    checkpoints.note_touched(0, Coverage::Partial);
    assert!(checkpoints.is_pressed());
    checkpoints.note_touched(0, Coverage::Complete);

    // Too many: the next one has everything, though it follows the newest one.
    (0..21).for_each(|number| checkpoints.touch(key(number)));
    assert_eq!(checkpoints.held(), 0);
    assert!(is_base(&mut checkpoints, &Outcome::Done));
    checkpoints.touch(key(1));
    assert!(!is_base(&mut checkpoints, &Outcome::Done));

    // One that fails keeps the keys, as many as there may be.
    let failed = Outcome::Failed("the disk".to_owned());
    (0..15).for_each(|number| checkpoints.touch(key(number)));
    assert!(!is_base(&mut checkpoints, &failed));
    assert_eq!(checkpoints.held(), 15 * KEY);
    (10..20).for_each(|number| checkpoints.touch(key(number)));
    assert_eq!(checkpoints.held(), 20 * KEY);
    assert!(is_base(&mut checkpoints, &failed), "its number does not follow the newest");
    assert_eq!(checkpoints.held(), 20 * KEY);
    checkpoints.touch(key(20));
    assert!((checkpoints.held(), checkpoints.is_pressed()) == (0, true));
    // Until one has everything, no other has less.
    assert!(is_base(&mut checkpoints, &failed));
    (0..5).for_each(|number| checkpoints.touch(key(number)));
    assert_eq!(checkpoints.held(), 0);
    assert!(is_base(&mut checkpoints, &Outcome::Done));
    checkpoints.touch(key(1));
    assert!(!is_base(&mut checkpoints, &Outcome::Done));
}
