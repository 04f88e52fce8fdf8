//! Calls that change streams.

use pravega_sdk_proto::{StreamConfig, StreamInfo, Tags};

use super::{check_each_state, config, cut, info, ranges};

#[test]
fn a_stream_is_created_once() {
    check_each_state(
        "
        no scope: ScopeNotFound
        absent: Success => Created, Created, state, epoch, Created, state, epoch
        open: StreamExists
        scaled: StreamExists
        begun: StreamExists
        committed: StreamExists
        aborted: StreamExists
        rolled: StreamExists
        truncated: StreamExists
        sealed: StreamExists
        deleted: Success => Created, Created, -number, state, epoch, Created, -number, state, epoch
        recreated: StreamExists
        full: StreamExists
        failed: StreamExists
    ",
        |catalog, step| catalog.create_stream(config(2), step),
    );
}

#[test]
fn a_stream_with_a_bad_name_is_refused() {
    check_each_state(
        "
        no scope: InvalidStreamName
        absent: InvalidStreamName
        open: InvalidStreamName
        scaled: InvalidStreamName
        begun: InvalidStreamName
        committed: InvalidStreamName
        aborted: InvalidStreamName
        rolled: InvalidStreamName
        truncated: InvalidStreamName
        sealed: InvalidStreamName
        deleted: InvalidStreamName
        recreated: InvalidStreamName
        full: InvalidStreamName
        failed: InvalidStreamName
    ",
        |catalog, step| {
            let stream_info = Some(StreamInfo { stream: "a b".to_owned(), ..info() });
            catalog.create_stream(StreamConfig { stream_info, ..config(1) }, step)
        },
    );
}

#[test]
fn a_stream_without_segments_or_with_too_long_a_tag_is_refused() {
    check_each_state(
        "
        no scope: ScopeNotFound
        absent: Failure
        open: StreamExists
        scaled: StreamExists
        begun: StreamExists
        committed: StreamExists
        aborted: StreamExists
        rolled: StreamExists
        truncated: StreamExists
        sealed: StreamExists
        deleted: Failure
        recreated: StreamExists
        full: StreamExists
        failed: StreamExists
    ",
        |catalog, step| catalog.create_stream(config(0), step),
    );
    check_each_state(
        r#"
        no scope: ScopeNotFound
        absent: Internal("UNSPECIFIED")
        open: StreamExists
        scaled: StreamExists
        begun: StreamExists
        committed: StreamExists
        aborted: StreamExists
        rolled: StreamExists
        truncated: StreamExists
        sealed: StreamExists
        deleted: Internal("UNSPECIFIED")
        recreated: StreamExists
        full: StreamExists
        failed: StreamExists
    "#,
        |catalog, step| {
            let tags = Some(Tags { tag: vec!["x".repeat(256)] });
            catalog.create_stream(StreamConfig { tags, ..config(1) }, step)
        },
    );
}

#[test]
fn an_update_with_as_many_segments_changes_only_the_configuration() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Success => state
        scaled: Success => Created, Created, Sealed, Sealed, Sealed, epoch, state
        begun: Success => state
        committed: Success => state
        aborted: Success => state
        rolled: Success => Created, Created, Sealed, Sealed, Sealed, epoch, state
        truncated: Success => state
        sealed: StreamSealed
        deleted: StreamNotFound
        recreated: Success => Created, Created, Sealed, epoch, state
        full: Success => state
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.update_stream(config(2), step),
    );
}

#[test]
fn an_update_with_another_number_of_segments_scales() {
    check_each_state(
        r#"
        no scope: (StreamNotFound, )
        absent: (StreamNotFound, )
        open: (Success, 2.1 0-1) => Created, Sealed, Sealed, epoch, state
        scaled: (Success, 4.2 0-1) => Created, Sealed, Sealed, Sealed, epoch, state
        begun: (Success, 2.1 0-1) => Created, Sealed, Sealed, epoch, state
        committed: (Success, 2.1 0-1) => Created, Sealed, Sealed, epoch, state
        aborted: (Success, 2.1 0-1) => Created, Sealed, Sealed, epoch, state
        rolled: (Success, 4.4 0-1) => Created, Sealed, Sealed, Sealed, epoch, state
        truncated: (Success, 2.1 0-1) => Created, Sealed, Sealed, epoch, state
        sealed: (StreamSealed, )
        deleted: (StreamNotFound, )
        recreated: (Success, 2.0 0-1) => state
        full: ResourceExhausted("FULL")
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| {
            let status = catalog.update_stream(config(1), step)?;
            let segments = catalog.current_segments(&info(), step);
            Ok((status, segments.map(|found| ranges(&found.segment_ranges)).unwrap_or_default()))
        },
    );
}

#[test]
fn a_stream_is_truncated_at_a_complete_cut_within_it() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Success => Truncated, head
        scaled: Success => Truncated, head
        begun: Success => Truncated, head
        committed: Success => Truncated, head
        aborted: Success => Truncated, head
        rolled: Success => Truncated, head
        truncated: Success => Truncated, head
        sealed: StreamSealed
        deleted: StreamNotFound
        recreated: Failure
        full: Success => Truncated, head
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.truncate_stream(&info(), cut(&[(0, 7), (1, 0)]), step),
    );
}

#[test]
fn a_stream_is_not_truncated_at_half_a_cut_nor_after_its_end() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Failure
        scaled: Failure
        begun: Failure
        committed: Failure
        aborted: Failure
        rolled: Failure
        truncated: Failure
        sealed: StreamSealed
        deleted: StreamNotFound
        recreated: Failure
        full: Failure
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.truncate_stream(&info(), cut(&[(0, 7)]), step),
    );
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Failure
        scaled: Failure
        begun: Failure
        committed: Failure
        aborted: Failure
        rolled: Failure
        truncated: Failure
        sealed: StreamSealed
        deleted: StreamNotFound
        recreated: Failure
        full: Failure
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.truncate_stream(&info(), cut(&[(0, 11), (1, 0)]), step),
    );
}

#[test]
fn a_truncation_at_later_segments_deletes_the_earlier_ones() {
    let later = [((1 << 32) | 2, 0), ((1 << 32) | 3, 0), (1, 0)];
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Failure
        scaled: Success => Deleted, ends, head
        begun: Failure
        committed: Failure
        aborted: Failure
        rolled: Success => Deleted, ends, head
        truncated: Failure
        sealed: StreamSealed
        deleted: StreamNotFound
        recreated: Failure
        full: Failure
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.truncate_stream(&info(), cut(&later), step),
    );
}

#[test]
fn a_stream_is_sealed_and_its_open_transactions_are_aborted() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: Success => Sealed, Sealed, state
        scaled: Success => Sealed, Sealed, Sealed, state
        begun: Success => Deleted, Deleted, transaction, Sealed, Sealed, state
        committed: Success => Sealed, Sealed, state
        aborted: Success => Sealed, Sealed, state
        rolled: Success => Sealed, Sealed, Sealed, state
        truncated: Success => Sealed, Sealed, state
        sealed: Success
        deleted: StreamNotFound
        recreated: Success => Sealed, state
        full: Success => Sealed, Sealed, state
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.seal_stream(&info(), step),
    );
}

#[test]
fn only_a_sealed_stream_is_deleted() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: StreamNotSealed
        scaled: StreamNotSealed
        begun: StreamNotSealed
        committed: StreamNotSealed
        aborted: StreamNotSealed
        rolled: StreamNotSealed
        truncated: StreamNotSealed
        sealed: Success => Deleted, Deleted, -state, number, Deleted, -state, number
        deleted: StreamNotFound
        recreated: StreamNotSealed
        full: StreamNotSealed
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.delete_stream(&info(), step),
    );
}
