//! Settings of the handle of a reader group.

use std::time::Duration;

use pravega_sdk_table_synchronizer::StateConfig;

use crate::group::storage::GroupStorage;

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
    pub(super) storage: GroupStorage,
}

impl Default for GroupHandleConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), storage: GroupStorage::default() }
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

    /// Sets where the state of a group is kept that this handle creates, or that it opens and gives
    /// its first state. A group that has one keeps it where it is. Default:
    /// [`GroupStorage::Stream`], as in Java's client.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_event_stream::group::{GroupHandleConfig, GroupStorage};
    ///
    /// // For a group whose readers are all of this client.
    /// let config = GroupHandleConfig::default().with_storage(GroupStorage::Table);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn with_storage(mut self, storage: GroupStorage) -> Self {
        self.storage = storage;
        self
    }

    /// Returns the settings of the state below.
    pub(super) fn state(&self) -> StateConfig {
        StateConfig::default().with_timeout(self.timeout)
    }
}
