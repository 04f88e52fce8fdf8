//! Two that follow tables: a watch of the key-value table, and a reader of the changes of a hash
//! table.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_table_synchronizer::{
    Following, Key, KeyChange, KeyValueEntry, KeyValueTable, Keys, Known, Put, TableConfig,
    TableKind, TableSegment, WatchPosition,
};
use pravega_sdk_types::{Offset, ScopedKeyValueTable};
use tokio::{task::JoinHandle, time::sleep};

use super::{history::Shared, load::patient};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// The time after which all changes have been found: a watch scans every 64 rounds at least.
pub(super) const QUIET: Duration = Duration::from_secs(8);

/// A task that ends with this.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The entries that one of the two knows.
type View<K> = Arc<Mutex<BTreeMap<K, Bytes>>>;

fn copy<K: Clone + Ord>(view: &View<K>) -> BTreeMap<K, Bytes> {
    view.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Follows the key-value table by a watch.
pub(super) struct Watcher {
    view: View<Key>,
    context: SegmentContext,
    name: ScopedKeyValueTable,
    _task: Task,
}

impl Watcher {
    pub(super) fn start(
        context: SegmentContext,
        name: &ScopedKeyValueTable,
        config: TableConfig,
    ) -> Self {
        let view = View::default();
        let watching = watch(context.clone(), name.clone(), config, Arc::clone(&view));
        Self { view, context, name: name.clone(), _task: Task(tokio::spawn(watching)) }
    }

    /// Compares what the watch knows with the table.
    pub(super) async fn check(self, history: &Shared) {
        let opened = KeyValueTable::open(self.context, &self.name, patient()).await;
        let items = opened.expect("the controller answers").entries(&Keys::all());
        let entries = items.expect("all keys").try_collect::<Vec<KeyValueEntry>>().await;
        let entries = entries.expect("the stores answer");
        let held = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let known = copy(&self.view);
        if known != held {
            let detail = format!("a watch knows {known:?}, and the table holds {held:?}");
            history.lock().say("W1", detail);
        }
    }
}

/// Watches a table, and again from the start after each failure.
async fn watch(
    context: SegmentContext,
    name: ScopedKeyValueTable,
    config: TableConfig,
    view: View<Key>,
) {
    loop {
        view.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Ok(table) = KeyValueTable::open(context.clone(), &name, config.clone()).await {
            let mut changes = table.watch(&WatchPosition::start(), PAUSE);
            while let Some(Ok(found)) = changes.next().await {
                let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
                for change in found.changes {
                    match change {
                        KeyChange::Put(entry) => drop(view.insert(entry.key, entry.value)),
                        KeyChange::Removed(key) => drop(view.remove(&key)),
                        other => panic!("{other:?} is no change"),
                    }
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Puts entries into a hash table, and follows its changes.
pub(super) struct Follower {
    view: View<Bytes>,
    table: TableSegment,
    _tasks: [Task; 2],
}

impl Follower {
    pub(super) async fn start(
        context: SegmentContext,
        config: TableConfig,
        mut random: fastrand::Rng,
    ) -> Self {
        let name = "sim/followed".parse().expect("a name");
        let created = TableSegment::create(context, &name, 0.into(), TableKind::Hash, config).await;
        let (table, _) = created.expect("no fault yet");
        let view = View::default();
        let following = follow(table.clone(), Arc::clone(&view));
        let putting = {
            let table = table.clone();
            async move {
                for number in 0..60 {
                    let key = format!("key-{}", random.u32(0..20));
                    let put = Put::new(key, format!("{number}"));
                    // Where an outcome is unknown, the table tells it in the end.
                    drop(table.put([put]).await);
                    if random.bool() {
                        sleep(Duration::from_millis(random.u64(0..100))).await;
                    }
                }
            }
        };
        let tasks = [Task(tokio::spawn(following)), Task(tokio::spawn(putting))];
        Self { view, table, _tasks: tasks }
    }

    /// Compares what the changes told with the table.
    pub(super) async fn check(self, history: &Shared) {
        let entries: Vec<_> = self.table.entries().try_collect().await.expect("stores answer");
        let held = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let known = copy(&self.view);
        if known != held {
            let detail = format!("the changes tell {known:?}, and the table holds {held:?}");
            history.lock().say("W1", detail);
        }
    }
}

/// Follows the changes, and goes on after each failure.
async fn follow(table: TableSegment, view: View<Bytes>) {
    let mut position = Offset(0);
    loop {
        let mut deltas = table.deltas(position, Following::Every(PAUSE));
        while let Some(Ok(delta)) = deltas.next().await {
            let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
            if delta.known == Known::Obsolete {
                view.clear();
            }
            view.extend(delta.entries.into_iter().map(|entry| (entry.key, entry.value)));
            position = delta.position;
        }
        sleep(PAUSE).await;
    }
}
