//! Changes of segments for the log: encoded as they are applied, with the numbers of the segments
//! and absolute values.

use std::{mem, ops::Range};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    encoded::SegmentLog,
    segment::{Content, Segment},
    state::Store,
};
use crate::{
    log::{
        Coverage, LogRecord, SegmentNumber,
        seeded_bugs::{Bug, has},
    },
    record::{Attributes, Many, Millis, Record},
    state::{AppendedMeta, FreedRanges, PartOf, StateChange, StateKey, TouchedKeys, encode},
};

impl Store {
    /// Encodes changes for a log from now on, and keeps keys of at most so much memory. There are
    /// no segments.
    pub(crate) fn begin_log(&mut self, most_touched: u64) {
        let touched = TouchedKeys::within(most_touched);
        self.log = Some(Box::new(SegmentLog { touched, ..SegmentLog::default() }));
    }

    /// Takes the records of changes since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<LogRecord> {
        self.log.as_mut().map(|log| mem::take(&mut log.pending)).unwrap_or_default()
    }

    /// Returns true if a change was not taken yet.
    pub(crate) fn has_log(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.pending.is_empty())
    }

    /// Encodes a record that is about to be applied, and gives a segment its number.
    pub(super) fn log(&mut self, record: &Record) {
        let Some(mut log) = self.log.take() else { return };
        self.log_record(&mut log, record);
        self.log = Some(log);
    }

    fn log_record(&mut self, log: &mut SegmentLog, record: &Record) {
        match record {
            Record::Created { segment, key_len, attributes, at } => {
                if let Some(old) = self.segments.get(segment) {
                    log_deletion(log, old);
                }
                let number = SegmentNumber(log.next_segment);
                log.next_segment += 1;
                // A copy, as the name may be a part of a long message.
                let name = ByteString::from(&**segment);
                if let Some(order) = self.merged.get(segment) {
                    log.touched.insert(StateKey::Merge(*order));
                }
                log.touch(number);
                log.touch_attributes(number, attributes);
                log.touched.insert(StateKey::Next);
                log.names.insert(number, name.clone());
                let (key_len, attributes, at) = (*key_len, attributes.clone(), *at);
                log.change(&StateChange::Created {
                    segment: number,
                    name,
                    key_len,
                    attributes,
                    at,
                });
            }
            Record::Merged { target, source, attributes, at } => {
                self.log_merge(log, (target, source), attributes, *at);
            }
            // Its segments are changed one by one, and catalogs have a log of their own.
            Record::Many(_) | Record::CatalogEntry { .. } => {}
            record => {
                let Some(found) = record.segment().and_then(|name| self.segments.get_mut(name))
                else {
                    return;
                };
                let before = found.held();
                log_change(log, found, record);
                self.held = (self.held + found.held()).saturating_sub(before);
            }
        }
    }

    fn log_merge(
        &mut self,
        log: &mut SegmentLog,
        (target, source): (&ByteString, &ByteString),
        attributes: &Attributes,
        at: Millis,
    ) {
        let Some(from) = self.segments.get(source) else { return };
        let (start, end, number) = (from.start(), from.len(), from.number);
        let parts: Vec<PartOf> = match from.bytes() {
            Some(_) => from.parts.within(number, start..end),
            None => Vec::new(),
        };
        log.leave(from);
        // It was remembered just now.
        let order = self.next_merge.saturating_sub(1);
        log.touched.insert(StateKey::Merge(order));
        log.touched.insert(StateKey::Next);
        let oldest = self.merges.keys().next().copied().unwrap_or(order);
        let (mut target_number, mut at_in_target, mut moved) = (None, 0, Vec::new());
        if let Some(into) = self.segments.get_mut(target) {
            (target_number, at_in_target) = (Some(into.number), into.len());
            let before = into.held();
            for part in parts {
                let part = PartOf { at: at_in_target + (part.at - start), ..part };
                moved.push(part);
                log.add_part(into.number, into, part);
            }
            self.held = (self.held + into.held()).saturating_sub(before);
            log.touch(into.number);
            log.touch_attributes(into.number, attributes);
        }
        let len = if moved.is_empty() { 0 } else { end - start };
        let name = ByteString::from(&**source);
        let (target, source, attributes) = (target_number, number, attributes.clone());
        let (from, parts) = (at_in_target, moved);
        log.change(&StateChange::Merged {
            target,
            source,
            name,
            from,
            len,
            parts,
            order,
            oldest,
            attributes,
            at,
        });
    }

    /// Encodes a change of many segments that is begun.
    pub(super) fn log_many(&mut self, key: u64, many: &Many) {
        let Some(log) = &mut self.log else { return };
        log.touched.insert(StateKey::Many(key));
        log.touched.insert(StateKey::Next);
        log.change(&StateChange::Many { key, many: many.clone() });
    }

    /// Encodes that a change of many segments is made for one of them.
    pub(super) fn log_made(&mut self, key: u64, index: usize) {
        let Some(log) = &mut self.log else { return };
        log.touched.insert(StateKey::Many(key));
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        log.change(&StateChange::Made { key, index });
    }

    /// The name of the segment that was logged last as created, if there is a log: a copy, as the
    /// name may be a part of a long message.
    pub(super) fn name_of_created(&self, segment: &ByteString) -> ByteString {
        let last = self.log.as_ref().and_then(|log| log.names.get(&self.last_number()));
        let same = last.filter(|name| *name == segment).cloned();
        same.unwrap_or_else(|| ByteString::from(&**segment))
    }

    /// The number of the segment that was logged last as created.
    pub(super) fn last_number(&self) -> SegmentNumber {
        let next = self.log.as_ref().map_or(0, |log| log.next_segment);
        SegmentNumber(next.saturating_sub(1))
    }

    /// Notes that a merge is not remembered any longer.
    pub(super) fn log_forgotten(&mut self, order: u64) {
        if let Some(log) = &mut self.log {
            log.touched.insert(StateKey::Merge(order));
        }
    }

    /// The parts of a range of a segment's records that can be read, in order: of the segment, and
    /// of those that it was merged into.
    #[must_use]
    pub fn live(&self, number: SegmentNumber, range: Range<u64>) -> Vec<Range<u64>> {
        let Some(log) = &self.log else { return Vec::new() };
        let mut live = Vec::new();
        let mut push = |from: u64, to: u64| {
            let (from, to) = (from.max(range.start), to.min(range.end));
            if from < to {
                live.push(from..to);
            }
        };
        let segment = |number: SegmentNumber| {
            self.segments.get(log.names.get(&number)?).filter(|found| found.bytes().is_some())
        };
        if let Some(found) = segment(number) {
            // It has no records of its own where it has parts.
            push(found.start(), found.len());
        }
        if has(Bug::JudgesOwnOnly) {
            return live;
        }
        let before = log.holders.range((number, 0)..(number, range.start)).next_back();
        let within = log.holders.range((number, range.start)..(number, range.end));
        for ((_, from), (holder, at)) in before.into_iter().chain(within) {
            let Some(holder) = segment(*holder) else { continue };
            let Some(part) = holder.parts.at(*at) else { continue };
            let (first, end) = (holder.start().max(*at), part.end());
            if first < end {
                push(from + (first - at), from + (end - at));
            }
        }
        live
    }

    /// The segments with bytes of a range of a segment's records that can be read, and where those
    /// are in them.
    #[must_use]
    pub fn holders(
        &self,
        number: SegmentNumber,
        range: Range<u64>,
    ) -> Vec<(ByteString, Range<u64>)> {
        let Some(log) = &self.log else { return Vec::new() };
        let mut held = Vec::new();
        let named = |number: SegmentNumber| {
            let name = log.names.get(&number)?;
            let found = self.segments.get(name).filter(|found| found.bytes().is_some())?;
            Some((name, found))
        };
        if let Some((name, found)) = named(number) {
            // It has no records of its own where it has parts.
            let part = range.start.max(found.start())..range.end.min(found.len());
            if part.start < part.end {
                held.push((name.clone(), part));
            }
        }
        let before = log.holders.range((number, 0)..(number, range.start)).next_back();
        let within = log.holders.range((number, range.start)..(number, range.end));
        for ((_, from), (holder, at)) in before.into_iter().chain(within) {
            let Some((name, holder)) = named(*holder) else { continue };
            let Some(part) = holder.parts.at(*at) else { continue };
            let place = |offset: u64| at.saturating_add(offset.saturating_sub(*from));
            let first = place(range.start).max(holder.start());
            let end = place(range.end).min(part.end());
            if first < end {
                held.push((name.clone(), first..end));
            }
        }
        held
    }

    /// Takes the keys of the values that changed since they were taken last.
    pub(crate) fn take_touched(&mut self) -> TouchedKeys {
        let Some(log) = &mut self.log else { return TouchedKeys::default() };
        log.recorded = log.next_segment;
        log.touched.take()
    }

    /// Memory of those keys, in bytes.
    pub(crate) fn touched(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.touched.held())
    }

    /// Whether these are all of them.
    pub(crate) fn touched_coverage(&self) -> Coverage {
        self.log.as_ref().map_or(Coverage::Complete, |log| log.touched.coverage())
    }

    /// Takes the ranges of segments that can be read no longer, since they were taken last.
    pub(crate) fn take_freed(&mut self) -> FreedRanges {
        self.log.as_mut().map(|log| mem::take(&mut log.freed)).unwrap_or_default()
    }
}

fn log_deletion(log: &mut SegmentLog, segment: &Segment) {
    log.leave(segment);
    log.free(segment, segment.start()..segment.len());
    log.change(&StateChange::Deleted { segment: segment.number });
}

/// Encodes a change of one segment.
fn log_change(log: &mut SegmentLog, found: &mut Segment, record: &Record) {
    let (segment, len) = (found.number, found.len());
    log.touch(segment);
    match record {
        Record::Appended { data, attributes, at, .. } => {
            log.touch_attributes(segment, attributes);
            let is_stream = found.bytes().is_some();
            let data = if is_stream { data.clone() } else { Bytes::new() };
            let meta = encode(&AppendedMeta { attributes: attributes.clone(), at: *at });
            log.pending.push(LogRecord::Data { segment, offset: len, meta, data });
        }
        Record::Attributed { attributes, .. } => {
            log.touch_attributes(segment, attributes);
            let attributes = attributes.clone();
            log.change(&StateChange::Attributed { segment, attributes });
        }
        Record::Sealed { at, .. } => log.change(&StateChange::Sealed { segment, at: *at }),
        Record::Truncated { offset, at, .. } => {
            let start = found.start();
            // As the segment does it.
            let offset = (*offset).clamp(start, len);
            log.free(found, start..offset);
            for part in found.parts.truncate(offset) {
                log.release(segment, part);
            }
            log.change(&StateChange::Truncated { segment, offset, at: *at });
        }
        Record::Deleted { .. } => log_deletion(log, found),
        Record::Put { entries, at, .. } => {
            let keys = entries.iter().map(|(key, _)| key);
            log.touched.extend(keys.map(|key| entry_key(segment, key)));
            let (entries, at) = (entries.clone(), *at);
            log.change(&StateChange::Put { segment, from: len, entries, at });
        }
        Record::Removed { keys, at, .. } => {
            log.touched.extend(keys.iter().map(|key| entry_key(segment, key)));
            let (keys, at) = (keys.clone(), *at);
            log.change(&StateChange::Removed { segment, from: len, keys, at });
        }
        Record::Restored { start, length, .. } => {
            let (start, len) = match &found.content {
                Content::Stream(_) => (*start, *start),
                Content::Table(..) => (0, *length),
            };
            log.change(&StateChange::Restored { segment, start, len });
        }
        Record::RestoredEntry { key, value, version, .. } => {
            log.touched.insert(entry_key(segment, key));
            let (key, value, version) = (key.clone(), value.clone(), *version);
            log.change(&StateChange::RestoredEntry { segment, key, value, version });
        }
        Record::Created { .. }
        | Record::Merged { .. }
        | Record::CatalogEntry { .. }
        | Record::Many(_) => {}
    }
}

/// The key of an entry of a table; a copy, as the bytes may be a part of a long message.
fn entry_key(segment: SegmentNumber, key: &[u8]) -> StateKey {
    StateKey::Entry(segment, Bytes::copy_from_slice(key))
}
