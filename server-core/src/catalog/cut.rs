//! Places in a stream, segment by segment: cuts, and the positions of writers.

use std::collections::BTreeMap;

use pravega_sdk_types::{Offset, SegmentId, SegmentOffset};
use serde::{Deserialize, Serialize};

/// Offsets by the ids of segments, as messages hold them. In a cut, −1 means the end of a segment.
pub(super) type OffsetsById = BTreeMap<i64, i64>;

/// The furthest offset in each segment that a writer has reached.
pub(super) type WriterPosition = BTreeMap<SegmentId, Offset>;

/// The start of a segment.
pub(super) const START: SegmentOffset = SegmentOffset::At(Offset(0));

/// A cut of a stream: an offset in each of some segments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OffsetsById", into = "OffsetsById")]
pub(super) struct Cut(Box<[(SegmentId, SegmentOffset)]>);

impl Cut {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of segments.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The offsets, in the order of the ids of their segments.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, SegmentOffset)> + '_ {
        self.0.iter().copied()
    }

    /// The offset in a segment; `None` if the cut does not name it.
    pub(super) fn offset(&self, id: SegmentId) -> Option<SegmentOffset> {
        let found = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.0.get(found).map(|(_, offset)| *offset)
    }
}

impl FromIterator<(SegmentId, SegmentOffset)> for Cut {
    /// Of two offsets in one segment the later one counts.
    fn from_iter<I: IntoIterator<Item = (SegmentId, SegmentOffset)>>(offsets: I) -> Self {
        let by_id: BTreeMap<SegmentId, SegmentOffset> = offsets.into_iter().collect();
        Self(by_id.into_iter().collect())
    }
}

impl From<OffsetsById> for Cut {
    fn from(offsets: OffsetsById) -> Self {
        Self::from(&offsets)
    }
}

impl From<&OffsetsById> for Cut {
    fn from(offsets: &OffsetsById) -> Self {
        // The ids of segments are in the order of the numbers that messages hold.
        Self(offsets.iter().map(|(id, offset)| ((*id).into(), offset_of(*offset))).collect())
    }
}

impl From<Cut> for OffsetsById {
    fn from(cut: Cut) -> Self {
        cut.iter().map(|(id, offset)| (id.into(), offset.to_wire())).collect()
    }
}

/// Converts an offset of a message. Clients send −1 for the end of a segment; any other negative
/// number means the end too.
fn offset_of(number: i64) -> SegmentOffset {
    if number < 0 { SegmentOffset::End } else { SegmentOffset::At(Offset(number)) }
}

/// The position of a writer in a message.
pub(super) fn writer_position(offsets: OffsetsById) -> WriterPosition {
    offsets.into_iter().map(|(id, offset)| (id.into(), offset.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_segment_is_after_every_offset_and_is_sent_as_minus_1() {
        assert!(offset_of(-1) > offset_of(i64::MAX));
        assert!(offset_of(1) > offset_of(0));
        let offsets: OffsetsById = [(0, 5), (1 << 32, -1)].into();
        assert_eq!(OffsetsById::from(Cut::from(&offsets)), offsets);
    }

    #[test]
    fn a_cut_is_kept_as_the_map_that_messages_hold() {
        let offsets: OffsetsById = [(0, 5), (1 << 32, -1)].into();
        let kept = postcard::to_allocvec(&Cut::from(&offsets)).unwrap();
        assert_eq!(kept, postcard::to_allocvec(&offsets).unwrap());
        assert_eq!(postcard::from_bytes::<Cut>(&kept).unwrap(), Cut::from(offsets));
    }
}
