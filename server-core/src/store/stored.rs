//! In whose records the bytes of each segment are.

use std::ops::Range;

use super::state::Store;
use crate::log::SegmentNumber;

/// A segment of a stream, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The name of the segment.
    pub name: String,
    /// The offset of its first byte.
    pub start: u64,
    /// The ranges of segments in whose records its bytes are, from the first on.
    pub parts: Vec<(SegmentNumber, Range<u64>)>,
}

impl Store {
    /// The segments that have bytes, in the order of their names.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored> {
        let streams = self.segments.iter().filter(|(_, found)| found.bytes().is_some());
        let mut all: Vec<Stored> = streams
            .map(|(name, found)| Stored {
                name: name.to_string(),
                start: found.start(),
                parts: found.parts.ranges(found.number, found.start()..found.len()),
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
