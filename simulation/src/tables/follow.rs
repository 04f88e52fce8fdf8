//! Three that follow tables: a watch of the key-value table, one that is resumed all the time, and
//! a reader of the changes of a hash table.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_table_synchronizer::{
    Following, Key, KeyChange, KeyValueEntry, KeyValueTable, KeyVersion, Keys, Known, Put,
    TableConfig, TableKind, TableSegment, WatchPosition,
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

/// The puts that a watch has reported which is resumed all the time.
#[derive(Default)]
struct Reported {
    versions: HashSet<KeyVersion>,
    /// Those that were reported again.
    repeated: Vec<KeyVersion>,
}

/// Follows the key-value table by two watches.
pub(super) struct Watcher {
    view: View<Key>,
    reported: Arc<Mutex<Reported>>,
    context: SegmentContext,
    name: ScopedKeyValueTable,
    _tasks: [Task; 2],
}

impl Watcher {
    pub(super) fn start(
        context: SegmentContext,
        name: &ScopedKeyValueTable,
        config: TableConfig,
    ) -> Self {
        let (view, reported) = (View::default(), Arc::default());
        let watching = watch(context.clone(), name.clone(), config.clone(), Arc::clone(&view));
        let resuming = resume(context.clone(), name.clone(), config, Arc::clone(&reported));
        let tasks = [Task(tokio::spawn(watching)), Task(tokio::spawn(resuming))];
        Self { view, reported, context, name: name.clone(), _tasks: tasks }
    }

    /// Compares what the watches know with the table.
    pub(super) async fn check(self, history: &Shared) {
        let opened = KeyValueTable::open(self.context, &self.name, patient()).await;
        let items = opened.expect("the controller answers").entries(&Keys::all());
        let entries = items.expect("all keys").try_collect::<Vec<KeyValueEntry>>().await;
        let entries = entries.expect("the stores answer");
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &entries {
            if !reported.versions.contains(&entry.version) {
                history.lock().say("W2", format!("a resumed watch has missed {entry:?}"));
            }
        }
        for version in &reported.repeated {
            history.lock().say("W2", format!("a resumed watch has reported {version} again"));
        }
        let held = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let known = copy(&self.view);
        if known != held {
            let detail = format!("a watch knows {known:?}, and the table holds {held:?}");
            history.lock().say("W1", detail);
        }
    }
}

/// Watches a table, and again from the position after some changes, or after a failure.
async fn resume(
    context: SegmentContext,
    name: ScopedKeyValueTable,
    config: TableConfig,
    reported: Arc<Mutex<Reported>>,
) {
    let (mut position, mut wanted) = (WatchPosition::start(), 1);
    loop {
        if let Ok(table) = KeyValueTable::open(context.clone(), &name, config.clone()).await {
            let text = position.to_string();
            position = text.parse().expect("the text of a position");
            let mut changes = table.watch(&position, PAUSE);
            while let Some(Ok(found)) = changes.next().await {
                let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
                let count = found.changes.len().min(wanted);
                for change in found.changes.iter().take(count) {
                    if let KeyChange::Put(entry) = change
                        && !reported.versions.insert(entry.version)
                    {
                        reported.repeated.push(entry.version);
                    }
                }
                position = found.position_after(count);
                wanted = wanted % 5 + 1;
                if count < found.changes.len() || wanted == 1 {
                    break;
                }
            }
        }
        sleep(PAUSE).await;
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
