//! How far a segment of a stream is read.

use pravega_sdk_types::{KeyRange, SegmentId, SegmentOffset};

/// How far a segment of a stream is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadPlace {
    pub(crate) id: SegmentId,
    /// Its part of the key space, if it is known.
    pub(crate) range: Option<KeyRange>,
    pub(crate) offset: SegmentOffset,
}
