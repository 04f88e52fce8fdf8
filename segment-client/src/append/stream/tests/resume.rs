//! Going on after the end of a runtime: from each state of a segment, every event is done once.

use pravega_sdk_types::EventNumber;
use pravega_sdk_wire_protocol::{
    Decoder,
    commands::{AppendSetup, DataAppended},
};

use super::*;

/// A state of a segment with an event in hand.
#[derive(Debug, Clone, Copy)]
enum Before {
    Locating,
    LocatingAgain,
    Connecting,
    SettingUp,
    InFlight,
    WaitingForConnection,
    Sealed,
    SealedAgain,
    WithoutSuccessors,
}

use Before::*;

const SEGMENT: i64 = 0;

fn in_state(before: Before) -> Rig {
    let mut rig = Rig::new(1);
    let segment = segment(0, SEGMENT);
    rig.write(0.5, 7);
    match before {
        Locating => {}
        LocatingAgain => {
            let failed = Err(lookup(ErrorKind::Unavailable));
            rig.machine.handle_located(segment, failed, rig.now);
        }
        Connecting => drop(rig.locate(segment, 1)),
        SettingUp => {
            rig.locate(segment, 1);
            rig.machine.handle_connected(ConnectionId(0));
            rig.machine.transmit(ConnectionId(0), &mut SendBuffer::new(), rig.now);
        }
        InFlight => drop(rig.open(segment, 1)),
        WaitingForConnection => {
            let connection = rig.open(segment, 1);
            rig.machine.handle_lost(connection, lookup(ErrorKind::ConnectionLost), rig.now);
        }
        Sealed | SealedAgain | WithoutSuccessors => {
            let connection = rig.open(segment, 1);
            rig.machine.handle_command(connection, sealed(), rig.now);
            match before {
                SealedAgain => {
                    let failed = Err(lookup(ErrorKind::Unavailable));
                    rig.machine.handle_successors(segment, failed, rig.now);
                }
                WithoutSuccessors => {
                    rig.machine.handle_successors(segment, Ok(Vec::new()), rig.now);
                }
                _ => {}
            }
        }
    }
    rig.effects();
    rig
}

/// A question to the controller about a segment.
type Question = fn(SegmentId) -> Effect;

/// The question that is asked after the end.
const TABLE: &[(Before, Question)] = &[
    (Locating, Effect::Locate),
    (LocatingAgain, Effect::Locate),
    (Connecting, Effect::Locate),
    (SettingUp, Effect::Locate),
    (InFlight, Effect::Locate),
    (WaitingForConnection, Effect::Locate),
    (Sealed, Effect::FindSuccessors),
    (SealedAgain, Effect::FindSuccessors),
    (WithoutSuccessors, Effect::FindSuccessors),
];

#[test]
fn from_each_state_the_controller_is_asked_again_and_nothing_fails() {
    for (before, expected) in TABLE {
        let mut rig = in_state(*before);
        rig.machine.resume();
        assert_eq!(rig.effects(), [expected(segment(0, SEGMENT))], "{before:?}");
        assert_eq!(rig.machine.outstanding(), 1, "{before:?}");
        assert!(!rig.machine.has_completions(), "{before:?}");
    }
}

#[test]
fn an_event_in_flight_that_was_stored_is_not_sent_again() {
    let mut rig = in_state(InFlight);
    rig.machine.resume();
    rig.effects();
    let connection = match &rig.locate(segment(0, SEGMENT), 2)[..] {
        [Effect::Connect(connection, _)] => *connection,
        other => panic!("{other:?}"),
    };
    rig.machine.handle_connected(connection);
    let mut out = SendBuffer::new();
    rig.machine.transmit(connection, &mut out, rig.now);
    let mut bytes = bytes::BytesMut::from(&out.to_vec()[..]);
    let Some(WireCommand::SetupAppend(set_up)) = Decoder::default().decode(&mut bytes).unwrap()
    else {
        panic!("a set-up comes first");
    };
    let stored = AppendSetup {
        request_id: set_up.request_id,
        segment: set_up.segment,
        writer_id: set_up.writer_id,
        last_event_number: 1,
    };
    rig.machine.handle_command(connection, stored.into(), rig.now);
    let mut out = SendBuffer::new();
    rig.machine.transmit(connection, &mut out, rig.now);
    assert_eq!(bytes::Buf::remaining(&out), 0, "nothing is left to send");
    let done: Vec<_> = rig.machine.take_completions().map(|done| done.result.is_ok()).collect();
    assert_eq!(done, [true]);
}

#[test]
fn replies_to_what_was_sent_before_are_ignored() {
    let mut rig = in_state(InFlight);
    rig.machine.resume();
    rig.effects();
    let late = DataAppended {
        writer_id: uuid::Uuid::from_u64_pair(u64::MAX, u64::MAX),
        event_number: 1,
        previous_event_number: EventNumber::NONE.0,
        request_id: REQUEST + 1,
        current_segment_write_offset: 9,
    };
    rig.machine.handle_command(ConnectionId(0), late.into(), rig.now);
    rig.machine.handle_lost(ConnectionId(0), lookup(ErrorKind::ConnectionLost), rig.now);
    assert_eq!(rig.effects(), []);
    assert_eq!(rig.machine.outstanding(), 1);
}
