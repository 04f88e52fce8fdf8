//! The driver: its parts, the events of its segments, and what its owner asks of it.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use pravega_sdk_controller_client::ControllerError;
use pravega_sdk_segment_client::{
    context::SegmentContext,
    error::ReadError,
    machine::{Now, Random},
    read::{driver::ReadDriver, machine::ReadMachine},
    runtime::{random_bits, rng},
};
use pravega_sdk_types::{
    ErrorKind, Offset, Position, ReaderId, ScopedReaderGroup, ScopedSegment, SegmentOffset,
};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    super::{
        super::{
            liveness::LeaseKeeper,
            machine::{GroupReaderMachine, LossReason, Moment},
            state::ReaderGroupState,
            store::GroupStore,
        },
        config::GroupReaderConfig,
        error::GroupReaderError,
        event::Places,
        machine::{Found, SegmentSet},
        notices::NoticeSender,
        successors::{Followers, find_reason, find_successors},
    },
    failures::Failures,
    lookups::Lookups,
    work::Work,
};

/// What the driver has for its owner.
pub(crate) enum Step {
    /// An event, not yet part of the position of the reader.
    Event { segment: Arc<ScopedSegment>, offset: Offset, event: Bytes },
    /// A checkpoint. The next poll means that everything before it was handled.
    Checkpoint(Arc<str>),
    /// An error, after which it goes on, unless nothing more comes.
    Error(GroupReaderError),
    /// Everything was read.
    End,
    /// Nothing more comes.
    Over,
}

/// A result of what is done beside the reads.
pub(super) enum Done {
    Followers(ScopedSegment, Result<Followers, ControllerError>),
    /// Why a segment does not exist.
    Missing(Arc<ScopedSegment>, ReadError),
}

pub(crate) struct GroupDriver {
    pub(super) group: ScopedReaderGroup,
    pub(super) reader: Arc<str>,
    pub(super) config: GroupReaderConfig,
    pub(super) machine: GroupReaderMachine,
    /// `None` while it is used by the work.
    pub(super) store: Option<GroupStore>,
    pub(super) work: Option<Work>,
    pub(super) lease: Option<LeaseKeeper>,
    /// When the latest read of the state began.
    pub(super) fetch_begun: Instant,
    /// When it is an error that the lease is not renewed, while it is not.
    pub(super) lease_stalls: Option<Now>,
    pub(super) set: SegmentSet,
    pub(super) reads: ReadDriver<Done>,
    pub(super) lookups: Lookups,
    pub(super) notices: NoticeSender,
    /// Until then the machine has nothing to do, unless something happens.
    pub(super) quiet_until: Now,
    pub(super) failures: Failures,
    pub(super) random: Random,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    timer_until: Now,
    /// The time since 1970 when the driver was made.
    wall_ms: i64,
    /// The reader joins its group, and does nothing else yet.
    pub(super) is_joining: bool,
    pub(super) errors: VecDeque<GroupReaderError>,
    /// True after an error that ends reading.
    has_failed: bool,
    pub(super) lost: Option<LossReason>,
    /// Where the reader is, but for the segment of the last event.
    pub(super) places: Option<(Arc<ScopedSegment>, Arc<Places>)>,
}

impl GroupDriver {
    /// Makes the driver of a reader that is about to join the group, of which the state was read.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`] outside a tokio runtime.
    pub(crate) fn new(
        context: SegmentContext,
        group: ScopedReaderGroup,
        reader: &ReaderId,
        store: GroupStore,
        lease: Option<LeaseKeeper>,
        config: GroupReaderConfig,
    ) -> Result<Self, GroupReaderError> {
        let reads = ReadDriver::new(context, config.reads.bugs)?;
        let now = reads.now();
        let mut rng = rng(config.reads.seed);
        let read_machine = ReadMachine::new(config.reads.read_settings(), random_bits(rng.fork()));
        let name: Arc<str> = reader.as_str().into();
        let bits = random_bits(rng.fork());
        let machine = GroupReaderMachine::new(name.clone(), config.machine(), now, bits);
        let wall_ms = config.wall_ms.unwrap_or_else(|| {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            i64::try_from(since_1970.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
        });
        let mut driver = Self {
            group,
            reader: name,
            set: SegmentSet::new(config.segments(), read_machine),
            config,
            machine,
            store: Some(store),
            work: None,
            lease,
            fetch_begun: Instant::now(),
            lease_stalls: None,
            reads,
            lookups: Lookups::default(),
            notices: NoticeSender::new(),
            quiet_until: now,
            failures: Failures::default(),
            random: random_bits(rng),
            timer: Box::pin(sleep(Duration::ZERO)),
            timer_until: now,
            wall_ms,
            is_joining: true,
            errors: VecDeque::new(),
            has_failed: false,
            lost: None,
            places: None,
        };
        driver.handle_read_state();
        Ok(driver)
    }

    pub(super) fn moment(&self) -> Moment {
        let now = self.reads.now();
        let passed = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Moment { now, wall_ms: self.wall_ms.saturating_add(passed) }
    }

    pub(super) fn state(&self) -> Option<&ReaderGroupState> {
        self.store.as_ref().and_then(GroupStore::state)
    }

    pub(crate) fn group(&self) -> &ScopedReaderGroup {
        &self.group
    }

    pub(crate) fn context(&self) -> &SegmentContext {
        self.reads.context()
    }

    pub(crate) fn notices(&self) -> &NoticeSender {
        &self.notices
    }

    pub(crate) fn last_failure(&mut self) -> Option<GroupReaderError> {
        self.failures.take_last()
    }

    /// Returns true if nothing more comes.
    fn is_over(&self) -> bool {
        self.has_failed || self.lost.is_some()
    }

    /// Ends reading with this error.
    pub(super) fn fail(&mut self, error: impl Into<GroupReaderError>) {
        self.has_failed = true;
        self.errors.push_back(error.into());
        self.set.clear();
        if let Some(lease) = &self.lease {
            lease.suspend();
        }
    }

    /// Something happened that the machine may have to do something about.
    pub(super) fn disturb(&mut self) {
        self.quiet_until = Now::ZERO;
        self.places = None;
    }

    /// Waits until the reader is in the group.
    pub(crate) fn poll_joined(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), GroupReaderError>> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Poll::Ready(Err(error));
            }
            if let Some(ended) = self.reads.ended() {
                return Poll::Ready(Err(ended.into()));
            }
            if self.machine.is_member() {
                self.is_joining = false;
                if let Some(lease) = &self.lease {
                    lease.handle_joined();
                }
                return Poll::Ready(Ok(()));
            }
            let is_done = self.poll_group(cx).is_ready();
            if !is_done && self.errors.is_empty() && !self.machine.is_member() {
                std::task::ready!(self.poll_timer(cx));
            }
        }
    }

    /// What the reader has next.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Poll::Ready(Step::Error(error));
            }
            if self.is_over() {
                return Poll::Ready(Step::Over);
            }
            if let Some(ended) = self.reads.ended() {
                self.fail(ended);
                continue;
            }
            match self.poll_group(cx) {
                Poll::Ready(Some(step)) => return Poll::Ready(step),
                Poll::Ready(None) => {
                    if let Some(found) = self.set.poll() {
                        let Some(step) = self.handle_found(found) else { continue };
                        self.send_reads(cx);
                        return Poll::Ready(step);
                    }
                }
                Poll::Pending => {}
            }
            let mut is_busy = !self.errors.is_empty() || self.is_over();
            is_busy |= self.reads.carry_out(&mut self.set);
            is_busy |= self.poll_reads(cx);
            is_busy |= self.reads.poll_timeouts(&mut self.set, cx);
            if !is_busy {
                std::task::ready!(self.poll_timer(cx));
            }
        }
    }

    /// Sends the requests that are due, before the caller uses what was returned.
    pub(crate) fn send_reads(&mut self, cx: &mut Context<'_>) {
        if self.reads.carry_out(&mut self.set) {
            self.poll_reads(cx);
        }
    }

    /// The next event that has arrived, after one that was just returned.
    pub(crate) fn next_event(&mut self) -> Option<(Arc<ScopedSegment>, Offset, Bytes)> {
        match self.set.poll()? {
            Found::Event { segment, offset, event } => Some((segment, offset, event)),
            other => {
                self.set.hold_back(other);
                None
            }
        }
    }

    /// Returns this event before anything else.
    pub(crate) fn hold_back(&mut self, segment: Arc<ScopedSegment>, offset: Offset, event: Bytes) {
        self.set.hold_back(Found::Event { segment, offset, event });
    }

    /// The event that ends at the offset is returned. Returns where the reader is in its other
    /// segments.
    pub(crate) fn handle_read(
        &mut self,
        segment: &Arc<ScopedSegment>,
        next: Offset,
    ) -> Arc<Places> {
        let places = match &self.places {
            Some((current, places)) if Arc::ptr_eq(current, segment) => Arc::clone(places),
            _ => {
                let places = Arc::new(Places(self.machine.ranged_offsets()));
                self.places = Some((Arc::clone(segment), Arc::clone(&places)));
                places
            }
        };
        if !self.machine.has_moved() {
            // Its report may be due.
            self.quiet_until = Now::ZERO;
        }
        self.machine.handle_read(segment, next);
        places
    }

    /// Handles what was found in a segment. `None` means that it is nothing for the owner.
    fn handle_found(&mut self, found: Found) -> Option<Step> {
        match found {
            Found::Event { segment, offset, event } => {
                return Some(Step::Event { segment, offset, event });
            }
            Found::Truncated { segment, asked, head } => {
                self.machine.handle_truncated(&segment, head);
                let detail = format_args!(
                    "the segment was truncated up to {head}; reading goes on from there"
                );
                let error = ReadError::new(ErrorKind::Truncated, detail).with_offset(asked);
                let error = error.with_stream(&segment.scoped_stream());
                self.errors.push_back(error.with_segment(segment.id(), None, 0).into());
            }
            Found::SealedEnd(segment) => self.handle_sealed_end(&segment),
            Found::ConfiguredEnd(segment) => self.machine.handle_configured_end(&segment),
            Found::Missing { segment, at } => {
                let (context, backoff) = (self.reads.context().clone(), self.config.reads.backoff);
                self.reads.spawn(async move {
                    let name = (*segment).clone();
                    let reason = find_reason(context, name, at, backoff).await;
                    Done::Missing(segment, reason)
                });
            }
            Found::Error(error) => self.errors.push_back(error.into()),
            Found::Failed(error) => self.fail(error),
        }
        self.disturb();
        None
    }

    fn handle_sealed_end(&mut self, segment: &ScopedSegment) {
        self.machine.handle_sealed_end(segment);
        if self.state().is_some_and(|state| state.end(segment).is_none()) {
            self.begin_lookup(segment);
        }
    }

    /// Searches the successors of a segment, unless that was done.
    pub(super) fn begin_lookup(&mut self, segment: &ScopedSegment) {
        if !self.lookups.begin(segment, self.reads.now()) {
            return;
        }
        let (context, segment) = (self.reads.context().clone(), segment.clone());
        let (backoff, bugs) = (self.config.reads.backoff, self.config.reads.bugs);
        self.reads.spawn(async move {
            let found = find_successors(context, segment.clone(), backoff, bugs).await;
            Done::Followers(segment, found)
        });
    }

    pub(super) fn poll_reads(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(done) = self.reads.poll_work(&mut self.set, cx) {
            is_busy = true;
            match done {
                None => {}
                Some(Done::Followers(segment, Ok(found))) => {
                    self.lookups.handle_found(&segment, found);
                    self.machine.handle_successors_known();
                    self.disturb();
                }
                Some(Done::Followers(segment, Err(error))) => {
                    let detail = "the successors of a segment cannot be found";
                    let stream = segment.scoped_stream();
                    self.fail(GroupReaderError::from_controller(error, detail, &stream));
                }
                Some(Done::Missing(segment, _)) if !self.machine.is_reading_of(&segment) => {}
                Some(Done::Missing(segment, reason)) => {
                    if reason.kind() == ErrorKind::Truncated {
                        self.errors.push_back(reason.into());
                        self.handle_sealed_end(&segment);
                        self.disturb();
                    } else {
                        self.fail(reason);
                    }
                }
            }
        }
        is_busy
    }

    /// Ready when there may be something to do about the group.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = match (&self.work, self.failures.retry_at()) {
            (Some(Work::Successors(_, until)), _) => *until,
            (Some(_), _) => return Poll::Pending,
            (None, Some(retry)) => retry,
            (None, None) => self.lease_stalls.unwrap_or(self.quiet_until),
        };
        let now = self.reads.now();
        if until <= now {
            return Poll::Ready(());
        }
        if self.timer_until != until {
            self.timer_until = until;
            self.timer.as_mut().reset(Instant::now() + (until - now));
        }
        // An error means that the runtime has ended, which is seen at once.
        self.reads.poll_at_home(&mut self.timer, cx).map(|_| ())
    }

    /// Returns the position of the reader.
    pub(crate) fn position(&self) -> Position {
        Places(self.machine.ranged_offsets()).position(None)
    }

    /// The reader should leave the group, at a position or where it is.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`] if the position is after that of the reader.
    pub(crate) fn leave(&mut self, at: Option<&Position>) -> Result<(), GroupReaderError> {
        let own = self.machine.offsets();
        let at = at.map(|position| {
            let given = position.owned();
            let given: Vec<(ScopedSegment, SegmentOffset)> =
                given.map(|(segment, at)| (segment.clone(), at)).collect();
            given
        });
        for (segment, at) in at.iter().flatten() {
            if own.iter().any(|(of, own)| of == segment && at > own) {
                let detail = format_args!("the position is after that of the reader in {segment}");
                return Err(GroupReaderError::invalid(detail));
            }
        }
        self.machine.leave(at);
        if let Some(lease) = &self.lease {
            lease.resume();
        }
        self.errors.clear();
        self.has_failed = false;
        self.failures.try_now();
        self.disturb();
        Ok(())
    }

    /// Waits until the lease of a reader that has left is removed, or cannot be.
    pub(crate) fn poll_released(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.lease.as_ref().map_or(Poll::Ready(()), |lease| lease.poll_released(cx))
    }

    /// Waits until the reader has left.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GroupReaderError>> {
        loop {
            match self.lost {
                Some(LossReason::Left) => return Poll::Ready(Ok(())),
                Some(reason) => {
                    return Poll::Ready(Err(GroupReaderError::lost(reason, &self.reader)));
                }
                None => {}
            }
            if let Some(ended) = self.reads.ended() {
                return Poll::Ready(Err(ended.into()));
            }
            let error = self.errors.pop_front();
            if let Some(error) = error.filter(|_| self.has_failed) {
                return Poll::Ready(Err(error));
            }
            if self.poll_group(cx).is_pending() {
                let mut is_busy = !self.errors.is_empty() || self.lost.is_some();
                is_busy |= self.poll_reads(cx);
                if !is_busy {
                    std::task::ready!(self.poll_timer(cx));
                }
            }
        }
    }
}

impl fmt::Debug for GroupDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupDriver")
            .field("group", &self.group)
            .field("machine", &self.machine)
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}
