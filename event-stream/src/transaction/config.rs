//! Settings of transactions.

use std::time::Duration;

use pravega_sdk_types::WriterName;

use super::machine;
use crate::writer::WriterConfig;

/// Settings of a writer of transactions.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_event_stream::TransactionConfig;
///
/// let config = TransactionConfig::default().with_lease(Duration::from_secs(30));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct TransactionConfig {
    pub(crate) lease: Duration,
    pub(crate) decision_timeout: Duration,
    pub(crate) writer_name: Option<WriterName>,
    pub(crate) writer: WriterConfig,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(90),
            decision_timeout: Duration::from_secs(120),
            writer_name: None,
            writer: WriterConfig::default(),
        }
    }
}

impl TransactionConfig {
    /// Sets how long a transaction outlives its writer: the controller aborts it if it is not
    /// pinged for that long. Default: 90 s. Servers take 10 s to 600 s, unless they are
    /// set up otherwise; a lease that they do not take is refused when a transaction is begun.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Returns the time between two pings of an open transaction, which follows from its lease.
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        machine::interval(self.lease)
    }

    /// Sets how long a commit or an abort is tried while it is not known whether the controller
    /// took it. Default: 120 s, at least 1 ms.
    #[must_use]
    pub fn with_decision_timeout(mut self, timeout: Duration) -> Self {
        self.decision_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Sets the name under which times are noted with a commit. Default: a random one.
    #[must_use]
    pub fn with_writer_name(mut self, name: WriterName) -> Self {
        self.writer_name = Some(name);
        self
    }

    /// Sets how events are written, such as how many bytes of each transaction may be in flight,
    /// and for how long one may wait for its acknowledgement.
    #[must_use]
    pub fn with_writer(mut self, writer: WriterConfig) -> Self {
        self.writer = writer;
        self
    }
}
