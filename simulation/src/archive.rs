//! Every byte that the segments of a cluster have ever had, those of truncated and deleted segments
//! included, and the entries of its tables.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_server_core::record::Record;

/// Keys and values that were put together, and the time since the begin of the cluster.
pub(crate) type Puts = (Duration, Vec<(Bytes, Bytes)>);

/// The bytes of all segments, from the records of the server.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    segments: BTreeMap<ByteString, Vec<(Duration, Bytes)>>,
    tables: BTreeMap<ByteString, Vec<Puts>>,
}

impl Archive {
    /// Adds the bytes of a record, which was made at a time since the begin of the cluster.
    pub(crate) fn apply(&mut self, record: Record, at: Duration) {
        match record {
            Record::Appended { segment, data, .. } => {
                self.segments.entry(segment).or_default().push((at, data));
            }
            Record::Merged { target, source, .. } => {
                let pieces = self.segments.remove(&source).unwrap_or_default();
                let pieces = pieces.into_iter().map(|(_, piece)| (at, piece));
                self.segments.entry(target).or_default().extend(pieces);
            }
            Record::Put { segment, entries, .. } => {
                self.tables.entry(segment).or_default().push((at, entries));
            }
            _ => {}
        }
    }

    /// The entries that were ever put into a table.
    pub(crate) fn puts(&self, segment: &str) -> &[Puts] {
        self.tables.get(segment).map(Vec::as_slice).unwrap_or_default()
    }

    /// The bytes that a segment has ever had, from its start.
    pub(crate) fn bytes(&self, segment: &str) -> Vec<u8> {
        let pieces: Vec<&[u8]> = self.pieces(segment).iter().map(|(_, piece)| &**piece).collect();
        pieces.concat()
    }

    /// The same in the pieces that were added, each with its time since the begin of the cluster.
    pub(crate) fn pieces(&self, segment: &str) -> &[(Duration, Bytes)] {
        self.segments.get(segment).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of all segments that begin with a prefix.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ByteString> {
        self.segments.keys().filter(move |name| name.starts_with(prefix))
    }
}
