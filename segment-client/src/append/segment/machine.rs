//! The append machine: its data, and the calls of the writer machine.

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, EventNumber, Offset, Outcome, ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::{FlowId, RequestId, RequestIds};

use super::{
    item::{Completion, Item, Payload},
    transfer::Transfer,
};
use crate::{
    error::WriteError,
    machine::{Now, Token},
    seeded_bugs::Bugs,
};

/// Limits of what may be in flight to one segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A block takes events up to this many bytes; a single larger one is a block of its own.
    pub(crate) max_block_bytes: usize,
    pub(crate) max_blocks_in_flight: usize,
    /// Large events travel in pieces of this length.
    pub(crate) piece_bytes: usize,
}

/// With as many blocks in flight, the next one waits until one is acknowledged, or it is large.
const MAX_SMALL_BLOCKS_IN_FLIGHT: usize = 2;
pub(super) const LARGE_BLOCK_BYTES: usize = 64 * 1024;

/// The meaning of a reply of the store for the whole segment.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// Appends go on.
    Ok,
    /// Appends go on, and an event is done.
    Progress,
    /// The segment is sealed; its successors take over.
    Sealed,
    /// The segment no longer exists.
    Missing,
    /// Another store has the segment.
    WrongHost,
    /// The token expired.
    TokenExpired,
    /// The store refuses the events for good.
    Refused(ErrorKind, String),
    /// The store broke the protocol, or failed; the connection must be dropped.
    Protocol(String),
}

/// The state of the first event that has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    Unsent,
    InFlight,
}

#[derive(Debug)]
pub(super) enum State {
    Detached,
    /// `SetupAppend` not yet sent.
    ToSetUp,
    /// `SetupAppend` sent, waiting for `AppendSetup`.
    SettingUp,
    Open,
    /// A large event is in transfer; all before it are acknowledged.
    Transferring(Box<Transfer>),
}

/// An append in flight.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) last_number: EventNumber,
    pub(super) items: usize,
    pub(super) bytes: usize,
    pub(super) is_conditional: bool,
}

/// The writer of one segment. Call [`Self::push`] for each event, [`Self::attach`] when there is a
/// connection, [`Self::transmit`] while [`Self::wants_to_send`], and [`Self::handle`] for each
/// reply.
#[derive(Debug)]
pub(crate) struct AppendMachine<T> {
    pub(super) segment: Arc<ScopedSegment>,
    pub(super) name: ByteString,
    pub(super) writer_id: WriterId,
    pub(super) limits: Limits,
    pub(super) state: State,
    pub(super) token: Token,
    /// All events that are not acknowledged, in order; the first `sent` of them are in flight.
    pub(super) items: VecDeque<Item<T>>,
    pub(super) sent: usize,
    /// The bytes of those that are not in flight.
    pub(super) unsent_bytes: usize,
    pub(super) blocks: VecDeque<Block>,
    /// The number of the newest event.
    pub(super) last_number: EventNumber,
    /// The highest number that was ever sent.
    pub(super) sent_number: EventNumber,
    /// The highest number that was acknowledged.
    pub(super) acknowledged: EventNumber,
    pub(super) requests: RequestIds,
    /// The last set-up. Replies to requests before it are ignored.
    pub(super) set_up_request: RequestId,
    /// The highest known length of the segment.
    pub(super) tail_offset: Option<Offset>,
    pub(super) bugs: Bugs,
}

impl<T> AppendMachine<T> {
    /// Creates a machine. The name is the store's name of the segment: its own, or that of a
    /// transaction on it.
    pub(crate) fn new(
        segment: Arc<ScopedSegment>,
        name: ByteString,
        writer_id: WriterId,
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
            last_number: EventNumber(0),
            sent_number: EventNumber::NONE,
            acknowledged: EventNumber::NONE,
            requests: RequestIds::new(flow),
            set_up_request: RequestId::new(flow, 0),
            tail_offset: None,
            bugs,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns true if the store owes a reply.
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

    /// Returns true if one more block may be sent. The first blocks go at once, further ones only
    /// if they are large: many small appends cost the store and both ends of the connection more
    /// than they gain.
    fn has_room_for_block(&self) -> bool {
        let limit = if self.unsent_bytes >= LARGE_BLOCK_BYTES {
            usize::MAX
        } else {
            MAX_SMALL_BLOCKS_IN_FLIGHT
        };
        self.blocks.len() < limit.min(self.limits.max_blocks_in_flight)
            && self.blocks.front().is_none_or(|first| !first.is_conditional)
    }

    /// Returns the highest known length of the segment, which is after every acknowledged event.
    pub(crate) fn tail_offset(&self) -> Option<Offset> {
        self.tail_offset
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Adds an event after all others.
    pub(crate) fn push(&mut self, mut item: Item<T>) {
        self.last_number.0 += item.payload.event_count();
        item.number = self.last_number;
        self.unsent_bytes += item.bytes;
        self.items.push_back(item);
    }

    /// Uses a new connection, on which a set-up is sent first.
    pub(crate) fn attach(&mut self, token: Token) {
        self.detach();
        self.token = token;
        self.state = State::ToSetUp;
    }

    /// Stops using the connection. Events in flight may or may not be stored.
    pub(crate) fn detach(&mut self) {
        self.state = State::Detached;
        self.unsent_bytes += self.blocks.drain(..).map(|block| block.bytes).sum::<usize>();
        self.sent = 0;
    }

    /// Takes all events, in order, for the segment's successors.
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

    /// Fails the events enqueued before `limit`, none of which may be in flight.
    pub(crate) fn fail_older_than(
        &mut self,
        limit: Now,
        error: &WriteError,
        out: &mut Vec<Completion<T>>,
    ) {
        self.fail_where(|item| item.enqueued <= limit, error, out);
    }

    /// Looks for events enqueued before `limit`.
    pub(crate) fn overdue(&self, limit: Now) -> Option<Overdue> {
        let at = self.items.iter().position(|item| item.enqueued <= limit)?;
        let is_busy = matches!(self.state, State::Transferring(_));
        Some(if at < self.sent || is_busy { Overdue::InFlight } else { Overdue::Unsent })
    }

    /// Returns when the oldest event was enqueued. Events of a sealed segment may be after younger
    /// ones.
    pub(crate) fn oldest(&self) -> Option<Now> {
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
}
