//! What a client is told to do, and how it keeps in step with whoever watches it. The counterpart in Rust uses the same.

use std::{
    io::BufRead as _,
    time::{Duration, Instant},
};

/// URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE, as they stand on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) uri: String,
    pub(crate) stream: String,
    /// throughput, latency, rate or flood.
    pub(crate) mode: String,
    pub(crate) size: usize,
    pub(crate) seconds: f64,
    pub(crate) max_bytes: u64,
    /// How many routing keys there are; with 0 events have none.
    pub(crate) keys: usize,
    /// Events a second, where the mode is rate.
    pub(crate) rate: u64,
}

impl Work {
    /// Reads the arguments; none if they are not what is needed.
    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [uri, scope, stream, mode, size, seconds, max_bytes, keys, rate] = arguments else {
            return None;
        };
        Some(Self {
            uri: uri.clone(),
            stream: format!("{scope}/{stream}"),
            mode: mode.clone(),
            size: size.parse().ok()?,
            seconds: seconds.parse().ok()?,
            max_bytes: max_bytes.parse().ok()?,
            keys: keys.parse().ok()?,
            rate: rate.parse().ok()?,
        })
    }

    /// The same for long enough that everything is warm.
    pub(crate) fn warm_up(&self) -> Self {
        Self { seconds: (self.seconds / 2.0).max(1.0), max_bytes: self.max_bytes / 4, ..self.clone() }
    }

    pub(crate) fn key_names(&self) -> Vec<String> {
        (0..self.keys).map(|at| format!("key-{at}")).collect()
    }

    pub(crate) fn is_over(&self, started: Instant, written: u64) -> bool {
        started.elapsed().as_secs_f64() >= self.seconds || written * self.size as u64 >= self.max_bytes
    }

    /// Waits until the next event is due, where there is a rate. Timers count in milliseconds, so several events may be due
    /// at once; nothing turns in circles meanwhile.
    pub(crate) async fn wait_for_turn(&self, started: Instant, written: u64) {
        if self.mode == "rate" {
            let due = started + Duration::from_nanos(written * 1_000_000_000 / self.rate);
            while Instant::now() < due {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Waits until whoever watches says so.
pub(crate) fn wait_for_a_line() {
    std::io::stdin().lock().read_line(&mut String::new()).ok();
}
