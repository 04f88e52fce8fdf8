//! What the readers of a group did and saw, and the state that they shared, entry by entry.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use pravega_sdk_event_stream::{
    SegmentContext,
    group::{GroupInitial, GroupUpdate, ReaderGroupState},
};
use pravega_sdk_table_synchronizer::{RevisionedStream, RevisionedStreamConfig, StateEntry};
use pravega_sdk_types::{Offset, ScopedSegment, ScopedStream};

use crate::history::Violation;

/// Something that a reader returned.
#[derive(Debug, Clone)]
pub(super) enum Returned {
    Event { segment: ScopedSegment, offset: Offset },
    Checkpoint(String),
}

/// An item, with the moment at which it was returned.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) reader: String,
    pub(super) at: Duration,
    pub(super) returned: Returned,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What all readers returned, in order.
    pub(super) items: Vec<Item>,
    /// When it was known that a reader was offline.
    pub(super) offline: BTreeMap<String, Duration>,
    pub(super) violations: Vec<Violation>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, check: &'static str, detail: String) {
        self.lock().violations.push(Violation { check, detail });
    }
}

/// One update of the state, and the states before and after it.
pub(super) struct Step {
    pub(super) update: GroupUpdate,
    pub(super) before: ReaderGroupState,
    pub(super) after: ReaderGroupState,
}

/// Reads all updates of a group. One that does not fit is a violation.
pub(super) async fn steps(
    context: SegmentContext,
    stream: &ScopedStream,
    shared: &Shared,
) -> Vec<Step> {
    let config = RevisionedStreamConfig::default();
    let stream = RevisionedStream::open(context, stream, config).await.expect("the stores answer");
    let oldest = stream.oldest_revision().await.expect("the stores answer");
    let entries = stream.entries(&oldest).await.expect("the stores answer");
    let entries: Vec<_> = entries.try_collect().await.expect("the stores answer");
    let (mut steps, mut state) = (Vec::new(), None::<ReaderGroupState>);
    for entry in entries {
        match StateEntry::parse(entry.value).expect("an entry of a state") {
            StateEntry::Initial(bytes) => {
                let initial = GroupInitial::from_bytes(&bytes).expect("a state");
                state = Some(initial.into());
            }
            StateEntry::Updates(updates) => {
                for bytes in updates {
                    let Some(before) = state.clone() else { continue };
                    let update = GroupUpdate::from_bytes(&bytes).expect("an update");
                    let mut after = before.clone();
                    if let Err(error) = after.apply(update.clone()) {
                        shared.say("C7", format!("{update:?} does not fit: {error}"));
                    }
                    state = Some(after.clone());
                    steps.push(Step { update, before, after });
                }
            }
        }
    }
    steps
}
