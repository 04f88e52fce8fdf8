//! Changes of segments that are decided before they are carried out.
//!
//! A call of the controller changes several segments, and the catalog with them, as a whole or not
//! at all. It asks here for the record of each change, sums up what all of them add to the memory
//! that is used, and commits them once nothing can refuse any of them.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::{Offset, SegmentId};

use super::{
    refusal::{Refusal, Result},
    requests::{Progress, Step},
    segment::{Segment, attribute},
};
use crate::record::{Attributes, Each, Many, Record};

/// The kind of a segment that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// A segment of a stream.
    Stream,
    /// A table segment with keys of one length, or of any length if it is 0.
    Table {
        /// The length of every key, in bytes.
        key_len: u32,
        /// The size of a chunk in long-term storage, in bytes.
        rollover: i64,
    },
}

/// The segment that grows by a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeTarget {
    /// A segment that exists.
    Existing(ByteString),
    /// A segment that is created in this step, unless it exists.
    Created(ByteString),
}

/// The most segments that a call changes at once. More are changed in slices.
const FEW: usize = 500;

/// A merge that is possible.
#[derive(Debug)]
pub struct Merging {
    /// The change; `None` if the source does not exist.
    pub record: Option<Record>,
    /// The length of the target afterwards.
    pub end: u64,
    /// The memory that it takes, in bytes.
    pub growth: i64,
}

impl Step<'_> {
    /// The creation of segments of a stream, or of the parts of a transaction.
    pub fn creations(
        &self,
        stream: ByteString,
        segments: impl IntoIterator<Item = SegmentId>,
        kind: SegmentKind,
        mut attributes: Attributes,
    ) -> Many {
        let key_len = match kind {
            SegmentKind::Stream => None,
            SegmentKind::Table { key_len, rollover } => {
                attributes.push((attribute::ROLLOVER_SIZE, rollover.max(0)));
                Some(key_len)
            }
        };
        attributes.push((attribute::CREATED, self.at.now.0));
        self.many(stream, segments, Each::Created { key_len, attributes })
    }

    /// A change of segments of a stream, or of the parts of a transaction.
    pub fn many(
        &self,
        stream: ByteString,
        segments: impl IntoIterator<Item = SegmentId>,
        change: Each,
    ) -> Many {
        Many::new(stream, segments, change, self.at.now)
    }

    /// Returns true if a change is made in slices: there are many segments, or an earlier one is
    /// not made yet.
    pub fn is_sliced(&self, many: &Many) -> bool {
        many.ids.len() > self.few() || !self.store.is_settled_at(&many.stream)
    }

    fn few(&self) -> usize {
        #[cfg(test)]
        if let Some(few) = self.store.few {
            return few;
        }
        FEW
    }

    /// The change of each of some segments, where there is one.
    pub fn each<'a>(&'a self, many: &'a Many) -> impl Iterator<Item = Record> + 'a {
        (0..many.ids.len()).filter_map(|index| self.store.one_of(many, index))
    }

    /// Returns true if one of some segments exists.
    pub fn has_any(&self, many: &Many) -> bool {
        self.store.has_any(many)
    }

    /// The deletion of a segment; `None` if it does not exist.
    pub fn deletion(&self, segment: &ByteString) -> Option<Record> {
        self.store.exact(segment)?;
        Some(Record::Deleted { segment: segment.clone() })
    }

    /// The truncation of a segment of a stream; `None` if its start stays where it is, or if the
    /// offset is not within it.
    pub fn truncation(&self, segment: &ByteString, offset: Offset) -> Option<Record> {
        let found = self.store.exact(segment)?;
        let offset = u64::try_from(offset.0).ok()?;
        let is_within = found.table().is_none() && offset > found.start() && offset <= found.len();
        let (segment, at) = (segment.clone(), self.at.now);
        is_within.then_some(Record::Truncated { segment, offset, at })
    }

    /// The sealing of a segment that is created in this step.
    pub fn sealing_of_new(&self, segment: ByteString) -> Record {
        Record::Sealed { segment, at: self.at.now }
    }

    /// The merge of a segment into another.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if the target is missing, [`Refusal::Sealed`] if it is sealed,
    /// [`Refusal::Close`] if one is a table.
    pub fn merging(&self, target: &MergeTarget, source: &ByteString) -> Result<Merging> {
        let (target, into) = match target {
            MergeTarget::Existing(target) => {
                (target, Some(self.store.exact(target).ok_or(Refusal::NoSuchSegment)?))
            }
            MergeTarget::Created(target) => (target, self.store.exact(target)),
        };
        let end = into.map_or(0, Segment::len);
        if into.is_some_and(|into| into.sealed) {
            return Err(Refusal::Sealed);
        }
        let Some(from) = self.store.exact(source) else {
            return Ok(Merging { record: None, end, growth: 0 });
        };
        if into.is_some_and(|into| into.table().is_some()) || from.table().is_some() {
            return Err(Refusal::Close("only two segments of streams are merged"));
        }
        let bytes = from.len() - from.start();
        let growth = self.store.growth_by_merge_of(into, source, from);
        let record = Record::Merged {
            target: target.clone(),
            source: source.clone(),
            attributes: Attributes::new(),
            at: self.at.now,
        };
        Ok(Merging { record: Some(record), end: end + bytes, growth })
    }

    /// An append without a writer, as the controller does to its own streams; `None` if the segment
    /// is sealed or does not exist.
    pub fn appending(
        &self,
        segment: &ByteString,
        data: Bytes,
        attributes: Attributes,
    ) -> Option<Record> {
        let found = self.store.segment(segment).ok()?;
        let segment = segment.clone();
        let record = Record::Appended { segment, data, attributes, at: self.at.now };
        (!found.sealed && found.table().is_none()).then_some(record)
    }

    /// Carries out a change that was decided in this step.
    pub fn carry_out(&mut self, record: Record) {
        self.commit_reserved(record);
    }

    /// Begins a change of many segments that was decided in this step. It takes `growth` bytes.
    pub fn carry_out_many(&mut self, many: Many, growth: i64) {
        self.store.begin(many.clone(), growth, self.journal.next());
        self.journal.push(Record::Many(many));
        self.progress = Progress::Unfinished;
    }
}
