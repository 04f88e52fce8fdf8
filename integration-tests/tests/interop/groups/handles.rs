//! Reader groups shared with the Java client: a group that each client creates is described,
//! checkpointed, reset and deleted by the other.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Creation;
use pravega_sdk_event_stream::{codec::Utf8, group::Removal};
use pravega_sdk_integration_tests::harness::{FAR, eventually, factory, new_stream};
use pravega_sdk_types::{
    BoundedCut, Checkpoint, ErrorKind, Offset, Position, ReaderGroupConfiguration,
    ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId, SegmentOffset, StreamCut,
};

use crate::program;

async fn java(stream: &ScopedStream, group: &ScopedReaderGroup, arguments: &[&str]) -> Vec<String> {
    let place = [stream.scope().as_str(), stream.stream().as_str()];
    let arguments = [&[group.group().as_str()], arguments].concat();
    let printed = program::java("Groups", place, &arguments).await;
    printed.lines().map(ToOwned::to_owned).collect()
}

/// A configuration as the Java program creates it.
fn configuration(stream: &ScopedStream) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(Duration::from_secs(1))
}

fn name(stream: &ScopedStream) -> ScopedReaderGroup {
    ScopedReaderGroup::new(stream.scope().clone(), "shared".parse().unwrap())
}

/// Writes events of 20 bytes with their headers, to a stream of one segment.
async fn write(factory: &ClientFactory, stream: &ScopedStream, numbers: std::ops::Range<u32>) {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    for number in numbers {
        writer.write("key", &event(number)).await.unwrap();
    }
    writer.close(FAR).await.into_result().unwrap();
}

fn event(number: u32) -> String {
    format!("{number:012}")
}

fn cut(stream: &ScopedStream, offset: i64) -> BoundedCut {
    BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap()
}

fn text(cut: &BoundedCut) -> String {
    StreamCut::from(cut.clone()).to_text()
}

/// The cut that a line of the Java program has.
fn read(line: &str) -> BoundedCut {
    line.parse::<StreamCut>().unwrap().bounded().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_this_client_is_used_by_java() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..10).await;
    let name = name(&stream);
    let (group, _) = factory.create_reader_group(&name, &configuration(&stream)).await.unwrap();
    assert_eq!(java(&stream, &name, &["create", "2000"]).await, ["mismatch"]);
    assert_eq!(java(&stream, &name, &["create"]).await, ["true"], "it is the same");
    let described = java(&stream, &name, &["describe"]).await;
    assert_eq!((&*described[0], &*described[1]), ("", "1"));
    assert_eq!(read(&described[2]), cut(&stream, 0));
    assert_eq!(java(&stream, &name, &["unread"]).await, ["200"]);

    let checkpoint = java(&stream, &name, &["checkpoint", "theirs"]).await;
    let checkpoint = Checkpoint::from_bytes(&BASE64.decode(&checkpoint[0]).unwrap()).unwrap();
    assert_eq!(checkpoint, Checkpoint::new("theirs", [cut(&stream, 0)]));
    java(&stream, &name, &["reset-to-cut", &text(&cut(&stream, 40))]).await;
    let reset = group.describe().await.unwrap();
    assert_eq!(reset.configuration.generation(), Some(1));
    assert!(!reset.is_updating_configuration);
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 40)]);
    assert_eq!(group.unread_bytes().await.unwrap().total(), 160);
    let ours = Checkpoint::new("ours", [cut(&stream, 60)]).to_bytes().unwrap();
    java(&stream, &name, &["reset-to-checkpoint", &BASE64.encode(ours)]).await;
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 60)]);
    java(&stream, &name, &["delete"]).await;
    assert_eq!(group.describe().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_java_is_used_by_this_client_while_a_reader_of_java_reads() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    write(&factory, &stream, 0..10).await;
    let name = name(&stream);
    assert_eq!(java(&stream, &name, &["create"]).await, ["true"]);
    let (group, creation) =
        factory.create_reader_group(&name, &configuration(&stream)).await.unwrap();
    assert_eq!(creation, Creation::AlreadyExisted);
    let reader = |id: &'static str| {
        let (stream, name) = (stream.clone(), name.clone());
        tokio::spawn(async move { java(&stream, &name, &["read", id]).await })
    };
    let reads = async |offset: i64| {
        eventually("the reader of Java has read", async || {
            let described = group.describe().await.unwrap();
            let places = described.readers.iter().flat_map(|reader| &reader.segments);
            places
                .into_iter()
                .any(|place| place.reported.and_then(SegmentOffset::offset) == Some(Offset(offset)))
        })
        .await;
    };
    let first = reader("java-1");
    reads(200).await;
    let checkpoint = group.checkpoint("ours", FAR).await.unwrap();
    assert_eq!(checkpoint, Checkpoint::new("ours", [cut(&stream, 200)]));
    assert_eq!(group.generate_stream_cuts(FAR).await.unwrap(), [cut(&stream, 200)]);
    assert_eq!(group.unread_bytes().await.unwrap().of_reader("java-1"), 0);
    // The reader follows a reset.
    let back = configuration(&stream).with_starts([cut(&stream, 100)]).unwrap();
    group.reset(&back).await.unwrap();
    let read = first.await.unwrap();
    let expected: Vec<String> = (0..10).map(event).chain(["out of the group".into()]).collect();
    assert_eq!(read, expected);
    // Another one reads from there, and learns that it was taken out.
    let second = reader("java-2");
    reads(200).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let position = Position::new([(segment.clone(), Offset(160))], [(segment, None)]);
    assert_eq!(group.reader_offline("java-2", Some(&position)).await.unwrap(), Removal::Removed);
    let read = second.await.unwrap();
    let expected: Vec<String> = (5..10).map(event).chain(["out of the group".into()]).collect();
    assert_eq!(read, expected);
    // A third one begins at the position, and ends at a checkpoint.
    let third = reader("java-3");
    reads(200).await;
    group.checkpoint("stop", FAR).await.unwrap();
    let expected: Vec<String> = (8..10).map(event).chain(["stopped".into()]).collect();
    assert_eq!(third.await.unwrap(), expected);
    group.reset_to_last_checkpoint().await.unwrap();
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 200)]);
    group.delete().await.unwrap();
    assert_eq!(java(&stream, &name, &["describe"]).await, ["missing"]);
}
