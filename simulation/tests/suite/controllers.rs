//! Calls of several controllers under random faults: each ends by its deadline, with the right
//! outcome, and reaches a healthy controller once the others are given up.

use pravega_sdk_controller_client::ControllerBug;
use pravega_sdk_simulation::controllers;

use crate::common::happened::Happened;

const SEEDS: u64 = 500;

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..50 {
        let digests = [0, 1].map(|_| controllers::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn every_call_ends_by_its_deadline_with_the_right_outcome() {
    let happened = Happened::in_seeds("controllers", 0..SEEDS, |seed| controllers::run(seed, None));
    happened.has(&[
        "address refused",
        "address silent",
        "answer lost",
        "call failed, not applied",
        "call failed, unknown",
        "call reached a healthy controller in time",
        "call succeeded",
        "connect refused",
        "connect to a lie",
        "connect unanswered",
        "connections silent",
        "controller broken",
        "controller silent",
        "controller unavailable",
        "discovery",
        "look-up unanswered",
        "seed with a list of garbage",
        "seed with a list of lies",
        "seed with discoveries that fail",
        "seed with discoveries that hang",
        "seed with a provider that fails",
        "seed with a provider that hangs",
    ]);
}

#[test]
fn every_seeded_bug_of_calls_is_caught() {
    for bug in ControllerBug::ALL {
        let caught = (0..2000).find(|seed| {
            let report = controllers::run(*seed, Some(bug));
            !report.violations.is_empty()
        });
        println!("{bug:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught");
    }
}
