//! A histogram of latencies with 32 buckets per power of two, so values are accurate to 3 %. The
//! counterparts use the same one.

use std::time::Duration;

const SUB: u64 = 32;

/// A histogram of durations.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * SUB as usize], count: 0 }
    }
}

impl Histogram {
    /// Returns the number of durations.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Counts a duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanos)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    /// Returns a percentile in microseconds; `share` is between 0 and 1.
    #[must_use]
    pub(crate) fn percentile_us(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return value_of(at as u64) / 1000.0;
            }
        }
        0.0
    }

    /// Returns the figures of a run of `seconds` as a line of JSON.
    #[must_use]
    pub(crate) fn report(&self, seconds: f64) -> String {
        let (p50, p99) = (self.percentile_us(0.5), self.percentile_us(0.99));
        let events = self.count();
        format!(
            "{{\"events\": {events}, \"seconds\": {seconds:.6}, \
             \"p50_us\": {p50:.2}, \"p99_us\": {p99:.2}}}"
        )
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let shift = u64::from(63 - value.leading_zeros()) - 5;
    ((shift + 1) * SUB + ((value >> shift) - SUB)) as usize
}

/// Returns the middle of a bucket.
fn value_of(bucket: u64) -> f64 {
    if bucket < SUB {
        return bucket as f64;
    }
    ((bucket % SUB + SUB) as f64 + 0.5) * 2_f64.powi((bucket / SUB - 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_accurate_to_three_percent() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.percentile_us(share);
            assert!((found - expected).abs() / expected < 0.03, "{found} for {expected}");
        }
        assert_eq!(Histogram::default().percentile_us(0.5), 0.0);
    }
}
