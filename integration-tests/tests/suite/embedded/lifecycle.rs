//! Start, shutdown and drop.

use std::time::Duration;

use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, eventually};

use super::support::{start, stream};

#[tokio::test]
async fn the_error_names_a_port_that_is_in_use() {
    let server = harness::builder().start().await.unwrap();
    let error = harness::builder().with_port(server.port()).start().await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("cannot listen on 127.0.0.1:{}", server.port())),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_shuts_down_answers_the_requests_it_has_received() {
    let (server, factory) = start(harness::builder()).await;
    let stream = stream(&factory, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "first").await.unwrap();
    server.faults().delay_answers(Duration::from_millis(300));
    let held = server.bytes_held();
    // Long enough for memory of its own, which small events share.
    let ack = writer.enqueue("key", "second".repeat(10_000)).await.unwrap();
    eventually("the server has taken the event", async || server.bytes_held() > held).await;
    let begun = std::time::Instant::now();
    let (answered, ()) = tokio::join!(ack, server.shutdown());
    answered.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "it waited for more than the answer");
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone() {
    let (server, factory) = start(harness::builder()).await;
    let port = server.port();
    stream(&factory, 1).await;
    drop(server);
    eventually("the port is free", async || {
        tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}
