//! The slots of one backend, with its back-off.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_types::Endpoint;

use super::{
    effect::{Now, SlotId},
    slot::{Change, Slot, SlotEvent},
};
use crate::{
    policy::Policy,
    snapshot::{SlotSetSnapshot, SlotState},
};

#[derive(Debug, Default)]
pub(super) struct SlotSet {
    slots: BTreeMap<SlotId, Slot>,
    tally: Tally,
    /// The resolver names the backend. One that it does not name serves claims for that backend
    /// alone.
    pub(super) is_listed: bool,
    failures: u32,
    retry_at: Option<Now>,
}

/// How many slots are in each state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) connecting: usize,
    pub(super) idle: usize,
    pub(super) checking: usize,
    pub(super) claimed: usize,
    pub(super) recycling: usize,
    /// Shared, by at least one user.
    pub(super) shared: usize,
    /// Shared before, and without a user now.
    pub(super) unshared: usize,
    /// Retired, with users.
    pub(super) retired: usize,
}

impl Tally {
    fn of(&mut self, state: SlotState) -> &mut usize {
        match state {
            SlotState::Connecting => &mut self.connecting,
            SlotState::Idle => &mut self.idle,
            SlotState::Checking => &mut self.checking,
            SlotState::Claimed => &mut self.claimed,
            SlotState::Recycling => &mut self.recycling,
            SlotState::Shared { users: 0 } => &mut self.unshared,
            SlotState::Shared { .. } => &mut self.shared,
            SlotState::Retired { .. } => &mut self.retired,
        }
    }

    /// Adds the slots of another set.
    pub(super) fn add(&mut self, other: &Self) {
        self.connecting += other.connecting;
        self.idle += other.idle;
        self.checking += other.checking;
        self.claimed += other.claimed;
        self.recycling += other.recycling;
        self.shared += other.shared;
        self.unshared += other.unshared;
        self.retired += other.retired;
    }

    /// Connections in use.
    pub(super) fn used(&self) -> usize {
        self.claimed + self.shared + self.retired
    }

    /// Connections that wait for a user.
    pub(super) fn unused(&self) -> usize {
        self.idle + self.unshared
    }

    /// Slots that will be idle soon, unless their work fails.
    pub(super) fn coming(&self) -> usize {
        self.connecting + self.checking
    }

    pub(super) fn total(&self) -> usize {
        self.used() + self.unused() + self.coming() + self.recycling
    }
}

impl SlotSet {
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn state(&self, id: SlotId) -> Option<SlotState> {
        self.slots.get(&id).map(Slot::state)
    }

    /// Adds a slot whose dial begins.
    pub(super) fn connect(&mut self, now: Now, id: SlotId) {
        self.slots.insert(id, Slot::connecting(now));
        self.tally.connecting += 1;
    }

    /// Carries out an event of a slot. All changes of slots come through here, so the tally cannot
    /// drift from them.
    pub(super) fn handle(
        &mut self,
        now: Now,
        id: SlotId,
        event: SlotEvent,
        max_users: usize,
    ) -> Change {
        let Some(slot) = self.slots.get_mut(&id) else { return Change::Ignored };
        let before = slot.state();
        let change = slot.handle(now, event, max_users);
        let after = slot.state();
        *self.tally.of(before) -= 1;
        match change {
            Change::Ended => drop(self.slots.remove(&id)),
            Change::Kept | Change::Retired | Change::Ignored => *self.tally.of(after) += 1,
        }
        change
    }

    /// A dial succeeded: the backend is in good health.
    pub(super) fn note_success(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    /// A dial failed. The back-off doubles with each failure, up to a limit, and is spread evenly
    /// over its whole length by `chance` in `0.0..1.0`.
    pub(super) fn note_failure(&mut self, now: Now, policy: &Policy, chance: f64) {
        let doubled = policy.backoff_min.saturating_mul(1 << self.failures.min(20));
        let full = doubled.min(policy.backoff_max);
        self.failures = self.failures.saturating_add(1);
        let spread = full.as_secs_f64() * chance.clamp(0.0, 1.0);
        let backoff = Duration::try_from_secs_f64(spread).unwrap_or(full);
        self.retry_at = Some(now.saturating_add(backoff));
    }

    /// Returns true if the backend may be dialled: not during its back-off, and after a failure one
    /// dial at a time finds out whether it is back.
    pub(super) fn is_open(&self, now: Now) -> bool {
        let in_backoff = self.retry_at.is_some_and(|until| now < until);
        let probe_in_flight = self.failures > 0 && self.tally.connecting > 0;
        !in_backoff && !probe_in_flight
    }

    /// When the back-off ends, if there is one.
    pub(super) fn retry_at(&self) -> Option<Now> {
        self.retry_at
    }

    /// Forgets a back-off that has passed.
    pub(super) fn end_backoff(&mut self, now: Now) {
        self.retry_at = self.retry_at.filter(|until| now < *until);
    }

    /// The idle connection used last: it is the least likely to have gone stale.
    pub(super) fn last_used_idle(&self) -> Option<SlotId> {
        if self.tally.idle == 0 {
            return None;
        }
        let idle = self.slots.iter().filter(|(_, slot)| slot.state() == SlotState::Idle);
        idle.max_by_key(|(_, slot)| slot.since()).map(|(id, _)| *id)
    }

    /// The shared connection with the fewest users, if one may have another.
    pub(super) fn least_shared(&self, max_users: usize) -> Option<(usize, SlotId)> {
        if self.tally.shared + self.tally.unshared == 0 {
            return None;
        }
        let shared = self.slots.iter().filter_map(|(id, slot)| match slot.state() {
            SlotState::Shared { users } if users < max_users => Some((users, *id)),
            _ => None,
        });
        shared.min()
    }

    /// The connection that has been without a user for the longest time.
    pub(super) fn oldest_unused(&self) -> Option<(Now, SlotId)> {
        if self.tally.unused() == 0 {
            return None;
        }
        let unused = self.slots.iter().filter(|(_, slot)| {
            matches!(slot.state(), SlotState::Idle | SlotState::Shared { users: 0 })
        });
        unused.map(|(id, slot)| (slot.since(), *id)).min()
    }

    /// The slots without a user, those that work is under way for included.
    pub(super) fn without_user(&self) -> impl Iterator<Item = (SlotId, SlotState)> {
        let all = self.slots.iter().map(|(id, slot)| (*id, slot.state()));
        all.filter(|(_, state)| match state {
            SlotState::Claimed | SlotState::Retired { .. } => false,
            SlotState::Shared { users } => *users == 0,
            _ => true,
        })
    }

    /// The shared connections, used or not.
    pub(super) fn shared(&self) -> impl Iterator<Item = SlotId> {
        let shared =
            self.slots.iter().filter(|(_, slot)| matches!(slot.state(), SlotState::Shared { .. }));
        shared.map(|(id, _)| *id)
    }

    /// The slots whose health check is due.
    pub(super) fn due(&self, now: Now, interval: Duration) -> impl Iterator<Item = SlotId> {
        let is_due = move |slot: &Slot| {
            slot.checked_at().is_some_and(|checked| checked.saturating_add(interval) <= now)
        };
        self.slots.iter().filter(move |(_, slot)| is_due(slot)).map(|(id, _)| *id)
    }

    /// When the first health check is due.
    pub(super) fn next_check(&self, interval: Duration) -> Option<Now> {
        if self.tally.unused() + self.tally.shared == 0 {
            return None;
        }
        let checked = self.slots.values().filter_map(Slot::checked_at).min();
        checked.map(|checked| checked.saturating_add(interval))
    }

    pub(super) fn snapshot(&self, backend: &Endpoint, now: Now) -> SlotSetSnapshot {
        let backoff_left = self.retry_at.and_then(|until| until.checked_sub(now));
        SlotSetSnapshot {
            backend: backend.clone(),
            is_listed: self.is_listed,
            failures: self.failures,
            backoff_left: backoff_left.filter(|left| !left.is_zero()),
            slots: self.slots.iter().map(|(id, slot)| slot.snapshot(id.0, now)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_limit_and_is_spread_over_its_whole_length() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(350));
        let policy = Policy::default().with_backoff(min, max).unwrap();
        // Failures before, where the number of chance falls, the back-off in milliseconds.
        let cases = [
            (0, 1.0, 100),
            (1, 1.0, 200),
            (2, 1.0, 350),
            (50, 1.0, 350),
            (2, 0.5, 175),
            (2, 0.0, 0),
            (2, 7.0, 350),
        ];
        for (failures, chance, expected) in cases {
            let mut set = SlotSet { failures, ..SlotSet::default() };
            let (now, backoff) = (Duration::from_secs(5), Duration::from_millis(expected));
            set.note_failure(now, &policy, chance);
            assert_eq!(set.retry_at(), Some(now + backoff), "{failures} failures, {chance}");
            assert_eq!(set.is_open(now), backoff.is_zero());
            assert!(set.is_open(now + backoff));
            set.note_success();
            assert_eq!((set.failures(), set.retry_at()), (0, None));
        }
    }

    #[test]
    fn the_tally_follows_every_change() {
        use SlotEvent as E;
        let (mut set, id, now) = (SlotSet::default(), SlotId(1), Duration::ZERO);
        set.connect(now, id);
        let expect = |set: &SlotSet, expected: Tally| {
            assert_eq!((*set.tally(), set.tally().total()), (expected, set.len()));
        };
        expect(&set, Tally { connecting: 1, ..Tally::default() });
        let steps = [
            (E::Succeeded, Tally { idle: 1, ..Tally::default() }),
            (E::Succeeded, Tally { idle: 1, ..Tally::default() }),
            (E::CheckDue, Tally { checking: 1, ..Tally::default() }),
            (E::Succeeded, Tally { idle: 1, ..Tally::default() }),
            (E::Claimed, Tally { claimed: 1, ..Tally::default() }),
            (E::Returned, Tally { recycling: 1, ..Tally::default() }),
            (E::Succeeded, Tally { idle: 1, ..Tally::default() }),
            (E::Joined, Tally { shared: 1, ..Tally::default() }),
            (E::Joined, Tally { shared: 1, ..Tally::default() }),
            (E::Left, Tally { shared: 1, ..Tally::default() }),
            (E::Left, Tally { unshared: 1, ..Tally::default() }),
            (E::Joined, Tally { shared: 1, ..Tally::default() }),
            (E::Retired, Tally { retired: 1, ..Tally::default() }),
            (E::Left, Tally::default()),
            (E::Retired, Tally::default()),
            (E::Retired, Tally::default()),
        ];
        for (event, expected) in steps {
            set.handle(now, id, event, 2);
            expect(&set, expected);
        }
    }
}
