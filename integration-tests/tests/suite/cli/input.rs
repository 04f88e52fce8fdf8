//! What the tool makes of files: text of other systems, invalid lines, all or nothing.

use std::{fs, process::Output};

use pravega_sdk_integration_tests::harness::{
    eventually,
    tool::{good, pravega, stderr},
    unique,
};

fn new_stream() -> String {
    let scope = unique("input");
    let stream = format!("{scope}/stream");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    stream
}

/// Writes a file to a stream.
fn write(stream: &str, content: &[u8], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, content).unwrap();
    let file = ["write", stream, "--file", path.to_str().unwrap()];
    pravega(&[&file[..], arguments].concat())
}

#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

const KEYED: [&str; 2] = ["--key-separator", ":"];
const SECOND_IS_BAD: &[u8] = b"good:1\nbad\ngood:2\n";

#[test]
fn an_invalid_line_ends_the_input_and_the_place_to_go_on_is_told() {
    let stream = new_stream();
    let output = write(&stream, SECOND_IS_BAD, &KEYED);
    check(
        &output,
        7,
        &[
            "wrote 1 event, ",
            "error: line 2: no key separator ':' in this line",
            "line 1 is written; correct line 2, then the rest: tail -n +2 ",
        ],
    );
    assert_eq!(good(&["read", &stream]), "1\n");
}

#[test]
fn a_file_with_an_invalid_line_is_not_begun_after_a_check_or_in_a_transaction() {
    for (option, part) in
        [("--check", "nothing was written"), ("--transaction", "the transaction was aborted")]
    {
        let stream = new_stream();
        let output = write(&stream, SECOND_IS_BAD, &[&KEYED[..], &[option]].concat());
        check(&output, 7, &["error: line 2: no key separator ':' in this line", part]);
        assert_eq!(good(&["read", &stream]), "");
        let output = write(&stream, b"good:1\ngood:2", &[&KEYED[..], &[option]].concat());
        check(&output, 0, &["wrote 2 events"]);
        assert_eq!(good(&["read", &stream]), "1\n2\n");
    }
}

#[test]
fn invalid_lines_are_skipped_and_counted_on_demand() {
    let stream = new_stream();
    let output = write(&stream, SECOND_IS_BAD, &[&KEYED[..], &["--skip-bad"]].concat());
    check(&output, 0, &["skipped line 2: no key separator", "skipped 1 invalid line"]);
    assert_eq!(good(&["read", &stream]), "1\n2\n");
    let output = write(&stream, b"bad\nbad\n", &[&KEYED[..], &["--skip-bad"]].concat());
    check(&output, 0, &["wrote 0 events", "skipped 2 invalid lines"]);
}

#[test]
fn a_key_that_is_kept_can_be_read_back() {
    let stream = new_stream();
    check(&write(&stream, b"ann:1\n", &[&KEYED[..], &["--keep-key"]].concat()), 0, &[]);
    assert_eq!(good(&["read", &stream, "--format", "{key} {event}"]), "ann ann:1\n");
}

#[test]
fn a_key_field_is_never_combined_with_a_separator() {
    let stream = new_stream();
    let output =
        write(&stream, b"{\"id\":\"x\"}\n", &["--key-field", "id", "--key-separator", ":"]);
    check(&output, 2, &["cannot be used with"]);
    assert_eq!(good(&["read", &stream]), "");
}

#[test]
fn text_of_other_systems_is_written_as_lines_unless_they_are_raw() {
    let text = b"\xef\xbb\xbf{\"a\":1}\r\n{\"a\":2}\r\n";
    let stream = new_stream();
    check(&write(&stream, text, &["--json"]), 0, &[]);
    assert_eq!(good(&["read", &stream]), "{\"a\":1}\n{\"a\":2}\n");
    let stream = new_stream();
    check(&write(&stream, text, &["--raw-lines"]), 0, &[]);
    assert_eq!(good(&["read", &stream]).as_bytes(), text);
}

#[test]
fn compressed_input_gets_a_warning() {
    let stream = new_stream();
    let output = write(&stream, b"\x1f\x8b\x08\0a\nb\n", &[]);
    check(&output, 0, &["warning: the input looks like gzip data", "wrote 2 events"]);
}

#[test]
fn a_transaction_is_seen_as_a_whole_or_not_at_all() {
    let stream = new_stream();
    let output = write(&stream, b"one\ntwo\n", &["--transaction"]);
    check(&output, 0, &["wrote 2 events"]);
    assert_eq!(good(&["read", &stream]), "one\ntwo\n");
    good(&["stream", "seal", &stream]);
    assert!(!write(&stream, b"three\n", &["--transaction"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_by_age_needs_watermarks_which_writing_makes() {
    let stream = new_stream();
    check(&write(&stream, b"old\n", &[]), 0, &[]);
    let read = pravega(&["read", &stream, "--ago", "1h"]);
    check(&read, 0, &["no watermark from before", "at the head: all events are read"]);
    check(&write(&stream, b"older\n", &["--note-time"]), 0, &[]);
    // The controller makes a watermark every ten seconds.
    eventually("a watermark shows that all events are older", async || {
        let read = pravega(&["read", &stream, "--ago", "0s"]);
        check(&read, 0, &[]);
        !stderr(&read).contains("no watermark") && read.stdout.is_empty()
    })
    .await;
}
