//! Everything that can be set about an event writer.

use std::time::Duration;

use pravega_sdk_segment_client::{machine::Backoff, seeded_bugs::Bugs};
use pravega_sdk_types::WriterName;
use pravega_sdk_wire_protocol::event::MAX_EVENT_LEN;

use crate::{append::machine::Limits, writer::machine::Settings};

/// Everything that can be set about an event writer.
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
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) max_block_bytes: usize,
    pub(crate) max_blocks_in_flight: usize,
    pub(crate) delivery_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) large_events: LargeEvents,
    pub(crate) time_notes: TimeNotes,
    pub(crate) writer_name: Option<WriterName>,
    pub(crate) max_event_bytes: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) bugs: Bugs,
}

/// What happens to events of more than 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeEvents {
    /// They are refused, as by Java's client unless it is told otherwise.
    Refuse,
    /// They are written through a transient segment up to this many bytes, in order with the
    /// others. Readers need that much memory for each.
    UpTo(usize),
}

/// When a writer notes the time for watermarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeNotes {
    /// When [`EventWriter::note_time`](crate::EventWriter::note_time) is called.
    ByHand,
    /// Every 5 s, by the clock of this machine in milliseconds since 1970, as by Java's client.
    Automatic,
}

/// What an event counts for at the least: what it costs to keep an eye on it.
pub(crate) const MIN_COST: usize = 512;
/// A set-up that is not answered for this long ends its connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            max_in_flight_bytes: 32 * 1024 * 1024,
            max_block_bytes: 1024 * 1024,
            max_blocks_in_flight: 8,
            delivery_timeout: Duration::from_secs(120),
            backoff: Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(10) },
            large_events: LargeEvents::Refuse,
            time_notes: TimeNotes::ByHand,
            writer_name: None,
            max_event_bytes: MAX_EVENT_LEN,
            seed: None,
            bugs: Bugs::default(),
        }
    }
}

impl WriterConfig {
    /// Sets how many bytes of events may wait for their acknowledgement; writing waits for room
    /// when they are used up. Each event counts with its header, and for at least 512 bytes, so it
    /// bounds the number of events too: 65,536 of them by default. Default: 32 MiB, at least 16
    /// KiB, at most 1 GiB. An event that is larger than all of it takes all of it.
    #[must_use]
    pub fn with_max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes = bytes.clamp(16 * 1024, 1 << 30);
        self
    }

    /// Sets up to how many bytes events are put into one append. Default: 1 MiB, at least 1 byte,
    /// at most 8 MiB. A single larger event goes by itself.
    #[must_use]
    pub fn with_max_block_bytes(mut self, bytes: usize) -> Self {
        self.max_block_bytes = bytes.clamp(1, MAX_EVENT_LEN);
        self
    }

    /// Sets how many appends may wait for their acknowledgement in each segment; events that come
    /// meanwhile make the next one larger. Default: 8, at least 1, at most 1024.
    #[must_use]
    pub fn with_max_blocks_in_flight(mut self, blocks: usize) -> Self {
        self.max_blocks_in_flight = blocks.clamp(1, 1024);
        self
    }

    /// Sets how long an event may wait for its acknowledgement, reconnects and scaling included,
    /// before it fails. Default: 120 s, at least 1 ms, at most a day.
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout =
            timeout.clamp(Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));
        self
    }

    /// Sets the longest first wait after a failure, and the longest of all: each is twice the one
    /// before, of which a random part is waited. Defaults: 50 ms and 10 s; at least 1 ms, and the
    /// second no less than the first.
    #[must_use]
    pub fn with_backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = Backoff::new(initial, max);
        self
    }

    /// Sets what happens to events of more than 8 MiB. Default: they are refused.
    #[must_use]
    pub fn with_large_events(mut self, large_events: LargeEvents) -> Self {
        self.large_events = large_events;
        self
    }

    /// Sets when the writer notes the time. Default: by hand.
    #[must_use]
    pub fn with_time_notes(mut self, time_notes: TimeNotes) -> Self {
        self.time_notes = time_notes;
        self
    }

    /// Sets the name under which the writer notes the time. Default: a random one.
    #[must_use]
    pub fn with_writer_name(mut self, name: WriterName) -> Self {
        self.writer_name = Some(name);
        self
    }

    /// Takes events of more than `bytes` for large ones, which is 8 MiB by default, so that tests
    /// need not write that much.
    #[doc(hidden)]
    #[must_use]
    pub fn with_max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes.clamp(1, MAX_EVENT_LEN);
        self
    }

    /// Makes the writer's random choices repeatable.
    #[doc(hidden)]
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Breaks the writer on purpose.
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

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            limits: Limits {
                max_block_bytes: self.max_block_bytes,
                max_blocks_in_flight: self.max_blocks_in_flight,
                piece_bytes: self.max_event_bytes,
            },
            delivery_timeout: self.delivery_timeout,
            request_timeout: REQUEST_TIMEOUT,
            backoff: self.backoff,
        }
    }
}
