//! The records that restore all segments.

use bytestring::ByteString;

use super::{
    segment::{Content, Segment},
    state::Store,
};
use crate::record::{Attributes, KeyVersion, Record};

/// The most attributes in one record.
const ATTRIBUTES: usize = 4096;
/// The longest part of a segment's bytes in one record.
const BYTES: usize = 256 << 10;

impl Store {
    /// The whole store as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (name, segment) in &self.segments {
            snapshot_segment(name, segment, &mut put);
        }
        self.unmade.records().for_each(put);
    }
}

fn snapshot_segment(name: &ByteString, segment: &Segment, put: &mut impl FnMut(Record)) {
    let (segment_name, at) = (|| name.clone(), segment.last_modified);
    let mut attributes = segment.attributes_after(None);
    let key_len = segment.table().map(|(table, _)| table.key_len() as u32);
    let first = attributes.by_ref().take(ATTRIBUTES).collect();
    put(Record::Created { segment: segment_name(), key_len, attributes: first, at });
    loop {
        let more: Attributes = attributes.by_ref().take(ATTRIBUTES).collect();
        if more.is_empty() {
            break;
        }
        put(Record::Attributed { segment: segment_name(), attributes: more });
    }
    let (start, length) = (segment.start(), segment.len());
    put(Record::Restored { segment: segment_name(), start, length });
    match &segment.content {
        Content::Stream(bytes) => {
            let mut from = bytes.start();
            loop {
                let data = bytes.read_whole(from, BYTES);
                if data.is_empty() {
                    break;
                }
                from += data.len() as u64;
                let attributes = Attributes::new();
                put(Record::Appended { segment: segment_name(), data, attributes, at });
            }
        }
        Content::Table(table, _) => {
            for (key, value, version) in table.after(KeyVersion(i64::MIN)) {
                put(Record::RestoredEntry { segment: segment_name(), key, value, version });
            }
        }
    }
    if segment.sealed {
        put(Record::Sealed { segment: segment_name(), at });
    }
}
