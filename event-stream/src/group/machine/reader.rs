//! The machine of a reader: its data, and the steps that it takes.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use pravega_sdk_segment_client::machine::{Now, Random};
use pravega_sdk_types::{
    BoundedCut, Offset, ScopedSegment, ScopedStream, SegmentId, SegmentOffset, routing::fraction,
};

use super::{
    super::state::{GroupSegment, GroupUpdate},
    assignment::{HandOver, SegmentAssignment},
    change::Change,
    latest_values::LatestValues,
    owned::Owned,
    seeded_bugs::Bugs,
    timers::Timers,
};

/// A moment: the time of the machine, and that of the wall clock in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time since the machine was made.
    pub now: Now,
    /// The time since 1970 in milliseconds. It is reported, and nothing is decided by it.
    pub wall_ms: i64,
}

/// Settings of a reader of a group.
#[derive(Debug, Clone, Default)]
pub struct GroupReaderSettings {
    initial_allocation_delay: Duration,
    assignment: SegmentAssignment,
    hand_over: HandOver,
    pub(super) bugs: Bugs,
}

impl GroupReaderSettings {
    /// Sets how long a reader waits at least before it takes segments for the first time, so that
    /// readers that start together each take a part. Default: 0.
    #[must_use]
    pub fn with_initial_allocation_delay(mut self, delay: Duration) -> Self {
        self.initial_allocation_delay = delay;
        self
    }

    /// Sets which segments the reader takes and gives back. Default:
    /// [`Fair`](SegmentAssignment::Fair).
    #[must_use]
    pub fn with_assignment(mut self, assignment: SegmentAssignment) -> Self {
        self.assignment = assignment;
        self
    }

    /// Sets when it gives segments back. Default: [`AtCheckpoints`](HandOver::AtCheckpoints).
    #[must_use]
    pub fn with_hand_over(mut self, hand_over: HandOver) -> Self {
        self.hand_over = hand_over;
        self
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: super::seeded_bugs::GroupBug) -> Self {
        self.bugs.on = Some(bug);
        self
    }
}

/// What the owner of the machine does next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Read the state: answered by [`GroupReaderMachine::handle_fetched`].
    Fetch,
    /// Change the state by [`GroupReaderMachine::plan`]: answered by
    /// [`GroupReaderMachine::handle_planned`], and then [`GroupReaderMachine::handle_changed`] or
    /// [`GroupReaderMachine::handle_failed`].
    Change(Change),
    /// Write an update whatever the state is: answered by
    /// [`GroupReaderMachine::handle_reported`].
    Report(GroupUpdate),
    /// Replace the entries before the state by the state. There is no answer.
    Compact,
    /// Find the successors of a segment: answered by [`GroupReaderMachine::handle_successors`].
    FindSuccessors(ScopedSegment),
    /// The same without a wait: answered at once, by [`GroupReaderMachine::handle_successors`] if
    /// the successors are known, and otherwise by [`GroupReaderMachine::handle_no_answer`].
    UseKnownSuccessors(ScopedSegment),
    /// Find the configuration that the controller has: answered by
    /// [`GroupReaderMachine::handle_configuration`].
    FindConfiguration,
    /// Tell the controller up to where a stream was read: answered by
    /// [`GroupReaderMachine::handle_published`].
    PublishCut(BoundedCut),
    /// Begin to read a segment.
    Open {
        /// The segment.
        segment: ScopedSegment,
        /// From where on.
        from: Offset,
        /// Where reading ends.
        end: SegmentEnd,
    },
    /// Stop reading a segment. What is buffered of it is not returned.
    Close(ScopedSegment),
    /// Return a checkpoint to the program. The next poll means that the program has handled all
    /// events before it.
    Checkpoint(Arc<str>),
    /// All segments were read to their ends, and no more will come.
    End,
    /// The reader is not in the group, and must not return any more events.
    Lost(LossReason),
}

/// Where reading of a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentEnd {
    /// At an offset.
    At(Offset),
    /// At its own end, once it is sealed.
    OnceSealed,
    /// At its own end. It is sealed: the group ends in segments that follow it.
    Sealed,
}

/// Why a reader is not in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// A reader of its name was in the group already.
    AlreadyInGroup,
    /// Another client has taken it out, or the group has begun again.
    Removed,
    /// Another reader has joined under its name.
    Replaced,
    /// Its lease ran out, and another client has found it dead.
    FoundDead,
    /// It has left.
    Left,
}

/// Whether the reader is in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Outside,
    Member,
    Lost(LossReason),
}

/// What a reader of a group does, and when.
///
/// Its owner calls [`poll_effect`](Self::poll_effect) with its copy of the state, carries out the
/// effect and reports the result, until there is no effect. Then it reads events until
/// [`poll_timeout`](Self::poll_timeout), and polls again before it returns the next event.
pub struct GroupReaderMachine {
    pub(super) reader: Arc<str>,
    pub(super) bugs: Bugs,
    pub(super) allocation_delay: Duration,
    pub(super) assignment: SegmentAssignment,
    pub(super) hand_over: HandOver,
    pub(super) random: Random,
    pub(super) timers: Timers,
    pub(super) standing: Standing,
    pub(super) owned: Owned,
    /// The segment of the last event.
    pub(super) last_read: Option<SegmentId>,
    /// True if the reader has moved since its last report.
    pub(super) has_moved: bool,
    /// The checkpoint that the program has, until it has handled all events before it.
    pub(super) shown: Option<Arc<str>>,
    /// True from when a checkpoint that the program had was answered, until segments are taken.
    pub(super) is_after_shown: bool,
    /// What is done after a checkpoint was answered, or between two events.
    pub(super) window: Option<Window>,
    pub(super) in_flight: Option<Change>,
    /// A change to make next.
    pub(super) next_change: Option<Change>,
    /// The change with which it leaves, until it has.
    pub(super) leaving: Option<Change>,
    /// Changes of which it is not known if they were made.
    pub(super) in_doubt: Vec<Change>,
    /// The segments of the attempts to take some.
    pub(super) acquiring: BTreeSet<ScopedSegment>,
    /// Effects about the segments of this reader.
    pub(super) local: VecDeque<Effect>,
    pub(super) is_compacting: bool,
    /// Up to where each stream was read at the last checkpoint, for the controller.
    pub(super) publishing: LatestValues<ScopedStream, BoundedCut>,
    /// True while the controller is being told.
    pub(super) is_publishing: bool,
}

/// What is done right after a checkpoint was answered: only then is it certain that the program has
/// kept its position, unless the program says that it always has ([`HandOver::BetweenEvents`]).
#[derive(Debug)]
pub(super) struct Window {
    /// The segments that were read to their ends, and were not tried yet.
    pub(super) to_complete: VecDeque<ScopedSegment>,
    pub(super) may_release: bool,
    /// True until successors were waited for. One wait is enough: meanwhile no event is returned,
    /// and all are searched side by side.
    pub(super) may_wait: bool,
    /// True after an answer to a checkpoint. The controller learns of each once: if it cannot be
    /// reached, another attempt would hold events up again.
    pub(super) may_publish: bool,
}

impl GroupReaderMachine {
    /// Creates the machine of a reader, which is not in the group yet.
    #[must_use]
    pub fn new(reader: Arc<str>, settings: GroupReaderSettings, now: Now, random: Random) -> Self {
        Self {
            reader,
            bugs: settings.bugs,
            allocation_delay: settings.initial_allocation_delay,
            assignment: settings.assignment,
            hand_over: settings.hand_over,
            random,
            timers: Timers::new(now),
            standing: Standing::Outside,
            owned: Owned::default(),
            last_read: None,
            has_moved: false,
            shown: None,
            is_after_shown: false,
            window: None,
            in_flight: None,
            next_change: None,
            leaving: None,
            in_doubt: Vec::new(),
            acquiring: BTreeSet::new(),
            local: VecDeque::new(),
            is_compacting: false,
            publishing: LatestValues::default(),
            is_publishing: false,
        }
    }

    /// An event was returned to the program; the next one begins at the offset.
    pub fn handle_read(&mut self, segment: &ScopedSegment, next: Offset) {
        self.has_moved = true;
        self.last_read = Some(segment.id());
        self.owned.advance(segment, next);
    }

    /// The bytes before an offset are truncated.
    pub fn handle_truncated(&mut self, segment: &ScopedSegment, head: Offset) {
        self.has_moved = true;
        self.owned.advance(segment, head);
    }

    /// A segment was read to its sealed end, or no longer exists.
    pub fn handle_sealed_end(&mut self, segment: &ScopedSegment) {
        self.has_moved = true;
        self.owned.end(segment, true);
        self.timers.window = Now::ZERO;
    }

    /// A segment was read up to where reading ends.
    pub fn handle_configured_end(&mut self, segment: &ScopedSegment) {
        self.owned.end(segment, false);
        self.timers.window = Now::ZERO;
    }

    /// Returns true if the reader is in the group, as far as it knows.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.standing == Standing::Member
    }

    /// Returns true if the reader reads a segment, which it has not read to its end.
    #[must_use]
    pub fn is_reading_of(&self, segment: &ScopedSegment) -> bool {
        self.owned.is_read(segment)
    }

    /// Returns true if there are segments to read.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.owned.is_reading()
    }

    /// Returns true if the reader has moved since its last report, so that another one is due.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Returns where the reader is in each of its segments, with their parts of the key space.
    #[must_use]
    pub fn ranged_offsets(&self) -> Vec<(GroupSegment, SegmentOffset)> {
        self.owned.ranged()
    }

    /// Returns where the reader is in each of its segments.
    #[must_use]
    pub fn offsets(&self) -> Vec<(ScopedSegment, SegmentOffset)> {
        self.owned.offsets()
    }

    /// The reader should leave the group, at the offsets given, or where it is.
    ///
    /// No event is returned from then on; the effects go on until it has left.
    pub fn leave(&mut self, at: Option<Vec<(ScopedSegment, SegmentOffset)>>) {
        let at = at.unwrap_or_else(|| self.owned.offsets());
        self.leaving = Some(Change::Leave(at));
    }

    /// A random delay of at most `longest`.
    pub(super) fn random_delay(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(fraction((self.random)()))
    }

    pub(super) fn lose(&mut self, reason: LossReason) {
        let reason = if self.leaving.is_some() { LossReason::Left } else { reason };
        self.standing = Standing::Lost(reason);
        self.local.clear();
        self.local.extend(self.owned.segments().cloned().map(Effect::Close));
        self.owned.clear();
    }
}

impl fmt::Debug for GroupReaderMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupReaderMachine")
            .field("reader", &self.reader)
            .field("standing", &self.standing)
            .field("owned", &self.owned)
            .finish_non_exhaustive()
    }
}
