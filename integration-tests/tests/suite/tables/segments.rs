//! Table segments of both kinds: conditions, iterations, changes, limits.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{Creation, Deletion};
use pravega_sdk_integration_tests::harness::{factory, is_embedded, new_scope, unique};
use pravega_sdk_table_synchronizer::{
    Condition, Entry, Following, KeyLength, Known, Put, Removal, TableConfig, TableKind,
    TableSegment, put_batches,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedKeyValueTable};

const ANY: Condition = Condition::Any;

pub(super) fn fixed(len: u32) -> TableKind {
    TableKind::FixedKeys(KeyLength::new(len).unwrap())
}

pub(super) async fn new_table(factory: &ClientFactory) -> ScopedKeyValueTable {
    let scope = new_scope(factory.controller()).await;
    ScopedKeyValueTable::new(scope, unique("table").parse().unwrap())
}

async fn create(kind: TableKind) -> TableSegment {
    create_with(kind, TableConfig::default()).await
}

async fn create_with(kind: TableKind, config: TableConfig) -> TableSegment {
    let factory = factory().await;
    let table = new_table(&factory).await;
    let context = factory.segment_context();
    let created = TableSegment::create(context, &table, 0.into(), kind, config).await.unwrap();
    assert_eq!(created.1, Creation::Created);
    created.0
}

fn number(key: u32) -> Bytes {
    key.to_be_bytes().to_vec().into()
}

#[tokio::test]
async fn a_key_is_changed_only_if_its_version_is_the_one_given() {
    for kind in [TableKind::Hash, fixed(1)] {
        let table = create(kind).await;
        assert_eq!(table.get("k").await.unwrap(), None);
        let first = table.put([Put::new("k", "1").when(Condition::Absent)]).await.unwrap()[0];
        let entry = Entry { key: "k".into(), value: "1".into(), version: first };
        assert_eq!(table.get("k").await.unwrap(), Some(entry));
        let second = table.put([Put::new("k", "").when(first)]).await.unwrap()[0];
        assert!(second > first);
        assert_eq!(table.get("k").await.unwrap().unwrap().value, "", "empty is a value");
        for condition in [Condition::Absent, first.into()] {
            let put = table.put([Put::new("k", "x").when(condition)]).await.unwrap_err();
            assert_eq!(put.kind(), ErrorKind::ConditionFailed, "{put}");
            assert_eq!((put.outcome(), put.is_retryable()), (Outcome::NotApplied, false));
            let removal = table.remove([Removal::new("k").when(condition)]).await.unwrap_err();
            assert_eq!(removal.kind(), ErrorKind::ConditionFailed, "{removal}");
        }
        // The two kinds of tables refuse this in different ways.
        let absent = table.put([Put::new("m", "x").when(first)]).await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::ConditionFailed, "{absent}");
        table.remove([Removal::new("k").when(second)]).await.unwrap();
        table.remove([Removal::new("k")]).await.unwrap();
        table.remove([Removal::new("k").when(Condition::Absent)]).await.unwrap();
        assert_eq!(table.get("k").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_batch_is_put_as_a_whole_or_not_at_all() {
    let table = create(TableKind::Hash).await;
    let entries = |condition| [Put::new("a", "1"), Put::new("b", "2").when(condition)];
    let versions = table.put(entries(Condition::Absent)).await.unwrap();
    let found = table.read(["a", "b", "c"]).await.unwrap();
    let found: Vec<_> = found.iter().map(|entry| entry.as_ref().map(|e| e.version)).collect();
    assert_eq!(found, [Some(versions[0]), Some(versions[1]), None]);
    let refused = table.put(entries(Condition::Absent)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionFailed);
    let kept = table.get("a").await.unwrap().unwrap();
    assert_eq!(kept.version, versions[0], "the entry without a condition was not put either");
    let removal = [Removal::new("a"), Removal::new("b").when(versions[0])];
    assert_eq!(table.remove(removal).await.unwrap_err().kind(), ErrorKind::ConditionFailed);
    assert!(table.get("a").await.unwrap().is_some());
    assert_eq!(table.put([]).await.unwrap(), []);
}

#[tokio::test]
async fn an_iteration_returns_each_entry_once_in_the_order_of_the_keys() {
    for page_size in [1, 7, 1000] {
        let config = TableConfig::default().with_page_size(page_size);
        let table = create_with(fixed(4), config).await;
        let entries = (0..300).rev().map(|key| Put::new(number(key), format!("value {key}")));
        for batch in put_batches(entries) {
            table.put(batch).await.unwrap();
        }
        let found: Vec<Entry> = table.entries().try_collect().await.unwrap();
        let keys: Vec<Bytes> = found.iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(keys, (0..300).map(number).collect::<Vec<_>>());
        assert_eq!(found[77].value, "value 77");
        let part = table.keys_in(number(100)..=number(149)).unwrap();
        let part: Vec<Bytes> = part.map_ok(|key| key.key).try_collect().await.unwrap();
        assert_eq!(part, (100..150).map(number).collect::<Vec<_>>());
        let part = table.entries_in(number(298)..=number(u32::MAX)).unwrap();
        assert_eq!(part.count().await, 2);
        assert_eq!(table.entries_in(number(2)..=number(1)).unwrap().count().await, 0);
        assert!(table.keys_in(number(1)..=Bytes::from("long key")).is_err());
    }
}

#[tokio::test]
async fn an_iteration_over_a_hash_table_returns_each_entry_once() {
    let table = create_with(TableKind::Hash, TableConfig::default().with_page_size(7)).await;
    assert_eq!(table.keys().count().await, 0);
    let names: Vec<String> = (0..100).map(|key| format!("key {key:03}")).collect();
    table.put(names.iter().map(|name| Put::new(name.clone(), name.clone()))).await.unwrap();
    let mut found: Vec<Entry> = table.entries().try_collect().await.unwrap();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(
        found.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert!(found.iter().all(|entry| entry.key == entry.value));
    assert_eq!(table.keys().count().await, 100);
    let range = table.entries_in("a".into()..="b".into()).unwrap_err();
    assert_eq!(range.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn many_keys_are_read_in_their_order() {
    let table = create(fixed(4)).await;
    table.put((0..200).map(|key| Put::new(number(key), number(key)))).await.unwrap();
    let wanted: Vec<u32> = (0..400).map(|at| (at * 7) % 400).collect();
    let found = table.read(wanted.iter().map(|key| number(*key))).await.unwrap();
    for (key, entry) in wanted.iter().zip(found) {
        let expected = (*key < 200).then(|| number(*key));
        assert_eq!(entry.map(|entry| entry.value), expected, "{key}");
    }
    assert!(table.read(Vec::<Bytes>::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_changes_of_a_hash_table_are_read_from_any_position_on() {
    let table = create_with(TableKind::Hash, TableConfig::default().with_page_size(10)).await;
    table.put((0..25).map(|key| Put::new(number(key), "old"))).await.unwrap();
    let mut deltas = table.deltas(Offset(0), Following::UntilEnd);
    let (mut keys, mut middle) = (Vec::new(), None);
    while let Some(delta) = deltas.next().await {
        let delta = delta.unwrap();
        assert_eq!(delta.known, Known::Kept);
        keys.extend(delta.entries.iter().map(|entry| entry.key.clone()));
        middle.get_or_insert((delta.position, keys.len()));
    }
    keys.sort();
    assert_eq!(keys, (0..25).map(number).collect::<Vec<_>>());
    let (middle, count) = middle.unwrap();
    let rest: Vec<_> = table.deltas(middle, Following::UntilEnd).try_collect().await.unwrap();
    let rest: usize = rest.iter().map(|delta| delta.entries.len()).sum();
    assert_eq!(rest, 25 - count);

    let follow = Following::Every(std::time::Duration::from_millis(5));
    let mut following = table.deltas(deltas.position(), follow);
    let put = async { table.put([Put::new(number(3), "new")]).await.unwrap() };
    let (delta, _) = tokio::join!(following.next(), put);
    let delta = delta.unwrap().unwrap();
    assert_eq!((delta.entries.len(), &delta.entries[0].value[..]), (1, &b"new"[..]));
    assert_eq!(delta.position, table.info().await.unwrap().end);

    let mut beyond = table.deltas(Offset(i64::MAX), Following::UntilEnd);
    let error = beyond.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(beyond.next().await.is_none(), "an error is the last item");
    let mut fixed = create(fixed(4)).await.deltas(Offset(0), Following::UntilEnd);
    let error = fixed.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::NotApplied));
}

#[tokio::test]
async fn a_table_segment_is_created_once_described_and_deleted() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let create = |kind| {
        let (context, config) = (factory.segment_context(), TableConfig::default());
        TableSegment::create(context, &name, 0.into(), kind, config)
    };
    let missing = factory.table_segment(&name, 0.into()).await.unwrap_err();
    assert_eq!((missing.kind(), missing.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    let text = missing.to_string();
    assert!(text.starts_with(&format!("describing {name}, segment 0.#epoch.0 at ")), "{text}");
    assert!(text.ends_with(": there is no such table"), "{text}");

    let (table, creation) = create(fixed(8)).await.unwrap();
    assert_eq!(creation, Creation::Created);
    assert_eq!(create(fixed(8)).await.unwrap().1, Creation::AlreadyExisted);
    let other = create(TableKind::Hash).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists, "{other}");
    assert_eq!(factory.table_segment(&name, 0.into()).await.unwrap().kind(), fixed(8));
    let if_empty = table.delete_if_empty().await.unwrap_err();
    assert_eq!(if_empty.kind(), ErrorKind::Unsupported, "{if_empty}");
    assert_eq!(table.delete().await.unwrap(), Deletion::Deleted);
    assert_eq!(table.delete().await.unwrap(), Deletion::NotFound);
    assert_eq!(table.get("12345678").await.unwrap_err().kind(), ErrorKind::NotFound);
    let put = table.put([Put::new("12345678", "")]).await.unwrap_err();
    assert_eq!((put.kind(), put.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));

    // Of another kind; a Java server does not take the same name again for minutes.
    let other = new_table(&factory).await;
    let (context, config) = (factory.segment_context(), TableConfig::default());
    let created = TableSegment::create(context, &other, 0.into(), TableKind::Hash, config).await;
    let (table, _) = created.unwrap();
    table.put([Put::new("k", "v")]).await.unwrap();
    let info = table.info().await.unwrap();
    assert_eq!((info.end, info.kind), (Offset(19), TableKind::Hash));
    // A 0.13.0 server estimates it.
    assert!(info.entry_count == 1 || !is_embedded(), "{info:?}");
    let refused = table.delete_if_empty().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotEmpty, "{refused}");
    table.remove([Removal::new("k")]).await.unwrap();
    assert_eq!(table.delete_if_empty().await.unwrap(), Deletion::Deleted);
}

#[tokio::test]
async fn the_largest_entries_are_put_and_read_and_larger_ones_are_refused_before_they_are_sent() {
    let table = create(TableKind::Hash).await;
    let key = |number: u8| Bytes::from(vec![number + 1; 8192]);
    let value = Bytes::from(vec![7; 1_040_384 - 17]);
    // Together more than a frame, so in several requests.
    let entries = (0..17).map(|number| Put::new(key(number), value.clone()));
    for batch in put_batches(entries) {
        table.put(batch).await.unwrap();
    }
    let found = table.read((0..17).map(key)).await.unwrap();
    assert!(found.iter().flatten().all(|entry| entry.value == value) && found.len() == 17);
    assert_eq!(table.entries().count().await, 17);
    for refused in
        [Put::new(vec![0; 8193], ""), Put::new("", ""), Put::new("k", vec![0; 1_040_385]).when(ANY)]
    {
        let error = table.put([refused]).await.unwrap_err();
        let found = (error.kind(), error.endpoint());
        assert_eq!(found, (ErrorKind::InvalidArgument, None), "{error}");
    }
    assert_eq!(table.get("").await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}
