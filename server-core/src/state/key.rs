//! The keys of the state.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use uuid::Uuid;

use crate::log::SegmentNumber;

/// The key of a value, in the order in which a checkpoint has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StateKey {
    /// The numbers that are given next.
    Next,
    /// An entry of the catalog.
    Catalog(String),
    /// A segment.
    Segment(SegmentNumber),
    /// An attribute of a segment.
    Attribute(SegmentNumber, Uuid),
    /// A key of a table segment.
    Entry(SegmentNumber, Bytes),
    /// The part of a segment from an offset on, which is in the records of another.
    Part(SegmentNumber, u64),
    /// A merge that is remembered, by its place in the order of merges.
    Merge(u64),
    /// A change of many segments that is not made yet.
    Many(u64),
}

impl StateKey {
    /// The key as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        // As long as the key: it may be kept for long.
        let mut out = BytesMut::with_capacity(self.encoded_len());
        match self {
            Self::Next => out.put_u8(0),
            Self::Catalog(entry) => {
                out.put_u8(1);
                out.put_slice(entry.as_bytes());
            }
            Self::Segment(number) => put(&mut out, 2, number.0),
            Self::Attribute(number, id) => {
                put(&mut out, 3, number.0);
                out.put_u128(id.as_u128());
            }
            Self::Entry(number, key) => {
                put(&mut out, 4, number.0);
                out.put_slice(key);
            }
            Self::Part(number, at) => {
                put(&mut out, 5, number.0);
                out.put_u64(*at);
            }
            Self::Merge(order) => put(&mut out, 6, *order),
            Self::Many(key) => put(&mut out, 7, *key),
        }
        out.freeze()
    }

    /// The segment that the value is of; `None` if it is of none.
    pub(crate) fn segment(&self) -> Option<SegmentNumber> {
        match self {
            Self::Segment(number)
            | Self::Attribute(number, _)
            | Self::Entry(number, _)
            | Self::Part(number, _) => Some(*number),
            Self::Next | Self::Catalog(_) | Self::Merge(_) | Self::Many(_) => None,
        }
    }

    fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Next => 0,
            Self::Catalog(entry) => entry.len(),
            Self::Segment(_) | Self::Merge(_) | Self::Many(_) => 8,
            Self::Attribute(..) => 24,
            Self::Entry(_, key) => 8 + key.len(),
            Self::Part(..) => 16,
        }
    }

    /// The key in some bytes; `None` if it is not one.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let tag = bytes.try_get_u8().ok()?;
        if tag == 1 {
            return Some(Self::Catalog(std::str::from_utf8(bytes).ok()?.to_owned()));
        }
        if tag == 0 {
            return bytes.is_empty().then_some(Self::Next);
        }
        let number = bytes.try_get_u64().ok()?;
        let of = SegmentNumber(number);
        let key = match tag {
            2 => Self::Segment(of),
            3 => Self::Attribute(of, Uuid::from_u128(bytes.try_get_u128().ok()?)),
            // A copy, as it may be kept longer than what it was read from.
            4 => return Some(Self::Entry(of, Bytes::copy_from_slice(bytes))),
            5 => Self::Part(of, bytes.try_get_u64().ok()?),
            6 => Self::Merge(number),
            7 => Self::Many(number),
            _ => return None,
        };
        bytes.is_empty().then_some(key)
    }
}

fn put(out: &mut BytesMut, tag: u8, number: u64) {
    out.put_u8(tag);
    out.put_u64(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_back_and_no_other_bytes_are_a_key() {
        let number = SegmentNumber(0x0102_0304_0506_0708);
        let keys = [
            StateKey::Next,
            StateKey::Catalog("state/s/n".to_owned()),
            StateKey::Segment(number),
            StateKey::Attribute(number, Uuid::from_u128(9)),
            StateKey::Entry(number, Bytes::from_static(b"key")),
            StateKey::Part(number, 7),
            StateKey::Merge(5),
            StateKey::Many(6),
        ];
        for key in &keys {
            let bytes = key.encode();
            assert_eq!(bytes.len(), key.encoded_len());
            assert_eq!(StateKey::decode(&bytes).as_ref(), Some(key));
            if !matches!(key, StateKey::Catalog(_) | StateKey::Entry(..)) {
                let (cut, longer) = (&bytes[..bytes.len() - 1], [&bytes[..], &[0]].concat());
                assert_eq!(StateKey::decode(cut), None, "{key:?}");
                assert_eq!(StateKey::decode(&longer), None, "{key:?}");
            }
        }
        let encoded: Vec<Bytes> = keys.iter().map(StateKey::encode).collect();
        assert!(encoded.is_sorted());
        assert_eq!(StateKey::decode(&[8, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(StateKey::decode(&[1, 0xFF]), None);
    }
}
