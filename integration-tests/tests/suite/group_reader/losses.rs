//! Readers that lose their place, their events or their group.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupEvent, GroupInit, GroupItem, GroupReaderConfig, GroupUpdate},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, scale_all};
use pravega_sdk_types::{BoundedCut, ErrorKind, Offset, Outcome, ScopedReaderGroup, SegmentId};

use super::support::{
    at, by_key, configuration, expected, new_group, next, next_event, next_within, open, read_all,
    segment, state, update, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_taken_offline_is_told_before_it_returns_another_event() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream, 2, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    let mut reader = open(&factory, &group, "one").await.unwrap();
    let taken = open(&factory, &group, "one").await.unwrap_err();
    assert_eq!((taken.kind(), taken.outcome()), (ErrorKind::AlreadyExists, Outcome::NotApplied));
    let mut read = Vec::new();
    for _ in 0..40 {
        read.push(next_event(&mut reader).await);
    }
    let offsets = read[39].position().owned().map(|(it, at)| (it.clone(), at)).collect();
    let remove = GroupUpdate::RemoveReader { reader: "one".into(), offsets };
    update(&factory, &group, remove).await;
    tokio::time::sleep(configuration(&stream).refresh_interval() * 2).await;
    let told = next(&mut reader).await.unwrap_err();
    assert_eq!((told.kind(), told.is_retryable()), (ErrorKind::ReaderOffline, false), "{told}");
    assert!(reader.next().await.is_none() && reader.next().await.is_none());
    assert!(reader.close(FAR).await.is_err());
    let mut other = [open(&factory, &group, "two").await.unwrap()];
    read.extend(read_all(&mut other, 60).await.into_iter().flatten());
    assert_eq!(by_key(&read), expected(0..100), "at the position, no event is read twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_begins_again_or_is_deleted_ends_its_readers() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    let mut reader = open(&factory, &group, "one").await.unwrap();
    let init = GroupInit::new(configuration(&stream), [(segment(&stream, 0).into(), at(0))]);
    update(&factory, &group, GroupUpdate::Init(init)).await;
    assert_eq!(next(&mut reader).await.unwrap_err().kind(), ErrorKind::ReaderOffline);

    let mut reader = open(&factory, &group, "one").await.unwrap();
    let id = factory.controller().reader_group_configuration(&group).await.unwrap().id();
    factory.controller().delete_reader_group(&group, id).await.unwrap();
    let told = loop {
        if let Err(told) = next(&mut reader).await {
            break told;
        }
    };
    assert_eq!(told.kind(), ErrorKind::NotFound, "{told}");
    assert!(reader.next().await.is_none());
    let missing = open(&factory, &group, "two").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    let never = ScopedReaderGroup::new(stream.scope().clone(), "never".parse().unwrap());
    assert_eq!(open(&factory, &never, "one").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_truncated_is_told_once_and_the_rest_is_read() {
    let factory = factory().await;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    let all = pravega_sdk_integration_tests::harness::read_all(&factory, &stream).await;
    let half = BoundedCut::new(stream.clone(), [(SegmentId::from(0), all[50].offset())]).unwrap();
    controller.truncate_stream(&half).await.unwrap();
    let mut reader = open(&factory, &group, "one").await.unwrap();
    let told = loop {
        match next(&mut reader).await {
            Ok(GroupItem::Checkpoint(_)) => {}
            Ok(GroupItem::Event(event)) => panic!("{event:?}"),
            Err(told) => break told,
        }
    };
    assert_eq!((told.kind(), told.is_retryable()), (ErrorKind::Truncated, false), "{told}");
    assert_eq!(next_event(&mut reader).await.offset(), all[50].offset());
    for _ in 51..100 {
        next_event(&mut reader).await;
    }
    reader.close(FAR).await.unwrap();

    // A whole segment is gone: its successors follow.
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    scale_all(controller, &stream, 2).await;
    write(&factory, &stream, 100..150).await;
    let head = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
    let starts = head.positions().map(|(id, _)| (id, at(0)));
    let after = BoundedCut::new(stream.clone(), starts).unwrap();
    controller.truncate_stream(&after).await.unwrap();
    let mut reader = open(&factory, &group, "one").await.unwrap();
    let (mut truncated, mut read) = (0, Vec::new());
    while read.len() < 50 {
        match next(&mut reader).await {
            Ok(item) => read.extend(item.into_event()),
            Err(told) => {
                assert_eq!(told.kind(), ErrorKind::Truncated, "{told}");
                truncated += 1;
            }
        }
    }
    assert_eq!((truncated, by_key(&read)), (1, expected(100..150)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_died_is_read_after_from_its_last_checkpoint() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let configuration = configuration(&stream).with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 1, configuration, Vec::new()).await;
    write(&factory, &stream, 0..30).await;
    let mut dies = open(&factory, &group, "dies").await.unwrap();
    let mut read = Vec::new();
    for _ in 0..10 {
        read.push(next_event(&mut dies).await);
    }
    let create = GroupUpdate::CreateCheckpoint { checkpoint: "c".into() };
    update(&factory, &group, create).await;
    while state(&factory, &group).await.checkpoints().completed("c").is_none() {
        let item = next_within(&mut dies, Duration::from_millis(50)).await;
        read.extend(item.and_then(|item| item.unwrap().into_event()));
    }
    let recorded =
        state(&factory, &group).await.checkpoints().completed("c").unwrap()[&segment(&stream, 0)];
    drop(dies);
    let remove = GroupUpdate::RemoveReader { reader: "dies".into(), offsets: Vec::new() };
    update(&factory, &group, remove).await;
    // So that there is one after the checkpoint, however many were read before it.
    write(&factory, &stream, 30..31).await;
    let mut other = open(&factory, &group, "other").await.unwrap();
    let found = next_event(&mut other).await;
    assert_eq!(found.offset().0, recorded.to_wire(), "the first one after the checkpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repeated_after_a_death_is_known_by_the_last_event_of_each_segment() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let configuration = configuration(&stream).with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 2, configuration, Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    // The store of the program: the effects, and the end of the last event of each segment.
    let (mut effects, mut ends) = (Vec::new(), BTreeMap::new());
    let mut apply = |event: GroupEvent<String>| {
        let end = ends.entry(event.segment().clone()).or_insert(Offset(0));
        let is_new = event.offset() >= *end;
        if is_new {
            *end = event.end_offset();
            effects.push(event);
        }
        is_new
    };
    let config = || GroupReaderConfig::default().with_lease(Some(Duration::from_secs(1)));
    let open = async |id: &str| {
        factory.group_reader_with(&group, &id.parse().unwrap(), Utf8, config()).await.unwrap()
    };
    let mut dies = open("dies").await;
    for _ in 0..60 {
        assert!(apply(next_event(&mut dies).await));
    }
    drop(dies);
    // No program takes it offline: the other one does, at its last checkpoint.
    let mut other = open("other").await;
    let (mut repeated, mut new) = (0, 0);
    while new < 40 {
        if apply(next_event(&mut other).await) { new += 1 } else { repeated += 1 }
    }
    assert!(repeated > 0, "there was no checkpoint");
    assert_eq!(by_key(&effects), expected(0..100));
}
