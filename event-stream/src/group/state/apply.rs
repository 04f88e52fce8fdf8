//! The effect of each update on the state.

use std::{collections::BTreeSet, sync::Arc};

use pravega_sdk_types::{Offset, ScopedSegment, SegmentOffset};

use super::{
    checkpoints::{CheckpointState, Positions},
    fair_share::ASSUMED_LAG_MS,
    group_state::ReaderGroupState,
    journal::Witness,
    segment_offsets::{GroupSegment, SegmentOffsets},
    update::{GroupInitial, GroupUpdate, SegmentCompletion, SegmentRelease},
    update_error::GroupUpdateError,
};

impl From<GroupInitial> for ReaderGroupState {
    fn from(initial: GroupInitial) -> Self {
        match initial {
            GroupInitial::Init(init) => Self::new(init),
            GroupInitial::Compact(state) => *state,
        }
    }
}

impl ReaderGroupState {
    /// Applies an update.
    ///
    /// # Errors
    ///
    /// [`GroupUpdateError`] if it does not fit the state, which is as before.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_event_stream::group::{GroupInit, GroupUpdate, ReaderGroupState};
    /// use pravega_sdk_types::{Offset, ReaderGroupConfiguration, ScopedSegment};
    ///
    /// let segment: ScopedSegment = "shop/orders/0.#epoch.0".parse()?;
    /// let configuration = ReaderGroupConfiguration::new([segment.scoped_stream()])?;
    /// let segments = [(segment.clone().into(), Offset(0).into())];
    /// let mut state = ReaderGroupState::new(GroupInit::new(configuration, segments));
    /// state.apply(GroupUpdate::AddReader { reader: "r1".into() })?;
    /// state.apply(GroupUpdate::AcquireSegment { reader: "r1".into(), segment: segment.clone() })?;
    /// assert!(state.assigned("r1").is_some_and(|segments| segments.contains(&segment)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&mut self, update: GroupUpdate) -> Result<(), GroupUpdateError> {
        self.apply_before(update, &mut ())
    }

    /// As [`apply`](Self::apply), before a witness.
    pub(super) fn apply_before(
        &mut self,
        update: GroupUpdate,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        match update {
            GroupUpdate::Init(init) if init.segments.is_empty() => {
                return Err(GroupUpdateError::NoSegments);
            }
            GroupUpdate::Init(init) => {
                witness.whole(self);
                *self = Self::new(init);
            }
            GroupUpdate::Compact(state) => {
                witness.whole(self);
                *self = *state;
            }
            GroupUpdate::AddReader { reader } => self.add_reader(reader, witness)?,
            GroupUpdate::RemoveReader { reader, offsets } => {
                self.remove_reader(&reader, offsets, witness);
            }
            GroupUpdate::ReleaseSegment(released) => self.release(released, witness)?,
            GroupUpdate::AcquireSegment { reader, segment } => {
                self.acquire(&reader, &segment, witness)?;
            }
            GroupUpdate::UpdateDistanceToTail { reader, lag_ms, read } => {
                witness.reader(self, &reader);
                self.lags.insert(reader, lag_ms.max(ASSUMED_LAG_MS));
                for (segment, offset) in read {
                    witness.last_read(self, &segment.segment);
                    self.last_read.replace(&segment.segment, offset);
                }
            }
            GroupUpdate::SegmentCompleted(completion) => self.complete(completion, witness)?,
            GroupUpdate::CheckpointReader { checkpoint, reader, offsets } => {
                self.checkpoint(&checkpoint, &reader, offsets, witness)?;
            }
            GroupUpdate::CreateCheckpoint { checkpoint } => {
                witness.checkpoints(self);
                witness.created(&checkpoint);
                let readers: BTreeSet<Arc<str>> = self.assigned.keys().cloned().collect();
                let known = positions(&self.unassigned);
                self.checkpoints.begin(checkpoint, readers, known)?;
            }
            GroupUpdate::ClearCheckpointsBefore { checkpoint } => {
                witness.checkpoints(self);
                self.checkpoints.clear_before(&checkpoint);
            }
            GroupUpdate::UpdateCheckpointPublished { is_published } => {
                witness.checkpoints(self);
                self.checkpoints.is_last_published = is_published;
            }
            GroupUpdate::UpdatingConfig { is_updating } => {
                witness.updating(self);
                self.is_updating_configuration = is_updating;
            }
            GroupUpdate::RemoveOutstandingCheckpoints => {
                witness.checkpoints(self);
                self.checkpoints.remove_outstanding();
            }
        }
        Ok(())
    }

    fn add_reader(
        &mut self,
        reader: Arc<str>,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        if self.is_online(&reader) {
            return Err(GroupUpdateError::AlreadyOnline(reader));
        }
        witness.reader(self, &reader);
        self.assigned.insert(reader.clone(), SegmentOffsets::default());
        // It has reported nothing, so nothing is known of its distance from the tail.
        self.lags.entry(reader).or_insert(i64::MAX);
        Ok(())
    }

    fn remove_reader(
        &mut self,
        reader: &Arc<str>,
        offsets: Vec<(ScopedSegment, SegmentOffset)>,
        witness: &mut impl Witness,
    ) {
        witness.reader(self, reader);
        for segment in self.assigned.get(reader).into_iter().flat_map(SegmentOffsets::segments) {
            witness.assigned(self, reader, segment);
            witness.unassigned(self, segment);
        }
        let assigned = self.assigned.remove(reader).unwrap_or_default();
        let offsets: Positions = offsets.into_iter().collect();
        let mut last = Positions::new();
        for (segment, range, stored) in assigned.iter() {
            let offset = offsets.get(segment).copied().unwrap_or(stored);
            last.insert(segment.clone(), offset);
            self.unassigned.insert(GroupSegment { segment: segment.clone(), range }, offset);
        }
        self.lags.remove(reader);
        let pending = self.checkpoints.waiting_for_reader(reader);
        if pending.is_empty() {
            return;
        }
        witness.checkpoints(self);
        for checkpoint in &pending {
            witness.waiting(checkpoint, reader);
            last.keys().for_each(|segment| witness.answer(checkpoint, reader, segment));
        }
        self.checkpoints.remove_reader(reader, &last);
    }

    fn release(
        &mut self,
        released: SegmentRelease,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        let SegmentRelease { reader, segment, offset } = released;
        witness.assigned(self, &reader, &segment);
        witness.unassigned(self, &segment);
        witness.last_read(self, &segment);
        let taken = self.assigned_mut(&reader)?.remove(&segment);
        let (released, _) = taken.ok_or(GroupUpdateError::NotAssigned { reader, segment })?;
        self.last_read.replace(&released.segment, offset);
        self.unassigned.insert(released, offset);
        Ok(())
    }

    fn acquire(
        &mut self,
        reader: &Arc<str>,
        segment: &ScopedSegment,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        witness.assigned(self, reader, segment);
        witness.unassigned(self, segment);
        let offline = || GroupUpdateError::NotOnline(reader.clone());
        let assigned = self.assigned.get_mut(reader).ok_or_else(offline)?;
        let taken = self.unassigned.remove(segment);
        let (segment, offset) =
            taken.ok_or_else(|| GroupUpdateError::NotUnassigned(segment.clone()))?;
        assigned.insert(segment, offset);
        Ok(())
    }

    fn complete(
        &mut self,
        completion: SegmentCompletion,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        let SegmentCompletion { reader, segment, successors } = completion;
        let segment = segment.segment;
        witness.assigned(self, &reader, &segment);
        witness.last_read(self, &segment);
        if self.assigned_mut(&reader)?.remove(&segment).is_none() {
            return Err(GroupUpdateError::NotAssigned { reader, segment });
        }
        self.last_read.remove(&segment);
        for (successor, predecessors) in successors {
            witness.future(self, &successor.segment);
            self.future.add(successor, predecessors.into_iter().collect());
        }
        for waiting in self.future.waiting_for(segment.id()) {
            witness.future(self, &waiting);
        }
        let head = SegmentOffset::At(Offset(0));
        for begun in self.future.complete(segment.id()) {
            witness.last_read(self, &begun.segment);
            witness.unassigned(self, &begun.segment);
            self.last_read.insert_if_absent(begun.clone(), head);
            self.unassigned.insert(begun, head);
        }
        Ok(())
    }

    fn checkpoint(
        &mut self,
        checkpoint: &Arc<str>,
        reader: &Arc<str>,
        offsets: Vec<(ScopedSegment, SegmentOffset)>,
        witness: &mut impl Witness,
    ) -> Result<(), GroupUpdateError> {
        witness.checkpoints(self);
        witness.waiting(checkpoint, reader);
        for (segment, _) in &offsets {
            witness.answer(checkpoint, reader, segment);
            witness.assigned(self, reader, segment);
        }
        // Of a silent one the position is not stored: the program does not know it, and a reader
        // that dies should go on where the program knows that it was.
        if CheckpointState::is_silent(checkpoint) {
            return self.checkpoints.answer(checkpoint, reader, offsets);
        }
        let offline = || GroupUpdateError::NotOnline(reader.clone());
        let assigned = self.assigned.get_mut(reader).ok_or_else(offline)?;
        self.checkpoints.answer(checkpoint, reader, offsets.iter().cloned())?;
        for (segment, offset) in offsets {
            assigned.replace(&segment, offset);
        }
        Ok(())
    }

    fn assigned_mut(&mut self, reader: &Arc<str>) -> Result<&mut SegmentOffsets, GroupUpdateError> {
        let offline = || GroupUpdateError::NotOnline(reader.clone());
        self.assigned.get_mut(reader).ok_or_else(offline)
    }
}

/// Returns the offset in each of some segments.
fn positions(offsets: &SegmentOffsets) -> Positions {
    offsets.iter().map(|(segment, _, offset)| (segment.clone(), offset)).collect()
}
