//! The tool at a terminal, against a real server.
#![cfg(feature = "interop")]

mod common;

use std::process::{Command, Output};

use common::{unique, url};
use serde_json::Value;

/// The tool as it was built with the tests.
fn pravega(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the tool was not built: run these tests with `cargo xtask interop`")
}

fn command(arguments: &[&str]) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let mut command = Command::new(path.join("pravega"));
    command.args(["--controller", &url()]).args(arguments);
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn good(arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn json(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["-o", "json"].into_iter().chain(arguments.iter().copied()).collect();
    good(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fails(code: i32, arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "data goes to stdout, nothing else does");
    stderr(&output)
}

#[test]
fn a_stream_lives_its_life_at_the_terminal() {
    let scope = unique("cli");
    let stream = format!("{scope}/orders");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream, "--segments", "2", "--tag", "a", "--retain-time", "1h..2days"]);
    assert!(stdout(&pravega(&["scope", "list"])).lines().any(|line| line == scope));
    assert_eq!(json(&["stream", "list", &scope, "--tag", "a"])[0]["stream"], stream);
    assert!(good(&["stream", "list", &scope, "--all"]).lines().count() > 1, "the watermarks have a stream too");
    let described = &json(&["stream", "describe", &stream])[0];
    assert_eq!((&described["segments"], &described["scaling"]), (&2.into(), &"fixed(2)".into()));
    assert_eq!(described["tags"][0], "a");
    good(&["stream", "update", &stream, "--tag", "b"]);
    assert_eq!(json(&["stream", "describe", &stream])[0]["tags"][0], "b");
    assert_eq!(json(&["stream", "describe", &stream])[0]["segments"], 2, "the rest stays");

    assert_eq!(json(&["stream", "scale", &stream, "--split", "0"]).len(), 2);
    assert_eq!(json(&["stream", "segments", &stream]).len(), 3);
    assert_eq!(json(&["stream", "epochs", &stream]).len(), 2);
    assert_eq!(json(&["stream", "scaling-state", &stream])[0]["state"], "done");
    let successors = json(&["segment", "successors", &format!("{stream}/0.#epoch.0")]);
    assert_eq!(successors.len(), 2);
    let segment = &json(&["segment", "describe", &format!("{stream}/0.#epoch.0")])[0];
    assert_eq!((&segment["is_sealed"], &segment["tail_offset"]), (&true.into(), &0.into()));
    good(&["stream", "truncate", &stream, "--at", "0=0", "--at", "1=0"]);

    assert!(fails(4, &["stream", "delete", &stream]).contains("pravega stream seal"));
    good(&["stream", "seal", &stream]);
    assert!(fails(4, &["scope", "delete", &scope]).contains("--recursive"));
    good(&["stream", "delete", &stream]);
    fails(3, &["stream", "delete", &stream]);
    good(&["scope", "delete", &scope]);
    fails(3, &["scope", "describe", &scope]);
}

#[test]
fn groups_tables_and_transactions_can_be_looked_at() {
    let scope = unique("cli");
    let stream = format!("{scope}/orders");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    let group = format!("{scope}/billing");
    good(&["group", "create", &group, "--stream", &stream]);
    assert_eq!(json(&["group", "list", &scope])[0]["group"], group);
    assert_eq!(json(&["group", "describe", &group])[0]["streams"][0], stream);
    good(&["group", "delete", &group]);

    let table = format!("{scope}/prices");
    good(&["table", "create", &table, "--partitions", "2", "--primary-key-length", "8"]);
    assert_eq!(json(&["table", "list", &scope])[0]["table"], table);
    assert_eq!(json(&["table", "describe", &table])[0]["primary_key_length"], 8);
    assert_eq!(json(&["table", "segments", &table]).len(), 2);
    good(&["table", "delete", &table]);

    let id = good(&["txn", "begin", &stream]).trim().to_owned();
    assert_eq!(json(&["txn", "status", &stream, &id])[0]["state"], "open");
    assert_eq!(json(&["txn", "ping", &stream, &id])[0]["state"], "open");
    good(&["txn", "abort", &stream, &id]);
    fails(3, &["txn", "status", &stream, "00000000-0000-0001-0000-000000000002"]);
    good(&["txn", "list", &stream]);
    good(&["scope", "delete", &scope, "--recursive"]);
}

#[test]
fn doctor_finds_nothing_wrong_and_says_what_it_looked_at() {
    let checks = json(&["doctor", "--probe"]);
    let names: Vec<&str> = checks.iter().filter_map(|check| check["check"].as_str()).collect();
    for expected in ["resolve controller", "connect controller", "authentication", "handshake", "version", "clock"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");
}

#[test]
fn single_commands_go_to_the_store_and_their_replies_are_printed() {
    let scope = unique("cli");
    let segment = format!("{scope}/orders/0.#epoch.0");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &format!("{scope}/orders")]);
    let name = format!("segmentName={segment}");
    let reply = &json(&["wire", "send", "GetStreamSegmentInfo", &name])[0];
    assert_eq!((&reply["reply"], &reply["exists"]), (&"StreamSegmentInfo".into(), &true.into()));
    let endpoint = json(&["segment", "locate", &segment])[0]["endpoint"].as_str().unwrap().to_owned();
    assert_eq!(json(&["wire", "send", "KeepAlive", "--to", &endpoint])[0]["reply"], "KeepAlive");
    assert_eq!(
        json(&["wire", "send", "Hello", "highVersion=16", "lowVersion=5", "--to", &endpoint])[0]["reply"],
        "Hello"
    );
    let refused = &json(&["wire", "send", "GetStreamSegmentInfo", "segmentName=no/such/0", "--to", &endpoint])[0];
    assert_eq!(refused["reply"], "NoSuchSegment");

    // An append needs its set-up on the same connection.
    let script = std::env::temp_dir().join(unique("script"));
    let writer = "00000000-0000-0001-0000-000000000002";
    std::fs::write(
        &script,
        format!(
            "{{\"name\": \"SetupAppend\", \"fields\": {{\"writerId\": \"{writer}\", \"segment\": \"{segment}\"}}}}\n\
             {{\"name\": \"AppendBlockEnd\", \"fields\": {{\"writerId\": \"{writer}\", \"sizeOfWholeEvents\": 0, \
             \"data\": \"000000000000000161\", \"numEvents\": 1, \"lastEventNumber\": \"1\"}}}}\n"
        ),
    )
    .unwrap();
    let replies = json(&["wire", "script", script.to_str().unwrap()]);
    std::fs::remove_file(script).unwrap();
    assert_eq!(replies[1]["currentSegmentWriteOffset"], "9");
    good(&["scope", "delete", &scope, "--recursive"]);
}

/// A file of that many bytes: the lines of this repository's sources and vectors, over and over, each with a key.
fn real_lines(bytes: usize) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["vectors", "tests", "src", "../wire-protocol/src", "../types/src", "../proto/src"] {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            text.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    let mut all = Vec::with_capacity(bytes + 10_000);
    for (number, line) in text.lines().cycle().enumerate() {
        if all.len() >= bytes {
            break;
        }
        all.extend_from_slice(format!("key-{}\t{number} {line}\n", number % 97).as_bytes());
    }
    all
}

/// The lines of each key, in order. Their numbers say which key they had.
fn by_key(lines: &[u8]) -> std::collections::BTreeMap<usize, Vec<&[u8]>> {
    let mut keys: std::collections::BTreeMap<usize, Vec<&[u8]>> = Default::default();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = match line.starts_with(b"key-") {
            true => line.splitn(2, |byte| *byte == b'\t').nth(1).unwrap(),
            false => line,
        };
        let end = line.iter().position(|byte| *byte == b' ').unwrap();
        let number: usize = std::str::from_utf8(&line[..end]).unwrap().parse().unwrap();
        keys.entry(number % 97).or_default().push(line);
    }
    keys
}

#[test]
fn a_real_file_goes_in_and_comes_back_in_order_per_key_byte_for_byte() {
    let megabytes: usize = std::env::var("PRAVEGA_TEST_FILE_MB").map_or(20, |text| text.parse().unwrap());
    let scope = unique("file");
    let stream = format!("{scope}/lines");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream, "--segments", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let lines = real_lines(megabytes << 20);
    std::fs::write(&path, &lines).unwrap();
    let separator = "\t";
    let written = pravega(&["write", &stream, "--file", path.to_str().unwrap(), "--key-separator", separator]);
    assert!(written.status.success(), "{}", stderr(&written));
    print!("{}", stderr(&written));
    assert!(stderr(&written).starts_with("wrote ") && stderr(&written).contains("p99"), "{}", stderr(&written));
    assert!(written.stdout.is_empty());
    let read = pravega(&["read", &stream]);
    assert!(read.status.success(), "{}", stderr(&read));
    assert!(by_key(&lines) == by_key(&read.stdout), "what came back differs from what went in");
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
        (&b"{\"k\":1}\nnone\n"[..], vec!["--key-field", "k"], "line 2: no JSON"),
        (b"{\"k\":1}\n{}\n", vec!["--key-field", "k"], "line 2: it has no field \"k\""),
        (b"a b\nc\n", vec!["--key-separator", " "], "line 2: there is no ' ' in it"),
        (b"\0\0\0\x05ab", vec!["--length-prefixed"], "event 1: the input ends in the middle of it"),
        (b"\xff\xff\xff\xff", vec!["--length-prefixed"], "event 1 has more than 8388608 bytes"),
        (b"toolong\n", vec!["--max-event-bytes", "3"], "event 1 has more than 3 bytes"),
    ] {
        let output = run(input, &[&["write", &stream][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert_eq!(json(&["read", &stream]).len(), 6, "what stood before a mistake was written");
    assert!(fails(3, &["write", &format!("{scope}/none")]).contains("segments cannot be found"));
    assert!(fails(2, &["write", &stream, "--file", "/"]).contains("is a folder"));
}
