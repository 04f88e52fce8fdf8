//! Keys, values and versions of tables.

use std::fmt;

use bytes::Bytes;
use pravega_sdk_wire_protocol::TableKey;

/// The version of a key in a table segment; each change of the key gives it a higher one.
///
/// It is the offset in the table segment at which the store wrote the entry, so the first is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(i64);

impl Version {
    /// Creates a version from a number that was a version before; `None` if it is negative.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What must hold of a key when it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// The key does not exist.
    Absent,
    /// The key has this version.
    At(Version),
}

impl Condition {
    /// Returns the number that the protocol has for the condition.
    pub(crate) fn to_wire(self) -> i64 {
        match self {
            Self::Any => TableKey::NO_VERSION,
            Self::Absent => TableKey::NOT_EXISTS,
            Self::At(version) => version.0,
        }
    }
}

impl From<Version> for Condition {
    fn from(version: Version) -> Self {
        Self::At(version)
    }
}

/// An entry to put into a table segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Bytes,
    /// The value, which may be empty.
    pub value: Bytes,
    /// What must hold of the key.
    pub condition: Condition,
}

impl Put {
    /// Creates an entry without a condition.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: value.into(), condition: Condition::Any }
    }

    /// Sets what must hold of the key. Default: nothing.
    #[must_use]
    pub fn when(mut self, condition: impl Into<Condition>) -> Self {
        self.condition = condition.into();
        self
    }
}

impl fmt::Debug for Put {
    /// Shows the lengths, as keys and values may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key.len(), self.value.len());
        write!(f, "Put({key} bytes to {value} bytes, {:?})", self.condition)
    }
}

/// A key to remove from a table segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Removal {
    /// The key.
    pub key: Bytes,
    /// What must hold of the key.
    pub condition: Condition,
}

impl Removal {
    /// Creates a removal without a condition: a key that does not exist is no failure.
    pub fn new(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), condition: Condition::Any }
    }

    /// Sets what must hold of the key. Default: nothing.
    #[must_use]
    pub fn when(mut self, condition: impl Into<Condition>) -> Self {
        self.condition = condition.into();
        self
    }
}

impl fmt::Debug for Removal {
    /// Shows the length of the key, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Removal({} bytes, {:?})", self.key.len(), self.condition)
    }
}

/// An entry of a table segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The version of the key.
    pub version: Version,
}

impl fmt::Debug for Entry {
    /// Shows the lengths, as keys and values may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key.len(), self.value.len());
        write!(f, "Entry({key} bytes to {value} bytes, version {})", self.version)
    }
}

/// A key of a table segment, with its version.
#[derive(Clone, PartialEq, Eq)]
pub struct VersionedKey {
    /// The key.
    pub key: Bytes,
    /// Its version.
    pub version: Version,
}

impl fmt::Debug for VersionedKey {
    /// Shows the length of the key, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionedKey({} bytes, version {})", self.key.len(), self.version)
    }
}
