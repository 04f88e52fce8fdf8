//! One slot: one connection, from the dial to its end.
//!
//! ```text
//!              succeeded           claimed            returned
//! Connecting ────────────▶ Idle ───────────▶ Claimed ──────────▶ Recycling
//!                          │ ▲ ▲ │                                   │
//!                check due │ │ │ └── joined ──▶ Shared (1 user)      │ succeeded
//!                          ▼ │ │                  │ ▲                │
//!                     Checking │           joined ▼ │ left           │
//!                       succeeded               Shared (n users)     │
//!                              └─────────────────────────────────────┘
//! ```
//!
//! Every state ends when its work fails or the slot is retired. A claimed connection belongs to its
//! user, so it ends when it comes back spoiled. A shared connection stays shared after its last
//! user left: it serves shared claims only. One that is retired while it has users is `Retired`
//! until the last of them leaves; one that is found dead ends at once.

use super::effect::Now;
use crate::snapshot::{SlotSnapshot, SlotState};

/// What happens to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotEvent {
    /// The dial, the check or the recycling succeeded.
    Succeeded,
    /// The dial, the check or the recycling failed.
    Failed,
    /// An exclusive claim takes the connection.
    Claimed,
    /// A shared claim joins the connection's users.
    Joined,
    /// A user of the shared connection leaves.
    Left,
    /// The exclusive user returns the connection in order.
    Returned,
    /// The exclusive user discards the connection.
    Spoiled,
    /// The next health check is due.
    CheckDue,
    /// The connection is not wanted any longer, or has ended.
    Retired,
}

/// What an event does to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The slot goes on, in the state that the event leads to.
    Kept,
    /// The connection belongs to its users alone; the slot ends when the last one leaves.
    Retired,
    /// The slot ends.
    Ended,
    /// The event does not fit the state; nothing changes.
    Ignored,
}

#[derive(Debug)]
pub(super) struct Slot {
    state: SlotState,
    since: Now,
    checked_at: Now,
}

impl Slot {
    /// A slot whose dial begins.
    pub(super) fn connecting(now: Now) -> Self {
        Self { state: SlotState::Connecting, since: now, checked_at: now }
    }

    pub(super) fn state(&self) -> SlotState {
        self.state
    }

    /// When the slot came into its state.
    pub(super) fn since(&self) -> Now {
        self.since
    }

    /// When the connection was last known to be healthy; `None` where no check is due in this
    /// state.
    pub(super) fn checked_at(&self) -> Option<Now> {
        let has_checks = matches!(self.state, SlotState::Idle | SlotState::Shared { .. });
        has_checks.then_some(self.checked_at)
    }

    pub(super) fn snapshot(&self, id: u64, now: Now) -> SlotSnapshot {
        SlotSnapshot { id, state: self.state, since: now.saturating_sub(self.since) }
    }

    /// Carries out an event. A connection is shared by at most `max_users`.
    pub(super) fn handle(&mut self, now: Now, event: SlotEvent, max_users: usize) -> Change {
        use SlotEvent as E;
        use SlotState as S;
        let next = match (self.state, event) {
            (S::Connecting | S::Checking, E::Succeeded) => {
                self.checked_at = now;
                S::Idle
            }
            (S::Recycling, E::Succeeded) => S::Idle,
            (S::Idle, E::CheckDue) => S::Checking,
            (S::Idle, E::Claimed) => S::Claimed,
            (S::Idle, E::Joined) => S::Shared { users: 1 },
            (S::Claimed, E::Returned) => S::Recycling,
            (S::Shared { users }, E::Joined) if users < max_users => S::Shared { users: users + 1 },
            (S::Shared { users }, E::Left) if users > 0 => S::Shared { users: users - 1 },
            (S::Shared { users }, E::Retired) if users > 0 => {
                self.state = S::Retired { users };
                self.since = now;
                return Change::Retired;
            }
            (S::Retired { users }, E::Left) if users > 1 => S::Retired { users: users - 1 },
            (S::Retired { .. }, E::Left) => return Change::Ended,
            (S::Shared { .. }, E::Succeeded | E::CheckDue) => {
                self.checked_at = now;
                return Change::Kept;
            }
            (S::Claimed, E::Spoiled)
            | (S::Connecting | S::Checking | S::Recycling | S::Shared { .. }, E::Failed)
            | (
                S::Connecting | S::Idle | S::Checking | S::Recycling | S::Shared { .. },
                E::Retired,
            ) => return Change::Ended,
            _ => return Change::Ignored,
        };
        self.state = next;
        self.since = now;
        Change::Kept
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        Change, Slot,
        SlotEvent::{self, *},
        SlotState,
    };

    /// Users of a connection at most.
    const MAX_USERS: usize = 2;

    const EVENTS: [SlotEvent; 9] =
        [Succeeded, Failed, Claimed, Joined, Left, Returned, Spoiled, CheckDue, Retired];

    /// A row for each state, a column for each of [`EVENTS`]: the state after the event, `end`, or
    /// `-` where the event does not fit.
    const TABLE: &str = "
        state      succeeded failed claimed joined  left    returned  spoiled check    retired
        connecting idle      end    -       -       -       -         -       -        end
        idle       -         -      claimed shared1 -       -         -       checking end
        checking   idle      end    -       -       -       -         -       -        end
        claimed    -         -      -       -       -       recycling end     -        -
        recycling  idle      end    -       -       -       -         -       -        end
        shared0    shared0   end    -       shared1 -       -         -       shared0  end
        shared1    shared1   end    -       shared2 shared0 -         -       shared1  retired1
        shared2    shared2   end    -       -       shared1 -         -       shared2  retired2
        retired1   -         -      -       -       end     -         -       -        -
        retired2   -         -      -       -       retired1 -        -       -        -
    ";

    fn state(name: &str) -> SlotState {
        match name {
            "connecting" => SlotState::Connecting,
            "idle" => SlotState::Idle,
            "checking" => SlotState::Checking,
            "claimed" => SlotState::Claimed,
            "recycling" => SlotState::Recycling,
            other => {
                let (name, users) = other.split_at(other.len() - 1);
                let users = users.parse().unwrap();
                if name == "shared" {
                    SlotState::Shared { users }
                } else {
                    SlotState::Retired { users }
                }
            }
        }
    }

    #[test]
    fn each_event_does_in_each_state_what_the_table_says() {
        let rows = TABLE.trim().lines().skip(1);
        for row in rows {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let before = state(cells[0]);
            assert_eq!(cells.len(), EVENTS.len() + 1, "{row}");
            for (event, expected) in EVENTS.into_iter().zip(&cells[1..]) {
                let mut slot = Slot::connecting(Duration::ZERO);
                slot.state = before;
                let change = slot.handle(Duration::from_secs(7), event, MAX_USERS);
                let (kept, after) = match *expected {
                    "-" => (Change::Ignored, before),
                    "end" => (Change::Ended, before),
                    after if event == Retired => (Change::Retired, state(after)),
                    after => (Change::Kept, state(after)),
                };
                assert_eq!((change, slot.state), (kept, after), "{event:?} in {before:?}");
                let moved = before != after;
                assert_eq!(slot.since.is_zero(), !moved, "{event:?} in {before:?}");
            }
        }
    }

    #[test]
    fn a_dial_and_a_check_prove_health_and_a_recycling_does_not() {
        let seconds = Duration::from_secs;
        let mut slot = Slot::connecting(seconds(1));
        assert_eq!(slot.checked_at(), None, "nothing is checked before it is connected");
        slot.handle(seconds(2), Succeeded, MAX_USERS);
        assert_eq!(slot.checked_at(), Some(seconds(2)));
        for event in [Claimed, Returned, Succeeded] {
            slot.handle(seconds(3), event, MAX_USERS);
        }
        assert_eq!(slot.checked_at(), Some(seconds(2)));
        slot.handle(seconds(4), CheckDue, MAX_USERS);
        slot.handle(seconds(5), Succeeded, MAX_USERS);
        assert_eq!(slot.checked_at(), Some(seconds(5)));
        slot.handle(seconds(6), Joined, MAX_USERS);
        slot.handle(seconds(7), Succeeded, MAX_USERS);
        assert_eq!(slot.checked_at(), Some(seconds(7)));
    }
}
