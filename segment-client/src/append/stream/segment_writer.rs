//! One segment of a writer: its events, and the connection that they are sent on.

use super::connection::{ConnectionId, Group};
use crate::{
    append::segment::machine::AppendMachine,
    machine::{CONTROLLER_LAG, Cause, Now},
};

/// The state of a segment: where its events can be sent.
///
/// ```text
///   Idle ──▶ Locating ──▶ At(connection) ──▶ Sealed ──▶ (gone, its events are with the successors)
///               ▲ │          │               ▲ │ │
///               │ ▼          ▼               │ │ └▶ WithoutSuccessors ─┐
///              Waiting ◀─────┘               │ ▼                       ▼
///                                           SealedWaiting ◀────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// Nothing to send, and no connection.
    Idle,
    /// The controller is asked for the store.
    Locating,
    /// The controller is asked for the store again at that time.
    Waiting(Now),
    /// A connection, which may not be open yet.
    At(ConnectionId),
    /// The segment is sealed; the controller is asked for its successors.
    Sealed,
    /// It has none; the controller is asked for the segments of the stream.
    WithoutSuccessors,
    /// The controller is asked for the successors again at that time.
    SealedWaiting(Now),
}

#[derive(Debug)]
pub(super) struct SegmentWriter<T> {
    pub(super) appends: AppendMachine<T>,
    pub(super) state: State,
    /// Queued on its connection, among the segments with something to send.
    pub(super) is_queued: bool,
    /// Counted in the connection's outstanding replies.
    pub(super) is_waiting: bool,
    /// Failures since the store last took an event; the back-off grows with them.
    pub(super) attempts: u32,
    /// The number of protocol errors among them.
    pub(super) protocol_errors: u32,
    pub(super) last_error: Option<Cause>,
    /// True if the last failure was a store without space.
    pub(super) lacks_space: bool,
    /// When the controller first said that the stream does not have the segment, which ends the
    /// writer if it holds.
    pub(super) gone_since: Option<Now>,
    /// When the controller was asked for the segments of the stream.
    pub(super) asked: Now,
    /// The connection that it uses next.
    pub(super) group: Group,
    /// The last reply of the store, or the first command after all were answered.
    pub(super) silent_since: Now,
}

impl<T> SegmentWriter<T> {
    pub(super) fn new(appends: AppendMachine<T>) -> Self {
        Self {
            appends,
            state: State::Idle,
            is_queued: false,
            is_waiting: false,
            attempts: 0,
            protocol_errors: 0,
            last_error: None,
            lacks_space: false,
            gone_since: None,
            asked: Now::ZERO,
            group: Group::Healthy,
            silent_since: Now::ZERO,
        }
    }

    pub(super) fn failed(&mut self, error: Cause) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_error = Some(error);
        self.lacks_space = false;
    }

    /// Notes that the store had no space.
    pub(super) fn found_no_space(&mut self, error: Cause) {
        self.failed(error);
        self.lacks_space = true;
    }

    /// Notes that the controller says that the stream does not have the segment. Returns true if it
    /// was asked longer after it first said so than an instance of it may lag. An answer that is
    /// late knows no more for that.
    pub(super) fn is_gone(&mut self, now: Now) -> bool {
        self.asked >= *self.gone_since.get_or_insert(now) + CONTROLLER_LAG
    }

    /// Returns true if the segment takes no more events.
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self.state, State::Sealed | State::WithoutSuccessors | State::SealedWaiting(_))
    }

    pub(super) fn made_progress(&mut self) {
        self.group = Group::Healthy;
        self.attempts = 0;
        self.protocol_errors = 0;
        self.last_error = None;
        self.lacks_space = false;
    }
}
