//! Ranges of a segment.

use std::{fmt, str::FromStr};

use crate::{ErrorKind, NameError, Offset, ScopedSegment, classify};

/// The bytes of a segment from one offset up to another; whole events if both offsets are those of
/// stream cuts.
///
/// The text form, `segment:start..end`, can be passed to other programs.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::SegmentRange;
///
/// let range: SegmentRange = "shop/orders/0.#epoch.0:64..128".parse()?;
/// assert_eq!(range.len(), 64);
/// assert_eq!(range.to_string(), "shop/orders/0.#epoch.0:64..128");
/// # Ok::<(), pravega_sdk_types::SegmentRangeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SegmentRange {
    segment: ScopedSegment,
    start: Offset,
    end: Offset,
}

/// A text or offsets that are not a range of a segment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentRangeError {
    /// The text is not `segment:start..end`.
    #[error("a segment range has the form segment:start..end")]
    Form,
    /// The start is negative, or after the end.
    #[error("a segment range cannot start at {start} and end at {end}")]
    Offsets {
        /// The start.
        start: i64,
        /// The end.
        end: i64,
    },
    /// The segment's name is invalid.
    #[error("the segment range has an invalid segment name")]
    Name(#[from] NameError),
}

classify!(SegmentRangeError, |error| match error {
    SegmentRangeError::Form | SegmentRangeError::Offsets { .. } => ErrorKind::InvalidArgument,
    SegmentRangeError::Name(error) => error.kind(),
});

impl SegmentRange {
    /// Creates the range of `segment` from `start` up to `end`, exclusive.
    ///
    /// # Errors
    ///
    /// [`SegmentRangeError::Offsets`] if the start is negative or after the end.
    pub fn new(
        segment: ScopedSegment,
        start: Offset,
        end: Offset,
    ) -> Result<Self, SegmentRangeError> {
        if start.0 < 0 || end < start {
            return Err(SegmentRangeError::Offsets { start: start.0, end: end.0 });
        }
        Ok(Self { segment, start, end })
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Returns the first offset.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Returns the offset after the last byte.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.0.abs_diff(self.start.0)
    }

    /// Returns true if the range has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl fmt::Display for SegmentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.segment, self.start, self.end)
    }
}

impl FromStr for SegmentRange {
    type Err = SegmentRangeError;

    fn from_str(text: &str) -> Result<Self, SegmentRangeError> {
        let (segment, offsets) = text.rsplit_once(':').ok_or(SegmentRangeError::Form)?;
        let (start, end) = offsets.split_once("..").ok_or(SegmentRangeError::Form)?;
        let offset = |text: &str| text.parse().map(Offset).map_err(|_| SegmentRangeError::Form);
        Self::new(segment.parse()?, offset(start)?, offset(end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_range_is_refused() {
        let refused = |text: &str| text.parse::<SegmentRange>().unwrap_err();
        assert_eq!(refused("s/t/0.#epoch.0"), SegmentRangeError::Form);
        assert_eq!(refused("s/t/0.#epoch.0:1-2"), SegmentRangeError::Form);
        assert_eq!(refused("s/t/0.#epoch.0:x..2"), SegmentRangeError::Form);
        assert_eq!(refused("s/t/0.#epoch.0:3..2"), SegmentRangeError::Offsets { start: 3, end: 2 });
        assert_eq!(
            refused("s/t/0.#epoch.0:-1..2"),
            SegmentRangeError::Offsets { start: -1, end: 2 }
        );
        assert!(matches!(refused("nonsense:1..2"), SegmentRangeError::Name(_)));
    }
}
