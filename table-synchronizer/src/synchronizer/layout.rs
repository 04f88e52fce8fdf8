//! How the entries of a synchronizer are stored in a hash table.
//!
//! ```text
//! key                       value
//! 00 'i'                    format (1 byte), identity of the table (16 bytes)
//! 00 'c'                    the highest version of a removal that was cleaned away (8 bytes)
//! 00 'w', writer (16 bytes) the receipt of a writer: the number of its last change (8 bytes)
//! 01, key of an entry       01, value: the entry; 00: the entry was removed
//! ```
//!
//! Numbers are big-endian. A removal is stored as a value, because a table does not report keys
//! that are removed from it. A receipt is written with each change of a writer and by no other
//! client, so it shows whether a change was made whose reply was lost.

use bytes::{BufMut as _, Bytes, BytesMut};
use pravega_sdk_types::{ErrorKind, Offset, Outcome};

use crate::{
    entry::{Entry, Version},
    error::TableError,
    segment::{MAX_KEY_LEN, MAX_VALUE_LEN},
};

/// The longest key of an entry, in bytes.
pub(crate) const MAX_ENTRY_KEY_LEN: usize = MAX_KEY_LEN - 1;
/// The longest value of an entry, in bytes.
pub(crate) const MAX_ENTRY_VALUE_LEN: usize = MAX_VALUE_LEN - 1;

pub(crate) const IDENTITY_KEY: &[u8] = b"\0i";
pub(crate) const CLEANED_KEY: &[u8] = b"\0c";
const RECEIPT_PREFIX: &[u8] = b"\0w";
const ENTRY: u8 = 1;
const PRESENT: u8 = 1;
const REMOVED: u8 = 0;
const FORMAT: u8 = 1;
/// The bytes that the store writes before the key and the value of an entry.
const STORED_HEADER_LEN: i64 = 17;

/// What distinguishes a table from another one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(pub(crate) u128);

/// What distinguishes a synchronizer from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WriterId(pub(crate) u128);

/// A stored entry, by its meaning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Identity(Identity),
    /// Removals up to this version were cleaned away.
    Cleaned(Version),
    Receipt {
        writer: WriterId,
        number: u64,
    },
    /// The bytes are slices of what was received.
    Entry {
        key: Bytes,
        value: Option<Bytes>,
    },
}

impl Stored {
    /// Reads a stored entry.
    ///
    /// # Errors
    ///
    /// [`TableError`] with the version of the entry, if no synchronizer has written it.
    pub(crate) fn read(entry: &Entry) -> Result<Self, TableError> {
        Self::parse(&entry.key, &entry.value).ok_or_else(|| {
            let (kind, detail) = match is_of_later_format(entry) {
                true => (ErrorKind::Unsupported, "is of a later format than this client reads"),
                false => (ErrorKind::Corrupt, "is not one of a table synchronizer"),
            };
            let version = entry.version;
            let detail = format_args!("the entry of version {version} {detail}");
            TableError::new(kind, Outcome::NotApplied, detail)
        })
    }

    fn parse(key: &Bytes, value: &Bytes) -> Option<Self> {
        if key.as_ref() == IDENTITY_KEY {
            let id = value.strip_prefix(&[FORMAT])?;
            return Some(Self::Identity(Identity(u128::from_be_bytes(id.try_into().ok()?))));
        }
        if key.as_ref() == CLEANED_KEY {
            let version = i64::from_be_bytes(value.as_ref().try_into().ok()?);
            return Some(Self::Cleaned(Version::new(version)?));
        }
        if let Some(writer) = key.strip_prefix(RECEIPT_PREFIX) {
            let writer = WriterId(u128::from_be_bytes(writer.try_into().ok()?));
            let number = u64::from_be_bytes(value.as_ref().try_into().ok()?);
            return Some(Self::Receipt { writer, number });
        }
        let value = match (key.first()?, value.first()?) {
            (&ENTRY, &PRESENT) => Some(value.slice(1..)),
            (&ENTRY, &REMOVED) if value.len() == 1 => None,
            _ => return None,
        };
        Some(Self::Entry { key: key.slice(1..), value })
    }
}

fn is_of_later_format(entry: &Entry) -> bool {
    entry.key == IDENTITY_KEY && entry.value.first().is_some_and(|format| *format > FORMAT)
}

/// The stored key of an entry.
pub(crate) fn entry_key(key: &[u8]) -> Bytes {
    prefixed(&[ENTRY], key)
}

/// The stored value of an entry; `None` for a removal.
pub(crate) fn entry_value(value: Option<&[u8]>) -> Bytes {
    match value {
        Some(value) => prefixed(&[PRESENT], value),
        None => Bytes::from_static(&[REMOVED]),
    }
}

pub(crate) fn identity_value(identity: Identity) -> Bytes {
    prefixed(&[FORMAT], &identity.0.to_be_bytes())
}

pub(crate) fn cleaned_value(version: Version) -> Bytes {
    prefixed(&[], &version.get().to_be_bytes())
}

pub(crate) fn receipt_key(writer: WriterId) -> Bytes {
    prefixed(RECEIPT_PREFIX, &writer.0.to_be_bytes())
}

pub(crate) fn receipt_value(number: u64) -> Bytes {
    prefixed(&[], &number.to_be_bytes())
}

fn prefixed(prefix: &[u8], bytes: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(prefix.len() + bytes.len());
    joined.put_slice(prefix);
    joined.put_slice(bytes);
    joined.freeze()
}

/// The offset after an entry with a version, if the store writes it as all known stores do.
pub(crate) fn end_of(version: Version, key: &[u8], value: &[u8]) -> Option<Offset> {
    let len = i64::try_from(key.len() + value.len()).ok()?;
    version.get().checked_add(STORED_HEADER_LEN + len).map(Offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<Stored, TableError> {
        let version = Version::new(7).unwrap();
        Stored::read(&Entry { key: key.into(), value: value.into(), version })
    }

    #[test]
    fn what_is_stored_is_read_as_it_was_meant() {
        let (identity, writer) = (Identity(1 << 100), WriterId(2 << 100));
        let version = Version::new(300).unwrap();
        let entry = |value| Stored::Entry { key: "k".into(), value };
        for (key, value, expected) in [
            (IDENTITY_KEY.into(), identity_value(identity), Stored::Identity(identity)),
            (CLEANED_KEY.into(), cleaned_value(version), Stored::Cleaned(version)),
            (receipt_key(writer), receipt_value(9), Stored::Receipt { writer, number: 9 }),
            (entry_key(b"k"), entry_value(Some(b"v")), entry(Some("v".into()))),
            (entry_key(b"k"), entry_value(Some(b"")), entry(Some("".into()))),
            (entry_key(b"k"), entry_value(None), entry(None)),
        ] {
            let key: Bytes = key;
            assert_eq!(read(key, value).unwrap(), expected);
        }
    }

    #[test]
    fn an_entry_that_no_synchronizer_has_written_is_refused_with_its_place() {
        for (key, value) in [
            (&b"\0i"[..], &b""[..]),
            (b"\0i", b"\x01short"),
            (b"\0c", b"1234567"),
            (b"\0c", &[0xFF; 8]),
            (b"\0w1234567890123456", b"1234567"),
            (b"\0wshort", b"12345678"),
            (b"\0x", b""),
            (b"\x01k", b""),
            (b"\x01k", b"\x02"),
            (b"\x01k", b"\0more"),
            (b"k", b"\x01v"),
        ] {
            let error = read(key, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{key:?}");
            assert!(error.to_string().contains("the entry of version 7 is not one"), "{error}");
        }
        let later = read(IDENTITY_KEY, [&[2][..], &[0; 40]].concat()).unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Unsupported, "{later}");
    }

    #[test]
    fn the_next_entry_is_written_where_the_one_before_ends() {
        let version = Version::new(100).unwrap();
        assert_eq!(end_of(version, b"key", b"v"), Some(Offset(121)));
        assert_eq!(end_of(Version::new(i64::MAX).unwrap(), b"", b""), None);
    }
}
