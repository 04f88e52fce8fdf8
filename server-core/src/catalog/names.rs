//! The rules for names, and the names of Pravega's own streams.

use bytestring::ByteString;
use pravega_sdk_types::{KeyValueTable, ReaderGroup, Scope, SegmentId, Stream};

use super::history::SegmentRecord;

/// The scope of Pravega's own streams. The Java controller keeps its requests there; this one needs
/// none, but clients see the scope.
pub(super) const SYSTEM_SCOPE: &str = "_system";

/// Returns true if the controller accepts the name of a scope.
pub(super) fn is_scope(name: &str) -> bool {
    Scope::internal(name).is_ok()
}

/// Returns true if the controller accepts the name of a stream.
pub(super) fn is_stream(name: &str) -> bool {
    Stream::internal(name).is_ok()
}

pub(super) fn is_table(name: &str) -> bool {
    KeyValueTable::new(name).is_ok()
}

pub(super) fn is_group(name: &str) -> bool {
    ReaderGroup::new(name).is_ok()
}

/// Returns true if a stream is one of Pravega's own, which begin with an underscore.
pub(super) fn is_internal(stream: &str) -> bool {
    stream.starts_with('_')
}

/// The stream of a stream's watermarks.
pub(super) fn mark_stream(stream: &str) -> String {
    format!("_MARK{stream}")
}

/// The stream of a reader group's state.
pub(super) fn group_stream(group: &str) -> String {
    format!("_RG{group}")
}

/// The stream whose segments are those of a key-value table.
pub(super) fn table_stream(table: &str) -> String {
    format!("{table}_kvtable")
}

/// The name of a segment.
pub(super) fn segment(scope: &str, stream: &str, id: SegmentId) -> ByteString {
    format!("{scope}/{stream}/{id}").into()
}

/// The names of segments.
pub(super) fn segments(scope: &str, stream: &str, records: &[SegmentRecord]) -> Vec<ByteString> {
    records.iter().map(|record| segment(scope, stream, record.id)).collect()
}
