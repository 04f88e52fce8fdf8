//! Segments that go from a reader of one client to one of the other.

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_integration_tests::harness::scale_all;

use super::{
    member::Client,
    mixed::{Mixed, are_in_order, logs_of},
};

/// The readers create the checkpoints at which segments are handed over.
const CHECKPOINTS: Option<Duration> = Some(Duration::from_millis(300));

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_from_readers_of_each_client_to_those_of_the_other_and_no_event_twice() {
    let mixed = Mixed::new(4, CHECKPOINTS).await;
    let none = BTreeSet::new();
    let mut last = mixed.join(Client::Rust, "reader-0").await;
    let mut logs = vec![last.log.clone()];
    for (number, client) in [(1, Client::Java), (2, Client::Rust), (3, Client::Java)] {
        // It has all segments.
        mixed.has_segments(&last.id, 4..).await;
        mixed.write(100).await;
        mixed.all_are_read(&logs, &none).await;
        // Another one joins, and gets a part of them.
        let next = mixed.join(client, &format!("reader-{number}")).await;
        logs.push(next.log.clone());
        mixed.has_segments(&next.id, 1..).await;
        mixed.write(100).await;
        mixed.all_are_read(&logs, &none).await;
        assert!(!next.log.events().is_empty(), "the reader of {client:?} reads its part");
        // The first one leaves, and the other gets the rest.
        last.close().await;
        last = next;
    }
    mixed.has_segments(&last.id, 4..).await;
    mixed.write(100).await;
    mixed.all_are_read(&logs, &none).await;
    last.close().await;
    mixed.all_are_read(&logs, &none).await;
    are_in_order(&logs);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_both_clients_read_each_event_once_while_the_stream_is_split_and_merged() {
    let mixed = Mixed::new(1, CHECKPOINTS).await;
    let members = mixed.join_both("of-scales").await;
    let logs = logs_of(&members);
    let none = BTreeSet::new();
    mixed.write(50).await;
    for (before, segments) in [(1, 6), (6, 1), (1, 4)] {
        // Readers of both clients have the segments that end, if there are several.
        for member in &members {
            mixed.has_segments(&member.id, usize::from(before > 1)..).await;
        }
        let controller = mixed.factory.controller();
        tokio::join!(scale_all(controller, &mixed.stream, segments), mixed.write_one_by_one(100));
        mixed.write(50).await;
        mixed.all_are_read(&logs, &none).await;
    }
    // The segments of the last scale are shared again.
    for member in &members {
        mixed.has_segments(&member.id, 1..).await;
    }
    mixed.write(100).await;
    mixed.all_are_read(&logs, &none).await;
    are_in_order(&logs);
    for member in members {
        assert!(member.log.events().len() > 50, "{} reads its part", member.id);
        member.close().await;
    }
}
