//! Changes as the log has them, and the values of the state.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    log::SegmentNumber,
    record::{Attributes, KeyVersion, Many, Millis},
};

/// A change without bytes of segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum StateChange {
    /// A segment was created, with a number that no other had.
    Created {
        segment: SegmentNumber,
        name: ByteString,
        key_len: Option<u32>,
        attributes: Attributes,
        at: Millis,
    },
    /// A segment, which is gone, was appended to another.
    Merged {
        target: Option<SegmentNumber>,
        source: SegmentNumber,
        /// The name of the source.
        name: ByteString,
        /// The offset in the target.
        from: u64,
        /// The number of bytes.
        len: u64,
        /// Where the bytes are, from the first on.
        parts: Vec<PartOf>,
        /// The place in the order of merges.
        order: u64,
        /// The first merge that is still remembered.
        oldest: u64,
        attributes: Attributes,
        at: Millis,
    },
    /// Attributes were set.
    Attributed { segment: SegmentNumber, attributes: Attributes },
    /// A segment was sealed.
    Sealed { segment: SegmentNumber, at: Millis },
    /// The bytes before an offset were dropped.
    Truncated { segment: SegmentNumber, offset: u64, at: Millis },
    /// A segment was deleted.
    Deleted { segment: SegmentNumber },
    /// Entries were put, the first of them at an offset.
    Put { segment: SegmentNumber, from: u64, entries: Vec<(Bytes, Bytes)>, at: Millis },
    /// Keys were removed, the first of them at an offset.
    Removed { segment: SegmentNumber, from: u64, keys: Vec<Bytes>, at: Millis },
    /// A segment without bytes has this start, or a table this length.
    Restored { segment: SegmentNumber, start: u64, len: u64 },
    /// An entry of a table has a version.
    RestoredEntry { segment: SegmentNumber, key: Bytes, value: Bytes, version: KeyVersion },
    /// An entry of the catalog was set or removed.
    Entry {
        key: String,
        value: Option<Bytes>,
        /// The number of streams and scopes that have left, with this one.
        leaving: Option<u64>,
    },
    /// A change of many segments was begun.
    Many { key: u64, many: Many },
    /// It was made for one of them.
    Made { key: u64, index: u32 },
}

/// What changes with bytes that are appended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AppendedMeta {
    pub(crate) attributes: Attributes,
    pub(crate) at: Millis,
}

/// A part of a segment: where some bytes from an offset on are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartOf {
    /// The offset.
    pub(crate) at: u64,
    /// The number of bytes.
    pub(crate) len: u64,
    /// The segment in whose records they are.
    pub(crate) segment: SegmentNumber,
    /// The offset in that segment.
    pub(crate) from: u64,
}

impl PartOf {
    /// The offset after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

/// The value of a change of many segments, of which some are not made yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ManyState {
    pub(crate) many: Many,
    /// All segments before this index are done.
    pub(crate) done: u32,
    /// The others that are.
    pub(crate) early: Vec<u32>,
}

/// The value of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentState {
    pub(crate) name: ByteString,
    /// The length of every key of a table, 0 if it varies; `None` for a stream.
    pub(crate) key_len: Option<u32>,
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) sealed: bool,
    pub(crate) modified: Millis,
}

/// The numbers that are given next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct NextNumbers {
    pub(crate) segment: u64,
    pub(crate) merge: u64,
    pub(crate) many: u64,
    /// The number of streams and scopes that have left.
    pub(crate) leavings: u64,
}

/// The length of the header before the key of an entry of a table, in bytes.
pub(crate) const ENTRY_HEADER_LEN: usize = 17;

/// A value as bytes.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    // Writing plain values to memory does not fail. If it did, the empty value would be refused
    // when it is read back.
    postcard::to_allocvec(value).unwrap_or_default().into()
}

/// A value from bytes, all of which it takes; `None` if it is not one.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

impl StateChange {
    /// The ids of attributes.
    pub(crate) fn ids(attributes: &Attributes) -> impl Iterator<Item = Uuid> + '_ {
        attributes.iter().map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::SegmentId;

    use super::*;
    use crate::record::Each;

    const ONE: SegmentNumber = SegmentNumber(1);
    const OTHER: SegmentNumber = SegmentNumber(300);
    const AT: Millis = Millis(5);

    fn changes() -> Vec<StateChange> {
        let attributes = || vec![(Uuid::from_u128(0x0102), 7)];
        let (name, bytes) = (|| ByteString::from("a/b"), Bytes::from_static);
        let part = PartOf { at: 9, len: 2, segment: OTHER, from: 4 };
        let ids = vec![SegmentId::from(3)];
        let many = Many { stream: name(), ids, transaction: None, change: Each::Sealed, at: AT };
        vec![
            StateChange::Created {
                segment: ONE,
                name: name(),
                key_len: Some(8),
                attributes: attributes(),
                at: AT,
            },
            StateChange::Merged {
                target: Some(ONE),
                source: OTHER,
                name: name(),
                from: 9,
                len: 2,
                parts: vec![part],
                order: 3,
                oldest: 1,
                attributes: attributes(),
                at: AT,
            },
            StateChange::Attributed { segment: ONE, attributes: attributes() },
            StateChange::Sealed { segment: ONE, at: AT },
            StateChange::Truncated { segment: ONE, offset: 200, at: AT },
            StateChange::Deleted { segment: OTHER },
            StateChange::Put {
                segment: ONE,
                from: 20,
                entries: vec![(bytes(b"k"), bytes(b"v"))],
                at: AT,
            },
            StateChange::Removed { segment: ONE, from: 20, keys: vec![bytes(b"k")], at: AT },
            StateChange::Restored { segment: ONE, start: 3, len: 4 },
            StateChange::RestoredEntry {
                segment: ONE,
                key: bytes(b"k"),
                value: bytes(b"v"),
                version: KeyVersion(6),
            },
            StateChange::Entry {
                key: "scope/s".to_owned(),
                value: Some(bytes(b"v")),
                leaving: Some(2),
            },
            StateChange::Many { key: 4, many },
            StateChange::Made { key: 4, index: 1 },
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn changes_and_values_have_the_layout_of_earlier_versions() {
        let mut found: Vec<String> = changes().iter().map(|change| hex(&encode(change))).collect();
        let state = SegmentState {
            name: "a/b".into(),
            key_len: None,
            start: 1,
            len: 2,
            sealed: true,
            modified: AT,
        };
        let next = NextNumbers { segment: 1, merge: 2, many: 3, leavings: 4 };
        let meta = AppendedMeta { attributes: vec![(Uuid::from_u128(0x0102), 7)], at: AT };
        found.extend([hex(&encode(&state)), hex(&encode(&next)), hex(&encode(&meta))]);
        assert_eq!(found, LAYOUT);
    }

    #[test]
    fn every_change_is_read_back_and_no_part_of_it_is_one() {
        for change in changes() {
            let bytes = encode(&change);
            assert_eq!(decode(&bytes).as_ref(), Some(&change));
            for len in 0..bytes.len() {
                assert_eq!(decode::<StateChange>(&bytes[..len]), None, "{change:?}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(decode::<StateChange>(&longer), None, "{change:?}");
        }
    }

    const LAYOUT: [&str; 16] = [
        "000103612f6201080110000000000000000000000000000001020e0a",
        "010101ac0203612f620902010902ac020403010110000000000000000000000000000001020e0a",
        "02010110000000000000000000000000000001020e",
        "03010a",
        "0401c8010a",
        "05ac02",
        "06011401016b01760a",
        "07011401016b0a",
        "08010304",
        "0901016b01760c",
        "0a0773636f70652f730101760102",
        "0b0403612f62010600020a",
        "0c0401",
        "03612f62000102010a",
        "01020304",
        "0110000000000000000000000000000001020e0a",
    ];
}
