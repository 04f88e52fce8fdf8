//! The keys of what changed, between two checkpoints: they take a share of the memory at most,
//! however often something is made and undone, and count towards the limit.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableInfo, ReaderGroupConfiguration, ReaderGroupInfo,
};
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue};
use uuid::Uuid;

use super::{
    at,
    histories::{SCOPE, config, info},
};
use crate::{
    catalog::{Intervals, id_of},
    log::{Coverage, KEY_HELD, Slice},
    machine::{Config, Machine},
    placement::Placement,
    record::Durability,
    store::{MemoryLimit, Progress},
};

const LIMIT: u64 = 8 << 20;
/// What keys may take.
const MOST: u64 = LIMIT / 16;

/// A change that is made and undone, with its number.
type Kind = (&'static str, fn(&mut Machine, u64));

fn table_key(number: u64) -> TableKey {
    let data = [&number.to_be_bytes()[..], &[7; 2000]].concat();
    TableKey { data: data.into(), key_version: TableKey::NO_VERSION }
}

fn segment(number: u64) -> ByteString {
    format!("a/made/{number}.#epoch.0").into()
}

/// Segments that are not deleted.
const MANY: u64 = 50;

fn one_of_many(number: u64) -> ByteString {
    format!("a/many/{number}.#epoch.0").into()
}

const SEGMENT: ByteString = ByteString::from_static("a/kept/0.#epoch.0");
const TABLE: ByteString = ByteString::from_static("a/table/0.#epoch.0");
const STREAM: &str = "kept";

const KINDS: [Kind; 14] = [
    ("a segment", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        step.create(&segment(number), vec![(Uuid::from_u128(9), 9)]).unwrap();
        step.delete(&segment(number)).unwrap();
    }),
    ("a segment with bytes", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        step.create(&segment(number), Vec::new()).unwrap();
        step.append_internal(&segment(number), "bytes".into(), Vec::new()).unwrap();
        step.seal(&segment(number)).unwrap();
        step.delete(&segment(number)).unwrap();
    }),
    ("a table segment", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        step.create_table(&segment(number), 0, 0).unwrap();
        let value = TableValue { data: Bytes::from_static(b"value") };
        step.put(&segment(number), vec![TableEntry { key: table_key(number), value }], None)
            .unwrap();
        step.delete_table(&segment(number), false).unwrap();
    }),
    ("a merged segment", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        step.create(&segment(number), Vec::new()).unwrap();
        step.append_internal(&segment(number), "bytes".into(), Vec::new()).unwrap();
        let len = step.merge(&SEGMENT, &segment(number), &[]).unwrap();
        step.truncate(&SEGMENT, Offset(len as i64)).unwrap();
    }),
    ("bytes", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        let name = one_of_many(number % MANY);
        let len = step.append_internal(&name, "bytes".into(), Vec::new()).unwrap();
        step.truncate(&name, Offset(len as i64)).unwrap();
    }),
    ("an attribute", |machine, number| {
        let (step, id) = (&mut machine.call(at(1)).1, Uuid::from_u128(1000 + u128::from(number)));
        assert_eq!(step.update_attribute(&SEGMENT, id, i64::MIN, 7), Ok(true));
        assert_eq!(step.update_attribute(&SEGMENT, id, 7, i64::MIN), Ok(true));
    }),
    ("an entry of a table", |machine, number| {
        let step = &mut machine.call(at(1)).1;
        let (key, value) = (table_key(number), TableValue { data: Bytes::from_static(b"value") });
        step.put(&TABLE, vec![TableEntry { key: key.clone(), value }], None).unwrap();
        step.remove(&TABLE, &[key], None).unwrap();
    }),
    ("a scope", |machine, number| {
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_scope(&format!("scope-{number}"), &mut step).unwrap();
        catalog.delete_scope(&format!("scope-{number}"), &mut step).unwrap();
    }),
    ("a stream", |machine, number| {
        let stream = format!("stream-{number}");
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_stream(config(&stream, 3), &mut step).unwrap();
        catalog.seal_stream(&info(&stream), &mut step).unwrap();
        catalog.delete_stream(&info(&stream), &mut step).unwrap();
    }),
    ("the same stream", |machine, _| {
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_stream(config("same", 3), &mut step).unwrap();
        catalog.seal_stream(&info("same"), &mut step).unwrap();
        catalog.delete_stream(&info("same"), &mut step).unwrap();
    }),
    ("a committed transaction", |machine, number| {
        let (catalog, mut step) = machine.call(at(1 + number as i64));
        let open = catalog.create_transaction(&info(STREAM), 10_000, &mut step).unwrap();
        let id = id_of(open.txn_id);
        catalog.commit_transaction(&info(STREAM), id, "writer", 7, &mut step).unwrap();
    }),
    ("an aborted transaction", |machine, number| {
        let (catalog, mut step) = machine.call(at(1 + number as i64));
        let open = catalog.create_transaction(&info(STREAM), 10_000, &mut step).unwrap();
        catalog.abort_transaction(&info(STREAM), id_of(open.txn_id), &mut step).unwrap();
    }),
    ("a reader group", |machine, number| {
        let group = format!("group-{number}");
        let config = ReaderGroupConfiguration {
            scope: SCOPE.to_owned(),
            reader_group_name: group.clone(),
            reader_group_id: Uuid::from_u128(u128::from(number)).to_string(),
            ..ReaderGroupConfiguration::default()
        };
        let (catalog, mut step) = machine.call(at(1));
        let created = catalog.create_group(config, &mut step).unwrap();
        let config = created.config.unwrap_or_default();
        let info = ReaderGroupInfo {
            scope: SCOPE.to_owned(),
            reader_group: group,
            reader_group_id: config.reader_group_id,
            generation: config.generation,
        };
        catalog.delete_group(&info, &mut step).unwrap();
    }),
    ("a key-value table", |machine, number| {
        let table = format!("table-{number}");
        let config = KeyValueTableConfig {
            scope: SCOPE.to_owned(),
            kvt_name: table.clone(),
            partition_count: 2,
            primary_key_length: 1,
            ..KeyValueTableConfig::default()
        };
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_table(config, &mut step).unwrap();
        let info = KeyValueTableInfo { scope: SCOPE.to_owned(), kvt_name: table };
        catalog.delete_table(&info, &mut step).unwrap();
    }),
];

fn machine() -> Machine {
    let mut machine = Machine::new(Config {
        memory_limit: MemoryLimit(LIMIT),
        durability: Durability::Logged,
        placement: Placement::over(1),
        access: None,
        intervals: Intervals::default(),
    });
    let (catalog, mut step) = machine.call(at(1));
    catalog.create_scope(SCOPE, &mut step).unwrap();
    catalog.create_stream(config(STREAM, 1), &mut step).unwrap();
    step.create(&SEGMENT, Vec::new()).unwrap();
    step.create_table(&TABLE, 0, 0).unwrap();
    (0..MANY).for_each(|number| step.create(&one_of_many(number), Vec::new()).unwrap());
    settle(&mut machine);
    machine
}

/// Does the work that is left, and takes what a driver takes after each step.
fn settle(machine: &mut Machine) {
    while machine.work(at(1)) == Progress::Unfinished {}
    drop((machine.take_batch(), machine.store.take_discarded()));
}

/// Makes and undoes a change some times while no checkpoint is written.
fn after(machine: &mut Machine, (what, change): Kind, numbers: std::ops::Range<u64>) {
    for number in numbers {
        change(machine, number);
        settle(machine);
        assert!(machine.touched() <= MOST, "{what}: {} bytes of keys", machine.touched());
        let rest = machine.store.held() + machine.catalog.held();
        assert_eq!(machine.held(), rest + machine.touched(), "{what}");
    }
}

#[test]
fn keys_of_what_is_made_and_undone_take_no_more_than_their_share_however_often_that_is() {
    for kind in KINDS {
        let mut machine = machine();
        after(&mut machine, kind, 0..5000);
        let freed = machine.take_freed().into_ranges().len();
        assert!(freed <= 16_384, "{}: {freed} ranges are freed", kind.0);
        let touched = machine.take_touched();
        assert_eq!(machine.touched(), 0, "{}", kind.0);
        // The driver has them, and they count until it has written a checkpoint.
        let rest = machine.store.held() + machine.catalog.held();
        assert_eq!(machine.held(), rest + touched.held(), "{}", kind.0);
        machine.note_keys(0);
        assert_eq!(machine.held(), rest, "{}", kind.0);
    }
}

#[test]
fn segments_that_no_checkpoint_has_leave_nothing_to_remember() {
    for kind in KINDS.into_iter().take(3) {
        let mut machine = machine();
        after(&mut machine, kind, 0..10);
        let few = machine.touched();
        after(&mut machine, kind, 10..1000);
        assert_eq!(machine.touched(), few, "{}", kind.0);
        assert_eq!(machine.take_touched().coverage(), Coverage::Complete);
    }
    // A checkpoint has those that exist as it is begun.
    let mut machine = machine();
    let step = &mut machine.call(at(1)).1;
    (0..10).for_each(|number| step.create(&segment(number), Vec::new()).unwrap());
    drop(machine.take_touched());
    let step = &mut machine.call(at(1)).1;
    (10..20).for_each(|number| step.create(&segment(number), Vec::new()).unwrap());
    let written = machine.slice(&Slice::After(None, 10_000));
    let names = |name: &ByteString| {
        let entries = written.iter().filter_map(|(_, value)| value.as_ref());
        entries
            .filter(|value| value.windows(name.len()).any(|part| part == name.as_bytes()))
            .count()
    };
    assert_eq!((0..20).map(|number| names(&segment(number))).sum::<usize>(), 10);
    let step = &mut machine.call(at(1)).1;
    (0..20).for_each(|number| step.delete(&segment(number)).unwrap());
    // Those ten, and the numbers that are given next.
    assert_eq!(machine.touched(), 11 * KEY_HELD);
}

#[test]
fn keys_count_towards_the_limit_and_what_needs_memory_is_refused_before_it_changes_anything() {
    refuses_what_is_above_the_limit(Machine::note_keys);
}

#[test]
fn spans_that_the_driver_knows_count_towards_the_limit_as_keys_do() {
    refuses_what_is_above_the_limit(Machine::note_spans);
    let mut machine = machine();
    let held = machine.held();
    machine.note_spans(700);
    machine.note_keys(50);
    assert_eq!(machine.held(), held + 750);
    // A checkpoint gives no spans back.
    machine.note_keys(0);
    assert_eq!(machine.held(), held + 700);
    machine.note_spans(0);
    assert_eq!(machine.held(), held);
}

fn refuses_what_is_above_the_limit(note: fn(&mut Machine, u64)) {
    let mut machine = machine();
    let held = machine.store.held() + machine.catalog.held();
    machine.memory_limit = MemoryLimit(held + machine.touched() + 2000);
    let step = &mut machine.call(at(1)).1;
    step.create(&segment(1), Vec::new()).unwrap();
    let refused = |machine: &mut Machine| {
        let (before, batch) = (super::everything(machine), machine.touched());
        let refused = machine.call(at(1)).1.create(&segment(2), Vec::new()).is_err();
        if refused {
            assert_eq!((super::everything(machine), machine.touched()), (before, batch));
        }
        refused
    };
    note(&mut machine, 1500);
    assert!(refused(&mut machine));
    // What frees memory is allowed, and the driver gives the rest back.
    machine.call(at(1)).1.delete(&segment(1)).unwrap();
    note(&mut machine, 0);
    assert!(!refused(&mut machine));
}
