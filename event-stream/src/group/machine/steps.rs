//! The order of what a reader does.

use std::collections::{BTreeMap, VecDeque};

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::{BoundedCut, GroupRetention, ScopedSegment};
use uuid::Uuid;

use super::{
    super::state::{CheckpointState, FairShare, ReaderGroupState},
    assignment::HandOver,
    change::Change,
    reader::{Effect, GroupReaderMachine, LossReason, Moment, SegmentEnd, Standing, Window},
    seeded_bugs::GroupBug,
};

impl GroupReaderMachine {
    /// Returns what to do next; `None` means to read events.
    ///
    /// If the owner did not report the result of a change, because it was dropped meanwhile, the
    /// change counts as one of which it is not known if it was made.
    pub fn poll_effect(&mut self, state: &ReaderGroupState, moment: Moment) -> Option<Effect> {
        if self.in_flight.is_some() {
            self.handle_failed(moment);
        }
        if let Some(effect) = self.local.pop_front() {
            return Some(effect);
        }
        match self.standing {
            Standing::Lost(reason) => return Some(Effect::Lost(reason)),
            Standing::Outside if self.leaving.is_some() && self.in_doubt.is_empty() => {
                self.lose(LossReason::Left);
                return Some(Effect::Lost(LossReason::Left));
            }
            Standing::Outside | Standing::Member => {}
        }
        if moment.now >= self.timers.fetch {
            return Some(Effect::Fetch);
        }
        if self.standing == Standing::Outside {
            return Some(self.change(Change::Join));
        }
        if let Some(leave) = self.leaving.clone() {
            return Some(self.change(leave));
        }
        if std::mem::take(&mut self.is_compacting) {
            return Some(Effect::Compact);
        }
        if moment.now >= self.timers.configuration {
            self.timers.reset_configuration(moment.now);
            if state.is_updating_configuration() {
                return Some(Effect::FindConfiguration);
            }
        }
        if let Some(change) = self.next_change.take() {
            return Some(self.change(change));
        }
        self.poll_checkpoint(state, moment)
            .or_else(|| self.poll_acquire(state, moment))
            .or_else(|| self.poll_report(state, moment))
            .or_else(|| (!self.is_reading() && state.is_at_end()).then_some(Effect::End))
    }

    /// Returns the moment at which there may be something to do again, if no event is returned
    /// before.
    #[must_use]
    pub fn poll_timeout(&self, state: &ReaderGroupState) -> Now {
        let interval = state.configuration().automatic_checkpoint_interval();
        // The end of a checkpoint is seen when the state is read.
        let may_checkpoint = interval.is_some() && !state.checkpoints().is_ongoing();
        let (checkpoint, report) = (self.timers.checkpoint, self.timers.report);
        let next = self.timers.next();
        let is_ended = self.hand_over == HandOver::BetweenEvents && self.owned.has_ended();
        let next = if is_ended { next.min(self.timers.window) } else { next };
        let next = if may_checkpoint { next.min(checkpoint) } else { next };
        if self.has_moved { next.min(report) } else { next }
    }

    pub(super) fn change(&mut self, change: Change) -> Effect {
        self.in_flight = Some(change.clone());
        Effect::Change(change)
    }

    /// What is about checkpoints: the answer to the one that the program has, what is done after
    /// that, and the next one.
    fn poll_checkpoint(&mut self, state: &ReaderGroupState, moment: Moment) -> Option<Effect> {
        if let Some(shown) = self.shown.clone() {
            return Some(self.change(Change::Answer(shown)));
        }
        if self.hand_over == HandOver::BetweenEvents
            && self.window.is_none()
            && moment.now >= self.timers.window
            && self.may_change_segments(state)
        {
            self.timers.reset_window(moment.now);
            self.open_window(false);
        }
        if let Some(effect) = self.poll_window(state, moment) {
            return Some(effect);
        }
        if self.bugs.has(GroupBug::CompletesAtOnce)
            && self.may_change_segments(state)
            && let Some(segment) = self.owned.ended().next()
        {
            return Some(Effect::FindSuccessors(segment.clone()));
        }
        let interval = state.configuration().automatic_checkpoint_interval();
        let next = moment.now.saturating_add(interval.unwrap_or_default());
        if let Some(name) = state.checkpoints().next_for(&self.reader).cloned() {
            self.timers.checkpoint = next;
            let is_silent = CheckpointState::is_silent(&name);
            if is_silent && !self.bugs.has(GroupBug::ShowsSilent) {
                return Some(self.change(Change::Answer(name)));
            }
            if self.bugs.has(GroupBug::AnswersBeforeShowing) {
                self.local.push_back(Effect::Checkpoint(name.clone()));
                return Some(self.change(Change::Answer(name)));
            }
            self.shown = Some(name.clone());
            return Some(Effect::Checkpoint(name));
        }
        if interval.is_none() || moment.now < self.timers.checkpoint {
            return None;
        }
        self.timers.checkpoint = next;
        // Another reader takes long for it. The next one follows it after a while, or that reader
        // would have nothing but checkpoints.
        if state.checkpoints().is_ongoing() {
            return None;
        }
        let bits = [(self.random)(), (self.random)()];
        let id = Uuid::from_u64_pair(bits[0], bits[1]);
        let id = uuid::Builder::from_u128(id.as_u128()).with_version(uuid::Version::Random);
        let name = id.with_variant(uuid::Variant::RFC4122).into_uuid().to_string();
        Some(self.change(Change::CreateCheckpoint(name.into())))
    }

    /// Opens the time after an answer or between two events, in which segments may be completed and
    /// given back.
    pub(super) fn open_window(&mut self, is_after_answer: bool) {
        let to_complete: VecDeque<_> = self.owned.ended().cloned().collect();
        let may_wait = self.hand_over == HandOver::AtCheckpoints;
        self.window =
            Some(Window { to_complete, may_release: true, may_wait, may_publish: is_after_answer });
    }

    fn poll_window(&mut self, state: &ReaderGroupState, moment: Moment) -> Option<Effect> {
        let may_change = self.may_change_segments(state);
        if let Some(window) = &mut self.window {
            if !may_change {
                window.to_complete.clear();
            }
            while let Some(segment) = window.to_complete.front().cloned() {
                let is_held = would_begin_others(state, &segment);
                if !is_held && state.end(&segment).is_none() {
                    let find = if window.may_wait {
                        Effect::FindSuccessors
                    } else {
                        Effect::UseKnownSuccessors
                    };
                    return Some(find(segment));
                }
                window.to_complete.pop_front();
                if is_held {
                    continue;
                }
                let successors = Vec::new();
                return Some(self.change(Change::Complete { segment, successors }));
            }
        }
        let may_release =
            self.window.as_mut().is_some_and(|window| std::mem::take(&mut window.may_release));
        if (may_release || self.bugs.has(GroupBug::ReleasesAtAnyTime))
            && may_change
            && let Some(segment) = self.segment_to_release(state, moment)
        {
            self.timers.begin_change(moment.now);
            return Some(self.change(Change::Release(segment)));
        }
        if self.window.take().is_some_and(|window| window.may_publish) {
            self.begin_publishing(state);
        }
        self.poll_publishing(moment)
    }

    fn segment_to_release(
        &self,
        state: &ReaderGroupState,
        moment: Moment,
    ) -> Option<ScopedSegment> {
        if moment.now < self.timers.release {
            return None;
        }
        let candidate = self.assignment.to_give_back(state, &self.reader)?;
        self.owned.is_read(candidate).then(|| candidate.clone())
    }

    /// Tells the controller about the last checkpoint, if the group limits the truncation of its
    /// streams by it and no reader did it before.
    fn begin_publishing(&mut self, state: &ReaderGroupState) {
        let retention = state.configuration().retention();
        let checkpoints = state.checkpoints();
        let is_wanted = retention == GroupRetention::AutomaticReleaseAtLastCheckpoint;
        let Some(last) = checkpoints.last_completed().filter(|_| is_wanted) else { return };
        if checkpoints.is_last_published() {
            return;
        }
        let mut positions = BTreeMap::<_, Vec<_>>::new();
        for (segment, offset) in last {
            positions.entry(segment.scoped_stream()).or_default().push((segment.id(), *offset));
        }
        for (stream, positions) in positions {
            if let Ok(cut) = BoundedCut::new(stream.clone(), positions) {
                self.publishing.set(stream, cut);
                self.is_publishing = true;
            }
        }
    }

    fn poll_publishing(&mut self, moment: Moment) -> Option<Effect> {
        // One in flight is one whose result the owner has not reported, as it was dropped.
        self.publishing.handle_failed();
        if let Some((_, cut)) = self.publishing.take() {
            return Some(Effect::PublishCut(cut.clone()));
        }
        if !self.is_publishing || !self.publishing.is_empty() {
            return None;
        }
        self.is_publishing = false;
        self.timers.fetch = moment.now;
        let published =
            super::super::state::GroupUpdate::UpdateCheckpointPublished { is_published: true };
        Some(Effect::Report(published))
    }

    fn poll_acquire(&mut self, state: &ReaderGroupState, moment: Moment) -> Option<Effect> {
        self.is_after_shown = false;
        if moment.now < self.timers.acquire || !self.may_change_segments(state) {
            return None;
        }
        if self.assignment.to_take(state, &self.reader).is_empty() {
            let delay = FairShare::of(state).acquire_delay(&self.reader).unwrap_or_default();
            self.timers.acquire = moment.now.saturating_add(delay);
            return None;
        }
        self.timers.begin_change(moment.now);
        Some(self.change(Change::Acquire))
    }

    fn poll_report(&mut self, state: &ReaderGroupState, moment: Moment) -> Option<Effect> {
        // One that has not moved has nothing to report: its lag differs by less than that of
        // readers that report at different times.
        if moment.now < self.timers.report || !self.has_moved {
            return None;
        }
        self.has_moved = false;
        self.timers.reset_report(moment.now, state.readers().len());
        Some(self.change(Change::Report))
    }

    /// Compares the segments of this reader with those that the state assigns to it.
    pub(super) fn reconcile(&mut self, state: &ReaderGroupState) {
        let Some(assigned) = state.assigned(&self.reader) else {
            if !self.bugs.has(GroupBug::IgnoresRemoval) {
                self.lose(LossReason::Removed);
            }
            return;
        };
        let attempts: Vec<&Change> = self.in_doubt.iter().chain(&self.in_flight).collect();
        let gives_up = |segment: &ScopedSegment| {
            attempts.iter().any(|change| match change {
                Change::Release(given) | Change::Complete { segment: given, .. } => {
                    given == segment
                }
                _ => false,
            })
        };
        let gone: Vec<ScopedSegment> =
            self.owned.segments().filter(|own| !assigned.contains(own)).cloned().collect();
        let mut taken = Vec::new();
        for (segment, range, offset) in assigned.iter() {
            if !self.owned.contains(segment) {
                taken.push((segment.clone(), range, offset));
            }
        }
        let is_foreign = taken.iter().any(|(segment, ..)| !self.acquiring.contains(segment))
            || gone.iter().any(|segment| !gives_up(segment));
        if is_foreign && !self.bugs.has(GroupBug::IgnoresRemoval) {
            self.lose(LossReason::Replaced);
            return;
        }
        for segment in gone {
            self.owned.remove(&segment);
            if !self.bugs.has(GroupBug::ReadsAfterRelease) {
                self.local.push_back(Effect::Close(segment));
            }
        }
        for (segment, range, offset) in taken {
            let end = state.end(&segment);
            let is_reading = self.owned.take(segment.clone(), range, offset, end);
            if let Some(from) = offset.offset().filter(|_| is_reading) {
                let from = if self.bugs.has(GroupBug::ReadsFromHead) { 0.into() } else { from };
                let end = match end.and_then(|end| end.offset()) {
                    Some(end) => SegmentEnd::At(end),
                    None if state.is_before_end(&segment) => SegmentEnd::Sealed,
                    None => SegmentEnd::OnceSealed,
                };
                self.local.push_back(Effect::Open { segment, from, end });
            }
        }
    }
}

/// Returns true if completing a segment would begin a segment of another stream too early.
///
/// The state keeps predecessors by their ids, which are the same in all streams, so a completed
/// segment counts for all segments that wait for its id. Java's client completes it nevertheless;
/// this one waits until the other stream has completed its own. If each of two streams waits for
/// its own segment of the id, the first by its name goes on.
fn would_begin_others(state: &ReaderGroupState, segment: &ScopedSegment) -> bool {
    let waits = |own: bool| {
        state.future().filter(move |(future, _, left)| {
            let is_own = future.scoped_stream() == segment.scoped_stream();
            is_own == own && left.contains(&segment.id())
        })
    };
    let stream = segment.scoped_stream();
    let waits_itself = waits(true).next().is_some();
    waits(false).any(|(future, ..)| !waits_itself || future.scoped_stream() < stream)
}
