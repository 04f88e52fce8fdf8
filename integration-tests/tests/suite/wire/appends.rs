//! Scenarios about appends: blocks, conditions, event numbers.

use bytes::Bytes;
use pravega_sdk_types::ErrorKind;
use pravega_sdk_wire_protocol::{WireCommand, commands::*, event::Event};
use uuid::Uuid;

use super::requests::{append, no_token, seal, setup};
use super::store::{Store, see};

pub(super) async fn appends(store: &Store) {
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    // Whole block, block with padding, block with a split event, and an end by itself.
    let whole = AppendBlock { writer_id, data: Bytes::from_static(b"whole") };
    store.send(whole);
    let end = AppendBlockEnd {
        size_of_whole_events: 5,
        ..append(store.connection.next_id(), writer_id, 1, b"")
    };
    assert!(matches!(store.exchange(end).await, WireCommand::DataAppended(_)));
    for (nested, rest, number) in [
        (WireCommand::from(Padding { length: 4 }), &b""[..], 2),
        (PartialEvent { data: Bytes::from_static(b"par") }.into(), b"tial", 3),
    ] {
        see(nested.name());
        let mut frame = pravega_sdk_wire_protocol::SendBuffer::new();
        nested.encode(&mut frame).unwrap();
        store
            .send(AppendBlock { writer_id, data: [b"x".to_vec(), frame.to_vec()].concat().into() });
        let end = AppendBlockEnd {
            size_of_whole_events: 1,
            ..append(store.connection.next_id(), writer_id, number, rest)
        };
        match store.exchange(end).await {
            WireCommand::DataAppended(appended) => assert_eq!(appended.event_number, number),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.read_all(&segment, 14).await, b"wholexxpartial");

    let conditional = |event_number, expected_offset| ConditionalAppend {
        writer_id,
        event_number,
        expected_offset,
        event: Event { data: Bytes::from_static(b"event") },
        request_id: 0,
    };
    assert!(matches!(
        store.refused(conditional(4, 3)).await,
        WireCommand::ConditionalCheckFailed(_)
    ));
    assert_eq!(store.ask(conditional(5, 14)).await.current_segment_write_offset, 14 + 13);
    let block = ConditionalBlockEnd {
        writer_id,
        event_number: 6,
        expected_offset: 27,
        data: Bytes::from_static(b"raw"),
        request_id: 0,
    };
    assert_eq!(store.ask(block).await.current_segment_write_offset, 30);

    // The server finds the last event number by the writer's id.
    let again = store.ask(setup(&segment, writer_id)).await;
    assert_eq!(again.last_event_number, 6);
    let attribute = GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id: writer_id,
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(attribute).await.value, 6);

    store.ask(seal(&segment)).await;
    match store.append(writer_id, 7, b"late").await {
        WireCommand::SegmentIsSealed(sealed) => {
            assert_eq!(sealed.offset, 7, "it is the event number")
        }
        other => panic!("{other:?}"),
    }
    let nowhere = store.refused(setup("nowhere/stream/0.#epoch.0", Uuid::new_v4())).await;
    assert!(matches!(nowhere, WireCommand::NoSuchSegment(NoSuchSegment { offset: -1, .. })));
}

/// Two connections with one writer id: the older one gets an error and is closed.
pub(super) async fn event_numbers(store: &Store) {
    let segment = store.new_segment().await;
    let other = Store::to(store.connection.endpoint()).await;
    let writer_id = store.set_up(&segment).await;
    store.append(writer_id, 1, b"a").await;
    other.ask(setup(&segment, writer_id)).await;
    other.append(writer_id, 5, b"b").await;
    match store.append(writer_id, 6, b"c").await {
        WireCommand::InvalidEventNumber(invalid) => assert_eq!(invalid.event_number, 6),
        other => panic!("{other:?}"),
    }
    // A number that is less than the last one closes the connection without a reply.
    let backwards =
        other.connection.exchange(append(77, writer_id, 2, b"d").into()).await.unwrap_err();
    assert_eq!(backwards.kind(), ErrorKind::ConnectionLost);
}
