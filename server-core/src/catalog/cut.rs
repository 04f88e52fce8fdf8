//! Places in a stream, segment by segment: cuts, and the positions of writers.

use std::collections::{BTreeMap, btree_map};

use pravega_sdk_types::{Offset, SegmentId};
use serde::{Deserialize, Serialize};

/// Offsets by the ids of segments, as messages hold them. In a cut, −1 means the end of a segment.
pub(super) type OffsetsById = BTreeMap<i64, i64>;

/// The furthest offset in each segment that a writer has reached.
pub(super) type WriterPosition = BTreeMap<SegmentId, Offset>;

/// The offset of −1 in messages.
const END: i64 = -1;

/// An offset of a cut. The end is after every offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CutOffset {
    /// An offset.
    At(Offset),
    /// The end of the segment, wherever that is.
    End,
}

/// A cut of a stream: an offset in each of some segments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OffsetsById", into = "OffsetsById")]
pub(super) struct Cut(BTreeMap<SegmentId, CutOffset>);

impl CutOffset {
    /// The start of a segment.
    pub(super) const START: Self = Self::At(Offset(0));

    /// The offset as messages hold it.
    pub(super) fn to_message(self) -> i64 {
        match self {
            Self::At(Offset(offset)) => offset,
            Self::End => END,
        }
    }
}

impl From<i64> for CutOffset {
    fn from(offset: i64) -> Self {
        if offset < 0 { Self::End } else { Self::At(Offset(offset)) }
    }
}

impl Cut {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SegmentId, CutOffset)> + '_ {
        self.0.iter().map(|(id, offset)| (*id, *offset))
    }

    pub(super) fn entry(&mut self, id: SegmentId) -> btree_map::Entry<'_, SegmentId, CutOffset> {
        self.0.entry(id)
    }
}

impl FromIterator<(SegmentId, CutOffset)> for Cut {
    fn from_iter<I: IntoIterator<Item = (SegmentId, CutOffset)>>(offsets: I) -> Self {
        Self(offsets.into_iter().collect())
    }
}

impl From<OffsetsById> for Cut {
    fn from(offsets: OffsetsById) -> Self {
        offsets.into_iter().map(|(id, offset)| (id.into(), offset.into())).collect()
    }
}

impl From<&OffsetsById> for Cut {
    fn from(offsets: &OffsetsById) -> Self {
        offsets.iter().map(|(id, offset)| ((*id).into(), (*offset).into())).collect()
    }
}

impl From<Cut> for OffsetsById {
    fn from(cut: Cut) -> Self {
        cut.iter().map(|(id, offset)| (id.into(), offset.to_message())).collect()
    }
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
        assert!(CutOffset::from(-1) > CutOffset::from(i64::MAX));
        assert!(CutOffset::from(1) > CutOffset::from(0));
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
