//! The deletion of much at once: in slices, while other clients are served, and as a whole.

use futures_util::{StreamExt as _, stream};
use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_integration_tests::harness::eventually;
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};

use super::support::{numbers, start, stream as own_stream, write};

/// So many streams, with one for the watermarks of each, are deleted in several slices.
const STREAMS: usize = 1500;
/// The limit of the server's memory, and the part of it from which on a checkpoint is written
/// because of the keys of changed values alone.
const MEMORY: u64 = 32 << 20;
const KEYS: u64 = MEMORY / 64;

fn named(scope: &Scope, name: &str) -> ScopedStream {
    ScopedStream::new(scope.clone(), name.parse().unwrap())
}

#[tokio::test]
async fn a_large_scope_and_a_large_stream_are_deleted_as_a_whole_while_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let builder = EmbeddedServer::builder().with_memory_limit(MEMORY);
    let (server, factory) = start(builder.with_directory(folder.path())).await;
    let controller = factory.controller();
    let own = own_stream(&factory, 1).await;
    let (held, segments) = (server.bytes_held(), server.segment_count());
    let scope = Scope::new("large").unwrap();
    controller.create_scope(&scope).await.unwrap();
    let one = StreamConfiguration::default();
    stream::iter(0..STREAMS)
        .map(|number| named(&scope, &format!("stream-{number}")))
        .for_each_concurrent(20, |stream| {
            let one = &one;
            async move {
                let created = controller.create_stream(&stream, one).await.unwrap();
                assert_eq!(created, Creation::Created);
            }
        })
        .await;
    let many = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(2500));
    let stream = named(own.scope(), "many");
    controller.create_stream(&stream, &many).await.unwrap();
    controller.seal_stream(&stream).await.unwrap();

    let (scope_deleted, stream_deleted, ()) = tokio::join!(
        controller.delete_scope_recursive(&scope),
        controller.delete_stream(&stream),
        write(&factory, &own, 0..100),
    );
    assert_eq!(
        (scope_deleted.unwrap(), stream_deleted.unwrap()),
        (Deletion::Deleted, Deletion::Deleted)
    );
    // The calls return after the last slice, so the names are free.
    assert_eq!(controller.create_scope(&scope).await.unwrap(), Creation::Created);
    assert_eq!(server.segment_count(), segments);
    controller.delete_scope(&scope).await.unwrap();
    // The keys of what was changed are needed until the next checkpoint.
    let is_free = async || server.bytes_held() < held + KEYS;
    eventually("the memory of what was deleted is free", is_free).await;
    server.shutdown().await;

    let (server, factory) = start(EmbeddedServer::builder().with_directory(folder.path())).await;
    assert_eq!(server.segment_count(), segments);
    assert!(!factory.controller().scope_exists(&scope).await.unwrap());
    assert_eq!(numbers(&factory, &own).await.len(), 100);
}
