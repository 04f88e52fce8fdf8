//! Tables under faults: many clients change the same keys over connections that break, and every
//! change takes effect once or not at all, as its client was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all};
use pravega_sdk_controller_client::{Controller, KeyValueTableConfiguration};
use pravega_sdk_segment_client::{context::SegmentContext, seeded_bugs::SeededBug};
use pravega_sdk_simulation::{SimController, SimNetwork, World, client::segment_context, tables};
use pravega_sdk_table_synchronizer::{
    Condition, Following, Key, KeyChange, KeyPut, KeyValueTable, Put, Removal, TableConfig,
    TableError, TableKind, TableSegment, Values, WatchPosition,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedKeyValueTable};
use pravega_sdk_wire_protocol::WireCommand;

use crate::common::{Cluster, block_on, breaking, happened::Happened, poll_times, slow_cluster};

/// A table on a store, and links to it that work.
async fn new_table(world: &World) -> (Cluster, TableSegment) {
    let cluster = Cluster::with_network(world.clone(), SimNetwork::perfect(world), 1);
    let table = open(&cluster, TableConfig::default()).await;
    (cluster, table)
}

async fn open(cluster: &Cluster, config: TableConfig) -> TableSegment {
    let name = "sim/table".parse().unwrap();
    let (context, kind) = (cluster.context(), TableKind::Hash);
    TableSegment::create(context, &name, 0.into(), kind, config).await.unwrap().0
}

/// A client of its own, over such links.
fn client_of(cluster: &Cluster, network: SimNetwork) -> SegmentContext {
    segment_context(Arc::clone(&cluster.controller) as Arc<dyn Controller>, network)
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// What the clients were told.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    made: u64,
    unknown: u64,
    refused: u64,
}

impl Told {
    fn note(&mut self, result: Result<(), TableError>) {
        match result {
            Ok(()) => self.made += 1,
            Err(error) if error.outcome() == Outcome::Unknown => self.unknown += 1,
            Err(error) => {
                assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
                self.refused += 1;
            }
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            made: self.made + other.made,
            unknown: self.unknown + other.unknown,
            refused: self.refused + other.refused,
        }
    }
}

/// Adds one to a counter a number of times, each time at the version that was read.
async fn count(table: TableSegment, times: usize) -> Told {
    let mut told = Told::default();
    for _ in 0..times {
        let Ok(Some(entry)) = table.get("counter").await else { continue };
        let next = (number(&entry.value) + 1).to_string();
        let put = Put::new("counter", next).when(entry.version);
        told.note(table.put([put]).await.map(drop));
    }
    told
}

/// Five clients count. Returns what they were told, and the counter.
async fn count_together(seed: u64, values: Values) -> (Told, u64) {
    let world = World::new(1);
    let (cluster, table) = new_table(&world).await;
    table.put([Put::new("counter", "0")]).await.unwrap();
    let client = |number: u64| {
        let context = client_of(&cluster, breaking(&world, seed * 5 + number, 100..2000));
        async move {
            let config = TableConfig::default().with_values(values);
            let name = "sim/table".parse().unwrap();
            loop {
                let opened = TableSegment::open(context.clone(), &name, 0.into(), config.clone());
                if let Ok(table) = opened.await {
                    return count(table, 40).await;
                }
            }
        }
    };
    let told = join_all((0..5).map(client)).await.into_iter().fold(Told::default(), Told::plus);
    let counter = number(&table.get("counter").await.unwrap().unwrap().value);
    (told, counter)
}

fn is_right((told, counter): (Told, u64)) -> bool {
    (told.made..=told.made + told.unknown).contains(&counter)
}

/// The number of seeds, each a history of five clients.
const SEEDS: u64 = 1000;

/// Runs seeds that must find nothing, and in which everything must happen.
fn check_seeds(seeds: Range<u64>) {
    let happened = Happened::in_seeds("tables", seeds, |seed| tables::run(seed, None));
    happened.has(&[
        "cut: reset",
        "segment moved",
        "store down",
        "table change failed, not applied",
        "table change failed, unknown",
        "table change late",
        "table change made",
        "table change refused",
        "table deleted and made again",
        "table reply lost",
        "table scanned",
        "table was deleted under a client",
    ]);
    let decided = happened.count("family of keys in order");
    let undecided = happened.count("family of keys undecided");
    assert!(undecided * 100 <= decided, "{undecided} families are undecided, {decided} in order");
}

#[test]
fn what_clients_of_tables_see_has_an_order_whatever_is_lost_or_late() {
    check_seeds(0..SEEDS / 2);
}

/// As above, at the same time.
#[test]
fn what_clients_of_tables_see_has_an_order_in_other_seeds_too() {
    check_seeds(SEEDS / 2..SEEDS);
}

#[test]
fn two_runs_of_a_seed_of_tables_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| tables::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn every_seeded_bug_of_tables_is_caught() {
    for bug in SeededBug::TABLES {
        let caught = (0..SEEDS).find(|seed| !tables::run(*seed, Some(bug)).violations.is_empty());
        println!("{bug:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught within {SEEDS} seeds");
    }
}

#[test]
fn a_change_at_a_version_is_made_once_whatever_connections_do() {
    let mut all = Told::default();
    for seed in 0..50 {
        let found = block_on(count_together(seed, Values::MayRepeat));
        assert!(is_right(found), "seed {seed}: {found:?}");
        all = all.plus(found.0);
    }
    assert!(all.made > 500 && all.unknown > 20 && all.refused > 50, "{all:?}");
}

#[test]
fn clients_that_declare_values_unique_that_are_not_are_caught() {
    let is_wrong = |seed| !is_right(block_on(count_together(seed, Values::Unique)));
    assert!((0..100).any(is_wrong), "two clients put the same value, and both believe it theirs");
    let is_shared = |seed| block_on(lock_together(seed, Values::Unique)).1 > 1;
    assert!((0..100).any(is_shared), "two clients insert the same key, and both believe it theirs");
}

/// Five clients insert the same key; whose insertion succeeds removes it again. Returns what they
/// were told, and the largest number of those that had the key at the same time.
async fn lock_together(seed: u64, values: Values) -> (Told, usize) {
    let world = World::new(1);
    let (cluster, table) = new_table(&world).await;
    let held = std::cell::RefCell::new((BTreeSet::new(), 0));
    let client = |number: u64| {
        let context = client_of(&cluster, breaking(&world, seed * 5 + number, 100..2000));
        let (held, table) = (&held, &table);
        async move {
            let name = "sim/table".parse().unwrap();
            let config = TableConfig::default().with_values(values);
            let Ok(locking) = TableSegment::open(context, &name, 0.into(), config).await else {
                return Told::default();
            };
            let mut told = Told::default();
            for _ in 0..20 {
                let inserted = locking.put([Put::new("lock", "held").when(Condition::Absent)]);
                let inserted = inserted.await;
                let version = inserted.as_ref().ok().and_then(|versions| versions.first().copied());
                told.note(inserted.map(drop));
                let Some(version) = version else { continue };
                {
                    let (holders, most) = &mut *held.borrow_mut();
                    holders.insert(number);
                    *most = holders.len().max(*most);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                held.borrow_mut().0.remove(&number);
                // Over links that work, so that the key is gone.
                let removal = table.remove([Removal::new("lock").when(version)]);
                if removal.await.is_err() {
                    // Another client had it too, and has removed it.
                    held.borrow_mut().1 = 2;
                }
            }
            told
        }
    };
    let told = join_all((0..5).map(client)).await.into_iter().fold(Told::default(), Told::plus);
    let most = held.borrow().1;
    (told, most)
}

#[test]
fn a_key_is_inserted_by_one_client_at_a_time() {
    let mut all = Told::default();
    for seed in 0..50 {
        let (told, most) = block_on(lock_together(seed, Values::MayRepeat));
        assert!(most <= 1, "seed {seed}: {most} clients inserted the key at the same time");
        all = all.plus(told);
    }
    assert!(all.made > 100 && all.unknown > 20, "{all:?}");
}

#[test]
fn an_iteration_that_is_dropped_while_it_waits_loses_nothing() {
    block_on(async {
        let world = World::new(1);
        let (_cluster, table) = new_table(&world).await;
        let config = TableConfig::default().with_page_size(3);
        table.put((0..20).map(|key| Put::new(format!("{key}"), "value"))).await.unwrap();
        let mut entries = table.with_config(config).entries();
        let mut keys = BTreeSet::new();
        loop {
            // Every other future is dropped before it ends.
            poll_times(pin!(std::future::pending::<()>()), 1).await;
            let waiting = tokio::time::timeout(Duration::ZERO, entries.next()).await;
            match waiting {
                Err(_) => {}
                Ok(Some(entry)) => assert!(keys.insert(entry.unwrap().key), "an entry comes twice"),
                Ok(None) => break,
            }
        }
        assert_eq!(keys.len(), 20);
    });
}

#[test]
fn a_page_that_was_requested_ahead_is_requested_again_however_late_its_items_are_taken() {
    block_on(async {
        let world = World::new(1);
        let network = SimNetwork::perfect(&world);
        let cluster = Cluster::with_network(world.clone(), network.clone(), 1);
        let table = open(&cluster, TableConfig::default().with_page_size(2)).await;
        table.put((0..5).map(|key| Put::new(format!("{key}"), "value"))).await.unwrap();
        let mut entries = table.entries();
        // The second page is requested with the second item, over a connection that is lost, while
        // the first is taken.
        entries.next().await.unwrap().unwrap();
        let lost = world.close_in_place_of(|departure| {
            matches!(departure.reply, WireCommand::TableEntriesRead(_))
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(lost);
        // Longer than any limit.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let mut taken = 1;
        while let Some(entry) = entries.next().await {
            entry.unwrap();
            taken += 1;
        }
        assert_eq!(taken, 5);
    });
}

#[test]
fn a_table_is_opened_with_the_configuration_of_its_partitions_whenever_it_is_created_again() {
    let described = block_on(async {
        let world = World::with_seed(1, 1);
        let controller = Arc::new(SimController::new(&world, 1, Duration::from_millis(20)));
        controller.create_scope(&"sim".parse().unwrap()).await.unwrap();
        let name: ScopedKeyValueTable = "sim/table".parse().unwrap();
        let network = SimNetwork::perfect(&world);
        let context = segment_context(Arc::clone(&controller) as Arc<dyn Controller>, network);
        // Keys of the same length, which are divided differently.
        let configurations = [4, 8].map(|primary| {
            KeyValueTableConfiguration::new(1, primary).with_secondary_key_length(8 - primary)
        });
        let created = std::cell::RefCell::new(BTreeMap::new());
        let again = async {
            for configuration in configurations.iter().cycle().take(100) {
                controller.create_key_value_table(&name, configuration).await.unwrap();
                let segments = controller.key_value_table_segments(&name).await.unwrap();
                created.borrow_mut().insert(segments[0].id, *configuration);
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..60))).await;
                controller.delete_key_value_table(&name).await.unwrap();
            }
        };
        let mut opened = Vec::new();
        let open = async {
            loop {
                let table = KeyValueTable::open(context.clone(), &name, TableConfig::default());
                if let Ok(table) = table.await {
                    let first = table.partitions().next().unwrap().segment().id();
                    opened.push((first, *table.configuration()));
                }
            }
        };
        futures_util::future::select(pin!(again), pin!(open)).await;
        for (first, configuration) in &opened {
            assert_eq!(created.borrow().get(first), Some(configuration));
        }
        opened.len()
    });
    assert!(described > 20, "it was opened {described} times");
}

/// Keys of one partition are put one after the other, faster than a watch scans them.
#[test]
fn a_scan_without_an_end_does_not_hold_up_the_other_partitions_of_a_watch() {
    block_on(async {
        let cluster = slow_cluster();
        cluster.controller.create_scope(&"sim".parse().unwrap()).await.unwrap();
        let name: ScopedKeyValueTable = "sim/table".parse().unwrap();
        let configuration = KeyValueTableConfiguration::new(2, 4).with_secondary_key_length(4);
        cluster.controller.create_key_value_table(&name, &configuration).await.unwrap();
        let open = async |context, config| KeyValueTable::open(context, &name, config).await;
        let perfect = client_of(&cluster, SimNetwork::perfect(&cluster.world));
        let writer = open(perfect, TableConfig::default()).await.unwrap();
        let slow =
            open(cluster.context(), TableConfig::default().with_page_size(10)).await.unwrap();
        let key = |primary: u32, secondary: u32| {
            Key::new(primary.to_be_bytes().to_vec())
                .with_secondary(secondary.to_be_bytes().to_vec())
        };
        let partition_of = async |primary| writer.put(key(primary, 0), "").await.unwrap().segment();
        let first = partition_of(0).await;
        let mut other = 1;
        while partition_of(other).await == first {
            other += 1;
        }
        let rising = async {
            for secondary in 1.. {
                let keys = (0..20).map(|next| key(0, secondary * 20 + next));
                let puts: Vec<_> = keys.map(|key| KeyPut::new(key, "")).collect();
                writer.put_all(puts).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let mut changes = slow.watch(&WatchPosition::start(), Duration::from_millis(10));
        let watching = async {
            let some = async { while changes.next().await.unwrap().is_ok() {} };
            // The scan has begun, and does not end.
            tokio::time::timeout(Duration::from_secs(2), some).await.unwrap_err();
            let put = writer.put(key(other, 1), "now").await.unwrap();
            let is_it = |change: &KeyChange| match change {
                KeyChange::Put(entry) => entry.version == put,
                _ => false,
            };
            while !changes.next().await.unwrap().unwrap().changes.iter().any(is_it) {}
        };
        let watching = pin!(tokio::time::timeout(Duration::from_secs(4), watching));
        match futures_util::future::select(pin!(rising), watching).await {
            futures_util::future::Either::Left(..) => unreachable!("it goes on"),
            futures_util::future::Either::Right((seen, _)) => seen.expect("it has its turns"),
        }
    });
}

#[test]
fn the_key_that_a_server_returns_with_an_absent_entry_is_not_believed() {
    block_on(async {
        let world = World::new(1);
        let (_cluster, table) = new_table(&world).await;
        table.put([Put::new("a", "1")]).await.unwrap();
        // As a server does that uses the memory of the keys for other requests too early.
        world.set_misbehaviour(Box::new(|mut reply| {
            if let WireCommand::TableRead(read) = &mut reply {
                let absent = read.entries.iter_mut().filter(|entry| entry.key.key_version == -1);
                absent.for_each(|entry| entry.key.data = "another".into());
            }
            vec![reply]
        }));
        let found = table.read(["x", "a", "y"]).await.unwrap();
        let values: Vec<_> = found.into_iter().map(|entry| entry.map(|e| e.value)).collect();
        assert_eq!(values, [None, Some("1".into()), None]);
    });
}

#[test]
fn a_table_that_exists_and_does_not_is_being_deleted_and_is_created_again() {
    use pravega_sdk_controller_client::Creation;
    use pravega_sdk_wire_protocol::commands::{NoSuchSegment, SegmentAlreadyExists};
    block_on(async {
        let world = World::new(1);
        let (cluster, table) = new_table(&world).await;
        table.delete().await.unwrap();
        let mut left = 3;
        world.set_misbehaviour(Box::new(move |reply| match reply {
            WireCommand::SegmentCreated(created) if left > 0 => {
                left -= 1;
                let (request_id, segment) = (created.request_id, created.segment);
                let server_stack_trace = "".into();
                vec![SegmentAlreadyExists { request_id, segment, server_stack_trace }.into()]
            }
            WireCommand::SegmentAlreadyExists(exists) if left == 0 => {
                let (request_id, segment) = (exists.request_id, exists.segment);
                vec![
                    pravega_sdk_wire_protocol::commands::SegmentCreated { request_id, segment }
                        .into(),
                ]
            }
            WireCommand::TableSegmentInfo(info) if left > 0 => {
                left -= 1;
                let (request_id, segment) = (info.request_id, info.segment_name);
                let (server_stack_trace, offset) = ("".into(), 0);
                vec![NoSuchSegment { request_id, segment, server_stack_trace, offset }.into()]
            }
            other => vec![other],
        }));
        let (name, kind) = ("sim/table".parse().unwrap(), TableKind::Hash);
        let config = TableConfig::default();
        let created = TableSegment::create(cluster.context(), &name, 0.into(), kind, config).await;
        assert_eq!(created.unwrap().1, Creation::Created);

        // For longer than the call takes.
        world.set_misbehaviour(Box::new(|reply| match reply {
            WireCommand::TableSegmentInfo(info) => {
                let (request_id, segment) = (info.request_id, info.segment_name);
                let (server_stack_trace, offset) = ("".into(), 0);
                vec![NoSuchSegment { request_id, segment, server_stack_trace, offset }.into()]
            }
            other => vec![other],
        }));
        let config = TableConfig::default();
        let created = TableSegment::create(cluster.context(), &name, 0.into(), kind, config).await;
        let error = created.unwrap_err();
        let found = (error.kind(), error.outcome(), error.is_retryable());
        assert_eq!(found, (ErrorKind::Unavailable, Outcome::NotApplied, true), "{error}");
    });
}

#[test]
fn a_server_that_answers_nonsense_is_reported_and_not_followed() {
    block_on(async {
        let world = World::new(1);
        let (_cluster, table) = new_table(&world).await;
        table.put([Put::new("a", "1"), Put::new("b", "2")]).await.unwrap();
        let mut first: Option<Bytes> = None;
        world.set_misbehaviour(Box::new(move |mut reply| {
            match &mut reply {
                WireCommand::TableRead(read) => read.entries.reverse(),
                // Always the same page.
                WireCommand::TableEntriesRead(read) => {
                    let token = first.get_or_insert_with(|| read.continuation_token.clone());
                    read.continuation_token = token.clone();
                }
                WireCommand::TableEntriesDeltaRead(read) => {
                    (read.reached_end, read.last_position) = (false, 0);
                }
                WireCommand::TableKeysRead(read) => {
                    read.keys.iter_mut().for_each(|key| key.key_version = -7);
                }
                WireCommand::TableEntriesUpdated(updated) => updated.updated_versions.push(1),
                _ => {}
            }
            vec![reply]
        }));
        let table = table.with_config(TableConfig::default().with_page_size(1));
        let mut deltas = table.deltas(Offset(0), Following::UntilEnd);
        let (mut keys, entries) = (table.keys(), table.entries());
        let put = table.put([Put::new("c", "")]).await.unwrap_err();
        assert_eq!((put.kind(), put.outcome()), (ErrorKind::Protocol, Outcome::Applied));
        for error in [
            table.read(["a", "b"]).await.map(drop).unwrap_err(),
            entries.try_collect::<Vec<_>>().await.map(drop).unwrap_err(),
            keys.next().await.unwrap().map(drop).unwrap_err(),
            deltas.next().await.unwrap().map(drop).unwrap_err(),
        ] {
            let found = (error.kind(), error.outcome(), error.is_retryable());
            assert_eq!(found, (ErrorKind::Protocol, Outcome::NotApplied, false), "{error}");
        }
        assert!(deltas.next().await.is_none() && keys.next().await.is_none());
    });
}
