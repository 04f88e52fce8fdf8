//! Where reading a segment starts, and what it yields.

use bytes::Bytes;
use pravega_sdk_types::{Offset, SegmentOffset};

use crate::error::ReadError;

/// Where in a segment to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// The segment is known to reach so far.
    Known(Offset),
    /// The segment has to be asked whether it reaches so far.
    Claimed(Offset),
    /// The end that the segment has when it is asked.
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

/// Whether the bytes of a read exist, which decides how long its answer may take.
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
    /// The bytes from `asked` up to `head` were truncated away; what follows comes from `head` on.
    Truncated {
        /// The offset that was asked for.
        asked: Offset,
        /// The first offset that is left.
        head: Offset,
    },
    /// The end: of a sealed segment, or where the caller wanted it.
    End {
        /// The offset of the end.
        offset: Offset,
    },
    /// The segment is not there any more.
    Missing,
    /// The segment has `length` bytes, and does not reach where it was, or was said to be. It is
    /// not read any further.
    Short {
        /// The length of the segment.
        length: Offset,
    },
    /// For as long as the settings allow nothing could be read. It is tried on.
    Stalled(ReadError),
    /// It cannot be read.
    Failed(ReadError),
}

impl Delivery {
    /// The number of bytes delivered.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data { data, .. } => data.len(),
            _ => 0,
        }
    }
}
