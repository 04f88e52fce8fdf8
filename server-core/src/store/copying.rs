//! How far a copy of all segments has come.

use bytestring::ByteString;
use uuid::Uuid;

use crate::record::KeyVersion;

/// How far a copy has come.
///
/// The segments are copied from the last name to the first: the segment of a transaction, whose
/// name begins with that of the segment that it is merged into, is copied before it.
#[derive(Debug, Default)]
pub(super) enum CopyPlace {
    /// Nothing is copied.
    #[default]
    Begin,
    /// The segments after this one are copied, and a part of it.
    Within(ByteString, CopiedPart),
    /// This segment is copied, and those after it.
    From(ByteString),
    /// Everything is copied.
    End,
}

/// The part of a segment that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopiedPart {
    /// The attributes up to this one.
    Attributes(Uuid),
    /// All attributes, and the bytes before this offset.
    Bytes(u64),
    /// All attributes, and the entries up to this version.
    Entries(KeyVersion),
}

/// How much of a segment is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Nothing,
    Part(CopiedPart),
    Whole,
}

impl CopyPlace {
    pub(super) fn extent(&self, segment: &str) -> Extent {
        match self {
            Self::Begin => Extent::Nothing,
            Self::Within(name, part) if **name == *segment => Extent::Part(*part),
            Self::Within(name, _) => Extent::whole_if(*segment > **name),
            Self::From(name) => Extent::whole_if(*segment >= **name),
            Self::End => Extent::Whole,
        }
    }
}

impl Extent {
    fn whole_if(is_whole: bool) -> Self {
        if is_whole { Self::Whole } else { Self::Nothing }
    }
}

impl CopiedPart {
    /// Returns true if an attribute is in the part.
    pub(super) fn has_attribute(self, id: Uuid) -> bool {
        match self {
            Self::Attributes(last) => id <= last,
            Self::Bytes(_) | Self::Entries(_) => true,
        }
    }
}
