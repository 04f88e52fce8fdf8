//! Requests that change table segments.

use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{TableEntry, TableKey};

use super::{
    refusal::{Refusal, Result},
    requests::Step,
    segment::attribute,
    state::Store,
    table::{Table, TableRefusal},
};
use crate::record::{KeyVersion, Record};

/// The longest key of a table segment with keys of one length, in bytes.
const MAX_FIXED_KEY_LEN: i32 = 256;

impl Step<'_> {
    /// Creates a table segment with keys of one length, or of any length if it is 0.
    ///
    /// # Errors
    ///
    /// [`Refusal::Close`] if the length of the keys is above 256 bytes, and those of
    /// [`create`](Self::create).
    pub fn create_table(
        &mut self,
        segment: &ByteString,
        key_len: i32,
        rollover: i64,
    ) -> Result<()> {
        let key_len = match key_len {
            ..=0 => 0,
            1..=MAX_FIXED_KEY_LEN => key_len.unsigned_abs(),
            _ => return Err(Refusal::Close("the length of the keys is above 256")),
        };
        let attributes = vec![(attribute::ROLLOVER_SIZE, rollover.max(0))];
        self.create_as(segment, Some(key_len), attributes)
    }

    /// Deletes a table segment; with `must_be_empty` only if it has no entries.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotEmpty`] if it must be empty and is not.
    pub fn delete_table(&mut self, segment: &ByteString, must_be_empty: bool) -> Result<()> {
        let (table, _) = self.store.table(segment)?;
        match must_be_empty {
            true if table.key_len() > 0 => Err(Refusal::Table(TableRefusal::Unsupported)),
            true if table.entry_count() > 0 => Err(Refusal::NotEmpty),
            _ => self.delete(segment),
        }
    }

    /// Puts all entries or refuses all; returns their versions. The table must end at `offset`,
    /// unless that is `None`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Truncated`] if the table ends elsewhere, [`Refusal::Table`] if a key does not
    /// have the version given.
    pub fn put(
        &mut self,
        segment: &ByteString,
        entries: Vec<TableEntry>,
        offset: Option<Offset>,
    ) -> Result<Vec<KeyVersion>> {
        let (table, len) = table_to_change(self.store, segment, offset)?;
        table.check_update(&entries).map_err(Refusal::Table)?;
        let mut next = len;
        let mut versions = Vec::with_capacity(entries.len());
        for entry in &entries {
            versions.push(KeyVersion(next as i64));
            next += Table::entries_len(std::slice::from_ref(entry));
        }
        let entries = entries.into_iter().map(|entry| (entry.key.data, entry.value.data)).collect();
        self.commit(Record::Put { segment: segment.clone(), entries, at: self.at.now })?;
        Ok(versions)
    }

    /// Removes all keys or refuses all. The table must end at `offset`, unless that is `None`.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub fn remove(
        &mut self,
        segment: &ByteString,
        keys: &[TableKey],
        offset: Option<Offset>,
    ) -> Result<()> {
        self.check_writable()?;
        let (table, _) = table_to_change(self.store, segment, offset)?;
        table.check_remove(keys).map_err(Refusal::Table)?;
        let keys = keys.iter().map(|key| key.data.clone()).collect();
        self.commit(Record::Removed { segment: segment.clone(), keys, at: self.at.now })
    }
}

fn table_to_change<'a>(
    store: &'a Store,
    segment: &ByteString,
    offset: Option<Offset>,
) -> Result<(&'a Table, u64)> {
    let found = store.segment(segment)?;
    let (table, len) = found.table().ok_or(Refusal::Close("the segment is not a table"))?;
    if found.sealed {
        return Err(Refusal::Sealed);
    }
    if offset.is_some_and(|offset| offset != Offset(len as i64)) {
        return Err(Refusal::Truncated { start: len });
    }
    Ok((table, len))
}
