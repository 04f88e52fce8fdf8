//! Damaged and foreign entries in the stream of a group, and deadlines.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use pravega_sdk_event_stream::group::{GroupHandleConfig, GroupStore, GroupUpdate};
use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_table_synchronizer::{RevisionedStream, RevisionedStreamConfig, StateConfig};
use pravega_sdk_types::{ErrorKind, Outcome};

use super::support::{group_of, quick};

#[tokio::test]
async fn an_entry_that_is_none_of_a_group_fails_each_call_with_its_place() {
    let (factory, stream, group) = group_of(1).await;
    let state = group.group().state_stream();
    let context = factory.segment_context();
    let raw = RevisionedStream::open(context, &state, RevisionedStreamConfig::default()).await;
    let raw = raw.unwrap();
    let place = raw.latest_revision().await.unwrap().offset();
    raw.write(&b"\x00\x00\x00\x02\x00\x00\x00\x03foreign"[..]).await.unwrap();
    let configuration = quick(&[stream]);
    let mut errors = vec![
        group.describe().await.unwrap_err(),
        group.describe().await.unwrap_err(),
        group.checkpoint("c", FAR).await.unwrap_err(),
        group.reset(&configuration).await.unwrap_err(),
        group.reader_offline("r1", None).await.unwrap_err(),
        group.unread_bytes().await.unwrap_err(),
        factory.reader_group(group.group()).await.unwrap_err(),
    ];
    let mut notices = group.watch();
    errors.push(notices.next().await.unwrap().unwrap_err());
    assert!(notices.next().await.is_none());
    for error in errors {
        let found = (error.kind(), error.outcome(), error.offset());
        assert_eq!(found, (ErrorKind::Corrupt, Outcome::NotApplied, Some(place)), "{error}");
    }
    // The group can be deleted nevertheless.
    group.delete().await.unwrap();
}

#[tokio::test]
async fn updates_of_a_faulty_client_that_do_not_fit_are_passed_over() {
    let (factory, stream, group) = group_of(1).await;
    let context = factory.segment_context();
    let mut faulty =
        GroupStore::open(context, group.group(), StateConfig::default()).await.unwrap();
    for _ in 0..3 {
        let segment = super::support::segment(&stream, 9);
        let update = GroupUpdate::AcquireSegment { reader: "ghost".into(), segment };
        faulty.report(update).await.unwrap();
    }
    assert_eq!(group.describe().await.unwrap().unassigned.len(), 1);
    for _ in 0..2 {
        let segment = super::support::segment(&stream, 0);
        let update = GroupUpdate::AcquireSegment { reader: "ghost".into(), segment };
        faulty.report(update).await.unwrap();
    }
    group.reset(&quick(&[stream])).await.unwrap();
    assert_eq!(group.configuration().await.unwrap().generation(), Some(1));
    let opened = factory.reader_group(group.group()).await.unwrap();
    assert_eq!(opened.describe().await.unwrap().unassigned.len(), 1);
}

#[tokio::test]
async fn a_call_with_little_time_ends_in_it() {
    let (factory, _, group) = group_of(1).await;
    let config = GroupHandleConfig::default().with_timeout(Duration::from_millis(1));
    let begun = Instant::now();
    for _ in 0..20 {
        let hurried = factory.reader_group_with(group.group(), config.clone()).await;
        if let Err(error) = hurried {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(error.is_retryable());
        }
    }
    assert!(begun.elapsed() < FAR);
}

#[tokio::test]
async fn handles_are_shared_between_tasks() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let (_, stream, group) = group_of(1).await;
    let configuration = quick(&[stream]);
    let tasks = [group.clone(), group.clone(), group.clone()].map(|group| {
        let configuration = configuration.clone();
        tokio::spawn(is_send(async move {
            group.reset(&configuration).await.unwrap();
            group.checkpoint("c", FAR).await.map(|_| ()).or_else(|error| {
                // Another task has reset the group meanwhile.
                (error.kind() == ErrorKind::ConditionFailed).then_some(()).ok_or(error)
            })?;
            group.reset_to_last_checkpoint().await.unwrap_err();
            group.unread_bytes().await.map(|unread| unread.total())
        }))
    });
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 0);
    }
}
