//! The rates of segments, and whether they are hot or cold.

use crate::record::Millis;

/// The intervals of periodic work, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// Between watermarks.
    pub watermarks: i64,
    /// Between applications of retention.
    pub retention: i64,
    /// Between measurements of rates.
    pub rates: i64,
    /// The shortest window of an average; two minutes in Java's server.
    pub rate_window: i64,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { watermarks: 10_000, retention: 30 * 60_000, rates: 5_000, rate_window: 120_000 }
    }
}

/// The rates of a segment, as averages over 1, 2.5, 5 and 10 windows, and since when they are
/// measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    averages: [f64; 4],
    since: Millis,
    measured: Millis,
}

/// The length of each average, in windows.
const WINDOWS: [f64; 4] = [1.0, 2.5, 5.0, 10.0];

/// The load of a segment, as its rates show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heat {
    /// Its rate is this many times its target.
    Hot(u32),
    Warm,
    Cold,
}

impl Rates {
    pub(super) fn new(now: Millis) -> Self {
        Self { averages: [0.0; 4], since: now, measured: now }
    }

    /// Adds the amount since the last measurement. After a clock that was ahead is right again, the
    /// measurement begins again: until then, no average would be old enough to count.
    pub(super) fn measure(&mut self, amount: f64, now: Millis, window: i64) {
        if now < self.measured {
            *self = Self::new(now);
            return;
        }
        let elapsed = now.since(self.measured).max(1) as f64;
        let rate = amount * 1000.0 / elapsed;
        for (average, windows) in self.averages.iter_mut().zip(WINDOWS) {
            let weight = 1.0 - (-elapsed / (windows * window as f64)).exp();
            *average += (rate - *average) * weight;
        }
        self.measured = now;
    }

    pub(super) fn heat(&self, target: f64, now: Millis, window: i64) -> Heat {
        let [two, five, ten, twenty] = self.averages;
        let age = now.since(self.since) as f64 / window as f64;
        let hot = |rate: f64| Heat::Hot((rate / target).clamp(2.0, 1000.0) as u32);
        if two > 5.0 * target && age >= WINDOWS[0] {
            hot(two)
        } else if five > 2.0 * target && age >= WINDOWS[1] {
            hot(five)
        } else if ten > target && age >= WINDOWS[2] {
            hot(ten)
        } else if twenty < target / 2.0 && ten < target / 2.0 && age >= WINDOWS[3] {
            Heat::Cold
        } else {
            Heat::Warm
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_hot_by_how_much_and_how_long_and_cold_after_long() {
        let window = 120_000;
        let heat = |rate: f64, minutes: i64| {
            let mut rates = Rates::new(Millis(0));
            for step in 1..=minutes * 12 {
                rates.measure(rate * 5.0, Millis(step * 5_000), window);
            }
            rates.heat(100.0, Millis(minutes * 60_000), window)
        };
        assert_eq!(heat(1_000.0, 1), Heat::Warm, "too young");
        assert!(matches!(heat(1_000.0, 3), Heat::Hot(_)));
        assert_eq!(heat(150.0, 5), Heat::Warm);
        assert_eq!(heat(150.0, 30), Heat::Hot(2));
        assert_eq!(heat(80.0, 60), Heat::Warm);
        assert_eq!(heat(10.0, 10), Heat::Warm);
        assert_eq!(heat(10.0, 60), Heat::Cold);
    }
}
