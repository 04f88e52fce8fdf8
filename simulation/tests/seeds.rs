//! Writers under random faults: no event is lost, doubled or out of order, and every write ends.

use std::collections::BTreeMap;

use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_simulation::scenario;

const SEEDS: u64 = 2000;

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..20 {
        let digests = [0, 1].map(|_| scenario::run(seed, None).digest);
        assert_eq!(digests[0], digests[1], "SEED={seed}");
    }
}

#[test]
fn every_event_is_stored_once_in_order_and_every_write_ends() {
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let report = scenario::run(seed, None);
        assert!(
            report.violations.is_empty(),
            "SEED={seed}, to be repeated by \
             `cargo run -p pravega-sdk-simulation --bin simulate -- {seed}`: {:#?}",
            report.violations
        );
        for (what, times) in report.counters {
            *happened.entry(what).or_default() += times;
        }
    }
    // A fault that never happened proves nothing.
    for what in [
        "AppendSetup",
        "DataAppended",
        "SegmentIsSealed",
        "SegmentsMerged",
        "WrongHost",
        "append violation",
        "connect refused",
        "controller away",
        "cut: fin",
        "cut: reset",
        "cut: silence",
        "scale",
        "segment moved",
        "set-up of a known writer",
        "store down",
    ] {
        assert!(
            happened.get(what).is_some_and(|times| *times >= 10),
            "{what} hardly happened: {happened:#?}"
        );
    }
    assert_eq!(happened.get("not done after the heal"), None);
}

#[test]
fn every_seeded_bug_is_caught() {
    for bug in SeededBug::ALL {
        let caught = (0..SEEDS).find(|seed| !scenario::run(*seed, Some(bug)).violations.is_empty());
        println!("{bug:?}: caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} was not caught within {SEEDS} seeds");
    }
}
