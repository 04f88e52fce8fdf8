//! Versions of the keys of a key-value table, in the forms in which Java's client stores them.
//!
//! ```text
//! text     segment id:version, both decimal
//! bytes    a versioned object: 00 | version 0 | 1 revision | 0, length 8 | version i64
//!          without bytes: the key must not exist
//! ```

use std::{fmt, str::FromStr};

use pravega_sdk_types::{
    ErrorKind, SegmentId, classify,
    serial::{SerialError, SerialReader, SerialWriter},
};
use pravega_sdk_wire_protocol::TableKey;

use crate::entry::{Condition, Version};

/// The version of a key in a key-value table: the partition that has the key, and the version
/// there. Its text is the one of Java's client.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::KeyVersion;
///
/// let version: KeyVersion = "4294967298:9".parse()?;
/// assert_eq!(version.to_string(), "4294967298:9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyVersion {
    segment: SegmentId,
    version: Version,
}

/// What must hold of a key of a key-value table when it is changed.
///
/// Its text and its bytes are those of a version in Java's client.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::KeyCondition;
///
/// let condition: KeyCondition = "4294967298:9".parse()?;
/// assert_eq!(condition.to_string(), "4294967298:9");
/// assert!(matches!(condition, KeyCondition::At(version) if version.version().get() == 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyCondition {
    /// Nothing.
    #[default]
    Any,
    /// The key does not exist.
    Absent,
    /// The key has this version.
    At(KeyVersion),
}

/// A version that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyVersionError {
    /// The text is not two numbers with a colon between them.
    #[error("a version of a key is `segment:version`, two numbers")]
    Text,
    /// No version has this number.
    #[error("no version of a key has the number {0}")]
    Number(i64),
    /// The bytes are not a stored version.
    #[error("the bytes are not a version of a key")]
    Bytes(#[from] SerialError),
}

classify!(KeyVersionError, |_| ErrorKind::InvalidArgument);

/// The segment of a version that belongs to none.
const NO_SEGMENT: i64 = i64::MIN;

impl KeyVersion {
    /// Creates a version from its parts.
    #[must_use]
    pub fn new(segment: SegmentId, version: Version) -> Self {
        Self { segment, version }
    }

    /// Returns the segment of the partition that has the key.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Returns the version in that segment.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", i64::from(self.segment), self.version)
    }
}

impl FromStr for KeyVersion {
    type Err = KeyVersionError;

    fn from_str(text: &str) -> Result<Self, KeyVersionError> {
        match text.parse()? {
            KeyCondition::At(version) => Ok(version),
            other @ (KeyCondition::Any | KeyCondition::Absent) => {
                Err(KeyVersionError::Number(other.number()))
            }
        }
    }
}

impl From<KeyVersion> for KeyCondition {
    fn from(version: KeyVersion) -> Self {
        Self::At(version)
    }
}

impl KeyCondition {
    /// Returns the condition in the segment of a partition; `None` for a version of another one.
    pub(super) fn within(self, segment: SegmentId) -> Option<Condition> {
        match self {
            Self::Any => Some(Condition::Any),
            Self::Absent => Some(Condition::Absent),
            Self::At(version) if version.segment == segment => Some(Condition::At(version.version)),
            Self::At(_) => None,
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Any => TableKey::NO_VERSION,
            Self::Absent => TableKey::NOT_EXISTS,
            Self::At(version) => version.version.get(),
        }
    }

    fn of(segment: SegmentId, number: i64) -> Result<Self, KeyVersionError> {
        match number {
            TableKey::NO_VERSION => Ok(Self::Any),
            TableKey::NOT_EXISTS => Ok(Self::Absent),
            _ => Version::new(number)
                .map(|version| Self::At(KeyVersion { segment, version }))
                .ok_or(KeyVersionError::Number(number)),
        }
    }

    /// Returns the bytes. They have the version only, not the segment.
    ///
    /// # Errors
    ///
    /// [`KeyVersionError`]; none is known to occur.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyVersionError> {
        if *self == Self::Absent {
            return Ok(Vec::new());
        }
        let mut number = SerialWriter::new();
        number.i64(self.number());
        let mut object = SerialWriter::new();
        object.versioned(0, &[number])?;
        Ok(object.finish())
    }

    /// Reads bytes of a key in a segment.
    ///
    /// # Errors
    ///
    /// [`KeyVersionError`] if they are not a stored version.
    pub fn from_bytes(segment: SegmentId, bytes: &[u8]) -> Result<Self, KeyVersionError> {
        if bytes.is_empty() {
            return Ok(Self::Absent);
        }
        let number = SerialReader::new(bytes).versioned(&[0])?.require(0)?.i64()?;
        Self::of(segment, number)
    }
}

impl fmt::Display for KeyCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(version) => version.fmt(f),
            Self::Any | Self::Absent => write!(f, "{NO_SEGMENT}:{}", self.number()),
        }
    }
}

impl FromStr for KeyCondition {
    type Err = KeyVersionError;

    fn from_str(text: &str) -> Result<Self, KeyVersionError> {
        let (segment, number) = text.split_once(':').ok_or(KeyVersionError::Text)?;
        let parse = |text: &str| text.parse::<i64>().map_err(|_| KeyVersionError::Text);
        let (segment, number) = (parse(segment)?, parse(number)?);
        Self::of(SegmentId::from(segment), number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_that_are_no_version_are_refused() {
        for text in ["", "1", "1:", ":1", "a:1", "1:b", "1:2:3", "1:-2", "1:99999999999999999999"] {
            assert!(text.parse::<KeyCondition>().is_err(), "{text:?}");
        }
        for text in [KeyCondition::Any, KeyCondition::Absent].map(|any| any.to_string()) {
            assert!(text.parse::<KeyVersion>().is_err(), "{text:?} is a condition, no version");
        }
        let segment = SegmentId::from(3);
        let bytes = "3:7".parse::<KeyCondition>().unwrap().to_bytes().unwrap();
        assert_eq!(KeyCondition::from_bytes(segment, &bytes).unwrap().to_string(), "3:7");
        for len in 1..bytes.len() {
            assert!(KeyCondition::from_bytes(segment, &bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_version_is_one_of_its_partition_only() {
        let condition: KeyCondition = "3:7".parse().unwrap();
        let version = Version::new(7).unwrap();
        assert_eq!(condition.within(SegmentId::from(3)), Some(Condition::At(version)));
        assert_eq!(condition.within(SegmentId::from(4)), None);
        assert_eq!(KeyCondition::Absent.within(SegmentId::from(4)), Some(Condition::Absent));
    }
}
