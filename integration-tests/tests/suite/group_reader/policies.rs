//! Groups without checkpoints, and segments that have fixed readers.

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupItem, GroupReaderConfig, HandOver, SegmentAssignment, StaticShare},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, scale_all};
use pravega_sdk_types::{ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream};
use tokio::time::{Instant, timeout};

use super::support::{
    Reader, by_key, configuration, expected, lens, new_group, next_within, read_all, state, write,
};

/// Everything happens soon, and no checkpoint is created.
fn without_checkpoints(stream: &ScopedStream) -> ReaderGroupConfiguration {
    configuration(stream).with_automatic_checkpoint_interval(None)
}

async fn open(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    id: &str,
    assignment: SegmentAssignment,
) -> Reader {
    let config = GroupReaderConfig::default()
        .with_hand_over(HandOver::BetweenEvents)
        .with_assignment(assignment);
    factory.group_reader_with(group, &id.parse().unwrap(), Utf8, config).await.unwrap()
}

/// Polls readers, which have nothing to read, until the state is as it should be.
async fn poll_until(
    factory: &ClientFactory,
    group: &ScopedReaderGroup,
    readers: &mut [Reader],
    what: &str,
    holds: impl Fn(&[usize]) -> bool,
) {
    let deadline = Instant::now() + FAR;
    loop {
        let state = state(factory, group).await;
        let sizes: Vec<usize> = readers
            .iter()
            .map(|reader| state.assigned(reader.id().as_str()).map_or(0, |own| own.len()))
            .collect();
        if holds(&sizes) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {sizes:?}");
        for reader in readers.iter_mut() {
            let item = next_within(reader, Duration::from_millis(50)).await;
            assert!(item.is_none(), "{item:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_checkpoints_segments_move_between_events_and_streams_are_read_to_their_ends() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 6).await;
    let group = new_group(&factory, &stream, 6, without_checkpoints(&stream), Vec::new()).await;
    let fair = SegmentAssignment::Fair;
    let mut readers = vec![open(&factory, &group, "one", fair).await];
    write(&factory, &stream, 0..400).await;
    let mut read: Vec<_> = read_all(&mut readers, 400).await.into_iter().flatten().collect();
    readers.push(open(&factory, &group, "two", fair).await);
    poll_until(&factory, &group, &mut readers, "each has its part", |sizes| sizes == [3, 3]).await;
    write(&factory, &stream, 400..800).await;
    let shares = read_all(&mut readers, 400).await;
    assert!(lens(&shares).iter().all(|len| *len > 0), "{:?}", lens(&shares));
    read.extend(shares.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..800));

    scale_all(factory.controller(), &stream, 8).await;
    write(&factory, &stream, 800..1200).await;
    read.extend(read_all(&mut readers, 400).await.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..1200));

    factory.controller().seal_stream(&stream).await.unwrap();
    let ends = readers.into_iter().map(|mut reader| async move {
        timeout(FAR, reader.next()).await.expect("the end in time").map(|item| item.is_ok())
    });
    let ended = futures_util::future::join_all(ends).await;
    assert_eq!(ended, [None, None], "there is nothing more, and no checkpoint was shown");
    assert!(state(&factory, &group).await.checkpoints().last_completed().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_divides_the_events_while_segments_move_between_events() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 6).await;
    let configuration = configuration(&stream);
    let group = new_group(&factory, &stream, 6, configuration, Vec::new()).await;
    let fair = SegmentAssignment::Fair;
    let mut readers = vec![open(&factory, &group, "one", fair).await];
    let mut read = Vec::new();
    let mut shown = 0;
    for round in 0..4_u32 {
        write(&factory, &stream, round * 200..(round + 1) * 200).await;
        readers.push(open(&factory, &group, &format!("reader-{round}"), fair).await);
        let deadline = Instant::now() + FAR;
        while read.len() < ((round + 1) * 200) as usize {
            assert!(Instant::now() < deadline, "{} events", read.len());
            for reader in &mut readers {
                match next_within(reader, Duration::from_millis(5)).await {
                    Some(Ok(GroupItem::Event(event))) => read.push(event),
                    Some(Ok(GroupItem::Checkpoint(_))) => shown += 1,
                    Some(Err(error)) => panic!("{error}"),
                    None => {}
                }
            }
        }
    }
    assert_eq!(by_key(&read), expected(0..800), "each event once");
    assert!(shown > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_with_static_shares_keep_their_segments_when_others_come_and_go() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 6).await;
    let group = new_group(&factory, &stream, 6, without_checkpoints(&stream), Vec::new()).await;
    let share = |index| SegmentAssignment::Static(StaticShare::new(index, 3).unwrap());
    let mut readers = Vec::new();
    for (index, id) in [(0, "zero"), (1, "one")] {
        readers.push(open(&factory, &group, id, share(index)).await);
    }
    poll_until(&factory, &group, &mut readers, "two shares", |sizes| sizes == [2, 2]).await;
    let own = async |id: &str| -> BTreeSet<_> {
        let state = state(&factory, &group).await;
        state.assigned(id).unwrap().segments().cloned().collect()
    };
    let before = own("zero").await;
    assert_eq!(
        state(&factory, &group).await.unassigned().len(),
        2,
        "no reader has the third share"
    );
    // The second is replaced by the third.
    readers.pop().unwrap().close(FAR).await.unwrap();
    readers.push(open(&factory, &group, "two", share(2)).await);
    poll_until(&factory, &group, &mut readers, "two shares", |sizes| sizes == [2, 2]).await;
    assert_eq!(own("zero").await, before);
    readers.push(open(&factory, &group, "one", share(1)).await);
    poll_until(&factory, &group, &mut readers, "all shares", |sizes| sizes == [2, 2, 2]).await;
    write(&factory, &stream, 0..300).await;
    let shares = read_all(&mut readers, 300).await;
    let read: Vec<_> = shares.into_iter().flatten().collect();
    assert_eq!(by_key(&read), expected(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sticky_reader_gives_a_segment_only_to_a_reader_without_any() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 6).await;
    let group = new_group(&factory, &stream, 6, without_checkpoints(&stream), Vec::new()).await;
    let sticky = SegmentAssignment::Sticky;
    let mut readers = vec![open(&factory, &group, "one", sticky).await];
    poll_until(&factory, &group, &mut readers, "it has all", |sizes| sizes == [6]).await;
    readers.push(open(&factory, &group, "two", sticky).await);
    let has_one = |sizes: &[usize]| sizes == [5, 1];
    poll_until(&factory, &group, &mut readers, "the other has one", has_one).await;
    let until = Instant::now() + Duration::from_secs(5);
    poll_until(&factory, &group, &mut readers, "it stays so", |sizes| {
        assert_eq!(sizes, [5, 1]);
        Instant::now() > until
    })
    .await;
}
