//! Segments that begin when others were read to their ends.

use std::collections::BTreeSet;

use pravega_sdk_types::{KeyRange, ScopedSegment, SegmentId};

use super::{
    ordered::{Numbered, Ordered},
    segment_offsets::GroupSegment,
};

/// Segments whose predecessors were not all read to their ends, in the order in which they were
/// added, each with the predecessors that are left.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FutureSegments {
    segments: Ordered<Pending>,
}

/// The range of a segment that begins later, and the predecessors that are left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pending {
    pub(super) range: Option<KeyRange>,
    pub(super) predecessors: BTreeSet<SegmentId>,
}

impl FutureSegments {
    /// Adds a segment, unless it is among them.
    pub(super) fn add(&mut self, segment: GroupSegment, predecessors: BTreeSet<SegmentId>) {
        let GroupSegment { segment, range } = segment;
        self.segments.add(segment, Pending { range, predecessors });
    }

    /// Returns the segments that change when a segment was read to its end.
    pub(super) fn waiting_for(&self, id: SegmentId) -> Vec<ScopedSegment> {
        let waits = |(_, pending): &(&ScopedSegment, &Pending)| {
            pending.predecessors.is_empty() || pending.predecessors.contains(&id)
        };
        self.iter().filter(waits).map(|(segment, _)| segment.clone()).collect()
    }

    /// A segment was read to its end. Takes out the segments that wait for no other.
    pub(super) fn complete(&mut self, id: SegmentId) -> Vec<GroupSegment> {
        let mut begun = Vec::new();
        for segment in self.waiting_for(id) {
            let Some(pending) = self.segments.get_mut(&segment) else { continue };
            pending.predecessors.remove(&id);
            if pending.predecessors.is_empty() {
                let range = pending.range;
                self.segments.remove(&segment);
                begun.push(GroupSegment { segment, range });
            }
        }
        begun
    }

    pub(super) fn get(&self, segment: &ScopedSegment) -> Option<&Pending> {
        self.segments.get(segment)
    }

    /// Returns the entry of a segment, with its place in the order.
    pub(super) fn numbered(&self, segment: &ScopedSegment) -> Option<&Numbered<Pending>> {
        self.segments.numbered(segment)
    }

    /// Puts a segment in a place of the order.
    pub(super) fn place(&mut self, segment: ScopedSegment, entry: Numbered<Pending>) {
        self.segments.place(segment, entry);
    }

    /// Puts a segment back as it was.
    pub(super) fn restore(&mut self, segment: ScopedSegment, entry: Option<Numbered<Pending>>) {
        self.segments.restore(segment, entry);
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the segments, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ScopedSegment, &Pending)> + '_ {
        self.segments.iter()
    }
}
