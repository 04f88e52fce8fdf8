//! One client of a key-value table: it changes and reads keys over connections that break.

use std::{collections::BTreeMap, time::Duration};

use futures_util::TryStreamExt as _;
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_table_synchronizer::{
    Key, KeyCondition, KeyPut, KeyRemoval, KeyValueEntry, KeyValueTable, KeyVersion, Keys,
    TableConfig, TableError,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable};
use tokio::time::{Instant, sleep};

use super::history::{At, Condition, Ended, Family, Found, Item, Shared};

/// The number of primary keys.
pub(crate) const PRIMARIES: u8 = 3;
/// The number of secondary keys of each.
pub(crate) const SECONDARIES: u8 = 3;
/// The time that a call may take beyond its limit.
const SLACK: Duration = Duration::from_millis(100);
/// The pause before a table that cannot be opened is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// A client.
pub(crate) struct Client {
    pub(crate) context: SegmentContext,
    pub(crate) name: ScopedKeyValueTable,
    pub(crate) config: TableConfig,
    pub(crate) limit: Duration,
    pub(crate) random: fastrand::Rng,
    pub(crate) history: Shared,
    pub(crate) operations: u32,
    pub(crate) max_pause: Duration,
}

/// A table that a client has opened, and the versions that it has seen there.
pub(crate) struct Opened {
    pub(crate) table: KeyValueTable,
    id: i64,
    seen: BTreeMap<(u8, u8), KeyVersion>,
}

impl Opened {
    pub(crate) fn new(table: KeyValueTable) -> Self {
        let first = table.partitions().map(|part| i64::from(part.segment().id())).min();
        Self { table, id: first.unwrap_or_default(), seen: BTreeMap::new() }
    }

    fn family(&self, primary: u8) -> Family {
        Family { table: self.id, primary }
    }
}

pub(crate) fn key(primary: u8, secondary: u8) -> Key {
    Key::new(vec![b'a' + primary]).with_secondary(vec![b'a' + secondary])
}

fn parts(key: &Key) -> (u8, u8) {
    (key.primary()[0] - b'a', key.secondary()[0] - b'a')
}

fn at(version: KeyVersion) -> At {
    (version.segment().into(), version.version().get())
}

fn found(entry: &KeyValueEntry) -> Found {
    let text = std::str::from_utf8(&entry.value).expect("a value of a client");
    let put = text.trim_end_matches('.').parse().expect("a value of a client");
    let (_, secondary) = parts(&entry.key);
    Found { secondary, entry: Some((put, at(entry.version))) }
}

/// What a change did, as its error says.
fn end_of(error: &TableError) -> Ended {
    match (error.outcome(), error.kind()) {
        (Outcome::Unknown, _) => Ended::Unknown,
        (Outcome::Applied, _) => Ended::Made(None),
        (Outcome::NotApplied, ErrorKind::ConditionFailed) => Ended::Refused,
        (Outcome::NotApplied, _) => Ended::NotMade,
    }
}

impl Client {
    /// Makes all operations.
    pub(crate) async fn run(mut self) {
        let mut left = self.operations;
        while left > 0 {
            let opened = KeyValueTable::open(self.context.clone(), &self.name, self.config.clone());
            let Ok(table) = opened.await else {
                sleep(PAUSE).await;
                continue;
            };
            let mut opened = Opened::new(table);
            while left > 0 {
                left -= 1;
                if self.operate(&mut opened).await == Some(ErrorKind::NotFound) {
                    self.history.lock().count("table was deleted under a client");
                    break;
                }
                if self.random.u32(0..3) == 0 {
                    sleep(self.max_pause.mul_f64(self.random.f64())).await;
                }
            }
        }
    }

    /// Makes one operation; returns the kind of its failure.
    async fn operate(&mut self, opened: &mut Opened) -> Option<ErrorKind> {
        match self.random.u32(0..10) {
            0..4 => self.put(opened).await.err(),
            4..6 => self.remove(opened).await.err(),
            6..9 => self.read(opened).await.err(),
            _ => self.scan(opened).await.err(),
        }
    }

    fn condition(&mut self, opened: &Opened, key: (u8, u8)) -> (Condition, Option<KeyVersion>) {
        match (self.random.u32(0..4), opened.seen.get(&key)) {
            (0, _) => (Condition::Anything, None),
            (1, _) | (_, None) => (Condition::Absent, None),
            (_, Some(version)) => (Condition::At(at(*version)), Some(*version)),
        }
    }

    /// The keys of a change, and what is wanted of each.
    fn draw(&mut self, opened: &Opened) -> (u8, Vec<(u8, Condition, Option<KeyVersion>)>) {
        let primary = self.random.u8(0..PRIMARIES);
        let first = self.random.u8(0..SECONDARIES);
        let count = if self.random.u32(0..3) == 0 { self.random.u8(2..=SECONDARIES) } else { 1 };
        let secondary = |number: u8| (first + number) % SECONDARIES;
        let wanted = (0..count).map(secondary).map(|secondary| {
            let (condition, version) = self.condition(opened, (primary, secondary));
            (secondary, condition, version)
        });
        (primary, wanted.collect())
    }

    async fn put(&mut self, opened: &mut Opened) -> Result<(), ErrorKind> {
        let (primary, wanted) = self.draw(opened);
        let (mut items, mut puts) = (Vec::new(), Vec::new());
        for (secondary, condition, version) in wanted {
            let put = self.history.lock().new_put();
            items.push(Item { secondary, condition, put: Some(put) });
            let filler = ".".repeat(self.random.usize(0..40));
            let entry = KeyPut::new(key(primary, secondary), format!("{put}{filler}"));
            puts.push(match (condition, version) {
                (Condition::Absent, _) => entry.when(KeyCondition::Absent),
                (_, Some(version)) => entry.when(version),
                (_, None) => entry,
            });
        }
        let (begun, started) = (self.history.lock().now(), Instant::now());
        let put = opened.table.put_all(puts).await;
        let mut history = self.history.lock();
        history.took("a put", started.elapsed(), self.limit + SLACK);
        let end = match &put {
            Ok(versions) => {
                for (item, version) in items.iter().zip(versions) {
                    opened.seen.insert((primary, item.secondary), *version);
                }
                Ended::Made(Some(versions.iter().map(|version| at(*version)).collect()))
            }
            Err(error) => end_of(error),
        };
        history.changed(opened.family(primary), begun, items, end);
        put.map(drop).map_err(|error| error.kind())
    }

    async fn remove(&mut self, opened: &Opened) -> Result<(), ErrorKind> {
        let (primary, wanted) = self.draw(opened);
        let (mut items, mut removals) = (Vec::new(), Vec::new());
        for (secondary, condition, version) in wanted {
            // A removal on the condition that the key is absent is no use.
            let condition =
                if condition == Condition::Absent { Condition::Anything } else { condition };
            items.push(Item { secondary, condition, put: None });
            let removal = KeyRemoval::new(key(primary, secondary));
            removals.push(match version {
                Some(version) => removal.when(version),
                None => removal,
            });
        }
        let (begun, started) = (self.history.lock().now(), Instant::now());
        let removed = opened.table.remove_all(removals).await;
        let mut history = self.history.lock();
        history.took("a removal", started.elapsed(), self.limit + SLACK);
        let end = match &removed {
            Ok(()) => Ended::Made(None),
            Err(error) => end_of(error),
        };
        history.changed(opened.family(primary), begun, items, end);
        removed.map_err(|error| error.kind())
    }

    async fn read(&mut self, opened: &mut Opened) -> Result<(), ErrorKind> {
        let primary = self.random.u8(0..PRIMARIES);
        let wanted: Vec<u8> = (0..SECONDARIES).filter(|_| self.random.bool()).collect();
        let keys = wanted.iter().map(|secondary| key(primary, *secondary));
        let (begun, started) = (self.history.lock().now(), Instant::now());
        let read = opened.table.get_all(keys).await;
        let mut history = self.history.lock();
        history.took("a read", started.elapsed(), self.limit + SLACK);
        let entries = read.map_err(|error| error.kind())?;
        let pairs = wanted.iter().zip(&entries).map(|(secondary, entry)| match entry {
            Some(entry) => found(entry),
            None => Found { secondary: *secondary, entry: None },
        });
        history.read(opened.family(primary), begun, pairs.collect());
        opened.learn(&entries);
        Ok(())
    }

    /// Iterates over all keys, or those of one primary key.
    async fn scan(&mut self, opened: &mut Opened) -> Result<(), ErrorKind> {
        let of = self.random.bool().then(|| self.random.u8(0..PRIMARIES));
        scan(opened, of, &self.history).await
    }
}

/// Settings of what checks the outcome.
pub(crate) fn patient() -> TableConfig {
    TableConfig::default().with_timeout(Duration::from_secs(60)).with_page_size(3)
}

/// Iterates over all keys, or those of one primary key.
pub(crate) async fn scan(
    opened: &mut Opened,
    of: Option<u8>,
    history: &Shared,
) -> Result<(), ErrorKind> {
    let keys = of.map_or_else(Keys::all, |primary| Keys::of(vec![b'a' + primary]));
    let begun = history.lock().now();
    let kind = |error: TableError| error.kind();
    let items = opened.table.entries(&keys).map_err(kind)?;
    let entries: Vec<KeyValueEntry> = items.try_collect().await.map_err(kind)?;
    let mut history = history.lock();
    history.count("table scanned");
    let listed: Vec<(u8, u8)> = entries.iter().map(|entry| parts(&entry.key)).collect();
    if !listed.is_sorted_by(|one, other| one < other) {
        history.say("C11", format!("an iteration returned {listed:?}"));
    }
    for primary in (0..PRIMARIES).filter(|primary| of.is_none_or(|of| of == *primary)) {
        let all = (0..SECONDARIES).map(|secondary| {
            let entry = entries.iter().find(|entry| parts(&entry.key) == (primary, secondary));
            entry.map_or(Found { secondary, entry: None }, found)
        });
        history.read(opened.family(primary), begun, all.collect());
    }
    let entries: Vec<Option<KeyValueEntry>> = entries.into_iter().map(Some).collect();
    opened.learn(&entries);
    Ok(())
}

impl Opened {
    fn learn(&mut self, entries: &[Option<KeyValueEntry>]) {
        for entry in entries.iter().flatten() {
            self.seen.insert(parts(&entry.key), entry.version);
        }
    }
}
