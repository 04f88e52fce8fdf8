//! A durable server is killed repeatedly under load; all acknowledged data must be stored, once and
//! in order.

mod server;
mod together;
mod transfer;

use std::{sync::Arc, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{port, read_all};
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};

use self::server::Server;

/// Returns the number of kills; `PRAVEGA_TEST_KILLS` sets it.
fn kills() -> u32 {
    std::env::var("PRAVEGA_TEST_KILLS").map_or(60, |kills| kills.parse().unwrap())
}

/// Creates a client that tolerates restarts of the server, and a stream of some segments.
async fn connect(port: u16, scope: &str, segments: u32) -> (Arc<ClientFactory>, ScopedStream) {
    let config = ClientConfig::from_url(&format!("tcp://127.0.0.1:{port}"))
        .unwrap()
        .with_default_retry(200, Duration::from_millis(10), Duration::from_millis(100));
    let factory = Arc::new(ClientFactory::new(config).unwrap());
    let stream = ScopedStream::new(Scope::new(scope).unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    create(&factory, &stream, segments).await;
    (factory, stream)
}

async fn create(factory: &ClientFactory, stream: &ScopedStream, segments: u32) {
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments));
    factory.controller().create_stream(stream, &configuration).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writes_fail_and_reads_continue() {
    let folder = tempfile::tempdir().unwrap();
    let port = port::lasting();
    let server = Server::start_on_a_full_disk(port, folder.path());
    let (factory, stream) = connect(port, "full", 4).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(20));
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let mut written = 0;
    let error = loop {
        match writer.write("key", format!("{written}:{}", "x".repeat(100_000))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!((50..170).contains(&written), "{written} events were acknowledged: {error}");
    let read = async |factory: &ClientFactory| {
        let events = read_all(factory, &stream).await;
        let number = |text: &[u8]| {
            std::str::from_utf8(text).unwrap().split_once(':').unwrap().0.parse::<u32>().unwrap()
        };
        events.iter().map(|event| number(event.event())).collect::<Vec<_>>()
    };
    // All acknowledged events, and perhaps one whose acknowledgement was lost.
    let expected: Vec<u32> = (0..written).collect();
    assert!(read(&factory).await.starts_with(&expected), "reads do not continue");
    // What takes space is refused; the server goes on.
    let scope = Scope::new("more").unwrap();
    let refused = factory.controller().create_scope(&scope).await.unwrap_err();
    assert!(format!("{refused:?}").contains("space on the disk"), "{refused:?}");

    server.kill();
    let _server = Server::start(port, folder.path(), &[]);
    assert!(read(&factory).await.starts_with(&expected));
    factory.event_writer(&stream, Utf8).await.unwrap().write("key", "1000000:more").await.unwrap();
}
