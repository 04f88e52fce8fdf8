//! The effect of each record on the segments, now and when a journal is read back.

use std::mem;

use bytestring::ByteString;

use super::{
    bytes::{Pieces, SegmentBytes},
    discarded::Discarded,
    residents::Residence,
    segment::{Content, Segment},
    state::Store,
    table::Table,
    wake,
};
use crate::record::{Attributes, Millis, Record, Sequence};

/// The most remembered merges, by which a repeated merge is recognized.
const REMEMBERED_MERGES: usize = 10_000;
/// The most bytes of their names.
const REMEMBERED_BYTES: usize = 2 << 20;
/// Approximate memory that a segment uses besides its bytes, in bytes.
pub(super) const SEGMENT_OVERHEAD: u64 = 512;

impl Store {
    /// Applies a record of the journal that is read back. Records of the catalog are ignored.
    pub fn restore(&mut self, record: &Record) {
        self.apply(record, Sequence::default());
        drop(self.take_discarded());
    }

    /// Returns what was deleted and truncated since the last call, to be dropped outside of the
    /// machine.
    pub fn take_discarded(&mut self) -> Discarded {
        mem::take(&mut self.discarded)
    }

    /// Applies a record of the batch `after`.
    pub(super) fn apply(&mut self, record: &Record, after: Sequence) {
        #[cfg(test)]
        {
            self.applied += 1;
        }
        if !matches!(record, Record::Merged { .. }) {
            self.log(record);
        }
        match record {
            Record::Created { segment, key_len, attributes, at } => {
                let content = match key_len {
                    None => Content::Stream(SegmentBytes::default()),
                    Some(key_len) => Content::Table(Table::new(*key_len as usize), 0),
                };
                let mut created = Segment::new(content, *at);
                created.set_attributes(attributes);
                created.changed = after;
                created.number = self.last_number();
                self.forget_merge(segment);
                let name = self.name_of_created(segment);
                self.held += SEGMENT_OVERHEAD + name.len() as u64 + created.held();
                self.segments.insert(name, Box::new(created));
                self.note_kind(segment);
            }
            Record::Appended { segment, data, attributes, at } => {
                self.apply_append(segment, data, attributes, (*at, after));
            }
            Record::Merged { target, source, attributes, at } => {
                if self.segments.contains_key(source) {
                    self.remember_merge(source);
                    self.log(record);
                }
                self.apply_merge(target, source, attributes, *at, after);
                if !attributes.is_empty() {
                    self.note_kind(target);
                }
            }
            Record::Attributed { segment, attributes } => {
                self.change(segment, None, after, |segment| segment.set_attributes(attributes));
                self.note_kind(segment);
            }
            Record::Sealed { segment, at } => {
                self.change(segment, Some(*at), after, |segment| segment.sealed = true);
                self.note_kind(segment);
            }
            Record::Truncated { segment, offset, at } => {
                self.apply_truncation(segment, *offset, *at, after);
            }
            Record::Deleted { segment } => {
                if let Some(gone) = self.remove_segment(segment, after) {
                    self.discarded.segment(*gone);
                }
            }
            Record::Put { segment, entries, at } => {
                self.change(segment, Some(*at), after, |segment| segment.content.put(entries));
            }
            Record::Removed { segment, keys, at } => {
                self.change(segment, Some(*at), after, |segment| segment.content.remove(keys));
            }
            Record::Many(many) => self.make_all(many, after),
            Record::CatalogEntry { .. } => {}
            Record::Restored { segment, start, length } => {
                self.change(segment, None, after, |segment| match &mut segment.content {
                    Content::Stream(bytes) => *bytes = SegmentBytes::starting_at(*start),
                    Content::Table(_, len) => *len = *length,
                });
            }
            Record::RestoredEntry { segment, key, value, version } => {
                self.change(segment, None, after, |segment| {
                    if let Content::Table(table, _) = &mut segment.content {
                        table.put(key, value, *version);
                    }
                });
            }
        }
    }

    fn apply_append(
        &mut self,
        segment: &ByteString,
        data: &[u8],
        attributes: &Attributes,
        (at, after): (Millis, Sequence),
    ) {
        let spares = self.spares.clone();
        self.change(segment, Some(at), after, |segment| {
            segment.content.append(data, after, &spares);
            segment.set_attributes(attributes);
        });
    }

    fn apply_truncation(&mut self, segment: &ByteString, offset: u64, at: Millis, after: Sequence) {
        let mut dropped = Pieces::default();
        self.change(segment, Some(at), after, |segment| {
            dropped = segment.content.truncate(offset);
        });
        self.discarded.pieces(dropped);
    }

    /// Changes a segment at a time; without one, the time of its last change stays.
    fn change(
        &mut self,
        name: &ByteString,
        at: Option<Millis>,
        after: Sequence,
        change: impl FnOnce(&mut Segment),
    ) {
        let Some(segment) = self.segments.get_mut(name) else {
            return;
        };
        let (before, residence) = (segment.held(), Residence::of(segment));
        change(segment);
        self.residents.note(name, residence, Residence::of(segment));
        segment.last_modified = at.unwrap_or(segment.last_modified);
        segment.changed = after;
        self.held = (self.held + segment.held()).saturating_sub(before);
        let Self { waiting, fetches, woken, .. } = self;
        wake::wake(name, segment, (waiting, fetches), woken);
    }

    fn apply_merge(
        &mut self,
        target: &ByteString,
        source: &ByteString,
        attributes: &Attributes,
        at: Millis,
        after: Sequence,
    ) {
        let Some(from) = self.remove_segment(source, after) else {
            return;
        };
        let spares = self.spares.clone();
        self.change(target, Some(at), after, |into| {
            into.traffic.events += from.traffic.events;
            into.traffic.bytes += from.len() - from.start();
            if let (Content::Stream(into), Content::Stream(from)) =
                (&mut into.content, from.content)
            {
                into.merge(from, after, &spares);
            }
            into.set_attributes(attributes);
        });
    }

    /// Remembers a merge, and forgets the oldest ones beyond the limits.
    pub(super) fn remember_merge(&mut self, source: &str) {
        let source = ByteString::from(source);
        let order = self.next_merge;
        self.next_merge += 1;
        if let Some(before) = self.merged.insert(source.clone(), order) {
            self.merges.remove(&before);
            self.merged_bytes -= source.len();
            self.log_forgotten(before);
        }
        self.merged_bytes += source.len();
        self.merges.insert(order, source);
        while self.merges.len() > REMEMBERED_MERGES || self.merged_bytes > REMEMBERED_BYTES {
            let Some((order, oldest)) = self.merges.pop_first() else { return };
            self.merged_bytes -= oldest.len();
            self.merged.remove(&oldest);
            self.log_forgotten(order);
        }
    }

    /// Forgets a merge whose source is created again.
    fn forget_merge(&mut self, source: &ByteString) {
        if let Some(order) = self.merged.remove(source) {
            self.merges.remove(&order);
            self.merged_bytes -= source.len();
        }
    }

    /// Removes a segment. Reads that wait for more of it get an empty reply.
    fn remove_segment(&mut self, name: &ByteString, after: Sequence) -> Option<Box<Segment>> {
        let mut segment = self.segments.remove(name)?;
        self.residents.remove(name);
        self.note_kind(name);
        self.held = self.held.saturating_sub(SEGMENT_OVERHEAD + name.len() as u64 + segment.held());
        let fetching = self.fetches.take_all(name);
        for read in segment.waiting.take_before(None).into_iter().chain(fetching) {
            self.waiting.remove(read.connection, name);
            self.woken.push(wake::wake_deleted(name, read, after));
        }
        Some(segment)
    }
}
