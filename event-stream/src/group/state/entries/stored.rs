//! The entries of a state as they are stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};

use super::{
    super::{
        group_state::ReaderGroupState,
        serial::parts::{VERSIONS, read_bool, write_bool},
    },
    content::{Content, Sets},
    key::{EntryKey, HEAD, Incarnation, List},
    page::{Pages, page_from_bytes},
};

/// The entry that every change writes, except reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) incarnation: Incarnation,
    /// The number of changes.
    pub(super) changes: u64,
    pub(super) is_updating_configuration: bool,
}

/// The entries of a state as they are stored, from which the changes of the next update follow.
#[derive(Debug, Default)]
pub(crate) struct StoredEntries {
    pub(super) head: Head,
    /// The entries that mean something, without the head.
    pub(super) entries: BTreeMap<EntryKey, Bytes>,
    pub(super) pages: BTreeMap<List, Pages>,
    pub(super) sets: Sets,
    /// The keys of entries that mean nothing any more.
    pub(super) void: Vec<Bytes>,
}

impl StoredEntries {
    /// Reads the entries of a state; `None` if there is no state.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if they are not the entries of a state.
    pub(crate) fn read(
        entries: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Option<(Self, ReaderGroupState)>, SerialError> {
        let (heads, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key == HEAD);
        let Some((_, head)) = heads.first() else { return Ok(None) };
        let mut stored = Self { head: Head::from_bytes(head)?, ..Self::default() };
        for (key, value) in others {
            let read = EntryKey::from_bytes(&key);
            let (incarnation, of) = read.ok_or(SerialError::Invalid { what: "key of an entry" })?;
            if incarnation == stored.head.incarnation {
                stored.entries.insert(of, value);
            } else {
                stored.void.push(key);
            }
        }
        let (state, sets) = stored.content()?.into_state()?;
        stored.sets = sets;
        stored.drop_void();
        Ok(Some((stored, state)))
    }

    fn content(&mut self) -> Result<Content, SerialError> {
        let mut content = Content {
            is_updating_configuration: self.head.is_updating_configuration,
            ..Content::default()
        };
        for (key, value) in &self.entries {
            match key {
                EntryKey::Configuration(_) => content.configuration.extend_from_slice(value),
                EntryKey::Checkpoints => content.checkpoints = value.to_vec(),
                EntryKey::Lag(reader) => {
                    content.lags.insert(reader.clone(), SerialReader::new(value).i64()?);
                }
                EntryKey::Page(list, number) => {
                    let items = page_from_bytes(value)?;
                    let list_items = content.lists.entry(list.clone()).or_default();
                    list_items.extend(items.iter().cloned());
                    self.pages.entry(list.clone()).or_default().insert(*number, items);
                }
            }
        }
        Ok(content)
    }

    /// Sets aside the entries of sets that no checkpoint has.
    fn drop_void(&mut self) {
        let Self { head, entries, pages, sets, void } = self;
        entries.retain(|key, _| {
            let has_meaning = key.set().is_none_or(|set| sets.has(set));
            if !has_meaning {
                void.push(key.to_bytes(head.incarnation));
            }
            has_meaning
        });
        pages.retain(|list, _| list.set().is_none_or(|set| sets.has(set)));
    }
}

impl Head {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let mut to = SerialWriter::new();
        to.bytes(&self.incarnation.to_be_bytes());
        to.bytes(&self.changes.to_be_bytes());
        write_bool(&mut to, self.is_updating_configuration);
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[to])?;
        Ok(writer.finish())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut from = revisions.require(0)?;
        Ok(Self {
            incarnation: read_number(&mut from)?,
            changes: read_number(&mut from)?,
            is_updating_configuration: read_bool(&mut from)?,
        })
    }
}

fn read_number(from: &mut SerialReader<'_>) -> Result<u64, SerialError> {
    let bytes = from.bytes("number", 8)?;
    let bytes = bytes.try_into().map_err(|_| SerialError::Invalid { what: "number" })?;
    Ok(u64::from_be_bytes(bytes))
}
