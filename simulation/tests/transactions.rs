//! Transactions under random faults: each is whole or absent, and all clients get the same result.

use std::collections::BTreeMap;

use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_simulation::transaction_scenario;

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
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let report = transaction_scenario::run(seed, None);
        assert!(report.violations.is_empty(), "SEED={seed}: {:#?}", report.violations);
        for (what, times) in report.counters {
            *happened.entry(what).or_default() += times;
        }
    }
    // A fault that never happened proves nothing.
    for what in [
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
    ] {
        assert!(
            happened.get(what).is_some_and(|times| *times >= 10),
            "{what} hardly happened: {happened:#?}"
        );
    }
    assert!(happened["transaction committed"] >= 2000, "{happened:#?}");
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
