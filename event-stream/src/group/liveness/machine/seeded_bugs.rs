//! Deliberately broken variants of the machines. The tests must catch every one; outside them, and
//! without the feature for the simulation, there are none.

/// A way in which the machines can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LivenessBug {
    /// A reader counts its lease from the reply to a renewal.
    CountsFromReply,
    /// A renewal without a reply counts as made.
    TrustsLostRenewals,
    /// A renewal that was found later counts from then.
    CountsFromFinding,
    /// A reader whose lease has another value goes on.
    RevivesItself,
    /// Events are returned after a lease ran out without reading the state.
    SkipsState,
    /// An observer counts from when it asked.
    CountsFromRequest,
    /// The allowance for the drift of clocks is missing.
    IgnoresDrift,
    /// A reader is taken out without marking it dead.
    RemovesUnmarked,
    /// A reader that another observer has marked is left.
    LeavesMarked,
    /// Only the neighbour is watched, whatever happens to it.
    WatchesNeighbourOnly,
    /// A reader is taken out of whatever state is the latest.
    RemovesFromAnyState,
    /// A claim takes the name of a reader that is alive.
    ClaimsAtOnce,
    /// Each late answer prolongs the wait for a silent reader.
    WaitsForLateAnswers,
    /// A reader without a lease is taken for the one of its name that was taken out.
    MistakesSuccessors,
}

/// The bug that is switched on, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bugs {
    #[cfg(any(test, feature = "seeded-bugs"))]
    pub(super) on: Option<LivenessBug>,
}

impl Bugs {
    #[cfg(any(test, feature = "seeded-bugs"))]
    pub(super) fn has(self, bug: LivenessBug) -> bool {
        self.on == Some(bug)
    }

    #[cfg(not(any(test, feature = "seeded-bugs")))]
    pub(super) fn has(self, _: LivenessBug) -> bool {
        false
    }
}
