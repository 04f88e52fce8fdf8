//! Reads that wait at the end of a segment: what ends their waiting, and with which reply.

use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::commands::ReadSegment;

use super::{OTHER, SEGMENT, brief, machine_in, read};
use crate::{
    ids::{ConnectionId, StoreIndex},
    machine::Machine,
    store::{Session, Step},
    tests::{at, table::check},
};

/// What happens to a segment while a read waits at its end, at offset 10.
const EVENTS: [&str; 9] = [
    "nothing",
    "append",
    "append elsewhere",
    "merge into it",
    "merge of it",
    "seal",
    "truncate",
    "delete",
    "disconnect",
];

fn happen(event: &str, step: &mut Step<'_>) {
    let (segment, other) = (SEGMENT.into(), OTHER.into());
    match event {
        "append" => drop(step.append_internal(&segment, "abcdefghijkl".into(), vec![]).unwrap()),
        "append elsewhere" => drop(step.append_internal(&other, "abc".into(), vec![]).unwrap()),
        "merge into it" => drop(step.merge(&segment, &other, &[]).unwrap()),
        "merge of it" => drop(step.merge(&other, &segment, &[]).unwrap()),
        "seal" => step.seal(&segment).unwrap(),
        "truncate" => step.truncate(&segment, Offset(10)).unwrap(),
        "delete" => step.delete(&segment).unwrap(),
        _ => {}
    }
}

/// A connection whose read waits at an offset, and the replies that an event brings to it.
fn woken(machine: &mut Machine, offset: i64, max_len: i32, event: &str) -> String {
    let mut session = Session::new(ConnectionId(1), StoreIndex(0));
    let mut replies = Vec::new();
    let read = ReadSegment {
        request_id: 9,
        segment: SEGMENT.into(),
        offset,
        suggested_length: max_len,
        delegation_token: "".into(),
    };
    session.handle(read.into(), &mut machine.context(at(2), &mut replies)).unwrap();
    assert!(replies.is_empty(), "the read did not wait");
    machine.journal.take();
    if event == "disconnect" {
        session.end(&mut machine.store);
    }
    let mut step = machine.call(at(3)).1;
    happen(event, &mut step);
    if event == "disconnect" {
        happen("append", &mut step);
    }
    let batch = step.journal.latest();
    let woken = machine.store.take_woken();
    for woken in &woken {
        assert_eq!(woken.connection, ConnectionId(1));
        assert_eq!(woken.after, batch, "the reply leaves before the change is durable");
    }
    let shown: Vec<String> = woken.iter().map(|woken| brief(&woken.reply)).collect();
    if shown.is_empty() { "waits".to_owned() } else { shown.join("; ") }
}

#[test]
fn a_read_at_the_end_is_answered_by_what_ends_its_waiting() {
    check(
        r#"
        nothing: waits
        append: SegmentRead { segment: SEGMENT, offset: 10, at_tail: true, end_of_segment: false,
            data: b"abcdefghijkl" }
        append elsewhere: waits
        merge into it: SegmentRead { segment: SEGMENT, offset: 10, at_tail: true, end_of_segment:
            false, data: b"xyz" }
        merge of it: SegmentRead { segment: SEGMENT, offset: 10, at_tail: true, end_of_segment:
            false, data: b"" }
        seal: SegmentIsSealed { segment: SEGMENT, offset: 10 }
        truncate: waits
        delete: SegmentRead { segment: SEGMENT, offset: 10, at_tail: true, end_of_segment: false,
            data: b"" }
        disconnect: waits
    "#,
        &EVENTS,
        |event| woken(&mut machine_in("bytes"), 10, 100, event),
    );
}

#[test]
fn a_read_after_the_end_is_answered_once_the_segment_reaches_it() {
    check(
        r#"
        nothing: waits
        append: SegmentRead { segment: SEGMENT, offset: 14, at_tail: true, end_of_segment: false,
            data: b"efghijkl" }
        append elsewhere: waits
        merge into it: waits
        merge of it: SegmentRead { segment: SEGMENT, offset: 14, at_tail: true, end_of_segment:
            false, data: b"" }
        seal: SegmentIsSealed { segment: SEGMENT, offset: 14 }
        truncate: waits
        delete: SegmentRead { segment: SEGMENT, offset: 14, at_tail: true, end_of_segment: false,
            data: b"" }
        disconnect: waits
    "#,
        &EVENTS,
        |event| woken(&mut machine_in("bytes"), 14, 100, event),
    );
}

#[test]
fn a_read_at_the_end_gets_no_more_than_it_asked_for() {
    check(
        r#"
        append: SegmentRead { segment: SEGMENT, offset: 0, at_tail: true, end_of_segment: false,
            data: b"abcdefgh" }
    "#,
        &["append"],
        |event| woken(&mut machine_in("empty"), 0, 8, event),
    );
}

/// Sends reads at the end of a segment, on a connection; returns how many of them wait.
fn wait(machine: &mut Machine, connection: u64, offset: i64, count: usize) -> usize {
    let mut session = Session::new(ConnectionId(connection), StoreIndex(0));
    let mut replies = Vec::new();
    let mut context = machine.context(at(2), &mut replies);
    for _ in 0..count {
        session.handle(read(offset).into(), &mut context).unwrap();
    }
    count - replies.len()
}

#[test]
fn waiting_reads_of_all_connections_together_are_bounded_and_each_connection_has_a_share() {
    let mut machine = machine_in("bytes");
    let far = i64::MAX - 5;
    let all: usize = (1..20).map(|bad| wait(&mut machine, bad, far, 20_000)).sum();
    assert!(all < 60_000, "{all} reads wait");
    assert!(wait(&mut machine, 20, 10, 100) == 100, "others have taken every place");
    // None of those that wait for something else is visited, woken or lost.
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), "abc".into(), vec![]).unwrap();
    assert_eq!(machine.store.take_woken().len(), 100);
    for connection in 1..20 {
        let mut session = Session::new(ConnectionId(connection), StoreIndex(0));
        session.end(&mut machine.store);
    }
    machine.call(at(3)).1.seal(&SEGMENT.into()).unwrap();
    assert!(machine.store.take_woken().is_empty(), "reads of closed connections are kept");
}

#[test]
fn a_read_beyond_the_share_of_its_connection_is_answered_without_bytes() {
    let mut machine = machine_in("bytes");
    let waiting = wait(&mut machine, 1, 10, 100_000);
    assert!(waiting < 100_000);
    assert_eq!(wait(&mut machine, 1, 10, 1), 0);
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), "abc".into(), vec![]).unwrap();
    assert_eq!(machine.store.take_woken().len(), waiting);
    assert_eq!(wait(&mut machine, 1, 13, 1), 1, "what was woken still counts");
}

#[test]
fn a_woken_reply_can_be_shortened() {
    let mut machine = machine_in("empty");
    assert_eq!(wait(&mut machine, 1, 0, 1), 1);
    let mut step = machine.call(at(3)).1;
    step.append_internal(&SEGMENT.into(), "abcdefgh".into(), vec![]).unwrap();
    let woken = machine.store.take_woken().pop().unwrap().shortened(3);
    assert_eq!(
        brief(&woken.reply),
        "SegmentRead { segment: SEGMENT, offset: 0, at_tail: false, end_of_segment: false, data: \
         b\"abc\" }"
    );
}
