//! Every state of a segment in the read machine with every event: which effects and deliveries
//! come out, and which state follows.

mod ends;
mod reads;

use pravega_sdk_wire_protocol::{
    codes::FailureCode,
    commands::{ErrorMessage, KeepAlive, OperationUnsupported, WrongHost},
};

use self::{Event::*, Stage::*};
use super::{
    super::segment_reader::{LengthProbe, LocateState, Question, Terminal},
    *,
};

/// A state of the segment. Reading starts at offset 100 unless the state says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Locating,
    /// A failed request is repeated later, after locating.
    LocatingLater,
    /// The length is asked for before anything is read.
    Probing,
    /// One read at the tail is in flight.
    AtTail,
    /// The same, and the segment was expected to reach further when its length was asked for.
    Expecting,
    /// One read of 50 known bytes is in flight.
    Known,
    /// The 50 known bytes of a segment that must be sealed were read, and its length is asked for
    /// again, as it was open.
    Unended,
    /// 10 bytes have arrived and a read at the tail is in flight.
    Arrived,
    /// The end of the sealed segment is ready for delivery.
    Ending,
    /// A failure is ready for delivery.
    Failing,
    /// The end was delivered.
    Done,
    Closed,
}

/// A call of the machine: of its user, or with the result of an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// The next delivery is taken.
    Take,
    Close,
    /// The caller has seen that the segment reaches up to offset 900.
    ExpectMore,
    TimerDue,
    Located,
    LocateFailed,
    LocateRefused,
    /// There is a newer token.
    Renewed,
    /// A read is answered: with all of its bytes, with 4, at the tail, at the end of the segment,
    /// with none, or from another offset.
    DataFull,
    DataShort,
    DataAtTail,
    DataAtEnd,
    DataEmpty,
    DataElsewhere,
    ReadTimeout,
    ReadLost,
    ReadRefused,
    ReadInvalid,
    /// The store has no more, or refuses the read.
    SegmentSealed,
    SegmentTruncated,
    TruncatedWrongly,
    SegmentMissing,
    WrongStore,
    TokenExpired,
    TokenRefused,
    Unsupported,
    IllegalArgument,
    Failure,
    Damaged,
    OtherReply,
    /// The length is answered: 150 bytes, and sealed, less than was known, or not at all.
    Length,
    LengthSealed,
    LengthShort,
    LengthLost,
    LengthMissing,
}

const EVENTS: [Event; 35] = [
    Take,
    Close,
    ExpectMore,
    TimerDue,
    Located,
    LocateFailed,
    LocateRefused,
    Renewed,
    DataFull,
    DataShort,
    DataAtTail,
    DataAtEnd,
    DataEmpty,
    DataElsewhere,
    ReadTimeout,
    ReadLost,
    ReadRefused,
    ReadInvalid,
    SegmentSealed,
    SegmentTruncated,
    TruncatedWrongly,
    SegmentMissing,
    WrongStore,
    TokenExpired,
    TokenRefused,
    Unsupported,
    IllegalArgument,
    Failure,
    Damaged,
    OtherReply,
    Length,
    LengthSealed,
    LengthShort,
    LengthLost,
    LengthMissing,
];

/// The result of an event in a state.
#[derive(Debug, PartialEq)]
struct Row {
    event: Event,
    effects: String,
    /// Everything that can be taken after the event.
    delivered: String,
    /// `None` means the state before.
    after: Option<Stage>,
}

/// A row in which nothing happens.
fn on(event: Event) -> Row {
    Row { event, effects: String::new(), delivered: String::new(), after: None }
}

impl Row {
    fn does(self, effects: &str) -> Self {
        Self { effects: effects.to_owned(), ..self }
    }

    fn delivers(self, delivered: &str) -> Self {
        Self { delivered: delivered.to_owned(), ..self }
    }

    fn to(self, after: Stage) -> Self {
        Self { after: Some(after), ..self }
    }

    /// The row if something can be taken before what it delivers.
    fn delivers_first(mut self, first: &str) -> Self {
        let comma = if self.delivered.is_empty() { "" } else { ", " };
        self.delivered.insert_str(0, &format!("{first}{comma}"));
        self
    }

    /// The row without another state after the event.
    fn stays(self) -> Self {
        Self { after: None, ..self }
    }
}

/// The rows of a state, one for each event.
type Rows = [Row; EVENTS.len()];

/// The rows of a state in which nothing is asked for.
fn idle() -> Rows {
    EVENTS.map(|event| match event {
        Close => on(Close).does("abandon").to(Closed),
        _ => on(event),
    })
}

/// Rows of which some are others in this state.
fn but<const N: usize>(mut rows: Rows, others: [Row; N]) -> Rows {
    for other in others {
        let row = rows.iter_mut().find(|row| row.event == other.event).unwrap();
        assert_ne!(*row, other, "the same without it");
        *row = other;
    }
    rows
}

/// A machine in a state, with the newest read that it asked for.
struct Table {
    rig: Rig,
    reader: ReaderId,
    read: u64,
    offset: i64,
    len: usize,
}

impl Table {
    fn new(stage: Stage) -> Self {
        let mut rig = Rig::new(MAX_READ);
        let start = match stage {
            Probing | Known => StartOffset::Claimed(Offset(100)),
            _ => StartOffset::Known(Offset(100)),
        };
        let reader = match stage {
            Unended => rig.machine.open_sealed(segment(0), start),
            _ => rig.machine.open(segment(0), start, None),
        };
        let mut table = Self { rig, reader, read: 0, offset: 100, len: 0 };
        table.effects();
        let way: &[Event] = match stage {
            Locating => &[],
            LocatingLater => &[Located, ReadLost],
            Probing | AtTail => &[Located],
            Expecting => &[Located, ExpectMore],
            Known => &[Located, Length],
            Unended => &[Located, Length, DataFull, Take],
            Arrived => &[Located, DataAtTail],
            Ending => &[Located, SegmentSealed],
            Failing => &[Located, SegmentMissing],
            Done => &[Located, SegmentSealed, Take],
            Closed => &[Located, Close],
        };
        for event in way {
            table.handle(*event);
            table.effects();
        }
        assert_eq!(table.stage(), stage);
        table
    }

    fn stage(&self) -> Stage {
        let Some(reader) = self.rig.machine.readers.get(&self.reader) else { return Closed };
        match &reader.terminal {
            Some(Terminal::Delivered) => return Done,
            _ if reader.window.has_data() => return Arrived,
            Some(_) => return Failing,
            None => {}
        }
        if reader.end.is_some_and(|end| end <= reader.window.next()) {
            return Ending;
        }
        match reader.state {
            LocateState::Locating => Locating,
            LocateState::Waiting(_) => LocatingLater,
            LocateState::At(_) if reader.is_sealed => Unended,
            LocateState::At(_) => match reader.probe {
                LengthProbe::Needed | LengthProbe::InFlight(Question { is_needed: true, .. }) => {
                    Probing
                }
                _ if self.rig.machine.asked > 0 => Known,
                LengthProbe::InFlight(question) if question.expected > Offset(0) => Expecting,
                _ => AtTail,
            },
        }
    }

    /// Takes the effects, and remembers the newest read.
    fn effects(&mut self) -> String {
        let shown = self.rig.asked().into_iter().map(|asked| match asked {
            Asked::Read { read, offset, len, kind, .. } => {
                (self.read, self.offset, self.len) = (read, offset, len as usize);
                match kind {
                    ReadKind::Known => format!("read {len} at {offset}"),
                    ReadKind::Tail => format!("tail at {offset}"),
                }
            }
            Asked::Inspect(_) => "length".to_owned(),
            Asked::Other(Effect::Locate(..)) => "locate".to_owned(),
            Asked::Other(Effect::Forget(..)) => "forget".to_owned(),
            Asked::Other(Effect::TokenExpired(..)) => "token".to_owned(),
            Asked::Other(Effect::Abandon(_)) => "abandon".to_owned(),
            Asked::Other(other) => panic!("{other:?}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Lets an event happen. Returns the delivery, if one is taken.
    fn handle(&mut self, event: Event) -> String {
        let (reader, read, offset) = (self.reader, self.read, self.offset);
        if event == TimerDue {
            self.rig.now = self.rig.machine.timeout().unwrap_or(self.rig.now);
        }
        let (question, now) = (self.rig.question(reader), self.rig.now);
        let machine = &mut self.rig.machine;
        match event {
            Take => {
                let Some((_, taken)) = machine.poll_delivery() else { return String::new() };
                machine.release(taken.len());
                return shown(&taken);
            }
            Close => machine.close(reader),
            ExpectMore => machine.expect(reader, Offset(900)),
            TimerDue => machine.handle_timeout(now),
            Located => machine.handle_located(reader, Ok(location(1)), now),
            LocateFailed => machine.handle_located(reader, Err(lost()), now),
            LocateRefused => {
                machine.handle_located(reader, Err(failure(ErrorKind::PermissionDenied)), now);
            }
            Renewed => machine.handle_renewed(reader, Token("newer".into())),
            DataFull => self.rig.data(reader, read, offset, self.len, false),
            DataShort => self.rig.data(reader, read, offset, 4, false),
            DataAtTail => self.rig.data(reader, read, offset, 10, true),
            DataEmpty => self.rig.data(reader, read, offset, 0, true),
            DataElsewhere => self.rig.data(reader, read, offset + 1, 10, true),
            ReadTimeout => machine.handle_read(reader, read, Err(failure(ErrorKind::Timeout)), now),
            ReadLost => machine.handle_read(reader, read, Err(lost()), now),
            ReadRefused => machine.handle_read(reader, read, Err(failure(ErrorKind::Tls)), now),
            ReadInvalid => {
                machine.handle_read(reader, read, Err(failure(ErrorKind::Protocol)), now);
            }
            Length => self.rig.info(reader, 0, 150, false),
            LengthSealed => self.rig.info(reader, 0, 150, true),
            LengthShort => self.rig.info(reader, 0, 50, false),
            LengthLost => machine.handle_inspected(reader, question, Err(lost()), now),
            LengthMissing => {
                machine.handle_inspected(reader, question, Ok(reply(SegmentMissing, 0)), now);
            }
            _ => machine.handle_read(reader, read, Ok(reply(event, offset)), now),
        }
        String::new()
    }
}

fn failure(kind: ErrorKind) -> LookupError {
    LookupError { kind, cause: Misbehaviour(format!("{kind}")).into() }
}

/// A reply to a read at `offset`.
fn reply(event: Event, offset: i64) -> WireCommand {
    let (request_id, segment): (i64, bytestring::ByteString) = (1, "s".into());
    let server_stack_trace = bytestring::ByteString::new();
    match event {
        DataAtEnd => SegmentRead {
            segment,
            offset,
            at_tail: true,
            end_of_segment: true,
            data: vec![7; 10].into(),
            request_id,
        }
        .into(),
        SegmentSealed => SegmentIsSealed { request_id, segment, server_stack_trace, offset }.into(),
        SegmentTruncated | TruncatedWrongly => {
            let start_offset = if event == SegmentTruncated { offset + 20 } else { offset };
            SegmentIsTruncated { request_id, segment, start_offset, server_stack_trace, offset }
                .into()
        }
        SegmentMissing => NoSuchSegment { request_id, segment, server_stack_trace, offset }.into(),
        WrongStore => {
            let correct_host = "".into();
            WrongHost { request_id, segment, correct_host, server_stack_trace }.into()
        }
        TokenExpired | TokenRefused => {
            let error_code = match event {
                TokenExpired => TokenFailure::Expired,
                _ => TokenFailure::Unspecified,
            };
            AuthTokenCheckFailed { request_id, server_stack_trace, error_code }.into()
        }
        Unsupported => {
            let operation_name = "read".into();
            OperationUnsupported { request_id, operation_name, server_stack_trace }.into()
        }
        IllegalArgument | Failure | Damaged => {
            let error_code = match event {
                IllegalArgument => FailureCode::IllegalArgument,
                Damaged => FailureCode::Damaged,
                _ => FailureCode::Unspecified,
            };
            ErrorMessage { request_id, segment, message: "no".into(), error_code }.into()
        }
        OtherReply => KeepAlive {}.into(),
        _ => panic!("{event:?} is no reply"),
    }
}

pub(super) fn shown(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Data { offset, data } => format!("{} at {offset}", data.len()),
        Delivery::Truncated { asked, head } => format!("truncated {asked} to {head}"),
        Delivery::End { offset } => format!("end at {offset}"),
        Delivery::Missing => "missing".to_owned(),
        Delivery::Short { length } => format!("short {length}"),
        Delivery::Stalled(error) => format!("stalled {:?}", error.kind()),
        Delivery::Failed(error) => format!("failed {:?}", error.kind()),
    }
}

/// What really happens.
fn observe(stage: Stage, event: Event) -> Row {
    let mut table = Table::new(stage);
    let mut delivered = vec![table.handle(event)];
    let effects = table.effects();
    let after = Some(table.stage()).filter(|after| *after != stage);
    delivered.extend(std::iter::from_fn(|| Some(table.handle(Take)).filter(|it| !it.is_empty())));
    delivered.retain(|it| !it.is_empty());
    let delivered = delivered.join(", ");
    let machine = &table.rig.machine;
    assert!(after.is_none_or(|after| after != Closed) || machine.asked + machine.held == 0);
    Row { event, effects, delivered, after }
}

/// Checks a state with all events, each of which has its row.
fn check(stage: Stage, rows: Rows) {
    assert_eq!(rows.each_ref().map(|row| row.event), EVENTS, "each event has its row");
    let wrong: Vec<String> = rows
        .iter()
        .map(|row| (row, observe(stage, row.event)))
        .filter(|(row, observed)| *row != observed)
        .map(|(row, observed)| format!("expected {row:?}\nobserved {observed:?}"))
        .collect();
    assert!(wrong.is_empty(), "{stage:?}\n{}", wrong.join("\n"));
}
