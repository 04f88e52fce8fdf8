//! The segment store: segments and what can be done to them.
//!
//! Every request checks first and then applies one [`Record`]; reading back a journal applies the
//! same records. Reads that wait at the end of a segment are answered by what makes an end to their
//! waiting: those answers are left in [`Store::take_woken`] for the driver.

mod bytes;
mod refusal;
mod segment;
mod session;
mod table;

use std::collections::{HashMap, HashSet, VecDeque};

use ::bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::{Epoch, ScopedSegment, SegmentId, TransactionId, segment_name};
use pravega_sdk_wire_protocol::{
    AttributeUpdate, TableEntry, TableKey, TableValue, WireCommand,
    commands::{SegmentIsSealed, SegmentRead},
};
use uuid::Uuid;

use self::segment::{ABSENT, Content, Segment, Traffic, Waiting, attribute};
use self::{bytes::SegmentBytes, table::Table};
pub use self::{
    refusal::Refusal,
    session::{Answer, Closed, Session, Surroundings},
    table::TableRefusal,
};
use crate::{
    access::Access,
    ids::ConnectionId,
    placement::Placement,
    record::{Attributes, Journal, Millis, Record, Sequence},
};

/// Merges that are remembered, so that one that is asked for again is known.
const REMEMBERED_MERGES: usize = 10_000;
/// Reads of one connection that may wait at the ends of segments; a reader of thousands of segments
/// has one at each.
const MAX_WAITING_READS: usize = 100_000;
/// What a segment takes besides its bytes, in bytes, about.
const SEGMENT_OVERHEAD: u64 = 512;

/// All segments of the server.
#[derive(Debug)]
pub struct Store {
    segments: HashMap<ByteString, Segment>,
    merged: HashSet<ByteString>,
    merges: VecDeque<ByteString>,
    journal: Journal,
    held: u64,
    limit: u64,
    /// Why nothing may be changed any more.
    ended: Option<String>,
    woken: Vec<Woken>,
    /// How many reads of a connection wait.
    reads: HashMap<ConnectionId, usize>,
    pub placement: Placement,
    /// Who may come in; everyone if there is none.
    pub access: Option<Access>,
}

/// The answer to a read that waited.
#[derive(Debug)]
pub struct Woken {
    pub connection: ConnectionId,
    pub after: Sequence,
    pub reply: WireCommand,
}

/// What a read found.
#[derive(Debug, PartialEq)]
pub enum Read {
    Data {
        data: Bytes,
        at_tail: bool,
        end_of_segment: bool,
    },
    /// The end was reached; the answer comes once there is more.
    Waits,
}

/// What a segment looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    pub start: u64,
    pub len: u64,
    pub sealed: bool,
    pub last_modified: Millis,
}

type Result<T> = std::result::Result<T, Refusal>;

impl Store {
    /// A store without segments, that holds at most `limit` bytes.
    pub fn new(limit: u64, keeps: bool) -> Self {
        Self {
            segments: HashMap::new(),
            merged: HashSet::new(),
            merges: VecDeque::new(),
            journal: Journal::new(keeps),
            held: 0,
            limit,
            ended: None,
            woken: Vec::new(),
            reads: HashMap::new(),
            placement: Placement::over(1),
            access: None,
        }
    }

    /// Refuses if there is no room for a number of segments, before a request that makes them
    /// changes anything.
    pub fn reserve(&self, segments: usize) -> Result<()> {
        match segments {
            // What makes room must be allowed above all where there is none.
            0 => self.check_writable(),
            segments => self.check_room(segments as u64 * SEGMENT_OVERHEAD),
        }
    }

    /// Goes on behind what was read back from a journal.
    pub fn resume(&mut self, sequence: Sequence) {
        self.journal.resume(sequence);
        for segment in self.segments.values_mut() {
            segment.changed = Sequence::default();
        }
    }

    /// Refuses every change from now on: what was changed cannot be made durable.
    pub fn end(&mut self, why: &str) {
        self.ended.get_or_insert_with(|| why.to_owned());
    }

    /// The answers to reads that waited, since the last call.
    pub fn take_woken(&mut self) -> Vec<Woken> {
        for woken in &self.woken {
            if let Some(waits) = self.reads.get_mut(&woken.connection) {
                *waits = waits.saturating_sub(1);
            }
        }
        std::mem::take(&mut self.woken)
    }

    /// The records of the changes since the last call.
    pub fn take_records(&mut self) -> Option<(Sequence, Vec<Record>)> {
        self.journal.take()
    }

    /// What an answer has to wait for that tells of anything that was changed so far.
    pub fn latest(&self) -> Sequence {
        self.journal.latest()
    }

    /// What an answer has to wait for that tells of a segment.
    pub fn changed(&self, segment: &str) -> Sequence {
        self.segment(segment).map_or(Sequence::default(), |segment| segment.changed)
    }

    /// How much memory the segments take, in bytes, about.
    pub fn held(&self) -> u64 {
        self.held
    }

    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    fn segment(&self, name: &str) -> Result<&Segment> {
        match self.segments.get(name) {
            Some(segment) => Ok(segment),
            None => canonical(name)
                .and_then(|name| self.segments.get(&*name))
                .ok_or(Refusal::NoSuchSegment),
        }
    }

    /// The name under which a segment is kept.
    fn name_of(&self, name: &ByteString) -> ByteString {
        if self.segments.contains_key(name) {
            return name.clone();
        }
        canonical(name)
            .filter(|name| self.segments.contains_key(&**name))
            .map_or_else(|| name.clone(), Into::into)
    }

    /// Refuses if nothing may be changed, or `more` bytes find no room.
    fn check_room(&self, more: u64) -> Result<()> {
        self.check_writable()?;
        if self.held.saturating_add(more) > self.limit {
            return Err(Refusal::Full { limit: self.limit });
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<()> {
        self.ended.as_ref().map_or(Ok(()), |why| Err(Refusal::Ended(why.clone())))
    }

    /// Applies a change and notes it.
    fn commit(&mut self, record: Record) {
        self.apply(&record);
        self.journal.push(record);
    }

    /// Notes a change of the catalog, as part of the batch that is being made.
    pub fn commit_catalog(&mut self, key: String, value: Option<Bytes>) {
        self.journal.push(Record::Cataloged { key, value });
    }

    // ------------------------------------------------------------------------------------------------------- requests

    /// Makes a segment of a stream.
    pub fn create(
        &mut self,
        segment: &ByteString,
        attributes: Attributes,
        at: Millis,
    ) -> Result<()> {
        self.create_as(segment, None, attributes, at)
    }

    /// Makes a table segment whose keys have a length, or any if it is 0.
    pub fn create_table(
        &mut self,
        segment: &ByteString,
        key_len: i32,
        rollover: i64,
        at: Millis,
    ) -> Result<()> {
        let key_len = match key_len {
            ..=0 => 0,
            1..=256 => key_len.unsigned_abs(),
            _ => return Err(Refusal::Close("the length of the keys is above 256")),
        };
        self.create_as(
            segment,
            Some(key_len),
            vec![(attribute::ROLLOVER_SIZE, rollover.max(0))],
            at,
        )
    }

    fn create_as(
        &mut self,
        segment: &ByteString,
        key_len: Option<u32>,
        mut attributes: Attributes,
        at: Millis,
    ) -> Result<()> {
        if segment.is_empty() {
            return Err(Refusal::Close("a segment has no name"));
        }
        if self.segment(segment).is_ok() {
            return Err(Refusal::AlreadyExists);
        }
        self.check_room(SEGMENT_OVERHEAD + segment.len() as u64)?;
        attributes.push((attribute::CREATED, at.0));
        self.commit(Record::Created { segment: segment.clone(), key_len, attributes, at });
        Ok(())
    }

    /// The last event number of a writer, as a set-up asks for it.
    pub fn set_up(&self, segment: &str, writer: Uuid) -> Result<i64> {
        let found = self.segment(segment)?;
        match &found.content {
            Content::Table(table, _) if table.key_len() > 0 => {
                Err(Refusal::Close("appends to a table"))
            }
            _ => Ok(found.attribute(writer)),
        }
    }

    /// Appends if the writer's number is the one expected, and the segment ends where expected;
    /// gives its new length.
    pub fn append(
        &mut self,
        segment: &ByteString,
        data: Bytes,
        (writer, expected, number): (Uuid, i64, i64),
        events: i32,
        expected_offset: Option<i64>,
        at: Millis,
    ) -> Result<u64> {
        let name = self.name_of(segment);
        let found = self.segment(&name)?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        if found.table().is_some() {
            return Err(Refusal::Close("appends to a table"));
        }
        if found.attribute(writer) != expected {
            return Err(Refusal::EventNumber);
        }
        if expected_offset.is_some_and(|offset| offset != found.len() as i64) {
            return Err(Refusal::Condition);
        }
        let count = found.attribute(attribute::EVENT_COUNT).max(0) + i64::from(events);
        self.check_room(data.len() as u64)?;
        let attributes = vec![(writer, number), (attribute::EVENT_COUNT, count)];
        let bytes = data.len() as u64;
        self.commit(Record::Appended { segment: name.clone(), data, attributes, at });
        let appended = self.segments.get_mut(&name).ok_or(Refusal::NoSuchSegment)?;
        appended.traffic.events += u64::from(events.unsigned_abs());
        appended.traffic.bytes += bytes;
        Ok(appended.len())
    }

    /// Appends without a writer, as the controller does to streams of its own; gives the new
    /// length.
    pub fn append_internal(
        &mut self,
        segment: &ByteString,
        data: Bytes,
        attributes: Attributes,
        at: Millis,
    ) -> Result<u64> {
        let found = self.segment(segment)?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        self.check_room(data.len() as u64)?;
        self.commit(Record::Appended { segment: segment.clone(), data, attributes, at });
        Ok(self.segment(segment)?.len())
    }

    /// Reads, or waits at the end if there is a connection to answer to.
    pub fn read(&mut self, segment: &ByteString, waiting: Waiting) -> Result<Read> {
        let name = self.name_of(segment);
        let found = self.segments.get_mut(&name).ok_or(Refusal::NoSuchSegment)?;
        let Ok(offset) = u64::try_from(waiting.offset) else {
            return Err(Refusal::Close("the offset is negative"));
        };
        if offset < found.start() {
            return Err(Refusal::Truncated { start: found.start() });
        }
        match read_at(found, offset, waiting.max_len) {
            Some(data) => {
                let at_end = offset + data.len() as u64 == found.len();
                let at_tail = at_end && !found.sealed && data.len() < waiting.max_len;
                Ok(Read::Data { data, at_tail, end_of_segment: at_end && found.sealed })
            }
            None if found.sealed => {
                Err(Refusal::Close("the offset lies behind the end of a sealed segment"))
            }
            None => {
                let waits = self.reads.entry(waiting.connection).or_default();
                if *waits >= MAX_WAITING_READS {
                    return Err(Refusal::Close("too many reads of the connection wait"));
                }
                *waits += 1;
                found.waiting.push(waiting);
                Ok(Read::Waits)
            }
        }
    }

    /// Forgets the reads of a connection that is gone.
    pub fn forget_reads(&mut self, connection: ConnectionId, segments: &HashSet<ByteString>) {
        self.reads.remove(&connection);
        for name in segments {
            let name = self.name_of(name);
            if let Some(segment) = self.segments.get_mut(&name) {
                segment.waiting.retain(|waiting| waiting.connection != connection);
            }
        }
    }

    pub fn info(&self, segment: &str) -> Result<Info> {
        let found = self.segment(segment)?;
        Ok(Info {
            start: found.start(),
            len: found.len(),
            sealed: found.sealed,
            last_modified: found.last_modified,
        })
    }

    pub fn seal(&mut self, segment: &ByteString, at: Millis) -> Result<()> {
        self.check_writable()?;
        let name = self.name_of(segment);
        if self.segment(&name)?.sealed {
            return Err(Refusal::Sealed);
        }
        self.commit(Record::Sealed { segment: name, at });
        Ok(())
    }

    pub fn truncate(&mut self, segment: &ByteString, offset: i64, at: Millis) -> Result<()> {
        self.check_writable()?;
        let name = self.name_of(segment);
        let found = self.segment(&name)?;
        let start = found.start();
        if found.table().is_some() {
            return Err(Refusal::Close("a table is not truncated"));
        }
        match u64::try_from(offset) {
            Ok(offset) if offset == start => Ok(()),
            Ok(offset) if offset > start && offset <= found.len() => {
                self.commit(Record::Truncated { segment: name, offset, at });
                Ok(())
            }
            _ => Err(Refusal::Truncated { start }),
        }
    }

    pub fn delete(&mut self, segment: &ByteString) -> Result<()> {
        self.check_writable()?;
        let name = self.name_of(segment);
        self.segment(&name)?;
        self.commit(Record::Deleted { segment: name });
        Ok(())
    }

    /// Deletes a table segment, perhaps only if it holds nothing.
    pub fn delete_table(&mut self, segment: &ByteString, must_be_empty: bool) -> Result<()> {
        let (table, _) =
            self.segment(segment)?.table().ok_or(Refusal::Close("the segment is not a table"))?;
        match must_be_empty {
            true if table.key_len() > 0 => Err(Refusal::Table(TableRefusal::Unsupported)),
            true if table.len() > 0 => Err(Refusal::NotEmpty),
            _ => self.delete(segment),
        }
    }

    /// Sets by what rate the stream scales.
    pub fn set_policy(&mut self, segment: &ByteString, scale_type: i8, rate: i32) -> Result<()> {
        self.check_writable()?;
        let name = self.name_of(segment);
        if self.segment(&name)?.sealed {
            return Err(Refusal::Sealed);
        }
        self.commit(Record::Attributed {
            segment: name,
            attributes: policy_attributes(scale_type, rate),
        });
        Ok(())
    }

    /// Appends a segment to another as a whole and removes it; gives the length of the target
    /// behind it.
    pub fn merge(
        &mut self,
        target: &ByteString,
        source: &ByteString,
        updates: &[AttributeUpdate],
        at: Millis,
    ) -> Result<u64> {
        self.check_writable()?;
        let (target, source) = (self.name_of(target), self.name_of(source));
        let Ok(into) = self.segment(&target) else {
            return Err(Refusal::NoSuchSource);
        };
        let Ok(from) = self.segment(&source) else {
            return if self.merged.contains(&source) {
                Ok(into.len())
            } else {
                Err(Refusal::NoSuchSource)
            };
        };
        if into.table().is_some() || from.table().is_some() || target == source {
            return Err(Refusal::Close("only two segments of streams are merged"));
        }
        if into.sealed {
            return Err(Refusal::Sealed);
        }
        let attributes = updated(into, updates).ok_or(Refusal::Condition)?;
        self.commit(Record::Merged { target: target.clone(), source, attributes, at });
        Ok(self.segment(&target)?.len())
    }

    /// Merges several segments; those that do not exist count as merged already.
    pub fn merge_batch(
        &mut self,
        target: &ByteString,
        sources: &[ByteString],
        at: Millis,
    ) -> Result<Vec<u64>> {
        self.segment(target)?;
        let merge = |source| match self.merge(target, source, &[], at) {
            Err(Refusal::NoSuchSource) => Ok(self.segment(target)?.len()),
            other => other,
        };
        sources.iter().map(merge).collect()
    }

    pub fn attribute(&self, segment: &str, id: Uuid) -> Result<i64> {
        Ok(self.segment(segment)?.attribute(id))
    }

    /// Sets an attribute if it has the value expected; says whether it had.
    pub fn update_attribute(
        &mut self,
        segment: &ByteString,
        id: Uuid,
        expected: i64,
        value: i64,
    ) -> Result<bool> {
        self.check_writable()?;
        let name = self.name_of(segment);
        let found = self.segment(&name)?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        if found.attribute(id) != expected {
            return Ok(false);
        }
        self.commit(Record::Attributed { segment: name, attributes: vec![(id, value)] });
        Ok(true)
    }

    /// The entries of a table segment, and how long it is.
    pub fn table(&self, segment: &str) -> Result<(&Table, u64)> {
        self.segment(segment)?.table().ok_or(Refusal::Close("the segment is not a table"))
    }

    fn table_to_change(&self, segment: &ByteString, offset: i64) -> Result<(&Table, u64)> {
        let found = self.segment(segment)?;
        let (table, len) = found.table().ok_or(Refusal::Close("the segment is not a table"))?;
        if found.sealed {
            return Err(Refusal::Sealed);
        }
        if offset != -1 && offset != len as i64 {
            return Err(Refusal::Truncated { start: len });
        }
        Ok((table, len))
    }

    /// Puts entries, all or none; gives their versions.
    pub fn put(
        &mut self,
        segment: &ByteString,
        entries: &[TableEntry],
        offset: i64,
        at: Millis,
    ) -> Result<Vec<i64>> {
        let (table, len) = self.table_to_change(segment, offset)?;
        table.check_update(entries).map_err(Refusal::Table)?;
        self.check_room(Table::entries_len(entries))?;
        let mut next = len as i64;
        let mut versions = Vec::with_capacity(entries.len());
        for entry in entries {
            versions.push(next);
            next += Table::entries_len(std::slice::from_ref(entry)) as i64;
        }
        let entries = entries
            .iter()
            .map(|entry| (entry.key.data.clone(), entry.value.data.clone()))
            .collect();
        self.commit(Record::Put { segment: segment.clone(), entries, at });
        Ok(versions)
    }

    /// Removes keys, all or none.
    pub fn remove(
        &mut self,
        segment: &ByteString,
        keys: &[TableKey],
        offset: i64,
        at: Millis,
    ) -> Result<()> {
        self.check_writable()?;
        let (table, _) = self.table_to_change(segment, offset)?;
        table.check_remove(keys).map_err(Refusal::Table)?;
        let keys = keys.iter().map(|key| key.data.clone()).collect();
        self.commit(Record::Removed { segment: segment.clone(), keys, at });
        Ok(())
    }

    /// Takes what was appended to each segment that scales by rate since the last call.
    pub fn take_traffic(&mut self) -> Vec<(ByteString, Traffic)> {
        let scales =
            |segment: &Segment| segment.attribute(attribute::SCALE_TYPE) > 0 && !segment.sealed;
        let scaling = self.segments.iter_mut().filter(|(_, segment)| scales(segment));
        scaling
            .map(|(name, segment)| (name.clone(), std::mem::take(&mut segment.traffic)))
            .collect()
    }

    /// Deletes the segments of large events that nobody went on with since `before`.
    pub fn sweep_transient(&mut self, before: Millis) {
        let idle = |(name, segment): (&ByteString, &Segment)| {
            (segment.last_modified < before && segment_name::is_transient(name))
                .then(|| name.clone())
        };
        let idle: Vec<ByteString> = self.segments.iter().filter_map(idle).collect();
        for segment in idle {
            self.commit(Record::Deleted { segment });
        }
    }

    // -------------------------------------------------------------------------------------------------------- records

    /// Makes a change that was decided on, now or before a restart.
    pub fn apply(&mut self, record: &Record) {
        let after = self.journal.next();
        match record {
            Record::Created { segment, key_len, attributes, at } => {
                let content = match key_len {
                    None => Content::Stream(SegmentBytes::default()),
                    Some(key_len) => Content::Table(Table::new(*key_len as usize), 0),
                };
                let mut made = Segment::new(content, *at);
                made.set_attributes(attributes);
                made.changed = after;
                self.merged.remove(segment);
                self.held += SEGMENT_OVERHEAD + segment.len() as u64 + made.held();
                self.segments.insert(segment.clone(), made);
            }
            Record::Appended { segment, data, attributes, at } => {
                self.change(segment, *at, after, |segment| {
                    if let Content::Stream(bytes) = &mut segment.content {
                        bytes.append(data);
                    }
                    segment.set_attributes(attributes);
                })
            }
            Record::Merged { target, source, attributes, at } => {
                self.apply_merge(target, source, attributes, *at, after);
            }
            Record::Attributed { segment, attributes } => {
                let at = self
                    .segments
                    .get(segment)
                    .map_or(Millis::default(), |segment| segment.last_modified);
                self.change(segment, at, after, |segment| segment.set_attributes(attributes));
            }
            Record::Sealed { segment, at } => {
                self.change(segment, *at, after, |segment| segment.sealed = true)
            }
            Record::Truncated { segment, offset, at } => {
                self.change(segment, *at, after, |segment| {
                    if let Content::Stream(bytes) = &mut segment.content {
                        bytes.truncate(*offset);
                    }
                })
            }
            Record::Deleted { segment } => self.apply_delete(segment, after),
            Record::Put { segment, entries, at } => self.change(segment, *at, after, |segment| {
                if let Content::Table(table, len) = &mut segment.content {
                    for (key, value) in entries {
                        let entry = TableEntry {
                            key: TableKey { data: key.clone(), key_version: TableKey::NO_VERSION },
                            value: TableValue { data: value.clone() },
                        };
                        table.update(std::slice::from_ref(&entry), *len as i64);
                        *len += Table::entries_len(std::slice::from_ref(&entry));
                    }
                }
            }),
            Record::Removed { segment, keys, at } => self.change(segment, *at, after, |segment| {
                if let Content::Table(table, len) = &mut segment.content {
                    let keys: Vec<TableKey> = keys
                        .iter()
                        .map(|key| TableKey {
                            data: key.clone(),
                            key_version: TableKey::NO_VERSION,
                        })
                        .collect();
                    table.remove(&keys);
                    *len += Table::removals_len(&keys);
                }
            }),
            Record::Cataloged { .. } => {}
            Record::Restored { segment, start, length } => {
                let at = self
                    .segments
                    .get(segment)
                    .map_or(Millis::default(), |segment| segment.last_modified);
                self.change(segment, at, after, |segment| match &mut segment.content {
                    Content::Stream(bytes) => *bytes = SegmentBytes::starting_at(*start),
                    Content::Table(_, len) => *len = *length,
                });
            }
            Record::RestoredEntry { segment, key, value, version } => {
                let at = self
                    .segments
                    .get(segment)
                    .map_or(Millis::default(), |segment| segment.last_modified);
                self.change(segment, at, after, |segment| {
                    if let Content::Table(table, _) = &mut segment.content {
                        table.put(key, value, *version);
                    }
                });
            }
        }
    }

    fn change(
        &mut self,
        name: &ByteString,
        at: Millis,
        after: Sequence,
        change: impl FnOnce(&mut Segment),
    ) {
        let Some(segment) = self.segments.get_mut(name) else {
            return;
        };
        let before = segment.held();
        change(segment);
        segment.last_modified = at;
        segment.changed = after;
        self.held = (self.held + segment.held()).saturating_sub(before);
        wake(name, segment, &mut self.woken);
    }

    fn apply_merge(
        &mut self,
        target: &ByteString,
        source: &ByteString,
        attributes: &Attributes,
        at: Millis,
        after: Sequence,
    ) {
        let Some(from) = self.forget(source, after) else {
            return;
        };
        self.merged.insert(source.clone());
        self.merges.push_back(source.clone());
        if self.merges.len() > REMEMBERED_MERGES
            && let Some(oldest) = self.merges.pop_front()
        {
            self.merged.remove(&oldest);
        }
        self.change(target, at, after, |into| {
            if let (Content::Stream(from), Content::Stream(into)) =
                (&from.content, &mut into.content)
            {
                from.pieces().for_each(|piece| into.append(&piece));
            }
            into.traffic.events += from.traffic.events;
            into.traffic.bytes += from.len() - from.start();
            into.set_attributes(attributes);
        });
    }

    fn apply_delete(&mut self, name: &ByteString, after: Sequence) {
        self.forget(name, after);
    }

    /// Takes a segment away; those who wait for more of it get an empty answer.
    fn forget(&mut self, name: &ByteString, after: Sequence) -> Option<Segment> {
        let mut segment = self.segments.remove(name)?;
        self.held = self.held.saturating_sub(SEGMENT_OVERHEAD + name.len() as u64 + segment.held());
        for waiting in segment.waiting.drain(..) {
            let reply = segment_read(name, waiting, Bytes::new(), true, false);
            self.woken.push(Woken { connection: waiting.connection, after, reply });
        }
        Some(segment)
    }

    /// Everything that is there, as records that make it again.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (name, segment) in &self.segments {
            let key_len = segment.table().map(|(table, _)| table.key_len() as u32);
            let (at, attributes) = (segment.last_modified, segment.attributes());
            put(Record::Created { segment: name.clone(), key_len, attributes, at });
            put(Record::Restored {
                segment: name.clone(),
                start: segment.start(),
                length: segment.len(),
            });
            match &segment.content {
                Content::Stream(bytes) => bytes.pieces().for_each(|data| {
                    put(Record::Appended {
                        segment: name.clone(),
                        data,
                        attributes: Vec::new(),
                        at,
                    });
                }),
                Content::Table(table, _) => table.all().for_each(|(key, value, version)| {
                    put(Record::RestoredEntry { segment: name.clone(), key, value, version });
                }),
            }
            if segment.sealed {
                put(Record::Sealed { segment: name.clone(), at });
            }
        }
    }
}

/// The two attributes by which the store tells that a segment is hot or cold.
pub fn policy_attributes(scale_type: i8, rate: i32) -> Attributes {
    vec![(attribute::SCALE_TYPE, i64::from(scale_type)), (attribute::SCALE_RATE, i64::from(rate))]
}

/// What a segment has at an offset; nothing if that is its end and more may come, or behind it.
fn read_at(segment: &Segment, offset: u64, max_len: usize) -> Option<Bytes> {
    let len = segment.len();
    if offset > len || offset == len && !segment.sealed {
        return None;
    }
    match &segment.content {
        Content::Stream(bytes) => Some(bytes.read(offset, max_len)),
        // The Java store would show how it keeps entries, which means nothing to anyone.
        Content::Table(..) => Some(Bytes::new()),
    }
}

fn segment_read(
    name: &ByteString,
    waiting: Waiting,
    data: Bytes,
    at_tail: bool,
    end_of_segment: bool,
) -> WireCommand {
    let Waiting { offset, request_id, .. } = waiting;
    SegmentRead { segment: name.clone(), offset, at_tail, end_of_segment, data, request_id }.into()
}

/// Answers the reads that waited for what a segment has now.
fn wake(name: &ByteString, segment: &mut Segment, woken: &mut Vec<Woken>) {
    if segment.waiting.is_empty() {
        return;
    }
    let after = segment.changed;
    let mut waiting = std::mem::take(&mut segment.waiting);
    // In the order of their offsets, those that wait for the same bytes share them.
    waiting.sort_by_key(|waiting| waiting.offset);
    let mut shared = (0, Bytes::new());
    for waiting in waiting {
        let offset = waiting.offset.unsigned_abs();
        let reply = if segment.sealed && offset >= segment.len() {
            let (segment, server_stack_trace) = (name.clone(), ByteString::new());
            let request_id = waiting.request_id;
            SegmentIsSealed { request_id, segment, server_stack_trace, offset: waiting.offset }
                .into()
        } else {
            if offset >= segment.len() {
                segment.waiting.push(waiting);
                continue;
            }
            let (from, bytes) = &mut shared;
            if offset >= *from + bytes.len() as u64 {
                (*from, *bytes) =
                    (offset, read_at(segment, offset, usize::MAX).unwrap_or_default());
            }
            let data = bytes.slice((offset - *from) as usize..);
            let data = data.slice(..data.len().min(waiting.max_len));
            let end_of_segment = segment.sealed && offset + data.len() as u64 == segment.len();
            segment_read(name, waiting, data, !end_of_segment, end_of_segment)
        };
        woken.push(Woken { connection: waiting.connection, after, reply });
    }
}

/// The attributes of the target of a merge after its updates; nothing if one of them does not
/// match.
fn updated(segment: &Segment, updates: &[AttributeUpdate]) -> Option<Attributes> {
    let mut attributes = Attributes::new();
    for update in updates {
        let found = segment.attribute(update.attribute_id);
        let value = match update.attribute_update_type {
            0 if found == ABSENT => update.new_value,
            1 => update.new_value,
            2 if found == ABSENT || update.new_value > found => update.new_value,
            3 => {
                if found == ABSENT {
                    update.new_value
                } else {
                    found.saturating_add(update.new_value)
                }
            }
            4 if found == update.old_value => update.new_value,
            _ => return None,
        };
        attributes.push((update.attribute_id, value));
    }
    Some(attributes)
}

/// The name of a segment of a transaction as the controller makes it: with the epoch of the
/// transaction, whatever epoch the segment under it is from.
fn canonical(name: &str) -> Option<String> {
    let parent = segment_name::parent(name).filter(|_| segment_name::is_transaction(name))?;
    let id = Uuid::try_parse(name.get(name.len().checked_sub(32)?..)?).ok()?;
    let parent: ScopedSegment = parent.parse().ok()?;
    let transaction = TransactionId(id);
    Some(transaction_segment(&parent, transaction))
}

/// The segment of a transaction in a segment of a stream.
pub fn transaction_segment(parent: &ScopedSegment, transaction: TransactionId) -> String {
    let id = SegmentId::new(Epoch(transaction.epoch().0), parent.id().number());
    segment_name::transaction(&ScopedSegment::new(&parent.scoped_stream(), id), transaction)
}
