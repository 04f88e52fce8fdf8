//! Scaling.

use pravega_sdk_proto::{ScaleRequest, scale_request::KeyRangeEntry};

use super::{check_each_state, info, ranges, split};

#[test]
fn a_segment_is_split_in_two() {
    check_each_state(
        r#"
        no scope: (Failure, 0, )
        absent: (Failure, 0, )
        open: (Started, 0, 2.1 0.5-0.75 | 3.1 0.75-1) => Created, Created, Sealed, epoch
        scaled: (Started, 1, 4.2 0.5-0.75 | 5.2 0.75-1) => Created, Created, Sealed, epoch
        begun: (Started, 0, 2.1 0.5-0.75 | 3.1 0.75-1) => Created, Created, Sealed, epoch
        committed: (Started, 0, 2.1 0.5-0.75 | 3.1 0.75-1) => Created, Created, Sealed, epoch
        aborted: (Started, 0, 2.1 0.5-0.75 | 3.1 0.75-1) => Created, Created, Sealed, epoch
        rolled: (PreconditionFailed, 0, )
        truncated: (Started, 0, 2.1 0.5-0.75 | 3.1 0.75-1) => Created, Created, Sealed, epoch
        sealed: (Failure, 0, )
        deleted: (Failure, 0, )
        recreated: (PreconditionFailed, 0, )
        full: ResourceExhausted("FULL")
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| {
            let scaled = catalog.scale(&split(1, 0.5, 0.75, 1.0), step)?;
            Ok((scaled.status(), scaled.epoch, ranges(&scaled.segments)))
        },
    );
}

#[test]
fn a_scale_that_does_not_cover_what_it_seals_fails() {
    check_each_state(
        "
        no scope: Failure
        absent: Failure
        open: Failure
        scaled: Failure
        begun: Failure
        committed: Failure
        aborted: Failure
        rolled: PreconditionFailed
        truncated: Failure
        sealed: Failure
        deleted: Failure
        recreated: PreconditionFailed
        full: Failure
        failed: Failure
    ",
        |catalog, step| Ok(catalog.scale(&split(1, 0.25, 0.75, 1.0), step)?.status()),
    );
}

#[test]
fn a_scale_of_a_segment_that_is_not_open_is_refused() {
    check_each_state(
        "
        no scope: Failure
        absent: Failure
        open: PreconditionFailed
        scaled: PreconditionFailed
        begun: PreconditionFailed
        committed: PreconditionFailed
        aborted: PreconditionFailed
        rolled: PreconditionFailed
        truncated: PreconditionFailed
        sealed: Failure
        deleted: Failure
        recreated: PreconditionFailed
        full: PreconditionFailed
        failed: PreconditionFailed
    ",
        |catalog, step| Ok(catalog.scale(&split(77, 0.0, 0.25, 0.5), step)?.status()),
    );
}

#[test]
fn a_merge_below_the_fewest_segments_is_refused() {
    check_each_state(
        "
        no scope: Failure
        absent: Failure
        open: PreconditionFailed
        scaled: PreconditionFailed
        begun: PreconditionFailed
        committed: PreconditionFailed
        aborted: PreconditionFailed
        rolled: PreconditionFailed
        truncated: PreconditionFailed
        sealed: Failure
        deleted: Failure
        recreated: PreconditionFailed
        full: PreconditionFailed
        failed: PreconditionFailed
    ",
        |catalog, step| {
            let request = ScaleRequest {
                sealed_segments: vec![0, 1],
                new_key_ranges: vec![KeyRangeEntry { start: 0.0, end: 1.0 }],
                ..split(0, 0.0, 0.25, 0.5)
            };
            Ok(catalog.scale(&request, step)?.status())
        },
    );
}

#[test]
fn a_scale_is_done_once_the_epoch_is_over() {
    check_each_state(
        "
        no scope: [InvalidInput, InvalidInput, InvalidInput, InvalidInput]
        absent: [InvalidInput, InvalidInput, InvalidInput, InvalidInput]
        open: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        scaled: [Success, InProgress, InvalidInput, InvalidInput]
        begun: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        committed: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        aborted: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        rolled: [Success, Success, Success, InProgress]
        truncated: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        sealed: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        deleted: [InvalidInput, InvalidInput, InvalidInput, InvalidInput]
        recreated: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        full: [InProgress, InvalidInput, InvalidInput, InvalidInput]
        failed: [InProgress, InvalidInput, InvalidInput, InvalidInput]
    ",
        |catalog, _| Ok([0, 1, 2, 3].map(|epoch| catalog.check_scale(&info(), epoch))),
    );
}
