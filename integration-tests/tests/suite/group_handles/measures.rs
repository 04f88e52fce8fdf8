//! What a group has not read, and what happens to it.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::BoxStream};
use pravega_sdk_event_stream::group::{
    GroupNotice, GroupSizes, ReaderGroup, ReaderGroupError, SegmentHolder,
};
use pravega_sdk_integration_tests::harness::{FAR, eventually, scale, scale_all};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupStream, KeyRange, Offset, ReaderGroupConfiguration, SegmentId,
    StreamCut,
};
use tokio::time::timeout;

use super::support::{Reader, at, create, group_of, in_scope_of, quick, segment, write};

#[tokio::test]
async fn unread_bytes_are_those_of_the_group_of_each_reader_and_of_each_segment() {
    let (factory, stream, group) = group_of(2).await;
    assert_eq!(group.unread_bytes().await.unwrap().total(), 0);
    write(&factory, &stream, 10).await;
    assert_eq!(group.unread_bytes().await.unwrap().unassigned(), 200);
    let mut reader = Reader::join(&factory, &group, "r1").await;
    let unread = group.unread_bytes().await.unwrap();
    assert_eq!((unread.total(), unread.of_reader("r1"), unread.unassigned()), (200, 200, 0));
    let first = unread.segments().iter().find(|unread| unread.bytes > 0).unwrap().clone();
    reader.machine.handle_read(&first.segment, Offset(20));
    reader.later().await;
    let unread = group.unread_bytes().await.unwrap();
    assert_eq!((unread.total(), unread.of_segment(&first.segment)), (180, first.bytes - 20));
}

#[tokio::test]
async fn what_was_read_before_a_checkpoint_is_not_unread_and_what_is_after_the_end_is_not_either() {
    let (factory, stream, group) = group_of(1).await;
    let unread = async || group.unread_bytes().await.unwrap().total();
    let read_to_checkpoint = async |name: &str| {
        let mut reader = Reader::join(&factory, &group, "r1").await;
        reader.machine.handle_read(&segment(&stream, 0), Offset(40));
        group.initiate_checkpoint(name).await.unwrap();
        reader.answer().await;
        reader
    };
    write(&factory, &stream, 2).await;
    let mut reader = read_to_checkpoint("first").await;
    assert_eq!(unread().await, 0);
    write(&factory, &stream, 1).await;
    assert_eq!(unread().await, 20);
    // Cuts change nothing of it.
    let (cuts, ()) = tokio::join!(group.generate_stream_cuts(FAR), async {
        eventually("the request is there", async || {
            group.describe().await.unwrap().checkpoints.len() > 1
        })
        .await;
        assert_eq!(reader.later().await, None);
    });
    assert_eq!(cuts.unwrap()[0].offset(0.into()), Some(at(40)));
    assert_eq!(unread().await, 20);
    write(&factory, &stream, 1).await;
    assert_eq!(unread().await, 40);

    let end = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(60))]).unwrap();
    let from = StreamCut::Unbounded;
    let part = GroupStream { stream: stream.clone(), from, to: end.into() };
    let configuration = ReaderGroupConfiguration::bounded([part]).unwrap();
    let configuration = configuration
        .with_refresh_interval(Duration::from_millis(50))
        .with_automatic_checkpoint_interval(None);
    group.reset(&configuration).await.unwrap();
    assert_eq!(unread().await, 60);
    read_to_checkpoint("second").await;
    assert_eq!(unread().await, 20, "what is before the end");
}

#[tokio::test]
async fn segments_that_begin_later_are_unread_too() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 3).await;
    scale_all(factory.controller(), &stream, 2).await;
    write(&factory, &stream, 4).await;
    let unread = group.unread_bytes().await.unwrap();
    assert_eq!((unread.total(), unread.unassigned()), (140, 60));
    let later = unread.segments().iter().filter(|unread| unread.holder == SegmentHolder::Later);
    assert_eq!(later.map(|unread| unread.bytes).sum::<u64>(), 80);
    factory.controller().seal_stream(&stream).await.unwrap();
    assert_eq!(group.unread_bytes().await.unwrap().total(), 140);
}

#[tokio::test]
async fn what_was_just_truncated_is_not_unread() {
    let (factory, stream, group) = group_of(1).await;
    write(&factory, &stream, 10).await;
    let controller = factory.controller();
    let cut = |id: i64, offset| {
        BoundedCut::new(stream.clone(), [(SegmentId::from(id), Offset(offset))]).unwrap()
    };
    controller.truncate_stream(&cut(0, 60)).await.unwrap();
    assert_eq!(group.unread_bytes().await.unwrap().total(), 140);
    // The segment of the group is gone as a whole.
    scale(controller, &stream, &[0.into()], &[KeyRange::FULL]).await;
    let next = controller.current_segments(&stream).await.unwrap()[0].id;
    write(&factory, &stream, 2).await;
    controller.truncate_stream(&cut(i64::from(next), 20)).await.unwrap();
    assert_eq!(group.unread_bytes().await.unwrap().total(), 20);
}

#[tokio::test]
async fn only_what_is_before_the_end_of_a_group_is_unread() {
    let (factory, stream, _) = group_of(1).await;
    write(&factory, &stream, 10).await;
    let cut = |offset| -> StreamCut {
        BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap().into()
    };
    let part = GroupStream { stream: stream.clone(), from: cut(20), to: cut(100) };
    let configuration = ReaderGroupConfiguration::bounded([part]).unwrap();
    let name = in_scope_of(&stream, "bounded");
    let (group, _) = create(&factory, &name, &configuration).await.unwrap();
    assert_eq!(group.unread_bytes().await.unwrap().total(), 80);
}

type Notices = BoxStream<'static, Result<GroupNotice, ReaderGroupError>>;

async fn next(notices: &mut Notices) -> GroupNotice {
    timeout(FAR, notices.next()).await.unwrap().unwrap().unwrap()
}

async fn next_sizes(notices: &mut Notices) -> (usize, usize, usize) {
    loop {
        if let GroupNotice::Sizes(GroupSizes { segments, unassigned, readers, .. }) =
            next(notices).await
        {
            return (segments, unassigned, readers);
        }
    }
}

fn watch(group: &ReaderGroup) -> Notices {
    group.watch().boxed()
}

#[tokio::test]
async fn segments_readers_resets_and_the_end_are_reported_within_the_refresh_interval() {
    let (factory, stream, group) = group_of(1).await;
    let mut notices = watch(&group);
    assert_eq!(next_sizes(&mut notices).await, (1, 1, 0));
    let mut reader = Reader::join(&factory, &group, "r1").await;
    assert_eq!(next(&mut notices).await, GroupNotice::ReaderJoined("r1".into()));
    assert_eq!(next_sizes(&mut notices).await, (1, 0, 1));
    scale_all(factory.controller(), &stream, 2).await;
    reader.machine.handle_sealed_end(&segment(&stream, 0));
    group.initiate_checkpoint("c").await.unwrap();
    reader.answer().await;
    reader.later().await;
    let mut sizes = next_sizes(&mut notices).await;
    while sizes != (2, 0, 1) {
        sizes = next_sizes(&mut notices).await;
    }
    factory.controller().seal_stream(&stream).await.unwrap();
    for (open, _) in reader.open.clone() {
        reader.machine.handle_sealed_end(&open);
    }
    group.initiate_checkpoint("d").await.unwrap();
    reader.answer().await;
    while next(&mut notices).await != GroupNotice::EndOfData {}
    assert!(group.describe().await.unwrap().is_at_end);
    let configuration = group.configuration().await.unwrap();
    group.reset(&configuration).await.unwrap();
    assert_eq!(next(&mut notices).await, GroupNotice::Reset { generation: Some(1) });
    group.delete().await.unwrap();
    let error = loop {
        if let Err(error) = timeout(FAR, notices.next()).await.unwrap().unwrap() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(notices.next().await.is_none(), "a watch of a deleted group ends");
}

#[tokio::test]
async fn a_watch_looks_once_in_each_interval() {
    let (factory, stream, group) = group_of(1).await;
    let slow = quick(&[stream]).with_refresh_interval(Duration::from_secs(600));
    group.reset(&slow).await.unwrap();
    let mut notices = watch(&group);
    assert_eq!(next_sizes(&mut notices).await, (1, 1, 0));
    let _reader = Reader::join(&factory, &group, "r1").await;
    let waited = timeout(Duration::from_secs(2), notices.next()).await;
    assert!(waited.is_err(), "the next look is in ten minutes");
}
