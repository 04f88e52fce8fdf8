//! What is done about the group, one thing at a time. While it is being done no event is returned.

use futures_util::future::BoxFuture;
use pravega_sdk_controller_client::Subscriber;
use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError, machine::Now};
use pravega_sdk_table_synchronizer::StateError;
use pravega_sdk_types::{BoundedCut, ScopedReaderGroup, ScopedSegment};
use tokio::time::{Duration, timeout};

use super::super::{
    super::{
        machine::ChangePlan,
        state::{GroupInit, GroupUpdate},
        store::GroupStore,
    },
    successors::{find_configuration, publish},
};

/// Something that is being done.
pub(super) enum Work {
    /// The state is read or changed, and is back with the result.
    Store(BoxFuture<'static, (GroupStore, StoreDone)>),
    /// The controller is asked.
    Controller(BoxFuture<'static, ControllerDone>),
    /// The successors of a segment are searched, and waited for until then.
    Successors(ScopedSegment, Now),
}

/// What was done with the state.
pub(super) enum StoreDone {
    Fetched(Result<(), StateError>),
    Changed(Box<ChangePlan>, Result<bool, StateError>),
    Reported(Result<(), StateError>),
    Compacted(Result<(), StateError>),
}

/// What the controller has answered.
pub(super) enum ControllerDone {
    /// `None` means that there is no newer configuration, or that it was not found.
    Configuration(Result<Option<Box<GroupInit>>, ReadError>),
    /// True if the cut was taken.
    Published(bool),
}

impl StoreDone {
    /// Returns the error, if it failed.
    pub(super) fn error(&self) -> Option<&StateError> {
        match self {
            Self::Fetched(done) | Self::Reported(done) | Self::Compacted(done) => {
                done.as_ref().err()
            }
            Self::Changed(_, done) => done.as_ref().err(),
        }
    }
}

impl Work {
    pub(super) fn fetch(mut store: GroupStore) -> Self {
        Self::Store(Box::pin(async move {
            let done = store.fetch().await;
            (store, StoreDone::Fetched(done))
        }))
    }

    pub(super) fn change(mut store: GroupStore, mut plan: Box<ChangePlan>, wall_ms: i64) -> Self {
        Self::Store(Box::pin(async move {
            let prepare = |state: &_, updates: &mut Vec<GroupUpdate>| {
                updates.extend(plan.updates(state, wall_ms));
                !updates.is_empty()
            };
            let done = store.change(prepare).await;
            (store, StoreDone::Changed(plan, done))
        }))
    }

    pub(super) fn report(mut store: GroupStore, update: GroupUpdate) -> Self {
        Self::Store(Box::pin(async move {
            let done = store.report(update).await;
            (store, StoreDone::Reported(done))
        }))
    }

    pub(super) fn compact(mut store: GroupStore) -> Self {
        Self::Store(Box::pin(async move {
            let done = store.compact().await;
            (store, StoreDone::Compacted(done))
        }))
    }

    pub(super) fn find_configuration(
        context: SegmentContext,
        group: ScopedReaderGroup,
        generation: Option<i64>,
        limit: Duration,
    ) -> Self {
        Self::Controller(Box::pin(async move {
            let found = timeout(limit, find_configuration(context, group, generation)).await;
            let found = found.unwrap_or(Ok(None));
            ControllerDone::Configuration(found.map(|init| init.map(Box::new)))
        }))
    }

    pub(super) fn publish(
        context: SegmentContext,
        subscriber: Subscriber,
        cut: BoundedCut,
        limit: Duration,
    ) -> Self {
        Self::Controller(Box::pin(async move {
            let told = timeout(limit, publish(context, subscriber, cut)).await;
            ControllerDone::Published(told.unwrap_or(false))
        }))
    }
}
