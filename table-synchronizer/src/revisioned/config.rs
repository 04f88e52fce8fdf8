//! Settings of revisioned streams.

use std::time::Duration;

use pravega_sdk_segment_client::{
    append,
    machine::backoff,
    read::machine::{MAX_READ, Settings},
    seeded_bugs::Bugs,
};

use super::machine::MAX_ENTRY_LEN;

/// Timeouts above it are cut to it: a day.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// Bytes of one reading of entries that are in flight or wait for the caller.
const READ_BUDGET: usize = 4 * 1024 * 1024;

/// Settings of a revisioned stream.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_table_synchronizer::RevisionedStreamConfig;
///
/// let config = RevisionedStreamConfig::default().with_delivery_timeout(Duration::from_secs(20));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct RevisionedStreamConfig {
    pub(super) append: append::Config,
    pub(super) request_timeout: Option<Duration>,
    pub(super) max_buffered_bytes: usize,
    pub(super) stall_timeout: Duration,
}

impl Default for RevisionedStreamConfig {
    fn default() -> Self {
        Self {
            append: append::Config { max_block_bytes: MAX_ENTRY_LEN, ..append::Config::default() },
            request_timeout: None,
            max_buffered_bytes: READ_BUDGET,
            stall_timeout: Duration::from_secs(120),
        }
    }
}

impl RevisionedStreamConfig {
    /// Sets how long an entry may wait for its acknowledgement, reconnects included. Default:
    /// 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.append.delivery_timeout = timeout.clamp(MIN_TIMEOUT, LONGEST_TIMEOUT);
        self
    }

    /// Sets the time that a call about revisions, the mark or a truncation takes at most, with all
    /// its attempts. Default: twice the limit of one request. At least 1 ms, at most a day.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout.clamp(MIN_TIMEOUT, LONGEST_TIMEOUT));
        self
    }

    /// Sets for how long attempts to read entries may fail before reading ends with their error.
    /// Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout.clamp(MIN_TIMEOUT, LONGEST_TIMEOUT);
        self
    }

    /// Sets how many bytes one reading of entries has in flight or ready for the caller. A single
    /// entry may be longer. Default: 4 MiB, at least 256 KiB, at most 1 GiB.
    #[must_use]
    pub fn with_max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.clamp(256 * 1024, 1 << 30);
        self
    }

    /// Sets the wait after failures: the first one, which is doubled up to the longest. Each is
    /// spread with full jitter. Default: 50 ms up to 10 s; the first wait is at least 1 ms.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.append.backoff = backoff(initial, max);
        self
    }

    /// Lets an entry wait for its acknowledgement for at most so long.
    pub(crate) fn limit_delivery(mut self, limit: Duration) -> Self {
        self.append.delivery_timeout = self.append.delivery_timeout.min(limit).max(MIN_TIMEOUT);
        self
    }

    pub(super) fn read_settings(&self) -> Settings {
        Settings {
            budget: self.max_buffered_bytes,
            max_read: MAX_READ,
            backoff: self.append.backoff,
            stall_timeout: self.stall_timeout,
            bugs: Bugs::default(),
        }
    }
}
