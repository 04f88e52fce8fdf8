//! The harness of the system tests: a server, clients, streams, waiting.
//!
//! The tests run against the server that `PRAVEGA_TEST_CONTROLLER` names, or else against one
//! embedded server, which has its data where `PRAVEGA_TEST_STORAGE` says. All pass the same tests,
//! so they behave in the same way.

pub mod calls;
pub mod canary;
pub mod commands;
pub mod frames;
pub mod issuer;
pub mod jwt;
pub mod lines;
pub mod log;
pub mod passwords;
pub mod port;
pub mod raw;
pub mod rest;
pub mod storage;
pub mod through;
pub mod tokens;
pub mod tool;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory,
    event_stream::{ReadEvent, ReadUntil, ReaderConfig, StreamPosition, codec::Raw},
    tls::TlsError,
};
use pravega_sdk_controller_client::{Controller, ScaleStart, ScaleState};
use pravega_sdk_types::{
    Epoch, KeyRange, ScalingPolicy, Scope, ScopedStream, SegmentId, StreamConfiguration,
};

pub use self::storage::builder;

/// Returns what is wrong with TLS, by the causes of an error.
pub fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsError> {
    std::iter::successors(Some(error), |cause| (*cause).source())
        .find_map(|cause| cause.downcast_ref::<TlsError>())
}

/// A deadline far beyond the time of any step on a busy machine.
pub const FAR: Duration = Duration::from_secs(120);

/// Returns the URL of the server under test.
pub fn url() -> String {
    std::env::var("PRAVEGA_TEST_CONTROLLER").unwrap_or_else(|_| embedded_url())
}

/// Returns true if the tests run against the embedded server.
pub fn is_embedded() -> bool {
    std::env::var_os("PRAVEGA_TEST_CONTROLLER").is_none()
}

/// Starts the embedded server once per process and returns its URL.
///
/// The server has its own runtime, because the runtime of the first test ends with that test.
fn embedded_url() -> String {
    static URL: OnceLock<String> = OnceLock::new();
    let start = || {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let server = canary::secured(storage::shared()).start().await.unwrap();
                tell.send(server.url()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        told.recv().unwrap()
    };
    URL.get_or_init(start).clone()
}

/// Creates a client of the server under test.
pub async fn factory() -> ClientFactory {
    ClientFactory::new(canary::account(ClientConfig::from_url(&url()).unwrap())).unwrap()
}

/// Creates a controller client of the server under test.
pub async fn controller() -> Arc<dyn Controller> {
    Arc::clone(factory().await.controller())
}

/// Returns a name that no other test and no earlier run uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    format!("{prefix}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Creates a scope with a unique name.
pub async fn new_scope(controller: &Arc<dyn Controller>) -> Scope {
    let scope = Scope::new(unique("scope")).unwrap();
    controller.create_scope(&scope).await.unwrap();
    scope
}

/// Creates a stream of `segments` segments in a scope of its own.
pub async fn new_stream(controller: &Arc<dyn Controller>, segments: u32) -> ScopedStream {
    let scope = new_scope(controller).await;
    let stream = ScopedStream::new(scope, unique("stream").parse().unwrap());
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
    controller.create_stream(&stream, &configuration).await.unwrap();
    stream
}

/// Scales a stream and waits until the scale is done.
pub async fn scale(
    controller: &Arc<dyn Controller>,
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
) -> Epoch {
    let ScaleStart::Started { epoch, .. } = controller.scale(stream, sealed, ranges).await.unwrap()
    else {
        panic!("the scale of {stream} was refused");
    };
    eventually("the scale is done", async || {
        controller.scale_state(stream, epoch).await.unwrap() == ScaleState::Done
    })
    .await;
    epoch
}

/// Replaces all active segments of a stream with `segments` equal ones.
///
/// Repeats the request while the controller refuses it, as it does during a commit.
pub async fn scale_all(controller: &Arc<dyn Controller>, stream: &ScopedStream, segments: u32) {
    let mut started = None;
    eventually("the scale begins", async || {
        let active = controller.current_segments(stream).await.unwrap();
        let sealed: Vec<SegmentId> = active.iter().map(|segment| segment.id).collect();
        let answer = controller.scale(stream, &sealed, &KeyRange::equal(segments)).await;
        if let Ok(ScaleStart::Started { epoch, .. }) = answer {
            started = Some(epoch);
        }
        started.is_some()
    })
    .await;
    let epoch = started.unwrap();
    eventually("the scale is done", async || {
        controller.scale_state(stream, epoch).await.unwrap() == ScaleState::Done
    })
    .await;
}

/// Reads all events that a stream holds at the time of the call.
pub async fn read_all(factory: &ClientFactory, stream: &ScopedStream) -> Vec<ReadEvent<Bytes>> {
    read_between(factory, stream, StreamPosition::Head, ReadUntil::Tail).await
}

/// Reads the events between two positions in a stream.
pub async fn read_between(
    factory: &ClientFactory,
    stream: &ScopedStream,
    start: StreamPosition,
    end: ReadUntil,
) -> Vec<ReadEvent<Bytes>> {
    let config = ReaderConfig::default().with_start(start).with_end(end);
    let mut reader = factory.event_reader_with(stream, Raw, config).await.unwrap();
    let mut all = Vec::new();
    while let Some(event) = reader.next().await {
        all.push(event.unwrap());
    }
    all
}

/// Waits until a condition holds.
///
/// # Panics
///
/// If the condition does not hold after [`FAR`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + FAR;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: does not hold after {FAR:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
