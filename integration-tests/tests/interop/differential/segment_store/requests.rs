//! Requests with defaults.

use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    AttributeUpdate, IterationArgs, TableEntry, TableKey, TableValue, commands::*, event::Event,
};
use uuid::Uuid;

pub(super) fn none() -> bytestring::ByteString {
    "".into()
}

pub(super) fn create(segment: &bytestring::ByteString) -> CreateSegment {
    let (segment, delegation_token) = (segment.clone(), none());
    CreateSegment {
        request_id: 1,
        segment,
        target_rate: 0,
        scale_type: 0,
        delegation_token,
        rollover_size_bytes: 0,
    }
}

pub(super) fn create_table(
    segment: &bytestring::ByteString,
    key_length: i32,
) -> CreateTableSegment {
    let (segment, delegation_token) = (segment.clone(), none());
    let (sorted_deprecated, rollover_size_bytes) = (false, 0);
    CreateTableSegment {
        request_id: 1,
        segment,
        delegation_token,
        sorted_deprecated,
        key_length,
        rollover_size_bytes,
    }
}

pub(super) fn setup(segment: &bytestring::ByteString, writer: u128) -> SetupAppend {
    let (writer_id, segment) = (Uuid::from_u128(writer), segment.clone());
    SetupAppend { request_id: 2, writer_id, segment, delegation_token: none() }
}

pub(super) fn append(writer: u128, number: i64, data: &'static [u8]) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: Uuid::from_u128(writer),
        size_of_whole_events: 0,
        data: Bytes::from_static(data),
        num_events: 1,
        last_event_number: number,
        request_id: 100 + number,
    }
}

pub(super) fn conditional(writer: u128, number: i64, expected_offset: i64) -> ConditionalAppend {
    let (writer_id, event) =
        (Uuid::from_u128(writer), Event { data: Bytes::from_static(b"event") });
    ConditionalAppend { writer_id, event_number: number, expected_offset, event, request_id: 7 }
}

pub(super) fn read(
    segment: &bytestring::ByteString,
    offset: i64,
    suggested_length: i32,
) -> ReadSegment {
    ReadSegment {
        segment: segment.clone(),
        offset,
        suggested_length,
        delegation_token: none(),
        request_id: 3,
    }
}

pub(super) fn info(segment: &bytestring::ByteString) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo { request_id: 4, segment_name: segment.clone(), delegation_token: none() }
}

pub(super) fn seal(segment: &bytestring::ByteString) -> SealSegment {
    SealSegment { request_id: 5, segment: segment.clone(), delegation_token: none() }
}

pub(super) fn delete(segment: &bytestring::ByteString) -> DeleteSegment {
    DeleteSegment { request_id: 6, segment: segment.clone(), delegation_token: none() }
}

pub(super) fn truncate(
    segment: &bytestring::ByteString,
    truncation_offset: i64,
) -> TruncateSegment {
    TruncateSegment {
        request_id: 8,
        segment: segment.clone(),
        truncation_offset,
        delegation_token: none(),
    }
}

pub(super) fn merge(
    target: &bytestring::ByteString,
    source: &bytestring::ByteString,
    old_value: Option<i64>,
) -> MergeSegments {
    let update = |old_value| AttributeUpdate {
        attribute_id: Uuid::from_u128(99),
        attribute_update_type: 4,
        new_value: 1,
        old_value,
    };
    MergeSegments {
        request_id: 9,
        target: target.clone(),
        source: source.clone(),
        delegation_token: none(),
        attribute_updates: old_value.map(update).into_iter().collect(),
    }
}

pub(super) fn attribute(segment: &bytestring::ByteString, id: Uuid) -> GetSegmentAttribute {
    GetSegmentAttribute {
        request_id: 10,
        segment_name: segment.clone(),
        attribute_id: id,
        delegation_token: none(),
    }
}

pub(super) fn set_attribute(
    segment: &bytestring::ByteString,
    new_value: i64,
    expected_value: i64,
) -> UpdateSegmentAttribute {
    UpdateSegmentAttribute {
        request_id: 11,
        segment_name: segment.clone(),
        attribute_id: Uuid::from_u128(42),
        new_value,
        expected_value,
        delegation_token: none(),
    }
}

pub(super) fn put(
    segment: &bytestring::ByteString,
    entries: &[(&'static [u8], &'static [u8], i64)],
    offset: i64,
) -> UpdateTableEntries {
    let entry = |(key, value, key_version): &(&'static [u8], &'static [u8], i64)| TableEntry {
        key: TableKey { data: Bytes::from_static(key), key_version: *key_version },
        value: TableValue { data: Bytes::from_static(value) },
    };
    UpdateTableEntries {
        request_id: 12,
        segment: segment.clone(),
        delegation_token: none(),
        table_entries: entries.iter().map(entry).collect(),
        table_segment_offset: offset,
    }
}

pub(super) fn keys(keys: &[(&'static [u8], i64)]) -> Vec<TableKey> {
    keys.iter()
        .map(|(key, key_version)| TableKey {
            data: Bytes::from_static(key),
            key_version: *key_version,
        })
        .collect()
}

pub(super) fn remove(
    segment: &bytestring::ByteString,
    removed: &[(&'static [u8], i64)],
) -> RemoveTableKeys {
    RemoveTableKeys {
        request_id: 13,
        segment: segment.clone(),
        delegation_token: none(),
        keys: keys(removed),
        table_segment_offset: -1,
    }
}

pub(super) fn lookup(
    segment: &bytestring::ByteString,
    wanted: &[(&'static [u8], i64)],
) -> ReadTable {
    ReadTable {
        request_id: 14,
        segment: segment.clone(),
        delegation_token: none(),
        keys: keys(wanted),
    }
}

pub(super) fn entries(
    segment: &bytestring::ByteString,
    count: i32,
    from: &'static [u8],
    to: &'static [u8],
) -> ReadTableEntries {
    ReadTableEntries {
        request_id: 15,
        segment: segment.clone(),
        delegation_token: none(),
        suggested_entry_count: count,
        args: IterationArgs {
            from_key: Bytes::from_static(from),
            to_key: Bytes::from_static(to),
            ..IterationArgs::default()
        },
    }
}

pub(super) const ANY: i64 = TableKey::NO_VERSION;

pub(super) const ABSENT: i64 = TableKey::NOT_EXISTS;
