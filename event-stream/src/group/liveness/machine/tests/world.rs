//! The model: the store of the leases, the state, a network that loses and delays, and clocks of
//! different speeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    super::{LeasePhase, LeaseStatus, LeaseTimes, LeaseValue, seeded_bugs::LivenessBug},
    process::{Membership, Part, Pending, Process, Reply, Request},
};

pub(super) const LEASE: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Event {
    Wake(usize),
    Arrive(usize, u64, Request),
    Reply(usize, u64, Reply),
    Timeout(usize, u64),
}

/// What the world knows of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    /// Its clock: where it began, and its speed.
    begun: Duration,
    speed: f64,
    pub(super) is_dead: bool,
    /// An observer has taken it out.
    is_found_dead: bool,
    wake: Option<(Duration, u64)>,
    paused_until: Duration,
    /// Until when it reaches no server.
    pub(super) cut_until: Duration,
    /// The end of the latest pause that was longer than the lease, by its own clock.
    long_pause_end: Option<Duration>,
    /// When it was taken out of the group.
    pub(super) removed: Option<Duration>,
    pub(super) joined: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) marks: u64,
    pub(super) removals: u64,
    pub(super) deliveries: u64,
    pub(super) requests: BTreeMap<(usize, &'static str), u64>,
}

pub(super) struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    next: u64,
    pub(super) leases: BTreeMap<Arc<str>, LeaseValue>,
    holders: BTreeMap<LeaseValue, usize>,
    /// Readers in the group, each with its process; one of another client has none.
    pub(super) group: BTreeMap<Arc<str>, usize>,
    revision: u64,
    pub(super) processes: Vec<Process>,
    pub(super) truths: Vec<Truth>,
    pub(super) violations: BTreeSet<String>,
    pub(super) counts: Counts,
    times: LeaseTimes,
    /// One in so many requests or replies is lost or late.
    pub(super) losses: Option<u32>,
    pub(super) outage: Option<(Duration, Duration)>,
    /// Observers die as soon as they have marked a reader.
    pub(super) kills_markers: bool,
    /// Clocks differ by so much at most.
    pub(super) drift: f64,
}

impl PartialOrd for LeaseValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LeaseValue {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<LivenessBug>) -> Self {
        let mut times = LeaseTimes::new(LEASE);
        times.bugs.on = bug;
        Self {
            rng: fastrand::Rng::with_seed(seed),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            next: 0,
            leases: BTreeMap::new(),
            holders: BTreeMap::new(),
            group: BTreeMap::new(),
            revision: 0,
            processes: Vec::new(),
            truths: Vec::new(),
            violations: BTreeSet::new(),
            counts: Counts::default(),
            times,
            losses: None,
            outage: None,
            kills_markers: false,
            drift: 0.02,
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((at.max(self.now), self.next), event);
    }

    fn violate(&mut self, what: String) {
        self.violations.insert(format!("{:?}: {what}", self.now));
    }

    pub(super) fn start(&mut self, name: &str) -> usize {
        let index = self.processes.len();
        let speed = 1.0 + self.drift * (self.rng.f64() * 2.0 - 1.0);
        self.processes.push(Process::new(index, name, self.times, self.rng.u64(..)));
        self.truths.push(Truth {
            begun: self.now,
            speed,
            is_dead: false,
            is_found_dead: false,
            wake: None,
            paused_until: Duration::ZERO,
            cut_until: Duration::ZERO,
            long_pause_end: None,
            removed: None,
            joined: None,
        });
        self.at(self.now, Event::Wake(index));
        index
    }

    pub(super) fn local(&self, index: usize) -> Duration {
        let truth = &self.truths[index];
        (self.now - truth.begun).mul_f64(truth.speed)
    }

    pub(super) fn kill(&mut self, index: usize) {
        self.truths[index].is_dead = true;
    }

    pub(super) fn pause(&mut self, index: usize, length: Duration) {
        let until = self.now + length;
        let truth = &mut self.truths[index];
        truth.paused_until = until;
        if length > LEASE {
            truth.long_pause_end = Some((until - truth.begun).mul_f64(truth.speed));
        }
        self.at(until, Event::Wake(index));
    }

    pub(super) fn is_running(&self, index: usize) -> bool {
        let truth = &self.truths[index];
        !truth.is_dead && truth.paused_until <= self.now
    }

    /// Another client takes a reader out of the group.
    pub(super) fn take_out(&mut self, name: &str) {
        if let Some(index) = self.group.remove(name) {
            self.revision += 1;
            if let Some(truth) = self.truths.get_mut(index) {
                truth.removed = Some(self.now);
            }
        }
    }

    /// A handle of this client takes a reader out of the group, and ends its lease.
    pub(super) fn take_offline(&mut self, name: &str) {
        self.take_out(name);
        let Some(lease) = self.leases.remove(name) else { return };
        if lease.phase() != LeasePhase::Dead {
            self.leases.insert(name.into(), lease.taken_out());
        }
    }

    /// A reader without a lease joins.
    pub(super) fn join_without_lease(&mut self, name: &str) {
        self.revision += 1;
        self.group.insert(name.into(), usize::MAX);
    }

    /// Another client changes the state.
    pub(super) fn report(&mut self) {
        self.revision += 1;
    }

    pub(super) fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.step(event);
        }
        self.now = end;
    }

    fn step(&mut self, event: Event) {
        let index = match &event {
            Event::Arrive(..) => None,
            Event::Wake(index) | Event::Reply(index, ..) | Event::Timeout(index, _) => Some(*index),
        };
        if let Some(index) = index {
            if self.truths[index].is_dead {
                return;
            }
            let resumed = self.truths[index].paused_until;
            if resumed > self.now {
                return self.at(resumed, event);
            }
        }
        match event {
            Event::Wake(index) => self.wake(index),
            Event::Arrive(index, id, request) => self.arrive(index, id, request),
            Event::Reply(index, id, reply) => self.answer(index, id, Some(reply)),
            Event::Timeout(index, id) => self.answer(index, id, None),
        }
    }

    fn answer(&mut self, index: usize, id: u64, reply: Option<Reply>) {
        let now = self.local(index);
        let process = &mut self.processes[index];
        let Some(pending) = process.pending.remove(&id) else { return };
        process.answer(pending, reply, now);
        if process.is_member() && self.truths[index].joined.is_none() {
            self.truths[index].joined = Some(self.now);
        }
        self.wake(index);
    }

    fn wake(&mut self, index: usize) {
        self.deliver(index);
        let now = self.local(index);
        while let Some((part, request)) = self.processes[index].poll(now) {
            self.send(index, part, request);
        }
        if let Some(key) = self.truths[index].wake.take() {
            self.queue.remove(&key);
        }
        if let Some(timeout) = self.processes[index].timeout() {
            let wait = timeout.saturating_sub(now).div_f64(self.truths[index].speed);
            let wait = wait.max(Duration::from_millis(1));
            let at = self.now + wait;
            self.at(at, Event::Wake(index));
            self.truths[index].wake = Some((at, self.next));
        }
    }

    fn send(&mut self, index: usize, part: Part, request: Request) {
        self.next += 1;
        let id = self.next;
        let kind = match (&part, &request) {
            (Part::Holder, _) => "own",
            (Part::Observer(_), Request::Read(_)) => "read",
            _ => "other",
        };
        *self.counts.requests.entry((index, kind)).or_default() += 1;
        let begun = self.local(index);
        let pending = Pending { part, request: request.clone(), begun };
        self.processes[index].pending.insert(id, pending);
        self.at(self.now + self.times.request_timeout(), Event::Timeout(index, id));
        if let Some(delay) = self.delay(index) {
            self.at(self.now + delay, Event::Arrive(index, id, request));
        }
    }

    /// The time on the way; `None` if it is lost.
    fn delay(&mut self, index: usize) -> Option<Duration> {
        if self.truths[index].cut_until > self.now {
            return None;
        }
        let longest = match self.losses.map(|odds| self.rng.u32(..odds)) {
            Some(0) => return None,
            Some(1..=3) => 3_700,
            Some(4) => 20_000,
            _ => 30,
        };
        Some(Duration::from_millis(self.rng.u64(1..longest)))
    }

    fn arrive(&mut self, index: usize, id: u64, request: Request) {
        if let Some((begin, end)) = self.outage
            && (begin..end).contains(&self.now)
        {
            return self.at(end, Event::Arrive(index, id, request));
        }
        let reply = self.apply(index, request);
        if let Some(delay) = self.delay(index) {
            self.at(self.now + delay, Event::Reply(index, id, reply));
        }
    }

    fn apply(&mut self, index: usize, request: Request) -> Reply {
        match request {
            Request::Read(reader) => Reply::Found(self.leases.get(&reader).copied()),
            Request::Swap { reader, expected, new } => {
                let is_set = self.leases.get(&reader).copied() == expected;
                if is_set {
                    self.set(index, reader, expected, new);
                }
                Reply::Swapped(is_set)
            }
            Request::Fetch => Reply::State(self.group.clone(), self.revision),
            Request::Join(reader) => {
                // One whose first reply was lost finds itself in the group.
                let is_free = self.group.get(&reader).is_none_or(|other| *other == index);
                if is_free {
                    self.revision += 1;
                    self.group.insert(reader, index);
                    self.truths[index].removed = None;
                }
                Reply::Joined(is_free)
            }
            Request::Remove { reader, revision } => {
                let is_written = revision == self.revision && self.group.contains_key(&reader);
                if is_written {
                    let victim = self.group[&reader];
                    if victim == usize::MAX {
                        self.violate(format!("{reader} has no lease, and is taken out"));
                    }
                    self.check_may_remove(victim, "taken out");
                    self.check_is_marked(victim, &reader);
                    self.counts.removals += 1;
                    self.take_out(&reader);
                    if let Some(truth) = self.truths.get_mut(victim) {
                        truth.is_found_dead = true;
                    }
                }
                Reply::Written(is_written)
            }
        }
    }

    fn set(
        &mut self,
        index: usize,
        reader: Arc<str>,
        expected: Option<LeaseValue>,
        new: Option<LeaseValue>,
    ) {
        let Some(new) = new else {
            self.leases.remove(&reader);
            return;
        };
        if new.phase() == LeasePhase::Dead {
            self.counts.marks += 1;
            if index > 0 && self.kills_markers && self.rng.bool() {
                self.kill(index);
            }
            let holder = expected.and_then(|expected| self.holders.get(&expected));
            if let Some(victim) = holder.copied() {
                self.check_may_remove(victim, "marked");
            }
        } else {
            let is_revived = expected.is_some_and(|expected| {
                expected.is_ended() && !new.is_ended() && expected.is_of_same_reader(new)
            });
            if is_revived {
                self.violate(format!("{reader} renews its lease after it was marked"));
            }
            self.holders.insert(new, index);
        }
        self.leases.insert(reader, new);
    }

    /// A reader is taken out after it was marked; its name may be claimed since.
    fn check_is_marked(&mut self, victim: usize, reader: &Arc<str>) {
        let lease = self.leases.get(reader).filter(|value| value.phase() != LeasePhase::Dead);
        let holder = lease.and_then(|value| self.holders.get(value));
        if holder == Some(&victim) {
            self.violate(format!("{reader} is taken out without a mark"));
        }
    }

    /// A reader must not be found dead while it trusts its lease.
    fn check_may_remove(&mut self, victim: usize, what: &str) {
        let Some(truth) = self.truths.get(victim).copied() else { return };
        let (now, process) = (self.local(victim), &self.processes[victim]);
        let status = process.holder.as_ref().map(|holder| holder.status(now));
        let trusts = matches!(status, Some(LeaseStatus::Held(_)));
        if trusts && !truth.is_dead && process.membership != Membership::Lost {
            self.violate(format!("{} is {what} and trusts its lease: {status:?}", process.name));
        }
    }

    /// A reader returns an event, if it may.
    pub(super) fn deliver(&mut self, index: usize) {
        let (now, process, truth) = (self.local(index), &self.processes[index], self.truths[index]);
        if !self.is_running(index) || !process.may_return(now) {
            return;
        }
        let name = process.name.clone();
        let state_read = process.state_read;
        self.counts.deliveries += 1;
        if let Some(removed) = truth.removed {
            // It may not know yet what another client did, but not longer than its lease.
            let since = self.now - removed;
            if since > super::process::REFRESH * 2 + self.times.lease() {
                self.violate(format!("{name} was taken out {since:?} ago and returns an event"));
            }
        }
        if truth.is_found_dead {
            self.violate(format!("{name} was found dead and returns an event"));
        }
        if truth.long_pause_end.is_some_and(|end| state_read < end) {
            self.violate(format!("{name} returns an event after a pause without the state"));
        }
        let holder = self.leases.get(&name).and_then(|value| self.holders.get(value));
        let is_dead = self.leases.get(&name).is_some_and(|it| it.phase() == LeasePhase::Dead);
        if is_dead || holder.is_some_and(|holder| *holder != index) && truth.removed.is_none() {
            self.violate(format!("{name} returns an event, and its lease is not its own"));
        }
    }
}
