//! What a group begins with.

use pravega_sdk_types::{ReaderGroupConfiguration, ScopedSegment, SegmentOffset};

use super::{configuration::StoredConfiguration, segment_offsets::GroupSegment};

/// What a group begins with, and begins again with when its configuration changes: all segments are
/// without a reader, and no reader is in the group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupInit {
    /// The configuration.
    pub configuration: StoredConfiguration,
    /// The segments to begin with, and the offset in each.
    pub segments: Vec<(GroupSegment, SegmentOffset)>,
    /// The segments at which reading ends, each with the offset; [`SegmentOffset::End`] is the end
    /// of the segment.
    pub ends: Vec<(ScopedSegment, SegmentOffset)>,
    /// True while a change of the configuration is not finished.
    pub is_updating_configuration: bool,
}

impl GroupInit {
    /// Creates what a group begins with, without any end.
    #[must_use]
    pub fn new(
        configuration: ReaderGroupConfiguration,
        segments: impl IntoIterator<Item = (GroupSegment, SegmentOffset)>,
    ) -> Self {
        let segments = segments.into_iter().collect();
        let configuration = configuration.into();
        Self { configuration, segments, ends: Vec::new(), is_updating_configuration: false }
    }
}
