//! Every state of a segment in the writer machine with every event: which effects, results and
//! commands come out, and which state follows.

mod controller;
mod stores;

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, SegmentId, Successor};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::*,
};

use self::{Event::*, Stage::*};
use super::{super::segment_writer::State, *};
use crate::error::WriteError;

const CONNECTION: ConnectionId = ConnectionId(0);

/// A state of segment 0. Event 0 is in it unless the state says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// The machine has no segment.
    Unknown,
    /// The segment is known and has no event.
    Idle,
    Locating,
    /// Locating failed and is repeated later.
    LocatingLater,
    Connecting,
    /// The connection ended and is made again later.
    ConnectingLater,
    SettingUp,
    InFlight,
    /// Event 0 is done.
    Served,
    /// The segment is sealed, and its successors are asked for.
    Sealed,
    /// The successors are asked for later.
    SealedLater,
    /// The segments of the stream are asked for, as the segment has no successors.
    WithoutSuccessors,
    /// Event 0 belongs to successor 1.
    Moved,
    /// The writer has ended.
    Ended,
}

/// A call of the machine: of its user, or with the result of an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Write,
    Flush,
    End,
    TimerDue,
    DeliveryTimeout,
    Located,
    LocateFailed,
    LocateRefused,
    /// Successors 1 and 2, none, or only 1.
    Successors,
    NoSuccessors,
    HalfOfTheSuccessors,
    SuccessorsFailed,
    SuccessorsRefused,
    /// The segments of the stream: 0, 7, or none.
    SegmentStillThere,
    SegmentGone,
    NoSegments,
    SegmentsFailed,
    SegmentsRefused,
    Connected,
    ConnectionLost,
    ConnectionRefused,
    ConnectionInvalid,
    SetUp,
    Acknowledged,
    WrongStore,
    TokenExpired,
    TokenRefused,
    StoreFull,
    SegmentSealed,
    SegmentMissing,
    InvalidReply,
    ReplyWithoutId,
    ReplyOfOtherConnection,
}

const EVENTS: [Event; 33] = [
    Write,
    Flush,
    End,
    TimerDue,
    DeliveryTimeout,
    Located,
    LocateFailed,
    LocateRefused,
    Successors,
    NoSuccessors,
    HalfOfTheSuccessors,
    SuccessorsFailed,
    SuccessorsRefused,
    SegmentStillThere,
    SegmentGone,
    NoSegments,
    SegmentsFailed,
    SegmentsRefused,
    Connected,
    ConnectionLost,
    ConnectionRefused,
    ConnectionInvalid,
    SetUp,
    Acknowledged,
    WrongStore,
    TokenExpired,
    TokenRefused,
    StoreFull,
    SegmentSealed,
    SegmentMissing,
    InvalidReply,
    ReplyWithoutId,
    ReplyOfOtherConnection,
];

/// The result of an event in a state.
#[derive(Debug, PartialEq)]
struct Row {
    event: Event,
    effects: String,
    /// The commands sent on the connection.
    sent: String,
    /// The results of events, and "flushed" if a flush ended.
    done: String,
    /// `None` means the state before.
    after: Option<Stage>,
}

/// A row in which nothing happens.
fn on(event: Event) -> Row {
    let nothing = String::new;
    Row { event, effects: nothing(), sent: nothing(), done: nothing(), after: None }
}

impl Row {
    fn does(self, effects: &str) -> Self {
        Self { effects: effects.to_owned(), ..self }
    }

    fn sends(self, sent: &str) -> Self {
        Self { sent: sent.to_owned(), ..self }
    }

    fn done(self, done: &str) -> Self {
        Self { done: done.to_owned(), ..self }
    }

    fn to(self, after: Stage) -> Self {
        Self { after: Some(after), ..self }
    }
}

/// A machine in a state, and the id of the newest request on its connection.
struct Table {
    rig: Rig,
    request_id: i64,
}

impl Table {
    fn new(stage: Stage) -> Self {
        let mut table = Self { rig: Rig::new(1), request_id: 0 };
        let way: &[Event] = match stage {
            Unknown => &[],
            Idle => &[Write, LocateRefused],
            Locating => &[Write],
            LocatingLater => &[Write, LocateFailed],
            Connecting => &[Write, Located],
            ConnectingLater => &[Write, Located, Connected, SetUp, ConnectionLost],
            SettingUp => &[Write, Located, Connected],
            InFlight => &[Write, Located, Connected, SetUp],
            Served => &[Write, Located, Connected, SetUp, Acknowledged],
            Sealed => &[Write, Located, Connected, SegmentSealed],
            SealedLater => &[Write, Located, Connected, SegmentSealed, SuccessorsFailed],
            WithoutSuccessors => &[Write, Located, Connected, SegmentSealed, NoSuccessors],
            Moved => &[Write, Located, Connected, SegmentSealed, Successors],
            Ended => &[Write, End],
        };
        for event in way {
            table.handle(*event);
            table.send();
        }
        table.rig.effects();
        table.take_done();
        assert_eq!(table.stage(), stage);
        table
    }

    fn stage(&self) -> Stage {
        let machine = &self.rig.machine;
        if machine.ended.is_some() {
            return Ended;
        }
        let Some(writer) = machine.writers.get(&segment(0, 0)) else {
            return if machine.writers.is_empty() { Unknown } else { Moved };
        };
        match writer.state {
            State::Idle => Idle,
            State::Locating => Locating,
            State::Waiting(_) => LocatingLater,
            State::Sealed => Sealed,
            State::SealedWaiting(_) => SealedLater,
            State::WithoutSuccessors => WithoutSuccessors,
            State::At(id) => match machine.connections[&id].state {
                ConnectionState::Connecting => Connecting,
                ConnectionState::Waiting(_) => ConnectingLater,
                ConnectionState::Open if writer.appends.is_setting_up() => SettingUp,
                ConnectionState::Open if writer.appends.is_empty() => Served,
                ConnectionState::Open => InFlight,
            },
        }
    }

    /// Sends everything on the connection. Returns the names of the commands.
    fn send(&mut self) -> String {
        let mut out = SendBuffer::new();
        self.rig.machine.transmit(CONNECTION, &mut out, self.rig.now);
        let mut bytes = BytesMut::from(&out.to_vec()[..]);
        out.advance(out.remaining());
        let mut names = Vec::new();
        while let Some(command) = Decoder::default().decode(&mut bytes).unwrap() {
            self.request_id = command.request_id().unwrap_or(self.request_id);
            names.push(command.name());
        }
        names.join(" ")
    }

    fn handle(&mut self, event: Event) {
        let (id, now) = (segment(0, 0), self.rig.now);
        match event {
            Write => {
                let ticket = self.rig.machine.outstanding() as u32;
                return self.rig.write(0.1, ticket);
            }
            Flush => return self.rig.machine.flush(()),
            TimerDue => self.rig.now = self.rig.machine.timeout().unwrap_or(now),
            DeliveryTimeout => self.rig.now += SETTINGS.delivery_timeout,
            _ => {}
        }
        let (machine, now) = (&mut self.rig.machine, self.rig.now);
        match event {
            End => {
                let detail = "the writer is abandoned";
                machine.end(WriteError::new(ErrorKind::Closed, Outcome::Unknown, detail));
            }
            TimerDue | DeliveryTimeout => machine.handle_timeout(now),
            Located => {
                let location = Location { endpoint: endpoint(1), token: Token::default() };
                machine.handle_located(id, Ok(location), now);
            }
            LocateFailed => machine.handle_located(id, Err(failed()), now),
            LocateRefused => machine.handle_located(id, Err(refused()), now),
            Successors => machine.handle_successors(id, Ok(successors(2)), now),
            NoSuccessors => machine.handle_successors(id, Ok(Vec::new()), now),
            HalfOfTheSuccessors => machine.handle_successors(id, Ok(successors(1)), now),
            SuccessorsFailed => machine.handle_successors(id, Err(failed()), now),
            SuccessorsRefused => machine.handle_successors(id, Err(refused()), now),
            SegmentStillThere => machine.handle_segments(id, Ok(vec![id]), now),
            SegmentGone => machine.handle_segments(id, Ok(vec![segment(2, 7)]), now),
            NoSegments => machine.handle_segments(id, Ok(Vec::new()), now),
            SegmentsFailed => machine.handle_segments(id, Err(failed()), now),
            SegmentsRefused => machine.handle_segments(id, Err(refused()), now),
            Connected => machine.handle_connected(CONNECTION),
            ConnectionLost => {
                machine.handle_lost(CONNECTION, lookup(ErrorKind::ConnectionLost), now);
            }
            ConnectionRefused => machine.handle_lost(CONNECTION, lookup(ErrorKind::Tls), now),
            ConnectionInvalid => machine.handle_lost(CONNECTION, lookup(ErrorKind::Protocol), now),
            ReplyOfOtherConnection => {
                let sealed = reply(SegmentSealed, self.request_id);
                machine.handle_command(ConnectionId(99), sealed, now);
            }
            _ => machine.handle_command(CONNECTION, reply(event, self.request_id), now),
        }
    }

    /// The result of each event that is done, and of a flush.
    fn take_done(&mut self) -> String {
        let shown = |done: Completion<u32>| match done.result {
            Ok(_) => format!("{} stored", done.ticket),
            Err(error) => format!("{} {:?} {:?}", done.ticket, error.kind(), error.outcome()),
        };
        let mut done: Vec<String> = self.rig.machine.take_completions().map(shown).collect();
        while self.rig.machine.poll_flushed().is_some() {
            done.push("flushed".to_owned());
        }
        done.join(", ")
    }
}

/// A failure that passes.
fn failed() -> LookupError {
    lookup(ErrorKind::Unavailable)
}

/// A failure that stays.
fn refused() -> LookupError {
    lookup(ErrorKind::PermissionDenied)
}

/// The first `count` of the two successors of segment 0.
fn successors(count: usize) -> Vec<Successor> {
    let successor =
        |(at, range)| Successor { id: segment(1, at), range, predecessors: vec![segment(0, 0)] };
    (1..).zip(KeyRange::equal(2)).map(successor).take(count).collect()
}

fn reply(event: Event, request_id: i64) -> WireCommand {
    let name: bytestring::ByteString = "s/t/0.#epoch.0".into();
    let server_stack_trace = bytestring::ByteString::new();
    match event {
        SetUp => AppendSetup {
            request_id,
            segment: name,
            writer_id: writer_id(),
            last_event_number: i64::MIN,
        }
        .into(),
        Acknowledged => DataAppended {
            writer_id: writer_id(),
            event_number: 1,
            previous_event_number: i64::MIN,
            request_id,
            current_segment_write_offset: 100,
        }
        .into(),
        WrongStore => {
            WrongHost { request_id, segment: name, correct_host: "".into(), server_stack_trace }
                .into()
        }
        TokenExpired | TokenRefused => {
            let error_code = match event {
                TokenExpired => TokenFailure::Expired,
                _ => TokenFailure::Unspecified,
            };
            AuthTokenCheckFailed { request_id, server_stack_trace, error_code }.into()
        }
        StoreFull => {
            let (segment, message, error_code) = (name, "full".into(), FailureCode::OutOfSpace);
            ErrorMessage { request_id, segment, message, error_code }.into()
        }
        SegmentSealed => {
            SegmentIsSealed { request_id, segment: name, server_stack_trace, offset: 1 }.into()
        }
        SegmentMissing => {
            NoSuchSegment { request_id, segment: name, server_stack_trace, offset: 1 }.into()
        }
        InvalidReply => {
            let (writer_id, event_number) = (writer_id(), 1);
            InvalidEventNumber { writer_id, event_number, server_stack_trace, request_id }.into()
        }
        ReplyWithoutId => KeepAlive {}.into(),
        _ => panic!("{event:?} is no reply"),
    }
}

/// The writer id that the random numbers of the rig make.
fn writer_id() -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(u64::MAX, u64::MAX)
}

fn shown(effect: &Effect) -> String {
    let number = |segment: &SegmentId| segment.number().0;
    match effect {
        Effect::Locate(segment) => format!("locate {}", number(segment)),
        Effect::Forget(segment, _) => format!("forget {}", number(segment)),
        Effect::TokenExpired(_) => "token".to_owned(),
        Effect::Connect(id, _) => format!("connect {}", id.0),
        Effect::Close(id) => format!("close {}", id.0),
        Effect::FindSuccessors(segment) => format!("successors {}", number(segment)),
        Effect::FindSegments(segment) => format!("segments {}", number(segment)),
    }
}

/// What really happens.
fn observe(stage: Stage, event: Event) -> Row {
    let mut table = Table::new(stage);
    table.handle(event);
    let effects: Vec<String> = table.rig.effects().iter().map(shown).collect();
    let (sent, done) = (table.send(), table.take_done());
    let after = Some(table.stage()).filter(|after| *after != stage);
    Row { event, effects: effects.join(", "), sent, done, after }
}

/// Checks a state with all events, each of which has its row.
fn check(stage: Stage, rows: [Row; EVENTS.len()]) {
    assert_eq!(rows.each_ref().map(|row| row.event), EVENTS, "the order of the rows");
    let wrong: Vec<String> = rows
        .iter()
        .map(|row| (row, observe(stage, row.event)))
        .filter(|(row, observed)| *row != observed)
        .map(|(row, observed)| format!("expected {row:?}\nobserved {observed:?}"))
        .collect();
    assert!(wrong.is_empty(), "{stage:?}\n{}", wrong.join("\n"));
}
