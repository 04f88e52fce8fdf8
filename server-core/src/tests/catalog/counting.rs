//! The count of the memory that the catalog uses, over random histories of all its calls.

use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableInfo, ReaderGroupConfiguration, ReaderGroupInfo,
    RetentionPolicy, StreamConfig, StreamCut, StreamInfo, SubscriberStreamCut, Tags,
};
use uuid::Uuid;

use super::config;
use crate::{
    catalog::{Catalog, RetentionRound, id_of},
    ids::Moment,
    machine::Machine,
    record::Millis,
    store::Step,
    tests::machine,
};

const SCOPES: [&str; 2] = ["a", "b"];
const NAMES: [&str; 3] = ["one", "two", "three"];
const GROUP: &str = "00000000-0000-0000-0000-000000000007";

/// A machine with a history of random calls.
struct Random {
    machine: Machine,
    random: fastrand::Rng,
    now: i64,
    transactions: Vec<(StreamInfo, Uuid)>,
}

impl Random {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { machine: machine(), random, now: 1, transactions: Vec::new() }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T) -> T {
        self.now += self.random.i64(0..3000);
        let random = Uuid::from_u128(self.random.u128(..));
        let (catalog, mut step) = self.machine.call(Moment { now: Millis(self.now), random });
        call(catalog, &mut step)
    }

    fn scope(&mut self) -> String {
        self.random.choice(SCOPES).unwrap_or_default().to_owned()
    }

    fn name(&mut self) -> String {
        self.random.choice(NAMES).unwrap_or_default().to_owned()
    }

    fn info(&mut self) -> StreamInfo {
        StreamInfo { scope: self.scope(), stream: self.name(), access_operation: 0 }
    }

    fn config(&mut self) -> StreamConfig {
        let tag = (0..self.random.usize(0..4)).map(|n| format!("tag-{n}")).collect();
        let retention = RetentionPolicy { retention_type: 2, retention_param: 1, retention_max: 0 };
        StreamConfig {
            stream_info: Some(self.info()),
            tags: Some(Tags { tag }),
            retention_policy: Some(retention),
            timestamp_aggregation_timeout: 5_000,
            ..config(self.random.i32(1..4))
        }
    }

    /// The tail of a stream, or a part of it.
    fn cut(&mut self, info: &StreamInfo) -> StreamCut {
        let found = self.call(|catalog, step| catalog.current_segments(info, step));
        let ranges = found.map(|found| found.segment_ranges).unwrap_or_default();
        let ids = ranges.iter().map(|range| range.segment_id.clone().unwrap_or_default());
        let mut cut = StreamCut { stream_info: Some(info.clone()), ..StreamCut::default() };
        cut.cut = ids.map(|id| (id.segment_id, 0)).collect();
        if self.random.u8(0..4) == 0 {
            cut.cut.pop_first();
        }
        cut
    }

    fn group(&mut self, scope: String, name: String) -> ReaderGroupConfiguration {
        let info = self.info();
        ReaderGroupConfiguration {
            scope,
            reader_group_name: name,
            reader_group_id: GROUP.to_owned(),
            retention_type: self.random.i32(0..2),
            starting_stream_cuts: vec![self.cut(&info)],
            ..ReaderGroupConfiguration::default()
        }
    }

    fn append(&mut self, info: &StreamInfo) {
        let cut = self.cut(info);
        let data = vec![7; self.random.usize(0..100)];
        for id in cut.cut.keys() {
            let (StreamInfo { scope, stream, .. }, id) =
                (info, pravega_sdk_types::SegmentId::from(*id));
            let segment = format!("{scope}/{stream}/{id}").into();
            let data = data.clone().into();
            self.call(|_, step| step.append_internal(&segment, data, vec![]).ok());
        }
    }

    fn streams(&mut self) {
        let (info, config) = (self.info(), self.config());
        match self.random.u8(0..8) {
            0..=2 => drop(self.call(|catalog, step| catalog.create_stream(config, step))),
            3 => drop(self.call(|catalog, step| catalog.update_stream(config, step))),
            4 => self.append(&info),
            5 => {
                let cut = self.cut(&info).cut;
                drop(self.call(|catalog, step| catalog.truncate_stream(&info, cut, step)));
            }
            6 => drop(self.call(|catalog, step| catalog.seal_stream(&info, step))),
            _ => drop(self.call(|catalog, step| catalog.delete_stream(&info, step))),
        }
    }

    fn transactions(&mut self) {
        let info = self.info();
        if self.random.bool() || self.transactions.is_empty() {
            let begun = self.call(|catalog, step| catalog.create_transaction(&info, 20_000, step));
            if let Ok(begun) = begun {
                self.transactions.push((info, id_of(begun.txn_id)));
            }
            return;
        }
        let (info, id) =
            self.transactions.swap_remove(self.random.usize(..self.transactions.len()));
        if self.random.bool() {
            drop(self.call(|catalog, step| catalog.abort_transaction(&info, id, step)));
        } else {
            let writer = self.name();
            drop(self.call(|c, step| c.commit_transaction(&info, id, &writer, 7, step)));
        }
    }

    fn writers(&mut self) {
        let (info, writer, time) = (self.info(), self.name(), self.random.i64(0..100));
        if self.random.u8(0..3) == 0 {
            drop(self.call(|catalog, step| catalog.remove_writer(&info, &writer, step)));
        } else {
            let cut = self.cut(&info).cut;
            drop(self.call(|catalog, step| catalog.note_time(&info, &writer, cut, time, step)));
        }
    }

    fn groups(&mut self) {
        let (scope, name) = (self.scope(), self.name());
        let config = self.group(scope.clone(), name.clone());
        match self.random.u8(0..4) {
            0 => drop(self.call(|catalog, step| catalog.create_group(config, step))),
            1 => {
                let generation = self.random.i64(0..3);
                let config = ReaderGroupConfiguration { generation, ..config };
                drop(self.call(|catalog, step| catalog.update_group(config, step)));
            }
            2 => {
                let request = SubscriberStreamCut {
                    subscriber: format!("{scope}/{name}"),
                    reader_group_id: GROUP.to_owned(),
                    stream_cut: config.starting_stream_cuts.first().cloned(),
                    ..SubscriberStreamCut::default()
                };
                drop(self.call(|catalog, step| catalog.update_subscriber(request, step)));
            }
            _ => drop(self.delete_group(&scope, &name)),
        }
    }

    fn delete_group(&mut self, scope: &str, name: &str) -> bool {
        let (scope, reader_group) = (scope.to_owned(), name.to_owned());
        let reader_group_id = GROUP.to_owned();
        let info = ReaderGroupInfo { scope, reader_group, reader_group_id, generation: 0 };
        self.call(|catalog, step| catalog.delete_group(&info, step)).is_ok()
    }

    fn step(&mut self) {
        match self.random.u8(0..12) {
            0 => {
                let scope = self.scope();
                drop(self.call(|catalog, step| catalog.create_scope(&scope, step)));
            }
            1..=4 => self.streams(),
            5 => self.transactions(),
            6 => self.writers(),
            7 => self.groups(),
            8 => {
                let (scope, kvt_name) = (self.scope(), self.name());
                let config = KeyValueTableConfig {
                    scope,
                    kvt_name,
                    partition_count: 2,
                    primary_key_length: 1,
                    ..KeyValueTableConfig::default()
                };
                drop(self.call(|catalog, step| catalog.create_table(config, step)));
            }
            9 if self.random.u8(0..20) == 0 => {
                let scope = self.scope();
                drop(self.call(|catalog, step| catalog.delete_scope_recursive(&scope, step)));
            }
            _ => {
                self.now += self.random.i64(0..60_000);
                let at = Moment { now: Millis(self.now), random: Uuid::from_u128(1) };
                self.machine.tick(at);
                let (catalog, mut step) = self.machine.call(at);
                catalog.retain(RetentionRound::default(), &mut step);
            }
        }
    }

    fn check(&mut self, what: &str) {
        let catalog = &self.machine.catalog;
        assert_eq!(catalog.held(), catalog.recount(), "{what}");
        assert!(catalog.knows_tags(), "{what}");
        assert!(catalog.counts_remembered(), "{what}");
        self.machine.journal.take();
    }

    /// Deletes everything, one by one.
    fn delete_everything(&mut self, what: &str) {
        for scope in SCOPES {
            for name in NAMES {
                let (scope, kvt_name) = (scope.to_owned(), name.to_owned());
                let info = KeyValueTableInfo { scope, kvt_name };
                drop(self.call(|catalog, step| catalog.delete_table(&info, step)));
                self.delete_group(&info.scope, name);
                let (scope, stream) = (info.scope, name.to_owned());
                let info = StreamInfo { scope, stream, access_operation: 0 };
                drop(self.call(|catalog, step| catalog.seal_stream(&info, step)));
                drop(self.call(|catalog, step| catalog.delete_stream(&info, step)));
                self.check(what);
            }
            drop(self.call(|catalog, step| catalog.delete_scope(scope, step)));
        }
    }
}

#[test]
fn the_count_is_that_of_all_entries_and_nothing_after_everything_is_deleted() {
    let mut most = 0;
    for seed in 0..150 {
        let mut random = Random::new(seed);
        for step in 0..150 {
            random.step();
            random.check(&format!("seed {seed}, step {step}"));
        }
        most = most.max(random.machine.catalog.held());
        random.delete_everything(&format!("seed {seed}"));
        let machine = &random.machine;
        assert_eq!((machine.held(), machine.store.segment_count()), (0, 0), "seed {seed}");
    }
    assert!(most > 10_000, "the histories hardly make anything");
}
