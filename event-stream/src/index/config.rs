//! Settings of index writers and index readers.

use std::time::Duration;

use pravega_sdk_segment_client::append::WhenFull;

use crate::byte::{ByteReaderConfig, ByteWriterConfig};

/// Settings of an index writer.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::index::IndexWriterConfig;
///
/// let config = IndexWriterConfig::default().with_record_size(512);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Default)]
pub struct IndexWriterConfig {
    pub(super) record_size: Option<u32>,
    pub(super) bytes: ByteWriterConfig,
}

/// Settings of an index reader.
#[derive(Debug, Clone, Default)]
pub struct IndexReaderConfig {
    pub(super) bytes: ByteReaderConfig,
}

impl IndexWriterConfig {
    /// Sets the size of the records in bytes, 64 bytes to 8 MiB. The first writer of a stream
    /// decides it; later writers must give the same size or none. Default: the size of the stream's
    /// records, or [`DEFAULT_RECORD_SIZE`](super::DEFAULT_RECORD_SIZE) for a new stream.
    #[must_use]
    pub fn with_record_size(mut self, bytes: u32) -> Self {
        self.record_size = Some(bytes);
        self
    }

    /// Sets how many bytes may wait for their acknowledgement; see
    /// [`ByteWriterConfig::with_max_in_flight_bytes`].
    #[must_use]
    pub fn with_max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.bytes = self.bytes.with_max_in_flight_bytes(bytes);
        self
    }

    /// Sets how long a record may wait for its acknowledgement; see
    /// [`ByteWriterConfig::with_delivery_timeout`].
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.bytes = self.bytes.with_delivery_timeout(timeout);
        self
    }

    /// Sets what happens when the segment store has no space for a record; see
    /// [`ByteWriterConfig::with_when_full`].
    #[must_use]
    pub fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.bytes = self.bytes.with_when_full(when_full);
        self
    }

    /// Sets the wait after failures; see [`ByteWriterConfig::with_backoff`].
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.bytes = self.bytes.with_backoff(initial, max);
        self
    }
}

impl IndexReaderConfig {
    /// Sets how many bytes may be in flight or wait to be read, for each sequence of records; see
    /// [`ByteReaderConfig::with_max_buffered_bytes`].
    #[must_use]
    pub fn with_max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.bytes = self.bytes.with_max_buffered_bytes(bytes);
        self
    }

    /// Sets the wait after failures; see [`ByteReaderConfig::with_backoff`].
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.bytes = self.bytes.with_backoff(initial, max);
        self
    }

    /// Sets how long the segment may be unreadable before a read fails; see
    /// [`ByteReaderConfig::with_stall_timeout`].
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.bytes = self.bytes.with_stall_timeout(timeout);
        self
    }
}
