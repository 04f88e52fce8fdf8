//! Each call of the controller in each state of its stream.

mod answers;
mod counting;
mod cuts;
mod groups;
mod holds;
pub(super) mod largest;
mod numbers;
mod queries;
mod retention;
mod scaling;
mod scopes;
mod sizes;
mod slices;
mod streams;
mod tables;
mod transactions;
mod watermarks;
mod whole;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use pravega_sdk_proto::{
    ReaderGroupConfiguration, ScaleRequest, ScalingPolicy, SegmentRange, StreamConfig, StreamCut,
    StreamInfo, scale_request::KeyRangeEntry, scale_response::ScaleStreamStatus,
};
use uuid::Uuid;

use super::{
    at, everything, machine,
    table::{check, take_records},
};
use crate::{
    catalog::{CallResult, Catalog, id_of},
    machine::Machine,
    store::{MemoryLimit, Step},
};

/// The names of the public methods in the source of the catalog whose signature, without the name,
/// is wanted.
fn methods_with(is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let mut methods = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        for method in source.split("    pub fn ").skip(1) {
            let (name, rest) = method.split_once('(').unwrap();
            if is_wanted(rest.split('{').next().unwrap()) {
                methods.insert(name.to_owned());
            }
        }
    }
    methods
}

/// The states of a stream, and of the server around it.
const STATES: [&str; 14] = [
    "no scope",
    "absent",
    "open",
    "scaled",
    "begun",
    "committed",
    "aborted",
    "rolled",
    "truncated",
    "sealed",
    "deleted",
    "recreated",
    "full",
    "failed",
];
pub(super) const GROUP_ID: Uuid = Uuid::from_u128(99);
/// The id of the transaction that is begun at time 5.
pub(super) const TRANSACTION: Uuid = Uuid::from_u128(2);

pub(super) fn info() -> StreamInfo {
    StreamInfo { scope: "s".to_owned(), stream: "t".to_owned(), access_operation: 0 }
}

pub(super) fn config(segments: i32) -> StreamConfig {
    let scaling_policy = ScalingPolicy {
        scale_type: 0,
        target_rate: 0,
        scale_factor: 0,
        min_num_segments: segments,
    };
    StreamConfig {
        stream_info: Some(info()),
        scaling_policy: Some(scaling_policy),
        ..StreamConfig::default()
    }
}

/// Splits the lower half of the keys.
pub(super) fn split(sealed: i64, start: f64, middle: f64, end: f64) -> ScaleRequest {
    ScaleRequest {
        stream_info: Some(info()),
        sealed_segments: vec![sealed],
        new_key_ranges: vec![
            KeyRangeEntry { start, end: middle },
            KeyRangeEntry { start: middle, end },
        ],
        scale_timestamp: 0,
    }
}

pub(super) fn cut(offsets: &[(i64, i64)]) -> BTreeMap<i64, i64> {
    offsets.iter().copied().collect()
}

pub(super) fn group() -> ReaderGroupConfiguration {
    let stream_info = Some(info());
    ReaderGroupConfiguration {
        scope: "s".to_owned(),
        reader_group_name: "g".to_owned(),
        reader_group_id: GROUP_ID.to_string(),
        retention_type: 1,
        starting_stream_cuts: vec![StreamCut { stream_info, ..StreamCut::default() }],
        ..ReaderGroupConfiguration::default()
    }
}

/// A machine with the stream in a state.
pub(super) fn machine_in(state: &str) -> Machine {
    let mut machine = machine();
    if state != "no scope" {
        let (catalog, mut step) = machine.call(at(1));
        catalog.create_scope("s", &mut step).unwrap();
    }
    if !["no scope", "absent"].contains(&state) {
        let (catalog, mut step) = machine.call(at(2));
        catalog.create_stream(config(2), &mut step).unwrap();
        step.append_internal(&"s/t/0.#epoch.0".into(), "0123456789".into(), vec![]).unwrap();
    }
    if ["begun", "committed", "aborted", "rolled"].contains(&state) {
        let (catalog, mut step) = machine.call(at(5));
        let begun = catalog.create_transaction(&info(), 20_000, &mut step).unwrap();
        assert_eq!(id_of(begun.txn_id), TRANSACTION);
        let segment = format!("s/t/1.#epoch.0#transaction.{}", TRANSACTION.simple());
        step.append_internal(&segment.into(), "abc".into(), vec![]).unwrap();
    }
    let (catalog, mut step) = machine.call(at(6));
    if ["scaled", "rolled"].contains(&state) {
        let scaled = catalog.scale(&split(0, 0.0, 0.25, 0.5), &mut step).unwrap();
        assert_eq!(scaled.status(), ScaleStreamStatus::Started);
    }
    match state {
        "committed" | "rolled" => {
            catalog.commit_transaction(&info(), TRANSACTION, "", -1, &mut step).map(drop).unwrap();
        }
        "aborted" => {
            catalog.abort_transaction(&info(), TRANSACTION, &mut step).map(drop).unwrap();
        }
        "truncated" => {
            let cut = cut(&[(0, 4), (1, 0)]);
            catalog.truncate_stream(&info(), cut, &mut step).map(drop).unwrap();
        }
        "sealed" | "deleted" | "recreated" => {
            catalog.seal_stream(&info(), &mut step).map(drop).unwrap();
        }
        _ => {}
    }
    if ["deleted", "recreated"].contains(&state) {
        catalog.delete_stream(&info(), &mut step).map(drop).unwrap();
    }
    match state {
        "recreated" => catalog.create_stream(config(1), &mut step).map(drop).unwrap(),
        "full" => machine.memory_limit = MemoryLimit(machine.held()),
        "failed" => machine.journal.fail("the disk is gone"),
        _ => {}
    }
    machine
}

/// The result of a call and the records that it made. A call without a record changes nothing.
fn outcome<T: std::fmt::Debug>(
    machine: &mut Machine,
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> CallResult<T>,
) -> String {
    machine.journal.take();
    let before = everything(machine);
    let (catalog, mut step) = machine.call(at(9));
    let result = call(catalog, &mut step);
    let (batch, records) = take_records(machine);
    assert!(batch.is_some() || everything(machine) == before, "{result:?}: a change has no record");
    let mut shown = match result {
        Ok(value) => format!("{value:?}").replace('"', ""),
        Err(error) => format!("{error:?}"),
    };
    for (long, short) in [
        ("the server must be restarted before it takes writes again: the disk is gone", "FAILED"),
        ("Internal exception occurred", "UNSPECIFIED"),
    ] {
        shown = shown.replace(long, short);
    }
    if let Some(full) = shown.find("the memory limit of") {
        shown.replace_range(full.., "FULL\")");
    }
    if shown.is_empty() {
        shown.push('-');
    }
    format!("{shown}{records}")
}

pub(super) fn check_each_state<T: std::fmt::Debug>(
    expected: &str,
    call: impl Fn(&mut Catalog, &mut Step<'_>) -> CallResult<T>,
) {
    check(expected, &STATES, |state| outcome(&mut machine_in(state), &call));
}

/// A segment's id as its number and its epoch.
pub(super) fn id(id: i64) -> String {
    format!("{}.{}", id as i32, id >> 32)
}

pub(super) fn range(range: &SegmentRange) -> String {
    let segment = range.segment_id.as_ref().unwrap().segment_id;
    format!("{} {}-{}", id(segment), range.min_key, range.max_key)
}

pub(super) fn ranges(ranges: &[SegmentRange]) -> String {
    ranges.iter().map(range).collect::<Vec<_>>().join(" | ")
}
