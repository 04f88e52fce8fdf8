//! Writing and reading events with the tool, against a real server.

use pravega_sdk_integration_tests::harness::{
    lines::{as_file, by_key, megabytes, real_lines},
    tool::{command, fails, good, json, pravega, stderr, stdout},
    unique,
};
use serde_json::Value;

#[test]
fn a_real_file_is_written_and_read_back_in_order_per_key_byte_for_byte() {
    let scope = unique("file");
    let stream = format!("{scope}/lines");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream, "--segments", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let lines = real_lines(megabytes() << 20);
    std::fs::write(&path, as_file(&lines)).unwrap();
    let separator = "\t";
    let written = pravega(&[
        "write",
        &stream,
        "--file",
        path.to_str().unwrap(),
        "--key-separator",
        separator,
    ]);
    assert!(written.status.success(), "{}", stderr(&written));
    print!("{}", stderr(&written));
    assert!(
        stderr(&written).starts_with("wrote ") && stderr(&written).contains("p99"),
        "{}",
        stderr(&written)
    );
    assert!(written.stdout.is_empty());
    let read = pravega(&["read", &stream]);
    assert!(read.status.success(), "{}", stderr(&read));
    let expected = by_key(lines.iter().map(|line| line.text.as_str()));
    assert!(
        by_key(stdout(&read).lines()) == expected,
        "the events read differ from the events written"
    );
}

#[test]
fn binary_events_go_through_a_pipe_and_mistakes_in_the_input_are_named() {
    let scope = unique("pipe");
    let stream = format!("{scope}/events");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    let events = [&b"\0\0\0\x03a\nb"[..], b"\0\0\0\0", b"\0\0\0\x02\xff\0"].concat();
    let run = |input: &[u8], arguments: &[&str]| {
        use std::io::Write as _;
        let mut command = command(arguments);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&events, &["-o", "json", "write", &stream, "--length-prefixed"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&summary["events"], &summary["bytes"]), (&3.into(), &5.into()));
    assert_eq!(pravega(&["read", &stream, "--length-prefixed"]).stdout, events);
    let found = json(&["read", &stream, "--count", "3"]);
    assert_eq!((&found[0]["event"], &found[2]["event_base64"]), (&"a\nb".into(), &"/wA=".into()));
    assert_eq!(found[1]["offset"], 11);
    for (input, arguments, part) in [
        (&b"{\"k\":1}\nnone\n"[..], vec!["--key-field", "k"], "line 2: not JSON"),
        (b"{\"k\":1}\n{}\n", vec!["--key-field", "k"], "line 2: no field \"k\""),
        (b"a b\nc\n", vec!["--key-separator", " "], "line 2: no key separator ' ' in this line"),
        (
            b"\0\0\0\x05ab",
            vec!["--length-prefixed"],
            "event 1: the input ends in the middle of the event",
        ),
        (b"\xff\xff\xff\xff", vec!["--length-prefixed"], "event 1 is longer than 8388608 bytes"),
        (b"toolong\n", vec!["--max-event-bytes", "3"], "line 1 is longer than 3 bytes"),
    ] {
        let output = run(input, &[&["write", &stream][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert_eq!(json(&["read", &stream]).len(), 6, "the events before a mistake were written");
    assert!(fails(3, &["write", &format!("{scope}/none")]).contains("there is no stream"));
    assert!(fails(2, &["write", &stream, "--file", "/"]).contains("is a folder"));
}
