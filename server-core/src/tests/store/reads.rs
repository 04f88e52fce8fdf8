//! Reads of segments.

use super::{check_each_state, read};

#[test]
fn a_read_returns_the_bytes_at_its_offset() {
    check_each_state(
        read(4),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 4 }
        empty: no reply
        bytes: SegmentRead { segment: SEGMENT, offset: 4, at_tail: true, end_of_segment: false,
            data: b"456789" }
        truncated: SegmentRead { segment: SEGMENT, offset: 4, at_tail: true, end_of_segment: false,
            data: b"456789" }
        sealed: SegmentRead { segment: SEGMENT, offset: 4, at_tail: false, end_of_segment: true,
            data: b"456789" }
        deleted: NoSuchSegment { segment: SEGMENT, offset: 4 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 4 }
        table: SegmentRead { segment: SEGMENT, offset: 4, at_tail: false, end_of_segment: false,
            data: b"" }
        fixed: SegmentRead { segment: SEGMENT, offset: 4, at_tail: false, end_of_segment: false,
            data: b"" }
        full: SegmentRead { segment: SEGMENT, offset: 4, at_tail: true, end_of_segment: false,
            data: b"456789" }
        failed: SegmentRead { segment: SEGMENT, offset: 4, at_tail: true, end_of_segment: false,
            data: b"456789" }
    "#,
    );
}

#[test]
fn a_read_before_the_start_is_refused() {
    check_each_state(
        read(3),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 3 }
        empty: no reply
        bytes: SegmentRead { segment: SEGMENT, offset: 3, at_tail: true, end_of_segment: false,
            data: b"3456789" }
        truncated: SegmentIsTruncated { segment: SEGMENT, start_offset: 4, offset: 3 }
        sealed: SegmentRead { segment: SEGMENT, offset: 3, at_tail: false, end_of_segment: true,
            data: b"3456789" }
        deleted: NoSuchSegment { segment: SEGMENT, offset: 3 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 3 }
        table: SegmentRead { segment: SEGMENT, offset: 3, at_tail: false, end_of_segment: false,
            data: b"" }
        fixed: SegmentRead { segment: SEGMENT, offset: 3, at_tail: false, end_of_segment: false,
            data: b"" }
        full: SegmentRead { segment: SEGMENT, offset: 3, at_tail: true, end_of_segment: false,
            data: b"3456789" }
        failed: SegmentRead { segment: SEGMENT, offset: 3, at_tail: true, end_of_segment: false,
            data: b"3456789" }
    "#,
    );
}

#[test]
fn a_read_at_the_end_waits_or_tells_the_end() {
    check_each_state(
        read(10),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 10 }
        empty: no reply
        bytes: no reply
        truncated: no reply
        sealed: SegmentRead { segment: SEGMENT, offset: 10, at_tail: false, end_of_segment: true,
            data: b"" }
        deleted: NoSuchSegment { segment: SEGMENT, offset: 10 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 10 }
        table: SegmentRead { segment: SEGMENT, offset: 10, at_tail: false, end_of_segment: false,
            data: b"" }
        fixed: SegmentRead { segment: SEGMENT, offset: 10, at_tail: false, end_of_segment: false,
            data: b"" }
        full: no reply
        failed: no reply
    "#,
    );
}

#[test]
fn a_read_after_the_end_waits_or_closes_the_connection() {
    check_each_state(
        read(11),
        r#"
        absent: NoSuchSegment { segment: SEGMENT, offset: 11 }
        empty: no reply
        bytes: no reply
        truncated: no reply
        sealed: closed: the offset is after the end of a sealed segment
        deleted: NoSuchSegment { segment: SEGMENT, offset: 11 }
        merged: NoSuchSegment { segment: SEGMENT, offset: 11 }
        table: SegmentRead { segment: SEGMENT, offset: 11, at_tail: false, end_of_segment: false,
            data: b"" }
        fixed: SegmentRead { segment: SEGMENT, offset: 11, at_tail: false, end_of_segment: false,
            data: b"" }
        full: no reply
        failed: no reply
    "#,
    );
}

#[test]
fn a_read_at_a_negative_offset_closes_the_connection() {
    check_each_state(
        read(-1),
        "
        absent: NoSuchSegment { segment: SEGMENT, offset: -1 }
        empty: closed: the offset is negative
        bytes: closed: the offset is negative
        truncated: closed: the offset is negative
        sealed: closed: the offset is negative
        deleted: NoSuchSegment { segment: SEGMENT, offset: -1 }
        merged: NoSuchSegment { segment: SEGMENT, offset: -1 }
        table: closed: the offset is negative
        fixed: closed: the offset is negative
        full: closed: the offset is negative
        failed: closed: the offset is negative
    ",
    );
}
