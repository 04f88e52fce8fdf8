//! Retry policies: a schedule of waits, computed without a clock and without a source of
//! randomness.

use std::{num::NonZeroU32, time::Duration};

use crate::{Backoff, ErrorKind, classify};

/// A schedule of retries: exponential, capped, limited in number, with or without jitter.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_types::{Jitter, RetryPolicy};
///
/// let policy = RetryPolicy::default().with_jitter(Jitter::None);
/// let waits: Vec<Duration> = policy.delays(|| 0.0).collect();
/// assert_eq!(waits.len(), 9, "the first of ten attempts does not wait");
/// assert_eq!(waits[0], Duration::from_millis(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    backoff: Backoff,
    attempts: NonZeroU32,
    jitter: Jitter,
}

/// How waits are spread, so that clients that failed together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// The full wait of the schedule.
    None,
    /// A wait chosen evenly between zero and the full wait of the schedule.
    Full,
}

/// An invalid retry policy.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetryPolicyError {
    /// The number of attempts is 0. The first attempt counts too.
    #[error("a retry policy needs at least 1 attempt")]
    NoAttempts,
    /// The multiplier is 0.
    #[error("a retry policy needs a multiplier of at least 1")]
    NoMultiplier,
    /// The first wait is longer than the longest.
    #[error("the first wait of {initial:?} is longer than the longest of {max:?}")]
    InitialAboveMax {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
    },
}

classify!(RetryPolicyError, |_| ErrorKind::Config);

impl Default for RetryPolicy {
    /// Returns the schedule of Pravega's Java client for controller calls: 10 attempts, 1 ms, times
    /// 10, at most 20 s; spread with full jitter, which Java does not do.
    fn default() -> Self {
        Self {
            backoff: Backoff::new(Duration::from_millis(1), Duration::from_secs(20))
                .with_multiplier(10),
            attempts: NonZeroU32::MIN.saturating_add(9),
            jitter: Jitter::Full,
        }
    }
}

impl RetryPolicy {
    /// Creates a schedule from the first wait, the factor of each further one, the longest wait,
    /// and the total number of attempts.
    ///
    /// # Errors
    ///
    /// [`RetryPolicyError`] names the value that is refused.
    pub fn new(
        initial: Duration,
        multiplier: u32,
        max_delay: Duration,
        attempts: u32,
    ) -> Result<Self, RetryPolicyError> {
        let attempts = NonZeroU32::new(attempts).ok_or(RetryPolicyError::NoAttempts)?;
        if multiplier == 0 {
            return Err(RetryPolicyError::NoMultiplier);
        }
        if initial > max_delay {
            return Err(RetryPolicyError::InitialAboveMax { initial, max: max_delay });
        }
        let backoff = Backoff::new(initial, max_delay).with_multiplier(multiplier);
        Ok(Self { backoff, attempts, jitter: Jitter::Full })
    }

    /// Creates a schedule without retries.
    #[must_use]
    pub fn no_retries() -> Self {
        Self { attempts: NonZeroU32::MIN, ..Self::default() }
    }

    /// Sets how waits are spread. Default: [`Jitter::Full`].
    #[must_use]
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Returns the total number of attempts, the first included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// Returns the waits between the attempts, one fewer than the attempts.
    ///
    /// `random` returns numbers in `0.0..1.0`, and is called once for each wait with jitter.
    pub fn delays<R: FnMut() -> f64>(&self, random: R) -> RetryDelays<R> {
        RetryDelays { policy: *self, failures: 0, random }
    }
}

/// The waits of a [`RetryPolicy`], in order.
#[derive(Debug, Clone)]
pub struct RetryDelays<R> {
    policy: RetryPolicy,
    failures: u32,
    random: R,
}

impl<R: FnMut() -> f64> Iterator for RetryDelays<R> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.failures + 1 >= self.policy.attempts() {
            return None;
        }
        self.failures += 1;
        Some(match self.policy.jitter {
            Jitter::None => self.policy.backoff.full_delay(self.failures),
            Jitter::Full => self.policy.backoff.delay(self.failures, (self.random)()),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.policy.attempts() - 1 - self.failures) as usize;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_nothing_and_the_schedule() {
        let plain: Vec<_> =
            RetryPolicy::default().with_jitter(Jitter::None).delays(|| 0.5).collect();
        for share in [0.0, 0.3, 1.0, f64::NAN, 7.0] {
            for (spread, full) in RetryPolicy::default().delays(|| share).zip(&plain) {
                assert!(spread <= *full, "{spread:?} is more than {full:?}");
            }
        }
        assert!(RetryPolicy::default().delays(|| 0.0).all(|delay| delay.is_zero()));
    }

    #[test]
    fn a_schedule_ends_after_its_attempts_and_never_overflows() {
        let policy =
            RetryPolicy::new(Duration::from_secs(1), u32::MAX, Duration::MAX, 500).unwrap();
        assert_eq!(policy.with_jitter(Jitter::None).delays(|| 0.0).count(), 499);
        assert_eq!(RetryPolicy::no_retries().delays(|| 0.0).count(), 0);
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(RetryPolicy::new(second, 2, second, 0), Err(RetryPolicyError::NoAttempts));
        assert_eq!(RetryPolicy::new(second, 0, second, 1), Err(RetryPolicyError::NoMultiplier));
        assert!(RetryPolicy::new(second, 2, Duration::ZERO, 1).is_err());
    }
}
