//! Deliberately broken variants of the machine. The tests must catch every one; outside them, and
//! without the feature for the simulation, there are none.

/// A way in which the machine can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBug {
    /// Segments are taken while a checkpoint waits for the reader.
    AcquiresAtCheckpoints,
    /// A segment is given back at any time.
    ReleasesAtAnyTime,
    /// A segment is given back at the offset at which it was taken.
    ReleasesAtOldOffset,
    /// A segment is completed as soon as it was read to its end.
    CompletesAtOnce,
    /// A checkpoint is answered when it is shown, before the program has handled the events.
    AnswersBeforeShowing,
    /// A checkpoint is answered without the segments that were read to their ends.
    ForgetsEndedSegments,
    /// Reading goes on after a segment was given back.
    ReadsAfterRelease,
    /// Reading goes on after another client has taken the reader out of the group.
    IgnoresRemoval,
    /// A segment is read from its head when it is taken.
    ReadsFromHead,
    /// Silent checkpoints are shown to the program.
    ShowsSilent,
    /// Places are reported that are after events which were not returned.
    ReportsAhead,
}

/// The bug that is switched on, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bugs {
    #[cfg(any(test, feature = "seeded-bugs"))]
    pub(super) on: Option<GroupBug>,
}

impl Bugs {
    #[cfg(any(test, feature = "seeded-bugs"))]
    pub(super) fn has(self, bug: GroupBug) -> bool {
        self.on == Some(bug)
    }

    #[cfg(not(any(test, feature = "seeded-bugs")))]
    pub(super) fn has(self, _: GroupBug) -> bool {
        false
    }
}
