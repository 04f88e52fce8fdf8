//! The updates of which a change consists, by the latest state.

use std::{collections::BTreeSet, sync::Arc};

use pravega_sdk_types::{Offset, ScopedSegment, SegmentId, SegmentOffset};

use super::{
    super::state::{
        Adoption, GroupSegment, GroupUpdate, ReaderGroupState, SegmentCompletion, SegmentRelease,
    },
    assignment::SegmentAssignment,
    change::Change,
    owned::Owned,
    reader::GroupReaderMachine,
    seeded_bugs::{Bugs, GroupBug},
};

/// A change that is being made: what it consists of by the latest state, without the machine, which
/// can be asked meanwhile where the reader is.
#[derive(Debug, Clone)]
pub struct ChangePlan {
    change: Change,
    reader: Arc<str>,
    owned: Owned,
    last_read: Option<SegmentId>,
    /// The segments of the attempts to take some.
    acquiring: BTreeSet<ScopedSegment>,
    assignment: SegmentAssignment,
    bugs: Bugs,
}

impl GroupReaderMachine {
    /// Returns the plan of a change, which is handed back with [`Self::handle_planned`].
    #[must_use]
    pub fn plan(&self, change: Change) -> ChangePlan {
        ChangePlan {
            change,
            reader: self.reader.clone(),
            owned: self.owned.clone(),
            last_read: self.last_read,
            acquiring: BTreeSet::new(),
            assignment: self.assignment,
            bugs: self.bugs,
        }
    }

    /// The change was made or not, and its plan is not used any more. The result follows.
    pub fn handle_planned(&mut self, plan: ChangePlan) {
        self.acquiring.extend(plan.acquiring);
    }

    /// Returns true if no checkpoint waits for this reader: until it has answered, the segments
    /// that it has must stay those that it answers for.
    pub(super) fn may_change_segments(&self, state: &ReaderGroupState) -> bool {
        may_change_segments(&self.reader, self.bugs, state)
    }
}

fn may_change_segments(reader: &str, bugs: Bugs, state: &ReaderGroupState) -> bool {
    state.is_online(reader)
        && (state.checkpoints().next_for(reader).is_none()
            || bugs.has(GroupBug::AcquiresAtCheckpoints))
}

impl ChangePlan {
    /// Returns the updates of the change, by the latest state; none if there is nothing to change
    /// any more. The owner calls it again with each newer state until the updates are written.
    pub fn updates(&mut self, state: &ReaderGroupState, wall_ms: i64) -> Vec<GroupUpdate> {
        let reader = self.reader.clone();
        match &self.change.clone() {
            Change::Join if !state.is_online(&reader) => vec![GroupUpdate::AddReader { reader }],
            Change::Leave(offsets) if state.is_online(&reader) => {
                let position = offsets.iter().map(|(segment, at)| (segment, *at));
                let offsets = state.offsets_of_removal(&reader, position);
                vec![GroupUpdate::RemoveReader { reader, offsets }]
            }
            Change::Adopt(init) => {
                let adoption = state.adoption(init.configuration.configuration());
                let is_newer = adoption == Adoption::Newer;
                is_newer.then(|| GroupUpdate::Init(init.clone())).into_iter().collect()
            }
            Change::CreateCheckpoint(name) if !state.checkpoints().is_ongoing() => vec![
                GroupUpdate::CreateCheckpoint { checkpoint: name.clone() },
                GroupUpdate::ClearCheckpointsBefore { checkpoint: name.clone() },
            ],
            Change::Answer(name) => self.answer(name, state).into_iter().collect(),
            Change::Report if state.is_online(&reader) => vec![self.report(wall_ms)],
            Change::Acquire if self.may_change_segments(state) => self.acquire(state, wall_ms),
            Change::Release(segment) if self.may_change_segments(state) => {
                self.release(segment, state, wall_ms)
            }
            Change::Complete { segment, successors } if self.may_change_segments(state) => {
                let is_own = state.assigned(&reader).is_some_and(|own| own.contains(segment));
                let range = self.owned.range(segment);
                let completion = SegmentCompletion {
                    reader,
                    segment: GroupSegment { segment: segment.clone(), range },
                    successors: successors.clone(),
                };
                is_own.then_some(GroupUpdate::SegmentCompleted(completion)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn may_change_segments(&self, state: &ReaderGroupState) -> bool {
        may_change_segments(&self.reader, self.bugs, state)
    }

    fn answer(&self, name: &Arc<str>, state: &ReaderGroupState) -> Option<GroupUpdate> {
        let mut waiting = state.checkpoints().waiting_for(name);
        if !waiting.any(|reader| *reader == *self.reader) {
            return None;
        }
        let mut offsets = self.owned.offsets();
        if self.bugs.has(GroupBug::ForgetsEndedSegments) {
            offsets.retain(|(segment, _)| self.owned.is_read(segment));
        }
        Some(GroupUpdate::CheckpointReader {
            checkpoint: name.clone(),
            reader: self.reader.clone(),
            offsets,
        })
    }

    fn acquire(&mut self, state: &ReaderGroupState, wall_ms: i64) -> Vec<GroupUpdate> {
        let segments = self.assignment.to_take(state, &self.reader).into_iter().cloned();
        let segments: Vec<_> = segments.collect();
        if segments.is_empty() {
            return Vec::new();
        }
        self.acquiring.extend(segments.iter().cloned());
        let last_read = self.last_read.or_else(|| segments.first().map(ScopedSegment::id));
        let mut read = self.owned.ranged();
        // A reader that had one before and has died may have reported more than is read again now.
        let chosen: BTreeSet<_> = segments.iter().collect();
        let taken = state.unassigned().iter().filter(|(segment, ..)| chosen.contains(segment));
        read.extend(taken.map(|(segment, range, offset)| {
            (GroupSegment { segment: segment.clone(), range }, offset)
        }));
        let report = self.report_after(last_read, read, wall_ms);
        let reader = &self.reader;
        let acquire = |segment| GroupUpdate::AcquireSegment { reader: reader.clone(), segment };
        let updates = segments.into_iter().map(acquire).chain([report]);
        updates.collect()
    }

    fn release(
        &self,
        segment: &ScopedSegment,
        state: &ReaderGroupState,
        wall_ms: i64,
    ) -> Vec<GroupUpdate> {
        let reader = self.reader.clone();
        let is_own = state.assigned(&reader).is_some_and(|own| own.contains(segment));
        let offset = if self.bugs.has(GroupBug::ReleasesAtOldOffset) {
            self.owned.taken(segment)
        } else {
            self.owned.offset(segment)
        };
        let Some(offset) = offset.filter(|_| is_own) else { return Vec::new() };
        if !self.assignment.gives_back(state, &reader, segment) {
            return Vec::new();
        }
        let released = SegmentRelease { reader, segment: segment.clone(), offset };
        vec![GroupUpdate::ReleaseSegment(released), self.report(wall_ms)]
    }

    fn report(&self, wall_ms: i64) -> GroupUpdate {
        let last_read =
            self.last_read.or_else(|| self.owned.segments().next().map(ScopedSegment::id));
        self.report_after(last_read, self.owned.ranged(), wall_ms)
    }

    /// The report of how far the reader is. The lag is that of Java's client, which compares it
    /// with those of its readers: the time since 1970 less the id of the segment of the last event.
    /// A reader that has not read an event would look empty beside others and be given their
    /// segments, so the id of one of its segments counts.
    fn report_after(
        &self,
        last_read: Option<SegmentId>,
        mut read: Vec<(GroupSegment, SegmentOffset)>,
        wall_ms: i64,
    ) -> GroupUpdate {
        if self.bugs.has(GroupBug::ReportsAhead) {
            read.iter_mut().for_each(|(_, at)| *at = at.offset().map_or(*at, ahead));
        }
        let lag_ms = last_read.map_or(0, |id| wall_ms.saturating_sub(i64::from(id)));
        GroupUpdate::UpdateDistanceToTail { reader: self.reader.clone(), lag_ms, read }
    }
}

/// A place that was not reached.
fn ahead(place: Offset) -> SegmentOffset {
    SegmentOffset::At(Offset(place.0.saturating_add(1000)))
}
