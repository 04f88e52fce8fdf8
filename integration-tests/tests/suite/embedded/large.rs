//! The largest stream: its segments change in slices, in memory and in a folder.

use std::time::Duration;

use pravega_sdk_controller_client::Deletion;
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{ScalingPolicy, ScopedStream, StreamConfiguration};

use super::support::{numbers, start, stream as own_stream, write};

const SEGMENTS: u32 = 10_000;
const LEASE: Duration = Duration::from_secs(60);

fn fixed(segments: u32) -> StreamConfiguration {
    StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(segments))
}

#[tokio::test]
async fn calls_about_the_largest_stream_wait_for_each_other_and_end_while_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    let controller = factory.controller();
    let own = own_stream(&factory, 1).await;
    let segments = server.segment_count();
    let stream = ScopedStream::new(own.scope().clone(), "large".parse().unwrap());
    let largest = fixed(SEGMENTS);
    let (created, ()) =
        tokio::join!(controller.create_stream(&stream, &largest), write(&factory, &own, 0..50));
    created.unwrap();
    // Two transactions begin while the segments of the other, or the policy, change.
    let tagged = largest.clone().with_tags(["large".parse().unwrap()]).unwrap();
    let (one, other, updated) = tokio::join!(
        controller.create_transaction(&stream, LEASE),
        controller.create_transaction(&stream, LEASE),
        controller.update_stream(&stream, &tagged),
    );
    updated.unwrap();
    let (one, other) = (one.unwrap().id, other.unwrap().id);
    // A commit across the scale, which replaces all segments.
    controller.update_stream(&stream, &fixed(SEGMENTS - 1)).await.unwrap();
    let (committed, aborted, ()) = tokio::join!(
        controller.commit_transaction(&stream, one, None),
        controller.abort_transaction(&stream, other),
        write(&factory, &own, 50..100),
    );
    committed.unwrap();
    aborted.unwrap();
    controller.seal_stream(&stream).await.unwrap();
    server.shutdown().await;

    let (server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    assert_eq!(numbers(&factory, &own).await.len(), 100);
    // The segments of four epochs, and those of the other streams.
    let all = 4 * SEGMENTS as usize - 2;
    assert_eq!(server.segment_count(), segments + all + 1, "the marks have one");
    assert_eq!(factory.controller().delete_stream(&stream).await.unwrap(), Deletion::Deleted);
    assert_eq!(server.segment_count(), segments);
}
