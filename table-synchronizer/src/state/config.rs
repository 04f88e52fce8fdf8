//! Settings of a state synchronizer.

use std::time::Duration;

#[cfg(feature = "seeded-bugs")]
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_segment_client::{machine::backoff, seeded_bugs::Bugs};
use pravega_sdk_types::Backoff;

use crate::revisioned::RevisionedStreamConfig;

/// Settings of a state synchronizer.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_table_synchronizer::StateConfig;
///
/// let config =
///     StateConfig::default().with_timeout(Duration::from_secs(10)).with_max_conflicts(20);
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct StateConfig {
    pub(super) stream: RevisionedStreamConfig,
    pub(crate) timeout: Duration,
    pub(crate) max_conflicts: u32,
    pub(crate) backoff: Backoff,
    pub(super) bugs: Bugs,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            stream: RevisionedStreamConfig::default(),
            timeout: Duration::from_secs(120),
            max_conflicts: 1000,
            backoff: Backoff::new(Duration::from_millis(2), Duration::from_millis(200)),
            bugs: Bugs::default(),
        }
    }
}

impl StateConfig {
    /// Sets the settings of the revisioned stream below. Default: those of
    /// [`RevisionedStreamConfig::default`].
    #[must_use]
    pub fn with_stream(mut self, stream: RevisionedStreamConfig) -> Self {
        self.stream = stream;
        self
    }

    /// Sets the time that a call takes at most, with all its attempts, pauses and requests. An
    /// entry waits for its acknowledgement for half of it at most, so that there is time left to
    /// find out what happened. Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        self
    }

    /// Returns the time that a call takes at most.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets how often other clients may be faster before an update or a compaction fails. Default:
    /// 1000, at least 1. Java's client goes on forever.
    #[must_use]
    pub fn with_max_conflicts(mut self, conflicts: u32) -> Self {
        self.max_conflicts = conflicts.max(1);
        self
    }

    /// Sets the pause after another client was faster: the first one, which is doubled up to the
    /// longest. Each is spread with full jitter. Default: 2 ms up to 200 ms; the first pause is
    /// at least 1 ms.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = backoff(initial, max);
        self
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }
}
