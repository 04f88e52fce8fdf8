//! Segments in a log with all its threads: whatever is read survives while files die, are moved,
//! and the process is killed at any call of the disk.

mod copies;
mod hints;
mod scrub;

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use pravega_sdk_server_core::{
    log::{CheckpointFile, Coverage, NotTaken, Slice},
    store::{Fetch, Gathered},
};

use super::*;
use crate::{
    folder::Kind,
    log::{
        keeping::Keeping,
        owner::{Changes, Epoch, Keys, Owner, ReadFailure, SegmentRange},
        readers::{Job, Then},
        running::{LogHandle, RunningLog},
    },
};

/// A batch of the owner.
#[derive(Debug, Clone, Copy)]
enum Change {
    Append { segment: u64, len: u64, draw: u64 },
    Truncate { segment: u64, start: u64 },
    Delete { segment: u64 },
}

/// A segment: all that was appended to it, and the first byte that is read.
#[derive(Debug, Clone, Default, PartialEq)]
struct Content {
    start: u64,
    bytes: Vec<u8>,
}

type Extents = BTreeMap<u64, (u64, u64)>;

fn data(draw: u64, len: u64) -> Vec<u8> {
    (0..len).map(|byte| (draw.wrapping_mul(31) + byte / 7 + byte) as u8).collect()
}

fn apply(contents: &mut BTreeMap<u64, Content>, change: Change) {
    match change {
        Change::Append { segment, len, draw } => {
            contents.entry(segment).or_default().bytes.extend(data(draw, len));
        }
        Change::Truncate { segment, start } => contents.get_mut(&segment).unwrap().start = start,
        Change::Delete { segment } => drop(contents.remove(&segment)),
    }
}

/// What a change was, by the record that the log has of it.
fn replay(extents: &mut Extents, record: &LogRecord) {
    match record {
        LogRecord::Data { segment, offset, data, .. } => {
            extents.entry(segment.0).or_insert((0, 0)).1 = offset + data.len() as u64;
        }
        LogRecord::Change { meta } => match numbers(meta)[..] {
            [segment, start] => extents.entry(segment).or_insert((0, start)).0 = start,
            [segment] => drop(extents.remove(&segment)),
            _ => panic!("{meta:?}"),
        },
        LogRecord::File(_) => {}
    }
}

fn encoded(numbers: &[u64]) -> Bytes {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(8).map(|chunk| u64::from_be_bytes(chunk.try_into().unwrap())).collect()
}

/// What was read back.
#[derive(Debug, Default)]
struct Restored {
    extents: Extents,
    freed: Vec<SegmentRange>,
    checkpoints: usize,
}

impl Replay for Restored {
    fn entries(&mut self, entries: Vec<StateEntry>) {
        self.checkpoints += 1;
        for (key, value) in entries {
            match value.map(|value| numbers(&value)) {
                Some(value) => drop(self.extents.insert(numbers(&key)[0], (value[0], value[1]))),
                None => drop(self.extents.remove(&numbers(&key)[0])),
            }
        }
    }

    fn frame(&mut self, _: Place, _: Sequence, records: Vec<PlacedRecord>) {
        for placed in records {
            let before = self.extents.clone();
            replay(&mut self.extents, &placed.record);
            for (segment, (start, end)) in before {
                let to = self.extents.get(&segment).map_or(end, |(start, _)| *start);
                if start < to {
                    self.freed.push((SegmentNumber(segment), start..to));
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    contents: BTreeMap<u64, Content>,
    /// The batches of the owner by their numbers, of all lives.
    history: BTreeMap<u64, Change>,
    next_segment: u64,
    sequence: u64,
    touched: Vec<Bytes>,
    /// The most keys that are noted.
    most_keys: Option<usize>,
    /// Whether these are all, unless there are more.
    coverage: Coverage,
    /// What the log has noted of the keys that it has.
    keys_elsewhere: u64,
    freed: Vec<SegmentRange>,
    /// Whether the ranges that were freed are listed, or there are too many.
    freed_coverage: Coverage,
    durable: u64,
    failed: bool,
    /// The log gives no files up.
    refuses_own: bool,
    /// The number of batches of the log's own.
    own: usize,
}

/// The memory of a key.
const KEY: u64 = 100;

impl State {
    fn held_by_keys(&self) -> u64 {
        self.touched.len() as u64 * KEY
    }

    fn coverage_of_keys(&self) -> Coverage {
        let is_partial = self.most_keys.is_some_and(|most| most < self.touched.len());
        if is_partial { Coverage::Partial } else { self.coverage }
    }
}

/// An owner of segments.
#[derive(Debug, Default)]
pub(super) struct Model {
    state: Mutex<State>,
    changed: Condvar,
    /// Tells when the next slice of a checkpoint is asked for, which waits until it may be made.
    gate: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Owner for Model {
    fn epoch(&self) -> Epoch {
        Epoch(0)
    }

    fn take_changes(&self) -> Changes {
        let mut state = self.state();
        let (touched, up_to) = (state.held_by_keys(), Sequence(state.sequence));
        let (mut freed, freed_coverage) = (std::mem::take(&mut state.freed), state.freed_coverage);
        if freed_coverage == Coverage::Partial {
            freed.clear();
        }
        let touched_coverage = state.coverage_of_keys();
        Changes { touched, touched_coverage, freed, freed_coverage, up_to, ..Changes::default() }
    }

    fn take_keys(&self) -> Keys {
        let state = &mut *self.state();
        let (coverage, mut keys) = (state.coverage_of_keys(), std::mem::take(&mut state.touched));
        state.coverage = Coverage::Complete;
        if coverage == Coverage::Partial {
            keys.clear();
        }
        Keys { keys, coverage }
    }

    fn note_keys(&self, held: u64) {
        self.state().keys_elsewhere = held;
    }

    fn slice(&self, slice: &Slice) -> (Vec<StateEntry>, Sequence) {
        if let Some((asked, goes_on)) = self.gate.lock().unwrap().take() {
            asked.send(()).unwrap();
            goes_on.recv().unwrap();
        }
        let state = self.state();
        let value = |segment: u64| -> StateEntry {
            let found = state.contents.get(&segment);
            let value = found.map(|found| encoded(&[found.start, found.bytes.len() as u64]));
            (encoded(&[segment]), value)
        };
        let entries = match slice {
            Slice::Keys(keys) => keys.iter().map(|key| value(numbers(key)[0])).collect(),
            Slice::After(after, most) => {
                let from = after.as_ref().map_or(0, |key| numbers(key)[0] + 1);
                state.contents.range(from..).take(*most).map(|(key, _)| value(*key)).collect()
            }
        };
        (entries, Sequence(state.sequence))
    }

    fn live(&self, ranges: &[SegmentRange]) -> Vec<Vec<Range<u64>>> {
        let state = self.state();
        let live = |(segment, range): &SegmentRange| {
            let Some(found) = state.contents.get(&segment.0) else { return Vec::new() };
            let part = range.start.max(found.start)..range.end.min(found.bytes.len() as u64);
            if part.is_empty() { Vec::new() } else { vec![part] }
        };
        ranges.iter().map(live).collect()
    }

    fn names(&self, ranges: &[SegmentRange]) -> Vec<(String, Range<u64>)> {
        let live = self.live(ranges).into_iter().zip(ranges);
        live.flat_map(|(parts, (segment, _))| {
            parts.into_iter().map(|part| (segment.0.to_string(), part))
        })
        .collect()
    }

    fn fetched(&self, fetch: &Fetch, _: Result<Gathered, ReadFailure>) {
        panic!("nothing is evicted: {fetch:?}");
    }

    fn submit(
        &self,
        _: Epoch,
        submit: &mut dyn FnMut(Sequence) -> Result<(), NotTaken>,
    ) -> Result<(), NotTaken> {
        let mut state = self.state();
        if state.refuses_own {
            return Err(NotTaken::NoSpace);
        }
        submit(Sequence(state.sequence + 1))?;
        state.sequence += 1;
        state.own += 1;
        Ok(())
    }
}

struct Told(Arc<Model>);

impl Sink for Told {
    fn handle(&mut self, event: Event) {
        let Event::Committed(committed) = event else { panic!("{event:?}") };
        self.0.state().durable = committed.sequence.0;
        self.0.changed.notify_all();
    }

    fn fail(&mut self, durable: Sequence, _: &str) {
        let mut state = self.0.state();
        (state.durable, state.failed) = (durable.0, true);
        self.0.changed.notify_all();
    }
}

/// A disk of a process that is killed after some calls: the later ones have no effect.
#[derive(Debug)]
pub(super) struct Mortal {
    pub(super) files: Files,
    pub(super) calls: AtomicI64,
}

impl Mortal {
    fn call(&self) -> io::Result<()> {
        match self.calls.fetch_sub(1, Ordering::SeqCst) {
            1.. => Ok(()),
            _ => Err(io::Error::other("the process was killed")),
        }
    }
}

impl Disk for Mortal {
    fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        self.files.list()
    }

    fn read_at(&self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        self.files.read_at(name, at, len)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call()?;
        self.files.create(name, bytes)
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.call() {
            // The last one may have had a part of its effect.
            if self.calls.load(Ordering::SeqCst) == -1 {
                self.files.write_at(name, at, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        self.files.write_at(name, at, bytes)
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.call()?;
        self.files.cut(name, len)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.call()?;
        self.files.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call()?;
        self.files.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.call()?;
        self.files.sync_folder()
    }
}

fn short() -> Configure {
    let short = CheckpointSettings { tail_len: 700_000, slice: 3, ..configure().checkpoints };
    Configure { checkpoints: short, ..configure() }
}

/// One life of a process.
struct Life {
    model: Arc<Model>,
    handle: LogHandle,
    log: RunningLog,
    checkpoints: usize,
    keeping: Keeping,
}

impl Life {
    /// Opens a folder, and checks that it has a part of a history: at least what was acknowledged.
    fn begin(disk: Arc<dyn Disk>, history: &BTreeMap<u64, Change>, acknowledged: u64) -> Self {
        Self::begin_with(short(), disk, history, acknowledged)
    }

    fn begin_with(
        configure: Configure,
        disk: Arc<dyn Disk>,
        history: &BTreeMap<u64, Change>,
        acknowledged: u64,
    ) -> Self {
        let mut restored = Restored::default();
        let (opened, keeper) = open(&*disk, configure, &mut restored).unwrap();
        let last = opened.sequence.0;
        assert!(acknowledged <= last, "{acknowledged} batches were acknowledged, {last} are there");
        let history: BTreeMap<u64, Change> =
            history.range(..=last).map(|(k, v)| (*k, *v)).collect();
        let mut contents = BTreeMap::new();
        history.values().for_each(|change| apply(&mut contents, *change));
        let extents: Extents = contents
            .iter()
            .map(|(segment, found)| (*segment, (found.start, found.bytes.len() as u64)))
            .collect();
        assert_eq!(restored.extents, extents, "after {last} batches");
        let next_segment = history.values().map(segment_of).max().unwrap_or(0) + 1;
        let state = State {
            contents,
            history,
            next_segment,
            sequence: last,
            touched: (0..next_segment).map(|segment| encoded(&[segment])).collect(),
            freed: restored.freed,
            durable: last,
            ..State::default()
        };
        let model = Arc::new(Model { state: Mutex::new(state), ..Model::default() });
        let owner: Arc<dyn Owner> = Arc::clone(&model) as Arc<dyn Owner>;
        let handle = LogHandle::new(keeper, SPACE, u64::MAX);
        let sink = Told(Arc::clone(&model));
        let keeping = handle.keeping(&disk, &opened.settings);
        let log = RunningLog::start(opened, &disk, &handle, &owner, sink).unwrap();
        Self { model, handle, log, checkpoints: restored.checkpoints, keeping }
    }

    /// Submits any change; returns false if the log takes no more.
    fn change(&self, random: &mut fastrand::Rng) -> bool {
        let change = draw(&self.model.state(), random);
        self.submit(change)
    }

    fn submit(&self, change: Change) -> bool {
        let mut state = self.model.state();
        let (segment, sequence) = (segment_of(&change), state.sequence + 1);
        let found = state.contents.get(&segment).cloned().unwrap_or_default();
        let end = found.bytes.len() as u64;
        let (freed, record) = match change {
            Change::Append { len, draw, .. } => {
                let (number, meta) = (SegmentNumber(segment), Bytes::from_static(b"append"));
                let data = data(draw, len).into();
                (0..0, LogRecord::Data { segment: number, offset: end, meta, data })
            }
            Change::Truncate { start, .. } => {
                (found.start..start, LogRecord::Change { meta: encoded(&[segment, start]) })
            }
            Change::Delete { .. } => {
                (found.start..end, LogRecord::Change { meta: encoded(&[segment]) })
            }
        };
        if self.handle.submit(Sequence(sequence), vec![record]).is_err() {
            return false;
        }
        state.sequence = sequence;
        apply(&mut state.contents, change);
        state.history.insert(sequence, change);
        state.next_segment = state.next_segment.max(segment + 1);
        state.touched.push(encoded(&[segment]));
        state.freed.push((SegmentNumber(segment), freed));
        true
    }

    /// Waits until all batches are durable, or none is any longer.
    fn settle(&self) {
        let (state, timeout) = (self.model.state(), Duration::from_secs(60));
        let waits = |state: &mut State| state.durable < state.sequence && !state.failed;
        let (state, waited) = self.model.changed.wait_timeout_while(state, timeout, waits).unwrap();
        drop(state);
        assert!(!waited.timed_out(), "the log does not go on");
    }

    /// Reads a part of every segment.
    fn read_back(&self) {
        let contents = self.model.state().contents.clone();
        for (segment, Content { start, bytes }) in contents {
            let (mut at, end) = (start, bytes.len() as u64);
            while at < end {
                let (sender, receiver) = mpsc::channel();
                let done = Box::new(move |result| sender.send(result).unwrap());
                let parts = vec![(SegmentNumber(segment), at..end.min(at + 300_000))];
                assert!(self.handle.read(Job { parts, then: Then::Done(done) }).is_ok());
                let found = receiver.recv().unwrap();
                let found = found.unwrap_or_else(|why| panic!("{segment} from {at} on: {why}"));
                assert!(!found.is_empty(), "{segment} from {at} to {end}");
                let to = at as usize + found.len();
                assert!(found == bytes[at as usize..to], "segment {segment} from {at} to {to}");
                at = to as u64;
            }
        }
    }

    /// Ends the threads. Returns the history, and the last acknowledged batch.
    fn end(self) -> (BTreeMap<u64, Change>, u64) {
        self.handle.close();
        self.log.join();
        let state = self.model.state();
        (state.history.clone(), state.durable)
    }
}

fn segment_of(change: &Change) -> u64 {
    let (Change::Append { segment, .. }
    | Change::Truncate { segment, .. }
    | Change::Delete { segment }) = change;
    *segment
}

fn draw(state: &State, random: &mut fastrand::Rng) -> Change {
    let segments: Vec<(u64, (u64, u64))> = state
        .contents
        .iter()
        .map(|(segment, found)| (*segment, (found.start, found.bytes.len() as u64)))
        .collect();
    let any = (!segments.is_empty()).then(|| segments[random.usize(..segments.len())]);
    // Some segments are kept long, so that old files have bytes that are read.
    let is_kept = any.is_some_and(|(segment, _)| segment % 4 == 0);
    match (any, random.u8(if is_kept { 3 } else { 0 }..20)) {
        (Some((segment, (start, end))), 0 | 1) => {
            let start = if random.bool() { end } else { random.u64(start..=end) };
            Change::Truncate { segment, start }
        }
        (Some((segment, _)), 2) => Change::Delete { segment },
        (any, roll) => {
            let any = any.filter(|_| segments.len() > 6 || roll > 8);
            let segment = any.map_or(state.next_segment, |(segment, _)| segment);
            let len = if roll > 15 { random.u64(1..90_000) } else { random.u64(1..3000) };
            Change::Append { segment, len, draw: random.u64(..1000) }
        }
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn names(disk: &dyn Disk) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|(name, _, _)| name).collect()
}

#[test]
fn files_die_and_are_moved_while_every_byte_that_is_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (mut history, mut acknowledged) = (BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(1);
    for life in 0..3 {
        let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
        let run = Life::begin(Arc::clone(&disk), &history, acknowledged);
        assert!(life == 0 || run.checkpoints > 0, "a start reads a checkpoint");
        run.read_back();
        let has = |prefix: &str| names(&*disk).iter().any(|name| name.starts_with(prefix));
        let is_first_gone = || !names(&*disk).contains(&"log-00000001".to_owned());
        let mut changes = 0;
        until("a checkpoint, a run, a file that died and one that was moved to", || {
            (0..100).for_each(|_| assert!(run.change(&mut random)));
            changes += 100;
            run.settle();
            has("checkpoint-") && has("index-") && has("moved-") && is_first_gone()
        });
        println!("{changes} changes, {} batches of the log's own", run.model.state().own);
        run.read_back();
        (history, acknowledged) = run.end();
    }
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(disk, &history, acknowledged);
    run.read_back();
    run.end();
}

#[test]
fn a_checkpoint_is_written_for_the_memory_of_keys_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let checkpoints = CheckpointSettings { due_touched: 30 * KEY, ..configure().checkpoints };
    let configure = Configure { checkpoints, ..configure() };
    let run = Life::begin_with(configure, Arc::clone(&disk), &BTreeMap::new(), 0);
    let append = |segment| Change::Append { segment, len: 10, draw: 1 };
    (0..20).for_each(|segment| assert!(run.submit(append(segment))));
    run.settle();
    let checkpoints = || {
        let mut names = names(&*disk);
        names.retain(|name| name.starts_with("checkpoint-"));
        names
    };
    assert!(checkpoints().is_empty());
    (0..20).for_each(|segment| assert!(run.submit(append(segment))));
    until("a checkpoint has them", || checkpoints().len() == 1);
    until("the memory is given back", || {
        let state = run.model.state();
        (state.held_by_keys(), state.keys_elsewhere) == (0, 0)
    });
    // Keys that were too many are no longer in memory, and the next checkpoint has everything.
    let first = checkpoints();
    run.model.state().coverage = Coverage::Partial;
    assert!(run.submit(append(0)));
    until("another one takes its place", || {
        let now = checkpoints();
        now.len() == 1 && now != first
    });
    let (history, acknowledged) = run.end();
    let run = Life::begin(disk, &history, acknowledged);
    assert!(run.checkpoints > 0);
    run.read_back();
    run.end();
}

#[test]
fn a_checkpoint_after_more_has_changed_than_is_noted_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    run.model.state().most_keys = Some(0);
    let append = |segment, len| Change::Append { segment, len, draw: 1 };
    // Later ones than the second may have everything for another reason.
    for number in [1, 2] {
        // What is changed once is in no log after the checkpoint.
        let once = number * 100..number * 100 + 50;
        once.for_each(|segment| assert!(run.submit(append(segment, 10))));
        let is_next = |name: &String| {
            CheckpointFile::of_name(name).is_some_and(|checkpoint| checkpoint.number >= number)
        };
        until("the next checkpoint", || {
            assert!(run.submit(append(0, 50_000)));
            run.settle();
            names(&*disk).iter().any(is_next)
        });
    }
    let (history, acknowledged) = run.end();
    let run = Life::begin(disk, &history, acknowledged);
    assert!(run.checkpoints > 0);
    run.end();
}

#[test]
fn whatever_is_deleted_gives_its_files_back() {
    gives_files_back(Coverage::Complete);
}

#[test]
fn whatever_is_deleted_gives_its_files_back_though_it_is_too_much_to_tell() {
    gives_files_back(Coverage::Partial);
}

fn gives_files_back(freed_coverage: Coverage) {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(Arc::clone(&disk), &BTreeMap::new(), 0);
    run.model.state().freed_coverage = freed_coverage;
    let mut random = fastrand::Rng::with_seed(2);
    (0..1500).for_each(|_| assert!(run.change(&mut random)));
    run.settle();
    let segments: Vec<u64> = run.model.state().contents.keys().copied().collect();
    assert!(segments.into_iter().all(|segment| run.submit(Change::Delete { segment })));
    let logs = || names(&*disk).iter().filter(|name| name.starts_with("log-")).count();
    let segment = run.model.state().next_segment;
    let mut start = 0;
    // Checkpoints need commits.
    until("only the newest files are left", || {
        let len = 20_000;
        assert!(run.submit(Change::Append { segment, len, draw: start }));
        start += len;
        assert!(run.submit(Change::Truncate { segment, start }));
        run.settle();
        logs() <= 4 && !names(&*disk).contains(&"log-00000001".to_owned())
    });
    run.read_back();
    let (history, acknowledged) = run.end();
    let run = Life::begin(disk, &history, acknowledged);
    run.read_back();
    run.end();
}

#[test]
fn a_process_that_is_killed_at_any_call_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut history, mut acknowledged) = (BTreeMap::new(), 0);
    let mut random = fastrand::Rng::with_seed(3);
    for life in 0..16 {
        let calls = if life % 2 == 0 { random.i64(1..300) } else { random.i64(300..2000) };
        let mortal = Mortal { files: files(folder.path()), calls: AtomicI64::new(i64::MAX) };
        let mortal = Arc::new(mortal);
        let run = Life::begin(Arc::clone(&mortal) as Arc<dyn Disk>, &history, acknowledged);
        run.read_back();
        mortal.calls.store(calls, Ordering::SeqCst);
        for _ in 0..random.usize(20..400) {
            if !run.change(&mut random) {
                break;
            }
            if random.u8(..20) == 0 {
                run.settle();
            }
        }
        run.settle();
        (history, acknowledged) = run.end();
        drop(mortal);
    }
    let disk: Arc<dyn Disk> = Arc::new(files(folder.path()));
    let run = Life::begin(disk, &history, acknowledged);
    run.read_back();
    run.end();
}
