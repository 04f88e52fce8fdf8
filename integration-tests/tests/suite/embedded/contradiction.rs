//! A segment store that contradicts the controller, as after a segment was restored by hand.

use std::{error::Error as _, time::Duration};

use pravega_sdk_event_stream::{ReadUntil, ReaderConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{self, FAR, raw::Client, scale};
use pravega_sdk_types::{ErrorKind, KeyRange, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{DeleteSegment, SealSegment},
};
use tokio::time::timeout;

use super::support::{create, start, stream, write};

#[tokio::test]
async fn a_read_up_to_the_tail_by_an_open_segment_with_successors_has_errors_until_it_is_sealed() {
    let (_server, factory) = start(harness::builder()).await;
    let controller = factory.controller();
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..3).await;
    let first = SegmentId::from(0);
    scale(controller, &stream, &[first], &KeyRange::equal(1)).await;
    write(&factory, &stream, 3..5).await;
    // Another client puts an empty segment in place of the one that was sealed.
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

    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let config = config.with_stall_timeout(Duration::from_millis(100));
    let mut reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
    for _ in 0..2 {
        let error = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.segment()), (ErrorKind::Unavailable, Some(first)));
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("it has the segment open, which others follow"), "{cause}");
    }
    let (request_id, delegation_token) = (2, "".into());
    let seal = SealSegment { request_id, segment: name.as_str().into(), delegation_token };
    let sealed = store.ask(seal).await;
    assert!(matches!(sealed, Some(WireCommand::SegmentSealed(_))), "{sealed:?}");
    let mut events = Vec::new();
    while let Some(next) = timeout(FAR, reader.next()).await.unwrap() {
        match next {
            Ok(event) => events.push(event.into_event()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    assert_eq!(events, ["3", "4"]);
}
