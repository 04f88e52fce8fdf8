//! Requests that change segments: each checks first and then commits one record.

use std::collections::BTreeSet;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::{EventNumber, Offset, WriterId};
use pravega_sdk_wire_protocol::AttributeUpdate;
use uuid::Uuid;

use super::{
    refusal::{Refusal, Result},
    segment::{ABSENT, Segment, attribute},
    state::Store,
};
use crate::{
    access::{Access, Admission},
    ids::Moment,
    placement::Placement,
    record::{Attributes, Journal, Millis, Record},
};

/// The most memory that all segments and the catalog together may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit(pub u64);

/// The transient segments that are looked at in one slice.
const SWEPT: usize = 1000;

/// Whether the work of a request is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Progress {
    /// Everything is done.
    #[default]
    Finished,
    /// The rest follows in slices, with [`Machine::work`](crate::machine::Machine::work).
    Unfinished,
}

/// The context of one request: the segments, the journal that its records enter, and the moment.
#[derive(Debug)]
pub struct Step<'a> {
    /// The segments.
    pub store: &'a mut Store,
    /// The journal, which gets a record of each change.
    pub journal: &'a mut Journal,
    /// The issue and the check of tokens; `None` if every client may use the server.
    pub access: Option<&'a Access>,
    /// What the client of a call may do, and until when; `None` for everything.
    pub client: Option<&'a Admission>,
    /// The store that each segment is on.
    pub placement: &'a Placement,
    /// The most memory that segments and catalog may use.
    pub memory_limit: MemoryLimit,
    /// What counts towards the limit besides the segments: the catalog, in bytes.
    pub held_elsewhere: u64,
    /// What the log uses: keys of changed values, for checkpoints, and known spans, in bytes.
    pub held_by_log: u64,
    /// Whether the request is carried out as a whole.
    pub progress: Progress,
    /// The time of the request, and random bits.
    pub at: Moment,
}

/// An append of one writer.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// The segment that is appended to.
    pub segment: ByteString,
    /// The bytes.
    pub data: Bytes,
    /// The writer.
    pub writer: WriterId,
    /// The number that the segment must have of the writer.
    pub previous: EventNumber,
    /// The number of the last event of this append.
    pub number: EventNumber,
    /// The number of events, as the client counts them.
    pub event_count: i32,
    /// The offset at which the segment must end, if the append is conditional.
    pub expected_offset: Option<Offset>,
}

/// The policy by which a segment's stream scales, as the wire has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPolicy {
    /// 0 if the stream does not scale, 1 if by KiB per second, 2 if by events per second.
    pub scale_type: i8,
    /// The target rate.
    pub target_rate: i32,
}

impl SegmentPolicy {
    /// The attributes in which a segment keeps its policy.
    pub fn attributes(self) -> Attributes {
        vec![
            (attribute::SCALE_TYPE, i64::from(self.scale_type)),
            (attribute::SCALE_RATE, i64::from(self.target_rate)),
        ]
    }
}

impl Step<'_> {
    /// Refuses if the journal has failed.
    pub(super) fn check_writable(&self) -> Result<()> {
        #[cfg(test)]
        if self.journal.refuses_now() {
            return Err(Refusal::Ended("a test refuses".to_owned()));
        }
        self.journal.failure().map_or(Ok(()), |why| Err(Refusal::Ended(why.to_owned())))
    }

    /// Refuses if there is no space on the disk.
    pub(super) fn check_space(&self) -> Result<()> {
        self.journal.full().map_or(Ok(()), |why| Err(Refusal::DiskFull(why.to_owned())))
    }

    /// Refuses if the journal has failed, or if `more` bytes exceed the memory limit, or if there
    /// is no space on the disk.
    pub(super) fn check_capacity(&self, more: u64) -> Result<()> {
        self.check_writable()?;
        self.check_space()?;
        let MemoryLimit(limit) = self.memory_limit;
        let elsewhere = self.held_elsewhere.saturating_add(self.held_by_log);
        let held = self.store.held().saturating_add(elsewhere);
        if held.saturating_add(more) > limit {
            return Err(Refusal::Full { limit });
        }
        Ok(())
    }

    /// Refuses if the journal has failed, or if `growth` bytes more exceed the memory limit. What
    /// takes no memory, or frees some, is allowed at the limit too, and if the disk is full.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`], [`Refusal::DiskFull`] or [`Refusal::Ended`].
    pub fn check_growth(&self, growth: i64) -> Result<()> {
        match u64::try_from(growth) {
            Ok(0) | Err(_) => self.check_writable(),
            Ok(more) => self.check_capacity(more),
        }
    }

    /// Applies a change to the segments and adds its record to the journal, unless it needs more
    /// memory than there is. Every change of a segment comes here, or had its memory checked.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`], [`Refusal::DiskFull`] or [`Refusal::Ended`], and nothing is changed.
    pub(super) fn commit(&mut self, record: Record) -> Result<()> {
        match self.check_growth(self.store.growth_at_most(&record)) {
            // It may grow by less.
            Err(Refusal::Full { .. }) => self.check_growth(self.store.growth(&record))?,
            checked => checked?,
        }
        // These may fit into memory that is there, and take space on the disk all the same.
        if let Record::Appended { .. } | Record::Put { .. } | Record::Attributed { .. } = record {
            self.check_space()?;
        }
        self.commit_reserved(record);
        Ok(())
    }

    /// Commits a record whose memory was checked.
    pub(super) fn commit_reserved(&mut self, record: Record) {
        self.store.apply(&record, self.journal.next());
        self.journal.push(record);
    }

    /// Creates a segment of a stream.
    ///
    /// # Errors
    ///
    /// [`Refusal::AlreadyExists`], [`Refusal::Full`], [`Refusal::Ended`], or [`Refusal::Close`]
    /// for an empty name.
    pub fn create(&mut self, segment: &ByteString, attributes: Attributes) -> Result<()> {
        self.create_as(segment, None, attributes)
    }

    pub(super) fn create_as(
        &mut self,
        segment: &ByteString,
        key_len: Option<u32>,
        mut attributes: Attributes,
    ) -> Result<()> {
        if segment.is_empty() {
            return Err(Refusal::Close("a segment has no name"));
        }
        if self.store.segment(segment).is_ok() {
            return Err(Refusal::AlreadyExists);
        }
        let at = self.at.now;
        attributes.push((attribute::CREATED, at.0));
        self.commit(Record::Created { segment: segment.clone(), key_len, attributes, at })
    }

    /// Appends if the writer's number and the end of the segment are as expected; returns the new
    /// length.
    ///
    /// # Errors
    ///
    /// [`Refusal::EventNumber`] if the segment has another number of the writer,
    /// [`Refusal::Condition`] if it ends elsewhere, and the refusals of every change.
    pub fn append(&mut self, append: AppendRequest) -> Result<u64> {
        let AppendRequest { segment, data, writer, previous, number, event_count, .. } = append;
        let name = self.store.name_of(&segment);
        let found = self.store.segment(&name)?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        if found.table().is_some() {
            return Err(Refusal::Close("appends to a table"));
        }
        if found.last_event_number(writer) != previous {
            return Err(Refusal::EventNumber);
        }
        if append.expected_offset.is_some_and(|offset| offset != Offset(found.len() as i64)) {
            return Err(Refusal::Condition);
        }
        let count = found.attribute(attribute::EVENT_COUNT).unwrap_or(0).max(0);
        let count = count.saturating_add(i64::from(event_count));
        let attributes = vec![(writer.0, number.0), (attribute::EVENT_COUNT, count)];
        let (bytes, at) = (data.len() as u64, self.at.now);
        self.commit(Record::Appended { segment: name.clone(), data, attributes, at })?;
        let appended = self.store.segments.get_mut(&name).ok_or(Refusal::NoSuchSegment)?;
        appended.traffic.events += u64::from(event_count.unsigned_abs());
        appended.traffic.bytes += bytes;
        Ok(appended.len())
    }

    /// Appends without a writer, as the controller does to its own streams; returns the new
    /// length.
    ///
    /// # Errors
    ///
    /// The refusals of every change.
    pub fn append_internal(
        &mut self,
        segment: &ByteString,
        data: Bytes,
        attributes: Attributes,
    ) -> Result<u64> {
        if self.store.segment(segment)?.sealed {
            return Err(Refusal::Sealed);
        }
        let at = self.at.now;
        self.commit(Record::Appended { segment: segment.clone(), data, attributes, at })?;
        Ok(self.store.segment(segment)?.len())
    }

    /// Seals a segment.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if it is sealed already.
    pub fn seal(&mut self, segment: &ByteString) -> Result<()> {
        self.check_writable()?;
        let name = self.store.name_of(segment);
        if self.store.segment(&name)?.sealed {
            return Err(Refusal::Sealed);
        }
        self.commit(Record::Sealed { segment: name, at: self.at.now })
    }

    /// Drops the bytes of a segment before an offset.
    ///
    /// # Errors
    ///
    /// [`Refusal::Truncated`] if the offset is before the start or after the end.
    pub fn truncate(&mut self, segment: &ByteString, offset: Offset) -> Result<()> {
        self.check_writable()?;
        let name = self.store.name_of(segment);
        let found = self.store.segment(&name)?;
        let start = found.start();
        if found.table().is_some() {
            return Err(Refusal::Close("a table is not truncated"));
        }
        match u64::try_from(offset.0) {
            Ok(offset) if offset == start => Ok(()),
            Ok(offset) if offset > start && offset <= found.len() => {
                self.commit(Record::Truncated { segment: name, offset, at: self.at.now })
            }
            _ => Err(Refusal::Truncated { start }),
        }
    }

    /// Deletes a segment.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if it does not exist.
    pub fn delete(&mut self, segment: &ByteString) -> Result<()> {
        self.check_writable()?;
        let name = self.store.name_of(segment);
        self.store.segment(&name)?;
        self.commit(Record::Deleted { segment: name })
    }

    /// Sets the policy by which the segment's stream scales.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if the segment is sealed.
    pub fn set_policy(&mut self, segment: &ByteString, policy: SegmentPolicy) -> Result<()> {
        self.check_writable()?;
        let name = self.store.name_of(segment);
        if self.store.segment(&name)?.sealed {
            return Err(Refusal::Sealed);
        }
        self.commit(Record::Attributed { segment: name, attributes: policy.attributes() })
    }

    /// Appends a whole segment to another and removes it; returns the length of the target
    /// afterwards.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSource`] if either is missing, [`Refusal::Condition`] if an attribute
    /// update does not match.
    pub fn merge(
        &mut self,
        target: &ByteString,
        source: &ByteString,
        updates: &[AttributeUpdate],
    ) -> Result<u64> {
        self.check_writable()?;
        let Some((target, source)) = self.check_merge(target, source)? else {
            return Ok(self.store.segment(target)?.len());
        };
        let attributes = updated(self.store.segment(&target)?, updates);
        let (attributes, at) = (attributes.ok_or(Refusal::Condition)?, self.at.now);
        self.commit(Record::Merged { target: target.clone(), source, attributes, at })?;
        Ok(self.store.segment(&target)?.len())
    }

    /// The names under which the two segments of a merge are kept; `None` if the source was merged
    /// before.
    fn check_merge(
        &self,
        target: &ByteString,
        source: &ByteString,
    ) -> Result<Option<(ByteString, ByteString)>> {
        let (target, source) = (self.store.name_of(target), self.store.name_of(source));
        let Ok(into) = self.store.segment(&target) else {
            return Err(Refusal::NoSuchSource);
        };
        let Ok(from) = self.store.segment(&source) else {
            let is_merged = self.store.merged.contains_key(&source);
            return if is_merged { Ok(None) } else { Err(Refusal::NoSuchSource) };
        };
        if into.table().is_some() || from.table().is_some() || target == source {
            return Err(Refusal::Close("only two segments of streams are merged"));
        }
        if into.sealed {
            return Err(Refusal::Sealed);
        }
        Ok(Some((target, source)))
    }

    /// Merges several segments, or none; returns the length of the target after each. A source that
    /// does not exist counts as merged already.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if the target is missing, and those of
    /// [`merge`](Self::merge).
    pub fn merge_batch(&mut self, target: &ByteString, sources: &[ByteString]) -> Result<Vec<u64>> {
        self.store.segment(target)?;
        let mut merged = BTreeSet::new();
        for source in sources {
            match self.check_merge(target, source) {
                Ok(Some((_, source))) => drop(merged.insert(source)),
                Ok(None) | Err(Refusal::NoSuchSource) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let growth = self.store.growth_by_merge(target, merged.iter().map(|name| &**name));
        self.check_growth(growth)?;
        let (target, at) = (self.store.name_of(target), self.at.now);
        let mut lens = Vec::with_capacity(sources.len());
        for source in sources {
            let source = self.store.name_of(source);
            if self.store.segment(&source).is_ok() {
                let (target, attributes) = (target.clone(), Attributes::new());
                self.commit_reserved(Record::Merged { target, source, attributes, at });
            }
            lens.push(self.store.segment(&target)?.len());
        }
        Ok(lens)
    }

    /// Sets an attribute if it has the expected value; returns true if it had. `i64::MIN` is the
    /// value of a missing attribute.
    ///
    /// # Errors
    ///
    /// [`Refusal::Sealed`] if the segment is sealed.
    pub fn update_attribute(
        &mut self,
        segment: &ByteString,
        id: Uuid,
        expected: i64,
        value: i64,
    ) -> Result<bool> {
        self.check_writable()?;
        let name = self.store.name_of(segment);
        let found = self.store.segment(&name)?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        if found.attribute(id).unwrap_or(ABSENT) != expected {
            return Ok(false);
        }
        self.commit(Record::Attributed { segment: name, attributes: vec![(id, value)] })?;
        Ok(true)
    }

    /// Deletes the transient segments, which hold parts of large events, without a change for more
    /// than `idle` milliseconds: those of the next slice after a name. Returns where the round goes
    /// on.
    ///
    /// The clock has not gone back since `steady_since`. A segment that a clock that was ahead
    /// changed has had no change since then.
    pub fn sweep_transient(
        &mut self,
        after: &ByteString,
        steady_since: Millis,
        idle: i64,
    ) -> Option<ByteString> {
        let (next, last) = self.store.transient_after(after, SWEPT);
        let now = self.at.now;
        let is_idle = |name: &&ByteString| {
            self.store.exact(name).is_some_and(|segment| {
                let changed = segment.last_modified;
                now.since(if changed > now { steady_since } else { changed }) > idle
            })
        };
        let idle: Vec<ByteString> = next.iter().filter(is_idle).cloned().collect();
        for segment in idle {
            self.commit(Record::Deleted { segment }).ok();
        }
        last
    }
}

/// The attributes of the target of a merge after its updates; `None` if one of them does not
/// match.
fn updated(segment: &Segment, updates: &[AttributeUpdate]) -> Option<Attributes> {
    let mut attributes = Attributes::new();
    for update in updates {
        let found = segment.attribute(update.attribute_id);
        let value = match (update.attribute_update_type, found) {
            (0, None) | (1, _) | (2 | 3, None) => update.new_value,
            (2, Some(found)) if update.new_value > found => update.new_value,
            (3, Some(found)) => found.saturating_add(update.new_value),
            (4, found) if found.unwrap_or(ABSENT) == update.old_value => update.new_value,
            _ => return None,
        };
        attributes.push((update.attribute_id, value));
    }
    Some(attributes)
}
