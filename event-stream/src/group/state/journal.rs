//! What updates have changed in a state, and how it was before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::ScopedSegment;

use super::{
    checkpoints::CheckpointState,
    future_segments::Pending,
    group_state::ReaderGroupState,
    ordered::Numbered,
    segment_offsets::{RangedOffset, SegmentOffsets},
};

/// What is notified before an update changes a part of a state.
pub(super) trait Witness {
    /// All of it.
    fn whole(&mut self, _: &ReaderGroupState) {}
    /// That a reader is in the group, and its lag.
    fn reader(&mut self, _: &ReaderGroupState, _: &Arc<str>) {}
    /// A segment of a reader.
    fn assigned(&mut self, _: &ReaderGroupState, _: &Arc<str>, _: &ScopedSegment) {}
    /// A segment among those without a reader.
    fn unassigned(&mut self, _: &ReaderGroupState, _: &ScopedSegment) {}
    /// How far a segment was read.
    fn last_read(&mut self, _: &ReaderGroupState, _: &ScopedSegment) {}
    /// A segment that begins later.
    fn future(&mut self, _: &ReaderGroupState, _: &ScopedSegment) {}
    /// The checkpoints, in whatever way.
    fn checkpoints(&mut self, _: &ReaderGroupState) {}
    /// A checkpoint, which is created.
    fn created(&mut self, _: &Arc<str>) {}
    /// The answer of a reader in a checkpoint: its position in a segment.
    fn answer(&mut self, _checkpoint: &Arc<str>, _reader: &Arc<str>, _: &ScopedSegment) {}
    /// That a checkpoint waits for a reader.
    fn waiting(&mut self, _checkpoint: &Arc<str>, _reader: &Arc<str>) {}
    /// That the configuration is being updated.
    fn updating(&mut self, _: &ReaderGroupState) {}
}

/// No witness.
impl Witness for () {}

/// The parts of a state that updates may have changed, each as it was before.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The state that another one has replaced as a whole.
    pub(super) whole: Option<Box<ReaderGroupState>>,
    /// Each reader, with its lag; the flag is true if it was in the group.
    pub(super) readers: BTreeMap<Arc<str>, (bool, Option<i64>)>,
    /// Readers that have left the group, and may be in it again: with segments in another order.
    pub(super) left: BTreeSet<Arc<str>>,
    pub(super) assigned: BTreeMap<ScopedSegment, BTreeMap<Arc<str>, Before<RangedOffset>>>,
    pub(super) unassigned: BTreeMap<ScopedSegment, Before<RangedOffset>>,
    pub(super) last_read: BTreeMap<ScopedSegment, Before<RangedOffset>>,
    pub(super) future: BTreeMap<ScopedSegment, Before<Pending>>,
    pub(super) checkpoints: Option<CheckpointState>,
    pub(super) created: BTreeSet<Arc<str>>,
    pub(super) answers: BTreeMap<Arc<str>, BTreeSet<ScopedSegment>>,
    pub(super) waiting: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    is_updating_configuration: Option<bool>,
}

/// An entry as it was; `None` if there was none.
type Before<V> = Option<Numbered<V>>;

impl Witness for Journal {
    fn whole(&mut self, state: &ReaderGroupState) {
        self.whole.get_or_insert_with(|| Box::new(state.clone()));
    }

    fn reader(&mut self, state: &ReaderGroupState, reader: &Arc<str>) {
        if !self.is_partial() {
            return;
        }
        match self.readers.get(reader) {
            None => {
                let before = (state.is_online(reader), state.lag_ms(reader));
                self.readers.insert(reader.clone(), before);
            }
            Some((true, _)) if !state.is_online(reader) => {
                self.left.insert(reader.clone());
            }
            Some(_) => {}
        }
    }

    fn assigned(&mut self, state: &ReaderGroupState, reader: &Arc<str>, segment: &ScopedSegment) {
        self.reader(state, reader);
        if self.is_partial() {
            let readers = self.assigned.entry(segment.clone()).or_default();
            readers.entry(reader.clone()).or_insert_with(|| {
                let assigned = state.assigned.get(reader);
                assigned.and_then(|assigned| assigned.numbered(segment)).cloned()
            });
        }
    }

    fn unassigned(&mut self, state: &ReaderGroupState, segment: &ScopedSegment) {
        if self.is_partial() {
            note(&mut self.unassigned, &state.unassigned, segment);
        }
    }

    fn last_read(&mut self, state: &ReaderGroupState, segment: &ScopedSegment) {
        if self.is_partial() {
            note(&mut self.last_read, &state.last_read, segment);
        }
    }

    fn future(&mut self, state: &ReaderGroupState, segment: &ScopedSegment) {
        if self.is_partial() && !self.future.contains_key(segment) {
            self.future.insert(segment.clone(), state.future.numbered(segment).cloned());
        }
    }

    fn checkpoints(&mut self, state: &ReaderGroupState) {
        if self.is_partial() {
            self.checkpoints.get_or_insert_with(|| state.checkpoints.clone());
        }
    }

    fn created(&mut self, checkpoint: &Arc<str>) {
        self.created.insert(checkpoint.clone());
    }

    fn answer(&mut self, checkpoint: &Arc<str>, reader: &Arc<str>, segment: &ScopedSegment) {
        self.waiting(checkpoint, reader);
        self.answers.entry(checkpoint.clone()).or_default().insert(segment.clone());
    }

    fn waiting(&mut self, checkpoint: &Arc<str>, reader: &Arc<str>) {
        self.waiting.entry(checkpoint.clone()).or_default().insert(reader.clone());
    }

    fn updating(&mut self, state: &ReaderGroupState) {
        if self.is_partial() {
            self.is_updating_configuration.get_or_insert(state.is_updating_configuration);
        }
    }
}

fn note(
    journal: &mut BTreeMap<ScopedSegment, Before<RangedOffset>>,
    state: &SegmentOffsets,
    segment: &ScopedSegment,
) {
    if !journal.contains_key(segment) {
        journal.insert(segment.clone(), state.numbered(segment).cloned());
    }
}

impl Journal {
    /// Returns true unless the state was replaced as a whole, after which nothing is noted.
    fn is_partial(&self) -> bool {
        self.whole.is_none()
    }

    /// Makes the state as it was before the updates.
    pub(super) fn undo(self, state: &mut ReaderGroupState) {
        if let Some(whole) = self.whole {
            *state = *whole;
        }
        for (reader, (was_online, lag)) in self.readers {
            match lag {
                Some(lag) => drop(state.lags.insert(reader.clone(), lag)),
                None => drop(state.lags.remove(&reader)),
            }
            if was_online {
                state.assigned.entry(reader).or_default();
            } else {
                state.assigned.remove(&reader);
            }
        }
        for (segment, readers) in self.assigned {
            for (reader, before) in readers {
                if let Some(assigned) = state.assigned.get_mut(&reader) {
                    assigned.restore(segment.clone(), before);
                }
            }
        }
        for (segment, before) in self.unassigned {
            state.unassigned.restore(segment, before);
        }
        for (segment, before) in self.last_read {
            state.last_read.restore(segment, before);
        }
        for (segment, before) in self.future {
            state.future.restore(segment, before);
        }
        if let Some(before) = self.checkpoints {
            state.checkpoints = before;
        }
        if let Some(before) = self.is_updating_configuration {
            state.is_updating_configuration = before;
        }
    }
}
