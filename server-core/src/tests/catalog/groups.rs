//! Writers' times, reader groups and their subscriptions.

use pravega_sdk_proto::{
    ReaderGroupConfiguration, ReaderGroupInfo, StreamCut, SubscriberStreamCut,
};

use super::{GROUP_ID, check_each_state, cut, group, info};

#[test]
fn a_writer_notes_its_time() {
    check_each_state(
        r#"
        no scope: InternalError
        absent: InternalError
        open: Success => writer
        scaled: Success => writer
        begun: Success => writer
        committed: Success => writer
        aborted: Success => writer
        rolled: Success => writer
        truncated: Success => writer
        sealed: Success => writer
        deleted: InternalError
        recreated: InvalidPosition
        full: ResourceExhausted("FULL")
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.note_time(&info(), "w", cut(&[(0, 10), (1, 0)]), 7, step),
    );
}

#[test]
fn a_writer_that_is_not_known_is_not_removed() {
    check_each_state(
        r#"
        no scope: StreamDoesNotExist
        absent: StreamDoesNotExist
        open: UnknownWriter
        scaled: UnknownWriter
        begun: UnknownWriter
        committed: UnknownWriter
        aborted: UnknownWriter
        rolled: UnknownWriter
        truncated: UnknownWriter
        sealed: UnknownWriter
        deleted: StreamDoesNotExist
        recreated: UnknownWriter
        full: UnknownWriter
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.remove_writer(&info(), "w", step),
    );
}

#[test]
fn a_reader_group_subscribes_to_its_streams() {
    check_each_state(
        r#"
        no scope: (ScopeNotFound, [])
        absent: (Failure, [])
        open: (Success, [s/g]) => Created, state, epoch, subscriber, group
        scaled: (Success, [s/g]) => Created, state, epoch, subscriber, group
        begun: (Success, [s/g]) => Created, state, epoch, subscriber, group
        committed: (Success, [s/g]) => Created, state, epoch, subscriber, group
        aborted: (Success, [s/g]) => Created, state, epoch, subscriber, group
        rolled: (Success, [s/g]) => Created, state, epoch, subscriber, group
        truncated: (Success, [s/g]) => Created, state, epoch, subscriber, group
        sealed: (Success, [s/g]) => Created, state, epoch, subscriber, group
        deleted: (Failure, [])
        recreated: (Success, [s/g]) => Created, state, epoch, subscriber, group
        full: ResourceExhausted("FULL")
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| {
            let created = catalog.create_group(group(), step)?;
            Ok((created.status(), catalog.subscribers(&info()).subscribers))
        },
    );
}

#[test]
fn a_reader_group_with_a_bad_name_or_id_is_refused() {
    check_each_state(
        "
        no scope: InvalidRgName
        absent: InvalidRgName
        open: InvalidRgName
        scaled: InvalidRgName
        begun: InvalidRgName
        committed: InvalidRgName
        aborted: InvalidRgName
        rolled: InvalidRgName
        truncated: InvalidRgName
        sealed: InvalidRgName
        deleted: InvalidRgName
        recreated: InvalidRgName
        full: InvalidRgName
        failed: InvalidRgName
    ",
        |catalog, step| {
            let reader_group_name = "a b".to_owned();
            let config = ReaderGroupConfiguration { reader_group_name, ..group() };
            Ok(catalog.create_group(config, step)?.status())
        },
    );
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
        |catalog, step| {
            let reader_group_id = "x".to_owned();
            let config = ReaderGroupConfiguration { reader_group_id, ..group() };
            Ok(catalog.create_group(config, step)?.status())
        },
    );
}

#[test]
fn a_reader_group_that_is_not_known_is_not_found() {
    check_each_state(
        r#"
        no scope: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        absent: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        open: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        scaled: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        begun: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        committed: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        aborted: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        rolled: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        truncated: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        sealed: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        deleted: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        recreated: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        full: (RgNotFound, Ok(RgNotFound), Ok(RgNotFound))
        failed: (RgNotFound, Err(Unavailable(FAILED)), Err(Unavailable(FAILED)))
    "#,
        |catalog, step| {
            let info = ReaderGroupInfo {
                scope: "s".to_owned(),
                reader_group: "g".to_owned(),
                reader_group_id: GROUP_ID.to_string(),
                generation: 0,
            };
            let config = catalog.group_config(&info).status();
            let updated = catalog.update_group(group(), step).map(|updated| updated.status());
            let deleted = catalog.delete_group(&info, step);
            Ok((config, updated, deleted))
        },
    );
}

#[test]
fn a_cut_of_a_subscriber_that_is_not_known_is_refused() {
    check_each_state(
        r#"
        no scope: StreamNotFound
        absent: StreamNotFound
        open: SubscriberNotFound
        scaled: SubscriberNotFound
        begun: SubscriberNotFound
        committed: SubscriberNotFound
        aborted: SubscriberNotFound
        rolled: SubscriberNotFound
        truncated: SubscriberNotFound
        sealed: SubscriberNotFound
        deleted: StreamNotFound
        recreated: SubscriberNotFound
        full: SubscriberNotFound
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| {
            let stream_info = Some(info());
            let cut = cut(&[(0, 3), (1, 0)]);
            let request = SubscriberStreamCut {
                subscriber: "s/g".to_owned(),
                stream_cut: Some(StreamCut { stream_info, cut }),
                reader_group_id: GROUP_ID.to_string(),
                generation: 0,
            };
            catalog.update_subscriber(request, step)
        },
    );
}
