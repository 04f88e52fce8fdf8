//! The memory that a change takes, known before it is made.

use uuid::Uuid;

use super::{
    apply::SEGMENT_OVERHEAD,
    bytes::SegmentBytes,
    segment::{Segment, change, growth_by},
    state::Store,
};
use crate::record::Record;

impl Store {
    /// The change of [`held`](Self::held) by a record: exactly, but for a truncation, and a removal
    /// of keys, which free memory and are not counted.
    pub fn growth(&self, record: &Record) -> i64 {
        match record {
            Record::Created { segment, attributes, .. } => growth_by_segment(segment, attributes),
            Record::Appended { segment, data, attributes, .. } => {
                self.growth_of(segment, |found| {
                    let bytes = found.growth_by_bytes(data.len() as u64);
                    bytes.saturating_add(found.growth_by_attributes(attributes))
                })
            }
            Record::Merged { target, source, attributes, .. } => {
                let by_merge = self.growth_by_merge(target, [&**source]);
                by_merge.saturating_add(
                    self.growth_of(target, |into| into.growth_by_attributes(attributes)),
                )
            }
            Record::Attributed { segment, attributes } => {
                self.growth_of(segment, |found| found.growth_by_attributes(attributes))
            }
            Record::Put { segment, entries, .. } => self.growth_of(segment, |found| {
                found.table().map_or(0, |(table, _)| table.growth(entries))
            }),
            Record::Many(many) => self.growth_by_many(many),
            Record::Deleted { segment } => -change(0, self.held_by(segment)),
            Record::Sealed { .. }
            | Record::Truncated { .. }
            | Record::Removed { .. }
            | Record::CatalogEntry { .. }
            | Record::Restored { .. }
            | Record::RestoredEntry { .. } => 0,
        }
    }

    /// At least that change, without a look at each of many entries.
    pub(super) fn growth_at_most(&self, record: &Record) -> i64 {
        match record {
            Record::Put { segment, entries, .. } => self.growth_of(segment, |found| {
                found.table().map_or(0, |(table, _)| table.growth_at_most(entries))
            }),
            other => self.growth(other),
        }
    }

    /// The change of [`held`](Self::held) by an append of a length, without its attributes.
    pub(super) fn growth_by_append(&self, segment: &str, len: u64) -> i64 {
        self.growth_of(segment, |found| found.growth_by_bytes(len))
    }

    /// The change of [`held`](Self::held) by merging segments into another, which is empty if it
    /// does not exist. Missing sources are ignored.
    pub(super) fn growth_by_merge<'a>(
        &self,
        target: &str,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> i64 {
        let into = self.segment(target).ok().and_then(Segment::bytes);
        let before = into.map(SegmentBytes::shape).unwrap_or_default();
        let (mut after, mut parts, mut freed) = (before, 0_u64, 0_u64);
        for source in sources {
            let Ok(from) = self.segment(source) else { continue };
            after = from.bytes().map_or(after, |bytes| after.with_merged(bytes));
            parts = parts.saturating_add(self.held_by_merged_parts(from));
            freed = freed.saturating_add(self.held_by(source));
        }
        let after = after.held().saturating_add(parts);
        change(before.held(), after).saturating_sub(change(0, freed))
    }

    /// The memory that the parts of a segment take in another, if there is a log.
    fn held_by_merged_parts(&self, from: &Segment) -> u64 {
        self.log.as_ref().map_or(0, |_| from.held_by_merged_parts())
    }

    /// The change of memory by merging a segment into another, which is empty if it does not exist.
    pub(super) fn growth_by_merge_of(
        &self,
        into: Option<&Segment>,
        source: &str,
        from: &Segment,
    ) -> i64 {
        let before = into.and_then(Segment::bytes).map(SegmentBytes::shape).unwrap_or_default();
        let after = from.bytes().map_or(before, |bytes| before.with_merged(bytes));
        let freed = SEGMENT_OVERHEAD + source.len() as u64 + from.held();
        let after = after.held().saturating_add(self.held_by_merged_parts(from));
        change(before.held(), after).saturating_sub(change(0, freed))
    }

    /// The memory that a segment uses, with its name; 0 if it does not exist.
    fn held_by(&self, segment: &str) -> u64 {
        let held = |found: &Segment| SEGMENT_OVERHEAD + segment.len() as u64 + found.held();
        self.segment(segment).map_or(0, held)
    }

    /// The memory in use, counted again.
    #[cfg(test)]
    pub(crate) fn recount(&self) -> u64 {
        use super::residents::Residence;
        let has_bytes = |segment: &Segment| Residence::of(segment) == Residence::Some;
        let residents = self.segments.iter().filter(|(_, segment)| has_bytes(segment));
        assert!(self.residents.names().eq(residents.map(|(name, _)| name)), "the residents");
        self.segments.keys().map(|name| self.held_by(name)).sum()
    }

    fn growth_of(&self, segment: &str, growth: impl FnOnce(&Segment) -> i64) -> i64 {
        self.segment(segment).map_or(0, growth)
    }
}

/// The memory that a new segment takes.
pub(super) fn growth_by_segment(name: &str, attributes: &[(Uuid, i64)]) -> i64 {
    let empty = change(0, SEGMENT_OVERHEAD + name.len() as u64);
    empty.saturating_add(growth_by(attributes, |_| false))
}
