//! The memory limit.

use std::time::Duration;

use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::read_all;
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};

use super::support::{start, stream, write};

#[tokio::test]
async fn appends_beyond_the_memory_limit_are_refused_until_memory_is_free() {
    let (server, factory) = start(EmbeddedServer::builder().with_memory_limit(4 << 20)).await;
    let stream = stream(&factory, 1).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(10));
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let text = "x".repeat(100_000);
    let mut written = 0;
    let error = loop {
        match writer.write("key", text.clone()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!((30..42).contains(&written), "{written} times 100 KB fit into 4 MiB");
    let text_of = |error: &dyn std::error::Error| {
        let mut all = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            all = format!("{all}: {cause}");
            source = cause.source();
        }
        all
    };
    assert!(
        text_of(&error).contains("the memory limit of 4194304 bytes is reached"),
        "{}",
        text_of(&error)
    );
    assert_eq!(read_all(&factory, &stream).await.len(), written, "reading goes on");
    assert!(server.bytes_held() <= 4 << 20);
    let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    factory.controller().truncate_stream(&tail).await.unwrap();
    write(&factory, &stream, 0..10).await;
}

#[tokio::test]
async fn segments_beyond_the_memory_limit_are_refused() {
    let (_server, factory) = start(EmbeddedServer::builder().with_memory_limit(10_000)).await;
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(100));
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    let refused = factory.controller().create_stream(&stream, &configuration).await.unwrap_err();
    assert!(format!("{refused:?}").contains("the memory limit of 10000 bytes"), "{refused:?}");
    assert!(!factory.controller().stream_exists(&stream).await.unwrap());
}
