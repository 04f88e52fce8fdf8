//! All slots of a pool, by backend, and the choice among them: which connection serves a claim,
//! which backend to dial next, which slot to close.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_types::Endpoint;

use super::{
    claims::Claims,
    effect::{Demand, Mode, Now, SlotId},
    set::{SlotSet, Tally},
    slot::{Change, SlotEvent},
};
use crate::{
    backend::Backends,
    policy::Policy,
    snapshot::{SlotSetSnapshot, SlotState},
};

#[derive(Debug, Default)]
pub(super) struct SlotSets {
    sets: BTreeMap<Endpoint, SlotSet>,
    /// The backend of each slot.
    homes: BTreeMap<SlotId, Endpoint>,
    next_slot: u64,
}

/// A step towards the slots that policy and claims ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect(Endpoint),
    /// Makes room for a connection that a claim waits for.
    Retire(SlotId),
}

impl SlotSets {
    // ------------------------------------------------------------------------------------- reading

    pub(super) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.sets.values().for_each(|set| all.add(set.tally()));
        all
    }

    /// How many backends the resolver names.
    pub(super) fn listed(&self) -> usize {
        self.sets.values().filter(|set| set.is_listed).count()
    }

    pub(super) fn home(&self, slot: SlotId) -> Option<&Endpoint> {
        self.homes.get(&slot)
    }

    pub(super) fn set_of(&self, slot: SlotId) -> Option<&SlotSet> {
        self.sets.get(self.homes.get(&slot)?)
    }

    pub(super) fn set_of_mut(&mut self, slot: SlotId) -> Option<&mut SlotSet> {
        self.sets.get_mut(self.homes.get(&slot)?)
    }

    pub(super) fn at(&self, backend: &Endpoint) -> Option<&SlotSet> {
        self.sets.get(backend)
    }

    pub(super) fn backends(&self) -> Vec<Endpoint> {
        self.sets.keys().cloned().collect()
    }

    /// The shared connections to `backend`, or to all backends.
    pub(super) fn shared(&self, backend: Option<&Endpoint>) -> Vec<SlotId> {
        let sets = self.sets.iter().filter(|(at, _)| backend.is_none_or(|backend| backend == *at));
        sets.flat_map(|(_, set)| set.shared()).collect()
    }

    /// The slots whose health check is due.
    pub(super) fn due(&self, now: Now, interval: Duration) -> Vec<SlotId> {
        self.sets.values().flat_map(|set| set.due(now, interval)).collect()
    }

    /// When the first back-off ends or the first health check is due.
    pub(super) fn next_timeout(&self, interval: Duration) -> Option<Now> {
        let sets = self.sets.values();
        sets.flat_map(|set| [set.retry_at(), set.next_check(interval)]).flatten().min()
    }

    pub(super) fn snapshot(&self, now: Now) -> Vec<SlotSetSnapshot> {
        self.sets.iter().map(|(backend, set)| set.snapshot(backend, now)).collect()
    }

    // ------------------------------------------------------------------------------------ changing

    /// Adopts the resolver's list; returns the backends that left it.
    pub(super) fn list(&mut self, backends: &Backends) -> Vec<Endpoint> {
        for backend in backends.iter() {
            self.sets.entry(backend.clone()).or_default().is_listed = true;
        }
        let mut left = Vec::new();
        for (backend, set) in &mut self.sets {
            if set.is_listed && !backends.contains(backend) {
                set.is_listed = false;
                left.push(backend.clone());
            }
        }
        left
    }

    /// Adds the backend that a claim names.
    pub(super) fn visit(&mut self, backend: &Endpoint) {
        if !self.sets.contains_key(backend) {
            self.sets.insert(backend.clone(), SlotSet::default());
        }
    }

    /// Adds a slot whose dial begins.
    pub(super) fn connect(&mut self, now: Now, backend: &Endpoint) -> SlotId {
        let slot = SlotId(self.next_slot);
        self.next_slot += 1;
        self.sets.entry(backend.clone()).or_default().connect(now, slot);
        self.homes.insert(slot, backend.clone());
        slot
    }

    /// Carries out an event of a slot.
    pub(super) fn handle(
        &mut self,
        now: Now,
        slot: SlotId,
        event: SlotEvent,
        policy: &Policy,
    ) -> Change {
        let Some(set) = self.set_of_mut(slot) else { return Change::Ignored };
        let change = set.handle(now, slot, event, policy.max_users);
        if change == Change::Ended {
            self.homes.remove(&slot);
        }
        change
    }

    /// Removes the back-offs that have passed, and the backends that have no slot and that neither
    /// the resolver nor a claim names.
    pub(super) fn forget(&mut self, now: Now, claims: &Claims) {
        self.sets.retain(|backend, set| {
            set.end_backoff(now);
            let is_named = set.is_listed || claims.needed_at(backend, 1) > 0;
            is_named || set.len() > 0 || set.retry_at().is_some()
        });
    }

    // ------------------------------------------------------------------------------------ choosing

    /// A connection that serves `demand`: for any backend, of the one with the fewest in use.
    pub(super) fn find(&self, demand: &Demand, max_users: usize) -> Option<SlotId> {
        // A claim for one backend looks at no other: many may wait for as many backends.
        let named = demand.backend.as_ref().map(|backend| self.sets.get(backend));
        let listed = named.is_none().then(|| self.sets.values().filter(|set| set.is_listed));
        let sets = named.flatten().into_iter().chain(listed.into_iter().flatten());
        let idle = |set: &SlotSet| Some((set.tally().used(), set.last_used_idle()?));
        let first_idle = || sets.clone().filter_map(idle).min_by_key(|(used, _)| *used);
        match demand.mode {
            Mode::Exclusive => first_idle().map(|(_, slot)| slot),
            Mode::Shared => {
                let shared = sets.clone().filter_map(|set| set.least_shared(max_users)).min();
                shared.or_else(first_idle).map(|(_, slot)| slot)
            }
        }
    }

    /// The next step towards the connections that the waiting claims need and the spares that the
    /// policy asks for.
    pub(super) fn next_step(&self, now: Now, policy: &Policy, claims: &Claims) -> Option<Step> {
        let total = self.tally().total();
        let named = claims.demands(policy.max_users);
        let steps = named.filter_map(|(oldest, backend, needed)| {
            Some((oldest, self.step_at(now, policy, total, backend, needed)?))
        });
        steps
            .min_by_key(|(oldest, _)| *oldest)
            .map(|(_, step)| step)
            .or_else(|| self.step_anywhere(now, policy, total, claims))
    }

    /// Returns true if a dial to `backend` is needed and possible, the number of all slots aside.
    pub(super) fn needs_dial(
        &self,
        now: Now,
        policy: &Policy,
        backend: &Endpoint,
        needed: usize,
    ) -> bool {
        self.sets.get(backend).is_some_and(|set| {
            set.tally().coming() < needed
                && set.is_open(now)
                && set.len() < policy.max_slots_per_backend
        })
    }

    /// The step for claims that name their backend.
    fn step_at(
        &self,
        now: Now,
        policy: &Policy,
        total: usize,
        backend: &Endpoint,
        needed: usize,
    ) -> Option<Step> {
        let set = self.sets.get(backend)?;
        if set.tally().coming() >= needed || !set.is_open(now) {
            return None;
        }
        if set.len() >= policy.max_slots_per_backend {
            return set.oldest_unused().map(|(_, slot)| Step::Retire(slot));
        }
        if total >= policy.max_slots {
            return self.oldest_unused().map(Step::Retire);
        }
        Some(Step::Connect(backend.clone()))
    }

    /// The step for claims that any backend serves, and for spares: of the backends that may be
    /// dialled, one in good health with the fewest slots.
    fn step_anywhere(
        &self,
        now: Now,
        policy: &Policy,
        total: usize,
        claims: &Claims,
    ) -> Option<Step> {
        let (mut unused, mut idle, mut coming) = (0, 0, 0);
        for (backend, set) in self.sets.iter().filter(|(_, set)| set.is_listed) {
            let named = claims.needed_at(backend, policy.max_users);
            unused += set.tally().unused();
            idle += set.tally().idle;
            coming += set.tally().coming().saturating_sub(named);
        }
        let needed = claims.needed(policy.max_users);
        let is_short = idle + coming < needed;
        if !is_short && unused + coming >= needed + policy.spares {
            return None;
        }
        let open = self.sets.iter().filter(|(_, set)| set.is_listed && set.is_open(now));
        let able = open.clone().filter(|(_, set)| set.len() < policy.max_slots_per_backend);
        if total < policy.max_slots
            && let Some((backend, _)) = able.min_by_key(|(_, set)| (set.failures() > 0, set.len()))
        {
            return Some(Step::Connect(backend.clone()));
        }
        // What was shared before serves no exclusive claim, and may keep one from its connection.
        let in_the_way = open.filter_map(|(_, set)| set.oldest_unused()).min();
        in_the_way.filter(|_| is_short).map(|(_, slot)| Step::Retire(slot))
    }

    fn oldest_unused(&self) -> Option<SlotId> {
        let unused = self.sets.values().filter_map(SlotSet::oldest_unused);
        unused.min().map(|(_, slot)| slot)
    }

    /// A slot to close: one of a backend that the resolver does not name, or one more than the
    /// policy needs. Twice the spares are tolerated, so that a pool does not close and connect
    /// again with every wave of its load.
    pub(super) fn surplus(&self, policy: &Policy, claims: &Claims) -> Option<SlotId> {
        let unlisted = self.sets.iter().filter(|(_, set)| !set.is_listed);
        let unneeded = unlisted.filter(|(backend, _)| claims.needed_at(backend, 1) == 0);
        if let Some((_, slot)) = unneeded.filter_map(|(_, set)| set.oldest_unused()).min() {
            return Some(slot);
        }
        let tally = self.tally();
        let wanted = tally.used() + tally.recycling + claims.len() + policy.spares;
        let over_all = tally.total() > (wanted + policy.spares).min(policy.max_slots);
        let crowded = |set: &&SlotSet| over_all || set.len() > policy.max_slots_per_backend;
        let sets = self.sets.values().filter(crowded).filter(|set| set.tally().unused() > 0);
        Some(sets.max_by_key(|set| set.len())?.oldest_unused()?.1)
    }

    /// Returns true if a returned connection should be closed, so that a backend with fewer gets
    /// one in its place: otherwise a backend that joins a full pool would never serve.
    pub(super) fn should_move(&self, now: Now, slot: SlotId, policy: &Policy) -> bool {
        let Some(home) = self.set_of(slot) else { return false };
        let healthy = self.sets.values().filter(|set| {
            set.is_listed
                && set.failures() == 0
                && set.is_open(now)
                && set.len() < policy.max_slots_per_backend
        });
        let fewest = healthy.map(SlotSet::len).min();
        self.tally().total() >= policy.max_slots
            && fewest.is_some_and(|fewest| home.len() > fewest + 1)
    }

    /// The slots that end when the resolver names `backend` no longer, or the pool closes: those
    /// without a user. A dial goes on if `needed` claims wait for it.
    pub(super) fn unneeded(&self, backend: &Endpoint, needed: usize) -> Vec<SlotId> {
        let Some(set) = self.sets.get(backend) else { return Vec::new() };
        let unneeded =
            set.without_user().filter(|(_, state)| needed == 0 || *state != SlotState::Connecting);
        unneeded.map(|(slot, _)| slot).collect()
    }
}
