//! Key-value tables: keys of two parts in several partitions.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::KeyValueTableConfiguration;
use pravega_sdk_integration_tests::harness::factory;
use pravega_sdk_table_synchronizer::{
    Key, KeyChange, KeyCondition, KeyPut, KeyRemoval, KeyValueEntry, KeyValueTable, KeyVersion,
    KeyWatch, Keys, TableConfig, Version, WatchPosition,
};
use pravega_sdk_types::{ErrorKind, Outcome, SegmentId};

use super::segments::new_table;

/// A table with some partitions, whose keys have 4 and 2 bytes.
async fn create(partitions: u32) -> (ClientFactory, KeyValueTable) {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let configuration = KeyValueTableConfiguration::new(partitions, 4).with_secondary_key_length(2);
    factory.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let config = TableConfig::default().with_page_size(10);
    let table = factory.key_value_table_with(&name, config).await.unwrap();
    (factory, table)
}

fn key(primary: u32, secondary: u16) -> Key {
    Key::new(primary.to_be_bytes().to_vec()).with_secondary(secondary.to_be_bytes().to_vec())
}

#[tokio::test]
async fn a_key_is_inserted_once_and_changed_only_at_its_version() {
    let (_, table) = create(3).await;
    for primary in 0..20 {
        let key = key(primary, 7);
        assert_eq!(table.get(key.clone()).await.unwrap(), None);
        let first = table.insert(key.clone(), "1").await.unwrap();
        let twice = table.insert(key.clone(), "2").await.unwrap_err();
        let found = (twice.kind(), twice.outcome());
        assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::NotApplied), "{twice}");
        let second = table.put_at(key.clone(), "2", first).await.unwrap();
        assert_eq!(second.segment(), first.segment());
        let stale = table.put_at(key.clone(), "3", first).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::ConditionFailed);
        let third = table.put(key.clone(), "").await.unwrap();
        let entry = table.get(key.clone()).await.unwrap().unwrap();
        assert_eq!((entry.key, &entry.value[..], entry.version), (key.clone(), &b""[..], third));
        assert!(table.exists(key.clone()).await.unwrap());
        let stale = table.remove_at(key.clone(), second).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::ConditionFailed);
        table.remove_at(key.clone(), third).await.unwrap();
        table.remove(key.clone()).await.unwrap();
        assert!(!table.exists(key).await.unwrap());
    }
}

#[tokio::test]
async fn keys_with_one_primary_key_are_changed_together_or_not_at_all() {
    let (_, table) = create(2).await;
    let absent = KeyCondition::Absent;
    let puts = (0..5).map(|number| KeyPut::new(key(1, number), "1").when(absent));
    let versions = table.put_all(puts).await.unwrap();
    assert_eq!(versions.len(), 5);
    let mixed = [
        KeyPut::new(key(1, 0), "2").when(versions[0]),
        KeyPut::new(key(1, 9), "2").when(absent),
        KeyPut::new(key(1, 4), "2").when(absent),
    ];
    let refused = table.put_all(mixed).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionFailed);
    let entries = table.get_all((0..10).map(|number| key(1, number))).await.unwrap();
    let found: Vec<_> = entries.iter().flatten().map(|entry| entry.version).collect();
    assert_eq!(found, versions, "nothing was changed");
    let removals = (0..2).map(|number| KeyRemoval::new(key(1, number)).when(versions[0]));
    assert_eq!(table.remove_all(removals).await.unwrap_err().kind(), ErrorKind::ConditionFailed);
    table.remove_all((0..5).map(|number| KeyRemoval::new(key(1, number)))).await.unwrap();
    assert_eq!(table.entries(&Keys::all()).unwrap().count().await, 0);
    assert_eq!(table.put_all([]).await.unwrap(), []);
    table.remove_all([]).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_the_table_is_refused_before_it_is_sent() {
    let (_, table) = create(4).await;
    let version = table.insert(key(1, 1), "v").await.unwrap();
    let other = KeyVersion::new(
        SegmentId::from(i64::from(version.segment()) ^ 1),
        Version::new(version.version().get()).unwrap(),
    );
    let two = [KeyPut::new(key(1, 1), ""), KeyPut::new(key(2, 1), "")];
    let twice = [KeyPut::new(key(1, 1), ""), KeyPut::new(key(1, 1), "")];
    let many = (0..257).map(|number| KeyPut::new(key(1, number), ""));
    let both = || [(key(1, 1), version), (key(1, 2), other)].into_iter();
    let put = |(key, version): (Key, KeyVersion)| KeyPut::new(key, "new").when(version);
    let removal = |(key, version): (Key, KeyVersion)| KeyRemoval::new(key).when(version);
    for (error, text) in [
        (table.put_all(two).await.unwrap_err(), "key 1 has another primary key"),
        (table.put_all(twice).await.unwrap_err(), "key 1 is the same as key 0"),
        (table.put_all(many).await.unwrap_err(), "257 keys"),
        (table.put_at(key(1, 1), "", other).await.unwrap_err(), "read the key for its version"),
        (table.remove_at(key(1, 1), other).await.unwrap_err(), "key 0 is in partition"),
        (table.put_all(both().map(put)).await.unwrap_err(), "key 1 is in partition"),
        (table.remove_all(both().map(removal)).await.unwrap_err(), "key 1 is in partition"),
        (table.put("four", "").await.unwrap_err(), "a secondary key has 0 bytes"),
        (table.put(Key::new("five5").with_secondary("ab"), "").await.unwrap_err(), "5 bytes"),
        (table.put(key(1, 1), vec![0; 1_040_385]).await.unwrap_err(), "1040385 bytes"),
        (table.get("four").await.unwrap_err(), "a secondary key has 0 bytes"),
        (table.entries(&Keys::prefix("five5")).unwrap_err(), "the prefix of a primary key"),
        (table.entries(&Keys::of("four").secondary_prefix("abc")).unwrap_err(), "3 bytes"),
    ] {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{error}");
        let shown = error.to_string();
        assert!(shown.contains(text) && shown.contains(&table.table().to_string()), "{shown}");
    }
    let kept = table.get(key(1, 1)).await.unwrap().unwrap();
    assert_eq!((kept.value, kept.version), ("v".into(), version));
}

#[tokio::test]
async fn an_iteration_with_an_end_that_does_not_fit_the_keys_is_refused() {
    let (_, table) = create(2).await;
    let some = |end: &'static str| Some(Bytes::from(end));
    for (keys, text) in [
        (Keys::range(some("pri"), None), "a primary key has 3 bytes"),
        (Keys::range(some("prime"), some("prim")), "a primary key has 5 bytes"),
        (Keys::range(None, some("p")), "a primary key has 1 bytes"),
        (Keys::range(None, some("prime")), "a primary key has 5 bytes"),
        (Keys::of("pri"), "a primary key has 3 bytes"),
        (Keys::of("prime"), "a primary key has 5 bytes"),
        (Keys::of("pri").secondary_range(some("se"), None), "a primary key has 3 bytes"),
        (Keys::of("prime").secondary_prefix("s"), "a primary key has 5 bytes"),
        (Keys::of("prim").secondary_range(some("s"), None), "a secondary key has 1 bytes"),
        (Keys::of("prim").secondary_range(some("sec"), None), "a secondary key has 3 bytes"),
        (Keys::of("prim").secondary_range(None, some("s")), "a secondary key has 1 bytes"),
        (Keys::of("prim").secondary_range(None, some("sec")), "a secondary key has 3 bytes"),
        (Keys::prefix("prime"), "the prefix of a primary key has 5 bytes"),
        (Keys::of("prim").secondary_prefix("sec"), "the prefix of a secondary key has 3 bytes"),
    ] {
        let errors = [table.entries(&keys).map(drop), table.keys(&keys).map(drop)];
        for error in errors.map(Result::unwrap_err) {
            let found = (error.kind(), error.outcome());
            assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{error}");
            assert!(error.to_string().contains(text), "{error}: {text}");
        }
    }
}

#[tokio::test]
async fn entries_of_all_partitions_come_in_the_order_of_their_keys() {
    let (_, table) = create(5).await;
    for primary in (0..60).rev() {
        let puts = (0..3).map(|second| KeyPut::new(key(primary, second), format!("{primary}")));
        table.put_all(puts).await.unwrap();
    }
    let used: std::collections::BTreeSet<i64> = table
        .get_all((0..60).map(|primary| key(primary, 0)))
        .await
        .unwrap()
        .iter()
        .flatten()
        .map(|entry| entry.version.segment().into())
        .collect();
    assert_eq!(used.len(), 5, "every partition has some");
    let found: Vec<KeyValueEntry> =
        table.entries(&Keys::all()).unwrap().try_collect().await.unwrap();
    let keys: Vec<Key> = found.iter().map(|entry| entry.key.clone()).collect();
    let all: Vec<Key> = (0..60).flat_map(|p| (0..3).map(move |s| key(p, s))).collect();
    assert_eq!(keys, all);
    assert!(found.iter().all(|entry| {
        let primary: [u8; 4] = entry.key.primary()[..].try_into().unwrap();
        entry.value == u32::from_be_bytes(primary).to_string()
    }));
    let part = |keys: Keys| {
        let items = table.keys(&keys).unwrap();
        async { items.map_ok(|(key, _)| key).try_collect::<Vec<Key>>().await.unwrap() }
    };
    let bytes = |number: u32| Bytes::from(number.to_be_bytes().to_vec());
    let range = Keys::range(Some(bytes(10)), Some(bytes(12)));
    assert_eq!(part(range).await, &all[30..39]);
    assert_eq!(part(Keys::range(None, Some(bytes(0)))).await, &all[..3]);
    assert_eq!(part(Keys::prefix(vec![0, 0, 0])).await, all);
    assert_eq!(part(Keys::prefix(vec![0, 1])).await, []);
    assert_eq!(part(Keys::of(bytes(7))).await, &all[21..24]);
    let last = Keys::of(bytes(7)).secondary_range(Some(vec![0, 1].into()), None);
    assert_eq!(part(last).await, &all[22..24]);
    assert_eq!(part(Keys::of(bytes(7)).secondary_prefix(vec![1])).await, []);
}

#[tokio::test]
async fn a_table_that_is_gone_is_reported_as_such_and_a_new_one_is_empty() {
    let (factory, table) = create(2).await;
    let version = table.put(key(1, 1), "v").await.unwrap();
    factory.controller().delete_key_value_table(table.table()).await.unwrap();
    let missing = factory.key_value_table(table.table()).await.unwrap_err();
    assert_eq!((missing.kind(), missing.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    let text = format!("opening {}: there is no such table", table.table());
    assert_eq!(missing.to_string(), text);
    for error in [
        table.get(key(1, 1)).await.map(drop).unwrap_err(),
        table.put(key(1, 1), "").await.map(drop).unwrap_err(),
        table.remove(key(1, 1)).await.unwrap_err(),
        table.entries(&Keys::all()).unwrap().next().await.unwrap().map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    }
    let configuration = *table.configuration();
    factory.controller().create_key_value_table(table.table(), &configuration).await.unwrap();
    // Versions begin again in the new table, so what is known of the old one must not reach it.
    let gone = table.put_at(key(1, 1), "again", version).await.unwrap_err();
    assert_eq!((gone.kind(), gone.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    let again = factory.key_value_table(table.table()).await.unwrap();
    assert_eq!(again.get(key(1, 1)).await.unwrap(), None);
    let error = again.put_at(key(1, 1), "again", version).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("read the key for its version"), "{error}");
    again.insert(key(1, 1), "again").await.unwrap();
}

#[tokio::test]
async fn a_table_without_secondary_keys_takes_primary_keys_alone() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let configuration = KeyValueTableConfiguration::new(3, 4);
    factory.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let table = factory.key_value_table(&name).await.unwrap();
    for name in ["pear", "plum", "kiwi"] {
        table.insert(name, name.to_uppercase()).await.unwrap();
    }
    let found: Vec<KeyValueEntry> =
        table.entries(&Keys::prefix("p")).unwrap().try_collect().await.unwrap();
    let values: Vec<&Bytes> = found.iter().map(|entry| &entry.value).collect();
    assert_eq!(values, ["PEAR", "PLUM"]);
    assert!(table.get("fig").await.is_err(), "a key has 4 bytes");
    let secondary = Key::new("kiwi").with_secondary("2");
    assert!(table.get(secondary).await.is_err(), "the table has no secondary keys");
    for entry in found {
        let version = table.put_at(entry.key.clone(), "new", entry.version).await.unwrap();
        let stale = table.remove_at(entry.key.clone(), entry.version).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::ConditionFailed, "{stale}");
        table.remove_at(entry.key, version).await.unwrap();
    }
    let left: Vec<_> = table.keys(&Keys::all()).unwrap().try_collect().await.unwrap();
    assert_eq!(left.iter().map(|(key, _)| key.primary()).collect::<Vec<_>>(), ["kiwi"]);
}

/// The changes that come until some condition holds of all of them.
async fn changes(
    watch: &mut KeyWatch,
    is_enough: impl Fn(&[KeyChange]) -> bool,
) -> (Vec<KeyChange>, WatchPosition) {
    let mut all = Vec::new();
    loop {
        let next = watch.next().await.unwrap().unwrap();
        all.extend(next.changes);
        if is_enough(&all) {
            return (all, next.position);
        }
    }
}

#[tokio::test]
async fn a_watch_reports_each_change_and_is_resumed_from_a_position() {
    const PAUSE: Duration = Duration::from_millis(5);
    let (_, table) = create(3).await;
    for primary in 0..20 {
        table.insert(key(primary, 0), "old").await.unwrap();
    }
    let mut watch = table.watch(&WatchPosition::start(), PAUSE);
    let (found, _) = changes(&mut watch, |found| found.len() >= 20).await;
    assert!(found.len() == 20 && found.iter().all(|change| matches!(change, KeyChange::Put(_))));

    table.put(key(4, 0), "new").await.unwrap();
    table.remove(key(5, 0)).await.unwrap();
    let (found, position) = changes(&mut watch, |found| found.len() >= 2).await;
    let put = found.iter().find_map(|change| match change {
        KeyChange::Put(entry) => Some((entry.key.clone(), entry.value.clone())),
        _ => None,
    });
    assert_eq!(put, Some((key(4, 0), "new".into())));
    assert!(found.contains(&KeyChange::Removed(key(5, 0))), "{found:?}");
    drop(watch);

    let version = table.put(key(6, 0), "newest").await.unwrap();
    let mut watch = table.watch(&position, PAUSE);
    let (found, _) = changes(&mut watch, |found| !found.is_empty()).await;
    assert!(matches!(&found[..], [KeyChange::Put(entry)] if entry.version == version), "{found:?}");
}

#[tokio::test]
async fn a_watch_reports_a_removal_that_is_the_only_change() {
    let (_, table) = create(1).await;
    for number in 0..3 {
        table.insert(key(number, 0), "v").await.unwrap();
    }
    let mut watch = table.watch(&WatchPosition::start(), Duration::from_millis(5));
    changes(&mut watch, |found| found.len() >= 3).await;
    for number in 0..3 {
        table.remove(key(number, 0)).await.unwrap();
        let (found, _) = changes(&mut watch, |found| !found.is_empty()).await;
        assert_eq!(found, [KeyChange::Removed(key(number, 0))]);
    }
}
