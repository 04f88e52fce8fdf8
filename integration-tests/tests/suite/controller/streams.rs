//! Scopes and streams.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{Creation, Deletion, listing};
use pravega_sdk_integration_tests::harness::{
    controller, eventually, new_scope, new_stream, unique,
};
use pravega_sdk_types::{
    Epoch, ErrorKind, Outcome, ReaderGroupConfiguration, RetentionPolicy, ScalingPolicy, Scope,
    ScopedReaderGroup, StreamConfiguration, Tag,
};
use uuid::Uuid;

use super::support::{stream_in, tags};

#[tokio::test]
async fn scopes_are_created_once_found_listed_and_deleted() {
    let controller = controller().await;
    let scope = Scope::new(unique("scope")).unwrap();
    assert!(!controller.scope_exists(&scope).await.unwrap());
    assert_eq!(controller.create_scope(&scope).await.unwrap(), Creation::Created);
    assert_eq!(controller.create_scope(&scope).await.unwrap(), Creation::AlreadyExisted);
    assert!(controller.scope_exists(&scope).await.unwrap());
    let listed: Vec<_> =
        listing::scopes(Arc::clone(&controller)).map(Result::unwrap).collect().await;
    assert!(listed.contains(&scope));
    assert_eq!(controller.delete_scope(&scope).await.unwrap(), Deletion::Deleted);
    assert_eq!(controller.delete_scope(&scope).await.unwrap(), Deletion::NotFound);
}

#[tokio::test]
async fn a_scope_that_is_not_empty_is_refused_and_stays_whole() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let refused = controller.delete_scope(stream.scope()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::NotEmpty, Outcome::NotApplied));
    // The Java server damages a scope that it fails to delete. A group can still be created, so the
    // client did not send the request.
    let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_identity(Uuid::new_v4(), None);
    controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!(controller.delete_scope_recursive(stream.scope()).await.unwrap(), Deletion::Deleted);
    eventually("the scope is gone", async || {
        !controller.scope_exists(stream.scope()).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn streams_are_created_once_described_updated_sealed_and_deleted() {
    let controller = controller().await;
    let scope = new_scope(&controller).await;
    let stream = stream_in(&scope, "orders");
    assert!(!controller.stream_exists(&stream).await.unwrap());
    let configuration = StreamConfiguration::default()
        .with_scaling(ScalingPolicy::fixed(2))
        .with_tags(tags(&["one", "two"]))
        .unwrap()
        .with_retention(RetentionPolicy::BySize { min_bytes: 1 << 20, max_bytes: Some(1 << 30) })
        .unwrap();
    assert_eq!(controller.create_stream(&stream, &configuration).await.unwrap(), Creation::Created);
    assert_eq!(
        controller.create_stream(&stream, &configuration).await.unwrap(),
        Creation::AlreadyExisted
    );
    assert!(controller.stream_exists(&stream).await.unwrap());
    assert_eq!(controller.stream_configuration(&stream).await.unwrap(), configuration);

    let changed = configuration
        .clone()
        .with_tags(tags(&["two", "three"]))
        .unwrap()
        .with_retention(None)
        .unwrap();
    controller.update_stream(&stream, &changed).await.unwrap();
    assert_eq!(controller.stream_configuration(&stream).await.unwrap(), changed);

    let too_early = controller.delete_stream(&stream).await.unwrap_err();
    assert_eq!(too_early.kind(), ErrorKind::NotSealed);
    controller.seal_stream(&stream).await.unwrap();
    controller.seal_stream(&stream).await.unwrap();
    assert!(controller.current_segments(&stream).await.unwrap().is_empty());
    assert_eq!(
        controller.update_stream(&stream, &configuration).await.unwrap_err().kind(),
        ErrorKind::Sealed
    );
    assert_eq!(controller.delete_stream(&stream).await.unwrap(), Deletion::Deleted);
    assert_eq!(controller.delete_stream(&stream).await.unwrap(), Deletion::NotFound);
}

#[tokio::test]
async fn streams_are_listed_by_scope_and_by_tag() {
    let controller = controller().await;
    let scope = new_scope(&controller).await;
    for (name, tag) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let configuration = StreamConfiguration::default().with_tags(tags(&[tag])).unwrap();
        controller.create_stream(&stream_in(&scope, name), &configuration).await.unwrap();
    }
    let all = listing::streams(Arc::clone(&controller), scope.clone())
        .only(|stream| !stream.stream().is_internal());
    let mut all: Vec<_> = all.map(|stream| stream.unwrap().stream().to_string()).collect().await;
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
    let tag = Tag::new("x").unwrap();
    let tagged = listing::streams_by_tag(Arc::clone(&controller), scope.clone(), tag);
    let mut tagged: Vec<_> =
        tagged.map(|stream| stream.unwrap().stream().to_string()).collect().await;
    tagged.sort();
    assert_eq!(tagged, ["a", "c"]);
    let unknown = Scope::new(unique("none")).unwrap();
    let mut none = listing::streams(Arc::clone(&controller), unknown);
    assert_eq!(none.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(none.next().await.is_none());
}

#[tokio::test]
async fn calls_on_missing_things_fail_with_not_found() {
    let controller = controller().await;
    let scope = new_scope(&controller).await;
    let stream = stream_in(&scope, "missing");
    let kinds = [
        controller.stream_configuration(&stream).await.unwrap_err().kind(),
        controller.current_segments(&stream).await.unwrap_err().kind(),
        controller.head_segments(&stream).await.unwrap_err().kind(),
        controller.epoch_segments(&stream, Epoch(0)).await.unwrap_err().kind(),
        controller
            .update_stream(&stream, &StreamConfiguration::default())
            .await
            .unwrap_err()
            .kind(),
        controller.seal_stream(&stream).await.unwrap_err().kind(),
        controller.create_transaction(&stream, Duration::from_secs(10)).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::NotFound; 7]);
    let nowhere = stream_in(&Scope::new(unique("none")).unwrap(), "s");
    let refused =
        controller.create_stream(&nowhere, &StreamConfiguration::default()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
}
