//! Requests about whole segments, and their attributes.

use pravega_sdk_wire_protocol::commands::*;

use super::{ATTRIBUTE, SEGMENT, WRITER, check_each_state, machine_in, send};
use crate::tests::machine;

#[test]
fn a_segment_is_created_once() {
    let command = CreateSegment {
        request_id: 9,
        segment: SEGMENT.into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    };
    check_each_state(
        command,
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
}

#[test]
fn a_segment_without_a_name_closes_the_connection() {
    let command = CreateSegment {
        request_id: 9,
        segment: "".into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    };
    assert_eq!(send(&mut machine(), vec![command.into()]), "closed: a segment has no name");
}

#[test]
fn a_transient_segment_is_created_under_a_new_name_whatever_its_parent_is() {
    let command = CreateTransientSegment {
        request_id: 9,
        writer_id: WRITER,
        parent_segment: SEGMENT.into(),
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        r#"
        absent: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        empty: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        bytes: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        truncated: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } =>
            Created
        sealed: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        deleted: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } =>
            Created
        merged: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        table: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        fixed: SegmentCreated { segment: "TRANSIENT.00000000000000000000000000000002" } => Created
        full: ErrorMessage { segment: "TRANSIENT.00000000000000000000000000000002", message:
            "FULL", error_code: OutOfSpace }
        failed: ErrorMessage { segment: "TRANSIENT.00000000000000000000000000000002", message:
            "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn the_state_of_a_segment_is_returned() {
    let command = GetStreamSegmentInfo {
        request_id: 9,
        segment_name: SEGMENT.into(),
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 0, start_offset: 0 }
        bytes: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 10, start_offset: 0 }
        truncated: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 10, start_offset: 4 }
        sealed: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: true,
            is_deleted: false, last_modified: 1, write_offset: 10, start_offset: 0 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 19, start_offset: 0 }
        fixed: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 19, start_offset: 0 }
        full: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 10, start_offset: 0 }
        failed: StreamSegmentInfo { segment_name: SEGMENT, exists: true, is_sealed: false,
            is_deleted: false, last_modified: 1, write_offset: 10, start_offset: 0 }
    ",
    );
}

#[test]
fn a_segment_is_sealed_once() {
    let command =
        SealSegment { request_id: 9, segment: SEGMENT.into(), delegation_token: "".into() };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentSealed { segment: SEGMENT } => Sealed
        bytes: SegmentSealed { segment: SEGMENT } => Sealed
        truncated: SegmentSealed { segment: SEGMENT } => Sealed
        sealed: SegmentIsSealed { segment: SEGMENT, offset: -1 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentSealed { segment: SEGMENT } => Sealed
        fixed: SegmentSealed { segment: SEGMENT } => Sealed
        full: SegmentSealed { segment: SEGMENT } => Sealed
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

fn truncate(truncation_offset: i64) -> TruncateSegment {
    let segment = SEGMENT.into();
    TruncateSegment { request_id: 9, segment, truncation_offset, delegation_token: "".into() }
}

#[test]
fn a_segment_is_truncated_up_to_its_end() {
    check_each_state(
        truncate(10),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 10 }
        empty: SegmentIsTruncated { segment: SEGMENT, start_offset: 0, offset: 10 }
        bytes: SegmentTruncated { segment: SEGMENT } => Truncated
        truncated: SegmentTruncated { segment: SEGMENT } => Truncated
        sealed: SegmentTruncated { segment: SEGMENT } => Truncated
        deleted: NoSuchSegment { segment: SEGMENT, offset: 10 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 10 }
        table: closed: a table is not truncated
        fixed: closed: a table is not truncated
        full: SegmentTruncated { segment: SEGMENT } => Truncated
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_truncation_after_the_end_is_refused() {
    check_each_state(
        truncate(11),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 11 }
        empty: SegmentIsTruncated { segment: SEGMENT, start_offset: 0, offset: 11 }
        bytes: SegmentIsTruncated { segment: SEGMENT, start_offset: 0, offset: 11 }
        truncated: SegmentIsTruncated { segment: SEGMENT, start_offset: 4, offset: 11 }
        sealed: SegmentIsTruncated { segment: SEGMENT, start_offset: 0, offset: 11 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: 11 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 11 }
        table: closed: a table is not truncated
        fixed: closed: a table is not truncated
        full: SegmentIsTruncated { segment: SEGMENT, start_offset: 0, offset: 11 }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_truncation_before_the_start_is_refused_and_one_at_it_changes_nothing() {
    check_each_state(
        truncate(0),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 0 }
        empty: SegmentTruncated { segment: SEGMENT }
        bytes: SegmentTruncated { segment: SEGMENT }
        truncated: SegmentIsTruncated { segment: SEGMENT, start_offset: 4, offset: 0 }
        sealed: SegmentTruncated { segment: SEGMENT }
        deleted: NoSuchSegment { segment: SEGMENT, offset: 0 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 0 }
        table: closed: a table is not truncated
        fixed: closed: a table is not truncated
        full: SegmentTruncated { segment: SEGMENT }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
    assert_eq!(
        send(&mut machine_in("truncated"), vec![truncate(4).into()]),
        "SegmentTruncated { segment: SEGMENT }"
    );
}

#[test]
fn a_segment_is_deleted_in_any_state() {
    let command =
        DeleteSegment { request_id: 9, segment: SEGMENT.into(), delegation_token: "".into() };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentDeleted { segment: SEGMENT } => Deleted
        bytes: SegmentDeleted { segment: SEGMENT } => Deleted
        truncated: SegmentDeleted { segment: SEGMENT } => Deleted
        sealed: SegmentDeleted { segment: SEGMENT } => Deleted
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentDeleted { segment: SEGMENT } => Deleted
        fixed: SegmentDeleted { segment: SEGMENT } => Deleted
        full: SegmentDeleted { segment: SEGMENT } => Deleted
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn a_policy_is_set_on_a_segment_that_is_not_sealed() {
    let command = UpdateSegmentPolicy {
        request_id: 9,
        segment: SEGMENT.into(),
        target_rate: 4,
        scale_type: 1,
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentPolicyUpdated { segment: SEGMENT } => Attributed
        bytes: SegmentPolicyUpdated { segment: SEGMENT } => Attributed
        truncated: SegmentPolicyUpdated { segment: SEGMENT } => Attributed
        sealed: SegmentIsSealed { segment: SEGMENT, offset: -1 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentPolicyUpdated { segment: SEGMENT } => Attributed
        fixed: SegmentPolicyUpdated { segment: SEGMENT } => Attributed
        full: ErrorMessage { segment: SEGMENT, message: "FULL", error_code: OutOfSpace }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn an_attribute_is_returned_or_missing() {
    let command = GetSegmentAttribute {
        request_id: 9,
        segment_name: SEGMENT.into(),
        attribute_id: ATTRIBUTE,
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentAttribute { value: MIN }
        bytes: SegmentAttribute { value: 5 }
        truncated: SegmentAttribute { value: 5 }
        sealed: SegmentAttribute { value: 5 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentAttribute { value: MIN }
        fixed: SegmentAttribute { value: MIN }
        full: SegmentAttribute { value: 5 }
        failed: SegmentAttribute { value: 5 }
    ",
    );
}

fn update_attribute(expected_value: i64) -> UpdateSegmentAttribute {
    UpdateSegmentAttribute {
        request_id: 9,
        segment_name: SEGMENT.into(),
        attribute_id: ATTRIBUTE,
        new_value: 6,
        expected_value,
        delegation_token: "".into(),
    }
}

#[test]
fn an_attribute_is_set_where_it_has_the_expected_value() {
    check_each_state(
        update_attribute(5),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentAttributeUpdated { success: false }
        bytes: SegmentAttributeUpdated { success: true } => Attributed
        truncated: SegmentAttributeUpdated { success: true } => Attributed
        sealed: SegmentIsSealed { segment: SEGMENT, offset: -1 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentAttributeUpdated { success: false }
        fixed: SegmentAttributeUpdated { success: false }
        full: SegmentAttributeUpdated { success: true } => Attributed
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

#[test]
fn an_attribute_is_set_where_it_is_expected_to_be_missing() {
    check_each_state(
        update_attribute(i64::MIN),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: SegmentAttributeUpdated { success: true } => Attributed
        bytes: SegmentAttributeUpdated { success: false }
        truncated: SegmentAttributeUpdated { success: false }
        sealed: SegmentIsSealed { segment: SEGMENT, offset: -1 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: SegmentAttributeUpdated { success: true } => Attributed
        fixed: SegmentAttributeUpdated { success: true } => Attributed
        full: SegmentAttributeUpdated { success: false }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}
