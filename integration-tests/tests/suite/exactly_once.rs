//! Exactly once where an append arrives late, an ack is lost, or a token has expired.
//!
//! A proxy holds frames back, so that a seal or a truncation comes between two of them.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{AccessOperation, Credentials};
use pravega_sdk_event_stream::{EventWriter, LargeEvents, WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{
    self, FAR, eventually, factory,
    frames::{ConnectionNumber, Fate, Frame, FrameProxy, Sender},
    is_embedded, new_stream, read_all, scale_all,
    through::{store_of, through},
    tokens,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::WireCommand;

fn quick() -> WriterConfig {
    WriterConfig::default().with_backoff(Duration::from_millis(5), Duration::from_millis(50))
}

async fn texts(factory: &ClientFactory, stream: &ScopedStream) -> Vec<String> {
    let events = read_all(factory, stream).await;
    events.iter().map(|read| String::from_utf8(read.event().to_vec()).unwrap()).collect()
}

fn is_append(command: &WireCommand) -> bool {
    matches!(command, WireCommand::AppendBlock(_) | WireCommand::AppendBlockEnd(_))
}

fn is_merge(command: &WireCommand) -> bool {
    matches!(command, WireCommand::MergeSegments(_))
}

/// Holds back the frames for which `is_held` returns true on the first two connections that have
/// one.
fn hold_on_two(is_held: fn(&WireCommand) -> bool) -> impl FnMut(&Frame) -> Fate + Send {
    let mut held: Vec<ConnectionNumber> = Vec::new();
    move |frame| {
        if frame.sender != Sender::Client || !is_held(&frame.command) {
            return Fate::Forward;
        }
        if !held.contains(&frame.connection) && held.len() < 2 {
            held.push(frame.connection);
        }
        if held.contains(&frame.connection) { Fate::Hold } else { Fate::Forward }
    }
}

/// Writes `event`; its frame arrives after the client has connected again, and before the seal that
/// the repeated frame meets.
async fn late_before_a_seal(
    event: &str,
    config: WriterConfig,
    is_held: fn(&WireCommand) -> bool,
    is_result: fn(&WireCommand) -> bool,
) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let store = store_of(&factory, &stream).await;
    let proxy = FrameProxy::start(store, hold_on_two(is_held)).await;
    let context = through(&factory, proxy.address());
    let writer = EventWriter::open(context, &stream, Utf8, config).await.unwrap();
    let ack = writer.enqueue("key", event).await.unwrap();
    let first = proxy.wait_for("the first attempt", |frame| is_held(&frame.command)).await;
    proxy.abandon(first);
    let repeated = |frame: &Frame| is_held(&frame.command) && frame.connection != first;
    let second = proxy.wait_for("the second attempt", repeated).await;

    proxy.release(first);
    let answered = |frame: &Frame| frame.connection == first && is_result(&frame.command);
    proxy.wait_for("the store has applied the first attempt", answered).await;
    scale_all(factory.controller(), &stream, 1).await;
    proxy.release(second);
    let sealed = |frame: &Frame| {
        frame.connection == second && matches!(frame.command, WireCommand::SegmentIsSealed(_))
    };
    proxy.wait_for("the second attempt meets the seal", sealed).await;
    let stored = ack.await.unwrap();
    assert_eq!(stored.segment().id(), SegmentId::from(0), "it was stored before the seal");

    writer.write("key", "the next").await.unwrap();
    assert!(texts(&factory, &stream).await == [event, "the next"], "stored once, in order");
    assert!(writer.close(FAR).await.into_result().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_arrives_late_and_before_a_seal_is_stored_once() {
    let is_result = |command: &WireCommand| matches!(command, WireCommand::DataAppended(_));
    late_before_a_seal("the first", quick(), is_append, is_result).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_whose_merge_arrives_late_and_before_a_seal_is_stored_once() {
    let config = quick().with_max_event_bytes(10_000).with_large_events(LargeEvents::UpTo(1 << 20));
    // The parts of the event were appended, and acknowledged, before.
    let is_result = |command: &WireCommand| matches!(command, WireCommand::SegmentsMerged(_));
    late_before_a_seal(&"large ".repeat(5_000), config, is_merge, is_result).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_ack_is_lost_and_whose_segment_is_truncated_away_has_an_unknown_outcome() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let store = store_of(&factory, &stream).await;
    let acknowledges = |frame: &Frame| matches!(frame.command, WireCommand::DataAppended(_));
    let mut is_lost = false;
    let rule = move |frame: &Frame| {
        if acknowledges(frame) && !std::mem::replace(&mut is_lost, true) {
            Fate::Lose
        } else {
            Fate::Forward
        }
    };
    let proxy = FrameProxy::start(store, rule).await;
    let context = through(&factory, proxy.address());
    let writer = EventWriter::open(context, &stream, Utf8, quick()).await.unwrap();
    let ack = writer.enqueue("key", "in doubt").await.unwrap();
    let connection = proxy.wait_for("the ack that is lost", acknowledges).await;
    proxy.refuse(true);
    proxy.abandon(connection);

    let mut reader = factory.event_reader(&stream, Utf8).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().event(), "in doubt");
    scale_all(factory.controller(), &stream, 1).await;
    let batch = factory.batch_client(&stream).await.unwrap();
    factory.controller().truncate_stream(&batch.tail_cut().await.unwrap()).await.unwrap();
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    eventually("the segment is truncated away", async || {
        let found = factory.segment_context().inspect(&segment).await;
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    })
    .await;
    proxy.refuse(false);
    let missing = |frame: &Frame| matches!(frame.command, WireCommand::NoSuchSegment(_));
    proxy.wait_for("the set-up is refused", missing).await;
    let error = ack.await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(texts(&factory, &stream).await, Vec::<String>::new(), "it is not written again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_is_answered_by_a_close_gets_another_token() {
    if !is_embedded() {
        // The module of the interop suite does it on a Java server with accounts.
        return;
    }
    let builder = harness::builder().with_account("ann", "secret").with_standing_clock();
    let server = builder.start().await.unwrap();
    let credentials = Credentials::basic("ann", "secret").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::new(config).unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    // The client's clock does not go on: the cached token is good for ten minutes by it.
    factory.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    server.advance_clock(Duration::from_secs(11 * 60)).unwrap();
    tokens::a_writer_replaces_a_token_after_which_connections_are_closed(&factory, &stream, None)
        .await;
}
