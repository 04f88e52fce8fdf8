//! Claiming the name of a reader, in a task.
//!
//! The lease may be set by a request whose caller is gone. So a task makes the requests, and it is
//! the task that gives the lease back if there is no caller for it any more.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::select};
use pravega_sdk_segment_client::{
    attributes::AttributeError,
    error::NoRuntime,
    runtime::{rng, runtime},
};
use pravega_sdk_table_synchronizer::StateError;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    super::{
        super::store::GroupStore,
        machine::{ClaimEnd, ClaimMachine, HolderMachine, LeaseEffect, LeaseTimes, RemovalMachine},
    },
    keeper::LeaseKeeper,
    removals::take_offline,
    requests::{LeasedGroup, is_final},
};

/// How long it is found out, after the caller is gone, if a request has set the lease.
const MAX_AFTERMATH: Duration = Duration::from_secs(60);

/// Why a name is not claimed.
#[derive(Debug)]
pub(in crate::group) enum ClaimError {
    /// A reader of this name is alive, or is one of another client.
    InUse,
    Lease(AttributeError),
    State(StateError),
    NoRuntime(NoRuntime),
    /// The time is over.
    Late,
    /// The runtime has ended.
    Stopped,
}

/// What a reader needs that is about to join.
#[derive(Debug)]
pub(in crate::group) struct Claimed {
    pub(in crate::group) state: GroupStore,
    /// `None` for a reader without a lease.
    pub(in crate::group) lease: Option<LeaseKeeper>,
    /// The time that is left, from `deadline` on: waits for the lease of another reader do not
    /// count.
    pub(in crate::group) deadline: Instant,
}

/// Claims the name of a reader, or frees it for a reader without a lease if `times` is `None`. It
/// waits while it is not known if a reader of this name is alive, for about the length of that
/// one's lease; this does not count for the deadline.
pub(in crate::group) async fn claim(
    leased: LeasedGroup,
    state: GroupStore,
    reader: Arc<str>,
    times: Option<LeaseTimes>,
    seed: Option<u64>,
    deadline: Instant,
) -> Result<Claimed, ClaimError> {
    let waited = Arc::new(AtomicU64::new(0));
    let (send, receive) = oneshot::channel();
    let task = Claim { leased, state, reader, waited: waited.clone(), caller: send };
    runtime().map_err(ClaimError::NoRuntime)?.spawn(task.run(times, seed));
    let extended = || {
        let waited = Duration::from_nanos(waited.load(Ordering::Acquire));
        deadline.checked_add(waited).unwrap_or(deadline)
    };
    let mut receive = pin!(receive);
    loop {
        let until = extended();
        match timeout_at(until, &mut receive).await {
            Ok(Ok(Ok((state, lease)))) => {
                return Ok(Claimed { state, lease, deadline: extended() });
            }
            Ok(Ok(Err(error))) => return Err(error),
            Ok(Err(_)) => return Err(ClaimError::Stopped),
            Err(_) if extended() > until => {}
            Err(_) => return Err(ClaimError::Late),
        }
    }
}

type Outcomes = Result<(GroupStore, Option<LeaseKeeper>), ClaimError>;

struct Claim {
    leased: LeasedGroup,
    state: GroupStore,
    reader: Arc<str>,
    /// The time for which it has waited for other readers, in nanoseconds.
    waited: Arc<AtomicU64>,
    caller: oneshot::Sender<Outcomes>,
}

impl Claim {
    async fn run(mut self, times: Option<LeaseTimes>, seed: Option<u64>) {
        let started = Instant::now();
        let machine = match times {
            Some(times) => ClaimMachine::new(times, rng(seed).u64(..), Duration::ZERO),
            None => ClaimMachine::freeing(LeaseTimes::default(), Duration::ZERO),
        };
        let Some(held) = self.decide(machine, started).await else { return };
        let Self { leased, state, reader, caller, .. } = self;
        let keep = |holder: HolderMachine| {
            let times = times.unwrap_or_default();
            LeaseKeeper::start(leased, reader, times, holder, started)
        };
        let lease =
            held.and_then(|holder| holder.map(keep).transpose().map_err(ClaimError::NoRuntime));
        // Without a caller the lease is dropped here, and given back.
        drop(caller.send(lease.map(|lease| (state, lease))));
    }

    /// Returns the lease, `None` for a reader without one. The outer `None` means that the caller
    /// is gone and no lease is set.
    async fn decide(
        &mut self,
        mut claim: ClaimMachine,
        started: Instant,
    ) -> Option<Result<Option<HolderMachine>, ClaimError>> {
        let mut gone_since = None;
        loop {
            match claim.end() {
                Some(ClaimEnd::Held(holder)) => return Some(Ok(Some(holder))),
                Some(ClaimEnd::Free) => return Some(Ok(None)),
                Some(ClaimEnd::InUse) => return Some(Err(ClaimError::InUse)),
                None => {}
            }
            if self.caller.is_closed() {
                let since = *gone_since.get_or_insert(started.elapsed());
                let is_late = started.elapsed() > since.saturating_add(MAX_AFTERMATH);
                if !claim.is_in_doubt() || is_late {
                    return None;
                }
            }
            let Some(effect) = claim.poll_effect(started.elapsed()) else {
                self.pause(&claim, started).await;
                continue;
            };
            if let Err(error) = self.carry_out(&mut claim, effect, started).await {
                return Some(Err(error));
            }
        }
    }

    /// Waits for the next effect, or until the caller is gone.
    async fn pause(&mut self, claim: &ClaimMachine, started: Instant) {
        let now = started.elapsed();
        let pause = claim.poll_timeout().unwrap_or_default().saturating_sub(now);
        if claim.is_waiting() {
            let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
            self.waited.fetch_add(nanos, Ordering::AcqRel);
        }
        let over = sleep_until(Instant::now() + pause);
        if self.caller.is_closed() {
            return over.await;
        }
        select(pin!(over), pin!(self.caller.closed())).map(drop).await;
    }

    async fn carry_out(
        &mut self,
        claim: &mut ClaimMachine,
        effect: LeaseEffect,
        started: Instant,
    ) -> Result<(), ClaimError> {
        let (leases, reader, state) = (&self.leased.leases, &self.reader, &mut self.state);
        match effect {
            LeaseEffect::Read => match leases.read(reader).await {
                Ok(found) => claim.handle_read(found, started.elapsed()),
                Err(error) if is_final(&error) => return Err(ClaimError::Lease(error)),
                Err(_) => claim.handle_read_failed(started.elapsed()),
            },
            LeaseEffect::Swap { expected, new } => match leases.swap(reader, expected, new).await {
                Ok(is_set) => claim.handle_swapped(is_set, started.elapsed()),
                Err(error) if is_final(&error) => return Err(ClaimError::Lease(error)),
                Err(error) => claim.handle_swap_failed(error.outcome(), started.elapsed()),
            },
            LeaseEffect::FindReader => match state.fetch().await {
                Ok(()) => {
                    let is_in_group = state.state().is_some_and(|state| state.is_online(reader));
                    claim.handle_state(is_in_group, started.elapsed());
                }
                Err(error) if error.is_retryable() => claim.handle_state_failed(started.elapsed()),
                Err(error) => return Err(ClaimError::State(error)),
            },
            LeaseEffect::TakeOffline(dead) => {
                let end = take_offline(leases, state, reader, RemovalMachine::new(dead)).await;
                claim.handle_removal(end, started.elapsed());
            }
        }
        Ok(())
    }
}
