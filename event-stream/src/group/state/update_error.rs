//! Why an update does not fit a state.

use std::sync::Arc;

use pravega_sdk_types::{ErrorKind, ScopedSegment, classify};

/// An update of a reader group that does not fit its state. The state is as before.
///
/// Readers make each update of the state that it is on the condition of, so one that does not fit
/// was written by a faulty client. All readers leave it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupUpdateError {
    /// The reader is in the group already.
    #[error("reader {0:?} is in the group already")]
    AlreadyOnline(Arc<str>),
    /// The reader is not in the group.
    #[error("reader {0:?} is not in the group")]
    NotOnline(Arc<str>),
    /// The segment is not one of the reader.
    #[error("segment {segment} is not assigned to reader {reader:?}")]
    NotAssigned {
        /// The reader.
        reader: Arc<str>,
        /// The segment.
        segment: ScopedSegment,
    },
    /// The segment is assigned to a reader, or not one of the group.
    #[error("segment {0} is not among those without a reader")]
    NotUnassigned(ScopedSegment),
    /// The reader was at the checkpoint before.
    #[error("reader {reader:?} was at checkpoint {checkpoint:?} before")]
    AlreadyCheckpointed {
        /// The reader.
        reader: Arc<str>,
        /// The checkpoint.
        checkpoint: Arc<str>,
    },
    /// The new state would have no segments.
    #[error("a group begins with at least one segment")]
    NoSegments,
    /// The checkpoints of the group would need too much memory.
    #[error(
        "the group has {checkpoints} checkpoints with {positions} positions, which is the limit"
    )]
    TooManyCheckpoints {
        /// Number of checkpoints that the state has.
        checkpoints: usize,
        /// Number of positions in them, and of readers for which they wait.
        positions: usize,
    },
}

classify!(GroupUpdateError, |_| ErrorKind::Corrupt);
