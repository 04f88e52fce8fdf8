//! When the operator is warned that a limit is near: before writes are refused, and once each time
//! that the memory or the disk fills.

use std::time::Duration;

use tokio::time::Instant;

/// The warning that was given, if it still holds.
#[derive(Debug)]
pub(crate) struct Fullness {
    /// The share of the limit, in hundredths, from which the operator is warned.
    warns_from: u128,
    /// The share below which another warning follows.
    calms_below: u128,
    is_told: bool,
}

impl Fullness {
    /// That of the memory.
    pub(crate) fn of_memory() -> Self {
        Self { warns_from: 90, calms_below: 80, is_told: false }
    }

    /// That of the disk: of what may be used of its limit.
    pub(crate) fn of_disk() -> Self {
        Self { warns_from: 80, calms_below: 75, is_told: false }
    }

    /// Takes what is held. Returns true if it is time for a warning.
    pub(crate) fn is_news(&mut self, held: u64, limit: u64) -> bool {
        let (held, limit) = (u128::from(held) * 100, u128::from(limit));
        if held >= limit * self.warns_from {
            return !std::mem::replace(&mut self.is_told, true);
        }
        if held < limit * self.calms_below {
            self.is_told = false;
        }
        false
    }
}

/// The time between two warnings that the disk has no space left: a disk that is nearly full takes
/// small writes in between.
const WARNED_AGAIN: Duration = Duration::from_secs(60);

/// Whether the operator was warned that the disk has no space left.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    warned: Option<Instant>,
}

impl Shortage {
    /// Takes whether the disk is short of space. Returns true if it is time for a warning.
    pub(crate) fn is_news(&mut self, is_short: bool, now: Instant) -> bool {
        let is_old = |warned: Instant| now.saturating_duration_since(warned) < WARNED_AGAIN;
        if !is_short || self.warned.is_some_and(is_old) {
            return false;
        }
        self.warned = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_space_is_news_at_once_and_not_more_often_than_once_a_minute() {
        let (mut shortage, begun) = (Shortage::default(), Instant::now());
        let news: Vec<u64> = [(0, false), (1, true), (2, true), (3, false), (4, true), (62, true)]
            .into_iter()
            .filter(|(at, is_short)| shortage.is_news(*is_short, begun + Duration::from_secs(*at)))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(news, [1, 62]);
    }

    #[test]
    fn there_is_one_warning_each_time_that_the_memory_fills() {
        let mut fullness = Fullness::of_memory();
        let news: Vec<u64> = [0, 89, 90, 100, 85, 95, 80, 90, 79, 89, 90, 91, 250]
            .into_iter()
            .filter(|held| fullness.is_news(*held, 100))
            .collect();
        assert_eq!(news, [90, 90]);
    }

    #[test]
    fn a_folder_with_more_than_the_limit_is_news_at_once() {
        assert!(Fullness::of_memory().is_news(u64::MAX, 1 << 20));
        assert!(Fullness::of_memory().is_news(1 << 20, 1 << 20));
        assert!(!Fullness::of_memory().is_news(1 << 20, u64::MAX));
    }
}
