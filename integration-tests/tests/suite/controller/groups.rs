//! Reader groups and subscribers.

use std::sync::Arc;

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{Deletion, Subscriber, listing};
use pravega_sdk_integration_tests::harness::{controller, new_stream};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupRetention, Offset, ReaderGroupConfiguration, ScopedReaderGroup,
    SegmentId,
};
use uuid::Uuid;

#[tokio::test]
async fn reader_groups_are_created_updated_listed_and_deleted() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "billing".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
    let nil = controller.create_reader_group(&group, &configuration).await.unwrap_err();
    assert_eq!(nil.kind(), ErrorKind::InvalidArgument);
    let configuration = configuration.with_identity(id, None);
    let registered = controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!((registered.id(), registered.generation()), (id, Some(0)));
    // A second creation returns the existing group.
    let other = configuration.clone().with_identity(Uuid::new_v4(), None);
    assert_eq!(controller.create_reader_group(&group, &other).await.unwrap().id(), id);
    assert_eq!(controller.reader_group_configuration(&group).await.unwrap(), registered);

    let changed = registered.clone().with_automatic_checkpoint_interval(None);
    let generation = controller.update_reader_group(&group, &changed).await.unwrap();
    assert_eq!(generation, 1);
    let stale = controller.update_reader_group(&group, &changed).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::ConditionFailed);

    let listed = listing::reader_groups(Arc::clone(&controller), stream.scope().clone());
    assert_eq!(listed.map(Result::unwrap).collect::<Vec<_>>().await, std::slice::from_ref(&group));
    assert_eq!(controller.delete_reader_group(&group, id).await.unwrap(), Deletion::Deleted);
    assert_eq!(
        controller.reader_group_configuration(&group).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn subscribers_report_the_cut_before_which_they_need_nothing() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "keeper".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_retention(GroupRetention::ManualReleaseAtUserStreamCut)
        .with_identity(id, None);
    let registered = controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!(controller.subscribers(&stream).await.unwrap(), [group.to_string()]);
    let cut = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(0))]).unwrap();
    let subscriber = Subscriber::new(group.clone(), id, registered.generation().unwrap());
    controller.update_subscriber_cut(&subscriber, &cut).await.unwrap();
    let outdated = Subscriber::new(group.clone(), id, 7);
    let error = controller.update_subscriber_cut(&outdated, &cut).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConditionFailed, "{error}");
    let bad = BoundedCut::new(stream.clone(), [(SegmentId::from(9), Offset(0))]).unwrap();
    let error = controller.update_subscriber_cut(&subscriber, &bad).await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidStreamCut | ErrorKind::ServerFailure | ErrorKind::NotFound
        ),
        "{error:?}"
    );
}
