//! Segments that are located, measured and read.

use super::{Event::*, Rows, Stage::*, but, check, idle, on};

/// The rows of a state in which the length is asked for, if they are the same for all lengths that
/// may be.
fn measured() -> Rows {
    but(
        idle(),
        [
            on(LengthShort).to(Failing).delivers("short 50"),
            on(LengthLost).to(LocatingLater),
            on(LengthMissing).to(Failing).delivers("missing"),
        ],
    )
}

/// The rows of a state with a read in flight, if they are the same wherever it reads.
fn read() -> Rows {
    but(
        idle(),
        [
            on(DataEmpty).to(LocatingLater),
            on(DataElsewhere).to(LocatingLater),
            on(ReadTimeout).to(LocatingLater),
            on(ReadLost).to(LocatingLater),
            on(ReadRefused).to(Failing).delivers("failed Tls"),
            on(ReadInvalid).to(LocatingLater),
            on(TruncatedWrongly).to(LocatingLater),
            on(SegmentMissing).to(Failing).delivers("missing"),
            on(WrongStore).does("forget, locate").to(Locating),
            on(TokenExpired).does("token, locate").to(Locating),
            on(TokenRefused).to(Failing).delivers("failed PermissionDenied"),
            on(Unsupported).to(Failing).delivers("failed Unsupported"),
            on(IllegalArgument).to(Failing).delivers("failed InvalidArgument"),
            on(Failure).to(LocatingLater),
            on(Damaged).delivers("stalled Corrupt").to(LocatingLater),
            on(OtherReply).to(LocatingLater),
        ],
    )
}

/// The rows of a state with a read at the tail.
fn at_tail() -> Rows {
    but(
        read(),
        [
            on(ExpectMore).does("length").to(Expecting),
            on(DataFull).does("length, tail at 262244").to(Arrived).delivers("262144 at 100"),
            on(DataShort).does("length, tail at 104").to(Arrived).delivers("4 at 100"),
            on(DataAtTail).does("tail at 110").to(Arrived).delivers("10 at 100"),
            on(DataAtEnd).to(Arrived).delivers("10 at 100, end at 110"),
            on(ReadTimeout).does("length").to(Probing),
            on(SegmentSealed).to(Ending).delivers("end at 100"),
            on(SegmentTruncated).delivers("truncated 100 to 120"),
        ],
    )
}

#[test]
fn nothing_is_read_before_the_segment_is_located() {
    let rows = [
        on(Located).does("tail at 100").to(AtTail),
        on(LocateFailed).to(LocatingLater),
        on(LocateRefused).to(Failing).delivers("failed PermissionDenied"),
    ];
    check(Locating, but(idle(), rows));
}

#[test]
fn after_a_failure_nothing_happens_until_the_back_off_ends() {
    check(LocatingLater, but(idle(), [on(TimerDue).does("locate").to(Locating)]));
}

#[test]
fn the_length_decides_whether_and_where_reading_starts() {
    let rows = [
        on(Length).does("read 50 at 100").to(Known),
        on(LengthSealed).does("read 50 at 100").to(Known),
    ];
    check(Probing, but(measured(), rows));
}

#[test]
fn a_read_at_the_tail_follows_what_arrived_and_a_failure_leads_to_a_back_off() {
    check(AtTail, at_tail());
}

#[test]
fn a_segment_shorter_than_was_expected_when_its_length_was_asked_for_is_read_no_further() {
    let rows = [
        on(ExpectMore),
        // The length is asked for already.
        on(DataFull).does("tail at 262244").to(Arrived).delivers("262144 at 100"),
        on(DataShort).does("tail at 104").to(Arrived).delivers("4 at 100"),
        on(ReadTimeout).does("tail at 100"),
        on(Length).to(Failing).delivers("short 150"),
        on(LengthSealed).to(Failing).delivers("short 150"),
        on(LengthShort).to(Failing).delivers("short 50"),
        on(LengthLost).to(LocatingLater),
        on(LengthMissing).to(Failing).delivers("missing"),
    ];
    check(Expecting, but(at_tail(), rows));
}

#[test]
fn what_is_missing_of_known_bytes_is_read_again() {
    let rows = [
        on(ExpectMore).does("length"),
        on(DataFull).does("length, tail at 150").to(Arrived).delivers("50 at 100"),
        on(DataShort).does("read 46 at 104").to(Arrived).delivers("4 at 100"),
        on(DataAtTail).does("read 40 at 110").to(Arrived).delivers("10 at 100"),
        // The segment does not end before bytes that it has.
        on(DataAtEnd).to(Arrived).delivers("10 at 100"),
        on(SegmentSealed).to(LocatingLater),
        on(SegmentTruncated).to(AtTail).delivers("truncated 100 to 120"),
    ];
    check(Known, but(read(), rows));
}

#[test]
fn a_segment_that_must_be_sealed_has_no_read_at_its_tail_and_fails_while_it_is_open() {
    let rows = [on(Length).to(LocatingLater), on(LengthSealed).to(Ending).delivers("end at 150")];
    check(Unended, but(measured(), rows));
}

#[test]
fn what_has_arrived_is_delivered_before_any_end_or_failure() {
    let rows = at_tail().map(|row| row.stays().delivers_first("10 at 100"));
    let others = [
        on(Take).to(AtTail).delivers("10 at 100"),
        on(Close).does("abandon").to(Closed),
        on(DataFull).does("length, tail at 262254").delivers("10 at 100, 262144 at 110"),
        on(DataShort).does("length, tail at 114").delivers("10 at 100, 4 at 110"),
        on(DataAtTail).does("tail at 120").delivers("10 at 100, 10 at 110"),
        on(DataAtEnd).delivers("10 at 100, 10 at 110, end at 120"),
        on(SegmentSealed).delivers("10 at 100, end at 110"),
        on(SegmentTruncated).delivers("10 at 100, truncated 110 to 130"),
    ];
    check(Arrived, but(rows, others));
}
