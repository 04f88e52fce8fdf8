//! The work of a client, and the lines that synchronize it with the program that measures it.
//! The Rust peer uses the same file.

use std::{
    io::BufRead as _,
    time::{Duration, Instant},
};

/// URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS, as on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) uri: String,
    pub(crate) stream: String,
    /// throughput, latency, rate, flood, read, tail, group-read, group-tail, bytes-write or bytes-
    /// read; of a table, its kind and the operation: keyed or hash, put, get or iterate, such as
    /// keyed-put, and agreed-update. The name of the stream is then that of the table.
    pub(crate) mode: String,
    pub(crate) size: usize,
    pub(crate) seconds: f64,
    pub(crate) max_bytes: u64,
    /// Number of routing keys; with 0, events have none. Of a table, the number of its entries.
    pub(crate) keys: usize,
    /// Events per second, for the modes rate, tail and group-tail.
    pub(crate) rate: u64,
    /// Number of callers that use a table at the same time.
    pub(crate) callers: u64,
}

impl Work {
    /// Parses the arguments; `None` if they are incomplete or invalid.
    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [uri, scope, stream, mode, size, seconds, max_bytes, keys, rate, callers] = arguments
        else {
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
            callers: callers.parse().ok()?,
        })
    }

    /// Returns the work of the warm-up.
    pub(crate) fn warm_up(&self) -> Self {
        Self {
            seconds: (self.seconds / 2.0).max(1.0),
            max_bytes: self.max_bytes / 4,
            ..self.clone()
        }
    }

    /// Returns the number of events to read, or of pieces of bytes to write.
    pub(crate) fn count(&self) -> u64 {
        self.max_bytes / self.size as u64
    }

    /// Returns an event that contains the time, in nanoseconds since `base`.
    pub(crate) fn stamped(&self, base: Instant) -> Vec<u8> {
        let mut event = vec![0; self.size];
        let nanos = base.elapsed().as_nanos() as u64;
        for (byte, stamp) in event.iter_mut().zip(nanos.to_be_bytes()) {
            *byte = stamp;
        }
        event
    }

    /// Returns the time since an event was written.
    pub(crate) fn age(&self, event: &[u8], base: Instant) -> Duration {
        let stamp = event.first_chunk().map_or(0, |stamp| u64::from_be_bytes(*stamp));
        base.elapsed().saturating_sub(Duration::from_nanos(stamp))
    }

    pub(crate) fn key_names(&self) -> Vec<String> {
        (0..self.keys).map(|at| format!("key-{at}")).collect()
    }

    /// Returns the number of the entry that a caller uses next: the callers use different ones.
    pub(crate) fn entry(&self, caller: u64, done: u64) -> u64 {
        // Coprime to the usual numbers of entries, so that all are used, in no order.
        const STRIDE: u64 = 7919;
        (done * self.callers + caller) * STRIDE % self.keys.max(1) as u64
    }

    pub(crate) fn is_over(&self, started: Instant, written: u64) -> bool {
        started.elapsed().as_secs_f64() >= self.seconds
            || written * self.size as u64 >= self.max_bytes
    }

    /// Waits until the next event is due, for the modes rate and tail. Timers have a resolution of
    /// a millisecond, so several events may be due at once.
    pub(crate) async fn wait_for_turn(&self, started: Instant, written: u64) {
        if matches!(self.mode.as_str(), "rate" | "tail" | "group-tail") {
            let due = started + Duration::from_nanos(written * 1_000_000_000 / self.rate);
            while Instant::now() < due {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Waits for the measuring program to write a line.
pub(crate) fn wait_for_a_line() {
    std::io::stdin().lock().read_line(&mut String::new()).ok();
}
