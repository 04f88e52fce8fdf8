//! Settings of byte writers and byte readers.

use std::time::Duration;

#[cfg(feature = "seeded-bugs")]
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_segment_client::{
    append::{self, WhenFull},
    machine::backoff,
};
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::event::MAX_EVENT_LEN;

use crate::{reader::ReaderConfig, writer::WriterConfig};

/// One append is in flight at a time, so it may be large.
const MAX_BLOCK: usize = 4 * 1024 * 1024;

/// Settings of a byte writer.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::ByteWriterConfig;
///
/// let config = ByteWriterConfig::default().with_max_in_flight_bytes(8 * 1024 * 1024);
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct ByteWriterConfig {
    pub(super) append: append::Config,
}

impl Default for ByteWriterConfig {
    fn default() -> Self {
        Self { append: append::Config { max_block_bytes: MAX_BLOCK, ..Default::default() } }
    }
}

impl ByteWriterConfig {
    /// Sets how many bytes may wait for their acknowledgement; after that, writing waits. Default:
    /// 32 MiB, at least 16 KiB, at most 1 GiB.
    #[must_use]
    pub fn with_max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.append.max_in_flight_bytes = WriterConfig::in_flight_bytes(bytes);
        self
    }

    /// Sets the number of bytes that one append takes. One append is in flight at a time. Default:
    /// 4 MiB, at least 1 byte, at most 8 MiB.
    #[must_use]
    pub fn with_max_block_bytes(mut self, bytes: usize) -> Self {
        self.append.max_block_bytes = bytes.clamp(1, MAX_EVENT_LEN);
        self
    }

    /// Sets how long bytes may wait for their acknowledgement, reconnects included, before writing
    /// fails. Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.append.delivery_timeout = WriterConfig::delivery_timeout(timeout);
        self
    }

    /// Sets how long the end of the runtime may wait for bytes in hand; see
    /// [`WriterConfig::with_end_timeout`].
    #[must_use]
    pub fn with_end_timeout(mut self, timeout: Duration) -> Self {
        self.append.end_timeout = WriterConfig::end_timeout(timeout);
        self
    }

    /// Sets what happens when the segment store has no space for bytes. Default: writing fails at
    /// once, and the writer ends, as later bytes would follow a gap.
    #[must_use]
    pub fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.append.when_full = when_full;
        self
    }

    /// Sets the wait after failures; see [`WriterConfig::with_backoff`].
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.append.backoff = backoff(initial, max);
        self
    }

    /// Makes the writer's random numbers repeatable.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.append.seed = Some(seed);
        self
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.append.bugs = Bugs::new(bug);
        self
    }
}

/// Settings of a byte reader.
#[derive(Debug, Clone)]
pub struct ByteReaderConfig {
    pub(super) reader: ReaderConfig,
    pub(super) start: Option<Offset>,
}

impl Default for ByteReaderConfig {
    fn default() -> Self {
        Self {
            reader: ReaderConfig::default().with_max_buffered_bytes(8 * 1024 * 1024),
            start: None,
        }
    }
}

impl ByteReaderConfig {
    /// Sets the offset of the first byte to read. Default: that of the first byte that is not
    /// truncated.
    #[must_use]
    pub fn with_start(mut self, offset: Offset) -> Self {
        self.start = Some(offset);
        self
    }

    /// Sets how many bytes may be in flight or wait to be read. Default: 8 MiB, at least 256 KiB,
    /// at most 1 GiB.
    #[must_use]
    pub fn with_max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.reader = self.reader.with_max_buffered_bytes(bytes);
        self
    }

    /// Sets the wait after failures; see [`ReaderConfig::with_backoff`].
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.reader = self.reader.with_backoff(initial, max);
        self
    }

    /// Sets how long a segment may be unreadable before a read fails; see
    /// [`ReaderConfig::with_stall_timeout`].
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.reader = self.reader.with_stall_timeout(timeout);
        self
    }

    /// Makes the reader's random numbers repeatable.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.reader = self.reader.with_seed(seed);
        self
    }

    /// Makes reads short, so that tests need not write much.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_max_read_bytes(mut self, bytes: usize) -> Self {
        self.reader = self.reader.with_max_read_bytes(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_writer_never_reconnects_without_a_wait() {
        for max in [Duration::ZERO, Duration::from_secs(1)] {
            let bytes = ByteWriterConfig::default().with_backoff(Duration::ZERO, max);
            let events = WriterConfig::default().with_backoff(Duration::ZERO, max);
            assert!(bytes.append.backoff.full_delay(1) >= Duration::from_millis(1));
            assert_eq!(bytes.append.backoff, events.append.backoff);
        }
    }
}
