//! Deliberately broken variants of the machines. Tests must catch every one; without the feature
//! there are none.

/// True if this build contains the variants, as it does if cargo builds the simulation in the same
/// command.
pub const IS_ENABLED: bool = cfg!(feature = "seeded-bugs");

/// A way in which the machines can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeededBug {
    /// An acknowledgement of one block counts for all that are in flight.
    AcknowledgesTooMuch,
    /// Events in flight when a connection ended count as stored.
    NeverResends,
    /// Events in flight are sent again under new numbers.
    ResendsWithNewNumbers,
    /// The first event in flight is left out when the rest is sent again.
    ResendSkipsFirst,
    /// Events in flight are sent again in reverse order.
    ResendsReversed,
    /// Events of a sealed segment count as stored.
    DropsSealed,
    /// Events of a sealed segment reach the successors in another order.
    MovesOutOfOrder,
    /// A store that does not have the segment is asked again and again.
    KeepsStaleEndpoint,
    /// A sealed segment proves that what was sent on an earlier connection is not stored.
    BelievesSeals,
    /// Events that may be stored in a segment that no longer exists move to its successors.
    MovesEventsInDoubt,
    /// An event on a condition moves to another segment than the condition is about.
    RoutesConditions,
    /// The connection of a store is closed because one of its segments takes no appends.
    ClosesForOneSegment,
    /// A token is used again after the store closed the connection instead of answering a set-up.
    TrustsTokens,
    /// A segment is read when one of its predecessors is done.
    BeginsSuccessorsEarly,
    /// Bytes missing from a short answer are left out.
    SkipsGaps,
    /// A stream cut is after the bytes that arrived, not after those that were delivered.
    CutsAhead,
    /// A sealed segment counts as done with the first answer.
    EndsEarly,
    /// The length of a segment is compared with what was learned after it was asked for.
    JudgesOldLengths,
    /// Reads that a store does not answer keep all other segments from being read.
    LateReadsStarve,
    /// A segment in which reading ends, and that was truncated away, is followed by its successors.
    ReadsPastTruncatedEnds,
    /// A segment without successors is the last one if its stream was sealed after they were asked
    /// for.
    BelievesEarlierSuccessors,
    /// That the stream is sealed and that a segment has no successors may be said by different
    /// instances of the controller.
    MixesInstances,
    /// An answer of the controller is believed although it contradicts what is known.
    BelievesStaleAnswers,
    /// A search for successors that finds nothing is never reported.
    SilentSearches,
    /// The cuts between which is read are not checked.
    TrustsCuts,
    /// The cut at the tail of a sealed stream, which names no segment, is refused.
    RefusesEmptyCuts,
    /// Bytes between two cuts that name their segment count also after they were truncated away.
    CountsTruncated,
    /// A reader uses the timers of a runtime that has ended.
    OutlivesRuntime,
    /// A refused token of one read is taken for that of another at the same offset.
    RefusesOneRead,
    /// A request keeps its share of a connection until its caller takes the reply.
    UnpolledKeepsCapacity,
    /// Each segment of a store that cannot be connected to finds that out by itself.
    BelievesDeadStores,
    /// A request about a segment is made again without a deadline over all.
    AsksWithoutDeadline,
    /// The outcome of a request is that of its last attempt.
    ForgetsAttempts,
    /// A seal or a truncation of a byte stream that failed counts as not applied.
    DeniesChanges,
    /// Bytes that are refused count as not stored, also if bytes before them are missing.
    TrustsRefusedBytes,
    /// A transaction is committed before its events are durable.
    CommitsBeforeFlush,
    /// The transaction is never pinged.
    NeverPings,
    /// A commit whose answer was lost counts as done.
    BelievesCommits,
    /// What a full store refused is not stored, also if it was sent on an earlier connection.
    BelievesRefusals,
    /// Events that a full store refused are sent again after those that were written after them.
    PassesOverRefused,
    /// The failure of the controller is passed on where a sealed stream explains it.
    PassesFailuresOn,
    /// The outcome of a commit or an abort is that of its last attempt.
    BelievesLastAttempts,
    /// A transaction that another writer has committed cannot be committed once a ping shows it.
    MissesOtherCommits,
    /// A change of a table without a version is sent again after a lost reply.
    ResendsChanges,
    /// A change of a table that is refused when it is sent again was not made.
    DeniesLostChanges,
    /// The version of a put whose reply was lost is the one that the key has.
    TakesOtherVersions,
    /// The keys of one change of a table are changed in two requests.
    SplitsChanges,
    /// An iteration over a table leaves out a key between two pages.
    SkipsBetweenPages,
    /// Only the last page of several changes of a table is reported.
    SkipsDeltas,
    /// Removals of keys are not reported by a watch.
    MissesRemovals,
    /// Keys that were put while a watch scanned them are not reported.
    MissesLatePuts,
    /// An update of a table that was refused runs again on what was known before.
    SkipsFetches,
    /// An update of a table whose reply was lost counts as made.
    BelievesLostUpdates,
    /// An update of a table whose reply was lost runs again, although the first may yet be made.
    RunsAfterLostReplies,
    /// A refused fence proves that the update before it was made.
    BelievesRefusedFences,
    /// That a key was removed from a table is not applied to the copy of it.
    ForgetsRemovals,
    /// Removals that were cleaned away before they were read are missing from the copy of a table.
    MissesCleanedRemovals,
    /// The changes of a table are read from one byte after those that are known.
    CountsOneTooMany,
    /// A key that was removed is put on the condition that the table never had it.
    RemovedIsAbsent,
    /// The keys that an update has read may have changed since.
    IgnoresConditions,
    /// The keys that an update has read and does not change may have changed since.
    IgnoresOtherReads,
    /// The copy of a table that was deleted is that of the one which was created after it.
    HoldsDeletedTables,
    /// A client changes a table that was created again under the name that it had before.
    KeepsWriters,
    /// An update runs on a copy of which only some changes were read.
    RunsOnTornCopies,
    /// Updates after truncated ones are applied to the state before those.
    AppliesOverGaps,
    /// An update of a shared state whose result is lost was not made.
    DeniesLostUpdates,
    /// The mark of a compaction is after it.
    MarksTooLate,
    /// The holder of a lease counts its time from the answer of the table.
    CountsLeasesFromAnswers,
    /// A lease is taken over although its holder renews it.
    IgnoresRenewals,
    /// The token of a lease stays when another program takes it over.
    RepeatsTokens,
}

/// The bug that is switched on, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bugs {
    #[cfg(feature = "seeded-bugs")]
    on: Option<SeededBug>,
}

impl Bugs {
    #[cfg(feature = "seeded-bugs")]
    /// Switches a bug on.
    #[must_use]
    pub fn new(bug: SeededBug) -> Self {
        Self { on: Some(bug) }
    }

    /// Returns true if that bug is switched on.
    #[cfg(feature = "seeded-bugs")]
    #[must_use]
    pub fn has(self, bug: SeededBug) -> bool {
        self.on == Some(bug)
    }

    /// Returns false: there are no bugs without the feature.
    #[cfg(not(feature = "seeded-bugs"))]
    #[must_use]
    pub fn has(self, _: SeededBug) -> bool {
        false
    }
}

#[cfg(feature = "seeded-bugs")]
impl SeededBug {
    /// The bugs of refusals: mistakes of the caller that are not told for what they are.
    pub const REFUSALS: [Self; 2] = [Self::PassesFailuresOn, Self::OutlivesRuntime];

    /// The bugs of transactions.
    pub const TRANSACTIONS: [Self; 6] = [
        Self::CommitsBeforeFlush,
        Self::NeverPings,
        Self::BelievesCommits,
        Self::PassesFailuresOn,
        Self::BelievesLastAttempts,
        Self::MissesOtherCommits,
    ];

    /// The bugs of tables.
    pub const TABLES: [Self; 8] = [
        Self::ResendsChanges,
        Self::DeniesLostChanges,
        Self::TakesOtherVersions,
        Self::SplitsChanges,
        Self::SkipsBetweenPages,
        Self::SkipsDeltas,
        Self::MissesRemovals,
        Self::MissesLatePuts,
    ];

    /// The bugs of tables that clients agree on.
    pub const SYNCHRONIZERS: [Self; 13] = [
        Self::SkipsFetches,
        Self::BelievesLostUpdates,
        Self::RunsAfterLostReplies,
        Self::BelievesRefusedFences,
        Self::ForgetsRemovals,
        Self::MissesCleanedRemovals,
        Self::CountsOneTooMany,
        Self::RemovedIsAbsent,
        Self::IgnoresConditions,
        Self::IgnoresOtherReads,
        Self::HoldsDeletedTables,
        Self::KeepsWriters,
        Self::RunsOnTornCopies,
    ];

    /// The bugs of shared states.
    pub const STATES: [Self; 3] =
        [Self::AppliesOverGaps, Self::DeniesLostUpdates, Self::MarksTooLate];

    /// The bugs of locks and elections.
    pub const RECIPES: [Self; 3] =
        [Self::CountsLeasesFromAnswers, Self::IgnoresRenewals, Self::RepeatsTokens];

    /// The bugs of byte streams.
    pub const BYTES: [Self; 1] = [Self::DeniesChanges];

    /// The bugs of readers that need more than the faults of a scenario so far.
    pub const READING: [Self; 10] = [
        Self::JudgesOldLengths,
        Self::LateReadsStarve,
        Self::ReadsPastTruncatedEnds,
        Self::BelievesEarlierSuccessors,
        Self::MixesInstances,
        Self::BelievesStaleAnswers,
        Self::SilentSearches,
        Self::TrustsCuts,
        Self::RefusesEmptyCuts,
        Self::CountsTruncated,
    ];

    /// The bugs of writers that need more than the faults of a scenario so far.
    pub const APPENDING: [Self; 5] = [
        Self::BelievesSeals,
        Self::MovesEventsInDoubt,
        Self::RoutesConditions,
        Self::ClosesForOneSegment,
        Self::TrustsTokens,
    ];

    /// The bugs of writers to a store without space that seeds catch.
    pub const FULL: [Self; 1] = [Self::PassesOverRefused];

    /// The bugs of connections and of requests about a segment.
    pub const CONNECTIONS: [Self; 5] = [
        Self::RefusesOneRead,
        Self::UnpolledKeepsCapacity,
        Self::BelievesDeadStores,
        Self::AsksWithoutDeadline,
        Self::ForgetsAttempts,
    ];

    /// The bugs of writers and readers.
    pub const ALL: [Self; 12] = [
        Self::AcknowledgesTooMuch,
        Self::NeverResends,
        Self::ResendsWithNewNumbers,
        Self::ResendSkipsFirst,
        Self::ResendsReversed,
        Self::DropsSealed,
        Self::MovesOutOfOrder,
        Self::KeepsStaleEndpoint,
        Self::BeginsSuccessorsEarly,
        Self::SkipsGaps,
        Self::CutsAhead,
        Self::EndsEarly,
    ];
}
