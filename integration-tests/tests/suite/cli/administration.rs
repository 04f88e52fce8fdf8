//! The tool at a terminal, against a real server.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    tool::{binary, fails, good, json, pravega, stderr, stdout},
    unique,
};

#[test]
fn a_stream_is_created_changed_and_deleted_at_the_terminal() {
    let scope = unique("cli");
    let stream = format!("{scope}/orders");
    good(&["scope", "create", &scope]);
    good(&[
        "stream",
        "create",
        &stream,
        "--segments",
        "2",
        "--tag",
        "a",
        "--retain-time",
        "1h..2days",
    ]);
    assert!(stdout(&pravega(&["scope", "list"])).lines().any(|line| line == scope));
    assert_eq!(json(&["stream", "list", &scope, "--tag", "a"])[0]["stream"], stream);
    assert!(
        good(&["stream", "list", &scope, "--all"]).lines().count() > 1,
        "the watermarks have a stream too"
    );
    let described = &json(&["stream", "describe", &stream])[0];
    let scaling = serde_json::json!({"kind": "fixed", "segments": 2});
    assert_eq!((&described["segments"], &described["scaling"]), (&2.into(), &scaling));
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

    assert!(fails(4, &["stream", "delete", &stream]).contains("pravega stream delete --seal"));
    good(&["stream", "seal", &stream]);
    assert!(fails(4, &["scope", "delete", &scope]).contains("--recursive"));
    good(&["stream", "delete", &stream]);
    fails(3, &["stream", "delete", &stream]);
    good(&["scope", "delete", &scope]);
    fails(3, &["scope", "describe", &scope]);
}

#[test]
fn a_scope_with_content_is_deleted_only_after_a_yes() {
    let scope = &unique("cli");
    let stream = format!("{scope}/orders");
    good(&["scope", "create", scope]);
    good(&["stream", "create", &stream]);
    let error = fails(2, &["scope", "delete", scope, "--recursive"]);
    assert!(error.contains("holds 1 stream: --recursive needs --yes"), "{error}");
    assert_eq!(json(&["stream", "list", scope]).len(), 1);
    let output = pravega(&["scope", "delete", scope, "--recursive", "--yes"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        format!("deleted stream {stream}\ndeleted scope {scope}\n"),
        "what was deleted is named"
    );
    fails(3, &["scope", "delete", scope, "--recursive", "--yes"]);
}

#[test]
fn groups_tables_and_transactions_are_listed_and_described() {
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
    good(&["scope", "delete", &scope, "--recursive", "--yes"]);
}

#[test]
fn doctor_finds_nothing_wrong_and_lists_its_checks() {
    let checks = json(&["doctor", "--probe"]);
    let names: Vec<&str> = checks.iter().filter_map(|check| check["check"].as_str()).collect();
    for expected in [
        "resolve controller",
        "connect controller",
        "authentication",
        "handshake",
        "version",
        "clock",
    ] {
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
    let endpoint =
        json(&["segment", "locate", &segment])[0]["endpoint"].as_str().unwrap().to_owned();
    assert_eq!(json(&["wire", "send", "KeepAlive", "--to", &endpoint])[0]["reply"], "KeepAlive");
    let greeted =
        json(&["wire", "send", "Hello", "highVersion=16", "lowVersion=5", "--to", &endpoint]);
    assert_eq!(greeted[0]["reply"], "Hello");
    let refused = &json(&[
        "wire",
        "send",
        "GetStreamSegmentInfo",
        "segmentName=no/such/0",
        "--to",
        &endpoint,
    ])[0];
    assert_eq!(refused["reply"], "NoSuchSegment");

    // An append needs its set-up on the same connection.
    let script = std::env::temp_dir().join(unique("script"));
    let writer = "00000000-0000-0001-0000-000000000002";
    std::fs::write(
        &script,
        format!(
            "{{\"name\": \"SetupAppend\", \"fields\": {{\"writerId\": \"{writer}\", \
             \"segment\": \"{segment}\"}}}}\n\
             {{\"name\": \"AppendBlockEnd\", \"fields\": {{\"writerId\": \"{writer}\", \
             \"sizeOfWholeEvents\": 0, \"data\": \"000000000000000161\", \"numEvents\": 1, \
             \"lastEventNumber\": \"1\"}}}}\n"
        ),
    )
    .unwrap();
    let replies = json(&["wire", "script", script.to_str().unwrap()]);
    std::fs::remove_file(script).unwrap();
    assert_eq!(replies[1]["currentSegmentWriteOffset"], "9");
    good(&["scope", "delete", &scope, "--recursive", "--yes"]);
}

#[test]
fn a_server_with_a_damaged_log_does_not_start_and_tells_what_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let dev = || {
        let mut command = Command::new(binary());
        command.args(["dev", "--port", "0", "--dir", folder.path().to_str().unwrap()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut server = dev();
    let mut ready = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    let url = ready.split_whitespace().nth(1).unwrap();
    let mut create = Command::new(binary());
    let created = create.args(["--controller", url, "scope", "create", "s"]).status();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(created.unwrap().success());

    let log = folder.path().join("log-00000001");
    let mut bytes = std::fs::read(&log).unwrap();
    // In the first of several writes.
    bytes[100] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let output = dev().wait_with_output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("log-00000001 is damaged at byte"), "{error}");
    assert!(error.contains("help: no file was changed"), "{error}");
    assert!(error.contains("`pravega dev --salvage DIR NEW`"), "{error}");
    assert!(std::fs::read(&log).unwrap() == bytes);
}

#[test]
fn a_server_whose_port_is_taken_says_which_one_and_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [["--port", &port], ["--rest-port", &port]] {
        let mut command = Command::new(binary());
        let other = if arguments[0] == "--port" { "--rest-port" } else { "--port" };
        let output = command.arg("dev").args(arguments).args([other, "0"]).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error.contains("help: another program"), "{error}");
        assert!(
            error.contains(&format!("port {port}")) && error.contains("--rest-port"),
            "{error}"
        );
    }
}
