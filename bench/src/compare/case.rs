//! What is measured: cases, and the figures that are meaningful for each.

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// A key-value table of one partition.
    Keyed,
    /// One hash table segment.
    Hash,
    /// The table of a synchronizer.
    Agreed,
}

impl Table {
    /// Returns true if a client, or another build of one, has tables of the kind.
    pub(super) fn is_for(self, client: &str) -> bool {
        match self {
            Self::Keyed => client != "pravega-client",
            Self::Hash => client != "java",
            Self::Agreed => client != "java" && client != "pravega-client",
        }
    }
}

/// A measurement.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(super) mode: &'static str,
    pub(super) size: usize,
    pub(super) segments: u32,
    pub(super) keys: usize,
    pub(super) rate: u64,
    pub(super) callers: u64,
    /// The table that it is about; `None` if it is about a stream.
    pub(super) table: Option<Table>,
    /// The figures that are meaningful for it.
    pub(crate) metrics: &'static [&'static str],
}

impl Case {
    /// Returns true if a client can do the work.
    pub(super) fn is_for(&self, client: &str) -> bool {
        self.table.is_none_or(|table| table.is_for(client))
    }
}

pub(super) const THROUGHPUT: &[&str] =
    &["events_per_s", "p50_us", "p99_us", "cpu_us_per_event", "peak_rss_mb"];
pub(super) const READ: &[&str] = &["events_per_s", "cpu_us_per_event", "peak_rss_mb"];
pub(super) const LATENCY: &[&str] = &["p50_us", "p99_us", "cpu_us_per_event", "peak_rss_mb"];

/// Returns a case about a stream.
pub(super) fn case(
    name: &str,
    mode: &'static str,
    size: usize,
    segments: u32,
    metrics: &'static [&'static str],
) -> Case {
    let keys = if segments > 1 { 64 } else { 0 };
    let (name, rate, callers, table) = (name.to_owned(), 10_000, 1, None);
    Case { name, mode, size, segments, keys, rate, callers, table, metrics }
}
