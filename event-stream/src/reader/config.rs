//! Settings of an event reader.

use std::time::Duration;

use pravega_sdk_segment_client::{machine::backoff, read::machine, seeded_bugs::Bugs};
use pravega_sdk_types::{Backoff, BoundedCut, StreamPosition};

use crate::reader::machine::{CorruptEvents, Settings};

/// Where a reader ends.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ReadUntil {
    /// At the end of the stream, once that is sealed.
    #[default]
    Sealed,
    /// Where the stream ends when the reader is made.
    Tail,
    /// A stream cut.
    Cut(BoundedCut),
}

/// Settings of an event reader.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::{StreamPosition, ReadUntil, ReaderConfig};
///
/// let config = ReaderConfig::default()
///     .with_start(StreamPosition::Tail)
///     .with_max_buffered_bytes(4 * 1024 * 1024);
/// # let _ = (config, ReadUntil::Tail);
/// ```
#[derive(Debug, Clone)]
pub struct ReaderConfig {
    pub(crate) start: StreamPosition,
    pub(crate) end: ReadUntil,
    pub(crate) max_buffered_bytes: usize,
    pub(crate) max_event_bytes: usize,
    pub(crate) max_read_bytes: usize,
    pub(crate) corrupt_events: CorruptEvents,
    pub(crate) backoff: Backoff,
    pub(crate) stall_timeout: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) bugs: Bugs,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        Self {
            start: StreamPosition::Head,
            end: ReadUntil::Sealed,
            max_buffered_bytes: 16 * 1024 * 1024,
            max_event_bytes: 1 << 30,
            max_read_bytes: machine::MAX_READ,
            corrupt_events: CorruptEvents::Stop,
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(10)),
            stall_timeout: Duration::from_secs(120),
            seed: None,
            bugs: Bugs::default(),
        }
    }
}

impl ReaderConfig {
    /// Sets where the reader begins. Default: at the head of the stream.
    ///
    /// | position | the reader begins |
    /// |---|---|
    /// | head | at the first event that is not truncated |
    /// | tail | after everything that is in the stream when the reader is opened |
    /// | stream cut | at the cut |
    /// | event | at the event, and at the heads of all other segments of its segment's epoch |
    /// | time | before everything that was written after that time |
    ///
    /// A time is looked up in the watermarks of the stream. Without watermarks, the reader leaves
    /// out segments whose last write was before the time by the clock of the servers, and so begins
    /// earlier than necessary.
    #[must_use]
    pub fn with_start(mut self, start: impl Into<StreamPosition>) -> Self {
        self.start = start.into();
        self
    }

    /// Sets where the reader ends. Default: at the end of the stream, once that is sealed.
    #[must_use]
    pub fn with_end(mut self, end: ReadUntil) -> Self {
        self.end = end;
        self
    }

    /// Sets how many bytes may be on their way from segment stores or wait to be handed out, over
    /// all segments. An event that is larger takes as much as it needs. Default: 16 MiB, at least
    /// 256 KiB, at most 1 GiB. However many segments there are, each may have 2 KiB on its way.
    #[must_use]
    pub fn with_max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.clamp(256 * 1024, 1 << 30);
        self
    }

    /// Sets the maximum length of an event; longer events are reported as corrupt. Default: 1 GiB,
    /// at most 2 GiB, the limit of the header.
    #[must_use]
    pub fn with_max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes.min(i32::MAX as usize);
        self
    }

    /// Sets what to do with bytes that are not a valid event. Default: the reader ends.
    #[must_use]
    pub fn with_corrupt_events(mut self, corrupt_events: CorruptEvents) -> Self {
        self.corrupt_events = corrupt_events;
        self
    }

    /// Sets the longest first wait after a failure, and the longest of all: each is twice the one
    /// before, of which a random part is waited. Defaults: 50 ms and 10 s; at least 1 ms, and the
    /// second no less than the first.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = backoff(initial, max);
        self
    }

    /// Sets for how long attempts to read a segment may fail before an error says so. It comes with
    /// the next attempt that fails, at most 40 s later. Reading goes on all the same: the error can
    /// be taken note of, or taken as a reason to end. Default: 120 s, at least 1 ms.
    ///
    /// A segment whose store takes a request and answers none looks like one without new events:
    /// the first attempt at its tail fails after three minutes.
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Makes reads short, so that tests need not write much.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_max_read_bytes(mut self, bytes: usize) -> Self {
        self.max_read_bytes = bytes.clamp(8, machine::MAX_READ);
        self
    }

    /// Makes the buffer smaller than its minimum, so that tests need not write much.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_small_buffer(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.max(1);
        self
    }

    /// Makes the reader's random numbers repeatable.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Breaks the reader on purpose.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(
        mut self,
        bug: pravega_sdk_segment_client::seeded_bugs::SeededBug,
    ) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }

    pub(crate) fn read_settings(&self) -> machine::Settings {
        machine::Settings {
            budget: self.max_buffered_bytes,
            max_read: self.max_read_bytes,
            backoff: self.backoff,
            stall_timeout: self.stall_timeout,
            bugs: self.bugs,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            max_event_bytes: self.max_event_bytes,
            corrupt_events: self.corrupt_events,
            backoff: self.backoff,
            stall_timeout: self.stall_timeout,
            bugs: self.bugs,
        }
    }
}
