//! The limits of requests about tables, and batches within them.
//!
//! The numbers are those of Java's client 0.13.0, which are tighter than the server's or equal.

use std::{collections::HashMap, fmt};

use bytes::Bytes;

use super::change::Item;
use crate::{entry::Put, error::TableError};

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 8192;
/// The longest value, in bytes. The server refuses a key and a value that are more than 1 MiB less
/// 17 bytes together.
pub const MAX_VALUE_LEN: usize = (1 << 20) - MAX_KEY_LEN;
/// The most keys that are changed together.
pub const MAX_BATCH_ITEMS: usize = 256;
/// The most bytes that are sent in one change: a frame, less 8 KiB for all but the entries.
pub const MAX_BATCH_BYTES: usize = 0x00FF_FFFF - 8192;
/// The most keys of one request to read: the reply has them all, and must fit a frame.
pub(crate) const MAX_READ_KEYS: usize = 15;
/// The bytes of an entry on the wire besides its key and value: lengths of the key, of the value
/// and of both, and the version.
const ITEM_OVERHEAD: usize = 4 + 4 + 8 + 4 + 4;

/// The length of every key of a table segment, 1 to 256 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyLength(u16);

impl KeyLength {
    /// The longest.
    pub const MAX: Self = Self(256);

    /// Creates a length.
    ///
    /// # Errors
    ///
    /// [`TableError`] if it is not within 1 to 256.
    pub fn new(bytes: u32) -> Result<Self, TableError> {
        match u16::try_from(bytes) {
            Ok(len) if (1..=Self::MAX.0).contains(&len) => Ok(Self(len)),
            _ => Err(TableError::invalid(format_args!(
                "keys of one length have 1 to {} bytes, not {bytes}",
                Self::MAX
            ))),
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of a table segment, which decides about its keys and its iterations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// Keys of 1 to 8192 bytes, in the order of their hashes; the changes since a position can be
    /// read.
    Hash,
    /// Keys of one length, in their own order; a range of them can be read.
    FixedKeys(KeyLength),
}

impl TableKind {
    /// Returns the length of the keys as the protocol has it: 0 for any.
    pub(crate) fn to_wire(self) -> i32 {
        match self {
            Self::Hash => 0,
            Self::FixedKeys(len) => i32::from(len.0),
        }
    }

    /// Returns the kind of a table whose keys have a length of the protocol.
    pub(crate) fn from_wire(key_length: i32) -> Option<Self> {
        match u32::try_from(key_length) {
            Ok(0) | Err(_) => Some(Self::Hash),
            Ok(len) => KeyLength::new(len).ok().map(Self::FixedKeys),
        }
    }

    /// Describes the keys, for errors.
    pub(crate) fn keys(self) -> Keys {
        Keys(self)
    }

    pub(crate) fn check_key(self, number: usize, key: &[u8]) -> Result<(), TableError> {
        let len = key.len();
        match self {
            _ if len == 0 => Err(TableError::invalid(format_args!("key {number} is empty"))),
            Self::FixedKeys(wanted) if len != wanted.get() => Err(TableError::invalid(
                format_args!("key {number} has {len} bytes, and the keys of the table {wanted}"),
            )),
            _ if len > MAX_KEY_LEN => Err(TableError::invalid(format_args!(
                "key {number} has {len} bytes, and a key has at most {MAX_KEY_LEN}"
            ))),
            _ => Ok(()),
        }
    }
}

/// The keys of a kind of table, as an error describes them.
pub(crate) struct Keys(TableKind);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TableKind::Hash => write!(f, "keys of 1 to {MAX_KEY_LEN} bytes"),
            TableKind::FixedKeys(len) => write!(f, "keys of {len} bytes each"),
        }
    }
}

/// Checks keys that are read.
pub(crate) fn check_keys(kind: TableKind, keys: &[Bytes]) -> Result<(), TableError> {
    keys.iter().enumerate().try_for_each(|(number, key)| kind.check_key(number, key))
}

/// Checks the items of one change: their lengths, their number, and that each key occurs once.
pub(crate) fn check_changes(kind: TableKind, items: &[Item]) -> Result<(), TableError> {
    if items.len() > MAX_BATCH_ITEMS {
        return Err(TableError::invalid(format_args!(
            "{} keys are changed together, and at most {MAX_BATCH_ITEMS} can be",
            items.len()
        )));
    }
    let mut seen = HashMap::with_capacity(items.len());
    let mut bytes = 0;
    for (number, item) in items.iter().enumerate() {
        kind.check_key(number, &item.key)?;
        let value = item.value.as_ref().map_or(0, Bytes::len);
        if value > MAX_VALUE_LEN {
            return Err(TableError::invalid(format_args!(
                "value {number} has {value} bytes, and a value has at most {MAX_VALUE_LEN}"
            )));
        }
        if let Some(first) = seen.insert(&item.key, number) {
            return Err(TableError::invalid(format_args!(
                "key {number} is the same as key {first}, and a key is changed once at a time"
            )));
        }
        bytes += ITEM_OVERHEAD + item.key.len() + value;
    }
    if bytes > MAX_BATCH_BYTES {
        return Err(TableError::invalid(format_args!(
            "the keys and values have {bytes} bytes together, and at most {MAX_BATCH_BYTES} can \
             be changed together"
        )));
    }
    Ok(())
}

/// Cuts entries into batches that each fit one change, in order. Each batch is put as a whole or
/// not at all, all together are not.
///
/// An entry that is over a limit is in a batch of its own, which is refused.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::{Put, put_batches};
///
/// let entries = (0_u32..600).map(|key| Put::new(key.to_be_bytes().to_vec(), "x"));
/// let batches: Vec<Vec<Put>> = put_batches(entries).collect();
/// assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
/// ```
pub fn put_batches(entries: impl IntoIterator<Item = Put>) -> impl Iterator<Item = Vec<Put>> {
    let mut entries = entries.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![entries.next()?];
        let len = |put: &Put| ITEM_OVERHEAD + put.key.len() + put.value.len();
        let mut bytes: usize = batch.iter().map(len).sum();
        while batch.len() < MAX_BATCH_ITEMS
            && let Some(next) = entries.next_if(|next| bytes + len(next) <= MAX_BATCH_BYTES)
        {
            bytes += len(&next);
            batch.push(next);
        }
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ErrorKind;

    use super::*;
    use crate::entry::Condition;

    fn item(key: Vec<u8>, value: Vec<u8>) -> Item {
        Item { key: key.into(), value: Some(value.into()), condition: Condition::Any }
    }

    fn fixed(len: u32) -> TableKind {
        TableKind::FixedKeys(KeyLength::new(len).unwrap())
    }

    #[track_caller]
    fn refused(kind: TableKind, items: &[Item], text: &str) {
        let error = check_changes(kind, items).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn a_change_over_a_limit_is_refused_with_the_number_of_the_item_and_the_limit() {
        let ok = || item(vec![1; 4], vec![]);
        refused(TableKind::Hash, &[ok(), item(vec![], vec![])], "key 1 is empty");
        refused(TableKind::Hash, &[ok(), item(vec![1; 8193], vec![])], "key 1 has 8193 bytes");
        refused(fixed(4), &[ok(), item(vec![1; 3], vec![])], "key 1 has 3 bytes");
        refused(TableKind::Hash, &[item(vec![1], vec![0; 1_040_385])], "value 0 has 1040385 bytes");
        refused(TableKind::Hash, &[ok(), ok()], "key 1 is the same as key 0");
        let many: Vec<Item> = (0..257_u32).map(|n| item(n.to_be_bytes().into(), vec![])).collect();
        refused(TableKind::Hash, &many, "257 keys");
        let large: Vec<Item> = (0..17_u8).map(|n| item(vec![n], vec![0; 1_000_000])).collect();
        refused(TableKind::Hash, &large, "at most 16769023");
        let most = item(vec![1; 8192], vec![0; 1_040_384]);
        assert!(check_changes(TableKind::Hash, &[most]).is_ok());
        assert!(check_changes(fixed(4), &[ok()]).is_ok());
        assert!(check_changes(TableKind::Hash, &[]).is_ok(), "no change is one too");
    }

    #[test]
    fn a_length_of_keys_is_1_to_256_bytes() {
        assert!(KeyLength::new(0).is_err() && KeyLength::new(257).is_err());
        assert_eq!(KeyLength::new(256).unwrap(), KeyLength::MAX);
        for len in [-1, 0] {
            assert_eq!(TableKind::from_wire(len), Some(TableKind::Hash));
        }
        assert_eq!(TableKind::from_wire(8), Some(fixed(8)));
        assert_eq!(TableKind::from_wire(257), None);
    }

    #[test]
    fn batches_keep_the_order_and_are_within_the_limits() {
        let put = |n: u32| Put::new(n.to_be_bytes().to_vec(), vec![0; 100_000]);
        let entries: Vec<Put> = (0..400).map(put).collect();
        let batches: Vec<Vec<Put>> = put_batches(entries.clone()).collect();
        assert_eq!(batches.concat(), entries);
        assert_eq!(batches.len(), 3, "167 of these fit a frame");
        for batch in batches {
            let items: Vec<Item> = batch.iter().map(Item::from).collect();
            assert!(check_changes(TableKind::Hash, &items).is_ok());
        }
        let over = Put::new("k", vec![0; 20_000_000]);
        let batches: Vec<Vec<Put>> = put_batches([over.clone(), over]).collect();
        assert_eq!(batches.len(), 2, "each alone, so that the right one is refused");
    }
}
