//! The slots of one backend, with its back-off.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
    /// When each connection that has checks was last known to be healthy, the longest ago first.
    checked: BTreeSet<(Now, SlotId)>,
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

    /// Carries out an event of a slot. All changes of slots come through here, so neither the tally
    /// nor the order of checks can drift from them.
    pub(super) fn handle(
        &mut self,
        now: Now,
        id: SlotId,
        event: SlotEvent,
        max_users: usize,
    ) -> Change {
        let Some(slot) = self.slots.get_mut(&id) else { return Change::Ignored };
        let (before, checked_before) = (slot.state(), slot.checked_at());
        let change = slot.handle(now, event, max_users);
        let (after, mut checked) = (slot.state(), slot.checked_at());
        *self.tally.of(before) -= 1;
        match change {
            Change::Ended => {
                self.slots.remove(&id);
                checked = None;
            }
            Change::Kept | Change::Retired | Change::Ignored => *self.tally.of(after) += 1,
        }
        if checked != checked_before {
            checked_before.map(|at| self.checked.remove(&(at, id)));
            self.checked.extend(checked.map(|at| (at, id)));
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
        let due = self.checked.iter().take_while(move |(at, _)| at.saturating_add(interval) <= now);
        due.map(|(_, id)| *id)
    }

    /// When the first health check is due.
    pub(super) fn next_check(&self, interval: Duration) -> Option<Now> {
        self.checked.first().map(|(at, _)| at.saturating_add(interval))
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

    /// Every event is asked for the next check, so the answer must not depend on the other slots.
    #[test]
    fn the_next_check_is_that_of_the_connection_checked_longest_ago() {
        use SlotEvent as E;
        let seconds = Duration::from_secs;
        let (mut set, interval) = (SlotSet::default(), seconds(30));
        for id in 0..3 {
            set.connect(seconds(id), SlotId(id));
        }
        assert_eq!(set.next_check(interval), None, "nothing is connected");
        // Event, slot, second; the time of the next check, the slots that are due at 50 s.
        type Step = (E, u64, u64, Option<u64>, &'static [u64]);
        let steps: [Step; 10] = [
            (E::Succeeded, 0, 10, Some(40), &[0]),
            (E::Succeeded, 1, 11, Some(40), &[0, 1]),
            (E::Succeeded, 2, 12, Some(40), &[0, 1, 2]),
            (E::Claimed, 0, 13, Some(41), &[1, 2]),
            (E::Joined, 1, 14, Some(41), &[1, 2]),
            (E::CheckDue, 1, 41, Some(42), &[2]),
            (E::CheckDue, 2, 42, Some(71), &[]),
            (E::Failed, 2, 43, Some(71), &[]),
            (E::Returned, 0, 44, Some(71), &[]),
            (E::Succeeded, 0, 45, Some(40), &[0]),
        ];
        for (event, id, now, next, due) in steps {
            set.handle(seconds(now), SlotId(id), event, 2);
            let found: Vec<u64> = set.due(seconds(50), interval).map(|slot| slot.0).collect();
            let checks = (set.next_check(interval), &found[..]);
            assert_eq!(checks, (next.map(seconds), due), "{event:?} of {id}");
        }
        set.handle(seconds(46), SlotId(0), E::Retired, 2);
        set.handle(seconds(46), SlotId(1), E::Retired, 2);
        assert_eq!(set.next_check(interval), None);
    }
}
