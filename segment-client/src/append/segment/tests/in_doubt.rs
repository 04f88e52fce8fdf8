//! What may be stored and what is not, when appends of an earlier connection come late.

use pravega_sdk_wire_protocol::commands::{GetStreamSegmentInfo, StreamSegmentInfo};

use super::*;

/// The number and the outcome of each event that failed.
fn failures(rig: &mut Rig) -> Vec<(u32, ErrorKind, Outcome)> {
    let failure = |done: Completion<u32>| {
        let error = done.result.unwrap_err();
        (done.ticket, error.kind(), error.outcome())
    };
    rig.done.drain(..).map(failure).collect()
}

fn error() -> WriteError {
    WriteError::new(ErrorKind::Truncated, Outcome::Unknown, "gone")
}

fn sealed(request_id: i64) -> SegmentIsSealed {
    SegmentIsSealed {
        request_id,
        segment: "s/t/0.#epoch.0".into(),
        server_stack_trace: "".into(),
        offset: 1,
    }
}

fn missing(request_id: i64) -> NoSuchSegment {
    NoSuchSegment {
        request_id,
        segment: "s/t/0.#epoch.0".into(),
        server_stack_trace: "".into(),
        offset: -1,
    }
}

impl Rig {
    /// Answers the question about the seal, which must be the only thing that is sent.
    fn seal_is_durable(&mut self, is_sealed: bool) -> Reply {
        let ask: GetStreamSegmentInfo = match self.send().remove(0) {
            WireCommand::GetStreamSegmentInfo(ask) => ask,
            other => panic!("{other:?}"),
        };
        self.reply(StreamSegmentInfo {
            request_id: ask.request_id,
            segment_name: ask.segment_name,
            exists: true,
            is_sealed,
            is_deleted: false,
            last_modified: 0,
            write_offset: 18,
            start_offset: 0,
        })
    }

    /// Answers the set-up that is sent next.
    fn answer_set_up(&mut self, last_event_number: i64) -> Reply {
        let request_id = match &self.send()[..] {
            [WireCommand::SetupAppend(set_up)] => set_up.request_id,
            other => panic!("{other:?}"),
        };
        let segment = "s/t/0.#epoch.0".into();
        self.reply(AppendSetup { request_id, segment, writer_id: WRITER, last_event_number })
    }

    fn left(&mut self) -> Vec<u32> {
        self.machine.take_items().into_iter().map(|item| item.ticket).collect()
    }
}

#[test]
fn a_late_append_before_the_seal_is_found_by_the_set_up_after_the_seal() {
    for (stored, done, moved) in [(EventNumber::NONE.0, vec![], vec![0, 1]), (1, vec![0], vec![1])]
    {
        let mut rig = Rig::open();
        rig.event(10);
        rig.appends();
        // The connection ends, and the append is still on its way when the next set-up is answered.
        rig.set_up(EventNumber::NONE.0);
        rig.event(10);
        let again = rig.appends();
        assert_eq!(rig.reply(sealed(again[0].request_id)), Reply::Ok);
        assert_eq!(rig.seal_is_durable(true), Reply::Ok);
        assert_eq!(rig.answer_set_up(stored), Reply::Sealed);
        assert_eq!(rig.done().into_iter().map(|(event, _)| event).collect::<Vec<_>>(), done);
        rig.machine.fail_in_doubt(&error(), &mut rig.done);
        assert!(rig.done.is_empty(), "nothing is in doubt after it");
        assert_eq!(rig.left(), moved);
    }
}

#[test]
fn events_of_one_connection_move_at_once_when_the_segment_is_sealed() {
    let mut rig = Rig::open();
    rig.event(10);
    let append = rig.appends().remove(0);
    assert_eq!(rig.reply(sealed(append.request_id)), Reply::Sealed);
    rig.machine.fail_in_doubt(&error(), &mut rig.done);
    assert!(rig.done.is_empty());
    assert_eq!(rig.left(), [0]);
}

#[test]
fn a_refusal_that_overtakes_an_answer_proves_nothing() {
    let mut rig = Rig::open();
    rig.event(10);
    rig.appends();
    rig.event(10);
    let second = rig.appends().remove(0);
    // The first append is stored, and its answer did not come.
    assert_eq!(rig.reply(sealed(second.request_id)), Reply::Ok);
    assert_eq!(rig.seal_is_durable(true), Reply::Ok);
    assert_eq!(rig.answer_set_up(1), Reply::Sealed);
    assert_eq!(rig.done(), [(0, None)]);
    assert_eq!(rig.left(), [1]);
    let mut rig = Rig::open();
    rig.event(10);
    rig.appends();
    rig.event(10);
    let second = rig.appends().remove(0);
    assert_eq!(rig.reply(missing(second.request_id)), Reply::Missing);
    rig.machine.fail_in_doubt(&error(), &mut rig.done);
    let unknown = |event| (event, ErrorKind::Truncated, Outcome::Unknown);
    assert_eq!(failures(&mut rig), [unknown(0), unknown(1)]);
}

#[test]
fn a_seal_that_is_not_durable_yet_is_asked_about_again_on_the_next_connection_too() {
    let mut rig = Rig::open();
    rig.event(10);
    rig.appends();
    rig.set_up(EventNumber::NONE.0);
    let again = rig.appends();
    rig.reply(sealed(again[0].request_id));
    assert!(matches!(rig.seal_is_durable(false), Reply::Again(_)));
    rig.machine.attach(Token::default());
    assert_eq!(rig.seal_is_durable(true), Reply::Ok);
    // The connection ends before the set-up is answered; the seal stays.
    rig.machine.attach(Token::default());
    assert_eq!(rig.answer_set_up(1), Reply::Sealed);
    assert_eq!(rig.done(), [(0, None)]);
}

#[test]
fn a_late_merge_before_the_seal_is_found_by_the_set_up_after_the_seal() {
    let mut rig = Rig::open();
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 50])]));
    let merge = bring_to_merge(&mut rig);
    assert_ne!(merge, 0);
    // The answer to the merge is lost, and the merge is still on its way.
    rig.set_up(EventNumber::NONE.0);
    let merge = bring_to_merge(&mut rig);
    let blames_the_source = SegmentIsSealed { segment: "transient".into(), ..sealed(merge) };
    assert_eq!(rig.reply(blames_the_source), Reply::Ok);
    assert_eq!(rig.seal_is_durable(true), Reply::Ok);
    assert_eq!(rig.answer_set_up(1), Reply::Sealed);
    assert_eq!(rig.done(), [(0, None)]);
}

/// Goes through the transfer of a large event up to its merge. Returns the id of that.
fn bring_to_merge(rig: &mut Rig) -> i64 {
    let request_id = rig.send()[0].request_id().unwrap();
    rig.reply(SegmentCreated { request_id, segment: "transient".into() });
    let sent = rig.send();
    let [WireCommand::SetupAppend(set_up)] = &sent[..] else { panic!("{sent:?}") };
    let (request_id, writer_id) = (set_up.request_id, set_up.writer_id);
    let segment = "transient".into();
    let last_event_number = EventNumber::NONE.0;
    rig.reply(AppendSetup { request_id, segment, writer_id, last_event_number });
    let pieces = rig.send();
    rig.reply(DataAppended {
        writer_id,
        event_number: pieces.len() as i64 - 1,
        previous_event_number: last_event_number,
        request_id: pieces[0].request_id().unwrap(),
        current_segment_write_offset: 58,
    });
    rig.send()[0].request_id().unwrap()
}

#[test]
fn a_large_event_is_in_doubt_from_its_merge_on() {
    let late = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "late");
    let mut rig = Rig::open();
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 50])]));
    rig.send();
    rig.machine.fail_older_than(Duration::ZERO, &late, &mut rig.done);
    assert_eq!(failures(&mut rig), [(0, ErrorKind::Timeout, Outcome::NotApplied)]);
    rig.answer_set_up(EventNumber::NONE.0);
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 50])]));
    bring_to_merge(&mut rig);
    rig.machine.fail_older_than(Duration::ZERO, &late, &mut rig.done);
    assert_eq!(failures(&mut rig), [(1, ErrorKind::Timeout, Outcome::Unknown)]);
    // The set-up finds it merged.
    assert_eq!(rig.answer_set_up(2), Reply::Progress);
}

#[test]
fn what_may_be_stored_in_a_segment_that_is_gone_stays_unknown_and_the_rest_moves() {
    let mut rig = Rig::open();
    rig.event(10);
    rig.appends();
    rig.machine.attach(Token::default());
    rig.event(10);
    let set_up = rig.send()[0].request_id().unwrap();
    assert_eq!(rig.reply(missing(set_up)), Reply::Missing);
    rig.machine.fail_in_doubt(&error(), &mut rig.done);
    assert_eq!(failures(&mut rig), [(0, ErrorKind::Truncated, Outcome::Unknown)]);
    assert_eq!(rig.left(), [1]);
}

#[test]
fn what_a_missing_segment_refused_on_the_only_connection_is_not_stored() {
    let mut rig = Rig::open();
    rig.event(10);
    let append = rig.appends().remove(0);
    assert_eq!(rig.reply(missing(append.request_id)), Reply::Missing);
    rig.machine.fail_in_doubt(&error(), &mut rig.done);
    assert!(rig.done.is_empty());
    assert_eq!(rig.left(), [0]);
}

#[test]
fn an_event_that_fails_in_flight_leaves_its_block_to_the_others() {
    let mut rig = Rig::open();
    let enqueued = [5, 1, 5].map(Duration::from_secs);
    for at in enqueued {
        let payload = Payload::Event(Bytes::from_static(b"0123456789"));
        let content = Content::Routed { position: 0.0, payload };
        rig.machine.push(Item::new(content, at, 0, rig.next));
        rig.next += 1;
    }
    let block = rig.appends().remove(0);
    assert_eq!((block.event_count, block.event_number), (3, 3));
    let late = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "late");
    rig.machine.fail_older_than(Duration::from_secs(1), &late, &mut rig.done);
    assert_eq!(failures(&mut rig), [(1, ErrorKind::Timeout, Outcome::Unknown)]);
    assert!(rig.appends().is_empty(), "nothing is sent again");
    rig.event(10);
    let next = rig.appends().remove(0);
    assert_eq!((next.event_count, next.event_number), (1, 4));
    assert_eq!(rig.ack(&block, i64::MIN, 54), Reply::Progress);
    assert_eq!(rig.done(), [(0, None), (2, None)], "the block has a hole, its offsets are unknown");
    assert_eq!(rig.ack(&next, 3, 72), Reply::Progress);
    assert_eq!(rig.done(), [(3, Some(54))]);
    assert!(rig.machine.is_empty() && !rig.machine.is_waiting());
}

#[test]
fn a_block_of_which_every_event_failed_is_still_acknowledged() {
    let mut rig = Rig::open();
    rig.event(10);
    let block = rig.appends().remove(0);
    let late = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "late");
    rig.machine.fail_older_than(Duration::ZERO, &late, &mut rig.done);
    rig.done.clear();
    assert!(rig.machine.is_empty() && rig.machine.is_waiting());
    assert_eq!(rig.ack(&block, i64::MIN, 18), Reply::Progress);
    assert!(!rig.machine.is_waiting() && rig.done.is_empty());
}

#[test]
fn a_refused_condition_is_settled_only_if_an_earlier_attempt_is_refused_too() {
    let condition_failed = |append: &Append| ConditionalCheckFailed {
        writer_id: WRITER,
        event_number: append.event_number,
        request_id: append.request_id,
    };
    // Sent once.
    let mut rig = Rig::open();
    rig.condition(b"c", 90);
    let append = rig.appends().remove(0);
    rig.reply(condition_failed(&append));
    assert_eq!(failures(&mut rig), [(0, ErrorKind::ConditionFailed, Outcome::NotApplied)]);
    // Sent twice: the segment may be shorter than the offset, and reach it before the first
    // attempt arrives.
    let mut rig = Rig::open();
    rig.condition(b"c", 90);
    rig.appends();
    rig.set_up(EventNumber::NONE.0);
    let append = rig.appends().remove(0);
    rig.reply(condition_failed(&append));
    assert_eq!(failures(&mut rig), [(0, ErrorKind::ConditionFailed, Outcome::Unknown)]);
    // Sent twice, at an offset that the segment is known to have had.
    let mut rig = Rig::open();
    rig.event(10);
    let append = rig.appends().remove(0);
    rig.ack(&append, i64::MIN, 90);
    rig.done();
    rig.condition(b"c", 90);
    rig.appends();
    rig.set_up(1);
    let append = rig.appends().remove(0);
    rig.reply(condition_failed(&append));
    assert_eq!(failures(&mut rig), [(1, ErrorKind::ConditionFailed, Outcome::NotApplied)]);
}

/// What becomes of bytes at 10 that were sent on two connections, of which the second is refused,
/// with or without those before them.
fn refused_bytes(are_first_stored: bool, bugs: Bugs) -> (u32, ErrorKind, Outcome) {
    let bytes = |offset| Content::Pinned {
        offset: Offset(offset),
        payload: Pinned::Bytes(Bytes::from_static(b"0123456789")),
    };
    let mut rig = Rig::open();
    rig.machine.bugs = bugs;
    rig.push_content(bytes(0));
    let first = rig.appends().remove(0);
    let stored = if are_first_stored { 1 } else { EventNumber::NONE.0 };
    if are_first_stored {
        rig.ack(&first, i64::MIN, 10);
    } else {
        rig.set_up(stored);
        rig.machine.fail_older_than(Duration::ZERO, &error(), &mut rig.done);
    }
    rig.done.clear();
    rig.push_content(bytes(10));
    rig.appends();
    rig.set_up(stored);
    let append = rig.appends().remove(0);
    let refused = rig.reply(ConditionalCheckFailed {
        writer_id: WRITER,
        event_number: append.event_number,
        request_id: append.request_id,
    });
    let Reply::Refused(kind, detail) = refused else { panic!("{refused:?}") };
    let error = WriteError::new(kind, Outcome::NotApplied, detail);
    rig.machine.fail_all(&error, &mut rig.done);
    failures(&mut rig).remove(0)
}

#[test]
fn refused_bytes_are_in_doubt_if_bytes_before_them_are_missing() {
    // The stream was as long as their offset, and is longer: the first attempt is refused too.
    let settled = (1, ErrorKind::ConditionFailed, Outcome::NotApplied);
    assert_eq!(refused_bytes(true, Bugs::default()), settled);
    // It is shorter: another writer may add as much as is missing before the first attempt arrives.
    let in_doubt = (1, ErrorKind::ConditionFailed, Outcome::Unknown);
    assert_eq!(refused_bytes(false, Bugs::default()), in_doubt);
    #[cfg(feature = "seeded-bugs")]
    {
        let bug = crate::seeded_bugs::SeededBug::TrustsRefusedBytes;
        assert_eq!(refused_bytes(false, Bugs::new(bug)), settled, "the bug is what it was");
    }
}

#[test]
fn a_large_event_does_not_begin_while_blocks_are_in_flight() {
    let mut rig = Rig::open();
    rig.event(10);
    let block = rig.appends().remove(0);
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 50])]));
    // As a writer does that queued the segment before.
    let mut out = SendBuffer::new();
    rig.machine.transmit(&mut out);
    assert_eq!(out.remaining(), 0);
    assert_eq!(rig.ack(&block, i64::MIN, 18), Reply::Progress);
    assert!(matches!(rig.send()[..], [WireCommand::CreateTransientSegment(_)]));
}
