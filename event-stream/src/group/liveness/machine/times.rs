//! The times that follow from the length of a lease.

use std::time::Duration;

use pravega_sdk_segment_client::machine::Now;

use super::seeded_bugs::{Bugs, LivenessBug};

/// The unit in which the length is stored.
pub(super) const UNIT: Duration = Duration::from_millis(100);
const MIN_UNITS: u16 = 5;
const MAX_UNITS: u16 = 12_000;
/// Answers that are later than expected by less than this are not late, in short leases either.
const MIN_LATENESS: Duration = Duration::from_millis(250);
const MIN_RETRY: Duration = Duration::from_millis(20);
const MAX_RETRY: Duration = Duration::from_secs(1);
const MIN_RELEASE: Duration = Duration::from_secs(30);

/// The times that follow from the length of a lease, L.
///
/// ```text
/// the reader      renews every L/3, returns events until 4/7 L after the begin of a renewal
/// an observer     reads every L/3, or L/6 if nothing has changed; after 3/5 L without a change
///                 the reader is dead
/// ```
///
/// So a reader that ends is found dead after at most 14/15 L, and a reader that can reach the store
/// has at least 1/4 L to repeat a renewal that failed. The clock of an observer may be faster than
/// that of a reader by 5 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    units: u16,
    pub(super) bugs: Bugs,
}

impl LeaseTimes {
    /// The times of a lease of a length between 500 ms and 20 minutes, in steps of 100 ms. What is
    /// shorter or longer is set to that.
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        let units = lease.as_millis().div_ceil(UNIT.as_millis());
        let units = u16::try_from(units).unwrap_or(MAX_UNITS).clamp(MIN_UNITS, MAX_UNITS);
        Self { units, bugs: Bugs::default() }
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: LivenessBug) -> Self {
        self.bugs.on = Some(bug);
        self
    }

    pub(super) fn with_bugs_of(self, other: Self) -> Self {
        Self { bugs: other.bugs, ..self }
    }

    pub(super) fn is_valid(units: u16) -> bool {
        (MIN_UNITS..=MAX_UNITS).contains(&units)
    }

    pub(super) fn units(self) -> u16 {
        self.units
    }

    /// Returns the length of the lease.
    #[must_use]
    pub fn lease(self) -> Duration {
        UNIT.saturating_mul(self.units.into())
    }

    /// Time between the begins of two renewals.
    pub(super) fn renewal(self) -> Duration {
        self.lease() / 3
    }

    /// Time from the begin of a renewal, for which the reader returns events.
    pub(super) fn trust(self) -> Duration {
        self.lease() * 4 / 7
    }

    /// Time without a change after which an observer takes the reader for dead.
    pub(super) fn silence(self) -> Duration {
        let is_hasty = self.bugs.has(LivenessBug::IgnoresDrift);
        if is_hasty { self.lease() * 5 / 9 } else { self.lease() * 3 / 5 }
    }

    /// Time until an observer reads a lease again that has changed.
    pub(super) fn watch(self) -> Duration {
        self.lease() / 3
    }

    /// Time until it reads one again that has not.
    pub(super) fn close_watch(self) -> Duration {
        self.lease() / 6
    }

    /// Time without a change after which other readers may be dead too.
    pub(super) fn suspicion(self) -> Duration {
        self.lease() / 2
    }

    /// Time after which the readers of the group are looked up, if the program has not read them.
    pub(super) fn roster(self) -> Duration {
        self.lease() / 2
    }

    /// How much later than planned an answer is late: the reader may not have reached the store
    /// either.
    pub(super) fn lateness(self) -> Duration {
        (self.lease() / 12).max(MIN_LATENESS)
    }

    /// Time that a reader has to renew its lease after the store was out of reach.
    pub(super) fn grace(self) -> Duration {
        self.lease() / 6
    }

    /// Time until a request is made again that failed.
    pub(super) fn retry(self) -> Duration {
        (self.lease() / 24).clamp(MIN_RETRY, MAX_RETRY)
    }

    /// Time that a request about a lease may take.
    #[must_use]
    pub fn request_timeout(self) -> Duration {
        self.lease() / 8
    }

    /// Time that a request of an observer may take after so many failures: it doubles, as a store
    /// may answer all of them late.
    pub(super) fn patience(self, failures: u32) -> Duration {
        let longer = 2_u32.saturating_pow(failures);
        self.request_timeout().saturating_mul(longer).min(self.lease() * 2)
    }

    /// Time for which a lease that is given back is tried to be removed.
    pub(super) fn release(self) -> Duration {
        self.lease().max(MIN_RELEASE)
    }
}

/// Returns the earlier of two moments, of which the second may not be known.
pub(super) fn earlier(one: Now, other: Option<Now>) -> Now {
    other.map_or(one, |other| one.min(other))
}

/// The times of a lease of 30 s.
impl Default for LeaseTimes {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_reader_is_found_within_the_lease_and_never_while_it_trusts_its_own() {
        for millis in [500, 2_000, 30_000, 1_200_000] {
            let times = LeaseTimes::new(Duration::from_millis(millis));
            assert_eq!(times.lease(), Duration::from_millis(millis));
            assert!(times.watch() + times.silence() < times.lease());
            assert!(times.trust() * 104 < times.silence() * 100);
            assert!(times.renewal() < times.suspicion() && times.renewal() < times.trust());
        }
    }

    #[test]
    fn a_length_outside_the_bounds_is_set_to_the_nearest() {
        for (millis, set) in [(0, 500), (501, 600), (u64::MAX, 1_200_000)] {
            let times = LeaseTimes::new(Duration::from_millis(millis));
            assert_eq!(times.lease(), Duration::from_millis(set));
            assert!(LeaseTimes::is_valid(times.units()));
        }
    }
}
