//! Locks and elections in seeds with faults: programs that are cut off, replies that are lost and
//! changes that are late leave one holder at a time, with a token higher than those before.

use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_simulation::tables::recipes;

use crate::common::{happened::Happened, seeds};

const SEEDS: u64 = 150;

#[test]
fn a_lease_has_one_holder_at_a_time_and_tokens_that_rise_whatever_is_lost_or_late() {
    let happened = Happened::in_seeds("recipes", seeds(SEEDS), |seed| recipes::run(seed, None));
    happened.has(&[
        "cut: reset",
        "lease held",
        "lease held after the repair",
        "lease lost",
        "lease not acquired",
        "lease not renewed",
        "lease released",
        "lease renewed",
        "program cut off",
        "resource used",
        "segment moved",
        "store down",
        "table change late",
        "table reply lost",
    ]);
}

#[test]
fn two_runs_of_a_seed_of_leases_are_the_same() {
    for seed in 0..10 {
        let digests = [0, 1].map(|_| recipes::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn every_seeded_bug_of_recipes_is_caught() {
    for bug in SeededBug::RECIPES {
        let caught = (0..SEEDS).find(|seed| !recipes::run(*seed, Some(bug)).violations.is_empty());
        println!("{bug:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught within {SEEDS} seeds");
    }
}
