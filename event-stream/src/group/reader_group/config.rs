//! Settings of the handle of a reader group.

use std::time::Duration;

use pravega_sdk_table_synchronizer::StateConfig;

/// Settings of the handle of a reader group.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::GroupHandleConfig;
///
/// let config = GroupHandleConfig::default().with_timeout(Duration::from_secs(10));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct GroupHandleConfig {
    pub(super) timeout: Duration,
}

impl Default for GroupHandleConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120) }
    }
}

impl GroupHandleConfig {
    /// Sets the time that a call takes at most, with all its requests, pauses and attempts, unless
    /// the call is given a deadline of its own. Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        self
    }

    /// Returns the settings of the state below.
    pub(super) fn state(&self) -> StateConfig {
        StateConfig::default().with_timeout(self.timeout)
    }
}
