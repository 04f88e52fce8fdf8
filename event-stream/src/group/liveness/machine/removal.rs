//! Taking a dead reader out of the group.

use super::{effect::RemovalEnd, seeded_bugs::LivenessBug, times::LeaseTimes, value::LeaseValue};

/// How often the state may change meanwhile.
const MAX_CONFLICTS: u32 = 64;

/// What the owner of a [`RemovalMachine`] does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemovalEffect {
    /// Read the state: answered by [`RemovalMachine::handle_state`].
    Fetch,
    /// Read the lease: answered by [`RemovalMachine::handle_read`].
    Read,
    /// Take the reader out, at the offsets that the state has, on the condition that the state is
    /// the one that was fetched: answered by [`RemovalMachine::handle_written`].
    Write,
    /// All is done.
    End(RemovalEnd),
}

/// Takes a reader out of the group that was marked as dead.
///
/// ```text
/// Fetch ── it is in the group ─▶ Read ── it is marked ─▶ Write ─▶ End
///   ▲                                                      │
///   └────────────────── the state has changed ─────────────┘
/// ```
///
/// Another reader of the same name first replaces the mark, and then joins. So if the reader is in
/// the state and the mark is read *after* the state, the reader is the one that is marked; and the
/// condition on the state holds up to the removal. The reader goes on at the offsets that the state
/// has, those of its last checkpoint: what it has reported since was returned to the program, which
/// may not have handled it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{
///     LeaseTimes, LeaseValue, RemovalEffect, RemovalEnd, RemovalMachine,
/// };
///
/// let dead = LeaseValue::claimed(LeaseTimes::new(Duration::from_secs(30)), 1).dead();
/// let mut removal = RemovalMachine::new(dead);
/// assert_eq!(removal.poll_effect(), RemovalEffect::Fetch);
/// removal.handle_state(true);
/// assert_eq!(removal.poll_effect(), RemovalEffect::Read);
/// removal.handle_read(Some(dead));
/// assert_eq!(removal.poll_effect(), RemovalEffect::Write);
/// removal.handle_written(true);
/// assert_eq!(removal.poll_effect(), RemovalEffect::End(RemovalEnd::Removed));
/// ```
#[derive(Debug, Clone)]
pub struct RemovalMachine {
    dead: LeaseValue,
    /// The state is written also if the reader is not in the group.
    is_fence: bool,
    is_in_group: bool,
    next: RemovalEffect,
    conflicts: u32,
    removes_from_any_state: bool,
}

impl RemovalMachine {
    /// Begins to take out the reader whose lease is `dead`.
    #[must_use]
    pub fn new(dead: LeaseValue) -> Self {
        Self::with_times(dead, dead.times())
    }

    pub(super) fn with_times(dead: LeaseValue, times: LeaseTimes) -> Self {
        let removes_from_any_state = times.bugs.has(LivenessBug::RemovesFromAnyState);
        Self {
            dead,
            is_fence: false,
            is_in_group: false,
            next: RemovalEffect::Fetch,
            conflicts: 0,
            removes_from_any_state,
        }
    }

    /// Begins to take out a reader of this client that may be about to join: the update is written
    /// also if the reader is not in the group, so that a join which is sent before cannot be made
    /// later. It changes nothing then.
    #[must_use]
    pub fn fencing(dead: LeaseValue) -> Self {
        Self { is_fence: true, ..Self::new(dead) }
    }

    /// Returns what to do next.
    #[must_use]
    pub fn poll_effect(&self) -> RemovalEffect {
        self.next
    }

    /// The state was read.
    pub fn handle_state(&mut self, is_in_group: bool) {
        self.is_in_group = is_in_group;
        self.next = match (is_in_group || self.is_fence, self.conflicts) {
            (false, _) => RemovalEffect::End(RemovalEnd::NotInGroup),
            (true, 1..) if self.removes_from_any_state => RemovalEffect::Write,
            (true, MAX_CONFLICTS..) => RemovalEffect::End(RemovalEnd::Failed),
            (true, _) => RemovalEffect::Read,
        };
    }

    /// The lease was read.
    pub fn handle_read(&mut self, found: Option<LeaseValue>) {
        let is_marked = found == Some(self.dead);
        let changed = RemovalEffect::End(RemovalEnd::Changed);
        self.next = if is_marked { RemovalEffect::Write } else { changed };
    }

    /// The reader was taken out, or the state was another one.
    pub fn handle_written(&mut self, is_written: bool) {
        self.conflicts += 1;
        let end = if self.is_in_group { RemovalEnd::Removed } else { RemovalEnd::NotInGroup };
        self.next = if is_written { RemovalEffect::End(end) } else { RemovalEffect::Fetch };
    }

    /// A request failed. What was written may be in the state.
    pub fn handle_failed(&mut self) {
        self.next = RemovalEffect::End(RemovalEnd::Failed);
    }
}
