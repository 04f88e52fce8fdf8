//! When the operator is warned that the memory limit is near: before writes are refused, and once
//! each time that the memory fills.

/// The shares of the limit, in tenths, from which the operator is warned, and below which another
/// warning follows.
const WARNS_FROM: u128 = 9;
const CALMS_BELOW: u128 = 8;

/// The warning that was given, if it still holds.
#[derive(Debug, Default)]
pub(crate) struct Fullness {
    is_told: bool,
}

impl Fullness {
    /// Takes the memory that is held. Returns true if it is time for a warning.
    pub(crate) fn is_news(&mut self, held: u64, limit: u64) -> bool {
        let (held, limit) = (u128::from(held) * 10, u128::from(limit));
        if held >= limit * WARNS_FROM {
            return !std::mem::replace(&mut self.is_told, true);
        }
        if held < limit * CALMS_BELOW {
            self.is_told = false;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_warning_each_time_that_the_memory_fills() {
        let mut fullness = Fullness::default();
        let news: Vec<u64> = [0, 89, 90, 100, 85, 95, 80, 90, 79, 89, 90, 91, 250]
            .into_iter()
            .filter(|held| fullness.is_news(*held, 100))
            .collect();
        assert_eq!(news, [90, 90]);
    }

    #[test]
    fn a_folder_with_more_than_the_limit_is_news_at_once() {
        assert!(Fullness::default().is_news(u64::MAX, 1 << 20));
        assert!(Fullness::default().is_news(1 << 20, 1 << 20));
        assert!(!Fullness::default().is_news(1 << 20, u64::MAX));
    }
}
