//! How many requests a reader of a group makes.

use std::time::Duration;

use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupReader, GroupReaderConfig},
};
use pravega_sdk_integration_tests::harness::{
    factory,
    frames::{Fate, Frame, FrameProxy, Sender},
    new_stream,
    through::{store_of, through},
};
use tokio::time::Instant;

use super::support::{Reader, configuration, new_group, next_event, next_within, write};

const REFRESH: Duration = Duration::from_millis(300);

/// A reader of a group that takes no checkpoints by itself, through a proxy, with events to read.
async fn reader(events: u32) -> (Reader, FrameProxy) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let configuration = configuration(&stream)
        .with_refresh_interval(REFRESH)
        .with_automatic_checkpoint_interval(None);
    let group = new_group(&factory, &stream, 1, configuration, Vec::new()).await;
    write(&factory, &stream, 0..events).await;
    let store = store_of(&factory, &group.state_stream()).await;
    let proxy = FrameProxy::start(store, |_| Fate::Forward).await;
    let (context, id) = (through(&factory, proxy.address()), "one".parse().unwrap());
    let config = GroupReaderConfig::default();
    let mut reader = GroupReader::open(context, &group, &id, Utf8, config).await.unwrap();
    next_event(&mut reader).await;
    (reader, proxy)
}

/// The requests about the state of a group that have arrived at the proxy, but for leases.
fn requests(proxy: &FrameProxy) -> usize {
    let is_about_state = |frame: &Frame| {
        let text = format!("{:?}", frame.command);
        frame.sender == Sender::Client && text.contains("/_RG") && !text.contains("Attribute")
    };
    proxy.seen().iter().filter(|frame| is_about_state(frame)).count()
}

/// The requests that looks at the state may make in a time that has passed, one for each.
fn looks(begun: Instant) -> usize {
    (begun.elapsed().as_millis() / REFRESH.as_millis()) as usize + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_tail_of_an_idle_stream_makes_one_request_about_the_state_an_interval() {
    let (mut reader, proxy) = reader(1).await;
    // First it reports where it is, and reads that back.
    let mut idle = async || {
        let (begun, before) = (Instant::now(), requests(&proxy));
        assert!(next_within(&mut reader, 5 * REFRESH).await.is_none());
        (requests(&proxy) - before, looks(begun))
    };
    let mut made = Vec::new();
    for _ in 0..10 {
        let (requests, looks) = idle().await;
        made.push(requests);
        if (1..=looks).contains(&requests) {
            return;
        }
    }
    panic!("{made:?} requests in five intervals each");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_20_000_events_makes_at_most_five_requests_about_the_state() {
    let (mut reader, proxy) = reader(20_001).await;
    let (begun, before) = (Instant::now(), requests(&proxy));
    for _ in 0..20_000 {
        next_event(&mut reader).await;
    }
    // On a slow machine, the looks that are due.
    let (made, limit) = (requests(&proxy) - before, looks(begun).max(5));
    assert!(made <= limit, "{made} requests, {limit} at most");
}
