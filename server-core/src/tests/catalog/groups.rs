//! Writers' times, reader groups and their subscriptions.

use std::sync::Arc;

use pravega_sdk_proto::{
    ReaderGroupConfiguration, ReaderGroupInfo, StreamCut, SubscriberStreamCut,
    create_reader_group_response::Status, update_reader_group_response,
};

use super::{GROUP_ID, check_each_state, cut, group, info, machine_in};
use crate::{
    access::{Admission, Rules},
    machine::Machine,
    tests::at,
};

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

/// What a client with some rules may do.
fn admission(rules: &str) -> Admission {
    let (rules, skipped) = Rules::parse(rules);
    assert_eq!(skipped, Vec::<String>::new());
    Admission::new(Arc::new(rules))
}

/// A group in a scope of the client's own, which does not subscribe to its stream in another one.
fn own_group(name: &str) -> ReaderGroupConfiguration {
    let (scope, reader_group_name) = ("mine".to_owned(), name.to_owned());
    ReaderGroupConfiguration { scope, reader_group_name, retention_type: 0, ..group() }
}

fn with_cut(config: ReaderGroupConfiguration) -> [ReaderGroupConfiguration; 2] {
    let stream_cut = StreamCut { stream_info: Some(info()), cut: cut(&[(0, 0), (1, 0)]) };
    [
        ReaderGroupConfiguration {
            starting_stream_cuts: vec![stream_cut.clone()],
            ..config.clone()
        },
        ReaderGroupConfiguration { ending_stream_cuts: vec![stream_cut], ..config },
    ]
}

fn machine_with_own_scope() -> Machine {
    let mut machine = machine_in("open");
    let (catalog, mut step) = machine.call(at(6));
    catalog.create_scope("mine", &mut step).unwrap();
    machine
}

const MINE: &str = "prn::/scope:mine,READ_UPDATE;prn::/scope:mine/*,READ_UPDATE;prn::/scope:s,READ";

#[test]
fn a_group_holds_up_no_stream_that_its_client_may_not_read() {
    let mut machine = machine_with_own_scope();
    let mine = admission(MINE);
    let subscribed = [1, 2].map(|retention_type| ReaderGroupConfiguration {
        retention_type,
        ..own_group("subscribed")
    });
    for config in subscribed.into_iter().chain(with_cut(own_group("cut"))) {
        for may_read in [false, true] {
            let rules = format!("{MINE};prn::/scope:s/stream:t,READ");
            let reader = admission(&rules);
            let client = if may_read { &reader } else { &mine };
            let (catalog, mut step) = machine.call_by(Some(client), at(9));
            let created = catalog.create_group(config.clone(), &mut step).unwrap().status();
            let expected = if may_read { Status::Success } else { Status::Failure };
            assert_eq!(created, expected, "{config:?}");
            let holds = may_read && config.retention_type != 0;
            assert_eq!(catalog.subscribers(&info()).subscribers.len(), usize::from(holds));
            let info = ReaderGroupInfo {
                scope: "mine".to_owned(),
                reader_group: config.reader_group_name.clone(),
                reader_group_id: GROUP_ID.to_string(),
                generation: 0,
            };
            catalog.delete_group(&info, &mut step).unwrap();
        }
    }
}

#[test]
fn a_group_that_is_updated_holds_up_no_stream_that_its_client_may_not_read() {
    use update_reader_group_response::Status;
    let mut machine = machine_with_own_scope();
    let mine = admission(MINE);
    let (catalog, mut step) = machine.call_by(Some(&mine), at(9));
    // The stream is only a name in it.
    catalog.create_group(own_group("g"), &mut step).unwrap();
    let subscribed = ReaderGroupConfiguration { retention_type: 1, ..own_group("g") };
    for config in with_cut(own_group("g")).into_iter().chain([subscribed.clone()]) {
        let updated = catalog.update_group(config, &mut step).unwrap().status();
        assert_eq!(updated, Status::InvalidConfig);
    }
    assert!(catalog.subscribers(&info()).subscribers.is_empty());
    let (catalog, mut step) = machine.call(at(9));
    let updated = catalog.update_group(subscribed, &mut step).unwrap().status();
    assert_eq!(updated, Status::Success);
}
