//! Readers that leave: where others go on, and futures that are dropped.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_event_stream::group::GroupItem;
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_types::{ErrorKind, Offset, Position, ScopedSegment, SegmentOffset};
use tokio::time::timeout;

use super::support::{
    by_key, configuration, expected, new_group, next_event, open, read_all, segment, state, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_reader_goes_on_where_one_has_left_or_at_the_position_that_it_named() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    let mut first = open(&factory, &group, "one").await.unwrap();
    let mut read = Vec::new();
    for _ in 0..30 {
        read.push(next_event(&mut first).await);
    }
    assert_eq!(read[29].position(), first.position());
    first.close(FAR).await.unwrap();
    assert!(first.next().await.is_none());
    assert_eq!(state(&factory, &group).await.readers().len(), 0);

    // A reader of the same id may join again.
    let mut second = open(&factory, &group, "one").await.unwrap();
    for _ in 0..20 {
        read.push(next_event(&mut second).await);
    }
    let late = Position::new([(segment(&stream, 0), Offset(1 << 40))], []);
    let refused = second.close_at(&late, FAR).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    // The last five are given up, as if they had not been handled.
    let position = read[44].position();
    let bytes = position.to_bytes().unwrap();
    let position = Position::from_bytes(&bytes).unwrap();
    second.close_at(&position, FAR).await.unwrap();
    read.truncate(45);
    let mut third = [open(&factory, &group, "two").await.unwrap()];
    read.extend(read_all(&mut third, 55).await.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_futures_are_dropped_at_every_poll_returns_each_event_once() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 3).await;
    let group = new_group(&factory, &stream, 3, configuration(&stream), Vec::new()).await;
    let mut reader = open(&factory, &group, "one").await.unwrap();
    write(&factory, &stream, 0..300).await;
    let mut read = Vec::new();
    let deadline = tokio::time::Instant::now() + FAR;
    while read.len() < 300 {
        assert!(tokio::time::Instant::now() < deadline, "{} events", read.len());
        // Polled once, and dropped.
        let polled = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::pin!(reader.next()).poll(cx))
        });
        match polled.await {
            std::task::Poll::Ready(item) => read.extend(item.unwrap().unwrap().into_event()),
            std::task::Poll::Pending => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    assert_eq!(by_key(&read), expected(0..300));
    // So it is with the future that leaves.
    let mut leaves = 0;
    loop {
        leaves += 1;
        assert!(leaves < 10_000, "it does not leave");
        if let Ok(left) = timeout(Duration::from_millis(1), reader.close(FAR)).await {
            left.unwrap();
            break;
        }
    }
    assert_eq!(state(&factory, &group).await.readers().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_batch_have_the_positions_that_they_have_one_by_one() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 3).await;
    let group = new_group(&factory, &stream, 3, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..500).await;
    let mut reader = open(&factory, &group, "one").await.unwrap();
    let mut ends = BTreeMap::new();
    let mut read = Vec::new();
    while read.len() < 400 {
        let most = (read.len() % 97 + 1).min(400 - read.len());
        let batch = timeout(FAR, reader.next_batch(most)).await.unwrap().unwrap().unwrap();
        assert!(batch.len() <= most);
        for event in batch.into_iter().filter_map(GroupItem::into_event) {
            ends.insert(event.segment().clone(), SegmentOffset::At(event.end_offset()));
            let position = event.position();
            assert!(is_at(&position, &ends), "{position:?} is not {ends:?}");
            read.push(event);
        }
        assert!(is_at(&reader.position(), &ends));
    }
    assert_eq!(ends.len(), 3, "events of several segments");
    reader.close(FAR).await.unwrap();
    let mut other = [open(&factory, &group, "two").await.unwrap()];
    read.extend(read_all(&mut other, 100).await.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..500));
}

/// Returns true if a position is at these offsets, and at the beginning of the other segments.
fn is_at(position: &Position, ends: &BTreeMap<ScopedSegment, SegmentOffset>) -> bool {
    position.owned().all(|(of, at)| at == ends.get(of).copied().unwrap_or(Offset(0).into()))
}
