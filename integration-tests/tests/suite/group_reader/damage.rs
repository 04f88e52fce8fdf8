//! What readers meet in the stream of their group, and in events, that is not as it should be.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    codec::Raw,
    group::{GroupItem, GroupReaderError, GroupUpdate},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_table_synchronizer::{RevisionedStream, RevisionedStreamConfig};
use pravega_sdk_types::{ErrorKind, Offset, ScopedReaderGroup, ScopedStream};
use tokio::time::timeout;

use super::support::{
    by_key, configuration, expected, new_group, next, next_event, next_within, open, read_all,
    state, store, write,
};

async fn raw(factory: &ClientFactory, group: &ScopedReaderGroup) -> RevisionedStream {
    let (context, config) = (factory.segment_context(), RevisionedStreamConfig::default());
    RevisionedStream::open(context, &group.state_stream(), config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_after_the_entries_that_it_had_not_read_were_truncated() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let configuration = configuration(&stream).with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 2, configuration, Vec::new()).await;
    write(&factory, &stream, 0..100).await;
    let mut readers = [open(&factory, &group, "one").await.unwrap()];
    let mut read = Vec::new();
    for _ in 0..10 {
        read.push(next_event(&mut readers[0]).await);
    }
    // It looks at nothing while it is not polled.
    let entries = raw(&factory, &group).await;
    let before = entries.latest_revision().await.unwrap().offset();
    let mut other = store(&factory, &group).await;
    for number in 0..3 {
        let checkpoint = format!("unseen-{number}").into();
        other.report(GroupUpdate::CreateCheckpoint { checkpoint }).await.unwrap();
        other.fetch().await.unwrap();
        other.compact().await.unwrap();
    }
    let oldest = entries.oldest_revision().await.unwrap().offset();
    assert!(oldest > before, "{oldest} is not after {before}");
    read.extend(read_all(&mut readers, 90).await.concat());
    assert_eq!(by_key(&read), expected(0..100));
    // It has seen the checkpoints that were in no entry any more, and leaves.
    while state(&factory, &group).await.checkpoints().completed("unseen-2").is_none() {
        let item = next_within(&mut readers[0], Duration::from_millis(50)).await;
        assert!(item.is_none_or(|item| item.unwrap().into_event().is_none()));
    }
    readers[0].close(FAR).await.unwrap();
    assert_eq!(state(&factory, &group).await.readers().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_none_of_a_group_ends_its_readers_with_the_place_of_the_entry() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let group = new_group(&factory, &stream, 1, configuration(&stream), Vec::new()).await;
    write(&factory, &stream, 0..10).await;
    let mut reader = open(&factory, &group, "one").await.unwrap();
    next_event(&mut reader).await;
    let entries = raw(&factory, &group).await;
    entries.write(&b"\x00\x00\x00\x02\x00\x00\x00\x03foreign"[..]).await.unwrap();
    let failed = loop {
        if let Err(failed) = next(&mut reader).await {
            break failed;
        }
    };
    assert_eq!((failed.kind(), failed.is_retryable()), (ErrorKind::Corrupt, false), "{failed}");
    let place = failed.offset().expect("the place of the entry");
    assert!(place < entries.latest_revision().await.unwrap().offset());
    assert!(reader.next().await.is_none());
    let refused = open(&factory, &group, "two").await.unwrap_err();
    assert_eq!((refused.kind(), refused.offset()), (ErrorKind::Corrupt, Some(place)), "{refused}");
}

/// What a reader returns of events of which each second one is not UTF-8.
const RETURNED: [Result<&str, Offset>; 5] =
    [Ok("a"), Err(Offset(9)), Ok("b"), Err(Offset(27)), Ok("c")];

async fn group_with_events_that_are_none() -> (ClientFactory, ScopedStream, ScopedReaderGroup) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Raw).await.unwrap();
    for event in [&b"a"[..], b"\xFF", b"b", b"\xFF", b"c"] {
        writer.write("key", Bytes::from_static(event)).await.unwrap();
    }
    let configuration = configuration(&stream).with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 1, configuration, Vec::new()).await;
    (factory, stream, group)
}

fn returned(item: Result<GroupItem<String>, GroupReaderError>) -> Result<String, Offset> {
    match item {
        Ok(item) => Ok(item.into_event().expect("an event").into_event()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            Err(error.offset().expect("the place of the event"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_codec_refuses_is_an_error_and_those_around_it_are_returned() {
    let (factory, _, group) = group_with_events_that_are_none().await;
    let wanted = RETURNED.map(|one| one.map(ToOwned::to_owned));
    let mut one = open(&factory, &group, "one").await.unwrap();
    for wanted in &wanted {
        assert_eq!(returned(next(&mut one).await), *wanted);
    }
    one.close(FAR).await.unwrap();

    let (factory, _, group) = group_with_events_that_are_none().await;
    let mut two = open(&factory, &group, "two").await.unwrap();
    for wanted in &wanted {
        let batch = timeout(FAR, two.next_batch(10)).await.unwrap().unwrap();
        let batch = batch.map(|mut batch| {
            assert_eq!(batch.len(), 1, "it ends before an event that is refused");
            batch.remove(0)
        });
        assert_eq!(returned(batch), *wanted);
    }

    let (factory, stream, group) = group_with_events_that_are_none().await;
    let three = open(&factory, &group, "three").await.unwrap();
    let mut items: BoxStream<'_, _> = three.boxed();
    for wanted in &wanted {
        let item = timeout(FAR, items.next()).await.unwrap().unwrap();
        assert_eq!(returned(item), *wanted);
    }
    factory.controller().seal_stream(&stream).await.unwrap();
}
