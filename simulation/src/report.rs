//! The result of a seed.

use std::collections::BTreeMap;

use crate::history::Violation;

/// The result of a seed.
#[derive(Debug)]
pub struct Report {
    /// The violations that the checks found; empty if the SDK is right.
    pub violations: Vec<Violation>,
    /// A number that differs between runs in which anything differs.
    pub digest: u64,
    /// The number of occurrences of each kind.
    pub counters: BTreeMap<&'static str, u64>,
    /// The number of writes that were acknowledged, or of transactions that were decided.
    pub acknowledged: usize,
}
