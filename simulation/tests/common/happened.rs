//! Runs of many seeds, in which everything must happen and nothing must be wrong.

use std::{collections::BTreeMap, ops::Range};

use pravega_sdk_simulation::Report;

/// How often everything happened in some seeds.
pub(crate) struct Happened(BTreeMap<&'static str, u64>);

impl Happened {
    /// Runs seeds that must find nothing. `kind` is what `simulate` has before the seed.
    #[track_caller]
    pub(crate) fn in_seeds(kind: &str, seeds: Range<u64>, run: impl Fn(u64) -> Report) -> Self {
        let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
        for seed in seeds {
            let report = run(seed);
            assert!(
                report.violations.is_empty(),
                "SEED={seed} of {kind}, to be repeated by \
                 `cargo run -p pravega-sdk-simulation --bin simulate -- {kind} {seed}`: {:#?}",
                report.violations
            );
            for (what, times) in report.counters {
                *happened.entry(what).or_default() += times;
            }
        }
        Self(happened)
    }

    pub(crate) fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Checks that each of these happened 10 times: a fault that never happened proves nothing.
    #[track_caller]
    pub(crate) fn has(&self, all: &[&str]) {
        for what in all {
            assert!(self.count(what) >= 10, "{what} hardly happened: {:#?}", self.0);
        }
    }
}
