//! Requests with defaults.

use bytes::Bytes;
use pravega_sdk_wire_protocol::{TableEntry, TableKey, TableValue, commands::*};
use uuid::Uuid;

pub(super) fn no_token() -> bytestring::ByteString {
    "".into()
}

pub(super) fn create(segment: &str) -> CreateSegment {
    CreateSegment {
        request_id: 0,
        segment: segment.into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: no_token(),
        rollover_size_bytes: 0,
    }
}

pub(super) fn create_table(segment: &str, key_length: i32) -> CreateTableSegment {
    CreateTableSegment {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        sorted_deprecated: false,
        key_length,
        rollover_size_bytes: 0,
    }
}

pub(super) fn setup(segment: &str, writer_id: Uuid) -> SetupAppend {
    SetupAppend { request_id: 0, writer_id, segment: segment.into(), delegation_token: no_token() }
}

pub(super) fn append(
    request_id: i64,
    writer_id: Uuid,
    number: i64,
    data: &'static [u8],
) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data: Bytes::from_static(data),
        num_events: 1,
        last_event_number: number,
        request_id,
    }
}

pub(super) fn read(segment: &str, offset: i64) -> ReadSegment {
    ReadSegment {
        segment: segment.into(),
        offset,
        suggested_length: 1024,
        delegation_token: no_token(),
        request_id: 0,
    }
}

pub(super) fn info(segment: &str) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.into(),
        delegation_token: no_token(),
    }
}

pub(super) fn seal(segment: &str) -> SealSegment {
    SealSegment { request_id: 0, segment: segment.into(), delegation_token: no_token() }
}

pub(super) fn delete(segment: &str) -> DeleteSegment {
    DeleteSegment { request_id: 0, segment: segment.into(), delegation_token: no_token() }
}

pub(super) fn truncate(segment: &str, truncation_offset: i64) -> TruncateSegment {
    TruncateSegment {
        request_id: 0,
        segment: segment.into(),
        truncation_offset,
        delegation_token: no_token(),
    }
}

pub(super) fn merge(target: &str, source: &str) -> MergeSegments {
    MergeSegments {
        request_id: 0,
        target: target.into(),
        source: source.into(),
        delegation_token: no_token(),
        attribute_updates: vec![],
    }
}

pub(super) fn entry(key: &'static [u8], value: &'static [u8], key_version: i64) -> TableEntry {
    TableEntry {
        key: TableKey { data: Bytes::from_static(key), key_version },
        value: TableValue { data: Bytes::from_static(value) },
    }
}

pub(super) fn update(segment: &str, table_entries: Vec<TableEntry>) -> UpdateTableEntries {
    UpdateTableEntries {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        table_entries,
        table_segment_offset: -1,
    }
}

pub(super) fn remove(segment: &str, key: &'static [u8], key_version: i64) -> RemoveTableKeys {
    RemoveTableKeys {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        keys: vec![TableKey { data: Bytes::from_static(key), key_version }],
        table_segment_offset: -1,
    }
}

pub(super) fn delta(segment: &str) -> ReadTableEntriesDelta {
    ReadTableEntriesDelta {
        request_id: 0,
        segment: segment.into(),
        delegation_token: no_token(),
        from_position: 0,
        suggested_entry_count: 10,
    }
}
