//! A segment store that contradicts the controller, as after a segment was restored by hand.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{
    ReadUntil, ReaderConfig,
    codec::Utf8,
    group::{GroupReaderConfig, HandOver},
};
use pravega_sdk_integration_tests::harness::{self, FAR, raw::Client, scale, unique};
use pravega_sdk_types::{
    Classified, ErrorKind, KeyRange, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment,
    ScopedStream, SegmentId, StreamPosition,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{DeleteSegment, SealSegment},
};
use tokio::time::timeout;

use super::support::{create, start, stream, write};

/// The time after which a segment that cannot be read is reported.
const STALL: Duration = Duration::from_millis(100);

/// A stream with events 3 and 4, whose first segment has a successor and is open: another client
/// has put an empty one in its place.
struct Reopened {
    stream: ScopedStream,
    segment: ScopedSegment,
    store: Client,
}

impl Reopened {
    async fn new(factory: &ClientFactory) -> Self {
        let controller = factory.controller();
        let stream = stream(factory, 1).await;
        write(factory, &stream, 0..3).await;
        let first = SegmentId::from(0);
        scale(controller, &stream, &[first], &KeyRange::equal(1)).await;
        write(factory, &stream, 3..5).await;
        let segment = ScopedSegment::new(&stream, first);
        let endpoint = controller.segment_endpoint(&segment).await.unwrap();
        let mut store = Client::to(endpoint.port()).await;
        let name = segment.to_string();
        let (request_id, delegation_token) = (1, "".into());
        let delete = DeleteSegment { request_id, segment: name.as_str().into(), delegation_token };
        let deleted = store.ask(delete).await;
        assert!(matches!(deleted, Some(WireCommand::SegmentDeleted(_))), "{deleted:?}");
        let created = store.ask(create(&name)).await;
        assert!(matches!(created, Some(WireCommand::SegmentCreated(_))), "{created:?}");
        Self { stream, segment, store }
    }

    async fn seal(&mut self) {
        let (request_id, delegation_token) = (2, "".into());
        let segment = self.segment.to_string().as_str().into();
        let seal = SealSegment { request_id, segment, delegation_token };
        let sealed = self.store.ask(seal).await;
        assert!(matches!(sealed, Some(WireCommand::SegmentSealed(_))), "{sealed:?}");
    }
}

/// Checks an error about a segment that is open.
fn is_open(error: &impl Classified) {
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let why = "it has the segment open, which others follow";
    assert!(causes.iter().any(|cause| cause.contains(why)), "{causes:?}");
}

#[tokio::test]
async fn a_read_up_to_the_tail_by_an_open_segment_with_successors_has_errors_until_it_is_sealed() {
    let (_server, factory) = start(harness::builder()).await;
    let mut reopened = Reopened::new(&factory).await;
    let config = ReaderConfig::default().with_end(ReadUntil::Tail).with_stall_timeout(STALL);
    let mut reader = factory.event_reader_with(&reopened.stream, Utf8, config).await.unwrap();
    for _ in 0..2 {
        let error = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.segment(), Some(reopened.segment.id()));
        is_open(&error);
    }
    reopened.seal().await;
    let mut events = Vec::new();
    while let Some(next) = timeout(FAR, reader.next()).await.unwrap() {
        match next {
            Ok(event) => events.push(event.into_event()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    assert_eq!(events, ["3", "4"]);
}

#[tokio::test]
async fn a_group_up_to_the_tail_by_an_open_segment_with_successors_has_errors_until_it_is_sealed() {
    let (_server, factory) = start(harness::builder()).await;
    let mut reopened = Reopened::new(&factory).await;
    let (stream, head) = (&reopened.stream, StreamPosition::Head);
    let part = factory.reader_group_part(stream, head, ReadUntil::Tail).await.unwrap();
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    let configuration = ReaderGroupConfiguration::bounded([part]).unwrap();
    let configuration = configuration.with_refresh_interval(Duration::from_millis(100));
    factory.create_reader_group(&group, &configuration).await.unwrap();
    let config = GroupReaderConfig::default()
        .with_reader(ReaderConfig::default().with_stall_timeout(STALL))
        .with_hand_over(HandOver::BetweenEvents);
    let id = "one".parse().unwrap();
    let mut reader = factory.group_reader_with(&group, &id, Utf8, config).await.unwrap();
    for _ in 0..2 {
        is_open(&timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap_err());
    }
    reopened.seal().await;
    let mut events = Vec::new();
    while let Some(next) = timeout(FAR, reader.next()).await.unwrap() {
        match next {
            Ok(item) => events.extend(item.into_event().map(|event| event.event().clone())),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    assert_eq!(events, ["3", "4"]);
}
