//! Settings of an event writer.

use std::time::Duration;

#[cfg(feature = "seeded-bugs")]
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_segment_client::{
    append::{self, TimeNotes, WhenFull},
    machine::backoff,
};
use pravega_sdk_types::WriterName;
use pravega_sdk_wire_protocol::event::MAX_EVENT_LEN;

/// Settings of an event writer.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use pravega_sdk_event_stream::{LargeEvents, WriterConfig};
///
/// let config = WriterConfig::default()
///     .with_max_in_flight_bytes(8 * 1024 * 1024)
///     .with_delivery_timeout(Duration::from_secs(30))
///     .with_large_events(LargeEvents::UpTo(1 << 30));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct WriterConfig {
    pub(crate) append: append::Config,
    pub(crate) large_events: LargeEvents,
    pub(crate) max_event_bytes: usize,
}

/// What happens to events of more than 8 MiB.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeEvents {
    /// They are refused, as Java's client does by default.
    Refuse,
    /// They are written through a transient segment up to this many bytes, in order with the
    /// others. Readers need that much memory for each.
    UpTo(usize),
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            append: append::Config::default(),
            large_events: LargeEvents::Refuse,
            max_event_bytes: MAX_EVENT_LEN,
        }
    }
}

/// The longest timeout that can be set.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

impl WriterConfig {
    /// Returns the limit of bytes in flight, within the allowed range.
    pub(crate) fn in_flight_bytes(bytes: usize) -> usize {
        bytes.clamp(16 * 1024, 1 << 30)
    }

    /// Returns the delivery timeout, within the allowed range.
    pub(crate) fn delivery_timeout(timeout: Duration) -> Duration {
        timeout.clamp(Duration::from_millis(1), LONGEST_TIMEOUT)
    }

    /// Returns the timeout of the end of a runtime, within the allowed range.
    pub(crate) fn end_timeout(timeout: Duration) -> Duration {
        timeout.min(LONGEST_TIMEOUT)
    }

    /// Sets how many bytes of events may wait for their acknowledgement; writing waits when
    /// they are used up. Each event counts with its header, and for at least 512 bytes, so it
    /// bounds the number of events too: 65,536 of them by default. Default: 32 MiB, at least 16
    /// KiB, at most 1 GiB. An event that is larger than all of it takes all of it.
    #[must_use]
    pub fn with_max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.append.max_in_flight_bytes = Self::in_flight_bytes(bytes);
        self
    }

    /// Sets the maximum number of bytes of events in one append. Default: 1 MiB, at least 1 byte,
    /// at most 8 MiB. A larger event has an append of its own.
    #[must_use]
    pub fn with_max_block_bytes(mut self, bytes: usize) -> Self {
        self.append.max_block_bytes = bytes.clamp(1, MAX_EVENT_LEN);
        self
    }

    /// Sets how many appends may wait for their acknowledgement in each segment; events that are
    /// written meanwhile make the next append larger. Default: 8, at least 1, at most 1024.
    #[must_use]
    pub fn with_max_blocks_in_flight(mut self, blocks: usize) -> Self {
        self.append.max_blocks_in_flight = blocks.clamp(1, 1024);
        self
    }

    /// Sets how long an event may wait for its acknowledgement before it fails: the wait for
    /// capacity, reconnects and scaling included. Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.append.delivery_timeout = Self::delivery_timeout(timeout);
        self
    }

    /// Sets how long the end of the runtime may wait for events in hand, as it does where `main`
    /// returns before they are acknowledged; see [`EventWriter`](crate::EventWriter). Default: 10
    /// s; zero waits for nothing. At most a day.
    #[must_use]
    pub fn with_end_timeout(mut self, timeout: Duration) -> Self {
        self.append.end_timeout = Self::end_timeout(timeout);
        self
    }

    /// Sets the longest first wait after a failure, and the longest of all: each is twice the one
    /// before, of which a random part is waited. Defaults: 50 ms and 10 s; at least 1 ms, and the
    /// second no less than the first.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.append.backoff = backoff(initial, max);
        self
    }

    /// Sets what happens to events of more than 8 MiB. Default: they are refused.
    #[must_use]
    pub fn with_large_events(mut self, large_events: LargeEvents) -> Self {
        self.large_events = large_events;
        self
    }

    /// Sets what happens when a segment store has no space for events. Default: they fail at once.
    #[must_use]
    pub fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.append.when_full = when_full;
        self
    }

    /// Sets when the writer notes the time. Default: by hand.
    #[must_use]
    pub fn with_time_notes(mut self, time_notes: TimeNotes) -> Self {
        self.append.time_notes = time_notes;
        self
    }

    /// Sets the name under which the writer notes the time. Default: a random one.
    #[must_use]
    pub fn with_writer_name(mut self, name: WriterName) -> Self {
        self.append.writer_name = Some(name);
        self
    }

    /// Takes events of more than `bytes` for large ones, which is 8 MiB by default, so that tests
    /// need not write that much.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes.clamp(1, MAX_EVENT_LEN);
        self.append.piece_bytes = self.max_event_bytes;
        self
    }

    /// Makes the writer's random numbers repeatable.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.append.seed = Some(seed);
        self
    }

    /// Breaks the writer on purpose.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.append.bugs = Bugs::new(bug);
        self
    }
}
