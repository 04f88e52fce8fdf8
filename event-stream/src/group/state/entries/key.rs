//! The keys of entries.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};

/// The key of the head.
pub(super) const HEAD: &[u8] = b"h";

/// What tells the state of a group apart from that before the group began again.
pub(super) type Incarnation = u64;
/// The number of what belongs to one checkpoint.
pub(super) type SetNumber = u64;
pub(super) type PageNumber = u32;

/// A list of which each page is an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    /// Where reading of segments ends.
    Ends,
    /// Segments that begin later.
    Future,
    /// How far segments were read that are in no other list.
    OtherRead,
    /// The positions of a checkpoint.
    Positions(SetNumber),
    /// The segments of a reader. It has a page if the reader is in the group.
    Assigned(Arc<str>),
    /// The segments without a reader.
    Unassigned,
    /// The readers for which a checkpoint waits.
    Waiting(SetNumber),
}

/// What an entry of an incarnation is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKey {
    /// A chunk of the configuration.
    Configuration(PageNumber),
    /// The names of checkpoints, and their sets.
    Checkpoints,
    /// The lag of a reader.
    Lag(Arc<str>),
    /// A page of a list.
    Page(List, PageNumber),
}

impl EntryKey {
    /// Returns the reader of which the entry is.
    pub(super) fn reader(&self) -> Option<&Arc<str>> {
        match self {
            Self::Lag(reader) | Self::Page(List::Assigned(reader), _) => Some(reader),
            _ => None,
        }
    }

    pub(super) fn to_bytes(&self, incarnation: Incarnation) -> Bytes {
        let mut to = BytesMut::new();
        to.put_u64(incarnation);
        match self {
            Self::Configuration(page) => {
                to.put_u8(b'c');
                to.put_u32(*page);
            }
            Self::Checkpoints => to.put_u8(b'k'),
            Self::Lag(reader) => {
                to.put_u8(b'l');
                to.put_slice(reader.as_bytes());
            }
            Self::Page(list, page) => {
                list.write(&mut to);
                to.put_u32(*page);
            }
        }
        to.freeze()
    }

    /// Reads the key of an entry that is not the head; `None` if it is none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Incarnation, Self)> {
        let (incarnation, rest) = bytes.split_first_chunk()?;
        let (tag, rest) = rest.split_first()?;
        let key = match tag {
            b'c' => Self::Configuration(u32::from_be_bytes(rest.try_into().ok()?)),
            b'k' if rest.is_empty() => Self::Checkpoints,
            b'l' => Self::Lag(text(rest)?),
            tag => {
                let (rest, page) = rest.split_last_chunk()?;
                Self::Page(List::read(*tag, rest)?, u32::from_be_bytes(*page))
            }
        };
        Some((u64::from_be_bytes(*incarnation), key))
    }
}

impl List {
    /// Returns the set that the list is.
    pub(super) fn set(&self) -> Option<SetNumber> {
        match self {
            Self::Positions(set) | Self::Waiting(set) => Some(*set),
            _ => None,
        }
    }

    fn write(&self, to: &mut BytesMut) {
        match self {
            Self::Ends => to.put_u8(b'e'),
            Self::Future => to.put_u8(b'f'),
            Self::OtherRead => to.put_u8(b'o'),
            Self::Positions(set) => {
                to.put_u8(b'p');
                to.put_u64(*set);
            }
            Self::Assigned(reader) => {
                to.put_u8(b'r');
                to.put_slice(reader.as_bytes());
            }
            Self::Unassigned => to.put_u8(b'u'),
            Self::Waiting(set) => {
                to.put_u8(b'w');
                to.put_u64(*set);
            }
        }
    }

    fn read(tag: u8, rest: &[u8]) -> Option<Self> {
        let set = || rest.try_into().ok().map(u64::from_be_bytes);
        match tag {
            b'e' if rest.is_empty() => Some(Self::Ends),
            b'f' if rest.is_empty() => Some(Self::Future),
            b'o' if rest.is_empty() => Some(Self::OtherRead),
            b'p' => set().map(Self::Positions),
            b'r' => text(rest).map(Self::Assigned),
            b'u' if rest.is_empty() => Some(Self::Unassigned),
            b'w' => set().map(Self::Waiting),
            _ => None,
        }
    }
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(bytes).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_no_other_bytes_are_one() {
        let keys = [
            EntryKey::Configuration(3),
            EntryKey::Checkpoints,
            EntryKey::Lag("reader".into()),
            EntryKey::Lag("".into()),
            EntryKey::Page(List::Ends, 0),
            EntryKey::Page(List::Future, 1),
            EntryKey::Page(List::OtherRead, 2),
            EntryKey::Page(List::Positions(u64::MAX), u32::MAX),
            EntryKey::Page(List::Assigned("läser\0".into()), 7),
            EntryKey::Page(List::Assigned("".into()), 7),
            EntryKey::Page(List::Unassigned, 0),
            EntryKey::Page(List::Waiting(9), 0),
        ];
        for key in keys {
            let bytes = key.to_bytes(5);
            assert_ne!(bytes, HEAD);
            assert_eq!(EntryKey::from_bytes(&bytes), Some((5, key)));
        }
        for bytes in [&b""[..], b"1234567", b"12345678", b"12345678x0000", b"12345678e000"] {
            assert_eq!(EntryKey::from_bytes(bytes), None, "{bytes:?}");
        }
        assert_eq!(EntryKey::from_bytes(b"12345678u+0000"), None);
        assert_eq!(EntryKey::from_bytes(b"12345678k+"), None);
        assert_eq!(EntryKey::from_bytes(b"12345678l\xFF"), None);
    }
}
