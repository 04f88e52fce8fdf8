//! How fast work in the background goes, so that it leaves the disk to commits.

use std::time::{Duration, Instant};

/// The bytes that are written or read in a second, unless another rate is given.
const RATE: u64 = 16 << 20;
/// The wait after the first failure, and the longest one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The time from which the next bytes may be written.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: u64,
    from: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(RATE)
    }
}

impl Throttle {
    /// A throttle to a number of bytes in a second, at least one.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), from: None }
    }

    /// Notes bytes that were written or read.
    pub(super) fn spend(&mut self, now: Instant, bytes: u64) {
        let nanos = bytes.saturating_mul(1_000_000_000) / self.rate;
        let from = self.from.map_or(now, |from| from.max(now));
        self.from = Some(from + Duration::from_nanos(nanos));
    }

    /// How long to wait before the next bytes.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.from.map_or(Duration::ZERO, |from| from.saturating_duration_since(now))
    }
}

/// When something that failed is tried again: later each time.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    wait: Option<Duration>,
    until: Option<Instant>,
}

impl Backoff {
    /// Notes a failure. Returns true if it is the first one after a success.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        let wait = self.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
        self.until = Some(now + wait);
        self.wait.replace(wait).is_none()
    }

    /// Notes a success.
    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// How long to wait before the next attempt.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_no_more_bytes_than_the_rate() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.wait(now), Duration::ZERO);
        throttle.spend(now, RATE / 4);
        throttle.spend(now, RATE / 4);
        assert_eq!(throttle.wait(now), Duration::from_millis(500));
        let later = now + Duration::from_secs(9);
        assert_eq!(throttle.wait(later), Duration::ZERO);
        throttle.spend(later, RATE);
        assert_eq!(throttle.wait(later), Duration::from_secs(1), "rests are not saved up");
    }

    #[test]
    fn the_waits_between_failures_grow_up_to_a_longest_one() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let told: Vec<bool> = (0..20).map(|_| backoff.fail(now)).collect();
        assert!(told[0] && !told[1..].contains(&true), "only the first one is news");
        assert_eq!(backoff.wait(now), LONGEST_WAIT);
        backoff.succeed();
        assert_eq!(backoff.wait(now), Duration::ZERO);
        assert!(backoff.fail(now));
        assert_eq!(backoff.wait(now), FIRST_WAIT);
    }
}
