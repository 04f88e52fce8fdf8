//! Trouble of one segment that others do not share, and what never goes to another segment.

use pravega_sdk_types::{EventNumber, Offset, TransactionId};
use pravega_sdk_wire_protocol::{
    Decoder,
    commands::{
        AppendSetup, DataAppended, InvalidEventNumber, NoSuchSegment, SegmentAlreadyExists,
    },
};

use super::*;
use crate::append::segment::item::Pinned;

const FIRST: ConnectionId = ConnectionId(0);

impl Rig {
    /// The commands that are sent on a connection.
    fn sent(&mut self, connection: ConnectionId) -> Vec<WireCommand> {
        let mut out = SendBuffer::new();
        self.machine.transmit(connection, &mut out, self.now);
        let mut bytes = bytes::BytesMut::from(&out.to_vec()[..]);
        std::iter::from_fn(|| Decoder::default().decode(&mut bytes).unwrap()).collect()
    }

    /// Two segments on one connection, each with an event in flight. Returns the request ids of
    /// their appends.
    fn two_in_flight() -> (Self, [i64; 2]) {
        let mut rig = Rig::new(2);
        rig.write(0.1, 0);
        rig.write(0.9, 1);
        rig.effects();
        rig.locate(segment(0, 0), 1);
        rig.locate(segment(0, 1), 1);
        rig.machine.handle_connected(FIRST);
        for command in rig.sent(FIRST) {
            rig.answer_set_up(FIRST, &command, EventNumber::NONE);
        }
        let ids: Vec<i64> =
            rig.sent(FIRST).iter().filter_map(|command| command.request_id()).collect();
        (rig, ids.try_into().unwrap())
    }

    fn answer_set_up(
        &mut self,
        connection: ConnectionId,
        command: &WireCommand,
        stored: EventNumber,
    ) {
        let WireCommand::SetupAppend(set_up) = command else { panic!("{command:?}") };
        let reply = AppendSetup {
            request_id: set_up.request_id,
            segment: set_up.segment.clone(),
            writer_id: set_up.writer_id,
            last_event_number: stored.0,
        };
        self.machine.handle_command(connection, reply.into(), self.now);
    }

    fn ack(&mut self, connection: ConnectionId, request_id: i64, event_number: i64) {
        let reply = DataAppended {
            writer_id: uuid::Uuid::from_u64_pair(u64::MAX, u64::MAX),
            event_number,
            previous_event_number: i64::MIN,
            request_id,
            current_segment_write_offset: 100,
        };
        self.machine.handle_command(connection, reply.into(), self.now);
    }

    fn done(&mut self) -> Vec<u32> {
        self.machine.take_completions().map(|done| done.ticket).collect()
    }

    fn write_at(&mut self, segment: SegmentId, ticket: u32) {
        let write = Write::Pinned {
            position: Some(0.1),
            segment,
            offset: Offset(0),
            payload: Pinned::Event(Bytes::from_static(b"c")),
        };
        self.machine.write(write, self.now, ticket);
    }

    fn scale(&mut self) {
        let range = KeyRange::equal(1).remove(0);
        let predecessors = vec![segment(0, 0)];
        let successor = Successor { id: segment(1, 1), range, predecessors };
        self.machine.handle_successors(segment(0, 0), Ok(vec![successor]), self.now);
    }
}

fn invalid(request_id: i64) -> WireCommand {
    InvalidEventNumber {
        writer_id: uuid::Uuid::nil(),
        request_id,
        server_stack_trace: "".into(),
        event_number: 1,
    }
    .into()
}

#[test]
fn a_segment_without_an_answer_is_set_up_apart_and_the_others_keep_their_connection() {
    let (mut rig, [stuck, healthy]) = Rig::two_in_flight();
    rig.ack(FIRST, healthy, 1);
    while rig.now < SETTINGS.silence_timeout {
        rig.wait();
    }
    assert_eq!(rig.done(), [1]);
    let id = segment(0, 0);
    assert_eq!(rig.effects(), [Effect::Forget(id, endpoint(1)), Effect::Locate(id)]);
    let [Effect::Connect(apart, _)] = rig.locate(id, 1)[..] else { panic!() };
    assert_ne!(apart, FIRST);
    assert!(rig.machine.is_open(FIRST));
    rig.machine.handle_connected(apart);
    // A late answer on the connection before changes nothing.
    rig.ack(FIRST, stuck, 1);
    assert!(rig.done().is_empty());
    let set_up = rig.sent(apart).remove(0);
    rig.answer_set_up(apart, &set_up, EventNumber(1));
    assert_eq!(rig.done(), [0]);
    assert_eq!(rig.effects(), [Effect::Close(apart)], "nothing is in trouble any more");
    rig.write(0.1, 2);
    assert_eq!(rig.effects(), [Effect::Locate(id)]);
    assert_eq!(rig.locate(id, 1), [], "it is back among the others");
}

#[test]
fn a_busy_segment_comes_back_when_nothing_is_in_flight() {
    let (mut rig, [_, healthy]) = Rig::two_in_flight();
    rig.ack(FIRST, healthy, 1);
    while rig.now < SETTINGS.silence_timeout {
        rig.wait();
    }
    rig.done();
    rig.effects();
    let id = segment(0, 0);
    let [Effect::Connect(apart, _)] = rig.locate(id, 1)[..] else { panic!() };
    rig.machine.handle_connected(apart);
    let set_up = rig.sent(apart).remove(0);
    rig.answer_set_up(apart, &set_up, EventNumber::NONE);
    let first = rig.sent(apart)[0].request_id().unwrap();
    rig.write(0.1, 2);
    let second = rig.sent(apart)[0].request_id().unwrap();
    rig.ack(apart, first, 1);
    rig.write(0.1, 3);
    assert_eq!((rig.sent(apart), rig.effects()), (vec![], vec![]), "one is in flight");
    rig.ack(apart, second, 2);
    assert_eq!(rig.effects(), [Effect::Close(apart), Effect::Locate(id)]);
    assert_eq!(rig.locate(id, 1), [], "it is among the others");
    let set_up = rig.sent(FIRST).remove(0);
    rig.answer_set_up(FIRST, &set_up, EventNumber(2));
    assert_eq!(rig.sent(FIRST).len(), 1, "event 3");
    assert_eq!(rig.done(), [0, 2]);
}

#[test]
fn an_overdue_event_fails_and_changes_nothing_for_the_connection() {
    let (mut rig, [_, healthy]) = Rig::two_in_flight();
    rig.ack(FIRST, healthy, 1);
    rig.done();
    let id = segment(0, 0);
    rig.now = SETTINGS.delivery_timeout;
    // The segment is answered, but the event is not.
    rig.machine.writers.get_mut(&id).unwrap().silent_since = rig.now;
    rig.machine.handle_timeout(rig.now);
    assert_eq!(rig.failures(), [(0, ErrorKind::Timeout, Outcome::Unknown)]);
    assert_eq!(rig.effects(), []);
    rig.write(0.1, 2);
    assert_eq!(rig.sent(FIRST).len(), 1, "the next event is sent after it");
}

#[test]
fn violations_of_the_protocol_never_close_the_connection_of_the_others() {
    let (mut rig, [bad, healthy]) = Rig::two_in_flight();
    let id = segment(0, 0);
    rig.machine.handle_command(FIRST, invalid(bad), rig.now);
    rig.ack(FIRST, healthy, 1);
    assert_eq!(rig.done(), [1]);
    let mut ended = 0;
    for round in 0..20 {
        let effects = rig.effects();
        assert!(!effects.contains(&Effect::Close(FIRST)), "round {round}: {effects:?}");
        if !effects.contains(&Effect::Locate(id)) {
            let failures = rig.failures();
            if failures.is_empty() {
                rig.wait();
            } else {
                let outcome = if ended == 0 { Outcome::Unknown } else { Outcome::NotApplied };
                assert_eq!(failures, [(ended, ErrorKind::Protocol, outcome)]);
                ended += 2;
                rig.write(0.1, ended);
            }
            continue;
        }
        let [Effect::Connect(apart, _)] = rig.locate(id, 1)[..] else { panic!() };
        rig.machine.handle_connected(apart);
        let request = rig.sent(apart)[0].request_id().unwrap();
        rig.machine.handle_command(apart, invalid(request), rig.now);
    }
    assert!(ended >= 2, "events fail after a few attempts, each");
    assert!(rig.machine.is_open(FIRST));
}

#[test]
fn a_connection_that_served_a_segment_is_made_again_soon_though_others_failed_on_it() {
    let (mut rig, [_, healthy]) = Rig::two_in_flight();
    rig.machine.writers.get_mut(&segment(0, 0)).unwrap().attempts = 20;
    rig.ack(FIRST, healthy, 1);
    rig.write(0.9, 2);
    rig.machine.handle_lost(FIRST, lookup(ErrorKind::ConnectionLost), rig.now);
    assert!(rig.wait() <= Duration::from_millis(50));
    assert!(rig.effects().contains(&Effect::Connect(FIRST, endpoint(1))));
}

#[test]
fn a_token_is_forgotten_now_and_then_while_connections_end_during_its_set_up() {
    let mut rig = Rig::new(1);
    let id = segment(0, 0);
    let token = Token("token".into());
    rig.write(0.1, 0);
    rig.effects();
    let mut forgotten = Vec::new();
    for _ in 0..12 {
        let location = Location { endpoint: endpoint(1), token: token.clone() };
        rig.machine.handle_located(id, Ok(location), rig.now);
        let mut effects = rig.effects();
        let connection = loop {
            let connect = |effect: &Effect| match effect {
                Effect::Connect(connection, _) => Some(*connection),
                _ => None,
            };
            match effects.iter().find_map(connect) {
                Some(connection) => break connection,
                None => rig.wait(),
            };
            effects = rig.effects();
        };
        rig.machine.handle_connected(connection);
        assert!(matches!(rig.sent(connection)[..], [WireCommand::SetupAppend(_)]));
        rig.machine.handle_lost(connection, lookup(ErrorKind::ConnectionLost), rig.now);
        if rig.machine.effects.contains(&Effect::TokenExpired(token.clone())) {
            forgotten.push(rig.now);
        }
        while !rig.machine.effects.contains(&Effect::Locate(id)) {
            rig.wait();
            if rig.machine.effects.contains(&Effect::Connect(connection, endpoint(1))) {
                rig.machine.handle_lost(connection, lookup(ErrorKind::Unreachable), rig.now);
            }
        }
        rig.effects();
    }
    assert_eq!(forgotten[0], Now::ZERO);
    assert!(forgotten.len() > 2, "the controller may have issued the same token again");
    let is_apart = |pair: &[Now]| pair[1] - pair[0] >= SUSPICION_INTERVAL;
    assert!(forgotten.windows(2).all(is_apart), "{forgotten:?}");
}

#[test]
fn a_token_that_was_accepted_is_not_forgotten_with_its_connection() {
    let mut rig = Rig::new(1);
    rig.write(0.1, 0);
    rig.effects();
    let location = Location { endpoint: endpoint(1), token: Token("token".into()) };
    rig.machine.handle_located(segment(0, 0), Ok(location), rig.now);
    rig.machine.handle_connected(FIRST);
    rig.set_up(FIRST);
    rig.effects();
    rig.machine.handle_lost(FIRST, lookup(ErrorKind::ConnectionLost), rig.now);
    assert_eq!(rig.effects(), []);
}

#[test]
fn a_condition_never_goes_to_another_segment_than_its_own() {
    let failed = |ticket| (ticket, ErrorKind::ConditionFailed, Outcome::NotApplied);
    let mut rig = Rig::new(1);
    rig.write_at(segment(0, 7), 0);
    assert_eq!(rig.failures(), [failed(0)], "the segment does not own the key");
    rig.write_at(segment(0, 0), 1);
    rig.write(0.1, 2);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(connection, sealed(), rig.now);
    assert_eq!(rig.failures(), [failed(1)], "the segment is sealed");
    rig.write_at(segment(0, 0), 3);
    assert_eq!(rig.failures(), [failed(3)], "it is known to be");
    rig.scale();
    rig.write_at(segment(0, 0), 4);
    assert_eq!(rig.failures(), [failed(4)], "the successor owns the key");
    let moved = rig.machine.writers.get_mut(&segment(1, 1)).unwrap().appends.take_items();
    assert_eq!(moved.into_iter().map(|item| item.ticket).collect::<Vec<_>>(), [2]);
}

/// Event 0 is in flight when the connection ends, and event 1 waits; then the segment is missing.
fn in_doubt(target: Target) -> Rig {
    let mut rig = Rig::with_target(1, target);
    rig.write(0.1, 0);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_lost(connection, lookup(ErrorKind::ConnectionLost), rig.now);
    rig.write(0.1, 1);
    rig.wait();
    rig.effects();
    rig.machine.handle_connected(connection);
    let set_up = rig.sent(connection).remove(0);
    let WireCommand::SetupAppend(set_up) = set_up else { panic!("{set_up:?}") };
    let missing = NoSuchSegment {
        request_id: set_up.request_id,
        segment: set_up.segment,
        server_stack_trace: "".into(),
        offset: -1,
    };
    rig.machine.handle_command(connection, missing.into(), rig.now);
    rig
}

#[test]
fn what_may_be_stored_in_a_transaction_that_has_ended_is_unknown() {
    let mut rig = in_doubt(Target::Transaction(TransactionId(uuid::Uuid::from_u128(9))));
    let (unknown, not_applied) = (Outcome::Unknown, Outcome::NotApplied);
    let kind = ErrorKind::TransactionNotOpen;
    assert_eq!(rig.failures(), [(0, kind, unknown), (1, kind, not_applied)]);
}

#[test]
fn what_may_be_stored_in_a_segment_that_was_truncated_away_does_not_move() {
    let mut rig = in_doubt(Target::Stream);
    assert_eq!(rig.effects(), [Effect::FindSuccessors(segment(0, 0))]);
    rig.scale();
    assert_eq!(rig.failures(), [(0, ErrorKind::Truncated, Outcome::Unknown)]);
    let moved = rig.machine.writers.get_mut(&segment(1, 1)).unwrap().appends.take_items();
    assert_eq!(moved.into_iter().map(|item| item.ticket).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_may_be_stored_in_a_segment_of_a_deleted_stream_is_unknown() {
    let mut rig = in_doubt(Target::Stream);
    rig.machine.handle_successors(segment(0, 0), Err(lookup(ErrorKind::NotFound)), rig.now);
    let (unknown, not_applied) = (Outcome::Unknown, Outcome::NotApplied);
    let kind = ErrorKind::NotFound;
    assert_eq!(rig.failures(), [(0, kind, unknown), (1, kind, not_applied)]);
}

#[test]
fn a_large_event_whose_transfer_is_refused_is_sent_again_after_pauses_that_grow() {
    let mut rig = Rig::new(1);
    let id = segment(0, 0);
    let payload = Payload::Large(vec![Bytes::from(vec![1; 50])]);
    let write = Write::Routed { key: Key::Hashed(0.1), payload };
    rig.machine.write(write, rig.now, 0);
    rig.effects();
    rig.locate(id, 1);
    rig.machine.handle_connected(FIRST);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let set_up = rig.sent(FIRST).remove(0);
        rig.answer_set_up(FIRST, &set_up, EventNumber::NONE);
        let create = rig.sent(FIRST).remove(0);
        let taken = SegmentAlreadyExists {
            request_id: create.request_id().unwrap(),
            segment: "transient".into(),
            server_stack_trace: "".into(),
        };
        rig.machine.handle_command(FIRST, taken.into(), rig.now);
        let begun = rig.now;
        while !rig.machine.effects.contains(&Effect::Locate(id)) {
            rig.wait();
        }
        waits.push((rig.now - begun).as_millis());
        rig.effects();
        assert_eq!(rig.locate(id, 1), [], "the connection is as good as before");
    }
    assert_eq!(waits[0], 0);
    assert!(waits[1] > 0 && waits[5] > 1_000, "{waits:?}");
}

#[test]
fn an_event_that_waited_for_capacity_has_the_rest_of_its_delivery_timeout() {
    let mut rig = Rig::new(1);
    rig.now = Duration::from_secs(100);
    let payload = Payload::Event(Bytes::from_static(b"e"));
    let write = Write::Routed { key: Key::Hashed(0.1), payload };
    rig.machine.write(write, Duration::from_secs(10), 0);
    rig.wait();
    assert_eq!(rig.now, Duration::from_secs(10) + SETTINGS.delivery_timeout);
    assert_eq!(rig.failures(), [(0, ErrorKind::Timeout, Outcome::NotApplied)]);
}
