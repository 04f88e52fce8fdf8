//! The start of reading a segment, and its results.

use bytes::Bytes;
use pravega_sdk_types::{Offset, SegmentOffset};

use crate::error::ReadError;

/// Where in a segment to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// An offset that the segment is known to reach.
    Known(Offset),
    /// An offset that the segment may not reach: its length is asked for first.
    Claimed(Offset),
    /// The end of the segment: its length is asked for first.
    Tail,
}

impl StartOffset {
    /// Returns the start at an offset of a stream cut, which a caller named.
    #[must_use]
    pub fn claimed(offset: SegmentOffset) -> Self {
        match offset {
            SegmentOffset::At(offset) => Self::Claimed(offset),
            SegmentOffset::End => Self::Tail,
        }
    }
}

/// What is known about the bytes of a read, which decides how long its answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadKind {
    /// Below the known length of the segment.
    Known,
    /// At the tail, where the bytes may not have been written yet.
    Tail,
}

/// The results of reading a segment, in order.
#[derive(Debug)]
pub enum Delivery {
    /// Bytes of the segment from `offset` on. They count against the budget until
    /// [`ReadMachine::release`](super::ReadMachine::release).
    Data {
        /// The offset of the first byte.
        offset: Offset,
        /// The bytes.
        data: Bytes,
    },
    /// The bytes from `asked` up to `head` were truncated; the next bytes are those from `head` on.
    Truncated {
        /// The offset that was asked for.
        asked: Offset,
        /// The first offset that was not truncated.
        head: Offset,
    },
    /// The end of a sealed segment, or the end set by the caller.
    End {
        /// The offset of the end.
        offset: Offset,
    },
    /// The segment no longer exists.
    Missing,
    /// The segment has `length` bytes, fewer than were known or claimed. It is read no further.
    Short {
        /// The length of the segment.
        length: Offset,
    },
    /// Nothing was read for the stall timeout. Attempts go on.
    Stalled(ReadError),
    /// The segment cannot be read.
    Failed(ReadError),
}

impl Delivery {
    /// Returns the number of bytes delivered.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data { data, .. } => data.len(),
            _ => 0,
        }
    }
}
