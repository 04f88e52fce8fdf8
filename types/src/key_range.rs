//! Parts of the key space `[0.0, 1.0)`.

use std::fmt;

use crate::{ErrorKind, classify};

/// The part of the key space that a segment owns: from `low` up to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyRange {
    low: f64,
    high: f64,
}

/// Bounds, or a set of ranges, that are refused.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum KeyRangeError {
    /// A bound is not a number, or is outside the key space.
    #[error("key range {low}..{high} is refused: both bounds must be in 0.0..=1.0")]
    OutsideKeySpace {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// The lower bound is not below the upper one.
    #[error("key range {low}..{high} is empty: its lower bound must be below its upper bound")]
    Empty {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// The set of ranges is empty.
    #[error("no key ranges are given")]
    None,
    /// Two neighboring ranges leave a gap.
    #[error("key ranges {first} and {second} leave a gap between them")]
    Gap {
        /// The range below.
        first: KeyRange,
        /// The range above.
        second: KeyRange,
    },
    /// Two neighboring ranges overlap.
    #[error("key ranges {first} and {second} overlap")]
    Overlap {
        /// The range below.
        first: KeyRange,
        /// The range above.
        second: KeyRange,
    },
}

classify!(KeyRangeError, |_| ErrorKind::InvalidArgument);

impl KeyRange {
    /// The whole key space.
    pub const FULL: Self = Self { low: 0.0, high: 1.0 };

    /// Creates a range from two bounds.
    ///
    /// # Errors
    ///
    /// [`KeyRangeError`] if a bound is not in `0.0..=1.0`, or `low` is not below `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, KeyRangeError> {
        if !(0.0..=1.0).contains(&low) || !(0.0..=1.0).contains(&high) {
            return Err(KeyRangeError::OutsideKeySpace { low, high });
        }
        if low >= high {
            return Err(KeyRangeError::Empty { low, high });
        }
        Ok(Self { low, high })
    }

    /// Splits the key space into `count` equal ranges, with the rounding of the controller.
    ///
    /// For some counts (49, 98, 103, …) the last bound ends just below 1.0; see
    /// [`SegmentMap::segment_for`](crate::SegmentMap::segment_for) for what that means.
    #[must_use]
    pub fn equal(count: u32) -> Vec<Self> {
        let width = 1.0 / f64::from(count.max(1));
        (0..count)
            .map(|i| Self { low: f64::from(i) * width, high: f64::from(i + 1) * width })
            .collect()
    }

    /// Returns the lower bound.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Returns the upper bound.
    #[must_use]
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Splits the range into `parts` equal ones; the outer bounds stay exactly the same.
    #[must_use]
    pub fn split(&self, parts: u32) -> Vec<Self> {
        let width = (self.high - self.low) / f64::from(parts.max(1));
        let bound = |i: u32| match i {
            0 => self.low,
            i if i == parts => self.high,
            i => self.low + width * f64::from(i),
        };
        (0..parts).map(|i| Self { low: bound(i), high: bound(i + 1) }).collect()
    }

    /// Returns true if the two ranges share keys.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low < other.high && other.low < self.high
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.low, self.high)
    }
}

/// Checks that `ranges`, in any order, have no gap and no overlap between the lowest and the
/// highest bound, and returns the range that they cover.
///
/// # Errors
///
/// [`KeyRangeError`] names the first pair of neighbors that leaves a gap or overlaps.
pub fn check_cover(ranges: &[KeyRange]) -> Result<KeyRange, KeyRangeError> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by(|a, b| a.low.total_cmp(&b.low));
    let (Some(lowest), Some(highest)) = (sorted.first(), sorted.last()) else {
        return Err(KeyRangeError::None);
    };
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if first.high < second.low {
            return Err(KeyRangeError::Gap { first: *first, second: *second });
        }
        if first.high > second.low {
            return Err(KeyRangeError::Overlap { first: *first, second: *second });
        }
    }
    KeyRange::new(lowest.low, highest.high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_are_not_a_range_are_refused() {
        assert!(KeyRange::new(f64::NAN, 1.0).is_err());
        assert!(KeyRange::new(0.0, f64::NAN).is_err());
        assert!(KeyRange::new(-0.1, 1.0).is_err());
        assert!(KeyRange::new(0.0, 1.1).is_err());
        assert!(matches!(KeyRange::new(0.5, 0.5), Err(KeyRangeError::Empty { .. })));
    }

    #[test]
    fn a_split_keeps_the_outer_bounds_and_leaves_no_gap() {
        for parts in 1..50 {
            let whole = KeyRange::new(0.1, 0.7).unwrap();
            assert_eq!(check_cover(&whole.split(parts)).unwrap(), whole);
        }
    }

    #[test]
    fn the_first_bad_pair_is_named() {
        let range = |low, high| KeyRange::new(low, high).unwrap();
        let gap = check_cover(&[range(0.5, 1.0), range(0.0, 0.4)]).unwrap_err();
        assert_eq!(gap, KeyRangeError::Gap { first: range(0.0, 0.4), second: range(0.5, 1.0) });
        assert!(matches!(
            check_cover(&[range(0.0, 0.6), range(0.5, 1.0)]),
            Err(KeyRangeError::Overlap { .. })
        ));
        assert_eq!(check_cover(&[]), Err(KeyRangeError::None));
    }
}
