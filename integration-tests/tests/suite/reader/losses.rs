//! Events and streams that are removed under a reader.

use pravega_sdk_event_stream::{ReaderConfig, StreamPosition, codec::Raw};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, read_all, scale};
use pravega_sdk_types::{BoundedCut, ErrorKind, KeyRange, Offset, SegmentId, StreamConfiguration};
use tokio::time::timeout;

use super::support::{by_key, expected, next, reader, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_truncation_is_reported_once_and_the_rest_is_read() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    write(&factory, &stream, 0..100).await;
    let all = read_all(&factory, &stream).await;
    let start = BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(0))]).unwrap();
    let half = BoundedCut::new(stream.clone(), [(SegmentId::from(0), all[50].offset())]).unwrap();
    controller.truncate_stream(&half).await.unwrap();
    let mut from_start = reader(&factory, &stream, StreamPosition::Cut(start.clone())).await;
    let told = timeout(FAR, from_start.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (told.kind(), told.offset(), told.is_retryable()),
        (ErrorKind::Truncated, Some(Offset(0)), false)
    );
    for number in 50..100 {
        assert_eq!(next(&mut from_start).await, format!("key-{}:{number}", number % 7));
    }
    assert_eq!(read_all(&factory, &stream).await.len(), 50, "a reader at the head gets no error");
    // Truncated after a scale: the whole segment is gone.
    scale(controller, &stream, &[SegmentId::from(0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 100..120).await;
    let head = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    let behind =
        BoundedCut::new(stream.clone(), head.positions().map(|(id, _)| (id, Offset(0)))).unwrap();
    controller.truncate_stream(&behind).await.unwrap();
    let mut from_start = reader(&factory, &stream, StreamPosition::Cut(start)).await;
    let told = timeout(FAR, from_start.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (told.kind(), told.segment()),
        (ErrorKind::Truncated, Some(SegmentId::from(0))),
        "{told}"
    );
    let mut found = Vec::new();
    for _ in 0..20 {
        found.push(next(&mut from_start).await);
    }
    assert_eq!(by_key(found.iter().map(String::as_str)), expected(100..120));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_or_recreated_under_a_reader_is_an_error() {
    let factory = factory().await;
    let controller = factory.controller();
    for is_made_again in [false, true] {
        let stream = new_stream(controller, 1).await;
        write(&factory, &stream, 0..20).await;
        let mut reading = reader(&factory, &stream, StreamPosition::Head).await;
        for _ in 0..20 {
            next(&mut reading).await;
        }
        let cut = reading.stream_cut();
        controller.seal_stream(&stream).await.unwrap();
        controller.delete_stream(&stream).await.unwrap();
        if is_made_again {
            controller.create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
            // Not the old reader, which saw the old stream sealed, but a new one with an old
            // position: the segments of the new stream have numbers of their own.
            let config = ReaderConfig::default().with_start(cut);
            let refused = factory.event_reader_with(&stream, Raw, config).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut, "{refused}");
        } else {
            let outcome = timeout(FAR, reading.next()).await.unwrap();
            // It may have seen the seal before the deletion.
            assert!(outcome.is_none_or(|told| told.unwrap_err().kind() == ErrorKind::NotFound));
            let gone = factory.event_reader(&stream, Raw).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
        }
    }
}
