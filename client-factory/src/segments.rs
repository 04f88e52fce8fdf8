//! Openers of what belongs to one segment.

use pravega_sdk_segment_client::attributes::SegmentAttributes;
use pravega_sdk_types::ScopedSegment;

use crate::factory::ClientFactory;

impl ClientFactory {
    /// Returns a handle of the attributes of a segment; see [`SegmentAttributes`]. Nothing is sent.
    #[must_use]
    pub fn segment_attributes(&self, segment: ScopedSegment) -> SegmentAttributes {
        SegmentAttributes::new(self.segment_context(), segment)
    }
}
