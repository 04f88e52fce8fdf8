//! Settings of a table synchronizer.

use std::time::Duration;

use pravega_sdk_segment_client::machine::backoff;
use pravega_sdk_types::{Backoff, SegmentId};

use crate::{config::TableConfig, state::StateConfig};

/// Settings of a [`TableSynchronizer`](super::TableSynchronizer).
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::SynchronizerConfig;
///
/// let config = SynchronizerConfig::default().with_max_runs(10).with_max_bytes(16 << 20);
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct SynchronizerConfig {
    pub(crate) table: TableConfig,
    pub(crate) max_runs: u32,
    pub(crate) backoff: Backoff,
    pub(crate) max_bytes: usize,
    pub(crate) segment: SegmentId,
}

impl Default for SynchronizerConfig {
    fn default() -> Self {
        let (table, segment) = (TableConfig::default(), SegmentId::from(0));
        let backoff = Backoff::new(Duration::from_millis(4), Duration::from_secs(1));
        Self { table, max_runs: 100, backoff, max_bytes: 64 << 20, segment }
    }
}

impl SynchronizerConfig {
    /// Sets the settings of the calls about the table. Its timeout is that of each update and of
    /// each fetch as a whole; when a table is opened, of each page of its entries, and of the
    /// changes that are made while they are read. Default: that of [`TableConfig`].
    #[must_use]
    pub fn with_table(mut self, table: TableConfig) -> Self {
        self.table = table;
        self
    }

    /// Sets how often the function of an update is run at most, if other clients change what it
    /// depends on. At least once. Default: 100.
    #[must_use]
    pub fn with_max_runs(mut self, runs: u32) -> Self {
        self.max_runs = runs;
        self
    }

    /// Sets the pause after another client was faster: the first one, which is doubled up to the
    /// longest. Each is spread with full jitter. Default: 4 ms up to 1 s; the first pause is at
    /// least 1 ms.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = backoff(initial, max);
        self
    }

    /// Sets the memory that the entries may take, in bytes, with about 160 for each entry besides
    /// its key and value. While the table is read again, twice as much is used. Default: 64 MiB.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the id of the segment of the table, which tells tables of one name apart that follow
    /// each other. Default: 0.
    #[must_use]
    pub fn with_segment(mut self, segment: SegmentId) -> Self {
        self.segment = segment;
        self
    }
}

impl From<&StateConfig> for SynchronizerConfig {
    /// Takes over the time of a call, the number of conflicts and the pauses after them, for a
    /// state that is kept in a table.
    fn from(config: &StateConfig) -> Self {
        let table = TableConfig::default().with_timeout(config.timeout);
        let (max_runs, backoff) = (config.max_conflicts, config.backoff);
        Self { table, max_runs, backoff, ..Self::default() }
    }
}
