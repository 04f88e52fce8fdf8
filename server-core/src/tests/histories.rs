//! The machine as a whole: histories drawn from seeds, read back from their records.

use std::collections::HashSet;

use bytestring::ByteString;
use pravega_sdk_proto::{
    CreateTxnResponse, KeyValueTableConfig, ReaderGroupConfiguration, ScaleRequest, ScalingPolicy,
    StreamConfig, StreamCut, StreamInfo, scale_request::KeyRangeEntry, txn_state::State,
    txn_status,
};
use pravega_sdk_types::{EventNumber, Offset, WriterId};
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue};
use uuid::Uuid;

use super::{everything, machine};
use crate::{
    catalog::{Catalog, id_of},
    ids::Moment,
    machine::Machine,
    record::{Millis, Record},
    store::{AppendRequest, MemoryLimit, SegmentPolicy, Step},
};

pub(crate) const SCOPE: &str = "scope";

pub(crate) fn info(stream: &str) -> StreamInfo {
    StreamInfo { scope: SCOPE.to_owned(), stream: stream.to_owned(), access_operation: 0 }
}

pub(crate) fn config(stream: &str, segments: i32) -> StreamConfig {
    let policy = ScalingPolicy {
        scale_type: 0,
        target_rate: 0,
        scale_factor: 0,
        min_num_segments: segments,
    };
    StreamConfig {
        stream_info: Some(info(stream)),
        scaling_policy: Some(policy),
        ..StreamConfig::default()
    }
}

/// The choices that make a call that waits until the segments of its stream are settled: updates,
/// ends of transactions, truncations, deletions, and periodic work.
const WAITS: [u8; 5] = [1, 10, 11, 12, 15];

/// A history: a machine, its time, and all its records.
pub(crate) struct History {
    pub(crate) machine: Machine,
    random: fastrand::Rng,
    now: i64,
    pub(crate) records: Vec<Record>,
    pub(crate) open: Vec<(String, Uuid)>,
    /// Decides how much work is done before each step; `None` if no change is made in slices.
    slices: Option<fastrand::Rng>,
}

impl History {
    fn new(seed: u64) -> Self {
        Self::of(machine(), seed)
    }

    /// The history of an empty machine.
    pub(crate) fn of(machine: Machine, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let mut history =
            Self { machine, random, now: 1, records: Vec::new(), open: Vec::new(), slices: None };
        history.call(|catalog, step| catalog.create_scope(SCOPE, step)).unwrap();
        history.keep();
        history
    }

    /// The same history, in which each change of segments is made in slices.
    fn in_slices(seed: u64) -> Self {
        Self::new(seed).with_slices(seed)
    }

    /// From now on each change of segments is made in slices.
    pub(crate) fn with_slices(self, seed: u64) -> Self {
        let mut history = self;
        history.machine.store.few = Some(0);
        history.slices = Some(fastrand::Rng::with_seed(seed));
        history
    }

    /// Goes on with another machine, such as one that was restored from another moment.
    pub(crate) fn go_on_with(&mut self, machine: Machine) {
        let few = self.machine.store.few;
        self.machine = machine;
        self.machine.store.few = few;
        // The scope may be of a later moment.
        self.call(|catalog, step| catalog.create_scope(SCOPE, step)).ok();
        self.keep();
    }

    /// Does some of the work that is left, or all of it before a call that waits for that.
    pub(crate) fn work(&mut self, waits: bool) {
        let Some(random) = &mut self.slices else { return };
        while !self.machine.store.is_settled() && (waits || random.u8(0..4) == 0) {
            self.machine.store.settle_slice();
        }
    }

    fn call_at<T>(&mut self, at: Moment, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        let (catalog, mut step) = self.machine.call(at);
        call(catalog, &mut step)
    }

    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        let at = self.at();
        self.call_at(at, call)
    }

    pub(crate) fn at(&mut self) -> Moment {
        self.now += self.random.i64(0..2000);
        Moment { now: Millis(self.now), random: Uuid::from_u128(self.random.u128(..)) }
    }

    pub(crate) fn keep(&mut self) {
        self.machine.store.take_woken();
        self.records
            .extend(self.machine.journal.take().into_iter().flat_map(|(_, records)| records));
    }

    fn active(&mut self, stream: &str) -> Vec<(i64, f64, f64)> {
        let at = self.at();
        let ranges = self
            .call_at(at, |catalog, step| catalog.current_segments(&info(stream), step))
            .map(|found| found.segment_ranges);
        let part = |range: &pravega_sdk_proto::SegmentRange| {
            (range.segment_id.as_ref().unwrap().segment_id, range.min_key, range.max_key)
        };
        ranges.unwrap_or_default().iter().map(part).collect()
    }

    fn append(&mut self, segment: &str) {
        let at = self.at();
        let data = vec![self.random.u8(..); self.random.usize(0..400)];
        let writer = WriterId(Uuid::from_u128(u128::from(self.random.u8(0..3))));
        self.machine.store.settle(segment);
        if let Ok(previous) = self.machine.store.last_event_number(segment, writer) {
            let append = AppendRequest {
                segment: segment.into(),
                data: data.into(),
                writer,
                previous,
                number: EventNumber(previous.0.max(0) + 1),
                event_count: 1,
                expected_offset: None,
            };
            self.machine.call(at).1.append(append).ok();
        }
    }

    pub(crate) fn step(&mut self) {
        let stream = format!("stream-{}", self.random.u8(0..3));
        let at = self.at();
        let choice = self.random.u8(0..20);
        self.work(WAITS.contains(&choice));
        match choice {
            0 => {
                let config = config(&stream, self.random.i32(1..4));
                drop(self.call_at(at, |catalog, step| catalog.create_stream(config, step)));
            }
            1 => {
                let config = config(&stream, self.random.i32(1..4));
                drop(self.call_at(at, |catalog, step| catalog.update_stream(config, step)));
            }
            2..=5 => {
                let active = self.active(&stream);
                if let Some((id, ..)) = self.random.choice(&active).copied() {
                    self.append(&format!("{SCOPE}/{stream}/{}.#epoch.{}", id as i32, id >> 32));
                }
            }
            6 => self.split(&stream),
            7 => {
                let lease = self.random.i64(5_000..60_000);
                if let Ok(CreateTxnResponse { txn_id, .. }) = self.call_at(at, |catalog, step| {
                    catalog.create_transaction(&info(&stream), lease, step)
                }) {
                    self.open.push((stream, id_of(txn_id)));
                }
            }
            8 | 9 => self.write_to_a_transaction(),
            10 => self.end_a_transaction(at),
            11 => {
                let cut = self.active(&stream).into_iter().map(|(id, ..)| (id, 0)).collect();
                let cut = StreamCut { stream_info: Some(info(&stream)), cut };
                drop(self.call_at(at, |catalog, step| {
                    catalog.truncate_stream(&info(&stream), cut.cut, step)
                }));
            }
            12 if self.random.u8(0..4) == 0 => {
                drop(self.call_at(at, |catalog, step| catalog.seal_stream(&info(&stream), step)));
                self.work(true);
                drop(self.call_at(at, |catalog, step| catalog.delete_stream(&info(&stream), step)));
            }
            13 => self.table(at),
            16..20 => self.raw(at),
            14 => {
                let config = ReaderGroupConfiguration {
                    scope: SCOPE.to_owned(),
                    reader_group_name: "group".to_owned(),
                    reader_group_id: at.random.to_string(),
                    retention_type: self.random.i32(0..2),
                    starting_stream_cuts: vec![StreamCut {
                        stream_info: Some(info(&stream)),
                        ..StreamCut::default()
                    }],
                    ..ReaderGroupConfiguration::default()
                };
                drop(self.call_at(at, |catalog, step| catalog.create_group(config, step)));
            }
            _ => {
                self.now += self.random.i64(0..40_000);
                let at = self.at();
                self.machine.tick(at);
            }
        }
        self.keep();
    }

    fn split(&mut self, stream: &str) {
        let active = self.active(stream);
        let Some((id, low, high)) = self.random.choice(&active).copied() else { return };
        let middle = (low + high) / 2.0;
        let ranges =
            [(low, middle), (middle, high)].map(|(start, end)| KeyRangeEntry { start, end });
        let at = self.at();
        let request = ScaleRequest {
            stream_info: Some(info(stream)),
            sealed_segments: vec![id],
            new_key_ranges: ranges.to_vec(),
            scale_timestamp: 0,
        };
        drop(self.call_at(at, |catalog, step| catalog.scale(&request, step)));
    }

    fn write_to_a_transaction(&mut self) {
        let Some((stream, id)) = self.random.choice(&self.open).cloned() else { return };
        let epoch = (id.as_u64_pair().0 >> 32) as i32;
        let number = self.random.i32(0..4);
        self.append(&format!(
            "{SCOPE}/{stream}/{number}.#epoch.{epoch}#transaction.{}",
            id.simple()
        ));
    }

    fn end_a_transaction(&mut self, at: Moment) {
        if self.open.is_empty() {
            return;
        }
        let (stream, id) = self.open.swap_remove(self.random.usize(..self.open.len()));
        if self.random.bool() {
            let done = self.call_at(at, |catalog, step| {
                catalog.commit_transaction(&info(&stream), id, "writer", 7, step)
            });
            if done == Ok(txn_status::Status::Success) {
                assert_eq!(
                    self.machine.catalog.transaction_state(&info(&stream), id),
                    Ok(State::Committed)
                );
            }
        } else {
            drop(
                self.call_at(at, |catalog, step| {
                    catalog.abort_transaction(&info(&stream), id, step)
                }),
            );
        }
    }

    fn table(&mut self, at: Moment) {
        let config = KeyValueTableConfig {
            scope: SCOPE.to_owned(),
            kvt_name: "table".to_owned(),
            partition_count: 1,
            primary_key_length: 1,
            ..KeyValueTableConfig::default()
        };
        drop(self.call_at(at, |catalog, step| catalog.create_table(config, step)));
        let segment: ByteString = format!("{SCOPE}/table_kvtable/0.#epoch.0").into();
        self.machine.store.settle(&segment);
        let key =
            TableKey { data: vec![self.random.u8(0..8)].into(), key_version: TableKey::NO_VERSION };
        if self.random.bool() {
            let value = TableValue { data: vec![1; self.random.usize(0..30)].into() };
            self.machine.call(at).1.put(&segment, vec![TableEntry { key, value }], None).ok();
        } else {
            self.machine.call(at).1.remove(&segment, &[key], None).ok();
        }
    }
}

/// Segments that no call of the controller knows.
const RAW: [&str; 3] = ["raw/a/0.#epoch.0", "raw/b/0.#epoch.0", "raw/b/0.#transient.7"];

impl History {
    /// A request to a store alone.
    fn raw(&mut self, at: Moment) {
        let segment = ByteString::from(RAW[self.random.usize(..RAW.len())]);
        let other = ByteString::from(RAW[self.random.usize(..RAW.len())]);
        let attribute = Uuid::from_u128(self.random.u128(0..40));
        let attributes = [(attribute, 1), (Uuid::from_u128(self.random.u128(0..4)), 2)];
        let value = if self.random.bool() { i64::MIN } else { self.random.i64(..) };
        let data = vec![1; self.random.usize(0..30_000)];
        let choice = self.random.u8(0..9);
        let cut = self.random.f64();
        let step = &mut self.machine.call(at).1;
        match choice {
            0 | 1 => drop(step.create(&segment, attributes.to_vec())),
            2 | 3 => drop(step.append_internal(&segment, data.into(), attributes.to_vec())),
            4 => {
                let found = step.store.info(&segment);
                let offset = found
                    .map_or(0, |info| info.start + ((info.len - info.start) as f64 * cut) as u64);
                drop(step.truncate(&segment, Offset(offset as i64)));
            }
            5 => {
                let expected = step.store.attribute(&segment, attribute).ok().flatten();
                let expected = expected.unwrap_or(i64::MIN);
                drop(step.update_attribute(&segment, attribute, expected, value));
            }
            6 => {
                let policy = SegmentPolicy { scale_type: 1, target_rate: 1 };
                drop(step.set_policy(&segment, policy));
            }
            7 => drop(step.merge_batch(&segment, &[other.clone(), other])),
            _ => drop(step.delete(&segment)),
        }
    }

    fn delete_everything(&mut self) {
        self.call(|catalog, step| catalog.delete_scope_recursive(SCOPE, step)).unwrap();
        for segment in RAW {
            self.call(|_, step| drop(step.delete(&segment.into())));
        }
    }
}

/// Shows only what differs.
pub(crate) fn check_same(found: &[String], expected: &[String], what: &str) {
    let only_in = |one: &[String], other: &[String]| -> Vec<String> {
        let other: HashSet<&String> = other.iter().collect();
        one.iter().filter(|record| !other.contains(record)).cloned().collect()
    };
    let (more, less) = (only_in(found, expected), only_in(expected, found));
    assert!(more.is_empty() && less.is_empty(), "{what}: found {more:#?} instead of {less:#?}");
}

#[test]
fn the_records_and_a_snapshot_restore_the_machine() {
    let mut transactions = 0;
    for seed in 0..300 {
        let mut history = History::new(seed);
        for _ in 0..150 {
            history.step();
        }
        let (mut again, mut from_snapshot) = (machine(), machine());
        history.records.iter().for_each(|record| again.restore(record).unwrap());
        let expected = everything(&history.machine);
        check_same(&everything(&again), &expected, &format!("seed {seed}"));
        let mut snapshot = Vec::new();
        history.machine.snapshot(|record| snapshot.push(record));
        snapshot.iter().for_each(|record| from_snapshot.restore(record).unwrap());
        check_same(&everything(&from_snapshot), &expected, &format!("the snapshot of seed {seed}"));
        transactions += expected.iter().filter(|record| record.contains("transaction/")).count();
    }
    assert!(transactions > 300, "{transactions} transactions: the seeds hardly begin any");
}

#[test]
fn what_is_changed_in_slices_ends_as_what_is_changed_at_once() {
    let mut unsettled = 0;
    for seed in 0..300 {
        let (mut once, mut slices) = (History::new(seed), History::in_slices(seed));
        for _ in 0..150 {
            once.step();
            slices.step();
            assert_eq!(once.open, slices.open, "seed {seed}");
        }
        unsettled += u32::from(!slices.machine.store.is_settled());
        // A snapshot of what is left has the rest of the changes.
        let (mut snapshot, mut from_snapshot, mut again) = (Vec::new(), machine(), machine());
        slices.machine.snapshot(|record| snapshot.push(record));
        snapshot.iter().for_each(|record| from_snapshot.restore(record).unwrap());
        slices.records.iter().for_each(|record| again.restore(record).unwrap());
        slices.work(true);
        let expected = everything(&once.machine);
        check_same(&everything(&slices.machine), &expected, &format!("seed {seed}"));
        check_same(&everything(&from_snapshot), &expected, &format!("the snapshot of seed {seed}"));
        check_same(&everything(&again), &expected, &format!("the records of seed {seed}"));
        let store = &slices.machine.store;
        assert_eq!(store.held(), store.recount(), "seed {seed}");
    }
    assert!(unsettled > 30, "{unsettled} histories end with changes that are not made");
}

#[test]
fn the_count_of_used_memory_returns_to_zero() {
    for seed in 0..50 {
        let mut history = History::new(seed);
        for _ in 0..150 {
            history.step();
            let catalog = &history.machine.catalog;
            assert_eq!(catalog.held(), catalog.recount(), "seed {seed}");
        }
        history.delete_everything();
        assert_eq!(
            (history.machine.store.segment_count(), history.machine.held()),
            (0, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn the_count_of_used_memory_is_right_after_every_step_and_never_above_the_limit() {
    let (mut refused, mut given_back) = (0, 0);
    for seed in 0..100 {
        let mut history = History::new(seed);
        let limit = fastrand::Rng::with_seed(seed).u64(3_000..60_000);
        history.machine.memory_limit = MemoryLimit(limit);
        for step in 0..300 {
            let before = history.machine.held();
            history.step();
            let Machine { store, catalog, .. } = &history.machine;
            assert_eq!(store.held(), store.recount(), "seed {seed}, step {step}");
            assert_eq!(catalog.held(), catalog.recount(), "seed {seed}, step {step}");
            let held = history.machine.held();
            assert!(held <= limit, "seed {seed}, step {step}: {held} bytes");
            refused += u32::from(limit - held < 1_000);
            given_back += u32::from(held < before);
        }
    }
    assert!(refused > 1_000 && given_back > 1_000, "{refused} at the limit, {given_back} freed");
}

#[test]
fn the_memory_of_a_change_is_known_before_it_is_made() {
    let mut grew = 0;
    for seed in 0..100 {
        let mut history = History::new(seed);
        for _ in 0..200 {
            history.step();
        }
        let mut again = machine();
        for record in &history.records {
            let (foretold, before) = (again.store.growth(record), again.store.held());
            again.restore(record).unwrap();
            let grown = again.store.held() as i64 - before as i64;
            let frees = matches!(record, Record::Truncated { .. } | Record::Removed { .. });
            assert!(grown == foretold || frees && grown <= 0, "seed {seed}: {record:?}");
            grew += u32::from(grown > 0);
        }
    }
    assert!(grew > 1_000, "{grew} records took memory");
}

#[test]
fn what_frees_memory_is_allowed_above_the_limit() {
    let mut history = History::new(1);
    let segment = ByteString::from(RAW[0]);
    let table = ByteString::from("raw/t/0.#epoch.0");
    let key = TableKey { data: "k".into(), key_version: TableKey::NO_VERSION };
    history.call(|_, step| {
        step.create(&segment, vec![(Uuid::max(), 1)]).unwrap();
        step.append_internal(&segment, vec![1; 1000].into(), vec![]).unwrap();
        step.create_table(&table, 0, 0).unwrap();
        let value = TableValue { data: "value".into() };
        step.put(&table, vec![TableEntry { key: key.clone(), value }], None).unwrap();
    });
    history.machine.memory_limit = MemoryLimit(0);
    history.call(|_, step| {
        let value = TableValue { data: "short".into() };
        assert!(step.put(&table, vec![TableEntry { key: key.clone(), value }], None).is_ok());
        step.remove(&table, std::slice::from_ref(&key), None).unwrap();
        assert_eq!(step.update_attribute(&segment, Uuid::max(), 1, i64::MIN), Ok(true));
        step.truncate(&segment, Offset(500)).unwrap();
        step.seal(&segment).unwrap();
        step.delete(&segment).unwrap();
        step.delete_table(&table, true).unwrap();
    });
    assert_eq!(history.machine.store.held(), history.machine.store.recount());
}

#[test]
fn a_commit_after_a_scale_creates_the_segments_of_its_epoch_again() {
    let mut history = History::new(1);
    let at = history.at();
    history.call_at(at, |catalog, step| catalog.create_stream(config("stream", 2), step)).unwrap();
    let begun = history
        .call_at(at, |catalog, step| catalog.create_transaction(&info("stream"), 30_000, step))
        .unwrap();
    let id = id_of(begun.txn_id);
    history.append(&format!("{SCOPE}/stream/0.#epoch.0#transaction.{}", id.simple()));
    let request = ScaleRequest {
        stream_info: Some(info("stream")),
        sealed_segments: vec![0],
        new_key_ranges: vec![
            KeyRangeEntry { start: 0.0, end: 0.25 },
            KeyRangeEntry { start: 0.25, end: 0.5 },
        ],
        scale_timestamp: 0,
    };
    history.call_at(at, |catalog, step| catalog.scale(&request, step)).unwrap();
    history
        .call_at(at, |catalog, step| {
            catalog.commit_transaction(&info("stream"), id, "", i64::MIN, step)
        })
        .unwrap();
    let numbers = |epoch: i64, numbers: &[i64]| -> Vec<i64> {
        numbers.iter().map(|n| (epoch << 32) | n).collect()
    };
    let ids: Vec<i64> = history.active("stream").into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, numbers(3, &[2, 3, 1]));
    let successors = history
        .call_at(at, |catalog, step| catalog.successors(&info("stream"), (1 << 32) | 2, step))
        .unwrap();
    assert_eq!(successors.segments.len(), 1);
    assert_eq!(
        successors.segments[0].segment.as_ref().unwrap().segment_id.as_ref().unwrap().segment_id,
        2 << 32
    );
    assert_eq!(successors.segments[0].value, numbers(1, &[2, 3]));
    // A new transaction belongs to the epoch of the scale, whose segments have the same numbers.
    let next = history
        .call_at(at, |catalog, step| catalog.create_transaction(&info("stream"), 30_000, step))
        .unwrap();
    assert_eq!(next.txn_id.unwrap().high_bits >> 32, 1);
}
