//! Truncating a stream with the tool.

use std::process::Output;

use pravega_sdk_integration_tests::harness::{
    tool::{command, fails, good, json, pravega, stderr, stdout},
    unique,
};

/// A stream of its own, of one segment, with an event for each line.
fn stream_of(lines: &str) -> String {
    use std::io::Write as _;
    let scope = unique("truncation");
    let stream = format!("{scope}/stream");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    let mut writing = command(&["write", &stream]);
    let mut writing = writing.stdin(std::process::Stdio::piped()).spawn().unwrap();
    writing.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(writing.wait().unwrap().success());
    stream
}

#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

#[test]
fn a_stream_is_truncated_only_where_an_event_begins() {
    let stream = stream_of("one\ntwo\nthree\n");
    let truncate =
        |arguments: &[&str]| pravega(&[&["stream", "truncate", &stream], arguments].concat());
    let output = truncate(&["--at", "0=3"]);
    check(&output, 2, &["no event of segment 0.#epoch.0 begins at 3, one does at 0"]);
    check(&truncate(&["--at", "0=9999"]), 2, &["offset 9999 is after the end"]);
    assert_eq!(good(&["read", &stream]), "one\ntwo\nthree\n");
    check(&truncate(&["--at", "0=11"]), 0, &["at 0.#epoch.0=11"]);
    assert_eq!(good(&["read", &stream]), "two\nthree\n");

    let pointer = json(&["read", &stream])[1]["pointer"].as_str().unwrap().to_owned();
    let short = pointer.rsplit_once('/').unwrap().1;
    check(&truncate(&["--before", "0.#epoch.0:12-13"]), 1, &["there is no event of that length"]);
    check(&truncate(&["--before", short]), 0, &["at 0.#epoch.0=22"]);
    assert_eq!(good(&["read", &stream]), "three\n");
    assert_eq!(good(&["read", &stream, "--from", short]), "three\n");
    check(&truncate(&["--keep", "1h"]), 0, &[]);
    assert_eq!(good(&["read", &stream]), "three\n", "no event is that old");
    check(&truncate(&["--before", "tail"]), 0, &["at 0.#epoch.0=35"]);
    assert_eq!(good(&["read", &stream]), "");
    check(&truncate(&["--before", "head"]), 2, &["no event is before the head"]);
    check(&truncate(&["--at", "0=36", "--before", "tail"]), 2, &["cannot be used with"]);
}

#[test]
fn a_stream_is_truncated_inside_an_event_by_force() {
    let stream = stream_of("one\ntwo\n");
    good(&["stream", "truncate", &stream, "--at", "0=3", "--force"]);
    fails(1, &["read", &stream]);
    good(&["stream", "truncate", &stream, "--before", "tail"]);
    assert_eq!(good(&["read", &stream]), "");
}

#[test]
fn a_read_from_below_the_head_warns_and_goes_on_from_there() {
    let stream = stream_of("one\ntwo\nthree\n");
    let first = pravega(&["read", &stream, "--count", "1", "--show-cut"]);
    let cut = stderr(&first).lines().last().unwrap().to_owned();
    check(&pravega(&["stream", "truncate", &stream, "--at", "0=22"]), 0, &[]);
    let output = pravega(&["read", &stream, "--from", &cut]);
    check(&output, 0, &["warning: ", "truncated up to 22; reading goes on from there"]);
    assert_eq!(stdout(&output), "three\n");
    let group = ["--group", "below", "--from", &cut, "--count", "1"];
    let output = pravega(&[&["read", &stream][..], &group].concat());
    check(&output, 0, &[]);
    assert_eq!(stdout(&output), "three\n");
}
