//! A budget of retries, so that an outage does not multiply the load.

use std::time::Duration;

/// A budget that all calls of a client share: each call deposits a fraction, each retry withdraws
/// one.
///
/// While calls succeed the budget is full. In an outage retries are limited to a steady floor and a
/// share of the calls, independent of the schedule of each call. Time is an argument, counted from
/// any fixed moment.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_types::RetryBudget;
///
/// let mut budget = RetryBudget::default();
/// budget.deposit(Duration::ZERO);
/// assert!(budget.withdraw(Duration::ZERO));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RetryBudget {
    tokens: f64,
    refilled_at: Duration,
}

/// The floor: this many retries per second are always possible.
const PER_SECOND: f64 = 10.0;
/// The additional share of the calls.
const PER_CALL: f64 = 0.2;
/// The maximum balance: ten seconds of the floor.
const CAPACITY: f64 = 100.0;

impl Default for RetryBudget {
    /// Creates a full budget.
    fn default() -> Self {
        Self { tokens: CAPACITY, refilled_at: Duration::ZERO }
    }
}

impl RetryBudget {
    /// Registers the first attempt of a call.
    pub fn deposit(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = (self.tokens + PER_CALL).min(CAPACITY);
    }

    /// Withdraws a retry; returns false if there were too many retries.
    #[must_use]
    pub fn withdraw(&mut self, now: Duration) -> bool {
        self.refill(now);
        let is_affordable = self.tokens >= 1.0;
        if is_affordable {
            self.tokens -= 1.0;
        }
        is_affordable
    }

    fn refill(&mut self, now: Duration) {
        // A clock that steps back does not change the balance.
        let passed = now.saturating_sub(self.refilled_at);
        self.refilled_at = self.refilled_at.max(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * PER_SECOND).min(CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many retries of `calls` per second, with nine retries each, are allowed in a
    /// minute of outage.
    fn retries_in_a_minute(calls: u32) -> u32 {
        let mut budget = RetryBudget::default();
        let mut granted = 0;
        for second in 0..60 {
            let now = Duration::from_secs(second);
            for _ in 0..calls {
                budget.deposit(now);
                granted += (0..9).filter(|_| budget.withdraw(now)).count() as u32;
            }
        }
        granted
    }

    #[test]
    fn an_outage_is_not_multiplied() {
        for calls in [1, 10, 100, 1000] {
            let limit = 100 + 60 * 10 + calls * 60 / 5;
            let granted = retries_in_a_minute(calls);
            assert!(
                granted <= limit,
                "{granted} retries for {calls} calls a second, {limit} are allowed"
            );
            assert!(granted >= (calls * 9 * 60).min(600), "{granted} retries: the floor is held");
        }
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut budget = RetryBudget::default();
        while budget.withdraw(Duration::from_secs(100)) {}
        assert!(!budget.withdraw(Duration::ZERO));
        assert!(budget.withdraw(Duration::from_secs(101)));
    }
}
