//! The task of a pool: carries out what the machine decides.
//!
//! Every dial, check, recycling and close runs in a task of its own beside it, so no user's future
//! holds up another's. Connections without a user are here, and a reference to each shared one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_probes as probes;
use pravega_sdk_types::Endpoint;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    closing::{Closing, Report},
    work::{self, Done, Job, Work},
};
use crate::{
    backend::Backends,
    claim::{Claim, Return},
    connector::Connector,
    error::{ClaimError, ConnectFailure},
    machine::{ClaimId, Demand, Effect, Mode, PoolMachine, SlotId},
    policy::Policy,
    shared_claim::{Notice, SharedCell, SharedClaim},
    snapshot::PoolSnapshot,
};

/// Where the result of a claim goes.
pub(super) enum Reply<C: Connector> {
    Exclusive(oneshot::Sender<Result<Claim<C::Connection>, ClaimError>>),
    Shared(oneshot::Sender<Result<SharedClaim<C::Shared>, ClaimError>>),
}

impl<C: Connector> Reply<C> {
    pub(super) fn mode(&self) -> Mode {
        match self {
            Self::Exclusive(_) => Mode::Exclusive,
            Self::Shared(_) => Mode::Shared,
        }
    }

    /// Returns true if the claim was dropped, so that no answer reaches it.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Exclusive(reply) => reply.is_closed(),
            Self::Shared(reply) => reply.is_closed(),
        }
    }

    fn refuse(self, error: ClaimError) {
        match self {
            Self::Exclusive(reply) => drop(reply.send(Err(error))),
            Self::Shared(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// A command of a handle.
pub(super) enum Command<C: Connector> {
    Claim(ClaimId, Demand, Reply<C>),
    SetPolicy(Policy),
    Snapshot(oneshot::Sender<PoolSnapshot>),
    /// Retires shared connections and closes unused ones.
    Drain(Report),
    /// Refuses claims, and waits for the last connection to come back.
    Close(Report),
}

/// The pool's part in the connection of a slot.
enum Held<C: Connector> {
    Idle(C::Connection),
    Shared(Arc<SharedCell<C::Shared>>),
    /// The connection could not be shared: every claim that was granted it gets this failure.
    Unshared(ConnectFailure),
}

/// The queues that a task reads.
pub(super) struct Queues<C: Connector> {
    pub(super) commands: mpsc::UnboundedReceiver<Command<C>>,
    pub(super) abandoned: mpsc::UnboundedReceiver<ClaimId>,
}

pub(super) struct Task<C: Connector> {
    machine: PoolMachine,
    started: Instant,
    connector: Arc<C>,
    backends: watch::Receiver<Backends>,
    held: BTreeMap<SlotId, Held<C>>,
    claims: BTreeMap<ClaimId, Reply<C>>,
    work: JoinSet<Done<C::Connection>>,
    in_flight: BTreeMap<SlotId, (Work, AbortHandle)>,
    /// Checks and recyclings whose slot has ended. Their connections are closed after them.
    leaving: BTreeSet<Id>,
    closing: Closing,
    /// Reports of drains that wait for what was leaving.
    drains: Vec<Report>,
    /// Reports that wait for the last connection to come back.
    closes: Vec<Report>,
    returns: mpsc::UnboundedSender<Return<C::Connection>>,
    notices: mpsc::UnboundedSender<Notice<C::Shared>>,
}

/// Runs the task of a pool until the last handle is dropped.
pub(super) async fn run<C: Connector>(
    policy: Policy,
    connector: Arc<C>,
    backends: watch::Receiver<Backends>,
    queues: Queues<C>,
) {
    // Bounded by the number of connections in use: `Drop` cannot wait for capacity.
    let (returns, return_queue) = mpsc::unbounded_channel();
    let (notices, notice_queue) = mpsc::unbounded_channel();
    let task = Task {
        machine: PoolMachine::new(policy),
        started: Instant::now(),
        connector,
        backends,
        held: BTreeMap::new(),
        claims: BTreeMap::new(),
        work: JoinSet::new(),
        in_flight: BTreeMap::new(),
        leaving: BTreeSet::new(),
        closing: Closing::default(),
        drains: Vec::new(),
        closes: Vec::new(),
        returns,
        notices,
    };
    task.run(queues, return_queue, notice_queue).await;
}

impl<C: Connector> Task<C> {
    async fn run(
        mut self,
        mut queues: Queues<C>,
        mut returns: mpsc::UnboundedReceiver<Return<C::Connection>>,
        mut notices: mpsc::UnboundedReceiver<Notice<C::Shared>>,
    ) {
        let mut has_resolver = true;
        self.update_backends();
        loop {
            self.carry_out();
            // A time beyond the end of the clock never comes.
            let wake = self.machine.poll_timeout().and_then(|at| self.started.checked_add(at));
            // In order, so that a run on one thread is the same every time. Returns come before
            // claims.
            tokio::select! {
                biased;
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                    self.machine.handle_timeout(self.now());
                }
                Some(returned) = returns.recv() => self.take_back(returned),
                Some(notice) = notices.recv() => self.notice(notice),
                Some(claim) = queues.abandoned.recv() => {
                    self.claims.remove(&claim);
                    self.machine.abandon(self.now(), claim);
                }
                Some(done) = self.work.join_next_with_id() => match done {
                    Ok((id, done)) => self.done(id, done),
                    Err(error) => self.lost(&error),
                },
                Some(closed) = self.closing.next() => self.closing.ended(closed),
                changed = self.backends.changed(), if has_resolver => match changed {
                    Ok(()) => self.update_backends(),
                    Err(_) => has_resolver = false,
                },
                command = queues.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn update_backends(&mut self) {
        self.retire_dead(None);
        let backends = self.backends.borrow_and_update().clone();
        self.machine.handle_backends(self.now(), &backends);
    }

    fn command(&mut self, command: Command<C>) {
        let now = self.now();
        match command {
            Command::Claim(claim, demand, reply) => self.claim(claim, demand, reply),
            Command::SetPolicy(policy) => {
                self.retire_dead(None);
                self.machine.set_policy(now, policy);
            }
            Command::Snapshot(reply) => {
                let closing = self.closing.len() + self.leaving.len();
                drop(reply.send(self.machine.snapshot(now, closing)));
            }
            Command::Drain(reply) => {
                self.machine.drain(now);
                self.drains.retain(|report| !report.is_closed());
                self.drains.push(reply);
            }
            Command::Close(reply) => {
                self.machine.close(now);
                self.closes.retain(|report| !report.is_closed());
                self.closes.push(reply);
            }
        }
    }

    fn claim(&mut self, claim: ClaimId, demand: Demand, reply: Reply<C>) {
        // The notice of a claim that is dropped at once arrives before the claim itself.
        if reply.is_abandoned() {
            return self.machine.note_abandoned();
        }
        if demand.mode == Mode::Shared {
            self.retire_dead(demand.backend.as_ref());
        }
        self.claims.insert(claim, reply);
        self.machine.claim(self.now(), claim, demand);
    }

    /// Retires the shared connections that have ended, to `backend` or to all backends, before one
    /// of them is granted.
    fn retire_dead(&mut self, backend: Option<&Endpoint>) {
        for slot in self.machine.shared(backend) {
            self.retire_if_dead(slot);
        }
    }

    fn retire_if_dead(&mut self, slot: SlotId) {
        let Some(Held::Shared(cell)) = self.held.get(&slot) else { return };
        if cell.is_retired() {
            // The notice of the user has not arrived yet.
            self.machine.handle_retired(self.now(), slot);
        } else if !self.connector.is_alive(cell.connection()) {
            self.machine.handle_checked(self.now(), slot, false);
        }
    }

    fn take_back(&mut self, returned: Return<C::Connection>) {
        let how = returned.how();
        if let Some(connection) = returned.connection {
            self.held.insert(returned.slot, Held::Idle(connection));
        }
        self.machine.handle_returned(self.now(), returned.slot, how);
    }

    fn notice(&mut self, notice: Notice<C::Shared>) {
        match notice {
            Notice::Left(slot, cell) => {
                // The user's place may go to a claim that waits.
                self.retire_if_dead(slot);
                self.machine.handle_left(self.now(), slot);
                // The slot may be gone, and this the last user of its connection.
                self.release_shared(cell);
            }
            Notice::Retired(slot) => self.machine.handle_retired(self.now(), slot),
        }
    }

    fn done(&mut self, id: Id, done: Done<C::Connection>) {
        // The slot may have ended before the work.
        if self.in_flight.remove(&done.slot).is_none() {
            self.leaving.remove(&id);
            if let Ok(connection) = done.result {
                self.close(done.backend, connection);
            }
            return;
        }
        let slot = done.slot;
        let failure = match done.result {
            Ok(connection) => {
                self.held.insert(slot, Held::Idle(connection));
                None
            }
            Err(failure) => {
                let (backend, work) = (&done.backend, done.work);
                tracing::debug!(%backend, slot = slot.0, ?work, reason = %failure, "work failed");
                Some(failure)
            }
        };
        self.ended(slot, done.work, failure);
    }

    /// A piece of work ended without a result: it was aborted with its slot, or the connector
    /// panicked.
    fn lost(&mut self, error: &JoinError) {
        self.leaving.remove(&error.id());
        let mut in_flight = self.in_flight.iter();
        let lost = in_flight.find(|(_, (_, task))| task.id() == error.id());
        let Some((slot, work)) = lost.map(|(slot, (work, _))| (*slot, *work)) else { return };
        self.in_flight.remove(&slot);
        self.ended(slot, work, Some(ConnectFailure::refused("the connector panicked".into())));
    }

    /// A piece of work ended, with its failure if it failed.
    fn ended(&mut self, slot: SlotId, work: Work, failure: Option<ConnectFailure>) {
        let now = self.now();
        let is_good = failure.is_none();
        match (work, failure) {
            (Work::Connect, None) => self.machine.handle_connected(now, slot),
            (Work::Connect, Some(failure)) => {
                self.machine.handle_connect_failed(now, slot, failure, fastrand::f64());
            }
            (Work::Check, _) => self.machine.handle_checked(now, slot, is_good),
            (Work::Recycle, _) => self.machine.handle_recycled(now, slot, is_good),
        }
    }

    fn carry_out(&mut self) {
        loop {
            let effects = self.machine.poll_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.effect(effect);
            }
        }
        if !self.leaving.is_empty() {
            return;
        }
        std::mem::take(&mut self.drains).into_iter().for_each(|to| self.closing.report_later(to));
        if self.closing.is_empty() && self.machine.claimed() == 0 {
            std::mem::take(&mut self.closes).into_iter().for_each(|to| self.closing.report(to));
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { slot, backend } => self.start(slot, backend, Job::Connect),
            Effect::Check { slot, backend } => match self.held.remove(&slot) {
                Some(Held::Idle(connection)) => self.start(slot, backend, Job::Check(connection)),
                Some(Held::Shared(cell)) => {
                    let is_alive = self.connector.is_alive(cell.connection());
                    self.held.insert(slot, Held::Shared(cell));
                    self.machine.handle_checked(self.now(), slot, is_alive);
                }
                Some(Held::Unshared(_)) | None => {}
            },
            Effect::Recycle { slot, backend } => {
                if let Some(Held::Idle(connection)) = self.held.remove(&slot) {
                    self.start(slot, backend, Job::Recycle(connection));
                }
            }
            Effect::Grant { claim, mode, slot, waited, backend } => {
                probes::claim_granted(backend.host(), slot.0, waited.as_micros() as u64);
                match mode {
                    Mode::Exclusive => self.grant(claim, slot),
                    Mode::Shared => self.grant_share(claim, slot, backend),
                }
            }
            Effect::Refuse { claim, error } => {
                if let ClaimError::Timeout { waited, .. } = &error {
                    probes::claim_refused(waited.as_micros() as u64);
                }
                if let Some(reply) = self.claims.remove(&claim) {
                    reply.refuse(error);
                }
            }
            Effect::Close { slot, backend } => {
                probes::slot_retired(backend.host(), slot.0);
                match self.in_flight.remove(&slot) {
                    Some((Work::Connect, task)) => task.abort(),
                    // It has the connection, and returns it soon.
                    Some((Work::Check | Work::Recycle, task)) => {
                        self.leaving.insert(task.id());
                    }
                    None => {}
                }
                self.release(slot, backend);
            }
        }
    }

    /// Runs a piece of work for a slot in a task of its own.
    fn start(&mut self, slot: SlotId, backend: Endpoint, job: Job<C::Connection>) {
        let (connector, policy) = (Arc::clone(&self.connector), *self.machine.policy());
        let work = job.work();
        let task = self.work.spawn(work::run(connector, policy, slot, backend, job));
        self.in_flight.insert(slot, (work, task));
    }

    fn grant(&mut self, claim: ClaimId, slot: SlotId) {
        let Some(Held::Idle(connection)) = self.held.remove(&slot) else { return };
        let guard = Claim::new(slot, connection, self.returns.clone());
        let unclaimed = match self.claims.remove(&claim) {
            Some(Reply::Exclusive(reply)) => reply.send(Ok(guard)).err(),
            _ => Some(Ok(guard)),
        };
        // The claim was dropped meanwhile: the connection comes back unused.
        if let Some(Ok(guard)) = unclaimed
            && let Some(returned) = guard.into_return()
        {
            self.take_back(returned);
        }
    }

    /// Grants a share in a connection, which the first user turns into a shared one.
    fn grant_share(&mut self, claim: ClaimId, slot: SlotId, backend: Endpoint) {
        let cell = match self.held.remove(&slot) {
            Some(Held::Shared(cell)) => Ok(cell),
            Some(Held::Idle(connection)) => {
                let shared = self.connector.share(connection).map_err(ConnectFailure::refused);
                shared.map(|shared| Arc::new(SharedCell::new(slot, backend.clone(), shared)))
            }
            Some(Held::Unshared(failure)) => Err(failure),
            None => return,
        };
        match cell {
            Ok(cell) => {
                self.held.insert(slot, Held::Shared(Arc::clone(&cell)));
                let guard = SharedClaim::new(cell, self.notices.clone());
                if let Some(Reply::Shared(reply)) = self.claims.remove(&claim) {
                    // A guard that does not arrive leaves by being dropped.
                    reply.send(Ok(guard)).ok();
                }
            }
            Err(source) => {
                // Others may have been granted the same connection.
                self.held.insert(slot, Held::Unshared(source.clone()));
                self.machine.handle_unshared(self.now(), slot);
                if let Some(reply) = self.claims.remove(&claim) {
                    reply.refuse(ClaimError::Connect { backend, source });
                }
            }
        }
    }

    /// Releases the connection of a slot that ended or was retired.
    fn release(&mut self, slot: SlotId, backend: Endpoint) {
        match self.held.remove(&slot) {
            Some(Held::Idle(connection)) => self.close(backend, connection),
            Some(Held::Shared(cell)) => {
                cell.retire();
                self.release_shared(cell);
            }
            Some(Held::Unshared(_)) | None => {}
        }
    }

    fn close(&mut self, backend: Endpoint, connection: C::Connection) {
        if self.has_room_to_close(&backend) {
            let (connector, limit) = self.closer();
            self.closing.start(work::close(connector, backend, connection, limit));
        }
    }

    /// Returns true if another close may begin. A closing connection has no slot any longer, so
    /// closes have a limit of their own.
    fn has_room_to_close(&mut self, backend: &Endpoint) -> bool {
        let has_room = self.closing.len() < self.machine.policy().max_slots;
        if !has_room {
            self.closing.note_dropped(backend.clone());
        }
        has_room
    }

    fn closer(&self) -> (Arc<C>, Duration) {
        (Arc::clone(&self.connector), self.machine.policy().connect_timeout)
    }

    /// Closes a shared connection if this was the last reference to it.
    fn release_shared(&mut self, cell: Arc<SharedCell<C::Shared>>) {
        let Some(cell) = Arc::into_inner(cell) else { return };
        let (backend, connection) = cell.into_parts();
        if self.has_room_to_close(&backend) {
            let (connector, limit) = self.closer();
            self.closing.start(work::close_shared(connector, backend, connection, limit));
        }
    }
}
