//! Tables of the synchronizer of `pravega-client` 0.3.7, which can be read.
//!
//! That client has maps of maps in one hash table. The table has the name of the synchronizer, and
//! its keys and values are CBOR:
//!
//! ```text
//! key    text: length of the map's name (2 digits), name of the map, '/', key
//!        text: length of the map's name (2 digits), name of the map: the version of the map
//! value  map of 2: "type_id": text, "data": array of numbers below 256, which are CBOR again
//! ```
//!
//! A key that is about to be removed has the type `tombstone`.

use std::fmt;

use bytes::Bytes;
use pravega_sdk_types::{ErrorKind, Outcome};

use crate::{
    entry::{Entry, Version},
    error::TableError,
};

const TOMBSTONE: &str = "tombstone";
/// The digits before the name of a map.
const PREFIX_LEN: usize = 2;

/// An entry of a table that the synchronizer of `pravega-client` has written.
///
/// # Examples
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use pravega_sdk_table_synchronizer::{OuterMapEntry, TableSegment};
///
/// # async fn example(table: TableSegment) -> Result<(), Box<dyn std::error::Error>> {
/// let mut entries = table.entries();
/// while let Some(entry) = entries.try_next().await? {
///     if let OuterMapEntry::Value { map, key, data, .. } = OuterMapEntry::decode(&entry)? {
///         println!("{map}/{key}: {} bytes of CBOR", data.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OuterMapEntry {
    /// The value of a key in a map.
    Value {
        /// The name of the map.
        map: String,
        /// The key in it.
        key: String,
        /// The name that the program has given to the type of the value.
        type_id: String,
        /// The value, in CBOR.
        data: Bytes,
        /// The version of the entry.
        version: Version,
    },
    /// A key in a map that is being removed, and has no value any more.
    Removed {
        /// The name of the map.
        map: String,
        /// The key in it.
        key: String,
    },
    /// The record whose version changes with each change of a map.
    Map {
        /// The name of the map.
        map: String,
        /// The version of the map.
        version: Version,
    },
}

impl OuterMapEntry {
    /// Reads an entry of a table segment.
    ///
    /// # Errors
    ///
    /// [`TableError`] of the kind [`Corrupt`](ErrorKind::Corrupt), with the version of the entry,
    /// if that client has not written it.
    pub fn decode(entry: &Entry) -> Result<Self, TableError> {
        Self::parse(entry).ok_or_else(|| {
            let version = entry.version;
            let detail = format_args!(
                "the entry of version {version} is not one of a synchronizer of pravega-client"
            );
            TableError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
        })
    }

    fn parse(entry: &Entry) -> Option<Self> {
        let mut reader = Cbor(&entry.key);
        let (map, key) = split(reader.text()?)?;
        reader.end()?;
        let mut reader = Cbor(&entry.value);
        let (type_id, data) = reader.value()?;
        reader.end()?;
        let (map, version) = (map.to_owned(), entry.version);
        Some(match key {
            None => Self::Map { map, version },
            Some(key) if type_id == TOMBSTONE => Self::Removed { map, key: key.to_owned() },
            Some(key) => {
                let (key, type_id) = (key.to_owned(), type_id.to_owned());
                Self::Value { map, key, type_id, data: data.into(), version }
            }
        })
    }
}

impl fmt::Debug for OuterMapEntry {
    /// Shows lengths, as keys and values may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { map, key, data, version, .. } => {
                let (map, key, data) = (map.len(), key.len(), data.len());
                write!(f, "Value({map} and {key} bytes to {data} bytes, version {version})")
            }
            Self::Removed { map, key } => {
                write!(f, "Removed({} and {} bytes)", map.len(), key.len())
            }
            Self::Map { map, version } => write!(f, "Map({} bytes, version {version})", map.len()),
        }
    }
}

/// The name of a map, and the key in it.
fn split(key: &str) -> Option<(&str, Option<&str>)> {
    let digits = key.get(..PREFIX_LEN)?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let rest = key.get(PREFIX_LEN..)?;
    let (map, rest) = rest.split_at_checked(digits.parse().ok()?)?;
    match rest {
        "" => Some((map, None)),
        rest => Some((map, Some(rest.strip_prefix('/')?))),
    }
}

/// Bytes of CBOR that were not yet read.
struct Cbor<'b>(&'b [u8]);

const NUMBER: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

impl<'b> Cbor<'b> {
    /// Takes a head: the major type, and the number that belongs to it.
    fn head(&mut self) -> Option<(u8, u64)> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let len = match first & 0x1F {
            small @ 0..24 => return Some((first >> 5, u64::from(small))),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            // Lengths that are not known at the beginning are not written.
            _ => return None,
        };
        let bytes = self.take(len)?;
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Some((first >> 5, number))
    }

    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'b str> {
        match self.head()? {
            (TEXT, len) => std::str::from_utf8(self.take(usize::try_from(len).ok()?)?).ok(),
            _ => None,
        }
    }

    /// Takes bytes, which may be an array of numbers.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.head()? {
            (BYTES, len) => self.take(usize::try_from(len).ok()?).map(<[u8]>::to_vec),
            // Each number takes a byte at least, so no more is allocated than there is.
            (ARRAY, len) if len <= self.0.len() as u64 => (0..len).map(|_| self.byte()).collect(),
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        match self.head()? {
            (NUMBER, number) => u8::try_from(number).ok(),
            _ => None,
        }
    }

    /// Takes a value: the name of its type, and its data.
    fn value(&mut self) -> Option<(&'b str, Vec<u8>)> {
        if self.head()? != (MAP, 2) {
            return None;
        }
        let (mut type_id, mut data) = (None, None);
        for _ in 0..2 {
            match self.text()? {
                "type_id" => type_id = Some(self.text()?),
                "data" => data = Some(self.bytes()?),
                _ => return None,
            }
        }
        Some((type_id?, data?))
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a value as serde_cbor writes them, of a type with a short name.
    fn value(type_id: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xA2\x67type_id".to_vec();
        bytes.push(0x60 + u8::try_from(type_id.len()).unwrap());
        bytes.extend(type_id.as_bytes());
        bytes.extend(b"\x64data");
        bytes.push(0x80 + u8::try_from(data.len()).unwrap());
        for byte in data {
            match byte {
                0..24 => bytes.push(*byte),
                _ => bytes.extend([0x18, *byte]),
            }
        }
        bytes
    }

    fn decode(key: &[u8], value: &[u8]) -> Result<OuterMapEntry, TableError> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        OuterMapEntry::decode(&Entry { key, value, version: Version::new(7).unwrap() })
    }

    #[test]
    fn the_three_kinds_of_entries_are_read() {
        let version = Version::new(7).unwrap();
        // A value of 300 as CBOR is 19 01 2C.
        let found = decode(b"\x6C05outer/in/k", &value("i32", &[0x19, 0x01, 0x2C])).unwrap();
        let expected = OuterMapEntry::Value {
            map: "outer".into(),
            key: "in/k".into(),
            type_id: "i32".into(),
            data: Bytes::from_static(&[0x19, 0x01, 0x2C]),
            version,
        };
        assert_eq!(found, expected);
        let found = decode(b"\x6905outer/k", &value("tombstone", &[0xA0])).unwrap();
        assert_eq!(found, OuterMapEntry::Removed { map: "outer".into(), key: "k".into() });
        let found = decode(b"\x6705outer", &value("blob", &[0])).unwrap();
        assert_eq!(found, OuterMapEntry::Map { map: "outer".into(), version });
        // A name of 22 bytes needs a longer head.
        let long = [&b"\x78\x1A22"[..], "é".repeat(11).as_bytes(), b"/k"].concat();
        assert!(matches!(
            decode(&long, &value("blob", &[0])),
            Ok(OuterMapEntry::Value { map, .. }) if map == "é".repeat(11)
        ));
    }

    #[test]
    fn what_that_client_has_not_written_is_refused() {
        let good = value("i32", &[1]);
        for key in [
            &b""[..],
            b"\x01",
            b"\x61\xFF",
            b"\x60",
            b"\x62+1",
            b"\x6705oute",
            b"\x6905outer k",
            b"\x6705outer!",
            b"\x6503\xC3\xA9\xC3",
            b"\x7B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        ] {
            let error = decode(key, &good).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{key:?}");
            assert!(error.to_string().contains("version 7"), "{error}");
        }
        let key = b"\x6905outer/k";
        for len in 0..good.len() {
            assert!(decode(key, &good[..len]).is_err(), "{len} bytes");
        }
        for wrong in [
            [&good[..], &[0]].concat(),
            b"\xA1\x67type_id\x61i".to_vec(),
            b"\xA2\x67type_id\x61i\x67type_id\x61i".to_vec(),
            b"\xA2\x67type_id\x61i\x64data\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(),
            b"\xA2\x67type_id\x61i\x64data\x81\x19\x01\x00".to_vec(),
            b"\xBF\x67type_id\x61i\x64data\x80\xFF".to_vec(),
        ] {
            assert!(decode(key, &wrong).is_err(), "{wrong:?}");
        }
    }
}
