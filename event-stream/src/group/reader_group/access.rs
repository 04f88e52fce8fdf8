//! The state of a group and its controller, as the calls of a handle use them.

use std::time::Duration;

use pravega_sdk_controller_client::Creation;
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedReaderGroup};
use tokio::sync::Mutex;

use super::{config::GroupHandleConfig, error::ReaderGroupError};
use crate::group::{
    deadline::within,
    liveness::{LeaseStore, LeaseTimes, LeasedGroup},
    state::{GroupInit, GroupUpdate, ReaderGroupState},
    storage::GroupStorage,
    store::GroupStore,
};

pub(super) type Result<T> = std::result::Result<T, ReaderGroupError>;

/// The most updates of faulty clients that one call passes over.
const MAX_PASSED: usize = 100;

/// What clones of a handle share.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) context: SegmentContext,
    pub(super) group: ScopedReaderGroup,
    pub(super) config: GroupHandleConfig,
    /// Calls of clones take turns.
    store: Mutex<GroupStore>,
}

impl Access {
    /// Opens the state. Nothing is read yet.
    pub(super) async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        config: GroupHandleConfig,
    ) -> Result<Self> {
        let store = GroupStore::open(context.clone(), group, config.state()).await?;
        let store = store.with_new_storage(config.storage);
        Ok(Self { context, group: group.clone(), config, store: Mutex::new(store) })
    }

    /// Returns the leases of the readers.
    pub(super) async fn leased(&self) -> LeasedGroup {
        let segment = self.store.lock().await.segment().clone();
        LeasedGroup {
            context: self.context.clone(),
            group: self.group.clone(),
            config: self.config.state(),
            leases: LeaseStore::new(self.context.clone(), segment, LeaseTimes::default()),
        }
    }

    /// Reads the state and looks at it; `None` if the group has none yet.
    pub(super) async fn look<R>(
        &self,
        look: impl FnOnce(&ReaderGroupState) -> R,
    ) -> Result<Option<R>> {
        let mut store = self.store.lock().await;
        fetch(&mut store).await?;
        Ok(store.state().map(look))
    }

    /// Returns where the state is, once it was read; `None` if the group has none.
    pub(super) async fn storage(&self) -> Option<GroupStorage> {
        self.store.lock().await.storage()
    }

    /// As [`Self::look`], for a group that has a state.
    pub(super) async fn read<R>(&self, look: impl FnOnce(&ReaderGroupState) -> R) -> Result<R> {
        self.look(look).await?.ok_or_else(ReaderGroupError::missing)
    }

    /// Changes the state by the latest state. `effect` is what is known of the change if the future
    /// is dropped.
    pub(super) async fn change<R>(
        &self,
        effect: &mut Outcome,
        mut prepare: impl FnMut(&ReaderGroupState, &mut Vec<GroupUpdate>) -> R,
    ) -> Result<R> {
        let mut store = self.store.lock().await;
        // The copy may be old, and a call that has nothing to write does not find out.
        fetch(&mut store).await?;
        let before = std::mem::replace(effect, Outcome::Unknown);
        let mut passed = None;
        let result = loop {
            match store.change(&mut prepare).await {
                Err(error) if is_passed(error.kind(), error.outcome(), error.offset(), passed) => {
                    passed = error.offset();
                }
                result => break result,
            }
        };
        *effect = match &result {
            Ok(_) => Outcome::Applied,
            Err(error) if error.outcome() == Outcome::NotApplied => before,
            Err(error) => error.outcome(),
        };
        Ok(result?)
    }

    /// Writes an update whatever the state is.
    pub(super) async fn report(&self, update: GroupUpdate) -> Result<()> {
        Ok(self.store.lock().await.report(update).await?)
    }

    /// Writes what the group begins with, unless it has a state.
    pub(super) async fn initialize(&self, init: GroupInit) -> Result<Creation> {
        Ok(self.store.lock().await.initialize(init).await?)
    }

    /// Names the call and the group in an error, also in that of a call without time left.
    pub(super) fn finish<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        effect: Outcome,
        done: Option<Result<T>>,
    ) -> Result<T> {
        finish(&self.group, operation, limit, effect, done)
    }

    /// Carries out a call that changes nothing, within the time of a call.
    pub(super) fn ask<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let limit = self.config.timeout;
        let done = within(limit, work);
        async move { self.finish(operation, limit, Outcome::NotApplied, done.await) }
    }
}

/// As [`Access::finish`], before there is a handle.
pub(super) fn finish<T>(
    group: &ScopedReaderGroup,
    operation: &'static str,
    limit: Duration,
    effect: Outcome,
    done: Option<Result<T>>,
) -> Result<T> {
    let done = done.unwrap_or_else(|| Err(ReaderGroupError::over(limit, effect)));
    done.map_err(|error| error.of(operation, group))
}

/// Reads the state. An update of a faulty client that does not fit the state is left out, as all
/// readers of this client leave it out.
async fn fetch(store: &mut GroupStore) -> Result<()> {
    let mut passed = None;
    for _ in 0..MAX_PASSED {
        match store.fetch().await {
            Err(error) if is_passed(error.kind(), error.outcome(), error.offset(), passed) => {
                passed = error.offset();
            }
            result => return Ok(result?),
        }
    }
    Ok(store.fetch().await?)
}

/// Returns true if an error is about an entry after the one of the last error: the next attempt
/// goes on after it. An entry that cannot be decoded fails at the same offset each time.
fn is_passed(
    kind: ErrorKind,
    outcome: Outcome,
    offset: Option<Offset>,
    last: Option<Offset>,
) -> bool {
    kind == ErrorKind::Corrupt && outcome == Outcome::NotApplied && offset > last
}
