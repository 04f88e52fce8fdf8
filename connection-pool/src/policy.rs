//! Limits, deadlines and intervals of a pool.

use std::time::Duration;

use pravega_sdk_types::{ErrorKind, classify};

/// The limits and intervals of a pool. They can be changed while the pool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub(crate) max_slots: usize,
    pub(crate) max_slots_per_backend: usize,
    pub(crate) max_users: usize,
    pub(crate) spares: usize,
    pub(crate) max_waiting: usize,
    pub(crate) claim_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) backoff_min: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) health_check_interval: Duration,
    pub(crate) health_check_timeout: Duration,
}

/// A policy that no pool can follow.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A value that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The shortest back-off is longer than the longest.
    #[error("the shortest back-off {min:?} is longer than the longest {max:?}")]
    Backoff {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

classify!(PolicyError, |_| ErrorKind::Config);

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_slots: 64,
            max_slots_per_backend: 16,
            max_users: 100,
            spares: 2,
            max_waiting: 10_000,
            claim_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(10),
            health_check_interval: Duration::from_secs(30),
            health_check_timeout: Duration::from_secs(3),
        }
    }
}

impl Policy {
    /// Sets the maximum number of connections, over all backends. Default: 64.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Zero`].
    pub fn with_max_slots(mut self, count: usize) -> Result<Self, PolicyError> {
        self.max_slots = at_least_one("the number of slots", count)?;
        Ok(self)
    }

    /// Sets the maximum number of connections to one backend. Default: 16.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Zero`].
    pub fn with_max_slots_per_backend(mut self, count: usize) -> Result<Self, PolicyError> {
        self.max_slots_per_backend = at_least_one("the number of slots of a backend", count)?;
        Ok(self)
    }

    /// Sets the maximum number of claims that share one connection. Default: 100.
    /// Exclusive claims never share.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Zero`].
    pub fn with_max_users(mut self, count: usize) -> Result<Self, PolicyError> {
        self.max_users = at_least_one("the number of users of a connection", count)?;
        Ok(self)
    }

    /// Sets the number of unused connections that are kept ready. Default: 2. With 0 a
    /// connection closes when its last user leaves, and the next claim waits for a dial.
    #[must_use]
    pub fn with_spares(mut self, count: usize) -> Self {
        self.spares = count;
        self
    }

    /// Sets the maximum number of claims that wait; one more is refused. Default: 10,000.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Zero`].
    pub fn with_max_waiting(mut self, count: usize) -> Result<Self, PolicyError> {
        self.max_waiting = at_least_one("the number of waiting claims", count)?;
        Ok(self)
    }

    /// Sets the time that a claim waits, dials included. Default: 30 s. With zero a claim
    /// succeeds only if a connection is free.
    #[must_use]
    pub fn with_claim_timeout(mut self, timeout: Duration) -> Self {
        self.claim_timeout = timeout;
        self
    }

    /// Sets the time that a dial may take, and a close. Default: 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the back-off after a failed dial: spread evenly between zero and a time that starts at
    /// `min` and doubles with each failure up to `max`. Default: 50 ms and 10 s. With zero for
    /// both, the next claim dials at once.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Backoff`] if `min` is longer than `max`.
    pub fn with_backoff(mut self, min: Duration, max: Duration) -> Result<Self, PolicyError> {
        if min > max {
            return Err(PolicyError::Backoff { min, max });
        }
        (self.backoff_min, self.backoff_max) = (min, max);
        Ok(self)
    }

    /// Sets the interval between checks of a connection, and the time that a check may take.
    /// Default: 30 s and 3 s.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Zero`] if the interval is.
    pub fn with_health_check(
        mut self,
        interval: Duration,
        timeout: Duration,
    ) -> Result<Self, PolicyError> {
        if interval.is_zero() {
            return Err(PolicyError::Zero("the interval of health checks"));
        }
        (self.health_check_interval, self.health_check_timeout) = (interval, timeout);
        Ok(self)
    }
}

fn at_least_one(what: &'static str, count: usize) -> Result<usize, PolicyError> {
    if count == 0 { Err(PolicyError::Zero(what)) } else { Ok(count) }
}
