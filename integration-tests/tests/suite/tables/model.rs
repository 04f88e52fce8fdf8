//! A key-value table beside a model of it: after each kind of change all ways to read agree.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_controller_client::KeyValueTableConfiguration;
use pravega_sdk_integration_tests::harness::factory;
use pravega_sdk_table_synchronizer::{
    Key, KeyCondition, KeyPut, KeyRemoval, KeyValueTable, KeyVersion, Keys, MAX_VALUE_LEN,
    TableConfig,
};
use pravega_sdk_types::{ErrorKind, Outcome};

use super::segments::new_table;

const PRIMARY: u32 = 12;
const SECONDARY: u16 = 5;

/// A table of four partitions, whose keys have 4 and 2 bytes and which is read in small pages.
async fn create() -> KeyValueTable {
    create_with(KeyValueTableConfiguration::new(4, 4).with_secondary_key_length(2)).await
}

async fn create_with(configuration: KeyValueTableConfiguration) -> KeyValueTable {
    let factory = factory().await;
    let name = new_table(&factory).await;
    factory.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let config = TableConfig::default().with_page_size(4);
    factory.key_value_table_with(&name, config).await.unwrap()
}

/// Primary keys that are spread over their range.
fn primary(number: u32) -> Bytes {
    number.wrapping_mul(2_654_435_761).to_be_bytes().to_vec().into()
}

fn key(first: u32, second: u16) -> Key {
    Key::new(primary(first)).with_secondary(second.to_be_bytes().to_vec())
}

/// The entries by the bytes of their keys, as the table should have them.
#[derive(Default)]
struct Model {
    entries: BTreeMap<(Bytes, Bytes), (Bytes, KeyVersion)>,
    /// The secondary keys under each primary key; a single empty one in a table without them.
    seconds: Vec<Bytes>,
}

impl Model {
    fn with_secondary_keys() -> Self {
        let seconds = (0..SECONDARY).map(|second| second.to_be_bytes().to_vec().into());
        Self { seconds: seconds.collect(), ..Self::default() }
    }

    fn without_secondary_keys() -> Self {
        Self { seconds: vec![Bytes::new()], ..Self::default() }
    }

    fn keys_of(&self, first: u32) -> Vec<Key> {
        let key = |second: &Bytes| Key::new(primary(first)).with_secondary(second.clone());
        self.seconds.iter().map(key).collect()
    }

    fn place(key: &Key) -> (Bytes, Bytes) {
        (key.primary().clone(), key.secondary().clone())
    }

    fn version(&self, key: &Key) -> KeyVersion {
        self.entries[&Self::place(key)].1
    }

    /// Puts a value under all keys of one primary key, each on a condition.
    async fn put(
        &mut self,
        table: &KeyValueTable,
        first: u32,
        value: &str,
        condition: impl Fn(&Self, &Key) -> KeyCondition,
    ) {
        let put = |key: Key| {
            let condition = condition(self, &key);
            KeyPut::new(key, value.to_owned()).when(condition)
        };
        let puts: Vec<KeyPut> = self.keys_of(first).into_iter().map(put).collect();
        let versions = table.put_all(puts).await.unwrap();
        assert_eq!(versions.len(), self.seconds.len());
        for (key, version) in self.keys_of(first).into_iter().zip(versions) {
            let entry = (value.to_owned().into(), version);
            let before = self.entries.insert(Self::place(&key), entry);
            assert!(before.is_none_or(|(_, before)| before != version), "a version came twice");
        }
    }

    /// Compares the table with the model, by single reads, reads of many keys, and iterations.
    async fn check(&self, table: &KeyValueTable) {
        // The last primary key has no entries.
        let all: Vec<Key> = (0..=PRIMARY).flat_map(|first| self.keys_of(first)).collect();
        let read = table.get_all(all.clone()).await.unwrap();
        assert_eq!(read.len(), all.len());
        for (key, read) in all.iter().zip(read) {
            let read = read.map(|entry| (entry.value, entry.version));
            assert_eq!(read.as_ref(), self.entries.get(&Self::place(key)), "{key:?}");
        }
        for key in all.iter().step_by(7) {
            let found = table.get(key.clone()).await.unwrap();
            let found = found.map(|entry| (entry.value, entry.version));
            assert_eq!(found.as_ref(), self.entries.get(&Self::place(key)), "{key:?}");
            assert_eq!(table.exists(key.clone()).await.unwrap(), found.is_some());
        }
        self.check_part(table, &Keys::all(), |_| true).await;
    }

    /// Compares an iteration over entries, and one over keys, with the model.
    async fn check_part(
        &self,
        table: &KeyValueTable,
        keys: &Keys,
        is_in: impl Fn(&(Bytes, Bytes)) -> bool,
    ) {
        let expected: Vec<_> = self.entries.iter().filter(|(place, _)| is_in(place)).collect();
        let entries: Vec<_> = table.entries(keys).unwrap().try_collect().await.unwrap();
        let found: Vec<_> = entries
            .into_iter()
            .map(|entry| (Self::place(&entry.key), (entry.value, entry.version)))
            .collect();
        assert!(found.iter().map(|(place, value)| (place, value)).eq(expected.iter().copied()));
        let keys: Vec<_> = table.keys(keys).unwrap().try_collect().await.unwrap();
        let found = keys.iter().map(|(key, version)| (Self::place(key), *version));
        assert!(
            found.eq(expected.iter().map(|(place, (_, version))| ((*place).clone(), *version)))
        );
    }
}

#[tokio::test]
async fn a_table_is_as_its_model_after_each_kind_of_change() {
    follow(&create().await, Model::with_secondary_keys()).await;
}

#[tokio::test]
async fn a_table_without_secondary_keys_is_as_its_model_after_each_kind_of_change() {
    let table = create_with(KeyValueTableConfiguration::new(4, 4)).await;
    follow(&table, Model::without_secondary_keys()).await;
}

/// Makes each kind of change of all keys, and compares the table with the model after it.
async fn follow(table: &KeyValueTable, mut model: Model) {
    model.check(table).await;
    for first in 0..PRIMARY {
        model.put(table, first, "inserted", |_, _| KeyCondition::Absent).await;
        let again = model.keys_of(first).into_iter();
        let again = again.map(|key| KeyPut::new(key, "").when(KeyCondition::Absent));
        let refused = table.put_all(again).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConditionFailed);
    }
    model.check(table).await;
    for first in 0..PRIMARY {
        let keys = model.keys_of(first);
        let stale = model.version(&keys[0]);
        model.put(table, first, "put", |_, _| KeyCondition::Any).await;
        // One wrong version refuses the puts and the removals of all.
        let condition = |at: usize| if at == 0 { stale } else { model.version(&keys[at]) };
        let puts = keys.iter().enumerate();
        let puts = puts.map(|(at, key)| KeyPut::new(key.clone(), "stale").when(condition(at)));
        let removals = keys.iter().enumerate();
        let removals = removals.map(|(at, key)| KeyRemoval::new(key.clone()).when(condition(at)));
        for refused in [
            table.put_all(puts).await.map(drop).unwrap_err(),
            table.remove_all(removals).await.unwrap_err(),
        ] {
            let found = (refused.kind(), refused.outcome());
            assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::NotApplied), "{refused}");
        }
    }
    model.check(table).await;
    for first in 0..PRIMARY {
        model.put(table, first, "put at", |model, key| model.version(key).into()).await;
    }
    model.check(table).await;
    // With versions and without, together and one by one.
    for first in (0..PRIMARY).step_by(2) {
        let removals = model.keys_of(first).into_iter().map(|key| {
            let version = model.version(&key);
            KeyRemoval::new(key).when(version)
        });
        table.remove_all(removals).await.unwrap();
        for key in model.keys_of(first + 1) {
            table.remove(key).await.unwrap();
        }
    }
    model.entries.clear();
    model.check(table).await;
    for first in 0..PRIMARY {
        model.put(table, first, "inserted again", |_, _| KeyCondition::Absent).await;
    }
    model.check(table).await;
}

#[tokio::test]
async fn an_iteration_has_the_keys_of_its_range_whatever_its_ends_are() {
    let (table, mut model) = (create().await, Model::with_secondary_keys());
    for first in 0..PRIMARY {
        model.put(&table, first, "v", |_, _| KeyCondition::Absent).await;
    }
    let mut primaries: Vec<Bytes> = (0..PRIMARY).map(primary).collect();
    primaries.sort();
    for skipped in 0..primaries.len() / 2 {
        let (from, to) = (&primaries[skipped], &primaries[primaries.len() - 1 - skipped]);
        let range = Keys::range(Some(from.clone()), Some(to.clone()));
        model.check_part(&table, &range, |(key, _)| (from..=to).contains(&key)).await;
        let open = Keys::range(Some(from.clone()), None);
        model.check_part(&table, &open, |(key, _)| key >= from).await;
    }
    let second = |number: u16| Bytes::from(number.to_be_bytes().to_vec());
    for of in primaries.iter().step_by(3) {
        for skipped in 0..SECONDARY / 2 {
            let (from, to) = (second(skipped), second(SECONDARY - 1 - skipped));
            let range = Keys::of(of.clone()).secondary_range(Some(from.clone()), Some(to.clone()));
            let is_in =
                |(key, second): &(Bytes, Bytes)| key == of && (&from..=&to).contains(&second);
            model.check_part(&table, &range, is_in).await;
        }
    }
}

#[tokio::test]
async fn keys_of_wrong_lengths_are_refused_in_every_call() {
    let table = create().await;
    let long = MAX_VALUE_LEN + 1;
    table.put(key(1, 1), vec![7; MAX_VALUE_LEN]).await.unwrap();
    assert_eq!(table.get(key(1, 1)).await.unwrap().unwrap().value.len(), MAX_VALUE_LEN);
    let mut refused = vec![table.put(key(1, 1), vec![7; long]).await.map(drop).unwrap_err()];
    for (first, second) in [(3, 2), (5, 2), (4, 1), (4, 3), (4, 0), (0, 2)] {
        let key = || Key::new(vec![0; first]).with_secondary(vec![0; second]);
        refused.extend([
            table.put(key(), "").await.map(drop).unwrap_err(),
            table.insert(key(), "").await.map(drop).unwrap_err(),
            table.remove(key()).await.unwrap_err(),
            table.get(key()).await.map(drop).unwrap_err(),
            table.exists(key()).await.map(drop).unwrap_err(),
        ]);
    }
    for error in refused {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{error}");
    }
}

#[tokio::test]
async fn changes_over_a_limit_are_refused_and_any_number_of_keys_is_read() {
    let table = create().await;
    let many = || (0..257).map(|second| key(1, second));
    let large = (0..17).map(|second| KeyPut::new(key(1, second), vec![7; MAX_VALUE_LEN]));
    for error in [
        table.put_all(many().map(|key| KeyPut::new(key, "v"))).await.map(drop).unwrap_err(),
        table.remove_all(many().map(KeyRemoval::new)).await.unwrap_err(),
        table.put_all(large).await.map(drop).unwrap_err(),
    ] {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{error}");
    }
    assert!(table.get_all(many()).await.unwrap().iter().all(Option::is_none));
    // More than one request may have, in all partitions, of some megabytes.
    let keys: Vec<Key> = (0..300).map(|number| key(number, 0)).collect();
    for (number, key) in keys.iter().enumerate() {
        let value = vec![u8::try_from(number % 251).unwrap(); 20_000];
        table.put(key.clone(), value).await.unwrap();
    }
    let found = table.get_all(keys.clone()).await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (number, (key, entry)) in keys.iter().zip(found).enumerate() {
        let entry = entry.unwrap();
        assert_eq!((&entry.key, entry.value.len()), (key, 20_000));
        assert_eq!(usize::from(entry.value[0]), number % 251);
    }
}
