//! Cuts of a stream that was split and merged.

use std::collections::BTreeMap;

use pravega_sdk_proto::{ScaleRequest, scale_request::KeyRangeEntry};

use super::{cut, id, info, machine_in, split};
use crate::{
    machine::Machine,
    tests::{
        at,
        table::{check, take_records},
    },
};

/// A stream whose segment 0.0, of 10 bytes, was split; the upper half was merged with 1.0.
///
/// ```text
/// epoch 0   [     0.0     ][     1.0     ]
/// epoch 1   [ 2.1 ][ 3.1  ][     1.0     ]
/// epoch 2   [ 2.1 ][         4.2         ]
/// ```
fn split_and_merged() -> Machine {
    let mut machine = machine_in("open");
    let (catalog, mut step) = machine.call(at(6));
    catalog.scale(&split(0, 0.0, 0.25, 0.5), &mut step).unwrap();
    let merge = ScaleRequest {
        sealed_segments: vec![(1 << 32) | 3, 1],
        new_key_ranges: vec![KeyRangeEntry { start: 0.25, end: 1.0 }],
        ..split(0, 0.0, 0.25, 0.5)
    };
    catalog.scale(&merge, &mut step).unwrap();
    machine.journal.take();
    machine
}

const CUTS: [&str; 12] = [
    "empty",
    "start",
    "within",
    "at the end",
    "the end",
    "after the end",
    "after the split",
    "between",
    "tail",
    "a gap",
    "an overlap",
    "unknown",
];

fn offsets(name: &str) -> BTreeMap<i64, i64> {
    let id = |number: i64, epoch: i64| (epoch << 32) | number;
    match name {
        "start" => cut(&[(0, 0), (1, 0)]),
        "within" => cut(&[(0, 4), (1, 0)]),
        "at the end" => cut(&[(0, 10), (1, 0)]),
        "the end" => cut(&[(0, -1), (1, -1)]),
        "after the end" => cut(&[(0, 11), (1, 0)]),
        "after the split" => cut(&[(id(2, 1), 0), (id(3, 1), 0), (1, 0)]),
        "between" => cut(&[(0, 4), (id(4, 2), 0)]),
        "tail" => cut(&[(id(2, 1), 0), (id(4, 2), 0)]),
        "a gap" => cut(&[(1, 0)]),
        "an overlap" => cut(&[(0, 0), (id(2, 1), 0), (1, 0)]),
        "unknown" => cut(&[(0, 0), (id(9, 1), 0)]),
        _ => BTreeMap::new(),
    }
}

#[test]
fn a_cut_is_complete_if_it_has_one_segment_for_each_key() {
    check(
        "
        empty: false
        start: true
        within: true
        at the end: true
        the end: true
        after the end: true
        after the split: true
        between: false
        tail: true
        a gap: false
        an overlap: false
        unknown: false
    ",
        &CUTS,
        |name| {
            let machine = split_and_merged();
            machine.catalog.is_cut_complete(&info(), &offsets(name)).unwrap().to_string()
        },
    );
}

#[test]
fn the_segments_up_to_a_cut_and_from_it_on_include_those_of_the_cut() {
    check(
        "
        empty: refused | refused
        start: 0.0 1.0 | 0.0 1.0 2.1 3.1 4.2
        within: 0.0 1.0 | 0.0 1.0 2.1 3.1 4.2
        at the end: 0.0 1.0 | 0.0 1.0 2.1 3.1 4.2
        the end: 0.0 1.0 | 0.0 1.0 2.1 3.1 4.2
        after the end: 0.0 1.0 | 0.0 1.0 2.1 3.1 4.2
        after the split: 0.0 1.0 2.1 3.1 | 1.0 2.1 3.1 4.2
        between: 0.0 1.0 3.1 4.2 | 0.0 2.1 3.1 4.2
        tail: 0.0 1.0 2.1 3.1 4.2 | 2.1 4.2
        a gap: 0.0 1.0 2.1 3.1 | 0.0 1.0 2.1 3.1 4.2
        an overlap: 0.0 1.0 2.1 | 0.0 1.0 2.1 3.1 4.2
        unknown: |
    ",
        &CUTS,
        |name| {
            let mut machine = split_and_merged();
            let (catalog, step) = machine.call(at(9));
            let between = |from: &BTreeMap<i64, i64>, to: &BTreeMap<i64, i64>| match catalog
                .segments_between(&info(), from, to, &step)
            {
                Ok(found) => {
                    let ids = found.segments.iter().map(|segment| id(segment.segment_id));
                    ids.collect::<Vec<_>>().join(" ")
                }
                Err(_) => "refused".to_owned(),
            };
            let cut = offsets(name);
            format!("{} | {}", between(&BTreeMap::new(), &cut), between(&cut, &BTreeMap::new()))
        },
    );
}

#[test]
fn a_cut_is_read_to_only_from_one_that_is_not_after_it() {
    check(
        "
        empty: 5
        start: refused
        within: 2
        at the end: 2
        the end: 2
        after the end: 2
        after the split: 4
        between: 4
        tail: 5
        a gap: 4
        an overlap: refused
        unknown: refused
    ",
        &CUTS,
        |name| {
            let mut machine = split_and_merged();
            let (catalog, step) = machine.call(at(9));
            let within = offsets("within");
            let found = catalog.segments_between(&info(), &within, &offsets(name), &step);
            let segments = found.map(|found| found.segments.len());
            segments.map_or_else(|_| "refused".to_owned(), |segments| segments.to_string())
        },
    );
}

#[test]
fn a_truncation_drops_segments_before_the_cut_and_the_bytes_before_its_offsets() {
    check(
        "
        empty: Failure, head 0.0=0 1.0=0
        start: Success, head 0.0=0 1.0=0 => head
        within: Success, head 0.0=4 1.0=0 => Truncated, head
        at the end: Success, head 0.0=10 1.0=0 => Truncated, head
        the end: Success, head 0.0=-1 1.0=-1 => Truncated, head
        after the end: Failure, head 0.0=0 1.0=0
        after the split: Success, head 1.0=0 2.1=0 3.1=0 => Deleted, ends, head
        between: Failure, head 0.0=0 1.0=0
        tail: Success, head 2.1=0 4.2=0 => Deleted, Deleted, Deleted, ends, head
        a gap: Failure, head 0.0=0 1.0=0
        an overlap: Failure, head 0.0=0 1.0=0
        unknown: Failure, head 0.0=0 1.0=0
    ",
        &CUTS,
        |name| {
            let mut machine = split_and_merged();
            let (catalog, mut step) = machine.call(at(9));
            let status = catalog.truncate_stream(&info(), offsets(name), &mut step).unwrap();
            let head = catalog.head_segments(&info(), &step).unwrap().segments;
            let head: Vec<String> = head
                .iter()
                .map(|at| {
                    format!("{}={}", id(at.segment_id.as_ref().unwrap().segment_id), at.offset)
                })
                .collect();
            let (_, records) = take_records(&mut machine);
            format!("{status:?}, head {}{records}", head.join(" "))
        },
    );
}
