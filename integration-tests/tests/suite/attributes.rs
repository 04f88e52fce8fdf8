//! Attributes of segments: read, compared and set, with lost replies.

use futures_util::future::join_all;
use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{
    self, factory,
    frames::{Fate, Frame, FrameProxy, Sender},
    new_stream,
    through::{store_of, through},
};
use pravega_sdk_segment_client::attributes::{
    AttributeId, AttributeValue, SegmentAttributes, Swap,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream};
use pravega_sdk_wire_protocol::{WireCommand, codes::FailureCode, commands::ErrorMessage};
use uuid::Uuid;

const MARK: AttributeId = AttributeId::new(Uuid::from_u128(0x5d3c_19a7_0b6e_4c1f_8f52_93d1_a0c4));

fn value(number: i64) -> Option<AttributeValue> {
    Some(number.try_into().unwrap())
}

async fn create() -> (ClientFactory, ScopedStream, SegmentAttributes) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let attributes = factory.segment_attributes(ScopedSegment::new(&stream, 0.into()));
    (factory, stream, attributes)
}

#[tokio::test]
async fn an_attribute_is_set_only_if_it_has_the_expected_value() {
    let (_, _, attributes) = create().await;
    assert_eq!(attributes.value(MARK).await.unwrap(), None);
    for (expected, new, result) in [
        (value(1), value(2), Swap::Different),
        (None, value(1), Swap::Set),
        (None, value(2), Swap::Different),
        (value(1), value(-5), Swap::Set),
        (value(-5), value(i64::MAX), Swap::Set),
        (value(i64::MAX), None, Swap::Set),
        (None, value(0), Swap::Set),
    ] {
        let before = attributes.value(MARK).await.unwrap();
        let swapped = attributes.compare_and_set(MARK, expected, new).await.unwrap();
        assert_eq!(swapped, result, "{expected:?} to {new:?}");
        let after = if swapped == Swap::Set { new } else { before };
        assert_eq!(attributes.value(MARK).await.unwrap(), after);
    }
}

#[tokio::test]
async fn of_many_clients_one_sets_each_value() {
    let (_, _, attributes) = create().await;
    let raise = |_| async {
        let mut set = 0;
        for _ in 0..20 {
            let before = attributes.value(MARK).await.unwrap();
            let next = before.map_or(0, AttributeValue::get) + 1;
            let swapped = attributes.compare_and_set(MARK, before, value(next)).await.unwrap();
            set += i64::from(swapped == Swap::Set);
        }
        set
    };
    let set: i64 = join_all((0..5).map(raise)).await.iter().sum();
    assert_eq!(attributes.value(MARK).await.unwrap(), value(set));
}

#[tokio::test]
async fn the_server_counts_the_events_of_a_segment() {
    let (factory, stream, attributes) = create().await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for number in 0..3 {
        writer.write("key", number.to_string()).await.unwrap();
    }
    assert_eq!(attributes.value(AttributeId::EVENT_COUNT).await.unwrap(), value(3));
    assert!(attributes.value(AttributeId::CREATION_TIME).await.unwrap() > value(1_500_000_000_000));
}

#[tokio::test]
async fn a_sealed_or_missing_segment_is_reported_as_such() {
    let (factory, stream, attributes) = create().await;
    assert_eq!(attributes.compare_and_set(MARK, None, value(7)).await.unwrap(), Swap::Set);
    factory.controller().seal_stream(&stream).await.unwrap();
    let error = attributes.compare_and_set(MARK, value(7), value(8)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Sealed, Outcome::NotApplied));
    assert_eq!(attributes.value(MARK).await.unwrap(), value(7), "it can still be read");
    factory.controller().delete_stream(&stream).await.unwrap();
    for error in [
        attributes.value(MARK).await.map(drop).unwrap_err(),
        attributes.compare_and_set(MARK, None, value(1)).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
        assert_eq!(error.stream(), Some(&stream));
        assert!(error.to_string().contains("there is no such segment"), "{error}");
    }
}

#[tokio::test]
async fn a_change_whose_reply_is_lost_is_unknown_and_not_sent_again() {
    let (factory, stream, attributes) = create().await;
    let store = store_of(&factory, &stream).await;
    let rule = |frame: &Frame| match &frame.command {
        WireCommand::SegmentAttributeUpdated(reply) => {
            let (segment, message) = ("".into(), "".into());
            let (request_id, error_code) = (reply.request_id, FailureCode::Unspecified);
            let lost = ErrorMessage { request_id, segment, message, error_code };
            Fate::Replace(Box::new(lost.into()))
        }
        _ => Fate::Forward,
    };
    let proxy = FrameProxy::start(store, rule).await;
    let context = through(&factory, proxy.address());
    let unlucky = SegmentAttributes::new(context, attributes.segment().clone());
    let error = unlucky.compare_and_set(MARK, None, value(1)).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let text = error.to_string();
    assert!(text.contains("it is not known whether the attribute was set"), "{text}");
    let is_change = |frame: &&Frame| {
        frame.sender == Sender::Client
            && matches!(frame.command, WireCommand::UpdateSegmentAttribute(_))
    };
    assert_eq!(proxy.seen().iter().filter(is_change).count(), 1);
    assert_eq!(attributes.value(MARK).await.unwrap(), value(1));
}

#[tokio::test]
async fn what_changes_a_segment_asks_for_a_token_that_allows_it() {
    // With accounts, a token that only allows reading is refused.
    let builder = harness::builder().with_account("ann", "secret");
    let server = builder.start().await.unwrap();
    let credentials = Credentials::basic("ann", "secret").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::new(config).unwrap();
    let new = async || new_stream(factory.controller(), 1).await;
    let stream = new().await;
    let attributes = factory.segment_attributes(ScopedSegment::new(&stream, 0.into()));
    assert_eq!(attributes.value(MARK).await.unwrap(), None);
    assert_eq!(attributes.compare_and_set(MARK, None, value(1)).await.unwrap(), Swap::Set);
    let mut bytes = factory.byte_writer(&stream).await.unwrap();
    bytes.write_bytes(b"some bytes".as_slice().into()).await.unwrap();
    bytes.flush().await.unwrap();
    bytes.truncate(Offset(4)).await.unwrap();
    bytes.seal().await.unwrap();
    let mut index = factory.index_writer(&new().await).await.unwrap();
    index.append(&[("time", 1)], b"record").await.unwrap();
    index.flush().await.unwrap();
    index.truncate(Offset(0)).await.unwrap();
}
