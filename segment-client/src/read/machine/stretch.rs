//! Ranges of a segment, and the arithmetic of offsets and lengths.

use pravega_sdk_types::Offset;

/// A range of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The offset of the first byte.
    pub(super) offset: Offset,
    /// The number of bytes.
    pub(super) len: u64,
}

impl Stretch {
    /// Returns the number of bytes to ask for in a read of at most `max` bytes.
    pub(super) fn read_len(&self, max: usize) -> usize {
        usize::try_from(self.len).unwrap_or(max).min(max)
    }
}

/// Returns the offset `len` bytes after `offset`.
pub(super) fn after(offset: Offset, len: u64) -> Offset {
    Offset(offset.0.saturating_add(i64::try_from(len).unwrap_or(i64::MAX)))
}

/// Returns the number of bytes from one offset up to another, which is 0 if that one is before.
pub(super) fn between(from: Offset, to: Offset) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_never_negative_and_offsets_never_overflow() {
        assert_eq!(between(Offset(3), Offset(10)), 7);
        assert_eq!(between(Offset(10), Offset(3)), 0);
        assert_eq!(between(Offset(i64::MIN), Offset(i64::MAX)), i64::MAX as u64);
        assert_eq!(after(Offset(3), 7), Offset(10));
        assert_eq!(after(Offset(3), u64::MAX), Offset(i64::MAX));
    }

    #[test]
    fn a_read_is_no_longer_than_the_stretch_and_the_limit() {
        let stretch = |len| Stretch { offset: Offset(0), len };
        assert_eq!((stretch(5).read_len(9), stretch(9).read_len(5)), (5, 5));
        assert_eq!(stretch(u64::MAX).read_len(5), 5);
    }
}
