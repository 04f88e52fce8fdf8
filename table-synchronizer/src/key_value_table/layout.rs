//! How the keys of a key-value table are stored: the primary key and then the secondary key, both
//! of a fixed length, without anything between them.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use pravega_sdk_types::{ErrorKind, Outcome};

use super::key::{Key, Keys, Part, Selection};
use crate::{
    error::TableError,
    segment::{KeyLength, TableKind, next_key},
};

/// The lengths of the keys of a key-value table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyLayout {
    primary: usize,
    secondary: usize,
    total: KeyLength,
}

impl KeyLayout {
    /// Creates the layout of keys of these lengths in bytes; a secondary length of 0 means that
    /// there are no secondary keys.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no primary key, or both together are longer than 256 bytes.
    pub fn new(primary: u32, secondary: u32) -> Result<Self, TableError> {
        if primary == 0 {
            return Err(TableError::invalid("a primary key has at least one byte"));
        }
        let total = KeyLength::new(primary.saturating_add(secondary))?;
        let lens = (usize::try_from(primary), usize::try_from(secondary));
        let (Ok(primary), Ok(secondary)) = lens else {
            return Err(TableError::invalid("the keys are longer than any memory"));
        };
        Ok(Self { primary, secondary, total })
    }

    pub(super) fn kind(self) -> TableKind {
        TableKind::FixedKeys(self.total)
    }

    /// Returns the bytes under which an entry is stored.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a part of the key does not have the length of the table's keys.
    pub fn join(self, key: &Key) -> Result<Bytes, TableError> {
        check("primary key", key.primary(), self.primary)?;
        check("secondary key", key.secondary(), self.secondary)?;
        if self.secondary == 0 {
            return Ok(key.primary().clone());
        }
        Ok(both(key.primary(), key.secondary()))
    }

    /// Returns the key of stored bytes; `None` if they do not have the length of the table's keys.
    #[must_use]
    pub fn split(self, stored: &Bytes) -> Option<Key> {
        if stored.len() != self.total.get() {
            return None;
        }
        let mut secondary = stored.clone();
        let primary = secondary.split_to(self.primary);
        Some(Key::new(primary).with_secondary(secondary))
    }

    /// As [`split`](Self::split), of bytes that a server returned.
    pub(super) fn place(self, stored: &Bytes) -> Result<Key, TableError> {
        self.split(stored).ok_or_else(|| {
            let detail = "a stored key has another length than the keys of the table";
            TableError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
        })
    }

    /// Returns the stored bytes that follow those of a key in the order of keys, at most up to
    /// those of another: where an iteration goes on.
    #[must_use]
    pub fn next(self, last: &Bytes, to: &Bytes) -> Option<Bytes> {
        next_key(last).filter(|next| next <= to)
    }

    /// Returns the stored bytes of the first and the last key of some.
    ///
    /// # Errors
    ///
    /// [`TableError`] if a part of a key does not have the length of the table's keys, or a prefix
    /// is longer.
    pub fn bounds(self, keys: &Keys) -> Result<RangeInclusive<Bytes>, TableError> {
        match &keys.0 {
            Selection::Primary(part) => {
                let (from, to) = ends("primary key", part, self.primary)?;
                let filled = |end: &[u8], byte| both(end, &vec![byte; self.secondary]);
                Ok(filled(&from, 0)..=filled(&to, 0xFF))
            }
            Selection::Secondary { primary, part } => {
                check("primary key", primary, self.primary)?;
                let (from, to) = ends("secondary key", part, self.secondary)?;
                Ok(both(primary, &from)..=both(primary, &to))
            }
        }
    }
}

fn both(first: &[u8], second: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(first);
    joined.extend_from_slice(second);
    joined.freeze()
}

fn check(what: &str, key: &[u8], wanted: usize) -> Result<(), TableError> {
    let len = key.len();
    if len == wanted {
        return Ok(());
    }
    Err(TableError::invalid(format_args!(
        "a {what} has {len} bytes, and those of the table have {wanted}"
    )))
}

/// The first and the last key of a part of all keys of a length.
fn ends(what: &str, part: &Part, len: usize) -> Result<(Bytes, Bytes), TableError> {
    match part {
        Part::Range { from, to } => {
            let end = |end: &Option<Bytes>, byte| match end {
                None => Ok(vec![byte; len].into()),
                Some(end) => check(what, end, len).map(|()| end.clone()),
            };
            Ok((end(from, 0)?, end(to, 0xFF)?))
        }
        Part::Prefix(prefix) => {
            let Some(rest) = len.checked_sub(prefix.len()) else {
                return Err(TableError::invalid(format_args!(
                    "the prefix of a {what} has {} bytes, and the keys have {len}",
                    prefix.len()
                )));
            };
            Ok((both(prefix, &vec![0; rest]), both(prefix, &vec![0xFF; rest])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_key_follow_each_other_and_are_found_again() {
        let layout = KeyLayout::new(2, 3).unwrap();
        let key = Key::new("ab").with_secondary("xyz");
        assert_eq!(layout.join(&key).unwrap(), "abxyz");
        assert_eq!(layout.split(&"abxyz".into()), Some(key));
        assert_eq!(layout.split(&"abxy".into()), None);
        let primary = Key::new("abxyz");
        assert_eq!(KeyLayout::new(5, 0).unwrap().join(&primary).unwrap(), "abxyz");
        for wrong in [Key::new("ab"), Key::new("a").with_secondary("wxyz"), Key::new("abxyz")] {
            assert!(layout.join(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_ends_of_a_selection_are_filled_with_the_lowest_and_the_highest_bytes() {
        let layout = KeyLayout::new(2, 1).unwrap();
        let bounds = |keys: Keys| layout.bounds(&keys).unwrap();
        let range = |from: &'static [u8], to: &'static [u8]| {
            Bytes::from_static(from)..=Bytes::from_static(to)
        };
        assert_eq!(bounds(Keys::all()), range(&[0; 3], &[0xFF; 3]));
        assert_eq!(bounds(Keys::prefix("a")), range(b"a\0\0", b"a\xff\xff"));
        assert_eq!(bounds(Keys::of("ab")), range(b"ab\0", b"ab\xff"));
        let part = Keys::of("ab").secondary_range(Some("d".into()), None);
        assert_eq!(bounds(part), range(b"abd", b"ab\xff"));
        assert_eq!(bounds(Keys::of("ab").secondary_prefix("d")), range(b"abd", b"abd"));
        let part = Keys::range(Some("aa".into()), Some("bb".into()));
        assert_eq!(bounds(part), range(b"aa\0", b"bb\xff"));
        for wrong in [
            Keys::prefix("abc"),
            Keys::of("a"),
            Keys::range(Some("a".into()), None),
            Keys::of("ab").secondary_prefix("xx"),
        ] {
            assert!(layout.bounds(&wrong).is_err());
        }
    }

    #[test]
    fn a_layout_has_a_primary_key_and_at_most_256_bytes() {
        assert!(KeyLayout::new(0, 4).is_err());
        assert!(KeyLayout::new(200, 57).is_err() && KeyLayout::new(u32::MAX, 1).is_err());
        assert_eq!(KeyLayout::new(200, 56).unwrap().kind(), TableKind::FixedKeys(KeyLength::MAX));
    }
}
