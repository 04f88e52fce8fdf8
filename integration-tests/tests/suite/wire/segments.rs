//! Scenarios about segments: creation to deletion, merges, reads at the tail, attributes.

use std::time::Duration;

use bytes::Bytes;
use pravega_sdk_wire_protocol::{AttributeUpdate, WireCommand, commands::*};
use uuid::Uuid;

use super::requests::{create, delete, info, merge, no_token, read, seal, setup, truncate};
use super::store::Store;

pub(super) async fn segments(store: &Store) {
    let segment = store.new_segment().await;
    assert!(matches!(store.refused(create(&segment)).await, WireCommand::SegmentAlreadyExists(_)));
    let writer = store.set_up(&segment).await;
    assert!(matches!(store.append(writer, 1, b"0123456789").await, WireCommand::DataAppended(_)));
    let answer = store.ask(info(&segment)).await;
    assert_eq!((answer.write_offset, answer.start_offset, answer.is_sealed), (10, 0, false));
    let policy = UpdateSegmentPolicy {
        request_id: 0,
        segment: segment.as_str().into(),
        target_rate: 10,
        scale_type: 1,
        delegation_token: no_token(),
    };
    store.ask(policy).await;

    store.ask(truncate(&segment, 4)).await;
    match store.refused(truncate(&segment, 2)).await {
        WireCommand::SegmentIsTruncated(truncated) => {
            assert_eq!((truncated.start_offset, truncated.offset), (4, 2))
        }
        other => panic!("{other:?}"),
    }
    match store.refused(read(&segment, 0)).await {
        WireCommand::SegmentIsTruncated(truncated) => {
            assert_eq!((truncated.start_offset, truncated.offset), (4, 0))
        }
        other => panic!("{other:?}"),
    }
    let answer = store.ask(read(&segment, 4)).await;
    assert_eq!(answer.offset, 4);
    assert!(b"456789".starts_with(&answer.data) && !answer.data.is_empty(), "{:?}", answer.data);

    store.ask(seal(&segment)).await;
    assert!(matches!(store.refused(seal(&segment)).await, WireCommand::SegmentIsSealed(_)));
    let end = store.ask(read(&segment, 10)).await;
    assert!(end.end_of_segment && end.data.is_empty());
    store.ask(delete(&segment)).await;
    assert!(matches!(store.refused(delete(&segment)).await, WireCommand::NoSuchSegment(_)));
    assert!(matches!(store.refused(info(&segment)).await, WireCommand::NoSuchSegment(_)));
}

pub(super) async fn merges(store: &Store) {
    let (target, source) = (store.new_segment().await, store.new_segment().await);
    let writer = store.set_up(&source).await;
    store.append(writer, 1, b"abc").await;
    let counter = Uuid::new_v4();
    let unmatched = AttributeUpdate {
        attribute_id: counter,
        attribute_update_type: 4,
        new_value: 2,
        old_value: 1,
    };
    let conditional =
        MergeSegments { attribute_updates: vec![unmatched], ..merge(&target, &source) };
    assert!(matches!(
        store.refused(conditional).await,
        WireCommand::SegmentAttributeUpdated(SegmentAttributeUpdated { success: false, .. })
    ));
    assert_eq!(store.ask(merge(&target, &source)).await.new_target_write_offset, 3);
    assert!(matches!(
        store.refused(merge(&target, "nowhere/stream/0.#epoch.0")).await,
        WireCommand::NoSuchSegment(_)
    ));

    let sources = [store.new_segment().await, store.new_segment().await];
    for (source, data) in sources.iter().zip([&b"de"[..], b"fgh"]) {
        let writer = store.set_up(source).await;
        store.append(writer, 1, data).await;
    }
    let batch = MergeSegmentsBatch {
        request_id: 0,
        target_segment_id: target.as_str().into(),
        source_segment_ids: sources.iter().map(|source| source.as_str().into()).collect(),
        delegation_token: no_token(),
    };
    let merged = store.ask(batch).await.merged;
    assert_eq!(merged.iter().map(|part| part.new_target_write_offset).collect::<Vec<_>>(), [5, 8]);
    assert_eq!(store.read_all(&target, 8).await, b"abcdefgh");
}

pub(super) async fn transient_segments(store: &Store) {
    let parent = store.new_segment().await;
    let writer_id = Uuid::new_v4();
    let request = CreateTransientSegment {
        request_id: 0,
        writer_id,
        parent_segment: parent.as_str().into(),
        delegation_token: no_token(),
    };
    let transient = store.ask(request).await.segment.to_string();
    assert!(pravega_sdk_types::segment_name::is_transient(&transient), "{transient}");
    assert_eq!(pravega_sdk_types::segment_name::parent(&transient), Some(parent.as_str()));
    store.ask(setup(&transient, writer_id)).await;
    let block = ConditionalBlockEnd {
        writer_id,
        event_number: 0,
        expected_offset: 0,
        data: Bytes::from(vec![7; 1 << 20]),
        request_id: 0,
    };
    assert_eq!(store.ask(block).await.current_segment_write_offset, 1 << 20);
    assert_eq!(store.ask(merge(&parent, &transient)).await.new_target_write_offset, 1 << 20);
}

pub(super) async fn tail_reads(store: &Store) {
    let segment = store.new_segment().await;
    let writer_id = store.set_up(&segment).await;
    let (waited, appended) = tokio::join!(store.ask(read(&segment, 0)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.append(writer_id, 1, b"news").await
    });
    assert!(matches!(appended, WireCommand::DataAppended(_)));
    assert_eq!((waited.at_tail, &waited.data[..]), (true, &b"news"[..]));
    let (sealed, _) = tokio::join!(store.refused(read(&segment, 4)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.ask(seal(&segment)).await
    });
    assert!(matches!(sealed, WireCommand::SegmentIsSealed(SegmentIsSealed { offset: 4, .. })));
    let missing = store.refused(read("nowhere/stream/0.#epoch.0", 9)).await;
    assert!(matches!(missing, WireCommand::NoSuchSegment(NoSuchSegment { offset: 9, .. })));
}

pub(super) async fn attributes(store: &Store) {
    let segment = store.new_segment().await;
    let attribute_id = Uuid::new_v4();
    let get = || GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id,
        delegation_token: no_token(),
    };
    let set = |new_value, expected_value| UpdateSegmentAttribute {
        request_id: 0,
        segment_name: segment.as_str().into(),
        attribute_id,
        new_value,
        expected_value,
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(get()).await.value, i64::MIN);
    assert!(store.ask(set(7, i64::MIN)).await.success);
    assert!(!store.ask(set(8, 6)).await.success);
    assert_eq!(store.ask(get()).await.value, 7);
}
