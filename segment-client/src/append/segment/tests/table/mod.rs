//! Every state of the append machine with every event: what it replies, does and sends.

mod appends;
mod transfers;

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use pravega_sdk_types::{ErrorKind, EventNumber, Offset, Outcome, ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::{
    Decoder, FlowId, SendBuffer, WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::*,
};
use uuid::Uuid;

use self::{Event::*, Stage::*};
use super::super::{
    item::{Completion, Content, Item, Payload, Pinned},
    machine::{AppendMachine, BlockKind, Limits, Reply, Seal, State},
    transfer::Phase,
};
use crate::{error::WriteError, machine::Token, seeded_bugs::Bugs};

const LIMITS: Limits =
    Limits { max_block_bytes: 1 << 20, max_blocks_in_flight: 4, piece_bytes: 100 };
const WRITER: Uuid = Uuid::from_u128(7);
const NAME: &str = "s/t/0.#epoch.0";
const NONE: i64 = EventNumber::NONE.0;

/// A state of the machine, with events 0 and 1 in it where it has any.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Detached,
    ToSetUp,
    SettingUp,
    /// Event 0 was in flight when the connection ended.
    SettingUpAgain,
    /// Nothing to send.
    Idle,
    /// Event 0 is in flight.
    InFlight,
    /// Event 0 is in flight, and was when the connection before ended.
    InFlightAgain,
    /// As before, and the store said that the segment is sealed.
    CheckingSeal,
    /// The seal is durable, and the last set-up was sent.
    SettingUpLast,
    /// Event 0 is in flight under a condition; event 1 waits.
    ConditionInFlight,
    /// Bytes 0 are in flight; bytes 1 wait.
    BytesInFlight,
    /// Event 0 is large; event 1 waits.
    ToCreate,
    Creating,
    ToSetUpTransient,
    SettingUpTransient,
    Sending,
    ToMerge,
    Merging,
}

/// A call of the machine, or a reply that it handles.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Push,
    Attach,
    Detach,
    TakeItems,
    FailAll,
    /// The set-up finds no event of this writer, event 1, or one that was never sent.
    SetUpNone,
    SetUpOne,
    SetUpUnsent,
    SetUpOfOtherWriter,
    AckOne,
    AckUnsent,
    AckOfOtherWriter,
    ConditionFailed,
    ConditionFailedUnsent,
    WrongStore,
    TokenExpired,
    TokenRefused,
    Unsupported,
    IllegalArgument,
    Failure,
    /// The store has no space.
    Full,
    Sealed,
    Missing,
    InvalidNumber,
    Created,
    TransientSetUp,
    TransientSetUpUsed,
    AckPieces,
    AckUnsentPiece,
    TransientMissing,
    Merged,
    NumberMoved,
    Truncated,
    Stale,
    /// The look at the segment finds it sealed, or not.
    InfoSealed,
    InfoOpen,
    /// The name of the transient segment exists.
    NameTaken,
    TransientSealed,
}

const EVENTS: [Event; 38] = [
    Push,
    Attach,
    Detach,
    TakeItems,
    FailAll,
    SetUpNone,
    SetUpOne,
    SetUpUnsent,
    SetUpOfOtherWriter,
    AckOne,
    AckUnsent,
    AckOfOtherWriter,
    ConditionFailed,
    ConditionFailedUnsent,
    WrongStore,
    TokenExpired,
    TokenRefused,
    Unsupported,
    IllegalArgument,
    Failure,
    Full,
    Sealed,
    Missing,
    InvalidNumber,
    Created,
    TransientSetUp,
    TransientSetUpUsed,
    AckPieces,
    AckUnsentPiece,
    TransientMissing,
    Merged,
    NumberMoved,
    Truncated,
    Stale,
    InfoSealed,
    InfoOpen,
    NameTaken,
    TransientSealed,
];

/// The result of an event in a state.
#[derive(Debug, PartialEq)]
struct Row {
    event: Event,
    /// Empty if the machine goes on, or the event is no reply of the store.
    reply: String,
    /// `None` means the state before.
    after: Option<Stage>,
    done: String,
    sent: String,
}

/// A row without a reply, a change, a completion or a command sent.
fn on(event: Event) -> Row {
    Row { event, reply: String::new(), after: None, done: String::new(), sent: String::new() }
}

impl Row {
    fn replies(self, reply: &str) -> Self {
        Self { reply: reply.to_owned(), ..self }
    }

    fn to(self, after: Stage) -> Self {
        Self { after: Some(after), ..self }
    }

    fn done(self, done: &str) -> Self {
        Self { done: done.to_owned(), ..self }
    }

    fn sends(self, sent: &str) -> Self {
        Self { sent: sent.to_owned(), ..self }
    }
}

struct Rig {
    machine: AppendMachine<u32>,
    done: Vec<Completion<u32>>,
    next: u32,
    /// The id of the newest request.
    request_id: i64,
    /// The id of a request before the last set-up.
    stale_request: i64,
    /// The writer of the transient segment.
    transient_writer: Uuid,
}

impl Rig {
    fn new(stage: Stage) -> Self {
        let segment: ScopedSegment = NAME.parse().unwrap();
        let (segment, flow) = (Arc::new(segment), FlowId(3));
        let writer = WriterId(WRITER);
        let machine =
            AppendMachine::new(segment, NAME.into(), writer, flow, LIMITS, Bugs::default());
        let mut rig = Self {
            machine,
            done: Vec::new(),
            next: 0,
            request_id: 0,
            stale_request: 0,
            transient_writer: Uuid::nil(),
        };
        rig.bring_to(stage);
        assert_eq!(rig.stage(), stage);
        rig
    }

    fn bring_to(&mut self, stage: Stage) {
        match stage {
            Idle => {}
            ConditionInFlight => {
                self.pinned(9, Pinned::Event(Bytes::from_static(b"c")));
                self.event();
            }
            BytesInFlight => {
                self.pinned(0, Pinned::Bytes(Bytes::from_static(b"0123456789")));
            }
            Detached | ToSetUp | SettingUp | SettingUpAgain | InFlight | InFlightAgain
            | CheckingSeal | SettingUpLast => self.event(),
            _ => {
                self.push(Payload::Large(vec![Bytes::from(vec![1; 250])]));
                self.event();
            }
        }
        let way: &[Event] = match stage {
            Detached => return,
            ToSetUp => return self.machine.attach(Token::default()),
            SettingUp => &[],
            SettingUpAgain | InFlightAgain | CheckingSeal | SettingUpLast => &[SetUpNone],
            Idle | InFlight | ConditionInFlight | BytesInFlight => &[SetUpNone],
            ToCreate | Creating => &[SetUpNone],
            ToSetUpTransient | SettingUpTransient => &[SetUpNone, Created],
            Sending => &[SetUpNone, Created, TransientSetUp],
            ToMerge | Merging => &[SetUpNone, Created, TransientSetUp, AckPieces],
        };
        // A set-up that was not answered makes the replies to it stale.
        self.machine.attach(Token::default());
        self.send();
        self.stale_request = self.request_id;
        self.machine.attach(Token::default());
        self.send();
        for (at, event) in way.iter().enumerate() {
            self.handle(*event);
            match stage {
                // The transfer begins with the first turn, and sends with the second.
                ToCreate => self.machine.transmit(&mut SendBuffer::new()),
                ToSetUpTransient | ToMerge if at + 1 == way.len() => {}
                _ => drop(self.send()),
            }
        }
        match stage {
            SettingUpAgain => {
                self.machine.attach(Token::default());
                self.send();
            }
            InFlightAgain | CheckingSeal | SettingUpLast => {
                self.machine.attach(Token::default());
                self.send();
                let way: &[Event] = match stage {
                    InFlightAgain => &[SetUpNone],
                    CheckingSeal => &[SetUpNone, Sealed],
                    _ => &[SetUpNone, Sealed, InfoSealed],
                };
                for event in way {
                    self.handle(*event);
                    self.send();
                }
            }
            BytesInFlight => {
                self.pinned(10, Pinned::Bytes(Bytes::from_static(b"0123456789")));
            }
            _ => {}
        }
    }

    fn stage(&self) -> Stage {
        match (&self.machine.state, self.machine.blocks.front()) {
            (State::Detached, _) => Detached,
            (State::ToSetUp, _) => ToSetUp,
            (State::CheckingSeal, _) => CheckingSeal,
            (State::SettingUp, _) if self.machine.seal == Seal::Durable => SettingUpLast,
            (State::SettingUp, _) if self.machine.sent_number == EventNumber(1) => SettingUpAgain,
            (State::SettingUp, _) => SettingUp,
            (State::Open, None) => Idle,
            (State::Open, Some(block)) => match block.kind {
                BlockKind::Conditional => ConditionInFlight,
                BlockKind::Bytes => BytesInFlight,
                BlockKind::Events if self.machine.has_earlier() => InFlightAgain,
                BlockKind::Events => InFlight,
            },
            (State::Transferring(transfer), _) => match transfer.phase {
                Phase::Create => ToCreate,
                Phase::Creating => Creating,
                Phase::SetUp => ToSetUpTransient,
                Phase::SettingUp => SettingUpTransient,
                Phase::Sending { .. } => Sending,
                Phase::Merge => ToMerge,
                Phase::Merging => Merging,
            },
        }
    }

    fn push(&mut self, payload: Payload) {
        self.push_content(Content::Routed { position: 0.0, payload });
    }

    fn pinned(&mut self, offset: i64, payload: Pinned) {
        self.push_content(Content::Pinned { offset: Offset(offset), payload });
    }

    fn push_content(&mut self, content: Content) {
        self.machine.push(Item::new(content, Duration::ZERO, 0, self.next));
        self.next += 1;
    }

    fn event(&mut self) {
        self.push(Payload::Event(Bytes::from_static(b"0123456789")));
    }

    /// Sends everything that the machine has to send. Returns the names of the commands.
    fn send(&mut self) -> String {
        let mut out = SendBuffer::new();
        while self.machine.wants_to_send() {
            self.machine.transmit(&mut out);
        }
        let mut bytes = BytesMut::from(&out.to_vec()[..]);
        out.advance(out.remaining());
        let mut names = Vec::new();
        while let Some(command) = Decoder::default().decode(&mut bytes).unwrap() {
            self.request_id = command.request_id().unwrap_or(self.request_id);
            if let WireCommand::CreateTransientSegment(create) = &command {
                self.transient_writer = create.writer_id;
            }
            names.push(command.name());
        }
        names.join(" ")
    }

    /// Lets an event happen. Returns the reply, if it was a command of the store.
    fn handle(&mut self, event: Event) -> Option<Reply> {
        let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, "late");
        match event {
            Push => self.event(),
            Attach => self.machine.attach(Token::default()),
            Detach => self.machine.detach(),
            TakeItems => drop(self.machine.take_items()),
            FailAll => self.machine.fail_all(&error, &mut self.done),
            _ => {
                let command = self.command(event);
                return Some(self.machine.handle(command, &mut self.done));
            }
        }
        None
    }

    fn set_up(&self, writer_id: Uuid, last_event_number: i64) -> WireCommand {
        let request_id = self.request_id;
        AppendSetup { request_id, segment: NAME.into(), writer_id, last_event_number }.into()
    }

    fn ack(&self, writer_id: Uuid, event_number: i64) -> WireCommand {
        DataAppended {
            writer_id,
            event_number,
            previous_event_number: NONE,
            request_id: self.request_id,
            current_segment_write_offset: 100,
        }
        .into()
    }

    fn condition_failed(&self, event_number: i64) -> WireCommand {
        let (writer_id, request_id) = (WRITER, self.request_id);
        ConditionalCheckFailed { writer_id, event_number, request_id }.into()
    }

    fn info(&self, is_sealed: bool) -> WireCommand {
        StreamSegmentInfo {
            request_id: self.request_id,
            segment_name: NAME.into(),
            exists: true,
            is_sealed,
            is_deleted: false,
            last_modified: 0,
            write_offset: 100,
            start_offset: 0,
        }
        .into()
    }

    fn sealed(&self, request_id: i64, segment: &str) -> WireCommand {
        let (segment, server_stack_trace) = (segment.into(), "".into());
        SegmentIsSealed { request_id, segment, server_stack_trace, offset: 1 }.into()
    }

    fn token(&self, error_code: TokenFailure) -> WireCommand {
        let (request_id, server_stack_trace) = (self.request_id, "".into());
        AuthTokenCheckFailed { request_id, server_stack_trace, error_code }.into()
    }

    fn failure(&self, error_code: FailureCode) -> WireCommand {
        let (request_id, segment, message) = (self.request_id, NAME.into(), "no".into());
        ErrorMessage { request_id, segment, message, error_code }.into()
    }

    fn missing(&self, segment: &str) -> WireCommand {
        let (request_id, server_stack_trace) = (self.request_id, "".into());
        NoSuchSegment { request_id, segment: segment.into(), server_stack_trace, offset: 1 }.into()
    }

    fn command(&self, event: Event) -> WireCommand {
        let (request_id, segment) = (self.request_id, NAME.into());
        let server_stack_trace = "".into();
        let transient = self.transient_writer;
        match event {
            SetUpNone => self.set_up(WRITER, NONE),
            SetUpOne => self.set_up(WRITER, 1),
            SetUpUnsent => self.set_up(WRITER, 9),
            SetUpOfOtherWriter => self.set_up(Uuid::max(), NONE),
            TransientSetUp => self.set_up(transient, NONE),
            TransientSetUpUsed => self.set_up(transient, 3),
            AckOne => self.ack(WRITER, 1),
            AckUnsent => self.ack(WRITER, 9),
            AckOfOtherWriter => self.ack(Uuid::max(), 1),
            AckPieces => self.ack(transient, 3),
            AckUnsentPiece => self.ack(transient, 9),
            ConditionFailed => self.condition_failed(1),
            ConditionFailedUnsent => self.condition_failed(9),
            WrongStore => {
                let correct_host = "".into();
                WrongHost { request_id, segment, correct_host, server_stack_trace }.into()
            }
            TokenExpired => self.token(TokenFailure::Expired),
            TokenRefused => self.token(TokenFailure::Unspecified),
            Unsupported => {
                let operation_name = "transients".into();
                OperationUnsupported { request_id, operation_name, server_stack_trace }.into()
            }
            IllegalArgument => self.failure(FailureCode::IllegalArgument),
            Failure => self.failure(FailureCode::Unspecified),
            Full => self.failure(FailureCode::OutOfSpace),
            Sealed => self.sealed(request_id, NAME),
            TransientSealed => self.sealed(request_id, "transient"),
            Stale => self.sealed(self.stale_request, NAME),
            InfoSealed => self.info(true),
            InfoOpen => self.info(false),
            NameTaken => SegmentAlreadyExists { request_id, segment, server_stack_trace }.into(),
            Missing => self.missing(NAME),
            TransientMissing => self.missing("transient"),
            InvalidNumber => {
                let (writer_id, event_number) = (WRITER, 1);
                InvalidEventNumber { writer_id, event_number, server_stack_trace, request_id }
                    .into()
            }
            Created => SegmentCreated { request_id, segment: "transient".into() }.into(),
            Merged => {
                let (target, source) = (NAME.into(), "transient".into());
                let new_target_write_offset = 300;
                SegmentsMerged { request_id, target, source, new_target_write_offset }.into()
            }
            NumberMoved => SegmentAttributeUpdated { request_id, success: false }.into(),
            Truncated => {
                let (start_offset, offset) = (9, 1);
                SegmentIsTruncated { request_id, segment, start_offset, server_stack_trace, offset }
                    .into()
            }
            Push | Attach | Detach | TakeItems | FailAll => panic!("{event:?} is no command"),
        }
    }

    /// The result of each event that is done: its number, its offset or its error.
    fn take_done(&mut self) -> String {
        let shown = self.done.drain(..).map(|done| match done.result {
            Ok(appended) => match appended.offset() {
                Some(offset) => format!("{} at {offset}", done.ticket),
                None => format!("{} stored", done.ticket),
            },
            Err(error) => format!("{} {:?} {:?}", done.ticket, error.kind(), error.outcome()),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn shown(reply: Option<Reply>) -> String {
    match reply {
        None | Some(Reply::Ok) => String::new(),
        Some(Reply::Protocol(_)) => "Protocol".to_owned(),
        Some(Reply::Again(_)) => "Again".to_owned(),
        Some(Reply::OutOfSpace(_)) => "OutOfSpace".to_owned(),
        Some(Reply::Refused(kind, _)) => format!("Refused {kind:?}"),
        Some(other) => format!("{other:?}"),
    }
}

/// What really happens.
fn observe(stage: Stage, event: Event) -> Row {
    let mut rig = Rig::new(stage);
    let reply = shown(rig.handle(event));
    let after = Some(rig.stage()).filter(|after| *after != stage);
    let done = rig.take_done();
    Row { event, reply, after, done, sent: rig.send() }
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
