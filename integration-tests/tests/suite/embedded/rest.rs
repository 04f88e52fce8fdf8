//! The REST interface.

use pravega_sdk_integration_tests::harness::scale;
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{KeyRange, RetentionPolicy, SegmentId, StreamConfiguration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{start, stream_with};

/// Returns the body and the status of a path.
async fn shown(server: &EmbeddedServer, path: &str) -> (u16, serde_json::Value) {
    let mut socket =
        tokio::net::TcpStream::connect(("127.0.0.1", server.rest_port().unwrap())).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_rest_interface_shows_scopes_streams_and_scaling_events() {
    let (server, factory) = start(EmbeddedServer::builder().with_rest_port(0)).await;
    let policy = RetentionPolicy::BySize { min_bytes: 5 << 20, max_bytes: None };
    let stream =
        stream_with(&factory, &StreamConfiguration::default().with_retention(policy).unwrap())
            .await;
    scale(factory.controller(), &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    assert_eq!(shown(&server, "/v1/scopes").await.1["scopes"][0]["scopeName"], "scope");
    let (status, streams) = shown(&server, "/v1/scopes/scope/streams").await;
    assert_eq!((status, streams["streams"].as_array().unwrap().len()), (200, 1));
    let shown_stream = shown(&server, "/v1/scopes/scope/streams/stream").await.1;
    assert_eq!(shown_stream["scalingPolicy"]["type"], "FIXED_NUM_SEGMENTS");
    assert_eq!(
        (&shown_stream["retentionPolicy"]["type"], &shown_stream["retentionPolicy"]["value"]),
        (&"LIMITED_SIZE_MB".into(), &5.into())
    );
    let events =
        shown(&server, "/v1/scopes/scope/streams/stream/scaling-events?from=0&to=99999999999999")
            .await
            .1;
    assert_eq!(events.as_array().unwrap().len(), 2);
    assert_eq!(events[1]["segmentList"][1]["keyEnd"], 1.0);
    assert_eq!(shown(&server, "/v1/health/status").await, (200, "UP".into()));
    for missing in [
        "/v1/scopes/none",
        "/v1/scopes/scope/streams/none",
        "/v1/scopes/scope/readergroups/none",
        "/",
    ] {
        assert_eq!(shown(&server, missing).await.0, 404, "{missing}");
    }
    assert_eq!(
        shown(&server, "/v1/scopes/scope/streams/stream/scaling-events?from=now").await.0,
        400
    );
}
