//! Scenarios about table segments.

use bytes::Bytes;
use pravega_sdk_wire_protocol::{IterationArgs, TableKey, WireCommand, commands::*};

use super::requests::{delta, entry, no_token, remove, update};
use super::store::Store;

pub(super) async fn hash_tables(store: &Store) {
    let table = store.new_table(0).await;
    let (none, absent) = (TableKey::NO_VERSION, TableKey::NOT_EXISTS);
    let versions =
        store.ask(update(&table, vec![entry(b"a", b"1", none), entry(b"bb", b"", absent)])).await;
    assert_eq!(versions.updated_versions.len(), 2);
    let bad = store.refused(update(&table, vec![entry(b"a", b"2", absent)])).await;
    assert!(matches!(bad, WireCommand::TableKeyBadVersion(_)));
    let missing = store.refused(update(&table, vec![entry(b"zz", b"2", 5)])).await;
    assert!(matches!(missing, WireCommand::TableKeyDoesNotExist(_)));

    let keys = [&b"a"[..], b"nope"].map(|key| TableKey { data: key.into(), key_version: none });
    let found = store
        .ask(ReadTable {
            request_id: 0,
            segment: table.as_str().into(),
            delegation_token: no_token(),
            keys: keys.to_vec(),
        })
        .await;
    assert_eq!(found.entries[0].value.data, "1");
    assert_eq!(found.entries[1].key.key_version, TableKey::NOT_EXISTS);

    let page = |continuation_token| ReadTableKeys {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_key_count: 10,
        args: IterationArgs { continuation_token, ..IterationArgs::default() },
    };
    let first = store.ask(page(Bytes::new())).await;
    assert_eq!(first.keys.len(), 2);
    assert!(store.ask(page(first.continuation_token)).await.keys.is_empty());
    let entries = ReadTableEntries {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_entry_count: 10,
        args: IterationArgs::default(),
    };
    assert_eq!(store.ask(entries).await.entries.len(), 2);
    let delta = store.ask(delta(&table)).await;
    assert!(delta.reached_end && delta.entries.len() == 2);

    let size = GetTableSegmentInfo {
        request_id: 0,
        segment_name: table.as_str().into(),
        delegation_token: no_token(),
    };
    assert_eq!(store.ask(size).await.key_length, 0);
    let drop_table = |must_be_empty| DeleteTableSegment {
        request_id: 0,
        segment: table.as_str().into(),
        must_be_empty,
        delegation_token: no_token(),
    };
    assert!(matches!(store.refused(drop_table(true)).await, WireCommand::TableSegmentNotEmpty(_)));
    store.ask(remove(&table, b"a", none)).await;
    store.ask(drop_table(false)).await;
    assert!(matches!(store.refused(drop_table(false)).await, WireCommand::NoSuchSegment(_)));
}

pub(super) async fn fixed_key_tables(store: &Store) {
    let table = store.new_table(2).await;
    let none = TableKey::NO_VERSION;
    store.ask(update(&table, vec![entry(b"aa", b"1", none), entry(b"bb", b"2", none)])).await;
    let wrong_length = store.refused(update(&table, vec![entry(b"a", b"1", none)])).await;
    assert!(matches!(wrong_length, WireCommand::ErrorMessage(_)));
    let range = ReadTableEntries {
        request_id: 0,
        segment: table.as_str().into(),
        delegation_token: no_token(),
        suggested_entry_count: 10,
        args: IterationArgs {
            from_key: Bytes::from_static(b"ab"),
            to_key: Bytes::from_static(b"zz"),
            ..IterationArgs::default()
        },
    };
    let found = store.ask(range).await.entries;
    assert_eq!(found.iter().map(|entry| &entry.key.data[..]).collect::<Vec<_>>(), [b"bb"]);
    assert!(matches!(store.refused(delta(&table)).await, WireCommand::OperationUnsupported(_)));
}
