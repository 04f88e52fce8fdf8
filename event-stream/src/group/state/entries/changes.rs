//! What updates of a state change in its entries.

use std::collections::BTreeSet;

use bytes::Bytes;
use pravega_sdk_types::serial::SerialError;

use super::{
    super::{
        group_state::ReaderGroupState, init::GroupInit, journal::Journal, update::GroupUpdate,
        update_error::GroupUpdateError,
    },
    head::Head,
    index::{Encoded, Index},
    key::{EntryKey, HEAD},
    stored::StoredState,
    touched::Touched,
};

/// The most entries that a store changes together.
const MAX_CHANGES: usize = 255;

/// The entries that updates change, all together or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryChanges {
    /// The new values by their keys; `None` for an entry that is removed.
    pub(crate) changes: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) basis: Basis,
}

/// What must not have changed meanwhile, so that an update is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The entries that it changes.
    Own,
    /// All entries.
    All,
}

/// Why updates change no entries.
#[derive(Debug)]
pub(crate) enum StageError {
    /// One does not fit the state.
    Unfit(GroupUpdateError),
    /// A name or a number does not fit the layout.
    Unstorable(SerialError),
}

/// Changes that are collected.
struct Staged<'a> {
    head: Head,
    encoded: Encoded,
    /// The keys of entries that meant nothing before.
    void: Vec<Bytes>,
    reporter: Option<&'a str>,
}

impl StoredState {
    /// Returns the entries of a state with which a group begins that has none.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a name or a number does not fit the layout.
    pub(crate) fn first(init: &GroupInit) -> Result<EntryChanges, SerialError> {
        let state = ReaderGroupState::new(init.clone());
        begun(&state, &Head::default(), Vec::new())?.into_changes(&state, |_| None)
    }

    /// Returns the changes of the entries with which they are those of the state after some
    /// updates; `current` returns the value of an entry.
    ///
    /// The report of a reader depends on nothing but that the reader is in the group, so its
    /// changes are made beside those of others. All other updates are decided by the whole state.
    ///
    /// This state is as before: it follows its entries with [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// [`StageError`].
    pub(crate) fn stage(
        &mut self,
        updates: &[GroupUpdate],
        current: impl Fn(&Bytes) -> Option<Bytes>,
    ) -> Result<EntryChanges, StageError> {
        let mut journal = Journal::default();
        let mut applied = Ok(());
        for update in updates {
            applied = applied.and_then(|()| self.state.apply_before(update.clone(), &mut journal));
        }
        let staged = applied.map_err(StageError::Unfit).and_then(|()| {
            let staged = self.staged(updates, &journal, &current);
            let changes = staged.and_then(|staged| staged.into_changes(&self.state, current));
            changes.map_err(StageError::Unstorable)
        });
        journal.undo(&mut self.state);
        staged
    }

    fn staged<'a>(
        &self,
        updates: &'a [GroupUpdate],
        journal: &Journal,
        current: &impl Fn(&Bytes) -> Option<Bytes>,
    ) -> Result<Staged<'a>, SerialError> {
        let Some(whole) = &journal.whole else {
            return Ok(Staged {
                head: self.head.clone(),
                encoded: self.index.encode(&Touched::by(journal), &self.state)?,
                void: self.void.iter().take(MAX_CHANGES).cloned().collect(),
                reporter: reporter(updates),
            });
        };
        let lags: BTreeSet<_> = whole.lags.keys().chain(journal.readers.keys()).collect();
        let lags = lags.into_iter().map(|reader| EntryKey::Lag(reader.clone()));
        let keys = self.index.keys().chain(lags).map(|key| key.to_bytes(self.head.incarnation));
        let stored = keys.filter(|key| current(key).is_some());
        begun(&self.state, &self.head, stored.chain(self.void.iter().cloned()).collect())
    }
}

/// Returns the entries of a state that replaces another one, or none.
fn begun(
    state: &ReaderGroupState,
    before: &Head,
    void: Vec<Bytes>,
) -> Result<Staged<'static>, SerialError> {
    let encoded = Index::default().encode(&Touched::all(state), state)?;
    Ok(Staged { head: before.begun_again(), encoded, void, reporter: None })
}

impl Staged<'_> {
    fn into_changes(
        self,
        after: &ReaderGroupState,
        current: impl Fn(&Bytes) -> Option<Bytes>,
    ) -> Result<EntryChanges, SerialError> {
        let Self { head, encoded, void, reporter } = self;
        let Encoded { puts, removed, unused } = encoded;
        let is_own = |key: &EntryKey| key.reader().is_some_and(|of| Some(&**of) == reporter);
        let (mut changes, mut has_own_only) = (Vec::new(), true);
        for (key, value) in puts {
            let stored = key.to_bytes(head.incarnation);
            if current(&stored).as_ref() != Some(&value) {
                has_own_only &= is_own(&key);
                changes.push((stored, Some(value)));
            }
        }
        let is_report = reporter.is_some() && has_own_only && !changes.is_empty();
        if is_report && removed.is_empty() && unused.is_empty() {
            return Ok(EntryChanges { changes, basis: Basis::Own });
        }
        let is_updating = after.is_updating_configuration();
        let head = head.changed(is_updating);
        changes.push((Bytes::from_static(HEAD), Some(head.to_bytes()?.into())));
        let to_bytes = |key: EntryKey| key.to_bytes(head.incarnation);
        changes.extend(removed.into_iter().map(|key| (to_bytes(key), None)));
        // The rest of what means nothing is removed by later changes.
        let capacity = MAX_CHANGES.saturating_sub(changes.len());
        let void = void.into_iter().chain(unused.into_iter().map(to_bytes)).take(capacity);
        changes.extend(void.map(|key| (key, None)));
        Ok(EntryChanges { changes, basis: Basis::All })
    }
}

/// Returns the reader of updates that are all its reports.
fn reporter(updates: &[GroupUpdate]) -> Option<&str> {
    let mut readers = updates.iter().map(|update| match update {
        GroupUpdate::UpdateDistanceToTail { reader, .. } => Some(&**reader),
        _ => None,
    });
    let first = readers.next()??;
    readers.all(|other| other == Some(first)).then_some(first)
}
