//! A clock that tests move: leases, retention, watermarks, scaling by rate.

use std::time::Duration;

use pravega_sdk_controller_client::{Subscriber, TransactionState};
use pravega_sdk_integration_tests::harness::{self, read_all, scale};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, GroupRetention, KeyRange, Offset, ReaderGroupConfiguration,
    RetentionPolicy, ScalingPolicy, ScopedReaderGroup, ScopedStream, SegmentId,
    StreamConfiguration, Timestamp, Watermark, WriterName,
};
use uuid::Uuid;

use super::support::{numbers, standing, start, stream, stream_with, write};

#[tokio::test]
async fn the_clock_of_the_system_is_not_advanced_and_the_caller_is_told() {
    let (server, _factory) = start(harness::builder()).await;
    let error = server.advance_clock(Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("standing clock"), "{error}");
}

#[tokio::test]
async fn a_transaction_ends_with_its_lease_and_a_ping_keeps_it() {
    let (server, factory) = start(standing()).await;
    let stream = stream(&factory, 2).await;
    let controller = factory.controller();
    let lease = Duration::from_secs(20);
    let (kept, left) = (
        controller.create_transaction(&stream, lease).await.unwrap().id,
        controller.create_transaction(&stream, lease).await.unwrap().id,
    );
    server.advance_clock(Duration::from_secs(15)).unwrap();
    controller.ping_transaction(&stream, kept, lease).await.unwrap();
    server.advance_clock(Duration::from_secs(15)).unwrap();
    assert_eq!(controller.transaction_state(&stream, kept).await.unwrap(), TransactionState::Open);
    assert_eq!(
        controller.transaction_state(&stream, left).await.unwrap(),
        TransactionState::Aborted
    );
    let segments = server.segment_count();
    server.advance_clock(Duration::from_secs(30)).unwrap();
    assert_eq!(server.segment_count(), segments - 2, "its segments are gone");
}

#[tokio::test]
async fn retention_by_size_keeps_at_least_the_minimum() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::BySize { min_bytes: 5_000, max_bytes: None };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    for round in 0..10 {
        write(&factory, &stream, round * 200..(round + 1) * 200).await;
        server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    }
    let left = numbers(&factory, &stream).await;
    assert_eq!(*left.last().unwrap(), 1999);
    let batch = factory.batch_client(&stream).await.unwrap();
    let (head, tail) = (batch.head_cut().await.unwrap(), batch.tail_cut().await.unwrap());
    let bytes = batch.distance(&head.into(), &tail.into()).await.unwrap();
    // A round is about 2,200 bytes.
    assert!((5_000..8_000).contains(&bytes), "{bytes} bytes are left");
}

#[tokio::test]
async fn retention_by_time_drops_older_events_across_a_scale() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::ByTime { min: Duration::from_secs(3600), max: None };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    write(&factory, &stream, 0..100).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    scale(factory.controller(), &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 100..200).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    assert_eq!(numbers(&factory, &stream).await.len(), 200);
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    assert_eq!(numbers(&factory, &stream).await, (100..200).collect::<Vec<_>>());
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    assert!(numbers(&factory, &stream).await.is_empty());
}

#[tokio::test]
async fn retention_waits_for_the_groups_that_subscribe() {
    let (server, factory) = start(standing()).await;
    let policy = RetentionPolicy::BySize { min_bytes: 10, max_bytes: Some(6_000) };
    let configuration = StreamConfiguration::default().with_retention(policy).unwrap();
    let stream = stream_with(&factory, &configuration).await;
    let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
    let id = Uuid::new_v4();
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_retention(GroupRetention::ManualReleaseAtUserStreamCut)
        .with_identity(id, Some(0));
    factory.controller().create_reader_group(&group, &configuration).await.unwrap();
    write(&factory, &stream, 0..100).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    write(&factory, &stream, 100..200).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    assert_eq!(numbers(&factory, &stream).await.len(), 200, "nothing was released");
    // 100 events of 1 or 2 digits.
    let released =
        BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(10 * 9 + 90 * 10))]).unwrap();
    let subscriber = Subscriber::new(group.clone(), id, 0);
    factory.controller().update_subscriber_cut(&subscriber, &released).await.unwrap();
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    assert_eq!(numbers(&factory, &stream).await, (100..200).collect::<Vec<_>>());
    // Above the maximum size, retention no longer waits for the group.
    write(&factory, &stream, 200..1000).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    write(&factory, &stream, 1000..1100).await;
    server.advance_clock(Duration::from_secs(31 * 60)).unwrap();
    let left = numbers(&factory, &stream).await;
    assert!(left[0] > 200 && left.len() < 700, "{} events from {}", left.len(), left[0]);
}

#[tokio::test]
async fn a_watermark_is_written_once_every_writer_has_advanced() {
    let (server, factory) = start(standing()).await;
    let stream = stream(&factory, 1).await;
    let writers = [1, 2].map(|number| WriterName::new(format!("writer-{number}")).unwrap());
    let note = async |writer: usize, time: i64, offset: i64| {
        let position =
            BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap();
        factory
            .controller()
            .note_time(&writers[writer], &position, Timestamp::from_millis(time))
            .await
            .unwrap();
    };
    let marks = async || {
        let marks = ScopedStream::internal("scope/_MARKstream").unwrap();
        let events = read_all(&factory, &marks).await;
        let mark = |bytes: &[u8]| {
            let mark = Watermark::from_bytes(bytes).unwrap();
            let times = (mark.lower_time().as_millis(), mark.upper_time().as_millis());
            (times.0, times.1, mark.positions().collect::<Vec<_>>())
        };
        events.iter().map(|event| mark(event.event())).collect::<Vec<_>>()
    };
    write(&factory, &stream, 0..10).await;
    note(0, 100, 20).await;
    note(1, 150, 50).await;
    server.advance_clock(Duration::from_secs(11)).unwrap();
    assert_eq!(marks().await, [(100, 150, vec![(SegmentId::from(0), Offset(50).into())])]);
    note(1, 200, 60).await;
    server.advance_clock(Duration::from_secs(11)).unwrap();
    // The first writer is late; the stream does not wait for it.
    assert_eq!(marks().await.last().unwrap().0, 200);
    factory.controller().remove_writer(&stream, &writers[1]).await.unwrap();
}

#[tokio::test]
async fn a_stream_scales_with_the_rate_of_its_events() {
    let (server, factory) = start(standing().with_rate_window(Duration::from_secs(120))).await;
    let number = |number: u32| number.try_into().unwrap();
    let policy = ScalingPolicy::ByEventRate {
        events_per_second: number(1),
        scale_factor: number(2),
        min_segments: number(1),
    };
    let stream = stream_with(&factory, &StreamConfiguration::default().with_scaling(policy)).await;
    let segments = async || factory.controller().current_segments(&stream).await.unwrap().len();
    for minute in 0..4 {
        write(&factory, &stream, minute * 1000..(minute + 1) * 1000).await;
        server.advance_clock(Duration::from_secs(60)).unwrap();
    }
    let grown = segments().await;
    assert!(grown > 1, "it has one segment with 16 times its rate");
    // No event arrives for an hour and a half.
    for _ in 0..90 {
        server.advance_clock(Duration::from_secs(60)).unwrap();
    }
    assert_eq!(segments().await, 1);
    assert_eq!(numbers(&factory, &stream).await.len(), 4000);
}
