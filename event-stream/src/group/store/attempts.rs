//! What clients of a thread have tried to change in tables, for tests that follow a state.
//!
//! A table has values and no updates, so its history alone does not say why it changed.

use std::cell::RefCell;

use bytes::Bytes;

use super::super::state::{GroupUpdate, ReaderGroupState, StoredState};

thread_local! {
    static ATTEMPTS: RefCell<Option<Vec<TableAttempt>>> = const { RefCell::new(None) };
}

/// A change of a table that was tried, which may have been made or not.
#[derive(Debug, Clone, PartialEq)]
pub struct TableAttempt {
    /// The updates of the state.
    pub updates: Vec<GroupUpdate>,
    /// The entries of the table that they change; `None` for one that is removed.
    pub entries: Vec<(Bytes, Option<Bytes>)>,
}

/// Begins to keep the attempts that are made on this thread, and forgets those before.
pub fn keep_table_attempts() {
    ATTEMPTS.with_borrow_mut(|attempts| *attempts = Some(Vec::new()));
}

/// Returns the attempts that were kept, and ends keeping them.
#[must_use]
pub fn take_table_attempts() -> Vec<TableAttempt> {
    ATTEMPTS.with_borrow_mut(Option::take).unwrap_or_default()
}

/// Returns the state that some entries of a table are; `None` if they are none.
#[must_use]
pub fn state_of_entries(
    entries: impl IntoIterator<Item = (Bytes, Bytes)>,
) -> Option<ReaderGroupState> {
    StoredState::read(entries).ok()?.map(|stored| stored.state().clone())
}

/// Notes an attempt, if they are kept.
pub(super) fn note(updates: &[GroupUpdate], entries: &[(Bytes, Option<Bytes>)]) {
    ATTEMPTS.with_borrow_mut(|attempts| {
        if let Some(attempts) = attempts {
            let (updates, entries) = (updates.to_vec(), entries.to_vec());
            attempts.push(TableAttempt { updates, entries });
        }
    });
}
