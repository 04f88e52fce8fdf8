//! The memory that replies keep alive, and what is reserved for them.

use std::collections::BTreeSet;

use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    CommandKind, IterationArgs, MergedSegment, TableEntry, TableKey, TableValue, WireCommand,
    commands::*, value::Value,
};

use super::{SEGMENT, STATES, key_of, machine_in, names, one_of_each};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    store::{Reply, Session, demand, weight},
    tests::at,
};

/// Several commands of every type, with short and long fields and lists, drawn from a seed.
fn any_commands(seed: u64) -> Vec<WireCommand> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut commands = Vec::new();
    for code in one_of_each().iter().map(WireCommand::code) {
        let mut decoded = 0;
        for _ in 0..100 {
            // Mostly zeros, so that lengths and counts are small.
            let often = random.u8(2..40);
            let payload: Vec<u8> = (0..3000).map(|_| u8::from(random.u8(0..often) == 0)).collect();
            let command = WireCommand::decode_payload(code, payload.into()).ok();
            decoded += usize::from(command.is_some());
            commands.extend(command);
            if decoded == 4 {
                break;
            }
        }
    }
    commands
}

/// The names of all commands that are sent by some.
fn all_of(kinds: &[CommandKind]) -> BTreeSet<&'static str> {
    names(one_of_each().iter().filter(|command| kinds.contains(&command.kind())))
}

#[test]
fn a_reply_weighs_no_less_than_it_keeps_alive() {
    let replies = [CommandKind::Reply, CommandKind::Failure, CommandKind::Both];
    let mut seen = BTreeSet::new();
    for command in any_commands(7) {
        if replies.contains(&command.kind()) {
            let bytes = command.payload_len().unwrap() + size_of::<Reply>();
            let weighs = weight(&command);
            assert!(weighs >= bytes, "{weighs} for {bytes} of {command:?}");
            seen.insert(command.name());
        }
    }
    assert_eq!(seen, all_of(&replies));
    // Entries of a list may be much longer than their encoding.
    let empty = || TableEntry {
        key: TableKey { data: Bytes::new(), key_version: 0 },
        value: TableValue { data: Bytes::new() },
    };
    let (entries, keys) = (vec![empty(); 1000], vec![empty().key; 1000]);
    let segment = || "s".into();
    let read = TableRead { request_id: 0, segment: segment(), entries };
    assert!(weight(&read.into()) >= 1000 * size_of::<TableEntry>());
    let continuation_token = Bytes::new();
    let read = TableKeysRead { request_id: 0, segment: segment(), keys, continuation_token };
    assert!(weight(&read.into()) >= 1000 * size_of::<TableKey>());
    let merged = SegmentsBatchMerged {
        request_id: 0,
        target: segment(),
        merged: vec![MergedSegment { source: "".into(), new_target_write_offset: 0 }; 1000],
    };
    let merged_len = size_of::<MergedSegment>();
    assert!(weight(&merged.into()) >= 700 * merged_len);
}

/// Handles requests on one connection, and compares each reply with what was reserved for it.
fn check_demands(machine: &mut Machine, requests: &[WireCommand]) -> usize {
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut count = 0;
    for request in requests {
        let mut replies = Vec::new();
        let mut context = machine.context(at(2), &mut replies);
        let done = session.handle(request.clone(), &mut context);
        let weighed: usize = replies.iter().map(|reply| weight(&reply.command)).sum();
        let kinds: Vec<&str> = replies.iter().map(|reply| reply.command.name()).collect();
        let demanded = demand(request);
        assert!(weighed <= demanded, "{weighed} of {demanded} for {}: {kinds:?}", request.name());
        count += replies.len();
        if done.is_err() {
            session = Session::new(ConnectionId(1), StoreIndex(0));
        }
    }
    count
}

fn read(suggested_length: i32, offset: i64) -> WireCommand {
    let (segment, delegation_token) = (SEGMENT.into(), "".into());
    ReadSegment { request_id: 9, segment, offset, suggested_length, delegation_token }.into()
}

fn pages(suggested: i32) -> [WireCommand; 3] {
    let args = || IterationArgs {
        prefix_filter: Bytes::new(),
        from_key: Bytes::new(),
        to_key: Bytes::new(),
        continuation_token: Bytes::new(),
    };
    let read = |segment: &str| (segment.into(), "".into());
    let (segment, delegation_token) = read(SEGMENT);
    let suggested_key_count = suggested;
    let keys = ReadTableKeys {
        request_id: 9,
        segment,
        delegation_token,
        suggested_key_count,
        args: args(),
    };
    let (segment, delegation_token) = read(SEGMENT);
    let suggested_entry_count = suggested;
    let entries = ReadTableEntries {
        request_id: 9,
        segment,
        delegation_token,
        suggested_entry_count,
        args: args(),
    };
    let (segment, delegation_token) = read(SEGMENT);
    let delta = ReadTableEntriesDelta {
        request_id: 9,
        segment,
        delegation_token,
        from_position: 0,
        suggested_entry_count,
    };
    [keys.into(), entries.into(), delta.into()]
}

#[test]
fn a_reply_weighs_no_more_than_was_reserved_for_its_request() {
    let requests: Vec<WireCommand> = any_commands(8)
        .into_iter()
        .filter(|command| command.kind() == CommandKind::Request)
        .collect();
    assert_eq!(names(&requests), all_of(&[CommandKind::Request]));
    for state in STATES {
        let mut machine = machine_in(state);
        assert!(check_demands(&mut machine, &requests) > requests.len() / 2);
        let (segment, delegation_token) = (SEGMENT.into(), "".into());
        let keys = (0..1000).map(|_| key_of("k", TableKey::NO_VERSION)).collect();
        let table = ReadTable { request_id: 9, segment, delegation_token, keys };
        let mut requests: Vec<WireCommand> = vec![table.into()];
        requests.extend(pages(100_000));
        requests.extend([1, 20_000, i32::MAX].into_iter().map(|len| read(len, 0)));
        let (segment_name, delegation_token) = (SEGMENT.into(), "".into());
        requests
            .push(GetStreamSegmentInfo { request_id: 9, segment_name, delegation_token }.into());
        check_demands(&mut machine, &requests);
    }
}

#[test]
fn a_refusal_that_repeats_a_long_name_weighs_no_more_than_was_reserved() {
    // Each NUL has two bytes in a reply, which may be too long to be encoded then.
    for len in [1, 500, 5000, 20_000, 40_000] {
        for byte in ["\0", "x"] {
            let long = |(field, value)| match value {
                Value::Text(_) if field != "delegationToken" => {
                    (field, Value::Text(byte.repeat(len)))
                }
                value => (field, value),
            };
            let requests: Vec<WireCommand> = one_of_each()
                .into_iter()
                .filter(|command| command.kind() == CommandKind::Request)
                .map(|command| {
                    let fields = command.fields().into_iter().map(long).collect();
                    WireCommand::from_fields(command.name(), fields).unwrap()
                })
                .collect();
            for state in ["absent", "full", "failed"] {
                check_demands(&mut machine_in(state), &requests);
            }
        }
    }
}

#[test]
fn the_longest_replies_weigh_no_more_than_was_reserved() {
    let mut machine = machine_in("bytes");
    machine
        .call(at(1))
        .1
        .append_internal(&SEGMENT.into(), vec![7; 1 << 20].into(), vec![])
        .unwrap();
    let reads: Vec<WireCommand> =
        [8, 16 << 10, 17 << 10, 1 << 20].into_iter().map(|len| read(len, 300_000)).collect();
    assert_eq!(check_demands(&mut machine, &reads), 4);
    let mut machine = machine_in("table");
    let long = |number: u32| TableEntry {
        key: TableKey { data: number.to_string().into(), key_version: TableKey::NO_VERSION },
        value: TableValue { data: vec![1; 1_000_000].into() },
    };
    let entries: Vec<TableEntry> = (0..4).map(long).collect();
    machine.call(at(1)).1.put(&SEGMENT.into(), entries, None).unwrap();
    for number in 0..60_000_u32 {
        let key = TableKey { data: number.to_be_bytes().to_vec().into(), key_version: -1 };
        let value = TableValue { data: Bytes::new() };
        machine.call(at(1)).1.put(&SEGMENT.into(), vec![TableEntry { key, value }], None).ok();
    }
    assert_eq!(check_demands(&mut machine, &pages(i32::MAX)), 3);
}
