//! The state of a reader group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{
    KeyRange, ReaderGroupConfiguration, ScopedSegment, ScopedStream, SegmentId, SegmentOffset,
};

use super::{
    checkpoints::CheckpointState,
    configuration::StoredConfiguration,
    future_segments::{FutureSegments, Pending},
    init::GroupInit,
    segment_offsets::SegmentOffsets,
};

/// The state of a reader group: which reader has which segment, from which offset on, and the
/// checkpoints.
///
/// A segment is in one of three places: it is assigned to a reader, it is without a reader, or it
/// is a future segment, which begins when its predecessors were read. All readers apply the same
/// updates in the same order, with [`apply`](Self::apply).
#[derive(Debug, Clone, PartialEq)]
pub struct ReaderGroupState {
    pub(super) configuration: StoredConfiguration,
    pub(super) checkpoints: CheckpointState,
    /// How far each reader is from the tail, in milliseconds, as it has reported.
    pub(super) lags: BTreeMap<Arc<str>, i64>,
    pub(super) future: FutureSegments,
    pub(super) assigned: BTreeMap<Arc<str>, SegmentOffsets>,
    pub(super) unassigned: SegmentOffsets,
    pub(super) last_read: SegmentOffsets,
    /// Where reading ends: at an offset, or with the segment.
    pub(super) ends: BTreeMap<ScopedSegment, SegmentOffset>,
    pub(super) is_updating_configuration: bool,
}

/// What a configuration means for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// The group begins again with it.
    Newer,
    /// The state has it, or a later one.
    Known,
    /// It is that of another group of the same name.
    OtherGroup,
}

impl ReaderGroupState {
    /// Creates the state of a group without readers.
    #[must_use]
    pub fn new(init: GroupInit) -> Self {
        let GroupInit { configuration, segments, ends, is_updating_configuration } = init;
        let unassigned: SegmentOffsets = segments.into_iter().collect();
        Self {
            last_read: unassigned.clone(),
            unassigned,
            ends: ends.into_iter().collect(),
            is_updating_configuration,
            ..Self::empty(configuration)
        }
    }

    /// Creates a state without readers and segments.
    pub(super) fn empty(configuration: StoredConfiguration) -> Self {
        Self {
            configuration,
            checkpoints: CheckpointState::default(),
            lags: BTreeMap::new(),
            future: FutureSegments::default(),
            assigned: BTreeMap::new(),
            unassigned: SegmentOffsets::default(),
            last_read: SegmentOffsets::default(),
            ends: BTreeMap::new(),
            is_updating_configuration: false,
        }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn configuration(&self) -> &ReaderGroupConfiguration {
        self.configuration.configuration()
    }

    /// Returns what a configuration means for this state: its group may be another one of the name,
    /// which was deleted and created again. A state without an id is that of a group which was not
    /// registered when it began.
    #[must_use]
    pub(crate) fn adoption(&self, configuration: &ReaderGroupConfiguration) -> Adoption {
        let own = self.configuration();
        if own.id() != configuration.id() && !own.id().is_nil() {
            Adoption::OtherGroup
        } else if own.generation() < configuration.generation() {
            Adoption::Newer
        } else {
            Adoption::Known
        }
    }

    /// Returns true while a change of the configuration is not finished.
    #[must_use]
    pub fn is_updating_configuration(&self) -> bool {
        self.is_updating_configuration
    }

    /// Returns the checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> &CheckpointState {
        &self.checkpoints
    }

    /// Returns the readers in the group, sorted.
    pub fn readers(&self) -> impl ExactSizeIterator<Item = &Arc<str>> + '_ {
        self.assigned.keys()
    }

    /// Returns true if a reader is in the group.
    #[must_use]
    pub fn is_online(&self, reader: &str) -> bool {
        self.assigned.contains_key(reader)
    }

    /// Returns the segments of a reader, each with the offset at which the reader took it, or that
    /// of the reader's last checkpoint. `None` means that the reader is not in the group.
    #[must_use]
    pub fn assigned(&self, reader: &str) -> Option<&SegmentOffsets> {
        self.assigned.get(reader)
    }

    /// Returns where the segments of a reader go on if it is taken out at a position, which is one
    /// that the reader was at: each at its offset in the position, but not before the stored one.
    ///
    /// A position is as old as the event that it is of. Since then the reader may have answered a
    /// checkpoint, or given a segment back and taken it again, after others have read on in it.
    /// What is before the stored offset is handled, and complete checkpoints have it.
    #[must_use]
    pub fn offsets_of_removal<'a>(
        &self,
        reader: &str,
        position: impl IntoIterator<Item = (&'a ScopedSegment, SegmentOffset)>,
    ) -> Vec<(ScopedSegment, SegmentOffset)> {
        let Some(assigned) = self.assigned.get(reader) else { return Vec::new() };
        let own = position.into_iter().filter_map(|(segment, at)| {
            let stored = assigned.get(segment)?;
            Some((segment.clone(), at.max(stored)))
        });
        own.collect()
    }

    /// Returns the segments without a reader, with the offset from which each should be read.
    #[must_use]
    pub fn unassigned(&self) -> &SegmentOffsets {
        &self.unassigned
    }

    /// Returns the segments that begin when others were read to their ends, each with its range and
    /// the predecessors that are left.
    pub fn future(
        &self,
    ) -> impl Iterator<Item = (&ScopedSegment, Option<KeyRange>, &BTreeSet<SegmentId>)> + '_ {
        self.future
            .iter()
            .map(|(segment, Pending { range, predecessors })| (segment, *range, predecessors))
    }

    /// Returns the number of segments that are assigned or without a reader.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        let assigned: usize = self.assigned.values().map(SegmentOffsets::len).sum();
        assigned + self.unassigned.len()
    }

    /// Returns how far readers have read each segment, as they last reported. Watermarks are
    /// compared with it.
    #[must_use]
    pub fn last_read(&self) -> &SegmentOffsets {
        &self.last_read
    }

    /// Returns where reading of a segment ends; [`SegmentOffset::End`] is its own end. `None` means
    /// that no end is configured, and that its successors follow it.
    #[must_use]
    pub fn end(&self, segment: &ScopedSegment) -> Option<SegmentOffset> {
        self.ends.get(segment).copied()
    }

    /// Returns true if reading ends in segments that follow this one: it has no end, and a segment
    /// of its stream that has one is of a later epoch. A segment with successors is sealed.
    #[must_use]
    pub(crate) fn is_before_end(&self, segment: &ScopedSegment) -> bool {
        let is_later = |end: &ScopedSegment| {
            (end.scope(), end.stream()) == (segment.scope(), segment.stream())
                && end.id().epoch() > segment.id().epoch()
        };
        self.end(segment).is_none() && self.ends.keys().any(is_later)
    }

    /// Returns all segments at which reading ends.
    pub fn ends(&self) -> impl Iterator<Item = (&ScopedSegment, SegmentOffset)> + '_ {
        self.ends.iter().map(|(segment, end)| (segment, *end))
    }

    /// Returns the distance of a reader from the tail in milliseconds, as it has reported.
    #[must_use]
    pub fn lag_ms(&self, reader: &str) -> Option<i64> {
        self.lags.get(reader).copied()
    }

    /// Returns the readers that have reported their distance from the tail.
    pub fn lags(&self) -> impl Iterator<Item = (&Arc<str>, i64)> + '_ {
        self.lags.iter().map(|(reader, lag)| (reader, *lag))
    }

    /// Returns the offset in each segment that is assigned or without a reader: where the group
    /// would go on if all readers left without a position.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<ScopedSegment, SegmentOffset> {
        let all = self.assigned.values().chain([&self.unassigned]).flat_map(SegmentOffsets::iter);
        all.map(|(segment, _, offset)| (segment.clone(), offset)).collect()
    }

    /// Returns the streams with segments that are assigned or without a reader.
    #[must_use]
    pub fn streams(&self) -> BTreeSet<ScopedStream> {
        let all = self.assigned.values().chain([&self.unassigned]).flat_map(|s| s.segments());
        all.map(ScopedSegment::scoped_stream).collect()
    }

    /// Returns true if all segments were read to their ends and have no successors.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.future.is_empty()
            && self.unassigned.is_empty()
            && self.assigned.values().all(SegmentOffsets::is_empty)
    }
}
