//! What a program has enqueued when its `main` returns is stored, or reported on standard error.
//!
//! Each test runs the program below as a process of its own.

#![cfg(feature = "embedded")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

use std::{
    env,
    future::{Future as _, poll_fn},
    process::{Command, Output},
    sync::{Barrier, OnceLock},
    task::Poll,
    thread,
    time::Duration,
};

use pravega_sdk::{
    ClientConfig, ClientFactory, EventWriter, ReadUntil, ReaderConfig, WriterConfig,
    codec::Utf8,
    embedded::{EmbeddedServer, Refusal},
    types::{ScopedStream, StreamConfiguration},
};
use tokio::runtime::{Builder, Runtime};

/// What the program does, from its environment.
struct Program {
    stream: &'static str,
    flavor: &'static str,
    events: u32,
    end_timeout: Duration,
    end: &'static str,
}

impl Default for Program {
    fn default() -> Self {
        let end_timeout = Duration::from_secs(60);
        Self { stream: "", flavor: "multi", events: 10, end_timeout, end: "returns" }
    }
}

/// The program: enqueues, and returns.
#[test]
#[ignore = "the other tests run it as a process"]
fn program() {
    let var = |name: &str| env::var(name).unwrap();
    let mut builder = match var("FLAVOR").as_str() {
        "multi" => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let _kept = runtime.block_on(async {
        let server = match var("END").as_str() {
            "together" => Some(EmbeddedServer::builder().start().await.unwrap()),
            _ => None,
        };
        let url = server.as_ref().map_or_else(|| var("URL"), EmbeddedServer::url);
        let stream = create(&url, &var("STREAM")).await;
        let client = client(&url);
        let end_timeout = Duration::from_millis(var("END_TIMEOUT").parse().unwrap());
        let config = WriterConfig::default().with_end_timeout(end_timeout);
        let (context, config) = match var("END").as_str() {
            "look-up" => (client.segment_context().with_again(look_up), config),
            "meeting" => (client.segment_context().with_again(meet), config),
            "waiting" => (client.segment_context(), config.with_max_in_flight_bytes(0)),
            _ => (client.segment_context(), config),
        };
        let others = if var("END") == "meeting" { MEETING - 1 } else { 0 };
        for _ in 0..others {
            let (context, config) = (context.clone(), config.clone());
            let writer = EventWriter::open(context, &stream, Utf8, config).await.unwrap();
            drop(writer.enqueue("key", "event".to_owned()).await.unwrap());
        }
        let writer = EventWriter::open(context, &stream, Utf8, config).await.unwrap();
        for number in 0..var("EVENTS").parse().unwrap() {
            drop(writer.enqueue("key", format!("event {number}")).await.unwrap());
        }
        let mut waiting = Box::pin(async move { writer.enqueue("key", "one more").await });
        if var("END") == "waiting" {
            // It is neither polled again nor dropped before the runtime.
            let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        (server, waiting)
    });
    match var("END").as_str() {
        "background" => runtime.shutdown_background(),
        _ => drop(runtime),
    }
}

/// Creates no handles, and begins to look for a name that is never found.
fn look_up<T>() -> Option<T> {
    tokio::task::spawn_blocking(|| {
        loop {
            thread::park();
        }
    });
    None
}

/// Number of writers that wait for each other at the end.
const MEETING: usize = 8;

/// Creates no handles, and returns when the other writers have come as far.
fn meet<T>() -> Option<T> {
    static COMING: OnceLock<Barrier> = OnceLock::new();
    COMING.get_or_init(|| Barrier::new(MEETING)).wait();
    None
}

impl Program {
    /// Runs the program to its end, and returns what it wrote to standard error.
    fn run(&self, url: &str) -> String {
        let Output { status, stderr, .. } = Command::new(env::current_exe().unwrap())
            .args(["program", "--exact", "--ignored", "--nocapture"])
            .env("URL", url)
            .env("STREAM", self.stream)
            .env("FLAVOR", self.flavor)
            .env("EVENTS", self.events.to_string())
            .env("END_TIMEOUT", self.end_timeout.as_millis().to_string())
            .env("END", self.end)
            .output()
            .unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{stderr}");
        stderr
    }
}

/// A server that outlives the program, with a runtime of its own.
fn server() -> &'static EmbeddedServer {
    &shared().1
}

fn shared() -> &'static (Runtime, EmbeddedServer) {
    static SERVER: OnceLock<(Runtime, EmbeddedServer)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(EmbeddedServer::builder().start()).unwrap();
        (runtime, server)
    })
}

fn client(url: &str) -> ClientFactory {
    ClientFactory::new(ClientConfig::from_url(url).unwrap()).unwrap()
}

async fn create(url: &str, stream: &str) -> ScopedStream {
    let stream = stream.parse().unwrap();
    let configuration = StreamConfiguration::default();
    client(url).create_stream_if_absent(&stream, &configuration).await.unwrap();
    stream
}

/// The events of a stream, in order.
async fn events(stream: &ScopedStream) -> Vec<String> {
    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client(&server().url()).event_reader_with(stream, Utf8, config).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = reader.next().await {
        events.push(event.unwrap().into_event());
    }
    events
}

/// Runs the program, which stores all events, each once and in order.
fn check_stored(program: &Program) {
    let url = server().url();
    let stream = shared().0.block_on(create(&url, program.stream));
    assert_eq!(program.run(&url), "", "{} events, {}", program.events, program.flavor);
    let stored = shared().0.block_on(events(&stream));
    assert_eq!(stored.len(), program.events as usize);
    assert!((0..).zip(&stored).all(|(number, event)| *event == format!("event {number}")));
}

#[test]
fn a_few_events_are_stored_when_main_returns() {
    check_stored(&Program { stream: "ending/few", ..Program::default() });
    check_stored(&Program {
        stream: "ending/few-current",
        flavor: "current",
        ..Program::default()
    });
}

#[test]
fn many_events_are_stored_when_main_returns() {
    check_stored(&Program { stream: "ending/many", events: 10_000, ..Program::default() });
    let (stream, events) = ("ending/many-current", 10_000);
    check_stored(&Program { stream, events, flavor: "current", ..Program::default() });
}

#[test]
fn more_events_than_fit_the_writer_are_stored_when_main_returns() {
    check_stored(&Program { stream: "ending/more", events: 200_000, ..Program::default() });
}

#[test]
fn events_are_stored_when_main_returns_while_a_write_waits_for_capacity() {
    // The least capacity, which events of any length use up.
    let (stream, events) = ("ending/waiting", 32);
    let (flavor, end) = ("current", "waiting");
    check_stored(&Program { stream, events, flavor, end, ..Program::default() });
}

/// Runs the program against a server whose stores take no connections.
fn run_in_vain(program: &Program) -> String {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(EmbeddedServer::builder().start()).unwrap();
    server.faults().refuse_connections(Refusal::All);
    let stream = runtime.block_on(create(&server.url(), program.stream));
    assert_eq!(stream.to_string(), program.stream);
    program.run(&server.url())
}

#[test]
fn events_that_cannot_be_stored_in_time_are_reported_on_standard_error() {
    for flavor in ["multi", "current"] {
        let end_timeout = Duration::from_millis(100);
        let stream = "ending/lost";
        let told = run_in_vain(&Program { stream, flavor, end_timeout, ..Program::default() });
        assert!(told.starts_with("pravega-sdk: writes to ending/lost"), "{flavor}: {told}");
        assert!(told.contains("ended: 10;"), "{flavor}: {told}");
    }
}

#[test]
fn a_writer_that_must_not_wait_reports_at_once() {
    let (stream, end_timeout) = ("ending/at-once", Duration::ZERO);
    let told = run_in_vain(&Program { stream, end_timeout, ..Program::default() });
    assert!(told.starts_with("pravega-sdk: writes to ending/at-once"), "{told}");
}

#[test]
fn a_runtime_that_is_shut_down_in_the_background_waits_for_nothing() {
    for flavor in ["multi", "current"] {
        // The process would hang.
        let end_timeout = Duration::from_secs(24 * 60 * 60);
        let (stream, end) = ("ending/background", "background");
        let program = Program { stream, flavor, end_timeout, end, ..Program::default() };
        let told = run_in_vain(&program);
        // With workers the report comes after the wait.
        assert_eq!(told.contains("ended: 10;"), flavor == "current", "{told}");
    }
}

#[test]
fn a_look_up_that_does_not_end_is_not_waited_for() {
    for flavor in ["multi", "current"] {
        // The process would hang.
        let (stream, end) = ("ending/look-up", "look-up");
        let told = run_in_vain(&Program { stream, flavor, end, ..Program::default() });
        assert!(told.contains("writes to ending/look-up"), "{flavor}: {told}");
        assert!(told.contains("ended: 10;"), "{flavor}: {told}");
    }
}

#[test]
fn a_server_that_ended_with_the_same_runtime_is_not_waited_for() {
    for flavor in ["multi", "current"] {
        let end_timeout = Duration::from_secs(24 * 60 * 60);
        let (stream, end) = ("ending/together", "together");
        let program = Program { stream, flavor, end_timeout, end, ..Program::default() };
        assert!(program.run("").contains("writes to ending/together"));
    }
}

#[test]
fn the_writers_of_a_runtime_end_at_the_same_time() {
    for flavor in ["multi", "current"] {
        // The process would hang: each writer waits for all others, on two workers.
        let (stream, end) = ("ending/meeting", "meeting");
        let told = run_in_vain(&Program { stream, flavor, end, ..Program::default() });
        let reports = told.matches("writes to ending/meeting").count();
        assert_eq!(reports, MEETING, "{flavor}: {told}");
    }
}
