//! Batch reads: ranges between cuts, steps through a stream.

use futures_util::{StreamExt as _, future::try_join_all};
use pravega_sdk_event_stream::{ReadEvent, codec::Utf8};
use pravega_sdk_integration_tests::harness::{factory, new_stream, scale};
use pravega_sdk_types::{BoundedCut, ErrorKind, KeyRange, SegmentId, SegmentRange, StreamCut};

use super::support::{by_key, expected, write};

#[tokio::test(flavor = "multi_thread")]
async fn ranges_between_cuts_are_read_independently_of_each_other() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 2).await;
    let batch = factory.batch_client(&stream).await.unwrap();
    write(&factory, &stream, 0..300).await;
    let first = batch.tail_cut().await.unwrap();
    scale(controller, &stream, &[0, 1].map(SegmentId::from), &KeyRange::equal(3)).await;
    write(&factory, &stream, 300..500).await;
    let second = batch.tail_cut().await.unwrap();
    write(&factory, &stream, 500..600).await;
    let read = async |from: StreamCut, to: StreamCut| {
        // As text, as it is sent to another process.
        let ranges: Vec<String> =
            batch.ranges(&from, &to).await.unwrap().iter().map(ToString::to_string).collect();
        let reading = ranges.iter().map(|range| {
            let batch = batch.clone();
            let range: SegmentRange = range.parse().unwrap();
            async move {
                let events: Vec<_> = batch.read(&range, Utf8).unwrap().collect().await;
                let events: Result<Vec<_>, _> = events.into_iter().collect();
                events.map(|events| (range, events))
            }
        });
        let mut texts = Vec::new();
        let mut bytes = 0;
        for (range, events) in try_join_all(reading).await.unwrap() {
            assert!(events.iter().all(|event| event.segment() == range.segment()));
            assert_eq!(range.end(), events.last().unwrap().end_offset());
            bytes += range.len();
            texts.extend(events.into_iter().map(ReadEvent::into_event));
        }
        assert_eq!(batch.distance(&from, &to).await.unwrap(), bytes);
        let mut numbers: Vec<u32> =
            by_key(texts.iter().map(String::as_str)).into_values().flatten().collect();
        numbers.sort_unstable();
        numbers
    };
    let at = |cut: &BoundedCut| StreamCut::from(cut.clone());
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (0..600).collect::<Vec<_>>()
    );
    assert_eq!(read(StreamCut::Unbounded, at(&first)).await, (0..300).collect::<Vec<_>>());
    assert_eq!(read(at(&first), at(&second)).await, (300..500).collect::<Vec<_>>());
    assert_eq!(read(at(&second), StreamCut::Unbounded).await, (500..600).collect::<Vec<_>>());
    assert_eq!(read(at(&second), at(&second)).await, Vec::<u32>::new());
    assert!(batch.ranges(&at(&second), &at(&first)).await.is_err(), "from is after to");
    // The error of truncated bytes has the offset at which the stream begins now.
    controller.truncate_stream(&second).await.unwrap();
    let gone = batch.ranges(&at(&first), &StreamCut::Unbounded).await;
    let gone = match gone {
        Err(error) => error,
        Ok(ranges) => {
            let mut reader = batch.read(&ranges[0], Utf8).unwrap();
            reader.next().await.unwrap().unwrap_err()
        }
    };
    assert_eq!(gone.kind(), ErrorKind::Truncated, "{gone}");
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (500..600).collect::<Vec<_>>()
    );
    controller.seal_stream(&stream).await.unwrap();
    assert_eq!(
        read(StreamCut::Unbounded, StreamCut::Unbounded).await,
        (500..600).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_divided_into_steps_of_about_equal_size_across_scales() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    let batch = factory.batch_client(&stream).await.unwrap();
    let id = |epoch: i64, number: i64| SegmentId::from((epoch << 32) | number);
    write(&factory, &stream, 0..200).await;
    scale(controller, &stream, &[id(0, 0)], &KeyRange::equal(2)).await;
    write(&factory, &stream, 200..400).await;
    scale(controller, &stream, &[id(1, 1), id(1, 2)], &KeyRange::equal(1)).await;
    write(&factory, &stream, 400..500).await;
    let whole = batch.distance(&StreamCut::Unbounded, &StreamCut::Unbounded).await.unwrap();
    for step in [1, 100, 777, 1 << 30] {
        let mut cut = batch.head_cut().await.unwrap();
        let (mut sum, mut texts) = (0, Vec::new());
        loop {
            let further = batch.next_cut(&cut, step).await.unwrap();
            if further == cut {
                break;
            }
            assert!(controller.is_stream_cut_valid(&further).await.unwrap(), "{further}");
            let (from, to) = (StreamCut::from(cut), StreamCut::from(further.clone()));
            let distance = batch.distance(&from, &to).await.unwrap();
            // Each segment may exceed its share by an event.
            assert!(distance <= step.saturating_add(2 * 20), "{distance} for {step}");
            sum += distance;
            for range in batch.ranges(&from, &to).await.unwrap() {
                let mut reader = batch.read(&range, Utf8).unwrap();
                while let Some(event) = reader.next().await {
                    texts.push(event.unwrap().into_event());
                }
            }
            cut = further;
            if step == 1 && texts.len() > 30 {
                // Event by event is enough for a beginning.
                break;
            }
        }
        if step > 1 {
            assert_eq!(sum, whole);
            assert_eq!(by_key(texts.iter().map(String::as_str)), expected(0..500));
        } else {
            assert_eq!(by_key(texts.iter().map(String::as_str)), expected(0..texts.len() as u32));
        }
    }
    let other = new_stream(controller, 1).await;
    let foreign = factory.batch_client(&other).await.unwrap().head_cut().await.unwrap();
    assert_eq!(batch.next_cut(&foreign, 10).await.unwrap_err().kind(), ErrorKind::InvalidStreamCut);
    let head = batch.head_cut().await.unwrap();
    assert_eq!(batch.next_cut(&head, 0).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}
