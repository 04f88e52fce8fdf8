//! One request about the lease of a reader.

use std::sync::Arc;

use pravega_sdk_segment_client::{attributes::AttributeError, context::SegmentContext};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{Outcome, ScopedReaderGroup};

use super::{
    super::{
        super::store::GroupStore,
        machine::{LeaseEffect, LeaseValue, RemovalEnd, RemovalMachine},
        store::LeaseStore,
    },
    removals::take_offline,
};

/// The group whose leases are used, and its leases.
#[derive(Debug, Clone)]
pub(in crate::group) struct LeasedGroup {
    pub(in crate::group) context: SegmentContext,
    pub(in crate::group) group: ScopedReaderGroup,
    pub(in crate::group) config: StateConfig,
    pub(in crate::group) leases: LeaseStore,
}

/// The answer to an effect.
pub(super) enum Answer {
    Read(Result<Option<LeaseValue>, AttributeError>),
    Swapped(Result<bool, AttributeError>),
    Removed(RemovalEnd),
}

/// Whether a reader that is taken out may be about to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    /// It is a reader of another client, which was in the group.
    Other,
    /// It is the reader of this client, whose join may be in flight.
    Own,
}

impl LeasedGroup {
    /// Carries out an effect about the lease of a reader.
    pub(super) async fn carry_out(
        self,
        reader: Arc<str>,
        effect: LeaseEffect,
        victim: Victim,
    ) -> Answer {
        match effect {
            LeaseEffect::Read => Answer::Read(self.leases.read(&reader).await),
            LeaseEffect::Swap { expected, new } => {
                Answer::Swapped(self.leases.swap(&reader, expected, new).await)
            }
            LeaseEffect::TakeOffline(dead) => {
                let removal = match victim {
                    Victim::Other => RemovalMachine::new(dead),
                    Victim::Own => RemovalMachine::fencing(dead),
                };
                Answer::Removed(self.take_offline(&reader, removal).await)
            }
            // It is of a claim, which has the state.
            LeaseEffect::FindReader => Answer::Removed(RemovalEnd::Failed),
        }
    }

    async fn take_offline(&self, reader: &Arc<str>, removal: RemovalMachine) -> RemovalEnd {
        let state = GroupStore::open(self.context.clone(), &self.group, self.config.clone()).await;
        match state {
            Ok(mut state) => take_offline(&self.leases, &mut state, reader, removal).await,
            Err(error) => {
                tracing::warn!(%error, %reader, "the state could not be opened");
                RemovalEnd::Failed
            }
        }
    }
}

/// Returns true if the request would fail again, as that about a group that was deleted.
pub(super) fn is_final(error: &AttributeError) -> bool {
    !error.is_retryable() && error.outcome() != Outcome::Unknown
}

/// A request about the lease of a reader failed. Nothing is lost: it is made again.
pub(super) fn warn(reader: &str, error: &AttributeError) {
    tracing::warn!(%reader, %error, "a request about a lease failed");
}
