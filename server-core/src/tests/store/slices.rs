//! Requests for segments that change in slices: the replies are those after the whole change.

use bytestring::ByteString;
use pravega_sdk_wire_protocol::{WireCommand, commands::*};

use super::{ATTRIBUTE, WRITER, send};
use crate::{
    machine::Machine,
    store::Progress,
    tests::{
        at,
        catalog::{TRANSACTION, config, cut, info, split},
        everything, machine,
    },
};

/// The parts of the history of a stream, each of which changes all its segments.
const PARTS: usize = 6;

/// A machine after the first parts of the history. In slices, the last one is not made yet.
fn machine_after(parts: usize, in_slices: bool) -> Machine {
    let mut machine = machine();
    machine.store.few = in_slices.then_some(0);
    for part in 0..parts {
        settle(&mut machine);
        let (catalog, mut step) = machine.call(at(5));
        let step = &mut step;
        match part {
            0 => {
                catalog.create_scope("s", step).unwrap();
                catalog.create_stream(config(2), step).map(drop).unwrap();
            }
            1 => catalog.create_transaction(&info(), 20_000, step).map(drop).unwrap(),
            2 => catalog.scale(&split(0, 0.0, 0.25, 0.5), step).map(drop).unwrap(),
            3 => catalog.commit_transaction(&info(), TRANSACTION, "", -1, step).map(drop).unwrap(),
            4 => {
                let tail = cut(&[((3 << 32) | 1, 0), ((3 << 32) | 2, 0), ((3 << 32) | 3, 0)]);
                catalog.truncate_stream(&info(), tail, step).map(drop).unwrap();
            }
            _ => catalog.seal_stream(&info(), step).map(drop).unwrap(),
        }
    }
    assert_eq!(machine.store.is_settled(), !in_slices, "after {parts} parts");
    machine
}

fn settle(machine: &mut Machine) {
    while machine.work(at(5)) == Progress::Unfinished {}
}

/// Commands for a segment, one of each kind.
fn commands(segment: &ByteString) -> Vec<Vec<WireCommand>> {
    let (request_id, delegation_token) = (9, ByteString::new());
    let named = || (segment.clone(), delegation_token.clone());
    let mut all: Vec<Vec<WireCommand>> = Vec::new();
    let (segment, delegation_token) = named();
    let set_up = SetupAppend { request_id, writer_id: WRITER, segment, delegation_token };
    let append = AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: "data".into(),
        num_events: 1,
        last_event_number: 1,
        request_id,
    };
    all.push(vec![set_up.into(), append.into()]);
    let (segment, delegation_token) = named();
    let read =
        ReadSegment { request_id, segment, offset: 0, suggested_length: 8, delegation_token };
    all.push(vec![read.into()]);
    let (segment_name, delegation_token) = named();
    all.push(vec![GetStreamSegmentInfo { request_id, segment_name, delegation_token }.into()]);
    let (segment, delegation_token) = named();
    all.push(vec![SealSegment { request_id, segment, delegation_token }.into()]);
    let (segment, delegation_token) = named();
    all.push(vec![DeleteSegment { request_id, segment, delegation_token }.into()]);
    let (segment, delegation_token) = named();
    let truncation_offset = 0;
    all.push(vec![
        TruncateSegment { request_id, segment, truncation_offset, delegation_token }.into(),
    ]);
    let (segment, delegation_token) = named();
    let (target_rate, scale_type, rollover_size_bytes) = (0, 0, 0);
    all.push(vec![
        CreateSegment {
            request_id,
            segment,
            target_rate,
            scale_type,
            delegation_token,
            rollover_size_bytes,
        }
        .into(),
    ]);
    let (source, delegation_token) = named();
    let target = ByteString::from("s/t/1.#epoch.0");
    let attribute_updates = vec![];
    all.push(vec![
        MergeSegments { request_id, target, source, delegation_token, attribute_updates }.into(),
    ]);
    let (source, delegation_token) = named();
    let (target_segment_id, source_segment_ids) = ("s/t/1.#epoch.3".into(), vec![source]);
    all.push(vec![
        MergeSegmentsBatch { request_id, target_segment_id, source_segment_ids, delegation_token }
            .into(),
    ]);
    let (segment_name, delegation_token) = named();
    all.push(vec![
        UpdateSegmentAttribute {
            request_id,
            segment_name,
            attribute_id: ATTRIBUTE,
            new_value: 1,
            expected_value: i64::MIN,
            delegation_token,
        }
        .into(),
    ]);
    all
}

#[test]
fn no_request_tells_what_changes_in_slices_from_what_has_changed() {
    let mut segments: Vec<ByteString> = Vec::new();
    for epoch in 0..4 {
        let numbers = 0..4;
        segments.extend(numbers.map(|number| format!("s/t/{number}.#epoch.{epoch}").into()));
    }
    let transaction = TRANSACTION.simple();
    // The part of a transaction has the same place under the segment of any epoch.
    for parent in ["0.#epoch.0", "1.#epoch.0", "1.#epoch.1"] {
        segments.push(format!("s/t/{parent}#transaction.{transaction}").into());
    }
    for parts in 1..=PARTS {
        for segment in &segments {
            for commands in commands(segment) {
                let shown = format!("after {parts} parts: {commands:?}");
                let (mut once, mut slices) =
                    (machine_after(parts, false), machine_after(parts, true));
                let expected = send(&mut once, commands.clone());
                assert_eq!(send(&mut slices, commands), expected, "{shown}");
                settle(&mut slices);
                assert_eq!(everything(&slices), everything(&once), "{shown}");
            }
        }
    }
}
