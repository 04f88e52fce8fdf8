//! The updates of a group.

use std::sync::Arc;

use pravega_sdk_types::{ScopedSegment, SegmentId, SegmentOffset};

use super::{group_state::ReaderGroupState, init::GroupInit, segment_offsets::GroupSegment};

/// What an entry of the group's stream begins a state with.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupInitial {
    /// A group without readers.
    Init(GroupInit),
    /// A state that was written as a whole, to replace the entries before it.
    Compact(Box<ReaderGroupState>),
}

/// A change of the state of a group. The updates are those of Java's client 0.13.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GroupUpdate {
    /// The group begins again, as its configuration has changed. All readers are out of it.
    Init(GroupInit),
    /// The state is replaced as a whole.
    Compact(Box<ReaderGroupState>),
    /// A reader joins, without segments.
    AddReader {
        /// The reader.
        reader: Arc<str>,
    },
    /// A reader leaves. A reader that is not in the group changes nothing.
    RemoveReader {
        /// The reader.
        reader: Arc<str>,
        /// Where it was in its segments. For a segment that is not among them the stored offset
        /// counts: that of the last checkpoint.
        offsets: Vec<(ScopedSegment, SegmentOffset)>,
    },
    /// A reader gives a segment back.
    ReleaseSegment(SegmentRelease),
    /// A reader takes a segment that is without a reader.
    AcquireSegment {
        /// The reader.
        reader: Arc<str>,
        /// The segment.
        segment: ScopedSegment,
    },
    /// A reader reports how far it is.
    UpdateDistanceToTail {
        /// The reader, which need not be in the group.
        reader: Arc<str>,
        /// Its distance from the tail in milliseconds. At least 30,000 is stored.
        lag_ms: i64,
        /// How far it has read its segments.
        read: Vec<(GroupSegment, SegmentOffset)>,
    },
    /// A reader has read a segment to its end.
    SegmentCompleted(SegmentCompletion),
    /// A reader answers a checkpoint.
    CheckpointReader {
        /// The checkpoint.
        checkpoint: Arc<str>,
        /// The reader.
        reader: Arc<str>,
        /// Where it is in its segments.
        offsets: Vec<(ScopedSegment, SegmentOffset)>,
    },
    /// A checkpoint begins, for all readers that are in the group. Nothing happens if the group has
    /// one of this name.
    CreateCheckpoint {
        /// Its name.
        checkpoint: Arc<str>,
    },
    /// The checkpoints before one are dropped. Nothing happens if that one is not known.
    ClearCheckpointsBefore {
        /// The name of the oldest that is kept.
        checkpoint: Arc<str>,
    },
    /// The controller knows the last checkpoint, or not.
    UpdateCheckpointPublished {
        /// True if it knows it.
        is_published: bool,
    },
    /// A change of the configuration begins or ends.
    UpdatingConfig {
        /// True if one has begun.
        is_updating: bool,
    },
    /// The checkpoints that wait for readers are given up, except silent ones.
    RemoveOutstandingCheckpoints,
}

/// A segment that a reader gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRelease {
    /// The reader.
    pub reader: Arc<str>,
    /// The segment.
    pub segment: ScopedSegment,
    /// From where the next reader reads.
    pub offset: SegmentOffset,
}

/// A segment that a reader has read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentCompletion {
    /// The reader.
    pub reader: Arc<str>,
    /// The segment.
    pub segment: GroupSegment,
    /// Its successors, each with all its predecessors.
    pub successors: Vec<(GroupSegment, Vec<SegmentId>)>,
}

impl GroupUpdate {
    /// Returns the name of the update, as Java's client calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "Init",
            Self::Compact(_) => "Compact",
            Self::AddReader { .. } => "AddReader",
            Self::RemoveReader { .. } => "RemoveReader",
            Self::ReleaseSegment(_) => "ReleaseSegment",
            Self::AcquireSegment { .. } => "AcquireSegment",
            Self::UpdateDistanceToTail { .. } => "UpdateDistanceToTail",
            Self::SegmentCompleted(_) => "SegmentCompleted",
            Self::CheckpointReader { .. } => "CheckpointReader",
            Self::CreateCheckpoint { .. } => "CreateCheckpoint",
            Self::ClearCheckpointsBefore { .. } => "ClearCheckpointsBefore",
            Self::UpdateCheckpointPublished { .. } => "UpdateCheckpointPublished",
            Self::UpdatingConfig { .. } => "UpdatingConfig",
            Self::RemoveOutstandingCheckpoints => "RemoveOutstandingCheckpoints",
        }
    }
}
