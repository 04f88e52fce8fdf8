//! Calls about scopes, and what exists in them.

use pravega_sdk_proto::{create_scope_status, delete_scope_status};

use super::{super::at, super::everything, super::machine, check_each_state, config};

#[test]
fn a_scope_is_created_once() {
    check_each_state(
        "
        no scope: Success => scope
        absent: ScopeExists
        open: ScopeExists
        scaled: ScopeExists
        begun: ScopeExists
        committed: ScopeExists
        aborted: ScopeExists
        rolled: ScopeExists
        truncated: ScopeExists
        sealed: ScopeExists
        deleted: ScopeExists
        recreated: ScopeExists
        full: ScopeExists
        failed: ScopeExists
    ",
        |catalog, step| catalog.create_scope("s", step),
    );
}

#[test]
fn a_scope_without_a_name_or_with_a_bad_one_is_refused() {
    check_each_state(
        "
        no scope: InvalidScopeName
        absent: InvalidScopeName
        open: InvalidScopeName
        scaled: InvalidScopeName
        begun: InvalidScopeName
        committed: InvalidScopeName
        aborted: InvalidScopeName
        rolled: InvalidScopeName
        truncated: InvalidScopeName
        sealed: InvalidScopeName
        deleted: InvalidScopeName
        recreated: InvalidScopeName
        full: InvalidScopeName
        failed: InvalidScopeName
    ",
        |catalog, step| catalog.create_scope("a/b", step),
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
        |catalog, step| catalog.create_scope("", step),
    );
}

#[test]
fn a_scope_is_deleted_only_if_nothing_is_in_it() {
    check_each_state(
        r#"
        no scope: ScopeNotFound
        absent: Success => -scope
        open: ScopeNotEmpty
        scaled: ScopeNotEmpty
        begun: ScopeNotEmpty
        committed: ScopeNotEmpty
        aborted: ScopeNotEmpty
        rolled: ScopeNotEmpty
        truncated: ScopeNotEmpty
        sealed: ScopeNotEmpty
        deleted: Success => -scope
        recreated: ScopeNotEmpty
        full: ScopeNotEmpty
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.delete_scope("s", step),
    );
}

#[test]
fn a_scope_is_deleted_with_all_that_is_in_it() {
    check_each_state(
        r#"
        no scope: Success
        absent: Success => -scope
        open: Success => Deleted, -state, Deleted, Deleted, -state, -scope
        scaled: Success => Deleted, -state, Deleted, Deleted, Deleted, Deleted, -state, -scope
        begun: Success => Deleted, -state, Deleted, Deleted, -transaction, Deleted, Deleted, -state,
            -scope
        committed: Success => Deleted, -state, -transaction, Deleted, Deleted, -state, -scope
        aborted: Success => Deleted, -state, -transaction, Deleted, Deleted, -state, -scope
        rolled: Success => Deleted, -state, -transaction, Deleted, Deleted, Deleted, Deleted,
            Deleted, Deleted, Deleted, Deleted, Deleted, -state, -scope
        truncated: Success => Deleted, -state, Deleted, Deleted, -state, -scope
        sealed: Success => Deleted, -state, Deleted, Deleted, -state, -scope
        deleted: Success => -scope
        recreated: Success => Deleted, -state, Deleted, -state, -scope
        full: Success => Deleted, -state, Deleted, Deleted, -state, -scope
        failed: Unavailable("FAILED")
    "#,
        |catalog, step| catalog.delete_scope_recursive("s", step),
    );
}

#[test]
fn scopes_and_streams_exist_or_not() {
    check_each_state(
        "
        no scope: (false, false)
        absent: (true, false)
        open: (true, true)
        scaled: (true, true)
        begun: (true, true)
        committed: (true, true)
        aborted: (true, true)
        rolled: (true, true)
        truncated: (true, true)
        sealed: (true, true)
        deleted: (true, false)
        recreated: (true, true)
        full: (true, true)
        failed: (true, true)
    ",
        |catalog, _| {
            let (scope, stream) = (catalog.scope_exists("s"), catalog.stream_exists("s", "t"));
            Ok((scope.exists, stream.exists))
        },
    );
}

#[test]
fn streams_are_listed_with_those_of_pravega_itself() {
    check_each_state(
        "
        no scope: (ScopeNotFound, [])
        absent: (Success, [])
        open: (Success, [_MARKt, t])
        scaled: (Success, [_MARKt, t])
        begun: (Success, [_MARKt, t])
        committed: (Success, [_MARKt, t])
        aborted: (Success, [_MARKt, t])
        rolled: (Success, [_MARKt, t])
        truncated: (Success, [_MARKt, t])
        sealed: (Success, [_MARKt, t])
        deleted: (Success, [])
        recreated: (Success, [_MARKt, t])
        full: (Success, [_MARKt, t])
        failed: (Success, [_MARKt, t])
    ",
        |catalog, _| {
            let listed = catalog.list_streams("s", None, "")?;
            let names: Vec<String> =
                listed.streams.iter().map(|info| info.stream.clone()).collect();
            Ok((listed.status(), names))
        },
    );
}

#[test]
fn the_system_scope_exists_without_a_record_and_stays() {
    let mut machine = machine();
    let (catalog, mut step) = machine.call(at(1));
    assert!(catalog.scope_exists("_system").exists);
    assert_eq!(catalog.list_scopes("").scopes, ["_system"]);
    let created = catalog.create_scope("_system", &mut step);
    assert_eq!(created, Ok(create_scope_status::Status::ScopeExists));
    let deleted = catalog.delete_scope("_system", &mut step);
    assert_eq!(deleted, Ok(delete_scope_status::Status::ScopeNotEmpty));
    let deleted = catalog.delete_scope_recursive("_system", &mut step);
    assert_eq!(deleted, Ok(delete_scope_status::Status::Failure));
    assert!(catalog.scope_exists("_system").exists);
    assert_eq!(everything(&machine), Vec::<String>::new());
}

#[test]
fn a_stream_in_the_system_scope_is_kept() {
    let mut before = machine();
    let (catalog, mut step) = before.call(at(1));
    let mut config = config(1);
    config.stream_info.as_mut().unwrap().scope = "_system".to_owned();
    catalog.create_stream(config, &mut step).unwrap();
    let mut after = machine();
    before.snapshot(|record| after.restore(&record).unwrap());
    assert!(after.catalog.stream_exists("_system", "t").exists);
}
