//! Broken variants of the readers of a group.

use std::fmt;

use pravega_sdk_event_stream::group::{liveness::LivenessBug, machine::GroupBug};

/// A bug of the readers of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Of what a reader does and when.
    Reader(GroupBug),
    /// Of its lease, and of what it makes of those of others.
    Lease(LivenessBug),
}

impl Bug {
    /// The bugs that seeds catch. The random orders of the machines' own tests catch all.
    pub const ALL: [Self; 12] = [
        Self::Reader(GroupBug::ReleasesAtOldOffset),
        Self::Reader(GroupBug::AnswersBeforeShowing),
        Self::Reader(GroupBug::ReadsAfterRelease),
        Self::Reader(GroupBug::IgnoresRemoval),
        Self::Reader(GroupBug::ReadsFromHead),
        Self::Reader(GroupBug::ShowsSilent),
        Self::Reader(GroupBug::AcquiresAtCheckpoints),
        Self::Reader(GroupBug::ForgetsEndedSegments),
        Self::Reader(GroupBug::ReportsAhead),
        Self::Lease(LivenessBug::TrustsLostRenewals),
        Self::Lease(LivenessBug::LeavesMarked),
        Self::Lease(LivenessBug::ClaimsAtOnce),
    ];
}

impl fmt::Debug for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader(bug) => bug.fmt(f),
            Self::Lease(bug) => bug.fmt(f),
        }
    }
}
