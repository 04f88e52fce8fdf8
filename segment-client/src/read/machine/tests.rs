//! Scripts for the read machine, and its table of states and events.

mod contradictions;
mod table;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_types::{Backoff, ErrorKind, Offset, ScopedSegment, SegmentOffset};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{
        AuthTokenCheckFailed, ErrorMessage, NoSuchSegment, SegmentIsSealed, SegmentIsTruncated,
        SegmentRead, StreamSegmentInfo,
    },
};

use super::{delivery::*, state::*};
use crate::{
    machine::{Location, LookupError, Misbehaviour, Now, Token},
    seeded_bugs::Bugs,
};

const BUDGET: usize = 1 << 20;

struct Rig {
    machine: ReadMachine,
    now: Now,
    /// The last question for the length of each segment.
    questions: BTreeMap<ReaderId, u64>,
}

fn location(port: u16) -> Location {
    Location { endpoint: format!("store:{port}").parse().unwrap(), token: Token::default() }
}

fn segment(number: u32) -> Arc<ScopedSegment> {
    Arc::new(format!("s/t/{number}.#epoch.0").parse().unwrap())
}

fn lost() -> LookupError {
    LookupError { kind: ErrorKind::ConnectionLost, cause: Misbehaviour("cut".to_owned()).into() }
}

/// What the machine asked for.
#[derive(Debug, PartialEq)]
enum Asked {
    Read { reader: ReaderId, read: u64, offset: i64, len: i32, kind: ReadKind },
    Inspect(ReaderId),
    Other(Effect),
}

impl Rig {
    fn new(max_read: usize) -> Self {
        let settings = Settings {
            budget: BUDGET,
            max_read,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            stall_timeout: Duration::from_secs(60),
            bugs: Bugs::default(),
        };
        // The longest back-off that jitter allows, so that waits are known.
        let machine = ReadMachine::new(settings, Box::new(|| u64::MAX));
        Self { machine, now: Duration::ZERO, questions: BTreeMap::new() }
    }

    /// A segment that is open and located.
    fn open(&mut self, number: u32, from: StartOffset, limit: Option<i64>) -> ReaderId {
        let reader = self.machine.open(segment(number), from, limit.map(Offset));
        assert_eq!(self.asked(), [Asked::Other(Effect::Locate(reader, segment(number)))]);
        self.machine.handle_located(reader, Ok(location(1)), self.now);
        reader
    }

    fn asked(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.machine.poll_effect(self.now))
            .map(|effect| match effect {
                Effect::Read { reader, read, request, kind, .. } => Asked::Read {
                    reader,
                    read,
                    offset: request.offset,
                    len: request.suggested_length,
                    kind,
                },
                Effect::Inspect { reader, question, .. } => {
                    self.questions.insert(reader, question);
                    Asked::Inspect(reader)
                }
                other => Asked::Other(other),
            })
            .collect()
    }

    /// Returns the only read that is asked for.
    fn read(&mut self) -> (u64, i64, i32, ReadKind) {
        match self.asked()[..] {
            [Asked::Read { read, offset, len, kind, .. }] => (read, offset, len, kind),
            ref other => panic!("{other:?}"),
        }
    }

    fn data(&mut self, reader: ReaderId, read: u64, offset: i64, len: usize, at_tail: bool) {
        let data = vec![7; len].into();
        let reply = SegmentRead {
            segment: "s".into(),
            offset,
            at_tail,
            end_of_segment: false,
            data,
            request_id: 1,
        };
        self.machine.handle_read(reader, read, Ok(reply.into()), self.now);
    }

    fn info(&mut self, reader: ReaderId, start_offset: i64, write_offset: i64, is_sealed: bool) {
        let info = StreamSegmentInfo {
            request_id: 1,
            segment_name: "s".into(),
            exists: true,
            is_sealed,
            is_deleted: false,
            last_modified: 0,
            write_offset,
            start_offset,
        };
        let question = self.question(reader);
        self.machine.handle_inspected(reader, question, Ok(info.into()), self.now);
    }

    fn question(&self, reader: ReaderId) -> u64 {
        self.questions.get(&reader).copied().unwrap_or_default()
    }

    fn delivered(&mut self) -> Option<Delivery> {
        self.machine.poll_delivery().map(|(_, delivery)| delivery)
    }
}

#[test]
fn at_the_tail_one_read_waits_and_the_next_follows_its_bytes() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(100)), None);
    let (read, offset, len, kind) = rig.read();
    assert_eq!((offset, len, kind), (100, 256 << 10, ReadKind::Tail));
    rig.data(reader, read, 100, 10, true);
    // The next read follows before the bytes are taken.
    let (_, offset, _, kind) = rig.read();
    assert_eq!((offset, kind), (110, ReadKind::Tail));
    let Some(Delivery::Data { offset, data }) = rig.delivered() else { panic!("no data") };
    assert_eq!((offset, data.len()), (Offset(100), 10));
    assert!(rig.delivered().is_none());
}

#[test]
fn before_the_tail_several_reads_are_in_flight_within_the_budget_over_all_segments() {
    let mut rig = Rig::new(64 << 10);
    let mut readers = Vec::new();
    for number in 0..2 {
        let reader = rig.open(number, StartOffset::Known(Offset(0)), None);
        let (read, ..) = rig.read();
        rig.data(reader, read, 0, 64 << 10, false);
        readers.push(reader);
        // There is more, so the length is asked for.
        let asked = rig.asked();
        assert!(asked.contains(&Asked::Inspect(reader)), "{asked:?}");
    }
    for reader in &readers {
        rig.info(*reader, 0, 100 << 20, false);
    }
    let asked = rig.asked();
    let of = |reader| {
        asked
            .iter()
            .filter(|asked| matches!(asked, Asked::Read { reader: of, .. } if *of == reader))
            .count()
    };
    assert!(of(readers[0]) >= 2 && of(readers[1]) >= 2, "both have their share: {asked:?}");
    assert!(rig.machine.asked + rig.machine.held <= BUDGET / 2);
    // Nothing more before bytes are released.
    assert_eq!(rig.asked(), []);
    let Some(Delivery::Data { data, .. }) = rig.delivered() else { panic!("nothing came") };
    assert_eq!(rig.asked(), []);
    rig.machine.release(data.len());
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn one_segment_exceeds_the_budget_if_nothing_would_move_otherwise() {
    let mut rig = Rig::new(64 << 10);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let (mut read, mut offset, ..) = rig.read();
    rig.data(reader, read, 0, 64 << 10, false);
    rig.info(reader, 0, 100 << 20, false);
    // An event of many megabytes: the caller keeps all bytes that it takes.
    let mut kept = 0;
    while kept < 3 * BUDGET {
        for asked in rig.asked() {
            if let Asked::Read { read: id, offset: at, len, .. } = asked {
                (read, offset) = (id, at);
                rig.data(reader, read, offset, len as usize, false);
            }
        }
        match rig.delivered() {
            Some(Delivery::Data { data, .. }) => kept += data.len(),
            other => panic!("{other:?} after {kept}, asked up to {offset}"),
        }
    }
    assert!(rig.machine.held >= 3 * BUDGET);
}

#[test]
fn a_segment_that_exceeds_the_budget_and_gets_no_answer_does_not_keep_others_waiting() {
    let mut rig = Rig::new(64 << 10);
    let mut readers = Vec::new();
    for number in 0..2 {
        let reader = rig.machine.open(segment(number), StartOffset::Claimed(Offset(0)), None);
        rig.machine.handle_located(reader, Ok(location(1)), rig.now);
        readers.push(reader);
    }
    rig.asked();
    for reader in &readers {
        rig.info(*reader, 0, 100 << 20, false);
    }
    // The caller keeps the bytes of an event of many megabytes.
    let exceeds = loop {
        let asked = rig.asked();
        if rig.machine.held > BUDGET {
            let [Asked::Read { reader, .. }] = asked[..] else { panic!("{asked:?}") };
            break reader;
        }
        for asked in asked {
            if let Asked::Read { reader, read, offset, len, .. } = asked {
                rig.data(reader, read, offset, len as usize, false);
            }
        }
        while rig.delivered().is_some() {}
        // Reads before the last one are older.
        rig.now += Duration::from_millis(100);
    };
    // Its store does not answer from now on.
    let silent_since = rig.now;
    let reader = loop {
        rig.now = rig.machine.timeout().expect("the read may be late");
        rig.machine.handle_timeout(rig.now);
        if let [Asked::Read { reader, .. }] = rig.asked()[..] {
            break reader;
        }
    };
    assert_ne!(reader, exceeds);
    assert_eq!(rig.now, silent_since + Duration::from_secs(1));
}

/// Four segments of 100 MiB, of which the first two do not answer reads.
fn half_stuck() -> (Rig, Vec<ReaderId>) {
    let mut rig = Rig::new(64 << 10);
    let mut readers = Vec::new();
    for number in 0..4 {
        let reader = rig.machine.open(segment(number), StartOffset::Claimed(Offset(0)), None);
        rig.machine.handle_located(reader, Ok(location(1)), rig.now);
        readers.push(reader);
    }
    rig.asked();
    for reader in &readers {
        rig.info(*reader, 0, 100 << 20, false);
    }
    (rig, readers)
}

/// Answers the reads of the last two segments, and takes their bytes; returns how many reads.
fn serve_healthy(rig: &mut Rig, readers: &[ReaderId]) -> usize {
    let mut served = 0;
    for asked in rig.asked() {
        match asked {
            Asked::Read { reader, read, offset, len, .. } if readers[2..].contains(&reader) => {
                rig.data(reader, read, offset, len as usize, false);
                served += 1;
            }
            _ => {}
        }
    }
    while let Some(Delivery::Data { data, .. }) = rig.delivered() {
        rig.machine.release(data.len());
    }
    served
}

#[test]
fn reads_without_an_answer_do_not_keep_other_segments_from_one_read_each() {
    let (mut rig, readers) = half_stuck();
    // The two that are stuck take what the others release, until they have the whole budget.
    while serve_healthy(&mut rig, &readers) > 0 {}
    assert_eq!(rig.machine.asked, BUDGET / 2);
    // After a second the others read on, one read each.
    rig.now = rig.machine.timeout().expect("the budget is used up");
    assert_eq!(rig.now, Duration::from_secs(1));
    rig.machine.handle_timeout(rig.now);
    assert_eq!(rig.machine.late, BUDGET / 2);
    for _ in 0..20 {
        assert_eq!(serve_healthy(&mut rig, &readers), 2);
    }
    // The bytes of late reads are taken, and everything is as it was.
    let late: Vec<(ReaderId, u64, i64, usize)> = readers[..2]
        .iter()
        .flat_map(|id| rig.machine.readers[id].reads.iter().map(|(read, it)| (*id, *read, *it)))
        .map(|(id, read, it)| (id, read, it.offset.0, it.len))
        .collect();
    for (id, read, offset, len) in late {
        rig.data(id, read, offset, len, false);
    }
    assert_eq!(rig.machine.late, 0);
    while let Some(Delivery::Data { data, .. }) = rig.delivered() {
        rig.machine.release(data.len());
    }
    rig.asked();
    assert!(rig.machine.asked <= BUDGET / 2);
}

#[test]
fn late_reads_of_a_segment_that_is_closed_no_longer_count() {
    let (mut rig, readers) = half_stuck();
    while serve_healthy(&mut rig, &readers) > 0 {}
    rig.now = rig.machine.timeout().unwrap();
    rig.machine.handle_timeout(rig.now);
    for reader in &readers {
        rig.machine.close(*reader);
    }
    assert_eq!((rig.machine.asked, rig.machine.late, rig.machine.held), (0, 0, 0));
}

#[test]
fn a_lost_connection_is_tried_again_and_the_controller_asked_from_the_second_time_on() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let mut wait = Duration::from_millis(100);
    for attempt in 1..6 {
        let read = match rig.asked()[..] {
            [Asked::Read { read, .. }] => read,
            // After a failure the length is asked for first.
            [Asked::Inspect(_)] => {
                rig.info(reader, 0, 0, false);
                rig.read().0
            }
            ref other => panic!("{other:?}"),
        };
        rig.machine.handle_read(reader, read, Err(lost()), rig.now);
        let forgotten = Asked::Other(Effect::Forget(segment(0), location(1).endpoint));
        assert_eq!(rig.asked().contains(&forgotten), attempt > 1, "attempt {attempt}");
        assert_eq!(rig.machine.timeout(), Some(rig.now + wait));
        rig.now += wait;
        wait *= 2;
        rig.machine.handle_timeout(rig.now);
        assert_eq!(rig.asked(), [Asked::Other(Effect::Locate(reader, segment(0)))]);
        rig.machine.handle_located(reader, Ok(location(1)), rig.now);
    }
}

#[test]
fn every_end_of_a_segment_is_delivered_once_after_the_bytes_before_it() {
    type Refusal = fn(i64) -> WireCommand;
    let sealed: Refusal = |offset| {
        let (segment, server_stack_trace) = ("s".into(), "".into());
        SegmentIsSealed { request_id: 1, segment, server_stack_trace, offset }.into()
    };
    let missing: Refusal = |offset| {
        let (segment, server_stack_trace) = ("s".into(), "".into());
        NoSuchSegment { request_id: 1, segment, server_stack_trace, offset }.into()
    };
    for (refusal, name) in [(sealed, "End"), (missing, "Missing")] {
        let mut rig = Rig::new(MAX_READ);
        let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
        let (read, ..) = rig.read();
        rig.data(reader, read, 0, 10, true);
        let (read, ..) = rig.read();
        rig.machine.handle_read(reader, read, Ok(refusal(10)), rig.now);
        assert!(matches!(rig.delivered(), Some(Delivery::Data { .. })));
        assert!(format!("{:?}", rig.delivered().unwrap()).starts_with(name));
        assert!(rig.delivered().is_none());
        assert_eq!(rig.asked(), []);
    }
}

#[test]
fn truncation_moves_a_reader_on_and_is_delivered_with_both_offsets() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let (read, ..) = rig.read();
    let truncated = SegmentIsTruncated {
        request_id: 1,
        segment: "s".into(),
        start_offset: 500,
        server_stack_trace: "".into(),
        offset: 0,
    };
    rig.machine.handle_read(reader, read, Ok(truncated.into()), rig.now);
    assert!(matches!(
        rig.delivered(),
        Some(Delivery::Truncated { asked: Offset(0), head: Offset(500) })
    ));
    assert_eq!(rig.read().1, 500);
}

#[test]
fn a_limit_ends_a_segment_exactly_there() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), Some(20));
    let (read, _, len, _) = rig.read();
    assert_eq!(len, 20);
    // A store answers with at least 8 bytes, which may be more than was asked for.
    rig.data(reader, read, 0, 16, true);
    let (read, offset, len, _) = rig.read();
    assert_eq!((offset, len), (16, 4));
    rig.data(reader, read, 16, 8, true);
    let lens: Vec<usize> = (0..2).map(|_| rig.delivered().unwrap().len()).collect();
    assert_eq!(lens, [16, 4]);
    assert!(matches!(rig.delivered(), Some(Delivery::End { offset: Offset(20) })));
}

#[test]
fn a_start_at_the_tail_is_not_after_the_limit() {
    for (length, end) in [(100, 50), (50, 50), (30, 30)] {
        let mut rig = Rig::new(MAX_READ);
        let reader = rig.open(0, StartOffset::Tail, Some(50));
        rig.asked();
        rig.info(reader, 0, length, true);
        let delivered = rig.delivered();
        assert!(
            matches!(delivered, Some(Delivery::End { offset }) if offset == Offset(end)),
            "{length} bytes: {delivered:?}"
        );
    }
}

#[test]
fn a_claim_is_checked_before_anything_is_read() {
    for (claim, length, expected) in
        [(50, 100, Some(50)), (-1, 100, Some(100)), (100, 100, Some(100)), (101, 100, None)]
    {
        let mut rig = Rig::new(MAX_READ);
        let reader = rig.open(0, StartOffset::claimed(SegmentOffset::from_wire(claim)), None);
        assert_eq!(rig.asked(), [Asked::Inspect(reader)]);
        rig.info(reader, 0, length, false);
        match expected {
            Some(offset) => assert_eq!(rig.read().1, offset),
            None => {
                assert!(matches!(rig.delivered(), Some(Delivery::Short { length: Offset(100) })));
            }
        }
    }
}

#[test]
fn a_length_is_compared_with_what_was_known_when_it_was_asked_for() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let (read, ..) = rig.read();
    // The beginning of an event of 300 bytes.
    rig.data(reader, read, 0, 100, true);
    let (read, ..) = rig.read();
    rig.machine.expect(reader, Offset(300));
    assert_eq!(rig.asked(), [Asked::Inspect(reader)]);
    // Before the answer, the rest of the event and the beginning of the next arrive.
    rig.data(reader, read, 100, 250, true);
    rig.machine.expect(reader, Offset(600));
    rig.info(reader, 0, 300, false);
    let lens: Vec<usize> = std::iter::from_fn(|| rig.delivered()).map(|it| it.len()).collect();
    assert_eq!(lens, [100, 250], "an older length is no reason to end");
    // The length is asked for again, and this answer is judged by what is expected by now.
    assert!(rig.asked().contains(&Asked::Inspect(reader)));
    rig.info(reader, 0, 350, false);
    assert!(matches!(rig.delivered(), Some(Delivery::Short { length: Offset(350) })));
}

#[test]
fn the_answer_to_a_question_that_was_given_up_is_ignored() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let (read, ..) = rig.read();
    rig.data(reader, read, 0, 100, true);
    let (read, ..) = rig.read();
    rig.machine.expect(reader, Offset(300));
    assert_eq!(rig.asked(), [Asked::Inspect(reader)]);
    let first = rig.question(reader);
    // The connection of the read is lost, but not the question, which is only slow.
    rig.machine.handle_read(reader, read, Err(lost()), rig.now);
    rig.now = rig.machine.timeout().unwrap();
    rig.machine.handle_timeout(rig.now);
    rig.machine.handle_located(reader, Ok(location(2)), rig.now);
    assert!(rig.asked().contains(&Asked::Inspect(reader)));
    let second = rig.questions.insert(reader, first).unwrap();
    // An answer of before the rest of the event was appended.
    rig.info(reader, 0, 100, false);
    assert!(matches!(rig.delivered(), Some(Delivery::Data { .. })));
    assert!(rig.delivered().is_none());
    rig.questions.insert(reader, second);
    rig.info(reader, 0, 300, false);
    assert!(rig.delivered().is_none());
}

#[test]
fn bytes_of_a_closed_segment_are_dropped() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let (read, ..) = rig.read();
    rig.machine.close(reader);
    assert_eq!(rig.asked(), [Asked::Other(Effect::Abandon(reader))]);
    rig.data(reader, read, 0, 10, true);
    assert!(rig.delivered().is_none());
    assert_eq!((rig.machine.asked, rig.machine.held), (0, 0));
}

#[test]
fn a_newer_token_is_presented_from_then_on_and_is_the_one_that_is_forgotten() {
    let token = |text: &'static str| Token(text.into());
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.machine.open(segment(0), StartOffset::Known(Offset(0)), None);
    assert_eq!(rig.asked().len(), 1);
    let found = Location { token: token("first"), ..location(1) };
    rig.machine.handle_located(reader, Ok(found), rig.now);
    let presented = |rig: &mut Rig| match rig.machine.poll_effect(rig.now) {
        Some(Effect::Read { read, request, .. }) => (read, request.delegation_token),
        other => panic!("{other:?}"),
    };
    let (read, first) = presented(&mut rig);
    rig.machine.handle_renewed(reader, token("second"));
    rig.data(reader, read, 0, 10, true);
    let (read, second) = presented(&mut rig);
    assert_eq!((&*first, &*second), ("first", "second"));
    let error_code = TokenFailure::Expired;
    let server_stack_trace = "".into();
    let refusal = AuthTokenCheckFailed { request_id: 1, server_stack_trace, error_code };
    rig.machine.handle_read(reader, read, Ok(refusal.into()), rig.now);
    let forgotten = Effect::TokenExpired(segment(0), token("second"));
    assert_eq!(rig.machine.poll_effect(rig.now), Some(forgotten));
}

#[test]
fn damage_is_reported_at_once_and_again_while_it_lasts_and_reading_goes_on_once_it_is_repaired() {
    let mut rig = Rig::new(MAX_READ);
    let reader = rig.open(0, StartOffset::Known(Offset(0)), None);
    let damaged = |rig: &mut Rig, read: u64, place: &str| {
        let (segment, message) = ("s".into(), format!("log-00000001 is damaged at {place}").into());
        let error_code = FailureCode::Damaged;
        let reply = ErrorMessage { request_id: 1, segment, message, error_code };
        rig.machine.handle_read(reader, read, Ok(reply.into()), rig.now);
        match rig.delivered() {
            None => false,
            Some(Delivery::Stalled(error)) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.ends_with(&format!("log-00000001 is damaged at {place}")), "{cause}");
                true
            }
            Some(other) => panic!("{other:?}"),
        }
    };
    let again = |rig: &mut Rig| {
        rig.now = rig.machine.timeout().unwrap();
        rig.machine.handle_timeout(rig.now);
        rig.asked();
        rig.machine.handle_located(reader, Ok(location(1)), rig.now);
        let mut asked = rig.asked();
        if asked.contains(&Asked::Inspect(reader)) {
            rig.info(reader, 0, 1000, false);
            asked.extend(rig.asked());
        }
        let read = asked.into_iter().find_map(|asked| match asked {
            Asked::Read { read, .. } => Some(read),
            _ => None,
        });
        read.expect("it is read again")
    };
    let (mut read, ..) = rig.read();
    let mut told = Vec::new();
    while rig.now < Duration::from_secs(140) {
        if damaged(&mut rig, read, "byte 7") {
            told.push(rig.now.as_secs());
        }
        read = again(&mut rig);
    }
    assert!(matches!(told[..], [0, 60..75, 120..140]), "{told:?}");
    assert!(damaged(&mut rig, read, "byte 9"), "it is another one");
    read = again(&mut rig);
    rig.data(reader, read, 0, 10, true);
    assert_eq!(rig.delivered().unwrap().len(), 10);
}
