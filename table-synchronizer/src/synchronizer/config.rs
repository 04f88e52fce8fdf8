//! Settings of a table synchronizer.

use crate::config::TableConfig;

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
    pub(crate) max_bytes: usize,
}

impl Default for SynchronizerConfig {
    fn default() -> Self {
        Self { table: TableConfig::default(), max_runs: 100, max_bytes: 64 << 20 }
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

    /// Sets the memory that the entries may take, in bytes, with about 160 for each entry besides
    /// its key and value. While the table is read again, twice as much is used. Default: 64 MiB.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}
