//! Scripts for the append machine, and its table of states and events.

mod full;
mod in_doubt;
mod table;

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, EventNumber, Offset, Outcome, ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, Decoder, FlowId, SendBuffer, WireCommand,
    commands::{
        AppendSetup, ConditionalCheckFailed, DataAppended, NoSuchSegment, OperationUnsupported,
        SegmentCreated, SegmentIsSealed, SegmentsMerged, SetupAppend, WrongHost,
    },
};
use uuid::Uuid;

use super::{item::*, machine::*};
use crate::{error::WriteError, machine::Token, seeded_bugs::Bugs};

const LIMITS: Limits =
    Limits { max_block_bytes: 1 << 20, max_blocks_in_flight: 4, piece_bytes: 100 };
const WRITER: Uuid = Uuid::from_u128(7);

/// A machine, and what a store makes of its commands.
struct Rig {
    machine: AppendMachine<u32>,
    assembler: AppendAssembler,
    done: Vec<Completion<u32>>,
    next: u32,
}

impl Rig {
    fn new() -> Self {
        let segment: ScopedSegment = "s/t/0.#epoch.0".parse().unwrap();
        let name = segment.to_string().into();
        let machine = AppendMachine::new(
            Arc::new(segment),
            name,
            WriterId(WRITER),
            FlowId(3),
            LIMITS,
            Bugs::default(),
        );
        Self { machine, assembler: AppendAssembler::new(), done: Vec::new(), next: 0 }
    }

    fn open() -> Self {
        let mut rig = Self::new();
        rig.set_up(EventNumber::NONE.0);
        rig
    }

    /// Attaches and answers the set-up.
    fn set_up(&mut self, stored: i64) -> Reply {
        self.machine.attach(Token::default());
        self.assembler = AppendAssembler::new();
        let request_id = match &self.send()[..] {
            [WireCommand::SetupAppend(set_up)] => set_up.request_id,
            other => panic!("{other:?}"),
        };
        self.handle(AppendSetup {
            request_id,
            segment: "".into(),
            writer_id: WRITER,
            last_event_number: stored,
        })
    }

    fn push(&mut self, payload: Payload) {
        self.push_content(Content::Routed { position: 0.0, payload });
    }

    fn push_content(&mut self, content: Content) {
        self.machine.push(Item::new(content, Duration::ZERO, 0, self.next));
        self.next += 1;
    }

    fn condition(&mut self, event: &'static [u8], offset: i64) {
        let payload = Pinned::Event(Bytes::from_static(event));
        self.push_content(Content::Pinned { offset: Offset(offset), payload });
    }

    fn event(&mut self, len: usize) {
        self.push(Payload::Event(Bytes::from(vec![b'x'; len])));
    }

    /// Everything that the machine sends now.
    fn send(&mut self) -> Vec<WireCommand> {
        let mut out = SendBuffer::new();
        while self.machine.wants_to_send() {
            self.machine.transmit(&mut out);
        }
        let mut bytes = BytesMut::from(&out.to_vec()[..]);
        out.advance(out.remaining());
        std::iter::from_fn(|| Decoder::default().decode(&mut bytes).unwrap()).collect()
    }

    /// The appends among what the machine sends now.
    fn appends(&mut self) -> Vec<Append> {
        let sent = self.send();
        sent.into_iter().filter_map(|command| self.assembler.handle(command).unwrap()).collect()
    }

    fn handle(&mut self, command: impl Into<WireCommand>) -> Reply {
        if let command @ WireCommand::AppendSetup(_) = command.into() {
            let set_up = SetupAppend {
                request_id: 0,
                writer_id: WRITER,
                segment: "s/t/0.#epoch.0".into(),
                delegation_token: "".into(),
            };
            self.assembler.handle(set_up.into()).unwrap();
            return self.machine.handle(command, &mut self.done);
        }
        panic!("use ack or reply");
    }

    fn reply(&mut self, command: impl Into<WireCommand>) -> Reply {
        self.machine.handle(command.into(), &mut self.done)
    }

    fn ack(&mut self, append: &Append, previous: i64, end: i64) -> Reply {
        self.reply(DataAppended {
            writer_id: WRITER,
            event_number: append.event_number,
            previous_event_number: previous,
            request_id: append.request_id,
            current_segment_write_offset: end,
        })
    }

    /// The ticket and the offset of each event that is done.
    fn done(&mut self) -> Vec<(u32, Option<i64>)> {
        let offset = |done: Completion<u32>| {
            (done.ticket, done.result.unwrap().offset().map(|offset| offset.0))
        };
        self.done.drain(..).map(offset).collect()
    }
}

#[test]
fn two_small_blocks_go_at_once_and_later_events_go_together() {
    let mut rig = Rig::open();
    rig.event(10);
    assert_eq!(rig.appends().len(), 1);
    rig.event(10);
    let second = rig.appends();
    assert_eq!((second.len(), second[0].event_number), (1, 2));
    (0..5).for_each(|_| rig.event(10));
    assert!(rig.appends().is_empty(), "two are in flight, and the waiting events are small");
    let first = Append { event_number: 1, ..second[0].clone() };
    assert_eq!(rig.ack(&first, i64::MIN, 18), Reply::Progress);
    let third = rig.appends();
    assert_eq!((third.len(), third[0].event_count, third[0].event_number), (1, 5, 7));
}

#[test]
fn large_blocks_fill_the_window_and_no_more() {
    let mut rig = Rig::open();
    (0..10).for_each(|_| rig.event(LARGE_BLOCK_BYTES.max(LIMITS.max_block_bytes / 2)));
    assert_eq!(rig.appends().len(), LIMITS.max_blocks_in_flight);
}

#[test]
fn an_ack_gives_the_offset_of_each_event_of_its_block_and_of_no_other() {
    let mut rig = Rig::open();
    rig.event(10);
    let first = rig.appends();
    rig.event(2);
    rig.event(3);
    let second = rig.appends();
    assert_eq!(rig.ack(&first[0], i64::MIN, 118), Reply::Progress);
    assert_eq!(rig.done(), [(0, Some(100))]);
    assert_eq!(rig.ack(&second[0], 1, 500), Reply::Progress);
    assert_eq!(rig.done(), [(1, Some(479)), (2, Some(489))]);
    rig.event(10);
    rig.appends();
    rig.event(10);
    let last = rig.appends();
    assert_eq!(rig.ack(&last[0], 3, 1000), Reply::Progress);
    assert_eq!(
        rig.done(),
        [(3, None), (4, Some(982))],
        "events of other writers may be between the two blocks"
    );
    assert_eq!(rig.machine.tail_offset(), Some(Offset(1000)));
}

#[test]
fn an_end_of_the_segment_that_is_within_the_block_leaves_the_offset_unknown() {
    let mut rig = Rig::open();
    rig.event(10);
    let append = rig.appends().remove(0);
    assert_eq!(rig.ack(&append, i64::MIN, 17), Reply::Progress);
    assert_eq!(rig.done(), [(0, None)]);
}

#[test]
fn after_a_reconnect_stored_events_are_done_and_the_rest_is_sent_again_under_its_numbers() {
    let mut rig = Rig::open();
    rig.event(1);
    rig.appends();
    rig.push(Payload::Batch(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]));
    rig.appends();
    rig.event(3);
    rig.machine.detach();
    assert_eq!(rig.set_up(1), Reply::Progress);
    assert_eq!(rig.done(), [(0, None)]);
    let again = rig.appends();
    let numbers: Vec<_> =
        again.iter().map(|append| (append.event_number, append.event_count)).collect();
    assert_eq!(numbers, [(4, 3)], "the batch has numbers 2 and 3, the last event 4");
}

#[test]
fn a_condition_goes_alone_and_a_failed_one_changes_nothing_else() {
    let mut rig = Rig::open();
    rig.event(1);
    rig.condition(b"c", 9);
    rig.event(1);
    let first = rig.appends();
    assert_eq!(first.len(), 1);
    rig.ack(&first[0], i64::MIN, 9);
    let conditional = rig.appends();
    assert_eq!((conditional.len(), conditional[0].expected_offset), (1, Some(9)));
    let failed = ConditionalCheckFailed {
        writer_id: WRITER,
        event_number: 2,
        request_id: conditional[0].request_id,
    };
    assert_eq!(rig.reply(failed.clone()), Reply::Progress);
    assert_eq!(rig.done.remove(1).result.unwrap_err().kind(), ErrorKind::ConditionFailed);
    assert_eq!(rig.appends()[0].event_number, 3);
    assert!(matches!(rig.reply(failed), Reply::Protocol(_)), "no such condition is in flight");
}

#[test]
fn a_large_event_goes_alone_through_a_segment_of_its_own_and_moves_the_number_with_the_merge() {
    let mut rig = Rig::open();
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 250])]));
    rig.event(1);
    let create = rig.send();
    let [WireCommand::CreateTransientSegment(create)] = &create[..] else { panic!("{create:?}") };
    rig.reply(SegmentCreated { request_id: create.request_id, segment: "transient".into() });
    let set_up = rig.send();
    let [WireCommand::SetupAppend(set_up)] = &set_up[..] else { panic!("{set_up:?}") };
    assert_ne!(set_up.writer_id, WRITER);
    let none = EventNumber::NONE.0;
    rig.reply(AppendSetup {
        request_id: set_up.request_id,
        segment: "transient".into(),
        writer_id: set_up.writer_id,
        last_event_number: none,
    });
    let pieces = rig.send();
    let lens: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            WireCommand::ConditionalBlockEnd(piece) => {
                (piece.event_number, piece.expected_offset, piece.data.len())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lens, [(0, 0, 8), (1, 8, 100), (2, 108, 100), (3, 208, 50)]);
    rig.reply(DataAppended {
        writer_id: set_up.writer_id,
        event_number: 3,
        previous_event_number: none,
        request_id: pieces[3].request_id().unwrap(),
        current_segment_write_offset: 258,
    });
    let merge = rig.send();
    let [WireCommand::MergeSegments(merge)] = &merge[..] else { panic!("{merge:?}") };
    let update = &merge.attribute_updates[0];
    assert_eq!((update.attribute_id, update.old_value, update.new_value), (WRITER, none, 1));
    rig.reply(SegmentsMerged {
        request_id: merge.request_id,
        target: "".into(),
        source: "".into(),
        new_target_write_offset: 300,
    });
    assert_eq!(rig.done(), [(0, Some(42))]);
    assert!(
        matches!(rig.send()[..], [WireCommand::SetupAppend(_)]),
        "the number has to be read again"
    );
}

#[test]
fn refusals_of_the_segment_are_reported_and_events_stay() {
    let mut rig = Rig::open();
    rig.event(1);
    let append = rig.appends().remove(0);
    let (request_id, segment) = (append.request_id, append.segment.clone());
    let (no_trace, offset) = (ByteString::new(), 1);
    let replies: [(WireCommand, Reply); 3] = [
        (
            SegmentIsSealed {
                request_id,
                segment: segment.clone(),
                server_stack_trace: no_trace.clone(),
                offset,
            }
            .into(),
            Reply::Sealed,
        ),
        (
            NoSuchSegment {
                request_id,
                segment: segment.clone(),
                server_stack_trace: no_trace.clone(),
                offset,
            }
            .into(),
            Reply::Missing,
        ),
        (
            WrongHost {
                request_id,
                segment,
                correct_host: no_trace.clone(),
                server_stack_trace: no_trace,
            }
            .into(),
            Reply::WrongHost,
        ),
    ];
    for (command, reply) in replies {
        assert_eq!(rig.reply(command), reply);
    }
    // Replies to requests before the last set-up are ignored.
    rig.set_up(EventNumber::NONE.0);
    assert_eq!(rig.ack(&append, i64::MIN, 9), Reply::Ok);
    assert_eq!(rig.machine.take_items().len(), 1);
    assert!(rig.done.is_empty());
}

#[test]
fn impossible_acknowledgements_and_set_ups_are_protocol_errors() {
    let broken = |reply: Reply| assert!(matches!(reply, Reply::Protocol(_)), "{reply:?}");
    let mut rig = Rig::open();
    rig.event(1);
    rig.event(1);
    let append = rig.appends().remove(0);
    for number in [0, 1, 3, i64::MIN, i64::MAX] {
        let wrong = Append { event_number: number, ..append.clone() };
        broken(rig.ack(&wrong, i64::MIN, 9));
    }
    broken(rig.ack(&append, 2, 9));
    assert!(rig.done.is_empty());
    rig.ack(&append, i64::MIN, 18);
    broken(rig.ack(&append, i64::MIN, 18));
    broken(rig.set_up(3));
    broken(rig.set_up(1));
    broken(rig.set_up(EventNumber::NONE.0));
    assert_eq!(rig.set_up(2), Reply::Ok);
}

#[test]
fn failed_events_have_an_unknown_outcome_if_they_were_sent() {
    let mut rig = Rig::open();
    rig.event(1);
    rig.appends();
    rig.event(1);
    rig.appends();
    rig.event(1);
    rig.machine.detach();
    let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "late");
    rig.machine.fail_older_than(Duration::ZERO, &error, &mut rig.done);
    let outcomes: Vec<_> =
        rig.done.drain(..).map(|done| done.result.unwrap_err().outcome()).collect();
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::Unknown, Outcome::NotApplied]);
    // Failed events are not sent again, and a store that has them is right.
    assert_eq!(rig.set_up(2), Reply::Progress);
    assert!(rig.appends().is_empty());
}

#[test]
fn a_server_without_transient_segments_refuses_the_large_event_and_takes_the_others() {
    let mut rig = Rig::open();
    rig.push(Payload::Large(vec![Bytes::from(vec![1; 250])]));
    rig.event(1);
    let request_id = rig.send()[0].request_id().unwrap();
    let unsupported = OperationUnsupported {
        request_id,
        operation_name: "x".into(),
        server_stack_trace: "".into(),
    };
    assert_eq!(rig.reply(unsupported), Reply::Progress);
    let refused = rig.done.remove(0).result.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Unsupported, Outcome::NotApplied));
    assert_eq!(rig.appends()[0].event_number, 2);
}
