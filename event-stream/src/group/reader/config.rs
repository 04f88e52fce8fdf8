//! Settings of a reader of a group.

use std::time::Duration;

use pravega_sdk_table_synchronizer::{RevisionedStreamConfig, StateConfig};

#[cfg(feature = "seeded-bugs")]
use super::super::{liveness::LivenessBug, machine::GroupBug};
use super::{
    super::{
        liveness::LeaseTimes,
        machine::{GroupReaderSettings, HandOver, SegmentAssignment},
    },
    machine::SegmentSetSettings,
};
use crate::reader::ReaderConfig;

/// Settings of a reader of a group.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::{ReaderConfig, group::GroupReaderConfig};
///
/// let reads = ReaderConfig::default().with_max_buffered_bytes(4 * 1024 * 1024);
/// let config = GroupReaderConfig::default()
///     .with_reader(reads)
///     .with_initial_allocation_delay(Duration::from_secs(1));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct GroupReaderConfig {
    pub(super) reads: ReaderConfig,
    pub(super) allocation_delay: Duration,
    pub(super) timeout: Duration,
    pub(super) lease: Option<LeaseTimes>,
    pub(super) assignment: SegmentAssignment,
    pub(super) hand_over: HandOver,
    /// The time since 1970 in milliseconds when the reader is opened, if it is not that of the
    /// machine.
    pub(super) wall_ms: Option<i64>,
    #[cfg(feature = "seeded-bugs")]
    pub(super) bug: Option<GroupBug>,
}

impl Default for GroupReaderConfig {
    fn default() -> Self {
        Self {
            reads: ReaderConfig::default(),
            allocation_delay: Duration::ZERO,
            timeout: Duration::from_secs(30),
            lease: Some(LeaseTimes::default()),
            assignment: SegmentAssignment::Fair,
            hand_over: HandOver::AtCheckpoints,
            wall_ms: None,
            #[cfg(feature = "seeded-bugs")]
            bug: None,
        }
    }
}

impl GroupReaderConfig {
    /// Sets how segments are read: the buffer, the limit of an event, corrupt events, waits after
    /// failures. The start and the end are not used: the group has its own.
    #[must_use]
    pub fn with_reader(mut self, reads: ReaderConfig) -> Self {
        self.reads = reads;
        self
    }

    /// Sets how long the reader waits before it takes segments for the first time, and once more a
    /// random part of it, so that readers which start together each take a part. Default: 0, at
    /// most an hour.
    #[must_use]
    pub fn with_initial_allocation_delay(mut self, delay: Duration) -> Self {
        self.allocation_delay = delay.min(Duration::from_secs(3600));
        self
    }

    /// Sets the time that opening the reader takes at most, besides the wait for the lease of a
    /// dead reader of the same id, and each request about the state of the group or to the
    /// controller. A request that takes longer is made again, as long as the reader reads. Default:
    /// 30 s, at least 10 ms, at most an hour.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(10), Duration::from_secs(3600));
        self
    }

    /// Sets the time after which other readers take this one out of the group if it has ended
    /// without leaving it, or reaches the group's state no longer. They go on from its last
    /// checkpoint. `None` means never. Default: 30 s, at least 500 ms, at most 20 minutes, in
    /// steps of 100 ms.
    ///
    /// The reader renews its lease three times in it, also while the program handles an event or
    /// does not poll the reader. If it could not for more than half of the time, or was paused, it
    /// returns no event before it has renewed the lease and read the state. The clocks of readers
    /// are not compared, and may run at speeds that differ by 5 %.
    ///
    /// A lease covers one reader, from before it joins until it leaves, is taken out, or ends with
    /// an error: then it is not renewed, and other readers take the reader out, unless the program
    /// closes it before. Readers of this client take only each other out, never readers without a
    /// lease: those of other clients, and those with `None` here.
    ///
    /// A lease that is left under the id of a dead reader does not cover the next one of the id:
    /// one with a lease replaces it, one with `None` removes it before it joins, and both wait for
    /// it as long as the dead reader may be alive. A reader of another client cannot; if it takes
    /// the id of a reader that has died less than a lease ago, and was not taken out by [this
    /// client](crate::group::ReaderGroup::reader_offline), it is taken out once.
    #[must_use]
    pub fn with_lease(mut self, lease: Option<Duration>) -> Self {
        self.lease = lease.map(LeaseTimes::new);
        self
    }

    /// Sets which segments the reader takes and gives back. Default:
    /// [`Fair`](SegmentAssignment::Fair).
    #[must_use]
    pub fn with_assignment(mut self, assignment: SegmentAssignment) -> Self {
        self.assignment = assignment;
        self
    }

    /// Sets when the reader gives segments to others, and goes on with the successors of those that
    /// it has read. Default: [`AtCheckpoints`](HandOver::AtCheckpoints).
    #[must_use]
    pub fn with_hand_over(mut self, hand_over: HandOver) -> Self {
        self.hand_over = hand_over;
        self
    }

    /// Sets the time since 1970 at which the reader is opened, so that a run is repeatable.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_wall_clock(mut self, since_1970: Duration) -> Self {
        self.wall_ms = Some(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX));
        self
    }

    /// Switches a seeded bug of the reader on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: GroupBug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Switches a seeded bug of its lease on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_lease_bug(mut self, bug: LivenessBug) -> Self {
        self.lease = self.lease.map(|times| times.with_seeded_bug(bug));
        self
    }

    pub(super) fn state(&self) -> StateConfig {
        let half = self.timeout / 2;
        let backoff = self.reads.backoff;
        let (first, longest) = (backoff.full_delay(1), backoff.full_delay(u32::MAX));
        let stream = RevisionedStreamConfig::default()
            .with_request_timeout(half)
            .with_stall_timeout(half)
            .with_backoff(first, longest);
        StateConfig::default().with_timeout(self.timeout).with_stream(stream)
    }

    pub(super) fn machine(&self) -> GroupReaderSettings {
        let settings = GroupReaderSettings::default()
            .with_initial_allocation_delay(self.allocation_delay)
            .with_assignment(self.assignment)
            .with_hand_over(self.hand_over);
        #[cfg(feature = "seeded-bugs")]
        let settings = self.bug.into_iter().fold(settings, GroupReaderSettings::with_seeded_bug);
        settings
    }

    pub(super) fn segments(&self) -> SegmentSetSettings {
        SegmentSetSettings {
            max_event_bytes: self.reads.max_event_bytes,
            corrupt_events: self.reads.corrupt_events,
        }
    }
}
