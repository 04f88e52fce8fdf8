//! Reading, bytes, cuts and transactions with the tool, against a real server.

use std::{
    io::{Read as _, Write as _},
    process::{Output, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    tool::{command, fails, good, json, pravega, stderr, stdout},
    unique,
};

/// A stream of its own.
fn stream(segments: &str) -> String {
    let scope = unique("reading");
    let stream = format!("{scope}/stream");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream, "--segments", segments]);
    stream
}

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut process = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    process.wait_with_output().unwrap()
}

fn write(stream: &str, lines: &str) {
    let written = with_input(&["write", stream], lines.as_bytes());
    assert!(written.status.success(), "{}", stderr(&written));
}

#[test]
fn events_are_read_from_one_place_to_another_in_the_form_that_was_asked_for() {
    let stream = stream("1");
    write(&stream, "ann:one\nbob:two\nann:three\n");
    assert_eq!(good(&["read", &stream]), "ann:one\nbob:two\nann:three\n");
    assert_eq!(good(&["read", &stream, "--count", "2"]), "ann:one\nbob:two\n");
    assert_eq!(good(&["read", &stream, "--from", "tail"]), "");
    assert_eq!(good(&["read", &stream, "--ago", "1h"]), "ann:one\nbob:two\nann:three\n");
    assert_eq!(good(&["read", &stream, "--base64", "-n", "1"]), "YW5uOm9uZQ==\n");
    assert_eq!(
        good(&[
            "read",
            &stream,
            "--format",
            "{key}|{offset}|{size}|{segment}|{event}|{base64}",
            "-n",
            "1"
        ]),
        "ann|0|7|0.#epoch.0|ann:one|YW5uOm9uZQ==\n"
    );
    let records = json(&["read", &stream]);
    assert_eq!(records[1]["offset"], 15);
    assert_eq!(records[1]["event"], "bob:two");
    // From an event, and from the cut after it.
    let pointer = good(&["read", &stream, "--format", "{pointer}", "-n", "2"]);
    let pointer = pointer.lines().nth(1).unwrap();
    assert_eq!(good(&["read", &stream, "--from", pointer]), "bob:two\nann:three\n");
    let first = pravega(&["read", &stream, "-n", "1", "--show-cut"]);
    let cut = stderr(&first);
    assert_eq!(good(&["read", &stream, "--from", cut.trim()]), "bob:two\nann:three\n");
    assert_eq!(good(&["read", &stream, "--until", cut.trim()]), "ann:one\n");
    let error = fails(2, &["read", &stream, "--format", "{nonsense}"]);
    assert!(error.contains("{nonsense} is unknown; known are {event}"), "{error}");
    let error = fails(2, &["read", &stream, "--from", "H4sIAAAA"]);
    assert!(error.contains("the stream cut is not gzip"), "{error}");
    let error = fails(3, &["read", &format!("{stream}-missing")]);
    assert!(error.contains("there is no stream"), "{error}");
}

#[test]
fn a_follower_prints_new_events_until_the_stream_is_sealed() {
    let stream = stream("2");
    write(&stream, "one\n");
    let follower = command(&["read", &stream, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    write(&stream, "two\nthree\n");
    good(&["stream", "seal", &stream]);
    let output = follower.wait_with_output().unwrap();
    let mut lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["one", "three", "two"]);
}

#[test]
fn bytes_are_put_got_tailed_and_truncated() {
    let stream = stream("1");
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|number| (number / 3) as u8).collect();
    let put = with_input(&["bytes", "put", &stream], &bytes);
    assert!(
        put.status.success() && stderr(&put).starts_with("appended 1.91 MiB at offset 0"),
        "{}",
        stderr(&put)
    );
    assert!(pravega(&["bytes", "get", &stream]).stdout == bytes);
    let part = pravega(&["bytes", "get", &stream, "--offset", "10", "--length", "1K"]);
    assert!(part.stdout == bytes[10..1034]);
    let mut tailing =
        command(&["bytes", "tail", &stream, "--back", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    // The tool counts back from the tail at its start, so bytes may be appended only after it has
    // printed some.
    let mut tailed = vec![0; 3];
    tailing.stdout.as_mut().unwrap().read_exact(&mut tailed).unwrap();
    let more = with_input(&["bytes", "put", &stream, "--seal"], b"more");
    assert!(more.status.success(), "{}", stderr(&more));
    tailed.extend(tailing.wait_with_output().unwrap().stdout);
    assert!(tailed == [&bytes[bytes.len() - 3..], b"more"].concat());
    let shown = json(&["bytes", "show", &stream]);
    assert_eq!((&shown[0]["head"], &shown[0]["tail"]), (&0.into(), &2_000_004.into()));
    let error = fails(4, &["bytes", "put", &stream]);
    assert!(error.contains("the byte stream is sealed"), "{error}");
}

#[test]
fn truncated_bytes_are_gone() {
    let stream = stream("1");
    with_input(&["bytes", "put", &stream], b"abcdefgh");
    good(&["bytes", "truncate", &stream, "4"]);
    assert_eq!(good(&["bytes", "get", &stream]), "efgh");
    let error = fails(4, &["bytes", "get", &stream, "--offset", "2"]);
    assert!(error.contains("2 was truncated away, the first byte is at 4"), "{error}");
    let error = fails(2, &["bytes", "get", &stream, "--offset", "9"]);
    assert!(error.contains("9 is after the end, which is 8"), "{error}");
    let error = fails(2, &["bytes", "get", &stream, "--offset", "18446744073709551615"]);
    assert!(
        error.contains("\"18446744073709551615\" is after the last possible offset"),
        "{error}"
    );
}

#[test]
fn cuts_are_shown_advanced_and_measured() {
    let stream = stream("1");
    write(&stream, "one\ntwo\nthree\n");
    let head = good(&["cut", "show", &stream, "--at", "head"]);
    let tail = good(&["cut", "show", &stream, "--at", "tail"]);
    assert_eq!(good(&["cut", "show", tail.trim()]), format!("{stream}\t0.#epoch.0\t35\n"));
    let next = good(&["cut", "next", head.trim(), "12"]);
    assert_eq!(good(&["cut", "show", next.trim()]), format!("{stream}\t0.#epoch.0\t22\n"));
    assert_eq!(good(&["cut", "distance", head.trim(), next.trim()]), "22\n");
    assert_eq!(good(&["cut", "distance", next.trim(), "UNBOUNDED"]), "13\n");
    assert_eq!(
        good(&["cut", "ranges", next.trim(), tail.trim()]),
        format!("{stream}/0.#epoch.0:22..35\t13\n")
    );
    assert_eq!(good(&["read", &stream, "--from", next.trim()]), "three\n");
    let both = good(&["cut", "show", &stream]);
    assert!(both.contains(head.trim()) && both.contains(tail.trim()), "{both}");
    let error = fails(2, &["cut", "show", "nonsense"]);
    assert!(error.contains("pravega cut show SCOPE/STREAM"), "{error}");
    fails(2, &["cut", "distance", "UNBOUNDED", "UNBOUNDED"]);
}

#[test]
fn a_transaction_is_begun_written_and_committed_in_several_steps() {
    let stream = stream("2");
    let id = good(&["txn", "begin", &stream]);
    let id = id.trim();
    for lines in ["k:one\nk:two\n", "k:three\n"] {
        let written =
            with_input(&["txn", "write", &stream, id, "--key-separator", ":"], lines.as_bytes());
        assert!(written.status.success(), "{}", stderr(&written));
    }
    assert_eq!(good(&["read", &stream]), "");
    good(&["txn", "commit", &stream, id, "--wait", "60s"]);
    assert_eq!(good(&["read", &stream]), "one\ntwo\nthree\n");
    let error = fails(4, &["txn", "write", &stream, id]);
    assert!(error.contains("the transaction is committed"), "{error}");
    let aborted = good(&["txn", "begin", &stream]);
    good(&["txn", "abort", &stream, aborted.trim()]);
    fails(4, &["txn", "write", &stream, aborted.trim()]);
}
