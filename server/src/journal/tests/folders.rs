//! Folders that an earlier version wrote, by an ordinary client: one was left by a crash, the other
//! was rewritten as a snapshot when the server started again.

use std::{collections::BTreeMap, fs, path::PathBuf};

use bytes::{Buf as _, Bytes};
use pravega_sdk_proto::{
    KeyValueTableInfo, ReaderGroupInfo, ScalingPolicy, StreamConfig, StreamInfo, txn_state::State,
};
use pravega_sdk_server_core::{
    catalog::Intervals,
    ids::{ConnectionId, Moment},
    machine::{Config, Machine},
    placement::Placement,
    record::{Durability, KeyVersion, Millis, Record},
    store::{MemoryLimit, Read, WaitingRead},
};
use uuid::{Uuid, uuid};

use super::disk::ReadOnlyFolder;
use crate::journal::{
    format::{FRAME_HEAD_LEN, HEAD_LEN, Kind, read_frame_head, read_head},
    recovery::read_back,
};

const FOLDERS: [(&str, &str); 2] =
    [("crashed", "journal-00000001"), ("rewritten", "journal-00000002")];

const COMMITTED: Uuid = uuid!("00000000-f030-d772-4e40-d8eb818e9930");
const COMMITTED_AFTER_A_SCALE: Uuid = uuid!("00000000-7a9e-54e5-0e6b-11a4b571aff3");
const ABORTED: Uuid = uuid!("00000000-1a94-eca1-53e3-33e0e603f184");
const OPEN: Uuid = uuid!("00000001-c25e-614e-5be9-f84a8f34989a");

fn path(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/journal/tests/folders").join(folder)
}

fn machine() -> Machine {
    Machine::new(Config {
        memory_limit: MemoryLimit(1 << 30),
        durability: Durability::InMemory,
        placement: Placement::over(1),
        access: None,
        intervals: Intervals::default(),
    })
}

/// The machine that a folder holds, and the records in it.
fn read(folder: &str) -> (Machine, Vec<Record>) {
    let mut machine = machine();
    let mut records = Vec::new();
    let read = read_back(&mut ReadOnlyFolder::of(&path(folder)), |record| {
        records.push(record.clone());
        machine.restore(record)
    });
    assert_eq!(read.unwrap().unwrap().torn, 0);
    (machine, records)
}

fn info(stream: &str) -> StreamInfo {
    StreamInfo { scope: "s".to_owned(), stream: stream.to_owned(), access_operation: 0 }
}

fn moment() -> Moment {
    Moment { now: Millis(0), random: Uuid::nil() }
}

/// The events of a segment.
fn events(machine: &mut Machine, segment: &str) -> Vec<String> {
    let offset = machine.store.info(segment).unwrap().start;
    let read =
        WaitingRead { connection: ConnectionId(0), request_id: 0, offset, max_len: usize::MAX };
    let mut data = match machine.store.read(&segment.into(), read).unwrap() {
        Read::Data { data, .. } => data,
        Read::Waits => Bytes::new(),
    };
    let mut events = Vec::new();
    while data.has_remaining() {
        assert_eq!(data.get_i32(), 0, "the type of an event");
        let len = data.get_i32() as usize;
        events.push(String::from_utf8(data.split_to(len).to_vec()).unwrap());
    }
    events
}

#[test]
fn streams_and_events_of_an_earlier_version_are_read() {
    for (folder, _) in FOLDERS {
        let (mut machine, _) = read(folder);
        let (catalog, step) = machine.call(moment());
        let current = catalog.current_segments(&info("t"), &step).unwrap().segment_ranges;
        let id = |number: i64, epoch: i64| (epoch << 32) | number;
        let current: Vec<i64> =
            current.into_iter().map(|range| range.segment_id.unwrap().segment_id).collect();
        assert_eq!(current, [id(2, 3), id(3, 3), id(4, 3)], "{folder}");
        let follows = catalog.successors(&info("t"), id(0, 2), &step).unwrap().segments;
        assert_eq!(follows.len(), 2, "{folder}");
        assert!(catalog.current_segments(&info("old"), &step).unwrap().segment_ranges.is_empty());
        let head = catalog.head_segments(&info("cut"), &step).unwrap().segments;
        assert_eq!(head.iter().map(|segment| segment.offset).collect::<Vec<_>>(), [9], "{folder}");
        let config = catalog.stream_configuration(&info("t")).unwrap();
        assert_eq!(config.retention_policy.unwrap().retention_param, 1 << 20, "{folder}");
        assert!(!catalog.stream_exists("s", "gone").exists, "{folder}");

        let segments = ["0.#epoch.0", "1.#epoch.0", "0.#epoch.2", "1.#epoch.2"];
        let later = ["2.#epoch.3", "3.#epoch.3", "4.#epoch.3"];
        let mut all: Vec<String> = segments
            .iter()
            .chain(&later)
            .flat_map(|segment| events(&mut machine, &format!("s/t/{segment}")))
            .collect();
        all.sort();
        assert_eq!(
            all,
            ["eight", "five", "four", "nine", "one", "rolled", "seven", "six", "three", "two"],
            "{folder}"
        );
        assert_eq!(events(&mut machine, "s/cut/0.#epoch.0"), ["zz"], "{folder}");
        let attribute = machine.store.attribute("s/t/2.#epoch.3", Uuid::from_u128(7));
        assert_eq!(attribute, Ok(Some(5)), "{folder}");
    }
}

#[test]
fn transactions_of_an_earlier_version_are_read() {
    for (folder, _) in FOLDERS {
        let (mut machine, _) = read(folder);
        let state = |id| machine.catalog.transaction_state(&info("t"), id).unwrap();
        assert_eq!(state(COMMITTED), State::Committed, "{folder}");
        assert_eq!(state(COMMITTED_AFTER_A_SCALE), State::Committed, "{folder}");
        assert_eq!(state(ABORTED), State::Aborted, "{folder}");
        assert_eq!(state(OPEN), State::Open, "{folder}");
        let parts = [2, 3, 4].map(|number| {
            events(&mut machine, &format!("s/t/{number}.#epoch.1#transaction.{}", OPEN.simple()))
        });
        assert_eq!(parts.concat(), ["open"], "{folder}");
        let (catalog, mut step) = machine.call(moment());
        catalog.commit_transaction(&info("t"), OPEN, "", -1, &mut step).unwrap();
        assert_eq!(catalog.transaction_state(&info("t"), OPEN), Ok(State::Committed));
    }
}

#[test]
fn tables_and_groups_of_an_earlier_version_are_read() {
    for (folder, _) in FOLDERS {
        let (machine, _) = read(folder);
        let table = KeyValueTableInfo { scope: "s".to_owned(), kvt_name: "k".to_owned() };
        assert_eq!(machine.catalog.table_config(&table).config.unwrap().primary_key_length, 3);
        let (table, len) = machine.store.table("s/k_kvtable/0.#epoch.0").unwrap();
        let entries: Vec<_> = table.after(KeyVersion(i64::MIN)).collect();
        let entry = |key: &'static str, value: &'static str, version| {
            (Bytes::from(key), Bytes::from(value), KeyVersion(version))
        };
        assert_eq!(entries, [entry("abe", "three", 46), entry("abc", "four", 91)], "{folder}");
        assert_eq!(len, 115, "{folder}");
        let group = ReaderGroupInfo {
            scope: "s".to_owned(),
            reader_group: "g".to_owned(),
            ..ReaderGroupInfo::default()
        };
        let config = machine.catalog.group_config(&group).config.unwrap();
        let read = config.starting_stream_cuts.first().unwrap().stream_info.clone().unwrap();
        assert_eq!(read.stream, "t", "{folder}");
    }
}

#[test]
fn a_stream_that_an_earlier_version_deleted_does_not_number_its_segments_from_0_again() {
    for (folder, _) in FOLDERS {
        let (mut machine, _) = read(folder);
        let (catalog, mut step) = machine.call(moment());
        let config = StreamConfig {
            stream_info: Some(info("gone")),
            scaling_policy: Some(ScalingPolicy { min_num_segments: 1, ..Default::default() }),
            ..StreamConfig::default()
        };
        catalog.create_stream(config, &mut step).unwrap();
        let created = catalog.current_segments(&info("gone"), &step).unwrap().segment_ranges;
        assert_eq!(created.first().unwrap().segment_id.clone().unwrap().segment_id, 1, "{folder}");
    }
}

#[test]
fn times_points_and_truncated_segments_of_an_earlier_version_are_entries_of_their_own() {
    let (mut machine, records) = read("scaled");
    let is_whole =
        |record: &Record| matches!(record, Record::CatalogEntry { key, .. } if key == "stream/s/t");
    assert!(records.iter().any(is_whole), "the earlier version wrote whole streams");
    let kinds: Vec<String> = entries(&machine)
        .into_keys()
        .filter(|key| key.contains("/s/t") || key.contains("/s/gone"))
        .map(|key| key.replace(|c: char| c.is_ascii_digit() || c == '-', ""))
        .collect();
    let count = |kind: &str| kinds.iter().filter(|key| key.starts_with(kind)).count();
    assert_eq!((count("epoch/"), count("end/"), count("head/"), count("state/")), (3, 5, 1, 1));
    assert_eq!((count("watermark/"), count("number/")), (1, 1));
    assert!(count("point/") > 0, "{kinds:?}");
    assert_eq!(events(&mut machine, "s/t/5.#epoch.2").len(), 1);
    // Its writers left when they closed.
    let mut again = self::machine();
    let noted = |record: &Record| {
        again.restore(record).unwrap();
        entries(&again).keys().any(|key| key.starts_with("writer/s/t/"))
    };
    assert!(records.iter().any(noted));
    // The stream goes on where it was.
    let (catalog, mut step) = machine.call(moment());
    let predecessors = catalog.successors(&info("t"), 1 << 32 | 2, &step).unwrap().segments;
    assert!(!predecessors.is_empty());
    assert_eq!(catalog.current_segments(&info("t"), &step).unwrap().segment_ranges.len(), 4);
    catalog.seal_stream(&info("t"), &mut step).unwrap();
    catalog.delete_stream(&info("t"), &mut step).unwrap();
    catalog.delete_scope_recursive("s", &mut step).unwrap();
    assert_eq!((machine.held(), machine.store.segment_count()), (0, 0));
}

#[test]
fn every_record_is_written_as_an_earlier_version_wrote_it() {
    for (folder, file) in FOLDERS {
        let bytes = fs::read(path(folder).join(file)).unwrap();
        let salt = read_head(&bytes).unwrap();
        let (mut rest, mut old) = (&bytes[HEAD_LEN..], Vec::new());
        while !rest.is_empty() {
            let head = read_frame_head(rest, salt).unwrap();
            let payload = head.payload(rest).unwrap();
            rest = &rest[FRAME_HEAD_LEN + payload.len()..];
            if head.kind != Kind::Clean {
                old.extend_from_slice(payload);
            }
        }
        let (_, records) = read(folder);
        let encoded = records.iter().map(|record| postcard::to_allocvec(record).unwrap());
        assert_eq!(encoded.collect::<Vec<_>>().concat(), old, "{folder}");
    }
}

/// The entries of the catalog, by their keys.
fn entries(machine: &Machine) -> BTreeMap<String, Option<Bytes>> {
    let mut entries = BTreeMap::new();
    machine.catalog.snapshot(|record| {
        if let Record::CatalogEntry { key, value } = record {
            entries.insert(key, value);
        }
    });
    entries
}

#[test]
fn a_catalog_of_an_earlier_version_is_the_same_after_it_is_written_by_this_one() {
    for (folder, _) in FOLDERS {
        let (machine, _) = read(folder);
        let mut again = self::machine();
        machine.snapshot(|record| again.restore(&record).unwrap());
        assert_eq!(entries(&again), entries(&machine), "{folder}");
        assert_eq!(again.catalog.held(), machine.catalog.held(), "{folder}");
    }
}
