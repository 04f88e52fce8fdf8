//! The present values of the segments for checkpoints, and segments from such values.

use std::{mem, ops::Bound};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    apply::SEGMENT_OVERHEAD,
    bytes::SegmentBytes,
    encoded::SegmentLog,
    segment::{Content, Segment},
    state::Store,
    table::Table,
};
use crate::{
    log::{
        SegmentNumber,
        seeded_bugs::{Bug, has},
    },
    state::{Folded, NextNumbers, Parts, SegmentState, StateKey, Unfolded, encode},
};

/// Takes keys and values, and returns true until it has enough.
pub(crate) type Put<'a> = &'a mut dyn FnMut(StateKey, Bytes) -> bool;

impl Store {
    /// The present value of a key; `None` if there is none.
    pub(crate) fn value(&self, key: &StateKey) -> Option<Bytes> {
        let log = self.log.as_ref()?;
        let segment = |number: &SegmentNumber| {
            let name = log.names.get(number)?;
            Some((name, self.segments.get(name)?))
        };
        match key {
            StateKey::Next | StateKey::Catalog(_) => None,
            StateKey::Segment(number) => {
                let (name, found) = segment(number)?;
                Some(encode(&state(name, found)))
            }
            StateKey::Attribute(number, id) => {
                segment(number)?.1.attribute(*id).map(|value| encode(&value))
            }
            StateKey::Entry(number, key) => {
                let (table, _) = segment(number)?.1.table()?;
                table.entry(key).map(|entry| encode(&entry))
            }
            StateKey::Part(number, at) => {
                let part = segment(number)?.1.parts.at(*at)?;
                Some(encode(&(part.len, part.segment, part.from)))
            }
            StateKey::Merge(order) => self.merges.get(order).map(encode),
            StateKey::Many(key) => self.unmade.value(*key).map(|state| encode(&state)),
        }
    }

    /// The numbers that are given next, without those of the catalog.
    pub(crate) fn next_numbers(&self) -> NextNumbers {
        NextNumbers {
            segment: self.log.as_ref().map_or(0, |log| log.next_segment),
            merge: self.next_merge,
            many: self.unmade.next_key(),
            leavings: 0,
        }
    }

    /// The values of the keys after one, or of all, in the order of keys. Returns false if `put`
    /// has enough.
    pub(crate) fn values(&self, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let Some(log) = &self.log else { return true };
        self.put_segments(log, after, put)
            && self.put_attributes(log, after, put)
            && self.put_entries(log, after, put)
            && self.put_parts(log, after, put)
            && self.put_rest(after, put)
    }

    fn put_segments(&self, log: &SegmentLog, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let from = match after {
            Some(StateKey::Segment(number)) => Bound::Excluded(*number),
            Some(later) if *later > StateKey::Segment(SegmentNumber(u64::MAX)) => return true,
            _ => Bound::Unbounded,
        };
        log.recorded_names(from).all(|(number, name)| {
            let Some(found) = self.segments.get(name) else { return true };
            put(StateKey::Segment(*number), encode(&state(name, found)))
        })
    }

    fn put_attributes(&self, log: &SegmentLog, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let (from, mut last) = match after {
            Some(StateKey::Attribute(number, id)) => (*number, Some(*id)),
            Some(StateKey::Entry(..) | StateKey::Part(..)) => return true,
            Some(StateKey::Merge(_) | StateKey::Many(_)) => return true,
            _ => (SegmentNumber(0), None),
        };
        log.recorded_names(Bound::Included(from)).all(|(number, name)| {
            let last = last.take().filter(|_| *number == from);
            let Some(found) = self.segments.get(name) else { return true };
            found
                .attributes_after(last)
                .all(|(id, value)| put(StateKey::Attribute(*number, id), encode(&value)))
        })
    }

    fn put_entries(&self, log: &SegmentLog, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let (from, mut last) = match after {
            Some(StateKey::Entry(number, key)) => (*number, Some(key)),
            Some(StateKey::Part(..) | StateKey::Merge(_) | StateKey::Many(_)) => return true,
            _ => (SegmentNumber(0), None),
        };
        log.recorded_names(Bound::Included(from)).all(|(number, name)| {
            let last = last.take().filter(|_| *number == from);
            let found = self.segments.get(name).and_then(|found| found.table());
            let Some((table, _)) = found else { return true };
            table.entries_after(last).all(|(key, version, value)| {
                put(StateKey::Entry(*number, key), encode(&(version, value)))
            })
        })
    }

    fn put_parts(&self, log: &SegmentLog, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let (from, mut last) = match after {
            Some(StateKey::Part(number, at)) => (*number, Some(*at)),
            Some(StateKey::Merge(_) | StateKey::Many(_)) => return true,
            _ => (SegmentNumber(0), None),
        };
        log.recorded_names(Bound::Included(from)).all(|(number, name)| {
            let last = last.take().filter(|_| *number == from);
            let Some(found) = self.segments.get(name) else { return true };
            let first = last.map_or(0, |last| last.saturating_add(1));
            found.parts.from(first).all(|part| {
                put(StateKey::Part(*number, part.at), encode(&(part.len, part.segment, part.from)))
            })
        })
    }

    fn put_rest(&self, after: Option<&StateKey>, put: Put<'_>) -> bool {
        let from = match after {
            Some(StateKey::Merge(order)) => Some(Bound::Excluded(*order)),
            Some(StateKey::Many(_)) => None,
            _ => Some(Bound::Unbounded),
        };
        let merges = from.map(|from| self.merges.range((from, Bound::Unbounded)));
        let put_merges =
            |(order, name): (&u64, &ByteString)| put(StateKey::Merge(*order), encode(name));
        if !merges.into_iter().flatten().all(put_merges) {
            return false;
        }
        let from = match after {
            Some(StateKey::Many(key)) => Bound::Excluded(*key),
            _ => Bound::Unbounded,
        };
        self.unmade.values(from).all(|(key, state)| put(StateKey::Many(key), encode(&state)))
    }

    /// Adds everything of a log that was read back. There are no segments yet.
    pub(crate) fn unfold(&mut self, mut folded: Folded) {
        self.log = None;
        let next = folded.next;
        for (order, name) in folded.take_merges() {
            self.next_merge = order;
            self.remember_merge(&name);
        }
        self.next_merge = next.merge;
        let many = folded.take_many();
        let mut log = SegmentLog {
            next_segment: next.segment,
            touched: folded.touched.take(),
            freed: mem::take(&mut folded.freed),
            recorded: next.segment,
            ..SegmentLog::default()
        };
        if has(Bug::ForgetsRecovered) {
            drop(log.touched.take());
        }
        for unfolded in folded.unfold() {
            self.add_unfolded(unfolded, &mut log);
        }
        for (key, left) in many {
            let growth = u64::try_from(self.growth_by_many(&left.many)).unwrap_or(0);
            self.unmade.restore(key, left, growth);
        }
        if has(Bug::ReusesNumbers) {
            let last = log.names.last_key_value();
            log.next_segment = last.map_or(0, |(number, _)| number.0 + 1);
        }
        self.unmade.resume(next.many);
        self.log = Some(Box::new(log));
    }

    fn add_unfolded(&mut self, unfolded: Unfolded, log: &mut SegmentLog) {
        let Unfolded { number, state, attributes, entries, parts } = unfolded;
        let SegmentState { name, key_len, start, len, sealed, modified } = state;
        let content = match key_len {
            None => Content::Stream(SegmentBytes::evicted(start, len)),
            Some(key_len) => {
                let mut table = Table::new(key_len as usize);
                for (key, version, value) in entries {
                    table.put(&key, &value, version);
                }
                Content::Table(table, len)
            }
        };
        let mut segment = Segment::new(content, modified);
        segment.set_attributes(&attributes);
        (segment.sealed, segment.number) = (sealed, number);
        segment.parts = Parts::of(parts, segment.start());
        for part in segment.parts.iter() {
            log.hold(number, part);
        }
        log.names.insert(number, name.clone());
        self.held += SEGMENT_OVERHEAD + name.len() as u64 + segment.held();
        self.segments.insert(name.clone(), Box::new(segment));
        self.note_kind(&name);
    }
}

fn state(name: &ByteString, segment: &Segment) -> SegmentState {
    SegmentState {
        name: name.clone(),
        key_len: segment.table().map(|(table, _)| table.key_len() as u32),
        start: segment.start(),
        len: segment.len(),
        sealed: segment.sealed,
        modified: segment.last_modified,
    }
}

#[cfg(test)]
impl Store {
    /// Everything that a client can read, and what later changes depend on, as text.
    pub(crate) fn view(
        &self,
        read: &dyn Fn(SegmentNumber, std::ops::Range<u64>) -> Vec<u8>,
    ) -> Vec<String> {
        let mut all = vec![format!("{:?}", self.next_numbers())];
        for (name, found) in &self.segments {
            let number = found.number;
            all.push(format!("{number:?} {:?} {:?}", state(name, found), found.parts));
            for (id, value) in found.attributes_after(None) {
                all.push(format!("{name} {id} {value}"));
            }
            for entry in found.table().into_iter().flat_map(|(table, _)| table.entries_after(None))
            {
                all.push(format!("{name} {entry:?}"));
            }
            let Some(bytes) = found.bytes() else { continue };
            let ranges = found.parts.ranges(number, found.start()..found.len());
            let in_log: Vec<u8> =
                ranges.iter().flat_map(|(number, range)| read(*number, range.clone())).collect();
            for (number, range) in ranges {
                let live = self.live(number, range.clone());
                let covers =
                    live.iter().any(|live| live.start <= range.start && range.end <= live.end);
                assert!(covers, "{name}: {number:?} {range:?} of {live:?}");
            }
            let mut at = found.start();
            while at < found.len() {
                match bytes.read(at, usize::MAX) {
                    super::bytes::Found::Bytes(bytes) => {
                        let from = (at - found.start()) as usize;
                        assert_eq!(bytes, in_log[from..from + bytes.len()], "{name} at {at}");
                        at += bytes.len() as u64;
                    }
                    super::bytes::Found::Evicted { to } => at = to,
                }
            }
            all.push(format!("{name} {in_log:?}"));
        }
        all.push(format!("{:?}", self.merges));
        let left = self.unmade.records();
        all.extend(left.map(|left| format!("{left:?}")).filter(|left| !left.contains("ids: []")));
        all.extend(self.log.iter().map(|log| format!("{:?} {:?}", log.names, log.holders)));
        all
    }

    pub(crate) fn parts_count(&self) -> usize {
        self.segments.values().map(|segment| segment.parts.iter().count()).sum()
    }

    pub(crate) fn recount_all(&self) -> u64 {
        self.recount() + self.unmade.reserved()
    }
}
