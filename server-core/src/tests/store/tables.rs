//! Requests about table segments.

use pravega_sdk_wire_protocol::{IterationArgs, TableEntry, TableKey, commands::*};

use super::{SEGMENT, check_each_state, entry, key_of, send};
use crate::tests::machine;

#[test]
fn a_table_is_created_once() {
    let command = CreateTableSegment {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        sorted_deprecated: false,
        key_length: 256,
        rollover_size_bytes: 0,
    };
    check_each_state(
        command.clone(),
        "
        absent: SegmentCreated { segment: SEGMENT } => Created
        empty: SegmentAlreadyExists { segment: SEGMENT }
        bytes: SegmentAlreadyExists { segment: SEGMENT }
        truncated: SegmentAlreadyExists { segment: SEGMENT }
        sealed: SegmentAlreadyExists { segment: SEGMENT }
        deleted: SegmentCreated { segment: SEGMENT } => Created
        merged: SegmentCreated { segment: SEGMENT } => Created
        table: SegmentAlreadyExists { segment: SEGMENT }
        fixed: SegmentAlreadyExists { segment: SEGMENT }
        full: SegmentAlreadyExists { segment: SEGMENT }
        failed: SegmentAlreadyExists { segment: SEGMENT }
    ",
    );
    let too_long = CreateTableSegment { key_length: 257, ..command };
    assert_eq!(
        send(&mut machine(), vec![too_long.into()]),
        "closed: the length of the keys is above 256"
    );
}

fn delete_table(must_be_empty: bool) -> DeleteTableSegment {
    let segment = SEGMENT.into();
    DeleteTableSegment { request_id: 9, segment, must_be_empty, delegation_token: "".into() }
}

#[test]
fn a_table_is_deleted_with_its_entries() {
    check_each_state(
        delete_table(false),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentDeleted { segment: SEGMENT } => Deleted
        fixed: SegmentDeleted { segment: SEGMENT } => Deleted
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn a_table_that_must_be_empty_is_not_deleted_with_entries() {
    check_each_state(
        delete_table(true),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableSegmentNotEmpty { segment: SEGMENT }
        fixed: OperationUnsupported { operation_name: "deleteTableSegment" }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}

#[test]
fn the_state_of_a_table_is_returned() {
    let command = GetTableSegmentInfo {
        request_id: 9,
        segment_name: SEGMENT.into(),
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableSegmentInfo { segment_name: SEGMENT, start_offset: 0, length: 19, entry_count:
            1, key_length: 0 }
        fixed: TableSegmentInfo { segment_name: SEGMENT, start_offset: 0, length: 19, entry_count:
            1, key_length: 1 }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

fn put(entry: TableEntry, table_segment_offset: i64) -> UpdateTableEntries {
    UpdateTableEntries {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        table_entries: vec![entry],
        table_segment_offset,
    }
}

#[test]
fn an_entry_is_put_in_a_table() {
    check_each_state(
        put(entry("k", TableKey::NO_VERSION), -1),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableEntriesUpdated { updated_versions: [19] } => Put
        fixed: TableEntriesUpdated { updated_versions: [19] } => Put
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn an_entry_is_put_where_the_table_ends_as_expected() {
    check_each_state(
        put(entry("k", 0), 19),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: 19 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: 19 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 19 }
        table: TableEntriesUpdated { updated_versions: [19] } => Put
        fixed: TableEntriesUpdated { updated_versions: [19] } => Put
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn an_entry_is_not_put_where_the_table_ends_elsewhere() {
    check_each_state(
        put(entry("k", 0), 5),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: 5 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: 5 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 5 }
        table: SegmentIsTruncated { segment: SEGMENT, start_offset: 19, offset: 5 }
        fixed: SegmentIsTruncated { segment: SEGMENT, start_offset: 19, offset: 5 }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn an_entry_that_must_not_exist_is_not_put_over_another() {
    check_each_state(
        put(entry("k", TableKey::NOT_EXISTS), -1),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableKeyBadVersion { segment: SEGMENT }
        fixed: TableKeyBadVersion { segment: SEGMENT }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn an_entry_with_a_version_is_not_put_where_the_key_is_missing() {
    check_each_state(
        put(entry("m", 4), -1),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableKeyDoesNotExist { segment: SEGMENT }
        fixed: TableKeyBadVersion { segment: SEGMENT }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    ",
    );
}

#[test]
fn a_key_of_another_length_is_refused_by_a_table_with_keys_of_one_length() {
    check_each_state(
        put(entry("long", TableKey::NO_VERSION), -1),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableEntriesUpdated { updated_versions: [19] } => Put
        fixed: ErrorMessage { segment: SEGMENT, message: "the length of the key is not that of the
            table's keys", error_code: IllegalArgument }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}

fn remove(key: TableKey) -> RemoveTableKeys {
    RemoveTableKeys {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        keys: vec![key],
        table_segment_offset: -1,
    }
}

#[test]
fn a_key_is_removed() {
    check_each_state(
        remove(key_of("k", TableKey::NO_VERSION)),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableKeysRemoved { segment: SEGMENT } => Removed
        fixed: TableKeysRemoved { segment: SEGMENT } => Removed
        full: closed: the segment is not a table
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_key_with_another_version_is_not_removed() {
    check_each_state(
        remove(key_of("k", 3)),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableKeyBadVersion { segment: SEGMENT }
        fixed: TableKeyBadVersion { segment: SEGMENT }
        full: closed: the segment is not a table
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn keys_are_read_with_their_versions_and_missing_ones_are_reported() {
    let command = ReadTable {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        keys: vec![key_of("k", TableKey::NO_VERSION), key_of("m", TableKey::NO_VERSION)],
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableRead { segment: SEGMENT, entries: [TableEntry { key: TableKey { data: b"k",
            key_version: 0 }, value: TableValue { data: b"v" } }, TableEntry { key: TableKey {
            data: b"m", key_version: -1 }, value: TableValue { data: b"" } }] }
        fixed: TableRead { segment: SEGMENT, entries: [TableEntry { key: TableKey { data: b"k",
            key_version: 0 }, value: TableValue { data: b"v" } }, TableEntry { key: TableKey {
            data: b"m", key_version: -1 }, value: TableValue { data: b"" } }] }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}

#[test]
fn the_keys_of_a_table_are_read_in_pages() {
    let command = ReadTableKeys {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        suggested_key_count: 5,
        args: IterationArgs::default(),
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableKeysRead { segment: SEGMENT, keys: [TableKey { data: b"k", key_version: 0 }],
            continuation_token: b"\0\0?\xdc\xb6\xbe\xd7\xb0\xd4\x80k" }
        fixed: TableKeysRead { segment: SEGMENT, keys: [TableKey { data: b"k", key_version: 0 }],
            continuation_token: b"\0\0k" }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}

#[test]
fn the_entries_of_a_table_are_read_in_pages() {
    let command = ReadTableEntries {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        suggested_entry_count: 5,
        args: IterationArgs::default(),
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableEntriesRead { segment: SEGMENT, entries: [TableEntry { key: TableKey { data:
            b"k", key_version: 0 }, value: TableValue { data: b"v" } }], continuation_token:
            b"\0\0?\xdc\xb6\xbe\xd7\xb0\xd4\x80k" }
        fixed: TableEntriesRead { segment: SEGMENT, entries: [TableEntry { key: TableKey { data:
            b"k", key_version: 0 }, value: TableValue { data: b"v" } }], continuation_token:
            b"\0\0k" }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}

#[test]
fn the_changes_of_a_hash_table_are_read() {
    let command = ReadTableEntriesDelta {
        request_id: 9,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
        from_position: 0,
        suggested_entry_count: 5,
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the segment is not a table
        bytes: closed: the segment is not a table
        truncated: closed: the segment is not a table
        sealed: closed: the segment is not a table
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: TableEntriesDeltaRead { segment: SEGMENT, entries: [TableEntry { key: TableKey {
            data: b"k", key_version: 0 }, value: TableValue { data: b"v" } }], should_clear: false,
            reached_end: true, last_position: 19 }
        fixed: OperationUnsupported { operation_name: "readTableEntriesDelta" }
        full: closed: the segment is not a table
        failed: closed: the segment is not a table
    "#,
    );
}
