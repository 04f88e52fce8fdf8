//! Table synchronizers under faults: clients over connections that break change the same entries,
//! and each update takes effect once or not at all, in one order for all clients.

mod common;

use std::{pin::pin, sync::Arc, time::Duration};

use common::{Cluster, block_on, breaking, slow_cluster};
use futures_util::future::join_all;
use pravega_sdk_controller_client::Controller;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_simulation::{SimNetwork, World, client::segment_context};
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableConfig, TableError, TableSynchronizer, Update,
};
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::time::sleep;

type Table = TableSynchronizer<Utf8, Utf8>;

async fn open(context: SegmentContext) -> Result<Table, TableError> {
    // Small pages, so that reading takes several requests.
    let table = TableConfig::default().with_page_size(3);
    let config = SynchronizerConfig::default().with_table(table);
    TableSynchronizer::open(context, &"sim/agreed".parse().unwrap(), Utf8, Utf8, config).await
}

/// A client of its own, over links that break.
async fn client(cluster: &Cluster, seed: u64) -> Table {
    let network = breaking(&cluster.world, seed, 200..4000);
    let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
    let context = segment_context(controller, network);
    loop {
        if let Ok(table) = open(context.clone()).await {
            return table;
        }
    }
}

/// Appends a word to a text that all clients share, and removes and puts keys beside it. Each word
/// is appended at most once.
async fn append(table: &mut Table, word: &str) -> Result<Update<()>, TableError> {
    let beside = format!("key {}", word.len() % 3);
    let appended = table.update(|changes| {
        let text = changes.get("text")?.unwrap_or_default();
        if !changes.remove(beside.as_str())? {
            changes.put(beside.as_str(), word)?;
        }
        changes.put("text", format!("{text} {word}"))
    });
    appended.await
}

/// What the clients were told of their words.
#[derive(Debug, Default)]
struct Told {
    made: Vec<String>,
    unknown: Vec<String>,
    refused: Vec<String>,
}

/// Clients append words. Returns what they were told, and the text in the end.
async fn append_together(seed: u64) -> (Told, String) {
    let world = World::new(1);
    let cluster = Cluster::with_network(world.clone(), SimNetwork::perfect(&world), 1);
    let cluster = &cluster;
    let run = |number: u64| async move {
        let mut table = client(cluster, seed * 4 + number).await;
        let mut told = Told::default();
        let mut known = String::new();
        for at in 0..12 {
            let word = format!("{number}-{at}{}", "x".repeat(at % 4));
            match append(&mut table, &word).await {
                Ok(_) => told.made.push(word.clone()),
                Err(error) if error.outcome() == Outcome::Unknown => told.unknown.push(word),
                Err(error) => {
                    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
                    told.refused.push(word);
                    continue;
                }
            }
            // What a client sees is never older than what it has seen.
            let text = table.state().get("text").unwrap().unwrap_or_default();
            assert!(text.starts_with(&known), "seed {seed}: {known:?} became {text:?}");
            known = text;
            if at == 7 && number == 0 {
                table.clean().await.ok();
            }
        }
        (told, known)
    };
    let all = join_all((0..4).map(run)).await;
    let mut last = open(cluster.context()).await.unwrap();
    last.fetch().await.unwrap();
    let text = last.state().get("text").unwrap().unwrap_or_default();
    let mut told = Told::default();
    for (one, known) in all {
        assert!(text.starts_with(&known), "seed {seed}: a client saw {known:?}, not {text:?}");
        told.made.extend(one.made);
        told.unknown.extend(one.unknown);
        told.refused.extend(one.refused);
    }
    (told, text)
}

#[test]
fn each_update_is_made_once_and_all_clients_see_one_order() {
    let (mut made, mut unknown) = (0, 0);
    for seed in 0..60 {
        let (told, text) = block_on(append_together(seed));
        let count = |word: &String| text.split(' ').filter(|other| other == word).count();
        for word in &told.made {
            assert_eq!(count(word), 1, "seed {seed}: {word} in {text}");
        }
        for word in &told.unknown {
            assert!(count(word) <= 1, "seed {seed}: {word} in {text}");
        }
        for word in &told.refused {
            assert_eq!(count(word), 0, "seed {seed}: {word} in {text}");
        }
        made += told.made.len();
        unknown += told.unknown.len();
    }
    assert!(made > 1000, "{made} made, {unknown} unknown");
    // Receipts tell what a lost reply would have said.
    assert!(unknown * 20 < made, "{made} made, {unknown} unknown");
}

/// Every word twice: once in the text of each of two keys.
async fn move_between(table: &mut Table, from: &str, to: &str) -> Result<Update<()>, TableError> {
    let moved = table.update(|changes| {
        let number = |text: Option<String>| text.map_or(0, |text| text.parse::<i64>().unwrap());
        let (have, other) = (number(changes.get(from)?), number(changes.get(to)?));
        if have == 0 {
            return Ok(());
        }
        changes.put(from, (have - 1).to_string())?;
        changes.put(to, (other + 1).to_string())
    });
    moved.await
}

#[test]
fn what_is_moved_between_keys_is_in_one_of_them() {
    for seed in 0..30 {
        block_on(async {
            let world = World::new(1);
            let cluster = Cluster::with_network(world.clone(), SimNetwork::perfect(&world), 1);
            let mut first = open(cluster.context()).await.unwrap();
            let keys = ["a", "b", "c"];
            let filled =
                first.update(|changes| keys.iter().try_for_each(|key| changes.put(*key, "10")));
            filled.await.unwrap();
            let cluster = &cluster;
            let run = |number: usize| async move {
                let mut table = client(cluster, 1000 + seed * 3 + number as u64).await;
                for at in 0..15 {
                    let (from, to) = (keys[(number + at) % 3], keys[(number + 2 * at + 1) % 3]);
                    if from != to {
                        move_between(&mut table, from, to).await.ok();
                    }
                }
            };
            join_all((0..3).map(run)).await;
            first.fetch().await.unwrap();
            let state = first.state();
            let number = |key: &&str| state.get(*key).unwrap().unwrap().parse::<i64>().unwrap();
            assert_eq!(keys.iter().map(number).sum::<i64>(), 30, "seed {seed}");
        });
    }
}

#[test]
fn an_update_that_other_clients_overtake_a_hundred_times_is_given_up() {
    block_on(async {
        let cluster = slow_cluster();
        let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
        let fast = segment_context(controller, SimNetwork::perfect(&cluster.world));
        let mut other = open(fast).await.unwrap();
        other.update(|changes| changes.put("key", "first")).await.unwrap();
        let pause = Duration::from_millis(1);
        let config = SynchronizerConfig::default().with_backoff(pause, pause);
        let name = "sim/agreed".parse().unwrap();
        let opened = TableSynchronizer::open(cluster.context(), &name, Utf8, Utf8, config);
        let mut slow = opened.await.unwrap();
        let mut runs = 0;
        let updating = slow.update(|changes| {
            runs += 1;
            let text = changes.get("key")?.unwrap_or_default();
            changes.put("key", text + " and the slow one")
        });
        let overtaking = async {
            // More often than its requests take.
            loop {
                other.update(|changes| changes.put("key", "another")).await.unwrap();
                sleep(4 * pause).await;
            }
        };
        let error = tokio::select! {
            updated = updating => updated.unwrap_err(),
            () = overtaking => unreachable!(),
        };
        assert_eq!(runs, 100);
        let found = (error.kind(), error.outcome(), error.is_retryable());
        assert_eq!(found, (ErrorKind::LimitReached, Outcome::NotApplied, true), "{error}");
        slow.update(|changes| changes.put("key", "the slow one")).await.unwrap();
        assert_eq!(slow.state().get("key").unwrap().unwrap(), "the slow one");
    });
}

/// A table with so many entries, of keys and values of 10 bytes.
async fn filled(cluster: &Cluster, count: usize) {
    let config = SynchronizerConfig::default();
    let name = "sim/agreed".parse().unwrap();
    let opened = TableSynchronizer::open(cluster.context(), &name, Utf8, Utf8, config);
    let mut table = opened.await.unwrap();
    let keys: Vec<usize> = (0..count).collect();
    for keys in keys.chunks(250) {
        let put = table.update(|changes| {
            keys.iter().try_for_each(|key| changes.put(format!("{key:010}"), "0123456789"))
        });
        put.await.unwrap();
    }
}

#[test]
fn a_hundred_thousand_entries_are_within_the_limit_and_an_update_costs_the_change() {
    let updates = [1_000, 10_000, 100_000].map(|count| {
        block_on(async {
            let world = World::new(1);
            let cluster = Cluster::with_network(world.clone(), SimNetwork::perfect(&world), 1);
            filled(&cluster, count).await;
            // The default limit is 64 MiB.
            let config = SynchronizerConfig::default();
            let name = "sim/agreed".parse().unwrap();
            let opening = TableSynchronizer::open(cluster.context(), &name, Utf8, Utf8, config);
            let mut table = opening.await.unwrap();
            assert_eq!(table.state().len(), count);
            table.update(|changes| changes.put("0000000007", "first")).await.unwrap();
            let updating = table.update(|changes| {
                changes.get("0000000007")?;
                changes.put("0000000007", "second")
            });
            let (update, updated) = measured(updating).await;
            assert_eq!(updated.unwrap(), Update::Made(()));
            // What it had is what its end gives back.
            let held = -allocation_counter::measure(|| drop(table)).bytes_current;
            let max = (64 << 20) * i64::try_from(count).unwrap() / 100_000 + (64 << 10);
            assert!(held > 0 && held <= max, "{count} entries have {held} bytes");
            update
        })
    });
    assert!(updates[0] > 0 && updates[2] < 2 * updates[0], "bytes of one update: {updates:?}");
}

/// Returns how many bytes are allocated while a future is polled.
async fn measured<F: Future>(future: F) -> (u64, F::Output) {
    let (mut future, mut bytes) = (pin!(future), 0);
    let output = std::future::poll_fn(|cx| {
        let mut polled = std::task::Poll::Pending;
        let info = allocation_counter::measure(|| polled = future.as_mut().poll(cx));
        bytes += info.bytes_total;
        polled
    })
    .await;
    (bytes, output)
}
