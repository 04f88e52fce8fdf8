//! Set-ups and appends.

use pravega_sdk_wire_protocol::commands::*;

use super::{SEGMENT, WRITER, check_after_set_up, check_each_state};

#[test]
fn a_set_up_tells_the_last_number_of_the_writer() {
    let command = SetupAppend {
        request_id: 9,
        writer_id: WRITER,
        segment: SEGMENT.into(),
        delegation_token: "".into(),
    };
    check_each_state(
        command,
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: AppendSetup { segment: SEGMENT, last_event_number: MIN }
        bytes: AppendSetup { segment: SEGMENT, last_event_number: 3 }
        truncated: AppendSetup { segment: SEGMENT, last_event_number: 3 }
        sealed: AppendSetup { segment: SEGMENT, last_event_number: 3 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: AppendSetup { segment: SEGMENT, last_event_number: MIN }
        fixed: closed: appends to a table
        full: AppendSetup { segment: SEGMENT, last_event_number: 3 }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified }
    "#,
    );
}

fn append(last_event_number: i64) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: "abc".into(),
        num_events: 1,
        last_event_number,
        request_id: 9,
    }
}

#[test]
fn an_append_after_a_set_up_is_acknowledged() {
    check_after_set_up(
        append(4),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        empty: AppendSetup { segment: SEGMENT, last_event_number: MIN }; DataAppended {
            event_number: 4, previous_event_number: MIN, current_segment_write_offset: 3 } =>
            Appended
        bytes: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended { event_number:
            4, previous_event_number: 3, current_segment_write_offset: 13 } => Appended
        truncated: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended {
            event_number: 4, previous_event_number: 3, current_segment_write_offset: 13 } =>
            Appended
        sealed: AppendSetup { segment: SEGMENT, last_event_number: 3 }; SegmentIsSealed { segment:
            SEGMENT, offset: 4 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        table: AppendSetup { segment: SEGMENT, last_event_number: MIN }; closed: appends to a table
        fixed: closed: appends to a table
        full: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended { event_number:
            4, previous_event_number: 3, current_segment_write_offset: 13 } => Appended
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified };
            closed: the rules of appending are broken
    "#,
    );
}

#[test]
fn an_append_of_a_number_that_was_used_is_kept_without_a_reply() {
    check_after_set_up(
        append(3),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        empty: AppendSetup { segment: SEGMENT, last_event_number: MIN }; DataAppended {
            event_number: 3, previous_event_number: MIN, current_segment_write_offset: 3 } =>
            Appended
        bytes: AppendSetup { segment: SEGMENT, last_event_number: 3 } => Appended
        truncated: AppendSetup { segment: SEGMENT, last_event_number: 3 } => Appended
        sealed: AppendSetup { segment: SEGMENT, last_event_number: 3 }; SegmentIsSealed { segment:
            SEGMENT, offset: 3 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        table: AppendSetup { segment: SEGMENT, last_event_number: MIN }; closed: appends to a table
        fixed: closed: appends to a table
        full: AppendSetup { segment: SEGMENT, last_event_number: 3 } => Appended
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified };
            closed: the rules of appending are broken
    "#,
    );
}

#[test]
fn an_append_without_a_set_up_closes_the_connection() {
    check_each_state(
        append(4),
        "
        absent: closed: the rules of appending are broken
        empty: closed: the rules of appending are broken
        bytes: closed: the rules of appending are broken
        truncated: closed: the rules of appending are broken
        sealed: closed: the rules of appending are broken
        deleted: closed: the rules of appending are broken
        merged: closed: the rules of appending are broken
        table: closed: the rules of appending are broken
        fixed: closed: the rules of appending are broken
        full: closed: the rules of appending are broken
        failed: closed: the rules of appending are broken
    ",
    );
}

fn conditional(expected_offset: i64) -> ConditionalBlockEnd {
    ConditionalBlockEnd {
        writer_id: WRITER,
        event_number: 4,
        expected_offset,
        data: "abc".into(),
        request_id: 9,
    }
}

#[test]
fn a_conditional_append_at_the_end_is_acknowledged() {
    check_after_set_up(
        conditional(10),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        empty: AppendSetup { segment: SEGMENT, last_event_number: MIN }; ConditionalCheckFailed {
            event_number: 4 }
        bytes: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended { event_number:
            4, previous_event_number: 3, current_segment_write_offset: 13 } => Appended
        truncated: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended {
            event_number: 4, previous_event_number: 3, current_segment_write_offset: 13 } =>
            Appended
        sealed: AppendSetup { segment: SEGMENT, last_event_number: 3 }; SegmentIsSealed { segment:
            SEGMENT, offset: 4 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        table: AppendSetup { segment: SEGMENT, last_event_number: MIN }; closed: appends to a table
        fixed: closed: appends to a table
        full: AppendSetup { segment: SEGMENT, last_event_number: 3 }; DataAppended { event_number:
            4, previous_event_number: 3, current_segment_write_offset: 13 } => Appended
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified };
            closed: the rules of appending are broken
    "#,
    );
}

#[test]
fn a_conditional_append_elsewhere_fails_and_leaves_the_number_free() {
    check_after_set_up(
        conditional(5),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        empty: AppendSetup { segment: SEGMENT, last_event_number: MIN }; ConditionalCheckFailed {
            event_number: 4 }
        bytes: AppendSetup { segment: SEGMENT, last_event_number: 3 }; ConditionalCheckFailed {
            event_number: 4 }
        truncated: AppendSetup { segment: SEGMENT, last_event_number: 3 }; ConditionalCheckFailed {
            event_number: 4 }
        sealed: AppendSetup { segment: SEGMENT, last_event_number: 3 }; SegmentIsSealed { segment:
            SEGMENT, offset: 4 }
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }; closed: the rules of appending are
            broken
        table: AppendSetup { segment: SEGMENT, last_event_number: MIN }; closed: appends to a table
        fixed: closed: appends to a table
        full: AppendSetup { segment: SEGMENT, last_event_number: 3 }; ConditionalCheckFailed {
            event_number: 4 }
        failed: ErrorMessage { segment: SEGMENT, message: "FAILED", error_code: Unspecified };
            closed: the rules of appending are broken
    "#,
    );
}

#[test]
fn a_keep_alive_is_answered_and_changes_nothing() {
    check_each_state(
        KeepAlive {},
        "
        absent: KeepAlive
        empty: KeepAlive
        bytes: KeepAlive
        truncated: KeepAlive
        sealed: KeepAlive
        deleted: KeepAlive
        merged: KeepAlive
        table: KeepAlive
        fixed: KeepAlive
        full: KeepAlive
        failed: KeepAlive
    ",
    );
}
