//! One segment of a writer: its events, and where they are sent.

use super::LinkId;
use crate::append::machine::AppendMachine;
use pravega_sdk_segment_client::{machine::Cause, machine::Now};

/// Where a segment's events can go.
///
/// ```text
///   Idle ──▶ Locating ──▶ At(link) ──▶ Sealed ──▶ (gone, its events are with the successors)
///               ▲ │          │           ▲ │
///               │ ▼          ▼           │ ▼
///              Waiting ◀─────┘         SealedWaiting
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// There is nothing to send, and no connection.
    Idle,
    /// The controller is asked.
    Locating,
    /// It is asked again at that time.
    Waiting(Now),
    /// A connection, which may be under way.
    At(LinkId),
    /// The segment takes no more; the controller is asked for its successors.
    Sealed,
    /// It is asked again at that time.
    SealedWaiting(Now),
}

#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) appends: AppendMachine<T>,
    pub(super) place: Place,
    /// It stands in its link's row of those who have something to send.
    pub(super) is_queued: bool,
    /// Its link counts it among those whom the store owes an answer.
    pub(super) is_waiting: bool,
    /// How often something failed since the store last took an event; the back-off grows with it.
    pub(super) attempts: u32,
    /// How many of these were the store's misbehaviour, or an answer that cannot be.
    pub(super) strikes: u32,
    pub(super) last_error: Option<Cause>,
    /// When the last set-up was sent.
    pub(super) set_up_at: Now,
}

impl<T> Lane<T> {
    pub(super) fn new(appends: AppendMachine<T>) -> Self {
        Self {
            appends,
            place: Place::Idle,
            is_queued: false,
            is_waiting: false,
            attempts: 0,
            strikes: 0,
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
        self.strikes = 0;
        self.last_error = None;
    }
}
