//! What reaches a terminal, and what a pipe.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    tool::{binary, command, good},
    unique,
};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

/// Runs the tool with a terminal as its stdout, and returns what the terminal receives.
fn on_terminal(arguments: &[&str]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let stdout = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut process = command(arguments).stdin(Stdio::null()).stdout(stdout).spawn().unwrap();
    let mut received = Vec::new();
    // After the last writer has closed the terminal, reading fails.
    File::from(terminal).read_to_end(&mut received).ok();
    assert!(process.wait().unwrap().success(), "{arguments:?}");
    String::from_utf8(received).unwrap()
}

fn write(arguments: &[&str], input: &[u8]) {
    let mut process = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    assert!(process.wait().unwrap().success(), "{arguments:?}");
}

fn new_stream() -> String {
    let scope = unique("terminal");
    let stream = format!("{scope}/stream");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    stream
}

const EVENT: &str = "\u{1b}]0;title\u{7}\u{1b}[31mred\tgrün\r\u{9b}2J";
const SHOWN: &str = r"\u{1b}]0;title\u{7}\u{1b}[31mred";

#[test]
fn an_event_is_escaped_on_a_terminal_and_unchanged_in_a_pipe() {
    let stream = new_stream();
    write(&["write", &stream, "--length-prefixed"], &prefixed(EVENT));
    for arguments in [
        &["read", &stream][..],
        &["read", &stream, "--format", "{event}"],
        &["read", &stream, "--length-prefixed"],
        &["-o", "json", "read", &stream],
    ] {
        let shown = on_terminal(arguments);
        let is_plain = |c: char| !c.is_control() || ['\n', '\r', '\t'].contains(&c);
        assert!(shown.chars().all(is_plain), "{arguments:?}: {shown:?}");
        // A terminal adds the carriage return to each line.
        assert!(!shown.replace("\r\n", "\n").contains('\r'), "{arguments:?}: {shown:?}");
        assert!(shown.contains("grün"), "{arguments:?}: {shown:?}");
    }
    let shown = on_terminal(&["read", &stream]);
    // A tab is a tab, or the spaces up to its place.
    assert!(shown.starts_with(SHOWN), "{shown:?}");
    assert!(shown.ends_with("grün\\r\\u{9b}2J\r\n"), "{shown:?}");
    assert_eq!(good(&["read", &stream]), format!("{EVENT}\n"));
}

#[test]
fn bytes_are_escaped_on_a_terminal_and_unchanged_in_a_pipe() {
    let stream = new_stream();
    write(&["bytes", "put", &stream], EVENT.as_bytes());
    let shown = on_terminal(&["bytes", "get", &stream]);
    assert!(shown.starts_with(SHOWN), "{shown:?}");
    assert_eq!(good(&["bytes", "get", &stream]), EVENT);
}

fn prefixed(event: &str) -> Vec<u8> {
    let len = u32::try_from(event.len()).unwrap();
    [&len.to_be_bytes()[..], event.as_bytes()].concat()
}

/// Starts a server in a folder, waits until it is ready, and ends it. Returns its stderr.
fn run_server(folder: &std::path::Path, options: &[&str]) -> String {
    let mut process: Child = Command::new(binary())
        .args(options)
        .args(["dev", "--port", "0", "--dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    process.kill().unwrap();
    let output = process.wait_with_output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_server_warns_without_being_asked_and_colours_no_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let folder = &folder.path().join("data");
    let quiet = run_server(folder, &[]);
    assert!(!quiet.contains("notes.txt"), "{quiet}");
    std::fs::write(folder.join("notes.txt"), "a file that is not the server's").unwrap();
    for options in [&[][..], &["-v"], &["-vv"]] {
        let log = run_server(folder, options);
        assert!(log.contains("WARN") && log.contains("notes.txt"), "{options:?}: {log}");
        assert!(!log.contains('\u{1b}'), "{options:?}: {log:?}");
    }
}

/// Starts a server with a limit in a folder, with its log in a file beside it.
fn start_server(folder: &std::path::Path, limit: &str) -> (Child, String) {
    let log = File::create(folder.with_extension("log")).unwrap();
    let mut process = Command::new(binary())
        .args(["dev", "--port", "0", "--rest-port", "0", "--memory", limit, "--dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    (process, ready.split_whitespace().nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn a_folder_with_more_than_the_memory_limit_is_served_and_written_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = &folder.path().join("data");
    let tool = |url: &str, arguments: &[&str], input: &[u8]| {
        let mut command = Command::new(binary());
        command.args(["--controller", url]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input).ok();
        process.wait().unwrap().code()
    };
    let (mut server, url) = start_server(folder, "16M");
    assert_eq!(tool(&url, &["scope", "create", "s"], b""), Some(0));
    assert_eq!(tool(&url, &["stream", "create", "s/a"], b""), Some(0));
    let events = [[b'x'; 999].as_slice(), b"\n"].concat().repeat(3000);
    assert_eq!(tool(&url, &["write", "s/a"], &events), Some(0));
    server.kill().unwrap();
    server.wait().unwrap();
    // Apart from the warning of a start with so little memory.
    let log = || {
        let log = std::fs::read_to_string(folder.with_extension("log")).unwrap();
        let others = log.lines().filter(|line| !line.starts_with("warning: a memory limit of"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(log(), [""; 0]);
    let (mut server, url) = start_server(folder, "2M");
    let mut read = Command::new(binary());
    let read = read.args(["--controller", &url, "read", "s/a"]).output().unwrap();
    assert!(read.stdout == events, "{} bytes were read", read.stdout.len());
    assert_eq!(tool(&url, &["write", "s/a"], b"one more"), Some(0));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(log(), [""; 0]);
}
