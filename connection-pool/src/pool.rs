//! The task that carries out what the machine decides, and the handle to it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_probes as probes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Backends, BoxError, Claim, ClaimError, Connector, Policy, PoolSnapshot, Resolver,
    claim::Return,
    machine::{ClaimId, Effect, PoolMachine, SlotId},
};

/// Connections to the backends of a service, handed out one user at a time.
///
/// Clones are cheap and share the pool. One task on the caller's runtime owns all of it; it ends
/// when the last handle is dropped, and with it every connection that is not claimed. Claimed ones
/// live as long as their guards.
///
/// # Cancel safety
///
/// Every future of this type may be dropped at any time. A claim that is dropped while it waits
/// gives up its place; a connection that was meant for it goes to the next.
pub struct Pool<C: Connector> {
    commands: mpsc::Sender<Command<C::Connection>>,
    abandoned: mpsc::UnboundedSender<ClaimId>,
    next_claim: Arc<AtomicU64>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What closing a pool left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReport {
    /// Connections that were still claimed at the deadline. They close with their guards.
    pub still_claimed: usize,
}

/// Where the answer to a claim goes.
type Reply<T> = oneshot::Sender<Result<Claim<T>, ClaimError>>;

enum Command<T> {
    Claim(ClaimId, Reply<T>),
    SetPolicy(Policy),
    Snapshot(oneshot::Sender<PoolSnapshot>),
    Close(oneshot::Sender<()>),
}

/// Commands wait here for the task, never for a connection, so a few are enough.
const COMMAND_QUEUE: usize = 256;

impl<C: Connector> Pool<C> {
    /// Makes a pool over the backends that `resolver` names, and starts to connect.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NoRuntime`] outside a tokio runtime.
    pub fn new(resolver: impl Resolver, connector: C, policy: Policy) -> Result<Self, ClaimError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ClaimError::NoRuntime)?;
        let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
        // Bounded by the number of waiting claims, and of claimed slots: `Drop` cannot wait for
        // room.
        let (abandoned, abandoned_queue) = mpsc::unbounded_channel();
        let (returns, return_queue) = mpsc::unbounded_channel();
        let task = Task {
            machine: PoolMachine::new(policy),
            started: Instant::now(),
            connector: Arc::new(connector),
            backends: resolver.backends(),
            connections: HashMap::new(),
            claims: HashMap::new(),
            work: JoinSet::new(),
            under_way: HashMap::new(),
            returns,
            closing: Vec::new(),
        };
        let run = async move {
            // The resolver may have a task of its own, which lives as long as the pool.
            let _resolver = resolver;
            task.run(command_queue, abandoned_queue, return_queue).await;
        };
        let task = Arc::new(AbortOnDropHandle::new(runtime.spawn(run)));
        Ok(Self { commands, abandoned, next_claim: Arc::default(), _task: task })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if there is none by the policy's deadline, too many are waiting, or the pool
    /// is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue.
    pub async fn claim(&self) -> Result<Claim<C::Connection>, ClaimError> {
        let id = ClaimId(self.next_claim.fetch_add(1, Ordering::Relaxed));
        let (reply, granted) = oneshot::channel();
        let waiting = Abandon { id, abandoned: Some(&self.abandoned) };
        self.commands.send(Command::Claim(id, reply)).await.map_err(|_| ClaimError::Closed)?;
        let claim = granted.await.map_err(|_| ClaimError::Closed)?;
        waiting.answered();
        claim
    }

    /// Changes the rules while the pool runs. Slots are made or let go at once.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rules as they were, or changed.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), ClaimError> {
        self.commands.send(Command::SetPolicy(policy)).await.map_err(|_| ClaimError::Closed)
    }

    /// Looks inside: every set, every slot, and the counters.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn snapshot(&self) -> Result<PoolSnapshot, ClaimError> {
        let (reply, snapshot) = oneshot::channel();
        self.commands.send(Command::Snapshot(reply)).await.map_err(|_| ClaimError::Closed)?;
        snapshot.await.map_err(|_| ClaimError::Closed)
    }

    /// Refuses every further claim, closes what nobody uses, and waits up to `deadline` for the
    /// rest to come back.
    ///
    /// Closing twice is the same as closing once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the pool closing.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_err()
            || timeout(deadline, done).await.is_ok()
        {
            return CloseReport { still_claimed: 0 };
        }
        let snapshot = self.snapshot().await;
        let claimed =
            snapshot.map_or(0, |snapshot| snapshot.sets.iter().map(|set| set.slots.len()).sum());
        CloseReport { still_claimed: claimed }
    }
}

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            abandoned: self.abandoned.clone(),
            next_claim: Arc::clone(&self.next_claim),
            _task: Arc::clone(&self._task),
        }
    }
}

impl<C: Connector> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Tells the task when the future of a claim is dropped.
struct Abandon<'a> {
    id: ClaimId,
    abandoned: Option<&'a mpsc::UnboundedSender<ClaimId>>,
}

impl Abandon<'_> {
    fn answered(mut self) {
        self.abandoned = None;
    }
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.abandoned {
            abandoned.send(self.id).ok();
        }
    }
}

/// What a piece of work for a slot came to.
enum Done<T> {
    Connected(SlotId, Result<T, BoxError>),
    Checked(SlotId, Option<T>),
    Recycled(SlotId, Option<T>),
}

impl<T> Done<T> {
    fn slot(&self) -> SlotId {
        match self {
            Self::Connected(slot, _) | Self::Checked(slot, _) | Self::Recycled(slot, _) => *slot,
        }
    }
}

struct Task<C: Connector> {
    machine: PoolMachine,
    started: Instant,
    connector: Arc<C>,
    backends: watch::Receiver<Backends>,
    /// Those that nobody uses.
    connections: HashMap<SlotId, C::Connection>,
    claims: HashMap<ClaimId, Reply<C::Connection>>,
    work: JoinSet<Done<C::Connection>>,
    under_way: HashMap<SlotId, AbortHandle>,
    returns: mpsc::UnboundedSender<Return<C::Connection>>,
    closing: Vec<oneshot::Sender<()>>,
}

impl<C: Connector> Task<C> {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command<C::Connection>>,
        mut abandoned: mpsc::UnboundedReceiver<ClaimId>,
        mut returns: mpsc::UnboundedReceiver<Return<C::Connection>>,
    ) {
        let mut resolver_lives = true;
        self.update_backends();
        loop {
            self.carry_out();
            let wake = self.machine.poll_timeout().map(|at| self.started + at);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(returned) = returns.recv() => self.returned(returned),
                Some(claim) = abandoned.recv() => {
                    self.claims.remove(&claim);
                    self.machine.abandon(self.now(), claim);
                }
                Some(done) = self.work.join_next_with_id() => match done {
                    Ok((_, done)) => self.done(done),
                    Err(error) => self.lost(&error),
                },
                changed = self.backends.changed(), if resolver_lives => match changed {
                    Ok(()) => self.update_backends(),
                    Err(_) => resolver_lives = false,
                },
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                    self.machine.handle_timeout(self.now());
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn update_backends(&mut self) {
        let backends = self.backends.borrow_and_update().clone();
        self.machine.handle_backends(self.now(), &backends);
    }

    fn command(&mut self, command: Command<C::Connection>) {
        let now = self.now();
        match command {
            Command::Claim(claim, reply) => {
                self.claims.insert(claim, reply);
                self.machine.claim(now, claim);
            }
            Command::SetPolicy(policy) => self.machine.set_policy(now, policy),
            Command::Snapshot(reply) => drop(reply.send(self.machine.snapshot(now))),
            Command::Close(reply) => {
                self.machine.close();
                self.closing.push(reply);
            }
        }
    }

    fn returned(&mut self, returned: Return<C::Connection>) {
        if let Some(connection) = returned.connection {
            self.connections.insert(returned.slot, connection);
        }
        self.machine.handle_returned(self.now(), returned.slot, returned.how);
    }

    fn done(&mut self, done: Done<C::Connection>) {
        // Its slot may have been given up in the moment in which the work ended: what it brings
        // goes with it.
        if self.under_way.remove(&done.slot()).is_none() {
            return;
        }
        let now = self.now();
        let (slot, connection) = match done {
            Done::Connected(slot, Err(error)) => {
                let reason = pravega_sdk_types::Printable::new(&error.to_string()).to_string();
                tracing::debug!(slot = slot.0, %reason, "a connection did not come about");
                return self.machine.handle_connect_failed(now, slot, reason, fastrand::f64());
            }
            Done::Connected(slot, Ok(connection)) => {
                self.machine.handle_connected(now, slot);
                (slot, Some(connection))
            }
            Done::Checked(slot, connection) => {
                self.machine.handle_checked(now, slot, connection.is_some());
                (slot, connection)
            }
            Done::Recycled(slot, connection) => {
                self.machine.handle_recycled(now, slot, connection.is_some());
                (slot, connection)
            }
        };
        if let Some(connection) = connection {
            self.connections.insert(slot, connection);
        }
    }

    /// A piece of work ended without a result: it was given up, and its slot with it, or the
    /// connector panicked.
    fn lost(&mut self, error: &JoinError) {
        let slot =
            self.under_way.iter().find(|(_, task)| task.id() == error.id()).map(|(slot, _)| *slot);
        if let Some(slot) = slot {
            self.under_way.remove(&slot);
            let reason = "the connector panicked".to_owned();
            self.machine.handle_connect_failed(self.now(), slot, reason, fastrand::f64());
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
        if !self.closing.is_empty() && self.machine.claimed() == 0 {
            for reply in self.closing.drain(..) {
                reply.send(()).ok();
            }
        }
    }

    /// Runs a piece of work for a slot beside everything else.
    fn start(
        &mut self,
        slot: SlotId,
        work: impl Future<Output = Done<C::Connection>> + Send + 'static,
    ) {
        let task = self.work.spawn(work);
        self.under_way.insert(slot, task);
    }

    fn effect(&mut self, effect: Effect) {
        let connector = Arc::clone(&self.connector);
        let policy = *self.machine.policy();
        match effect {
            Effect::Connect { slot, backend } => {
                self.start(slot, async move {
                    let connected =
                        match timeout(policy.connect_timeout, connector.connect(&backend)).await {
                            Ok(connected) => connected,
                            Err(_) => Err(format!(
                                "no connection to {backend} within {:?}",
                                policy.connect_timeout
                            )
                            .into()),
                        };
                    match &connected {
                        Ok(_) => probes::slot_connected(backend.host(), slot.0),
                        Err(_) => probes::slot_failed(backend.host(), slot.0),
                    }
                    Done::Connected(slot, connected)
                });
            }
            Effect::Check { slot } => {
                if let Some(mut connection) = self.connections.remove(&slot) {
                    self.start(slot, async move {
                        let checked = timeout(
                            policy.health_check_timeout,
                            connector.is_valid(&mut connection),
                        )
                        .await;
                        Done::Checked(slot, matches!(checked, Ok(Ok(()))).then_some(connection))
                    });
                }
            }
            Effect::Recycle { slot } => {
                if let Some(mut connection) = self.connections.remove(&slot) {
                    self.start(slot, async move {
                        let ready = timeout(
                            policy.health_check_timeout,
                            connector.on_recycle(&mut connection),
                        )
                        .await;
                        Done::Recycled(slot, matches!(ready, Ok(Ok(()))).then_some(connection))
                    });
                }
            }
            Effect::Grant { claim, slot, waited, backend } => {
                probes::claim_granted(backend.host(), slot.0, waited.as_micros() as u64);
                self.grant(claim, slot);
            }
            Effect::Refuse { claim, error } => {
                if let ClaimError::Timeout { waited, .. } = &error {
                    probes::claim_refused(waited.as_micros() as u64);
                }
                if let Some(reply) = self.claims.remove(&claim) {
                    reply.send(Err(error)).ok();
                }
            }
            Effect::Drop { slot, backend } => {
                probes::slot_retired(backend.host(), slot.0);
                self.connections.remove(&slot);
                if let Some(task) = self.under_way.remove(&slot) {
                    task.abort();
                }
            }
        }
    }

    fn grant(&mut self, claim: ClaimId, slot: SlotId) {
        let Some(connection) = self.connections.remove(&slot) else { return };
        let guard = Claim::new(slot, connection, self.returns.clone());
        let unclaimed = match self.claims.remove(&claim) {
            Some(reply) => reply.send(Ok(guard)).err(),
            None => Some(Ok(guard)),
        };
        // Whoever wanted it is gone: it comes back as it was.
        if let Some(Ok(guard)) = unclaimed
            && let Some(returned) = guard.into_return()
        {
            self.returned(returned);
        }
    }
}
