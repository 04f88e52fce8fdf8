//! A fetch that has failed.

use std::fmt;

/// The longest text from a server that is shown, in characters.
const SHOWN: usize = 200;

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

/// A text from a server as a log may show it.
pub(super) fn shown(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    format!("{:?}", text.get(..end).unwrap_or_default())
}
