//! One segment of a writer: its events, and the connection that they are sent on.

use super::connection::ConnectionId;
use crate::{
    append::segment::machine::AppendMachine,
    machine::{Cause, Now},
};

/// The state of a segment: where its events can be sent.
///
/// ```text
///   Idle ──▶ Locating ──▶ At(connection) ──▶ Sealed ──▶ (gone, its events are with the successors)
///               ▲ │          │           ▲ │
///               │ ▼          ▼           │ ▼
///              Waiting ◀─────┘         SealedWaiting
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// There is nothing to send, and no connection.
    Idle,
    /// The controller is asked.
    Locating,
    /// It is asked again at that time.
    Waiting(Now),
    /// A connection, which may be under way.
    At(ConnectionId),
    /// The segment takes no more; the controller is asked for its successors.
    Sealed,
    /// It is asked again at that time.
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
    /// How often something failed since the store last took an event; the back-off grows with it.
    pub(super) attempts: u32,
    /// How many of these were violations of the protocol.
    pub(super) protocol_errors: u32,
    pub(super) last_error: Option<Cause>,
    /// When the last set-up was sent.
    pub(super) set_up_at: Now,
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
            set_up_at: Now::ZERO,
        }
    }

    pub(super) fn failed(&mut self, error: Cause) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_error = Some(error);
    }

    pub(super) fn made_progress(&mut self) {
        self.attempts = 0;
        self.protocol_errors = 0;
        self.last_error = None;
    }
}
