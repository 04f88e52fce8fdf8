//! The parts of a state that are stored again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::ScopedSegment;

use super::super::{
    checkpoints::Positions, group_state::ReaderGroupState, journal::Journal,
    segment_offsets::SegmentOffsets,
};

/// The parts of a state that may be other than stored.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Nothing is stored.
    pub(super) is_new: bool,
    /// Segments of holders, each with the readers that may have got or lost it.
    pub(super) segments: BTreeMap<ScopedSegment, BTreeSet<Arc<str>>>,
    /// Readers; the flag is true for those with a lag that is stored.
    pub(super) readers: BTreeMap<Arc<str>, bool>,
    /// Readers whose segments are in another order than they are stored.
    pub(super) reordered: BTreeSet<Arc<str>>,
    pub(super) future: BTreeSet<ScopedSegment>,
    /// `None` if the checkpoints are as they are stored.
    pub(super) checkpoints: Option<TouchedCheckpoints>,
}

/// The parts of the checkpoints that may be other than stored.
#[derive(Debug, Default)]
pub(super) struct TouchedCheckpoints {
    /// Those that may be new, or others of the same name.
    pub(super) created: BTreeSet<Arc<str>>,
    pub(super) answers: BTreeMap<Arc<str>, BTreeSet<ScopedSegment>>,
    pub(super) waiting: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// The positions of the last checkpoint as they are stored.
    pub(super) last: Option<Arc<Positions>>,
}

impl Touched {
    /// Returns all parts of a state.
    pub(super) fn all(state: &ReaderGroupState) -> Self {
        let mut segments: BTreeMap<ScopedSegment, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (reader, assigned) in &state.assigned {
            for segment in assigned.segments() {
                segments.entry(segment.clone()).or_default().insert(reader.clone());
            }
        }
        for segment in
            [&state.unassigned, &state.last_read].into_iter().flat_map(SegmentOffsets::segments)
        {
            segments.entry(segment.clone()).or_default();
        }
        let readers = state.assigned.keys().chain(state.lags.keys());
        Self {
            is_new: true,
            segments,
            readers: readers.map(|reader| (reader.clone(), false)).collect(),
            reordered: BTreeSet::new(),
            future: state.future.iter().map(|(segment, _)| segment.clone()).collect(),
            checkpoints: Some(TouchedCheckpoints::default()),
        }
    }

    /// Returns the parts that updates have changed.
    pub(super) fn by(journal: &Journal) -> Self {
        let mut segments: BTreeMap<ScopedSegment, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (segment, readers) in &journal.assigned {
            segments.insert(segment.clone(), readers.keys().cloned().collect());
        }
        for segment in journal.unassigned.keys().chain(journal.last_read.keys()) {
            segments.entry(segment.clone()).or_default();
        }
        let readers = journal.readers.iter();
        let checkpoints = journal.checkpoints.as_ref().map(|before| TouchedCheckpoints {
            created: journal.created.clone(),
            answers: journal.answers.clone(),
            waiting: journal.waiting.clone(),
            last: before.last.clone(),
        });
        Self {
            is_new: false,
            segments,
            readers: readers.map(|(reader, (_, lag))| (reader.clone(), lag.is_some())).collect(),
            reordered: journal.left.clone(),
            future: journal.future.keys().cloned().collect(),
            checkpoints,
        }
    }
}
