//! Segments: scales, cuts, stores.

use pravega_sdk_controller_client::{CutRange, ScaleStart};
use pravega_sdk_integration_tests::harness::{controller, new_stream, scale, url};
use pravega_sdk_types::{
    BoundedCut, Epoch, ErrorKind, KeyRange, Offset, ScopedSegment, SegmentId, StreamCut,
};

#[tokio::test]
async fn a_scale_splits_and_merges_and_its_segments_know_each_other() {
    let controller = controller().await;
    let stream = new_stream(&controller, 2).await;
    let segments = controller.current_segments(&stream).await.unwrap();
    assert_eq!(
        segments.iter().map(|segment| segment.range).collect::<Vec<_>>(),
        KeyRange::equal(2)
    );
    let first = segments[0];

    let epoch = scale(&controller, &stream, &[first.id], &first.range.split(2)).await;
    let after = controller.current_segments(&stream).await.unwrap();
    assert_eq!(after.len(), 3);
    assert_eq!(controller.epoch_segments(&stream, Epoch(epoch.0 + 1)).await.unwrap(), after);
    assert_eq!(controller.epoch_segments(&stream, Epoch(0)).await.unwrap(), segments);

    let sealed = ScopedSegment::new(&stream, first.id);
    assert!(!controller.is_segment_open(&sealed).await.unwrap());
    assert!(controller.is_segment_open(&ScopedSegment::new(&stream, after[0].id)).await.unwrap());
    let successors = controller.successors(&sealed).await.unwrap();
    assert_eq!(
        successors.iter().map(|s| s.predecessors.clone()).collect::<Vec<_>>(),
        [vec![first.id], vec![first.id]]
    );

    // The same request again fails its precondition, as does one for segments that are gone.
    let again = controller.scale(&stream, &[first.id], &first.range.split(2)).await.unwrap();
    assert_eq!(again, ScaleStart::PreconditionFailed);
    let unmatched =
        controller.scale(&stream, &[after[2].id], &[KeyRange::new(0.5, 0.9).unwrap()]).await;
    assert_eq!(unmatched.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let overlap = [KeyRange::new(0.0, 0.3).unwrap(), KeyRange::new(0.2, 0.5).unwrap()];
    assert_eq!(
        controller.scale(&stream, &[first.id], &overlap).await.unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert_eq!(
        controller.scale_state(&stream, Epoch(99)).await.unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );

    let merged: Vec<SegmentId> = after.iter().take(2).map(|segment| segment.id).collect();
    scale(&controller, &stream, &merged, &[first.range]).await;
    assert_eq!(controller.current_segments(&stream).await.unwrap().len(), 2);
    let successor =
        &controller.successors(&ScopedSegment::new(&stream, merged[0])).await.unwrap()[0];
    let mut predecessors = successor.predecessors.clone();
    predecessors.sort();
    assert_eq!(predecessors, merged);
    assert_eq!(
        controller.head_segments(&stream).await.unwrap().len(),
        2,
        "the head is still that of the first epoch"
    );
}

#[tokio::test]
async fn cuts_are_judged_and_truncation_moves_the_head() {
    let controller = controller().await;
    // The policy wants one segment, so that all can be merged again.
    let stream = new_stream(&controller, 1).await;
    scale(&controller, &stream, &[0.into()], &KeyRange::FULL.split(2)).await;
    let segments = controller.current_segments(&stream).await.unwrap();
    let cut = |ids: &[SegmentId]| {
        BoundedCut::new(stream.clone(), ids.iter().map(|id| (*id, Offset(0)))).unwrap()
    };
    let start = cut(&[segments[0].id, segments[1].id]);
    assert!(controller.is_stream_cut_valid(&start).await.unwrap());
    assert!(!controller.is_stream_cut_valid(&cut(&[segments[0].id])).await.unwrap());
    controller.truncate_stream(&start).await.unwrap();
    let partial = controller.truncate_stream(&cut(&[segments[0].id])).await.unwrap_err();
    assert_eq!(partial.kind(), ErrorKind::InvalidStreamCut);

    let both: Vec<SegmentId> = segments.iter().map(|segment| segment.id).collect();
    scale(&controller, &stream, &both, &[KeyRange::FULL]).await;
    let merged = controller.current_segments(&stream).await.unwrap()[0].id;
    let range = CutRange::new(start, StreamCut::Unbounded);
    let mut between = controller.segments_between(&stream, &range).await.unwrap();
    between.sort();
    let expected: Vec<_> =
        [both[0], both[1], merged].map(|id| ScopedSegment::new(&stream, id)).into_iter().collect();
    assert_eq!(between, expected);
    let unbounded = CutRange::new(StreamCut::Unbounded, StreamCut::Unbounded);
    let refused = controller.segments_between(&stream, &unbounded).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);

    controller.truncate_stream(&cut(&[merged])).await.unwrap();
    assert_eq!(controller.head_segments(&stream).await.unwrap(), [(merged, Offset(0))]);
}

#[tokio::test]
async fn every_segment_has_a_store_that_can_be_connected_to() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let endpoint =
        controller.segment_endpoint(&ScopedSegment::new(&stream, 0.into())).await.unwrap();
    assert!(!endpoint.is_unspecified());
    tokio::net::TcpStream::connect((endpoint.host(), endpoint.port())).await.unwrap();
}

/// Older clients call the successors by a misspelt name; a server has both names.
#[tokio::test]
async fn the_misspelt_name_of_the_successors_answers_the_same() {
    use pravega_sdk_proto::{
        SegmentId as Id, StreamInfo, controller_service_client::ControllerServiceClient,
    };
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    scale(&controller, &stream, &[0.into()], &KeyRange::FULL.split(2)).await;
    let channel =
        tonic::transport::Channel::from_shared(url().replace("tcp://", "http://")).unwrap();
    let mut client = ControllerServiceClient::new(channel.connect().await.unwrap());
    let info = StreamInfo {
        scope: stream.scope().to_string(),
        stream: stream.stream().to_string(),
        access_operation: 0,
    };
    let id = Id { stream_info: Some(info), segment_id: 0 };
    let misspelt = client.get_segments_immediatly_following(id.clone()).await.unwrap().into_inner();
    let correct = client.get_segments_immediately_following(id).await.unwrap().into_inner();
    assert_eq!(misspelt, correct);
    assert_eq!(misspelt.segments.len(), 2);
}
