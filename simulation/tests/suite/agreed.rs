//! A table that clients agree on, in seeds with faults, and in orders of events that seeds rarely
//! have.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use pravega_sdk_event_stream::codec::{Raw, Utf8};
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_simulation::tables::agreed;
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableConfig, TableKind, TableSegment, TableSynchronizer,
    recipes::{LeaseConfig, Members},
};
use pravega_sdk_types::{ErrorKind, Outcome};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{sleep, timeout};

use crate::common::{Cluster, block_on, happened::Happened, seeds, slow_cluster};

type Table = TableSynchronizer<Utf8, Utf8>;

const SEEDS: u64 = 200;

#[test]
fn updates_have_an_order_and_copies_are_what_the_table_holds_whatever_is_lost_or_late() {
    let happened = Happened::in_seeds("agreed", seeds(SEEDS), |seed| agreed::run(seed, None));
    happened.has(&[
        "agreed table deleted and made again",
        "cut: reset",
        "segment moved",
        "store down",
        "synchronizer cleaned",
        "table change late",
        "table fetched",
        "table reply lost",
        "update failed, not applied",
        "update failed, unknown",
        "update made",
    ]);
    assert_eq!(happened.count("table undecided"), 0);
}

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| agreed::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

/// What one order of events makes of a bug.
type Order = fn(Option<SeededBug>);

/// The orders of events that seeds rarely have.
const ORDERS: [Order; 2] =
    [|bug| block_on(arrive_in_the_next_table(bug)), |bug| block_on(read_some_of_the_changes(bug))];

#[test]
fn every_seeded_bug_of_synchronizers_is_caught() {
    for bug in SeededBug::SYNCHRONIZERS {
        let fails = |order: &Order| catch_unwind(AssertUnwindSafe(|| order(Some(bug)))).is_err();
        let is_caught = ORDERS.iter().any(fails)
            || (0..SEEDS).any(|seed| !agreed::run(seed, Some(bug)).violations.is_empty());
        assert!(is_caught, "nothing catches {bug:?}");
    }
}

async fn open_with(cluster: &Cluster, config: SynchronizerConfig) -> Table {
    let name = "sim/agreed".parse().unwrap();
    TableSynchronizer::open(cluster.context(), &name, Utf8, Utf8, config).await.unwrap()
}

async fn open(cluster: &Cluster, bug: Option<SeededBug>) -> Table {
    let table = TableConfig::default().with_page_size(1);
    let table = bug.into_iter().fold(table, TableConfig::with_seeded_bug);
    open_with(cluster, SynchronizerConfig::default().with_table(table)).await
}

async fn put(table: &mut Table, entries: &[(&str, &str)]) {
    let put = table.update(|changes| entries.iter().try_for_each(|(k, v)| changes.put(*k, *v)));
    put.await.unwrap();
}

fn entries(table: &Table) -> Vec<(String, String)> {
    table.state().entries().collect::<Result<_, _>>().unwrap()
}

/// The table itself, without what a synchronizer makes of it.
async fn stored(cluster: &Cluster) -> TableSegment {
    let (name, config) = ("sim/agreed".parse().unwrap(), TableConfig::default());
    TableSegment::open(cluster.context(), &name, 0.into(), config).await.unwrap()
}

/// The first attempt of an update is late, and the second is made. Then the table is deleted and
/// created again, and the first attempt arrives.
async fn arrive_in_the_next_table(bug: Option<SeededBug>) {
    let cluster = Cluster::new(1);
    let mut one = open(&cluster, bug).await;
    let is_first = AtomicBool::new(true);
    let late = cluster.world.hold(move |arrival| match arrival.command {
        // One entry, and the receipt.
        WireCommand::UpdateTableEntries(update) => {
            update.table_entries.len() == 2 && is_first.swap(false, Ordering::Relaxed)
        }
        _ => false,
    });
    put(&mut one, &[("job", "one")]).await;
    assert_eq!(late.taken(), 1);
    stored(&cluster).await.delete().await.unwrap();
    let mut other = open(&cluster, None).await;
    one.fetch().await.unwrap();
    // Its receipt is at the same place as in the table before.
    one.update(|_| Ok(())).await.unwrap();
    drop(late);
    sleep(Duration::from_secs(60)).await;
    other.fetch().await.unwrap();
    assert_eq!(entries(&other), [], "the update was made twice");
}

#[test]
fn an_update_that_was_made_in_a_deleted_table_is_never_made_in_the_next_one() {
    block_on(arrive_in_the_next_table(None));
}

#[test]
fn a_receipt_that_arrives_in_the_next_table_before_its_identity_does_not_keep_it_closed() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut one = open(&cluster, None).await;
        let is_first = AtomicBool::new(true);
        let late = cluster.world.hold(move |arrival| match arrival.command {
            // The receipt alone.
            WireCommand::UpdateTableEntries(update) => {
                update.table_entries.len() == 1 && is_first.swap(false, Ordering::Relaxed)
            }
            _ => false,
        });
        let given_up = one.update(|changes| changes.put("job", "one"));
        assert!(timeout(Duration::from_millis(500), given_up).await.is_err());
        assert_eq!(late.taken(), 1);
        stored(&cluster).await.delete().await.unwrap();
        let (name, config) = ("sim/agreed".parse().unwrap(), TableConfig::default());
        let context = cluster.context();
        let next = TableSegment::create(context, &name, 0.into(), TableKind::Hash, config).await;
        let (next, _) = next.unwrap();
        drop(late);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(next.info().await.unwrap().entry_count, 1, "the late receipt");
        let mut other = open(&cluster, None).await;
        one.fetch().await.unwrap();
        put(&mut one, &[("job", "two")]).await;
        other.fetch().await.unwrap();
        assert_eq!(entries(&other), [("job".into(), "two".into())]);
    });
}

/// Two keys are changed together, and a reading that is given up has found one of them.
async fn read_some_of_the_changes(bug: Option<SeededBug>) {
    let cluster = Cluster::new(1);
    let mut one = open(&cluster, bug).await;
    let mut other = open(&cluster, None).await;
    put(&mut other, &[("a", "5"), ("b", "5")]).await;
    // So that its receipt is known.
    put(&mut one, &[("c", "0")]).await;
    one.fetch().await.unwrap();
    put(&mut other, &[("a", "4"), ("b", "6")]).await;
    let mut pages = 0;
    let lost = cluster.world.lose_replies(move |departure| {
        let is_page = matches!(departure.reply, WireCommand::TableEntriesDeltaRead(_));
        pages += u32::from(is_page);
        is_page && pages > 1
    });
    assert!(timeout(Duration::from_millis(500), one.fetch()).await.is_err());
    drop(lost);
    let sum = one.update(|changes| {
        let mut number = |key| changes.get(key).map(|text| text.unwrap().parse::<u32>().unwrap());
        Ok(number("a")? + number("b")?)
    });
    assert_eq!(sum.await.unwrap().into_inner(), 10);
}

#[test]
fn an_update_never_runs_on_some_of_the_changes_that_were_made_together() {
    block_on(read_some_of_the_changes(None));
}

#[test]
fn changes_of_the_next_table_are_never_added_to_the_copy_of_the_one_before() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut one = open(&cluster, None).await;
        put(&mut one, &[("old", "1")]).await;
        one.fetch().await.unwrap();
        let is_first = AtomicBool::new(true);
        let late = cluster.world.hold(move |arrival| {
            let is_reading = matches!(arrival.command, WireCommand::ReadTableEntriesDelta(_));
            is_reading && is_first.swap(false, Ordering::Relaxed)
        });
        let again = async {
            sleep(Duration::from_millis(100)).await;
            stored(&cluster).await.delete().await.unwrap();
            let mut other = open(&cluster, None).await;
            put(&mut other, &[("a", &"x".repeat(1000))]).await;
            put(&mut other, &[("new", "2")]).await;
            let taken = late.taken();
            drop(late);
            (taken, entries(&other))
        };
        let (fetched, (taken, there)) = tokio::join!(one.fetch(), again);
        fetched.unwrap();
        assert_eq!(taken, 1);
        assert_eq!(entries(&one), there);
    });
}

#[test]
fn a_client_that_only_reads_holds_no_removals_that_were_cleaned_away() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut other = open_with(&cluster, SynchronizerConfig::default()).await;
        // About 200 removals.
        let config = SynchronizerConfig::default().with_max_bytes(40 << 10);
        let mut one = open_with(&cluster, config).await;
        for round in 0..40 {
            let keys: Vec<String> = (0..20).map(|key| format!("{round}-{key}")).collect();
            let puts = other.update(|changes| keys.iter().try_for_each(|k| changes.put(&**k, "")));
            puts.await.unwrap();
            let removals = other
                .update(|changes| keys.iter().try_for_each(|k| changes.remove(&**k).map(drop)));
            removals.await.unwrap();
            // It has read the removals before they are cleaned away.
            one.fetch().await.unwrap();
            other.clean().await.unwrap();
        }
        one.fetch().await.unwrap();
        assert_eq!(entries(&one), []);
        put(&mut one, &[("0-0", "again")]).await;
    });
}

#[test]
fn a_removal_that_was_announced_to_be_cleaned_away_and_is_still_there_is_found() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut one = open(&cluster, None).await;
        let mut other = open(&cluster, None).await;
        put(&mut other, &[("key", "1")]).await;
        other.update(|changes| changes.remove("key").map(drop)).await.unwrap();
        one.fetch().await.unwrap();
        let removing = cluster
            .world
            .hold(|arrival| matches!(arrival.command, WireCommand::RemoveTableKeys(_)));
        // It ends between the announcement and the removal.
        assert!(timeout(Duration::from_millis(500), other.clean()).await.is_err());
        one.fetch().await.unwrap();
        let inserted = one.update(|changes| {
            assert_eq!(changes.get("key")?, None);
            changes.put("key", "2")
        });
        inserted.await.unwrap();
        drop(removing);
        sleep(Duration::from_secs(1)).await;
        other.fetch().await.unwrap();
        assert_eq!(entries(&other), [("key".into(), "2".into())]);
    });
}

#[test]
fn receipts_of_writers_that_ended_are_cleaned_away_beside_those_that_were_closed() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut one = open_with(&cluster, SynchronizerConfig::default()).await;
        for number in 0..600 {
            let mut other = open_with(&cluster, SynchronizerConfig::default()).await;
            put(&mut other, &[("key", "")]).await;
            // It has seen all of them.
            one.fetch().await.unwrap();
            if number % 2 == 0 {
                other.close().await.unwrap();
            }
        }
        put(&mut one, &[("key", "")]).await;
        let keys: Vec<_> = stored(&cluster).await.keys().try_collect().await.unwrap();
        let receipts = keys.iter().filter(|key| key.key.starts_with(b"\0w")).count();
        assert!(receipts < 150, "{receipts} receipts are left");
    });
}

#[test]
fn a_table_that_changes_faster_than_it_can_be_read_is_opened_or_refused_in_time() {
    block_on(async {
        let cluster = slow_cluster();
        let mut other = open(&cluster, None).await;
        put(&mut other, &[("key", "")]).await;
        let changing = async {
            loop {
                put(&mut other, &[("key", ""), ("another", ""), ("third", "")]).await;
            }
        };
        let table = TableConfig::default().with_page_size(1).with_timeout(Duration::from_secs(5));
        let config = SynchronizerConfig::default().with_table(table);
        let name = "sim/agreed".parse().unwrap();
        let opening = TableSynchronizer::open(cluster.context(), &name, Utf8, Utf8, config);
        let opening = timeout(Duration::from_secs(30), opening);
        let opened = tokio::select! {
            opened = opening => opened.expect("it takes no longer than its limits"),
            () = changing => unreachable!(),
        };
        let error = opened.expect_err("pages of one entry are slower than changes of four");
        let found = (error.kind(), error.outcome(), error.is_retryable());
        assert_eq!(found, (ErrorKind::Unavailable, Outcome::NotApplied, true), "{error}");
    });
}

#[test]
fn a_member_that_left_and_joined_again_has_the_time_of_its_new_lease() {
    block_on(async {
        let cluster = Cluster::new(1);
        let member = async |name: &str| {
            let (table, config) = ("sim/agreed".parse().unwrap(), SynchronizerConfig::default());
            let opened = TableSynchronizer::open(cluster.context(), &table, Raw, Raw, config);
            let lease = LeaseConfig::default().with_name(name).with_lease(Duration::from_secs(10));
            Members::new(opened.await.unwrap(), "members/", lease)
        };
        let (mut one, mut other) = (member("one").await, member("other").await);
        other.round().await.unwrap();
        one.round().await.unwrap();
        sleep(Duration::from_secs(5)).await;
        other.leave().await.unwrap();
        other.round().await.unwrap();
        // After the end of the first lease, and before that of the second.
        sleep(Duration::from_secs(7)).await;
        one.round().await.unwrap();
        assert_eq!(one.names().unwrap(), ["one", "other"]);
        sleep(Duration::from_secs(12)).await;
        one.round().await.unwrap();
        assert_eq!(one.names().unwrap(), ["one"]);
    });
}

#[test]
fn a_client_never_fills_a_table_beyond_the_limit_with_which_it_opens_it() {
    block_on(async {
        let cluster = Cluster::new(1);
        let config = SynchronizerConfig::default().with_max_bytes(20 << 10);
        let mut one = open_with(&cluster, config.clone()).await;
        let mut made = 0;
        let error = loop {
            let key = format!("{made}");
            match one.update(|changes| changes.put(key.as_str(), "a value")).await {
                Ok(_) => made += 1,
                Err(error) => break error,
            }
            assert!(made < 1000, "it is never told");
        };
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::LimitReached, Outcome::NotApplied), "{error}");
        let mut other = open_with(&cluster, config).await;
        assert_eq!(other.state().len(), made);
        // What makes it no larger is made, and there is space again after it is cleaned.
        put(&mut one, &[("0", "another")]).await;
        one.update(|changes| changes.remove("1").map(drop)).await.unwrap();
        one.clean().await.unwrap();
        put(&mut one, &[("new", "a value")]).await;
        other.fetch().await.unwrap();
        assert_eq!(other.state().len(), made);
    });
}
