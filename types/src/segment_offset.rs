//! How far a segment is read: to an offset, or to its end.

use std::fmt;

use crate::Offset;

/// How far a segment is read: to an offset, or to its end.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{Offset, SegmentOffset};
///
/// assert!(SegmentOffset::At(Offset(42)) < SegmentOffset::End);
/// assert_eq!(SegmentOffset::from(Offset(42)).offset(), Some(Offset(42)));
/// assert_eq!(SegmentOffset::End.offset(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentOffset {
    /// Everything before an offset.
    At(Offset),
    /// The whole of a sealed segment.
    End,
}

/// The number that means [`SegmentOffset::End`] in stored cuts and in messages.
const END: i64 = -1;

impl SegmentOffset {
    /// Converts a number of a stored cut or of a message, in which −1 means the end.
    #[must_use]
    pub const fn from_wire(number: i64) -> Self {
        match number {
            END => Self::End,
            offset => Self::At(Offset(offset)),
        }
    }

    /// Returns the number that cuts and messages hold; −1 means the end.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        match self {
            Self::At(offset) => offset.0,
            Self::End => END,
        }
    }

    /// Returns the offset; `None` means the end of the segment.
    #[must_use]
    pub const fn offset(self) -> Option<Offset> {
        match self {
            Self::At(offset) => Some(offset),
            Self::End => None,
        }
    }
}

impl From<Offset> for SegmentOffset {
    fn from(offset: Offset) -> Self {
        Self::At(offset)
    }
}

impl fmt::Display for SegmentOffset {
    /// Shows the number that cuts and messages hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_wire().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_kept_and_only_minus_one_is_the_end() {
        for number in [i64::MIN, -2, -1, 0, i64::MAX] {
            let offset = SegmentOffset::from_wire(number);
            assert_eq!(offset.to_wire(), number);
            assert_eq!(offset == SegmentOffset::End, number == -1);
        }
    }
}
