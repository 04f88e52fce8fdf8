//! The append machine: its data, and the calls of the writer machine.

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, EventNumber, Offset, ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::{FlowId, RequestId, RequestIds};

use super::{
    item::{Content, Item, Payload},
    transfer::Transfer,
};
use crate::{machine::Token, seeded_bugs::Bugs};

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
    /// The segment is sealed; its successors take over. What is left is not stored in it.
    Sealed,
    /// The segment no longer exists. What may have been stored in it is in doubt for good.
    Missing,
    /// Another store has the segment.
    WrongHost,
    /// The token expired.
    TokenExpired,
    /// The store refuses the events for good.
    Refused(ErrorKind, String),
    /// The store has no space. Nothing is stored of what was sent after the last set-up and is not
    /// acknowledged, and nothing more is before the next one.
    OutOfSpace(String),
    /// The store cannot go on now; the segment is set up again, after a pause if that helps not.
    Again(String),
    /// The store broke the protocol, or failed.
    Protocol(String),
}

#[derive(Debug)]
pub(super) enum State {
    Detached,
    /// `SetupAppend` not yet sent, nor the question before it.
    ToSetUp,
    /// `GetStreamSegmentInfo` sent, waiting for `StreamSegmentInfo`.
    CheckingSeal,
    /// `SetupAppend` sent, waiting for `AppendSetup`.
    SettingUp,
    Open,
    /// A large event is in transfer; all before it are acknowledged.
    Transferring(Box<Transfer>),
}

/// What is known about the end of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    Unknown,
    /// The store refused an append. It may do so before the seal, and appends before that, are
    /// durable.
    Reported,
    /// The seal is durable: the answer to a set-up that is sent now is final.
    Durable,
}

/// What a block consists of, and on which condition it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Events,
    /// One event, if the segment ends at its offset.
    Conditional,
    /// Bytes, if the segment ends at the offset of the first.
    Bytes,
}

/// An append in flight.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) request: RequestId,
    pub(super) last_number: EventNumber,
    /// The events in it that are not done.
    pub(super) items: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    pub(super) kind: BlockKind,
    /// True if some of its events failed while they were in flight.
    pub(super) has_holes: bool,
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
    /// The highest number that was sent before the last set-up. Until it is acknowledged, events up
    /// to it may be applied at any time before the seal.
    pub(super) earlier_number: EventNumber,
    /// The highest number that may be stored. What has a higher one was never sent, or the store
    /// refused it.
    pub(super) in_doubt: EventNumber,
    /// The highest number that was acknowledged.
    pub(super) acknowledged: EventNumber,
    pub(super) seal: Seal,
    /// True if nothing more is sent before the next set-up.
    pub(super) is_draining: bool,
    pub(super) requests: RequestIds,
    /// The last set-up, or the question before it. Replies to requests before it are ignored.
    pub(super) set_up_request: RequestId,
    /// The highest known length of the segment.
    pub(super) tail_offset: Option<Offset>,
    pub(super) bugs: Bugs,
}

impl Block {
    pub(super) fn new(request: RequestId, kind: BlockKind) -> Self {
        let last_number = EventNumber(0);
        Self { request, last_number, items: 0, bytes: 0, kind, has_holes: false }
    }
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
            earlier_number: EventNumber::NONE,
            in_doubt: EventNumber::NONE,
            acknowledged: EventNumber::NONE,
            seal: Seal::Unknown,
            is_draining: false,
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
            State::CheckingSeal | State::SettingUp => true,
            State::Open => !self.blocks.is_empty(),
            State::Transferring(transfer) => transfer.is_waiting(),
        }
    }

    /// Returns true if the store owes the answer to a set-up, or to the question before it.
    pub(crate) fn is_setting_up(&self) -> bool {
        matches!(self.state, State::CheckingSeal | State::SettingUp)
    }

    /// Returns true if the store owes the answer to a command that has the token.
    pub(crate) fn is_presenting_token(&self) -> bool {
        match &self.state {
            State::CheckingSeal | State::SettingUp => true,
            State::Transferring(transfer) => transfer.is_setting_up(),
            State::Detached | State::ToSetUp | State::Open => false,
        }
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        match &self.state {
            State::Detached | State::CheckingSeal | State::SettingUp => false,
            State::ToSetUp => true,
            State::Transferring(transfer) => transfer.wants_to_send(),
            State::Open if self.is_draining => false,
            State::Open => match self.items.get(self.sent).map(|item| &item.content) {
                None => false,
                Some(
                    Content::Pinned { .. } | Content::Routed { payload: Payload::Large(_), .. },
                ) => self.blocks.is_empty(),
                Some(Content::Routed { .. }) => self.has_room_for_block(),
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
            && self.blocks.front().is_none_or(|first| first.kind == BlockKind::Events)
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
        self.last_number.0 += item.content.event_count();
        item.number = self.last_number;
        self.unsent_bytes += item.bytes;
        self.items.push_back(item);
    }

    /// Uses a new connection, on which a set-up is sent first.
    pub(crate) fn attach(&mut self, token: Token) {
        self.interrupt(State::ToSetUp);
        self.token = token;
    }

    /// Stops using the connection. Events in flight may or may not be stored.
    pub(crate) fn detach(&mut self) {
        self.interrupt(State::Detached);
    }

    /// Sends nothing more until the next set-up, so that nothing is in flight soon.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Ends what is under way. Whatever was sent may still be applied, later too.
    pub(super) fn interrupt(&mut self, next: State) {
        self.state = next;
        self.is_draining = false;
        self.unsent_bytes += self.blocks.drain(..).map(|block| block.bytes).sum::<usize>();
        self.sent = 0;
        // What has a higher number than that was refused.
        self.earlier_number = self.sent_number.min(self.in_doubt);
    }

    /// Returns true if the store may have the event, or get it.
    pub(super) fn is_in_doubt(&self, item: &Item<T>) -> bool {
        item.number <= self.in_doubt
    }

    /// Returns true if events are left that were sent before the last set-up and may be stored.
    pub(super) fn has_earlier(&self) -> bool {
        let earlier = self.earlier_number.min(self.in_doubt);
        self.items.front().is_some_and(|first| first.number <= earlier)
    }

    /// Notes that an append was refused, which ends the set-up: nothing is stored of what was sent
    /// after it and is not acknowledged, as a failed append is answered after all before it, and
    /// ends all after it. If one before it was not answered, the store is not believed.
    pub(super) fn refused_since_set_up(&mut self, request: i64) {
        if self.blocks.front().is_some_and(|first| first.request.0 != request) {
            self.earlier_number = self.sent_number;
        }
        self.in_doubt = self.in_doubt.min(self.earlier_number.max(self.acknowledged));
    }

    /// Takes all events, in order, for the segment's successors. Call [`Self::fail_in_doubt`]
    /// before.
    pub(crate) fn take_items(&mut self) -> VecDeque<Item<T>> {
        self.detach();
        self.unsent_bytes = 0;
        std::mem::take(&mut self.items)
    }
}
