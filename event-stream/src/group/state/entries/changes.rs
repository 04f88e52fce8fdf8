//! What an update of a state changes in its entries.

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_types::serial::{SerialError, SerialWriter};

use super::{
    super::{group_state::ReaderGroupState, update::GroupUpdate},
    content::{Content, Sets},
    key::{EntryKey, HEAD, List, PageNumber},
    page::{Order, page_to_bytes, place},
    stored::{Head, StoredEntries},
};

/// The most entries that a store changes together.
const MAX_CHANGES: usize = 255;
/// The length of a chunk of the configuration, in bytes.
const CHUNK: usize = 512 * 1024;

/// The entries that an update changes, all together or none.
#[derive(Debug, PartialEq, Eq)]
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

impl StoredEntries {
    /// Returns the changes of the entries with which they are those of the state after some
    /// updates. Of a group without a state these are entries by default.
    ///
    /// The report of a reader depends on nothing but that the reader is in the group, so its
    /// changes are made beside those of others. All other updates are decided by the whole state.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a name or a number does not fit the layout.
    pub(crate) fn changes(
        &self,
        updates: &[GroupUpdate],
        after: &ReaderGroupState,
    ) -> Result<EntryChanges, SerialError> {
        if updates.iter().any(begins_again) {
            let head = Head { incarnation: self.head.incarnation + 1, ..self.head.clone() };
            let none = Self { head, ..Self::default() };
            let void = self.entries.keys().map(|key| key.to_bytes(self.head.incarnation));
            let void: Vec<Bytes> = void.chain(self.void.iter().cloned()).collect();
            return none.different(after, &void, None);
        }
        self.different(after, &self.void, reporter(updates))
    }

    /// Returns the changes to the entries of another state.
    fn different(
        &self,
        after: &ReaderGroupState,
        void: &[Bytes],
        reporter: Option<&str>,
    ) -> Result<EntryChanges, SerialError> {
        let content = Content::of(after, &self.sets)?;
        let is_updating_configuration = content.is_updating_configuration;
        let (new, sets) = self.encoded(content)?;
        let incarnation = self.head.incarnation;
        let to_bytes = |key: &EntryKey| key.to_bytes(incarnation);
        let puts: Vec<_> =
            new.iter().filter(|(key, value)| self.entries.get(key) != Some(value)).collect();
        let removed: Vec<_> = self.entries.keys().filter(|key| !new.contains_key(key)).collect();
        let is_own = |key: &EntryKey| key.reader().is_some_and(|of| Some(&**of) == reporter);
        let has_own_only = !puts.is_empty() && puts.iter().all(|(key, _)| is_own(key));
        let put = |(key, value): (&EntryKey, &Bytes)| (to_bytes(key), Some(value.clone()));
        let mut changes: Vec<_> = puts.into_iter().map(put).collect();
        if reporter.is_some() && has_own_only && removed.is_empty() {
            return Ok(EntryChanges { changes, basis: Basis::Own });
        }
        let head = Head { incarnation, changes: self.head.changes + 1, is_updating_configuration };
        changes.push((Bytes::from_static(HEAD), Some(head.to_bytes()?.into())));
        let has_meaning = |key: &&EntryKey| key.set().is_none_or(|set| sets.has(set));
        let (removed, unused): (Vec<_>, Vec<_>) = removed.into_iter().partition(has_meaning);
        changes.extend(removed.into_iter().map(|key| (to_bytes(key), None)));
        // The rest of what means nothing is removed by later changes.
        let capacity = MAX_CHANGES.saturating_sub(changes.len());
        let void = void.iter().cloned().chain(unused.into_iter().map(to_bytes)).take(capacity);
        changes.extend(void.map(|key| (key, None)));
        Ok(EntryChanges { changes, basis: Basis::All })
    }

    /// Returns the entries of a state, whose lists stay in the pages where they are.
    fn encoded(&self, content: Content) -> Result<(BTreeMap<EntryKey, Bytes>, Sets), SerialError> {
        let mut entries = BTreeMap::new();
        for (number, chunk) in (0..).zip(content.configuration.chunks(CHUNK)) {
            entries.insert(EntryKey::Configuration(number), Bytes::copy_from_slice(chunk));
        }
        entries.insert(EntryKey::Checkpoints, content.checkpoints.into());
        for (reader, lag) in content.lags {
            let mut to = SerialWriter::new();
            to.i64(lag);
            entries.insert(EntryKey::Lag(reader), to.finish().into());
        }
        for (list, items) in content.lists {
            let mut pages = place(self.pages.get(&list), items, list.order());
            if pages.is_empty() {
                // That a reader is in the group is what its first page says.
                pages.insert(PageNumber::MIN, Vec::new());
            }
            for (number, items) in pages {
                let bytes = page_to_bytes(&items)?.into();
                entries.insert(EntryKey::Page(list.clone(), number), bytes);
            }
        }
        Ok((entries, content.sets))
    }
}

fn begins_again(update: &GroupUpdate) -> bool {
    matches!(update, GroupUpdate::Init(_) | GroupUpdate::Compact(_))
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

impl List {
    fn order(&self) -> Order {
        match self {
            Self::Future | Self::Assigned(_) | Self::Unassigned | Self::OtherRead => Order::Kept,
            Self::Ends | Self::Positions(_) | Self::Waiting(_) => Order::Free,
        }
    }
}
