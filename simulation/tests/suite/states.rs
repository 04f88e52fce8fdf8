//! States that clients agree on, in seeds with faults: many clients change the same state over
//! connections that break, and every update is made once or not at all, as its client was told.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_simulation::tables::states;
use pravega_sdk_table_synchronizer::{StateConfig, StateSynchronizer};
use pravega_sdk_types::Outcome;

use crate::{
    common::{Cluster, block_on, happened::Happened, seeds},
    sum::{Numbers, Sum},
};

const SEEDS: u64 = 720;

/// Runs seeds that must find nothing, and in which everything must happen.
fn check_seeds(seeds: Range<u64>) {
    let happened = Happened::in_seeds("states", seeds, |seed| states::run(seed, None));
    happened.has(&[
        "cut: reset",
        "entries truncated",
        "entry late",
        "entry reply lost",
        "segment moved",
        "state compacted",
        "state fetched",
        "state update failed, not applied",
        "state update failed, unknown",
        "state update made",
        "store down",
    ]);
}

#[test]
fn clients_agree_on_one_history_with_every_update_as_its_client_was_told() {
    check_seeds(0..seeds(SEEDS).end / 2);
}

/// As above, at the same time.
#[test]
fn clients_agree_on_one_history_in_other_seeds_too() {
    let all = seeds(SEEDS);
    check_seeds(all.end / 2..all.end);
}

#[test]
fn two_runs_of_a_seed_of_states_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| states::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

/// An update whose entry is held back beyond the time of its call, and takes effect later.
async fn arrive_late(bug: Option<SeededBug>) {
    let cluster = Cluster::new(1);
    let config = StateConfig::default().with_timeout(Duration::from_secs(10));
    let config = bug.into_iter().fold(config, StateConfig::with_seeded_bug);
    let (mut one, mut other) = (open_with(&cluster, config).await, open(&cluster).await);
    other.initialize(100).await.unwrap();
    one.fetch().await.unwrap();
    let segment = cluster.segment(0);
    let held = cluster.world.hold(move |arrival| arrival.is_append() && arrival.is_about(&segment));
    let error = one.update(|_, adding| adding.push(1)).await.unwrap_err();
    held.release();
    tokio::time::sleep(Duration::from_secs(60)).await;
    other.fetch().await.unwrap();
    assert_eq!(other.state().unwrap().0, 101, "it was on its way");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    one.update(|_, adding| adding.push(10)).await.unwrap();
    assert_eq!(one.state().unwrap().0, 111);
}

#[test]
fn an_update_that_may_still_arrive_when_its_time_is_over_is_not_called_off() {
    block_on(arrive_late(None));
}

#[test]
fn every_seeded_bug_of_states_is_caught() {
    for bug in SeededBug::STATES {
        let late = catch_unwind(AssertUnwindSafe(|| block_on(arrive_late(Some(bug)))));
        let is_caught = |seed: u64| {
            let run = catch_unwind(AssertUnwindSafe(|| states::run(seed, Some(bug))));
            run.map_or(true, |report| !report.violations.is_empty())
        };
        assert!(late.is_err() || (0..SEEDS).any(is_caught), "nothing catches {bug:?}");
    }
}

async fn open(cluster: &Cluster) -> StateSynchronizer<Sum, Numbers> {
    open_with(cluster, StateConfig::default()).await
}

async fn open_with(cluster: &Cluster, config: StateConfig) -> StateSynchronizer<Sum, Numbers> {
    let context = cluster.context();
    StateSynchronizer::open(context, &cluster.stream, Numbers, config).await.unwrap()
}
