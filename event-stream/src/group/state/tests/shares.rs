//! Fair shares, beyond what the golden lines show.

use std::time::Duration;

use super::{super::FairShare, *};

/// Readers a, b, … with so many segments each, and lags; the rest of ten segments has no reader.
fn shared(readers: &[(i64, i64)]) -> ReaderGroupState {
    let mut state = group(10);
    let mut next = 0;
    for ((count, lag), name) in readers.iter().zip(["a", "b", "c"]) {
        state = after(state, &[add(name)]);
        for _ in 0..*count {
            state = after(state, &[acquire(name, next)]);
            next += 1;
        }
        state = after(state, &[report(name, *lag, &[])]);
    }
    state
}

#[test]
fn a_reader_takes_its_part_of_what_is_left() {
    for (readers, counts) in [
        (&[(0, 0)][..], &[10][..]),
        (&[(0, 0), (0, 0)], &[5, 5]),
        (&[(0, 0), (0, 0), (0, 0)], &[3, 3, 3]),
        (&[(5, 0), (0, 0)], &[2, 5]),
        (&[(9, 0), (0, 0)], &[1, 1]),
        (&[(10, 0), (0, 0)], &[0, 0]),
    ] {
        let state = shared(readers);
        let share = FairShare::of(&state);
        let found: Vec<_> =
            ["a", "b", "c"][..readers.len()].iter().map(|name| share.acquire_count(name)).collect();
        assert_eq!(found, counts, "{readers:?}");
        assert_eq!(share.acquire_count("x"), 0, "a reader that is not in the group");
    }
}

#[test]
fn only_a_reader_with_more_than_a_segment_too_much_gives_one_back() {
    for (readers, too_much) in [
        (&[(6, 0), (4, 0)][..], &[true, false][..]),
        (&[(5, 0), (5, 0)], &[false, false]),
        (&[(6, 0), (3, 0)], &[true, false]),
        // What is left may go to the other.
        (&[(6, 0), (2, 0)], &[true, false]),
        (&[(5, 0), (1, 0)], &[false, false]),
        (&[(1, i64::MAX), (9, 0)], &[false, false]),
        (&[(2, 60_000), (4, 0), (4, 0)], &[false, false, false]),
    ] {
        let state = shared(readers);
        let share = FairShare::of(&state);
        let found: Vec<_> =
            ["a", "b", "c"][..readers.len()].iter().map(|name| share.owns_too_much(name)).collect();
        assert_eq!(found, too_much, "{readers:?}");
    }
}

#[test]
fn readers_with_little_take_first_and_those_with_much_give_back_first() {
    let state = shared(&[(2, 0), (4, 0), (0, 0)]);
    let share = FairShare::of(&state);
    let delays = |name| (share.rank(name), share.acquire_delay(name), share.release_delay(name));
    let seconds = |count| Some(Duration::from_secs(count));
    assert_eq!(delays("b"), (Some(0), seconds(3), seconds(1)));
    assert_eq!(delays("a"), (Some(1), seconds(2), seconds(2)));
    assert_eq!(delays("c"), (Some(2), seconds(1), seconds(3)));
    assert_eq!(delays("x"), (None, None, None));
}

#[test]
fn the_times_of_readers_of_one_size_differ() {
    let state = shared(&[(0, 0), (0, 0), (0, 0)]);
    let share = FairShare::of(&state);
    let mut ranks: Vec<_> = ["a", "b", "c"].map(|name| share.rank(name)).to_vec();
    ranks.sort();
    assert_eq!(ranks, [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_lag_that_was_never_reported_overflows_as_in_javas_client() {
    let state = after(group(3), &[add("a"), acquire("a", 0), acquire("a", 1)]);
    let sizes: Vec<_> = FairShare::of(&state).sizes().collect();
    assert_eq!(sizes, [("a", -2.0 / i64::MAX as f64)]);
}
