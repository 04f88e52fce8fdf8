//! Reader groups in seeds with faults.

use pravega_sdk_simulation::groups::{self, Bug};

use crate::common::happened::Happened;

const SEEDS: u64 = 1000;

#[test]
fn each_event_is_read_once_but_for_the_readers_that_died_and_checkpoints_divide_the_events() {
    let happened = Happened::in_seeds("groups", 0..SEEDS, |seed| groups::run(seed, None));
    happened.has(&[
        "checkpoint compared with the events",
        "checkpoint created by another client",
        "cut: reset",
        "dead reader left to its lease",
        "death compared with the removal",
        "group compacted",
        "group reply lost",
        "group request late",
        "living reader taken offline",
        "machine slept",
        "process of a reader stopped",
        "reader died",
        "reader hands over between events",
        "reader joined",
        "reader keeps its segments",
        "reader left",
        "reader left at a position",
        "reader paused for long",
        "reader restarted",
        "reader taken offline at its checkpoint",
        "reader taken offline at its position",
        "reader told of a truncation",
        "reader told that it is offline",
        "request about a lease lost",
        "segment moved",
        "state in a table",
        "state of the group moved",
        "store down",
        "stream scaled",
        "time complete",
        "time window asked for",
        "truncation",
        "wall clock wrong by years",
        "watermark made",
    ]);
}

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| groups::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn broken_variants_of_readers_and_of_their_leases_are_caught() {
    for bug in Bug::ALL {
        let caught = (0..400).find_map(|seed| {
            Some(seed).zip(groups::run(seed, Some(bug)).violations.into_iter().next())
        });
        println!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not caught");
    }
}
