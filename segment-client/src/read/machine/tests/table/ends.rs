//! Segments that are read no further.

use super::{Event::*, Rows, Stage::*, but, check, idle, on};

/// The rows of a state in which a last delivery is ready.
fn ready(delivered: &str) -> Rows {
    let rows = idle().map(|row| row.delivers_first(delivered));
    let others = [
        on(Take).to(Done).delivers(delivered),
        on(Close).does("abandon").to(Closed),
        on(ExpectMore).does("length").delivers(delivered),
    ];
    but(rows, others)
}

#[test]
fn the_end_of_a_sealed_segment_is_delivered_whatever_follows() {
    check(Ending, ready("end at 100"));
}

#[test]
fn a_failure_is_delivered_whatever_follows() {
    check(Failing, ready("missing"));
}

#[test]
fn nothing_is_delivered_after_the_end() {
    check(Done, but(idle(), [on(ExpectMore).does("length")]));
}

#[test]
fn a_closed_segment_takes_no_part_any_more() {
    check(Closed, but(idle(), [on(Close)]));
}
