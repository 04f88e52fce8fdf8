//! The release of data that groups have read.

use pravega_sdk_event_stream::group::ReaderGroup;
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupRetention, Offset, Outcome, ScopedStream, SegmentId,
};

use super::support::{Reader, create, in_scope_of, quick, segment, write};

fn cut(stream: &ScopedStream, offset: i64) -> BoundedCut {
    BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap()
}

async fn group_with(
    retention: GroupRetention,
) -> (pravega_sdk_client_factory::ClientFactory, ScopedStream, ReaderGroup) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 10).await;
    let configuration = quick(std::slice::from_ref(&stream)).with_retention(retention);
    let name = in_scope_of(&stream, "keeper");
    let (group, _) = create(&factory, &name, &configuration).await.unwrap();
    (factory, stream, group)
}

#[tokio::test]
async fn data_is_released_up_to_a_cut_that_only_moves_on() {
    let (factory, stream, group) = group_with(GroupRetention::ManualReleaseAtUserStreamCut).await;
    let subscribers = factory.controller().subscribers(&stream).await.unwrap();
    assert_eq!(subscribers, [group.group().to_string()]);
    group.update_retention_stream_cut(&[cut(&stream, 40)]).await.unwrap();
    group.update_retention_stream_cut(&[cut(&stream, 40)]).await.unwrap();
    let back = group.update_retention_stream_cut(&[cut(&stream, 20)]).await.unwrap_err();
    assert_eq!((back.kind(), back.outcome()), (ErrorKind::InvalidStreamCut, Outcome::NotApplied));
    assert_eq!(back.stream(), Some(&stream));
    // A handle that was opened before a reset knows the generation.
    let old = factory.reader_group(group.group()).await.unwrap();
    let configuration = group.configuration().await.unwrap();
    group.reset(&configuration).await.unwrap();
    old.update_retention_stream_cut(&[cut(&stream, 60)]).await.unwrap();
}

#[tokio::test]
async fn data_of_a_group_is_released_by_hand_only_if_it_is_configured_so() {
    for retention in [GroupRetention::None, GroupRetention::AutomaticReleaseAtLastCheckpoint] {
        let (_, stream, group) = group_with(retention).await;
        let refused = group.update_retention_stream_cut(&[cut(&stream, 20)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    }
    let (factory, _, group) = group_with(GroupRetention::ManualReleaseAtUserStreamCut).await;
    let foreign = new_stream(factory.controller(), 1).await;
    let refused = group.update_retention_stream_cut(&[cut(&foreign, 0)]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn an_automatic_group_releases_data_at_its_checkpoints() {
    let (factory, stream, group) =
        group_with(GroupRetention::AutomaticReleaseAtLastCheckpoint).await;
    let mut reader = Reader::join(&factory, &group, "r1").await;
    reader.machine.handle_read(&segment(&stream, 0), Offset(60));
    group.initiate_checkpoint("c").await.unwrap();
    reader.answer().await;
    reader.later().await;
    group.checkpoint("c", FAR).await.unwrap();
    let configuration = group.configuration().await.unwrap();
    let subscriber = pravega_sdk_controller_client::Subscriber::new(
        group.group().clone(),
        configuration.id(),
        configuration.generation().unwrap(),
    );
    let update = |offset| {
        let (controller, subscriber, cut) =
            (factory.controller(), subscriber.clone(), cut(&stream, offset));
        async move { controller.update_subscriber_cut(&subscriber, &cut).await }
    };
    let earlier = update(40).await.unwrap_err();
    assert_eq!(earlier.kind(), ErrorKind::InvalidStreamCut, "60 was released");
    update(60).await.unwrap();
}

#[tokio::test]
async fn a_reset_decides_if_data_is_kept_for_a_group() {
    let (factory, stream, group) = group_with(GroupRetention::None).await;
    let subscribers = async || factory.controller().subscribers(&stream).await.unwrap();
    let name = [group.group().to_string()];
    for retention in [
        GroupRetention::ManualReleaseAtUserStreamCut,
        GroupRetention::AutomaticReleaseAtLastCheckpoint,
    ] {
        assert_eq!(subscribers().await, Vec::<String>::new());
        let configuration = quick(std::slice::from_ref(&stream));
        group.reset(&configuration.clone().with_retention(retention)).await.unwrap();
        assert_eq!(subscribers().await, name);
        assert_eq!(group.configuration().await.unwrap().retention(), retention);
        group.reset(&configuration).await.unwrap();
    }
    assert_eq!(subscribers().await, Vec::<String>::new());
}
