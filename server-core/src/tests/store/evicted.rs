//! Bytes that left memory: what is evicted, and reads of it.

use bytes::Bytes;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{AppendBlockEnd, SetupAppend},
};

use super::{OTHER, SEGMENT, WRITER, brief, machine_in};
use crate::{
    ids::{ConnectionId, StoreIndex},
    log::SegmentNumber,
    machine::Machine,
    record::{Durability, Sequence},
    store::{Fetch, Look, Session, Step, Unreadable},
    tests::{at, machine_with},
};

const ALL: Sequence = Sequence(u64::MAX);

/// Evicts everything that can be: what was used is passed over once.
fn evict(machine: &mut Machine, durable: Sequence) -> u64 {
    let freed = [1, 2, 3].map(|_| machine.store.evict(durable, u64::MAX));
    assert_eq!(machine.store.held(), machine.store.recount());
    freed.iter().sum()
}

/// A read on a connection, and its replies until now.
fn read(machine: &mut Machine, connection: u64, offset: i64) -> Vec<String> {
    let mut session = Session::new(ConnectionId(connection), StoreIndex(0));
    let mut replies = Vec::new();
    session.handle(super::read(offset).into(), &mut machine.context(at(2), &mut replies)).unwrap();
    replies.iter().map(|reply| brief(&reply.command)).collect()
}

fn woken(machine: &mut Machine) -> Vec<(u64, String)> {
    let woken = machine.store.take_woken().into_iter();
    woken.map(|woken| (woken.connection.0, brief(&woken.reply))).collect()
}

/// The one fetch that reads of the segment from an offset on wait for.
fn fetch(machine: &mut Machine, from: u64, to: u64) -> Fetch {
    let [fetch] = <[Fetch; 1]>::try_from(machine.store.take_fetches()).unwrap();
    assert_eq!((&*fetch.segment, fetch.from, fetch.to), (SEGMENT, from, to));
    fetch
}

/// Hands over the first bytes of a fetch.
fn fetched(machine: &mut Machine, fetch: &Fetch, bytes: &[u8]) {
    let mut gathered = fetch.gather();
    gathered.push(bytes);
    machine.store.fetched(fetch, gathered);
}

fn data(text: &str, at_tail: bool, offset: u64) -> String {
    format!(
        "SegmentRead {{ segment: SEGMENT, offset: {offset}, at_tail: {at_tail}, \
         end_of_segment: false, data: b\"{text}\" }}"
    )
}

#[test]
fn reads_of_evicted_bytes_are_answered_by_one_fetch() {
    let mut machine = machine_in("bytes");
    let held = machine.store.held();
    let freed = evict(&mut machine, ALL);
    assert!(freed > 0);
    assert_eq!(machine.store.held(), held - freed);
    assert_eq!(machine.store.info(SEGMENT).unwrap().len, 10);
    assert_eq!(read(&mut machine, 1, 4), [""; 0]);
    assert_eq!(read(&mut machine, 2, 6), [""; 0]);
    let fetch = fetch(&mut machine, 4, 10);
    // What is appended meanwhile is in memory.
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), "abc".into(), vec![]).unwrap();
    assert_eq!(read(&mut machine, 3, 10), [data("abc", true, 10)]);
    fetched(&mut machine, &fetch, b"456789");
    assert_eq!(woken(&mut machine), [(1, data("456789", false, 4)), (2, data("6789", false, 6))]);
    assert_eq!(read(&mut machine, 1, 5), [data("56789", false, 5)], "it is in memory now");
    assert_eq!(read(&mut machine, 1, 0), [""; 0]);
    assert_eq!(machine.store.held(), machine.store.recount());
}

#[test]
fn what_is_not_durable_is_not_evicted() {
    let mut machine = machine_in("bytes");
    let last = machine.journal.latest();
    assert!(last > Sequence(0), "the machine keeps its records");
    assert_eq!(evict(&mut machine, Sequence(0)), 0);
    assert!(evict(&mut machine, last) > 0);
}

#[test]
fn a_fetch_with_less_than_it_should_have_is_followed_by_another_one() {
    let mut machine = machine_in("bytes");
    evict(&mut machine, ALL);
    read(&mut machine, 1, 0);
    read(&mut machine, 2, 8);
    let first = fetch(&mut machine, 0, 10);
    fetched(&mut machine, &first, b"0123");
    assert_eq!(woken(&mut machine), [(1, data("0123", false, 0))]);
    let second = fetch(&mut machine, 8, 10);
    fetched(&mut machine, &second, b"89");
    assert_eq!(woken(&mut machine), [(2, data("89", true, 8))]);
    // The same fetch again has no one that waits for it.
    fetched(&mut machine, &second, b"xx");
    assert_eq!(read(&mut machine, 1, 8), [data("89", true, 8)]);
}

#[test]
fn damage_fails_the_reads_that_wait_for_it_and_nothing_else() {
    let mut machine = machine_in("bytes");
    evict(&mut machine, ALL);
    read(&mut machine, 1, 4);
    let lost = fetch(&mut machine, 4, 10);
    assert!(machine.store.lost(&lost, Unreadable::Damaged("log-00000003 is damaged at byte 70")));
    let [(1, reply)] = &woken(&mut machine)[..] else { panic!("no reply") };
    assert!(reply.contains("cannot be read at offset 4: log-00000003 is damaged"), "{reply}");
    assert!(reply.contains("error_code: Damaged"), "{reply}");
    // A read tries again; an empty answer is no bytes either.
    read(&mut machine, 1, 4);
    let lost = fetch(&mut machine, 4, 10);
    fetched(&mut machine, &lost, b"");
    let reply = woken(&mut machine).remove(0).1;
    assert!(reply.contains("its bytes are in no file\", error_code: Damaged"), "{reply}");
    // A disk may answer the next time.
    read(&mut machine, 1, 4);
    let lost = fetch(&mut machine, 4, 10);
    machine.store.lost(&lost, Unreadable::Now("log-00000003 cannot be read: timed out"));
    let reply = woken(&mut machine).remove(0).1;
    assert!(reply.contains("timed out\", error_code: Unspecified"), "{reply}");
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), "abc".into(), vec![]).unwrap();
    assert_eq!(read(&mut machine, 1, 10), [data("abc", true, 10)]);
}

/// What happens to a segment while a read waits for a fetch from offset 4 on, and what it is
/// answered when the fetch ends.
#[test]
fn a_read_of_what_changes_while_it_is_fetched_is_answered_by_what_is_there_then() {
    let empty = || data("", true, 4);
    let cases = [
        (
            "truncate",
            String::from("SegmentIsTruncated { segment: SEGMENT, start_offset: 7, offset: 4 }"),
        ),
        ("delete", empty()),
        ("delete and create", empty()),
        ("merge away", empty()),
        ("seal", "end_of_segment: true, data: b\"456789\"".to_owned()),
    ];
    let happen = |event: &str, step: &mut Step<'_>| {
        let (segment, other) = (SEGMENT.into(), OTHER.into());
        match event {
            "truncate" => step.truncate(&segment, Offset(7)).unwrap(),
            "merge away" => drop(step.merge(&other, &segment, &[]).unwrap()),
            "seal" => step.seal(&segment).unwrap(),
            _ => step.delete(&segment).unwrap(),
        }
        if event == "delete and create" {
            step.create(&segment, vec![]).unwrap();
            step.append_internal(&segment, "abcdefghij".into(), vec![]).unwrap();
        }
    };
    for (event, reply) in cases {
        let mut machine = machine_in("bytes");
        evict(&mut machine, ALL);
        read(&mut machine, 1, 4);
        let fetch = fetch(&mut machine, 4, 10);
        happen(event, &mut machine.call(at(3)).1);
        fetched(&mut machine, &fetch, b"456789");
        let woken = woken(&mut machine);
        let [(1, found)] = &woken[..] else { panic!("{event}: {woken:?}") };
        assert!(found.contains(&reply), "{event}: {found}");
        assert_eq!(machine.store.held(), machine.store.recount(), "{event}");
        if event == "delete and create" {
            assert_eq!(read(&mut machine, 1, 4), [data("efghij", true, 4)], "{event}");
        }
        if event == "merge away" {
            let other = machine.store.info(OTHER).unwrap();
            assert_eq!(other.len, 13, "the gap is a part of the target");
        }
    }
}

#[test]
fn a_connection_that_closes_is_not_answered_and_another_read_joins_its_fetch() {
    let mut machine = machine_in("bytes");
    evict(&mut machine, ALL);
    read(&mut machine, 1, 4);
    machine.store.forget_reads(ConnectionId(1));
    read(&mut machine, 2, 4);
    let fetch = fetch(&mut machine, 4, 10);
    fetched(&mut machine, &fetch, b"456789");
    assert_eq!(woken(&mut machine), [(2, data("456789", true, 4))]);
}

#[test]
fn a_segment_that_is_read_in_order_is_fetched_ahead() {
    let mut machine = machine_in("empty");
    let long = vec![7; 3 << 20];
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), long.clone().into(), vec![]).unwrap();
    evict(&mut machine, ALL);
    assert_eq!(read(&mut machine, 1, 0), [""; 0]);
    let first = fetch(&mut machine, 0, 256 << 10);
    fetched(&mut machine, &first, &long[..256 << 10]);
    assert_eq!(woken(&mut machine).len(), 1);
    assert_eq!(read(&mut machine, 1, 256 << 10), [""; 0]);
    fetch(&mut machine, 256 << 10, (256 << 10) + (1 << 20));
    // Elsewhere, no more than a piece.
    assert_eq!(read(&mut machine, 1, 2 << 20), [""; 0]);
    fetch(&mut machine, 2 << 20, (2 << 20) + (256 << 10));
}

#[test]
fn a_client_that_asks_for_several_parts_at_once_reads_in_order() {
    const PIECE: usize = 256 << 10;
    let mut machine = machine_in("empty");
    let long = vec![7; 16 * PIECE];
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), long.clone().into(), vec![]).unwrap();
    evict(&mut machine, ALL);
    let ask = |machine: &mut Machine, piece: usize| {
        assert_eq!(read(machine, 1, (piece * PIECE) as i64), [""; 0]);
    };
    let fetch = |machine: &mut Machine, from: usize, to: usize| {
        let fetch = fetch(machine, (from * PIECE) as u64, (to * PIECE) as u64);
        let bytes = &long[from * PIECE..to * PIECE];
        (fetch, bytes.to_vec())
    };
    let done = |machine: &mut Machine, (fetch, bytes): &(Fetch, Vec<u8>)| {
        fetched(machine, fetch, bytes);
        woken(machine);
    };
    ask(&mut machine, 0);
    let first = fetch(&mut machine, 0, 1);
    ask(&mut machine, 4);
    let second = fetch(&mut machine, 4, 5);
    // Each goes on after the other one was fetched.
    done(&mut machine, &first);
    done(&mut machine, &second);
    ask(&mut machine, 1);
    let third = fetch(&mut machine, 1, 4);
    ask(&mut machine, 5);
    let fourth = fetch(&mut machine, 5, 9);
    // What is asked for before the bytes before it are there goes on, too.
    ask(&mut machine, 9);
    let fifth = fetch(&mut machine, 9, 13);
    [fourth, fifth, third].iter().for_each(|fetch| done(&mut machine, fetch));
    assert_eq!(machine.store.held(), machine.store.recount());
}

#[test]
fn a_search_goes_round_all_segments_and_looks_at_a_part_of_them_each_time() {
    let mut machine = machine_in("absent");
    let mut step = machine.call(at(3)).1;
    for number in 0..2500 {
        let segment = format!("s/many/{number}.#epoch.0").into();
        step.create(&segment, vec![]).unwrap();
        step.append_internal(&segment, "0123456789".into(), vec![]).unwrap();
    }
    // The hand passes each, which was used, and then takes it.
    let freed: Vec<u64> = (0..8).map(|_| machine.store.evict(ALL, u64::MAX)).collect();
    assert!(freed.iter().all(|freed| *freed <= 1000 * 64), "{freed:?}");
    assert_eq!(freed.iter().sum::<u64>(), 2501 * 64, "{freed:?}");
    assert_eq!(machine.store.held(), machine.store.recount());
}

/// A machine over a log, with a segment of four bytes, and another of six that is evicted.
fn machine_with_source() -> Machine {
    let mut machine = machine_with(Durability::Logged);
    let mut step = machine.call(at(1)).1;
    for (segment, data) in [(SEGMENT, "0123"), (OTHER, "456789")] {
        step.create(&segment.into(), vec![]).unwrap();
        step.append_internal(&segment.into(), data.into(), vec![]).unwrap();
    }
    evict(&mut machine, ALL);
    machine
}

#[test]
fn a_read_that_waits_for_what_is_merged_and_not_in_memory_waits_on_until_it_is() {
    let mut machine = machine_with_source();
    assert_eq!(read(&mut machine, 1, 4), [""; 0]);
    machine.call(at(2)).1.merge(&SEGMENT.into(), &OTHER.into(), &[]).unwrap();
    assert_eq!(woken(&mut machine), []);
    let fetch = fetch(&mut machine, 4, 10);
    assert_eq!(fetch.parts, [(SegmentNumber(1), 0..6)]);
    fetched(&mut machine, &fetch, b"456789");
    assert_eq!(woken(&mut machine), [(1, data("456789", true, 4))]);
}

#[test]
fn a_fetch_and_a_look_tell_where_the_bytes_of_merged_segments_are() {
    let mut machine = machine_with_source();
    let mut step = machine.call(at(2)).1;
    step.truncate(&OTHER.into(), Offset(1)).unwrap();
    step.merge(&SEGMENT.into(), &OTHER.into(), &[]).unwrap();
    step.append_internal(&SEGMENT.into(), "abc".into(), vec![]).unwrap();
    evict(&mut machine, ALL);
    let parts = vec![(SegmentNumber(0), 1..4), (SegmentNumber(1), 1..6), (SegmentNumber(0), 9..12)];
    let look = |offset, most| machine.store.look(SEGMENT, offset, most);
    assert_eq!(look(1, 100), Some(Look::Evicted(parts.clone())));
    assert_eq!(look(5, 2), Some(Look::Evicted(vec![(SegmentNumber(1), 2..4)])));
    assert_eq!(look(12, 2), Some(Look::Bytes(Bytes::new())));
    assert_eq!(look(13, 2), None);
    read(&mut machine, 1, 1);
    assert_eq!(fetch(&mut machine, 1, 12).parts, parts);
}

#[test]
fn a_fetch_of_what_was_truncated_before_it_was_taken_has_no_bytes() {
    let mut machine = machine_with_source();
    let mut step = machine.call(at(2)).1;
    step.append_internal(&OTHER.into(), vec![7; 1 << 20].into(), vec![]).unwrap();
    step.merge(&SEGMENT.into(), &OTHER.into(), &[]).unwrap();
    evict(&mut machine, ALL);
    // Both in one step of a connection, so that the fetch is taken after the truncation, which
    // leaves a part of the segment that began before it.
    assert_eq!(read(&mut machine, 1, 10), [""; 0]);
    machine.call(at(3)).1.truncate(&SEGMENT.into(), Offset(1 << 19)).unwrap();
    let [fetch] = <[Fetch; 1]>::try_from(machine.store.take_fetches()).unwrap();
    assert!(fetch.parts.iter().all(|(_, range)| range.is_empty()), "{:?}", fetch.parts);
    fetched(&mut machine, &fetch, b"");
    let woken = woken(&mut machine);
    let [(1, reply)] = &woken[..] else { panic!("{woken:?}") };
    assert!(reply.starts_with("SegmentIsTruncated"), "{reply}");
}

#[test]
fn bytes_after_those_that_were_truncated_while_both_are_fetched_are_looked_for_again() {
    let mut machine = machine_in("bytes");
    evict(&mut machine, ALL);
    read(&mut machine, 1, 4);
    read(&mut machine, 2, 8);
    let first = fetch(&mut machine, 4, 10);
    machine.call(at(3)).1.truncate(&SEGMENT.into(), Offset(7)).unwrap();
    // It joins the same fetch.
    read(&mut machine, 3, 7);
    // The file with what was truncated is gone by then, and nothing was read.
    assert!(!machine.store.lost(&first, Unreadable::Damaged("byte 4 is in no file")));
    let woken_first = woken(&mut machine);
    let [(1, reply)] = &woken_first[..] else { panic!("{woken_first:?}") };
    assert!(reply.starts_with("SegmentIsTruncated"), "{reply}");
    let fetches = machine.store.take_fetches();
    let mut ranges: Vec<_> = fetches.iter().map(|fetch| (fetch.from, fetch.to)).collect();
    ranges.sort_unstable();
    assert_eq!(ranges, [(7, 10), (8, 10)]);
    fetches.iter().for_each(|it| fetched(&mut machine, it, &b"0123456789"[it.from as usize..]));
    let mut found = woken(&mut machine);
    found.sort();
    // The next piece is another one.
    assert_eq!(found, [(2, data("89", true, 8)), (3, data("7", false, 7))]);
    // What is lost without a truncation is so.
    evict(&mut machine, ALL);
    read(&mut machine, 1, 8);
    let lost = fetch(&mut machine, 8, 10);
    assert!(machine.store.lost(&lost, Unreadable::Damaged("byte 8 is in no file")));
    assert!(woken(&mut machine).remove(0).1.contains("error_code: Damaged"));
}

#[test]
fn the_bytes_of_one_segment_are_found_among_many_segments_without_any() {
    let mut machine = machine_with_source();
    let mut step = machine.call(at(2)).1;
    for number in 0..5000 {
        step.create(&format!("s/a-{number}/0.#epoch.0").into(), vec![]).unwrap();
    }
    step.append_internal(&SEGMENT.into(), vec![7; 1 << 20].into(), vec![]).unwrap();
    // The first call passes over what was used lately.
    let freed: u64 = [1, 2].map(|_| machine.store.evict(ALL, 1 << 19)).iter().sum();
    assert!(freed >= 1 << 19, "{freed} bytes were freed");
    // A segment that is gone, and one whose last bytes were truncated away, are passed over.
    let mut step = machine.call(at(3)).1;
    step.append_internal(&OTHER.into(), "more".into(), vec![]).unwrap();
    step.delete(&SEGMENT.into()).unwrap();
    step.truncate(&OTHER.into(), Offset(10)).unwrap();
    assert_eq!(evict(&mut machine, ALL), 0);
}

#[test]
fn a_fetch_of_a_segment_with_many_short_parts_has_some_of_them() {
    let mut machine = machine_with_source();
    let mut step = machine.call(at(2)).1;
    for _ in 0..2000 {
        step.create(&"s/source/0.#epoch.0".into(), vec![]).unwrap();
        step.append_internal(&"s/source/0.#epoch.0".into(), "x".into(), vec![]).unwrap();
        step.merge(&SEGMENT.into(), &"s/source/0.#epoch.0".into(), &[]).unwrap();
    }
    evict(&mut machine, ALL);
    // Each read begins before those that wait already.
    (0..1000).rev().for_each(|offset| drop(read(&mut machine, 1, offset)));
    let fetches = machine.store.take_fetches();
    assert_eq!(fetches.len(), 1000);
    let parts = fetches.iter().map(|fetch| fetch.parts.len());
    assert!(parts.clone().all(|parts| (2..=512).contains(&parts)), "{:?}", parts.max());
    // Those that it has are the first.
    let last = fetches.last().unwrap();
    assert_eq!(last.parts[..2], [(SegmentNumber(0), 0..4), (SegmentNumber(2), 0..1)]);
    fetched(&mut machine, last, b"0123x");
    assert_eq!(woken(&mut machine), [(1, data("0123x", false, 0))]);
}

#[test]
fn a_read_of_what_is_truncated_while_it_is_fetched_is_told_the_start() {
    let mut machine = machine_with_source();
    read(&mut machine, 1, 0);
    read(&mut machine, 2, 3);
    let truncated = |machine: &mut Machine| {
        machine.call(at(2)).1.truncate(&SEGMENT.into(), Offset(2)).unwrap();
    };
    truncated(&mut machine);
    let fetch = fetch(&mut machine, 2, 4);
    assert_eq!(fetch.parts, [(SegmentNumber(0), 2..4)]);
    machine.store.lost(&fetch, Unreadable::Now("a test has lost it"));
    let woken = woken(&mut machine);
    assert!(woken[0].1.contains("SegmentIsTruncated"), "{woken:?}");
    assert!(woken[1].1.contains("a test has lost it"), "{woken:?}");
}

#[test]
fn the_buffers_of_evicted_pieces_are_those_of_the_next_ones_whether_appended_or_fetched() {
    const PIECE: usize = 256 << 10;
    let mut machine = machine_in("none");
    let append = |machine: &mut Machine, pieces: usize| {
        for _ in 0..pieces {
            let (data, segment) = (vec![7; PIECE].into(), SEGMENT.into());
            machine.call(at(3)).1.append_internal(&segment, data, vec![]).unwrap();
        }
    };
    append(&mut machine, 4);
    assert!(evict(&mut machine, ALL) >= 4 * PIECE as u64);
    assert_eq!(machine.store.spare_count(), 4);
    append(&mut machine, 1);
    assert_eq!(machine.store.spare_count(), 3, "an appended piece has the buffer of another");
    assert_eq!(read(&mut machine, 1, 0), [""; 0]);
    let [fetch] = <[Fetch; 1]>::try_from(machine.store.take_fetches()).unwrap();
    fetched(&mut machine, &fetch, &vec![7; PIECE]);
    assert_eq!(machine.store.spare_count(), 2, "a fetched piece has the buffer of another");
    // The buffer of a piece that a reply still has is used again once that was sent.
    let Some(Look::Bytes(reply)) = machine.store.look(SEGMENT, 0, PIECE) else { panic!("evicted") };
    assert!(evict(&mut machine, ALL) >= 2 * PIECE as u64);
    assert_eq!(machine.store.spare_count(), 3);
    assert_eq!(reply.len(), PIECE);
    drop(reply);
    assert_eq!(machine.store.spare_count(), 4);
    // A few more than now may leave memory the next time, and be used after that: none is lost.
    append(&mut machine, 12);
    assert_eq!(machine.store.spare_count(), 0);
    while machine.store.evict(ALL, 4 * PIECE as u64) == 0 {}
    assert_eq!(machine.store.spare_count(), 4);
    append(&mut machine, 2);
    while machine.store.evict(ALL, 2 * PIECE as u64) == 0 {}
    assert_eq!(machine.store.spare_count(), 4);
    // No more are kept than twice as many.
    evict(&mut machine, ALL);
    machine.store.evict(ALL, PIECE as u64);
    assert_eq!(machine.store.spare_count(), 2);
}

#[test]
fn an_append_takes_one_step_however_many_connections_catch_up_from_files() {
    const CONNECTIONS: u64 = 600;
    let mut machine = machine_in("empty");
    let long = vec![7; 3 << 20];
    machine.call(at(3)).1.append_internal(&SEGMENT.into(), long.clone().into(), vec![]).unwrap();
    evict(&mut machine, ALL);
    for connection in 0..CONNECTIONS {
        let offset = (connection * 5000) as i64;
        assert_eq!(read(&mut machine, connection, offset), [""; 0]);
    }
    let mut session = Session::new(ConnectionId(CONNECTIONS), StoreIndex(0));
    let mut ask = |machine: &mut Machine, command: WireCommand| {
        let mut replies = Vec::new();
        session.handle(command, &mut machine.context(at(4), &mut replies)).unwrap();
        let [reply] = &replies[..] else { panic!("{} replies", replies.len()) };
        reply.command.name()
    };
    let (request_id, segment, delegation_token) = (9, OTHER.into(), "".into());
    let set_up = SetupAppend { request_id, writer_id: WRITER, segment, delegation_token };
    assert_eq!(ask(&mut machine, set_up.into()), "AppendSetup");
    let mut append = |machine: &mut Machine, number| {
        let append = AppendBlockEnd {
            writer_id: WRITER,
            size_of_whole_events: 0,
            data: Bytes::from_static(b"data"),
            num_events: 1,
            last_event_number: number,
            request_id,
        };
        assert_eq!(ask(machine, append.into()), "DataAppended");
    };
    let (mut number, mut answered) = (0, 0);
    while answered < CONNECTIONS {
        let fetches = machine.store.take_fetches();
        assert!(!fetches.is_empty(), "{answered} reads are answered");
        for fetch in fetches {
            // Between any two steps of the others, and none of them is long.
            assert!(fetch.to - fetch.from <= 1 << 20, "{} bytes", fetch.to - fetch.from);
            number += 1;
            append(&mut machine, number);
            fetched(&mut machine, &fetch, &long[fetch.from as usize..fetch.to as usize]);
            answered += machine.store.take_woken().len() as u64;
        }
    }
    append(&mut machine, number + 1);
    assert_eq!(machine.store.held(), machine.store.recount());
}
