//! A partition that changes at any time, and what is reported of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::key_value_table::watch::position::WatchPosition;

const LIMITS: Limits = Limits { known_bytes: 1 << 20, early: 4, portion: 3 };

/// The entries of a partition, as a Java store has them.
#[derive(Default)]
struct Store {
    entries: BTreeMap<Bytes, Stored>,
    end: i64,
    /// The entries that a late count does not have yet.
    late_count: u64,
}

#[derive(Clone, Copy)]
struct Stored {
    /// That of the put.
    version: i64,
    /// Where the entry is, which a scan returns.
    at: i64,
}

impl Store {
    fn put(&mut self, key: &'static str) -> i64 {
        let version = self.end;
        self.entries.insert(key.into(), Stored { version, at: version });
        self.end += 10;
        version
    }

    fn remove(&mut self, key: &str) {
        self.entries.remove(key.as_bytes());
    }

    /// Writes an entry again, as the store does before it truncates its segment.
    fn compact(&mut self, key: &str) {
        if let Some(stored) = self.entries.get_mut(key.as_bytes()) {
            stored.at = self.end;
            self.end += 10;
        }
    }

    fn size(&self) -> Size {
        Size { end: Offset(self.end), entry_count: self.late_count }
    }

    /// A page of the keys after one.
    fn page(&self, after: Option<&Bytes>, len: usize) -> VecDeque<VersionedKey> {
        let keys = self.entries.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let key = |(key, stored): (&Bytes, &Stored)| VersionedKey {
            key: key.clone(),
            version: version(stored.at),
        };
        keys.map(key).take(len).collect()
    }
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

/// What is reported, with the position after it.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Put(Bytes, i64),
    Removed(Bytes),
}

/// A watch, without a server.
struct Watch {
    machine: WatchMachine,
    /// The last key that was fetched, in the current scan.
    fetched: Option<Bytes>,
    page: VecDeque<VersionedKey>,
}

impl Watch {
    fn new(position: PartitionPosition, limits: Limits) -> Self {
        let machine = WatchMachine::new(position, limits, Bugs::default());
        Self { machine, fetched: None, page: VecDeque::new() }
    }

    /// Runs a round, in which `between` happens between any two requests. Returns the changes, each
    /// with the position after it.
    fn round(
        &mut self,
        store: &mut Store,
        page_len: usize,
        mut between: impl FnMut(&mut Store),
    ) -> Vec<(Change, PartitionPosition)> {
        self.page.clear();
        self.fetched = match self.machine.handle_size(store.size()).unwrap() {
            Round::Rest => return Vec::new(),
            Round::Scan => None,
            Round::ScanAfter(key) => Some(key),
        };
        let mut all = Vec::new();
        loop {
            match self.machine.poll_step() {
                Step::Rest => return all,
                Step::NextKey => {
                    if self.page.is_empty() {
                        between(store);
                        self.page = store.page(self.fetched.as_ref(), page_len);
                        self.fetched = self.page.back().map(|last| last.key.clone());
                        between(store);
                    }
                    match self.page.pop_front() {
                        Some(key) => self.machine.handle_key(key),
                        None => self.machine.handle_end(),
                    }
                }
                Step::Report(portion) => {
                    between(store);
                    all.extend(self.report(store, &portion));
                }
            }
        }
    }

    fn report(&mut self, store: &Store, portion: &Portion) -> Vec<(Change, PartitionPosition)> {
        assert!(portion.found.len() <= self.machine.limits.portion);
        let (mut changes, mut passed) = (Vec::new(), portion.passed());
        for found in &portion.found {
            match found {
                Found::Removed(key) => {
                    passed.push(key, None);
                    changes.push(Change::Removed(key.clone()));
                }
                Found::Put(key) => {
                    let Some(stored) = store.entries.get(key) else { continue };
                    if self.machine.handle_entry(portion, key, version(stored.version)) {
                        passed.push(key, Some(version(stored.version)));
                        changes.push(Change::Put(key.clone(), stored.version));
                    }
                }
            }
        }
        let count = changes.len();
        let place = |number| match number == count {
            true => self.machine.position().clone(),
            false => passed.position_after(number),
        };
        changes.into_iter().enumerate().map(|(at, change)| (change, place(at + 1))).collect()
    }

    /// Runs a round without changes meanwhile.
    fn quiet(&mut self, store: &mut Store) -> Vec<Change> {
        self.round(store, 2, |_| {}).into_iter().map(|(change, _)| change).collect()
    }
}

fn put(key: &'static str, version: i64) -> Change {
    Change::Put(key.into(), version)
}

fn removed(key: &'static str) -> Change {
    Change::Removed(key.into())
}

/// The position after it was text.
fn stored(position: &PartitionPosition) -> PartitionPosition {
    let text = WatchPosition::of_partitions([(7.into(), position.clone())]).to_string();
    text.parse::<WatchPosition>().unwrap().of(7.into())
}

fn text(position: &PartitionPosition) -> String {
    WatchPosition::of_partitions([(0.into(), position.clone())]).to_string()
}

fn at(offset: i64) -> PartitionPosition {
    PartitionPosition::at(Offset(offset))
}

fn store_of(keys: &[&'static str]) -> Store {
    let mut store = Store::default();
    for key in keys {
        store.put(key);
    }
    store
}

#[test]
fn a_watch_begins_with_the_puts_since_its_position_and_then_reports_each_change_once() {
    let mut store = store_of(&["c", "a", "b"]);
    let mut watch = Watch::new(at(10), LIMITS);
    assert_eq!(watch.quiet(&mut store), [put("a", 10), put("b", 20)]);
    assert_eq!(watch.machine.position(), &at(30));
    assert_eq!(watch.quiet(&mut store), []);
    store.put("a");
    store.remove("b");
    assert_eq!(watch.quiet(&mut store), [put("a", 30), removed("b")]);
    assert_eq!(watch.quiet(&mut store), []);
}

#[test]
fn a_position_amid_a_scan_continues_with_the_next_key() {
    let mut store = store_of(&["a", "b", "c", "d", "e"]);
    let changes = Watch::new(at(0), LIMITS).round(&mut store, 2, |_| {});
    let texts: Vec<String> = changes.iter().map(|(_, position)| text(position)).collect();
    assert_eq!(texts, ["0:0-50@61", "0:0-50@62", "0:0-50@63", "0:0-50@64", "0:50"]);
    let all: Vec<Change> = changes.iter().map(|(change, _)| change.clone()).collect();
    for (number, (_, position)) in changes.iter().enumerate() {
        let mut watch = Watch::new(stored(position), LIMITS);
        assert_eq!(watch.quiet(&mut store), all[number + 1..], "after {number}");
        assert_eq!(watch.machine.position(), &at(50));
        assert_eq!(watch.quiet(&mut store), []);
    }
}

#[test]
fn a_put_of_a_key_that_a_resumed_scan_has_passed_is_reported_by_the_next_one() {
    let mut store = store_of(&["a", "b", "c"]);
    let changes = Watch::new(at(0), LIMITS).round(&mut store, 2, |_| {});
    let mut watch = Watch::new(stored(&changes[1].1), LIMITS);
    store.put("a");
    store.remove("b");
    assert_eq!(watch.quiet(&mut store), [put("c", 20)]);
    assert_eq!(watch.quiet(&mut store), [put("a", 30)]);
    store.remove("a");
    store.put("d");
    assert_eq!(watch.quiet(&mut store), [removed("a"), put("d", 40)], "known since the resume");
}

#[test]
fn a_put_during_a_scan_is_reported_at_once_and_not_again() {
    let mut store = store_of(&["a", "b"]);
    let mut watch = Watch::new(at(0), LIMITS);
    let mut is_first = true;
    let changes = watch.round(&mut store, 2, |store| {
        if std::mem::take(&mut is_first) {
            store.put("b");
        }
    });
    assert_eq!(text(&changes[1].1), "0:20+20", "with the version of the late put");
    assert_eq!(changes[1].0, put("b", 20));
    let mut resumed = Watch::new(stored(&changes[1].1), LIMITS);
    for watch in [&mut watch, &mut resumed] {
        assert_eq!(watch.quiet(&mut store), []);
        assert_eq!(watch.machine.position(), &at(30), "the base is beyond it");
    }
}

#[test]
fn a_key_that_is_removed_before_it_is_read_is_removed_in_the_next_scan() {
    let mut store = store_of(&["a", "b"]);
    let mut watch = Watch::new(at(0), LIMITS);
    let mut calls = 0;
    let changes = watch.round(&mut store, 9, |store| {
        calls += 1;
        if calls == 2 {
            store.remove("b");
        }
    });
    assert_eq!(changes, [(put("a", 0), at(20))]);
    store.put("c");
    assert_eq!(watch.quiet(&mut store), [removed("b"), put("c", 20)]);
}

#[test]
fn an_entry_that_the_store_has_moved_is_not_reported_again() {
    let mut store = store_of(&["a", "b"]);
    let mut watch = Watch::new(at(0), LIMITS);
    assert_eq!(watch.quiet(&mut store).len(), 2);
    let position = watch.machine.position().clone();
    store.compact("a");
    assert_eq!(watch.quiet(&mut store), []);
    assert_eq!(Watch::new(position, LIMITS).quiet(&mut store), []);
    assert_eq!(Watch::new(at(0), LIMITS).quiet(&mut store), [put("a", 0), put("b", 10)]);
}

#[test]
fn a_removal_that_changes_no_size_is_found_in_rounds_that_grow_rarer() {
    let mut store = store_of(&["a", "b"]);
    let mut watch = Watch::new(at(0), LIMITS);
    watch.quiet(&mut store);
    let mut scans = Vec::new();
    for round in 1..=300 {
        if watch.machine.handle_size(store.size()).unwrap() == Round::Scan {
            scans.push(round);
            watch.machine.handle_key(store.page(None, 1).remove(0).unwrap());
            assert_eq!(watch.machine.poll_step(), Step::NextKey);
            watch.machine.handle_key(store.page(Some(&"a".into()), 1).remove(0).unwrap());
            assert_eq!(watch.machine.poll_step(), Step::NextKey);
            watch.machine.handle_end();
            assert_eq!(watch.machine.poll_step(), Step::Rest);
        }
    }
    assert_eq!(scans, [1, 3, 7, 15, 31, 63, 127, 191, 255]);
    store.remove("b");
    let found: Vec<Change> = (0..64).flat_map(|_| watch.quiet(&mut store)).collect();
    assert_eq!(found, [removed("b")]);
    // The count of entries is late, and then shows a removal at once.
    store.remove("a");
    store.late_count = 1;
    assert_eq!(watch.quiet(&mut store), [removed("a")]);
}

#[test]
fn keys_that_change_all_the_time_are_all_reported_in_turn() {
    const KEYS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut store = store_of(&KEYS);
    let mut watch = Watch::new(at(store.end), LIMITS);
    let mut times: BTreeMap<Bytes, u32> = BTreeMap::new();
    let rounds = 30;
    for _ in 0..rounds {
        let changes = watch.round(&mut store, 2, |store| {
            for key in KEYS {
                store.put(key);
            }
        });
        assert!(changes.len() <= LIMITS.early);
        for (change, position) in changes {
            assert!(position.early.len() <= 2 * LIMITS.early, "{position:?}");
            let Change::Put(key, _) = change else { panic!("{change:?}") };
            *times.entry(key).or_default() += 1;
        }
    }
    assert!(times.len() == KEYS.len() && times.values().all(|n| *n >= rounds / 3), "{times:?}");
}

#[test]
fn beyond_the_memory_for_keys_puts_are_reported_and_removals_of_other_keys_are_not() {
    let limits = Limits { known_bytes: 2 * 65, ..LIMITS };
    let mut store = store_of(&["a", "b", "c", "d"]);
    let mut watch = Watch::new(at(0), limits);
    assert_eq!(watch.quiet(&mut store).len(), 4);
    store.remove("a");
    store.remove("d");
    store.put("c");
    assert_eq!(watch.quiet(&mut store), [removed("a"), put("c", 40)]);
    // There is memory for another key now.
    store.remove("c");
    store.put("d");
    assert_eq!(watch.quiet(&mut store), [removed("c"), put("d", 50)]);
}

#[test]
fn a_position_beyond_the_end_is_refused() {
    let store = store_of(&["a"]);
    for (position, is_good) in
        [("0:10", true), ("0:11", false), ("0:0-11@61", false), ("0:0+11", false)]
    {
        let position = position.parse::<WatchPosition>().unwrap().of(0.into());
        let began =
            WatchMachine::new(position.clone(), LIMITS, Bugs::default()).handle_size(store.size());
        assert_eq!(began.is_ok(), is_good, "{position:?}");
    }
}

/// Random changes at random moments, of a watch that is resumed at random positions.
struct Chance {
    random: fastrand::Rng,
    changes: u32,
    removes: bool,
}

impl Chance {
    fn disturb(&mut self, store: &mut Store) {
        const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        for _ in 0..self.random.u32(0..3) {
            let Some(left) = self.changes.checked_sub(1) else { return };
            self.changes = left;
            let key = KEYS[self.random.usize(..KEYS.len())];
            match self.random.u32(0..8) {
                0 | 1 if self.removes => store.remove(key),
                2 => store.compact(key),
                3 => store.late_count = store.entries.len() as u64,
                _ => {
                    store.put(key);
                }
            }
        }
    }
}

#[test]
fn each_put_is_reported_once_whatever_happens_between_scans_and_wherever_a_watch_is_resumed() {
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (resumes, removes) = (random.u32(0..3), random.bool());
        let limits = Limits {
            known_bytes: if random.bool() { 300 } else { 1 << 20 },
            early: random.usize(1..6),
            portion: random.usize(1..5),
        };
        let mut chance = Chance { random: random.fork(), changes: random.u32(5..80), removes };
        let mut store = Store::default();
        (0..random.u32(0..8)).for_each(|_| chance.disturb(&mut store));
        let start = if random.bool() { 0 } else { store.end };
        let mut watch = Watch::new(at(start), limits);
        let mut reported = BTreeSet::new();
        // All that was put and not yet replaced is reported within some rounds without a change.
        let mut quiet = 0;
        while quiet < 70 {
            quiet = if chance.changes == 0 { quiet + 1 } else { 0 };
            let len = random.usize(1..5);
            let changes = watch.round(&mut store, len, |store| chance.disturb(store));
            for (change, position) in changes {
                if let Change::Put(key, version) = change {
                    assert!(version >= start, "seed {seed}: {key:?} was put before the start");
                    assert!(reported.insert(version), "seed {seed}: {version} is reported twice");
                }
                if resumes > 0 && random.u32(0..4) < resumes {
                    // What was reported after it is reported again.
                    watch = Watch::new(stored(&position), limits);
                    break;
                }
            }
        }
        for (key, Stored { version, .. }) in &store.entries {
            let is_reported = reported.contains(version);
            assert_eq!(is_reported, *version >= start, "seed {seed}: {key:?} at {version}");
        }
    }
}

#[test]
fn a_watch_from_the_start_knows_in_the_end_what_the_partition_holds() {
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut chance = Chance { random: random.fork(), changes: 60, removes: true };
        let mut store = Store::default();
        let mut watch = Watch::new(at(0), LIMITS);
        let mut view: BTreeMap<Bytes, i64> = BTreeMap::new();
        let mut quiet = 0;
        while quiet < 70 {
            quiet = if chance.changes == 0 { quiet + 1 } else { 0 };
            let len = random.usize(1..5);
            for (change, _) in watch.round(&mut store, len, |store| chance.disturb(store)) {
                match change {
                    Change::Put(key, version) => drop(view.insert(key, version)),
                    Change::Removed(key) => drop(view.remove(&key)),
                }
            }
        }
        let held: BTreeMap<_, _> =
            store.entries.into_iter().map(|(key, stored)| (key, stored.version)).collect();
        assert_eq!(view, held, "seed {seed}");
    }
}
