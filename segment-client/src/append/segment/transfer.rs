//! The transfer of a large event: through a transient segment, which is merged into the event's own
//! as a whole.
//!
//! ```text
//!   Create ─▶ SetUp ─▶ Send (pieces, each at its offset) ─▶ Merge ─▶ done
//! ```
//!
//! The merge is conditional: it moves the writer's number on the target from the last acknowledged
//! one to the event's own, or does not happen. So a merge whose answer was lost is found by the
//! next set-up, and a late one of an earlier attempt cannot double the event.

use crate::machine::Token;
use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::{EventNumber, Offset, WriterId};
use pravega_sdk_wire_protocol::{
    AttributeUpdate, RequestIds, SendBuffer, WireCommand,
    commands::{ConditionalBlockEnd, CreateTransientSegment, MergeSegments, SetupAppend},
    event,
};
use uuid::Uuid;

use super::item::{Item, known_offset};

#[derive(Debug)]
pub(super) struct Transfer {
    parent: ByteString,
    token: Token,
    /// The writer of the transient segment.
    writer_id: WriterId,
    merge: AttributeUpdate,
    pieces: Vec<Bytes>,
    transient: ByteString,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Create,
    Creating,
    SetUp,
    SettingUp,
    /// How many pieces were sent and acknowledged, and how many bytes the sent ones hold.
    Sending {
        sent: usize,
        acknowledged: usize,
        offset: Offset,
    },
    Merge,
    Merging,
}

/// The meaning of a reply for the transfer.
#[derive(Debug)]
pub(super) enum Step {
    Next,
    /// Merged; the segment ends there now, if the store knows.
    Merged(Option<Offset>),
    /// The transfer starts again, after a set-up of the segment itself.
    Again(&'static str),
    Broken(String),
}

/// Replace the value if it is the one expected; see the table of attribute updates in the protocol.
const REPLACE_IF_EQUALS: i8 = 4;
/// Pieces in flight: enough to keep a connection busy.
const MAX_PIECES_IN_FLIGHT: usize = 4;

/// The segment that a large event belongs to, and its writer's progress there.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) name: ByteString,
    pub(super) token: Token,
    pub(super) writer_id: WriterId,
    /// The number of the last acknowledged event.
    pub(super) acknowledged: EventNumber,
}

impl Transfer {
    pub(super) fn new<T>(parent: Parent, item: &Item<T>, piece_bytes: usize) -> Self {
        // The transient segment needs a writer id of its own, which must differ between attempts of
        // the same event: the server chooses another name for the segment each time, so one derived
        // from the number is enough.
        let number = (item.number.0 as u128).rotate_left(64);
        let writer_id = WriterId(Uuid::from_u128(parent.writer_id.0.as_u128() ^ number ^ 1));
        Self {
            parent: parent.name,
            token: parent.token,
            writer_id,
            merge: AttributeUpdate {
                attribute_id: parent.writer_id.0,
                attribute_update_type: REPLACE_IF_EQUALS,
                new_value: item.number.0,
                old_value: parent.acknowledged.0,
            },
            pieces: pieces(item.content.events(), piece_bytes),
            transient: ByteString::new(),
            phase: Phase::Create,
        }
    }

    pub(super) fn wants_to_send(&self) -> bool {
        match self.phase {
            Phase::Create | Phase::SetUp | Phase::Merge => true,
            Phase::Sending { sent, acknowledged, .. } => {
                sent < self.pieces.len() && sent - acknowledged < MAX_PIECES_IN_FLIGHT
            }
            Phase::Creating | Phase::SettingUp | Phase::Merging => false,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::Create | Phase::SetUp | Phase::Merge)
    }

    /// Returns true if the answer to the set-up of the transient segment is due.
    pub(super) fn is_setting_up(&self) -> bool {
        self.phase == Phase::SettingUp
    }

    /// Puts the next command into `out`. Returns true for the merge, which may store the event.
    #[must_use]
    pub(super) fn transmit(&mut self, requests: &mut RequestIds, out: &mut SendBuffer) -> bool {
        let request_id = requests.next_id().0;
        // Names, tokens and pieces fit a frame.
        match self.phase {
            Phase::Create => {
                let create = CreateTransientSegment {
                    request_id,
                    writer_id: self.writer_id.0,
                    parent_segment: self.parent.clone(),
                    delegation_token: self.token.0.clone(),
                };
                out.push(&create).ok();
                self.phase = Phase::Creating;
            }
            Phase::SetUp => {
                let set_up = SetupAppend {
                    request_id,
                    writer_id: self.writer_id.0,
                    segment: self.transient.clone(),
                    delegation_token: self.token.0.clone(),
                };
                out.push(&set_up).ok();
                self.phase = Phase::SettingUp;
            }
            Phase::Sending { sent, acknowledged, offset } => {
                let Some(piece) = self.pieces.get(sent) else { return false };
                let append = ConditionalBlockEnd {
                    writer_id: self.writer_id.0,
                    event_number: sent as i64,
                    expected_offset: offset.0,
                    data: piece.clone(),
                    request_id,
                };
                out.push(&append).ok();
                self.phase = Phase::Sending {
                    sent: sent + 1,
                    acknowledged,
                    offset: Offset(offset.0 + piece.len() as i64),
                };
            }
            Phase::Merge => {
                let merge = MergeSegments {
                    request_id,
                    target: self.parent.clone(),
                    source: self.transient.clone(),
                    delegation_token: self.token.0.clone(),
                    attribute_updates: vec![self.merge.clone()],
                };
                out.push(&merge).ok();
                self.phase = Phase::Merging;
            }
            Phase::Creating | Phase::SettingUp | Phase::Merging => {}
        }
        self.phase == Phase::Merging
    }

    pub(super) fn handle(&mut self, command: WireCommand) -> Step {
        match (self.phase, command) {
            (Phase::Creating, WireCommand::SegmentCreated(reply)) => {
                self.transient = reply.segment;
                self.phase = Phase::SetUp;
                Step::Next
            }
            (Phase::Creating, WireCommand::SegmentAlreadyExists(_)) => {
                Step::Again("the name of the transient segment is taken")
            }
            (Phase::SettingUp, WireCommand::AppendSetup(reply))
                if reply.writer_id == self.writer_id.0 =>
            {
                if reply.last_event_number != EventNumber::NONE.0 {
                    return Step::Again("the transient segment has data of another writer");
                }
                self.phase = Phase::Sending { sent: 0, acknowledged: 0, offset: Offset(0) };
                Step::Next
            }
            (Phase::Sending { sent, offset, .. }, WireCommand::DataAppended(reply))
                if reply.writer_id == self.writer_id.0 =>
            {
                self.handle_pieces(reply.event_number, sent, offset)
            }
            (Phase::Sending { .. }, WireCommand::ConditionalCheckFailed(reply))
                if reply.writer_id == self.writer_id.0 =>
            {
                Step::Again("a piece of the event is not at its offset")
            }
            (Phase::Merging, WireCommand::SegmentsMerged(reply)) => {
                Step::Merged(known_offset(reply.new_target_write_offset))
            }
            // An earlier attempt was stored.
            (Phase::Merging, WireCommand::SegmentAttributeUpdated(_)) => {
                Step::Again("the number of the writer was moved before")
            }
            // The store names the segment that it was about to append or to merge.
            (
                Phase::SettingUp | Phase::Sending { .. } | Phase::Merging,
                WireCommand::NoSuchSegment(_) | WireCommand::SegmentIsTruncated(_),
            ) => Step::Again("the transient segment is gone"),
            (Phase::SettingUp | Phase::Sending { .. }, WireCommand::SegmentIsSealed(_)) => {
                Step::Again("the transient segment is sealed")
            }
            (_, other) => Step::Broken(format!(
                "the segment store answered {} to a large event",
                other.name()
            )),
        }
    }

    fn handle_pieces(&mut self, number: i64, sent: usize, offset: Offset) -> Step {
        let acknowledged =
            usize::try_from(number).map_or(usize::MAX, |number| number.saturating_add(1));
        if acknowledged > sent {
            let detail =
                format!("the segment store acknowledged piece {number}, which was not sent");
            return Step::Broken(detail);
        }
        self.phase = if acknowledged == self.pieces.len() {
            Phase::Merge
        } else {
            Phase::Sending { sent, acknowledged, offset }
        };
        Step::Next
    }

    /// Returns true if the reply is about the transient segment. To a merge the store may name
    /// either, as it blames the source for a target that is sealed.
    pub(super) fn owns(&self, segment: &ByteString) -> bool {
        *segment == self.transient && self.phase != Phase::Merging
    }
}

/// Events with their headers, cut into pieces of at most `limit` bytes; nothing but the headers is
/// copied.
fn pieces(events: &[Bytes], limit: usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for event in events {
        // A length that a header cannot hold was refused when the event was enqueued.
        let header = event::header(event.len()).unwrap_or_default();
        pieces.push(Bytes::copy_from_slice(&header));
        let mut rest = event.clone();
        while !rest.is_empty() {
            pieces.push(rest.split_to(limit.min(rest.len()).max(1)));
        }
    }
    pieces
}
