//! Changes of segments that are decided before they are carried out.
//!
//! A call of the controller changes several segments, and the catalog with them, as a whole or not
//! at all. It asks here for the record of each change, sums up what all of them add to the memory
//! that is used, and commits them once nothing can refuse any of them.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::Offset;

use super::{
    refusal::{Refusal, Result},
    requests::{SegmentPolicy, Step},
    segment::{Segment, attribute},
};
use crate::record::{Attributes, Record};

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

impl Step<'_> {
    /// The creation of a segment; `None` if it exists.
    pub fn creation(
        &self,
        segment: &ByteString,
        kind: SegmentKind,
        mut attributes: Attributes,
    ) -> Option<Record> {
        if self.store.segment(segment).is_ok() {
            return None;
        }
        let key_len = match kind {
            SegmentKind::Stream => None,
            SegmentKind::Table { key_len, rollover } => {
                attributes.push((attribute::ROLLOVER_SIZE, rollover.max(0)));
                Some(key_len)
            }
        };
        let at = self.at.now;
        attributes.push((attribute::CREATED, at.0));
        Some(Record::Created { segment: segment.clone(), key_len, attributes, at })
    }

    /// The sealing of a segment; `None` if it does not exist or is sealed.
    pub fn sealing(&self, segment: &ByteString) -> Option<Record> {
        let name = self.store.name_of(segment);
        let found = self.store.segment(&name).ok()?;
        (!found.sealed).then(|| Record::Sealed { segment: name, at: self.at.now })
    }

    /// The deletion of a segment; `None` if it does not exist.
    pub fn deletion(&self, segment: &ByteString) -> Option<Record> {
        let segment = self.store.name_of(segment);
        self.store.segment(&segment).ok()?;
        Some(Record::Deleted { segment })
    }

    /// The truncation of a segment of a stream; `None` if its start stays where it is, or if the
    /// offset is not within it.
    pub fn truncation(&self, segment: &ByteString, offset: Offset) -> Option<Record> {
        let name = self.store.name_of(segment);
        let found = self.store.segment(&name).ok()?;
        let offset = u64::try_from(offset.0).ok()?;
        let is_within = found.table().is_none() && offset > found.start() && offset <= found.len();
        is_within.then(|| Record::Truncated { segment: name, offset, at: self.at.now })
    }

    /// The change of the policy by which the segment's stream scales; `None` if the segment is
    /// sealed, does not exist, or has it.
    pub fn policy_change(&self, segment: &ByteString, policy: SegmentPolicy) -> Option<Record> {
        let name = self.store.name_of(segment);
        let found = self.store.segment(&name).ok()?;
        let attributes = policy.attributes();
        let differs =
            attributes.iter().any(|(id, value)| found.attribute(*id).unwrap_or(0) != *value);
        (differs && !found.sealed).then_some(Record::Attributed { segment: name, attributes })
    }

    /// The sealing of a segment that is created in this step.
    pub fn sealing_of_new(&self, segment: &ByteString) -> Record {
        Record::Sealed { segment: segment.clone(), at: self.at.now }
    }

    /// The merge of a segment into another, with the length of the target afterwards; no record if
    /// the source does not exist.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if the target is missing, [`Refusal::Sealed`] if it is sealed,
    /// [`Refusal::Close`] if one is a table.
    pub fn merging(
        &self,
        target: &MergeTarget,
        source: &ByteString,
    ) -> Result<(Option<Record>, u64)> {
        let source = self.store.name_of(source);
        let (target, into) = match target {
            MergeTarget::Existing(target) => {
                let target = self.store.name_of(target);
                let into = Some(self.store.segment(&target)?);
                (target, into)
            }
            MergeTarget::Created(target) => (target.clone(), self.store.segments.get(target)),
        };
        let len = into.map_or(0, Segment::len);
        if into.is_some_and(|into| into.sealed) {
            return Err(Refusal::Sealed);
        }
        let Ok(from) = self.store.segment(&source) else {
            return Ok((None, len));
        };
        if into.is_some_and(|into| into.table().is_some()) || from.table().is_some() {
            return Err(Refusal::Close("only two segments of streams are merged"));
        }
        let attributes = Attributes::new();
        let record = Record::Merged { target, source, attributes, at: self.at.now };
        Ok((Some(record), len + from.len() - from.start()))
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
}
