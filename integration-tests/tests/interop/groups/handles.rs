//! A group that each client creates is described, checkpointed, reset and deleted by the other.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Creation;
use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{ReaderGroup, Removal},
};
use pravega_sdk_integration_tests::harness::{FAR, eventually, factory, new_stream};
use pravega_sdk_types::{
    BoundedCut, Checkpoint, ErrorKind, Offset, Position, ReaderGroupConfiguration,
    ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId, SegmentOffset, StreamCut,
};

use super::{
    java::Java,
    log::{Ending, Log},
    member::Member,
};

/// The refresh interval of the groups, in milliseconds.
const REFRESH: &str = "1000";

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

async fn create(
    java: &Java,
    group: &ScopedReaderGroup,
    stream: &ScopedStream,
    refresh: &str,
) -> String {
    let stream = stream.stream().as_str();
    java.ask(group, &["create", stream, "UNBOUNDED", "UNBOUNDED", refresh]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_this_client_is_used_by_java() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let java = Java::start(stream.scope());
    write(&factory, &stream, 0..10).await;
    let name = name(&stream);
    let (group, _) = factory.create_reader_group(&name, &configuration(&stream)).await.unwrap();
    assert_eq!(create(&java, &name, &stream, "2000").await, "mismatch");
    assert_eq!(create(&java, &name, &stream, REFRESH).await, "true", "it is the same");
    let described = java.ask(&name, &["describe"]).await;
    let found: StreamCut = described.strip_prefix("[] 1 ").unwrap().parse().unwrap();
    assert_eq!(found, cut(&stream, 0).into());
    assert_eq!(java.ask(&name, &["unread"]).await, "200");

    let checkpoint = java.ask(&name, &["checkpoint", "theirs"]).await;
    let checkpoint: Checkpoint = checkpoint.parse().unwrap();
    assert_eq!(checkpoint, Checkpoint::new("theirs", [cut(&stream, 0)]));
    let back = [stream.stream().as_str(), &text(&cut(&stream, 40))];
    java.ask(&name, &["reset-to-cut", REFRESH, back[0], back[1]]).await;
    let reset = group.describe().await.unwrap();
    assert_eq!(reset.configuration.generation(), Some(1));
    assert!(!reset.is_updating_configuration);
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 40)]);
    assert_eq!(group.unread_bytes().await.unwrap().total(), 160);
    let ours = Checkpoint::new("ours", [cut(&stream, 60)]).to_text().unwrap();
    java.ask(&name, &["reset-to-checkpoint", REFRESH, &ours]).await;
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 60)]);
    java.ask(&name, &["delete"]).await;
    assert_eq!(group.describe().await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Waits until a reader of the group has reported to be at an offset.
async fn reads_up_to(group: &ReaderGroup, offset: i64) {
    eventually("the reader of Java has read", async || {
        let described = group.describe().await.unwrap();
        let places = described.readers.iter().flat_map(|reader| &reader.segments);
        places
            .into_iter()
            .any(|place| place.reported.and_then(SegmentOffset::offset) == Some(Offset(offset)))
    })
    .await;
}

/// Waits until a reader is out of the group, and checks what it has read.
async fn has_read(log: &Log, numbers: std::ops::Range<u32>) {
    eventually("the reader is out of the group", async || log.ending() == Some(Ending::Removed))
        .await;
    assert_eq!(log.texts(), numbers.map(event).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_java_is_used_by_this_client_while_a_reader_of_java_reads() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let java = Java::start(stream.scope());
    write(&factory, &stream, 0..10).await;
    let name = name(&stream);
    assert_eq!(create(&java, &name, &stream, REFRESH).await, "true");
    let (group, creation) =
        factory.create_reader_group(&name, &configuration(&stream)).await.unwrap();
    assert_eq!(creation, Creation::AlreadyExisted);
    let first = Member::of_java(&java, &name, "java-1").await;
    reads_up_to(&group, 200).await;
    let checkpoint = group.checkpoint("ours", FAR).await.unwrap();
    assert_eq!(checkpoint, Checkpoint::new("ours", [cut(&stream, 200)]));
    assert_eq!(group.generate_stream_cuts(FAR).await.unwrap(), [cut(&stream, 200)]);
    assert_eq!(group.unread_bytes().await.unwrap().of_reader("java-1"), 0);
    // The reader follows a reset.
    let back = configuration(&stream).with_starts([cut(&stream, 100)]).unwrap();
    group.reset(&back).await.unwrap();
    has_read(&first.log, 0..10).await;
    // Another one reads from there, and learns that it was taken out.
    let second = Member::of_java(&java, &name, "java-2").await;
    reads_up_to(&group, 200).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let position = Position::new([(segment.clone(), Offset(160))], [(segment, None)]);
    assert_eq!(group.reader_offline("java-2", Some(&position)).await.unwrap(), Removal::Removed);
    has_read(&second.log, 5..10).await;
    // A third one begins at the position, and leaves after a checkpoint.
    let third = Member::of_java(&java, &name, "java-3").await;
    reads_up_to(&group, 200).await;
    group.checkpoint("stop", FAR).await.unwrap();
    let read = third.close().await;
    assert_eq!(read.texts(), (8..10).map(event).collect::<Vec<_>>());
    group.reset_to_last_checkpoint().await.unwrap();
    assert_eq!(group.stream_cuts().await.unwrap(), [cut(&stream, 200)]);
    group.delete().await.unwrap();
    assert_eq!(java.ask(&name, &["describe"]).await, "missing");
}
