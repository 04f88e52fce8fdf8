//! The machine under random orders of events.

use proptest::prelude::*;

use super::{
    tests::{A, B, C, backends, demand, refused, seconds},
    *,
};
use crate::snapshot::SlotSnapshot;

/// Checks the promises against every effect of a random run.
#[derive(Default)]
struct Model {
    connecting: Vec<SlotId>,
    /// Slots that work is under way for; true where it is a check.
    busy: Vec<(SlotId, bool)>,
    held: Vec<SlotId>,
    /// A slot for each user of a shared connection.
    users: Vec<SlotId>,
    unanswered: Vec<ClaimId>,
    claims: u64,
}

const MAX_SLOTS: usize = 4;
const MAX_USERS: usize = 2;

impl Model {
    fn take<T>(list: &mut Vec<T>, pick: usize) -> Option<T> {
        (!list.is_empty()).then(|| list.remove(pick % list.len()))
    }

    fn apply(&mut self, pool: &mut PoolMachine, now: Now, step: u8, pick: usize) {
        match step {
            0 | 1 => {
                let named = [A, B, C][pick % 3];
                let demands = ["x", "s", "x", "s", &format!("x@{named}"), &format!("s@{named}")];
                let claim = ClaimId(self.claims);
                self.claims += 1;
                self.unanswered.push(claim);
                pool.claim(now, claim, demand(demands[pick / 3 % demands.len()]));
            }
            2 | 3 => {
                if let Some(slot) = Self::take(&mut self.connecting, pick) {
                    pool.handle_connected(now, slot);
                }
            }
            4 => {
                if let Some(slot) = Self::take(&mut self.connecting, pick) {
                    pool.handle_connect_failed(now, slot, refused(), 0.5);
                }
            }
            5 => {
                if let Some(slot) = Self::take(&mut self.held, pick) {
                    let how = [Returned::Usable, Returned::Spoiled][pick % 2];
                    pool.handle_returned(now, slot, how);
                }
            }
            6 => {
                if let Some((slot, is_check)) = Self::take(&mut self.busy, pick) {
                    let is_good = !pick.is_multiple_of(3);
                    if is_check {
                        pool.handle_checked(now, slot, is_good);
                    } else {
                        pool.handle_recycled(now, slot, is_good);
                    }
                }
            }
            7 => pool.handle_backends(now, &backends([&[A][..], &[A, B], &[B], &[]][pick % 4])),
            8 => {
                if let Some(claim) = Self::take(&mut self.unanswered, pick) {
                    pool.abandon(now, claim);
                }
            }
            9 | 10 => {
                if let Some(slot) = Self::take(&mut self.users, pick) {
                    pool.handle_left(now, slot);
                }
            }
            11 => {
                if let Some(slot) = self.users.get(pick % self.users.len().max(1)) {
                    if pick.is_multiple_of(3) {
                        // Found dead.
                        pool.handle_checked(now, *slot, false);
                    } else {
                        pool.handle_retired(now, *slot);
                    }
                }
            }
            _ => pool.handle_timeout(now),
        }
    }

    fn answer(&mut self, claim: ClaimId) {
        let before = self.unanswered.len();
        self.unanswered.retain(|waiting| *waiting != claim);
        assert_eq!(self.unanswered.len() + 1, before, "each claim is answered once");
    }

    fn observe(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { slot, .. } => self.connecting.push(slot),
            Effect::Check { slot, .. } => {
                if !self.users.contains(&slot) {
                    self.busy.push((slot, true));
                }
            }
            Effect::Recycle { slot, .. } => self.busy.push((slot, false)),
            Effect::Grant { claim, mode, slot, .. } => {
                assert!(!self.held.contains(&slot), "a claimed connection was granted");
                assert!(!self.connecting.contains(&slot), "a connection was granted unconnected");
                match mode {
                    Mode::Exclusive => {
                        assert!(!self.users.contains(&slot), "a shared one was claimed");
                        self.held.push(slot);
                    }
                    Mode::Shared => self.users.push(slot),
                }
                let users = self.users.iter().filter(|user| **user == slot).count();
                assert!(users <= MAX_USERS, "{users} users");
                self.answer(claim);
            }
            Effect::Refuse { claim, .. } => self.answer(claim),
            Effect::Close { slot, .. } => {
                assert!(!self.held.contains(&slot), "a claimed connection was closed");
                self.connecting.retain(|other| *other != slot);
                self.busy.retain(|(other, _)| *other != slot);
            }
        }
    }
}

proptest! {
    /// In any order of events limits hold, no connection is granted twice, and every claim is
    /// answered once, by its deadline.
    #[test]
    fn any_order_of_events_keeps_the_promises(
        steps in prop::collection::vec((0..13_u8, any::<u8>()), 1..300),
    ) {
        let policy = Policy::default()
            .with_max_slots(MAX_SLOTS).unwrap()
            .with_max_slots_per_backend(3).unwrap()
            .with_max_users(MAX_USERS).unwrap()
            .with_spares(1)
            .with_claim_timeout(seconds(5));
        let mut pool = PoolMachine::new(policy);
        let mut model = Model::default();
        let mut now = seconds(0);
        for (step, pick) in steps {
            if step == 12 {
                now += Duration::from_millis(u64::from(pick) * 50);
            }
            model.apply(&mut pool, now, step, usize::from(pick));
            for effect in pool.poll_effects() {
                model.observe(effect);
            }
            let snapshot = pool.snapshot(now, 0);
            let total: usize = snapshot.sets.iter().map(|set| set.slots.len()).sum();
            prop_assert!(total <= MAX_SLOTS, "{total} slots");
            prop_assert!(snapshot.sets.iter().all(|set| set.slots.len() <= 3));
            prop_assert_eq!(snapshot.waiting, model.unanswered.len());
            let is_claimed = |slot: &&SlotSnapshot| slot.state == SlotState::Claimed;
            let slots = || snapshot.sets.iter().flat_map(|set| &set.slots);
            prop_assert_eq!(slots().filter(is_claimed).count(), model.held.len());
            for slot in slots() {
                if let SlotState::Shared { users } | SlotState::Retired { users } = slot.state {
                    let known = model.users.iter().filter(|user| user.0 == slot.id).count();
                    prop_assert_eq!(users, known, "users of slot {}", slot.id);
                }
            }
        }
        now += seconds(60);
        pool.handle_timeout(now);
        prop_assert_eq!(pool.snapshot(now, 0).waiting, 0, "a claim outlived its deadline");
    }

    /// When every dial succeeds and every user leaves in the end, every claim for a listed or a
    /// named backend is granted.
    #[test]
    fn with_good_backends_and_polite_users_every_claim_is_granted(
        steps in prop::collection::vec((0..8_u8, any::<u8>()), 1..100),
    ) {
        let policy = Policy::default().with_max_slots(2).unwrap();
        let policy = policy.with_max_users(MAX_USERS).unwrap();
        let mut pool = PoolMachine::new(policy);
        pool.handle_backends(seconds(0), &backends(&[A, B]));
        let mut model = Model::default();
        for (step, pick) in steps {
            let step = match step {
                // Nothing but claims, dials, returns and leaves.
                0..=3 => step,
                4 => 5,
                5 => 9,
                6 => 2,
                _ => 0,
            };
            model.apply(&mut pool, seconds(0), step, usize::from(pick));
            pool.poll_effects().into_iter().for_each(|effect| model.observe(effect));
        }
        for _ in 0..1000 {
            for (slot, is_check) in std::mem::take(&mut model.busy) {
                prop_assert!(!is_check, "no time has passed");
                pool.handle_recycled(seconds(0), slot, true);
            }
            model.apply(&mut pool, seconds(0), 2, 0);
            model.apply(&mut pool, seconds(0), 5, 0);
            model.apply(&mut pool, seconds(0), 9, 0);
            pool.poll_effects().into_iter().for_each(|effect| model.observe(effect));
        }
        prop_assert!(model.unanswered.is_empty(), "waiting: {:?}, {:?}", model.unanswered, pool);
    }
}
