//! Input that pauses, fails or is stopped: what is written of it, and what is reported.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Output, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    FAR, eventually,
    tool::{binary, command, fails, good, json, stderr, stdout},
    unique,
};

/// The tool with a pipe as its input, which stays open.
struct Running(Option<Child>);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Sends input, which is lost if the tool has ended.
    fn send(&mut self, input: &[u8]) {
        self.child().stdin.as_mut().unwrap().write_all(input).ok();
    }

    /// Sends more lines than a pipe holds, so that the tool has begun to read them afterwards.
    fn send_many_lines(&mut self) {
        self.send(&b"line\n".repeat(80_000));
    }

    /// Waits for so many bytes of output.
    async fn receive(&mut self, len: usize) -> Vec<u8> {
        let mut stdout = self.child().stdout.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; len];
            stdout.read_exact(&mut bytes).unwrap();
            (stdout, bytes)
        });
        let (stdout, bytes) = tokio::time::timeout(FAR, reading).await.unwrap().unwrap();
        self.child().stdout = Some(stdout);
        bytes
    }

    /// Waits for a line on stderr that has a text.
    async fn receive_error_line(&mut self, part: &'static str) {
        let mut stderr = self.child().stderr.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut line, mut byte) = (Vec::new(), [0]);
            while byte != *b"\n" || !String::from_utf8_lossy(&line).contains(part) {
                if byte == *b"\n" {
                    line.clear();
                }
                stderr.read_exact(&mut byte).unwrap();
                line.push(byte[0]);
            }
            stderr
        });
        let stderr = tokio::time::timeout(FAR, reading).await.unwrap().unwrap();
        self.child().stderr = Some(stderr);
    }

    fn signal(&mut self, signal: &str) {
        send_signal(self.child(), signal);
    }

    /// Waits until the tool has ended by itself, with its input still open.
    async fn end(mut self) -> Output {
        let input = self.child().stdin.take();
        eventually("the tool ends", async || self.child().try_wait().unwrap().is_some()).await;
        drop(input);
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn send_signal(process: &Child, signal: &str) {
    let pid = process.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// A server of its own, which can be stopped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(binary());
        command.args(["dev", "--port", "0"]).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let url = ready.split_whitespace().nth(1).unwrap().to_owned();
        Self { process, url }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(["--controller", &self.url]).args(arguments);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn new_stream() -> String {
    let scope = unique("pipes");
    let stream = format!("{scope}/stream");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream]);
    stream
}

async fn wait_for_events(stream: &str, expected: &str) {
    eventually("the events are in the stream", async || good(&["read", stream]) == expected).await;
}

#[track_caller]
fn check_end(output: &Output, code: i32, parts: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_lines_are_written_while_the_rest_of_a_line_is_awaited() {
    let stream = new_stream();
    let mut writing = Running::start(&["write", &stream]);
    writing.send(b"one\ntwo\nhalf");
    wait_for_events(&stream, "one\ntwo\n").await;
    writing.send(b" a line\n");
    wait_for_events(&stream, "one\ntwo\nhalf a line\n").await;
    writing.send(b"last");
    drop(writing.child().stdin.take());
    check_end(&writing.end().await, 0, &["wrote 4 events"]);
    assert_eq!(good(&["read", &stream]), "one\ntwo\nhalf a line\nlast\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_length_prefixed_events_are_written_while_the_rest_of_one_is_awaited() {
    let stream = new_stream();
    let mut writing = Running::start(&["write", &stream, "--length-prefixed"]);
    writing.send(b"\0\0\0\x03one\0\0\0\x03tw");
    wait_for_events(&stream, "one\n").await;
    writing.send(b"o\0");
    wait_for_events(&stream, "one\ntwo\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_an_event_ends_write_while_it_waits_for_input() {
    let stream = new_stream();
    let mut writing = Running::start(&["write", &stream]);
    writing.send(b"one\n");
    wait_for_events(&stream, "one\n").await;
    good(&["stream", "seal", &stream]);
    writing.send(b"two\n");
    check_end(
        &writing.end().await,
        4,
        &["sealed", "line 1 is written; not acknowledged: 1 event, ", "tail -n +2"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_bytes_ends_put_while_it_waits_for_input() {
    let stream = new_stream();
    let mut putting = Running::start(&["bytes", "put", &stream]);
    putting.send(b"one");
    eventually("the bytes are in the stream", async || good(&["bytes", "get", &stream]) == "one")
        .await;
    good(&["stream", "seal", &stream]);
    putting.send(b"two");
    check_end(&putting.end().await, 4, &["sealed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_transaction_ends_its_write_while_it_waits_for_input() {
    let stream = new_stream();
    let id = good(&["txn", "begin", &stream]);
    let mut writing = Running::start(&["txn", "write", &stream, id.trim()]);
    writing.send_many_lines();
    good(&["txn", "abort", &stream, id.trim()]);
    writing.send(b"one more\n");
    check_end(&writing.end().await, 4, &["aborted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_sent_line_by_line() {
    let stream = new_stream();
    let endpoint = json(&["segment", "locate", &format!("{stream}/0.#epoch.0")]);
    let endpoint = endpoint[0]["endpoint"].as_str().unwrap();
    let mut sending = Running::start(&["wire", "script", "--to", endpoint]);
    sending.send(b"{\"name\": \"KeepAlive\"}\n{\"name\": ");
    assert_eq!(sending.receive(9).await, b"reply  Ke");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_loses_no_whole_line_and_the_place_to_go_on_is_told() {
    for (signal, name, code) in [("-INT", "SIGINT", 130), ("-TERM", "SIGTERM", 143)] {
        let stream = new_stream();
        let mut writing = Running::start(&["write", &stream]);
        writing.send(b"one\ntwo\nhalf");
        wait_for_events(&stream, "one\ntwo\n").await;
        writing.signal(signal);
        let stopped = format!("stopped by {name}: lines 1 to 2 are written");
        check_end(&writing.end().await, code, &["wrote 2 events", &stopped, "tail -n +3"]);
        assert_eq!(good(&["read", &stream]), "one\ntwo\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_steady_input_leaves_exactly_the_events_that_are_told() {
    let stream = new_stream();
    let mut writing = Running::start(&["-o", "json", "write", &stream]);
    let mut stdin = writing.child().stdin.take().unwrap();
    let producer = std::thread::spawn(move || {
        for number in 0_u64.. {
            if stdin.write_all(format!("{number}\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    eventually("some events are written", async || !good(&["read", &stream, "-n", "1"]).is_empty())
        .await;
    writing.signal("-INT");
    let output = writing.end().await;
    producer.join().unwrap();
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let events = summary["events"].as_u64().unwrap();
    assert_eq!(summary["next"], events + 1);
    check_end(&output, 130, &[&format!("tail -n +{}", events + 1)]);
    let expected: String = (0..events).map(|number| format!("{number}\n")).collect();
    assert!(good(&["read", &stream]) == expected, "the stream holds other events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_leaves_a_transaction_open_with_the_lines_that_were_read() {
    let stream = new_stream();
    let id = good(&["txn", "begin", &stream]);
    let mut writing = Running::start(&["txn", "write", &stream, id.trim()]);
    writing.send_many_lines();
    writing.signal("-TERM");
    let output = writing.end().await;
    good(&["txn", "commit", &stream, id.trim(), "--wait", "60s"]);
    let lines = good(&["read", &stream]).lines().count();
    check_end(
        &output,
        143,
        &[
            "to the transaction",
            &format!("lines 1 to {lines} are in the transaction"),
            &format!("tail -n +{}", lines + 1),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_aborts_the_transaction_of_write() {
    let stream = new_stream();
    let mut writing = Running::start(&["write", &stream, "--transaction"]);
    writing.send_many_lines();
    writing.signal("-INT");
    check_end(&writing.end().await, 130, &["nothing is written"]);
    assert_eq!(good(&["read", &stream]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_leaves_the_bytes_that_were_read() {
    let stream = new_stream();
    let mut putting = Running::start(&["bytes", "put", &stream, "--seal"]);
    putting.send(b"bytes");
    eventually("the bytes are in the stream", async || good(&["bytes", "get", &stream]) == "bytes")
        .await;
    putting.signal("-INT");
    check_end(
        &putting.end().await,
        130,
        &["appended 5 B at offset 0", "stopped by SIGINT: 5 bytes are appended", "tail -c +6"],
    );
    // It is not sealed.
    good(&["bytes", "put", &stream]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_stopped_prints_its_cut() {
    let stream = new_stream();
    let mut writing = Running::start(&["write", &stream]);
    writing.send(b"one\n");
    let mut following = Running::start(&["read", &stream, "--follow", "--show-cut"]);
    assert_eq!(following.receive(4).await, b"one\n");
    following.signal("-INT");
    let output = following.end().await;
    check_end(&output, 130, &["stopped by SIGINT"]);
    let cut = stderr(&output).lines().next().unwrap().to_owned();
    writing.send(b"two\n");
    wait_for_events(&stream, "one\ntwo\n").await;
    assert_eq!(good(&["read", &stream, "--from", &cut]), "two\n");
    fails(2, &["-o", "json", "read", &stream, "--length-prefixed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_stopped_says_how_to_go_on() {
    let stream = new_stream();
    let mut putting = Running::start(&["bytes", "put", &stream]);
    putting.send(b"\0\0\0\0\0\0\0\x01a");
    for (arguments, len, told) in [
        (&["read", &stream, "--follow"][..], 2, "printed 1 event\n"),
        (&["bytes", "tail", &stream, "--back", "1K"], 9, "printed up to offset 9\n"),
    ] {
        let mut following = Running::start(arguments);
        following.receive(len).await;
        following.signal("-TERM");
        let output = following.end().await;
        check_end(&output, 143, &[&format!("stopped by SIGTERM: {told}"), " go on", "pravega "]);
        let shown = stderr(&output);
        let (_, next) = shown.trim_end().split_once(": pravega ").unwrap();
        // Nothing follows what was printed.
        assert_eq!(good(&next.split(' ').collect::<Vec<_>>()), "", "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_ends_when_its_output_is_no_longer_read() {
    let stream = new_stream();
    let mut putting = Running::start(&["bytes", "put", &stream]);
    putting.send(b"\0\0\0\0\0\0\0\x01a");
    for arguments in
        [&["read", &stream, "--follow"][..], &["bytes", "tail", &stream, "--back", "1K"]]
    {
        let mut following = Running::start(arguments);
        following.receive(1).await;
        // Nothing more is written to the stream.
        drop(following.child().stdout.take());
        check_end(&following.end().await, 0, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_write_even_if_the_server_does_not_answer() {
    let server = Server::start();
    for arguments in [["scope", "create", "s"], ["stream", "create", "s/t"]] {
        assert!(server.command(&arguments).status().unwrap().success());
    }
    let mut writing = Running::spawn(server.command(&["write", "s/t"]));
    writing.send(b"one\ntwo\n");
    eventually("the events are in the stream", async || {
        stdout(&server.command(&["read", "s/t"]).output().unwrap()) == "one\ntwo\n"
    })
    .await;
    send_signal(&server.process, "-STOP");
    writing.send_many_lines();
    writing.signal("-INT");
    // Two signals count as one unless the first is taken before the second is sent.
    writing.receive_error_line("stopping").await;
    writing.signal("-INT");
    check_end(
        &writing.end().await,
        130,
        &["stopped by SIGINT: lines 1 to ", " may be written, too; the rest: tail -n +"],
    );
}
