//! What happens in each second of a run. The counterparts use the same file.

use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// The most seconds of a run; what comes later counts in the last one.
const MOST_SECONDS: usize = 3600;

/// The events of each second since a run began.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    began: Instant,
    seconds: Vec<Second>,
}

#[derive(Debug, Clone, Default)]
struct Second {
    events: u64,
    latencies: Histogram,
}

impl Timeline {
    /// A run that begins at a time.
    pub(crate) fn new(began: Instant) -> Self {
        Self { began, seconds: Vec::new() }
    }

    fn second(&mut self, now: Instant) -> Option<&mut Second> {
        let at = now.saturating_duration_since(self.began).as_secs();
        let at = usize::try_from(at).unwrap_or(MOST_SECONDS).min(MOST_SECONDS - 1);
        if at >= self.seconds.len() {
            self.seconds.resize_with(at + 1, Second::default);
        }
        self.seconds.get_mut(at)
    }

    /// Counts an event that was handed in at a time and is acknowledged now.
    pub(crate) fn acknowledged(&mut self, begun: Instant) {
        let now = Instant::now();
        if let Some(second) = self.second(now) {
            second.events += 1;
            second.latencies.record(now - begun);
        }
    }

    /// Counts events that were read.
    pub(crate) fn read(&mut self, events: u64) {
        if let Some(second) = self.second(Instant::now()) {
            second.events += events;
        }
    }

    /// Adds what another producer did in the same run.
    pub(crate) fn merge(&mut self, other: &Self) {
        let len = self.seconds.len().max(other.seconds.len());
        self.seconds.resize_with(len, Second::default);
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.events += theirs.events;
            mine.latencies.merge(&theirs.latencies);
        }
    }

    /// Returns the figures of the run as a line of JSON, with the events and the p99 of each
    /// second.
    pub(crate) fn report(&self, took: Duration) -> String {
        let (mut all, mut events) = (Histogram::default(), 0);
        for second in &self.seconds {
            all.merge(&second.latencies);
            events += second.events;
        }
        let each = self.seconds.iter();
        let each: Vec<String> = each
            .map(|second| {
                format!("[{}, {:.1}]", second.events, second.latencies.percentile_us(0.99))
            })
            .collect();
        format!(
            "{{\"events\": {events}, \"seconds\": {:.6}, \"p50_us\": {:.1}, \"p99_us\": {:.1}, \
             \"max_us\": {:.1}, \"each\": [{}]}}",
            took.as_secs_f64(),
            all.percentile_us(0.5),
            all.percentile_us(0.99),
            all.percentile_us(1.0),
            each.join(", ")
        )
    }
}
