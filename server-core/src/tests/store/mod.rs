//! Each request of the segment store in each state of its segment.

mod access;
mod appends;
mod discarded;
mod evicted;
mod full;
mod largest;
mod merges;
pub(super) mod numbers;
mod reads;
mod segments;
mod slices;
mod tables;
mod waiting;
mod weights;

use std::collections::BTreeSet;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::{EventNumber, Offset, WriterId};
use pravega_sdk_wire_protocol::{
    TableEntry, TableKey, TableValue, WireCommand,
    commands::{ReadSegment, SetupAppend},
    value::Value,
};
use uuid::Uuid;

use super::{
    at, machine,
    table::{check, take_records},
};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    record::Sequence,
    store::{AppendRequest, Closed, MemoryLimit, Reply, Session},
};

/// The segment that requests are for.
pub(super) const SEGMENT: &str = "s/t/0.#epoch.0";
/// Another one, which always exists and has 3 bytes.
pub(super) const OTHER: &str = "s/t/1.#epoch.0";
pub(super) const WRITER: Uuid = Uuid::from_u128(7);
pub(super) const ATTRIBUTE: Uuid = Uuid::from_u128(8);

/// One command of each type that the protocol has.
pub(super) fn one_of_each() -> Vec<WireCommand> {
    // Zeros are a payload of every type.
    let of_zeros = |code| WireCommand::decode_payload(code, Bytes::from_static(&[0; 256])).unwrap();
    let codes = (-200..=200).filter(|code| WireCommand::is_known(*code));
    let all: Vec<WireCommand> = codes.map(of_zeros).collect();
    assert_eq!(names(&all), WireCommand::NAMES.iter().copied().collect());
    all
}

/// The names of commands.
pub(super) fn names<'a>(
    commands: impl IntoIterator<Item = &'a WireCommand>,
) -> BTreeSet<&'static str> {
    commands.into_iter().map(WireCommand::name).collect()
}

/// A read of 100 bytes of the segment.
pub(super) fn read(offset: i64) -> ReadSegment {
    ReadSegment {
        request_id: 9,
        segment: SEGMENT.into(),
        offset,
        suggested_length: 100,
        delegation_token: "".into(),
    }
}

/// The states of a segment, and of the store around it.
const STATES: [&str; 11] = [
    "absent",
    "empty",
    "bytes",
    "truncated",
    "sealed",
    "deleted",
    "merged",
    "table",
    "fixed",
    "full",
    "failed",
];

/// A machine with the segment in a state. A full one has memory for what fits the segment's last
/// piece, and for nothing else.
pub(super) fn machine_in(state: &str) -> Machine {
    let mut machine = machine();
    let (segment, other) = (ByteString::from(SEGMENT), ByteString::from(OTHER));
    let mut step = machine.call(at(1)).1;
    step.create(&other, vec![]).unwrap();
    step.append_internal(&other, "xyz".into(), vec![]).unwrap();
    match state {
        "absent" => {}
        "table" | "fixed" => {
            let key_len = i32::from(state == "fixed");
            step.create_table(&segment, key_len, 0).unwrap();
            step.put(&segment, vec![entry("k", TableKey::NO_VERSION)], None).unwrap();
        }
        "empty" => step.create(&segment, vec![]).unwrap(),
        _ => {
            step.create(&segment, vec![(ATTRIBUTE, 5)]).unwrap();
            let append = AppendRequest {
                segment: segment.clone(),
                data: "0123456789".into(),
                writer: WriterId(WRITER),
                previous: EventNumber::NONE,
                number: EventNumber(3),
                event_count: 2,
                expected_offset: None,
            };
            assert_eq!(step.append(append), Ok(10));
        }
    }
    match state {
        "truncated" => step.truncate(&segment, Offset(4)).unwrap(),
        "sealed" => step.seal(&segment).unwrap(),
        "deleted" => step.delete(&segment).unwrap(),
        "merged" => assert_eq!(step.merge(&other, &segment, &[]), Ok(13)),
        _ => {}
    }
    match state {
        "full" => machine.memory_limit = MemoryLimit(machine.held()),
        "failed" => machine.journal.fail("the disk is gone"),
        _ => {}
    }
    machine
}

pub(super) fn entry(key: &'static str, key_version: i64) -> TableEntry {
    TableEntry { key: key_of(key, key_version), value: TableValue { data: "v".into() } }
}

pub(super) fn key_of(key: &'static str, key_version: i64) -> TableKey {
    TableKey { data: key.into(), key_version }
}

/// The text of a reply with its payloads, of which `Debug` shows the lengths.
fn with_payloads(reply: &WireCommand) -> String {
    let mut shown = format!("{reply:?}");
    let mut rest = vec![Value::Record(reply.fields())];
    while let Some(value) = rest.pop() {
        match value {
            Value::Bytes(bytes) => {
                let hidden = format!("[{} bytes]", bytes.len());
                shown = shown.replacen(&hidden, &format!("{bytes:?}"), 1);
            }
            Value::List(values) => rest.extend(values.into_iter().rev()),
            Value::Record(fields) => rest.extend(fields.into_iter().rev().map(|(_, value)| value)),
            _ => {}
        }
    }
    shown
}

/// A reply without the fields that are the same in every reply.
pub(super) fn brief(reply: &WireCommand) -> String {
    let shown = with_payloads(reply);
    let shown = shown.split_once('(').map_or(&*shown, |(_, inner)| inner);
    let mut shown = shown.trim_end_matches(')').to_owned();
    for (long, short) in [
        ("request_id: 9, ", ""),
        (", request_id: 9", ""),
        ("request_id: 9", ""),
        ("server_stack_trace: \"\", ", ""),
        (", server_stack_trace: \"\"", ""),
        (&format!("\"{SEGMENT}\""), "SEGMENT"),
        (&format!("\"{OTHER}\""), "OTHER"),
        (&format!("writer_id: {WRITER}, "), ""),
        ("-9223372036854775808", "MIN"),
        ("s/t/0.#epoch.0#transient.00000000000000000000000000000007.", "TRANSIENT."),
        ("the server must be restarted before it takes writes again: the disk is gone", "FAILED"),
        (" {  }", ""),
    ] {
        shown = shown.replace(long, short);
    }
    without_limit(&shown)
}

/// A text with FULL in place of what a full store says, which names its limit.
fn without_limit(shown: &str) -> String {
    const END: &str = "or raise the limit";
    match (shown.find("the memory limit of"), shown.find(END)) {
        (Some(start), Some(end)) => {
            format!("{}FULL{}", &shown[..start], &shown[end + END.len()..])
        }
        _ => shown.to_owned(),
    }
}

/// Sends commands on a new connection; returns the replies, the replies to reads that waited, and
/// the records.
pub(super) fn send(machine: &mut Machine, commands: Vec<WireCommand>) -> String {
    let before = machine.journal.take().map_or(Sequence::default(), |(sequence, _)| sequence);
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut replies: Vec<Reply> = Vec::new();
    let mut context = machine.context(at(2), &mut replies);
    let count = commands.len();
    let done = commands.into_iter().try_for_each(|command| session.handle(command, &mut context));
    let woken = machine.store.take_woken();
    let (batch, records) = take_records(machine);
    for reply in &replies {
        let latest = batch.unwrap_or(before);
        assert!(reply.after <= latest, "{reply:?} waits for a batch that does not exist");
    }
    if let (Some(batch), Some(last)) = (batch, replies.last())
        && replies.len() == count
    {
        assert_eq!(last.after, batch, "{last:?} leaves before its change is durable");
    }
    let mut shown: Vec<String> = replies.iter().map(|reply| brief(&reply.command)).collect();
    shown.extend(woken.iter().map(|woken| format!("woken {}", brief(&woken.reply))));
    if let Err(Closed(reason)) = done {
        shown.push(format!("closed: {reason}"));
    }
    if shown.is_empty() {
        shown.push("no reply".to_owned());
    }
    format!("{}{records}", shown.join("; "))
}

pub(super) fn check_each_state(command: impl Into<WireCommand>, expected: &str) {
    let command = command.into();
    check(expected, &STATES, |state| send(&mut machine_in(state), vec![command.clone()]));
}

pub(super) fn check_after_set_up(command: impl Into<WireCommand>, expected: &str) {
    let set_up = SetupAppend {
        request_id: 9,
        writer_id: WRITER,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
    };
    let commands = vec![set_up.into(), command.into()];
    check(expected, &STATES, |state| send(&mut machine_in(state), commands.clone()));
}
