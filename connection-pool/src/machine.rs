//! What a pool does next: events in, effects out, with time and chance as arguments.
//!
//! ```text
//!             connected          claimed            released
//! Connecting ───────────▶ Idle ───────────▶ Claimed ───────────▶ Recycling
//!     │ failed         ▲  │ ▲ │                 │ retired            │ │
//!     ▼                │  │ └─┼─────────────────┼────────────────────┘ │ failed
//!   (gone)        good │  │   │ too many        ▼                      ▼
//!                      │  ▼   ▼               (gone)                 (gone)
//!                    Checking ──▶ (gone)
//! ```
//!
//! Every change of a slot goes through [`PoolMachine::become_state`] or [`PoolMachine::retire`], so
//! counters and snapshots cannot drift from what happens. The driver carries out effects in order
//! and reports back with one event for each.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use pravega_sdk_types::Endpoint;

use crate::{
    Backends, ClaimError, Policy,
    snapshot::{PoolCounters, PoolSnapshot, SlotSetSnapshot, SlotSnapshot, SlotState},
};

/// Time since the pool was made.
pub(crate) type Now = Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimId(pub(crate) u64);

/// How a connection came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    /// Between two requests, so another user can go on with it.
    Usable,
    /// In the middle of something, or given up by its user.
    Spoiled,
}

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Connect {
        slot: SlotId,
        backend: Endpoint,
    },
    Check {
        slot: SlotId,
    },
    Recycle {
        slot: SlotId,
    },
    Grant {
        claim: ClaimId,
        slot: SlotId,
        waited: Duration,
        backend: Endpoint,
    },
    Refuse {
        claim: ClaimId,
        error: ClaimError,
    },
    /// The connection, if there is one, is to be dropped; what is under way for the slot is to be
    /// given up.
    Drop {
        slot: SlotId,
        backend: Endpoint,
    },
}

#[derive(Debug)]
pub(crate) struct PoolMachine {
    policy: Policy,
    sets: BTreeMap<Endpoint, SlotSet>,
    /// Whose set each slot belongs to.
    homes: BTreeMap<SlotId, Endpoint>,
    waiting: VecDeque<Waiter>,
    counters: PoolCounters,
    next_slot: u64,
    is_closing: bool,
    last_failure: Option<String>,
    effects: Vec<Effect>,
}

#[derive(Debug, Default)]
struct SlotSet {
    slots: BTreeMap<SlotId, Slot>,
    is_draining: bool,
    failures: u32,
    retry_at: Option<Now>,
}

#[derive(Debug)]
struct Slot {
    state: SlotState,
    since: Now,
    checked_at: Now,
}

#[derive(Debug)]
struct Waiter {
    claim: ClaimId,
    since: Now,
    deadline: Now,
}

impl SlotSet {
    fn count(&self, state: SlotState) -> usize {
        self.slots.values().filter(|slot| slot.state == state).count()
    }

    fn may_connect(&self, now: Now, policy: &Policy) -> bool {
        let is_left_alone = self.retry_at.is_some_and(|until| now < until);
        // After a failure one attempt at a time finds out whether the backend is back.
        let is_tried = self.failures > 0 && self.count(SlotState::Connecting) > 0;
        !self.is_draining
            && !is_left_alone
            && !is_tried
            && self.slots.len() < policy.max_slots_per_backend
    }
}

impl PoolMachine {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            sets: BTreeMap::new(),
            homes: BTreeMap::new(),
            waiting: VecDeque::new(),
            counters: PoolCounters::default(),
            next_slot: 0,
            is_closing: false,
            last_failure: None,
            effects: Vec::new(),
        }
    }

    // ------------------------------------------------------------------------------------------- what came from outside

    /// The resolver names other backends now.
    pub(crate) fn handle_backends(&mut self, now: Now, backends: &Backends) {
        for backend in backends.iter() {
            self.sets.entry(backend.clone()).or_default().is_draining = false;
        }
        let gone: Vec<Endpoint> =
            self.sets.keys().filter(|known| !backends.contains(known)).cloned().collect();
        for backend in gone {
            self.drain(&backend);
        }
        self.adjust(now);
    }

    /// A connection came about.
    pub(crate) fn handle_connected(&mut self, now: Now, slot: SlotId) {
        self.counters.connected += 1;
        self.last_failure = None;
        if let Some(set) = self.set_of(slot) {
            set.failures = 0;
            set.retry_at = None;
        }
        self.become_idle(now, slot, true);
        self.adjust(now);
    }

    /// A connection did not come about. `chance` in `0.0..1.0` spreads the back-off.
    pub(crate) fn handle_connect_failed(
        &mut self,
        now: Now,
        slot: SlotId,
        reason: String,
        chance: f64,
    ) {
        self.counters.connect_failures += 1;
        self.last_failure = Some(reason);
        let (min, max) = (self.policy.backoff_min, self.policy.backoff_max);
        if let Some(set) = self.set_of(slot) {
            let full = min.saturating_mul(1 << set.failures.min(20)).min(max);
            set.failures = set.failures.saturating_add(1);
            set.retry_at = Some(now + full.mul_f64(chance.clamp(0.0, 1.0)));
        }
        self.retire(slot);
        self.adjust(now);
    }

    /// A health check is done.
    pub(crate) fn handle_checked(&mut self, now: Now, slot: SlotId, is_good: bool) {
        if is_good {
            self.counters.healthy += 1;
            self.become_idle(now, slot, true);
        } else {
            self.counters.unhealthy += 1;
            self.retire(slot);
        }
        self.adjust(now);
    }

    /// A connection was made ready for the next user, or could not be.
    pub(crate) fn handle_recycled(&mut self, now: Now, slot: SlotId, is_good: bool) {
        if is_good {
            self.become_idle(now, slot, false);
        } else {
            self.retire(slot);
        }
        self.adjust(now);
    }

    /// A guard gave its connection back.
    pub(crate) fn handle_returned(&mut self, now: Now, slot: SlotId, how: Returned) {
        let is_draining = self.set_of(slot).is_some_and(|set| set.is_draining);
        match how {
            Returned::Usable
                if !is_draining && !self.is_closing && !self.should_move(now, slot) =>
            {
                if self.become_state(now, slot, SlotState::Recycling) {
                    self.effects.push(Effect::Recycle { slot });
                }
            }
            _ => self.retire(slot),
        }
        self.adjust(now);
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        // Not only from the front: deadlines differ where the policy was changed meanwhile.
        let (late, waiting): (Vec<Waiter>, Vec<Waiter>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiter| waiter.deadline <= now);
        self.waiting = waiting.into();
        for waiter in late {
            self.counters.timed_out += 1;
            let error = self.timed_out(now, &waiter);
            self.effects.push(Effect::Refuse { claim: waiter.claim, error });
        }
        self.check_those_due(now);
        self.adjust(now);
    }

    // ------------------------------------------------------------------------------------------------ what users command

    /// Somebody wants a connection.
    pub(crate) fn claim(&mut self, now: Now, claim: ClaimId) {
        if self.is_closing {
            return self.effects.push(Effect::Refuse { claim, error: ClaimError::Closed });
        }
        let waiting = self.waiting.len();
        if waiting >= self.policy.max_waiting {
            self.counters.refused += 1;
            return self
                .effects
                .push(Effect::Refuse { claim, error: ClaimError::TooManyWaiting { waiting } });
        }
        self.waiting.push_back(Waiter {
            claim,
            since: now,
            deadline: now + self.policy.claim_timeout,
        });
        self.adjust(now);
        if self.policy.claim_timeout.is_zero() {
            self.handle_timeout(now);
        }
    }

    /// Whoever made a claim does not wait for it any more.
    pub(crate) fn abandon(&mut self, now: Now, claim: ClaimId) {
        let before = self.waiting.len();
        self.waiting.retain(|waiter| waiter.claim != claim);
        self.counters.abandoned += (before - self.waiting.len()) as u64;
        self.adjust(now);
    }

    /// The rules are others now.
    pub(crate) fn set_policy(&mut self, now: Now, policy: Policy) {
        self.policy = policy;
        self.adjust(now);
    }

    /// No more claims; connections go as they come back.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
        for waiter in std::mem::take(&mut self.waiting) {
            self.effects.push(Effect::Refuse { claim: waiter.claim, error: ClaimError::Closed });
        }
        let backends: Vec<Endpoint> = self.sets.keys().cloned().collect();
        for backend in backends {
            self.drain(&backend);
        }
    }

    // ----------------------------------------------------------------------------------------------------- what to do next

    /// What the driver is to do, in order.
    pub(crate) fn poll_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::handle_timeout`] has something to do, if nothing else happens before.
    pub(crate) fn poll_timeout(&self) -> Option<Now> {
        let claims = self.waiting.iter().map(|waiter| waiter.deadline).min();
        let retries =
            self.sets.values().filter(|set| !set.is_draining).filter_map(|set| set.retry_at).min();
        let idle = self.sets.values().flat_map(|set| set.slots.values());
        let idle = idle.filter(|slot| slot.state == SlotState::Connected);
        let checks = idle.map(|slot| slot.checked_at + self.policy.health_check_interval).min();
        [claims, retries, checks].into_iter().flatten().min()
    }

    // -------------------------------------------------------------------------------------------------------------- getters

    /// How many connections are in the hands of guards.
    pub(crate) fn claimed(&self) -> usize {
        self.count(SlotState::Claimed)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn snapshot(&self, now: Now) -> PoolSnapshot {
        let slot = |(id, slot): (&SlotId, &Slot)| SlotSnapshot {
            id: id.0,
            state: slot.state,
            since: now.saturating_sub(slot.since),
        };
        let set = |(backend, set): (&Endpoint, &SlotSet)| SlotSetSnapshot {
            backend: backend.clone(),
            is_draining: set.is_draining,
            failures: set.failures,
            backoff_left: set
                .retry_at
                .and_then(|until| until.checked_sub(now))
                .filter(|left| !left.is_zero()),
            slots: set.slots.iter().map(slot).collect(),
        };
        PoolSnapshot {
            sets: self.sets.iter().map(set).collect(),
            waiting: self.waiting.len(),
            counters: self.counters,
        }
    }

    // ---------------------------------------------------------------------------------------------------------- transitions

    fn count(&self, state: SlotState) -> usize {
        self.sets.values().map(|set| set.count(state)).sum()
    }

    /// All slots, those being drained too.
    fn total(&self) -> usize {
        self.sets.values().map(|set| set.slots.len()).sum()
    }

    fn set_of(&mut self, slot: SlotId) -> Option<&mut SlotSet> {
        self.sets.get_mut(self.homes.get(&slot)?)
    }

    /// False if the slot is gone: what was under way for it came too late.
    fn become_state(&mut self, now: Now, id: SlotId, state: SlotState) -> bool {
        let Some(slot) = self.set_of(id).and_then(|set| set.slots.get_mut(&id)) else {
            return false;
        };
        slot.state = state;
        slot.since = now;
        true
    }

    fn become_idle(&mut self, now: Now, id: SlotId, was_checked: bool) {
        if self.set_of(id).is_some_and(|set| set.is_draining) {
            return self.retire(id);
        }
        if !self.become_state(now, id, SlotState::Connected) {
            return;
        }
        if let Some(slot) = self.set_of(id).and_then(|set| set.slots.get_mut(&id))
            && was_checked
        {
            slot.checked_at = now;
        }
    }

    fn retire(&mut self, id: SlotId) {
        let Some(backend) = self.homes.remove(&id) else { return };
        self.counters.retired += 1;
        if let Some(set) = self.sets.get_mut(&backend) {
            set.slots.remove(&id);
            if set.is_draining && set.slots.is_empty() {
                self.sets.remove(&backend);
            }
        }
        self.effects.push(Effect::Drop { slot: id, backend });
    }

    /// Gives up all connections of a backend that nobody uses; the others go as they come back.
    fn drain(&mut self, backend: &Endpoint) {
        let Some(set) = self.sets.get_mut(backend) else { return };
        set.is_draining = true;
        let unused = set.slots.iter().filter(|(_, slot)| slot.state != SlotState::Claimed);
        let unused: Vec<SlotId> = unused.map(|(id, _)| *id).collect();
        if set.slots.is_empty() {
            self.sets.remove(backend);
        }
        for id in unused {
            self.retire(id);
        }
    }

    fn timed_out(&self, now: Now, waiter: &Waiter) -> ClaimError {
        ClaimError::Timeout {
            waited: now.saturating_sub(waiter.since),
            backends: self.sets.values().filter(|set| !set.is_draining).count(),
            connected: self.total() - self.count(SlotState::Connecting),
            claimed: self.claimed(),
            last_failure: self.last_failure.clone(),
        }
    }

    fn check_those_due(&mut self, now: Now) {
        let interval = self.policy.health_check_interval;
        let due =
            |slot: &Slot| slot.state == SlotState::Connected && slot.checked_at + interval <= now;
        let due: Vec<SlotId> = self
            .sets
            .values()
            .flat_map(|set| set.slots.iter().filter(|(_, slot)| due(slot)).map(|(id, _)| *id))
            .collect();
        for slot in due {
            self.become_state(now, slot, SlotState::Checking);
            self.effects.push(Effect::Check { slot });
        }
    }

    /// Brings the slots to where the policy wants them: grants first, then connects, then lets go
    /// of what is too much.
    fn adjust(&mut self, now: Now) {
        if self.is_closing {
            return;
        }
        while let Some(slot) = self.best_idle().filter(|_| !self.waiting.is_empty()) {
            self.grant(now, slot);
        }
        while let Some(backend) = self.backend_to_connect(now) {
            self.connect(now, &backend);
        }
        while let Some(slot) = self.surplus() {
            self.retire(slot);
        }
        for set in self.sets.values_mut() {
            if set.retry_at.is_some_and(|until| until <= now) {
                set.retry_at = None;
            }
        }
    }

    /// A free connection, of the backend with the fewest in use, and there the one used last: it is
    /// the least likely to have gone stale.
    fn best_idle(&self) -> Option<SlotId> {
        let free = |set: &SlotSet| {
            let idle = set.slots.iter().filter(|(_, slot)| slot.state == SlotState::Connected);
            idle.max_by_key(|(_, slot)| slot.since).map(|(id, _)| *id)
        };
        let candidates =
            self.sets.values().filter_map(|set| Some((set.count(SlotState::Claimed), free(set)?)));
        candidates.min_by_key(|(claimed, _)| *claimed).map(|(_, id)| id)
    }

    fn grant(&mut self, now: Now, slot: SlotId) {
        let Some(waiter) = self.waiting.pop_front() else { return };
        let Some(backend) = self.homes.get(&slot).cloned() else { return };
        self.become_state(now, slot, SlotState::Claimed);
        self.counters.granted += 1;
        let waited = now.saturating_sub(waiter.since);
        self.effects.push(Effect::Grant { claim: waiter.claim, slot, waited, backend });
    }

    /// How many slots there should be: those in use, one for each waiting claim, and the spares.
    fn wanted(&self) -> usize {
        let in_use = self.claimed() + self.count(SlotState::Recycling);
        (in_use + self.waiting.len() + self.policy.spares).min(self.policy.max_slots)
    }

    /// Says whether a connection that came back is better given up, so that a backend with fewer
    /// gets one in its place: otherwise one that joins a pool whose slots are all in use would
    /// never serve.
    fn should_move(&self, now: Now, slot: SlotId) -> bool {
        let Some(home) = self.homes.get(&slot).and_then(|backend| self.sets.get(backend)) else {
            return false;
        };
        let able = self
            .sets
            .values()
            .filter(|set| set.failures == 0 && set.may_connect(now, &self.policy));
        let fewest = able.map(|set| set.slots.len()).min();
        self.total() >= self.policy.max_slots
            && fewest.is_some_and(|fewest| home.slots.len() > fewest + 1)
    }

    /// The backend that is to get one more connection, if one is: that with the fewest.
    fn backend_to_connect(&self, now: Now) -> Option<Endpoint> {
        if self.total() >= self.wanted() {
            return None;
        }
        let able = self.sets.iter().filter(|(_, set)| set.may_connect(now, &self.policy));
        able.min_by_key(|(_, set)| (set.failures > 0, set.slots.len()))
            .map(|(backend, _)| backend.clone())
    }

    fn connect(&mut self, now: Now, backend: &Endpoint) {
        let slot = SlotId(self.next_slot);
        self.next_slot += 1;
        let Some(set) = self.sets.get_mut(backend) else { return };
        set.slots.insert(slot, Slot { state: SlotState::Connecting, since: now, checked_at: now });
        self.homes.insert(slot, backend.clone());
        self.effects.push(Effect::Connect { slot, backend: backend.clone() });
    }

    /// A free connection more than the policy wants: there is room for twice the spares, so that a
    /// pool does not let go and connect again with every wave of its load.
    fn surplus(&self) -> Option<SlotId> {
        let over_all =
            self.total() > (self.wanted() + self.policy.spares).min(self.policy.max_slots);
        let cap = self.policy.max_slots_per_backend;
        let crowded = self.sets.values().filter(|set| over_all || set.slots.len() > cap);
        let fullest = crowded
            .filter(|set| set.count(SlotState::Connected) > 0)
            .max_by_key(|set| set.slots.len())?;
        let idle = fullest.slots.iter().filter(|(_, slot)| slot.state == SlotState::Connected);
        idle.min_by_key(|(_, slot)| slot.since).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "a:1";
    const B: &str = "b:1";

    fn backends(names: &[&str]) -> Backends {
        names.iter().map(|name| name.parse::<Endpoint>().unwrap()).collect()
    }

    fn seconds(count: u64) -> Now {
        Duration::from_secs(count)
    }

    fn policy() -> Policy {
        Policy::default().with_spares(0)
    }

    /// The slots that are to be connected, with their backends.
    fn connects(effects: &[Effect]) -> Vec<(SlotId, String)> {
        let connect = |effect: &Effect| match effect {
            Effect::Connect { slot, backend } => Some((*slot, backend.to_string())),
            _ => None,
        };
        effects.iter().filter_map(connect).collect()
    }

    fn granted(effects: &[Effect]) -> Vec<(ClaimId, SlotId)> {
        let grant = |effect: &Effect| match effect {
            Effect::Grant { claim, slot, .. } => Some((*claim, *slot)),
            _ => None,
        };
        effects.iter().filter_map(grant).collect()
    }

    /// A pool over one backend whose first claim was granted.
    fn claimed(policy: Policy) -> (PoolMachine, SlotId) {
        let mut pool = PoolMachine::new(policy);
        pool.handle_backends(seconds(0), &backends(&[A]));
        pool.claim(seconds(0), ClaimId(0));
        let slot = connects(&pool.poll_effects())[0].0;
        pool.handle_connected(seconds(0), slot);
        assert_eq!(granted(&pool.poll_effects()), [(ClaimId(0), slot)]);
        (pool, slot)
    }

    #[test]
    fn a_claim_is_granted_when_its_connection_comes_about_and_again_when_it_comes_back() {
        let (mut pool, slot) = claimed(policy());
        pool.handle_returned(seconds(1), slot, Returned::Usable);
        assert_eq!(pool.poll_effects(), [Effect::Recycle { slot }]);
        pool.claim(seconds(1), ClaimId(1));
        pool.poll_effects();
        pool.handle_recycled(seconds(1), slot, true);
        assert_eq!(granted(&pool.poll_effects()), [(ClaimId(1), slot)]);
    }

    #[test]
    fn a_spoiled_connection_is_never_handed_out_again() {
        let (mut pool, slot) = claimed(policy());
        pool.handle_returned(seconds(1), slot, Returned::Spoiled);
        assert!(
            matches!(pool.poll_effects()[..], [Effect::Drop { slot: gone, .. }] if gone == slot)
        );
        assert_eq!(pool.snapshot(seconds(1)).counters.retired, 1);
    }

    #[test]
    fn a_backend_that_fails_backs_off_while_another_serves() {
        let mut pool = PoolMachine::new(policy());
        pool.handle_backends(seconds(0), &backends(&[A, B]));
        pool.claim(seconds(0), ClaimId(0));
        let (first, failed) = connects(&pool.poll_effects())[0].clone();
        pool.handle_connect_failed(seconds(0), first, "refused".to_owned(), 1.0);
        let (second, other) = connects(&pool.poll_effects())[0].clone();
        assert_ne!(failed, other);
        pool.handle_connected(seconds(0), second);
        assert_eq!(granted(&pool.poll_effects()).len(), 1);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_limit_and_is_spread_over_all_of_it() {
        let policy =
            policy().with_backoff(Duration::from_millis(100), Duration::from_millis(350)).unwrap();
        let mut pool = PoolMachine::new(policy);
        pool.handle_backends(seconds(0), &backends(&[A]));
        pool.claim(seconds(0), ClaimId(0));
        let mut now = seconds(0);
        for expected in [100, 200, 350, 350] {
            let slot = connects(&pool.poll_effects())[0].0;
            pool.handle_connect_failed(now, slot, "refused".to_owned(), 1.0);
            assert_eq!(pool.poll_timeout(), Some(now + Duration::from_millis(expected)));
            assert!(connects(&pool.poll_effects()).is_empty(), "it connected during its back-off");
            now += Duration::from_millis(expected);
            pool.handle_timeout(now);
        }
        let slot = connects(&pool.poll_effects())[0].0;
        pool.handle_connect_failed(now, slot, "refused".to_owned(), 0.0);
        assert_eq!(
            connects(&pool.poll_effects()).len(),
            1,
            "with no luck at all it connects at once"
        );
    }

    #[test]
    fn a_claim_ends_at_its_deadline_with_what_the_pool_knows() {
        let mut pool = PoolMachine::new(policy().with_claim_timeout(seconds(3)));
        pool.handle_backends(seconds(0), &backends(&[A]));
        pool.claim(seconds(1), ClaimId(7));
        let slot = connects(&pool.poll_effects())[0].0;
        pool.handle_connect_failed(seconds(1), slot, "refused".to_owned(), 1.0);
        pool.poll_effects();
        pool.handle_timeout(seconds(4));
        let refused = pool.poll_effects().into_iter().find_map(|effect| match effect {
            Effect::Refuse { claim: ClaimId(7), error } => Some(error.to_string()),
            _ => None,
        });
        let refused = refused.unwrap();
        assert!(refused.contains("1 backends") && refused.contains("refused"), "{refused}");
    }

    #[test]
    fn claims_beyond_the_limit_are_refused_and_abandoned_ones_make_room() {
        let mut pool = PoolMachine::new(policy().with_max_waiting(2).unwrap());
        for claim in 0..3 {
            pool.claim(seconds(0), ClaimId(claim));
        }
        let refused =
            Effect::Refuse { claim: ClaimId(2), error: ClaimError::TooManyWaiting { waiting: 2 } };
        assert_eq!(pool.poll_effects(), [refused]);
        pool.abandon(seconds(0), ClaimId(0));
        pool.claim(seconds(0), ClaimId(3));
        assert!(pool.poll_effects().is_empty());
    }

    #[test]
    fn a_backend_that_leaves_is_drained_and_one_that_returns_serves_again() {
        let (mut pool, slot) = claimed(Policy::default().with_spares(1));
        let spare = connects(&pool.poll_effects());
        assert!(spare.len() <= 1);
        pool.handle_backends(seconds(1), &backends(&[]));
        let snapshot = pool.snapshot(seconds(1));
        assert!(snapshot.sets[0].is_draining);
        assert_eq!(snapshot.sets[0].slots.len(), 1, "only what is claimed stays");
        pool.poll_effects();
        pool.handle_returned(seconds(2), slot, Returned::Usable);
        assert!(matches!(pool.poll_effects()[..], [Effect::Drop { .. }]));
        assert!(pool.snapshot(seconds(2)).sets.is_empty());
        pool.handle_backends(seconds(3), &backends(&[A]));
        assert_eq!(connects(&pool.poll_effects()).len(), 1, "a spare comes about again");
    }

    #[test]
    fn free_connections_are_checked_when_due_and_bad_ones_are_given_up() {
        let policy =
            Policy::default().with_spares(1).with_health_check(seconds(30), seconds(3)).unwrap();
        let mut pool = PoolMachine::new(policy);
        pool.handle_backends(seconds(0), &backends(&[A]));
        let slot = connects(&pool.poll_effects())[0].0;
        pool.handle_connected(seconds(0), slot);
        assert_eq!(pool.poll_timeout(), Some(seconds(30)));
        pool.handle_timeout(seconds(30));
        assert_eq!(pool.poll_effects(), [Effect::Check { slot }]);
        pool.handle_checked(seconds(31), slot, true);
        assert_eq!(pool.poll_timeout(), Some(seconds(61)));
        pool.handle_timeout(seconds(61));
        pool.poll_effects();
        pool.handle_checked(seconds(61), slot, false);
        let effects = pool.poll_effects();
        assert!(matches!(effects[0], Effect::Drop { .. }));
        assert_eq!(connects(&effects).len(), 1, "another takes its place");
    }

    #[test]
    fn a_backend_that_joins_a_full_pool_gets_its_share() {
        let mut pool = PoolMachine::new(policy().with_max_slots(4).unwrap());
        pool.handle_backends(seconds(0), &backends(&[A]));
        for claim in 0..4 {
            pool.claim(seconds(0), ClaimId(claim));
        }
        let slots: Vec<SlotId> =
            connects(&pool.poll_effects()).into_iter().map(|(slot, _)| slot).collect();
        for slot in &slots {
            pool.handle_connected(seconds(0), *slot);
        }
        pool.handle_backends(seconds(1), &backends(&[A, B]));
        for claim in 4..8 {
            pool.claim(seconds(1), ClaimId(claim));
        }
        for slot in slots {
            pool.handle_returned(seconds(1), slot, Returned::Usable);
            for (slot, _) in connects(&pool.poll_effects()) {
                pool.handle_connected(seconds(1), slot);
            }
        }
        let shares: Vec<usize> =
            pool.snapshot(seconds(1)).sets.iter().map(|set| set.slots.len()).collect();
        assert_eq!(shares, [2, 2]);
    }

    #[test]
    fn a_smaller_policy_lets_go_of_what_is_too_much() {
        let mut pool = PoolMachine::new(Policy::default().with_spares(4));
        pool.handle_backends(seconds(0), &backends(&[A]));
        for (slot, _) in connects(&pool.poll_effects()) {
            pool.handle_connected(seconds(0), slot);
        }
        pool.set_policy(seconds(1), Policy::default().with_spares(0));
        assert_eq!(pool.snapshot(seconds(1)).sets[0].slots.len(), 0);
    }

    #[test]
    fn closing_refuses_waiting_claims_and_every_later_one() {
        let (mut pool, slot) = claimed(policy().with_max_slots(1).unwrap());
        pool.claim(seconds(0), ClaimId(1));
        pool.close();
        pool.claim(seconds(0), ClaimId(2));
        let closed = |claim| Effect::Refuse { claim: ClaimId(claim), error: ClaimError::Closed };
        assert_eq!(pool.poll_effects(), [closed(1), closed(2)]);
        assert_eq!(pool.claimed(), 1);
        pool.handle_returned(seconds(1), slot, Returned::Usable);
        assert_eq!(pool.claimed(), 0);
    }

    proptest! {
        /// Whatever happens in whatever order: limits hold, nothing is granted twice, every claim
        /// is answered once.
        #[test]
        fn any_order_of_events_keeps_the_promises(steps in prop::collection::vec((0..9_u8, any::<u8>()), 1..300)) {
            let policy = Policy::default()
                .with_max_slots(4).unwrap()
                .with_max_slots_per_backend(3).unwrap()
                .with_spares(1)
                .with_claim_timeout(seconds(5));
            let mut pool = PoolMachine::new(policy);
            let (mut now, mut next_claim) = (seconds(0), 0);
            let mut connecting: Vec<SlotId> = Vec::new();
            let mut busy: Vec<(SlotId, bool)> = Vec::new();
            let mut held: Vec<SlotId> = Vec::new();
            let mut unanswered: Vec<ClaimId> = Vec::new();
            for (step, pick) in steps {
                let pick = usize::from(pick);
                let take = |list: &mut Vec<SlotId>| (!list.is_empty()).then(|| list.remove(pick % list.len()));
                match step {
                    0 => { unanswered.push(ClaimId(next_claim)); pool.claim(now, ClaimId(next_claim)); next_claim += 1; }
                    1 => if let Some(slot) = take(&mut connecting) { pool.handle_connected(now, slot); },
                    2 => if let Some(slot) = take(&mut connecting) {
                        pool.handle_connect_failed(now, slot, String::new(), 0.5);
                    },
                    3 => if let Some(slot) = take(&mut held) { pool.handle_returned(now, slot, Returned::Usable); },
                    4 => if let Some(slot) = take(&mut held) { pool.handle_returned(now, slot, Returned::Spoiled); },
                    5 => if !busy.is_empty() {
                        let (slot, is_check) = busy.remove(pick % busy.len());
                        let good = pick % 3 != 0;
                        if is_check { pool.handle_checked(now, slot, good) } else { pool.handle_recycled(now, slot, good) }
                    },
                    6 => { now += Duration::from_millis(pick as u64 * 50); pool.handle_timeout(now); }
                    7 => pool.handle_backends(now, &backends([&[A][..], &[A, B], &[B], &[]][pick % 4])),
                    _ => if !unanswered.is_empty() {
                        let claim = unanswered.remove(pick % unanswered.len());
                        pool.abandon(now, claim);
                    },
                }
                for effect in pool.poll_effects() {
                    match effect {
                        Effect::Connect { slot, .. } => connecting.push(slot),
                        Effect::Check { slot } => busy.push((slot, true)),
                        Effect::Recycle { slot } => busy.push((slot, false)),
                        Effect::Grant { claim, slot, .. } => {
                            prop_assert!(!held.contains(&slot), "a connection was granted twice");
                            let at = unanswered.iter().position(|waiting| *waiting == claim);
                            prop_assert!(at.is_some(), "a claim was answered twice");
                            unanswered.remove(at.unwrap());
                            held.push(slot);
                        }
                        Effect::Refuse { claim, .. } => {
                            let at = unanswered.iter().position(|waiting| *waiting == claim);
                            prop_assert!(at.is_some(), "a claim was answered twice");
                            unanswered.remove(at.unwrap());
                        }
                        Effect::Drop { slot, .. } => {
                            prop_assert!(!held.contains(&slot), "a connection in use was dropped");
                            connecting.retain(|other| *other != slot);
                            busy.retain(|(other, _)| *other != slot);
                        }
                    }
                }
                let snapshot = pool.snapshot(now);
                let total: usize = snapshot.sets.iter().filter(|set| !set.is_draining).map(|set| set.slots.len()).sum();
                prop_assert!(total <= 4, "{total} slots");
                prop_assert!(snapshot.sets.iter().all(|set| set.slots.len() <= 4));
                prop_assert_eq!(pool.claimed(), held.len());
                prop_assert_eq!(snapshot.waiting, unanswered.len());
            }
            now += seconds(60);
            pool.handle_timeout(now);
            prop_assert_eq!(pool.snapshot(now).waiting, 0, "a claim outlived its deadline");
        }
    }
}
