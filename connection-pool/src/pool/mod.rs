//! The handle to a pool.

mod closing;
mod task;
mod work;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_types::Endpoint;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use self::task::{Command, Queues, Reply};
use crate::{
    backend::Resolver,
    claim::Claim,
    connector::Connector,
    error::{ClaimError, CloseError, CloseFailure},
    machine::{ClaimId, Demand},
    policy::Policy,
    shared_claim::SharedClaim,
    snapshot::PoolSnapshot,
};

/// Connections to the backends of a service, for one user at a time or for many at once.
///
/// Clones are cheap and share the pool. One task owns its state. It is started on the runtime in
/// which the pool is made, or else on that of the first call, and ends when the last handle is
/// dropped, with every connection that has no user. Connections in use live as long as their
/// guards. If the runtime is shut down first, the next call starts another task on its own runtime.
/// The pool works only while its runtime runs. On one that is kept but not driven, such as a
/// current-thread runtime outside `block_on`, a claim ends with an error after its deadline.
///
/// # Cancel safety
///
/// Every future of this type may be dropped at any time. A claim that is dropped while it waits
/// loses its place; a connection that was granted to it goes to the next. Dials belong to the
/// pool: dropping a future, or not polling it, holds up no other user.
pub struct Pool<C: Connector> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: Connector> {
    resolver: Box<dyn Resolver>,
    connector: Arc<C>,
    next_claim: AtomicU64,
    state: Mutex<State<C>>,
}

struct State<C: Connector> {
    policy: Policy,
    is_closed: bool,
    running: Option<Running<C>>,
}

/// The queues of the task, and the task itself.
struct Running<C: Connector> {
    commands: mpsc::UnboundedSender<Command<C>>,
    abandoned: mpsc::UnboundedSender<ClaimId>,
    runtime: Handle,
    _task: AbortOnDropHandle<()>,
}

/// The result of closing a pool.
#[non_exhaustive]
#[must_use = "connections may still be claimed, or may have failed to close"]
#[derive(Debug, Default)]
pub struct CloseReport {
    /// Connections that were still in use at the deadline. They close with their guards.
    pub still_claimed: usize,
    /// Connections that were not closed yet at the deadline. They go on closing.
    pub still_closing: usize,
    /// Connections that were not closed in order, since the last report.
    pub failures: Vec<CloseFailure>,
}

impl CloseReport {
    /// Returns an error unless every connection was closed in order.
    ///
    /// # Errors
    ///
    /// [`CloseError`] with the numbers of the report.
    pub fn into_result(self) -> Result<(), CloseError> {
        let Self { still_claimed, still_closing, failures } = self;
        if still_claimed + still_closing == 0 && failures.is_empty() {
            return Ok(());
        }
        Err(CloseError { still_claimed, still_closing, failures })
    }
}

/// A task that is driven answers within this time after the end of what it waits for.
const GRACE: Duration = Duration::from_secs(5);

impl<C: Connector> Pool<C> {
    /// Creates a pool over the backends that `resolver` names. Inside a tokio runtime it starts to
    /// connect, outside of one with the first call.
    #[must_use]
    pub fn new(resolver: impl Resolver, connector: C, policy: Policy) -> Self {
        let state = State { policy, is_closed: false, running: None };
        let shared = Shared {
            resolver: Box::new(resolver),
            connector: Arc::new(connector),
            next_claim: AtomicU64::default(),
            state: Mutex::new(state),
        };
        let pool = Self { shared: Arc::new(shared) };
        pool.start().ok();
        pool
    }

    /// Waits for a connection to any backend that the resolver names, for this user alone.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if no connection is free by the policy's deadline, too many claims are
    /// waiting, or the pool is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub async fn claim(&self) -> Result<Claim<C::Connection>, ClaimError> {
        self.make_claim(None, Reply::Exclusive).await
    }

    /// As [`Self::claim`], for a connection to `backend`, which the resolver need not name.
    ///
    /// # Errors
    ///
    /// As [`Self::claim`]; and [`ClaimError::Connect`] if the dial fails that the claim waits for.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::claim`].
    pub async fn claim_at(&self, backend: &Endpoint) -> Result<Claim<C::Connection>, ClaimError> {
        self.make_claim(Some(backend), Reply::Exclusive).await
    }

    /// Waits for a share in a connection to any backend that the resolver names.
    ///
    /// # Errors
    ///
    /// As [`Self::claim`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::claim`].
    pub async fn claim_shared(&self) -> Result<SharedClaim<C::Shared>, ClaimError> {
        self.make_claim(None, Reply::Shared).await
    }

    /// As [`Self::claim_shared`], for a connection to `backend`, which the resolver need not name.
    /// Claims that wait for the same dial share its result.
    ///
    /// # Errors
    ///
    /// As [`Self::claim_at`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::claim`].
    pub async fn claim_shared_at(
        &self,
        backend: &Endpoint,
    ) -> Result<SharedClaim<C::Shared>, ClaimError> {
        self.make_claim(Some(backend), Reply::Shared).await
    }

    /// Changes the policy while the pool runs. Slots are connected or closed at once.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Closed`], or [`ClaimError::NoRuntime`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the policy as it was, or changed.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), ClaimError> {
        self.shared.lock().policy = policy;
        self.send(Command::SetPolicy(policy))
    }

    /// Returns the state of every set and slot, and the counters.
    ///
    /// # Errors
    ///
    /// As [`Self::set_policy`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn snapshot(&self) -> Result<PoolSnapshot, ClaimError> {
        let (reply, snapshot) = oneshot::channel();
        self.send(Command::Snapshot(reply))?;
        self.answer(Duration::ZERO, snapshot).await
    }

    /// Retires every shared connection, closes every unused one, and returns the failures of closes
    /// since the last report. The pool goes on: the next claim dials.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connections closing.
    pub async fn drain(&self) -> Vec<CloseFailure> {
        let (reply, drained) = oneshot::channel();
        match self.send(Command::Drain(reply)) {
            Ok(()) => {
                let policy = self.shared.lock().policy;
                // A health check may have to end before the close begins.
                let longest = policy.connect_timeout.saturating_add(policy.health_check_timeout);
                self.answer(longest, drained).await.unwrap_or_default()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Refuses every further claim, closes unused connections, and waits up to `deadline` for those
    /// in use to come back.
    ///
    /// Closing twice is the same as closing once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the pool closing.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let running = {
            let mut state = self.shared.lock();
            state.is_closed = true;
            let running = state.running.as_ref();
            running.map(|running| (running.commands.clone(), running.runtime.clone()))
        };
        let Some((commands, runtime)) = running else { return CloseReport::default() };
        let (reply, closed) = oneshot::channel();
        if commands.send(Command::Close(reply)).is_err() {
            return CloseReport::default();
        }
        let waiting = {
            // A caller without a runtime uses the timer of the task's.
            let _context = Handle::try_current().is_err().then(|| runtime.enter());
            timeout(deadline, closed)
        };
        if let Ok(closed) = waiting.await {
            let failures = closed.unwrap_or_default();
            return CloseReport { failures, ..CloseReport::default() };
        }
        let Ok(snapshot) = self.snapshot().await else { return CloseReport::default() };
        CloseReport {
            still_claimed: snapshot.sets.iter().map(|set| set.slots.len()).sum(),
            still_closing: snapshot.closing,
            failures: Vec::new(),
        }
    }

    async fn make_claim<T>(
        &self,
        backend: Option<&Endpoint>,
        reply: impl FnOnce(oneshot::Sender<Result<T, ClaimError>>) -> Reply<C>,
    ) -> Result<T, ClaimError> {
        let id = ClaimId(self.shared.next_claim.fetch_add(1, Ordering::Relaxed));
        let (commands, abandoned) = self.start()?;
        let (sender, granted) = oneshot::channel();
        let reply = reply(sender);
        let demand = Demand { mode: reply.mode(), backend: backend.cloned() };
        let waiting = Abandon { id, abandoned: Some(abandoned) };
        let patience = self.shared.lock().policy.claim_timeout;
        commands.send(Command::Claim(id, demand, reply)).map_err(|_| self.ended())?;
        let claim = self.answer(patience, granted).await?;
        waiting.answered();
        claim
    }

    /// Waits for an answer of the task, which has `limit` for its part. Outside a runtime there is
    /// no timer.
    async fn answer<T>(
        &self,
        limit: Duration,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, ClaimError> {
        let waited = limit.saturating_add(GRACE);
        let answered = match Handle::try_current() {
            Ok(_) => timeout(waited, answer).await.map_err(|_| ClaimError::NotDriven { waited })?,
            Err(_) => answer.await,
        };
        answered.map_err(|_| self.ended())
    }

    fn send(&self, command: Command<C>) -> Result<(), ClaimError> {
        let (commands, _) = self.start()?;
        commands.send(command).map_err(|_| self.ended())
    }

    /// The queues of the task, which is started if it does not run.
    #[allow(clippy::type_complexity)]
    fn start(
        &self,
    ) -> Result<(mpsc::UnboundedSender<Command<C>>, mpsc::UnboundedSender<ClaimId>), ClaimError>
    {
        let mut state = self.shared.lock();
        let running = match state.running.take().filter(|running| !running.commands.is_closed()) {
            Some(running) => running,
            None if state.is_closed => return Err(ClaimError::Closed),
            None => self.shared.run(state.policy)?,
        };
        let queues = (running.commands.clone(), running.abandoned.clone());
        state.running = Some(running);
        Ok(queues)
    }

    /// The error for a task that no longer answers.
    fn ended(&self) -> ClaimError {
        if self.shared.lock().is_closed { ClaimError::Closed } else { ClaimError::RuntimeEnded }
    }
}

impl<C: Connector> Shared<C> {
    /// The lock is held for a few instructions, none of which panics.
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, policy: Policy) -> Result<Running<C>, ClaimError> {
        let runtime = Handle::try_current().map_err(|_| ClaimError::NoRuntime)?;
        // Bounded by the futures of users, each of which sends one command. A queue with a limit
        // would have futures wait for capacity, and one that is not polled would keep its share.
        let (commands, command_queue) = mpsc::unbounded_channel();
        // Bounded by the number of waiting claims: `Drop` cannot wait for capacity.
        let (abandoned, abandoned_queue) = mpsc::unbounded_channel();
        let queues = Queues { commands: command_queue, abandoned: abandoned_queue };
        let connector = Arc::clone(&self.connector);
        let task = runtime.spawn(task::run(policy, connector, self.resolver.backends(), queues));
        Ok(Running { commands, abandoned, runtime, _task: AbortOnDropHandle::new(task) })
    }
}

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Connector> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Tells the task when the future of a claim is dropped.
struct Abandon {
    id: ClaimId,
    abandoned: Option<mpsc::UnboundedSender<ClaimId>>,
}

impl Abandon {
    fn answered(mut self) {
        self.abandoned = None;
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(abandoned) = &self.abandoned {
            abandoned.send(self.id).ok();
        }
    }
}
