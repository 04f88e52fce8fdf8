//! A server with a client, numbered events, a client that gives up soon, and the creation of a
//! segment.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_event_stream::{EventWriter, WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{self, new_stream, read_all};
use pravega_sdk_server::{EmbeddedServer, ServerBuilder};
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};
use pravega_sdk_wire_protocol::commands::CreateSegment;

pub(super) async fn start(builder: ServerBuilder) -> (EmbeddedServer, ClientFactory) {
    let server = builder.start().await.unwrap();
    let factory = connect(&server).await;
    (server, factory)
}

pub(super) async fn connect(server: &EmbeddedServer) -> ClientFactory {
    let config = ClientConfig::from_url(&server.url()).unwrap();
    ClientFactory::new(config.with_default_retry(
        100,
        Duration::from_millis(10),
        Duration::from_millis(100),
    ))
    .unwrap()
}

pub(super) fn standing() -> ServerBuilder {
    harness::builder().with_standing_clock()
}

pub(super) async fn stream_with(
    factory: &ClientFactory,
    configuration: &StreamConfiguration,
) -> ScopedStream {
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    factory.controller().create_stream(&stream, configuration).await.unwrap();
    stream
}

pub(super) async fn stream(factory: &ClientFactory, segments: u32) -> ScopedStream {
    stream_with(
        factory,
        &StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments)),
    )
    .await
}

pub(super) async fn write(
    factory: &ClientFactory,
    stream: &ScopedStream,
    numbers: std::ops::Range<u32>,
) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    let mut acks = Vec::new();
    for number in numbers {
        acks.push(
            writer.enqueue(&format!("key-{}", number % 7), number.to_string()).await.unwrap(),
        );
    }
    for ack in acks {
        ack.await.unwrap();
    }
}

pub(super) async fn numbers(factory: &ClientFactory, stream: &ScopedStream) -> Vec<u32> {
    let events = read_all(factory, stream).await;
    let mut numbers: Vec<u32> = events
        .iter()
        .map(|event| std::str::from_utf8(event.event()).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The texts of all events of a stream.
pub(super) async fn texts(factory: &ClientFactory, stream: &ScopedStream) -> Vec<String> {
    let events = read_all(factory, stream).await;
    events.iter().map(|event| String::from_utf8(event.event().to_vec()).unwrap()).collect()
}

/// A client that does not try for long, and the events that it has written.
pub(super) struct Impatient {
    pub(super) factory: ClientFactory,
    pub(super) stream: ScopedStream,
    pub(super) writer: EventWriter<Utf8>,
    pub(super) written: Vec<String>,
}

impl Impatient {
    pub(super) async fn connect(url: &str) -> Self {
        let (first, last) = (Duration::from_millis(10), Duration::from_millis(100));
        let config = ClientConfig::from_url(url).unwrap().with_default_retry(3, first, last);
        let factory = ClientFactory::new(config).unwrap();
        let stream = new_stream(factory.controller(), 1).await;
        let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(5));
        let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
        let mut written = Vec::new();
        for number in 0..20 {
            written.push(number.to_string());
            writer.write("key", number.to_string()).await.unwrap();
        }
        Self { factory, stream, writer, written }
    }
}

/// Creates a segment of a stream, as its first request on a connection.
pub(super) fn create(segment: &str) -> CreateSegment {
    CreateSegment {
        request_id: 1,
        segment: segment.into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    }
}
