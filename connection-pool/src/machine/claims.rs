//! The claims that wait for a connection, in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_types::Endpoint;

use super::effect::{ClaimId, Demand, Mode, Now};

/// A claim that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) demand: Demand,
    pub(super) since: Now,
    deadline: Now,
}

/// All claims that wait: those for any backend, and those for a given one.
#[derive(Debug, Default)]
pub(super) struct Claims {
    waiters: BTreeMap<ClaimId, Waiter>,
    deadlines: BTreeSet<(Now, ClaimId)>,
    any: Queues,
    at: BTreeMap<Endpoint, Queues>,
}

/// The claims that the same backends serve. Exclusive and shared ones do not wait for each other:
/// a connection in use may take another shared claim only.
#[derive(Debug, Default)]
pub(super) struct Queues {
    exclusive: BTreeSet<ClaimId>,
    shared: BTreeSet<ClaimId>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn push(&mut self, id: ClaimId, demand: Demand, since: Now, deadline: Now) {
        let queues = match &demand.backend {
            None => &mut self.any,
            Some(backend) => self.at.entry(backend.clone()).or_default(),
        };
        queues.queue(demand.mode).insert(id);
        self.deadlines.insert((deadline, id));
        self.waiters.insert(id, Waiter { demand, since, deadline });
    }

    pub(super) fn remove(&mut self, id: ClaimId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        self.deadlines.remove(&(waiter.deadline, id));
        match &waiter.demand.backend {
            None => drop(self.any.queue(waiter.demand.mode).remove(&id)),
            Some(backend) => {
                if let Some(queues) = self.at.get_mut(backend) {
                    queues.queue(waiter.demand.mode).remove(&id);
                    if queues.is_empty() {
                        self.at.remove(backend);
                    }
                }
            }
        }
        Some(waiter)
    }

    /// The claim whose deadline passes first.
    pub(super) fn next_deadline(&self) -> Option<(Now, ClaimId)> {
        self.deadlines.first().copied()
    }

    /// The oldest claim of each queue.
    pub(super) fn heads(&self) -> impl Iterator<Item = (ClaimId, &Demand)> {
        let queues = std::iter::once(&self.any).chain(self.at.values());
        let heads = queues.flat_map(|queues| [queues.exclusive.first(), queues.shared.first()]);
        heads.flatten().filter_map(|id| Some((*id, &self.waiters.get(id)?.demand)))
    }

    /// All waiting claims.
    pub(super) fn ids(&self) -> Vec<ClaimId> {
        self.waiters.keys().copied().collect()
    }

    /// How many connections the claims for any backend need; each carries up to `max_users` shared
    /// ones.
    pub(super) fn needed(&self, max_users: usize) -> usize {
        self.any.needed(max_users)
    }

    /// How many connections the claims for `backend` alone need.
    pub(super) fn needed_at(&self, backend: &Endpoint, max_users: usize) -> usize {
        self.at.get(backend).map_or(0, |queues| queues.needed(max_users))
    }

    /// The backends that claims wait for by name, with the oldest of these claims and the number of
    /// connections that they need.
    pub(super) fn demands(
        &self,
        max_users: usize,
    ) -> impl Iterator<Item = (ClaimId, &Endpoint, usize)> {
        self.at.iter().filter_map(move |(backend, queues)| {
            Some((queues.oldest()?, backend, queues.needed(max_users)))
        })
    }

    /// The claims for `backend` alone that `dials` connections under way do not cover, counted from
    /// the oldest claim on.
    pub(super) fn uncovered(
        &self,
        backend: &Endpoint,
        mut dials: usize,
        max_users: usize,
    ) -> Vec<ClaimId> {
        let Some(queues) = self.at.get(backend) else { return Vec::new() };
        let mut room = 0;
        let mut all: Vec<ClaimId> = queues.exclusive.union(&queues.shared).copied().collect();
        all.retain(|id| {
            let is_shared = queues.shared.contains(id);
            if is_shared && room > 0 {
                room -= 1;
                return false;
            }
            let is_uncovered = dials == 0;
            if !is_uncovered {
                dials -= 1;
                room = if is_shared { max_users.saturating_sub(1) } else { room };
            }
            is_uncovered
        });
        all
    }
}

impl Queues {
    fn queue(&mut self, mode: Mode) -> &mut BTreeSet<ClaimId> {
        match mode {
            Mode::Exclusive => &mut self.exclusive,
            Mode::Shared => &mut self.shared,
        }
    }

    fn oldest(&self) -> Option<ClaimId> {
        [self.exclusive.first(), self.shared.first()].into_iter().flatten().min().copied()
    }

    fn is_empty(&self) -> bool {
        self.exclusive.is_empty() && self.shared.is_empty()
    }

    fn needed(&self, max_users: usize) -> usize {
        self.exclusive.len() + self.shared.len().div_ceil(max_users.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn endpoint() -> Endpoint {
        "a:1".parse().unwrap()
    }

    /// Claims for one backend: `x` is exclusive, `s` shared.
    fn claims(modes: &str) -> Claims {
        let mut claims = Claims::default();
        for (id, mode) in (0..).zip(modes.chars()) {
            let mode = if mode == 'x' { Mode::Exclusive } else { Mode::Shared };
            let demand = Demand { mode, backend: Some(endpoint()) };
            claims.push(ClaimId(id), demand, Duration::ZERO, Duration::from_secs(10 - id));
        }
        claims
    }

    #[test]
    fn dials_cover_the_oldest_claims_and_a_shared_one_covers_several() {
        // Claims, dials under way, users of a connection, the first claim that is not covered.
        let cases: [(&str, usize, usize, &[u64]); 8] = [
            ("", 0, 2, &[]),
            ("xx", 0, 2, &[0, 1]),
            ("xx", 1, 2, &[1]),
            ("xx", 3, 2, &[]),
            ("ssss", 1, 2, &[2, 3]),
            ("ssss", 2, 2, &[]),
            ("sxsxs", 2, 2, &[3, 4]),
            ("sss", 1, 100, &[]),
        ];
        for (modes, dials, max_users, expected) in cases {
            let uncovered = claims(modes).uncovered(&endpoint(), dials, max_users);
            let expected: Vec<ClaimId> = expected.iter().copied().map(ClaimId).collect();
            assert_eq!(uncovered, expected, "{dials} dials for {modes}");
            let needed = claims(modes).needed_at(&endpoint(), max_users);
            assert_eq!(uncovered.is_empty(), dials >= needed, "{dials} dials for {modes}");
        }
    }

    #[test]
    fn claims_leave_no_trace_and_the_earliest_deadline_is_known() {
        let mut claims = claims("xsx");
        assert_eq!(claims.next_deadline(), Some((Duration::from_secs(8), ClaimId(2))));
        assert!(claims.remove(ClaimId(2)).is_some());
        assert!(claims.remove(ClaimId(2)).is_none());
        assert_eq!(claims.next_deadline(), Some((Duration::from_secs(9), ClaimId(1))));
        assert_eq!(claims.heads().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 1]);
        for id in claims.ids() {
            claims.remove(id);
        }
        assert!(claims.at.is_empty() && claims.deadlines.is_empty() && claims.len() == 0);
    }
}
