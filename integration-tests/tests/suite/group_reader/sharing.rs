//! Readers that share segments: hand-over, scales, checkpoints.

use std::time::Duration;

use pravega_sdk_event_stream::group::{GroupItem, GroupReaderNotice, GroupUpdate};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, scale_all};
use pravega_sdk_types::SegmentOffset;
use tokio::time::timeout;

use super::support::{
    at, by_key, configuration, expected, lens, new_group, next, next_within, open, read_all,
    segment, state, update, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_has_one_reader_while_readers_join_and_the_stream_scales() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 6).await;
    let group = new_group(&factory, &stream, 6, configuration(&stream), Vec::new()).await;
    let mut readers = vec![open(&factory, &group, "one").await.unwrap()];
    readers.push(open(&factory, &group, "two").await.unwrap());
    write(&factory, &stream, 0..400).await;
    let mut read: Vec<_> = read_all(&mut readers, 400).await.into_iter().flatten().collect();
    assert_eq!(by_key(&read), expected(0..400));

    // A third joins, and gets its part of the segments at a checkpoint.
    readers.push(open(&factory, &group, "three").await.unwrap());
    let deadline = tokio::time::Instant::now() + FAR;
    while state(&factory, &group).await.assigned("three").is_none_or(|own| own.is_empty()) {
        assert!(tokio::time::Instant::now() < deadline, "it gets no segment");
        for reader in &mut readers {
            assert!(
                next_within(reader, Duration::from_millis(50)).await.is_none_or(|it| it.is_ok())
            );
        }
    }
    write(&factory, &stream, 400..800).await;
    let shares = read_all(&mut readers, 400).await;
    assert!(lens(&shares).iter().all(|len| *len > 0), "{:?}", lens(&shares));
    read.extend(shares.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..800));

    scale_all(factory.controller(), &stream, 8).await;
    write(&factory, &stream, 800..1200).await;
    read.extend(read_all(&mut readers, 400).await.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..1200));
    let state = state(&factory, &group).await;
    assert_eq!((state.segment_count(), state.future().count()), (8, 0), "the new ones are read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_shown_to_every_reader_and_divides_the_events_exactly() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 4).await;
    let configuration = configuration(&stream).with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 4, configuration, Vec::new()).await;
    let mut readers = Vec::new();
    for id in ["one", "two"] {
        let mut reader = open(&factory, &group, id).await.unwrap();
        next_within(&mut reader, Duration::from_millis(300)).await;
        readers.push(reader);
    }
    let mut notices = readers[0].notices();
    write(&factory, &stream, 0..200).await;
    let silent = GroupUpdate::CreateCheckpoint { checkpoint: "x_SILENT_".into() };
    update(&factory, &group, silent).await;
    let named = GroupUpdate::CreateCheckpoint { checkpoint: "named".into() };
    update(&factory, &group, named).await;
    let mut before = Vec::new();
    for reader in &mut readers {
        loop {
            match next(reader).await.unwrap() {
                GroupItem::Event(event) => before.push(event),
                GroupItem::Checkpoint(name) => {
                    assert_eq!(&*name, "named");
                    break;
                }
            }
        }
    }
    assert!(state(&factory, &group).await.checkpoints().completed("named").is_none());
    let mut after: Vec<_> = read_all(&mut readers, 200 - before.len()).await;
    while state(&factory, &group).await.checkpoints().completed("named").is_none() {
        for (reader, after) in readers.iter_mut().zip(&mut after) {
            let item = next_within(reader, Duration::from_millis(50)).await;
            after.extend(item.and_then(|item| item.unwrap().into_event()));
        }
    }
    let after: Vec<_> = after.into_iter().flatten().collect();
    assert_eq!(by_key(before.iter().chain(&after)), expected(0..200));
    let state = state(&factory, &group).await;
    let cut = state.checkpoints().completed("named").unwrap();
    assert_eq!(cut.len(), 4);
    assert!(before.iter().all(|event| SegmentOffset::At(event.offset()) < cut[event.segment()]));
    assert!(after.iter().all(|event| SegmentOffset::At(event.offset()) >= cut[event.segment()]));
    let notice = timeout(FAR, notices.next()).await.unwrap();
    assert!(
        matches!(&notice, Some(GroupReaderNotice::Checkpoint { name }) if &**name == "named"),
        "{notice:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_ends_where_the_group_ends_and_with_a_sealed_stream() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    write(&factory, &stream, 0..100).await;
    let all = pravega_sdk_integration_tests::harness::read_all(&factory, &stream).await;
    let in_first: Vec<_> = all.iter().filter(|it| *it.segment() == segment(&stream, 0)).collect();
    let end = in_first[in_first.len() / 2].offset();
    let ends = vec![(segment(&stream, 0), end.into()), (segment(&stream, 1), at(0))];
    let bounded = new_group(&factory, &stream, 2, configuration(&stream), ends).await;
    let mut reader = open(&factory, &bounded, "one").await.unwrap();
    let mut read = Vec::new();
    while let Some(item) = timeout(FAR, reader.next()).await.unwrap() {
        read.extend(item.unwrap().into_event());
    }
    assert_eq!(read.len(), in_first.len() / 2);
    assert!(read.iter().all(|event| event.offset() < end));

    let whole = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    let mut readers = [
        open(&factory, &whole, "one").await.unwrap(),
        open(&factory, &whole, "two").await.unwrap(),
    ];
    let read = read_all(&mut readers, 100).await;
    assert_eq!(by_key(read.iter().flatten()), expected(0..100));
    factory.controller().seal_stream(&stream).await.unwrap();
    let [one, two] = &mut readers;
    let end = async |reader: &mut super::support::Reader| {
        while let Some(item) = timeout(FAR, reader.next()).await.unwrap() {
            assert!(item.unwrap().into_event().is_none(), "nothing is read again");
        }
    };
    tokio::join!(end(one), end(two));
    assert!(state(&factory, &whole).await.is_at_end());
}
