//! Reader groups in seeds with faults.

mod common;

use common::happened::Happened;
use pravega_sdk_simulation::groups;

const SEEDS: u64 = 200;

#[test]
fn each_event_is_read_once_but_for_the_readers_that_died_and_checkpoints_divide_the_events() {
    let happened = Happened::in_seeds("groups", 0..SEEDS, groups::run);
    happened.has(&[
        "checkpoint created by another client",
        "cut: reset",
        "group reply lost",
        "reader died",
        "reader joined",
        "reader left",
        "reader left at a position",
        "reader paused for long",
        "reader taken offline at its checkpoint",
        "reader taken offline at its position",
        "segment moved",
        "store down",
        "stream scaled",
    ]);
}

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| groups::run(seed).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}
