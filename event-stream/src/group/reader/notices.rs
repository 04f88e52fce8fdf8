//! What happens to a reader of a group.

use std::{fmt, sync::Arc};

use pravega_sdk_types::{Offset, ScopedSegment};
use tokio::sync::broadcast::{self, error::RecvError};

use super::error::GroupReaderError;

/// How many notices wait for a receiver that is slow.
const MAX_WAITING: usize = 1024;

/// Something that happened to a reader of a group.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GroupReaderNotice {
    /// The reader begins to read a segment.
    SegmentGained {
        /// The segment.
        segment: ScopedSegment,
        /// From where on it reads.
        from: Offset,
    },
    /// The reader no longer reads a segment: it gave the segment back, read it to its end and
    /// handed it over to its successors, or lost it with its place in the group.
    SegmentLost {
        /// The segment.
        segment: ScopedSegment,
    },
    /// A checkpoint was returned to the program.
    Checkpoint {
        /// Its name.
        name: Arc<str>,
    },
    /// The state of the group cannot be reached; nothing is returned until it can.
    Unavailable {
        /// Why.
        error: GroupReaderError,
    },
    /// The state of the group can be reached again.
    Available,
    /// The lease of the reader may have run out; nothing is returned until it is renewed.
    LeaseRunOut,
    /// The lease that had run out is renewed, and the reader is still in the group.
    LeaseRenewed,
    /// The receiver was too slow, and the oldest notices were dropped.
    Missed {
        /// Their number.
        count: u64,
    },
}

/// Sends notices, if they are wanted.
pub(super) struct NoticeSender(broadcast::Sender<GroupReaderNotice>);

impl NoticeSender {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(MAX_WAITING))
    }

    pub(super) fn send(&self, notice: impl FnOnce() -> GroupReaderNotice) {
        if self.0.receiver_count() > 0 {
            // It fails if the last receiver has gone meanwhile.
            let _ = self.0.send(notice());
        }
    }

    pub(super) fn subscribe(&self) -> GroupReaderNotices {
        GroupReaderNotices { receiver: self.0.subscribe() }
    }
}

impl fmt::Debug for NoticeSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticeSender").finish_non_exhaustive()
    }
}

/// What happens to a reader of a group, from [`GroupReader::notices`](super::GroupReader::notices).
///
/// A notice is sent while the reader is polled. At most 1024 wait; a receiver that is slower is
/// told how many it [missed](GroupReaderNotice::Missed).
pub struct GroupReaderNotices {
    receiver: broadcast::Receiver<GroupReaderNotice>,
}

impl GroupReaderNotices {
    /// Returns the next notice; `None` when the reader was dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no notice.
    pub async fn next(&mut self) -> Option<GroupReaderNotice> {
        match self.receiver.recv().await {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(count)) => Some(GroupReaderNotice::Missed { count }),
            Err(RecvError::Closed) => None,
        }
    }
}

impl fmt::Debug for GroupReaderNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupReaderNotices").finish_non_exhaustive()
    }
}
