//! Questions about the segments of streams.

use pravega_sdk_types::{Epoch, SegmentId};

use super::{check_each_state, cut, id, info, range, ranges};

#[test]
fn the_configuration_of_a_stream_is_returned() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: 2
        scaled: 2
        begun: 2
        committed: 2
        aborted: 2
        rolled: 2
        truncated: 2
        sealed: 2
        deleted: NotFound("stream s/t is not found")
        recreated: 1
        full: 2
        failed: 2
    "#,
        |catalog, _| {
            let found = catalog.stream_configuration(&info())?;
            Ok(found.scaling_policy.unwrap_or_default().min_num_segments)
        },
    );
}

#[test]
fn the_open_segments_are_those_of_the_newest_epoch() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: 0.0 0-0.5 | 1.0 0.5-1
        scaled: 2.1 0-0.25 | 3.1 0.25-0.5 | 1.0 0.5-1
        begun: 0.0 0-0.5 | 1.0 0.5-1
        committed: 0.0 0-0.5 | 1.0 0.5-1
        aborted: 0.0 0-0.5 | 1.0 0.5-1
        rolled: 2.3 0-0.25 | 3.3 0.25-0.5 | 1.3 0.5-1
        truncated: 0.0 0-0.5 | 1.0 0.5-1
        sealed: -
        deleted: NotFound("stream s/t is not found")
        recreated: 2.0 0-1
        full: 0.0 0-0.5 | 1.0 0.5-1
        failed: 0.0 0-0.5 | 1.0 0.5-1
    "#,
        |catalog, step| Ok(ranges(&catalog.current_segments(&info(), step)?.segment_ranges)),
    );
}

#[test]
fn the_segments_of_an_epoch_stay_known() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: 0.0 0-0.5 | 1.0 0.5-1
        scaled: 0.0 0-0.5 | 1.0 0.5-1
        begun: 0.0 0-0.5 | 1.0 0.5-1
        committed: 0.0 0-0.5 | 1.0 0.5-1
        aborted: 0.0 0-0.5 | 1.0 0.5-1
        rolled: 0.0 0-0.5 | 1.0 0.5-1
        truncated: 0.0 0-0.5 | 1.0 0.5-1
        sealed: 0.0 0-0.5 | 1.0 0.5-1
        deleted: NotFound("stream s/t is not found")
        recreated: 2.0 0-1
        full: 0.0 0-0.5 | 1.0 0.5-1
        failed: 0.0 0-0.5 | 1.0 0.5-1
    "#,
        |catalog, step| Ok(ranges(&catalog.epoch_segments(&info(), 0, step)?.segment_ranges)),
    );
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: NotFound("epoch 1 of s/t is not found")
        scaled: 2.1 0-0.25 | 3.1 0.25-0.5 | 1.0 0.5-1
        begun: NotFound("epoch 1 of s/t is not found")
        committed: NotFound("epoch 1 of s/t is not found")
        aborted: NotFound("epoch 1 of s/t is not found")
        rolled: 2.1 0-0.25 | 3.1 0.25-0.5 | 1.0 0.5-1
        truncated: NotFound("epoch 1 of s/t is not found")
        sealed: NotFound("epoch 1 of s/t is not found")
        deleted: NotFound("stream s/t is not found")
        recreated: NotFound("epoch 1 of s/t is not found")
        full: NotFound("epoch 1 of s/t is not found")
        failed: NotFound("epoch 1 of s/t is not found")
    "#,
        |catalog, step| Ok(ranges(&catalog.epoch_segments(&info(), 1, step)?.segment_ranges)),
    );
}

#[test]
fn the_head_of_a_stream_is_its_first_epoch_or_where_it_was_truncated() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: 0.0@0 1.0@0
        scaled: 0.0@0 1.0@0
        begun: 0.0@0 1.0@0
        committed: 0.0@0 1.0@0
        aborted: 0.0@0 1.0@0
        rolled: 0.0@0 1.0@0
        truncated: 0.0@4 1.0@0
        sealed: 0.0@0 1.0@0
        deleted: NotFound("stream s/t is not found")
        recreated: 2.0@0
        full: 0.0@0 1.0@0
        failed: 0.0@0 1.0@0
    "#,
        |catalog, step| {
            let found = catalog.head_segments(&info(), step)?;
            let shown = found.segments.iter().map(|location| {
                let segment = location.segment_id.as_ref().unwrap().segment_id;
                format!("{}@{}", id(segment), location.offset)
            });
            Ok(shown.collect::<Vec<_>>().join(" "))
        },
    );
}

#[test]
fn a_sealed_segment_has_successors_and_each_names_what_it_follows() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: -
        scaled: 2.1 0-0.25 after 0.0 | 3.1 0.25-0.5 after 0.0
        begun: -
        committed: -
        aborted: -
        rolled: 2.1 0-0.25 after 0.0 | 3.1 0.25-0.5 after 0.0
        truncated: -
        sealed: -
        deleted: NotFound("stream s/t is not found")
        recreated: -
        full: -
        failed: -
    "#,
        |catalog, step| {
            let found = catalog.successors(&info(), 0, step)?;
            let shown = found.segments.iter().map(|entry| {
                let follows: Vec<String> = entry.value.iter().map(|segment| id(*segment)).collect();
                format!("{} after {}", range(entry.segment.as_ref().unwrap()), follows.join(" "))
            });
            Ok(shown.collect::<Vec<_>>().join(" | "))
        },
    );
}

#[test]
fn the_segments_between_the_head_and_the_tail_are_all_that_were_not_truncated() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: 0.0 1.0
        scaled: 0.0 1.0 2.1 3.1
        begun: 0.0 1.0
        committed: 0.0 1.0
        aborted: 0.0 1.0
        rolled: 0.0 1.0 2.1 3.1 0.2 1.2 1.3 2.3 3.3
        truncated: 0.0 1.0
        sealed: 0.0 1.0
        deleted: NotFound("stream s/t is not found")
        recreated: -
        full: 0.0 1.0
        failed: 0.0 1.0
    "#,
        |catalog, step| {
            let found =
                catalog.segments_between(&info(), &cut(&[(0, 4), (1, 0)]), &cut(&[]), step)?;
            Ok(found
                .segments
                .iter()
                .map(|found| id(found.segment_id))
                .collect::<Vec<_>>()
                .join(" "))
        },
    );
}

#[test]
fn two_empty_cuts_have_nothing_between_them() {
    check_each_state(
        r#"
        no scope: Internal("UNSPECIFIED")
        absent: Internal("UNSPECIFIED")
        open: Internal("UNSPECIFIED")
        scaled: Internal("UNSPECIFIED")
        begun: Internal("UNSPECIFIED")
        committed: Internal("UNSPECIFIED")
        aborted: Internal("UNSPECIFIED")
        rolled: Internal("UNSPECIFIED")
        truncated: Internal("UNSPECIFIED")
        sealed: Internal("UNSPECIFIED")
        deleted: Internal("UNSPECIFIED")
        recreated: Internal("UNSPECIFIED")
        full: Internal("UNSPECIFIED")
        failed: Internal("UNSPECIFIED")
    "#,
        |catalog, step| catalog.segments_between(&info(), &cut(&[]), &cut(&[]), step),
    );
}

#[test]
fn a_segment_is_open_until_it_or_its_stream_is_sealed() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: true
        scaled: false
        begun: true
        committed: true
        aborted: true
        rolled: false
        truncated: true
        sealed: false
        deleted: NotFound("stream s/t is not found")
        recreated: false
        full: true
        failed: true
    "#,
        |catalog, _| catalog.is_segment_open(&info(), 0),
    );
}

#[test]
fn a_cut_is_complete_if_it_covers_every_key_once() {
    check_each_state(
        r#"
        no scope: NotFound("stream s/t is not found")
        absent: NotFound("stream s/t is not found")
        open: [true, false, false]
        scaled: [true, false, false]
        begun: [true, false, false]
        committed: [true, false, false]
        aborted: [true, false, false]
        rolled: [true, false, false]
        truncated: [true, false, false]
        sealed: [true, false, false]
        deleted: NotFound("stream s/t is not found")
        recreated: [false, false, false]
        full: [true, false, false]
        failed: [true, false, false]
    "#,
        |catalog, _| {
            let complete = |offsets: &[(i64, i64)]| catalog.is_cut_complete(&info(), &cut(offsets));
            Ok([complete(&[(0, 3), (1, 0)])?, complete(&[(0, 3)])?, complete(&[(0, 3), (7, 0)])?])
        },
    );
}

#[test]
fn the_epochs_of_a_stream_are_listed_with_their_segments() {
    check_each_state(
        "
        no scope: []
        absent: []
        open: [2: 0.0 1.0]
        scaled: [2: 0.0 1.0, 6 split 1: 1.0 2.1 3.1]
        begun: [2: 0.0 1.0]
        committed: [2: 0.0 1.0]
        aborted: [2: 0.0 1.0]
        rolled: [2: 0.0 1.0, 6 split 1: 1.0 2.1 3.1, 6 merged 1: 0.2 1.2, 6 split 1: 1.3 2.3 3.3]
        truncated: [2: 0.0 1.0]
        sealed: [2: 0.0 1.0]
        deleted: []
        recreated: [6: 2.0]
        full: [2: 0.0 1.0]
        failed: [2: 0.0 1.0]
    ",
        |catalog, _| {
            let slice = catalog.epochs_within("s", "t", &(0..=100), Epoch(0));
            let mut segments: Vec<SegmentId> = Vec::new();
            let shown = slice.iter().flat_map(|slice| &slice.items).map(|change| {
                segments.retain(|segment| !change.sealed.contains(segment));
                segments.extend(change.created.iter().map(|segment| segment.id));
                let begins = change.begins.unwrap();
                let changed = match (begins.splits, begins.merges) {
                    (0, 0) => String::new(),
                    (splits, 0) => format!(" split {splits}"),
                    (0, merges) => format!(" merged {merges}"),
                    both => format!(" {both:?}"),
                };
                let mut all: Vec<String> =
                    segments.iter().map(|segment| id(i64::from(*segment))).collect();
                all.sort();
                format!("{}{changed}: {}", change.at, all.join(" "))
            });
            Ok(shown.collect::<Vec<_>>())
        },
    );
}
