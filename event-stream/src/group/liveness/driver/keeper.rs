//! The task that renews the lease of a reader, and watches others.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered, task::AtomicWaker,
};
use pravega_sdk_segment_client::{error::NoRuntime, runtime::runtime};
use pravega_sdk_table_synchronizer::StateError;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    super::{
        super::{state::ReaderGroupState, store::GroupStore},
        machine::{
            HolderMachine, LeaseEffect, LeaseStatus, LeaseTimes, LeaseValue, ObserverMachine,
            RosterMachine,
        },
    },
    endings,
    requests::{Answer, LeasedGroup, Victim, is_final, warn},
};

/// The time until the task runs again without a reason to.
const FAR: Duration = Duration::from_secs(3600);

/// The lease of a reader. A task renews it, and watches those of other readers, until it is
/// dropped.
///
/// If it is dropped without [`release`](Self::release), the lease of a reader in the group runs
/// out, and the reader is taken out as one that has died. That of a reader which is not known to
/// have joined is ended by the task, and the reader is taken out if it has.
pub(in crate::group) struct LeaseKeeper {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    core: Mutex<Core>,
    /// Until when events may be returned, in nanoseconds since `started`; a time that is past if
    /// they must not be.
    held_until: AtomicU64,
    owner: AtomicWaker,
    task: AtomicWaker,
}

struct Core {
    holder: HolderMachine,
    observer: ObserverMachine,
    roster: RosterMachine,
    /// The readers in the group, of the latest state that was read.
    readers: Vec<Arc<str>>,
    membership: Membership,
    is_dropped: bool,
}

/// Whether the reader is in its group, as far as its owner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// It has not begun to join, or has left.
    Outside,
    /// It may have joined.
    Joining,
    Member,
}

impl Core {
    /// Returns true if other readers are watched.
    fn observes(&self) -> bool {
        self.membership == Membership::Member && !self.holder.is_suspended()
    }

    /// These readers are in the group. Returns true if they are others than before.
    fn handle_readers(&mut self, readers: Vec<Arc<str>>, now: Duration) -> bool {
        let is_news = readers != self.readers;
        if is_news {
            self.readers.clone_from(&readers);
            self.observer.handle_readers(readers, now);
        }
        is_news
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic elsewhere leaves the machines whole: each change of them is one call.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the machines, and notes until when events may be returned then. The owner is woken
    /// after the lock is released: a waker may own what takes it.
    fn change<R>(&self, change: impl FnOnce(&mut Core, Duration) -> R) -> R {
        let (mut core, now) = (self.core(), self.now());
        let result = change(&mut core, now);
        let until = match core.holder.status(self.now()) {
            LeaseStatus::Held(until) => u64::try_from(until.as_nanos()).unwrap_or(u64::MAX),
            // Past like 0, and another number, so that the owner wakes and reads the state.
            LeaseStatus::StateUnread => 1,
            LeaseStatus::RunOut | LeaseStatus::Ended(_) => 0,
        };
        let is_news = self.held_until.swap(until, Ordering::AcqRel) != until;
        drop(core);
        if is_news {
            self.owner.wake();
        }
        result
    }
}

impl LeaseKeeper {
    /// Starts the task, with a lease whose times count from `started`.
    pub(in crate::group) fn start(
        leased: LeasedGroup,
        reader: Arc<str>,
        times: LeaseTimes,
        holder: HolderMachine,
        started: Instant,
    ) -> Result<Self, NoRuntime> {
        let core = Core {
            holder,
            observer: ObserverMachine::new(Some(reader.clone()), times),
            roster: RosterMachine::new(times, started.elapsed()),
            readers: Vec::new(),
            membership: Membership::Outside,
            is_dropped: false,
        };
        let shared = Arc::new(Shared {
            started,
            held_until: AtomicU64::new(0),
            owner: AtomicWaker::new(),
            task: AtomicWaker::new(),
            core: Mutex::new(core),
        });
        shared.change(|_, _| ());
        let task = Task {
            shared: shared.clone(),
            reader,
            times,
            leased,
            state: None,
            work: FuturesUnordered::new(),
            timer: Box::pin(sleep_until(started)),
        };
        runtime()?.spawn(task.run());
        Ok(Self { shared })
    }

    /// Returns if events may be returned now. If not, the task wakes when it changes.
    pub(in crate::group) fn poll_status(&self, cx: &Context<'_>) -> LeaseStatus {
        let now = self.shared.now();
        let until = Duration::from_nanos(self.shared.held_until.load(Ordering::Acquire));
        if now < until {
            return LeaseStatus::Held(until);
        }
        self.shared.owner.register(cx.waker());
        self.shared.core().holder.status(now)
    }

    /// The reader is about to join its group.
    pub(in crate::group) fn handle_joining(&self) {
        self.shared.core().membership = Membership::Joining;
    }

    /// The reader has joined its group: it watches others from now on.
    pub(in crate::group) fn handle_joined(&self) {
        let mut core = self.shared.core();
        core.membership = Membership::Member;
        core.holder.handle_joined(self.shared.now());
        drop(core);
        self.shared.task.wake();
    }

    /// The state was read by a call that began at a moment.
    pub(in crate::group) fn handle_state_read(&self, begun: Instant, state: &ReaderGroupState) {
        let begun = begun.saturating_duration_since(self.shared.started);
        let is_news = self.shared.change(|core, now| {
            core.holder.handle_state_read(begun);
            core.roster.handle_found(now);
            // Without a list, as they are mostly the same.
            !state.readers().eq(core.readers.iter())
                && core.handle_readers(state.readers().cloned().collect(), now)
        });
        if is_news {
            self.shared.task.wake();
        }
    }

    /// The reader is not in its group, or will not be: its lease is removed, also if this value is
    /// dropped meanwhile.
    pub(in crate::group) fn release(&self) {
        self.shared.change(|core, now| {
            core.membership = Membership::Outside;
            core.holder.release(now);
        });
        self.shared.task.wake();
    }

    /// Ready when the lease is removed, or cannot be.
    pub(in crate::group) fn poll_released(&self, cx: &Context<'_>) -> Poll<()> {
        self.shared.owner.register(cx.waker());
        if self.shared.core().holder.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The reader returns no more events, and is in the group: the lease is left to run out, so
    /// that others take the reader out. It watches no others.
    pub(in crate::group) fn suspend(&self) {
        self.shared.core().holder.suspend();
    }

    /// The lease is renewed again, if it was left to run out.
    pub(in crate::group) fn resume(&self) {
        self.shared.change(|core, now| core.holder.resume(now));
        self.shared.task.wake();
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.shared.core().is_dropped = true;
        self.shared.task.wake();
    }
}

impl fmt::Debug for LeaseKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKeeper").field("holder", &self.shared.core().holder).finish()
    }
}

/// A result of a request.
enum Done {
    /// It is about the lease of this reader, or of another one.
    Lease { other: Option<Arc<str>>, result: Answer },
    /// The readers that are in the group, and the copy of its state if they were found.
    Looked(Result<(Box<GroupStore>, Vec<Arc<str>>), StateError>),
}

struct Task {
    shared: Arc<Shared>,
    reader: Arc<str>,
    times: LeaseTimes,
    leased: LeasedGroup,
    /// A copy of the state, from a look at the readers until the program reads the state.
    state: Option<Box<GroupStore>>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    timer: Pin<Box<Sleep>>,
}

impl Task {
    /// Runs until the lease has ended, or the keeper is dropped.
    async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
        if let Some(own) = self.left() {
            // What is in flight about the lease is not waited for: it cannot set it after the mark.
            endings::end(self.leased, self.reader, own, self.times).await;
        }
    }

    /// Returns the lease of a reader that may have joined, and was dropped before that was known.
    fn left(&self) -> Option<LeaseValue> {
        let core = self.shared.core();
        let is_left = core.membership == Membership::Joining && !core.holder.is_over();
        is_left.then(|| core.holder.value())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.task.register(cx.waker());
        loop {
            let mut is_busy = false;
            while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
                is_busy = true;
                self.finish(done);
            }
            let Some(next) = self.begin() else { return Poll::Ready(()) };
            let at = self.shared.started + next;
            if self.timer.deadline() != at {
                self.timer.as_mut().reset(at);
            }
            is_busy |= self.timer.as_mut().poll(cx).is_ready();
            // What has just begun is polled once, so that it wakes this task.
            if let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
                is_busy = true;
                self.finish(done);
            }
            if !is_busy {
                return Poll::Pending;
            }
        }
    }

    /// Begins what is due. Returns when there is something to do again; `None` if nothing ever is.
    fn begin(&mut self) -> Option<Duration> {
        let shared = self.shared.clone();
        let next = shared.change(|core, now| {
            if core.is_dropped && core.membership == Membership::Outside {
                core.holder.release(now);
            }
            if core.holder.is_over() || (core.is_dropped && !core.holder.is_releasing()) {
                return None;
            }
            while let Some(effect) = core.holder.poll_effect(now) {
                self.carry_out(None, effect, self.times.request_timeout());
            }
            while core.observes()
                && let Some((reader, effect)) = core.observer.poll_effect(now)
            {
                let patience = core.observer.patience(&reader);
                self.carry_out(Some(reader), effect, patience);
            }
            if core.observes() && core.roster.poll_look(now) {
                self.look();
            }
            if core.roster.is_told() {
                self.state = None;
            }
            let others = core.observer.poll_timeout().into_iter().chain(core.roster.poll_timeout());
            let others = others.filter(|_| core.observes());
            let own = core.holder.poll_timeout();
            let far = now.saturating_add(FAR);
            // Never at once again, which would be without an end.
            let next = own.into_iter().chain(others).fold(far, Duration::min);
            Some(next.max(now.saturating_add(Duration::from_millis(1))))
        });
        if next.is_none() {
            self.shared.owner.wake();
        }
        next
    }

    /// Begins a request, which takes at most `limit`.
    fn carry_out(&self, other: Option<Arc<str>>, effect: LeaseEffect, limit: Duration) {
        let reader = other.clone().unwrap_or_else(|| self.reader.clone());
        let leases = self.leased.leases.within(limit);
        let leased = LeasedGroup { leases, ..self.leased.clone() };
        let answer = leased.carry_out(reader, effect, Victim::Other);
        self.work.push(async move { Done::Lease { other, result: answer.await } }.boxed());
    }

    /// Begins to look which readers are in the group.
    fn look(&mut self) {
        let (state, leased) = (self.state.take(), self.leased.clone());
        let looking = async move {
            let mut state = match state {
                Some(state) => state,
                None => {
                    let LeasedGroup { context, group, config, .. } = leased;
                    Box::new(GroupStore::open(context, &group, config).await?)
                }
            };
            state.fetch().await?;
            let readers = state.state().into_iter().flat_map(ReaderGroupState::readers);
            let readers = readers.cloned().collect();
            Ok((state, readers))
        };
        self.work.push(async move { Done::Looked(looking.await) }.boxed());
    }

    fn finish(&mut self, done: Done) {
        let (other, result) = match done {
            Done::Lease { other, result } => (other, result),
            Done::Looked(looked) => return self.finish_look(looked),
        };
        self.shared.change(|core, now| match (other, result) {
            (None, Answer::Read(Ok(found))) => core.holder.handle_read(found, now),
            (None, Answer::Read(Err(error))) => {
                warn(&self.reader, &error);
                core.holder.handle_read_failed(now);
                if is_final(&error) {
                    core.holder.give_up();
                }
            }
            (None, Answer::Swapped(Ok(is_set))) => core.holder.handle_swapped(is_set, now),
            (None, Answer::Swapped(Err(error))) => {
                warn(&self.reader, &error);
                core.holder.handle_swap_failed(error.outcome(), now);
                if is_final(&error) {
                    core.holder.give_up();
                }
            }
            (None, Answer::Removed(_)) => {}
            (Some(reader), Answer::Read(Ok(found))) => {
                core.observer.handle_read(&reader, found, now);
            }
            (Some(reader), Answer::Swapped(Ok(is_set))) => {
                core.observer.handle_swapped(&reader, is_set, now);
            }
            (Some(reader), Answer::Removed(end)) => {
                core.observer.handle_removal(&reader, end, now);
            }
            (Some(reader), Answer::Read(Err(error)) | Answer::Swapped(Err(error))) => {
                warn(&reader, &error);
                core.observer.handle_failed(&reader, now);
            }
        });
    }

    fn finish_look(&mut self, looked: Result<(Box<GroupStore>, Vec<Arc<str>>), StateError>) {
        let found = match looked {
            Ok((state, readers)) => {
                self.state = Some(state);
                Some(readers)
            }
            Err(error) => {
                let reader = &self.reader;
                tracing::warn!(%reader, %error, "the readers of the group were not found");
                None
            }
        };
        self.shared.change(|core, now| {
            core.roster.handle_looked(found.is_some(), now);
            if let Some(readers) = found {
                core.handle_readers(readers, now);
            }
        });
    }
}
