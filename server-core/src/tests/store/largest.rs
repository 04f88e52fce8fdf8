//! The largest frame of every command: none costs more than n log n of what it carries, and of what
//! its segment has.
//!
//! Each command is handled with lists, payloads and segments of one size and of eight times that
//! size, as are the calls of the controller.

use std::time::Duration;

use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue, WireCommand};
use uuid::Uuid;

use super::{
    SEGMENT,
    numbers::{command, names},
};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    store::{Reply, Session},
    tests::{
        at,
        catalog::largest::{SHORT, TIMES, cpu_time},
        machine,
    },
};

/// The larger size, and the smaller one.
const LARGE: u32 = 4_000;
const SMALL: u32 = LARGE / 8;
/// Bytes of a payload, and of a segment, for each unit of the size.
const BYTES: usize = 1_000;

/// A segment with attributes, in many pieces, and others that may be merged into it.
fn stream(size: u32) -> Machine {
    let mut machine = machine();
    let mut step = machine.call(at(1)).1;
    for number in 0..=size {
        let segment = format!("s/t/{number}.#epoch.0").into();
        step.create(&segment, vec![]).unwrap();
        step.append_internal(&segment, vec![7; BYTES].into(), vec![]).unwrap();
    }
    let segment = SEGMENT.into();
    for number in 0..size {
        let attribute = (Uuid::from_u128(1000 + u128::from(number)), 5);
        step.append_internal(&segment, vec![7; BYTES].into(), vec![attribute]).unwrap();
    }
    machine
}

/// A table with entries.
fn table(size: u32) -> Machine {
    let mut machine = machine();
    let mut step = machine.call(at(1)).1;
    let segment = SEGMENT.into();
    step.create_table(&segment, 0, 0).unwrap();
    let entry = |number: u32| TableEntry {
        key: TableKey {
            data: number.to_be_bytes().to_vec().into(),
            key_version: TableKey::NO_VERSION,
        },
        value: TableValue { data: vec![1; 10].into() },
    };
    step.put(&segment, (0..size).map(entry).collect(), None).unwrap();
    machine
}

fn empty(_size: u32) -> Machine {
    machine()
}

/// The time of a command, without what comes before it, and its replies.
fn time(name: &str, prepared: fn(u32) -> Machine, size: u32) -> (Duration, Vec<Reply>) {
    let (mut machine, bytes) = (prepared(size), BYTES * size as usize);
    let mut commands: Vec<WireCommand> = match name {
        "AppendBlock" | "ConditionalAppend" | "ConditionalBlockEnd" => {
            vec![command("SetupAppend", 1, 1)]
        }
        "AppendBlockEnd" => vec![command("SetupAppend", 1, 1), command("AppendBlock", 1, bytes)],
        _ => vec![],
    };
    commands.push(command(name, size, bytes));
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let (mut replies, mut took) = (Vec::new(), Duration::ZERO);
    for command in commands {
        let mut context = machine.context(at(2), &mut replies);
        let begun = cpu_time();
        session.handle(command, &mut context).ok();
        took = cpu_time().saturating_sub(begun);
    }
    (took, replies)
}

#[test]
fn no_command_costs_more_than_its_share_of_the_largest_frame() {
    let mut has_worked = 0;
    for name in names() {
        for prepared in [stream, table, empty] {
            let least = (0..2).map(|_| time(name, prepared, SMALL).0).min().unwrap_or_default();
            let share = least.max(SHORT) * TIMES;
            // A cache that others use makes single runs slower.
            let mut times = (0..5).map(|_| time(name, prepared, LARGE));
            let is_within = |(took, replies): (Duration, Vec<Reply>)| {
                let refused = |reply: &Reply| format!("{:?}", reply.command.kind()) == "Failure";
                has_worked += usize::from(!replies.is_empty() && !replies.iter().any(refused));
                took <= share
            };
            assert!(times.any(is_within), "{name}: more than {share:?}");
        }
    }
    assert!(has_worked >= 30, "{has_worked} commands did what they are for");
}
