//! Numbers at the ends of their types, in every command.
//!
//! Every number of every command of a client is replaced, in every state of its segment. Overflow
//! checks are on in tests, so a sum that wraps around is a panic.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_wire_protocol::{
    CommandKind, TableKey, WireCommand,
    commands::{AppendBlockEnd, UpdateSegmentAttribute},
    value::{Value, ValueError},
};
use uuid::Uuid;

use super::{OTHER, SEGMENT, WRITER, brief, machine, machine_in, send};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    record::Record,
    store::{Closed, Reply, Session, attribute},
    tests::{at, everything},
};

/// The ends of the types that numbers may have on their way, and what is beside them.
pub(crate) const NUMBERS: [i64; 16] = [
    i64::MIN,
    i64::MIN + 1,
    i32::MIN as i64 - 1,
    i32::MIN as i64,
    i8::MIN as i64,
    -1,
    0,
    1,
    i8::MAX as i64,
    i32::MAX as i64 - 1,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    u32::MAX as i64,
    u32::MAX as i64 + 1,
    i64::MAX - 1,
    i64::MAX,
];
const STATES: [&str; 6] = ["bytes", "truncated", "sealed", "table", "fixed", "full"];

type Fields = Vec<(String, Value)>;

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A command with a value for each field, and one element in each list.
fn usual(name: &str) -> WireCommand {
    command(name, 1, 16)
}

/// A command with so many elements in each list, and so many bytes in each payload.
pub(super) fn command(name: &str, elements: u32, bytes: usize) -> WireCommand {
    let data = || Value::Bytes(vec![b'k'; bytes].into());
    let short = |element: u32| Value::Bytes(element.to_be_bytes().to_vec().into());
    let versioned = |element| {
        let version = Value::Long(TableKey::NO_VERSION);
        record(&[("data", short(element)), ("keyVersion", version)])
    };
    let update = |element: u32| {
        record(&[
            ("attributeId", Value::Uuid(Uuid::from_u128(1000 + u128::from(element)))),
            ("attributeUpdateType", Value::Int(1)),
            ("newValue", Value::Long(1)),
            ("oldValue", Value::Long(5)),
        ])
    };
    let entry = |element| {
        let value = record(&[("data", short(element))]);
        record(&[("key", versioned(element)), ("value", value)])
    };
    let source = |element: u32| Value::Text(format!("s/t/{}.#epoch.0", element + 1));
    let candidates = [
        Value::Long(1),
        Value::Bool(false),
        Value::Uuid(WRITER),
        data(),
        Value::Text(SEGMENT.to_owned()),
        Value::List((0..elements).map(update).collect()),
        Value::List((0..elements).map(entry).collect()),
        Value::List((0..elements).map(versioned).collect()),
        Value::List((0..elements).map(source).collect()),
        record(&[("data", data())]),
        record(&[("fromKey", short(0)), ("toKey", short(u32::MAX))]),
        // The lists of replies.
        Value::List(vec![]),
        record(&[("entries", Value::List(vec![]))]),
    ];
    let names = WireCommand::field_names(name).unwrap();
    let mut choices: Vec<(String, usize)> =
        names.into_iter().map(|(field, _)| (field, 0)).collect();
    loop {
        let fields = choices.iter().map(|(field, at)| {
            let value = match (candidates[*at].clone(), field.as_str()) {
                (Value::Text(_), "delegationToken") => Value::Text(String::new()),
                (Value::Text(_), "source") => Value::Text(OTHER.to_owned()),
                // The table ends anywhere.
                (Value::Long(_), "tableSegmentOffset") => Value::Long(-1),
                (Value::Long(_), field) if elements > 1 && field.starts_with("suggested") => {
                    Value::Long(i32::MAX.into())
                }
                (value, _) => value,
            };
            (field.clone(), value)
        });
        match WireCommand::from_fields(name, fields.collect()) {
            Ok(command) => return command,
            Err(ValueError::Field { field, .. }) => {
                choices.iter_mut().find(|(name, _)| *name == field).unwrap().1 += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

/// Calls a function with every number in a value.
fn each_number(value: &mut Value, with: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Int(_) | Value::Long(_) => with(value),
        Value::List(values) => values.iter_mut().for_each(|value| each_number(value, with)),
        Value::Record(fields) => {
            fields.iter_mut().for_each(|(_, value)| each_number(value, with));
        }
        _ => {}
    }
}

/// The command with a number in place of one of its numbers, or of all; `None` if that cannot hold
/// it.
fn with_number(name: &str, fields: &Fields, place: Option<usize>, new: i64) -> Option<WireCommand> {
    let (mut fields, mut index) = (Value::Record(fields.clone()), 0);
    each_number(&mut fields, &mut |value| {
        if place.is_none_or(|place| place == index) {
            *value = Value::Long(new);
        }
        index += 1;
    });
    let Value::Record(fields) = fields else { panic!("it is one") };
    WireCommand::from_fields(name, fields).ok()
}

/// Handles commands on a new connection, until one ends it.
fn handle(machine: &mut Machine, commands: Vec<WireCommand>) -> Vec<Reply> {
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut replies = Vec::new();
    let mut context = machine.context(at(2), &mut replies);
    commands.into_iter().try_for_each(|command| session.handle(command, &mut context)).ok();
    session.end(&mut machine.store);
    replies
}

/// Checks a machine after a command.
fn check(what: &str, before: &[Record], changes: &[Record], machine: &mut Machine) {
    assert_eq!(machine.store.held(), machine.store.recount(), "{what}");
    for segment in [SEGMENT, OTHER] {
        if let Ok(info) = machine.store.info(segment) {
            assert!(info.start <= info.len && info.len < 1_000, "{what}: {info:?}");
        }
    }
    let mut restored = self::machine();
    before.iter().chain(changes).for_each(|record| restored.restore(record).unwrap());
    assert_eq!(everything(&restored), everything(machine), "{what}");
}

fn snapshot(machine: &mut Machine) -> Vec<Record> {
    machine.journal.take();
    let mut records = Vec::new();
    machine.snapshot(|record| records.push(record));
    records
}

/// The names of the commands that a client may send.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let is_of_client =
        |name: &&str| !matches!(usual(name).kind(), CommandKind::Reply | CommandKind::Failure);
    WireCommand::NAMES.iter().copied().filter(is_of_client)
}

/// The commands that come before another one, so that it has an effect.
fn beginnings(name: &str) -> Vec<Vec<WireCommand>> {
    let set_up = || usual("SetupAppend");
    match name {
        "Hello"
        | "KeepAlive"
        | "SetupAppend"
        | "AppendBlock"
        | "AppendBlockEnd"
        | "Padding"
        | "PartialEvent"
        | "ConditionalAppend"
        | "ConditionalBlockEnd" => {
            vec![vec![], vec![set_up()], vec![set_up(), usual("AppendBlock")]]
        }
        _ => vec![vec![]],
    }
}

#[test]
fn no_number_in_a_command_makes_a_sum_wrap_around() {
    let (mut commands, mut handled, mut changed) = (0, 0, 0);
    for name in names() {
        commands += 1;
        let fields = usual(name).fields();
        let mut count = 0;
        each_number(&mut Value::Record(fields.clone()), &mut |_| count += 1);
        let places: Vec<Option<usize>> = (0..count).map(Some).chain([None]).collect();
        for state in STATES {
            let mut machine = machine_in(state);
            let mut before = snapshot(&mut machine);
            for (place, number) in places.iter().flat_map(|place| NUMBERS.map(|new| (place, new))) {
                let Some(command) = with_number(name, &fields, *place, number) else { continue };
                for mut begun in beginnings(name) {
                    let what = format!("{state}: {command:?} after {} others", begun.len());
                    begun.push(command.clone());
                    let replies = handle(&mut machine, begun);
                    handled += 1;
                    let changes = machine.journal.take().map_or(Vec::new(), |(_, changes)| changes);
                    let is_echoed = |reply: &Reply| {
                        let asked = command.request_id();
                        reply.command.request_id().is_none_or(|id| Some(id) == asked || id == 1)
                    };
                    assert!(replies.iter().all(is_echoed), "{what}: {replies:?}");
                    if !changes.is_empty() {
                        changed += 1;
                        check(&what, &before, &changes, &mut machine);
                        machine = machine_in(state);
                        before = snapshot(&mut machine);
                    }
                }
            }
        }
    }
    assert!(commands >= 30, "{commands} commands");
    assert!(handled > 5_000 && changed > 500, "{handled} handled, {changed} changed something");
}

fn append(number: i64, events: i32) -> WireCommand {
    AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: Bytes::from_static(b"ab"),
        num_events: events,
        last_event_number: number,
        request_id: 9,
    }
    .into()
}

/// The reply to an append after the set-up on the same connection, or why the connection is closed.
fn reply_to(machine: &mut Machine, append: WireCommand) -> String {
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut replies = Vec::new();
    let mut context = machine.context(at(2), &mut replies);
    session.handle(usual("SetupAppend"), &mut context).unwrap();
    match session.handle(append, &mut context) {
        Ok(()) => brief(&replies.pop().unwrap().command),
        Err(Closed(reason)) => format!("closed: {reason}"),
    }
}

#[test]
fn an_append_may_have_the_greatest_number_and_no_lower_one_follows_it() {
    let mut machine = machine_in("empty");
    let stored = reply_to(&mut machine, append(i64::MAX, 1));
    assert!(stored.contains(&format!("event_number: {}", i64::MAX)), "{stored}");
    assert!(stored.contains("current_segment_write_offset: 2"), "{stored}");
    for lower in [i64::MAX - 1, 0, -1, i64::MIN] {
        let refused = reply_to(&mut machine, append(lower, 1));
        assert_eq!(refused, "closed: the rules of appending are broken", "{lower}");
    }
    assert_eq!(machine.store.info(SEGMENT).unwrap().len, 2);
}

#[test]
fn the_count_of_events_stays_at_the_end_of_its_numbers() {
    for (held, events, expected) in [
        (i64::MAX, 1, i64::MAX),
        (i64::MAX - 1, i32::MAX, i64::MAX),
        (i64::MAX - 5, 3, i64::MAX - 2),
        (-5, 3, 3),
    ] {
        let mut machine = machine_in("empty");
        let update = UpdateSegmentAttribute {
            request_id: 9,
            segment_name: SEGMENT.into(),
            attribute_id: attribute::EVENT_COUNT,
            new_value: held,
            expected_value: i64::MIN,
            delegation_token: ByteString::new(),
        };
        let updated = send(&mut machine, vec![update.into()]);
        assert!(updated.contains("success: true"), "{updated}");
        let stored = reply_to(&mut machine, append(1, events));
        assert!(stored.contains("current_segment_write_offset: 2"), "{stored}");
        let count = machine.store.attribute(SEGMENT, attribute::EVENT_COUNT).unwrap();
        assert_eq!(count, Some(expected), "{held} and {events}");
    }
}
