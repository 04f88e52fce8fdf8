//! Scripts for the writer machine, and its table of states and events.

mod apart;
mod full;
mod lag;
mod resume;
mod table;

use std::time::Duration;

use bytes::Bytes;
use pravega_sdk_types::{
    Backoff, Endpoint, ErrorKind, KeyRange, Outcome, SegmentId, SegmentMap, Successor,
};
use pravega_sdk_wire_protocol::{
    SendBuffer, WireCommand,
    commands::{AppendSetup, SegmentIsSealed, WrongHost},
};

use super::{connection::*, machine::*};
use crate::{
    append::{
        segment::{
            item::{Completion, Key, Payload, Write},
            machine::Limits,
        },
        when_full::WhenFull,
    },
    machine::{Location, LookupError, Misbehaviour, Now, Random, Token},
    seeded_bugs::Bugs,
};

const SETTINGS: Settings = Settings {
    limits: Limits { max_block_bytes: 1 << 20, max_blocks_in_flight: 4, piece_bytes: 100 },
    delivery_timeout: Duration::from_secs(120),
    request_timeout: Duration::from_secs(30),
    silence_timeout: Duration::from_secs(60),
    backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(10)),
    when_full: WhenFull::Fail,
};

struct Rig {
    machine: WriterMachine<u32, ()>,
    now: Now,
}

fn segment(epoch: i64, number: i64) -> SegmentId {
    SegmentId::from((epoch << 32) | number)
}

fn lookup(kind: ErrorKind) -> LookupError {
    LookupError { kind, cause: Misbehaviour(format!("{kind}")).into() }
}

fn endpoint(port: u16) -> Endpoint {
    format!("store:{port}").parse().unwrap()
}

impl Rig {
    fn new(segments: u32) -> Self {
        Self::with_target(segments, Target::Stream)
    }

    fn with_target(segments: u32, target: Target) -> Self {
        Self::with_settings(segments, target, SETTINGS)
    }

    fn with_settings(segments: u32, target: Target, settings: Settings) -> Self {
        let stream = "s/t".parse().unwrap();
        // The longest back-off that jitter allows, so that waits are known.
        let random: Random = Box::new(|| u64::MAX);
        let map = SegmentMap::equal_ranges(segments);
        Self {
            machine: WriterMachine::new(stream, target, map, settings, random, Bugs::default()),
            now: Now::ZERO,
        }
    }

    fn write(&mut self, position: f64, ticket: u32) {
        let payload = Payload::Event(Bytes::from(ticket.to_string()));
        let write = Write::Routed { key: Key::Hashed(position), payload };
        self.machine.write(write, self.now, ticket);
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.machine.poll_effect()).collect()
    }

    fn locate(&mut self, segment: SegmentId, port: u16) -> Vec<Effect> {
        let location = Location { endpoint: endpoint(port), token: Token::default() };
        self.machine.handle_located(segment, Ok(location), self.now);
        self.effects()
    }

    /// Locates a segment, connects, and answers its set-up.
    fn open(&mut self, segment: SegmentId, port: u16) -> ConnectionId {
        assert!(self.effects().contains(&Effect::Locate(segment)));
        let connection = match &self.locate(segment, port)[..] {
            [Effect::Connect(connection, _)] => *connection,
            other => panic!("{other:?}"),
        };
        self.machine.handle_connected(connection);
        self.set_up(connection);
        connection
    }

    /// Answers the set-ups that are sent on a connection. Returns the number of bytes after them.
    fn set_up(&mut self, connection: ConnectionId) -> usize {
        use bytes::BytesMut;
        use pravega_sdk_wire_protocol::Decoder;
        let mut out = SendBuffer::new();
        self.machine.transmit(connection, &mut out, self.now);
        let mut bytes = BytesMut::from(&out.to_vec()[..]);
        while let Some(command) = Decoder::default().decode(&mut bytes).unwrap() {
            let WireCommand::SetupAppend(set_up) = command else { continue };
            let reply = AppendSetup {
                request_id: set_up.request_id,
                segment: set_up.segment,
                writer_id: set_up.writer_id,
                last_event_number: i64::MIN,
            };
            self.machine.handle_command(connection, reply.into(), self.now);
        }
        let mut out = SendBuffer::new();
        self.machine.transmit(connection, &mut out, self.now);
        bytes::Buf::remaining(&out)
    }

    /// Advances the time to the timeout of the machine. Returns the wait.
    fn wait(&mut self) -> Duration {
        let before = self.now;
        self.now = self.machine.timeout().unwrap();
        self.machine.handle_timeout(self.now);
        self.now - before
    }

    fn failures(&mut self) -> Vec<(u32, ErrorKind, Outcome)> {
        let failure = |done: Completion<u32>| {
            let error = done.result.unwrap_err();
            (done.ticket, error.kind(), error.outcome())
        };
        self.machine.take_completions().map(failure).collect()
    }
}

const REQUEST: i64 = 1 << 32;

/// A reply to the request of that number; the first set-up has number 0, so it is not stale.
fn wrong_host(number: i64) -> WireCommand {
    let request_id = REQUEST + number;
    WrongHost {
        request_id,
        segment: "".into(),
        correct_host: "".into(),
        server_stack_trace: "".into(),
    }
    .into()
}

fn sealed() -> WireCommand {
    SegmentIsSealed {
        request_id: REQUEST + 1,
        segment: "".into(),
        server_stack_trace: "".into(),
        offset: 1,
    }
    .into()
}

#[test]
fn a_segment_is_located_once_and_its_events_wait_for_that() {
    let mut rig = Rig::new(2);
    rig.write(0.1, 0);
    rig.write(0.2, 1);
    rig.write(0.9, 2);
    assert_eq!(rig.effects(), [Effect::Locate(segment(0, 0)), Effect::Locate(segment(0, 1))]);
    assert!(matches!(rig.locate(segment(0, 0), 1)[..], [Effect::Connect(..)]));
    assert_eq!(rig.locate(segment(0, 1), 1), [], "two segments of a store share a connection");
}

#[test]
fn a_store_without_the_segment_is_forgotten_and_the_controller_is_asked_at_once_the_first_time() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(connection, wrong_host(1), rig.now);
    assert_eq!(
        rig.effects(),
        [Effect::Forget(segment(0, 0), endpoint(1)), Effect::Locate(segment(0, 0))]
    );
    assert_eq!(rig.locate(segment(0, 0), 1), [], "the connection is still open");
    rig.set_up(connection);
    rig.machine.handle_command(connection, wrong_host(3), rig.now);
    assert_eq!(rig.effects(), [Effect::Forget(segment(0, 0), endpoint(1))]);
    assert!(rig.wait() > Duration::from_millis(90), "the second time it waits");
    assert_eq!(rig.effects(), [Effect::Locate(segment(0, 0))]);
}

#[test]
fn a_connection_that_ends_is_made_again_once_and_then_the_controller_is_asked() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    let connection = rig.open(segment(0, 0), 1);
    // An acknowledged event would reset the count; without one, the second failure asks.
    rig.machine.handle_lost(connection, lookup(ErrorKind::ConnectionLost), rig.now);
    assert_eq!(rig.effects(), [], "nothing happens at once");
    rig.wait();
    assert_eq!(rig.effects(), [Effect::Connect(connection, endpoint(1))]);
    rig.machine.handle_lost(connection, lookup(ErrorKind::Unreachable), rig.now);
    assert_eq!(rig.effects(), [Effect::Forget(segment(0, 0), endpoint(1))]);
    rig.wait();
    assert_eq!(rig.effects(), [Effect::Locate(segment(0, 0))]);
}

#[test]
fn waits_grow_up_to_their_limit_while_attempts_fail() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    assert_eq!(rig.effects().len(), 1);
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.machine.handle_located(segment(0, 0), Err(lookup(ErrorKind::Unavailable)), rig.now);
        waits.push(rig.wait().as_millis());
        assert_eq!(rig.effects(), [Effect::Locate(segment(0, 0))]);
    }
    assert!(waits[0] <= 50 && waits[3] > 350, "{waits:?}");
    assert!(waits[11] <= 10_000 && waits[11] > 9_900, "{waits:?}");
}

#[test]
fn events_of_a_sealed_segment_move_to_its_successors_in_order_before_those_that_come_later() {
    let mut rig = Rig::new(1);
    rig.write(0.1, 0);
    rig.write(0.9, 1);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(connection, sealed(), rig.now);
    assert_eq!(rig.effects(), [Effect::FindSuccessors(segment(0, 0))]);
    rig.write(0.1, 2);
    assert_eq!(rig.effects(), [], "it waits with the others");
    let successor = |number, range| Successor {
        id: segment(1, number),
        range,
        predecessors: vec![segment(0, 0)],
    };
    let [low, high] = KeyRange::equal(2)[..] else { panic!() };
    rig.machine.handle_successors(
        segment(0, 0),
        Ok(vec![successor(1, low), successor(2, high)]),
        rig.now,
    );
    rig.write(0.1, 3);
    assert_eq!(rig.effects(), [Effect::Locate(segment(1, 1)), Effect::Locate(segment(1, 2))]);
    let items = |rig: &mut Rig, id| {
        let writer = rig.machine.writers.get_mut(&id).unwrap();
        writer.appends.take_items().into_iter().map(|item| item.ticket).collect::<Vec<_>>()
    };
    assert_eq!(items(&mut rig, segment(1, 1)), [0, 2, 3]);
    assert_eq!(items(&mut rig, segment(1, 2)), [1]);
}

#[test]
fn a_sealed_segment_without_successors_is_the_end_only_if_the_stream_has_no_segments() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(connection, sealed(), rig.now);
    rig.effects();
    rig.machine.handle_successors(segment(0, 0), Ok(vec![]), rig.now);
    assert_eq!(rig.effects(), [Effect::FindSegments(segment(0, 0))]);
    rig.machine.handle_segments(segment(0, 0), Ok(vec![segment(0, 0)]), rig.now);
    rig.wait();
    assert_eq!(rig.effects(), [Effect::FindSuccessors(segment(0, 0))], "a scale is in the middle");
    rig.machine.handle_successors(segment(0, 0), Ok(vec![]), rig.now);
    rig.machine.handle_segments(segment(0, 0), Ok(vec![]), rig.now);
    assert_eq!(rig.failures(), [(0, ErrorKind::Sealed, Outcome::NotApplied)]);
    rig.write(0.5, 1);
    assert_eq!(rig.failures(), [(1, ErrorKind::Sealed, Outcome::NotApplied)]);
}

#[test]
fn a_refusal_fails_events_at_once_and_the_writer_goes_on() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::Unauthenticated] {
        let mut rig = Rig::new(1);
        rig.write(0.5, 0);
        rig.effects();
        rig.machine.handle_located(segment(0, 0), Err(lookup(kind)), rig.now);
        assert_eq!(rig.failures(), [(0, kind, Outcome::NotApplied)]);
        rig.write(0.5, 1);
        assert_eq!(rig.effects(), [Effect::Locate(segment(0, 0))]);
    }
}

#[test]
fn an_event_that_waits_for_too_long_fails_and_a_set_up_without_an_answer_is_sent_elsewhere() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    rig.effects();
    let [Effect::Connect(connection, _)] = rig.locate(segment(0, 0), 1)[..] else { panic!() };
    rig.machine.handle_connected(connection);
    rig.machine.transmit(connection, &mut SendBuffer::new(), rig.now);
    assert_eq!(rig.wait(), Duration::from_secs(30));
    assert_eq!(
        rig.effects(),
        [Effect::Forget(segment(0, 0), endpoint(1)), Effect::Locate(segment(0, 0))]
    );
    rig.machine.handle_located(segment(0, 0), Err(lookup(ErrorKind::Unavailable)), rig.now);
    while rig.now < Duration::from_secs(120) {
        rig.wait();
        if rig.effects().contains(&Effect::Locate(segment(0, 0))) {
            rig.machine.handle_located(segment(0, 0), Err(lookup(ErrorKind::Unavailable)), rig.now);
        }
    }
    assert_eq!(rig.failures(), [(0, ErrorKind::Timeout, Outcome::NotApplied)]);
}

#[test]
fn replies_without_a_request_and_from_old_connections_change_nothing() {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(ConnectionId(99), sealed(), rig.now);
    rig.machine.handle_command(
        connection,
        WireCommand::KeepAlive(pravega_sdk_wire_protocol::commands::KeepAlive {}),
        rig.now,
    );
    assert_eq!(rig.effects(), []);
    assert!(rig.machine.is_open(connection) && rig.machine.is_waiting(connection));
    assert!(rig.machine.outstanding() == 1);
}
