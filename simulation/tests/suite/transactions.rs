//! Transactions under random faults: each is whole or absent, and all clients get the same result.

use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_simulation::transaction_scenario;

use crate::common::happened::Happened;

const SEEDS: u64 = 1000;

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..20 {
        let digests = [0, 1].map(|_| transaction_scenario::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn a_transaction_is_in_the_stream_as_a_whole_or_not_at_all() {
    let happened =
        Happened::in_seeds("transactions", 0..SEEDS, |seed| transaction_scenario::run(seed, None));
    happened.has(&[
        "answer of the controller lost",
        "commit carried out late",
        "controller away",
        "cut: fin",
        "cut: reset",
        "cut: silence",
        "lease ran out",
        "rolling commit",
        "scale",
        "segment moved",
        "store down",
        "stream deleted under a commit",
        "transaction aborted",
        "transaction committed",
        "transaction committed by two writers",
        "transaction in doubt",
        "transaction on a sealed stream",
    ]);
    assert!(happened.count("transaction committed") >= 2000);
}

#[test]
fn every_seeded_bug_of_transactions_is_caught() {
    for bug in SeededBug::TRANSACTIONS {
        let caught = (0..SEEDS)
            .find(|seed| !transaction_scenario::run(*seed, Some(bug)).violations.is_empty());
        println!("{bug:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught within {SEEDS} seeds");
    }
}
