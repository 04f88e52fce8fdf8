//! The decisions of a pool: events in, effects out, with time and chance as arguments.
//!
//! ```text
//! claim, backends, ends of work ──▶ PoolMachine ──▶ effects: connect, check, recycle, grant, close
//!                                    │      │
//!                                 Claims  SlotSets ──▶ SlotSet ──▶ Slot
//!                          who waits, for what │    one backend │    one connection
//!                                              └── choices      └── back-off
//! ```
//!
//! After every event the machine brings the slots to where policy and claims want them: it grants,
//! connects, then closes the surplus. The driver carries the effects out in order, and reports
//! the end of each piece of work with one event.

mod claims;
mod effect;
#[cfg(test)]
mod random_tests;
mod set;
mod sets;
mod slot;
#[cfg(test)]
mod tests;

use std::time::Duration;

use pravega_sdk_types::Endpoint;

use self::{
    claims::Claims,
    sets::{SlotSets, Step},
    slot::{Change, SlotEvent},
};
use crate::{
    backend::Backends,
    error::{ClaimError, ConnectFailure},
    policy::Policy,
    snapshot::{PoolCounters, PoolSnapshot, SlotState},
};

pub(crate) use effect::{ClaimId, Demand, Effect, Mode, Now, Returned, SlotId};

#[derive(Debug)]
pub(crate) struct PoolMachine {
    policy: Policy,
    sets: SlotSets,
    claims: Claims,
    counters: PoolCounters,
    is_closing: bool,
    last_failure: Option<ConnectFailure>,
    effects: Vec<Effect>,
}

impl PoolMachine {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            sets: SlotSets::default(),
            claims: Claims::default(),
            counters: PoolCounters::default(),
            is_closing: false,
            last_failure: None,
            effects: Vec::new(),
        }
    }

    // -------------------------------------------------------------------------------------- events

    /// The resolver names other backends. Unused connections to those that left close; used ones
    /// close when they come back.
    pub(crate) fn handle_backends(&mut self, now: Now, backends: &Backends) {
        for backend in self.sets.list(backends) {
            let needed = self.claims.needed_at(&backend, self.policy.max_users);
            for slot in self.sets.unneeded(&backend, needed) {
                self.handle(now, slot, SlotEvent::Retired);
            }
        }
        self.adjust(now);
    }

    /// A connection was established.
    pub(crate) fn handle_connected(&mut self, now: Now, slot: SlotId) {
        self.counters.connected += 1;
        self.last_failure = None;
        if let Some(set) = self.sets.set_of_mut(slot) {
            set.note_success();
        }
        self.handle(now, slot, SlotEvent::Succeeded);
        self.adjust(now);
    }

    /// A dial failed. The claims that wait for this backend alone, and that no other dial covers,
    /// share the failure. `chance` in `0.0..1.0` spreads the back-off.
    pub(crate) fn handle_connect_failed(
        &mut self,
        now: Now,
        slot: SlotId,
        failure: ConnectFailure,
        chance: f64,
    ) {
        self.counters.connect_failures += 1;
        self.last_failure = Some(failure.clone());
        let home = self.sets.home(slot).cloned();
        if let Some(set) = self.sets.set_of_mut(slot) {
            set.note_failure(now, &self.policy, chance);
        }
        self.handle(now, slot, SlotEvent::Failed);
        if let Some(backend) = home {
            self.share_failure(&backend, &failure);
        }
        self.adjust(now);
    }

    /// A health check ended.
    pub(crate) fn handle_checked(&mut self, now: Now, slot: SlotId, is_healthy: bool) {
        let event = if is_healthy {
            self.counters.healthy += 1;
            SlotEvent::Succeeded
        } else {
            self.counters.unhealthy += 1;
            SlotEvent::Failed
        };
        self.handle(now, slot, event);
        self.adjust(now);
    }

    /// A connection was made ready for its next user, or could not be.
    pub(crate) fn handle_recycled(&mut self, now: Now, slot: SlotId, is_ready: bool) {
        let event = if is_ready { SlotEvent::Succeeded } else { SlotEvent::Failed };
        self.handle(now, slot, event);
        self.adjust(now);
    }

    /// An exclusive claim gave its connection back.
    pub(crate) fn handle_returned(&mut self, now: Now, slot: SlotId, returned: Returned) {
        if returned == Returned::Usable && self.is_wanted(now, slot) {
            if self.handle(now, slot, SlotEvent::Returned)
                && let Some(backend) = self.sets.home(slot).cloned()
            {
                self.effects.push(Effect::Recycle { slot, backend });
            }
        } else {
            self.handle(now, slot, SlotEvent::Spoiled);
        }
        self.adjust(now);
    }

    /// A shared claim was dropped.
    pub(crate) fn handle_left(&mut self, now: Now, slot: SlotId) {
        self.handle(now, slot, SlotEvent::Left);
        if self.is_closing && self.state(slot) == Some(SlotState::Shared { users: 0 }) {
            self.handle(now, slot, SlotEvent::Retired);
        }
        self.adjust(now);
    }

    /// A connection that was granted cannot be shared. Its users are refused by the driver.
    pub(crate) fn handle_unshared(&mut self, now: Now, slot: SlotId) {
        self.handle(now, slot, SlotEvent::Failed);
        self.adjust(now);
    }

    /// A shared connection is retired for all its users: the next claim gets another. The slot
    /// lasts until the last of them leaves.
    pub(crate) fn handle_retired(&mut self, now: Now, slot: SlotId) {
        if matches!(self.state(slot), Some(SlotState::Shared { .. })) {
            self.handle(now, slot, SlotEvent::Retired);
            self.adjust(now);
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((deadline, claim)) = self.claims.next_deadline()
            && deadline <= now
        {
            self.counters.timed_out += 1;
            let Some(waiter) = self.claims.remove(claim) else { break };
            let error = self.timed_out(waiter.demand.backend, now.saturating_sub(waiter.since));
            self.effects.push(Effect::Refuse { claim, error });
        }
        for slot in self.sets.due(now, self.policy.health_check_interval) {
            self.handle(now, slot, SlotEvent::CheckDue);
            if let Some(backend) = self.sets.home(slot).cloned() {
                self.effects.push(Effect::Check { slot, backend });
            }
        }
        self.adjust(now);
    }

    // ------------------------------------------------------------------------------------ commands

    /// A claim was made.
    pub(crate) fn claim(&mut self, now: Now, claim: ClaimId, demand: Demand) {
        let waiting = self.claims.len();
        if self.is_closing {
            self.effects.push(Effect::Refuse { claim, error: ClaimError::Closed });
        } else if waiting >= self.policy.max_waiting {
            self.counters.refused += 1;
            let error = ClaimError::TooManyWaiting { waiting };
            self.effects.push(Effect::Refuse { claim, error });
        } else {
            if let Some(backend) = &demand.backend {
                self.sets.visit(backend);
            }
            self.claims.push(claim, demand, now, now.saturating_add(self.policy.claim_timeout));
            self.adjust(now);
            if self.policy.claim_timeout.is_zero() {
                self.handle_timeout(now);
            }
        }
    }

    /// A claim was dropped before it reached the pool.
    pub(crate) fn note_abandoned(&mut self) {
        self.counters.abandoned += 1;
    }

    /// A claim was dropped while it waited.
    pub(crate) fn abandon(&mut self, now: Now, claim: ClaimId) {
        if self.claims.remove(claim).is_some() {
            self.counters.abandoned += 1;
        }
        self.adjust(now);
    }

    /// The policy changed.
    pub(crate) fn set_policy(&mut self, now: Now, policy: Policy) {
        self.policy = policy;
        self.adjust(now);
    }

    /// Retires every shared connection and closes every unused one. The pool goes on.
    pub(crate) fn drain(&mut self, now: Now) {
        for backend in self.sets.backends() {
            let needed = self.claims.needed_at(&backend, self.policy.max_users);
            for slot in self.sets.unneeded(&backend, needed) {
                self.handle(now, slot, SlotEvent::Retired);
            }
        }
        for slot in self.sets.shared(None) {
            self.handle(now, slot, SlotEvent::Retired);
        }
        self.adjust(now);
    }

    /// Refuses waiting claims and every later one. Unused connections close, used ones when they
    /// come back.
    pub(crate) fn close(&mut self, now: Now) {
        self.is_closing = true;
        for claim in self.claims.ids() {
            self.claims.remove(claim);
            self.effects.push(Effect::Refuse { claim, error: ClaimError::Closed });
        }
        for backend in self.sets.backends() {
            for slot in self.sets.unneeded(&backend, 0) {
                self.handle(now, slot, SlotEvent::Retired);
            }
        }
        self.sets.forget(now, &self.claims);
    }

    // --------------------------------------------------------------------------------- what's next

    /// The next effects, in order.
    pub(crate) fn poll_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::handle_timeout`] is due if nothing else happens before.
    pub(crate) fn poll_timeout(&self) -> Option<Now> {
        let claims = self.claims.next_deadline().map(|(deadline, _)| deadline);
        let sets = self.sets.next_timeout(self.policy.health_check_interval);
        [claims, sets.filter(|_| !self.is_closing)].into_iter().flatten().min()
    }

    // ------------------------------------------------------------------------------------- getters

    /// Number of connections in use.
    pub(crate) fn claimed(&self) -> usize {
        self.sets.tally().used()
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The shared connections to `backend`, or to all backends: those whose end the driver looks
    /// for before a claim shares one.
    pub(crate) fn shared(&self, backend: Option<&Endpoint>) -> Vec<SlotId> {
        self.sets.shared(backend)
    }

    /// The state now, with the number of connections that the driver is closing.
    pub(crate) fn snapshot(&self, now: Now, closing: usize) -> PoolSnapshot {
        PoolSnapshot {
            sets: self.sets.snapshot(now),
            waiting: self.claims.len(),
            closing,
            counters: self.counters,
        }
    }

    // --------------------------------------------------------------------------------- transitions

    fn state(&self, slot: SlotId) -> Option<SlotState> {
        self.sets.set_of(slot)?.state(slot)
    }

    /// Carries out an event of a slot. Returns false if the slot has ended, so that its work
    /// came too late.
    fn handle(&mut self, now: Now, slot: SlotId, event: SlotEvent) -> bool {
        let was_retired = matches!(self.state(slot), Some(SlotState::Retired { .. }));
        let home = self.sets.home(slot).cloned();
        let change = self.sets.handle(now, slot, event, &self.policy);
        if change == Change::Ended {
            self.counters.retired += 1;
        }
        // A retired connection was released when it was retired.
        if matches!(change, Change::Ended | Change::Retired)
            && !was_retired
            && let Some(backend) = home
        {
            self.effects.push(Effect::Close { slot, backend });
        }
        change == Change::Kept
    }

    /// Returns true if a returned connection should be kept.
    fn is_wanted(&self, now: Now, slot: SlotId) -> bool {
        let Some(backend) = self.sets.home(slot) else { return false };
        let is_listed = self.sets.at(backend).is_some_and(|set| set.is_listed);
        let is_named = is_listed || self.claims.needed_at(backend, 1) > 0;
        is_named && !self.is_closing && !self.sets.should_move(now, slot, &self.policy)
    }

    fn share_failure(&mut self, backend: &Endpoint, failure: &ConnectFailure) {
        let dials = self.sets.at(backend).map_or(0, |set| set.tally().coming());
        for claim in self.claims.uncovered(backend, dials, self.policy.max_users) {
            self.claims.remove(claim);
            self.counters.failed += 1;
            let error = ClaimError::Connect { backend: backend.clone(), source: failure.clone() };
            self.effects.push(Effect::Refuse { claim, error });
        }
    }

    fn timed_out(&self, backend: Option<Endpoint>, waited: Duration) -> ClaimError {
        let tally = self.sets.tally();
        ClaimError::Timeout {
            backend,
            waited,
            backends: self.sets.listed(),
            connected: tally.total() - tally.connecting,
            claimed: tally.used(),
            last_failure: self.last_failure.as_ref().map(ToString::to_string),
        }
    }

    /// Brings the slots to where policy and claims want them.
    fn adjust(&mut self, now: Now) {
        if self.is_closing {
            return self.sets.forget(now, &self.claims);
        }
        while let Some((claim, slot)) = self.next_grant() {
            let is_idle = self.state(slot) == Some(SlotState::Idle);
            match self.passed_over(now, claim).filter(|_| is_idle) {
                // The older claim needs the place of this connection for one of its own.
                Some(backend) => {
                    self.handle(now, slot, SlotEvent::Retired);
                    self.connect(now, backend);
                }
                None => self.grant(now, claim, slot),
            }
        }
        while let Some(step) = self.sets.next_step(now, &self.policy, &self.claims) {
            match step {
                Step::Connect(backend) => self.connect(now, backend),
                Step::Retire(slot) => drop(self.handle(now, slot, SlotEvent::Retired)),
            }
        }
        while let Some(slot) = self.sets.surplus(&self.policy, &self.claims) {
            self.handle(now, slot, SlotEvent::Retired);
        }
        self.sets.forget(now, &self.claims);
    }

    fn connect(&mut self, now: Now, backend: Endpoint) {
        let slot = self.sets.connect(now, &backend);
        self.effects.push(Effect::Connect { slot, backend });
    }

    /// The backend of the oldest claim before `claim` that needs a dial and finds the pool full. It
    /// would wait as long as younger claims take every connection that is returned.
    fn passed_over(&self, now: Now, claim: ClaimId) -> Option<Endpoint> {
        if self.sets.tally().total() < self.policy.max_slots {
            return None;
        }
        let older = self.claims.demands(self.policy.max_users).filter(|demand| demand.0 < claim);
        let short = older.filter(|(_, backend, needed)| {
            self.sets.needs_dial(now, &self.policy, backend, *needed)
        });
        short.min_by_key(|(id, ..)| *id).map(|(_, backend, _)| backend.clone())
    }

    /// The oldest claim that a connection serves.
    fn next_grant(&self) -> Option<(ClaimId, SlotId)> {
        let max_users = self.policy.max_users;
        let served = self.claims.heads().filter_map(|(claim, demand)| {
            self.sets.find(demand, max_users).map(|slot| (claim, slot))
        });
        served.min_by_key(|(claim, _)| *claim)
    }

    fn grant(&mut self, now: Now, claim: ClaimId, slot: SlotId) {
        let Some(waiter) = self.claims.remove(claim) else { return };
        let Some(backend) = self.sets.home(slot).cloned() else { return };
        let mode = waiter.demand.mode;
        let event = match mode {
            Mode::Exclusive => SlotEvent::Claimed,
            Mode::Shared => SlotEvent::Joined,
        };
        self.handle(now, slot, event);
        self.counters.granted += 1;
        let waited = now.saturating_sub(waiter.since);
        self.effects.push(Effect::Grant { claim, mode, slot, waited, backend });
    }
}
