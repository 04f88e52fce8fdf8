//! The rules for names, and the names of Pravega's own streams.

use bytestring::ByteString;
use pravega_sdk_types::{
    KeyValueTable, ReaderGroup, Scope, SegmentId, SegmentNumber, Stream, TransactionId,
};

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

/// The name of a transaction's part of the segment with a number.
pub(super) fn part(
    scope: &str,
    stream: &str,
    transaction: TransactionId,
    number: SegmentNumber,
) -> ByteString {
    let id = SegmentId::new(transaction.epoch(), number);
    format!("{scope}/{stream}/{id}#transaction.{}", transaction.0.simple()).into()
}

/// A stream with its scope.
pub(super) fn scoped(scope: &str, stream: &str) -> ByteString {
    format!("{scope}/{stream}").into()
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::Epoch;
    use uuid::Uuid;

    use super::*;
    use crate::store::transaction_segment;

    #[test]
    fn a_part_of_a_transaction_has_the_name_under_which_the_store_finds_it() {
        let id = TransactionId(Uuid::from_u64_pair(3 << 32, 7));
        let parent = segment("s", "t", SegmentId::new(Epoch(1), SegmentNumber(5)));
        let found = transaction_segment(&parent.parse().unwrap(), id);
        assert_eq!(*part("s", "t", id, SegmentNumber(5)), *found);
    }
}
