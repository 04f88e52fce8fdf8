//! What each event does in each state of a segment, as a table.
//!
//! The stream has segments 0 and 1, which merge into 2. The table is about segment 0; segment 1 is
//! being read meanwhile.

use std::{collections::BTreeMap, time::Duration};

use bytes::{Bytes, BytesMut};
use pravega_sdk_segment_client::{
    error::ReadError,
    machine::{LookupError, Misbehaviour},
    read::machine::{Delivery, ReadMachine, ReaderId, Settings as ReadSettings, StartOffset},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{
    Backoff, ErrorKind, KeyRange, Offset, SegmentId, SegmentOffset, Successor,
};
use pravega_sdk_wire_protocol::event;

use super::state::{
    Bounds, CorruptEvents, Settings, Start, State as Outcome, StreamMachine, Successors,
};

/// The state of segment 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is being read.
    Reading,
    /// It was read to its end, and the controller has to name its successors.
    Asking,
    /// It is gone, and the controller has to name its successors.
    AskingMissing,
    /// It is gone, the controller named no successors, and after that the stream did not have the
    /// segment: it is asked for them once more.
    ConfirmingMissing,
    /// The controller named no successors yet; the question is repeated.
    Waiting,
    /// Its successors are known and wait for segment 1.
    Ahead,
    /// It was the last segment here of a sealed stream.
    Finished,
    /// Its successors are being read.
    Followed,
    /// The reader has failed.
    Failed,
}

/// The states that a test can begin in.
const STATES: [State; 7] = [
    State::Reading,
    State::Asking,
    State::AskingMissing,
    State::ConfirmingMissing,
    State::Waiting,
    State::Ahead,
    State::Failed,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Bytes: an event, half an event, bytes that are no event.
    Whole,
    Half,
    Corrupt,
    /// Other deliveries of the read machine.
    Truncated,
    End,
    Missing,
    Short,
    Stalled,
    Refused,
    /// The controller names the successors: segment 2, none, or it fails.
    Successors,
    NoSuccessors,
    SuccessorsUnavailable,
    SuccessorsNotFound,
    /// An instance of the controller names the successors and knows that the stream is sealed:
    /// segment 2, none; or it does not know that, or fails.
    FinalSuccessors,
    NoFinalSuccessors,
    NotSealed,
    FinalUnavailable,
    FinalNotFound,
    /// The controller names the present segments: none, 0 and 1, only 1.
    NoSegments,
    SegmentsWithIt,
    SegmentsWithoutIt,
    /// A second passes.
    Timeout,
    /// The stall timeout passes.
    LongTimeout,
    /// Segment 1 is read to its end, and the controller names segment 2 as its successor.
    NeighbourEnds,
}

const EVENTS: [Event; 24] = [
    Event::Whole,
    Event::Half,
    Event::Corrupt,
    Event::Truncated,
    Event::End,
    Event::Missing,
    Event::Short,
    Event::Stalled,
    Event::Refused,
    Event::Successors,
    Event::NoSuccessors,
    Event::SuccessorsUnavailable,
    Event::SuccessorsNotFound,
    Event::FinalSuccessors,
    Event::NoFinalSuccessors,
    Event::NotSealed,
    Event::FinalUnavailable,
    Event::FinalNotFound,
    Event::NoSegments,
    Event::SegmentsWithIt,
    Event::SegmentsWithoutIt,
    Event::Timeout,
    Event::LongTimeout,
    Event::NeighbourEnds,
];

/// A row: state, event, what comes out, the state after it. Every other pair that can happen yields
/// nothing and changes nothing.
type Row = (State, Event, &'static [&'static str], State);

const TABLE: &[Row] = &[
    (State::Reading, Event::Whole, &["event a1", "cut 0@10 1@0"], State::Reading),
    (State::Reading, Event::Corrupt, &["error Corrupt", "done"], State::Failed),
    (State::Reading, Event::Truncated, &["error Truncated", "cut 0@16 1@0"], State::Reading),
    (State::Reading, Event::End, &["find successors of 0"], State::Asking),
    (State::Reading, Event::Missing, &["find successors of 0"], State::AskingMissing),
    (State::Reading, Event::Short, &["error NotFound", "done"], State::Failed),
    (State::Reading, Event::Stalled, &["error Unavailable"], State::Reading),
    (State::Reading, Event::Refused, &["error PermissionDenied", "done"], State::Failed),
    (State::Reading, Event::NeighbourEnds, &["find successors of 1"], State::Reading),
    (State::Asking, Event::Successors, &[], State::Ahead),
    (State::Asking, Event::NoSuccessors, &["find final successors of 0"], State::Asking),
    (State::Asking, Event::SuccessorsUnavailable, &["wait"], State::Waiting),
    (State::Asking, Event::SuccessorsNotFound, &["error NotFound", "done"], State::Failed),
    (State::Asking, Event::FinalSuccessors, &[], State::Ahead),
    (State::Asking, Event::NoFinalSuccessors, &[], State::Finished),
    (State::Asking, Event::NotSealed, &["wait"], State::Waiting),
    (State::Asking, Event::FinalUnavailable, &["wait"], State::Waiting),
    (State::Asking, Event::FinalNotFound, &["error NotFound", "done"], State::Failed),
    (State::Asking, Event::LongTimeout, &["error Unavailable"], State::Asking),
    (State::Asking, Event::NeighbourEnds, &["find successors of 1"], State::Asking),
    (State::AskingMissing, Event::Successors, &["error Truncated"], State::Ahead),
    (State::AskingMissing, Event::NoSuccessors, &["find segments after 0"], State::AskingMissing),
    (State::AskingMissing, Event::SuccessorsUnavailable, &["wait"], State::Waiting),
    (State::AskingMissing, Event::SuccessorsNotFound, &["error NotFound", "done"], State::Failed),
    (State::AskingMissing, Event::NoSegments, &["find successors of 0"], State::ConfirmingMissing),
    (State::AskingMissing, Event::SegmentsWithIt, &["wait"], State::Waiting),
    (
        State::AskingMissing,
        Event::SegmentsWithoutIt,
        &["find successors of 0"],
        State::ConfirmingMissing,
    ),
    (State::AskingMissing, Event::LongTimeout, &["error Unavailable"], State::AskingMissing),
    (State::AskingMissing, Event::NeighbourEnds, &["find successors of 1"], State::AskingMissing),
    (State::ConfirmingMissing, Event::Successors, &["error Truncated"], State::Ahead),
    (State::ConfirmingMissing, Event::NoSuccessors, &["wait"], State::Waiting),
    (State::ConfirmingMissing, Event::SuccessorsUnavailable, &["wait"], State::Waiting),
    (
        State::ConfirmingMissing,
        Event::SuccessorsNotFound,
        &["error NotFound", "done"],
        State::Failed,
    ),
    (
        State::ConfirmingMissing,
        Event::LongTimeout,
        &["error Unavailable"],
        State::ConfirmingMissing,
    ),
    (
        State::ConfirmingMissing,
        Event::NeighbourEnds,
        &["find successors of 1"],
        State::ConfirmingMissing,
    ),
    (State::Waiting, Event::Timeout, &["find successors of 0"], State::Asking),
    (
        State::Waiting,
        Event::LongTimeout,
        &["error Unavailable", "find successors of 0"],
        State::Asking,
    ),
    (State::Waiting, Event::NeighbourEnds, &["find successors of 1"], State::Waiting),
    (
        State::Ahead,
        Event::NeighbourEnds,
        &["find successors of 1", "read 2", "cut 2@0"],
        State::Followed,
    ),
];

const LATER: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(60);

struct Rig {
    machine: StreamMachine,
    /// The readers of segments 0 and 1.
    readers: [ReaderId; 2],
    now: Duration,
}

fn id(number: i64) -> SegmentId {
    SegmentId::from(if number == 2 { (1 << 32) | 2 } else { number })
}

fn number(id: SegmentId) -> i64 {
    i64::from(id) & 0xffff_ffff
}

fn bytes(text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    event::put(&mut bytes, text.as_bytes()).unwrap();
    bytes.freeze()
}

fn merged() -> Vec<Successor> {
    let range = KeyRange::new(0.0, 1.0).unwrap();
    vec![Successor { id: id(2), range, predecessors: vec![id(0), id(1)] }]
}

fn failure(kind: ErrorKind) -> LookupError {
    LookupError { kind, cause: Misbehaviour("scripted".to_owned()).into() }
}

impl Rig {
    fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let read_settings = ReadSettings {
            budget: 1 << 20,
            max_read: 1 << 10,
            backoff,
            stall_timeout: STALL,
            bugs: Bugs::default(),
        };
        let settings = Settings {
            max_event_bytes: 100,
            corrupt_events: CorruptEvents::Stop,
            backoff,
            stall_timeout: STALL,
            bugs: Bugs::default(),
        };
        let starts = [0, 1].map(|number| Start::new(id(number), StartOffset::Known(Offset(0))));
        let machine = StreamMachine::new(
            "s/t".parse().unwrap(),
            settings,
            ReadMachine::new(read_settings, Box::new(|| 0)),
            Bounds { starts: starts.into(), ends: None },
            Box::new(|| 0),
        );
        let readers = [0, 1].map(|number| machine.active[&id(number)].reader);
        Self { machine, readers, now: Duration::ZERO }
    }

    /// A machine in that state, whose output so far was taken.
    fn in_state(state: State) -> Self {
        let mut rig = Self::new();
        let way: &[Event] = match state {
            State::Reading => &[],
            State::Asking => &[Event::End],
            State::AskingMissing => &[Event::Missing],
            State::ConfirmingMissing => &[Event::Missing, Event::NoSegments],
            State::Waiting => &[Event::End, Event::NotSealed],
            State::Ahead => &[Event::End, Event::Successors],
            State::Failed => &[Event::Refused],
            State::Finished | State::Followed => panic!("no test begins there"),
        };
        for event in way {
            rig.apply(*event, Duration::ZERO);
            rig.output();
        }
        assert_eq!(rig.state(), state);
        rig
    }

    fn apply(&mut self, event: Event, now: Duration) {
        let machine = &mut self.machine;
        let data = |data: Bytes| Delivery::Data { offset: Offset(0), data };
        let read_error = |kind| ReadError::new(kind, "scripted");
        let delivery = match event {
            Event::Whole => data(bytes("a1")),
            Event::Half => data(bytes("a1").slice(..5)),
            Event::Corrupt => data(Bytes::from_static(&[0, 0, 0, 7, 0, 0, 0, 1])),
            Event::Truncated => Delivery::Truncated { asked: Offset(0), head: Offset(16) },
            Event::End => Delivery::End { offset: Offset(0) },
            Event::Missing => Delivery::Missing,
            Event::Short => Delivery::Short { length: Offset(4) },
            Event::Stalled => Delivery::Stalled(read_error(ErrorKind::Unavailable)),
            Event::Refused => Delivery::Failed(read_error(ErrorKind::PermissionDenied)),
            Event::Successors => return machine.handle_successors(id(0), Ok(merged()), now),
            Event::NoSuccessors => return machine.handle_successors(id(0), Ok(Vec::new()), now),
            Event::SuccessorsUnavailable => {
                let error = failure(ErrorKind::Unavailable);
                return machine.handle_successors(id(0), Err(error), now);
            }
            Event::SuccessorsNotFound => {
                let error = failure(ErrorKind::NotFound);
                return machine.handle_successors(id(0), Err(error), now);
            }
            Event::FinalSuccessors => {
                return machine.handle_final_successors(id(0), Ok(Some(merged())), now);
            }
            Event::NoFinalSuccessors => {
                return machine.handle_final_successors(id(0), Ok(Some(Vec::new())), now);
            }
            Event::NotSealed => return machine.handle_final_successors(id(0), Ok(None), now),
            Event::FinalUnavailable => {
                let error = failure(ErrorKind::Unavailable);
                return machine.handle_final_successors(id(0), Err(error), now);
            }
            Event::FinalNotFound => {
                let error = failure(ErrorKind::NotFound);
                return machine.handle_final_successors(id(0), Err(error), now);
            }
            Event::NoSegments => return machine.handle_segments(id(0), Ok(Vec::new()), now),
            Event::SegmentsWithIt => {
                return machine.handle_segments(id(0), Ok(vec![id(0), id(1)]), now);
            }
            Event::SegmentsWithoutIt => {
                return machine.handle_segments(id(0), Ok(vec![id(1)]), now);
            }
            Event::Timeout | Event::LongTimeout => return machine.handle_timeout(now),
            Event::NeighbourEnds => {
                machine.take(self.readers[1], Delivery::End { offset: Offset(0) });
                return machine.handle_successors(id(1), Ok(merged()), now);
            }
        };
        machine.take(self.readers[0], delivery);
    }

    /// Events, errors and effects since the last call.
    fn output(&mut self) -> Vec<String> {
        let mut output = Vec::new();
        while let Some(found) = self.machine.poll() {
            output.push(match found {
                Ok(found) => format!("event {}", String::from_utf8_lossy(&found.event)),
                Err(error) => format!("error {:?}", error.kind()),
            });
        }
        while let Some(effect) = self.machine.poll_effect(self.now) {
            output.push(match effect {
                super::state::Effect::FindSuccessors(id) => {
                    format!("find successors of {}", number(id))
                }
                super::state::Effect::ConfirmEnd(id) => {
                    format!("find final successors of {}", number(id))
                }
                super::state::Effect::FindSegments(id) => {
                    format!("find segments after {}", number(id))
                }
            });
        }
        output
    }

    fn cut(&self) -> BTreeMap<SegmentId, SegmentOffset> {
        self.machine.cut()
    }

    fn state(&self) -> State {
        if let Outcome::Failed(_) = self.machine.state {
            return State::Failed;
        }
        if self.machine.active.contains_key(&id(0)) {
            return State::Reading;
        }
        if self.machine.finished.contains_key(&id(0)) {
            return State::Finished;
        }
        let Some(passed) = self.machine.passed.get(&id(0)) else { return State::Followed };
        match passed.successors {
            Successors::Asking if passed.is_missing => State::AskingMissing,
            Successors::Asking => State::Asking,
            Successors::Confirming => State::ConfirmingMissing,
            Successors::Waiting(_) => State::Waiting,
            Successors::Ahead(_) => State::Ahead,
        }
    }
}

/// The controller answers only what it was asked.
fn can_happen(state: State, event: Event) -> bool {
    let is_answer = matches!(
        event,
        Event::Successors
            | Event::NoSuccessors
            | Event::SuccessorsUnavailable
            | Event::SuccessorsNotFound
    );
    let is_final = matches!(
        event,
        Event::FinalSuccessors
            | Event::NoFinalSuccessors
            | Event::NotSealed
            | Event::FinalUnavailable
            | Event::FinalNotFound
    );
    let is_about_segments =
        matches!(event, Event::NoSegments | Event::SegmentsWithIt | Event::SegmentsWithoutIt);
    match state {
        State::Asking => !is_about_segments,
        State::AskingMissing => !is_final,
        State::ConfirmingMissing => !is_final && !is_about_segments,
        State::Waiting | State::Ahead => !is_answer && !is_final && !is_about_segments,
        _ => true,
    }
}

/// What `event` yields in `state`, and the state after it.
fn run(state: State, event: Event) -> (Vec<String>, State) {
    let mut rig = Rig::in_state(state);
    let (cut, was_done) = (rig.cut(), rig.machine.is_done());
    rig.now = if event == Event::LongTimeout { STALL } else { LATER };
    rig.apply(event, rig.now);
    let mut output = rig.output();
    if rig.state() == State::Waiting && state != State::Waiting {
        let timer = rig.machine.timer.expect("a timer");
        assert!(timer >= rig.now && timer <= rig.now + LATER, "it is asked again soon");
        output.push("wait".to_owned());
    }
    if rig.machine.active.contains_key(&id(2)) {
        output.push("read 2".to_owned());
    }
    if rig.cut() != cut {
        let places = rig.cut();
        let places: Vec<String> =
            places.iter().map(|(id, offset)| format!("{}@{offset}", number(*id))).collect();
        output.push(format!("cut {}", places.join(" ")));
    }
    if rig.machine.is_done() && !was_done {
        output.push("done".to_owned());
    }
    (output, rig.state())
}

fn check(state: State, event: Event, expected: &[&str], next: State) {
    let (output, reached) = run(state, event);
    assert_eq!(output, expected, "{state:?}, {event:?}");
    assert_eq!(reached, next, "{state:?}, {event:?}");
}

#[test]
fn each_event_in_each_state_of_a_segment_does_what_the_table_says() {
    for (state, event, expected, next) in TABLE {
        assert!(can_happen(*state, *event), "{state:?}, {event:?}");
        check(*state, *event, expected, *next);
    }
    for state in STATES {
        for event in EVENTS.into_iter().filter(|event| can_happen(state, *event)) {
            if !TABLE.iter().any(|(s, e, ..)| (*s, *e) == (state, event)) {
                check(state, event, &[], state);
            }
        }
    }
}
