//! Event pointers, positions and stream cuts of one client in the hands of the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use pravega_sdk_event_stream::{ReadEvent, codec::Utf8};
use pravega_sdk_integration_tests::harness::{FAR, eventually, read_all, scale_all};
use pravega_sdk_types::{
    BoundedCut, GroupStream, Position, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment,
    SegmentId, SegmentOffset, StreamCut,
};

use super::{
    log::{Ending, Log, Read, each_once},
    member::{Client, Member},
    mixed::{Mixed, logs_of, settings},
};

#[tokio::test(flavor = "multi_thread")]
async fn pointers_positions_and_cuts_of_each_client_are_used_by_the_other() {
    let mixed = Mixed::new(4, None).await;
    let members = mixed.join_both("of-exchange").await;
    mixed.write(50).await;
    mixed.share(4).await;
    mixed.write(100).await;
    mixed.all_are_read(&logs_of(&members), &BTreeSet::new()).await;
    pointers_are_exchanged(&mixed, &members).await;
    let start = cut_of_both(&mixed).await;
    positions_are_exchanged(&mixed, &members, &start).await;

    // A part of the stream with a scale in its middle, which further groups read.
    let before = mixed.written();
    scale_all(mixed.factory.controller(), &mixed.stream, 5).await;
    mixed.write(100).await;
    mixed.share(5).await;
    mixed.all_are_read(&logs_of(&members), &BTreeSet::new()).await;
    let end = cut_of_both(&mixed).await;
    let part = &mixed.written() - &before;
    mixed.write(50).await;
    tokio::join!(
        a_part_is_read(&mixed, Client::Java, &start, &end, &part),
        a_part_is_read(&mixed, Client::Rust, &start, &end, &part),
    );
}

async fn pointers_are_exchanged(mixed: &Mixed, [java, rust]: &[Member; 2]) {
    let batch = mixed.factory.batch_client(&mixed.stream).await.unwrap();
    let all = read_all(&mixed.factory, &mixed.stream).await;
    let pointer = |event: &ReadEvent<Bytes>| {
        (String::from_utf8(event.event().to_vec()).unwrap(), event.pointer().unwrap())
    };
    let pointers: BTreeMap<_, _> = all.iter().map(pointer).collect();
    let (of_java, of_rust) = (java.log.events(), rust.log.events());
    assert!(!of_java.is_empty() && !of_rust.is_empty());
    for read in of_java.iter().chain(&of_rust) {
        assert_eq!(read.pointer, pointers[&read.text]);
    }
    for read in of_java.iter().step_by(10) {
        assert_eq!(batch.fetch(&read.pointer, &Utf8).await.unwrap(), read.text);
    }
    for read in of_rust.iter().step_by(10) {
        let pointer = BASE64.encode(read.pointer.to_bytes().unwrap());
        let words = ["fetch", &java.id, &pointer];
        assert_eq!(mixed.java.ask(mixed.group.group(), &words).await, read.text);
    }
}

/// The positions of both readers after their last events are all segments at a cut.
async fn positions_are_exchanged(mixed: &Mixed, members: &[Member; 2], cut: &BoundedCut) {
    let mut positions = BTreeMap::new();
    for member in members {
        let position = member.log.events().last().unwrap().position.clone();
        let words = ["echo", &position.to_text().unwrap()];
        let echo = mixed.java.ask(mixed.group.group(), &words).await;
        assert_eq!(owned(&echo.parse().unwrap()), owned(&position));
        for (segment, offset) in owned(&position) {
            let before = positions.insert(segment.id(), offset);
            assert_eq!(before, None, "{segment} has one reader");
        }
    }
    let expected: BTreeMap<SegmentId, SegmentOffset> = cut.positions().collect();
    assert_eq!(positions, expected);
}

fn owned(position: &Position) -> BTreeMap<ScopedSegment, SegmentOffset> {
    position.owned().map(|(segment, offset)| (segment.clone(), offset)).collect()
}

/// Returns the cut at which the readers are, which is the same for both clients.
async fn cut_of_both(mixed: &Mixed) -> BoundedCut {
    let ours = mixed.group.generate_stream_cuts(FAR).await.unwrap();
    let theirs = mixed.java.ask(mixed.group.group(), &["cuts"]).await;
    let theirs: StreamCut = theirs.parse().unwrap();
    let theirs = theirs.bounded().unwrap().clone();
    assert_eq!(ours, std::slice::from_ref(&theirs));
    theirs
}

/// A client creates a group that reads between two cuts, and readers of both clients read it.
async fn a_part_is_read(
    mixed: &Mixed,
    creator: Client,
    start: &BoundedCut,
    end: &BoundedCut,
    expected: &BTreeSet<u32>,
) {
    let (stream, name) = (&mixed.stream, format!("part-of-{creator:?}"));
    let group = ScopedReaderGroup::new(stream.scope().clone(), name.parse().unwrap());
    let (from, to): (StreamCut, StreamCut) = (start.clone().into(), end.clone().into());
    match creator {
        Client::Java => {
            let (from, to) = (from.to_text(), to.to_text());
            let words = ["create", stream.stream().as_str(), &from, &to, "200", "300"];
            assert_eq!(mixed.java.ask(&group, &words).await, "true");
        }
        Client::Rust => {
            let part = GroupStream { stream: stream.clone(), from, to };
            let configuration = ReaderGroupConfiguration::bounded([part]).unwrap();
            let configuration = settings(configuration, Some(Duration::from_millis(300)));
            mixed.factory.create_reader_group(&group, &configuration).await.unwrap();
        }
    }
    let (java, rust) = (format!("java-in-{name}"), format!("rust-in-{name}"));
    let (java, rust) = tokio::join!(
        mixed.join_to(&group, Client::Java, &java),
        mixed.join_to(&group, Client::Rust, &rust)
    );
    let logs = [java.log.clone(), rust.log.clone()];
    eventually("the part is read", async || {
        logs.iter().map(|log| log.events().len()).sum::<usize>() >= expected.len()
    })
    .await;
    // A reader of Java waits for data at the end of a group where its segment goes on. It hands the
    // segment over at that place, and the other reader finds that it is the end.
    java.close().await;
    let has_ended = async || rust.log.ending() == Some(Ending::Read);
    eventually("the group is read to its end", has_ended).await;
    let reads: Vec<Read> = logs.iter().flat_map(Log::events).collect();
    assert_eq!(each_once(&reads), *expected, "in the group of {creator:?}");
}
