//! Every call of the controller against a real one.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{
    AccessOperation, Controller, ControllerClient, ControllerConfig, Creation, CutRange, Deletion,
    KeyValueTableConfiguration, PingStatus, ScaleStart, Subscriber, TransactionOutcome,
    TransactionState, listing,
};
use pravega_sdk_integration_tests::harness::{
    controller, eventually, is_embedded, new_scope, new_stream, scale, unique, url,
};
use pravega_sdk_types::{
    BoundedCut, Epoch, ErrorKind, GroupRetention, KeyRange, Offset, Outcome,
    ReaderGroupConfiguration, RetentionPolicy, ScalingPolicy, Scope, ScopedKeyValueTable,
    ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId, StreamConfiguration, StreamCut, Tag,
    TransactionId, WriterName,
};
use uuid::Uuid;

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| Tag::new(*name).unwrap()).collect()
}

fn stream_in(scope: &Scope, name: &str) -> ScopedStream {
    ScopedStream::new(scope.clone(), name.parse().unwrap())
}

#[tokio::test]
async fn scopes_are_made_once_found_listed_and_removed() {
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
    // The server damages the scope when it is asked; groups can still be made, so it was not.
    let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
    let configuration =
        ReaderGroupConfiguration::new([stream.clone()]).unwrap().with_identity(Uuid::new_v4(), -1);
    controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!(controller.delete_scope_recursive(stream.scope()).await.unwrap(), Deletion::Deleted);
    eventually("the scope is gone", async || {
        !controller.scope_exists(stream.scope()).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn streams_are_made_once_described_updated_sealed_and_removed() {
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
async fn what_is_missing_is_named_as_missing() {
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
    let range = CutRange { from: start.into(), to: StreamCut::Unbounded };
    let mut between = controller.segments_between(&stream, &range).await.unwrap();
    between.sort();
    let expected: Vec<_> =
        [both[0], both[1], merged].map(|id| ScopedSegment::new(&stream, id)).into_iter().collect();
    assert_eq!(between, expected);
    let unbounded = CutRange { from: StreamCut::Unbounded, to: StreamCut::Unbounded };
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

async fn state(
    controller: &Arc<dyn Controller>,
    stream: &ScopedStream,
    id: TransactionId,
) -> TransactionState {
    controller.transaction_state(stream, id).await.unwrap()
}

#[tokio::test]
async fn transactions_begin_live_and_end() {
    let controller = controller().await;
    let stream = new_stream(&controller, 2).await;
    let lease = Duration::from_secs(20);
    let committed = controller.create_transaction(&stream, lease).await.unwrap();
    assert_eq!(committed.segments.len(), 2);
    assert_eq!(state(&controller, &stream, committed.id).await, TransactionState::Open);
    assert_eq!(
        controller.ping_transaction(&stream, committed.id, lease).await.unwrap(),
        PingStatus::Open
    );
    controller.commit_transaction(&stream, committed.id, None).await.unwrap();
    eventually("the transaction is committed", async || {
        state(&controller, &stream, committed.id).await == TransactionState::Committed
    })
    .await;
    controller.commit_transaction(&stream, committed.id, None).await.unwrap();
    let late = controller.abort_transaction(&stream, committed.id).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConditionFailed);

    let aborted = controller.create_transaction(&stream, lease).await.unwrap();
    controller.abort_transaction(&stream, aborted.id).await.unwrap();
    eventually("the transaction is aborted", async || {
        state(&controller, &stream, aborted.id).await == TransactionState::Aborted
    })
    .await;
    let late = controller.commit_transaction(&stream, aborted.id, None).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConditionFailed);

    let unknown = TransactionId::from_halves(1, 2);
    assert_eq!(
        controller.transaction_state(&stream, unknown).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        controller.ping_transaction(&stream, unknown, lease).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );

    // The server keeps them all under one roof and may answer none where other streams ended some
    // too.
    for ended in controller.completed_transactions(&stream).await.unwrap() {
        let expected = if ended.id == committed.id {
            TransactionOutcome::Committed
        } else {
            TransactionOutcome::Aborted
        };
        assert_eq!(ended.outcome, expected);
    }
}

#[tokio::test]
async fn a_lease_that_servers_do_not_take_is_refused_before_it_is_sent() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let refused = controller.create_transaction(&stream, Duration::from_secs(9)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.attempts()), (ErrorKind::InvalidArgument, 0));
    let long =
        controller.create_transaction(&stream, Duration::from_secs(100_000)).await.unwrap_err();
    assert_eq!(long.attempts(), 1, "{long}: a repeat would begin another transaction");
    assert!(long.to_string().contains("10s to 600s"), "{long}");
}

#[tokio::test]
async fn times_are_noted_and_writers_forgotten() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let writer = WriterName::new("writer-1").unwrap();
    let position =
        |offset| BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap();
    controller.note_time(&writer, &position(10), 1000).await.unwrap();
    controller.note_time(&writer, &position(20), 2000).await.unwrap();
    let earlier = controller.note_time(&writer, &position(30), 500).await.unwrap_err();
    assert_eq!(earlier.kind(), ErrorKind::ConditionFailed);
    let behind = controller.note_time(&writer, &position(5), 3000).await.unwrap_err();
    assert_eq!(behind.kind(), ErrorKind::ConditionFailed);
    assert!(controller.remove_writer(&stream, &writer).await.unwrap());
    let unknown = WriterName::new("nobody").unwrap();
    assert!(!controller.remove_writer(&stream, &unknown).await.unwrap());
}

#[tokio::test]
async fn key_value_tables_are_made_described_listed_and_removed() {
    let controller = controller().await;
    let scope = new_scope(&controller).await;
    let table = ScopedKeyValueTable::new(scope.clone(), "prices".parse().unwrap());
    let configuration = KeyValueTableConfiguration {
        partition_count: 3,
        primary_key_length: 8,
        secondary_key_length: 4,
        // A 0.13.0 server takes another size and does not tell it again.
        rollover_size_bytes: 0,
    };
    assert_eq!(
        controller.create_key_value_table(&table, &configuration).await.unwrap(),
        Creation::Created
    );
    assert_eq!(
        controller.create_key_value_table(&table, &configuration).await.unwrap(),
        Creation::AlreadyExisted
    );
    assert_eq!(controller.key_value_table_configuration(&table).await.unwrap(), configuration);
    let segments = controller.key_value_table_segments(&table).await.unwrap();
    assert_eq!(segments.len(), 3);
    let segment = ScopedSegment::new(&table.segment_stream(), segments[0].id);
    assert!(!controller.segment_endpoint(&segment).await.unwrap().is_unspecified());
    let listed: Vec<_> = listing::key_value_tables(Arc::clone(&controller), scope)
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(listed, std::slice::from_ref(&table));
    let none = KeyValueTableConfiguration { partition_count: 0, ..configuration };
    let refused = controller.create_key_value_table(&table, &none).await.unwrap_err();
    assert_eq!((refused.kind(), refused.attempts()), (ErrorKind::InvalidArgument, 0));
    assert_eq!(controller.delete_key_value_table(&table).await.unwrap(), Deletion::Deleted);
    assert_eq!(controller.delete_key_value_table(&table).await.unwrap(), Deletion::NotFound);
    assert_eq!(
        controller.key_value_table_configuration(&table).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn reader_groups_are_registered_updated_listed_and_removed() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "billing".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
    let nil = controller.create_reader_group(&group, &configuration).await.unwrap_err();
    assert_eq!(nil.kind(), ErrorKind::InvalidArgument);
    let configuration = configuration.with_identity(id, ReaderGroupConfiguration::NO_GENERATION);
    let registered = controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!((registered.id(), registered.generation()), (id, 0));
    // Made again, the one that is there is answered with.
    let other = configuration.clone().with_identity(Uuid::new_v4(), -1);
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
async fn subscribers_say_up_to_where_a_stream_is_not_needed() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "keeper".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_retention(GroupRetention::ManualReleaseAtUserStreamCut)
        .with_identity(id, -1);
    let registered = controller.create_reader_group(&group, &configuration).await.unwrap();
    assert_eq!(controller.subscribers(&stream).await.unwrap(), [group.to_string()]);
    let cut = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(0))]).unwrap();
    let subscriber = Subscriber { group: group.clone(), id, generation: registered.generation() };
    controller.update_subscriber_cut(&subscriber, &cut).await.unwrap();
    let outdated = Subscriber { generation: 7, ..subscriber.clone() };
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

#[tokio::test]
async fn without_authorization_tokens_are_empty() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    for access in [AccessOperation::Read, AccessOperation::Write, AccessOperation::ReadWrite] {
        assert!(controller.delegation_token(&stream, access).await.unwrap().is_empty());
    }
}

/// A standalone Java server does not know its own address; an embedded one does.
#[tokio::test]
async fn discovery_finds_the_controller_or_falls_back_to_the_address() {
    let plain = controller().await;
    match plain.controllers().await {
        Ok(controllers) => assert!(
            is_embedded() && url().ends_with(&controllers[0].to_string()),
            "{controllers:?}"
        ),
        Err(error) => assert!(!is_embedded() && error.to_string().contains("cluster"), "{error}"),
    }
    let discovering = url().replace("tcp://", "pravega://");
    let discovering =
        ControllerClient::connect(ControllerConfig::new(discovering.parse().unwrap())).unwrap();
    discovering.scope_exists(&Scope::new("any").unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_controller_that_is_down_is_passed_over() {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = dead.local_addr().unwrap().port();
    drop(dead);
    let list = url().replace("tcp://", &format!("tcp://127.0.0.1:{port},"));
    let controller =
        ControllerClient::connect(ControllerConfig::new(list.parse().unwrap())).unwrap();
    for _ in 0..10 {
        controller.scope_exists(&Scope::new("any").unwrap()).await.unwrap();
    }
}

/// Older clients call the successors by a misspelt name; a server has both.
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
