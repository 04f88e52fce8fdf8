//! The changes that a reader makes of the state.

use std::sync::Arc;

use pravega_sdk_types::{ScopedSegment, SegmentId, SegmentOffset};

use super::super::state::{GroupInit, GroupSegment};

/// A change of the state that a reader makes on the condition that it knows the latest state.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The reader joins the group.
    Join,
    /// It answers a checkpoint.
    Answer(Arc<str>),
    /// It takes its part of the segments without a reader.
    Acquire,
    /// It reports how far it is. On a condition like the others: a report that is written after the
    /// reader has left would name a reader that is not in the group.
    Report,
    /// It gives a segment back.
    Release(ScopedSegment),
    /// It has read a segment to its end.
    Complete {
        /// The segment.
        segment: ScopedSegment,
        /// Its successors, each with all its predecessors.
        successors: Vec<(GroupSegment, Vec<SegmentId>)>,
    },
    /// It creates a checkpoint.
    CreateCheckpoint(Arc<str>),
    /// It adopts a newer configuration, and leaves the group with all other readers.
    Adopt(GroupInit),
    /// It leaves the group, with the segments at these offsets. For others the offsets of its last
    /// checkpoint count.
    Leave(Vec<(ScopedSegment, SegmentOffset)>),
}
