//! The state of a group in a table.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use pravega_sdk_codec::Raw;
use pravega_sdk_controller_client::Deletion;
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_table_synchronizer::{
    StateConfig, StateError, SynchronizerConfig, TableChanges, TableError, TableMoment, TableState,
    TableSynchronizer, Update,
};
use pravega_sdk_types::{
    ErrorKind, Failure, Outcome, ScopedReaderGroup, SegmentId, serial::SerialError,
};
use uuid::Uuid;

use super::super::state::{
    Adoption, Basis, EntryChanges, GroupInit, GroupUpdate, GroupUpdateError, ReaderGroupState,
    Refreshed, StageError, StoredState,
};
#[cfg(feature = "testing")]
use super::attempts::note;

/// A table with the entries of the state of a group.
pub(super) struct TableStore {
    table: TableSynchronizer<Raw, Raw>,
    held: Held,
}

/// The state that the entries of a table are.
#[derive(Default)]
struct Held {
    current: Option<StoredState>,
    /// When the entries were as the state is; `None` if it was never read.
    moment: Option<TableMoment>,
}

/// Returns the segment of the table of a group. A group that is deleted and created again has
/// another id, and so another segment.
pub(super) fn segment_of(group: Uuid) -> SegmentId {
    let (high, low) = group.as_u64_pair();
    // Of the epoch and of the number, neither is negative.
    let bits = (high ^ low) & 0x7FFF_FFFF_7FFF_FFFF;
    SegmentId::from(i64::try_from(bits).unwrap_or_default())
}

/// Deletes the table of a group with an id, if there is one.
pub(in crate::group) async fn delete_table(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    id: Uuid,
    config: &StateConfig,
) -> Result<Deletion, TableError> {
    delete_segment(context, group, segment_of(id), config).await
}

/// Deletes a segment of the tables of a group, if it exists.
pub(super) async fn delete_segment(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    segment: SegmentId,
    config: &StateConfig,
) -> Result<Deletion, TableError> {
    let config = SynchronizerConfig::from(config).with_segment(segment);
    TableSynchronizer::delete(context.clone(), &group.state_table(), &config).await
}

impl TableStore {
    /// Opens the table of a group, and reads the state.
    pub(super) async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        segment: SegmentId,
        config: &StateConfig,
    ) -> Result<Self, StateError> {
        let (name, config) = (group.state_table(), SynchronizerConfig::from(config));
        let config = config.with_segment(segment);
        let opened = TableSynchronizer::open_existing(context, &name, Raw, Raw, config).await;
        let mut store = Self { table: opened.map_err(failed)?, held: Held::default() };
        store.held.refresh(&store.table.state())?;
        Ok(store)
    }

    /// Creates the table of a group, and puts the state into it with which the group begins, unless
    /// it has one.
    pub(super) async fn create(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        segment: SegmentId,
        config: &StateConfig,
        init: &GroupInit,
    ) -> Result<Self, StateError> {
        let (name, config) = (group.state_table(), SynchronizerConfig::from(config));
        let config = config.with_segment(segment);
        let opened = TableSynchronizer::open(context, &name, Raw, Raw, config).await;
        let mut store = Self { table: opened.map_err(failed)?, held: Held::default() };
        let held = &mut store.held;
        let created = store.table.update(|changes| {
            held.refresh(&changes.known())?;
            let updates = [GroupUpdate::Init(init.clone())];
            match &mut held.current {
                None => {
                    let first = StoredState::first(init).map_err(unstorable)?;
                    make(changes, &updates, first)
                }
                // Of a client that ended before the group had a mark.
                Some(stored) if is_earlier(stored.state(), init) => {
                    let staged = stage(changes, stored, &updates)?;
                    make(changes, &updates, staged)
                }
                Some(_) => Ok(()),
            }
        });
        created.await.map_err(failed)?;
        store.held.refresh(&store.table.state())?;
        Ok(store)
    }

    /// Returns the copy of the state.
    pub(super) fn state(&self) -> Option<&ReaderGroupState> {
        self.held.current.as_ref().map(StoredState::state)
    }

    pub(super) async fn fetch(&mut self) -> Result<(), StateError> {
        self.table.fetch().await.map_err(failed)?;
        Ok(self.held.refresh(&self.table.state())?)
    }

    /// Changes the state by the latest state. The copy has the change, and all changes before it.
    pub(super) async fn change<R>(
        &mut self,
        mut prepare: impl FnMut(&ReaderGroupState, &mut Vec<GroupUpdate>) -> R,
    ) -> Result<R, StateError> {
        let held = &mut self.held;
        let updated = self.table.update(|changes| {
            held.refresh(&changes.known())?;
            let Some(stored) = &mut held.current else { return Err(without_state().into()) };
            let mut updates = Vec::new();
            let result = prepare(stored.state(), &mut updates);
            if !updates.is_empty() {
                let staged = stage(changes, stored, &updates)?;
                make(changes, &updates, staged)?;
            }
            Ok(result)
        });
        let updated = updated.await.map_err(failed)?;
        if matches!(updated, Update::Made(_)) && self.table.is_behind() {
            // A report is made beside the changes of others.
            let fetched = self.table.fetch().await;
            fetched.map_err(|error| of_table(error).with_outcome(Outcome::Unknown))?;
        }
        self.held.refresh(&self.table.state())?;
        Ok(updated.into_inner())
    }
}

impl Held {
    /// Follows the changes of the entries, or reads all of them if those are not known.
    fn refresh(&mut self, table: &TableState<'_, Raw, Raw>) -> Result<(), Failure> {
        if let (Some(moment), Some(stored)) = (self.moment, &mut self.current)
            && let Some(changed) = table.changed_since(moment)
        {
            let keys: BTreeSet<&Bytes> = changed.collect();
            let read = |key: &Bytes| Ok((key.clone(), table.get(key.clone()).map_err(of_table)?));
            let changed = keys.into_iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
            if stored.refresh(changed).map_err(corrupt)? == Refreshed::Done {
                self.moment = Some(table.moment());
                return Ok(());
            }
        }
        // It may be between two states of the group.
        (self.current, self.moment) = (None, None);
        let entries: Result<Vec<(Bytes, Bytes)>, TableError> = table.entries().collect();
        self.current = StoredState::read(entries.map_err(of_table)?).map_err(corrupt)?;
        self.moment = Some(table.moment());
        Ok(())
    }
}

/// Returns true if a state has no readers, and an older configuration than a group should begin
/// with.
fn is_earlier(state: &ReaderGroupState, init: &GroupInit) -> bool {
    let configuration = init.configuration.configuration();
    state.readers().len() == 0 && state.adoption(configuration) == Adoption::Newer
}

/// Returns the changes of the entries of a table that some updates make.
fn stage(
    table: &TableChanges<'_, Raw, Raw>,
    stored: &mut StoredState,
    updates: &[GroupUpdate],
) -> Result<EntryChanges, Failure> {
    let known = table.known();
    // No codec refuses bytes.
    let current = |key: &Bytes| known.get(key.clone()).ok().flatten();
    stored.stage(updates, current).map_err(|error| match error {
        StageError::Unfit(error) => unfit(error),
        StageError::Unstorable(error) => unstorable(error),
    })
}

/// Changes the entries of a table.
fn make(
    table: &mut TableChanges<'_, Raw, Raw>,
    updates: &[GroupUpdate],
    changes: EntryChanges,
) -> Result<(), TableError> {
    let EntryChanges { changes, basis } = changes;
    note(updates, &changes);
    if basis == Basis::All {
        // The whole table counts as looked at.
        let _ = table.len();
    }
    for (key, value) in changes {
        table.contains(key.clone())?;
        match value {
            Some(value) => table.put(key, value)?,
            None => drop(table.remove(key)?),
        }
    }
    Ok(())
}

#[cfg(not(feature = "testing"))]
fn note(_: &[GroupUpdate], _: &[(Bytes, Option<Bytes>)]) {}

fn unstorable(error: SerialError) -> Failure {
    Failure::new(ErrorKind::InvalidArgument, Outcome::NotApplied, "it cannot be encoded")
        .with_source(error)
}

fn failed(error: TableError) -> StateError {
    of_table(error).into()
}

fn of_table(error: TableError) -> Failure {
    Failure::caused_by(error, "the table of the group cannot be used")
}

fn corrupt(error: SerialError) -> Failure {
    let detail = "an entry of the table is damaged, or of a later version than this client reads";
    Failure::new(ErrorKind::Corrupt, Outcome::NotApplied, detail).with_source(error)
}

fn unfit(error: GroupUpdateError) -> Failure {
    let detail = "an update does not fit the state";
    Failure::new(ErrorKind::Corrupt, Outcome::NotApplied, detail).with_source(error)
}

fn without_state() -> Failure {
    Failure::new(ErrorKind::NotFound, Outcome::NotApplied, "the table has no state")
}

impl fmt::Debug for TableStore {
    /// Shows no states: a state may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStore").field("table", &self.table).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_of_a_table_follows_from_the_id_of_the_group_and_is_one_of_a_table() {
        let id = |text: &str| text.parse::<Uuid>().unwrap();
        let one = segment_of(id("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        assert_eq!(one, segment_of(id("67e55044-10b1-426f-9247-bb680e5fe0c8")));
        assert_ne!(one, segment_of(id("67e55044-10b1-426f-9247-bb680e5fe0c9")));
        for id in [Uuid::max(), Uuid::from_u64_pair(u64::MAX, 0), Uuid::new_v4()] {
            let segment = segment_of(id);
            assert!(segment.epoch().0 >= 0 && segment.number().0 >= 0, "{segment}");
        }
    }
}
