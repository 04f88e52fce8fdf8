//! Every byte that the segments of a cluster have ever had, those of truncated and deleted segments
//! included.

use std::collections::BTreeMap;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_server_core::record::Record;

/// The bytes of all segments, from the records of the server.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    segments: BTreeMap<ByteString, Vec<Bytes>>,
}

impl Archive {
    /// Adds the bytes of a record.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Appended { segment, data, .. } => {
                self.segments.entry(segment).or_default().push(data);
            }
            Record::Merged { target, source, .. } => {
                let pieces = self.segments.remove(&source).unwrap_or_default();
                self.segments.entry(target).or_default().extend(pieces);
            }
            _ => {}
        }
    }

    /// The bytes that a segment has ever had, from its start.
    pub(crate) fn bytes(&self, segment: &str) -> Vec<u8> {
        self.segments.get(segment).map(|pieces| pieces.concat()).unwrap_or_default()
    }

    /// The names of all segments that begin with a prefix.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ByteString> {
        self.segments.keys().filter(move |name| name.starts_with(prefix))
    }
}
