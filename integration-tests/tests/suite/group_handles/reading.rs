//! Calls of a handle while readers read.

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Deletion;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupItem, GroupReader, ReaderGroup},
};
use pravega_sdk_integration_tests::harness::{FAR, eventually};
use pravega_sdk_types::ErrorKind;
use tokio::time::timeout;

use super::support::{group_of, write_range};

async fn open(factory: &ClientFactory, group: &ReaderGroup, id: &str) -> GroupReader<Utf8> {
    factory.group_reader(group.group(), &id.parse().unwrap(), Utf8).await.unwrap()
}

/// Reads until the reader is out of its group. Returns what it read before a checkpoint.
async fn read_to_checkpoint(mut reader: GroupReader<Utf8>) -> BTreeSet<String> {
    let (mut before, mut has_passed) = (BTreeSet::new(), false);
    loop {
        match timeout(FAR, reader.next()).await.unwrap().unwrap() {
            Ok(GroupItem::Event(event)) if !has_passed => {
                assert!(before.insert(event.event().to_string()), "it is read once");
            }
            Ok(GroupItem::Event(_)) => {}
            Ok(GroupItem::Checkpoint(name)) => has_passed |= &*name == "c",
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ReaderOffline, "{error}");
                assert!(has_passed, "the group was reset after the checkpoint");
                return before;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_to_a_checkpoint_divides_the_events_of_readers_that_read_all_the_time() {
    let (factory, stream, group) = group_of(4).await;
    write_range(&factory, &stream, 0..100).await;
    let readers = [open(&factory, &group, "one").await, open(&factory, &group, "two").await];
    let readers = readers.map(|reader| tokio::spawn(read_to_checkpoint(reader)));
    write_range(&factory, &stream, 100..150).await;
    let checkpoint = group.checkpoint("c", FAR).await.unwrap();
    assert_eq!(checkpoint.cut(&stream).unwrap().positions().len(), 4);
    write_range(&factory, &stream, 150..200).await;
    eventually("all is read", async || group.unread_bytes().await.unwrap().total() == 0).await;
    group.reset_to_last_checkpoint().await.unwrap();
    let mut read = BTreeSet::new();
    for reader in readers {
        read.append(&mut reader.await.unwrap());
    }
    let count = read.len();
    assert!(count <= 150, "what was written after the checkpoint is after it");
    let mut next = open(&factory, &group, "three").await;
    while read.len() < 200 {
        let item = timeout(FAR, next.next()).await.unwrap().unwrap().unwrap();
        if let Some(event) = item.into_event() {
            assert!(read.insert(event.into_event().to_string()), "it was before the checkpoint");
        }
    }

    // A reader that ends without leaving holds up a checkpoint.
    drop(next);
    let late = group.checkpoint("d", Duration::from_millis(500)).await.unwrap_err();
    assert_eq!(late.waiting_for(), ["three"], "{late}");
    group.reader_offline("three", None).await.unwrap();
    group.checkpoint("d", FAR).await.unwrap();
    let mut last = open(&factory, &group, "four").await;
    assert_eq!(group.delete().await.unwrap(), Deletion::Deleted);
    let error = loop {
        if let Err(error) = timeout(FAR, last.next()).await.unwrap().unwrap() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
