//! Decides what a writer sends to one segment, and what an answer of the store means for each
//! event.
//!
//! ```text
//!              attach                  AppendSetup
//!   Detached ─────────▶ SettingUp ───────────────────▶ Open ◀──┐
//!      ▲                    ▲                           │       │ acknowledged
//!      │ detach             └── set up anew ── Transferring ◀───┤ a large event is next
//!      └──────────────────── from every state           └───────┘
//! ```
//!
//! Every event keeps its number from when it comes in until it is acknowledged. The store remembers
//! the last number of each writer, so after any interruption the set-up tells what is stored, and
//! the rest is sent again in order: nothing is lost and nothing doubled. Several blocks are in
//! flight; while there is room for one more, whatever waits is sent at once, so nothing is delayed
//! when idle, and blocks grow by themselves when all are in flight.
//!
//! What is deliberately absent: connections, endpoints and tokens' lifetimes (the writer machine
//! has them), and time.

pub(crate) mod item;
#[cfg(feature = "seeded-bugs")]
mod spoil;
mod transfer;

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_segment_client::{
    error::WriteError,
    machine::Token,
    seeded_bugs::{Bugs, SeededBug},
};
use pravega_sdk_types::{ErrorKind, EventNumber, Outcome, ScopedSegment};
use pravega_sdk_wire_protocol::{
    BytesAppend, EventsAppend, FlowId, RequestId, RequestIds, SendBuffer, WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{AppendSetup, ConditionalAppend, ConditionalCheckFailed, DataAppended, SetupAppend},
    event::Event,
};
use uuid::Uuid;

use self::{
    item::{Completion, Item, Payload},
    transfer::Transfer,
};
use crate::writer::appended::Appended;

/// How much may be in flight to one segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A block takes events up to this many bytes; a single larger one goes by itself.
    pub(crate) max_block_bytes: usize,
    pub(crate) max_blocks_in_flight: usize,
    /// Large events travel in pieces of this length.
    pub(crate) piece_bytes: usize,
}

/// With as many blocks in flight, the next one waits until one is acknowledged, or it is large.
const MAX_SMALL_BLOCKS_IN_FLIGHT: usize = 2;
const LARGE_BLOCK_BYTES: usize = 64 * 1024;

/// What an answer of the store means for the segment as a whole.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It goes on.
    Fine,
    /// It goes on, and an event is done.
    Progress,
    /// The segment takes no more; its successors do.
    Sealed,
    /// The segment is not there any more.
    Missing,
    /// Another store has the segment.
    WrongHost,
    /// The token ended.
    TokenExpired,
    /// The store will never take this.
    Refused(ErrorKind, String),
    /// The store broke the protocol, or failed; the connection is of no use.
    Broken(String),
}

#[derive(Debug)]
enum State {
    Detached,
    /// A set-up is to be sent.
    ToSetUp,
    /// A set-up was sent.
    SettingUp,
    Open,
    /// A large event is on its way; all before it are acknowledged.
    Transferring(Box<Transfer>),
}

/// An append that is in flight.
#[derive(Debug)]
struct Block {
    last_number: i64,
    items: usize,
    bytes: usize,
    is_conditional: bool,
}

/// The writer of one segment. Call [`Self::push`] for each event, [`Self::attach`] when a
/// connection is there, [`Self::transmit`] as long as [`Self::wants_to_send`], and [`Self::handle`]
/// for each answer.
#[derive(Debug)]
pub(crate) struct AppendMachine<T> {
    segment: Arc<ScopedSegment>,
    name: ByteString,
    writer_id: Uuid,
    limits: Limits,
    state: State,
    token: Token,
    /// All events that are not acknowledged, in order; the first `sent` of them are in flight.
    items: VecDeque<Item<T>>,
    sent: usize,
    /// The bytes of those that are not in flight.
    unsent_bytes: usize,
    blocks: VecDeque<Block>,
    /// The number of the newest event.
    last_number: i64,
    /// The highest number that was ever sent.
    sent_number: i64,
    /// The highest number that was acknowledged.
    acknowledged: i64,
    requests: RequestIds,
    /// What was asked before the last set-up is answered to nobody.
    set_up_request: RequestId,
    /// The highest length of the segment that the store told.
    tail_offset: Option<i64>,
    bugs: Bugs,
}

impl<T> AppendMachine<T> {
    /// The name is that by which the store knows the segment: its own, or that of a transaction on
    /// it.
    pub(crate) fn new(
        segment: Arc<ScopedSegment>,
        name: ByteString,
        writer_id: Uuid,
        flow: FlowId,
        limits: Limits,
        bugs: Bugs,
    ) -> Self {
        Self {
            name,
            segment,
            writer_id,
            limits,
            state: State::Detached,
            token: Token::default(),
            items: VecDeque::new(),
            sent: 0,
            unsent_bytes: 0,
            blocks: VecDeque::new(),
            last_number: 0,
            sent_number: EventNumber::NONE.0,
            acknowledged: EventNumber::NONE.0,
            requests: RequestIds::new(flow),
            set_up_request: RequestId::new(flow, 0),
            tail_offset: None,
            bugs,
        }
    }

    // ----------------------------------------------------------------------------------------------------- questions

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Says whether the store owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        match &self.state {
            State::Detached | State::ToSetUp => false,
            State::SettingUp => true,
            State::Open => !self.blocks.is_empty(),
            State::Transferring(transfer) => transfer.is_waiting(),
        }
    }

    pub(crate) fn is_setting_up(&self) -> bool {
        matches!(self.state, State::SettingUp)
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        match &self.state {
            State::Detached | State::SettingUp => false,
            State::ToSetUp => true,
            State::Transferring(transfer) => transfer.wants_to_send(),
            State::Open => match self.items.get(self.sent).map(|item| &item.payload) {
                None => false,
                Some(Payload::Large(_) | Payload::Conditional { .. } | Payload::Bytes { .. }) => {
                    self.blocks.is_empty()
                }
                Some(Payload::Event(_) | Payload::Batch(_)) => self.has_room_for_block(),
            },
        }
    }

    /// The first blocks go at once, further ones only if they are worth it: many small appends cost
    /// the store, and both ends of the connection, more than they gain.
    fn has_room_for_block(&self) -> bool {
        let limit = if self.unsent_bytes >= LARGE_BLOCK_BYTES {
            usize::MAX
        } else {
            MAX_SMALL_BLOCKS_IN_FLIGHT
        };
        self.blocks.len() < limit.min(self.limits.max_blocks_in_flight)
            && self.blocks.front().is_none_or(|first| !first.is_conditional)
    }

    /// The length of the segment as far as it is known; an event that is acknowledged lies below
    /// it.
    pub(crate) fn tail_offset(&self) -> Option<i64> {
        self.tail_offset
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    // ------------------------------------------------------------------------------------------------------ commands

    /// Takes an event behind all others.
    pub(crate) fn push(&mut self, mut item: Item<T>) {
        self.last_number += item.payload.event_count();
        item.number = self.last_number;
        self.unsent_bytes += item.bytes;
        self.items.push_back(item);
    }

    /// A connection is there: the next thing to send is a set-up.
    pub(crate) fn attach(&mut self, token: Token) {
        self.detach();
        self.token = token;
        self.state = State::ToSetUp;
    }

    /// The connection is gone, or must not be used for this segment any more. What was sent may or
    /// may not be stored.
    pub(crate) fn detach(&mut self) {
        self.state = State::Detached;
        self.unsent_bytes += self.blocks.drain(..).map(|block| block.bytes).sum::<usize>();
        self.sent = 0;
    }

    /// Takes all events away, in order, for the segment's successors.
    pub(crate) fn take_items(&mut self) -> VecDeque<Item<T>> {
        self.detach();
        self.unsent_bytes = 0;
        std::mem::take(&mut self.items)
    }

    /// Fails every event. Those that were sent may be stored.
    pub(crate) fn fail_all(&mut self, error: &WriteError, out: &mut Vec<Completion<T>>) {
        self.detach();
        self.fail_where(|_| true, error, out);
    }

    /// Fails the events that came in before `limit`; none of them may be in flight.
    pub(crate) fn fail_older_than(
        &mut self,
        limit: std::time::Duration,
        error: &WriteError,
        out: &mut Vec<Completion<T>>,
    ) {
        self.fail_where(|item| item.enqueued <= limit, error, out);
    }

    /// Says whether an event that came in before `limit` is there, and whether such a one is in
    /// flight.
    pub(crate) fn has_older_than(&self, limit: std::time::Duration) -> (bool, bool) {
        let at = self.items.iter().position(|item| item.enqueued <= limit);
        let is_busy = matches!(self.state, State::Transferring(_));
        (at.is_some(), at.is_some_and(|at| at < self.sent || is_busy))
    }

    /// When the event came in that waits longest; events of a sealed segment may stand behind
    /// younger ones.
    pub(crate) fn oldest(&self) -> Option<std::time::Duration> {
        self.items.iter().map(|item| item.enqueued).min()
    }

    fn fail_where(
        &mut self,
        fails: impl Fn(&Item<T>) -> bool,
        error: &WriteError,
        out: &mut Vec<Completion<T>>,
    ) {
        // Two errors for all, however many events there are.
        let [unknown, not_applied] =
            [Outcome::Unknown, Outcome::NotApplied].map(|outcome| error.with_outcome(outcome));
        let mut kept = VecDeque::with_capacity(self.items.len());
        for item in self.items.drain(..) {
            if !fails(&item) {
                kept.push_back(item);
                continue;
            }
            self.unsent_bytes -= item.bytes;
            let error = if item.number <= self.sent_number { &unknown } else { &not_applied };
            out.push(item.complete(Err(error.clone())));
        }
        self.items = kept;
    }

    // ------------------------------------------------------------------------------------------------------- sending

    /// Puts the next thing to send into `out`: one command, or one block.
    pub(crate) fn transmit(&mut self, out: &mut SendBuffer) {
        match &mut self.state {
            State::Detached | State::SettingUp => {}
            State::ToSetUp => self.send_set_up(out),
            State::Open => match self.items.get(self.sent).map(|item| &item.payload) {
                None => {}
                Some(Payload::Event(_) | Payload::Batch(_)) => self.send_block(out),
                Some(Payload::Conditional { .. }) => self.send_conditional(out),
                Some(Payload::Bytes { .. }) => self.send_bytes(out),
                Some(Payload::Large(_)) => self.begin_transfer(),
            },
            State::Transferring(transfer) => transfer.transmit(&mut self.requests, out),
        }
    }

    fn send_set_up(&mut self, out: &mut SendBuffer) {
        self.set_up_request = self.requests.next_id();
        let set_up = SetupAppend {
            request_id: self.set_up_request.0,
            writer_id: self.writer_id,
            segment: self.name.clone(),
            delegation_token: self.token.0.clone(),
        };
        // A segment's name and a token fit a frame; were it otherwise, the answer would not come,
        // and that has a limit.
        out.push(&set_up).ok();
        self.state = State::SettingUp;
    }

    fn send_block(&mut self, out: &mut SendBuffer) {
        let limit = self.limits.max_block_bytes;
        let mut block = Block { last_number: 0, items: 0, bytes: 0, is_conditional: false };
        for item in self.items.iter().skip(self.sent) {
            let fits = block.items == 0 || block.bytes + item.bytes <= limit;
            if !fits || !matches!(item.payload, Payload::Event(_) | Payload::Batch(_)) {
                break;
            }
            block.last_number = item.number;
            block.items += 1;
            block.bytes += item.bytes;
        }
        let append = EventsAppend {
            writer_id: self.writer_id,
            last_event_number: block.last_number,
            request_id: self.requests.next_id().0,
        };
        let events = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.payload.events());
        // What goes into a block was checked against the limit of a frame when it came in.
        out.push_events(&append, events).ok();
        self.sent_block(block);
    }

    /// As many bytes as fit a block, at their offset. One append is in flight: where a first is
    /// refused, a second could succeed if what another writer appended happens to be as long.
    /// Blocks grow instead.
    fn send_bytes(&mut self, out: &mut SendBuffer) {
        let mut block = Block { last_number: 0, items: 0, bytes: 0, is_conditional: false };
        let mut expected_offset = 0;
        for item in self.items.iter().skip(self.sent) {
            let Payload::Bytes { offset, .. } = &item.payload else { break };
            if block.items > 0 && block.bytes + item.bytes > self.limits.max_block_bytes {
                break;
            }
            if block.items == 0 {
                expected_offset = *offset;
            }
            block.last_number = item.number;
            block.items += 1;
            block.bytes += item.bytes;
        }
        let append = BytesAppend {
            writer_id: self.writer_id,
            event_number: block.last_number,
            expected_offset,
            request_id: self.requests.next_id().0,
        };
        let pieces = self
            .items
            .iter()
            .skip(self.sent)
            .take(block.items)
            .flat_map(|item| item.payload.events());
        out.push_bytes_append(&append, pieces).ok();
        self.sent_block(block);
    }

    fn send_conditional(&mut self, out: &mut SendBuffer) {
        let Some(item) = self.items.get(self.sent) else { return };
        let Payload::Conditional { event, tail_offset } = &item.payload else { return };
        let append = ConditionalAppend {
            writer_id: self.writer_id,
            event_number: item.number,
            expected_offset: *tail_offset,
            event: Event { data: event.clone() },
            request_id: self.requests.next_id().0,
        };
        let block =
            Block { last_number: item.number, items: 1, bytes: item.bytes, is_conditional: true };
        out.push(&append).ok();
        self.sent_block(block);
    }

    fn sent_block(&mut self, block: Block) {
        self.sent += block.items;
        self.unsent_bytes -= block.bytes;
        self.sent_number = self.sent_number.max(block.last_number);
        self.blocks.push_back(block);
    }

    fn begin_transfer(&mut self) {
        let Some(item) = self.items.get(self.sent) else { return };
        self.sent_number = self.sent_number.max(item.number);
        let transfer = Transfer::new(self, item);
        self.state = State::Transferring(Box::new(transfer));
    }

    // ------------------------------------------------------------------------------------------------------- answers

    /// Takes an answer of the store. Events that are done are put into `out`.
    pub(crate) fn handle(&mut self, command: WireCommand, out: &mut Vec<Completion<T>>) -> Verdict {
        let is_stale =
            command.request_id().is_some_and(|id| RequestId(id).is_before(self.set_up_request));
        if is_stale || matches!(self.state, State::Detached | State::ToSetUp) {
            return Verdict::Fine;
        }
        match command {
            WireCommand::AppendSetup(reply) if reply.writer_id == self.writer_id => {
                self.handle_set_up(&reply, out)
            }
            WireCommand::DataAppended(reply) if reply.writer_id == self.writer_id => {
                self.handle_ack(&reply, out)
            }
            WireCommand::ConditionalCheckFailed(reply) if reply.writer_id == self.writer_id => {
                self.handle_condition_failed(&reply, out)
            }
            WireCommand::WrongHost(_) => Verdict::WrongHost,
            WireCommand::AuthTokenCheckFailed(reply)
                if reply.error_code == TokenFailure::Expired =>
            {
                Verdict::TokenExpired
            }
            WireCommand::AuthTokenCheckFailed(_) => {
                let detail = "the segment store refused the delegation token";
                Verdict::Refused(ErrorKind::PermissionDenied, detail.to_owned())
            }
            WireCommand::OperationUnsupported(reply) => {
                let detail = format!("the server cannot do {}", reply.operation_name);
                match self.state {
                    State::Transferring(_) => self.refuse_large(&detail, out),
                    _ => Verdict::Refused(ErrorKind::Unsupported, detail),
                }
            }
            WireCommand::ErrorMessage(reply)
                if reply.error_code == FailureCode::IllegalArgument =>
            {
                Verdict::Refused(
                    ErrorKind::InvalidArgument,
                    format!("the segment store says: {}", reply.message),
                )
            }
            // It may be able to later, as one that has no room left.
            WireCommand::ErrorMessage(reply) => {
                Verdict::Broken(format!("the segment store says: {}", reply.message))
            }
            WireCommand::SegmentIsSealed(_) => {
                self.rest_is_not_stored();
                Verdict::Sealed
            }
            WireCommand::NoSuchSegment(reply) if reply.segment == self.name => {
                self.rest_is_not_stored();
                Verdict::Missing
            }
            WireCommand::InvalidEventNumber(reply) => Verdict::Broken(format!(
                "the segment store calls event number {} invalid",
                reply.event_number
            )),
            other => self.handle_in_transfer(other, out),
        }
    }

    /// A failed append is answered after all before it, so what is not acknowledged by then is not
    /// stored.
    fn rest_is_not_stored(&mut self) {
        if matches!(self.state, State::Open) {
            self.sent_number = self.acknowledged;
        }
    }

    /// A server that knows no transient segments takes all other events.
    fn refuse_large(&mut self, detail: &str, out: &mut Vec<Completion<T>>) -> Verdict {
        self.state = State::Open;
        if let Some(item) = self.items.pop_front() {
            self.unsent_bytes -= item.bytes;
            let error = WriteError::new(ErrorKind::Unsupported, Outcome::NotApplied, detail);
            let error = error.with_stream(&self.segment.scoped_stream()).with_segment(
                self.segment.id(),
                None,
                0,
            );
            out.push(item.complete(Err(error)));
        }
        Verdict::Progress
    }

    fn handle_set_up(&mut self, reply: &AppendSetup, out: &mut Vec<Completion<T>>) -> Verdict {
        if !matches!(self.state, State::SettingUp) {
            return Verdict::Broken(
                "the segment store answered a set-up that nobody asked for".to_owned(),
            );
        }
        let stored = reply.last_event_number;
        if stored > self.sent_number {
            return Verdict::Broken(format!(
                "it claims event number {stored}, {} was the last sent",
                self.sent_number
            ));
        }
        if stored < self.acknowledged {
            let acknowledged = self.acknowledged;
            return Verdict::Broken(format!(
                "it has event number {stored} only, {acknowledged} was acknowledged"
            ));
        }
        self.acknowledged = stored;
        self.state = State::Open;
        #[cfg(feature = "seeded-bugs")]
        self.spoil_resend(stored, out);
        let stored_items = self.items.iter().take_while(|item| item.number <= stored).count();
        for item in self.items.drain(..stored_items) {
            self.unsent_bytes -= item.bytes;
            // Where in the segment they stand is not told.
            let appended = Appended::new(&self.segment, None, &item);
            out.push(item.complete(Ok(appended)));
        }
        if stored_items > 0 { Verdict::Progress } else { Verdict::Fine }
    }

    fn handle_ack(&mut self, reply: &DataAppended, out: &mut Vec<Completion<T>>) -> Verdict {
        let number = reply.event_number;
        let Some(at) = self.blocks.iter().position(|block| block.last_number == number) else {
            return Verdict::Broken(format!(
                "the segment store acknowledged event number {number}, which is not in flight"
            ));
        };
        let previous = reply.previous_event_number;
        if self.items.front().is_some_and(|first| previous >= first.number) {
            return Verdict::Broken(format!(
                "the segment store acknowledged {number} after {previous}"
            ));
        }
        let at =
            if self.bugs.has(SeededBug::AcknowledgesTooMuch) { self.blocks.len() - 1 } else { at };
        let end = Some(reply.current_segment_write_offset).filter(|offset| *offset >= 0);
        self.tail_offset = self.tail_offset.max(end);
        self.acknowledged = number;
        for (behind, block) in (0..=at).rev().zip(self.blocks.drain(..=at)) {
            // Other writers' events may stand between blocks, so only the last block's place is
            // known.
            let mut offset = end.filter(|_| behind == 0).map(|end| end - block.bytes as i64);
            for item in self.items.drain(..block.items) {
                let appended = Appended::new(&self.segment, offset, &item);
                offset = offset.map(|offset| offset + item.bytes as i64);
                out.push(item.complete(Ok(appended)));
            }
            self.sent -= block.items;
        }
        Verdict::Progress
    }

    fn handle_condition_failed(
        &mut self,
        reply: &ConditionalCheckFailed,
        out: &mut Vec<Completion<T>>,
    ) -> Verdict {
        if matches!(self.items.front().map(|item| &item.payload), Some(Payload::Bytes { .. })) {
            return self.handle_lost_offset(reply);
        }
        let is_known =
            |block: &Block| block.is_conditional && block.last_number == reply.event_number;
        if !self.blocks.front().is_some_and(is_known) {
            return Verdict::Broken(
                "the segment store refused a condition that nobody made".to_owned(),
            );
        }
        self.blocks.pop_front();
        self.sent = 0;
        if let Some(item) = self.items.pop_front() {
            let detail = "the segment does not end at the offset given";
            let error = WriteError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail)
                .with_stream(&self.segment.scoped_stream())
                .with_segment(self.segment.id(), None, 0);
            out.push(item.complete(Err(error)));
        }
        Verdict::Progress
    }

    /// Somebody else appended to a byte stream: neither these bytes nor any behind them can stand
    /// where they should.
    fn handle_lost_offset(&mut self, reply: &ConditionalCheckFailed) -> Verdict {
        if self.blocks.front().is_none_or(|block| block.last_number != reply.event_number) {
            return Verdict::Broken(
                "the segment store refused a condition that nobody made".to_owned(),
            );
        }
        self.sent_number = self.acknowledged;
        let detail = "another writer appended to the byte stream, so these bytes cannot stand at their offset";
        Verdict::Refused(ErrorKind::ConditionFailed, detail.to_owned())
    }

    /// What is left belongs to the transfer of a large event, or to nobody.
    fn handle_in_transfer(
        &mut self,
        command: WireCommand,
        out: &mut Vec<Completion<T>>,
    ) -> Verdict {
        let State::Transferring(transfer) = &mut self.state else {
            return Verdict::Broken(format!(
                "the segment store answered {} to an append",
                command.name()
            ));
        };
        match transfer.handle(command) {
            transfer::Step::Next => Verdict::Fine,
            transfer::Step::Merged(end) => {
                // The merge changed the number that the store keeps of this writer: it has to be
                // read anew.
                self.state = State::ToSetUp;
                self.tail_offset = self.tail_offset.max(end);
                if let Some(item) = self.items.pop_front() {
                    self.unsent_bytes -= item.bytes;
                    self.acknowledged = item.number;
                    let appended =
                        Appended::new(&self.segment, end.map(|end| end - item.bytes as i64), &item);
                    out.push(item.complete(Ok(appended)));
                }
                Verdict::Progress
            }
            transfer::Step::Again => {
                // Whether an earlier attempt went through, the set-up tells.
                self.state = State::ToSetUp;
                Verdict::Fine
            }
            transfer::Step::Broken(reason) => Verdict::Broken(reason),
        }
    }
}

#[cfg(test)]
mod tests;
