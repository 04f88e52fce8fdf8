//! A process of the model: a reader with its lease, which watches others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_types::Outcome;

use super::super::{
    ClaimEnd, ClaimMachine, HolderMachine, LeaseEffect, LeaseStatus, LeaseTimes, LeaseValue,
    ObserverMachine, RemovalEffect, RemovalEnd, RemovalMachine,
};

pub(super) const REFRESH: Duration = Duration::from_secs(3);

/// A request to the servers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Read(Arc<str>),
    Swap { reader: Arc<str>, expected: Option<LeaseValue>, new: Option<LeaseValue> },
    Fetch,
    Join(Arc<str>),
    Remove { reader: Arc<str>, revision: u64 },
}

/// Its reply.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Found(Option<LeaseValue>),
    Swapped(bool),
    /// The readers in the group, each with its process.
    State(BTreeMap<Arc<str>, usize>, u64),
    Joined(bool),
    Written(bool),
}

/// Which part of a process a request is of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Claim,
    Holder,
    Observer(Arc<str>),
    Removal,
    Reader,
}

pub(super) struct Pending {
    pub(super) part: Part,
    pub(super) request: Request,
    /// By the clock of the process.
    pub(super) begun: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Outside,
    Member,
    Lost,
}

pub(super) struct Process {
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) claim: Option<ClaimMachine>,
    pub(super) holder: Option<HolderMachine>,
    pub(super) observer: ObserverMachine,
    removal: Option<(Part, Arc<str>, RemovalMachine, u64)>,
    times: LeaseTimes,
    pub(super) membership: Membership,
    /// When it reads the state again.
    fetch_at: Duration,
    /// Begin of the latest request for the state that was answered, by its own clock.
    pub(super) state_read: Duration,
    pub(super) pending: BTreeMap<u64, Pending>,
    joins: bool,
}

impl Process {
    pub(super) fn new(index: usize, name: &str, times: LeaseTimes, random: u64) -> Self {
        let now = Duration::ZERO;
        Self {
            index,
            name: name.into(),
            claim: Some(ClaimMachine::new(times, random, now)),
            holder: None,
            observer: ObserverMachine::new(Some(name.into()), times),
            removal: None,
            times,
            membership: Membership::Outside,
            fetch_at: now,
            state_read: now,
            pending: BTreeMap::new(),
            joins: false,
        }
    }

    pub(super) fn is_member(&self) -> bool {
        self.membership == Membership::Member
    }

    pub(super) fn may_return(&self, now: Duration) -> bool {
        let status = self.holder.as_ref().map(|holder| holder.status(now));
        self.is_member() && matches!(status, Some(LeaseStatus::Held(_)))
    }

    /// Returns the next request.
    pub(super) fn poll(&mut self, now: Duration) -> Option<(Part, Request)> {
        let own = self.name.clone();
        let is_asking = self.pending.values().any(|pending| pending.part == Part::Reader);
        if let Some(claim) = &mut self.claim
            && let Some(effect) = claim.poll_effect(now)
        {
            return self.request(Part::Claim, own, effect);
        }
        if let Some(holder) = &mut self.holder {
            if let Some(effect) = holder.poll_effect(now) {
                return self.request(Part::Holder, own, effect);
            }
            if self.joins && !is_asking {
                self.joins = false;
                return Some((Part::Reader, Request::Join(own)));
            }
            let status = holder.status(now);
            if matches!(status, LeaseStatus::Ended(_)) {
                self.membership = Membership::Lost;
            }
            let reads = now >= self.fetch_at || status == LeaseStatus::StateUnread;
            if self.membership == Membership::Member && reads && !is_asking {
                self.fetch_at = now + REFRESH;
                return Some((Part::Reader, Request::Fetch));
            }
        }
        if let Some((_, reader, removal, revision)) = &mut self.removal
            && !self.pending.values().any(|pending| pending.part == Part::Removal)
        {
            let (reader, revision) = (reader.clone(), *revision);
            match removal.poll_effect() {
                RemovalEffect::Fetch => return Some((Part::Removal, Request::Fetch)),
                RemovalEffect::Read => return Some((Part::Removal, Request::Read(reader))),
                RemovalEffect::Write => {
                    return Some((Part::Removal, Request::Remove { reader, revision }));
                }
                RemovalEffect::End(end) => self.removed(end, now),
            }
        }
        if self.is_member()
            && let Some((reader, effect)) = self.observer.poll_effect(now)
        {
            return self.request(Part::Observer(reader.clone()), reader, effect);
        }
        None
    }

    fn request(
        &mut self,
        part: Part,
        reader: Arc<str>,
        effect: LeaseEffect,
    ) -> Option<(Part, Request)> {
        let request = match effect {
            LeaseEffect::Read => Request::Read(reader),
            LeaseEffect::Swap { expected, new } => Request::Swap { reader, expected, new },
            LeaseEffect::FindReader => Request::Fetch,
            LeaseEffect::TakeOffline(dead) => {
                let removal = RemovalMachine::with_times(dead, self.times);
                self.removal = Some((part, reader, removal, 0));
                return Some((Part::Removal, Request::Fetch));
            }
        };
        Some((part, request))
    }

    fn removed(&mut self, end: RemovalEnd, now: Duration) {
        match self.removal.take() {
            Some((Part::Claim, ..)) => {
                self.claim.as_mut().unwrap().handle_removal(end, now);
            }
            Some((_, reader, ..)) => self.observer.handle_removal(&reader, end, now),
            None => {}
        }
    }

    /// Returns when there is something to do again.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let claim = self.claim.as_ref().and_then(ClaimMachine::poll_timeout);
        let holder = self.holder.as_ref().and_then(HolderMachine::poll_timeout);
        let observer = self.observer.poll_timeout();
        let member = self.is_member().then_some(self.fetch_at);
        [claim, holder, observer.filter(|_| self.is_member()), member].into_iter().flatten().min()
    }

    pub(super) fn answer(&mut self, pending: Pending, reply: Option<Reply>, now: Duration) {
        let Pending { part, request, begun } = pending;
        match part {
            Part::Claim => self.answer_claim(reply, &request, now),
            Part::Holder => {
                let holder = self.holder.as_mut().unwrap();
                match (reply, request) {
                    (Some(Reply::Found(found)), _) => holder.handle_read(found, now),
                    (Some(Reply::Swapped(is_set)), _) => holder.handle_swapped(is_set, now),
                    (_, Request::Read(_)) => holder.handle_read_failed(now),
                    _ => holder.handle_swap_failed(Outcome::Unknown, now),
                }
            }
            Part::Observer(reader) => match reply {
                Some(Reply::Found(found)) => self.observer.handle_read(&reader, found, now),
                Some(Reply::Swapped(is_set)) => {
                    self.observer.handle_swapped(&reader, is_set, now);
                }
                _ => self.observer.handle_failed(&reader, now),
            },
            Part::Removal => self.answer_removal(reply),
            Part::Reader => self.answer_reader(reply, &request, begun, now),
        }
    }

    fn answer_claim(&mut self, reply: Option<Reply>, request: &Request, now: Duration) {
        let claim = self.claim.as_mut().unwrap();
        match (reply, request) {
            (Some(Reply::Found(found)), _) => claim.handle_read(found, now),
            (Some(Reply::Swapped(is_set)), _) => claim.handle_swapped(is_set, now),
            (Some(Reply::State(group, _)), _) => {
                claim.handle_state(group.contains_key(&self.name), now);
            }
            (_, Request::Read(_)) => claim.handle_read_failed(now),
            (_, Request::Swap { .. }) => claim.handle_swap_failed(Outcome::Unknown, now),
            _ => claim.handle_state_failed(now),
        }
        match claim.end() {
            Some(ClaimEnd::Held(holder)) => {
                self.holder = Some(holder);
                self.claim = None;
                self.joins = true;
            }
            Some(ClaimEnd::InUse | ClaimEnd::Free) => {
                self.claim = None;
                self.membership = Membership::Lost;
            }
            None => {}
        }
    }

    fn answer_removal(&mut self, reply: Option<Reply>) {
        let Some((_, reader, removal, revision)) = &mut self.removal else { return };
        match reply {
            Some(Reply::State(group, latest)) => {
                *revision = latest;
                removal.handle_state(group.contains_key(reader));
            }
            Some(Reply::Found(found)) => removal.handle_read(found),
            Some(Reply::Written(is_written)) => removal.handle_written(is_written),
            _ => removal.handle_failed(),
        }
    }

    fn answer_reader(
        &mut self,
        reply: Option<Reply>,
        request: &Request,
        begun: Duration,
        now: Duration,
    ) {
        match (reply, request) {
            (Some(Reply::Joined(true)), _) => {
                self.membership = Membership::Member;
                self.holder.as_mut().unwrap().handle_joined(now);
            }
            (Some(Reply::Joined(false)), _) => {
                self.membership = Membership::Lost;
                self.holder.as_mut().unwrap().release(now);
            }
            (Some(Reply::State(group, _)), _) => {
                self.state_read = begun;
                self.holder.as_mut().unwrap().handle_state_read(begun);
                if group.get(&self.name) != Some(&self.index) {
                    self.membership = Membership::Lost;
                    self.holder.as_mut().unwrap().release(now);
                }
                let names: BTreeSet<Arc<str>> = group.into_keys().collect();
                self.observer.handle_readers(names, now);
            }
            (_, Request::Join(_)) => self.joins = true,
            _ => {}
        }
    }
}
