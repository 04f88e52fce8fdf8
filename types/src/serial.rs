//! The layout in which Pravega's clients store values: versioned objects and compact numbers.
//!
//! ```text
//! versioned object   00 | version u8 | revision count u8 | revisions: number u8, length i32, body
//! of several types   00 | type u8 | version u8 | revision count u8 | the same
//! compact int        0xxxxxxx | 10xxxxxx +1 byte | 11xxxxxx +3 bytes
//! compact long       00xxxxxx | 01xxxxxx +1 byte | 10xxxxxx +3 bytes | 11xxxxxx +7 bytes
//! compact signed     sign bit, then the width bits of a compact long; a negative v is -v-1
//! ```
//!
//! A reader skips revisions that it does not know, by their length, and tolerates that later ones
//! are missing; an unknown version is an error. No memory is reserved for a count alone: the bytes
//! must be there.

use crate::{ErrorKind, classify, modified_utf8};

/// An error from encoding or decoding stored bytes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a {what}, {missing} short")]
    EndOfInput {
        /// The value that was being read.
        what: &'static str,
        /// Number of missing bytes.
        missing: usize,
    },
    /// A length or count is negative.
    #[error("a {what} has the negative length {len}")]
    NegativeLength {
        /// The value that was being read.
        what: &'static str,
        /// The length found.
        len: i64,
    },
    /// The version of the object is not known.
    #[error("version {found} is not known, {known:?} are")]
    UnknownVersion {
        /// The version found.
        found: u8,
        /// The versions that can be read.
        known: &'static [u8],
    },
    /// The first byte is not that of a versioned object.
    #[error("format {0} is not known, only 0 is")]
    UnknownFormat(u8),
    /// A required revision is missing.
    #[error("revision {0} is missing")]
    MissingRevision(u8),
    /// A string is not modified UTF-8.
    #[error("a string is not modified UTF-8")]
    Text(#[from] modified_utf8::InvalidModifiedUtf8),
    /// A value does not fit its encoding.
    #[error("{value} does not fit a {what}")]
    OutOfRange {
        /// The encoding.
        what: &'static str,
        /// The value.
        value: i64,
    },
    /// A value was decoded and is not valid.
    #[error("{what} is not valid")]
    Invalid {
        /// The value.
        what: &'static str,
    },
}

classify!(SerialError, |_| ErrorKind::InvalidArgument);

/// The largest compact int.
pub const COMPACT_INT_MAX: i32 = (1 << 30) - 2;
/// The largest compact long. Positions store it for a segment that was read to its end.
pub const COMPACT_LONG_MAX: i64 = (1 << 62) - 2;
/// The largest compact signed long; the smallest is one less than its negative.
pub const COMPACT_SIGNED_LONG_MAX: i64 = (1 << 61) - 1;

/// Decodes values from a byte slice.
#[derive(Debug, Clone)]
pub struct SerialReader<'a> {
    rest: &'a [u8],
}

impl<'a> SerialReader<'a> {
    /// Creates a reader that starts at the first of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the number of bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`] if fewer bytes are left.
    pub fn bytes(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], SerialError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(SerialError::EndOfInput { what, missing: len - self.rest.len() }),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], SerialError> {
        let taken = self.bytes(what, N)?;
        taken.try_into().map_err(|_| SerialError::Invalid { what })
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn u8(&mut self) -> Result<u8, SerialError> {
        Ok(u8::from_be_bytes(self.array("byte")?))
    }

    /// Reads a 32 bit number.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn i32(&mut self) -> Result<i32, SerialError> {
        Ok(i32::from_be_bytes(self.array("int")?))
    }

    /// Reads a 64 bit number.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn i64(&mut self) -> Result<i64, SerialError> {
        Ok(i64::from_be_bytes(self.array("long")?))
    }

    /// Reads a floating-point number.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn f64(&mut self) -> Result<f64, SerialError> {
        Ok(f64::from_be_bytes(self.array("double")?))
    }

    /// Reads a UUID.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn uuid(&mut self) -> Result<uuid::Uuid, SerialError> {
        Ok(uuid::Uuid::from_bytes(self.array("uuid")?))
    }

    /// Reads a string.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`], or [`SerialError::Text`] if it is not modified UTF-8.
    pub fn utf(&mut self) -> Result<std::borrow::Cow<'a, str>, SerialError> {
        let len = u16::from_be_bytes(self.array("string length")?);
        Ok(modified_utf8::decode(self.bytes("string", usize::from(len))?)?)
    }

    /// Reads a compact int.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn compact_int(&mut self) -> Result<i32, SerialError> {
        let first = self.u8()?;
        let tail = match first >> 6 {
            0 | 1 => return Ok(i32::from(first)),
            2 => 1,
            _ => 3,
        };
        Ok(self.tail("compact int", u64::from(first & 0x3F), tail)? as i32)
    }

    /// Reads a compact long.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn compact_long(&mut self) -> Result<i64, SerialError> {
        let first = self.u8()?;
        Ok(self.tail("compact long", u64::from(first & 0x3F), tail_len(first >> 6))? as i64)
    }

    /// Reads a compact signed long.
    ///
    /// # Errors
    ///
    /// [`SerialError::EndOfInput`].
    pub fn compact_signed_long(&mut self) -> Result<i64, SerialError> {
        let first = self.u8()?;
        let tail = tail_len((first >> 5) & 3);
        let value = self.tail("compact signed long", u64::from(first & 0x1F), tail)? as i64;
        Ok(if first & 0x80 == 0 { value } else { -value - 1 })
    }

    fn tail(&mut self, what: &'static str, high: u64, len: usize) -> Result<u64, SerialError> {
        Ok(self.bytes(what, len)?.iter().fold(high, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// Reads a collection: a compact count, then each element with `element`.
    ///
    /// # Errors
    ///
    /// Errors of `element`; the count alone reserves no memory.
    pub fn collection<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, SerialError>,
    ) -> Result<Vec<T>, SerialError> {
        let count = self.compact_int()?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Reads a versioned object, and returns its revisions by number.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the object is cut short, or of a version not in `known`.
    pub fn versioned(&mut self, known: &'static [u8]) -> Result<Revisions<'a>, SerialError> {
        self.format()?;
        self.revisions(known)
    }

    /// Reads a versioned object of one of several types, and returns the number of its type with
    /// its revisions.
    ///
    /// # Errors
    ///
    /// As for [`versioned`](Self::versioned).
    pub fn versioned_of_types(
        &mut self,
        known: &'static [u8],
    ) -> Result<(u8, Revisions<'a>), SerialError> {
        self.format()?;
        Ok((self.u8()?, self.revisions(known)?))
    }

    fn format(&mut self) -> Result<(), SerialError> {
        match self.u8()? {
            0 => Ok(()),
            format => Err(SerialError::UnknownFormat(format)),
        }
    }

    fn revisions(&mut self, known: &'static [u8]) -> Result<Revisions<'a>, SerialError> {
        let version = self.u8()?;
        if !known.contains(&version) {
            return Err(SerialError::UnknownVersion { found: version, known });
        }
        let count = self.u8()?;
        let mut bodies = Vec::new();
        for _ in 0..count {
            let number = self.u8()?;
            let len = self.i32()?;
            let len = usize::try_from(len).map_err(|_| SerialError::NegativeLength {
                what: "revision",
                len: i64::from(len),
            })?;
            bodies.push((number, self.bytes("revision", len)?));
        }
        Ok(Revisions { version, bodies })
    }
}

/// Returns how many bytes follow the first, from the two width bits.
fn tail_len(bits: u8) -> usize {
    match bits {
        0 => 0,
        1 => 1,
        2 => 3,
        _ => 7,
    }
}

/// The revisions of a versioned object.
#[derive(Debug, Clone)]
pub struct Revisions<'a> {
    version: u8,
    bodies: Vec<(u8, &'a [u8])>,
}

impl<'a> Revisions<'a> {
    /// Returns the version of the object.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Returns the body of revision `number`, if the object has it.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<SerialReader<'a>> {
        self.bodies.iter().find(|(n, _)| *n == number).map(|(_, body)| SerialReader::new(body))
    }

    /// Returns the body of revision `number`, which is required.
    ///
    /// # Errors
    ///
    /// [`SerialError::MissingRevision`].
    pub fn require(&self, number: u8) -> Result<SerialReader<'a>, SerialError> {
        self.get(number).ok_or(SerialError::MissingRevision(number))
    }
}

/// Appends values to a byte vector.
#[derive(Debug, Clone, Default)]
pub struct SerialWriter {
    out: Vec<u8>,
}

impl SerialWriter {
    /// Creates an empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Appends plain bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Appends a 32 bit number.
    pub fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a 64 bit number.
    pub fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a floating-point number.
    pub fn f64(&mut self, value: f64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a UUID.
    pub fn uuid(&mut self, value: uuid::Uuid) {
        self.bytes(value.as_bytes());
    }

    /// Appends a string.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] if it takes more than 65,535 bytes.
    pub fn utf(&mut self, text: &str) -> Result<(), SerialError> {
        let len = modified_utf8::encoded_len(text);
        let short = u16::try_from(len)
            .map_err(|_| SerialError::OutOfRange { what: "string length", value: len as i64 })?;
        self.bytes(&short.to_be_bytes());
        modified_utf8::encode(text, |piece| self.bytes(piece));
        Ok(())
    }

    /// Appends a compact int.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] outside `0..=`[`COMPACT_INT_MAX`].
    pub fn compact_int(&mut self, value: i32) -> Result<(), SerialError> {
        match value {
            0..=0x7F => self.u8(value as u8),
            0x80..=0x3FFF => self.bytes(&(value as u16 | 0x8000).to_be_bytes()),
            0x4000..=COMPACT_INT_MAX => self.bytes(&(value as u32 | 0xC000_0000).to_be_bytes()),
            _ => {
                return Err(SerialError::OutOfRange {
                    what: "compact int",
                    value: i64::from(value),
                });
            }
        }
        Ok(())
    }

    /// Appends the count of a collection.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] if it is larger than [`COMPACT_INT_MAX`].
    pub fn count(&mut self, count: usize) -> Result<(), SerialError> {
        let value = i32::try_from(count)
            .map_err(|_| SerialError::OutOfRange { what: "count", value: count as i64 })?;
        self.compact_int(value)
    }

    /// Appends a compact long.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] outside `0..=`[`COMPACT_LONG_MAX`].
    pub fn compact_long(&mut self, value: i64) -> Result<(), SerialError> {
        match value {
            0..=0x3F => self.u8(value as u8),
            0x40..=0x3FFF => self.bytes(&(value as u16 | 0x4000).to_be_bytes()),
            0x4000..=0x3FFF_FFFF => self.bytes(&(value as u32 | 0x8000_0000).to_be_bytes()),
            0x4000_0000..=COMPACT_LONG_MAX => {
                self.bytes(&(value as u64 | 0xC000_0000_0000_0000).to_be_bytes());
            }
            _ => {
                return Err(SerialError::OutOfRange { what: "compact long", value });
            }
        }
        Ok(())
    }

    /// Appends a compact signed long.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] beyond [`COMPACT_SIGNED_LONG_MAX`] in either direction.
    pub fn compact_signed_long(&mut self, value: i64) -> Result<(), SerialError> {
        let (sign, magnitude) = if value < 0 { (1_u64, -(value + 1)) } else { (0, value) };
        match magnitude {
            0..=0x1F => self.u8((sign << 7) as u8 | magnitude as u8),
            0x20..=0x1FFF => {
                self.bytes(&((sign << 15) as u16 | 0x2000 | magnitude as u16).to_be_bytes());
            }
            0x2000..=0x1FFF_FFFF => {
                self.bytes(&((sign << 31) as u32 | 0x4000_0000 | magnitude as u32).to_be_bytes());
            }
            0x2000_0000..=COMPACT_SIGNED_LONG_MAX => {
                self.bytes(
                    &((sign << 63) | 0x6000_0000_0000_0000 | magnitude as u64).to_be_bytes(),
                );
            }
            _ => {
                return Err(SerialError::OutOfRange { what: "compact signed long", value });
            }
        }
        Ok(())
    }

    /// Appends a versioned object made of `revisions`, numbered from 0.
    ///
    /// # Errors
    ///
    /// [`SerialError::OutOfRange`] if a revision or their number is too large.
    pub fn versioned(&mut self, version: u8, revisions: &[Self]) -> Result<(), SerialError> {
        self.u8(0);
        self.revisions(version, revisions)
    }

    /// Appends a versioned object of one of several types, with the number of its type.
    ///
    /// # Errors
    ///
    /// As for [`versioned`](Self::versioned).
    pub fn versioned_of_type(
        &mut self,
        kind: u8,
        version: u8,
        revisions: &[Self],
    ) -> Result<(), SerialError> {
        self.u8(0);
        self.u8(kind);
        self.revisions(version, revisions)
    }

    fn revisions(&mut self, version: u8, revisions: &[Self]) -> Result<(), SerialError> {
        let too_many = |len: usize| SerialError::OutOfRange { what: "revision", value: len as i64 };
        self.u8(version);
        self.u8(u8::try_from(revisions.len()).map_err(|_| too_many(revisions.len()))?);
        for (number, revision) in (0_u8..).zip(revisions) {
            self.u8(number);
            self.i32(i32::try_from(revision.out.len()).map_err(|_| too_many(revision.out.len()))?);
            self.bytes(&revision.out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn compact_numbers_come_back(
            int in 0..=COMPACT_INT_MAX,
            long in 0..=COMPACT_LONG_MAX,
            signed in -COMPACT_SIGNED_LONG_MAX - 1..=COMPACT_SIGNED_LONG_MAX,
        ) {
            let mut writer = SerialWriter::new();
            writer.compact_int(int).unwrap();
            writer.compact_long(long).unwrap();
            writer.compact_signed_long(signed).unwrap();
            let bytes = writer.finish();
            let mut reader = SerialReader::new(&bytes);
            prop_assert_eq!(reader.compact_int().unwrap(), int);
            prop_assert_eq!(reader.compact_long().unwrap(), long);
            prop_assert_eq!(reader.compact_signed_long().unwrap(), signed);
            prop_assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let mut writer = SerialWriter::new();
        assert!(writer.compact_int(-1).is_err());
        assert!(writer.compact_int(COMPACT_INT_MAX + 1).is_err());
        assert!(writer.compact_long(-1).is_err());
        assert!(writer.compact_long(i64::MAX).is_err());
        assert!(writer.compact_signed_long(i64::MIN).is_err());
        assert!(writer.compact_signed_long(i64::MAX).is_err());
        assert!(writer.finish().is_empty());
    }

    #[test]
    fn unknown_revisions_are_skipped_and_unknown_versions_refused() {
        let mut inner = SerialWriter::new();
        inner.u8(7);
        let mut writer = SerialWriter::new();
        writer.versioned(1, &[inner.clone(), inner]).unwrap();
        let bytes = writer.finish();
        let revisions = SerialReader::new(&bytes).versioned(&[1]).unwrap();
        assert_eq!(revisions.require(0).unwrap().u8().unwrap(), 7);
        assert!(revisions.get(2).is_none());
        assert_eq!(
            SerialReader::new(&bytes).versioned(&[0]).unwrap_err(),
            SerialError::UnknownVersion { found: 1, known: &[0] }
        );
    }

    #[test]
    fn an_object_of_several_types_has_its_type_before_its_version() {
        let mut body = SerialWriter::new();
        body.u8(9);
        let mut writer = SerialWriter::new();
        writer.versioned_of_type(7, 1, &[body]).unwrap();
        let bytes = writer.finish();
        assert_eq!(bytes, [0, 7, 1, 1, 0, 0, 0, 0, 1, 9]);
        let (kind, revisions) = SerialReader::new(&bytes).versioned_of_types(&[1]).unwrap();
        assert_eq!((kind, revisions.require(0).unwrap().u8().unwrap()), (7, 9));
    }

    #[test]
    fn a_count_without_bytes_after_it_reserves_nothing() {
        let bytes = [0xFF, 0xFF, 0xFF, 0xFE];
        let read = SerialReader::new(&bytes).collection(|r| r.u8());
        assert!(matches!(read, Err(SerialError::EndOfInput { .. })));
    }
}
