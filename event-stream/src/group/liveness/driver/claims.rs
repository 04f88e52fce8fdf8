//! Claiming the name of a reader.

use std::sync::Arc;

use pravega_sdk_segment_client::attributes::AttributeError;
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::Outcome;
use tokio::time::{Instant, sleep_until};

use super::{
    super::{
        super::store::GroupStore,
        machine::{ClaimEnd, ClaimMachine, HolderMachine, LeaseEffect, LeaseTimes},
        store::LeaseStore,
    },
    removals::take_offline,
};

/// Why a name is not claimed.
#[derive(Debug)]
pub(in crate::group) enum ClaimError {
    /// A reader of this name is alive, or is one of another client.
    InUse,
    Lease(AttributeError),
    State(StateError),
}

/// A lease, with the moment from which its times are counted.
#[derive(Debug)]
pub(in crate::group) struct Claimed {
    pub(super) holder: HolderMachine,
    pub(super) started: Instant,
}

/// Claims the name of a reader. It waits while it is not known if a reader of this name is alive,
/// at most for about the length of that one's lease; the caller sets the limit.
pub(in crate::group) async fn claim(
    leases: &LeaseStore,
    state: &mut GroupStore,
    reader: &Arc<str>,
    times: LeaseTimes,
    random: u64,
) -> Result<Claimed, ClaimError> {
    let started = Instant::now();
    let mut claim = ClaimMachine::new(times, random, started.elapsed());
    loop {
        match claim.end() {
            Some(ClaimEnd::Held(holder)) => return Ok(Claimed { holder, started }),
            Some(ClaimEnd::InUse) => return Err(ClaimError::InUse),
            None => {}
        }
        let Some(effect) = claim.poll_effect(started.elapsed()) else {
            let next = claim.poll_timeout().unwrap_or_default();
            sleep_until(started + next).await;
            continue;
        };
        match effect {
            LeaseEffect::Read => match leases.read(reader).await {
                Ok(found) => claim.handle_read(found, started.elapsed()),
                Err(error) if error.is_retryable() => {
                    claim.handle_read_failed(started.elapsed());
                }
                Err(error) => return Err(ClaimError::Lease(error)),
            },
            LeaseEffect::Swap { expected, new } => match leases.swap(reader, expected, new).await {
                Ok(is_set) => claim.handle_swapped(is_set, started.elapsed()),
                Err(error) if error.is_retryable() || error.outcome() == Outcome::Unknown => {
                    claim.handle_swap_failed(error.outcome(), started.elapsed());
                }
                Err(error) => return Err(ClaimError::Lease(error)),
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
                let end = take_offline(leases, state, reader, dead).await;
                claim.handle_removal(end, started.elapsed());
            }
        }
    }
}
