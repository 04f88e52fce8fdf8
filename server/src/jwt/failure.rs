//! A fetch that has failed.

use std::fmt;

/// Why keys were not fetched, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FetchFailure(String);

impl FetchFailure {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
