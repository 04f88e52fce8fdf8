//! Waits between attempts, computed without a clock and without a source of randomness.

use std::time::Duration;

/// A series of waits that grow exponentially to a limit, each spread with full jitter.
///
/// Full jitter means that a wait is chosen evenly between zero and its full length, so that
/// clients that failed together do not return together.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_types::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
/// let full: Vec<u128> = (1..6).map(|attempt| backoff.full_delay(attempt).as_millis()).collect();
/// assert_eq!(full, [100, 200, 400, 800, 1000]);
/// assert_eq!(backoff.delay(2, 0.5), Duration::from_millis(100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    multiplier: u32,
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

impl Backoff {
    /// Creates a series that starts at `initial`, doubles, and ends at `max`, which is at least
    /// `initial`.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration) -> Self {
        let max = if max.as_nanos() < initial.as_nanos() { initial } else { max };
        Self { initial, max, multiplier: 2 }
    }

    /// Sets the factor by which waits grow, at least 1. Default: 2.
    #[must_use]
    pub fn with_multiplier(mut self, multiplier: u32) -> Self {
        self.multiplier = multiplier.max(1);
        self
    }

    /// Returns the full wait after `failures` failures in a row, of which the first is 1.
    #[must_use]
    pub fn full_delay(&self, failures: u32) -> Duration {
        let factor = u128::from(self.multiplier).saturating_pow(failures.saturating_sub(1));
        let grown = self.initial.as_nanos().saturating_mul(factor);
        match u64::try_from(grown / NANOS_PER_SECOND) {
            Ok(seconds) if grown < self.max.as_nanos() => {
                Duration::new(seconds, (grown % NANOS_PER_SECOND) as u32)
            }
            _ => self.max,
        }
    }

    /// Returns the wait after `failures` failures in a row, spread by `random` in `0.0..1.0`.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        let full = self.full_delay(failures);
        Duration::try_from_secs_f64(full.as_secs_f64() * share).unwrap_or(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_to_the_limit_and_never_overflow() {
        let backoff = Backoff::new(SECOND, 60 * SECOND).with_multiplier(10);
        let full = [0, 1, 2, 3, 100, u32::MAX].map(|failures| backoff.full_delay(failures));
        assert_eq!(full, [1, 1, 10, 60, 60, 60].map(Duration::from_secs));
        let endless = Backoff::new(SECOND, Duration::MAX);
        assert_eq!(endless.full_delay(u32::MAX), Duration::MAX);
        assert_eq!(endless.delay(u32::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn the_shortest_first_wait_grows_to_the_limit_too() {
        for multiplier in [2, 10, u32::MAX] {
            let shortest = Duration::from_nanos(1);
            let backoff = Backoff::new(shortest, 20 * SECOND).with_multiplier(multiplier);
            assert_eq!(backoff.full_delay(100), 20 * SECOND, "{multiplier}");
        }
        assert_eq!(Backoff::new(Duration::ZERO, SECOND).full_delay(100), Duration::ZERO);
    }

    #[test]
    fn a_wait_is_spread_between_zero_and_its_full_length() {
        let backoff = Backoff::new(4 * SECOND, 60 * SECOND);
        let spread = [0.0, 0.25, 1.0, 7.0, -1.0, f64::NAN].map(|random| backoff.delay(1, random));
        assert_eq!(spread, [0, 1, 4, 4, 0, 0].map(Duration::from_secs));
    }

    #[test]
    fn the_limit_is_no_shorter_than_the_first_wait_and_waits_never_shrink() {
        assert_eq!(Backoff::new(SECOND, Duration::ZERO).full_delay(9), SECOND);
        assert_eq!(Backoff::new(SECOND, 9 * SECOND).with_multiplier(0).full_delay(9), SECOND);
    }
}
