//! The settings of appending.

use std::time::Duration;

use pravega_sdk_types::{Backoff, WriterName};
use pravega_sdk_wire_protocol::event::MAX_EVENT_LEN;

use super::{segment::machine::Limits, stream::machine::Settings, when_full::WhenFull};
use crate::seeded_bugs::Bugs;

/// The settings of a [`Handle`](super::Handle). The surfaces check the bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes that may wait for their acknowledgement.
    pub max_in_flight_bytes: usize,
    /// An append takes events up to this many bytes; a single larger one is an append of its own.
    pub max_block_bytes: usize,
    /// Appends that may wait for their acknowledgement in each segment.
    pub max_blocks_in_flight: usize,
    /// Large events travel in pieces of this length.
    pub piece_bytes: usize,
    /// How long an event may wait for its acknowledgement.
    pub delivery_timeout: Duration,
    /// How long the end of the runtime may wait for events in hand.
    pub end_timeout: Duration,
    /// The wait after failures.
    pub backoff: Backoff,
    /// What happens when a segment store has no space.
    pub when_full: WhenFull,
    /// When the writer notes times.
    pub time_notes: TimeNotes,
    /// The name by which times are noted; `None` means a random one.
    pub writer_name: Option<WriterName>,
    /// The seed of the random numbers; `None` means a random one.
    pub seed: Option<u64>,
    /// The seeded bug, if one is switched on.
    pub bugs: Bugs,
}

/// When a writer notes the time for watermarks.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeNotes {
    /// When `note_time` is called.
    ByHand,
    /// Every 5 s, by the clock of this machine in milliseconds since 1970, as by Java's client.
    Automatic,
}

/// A set-up that is not answered for this long is repeated on another connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for appends: a store gives an operation up after this long. It is half of the delivery
/// timeout if that is less, so that a set-up can tell in time what is stored.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// Slow stores are not set up all the time, however short the delivery timeout is.
const MIN_SILENCE: Duration = Duration::from_secs(1);

impl Default for Config {
    fn default() -> Self {
        Self {
            max_in_flight_bytes: 32 * 1024 * 1024,
            max_block_bytes: 1024 * 1024,
            max_blocks_in_flight: 8,
            piece_bytes: MAX_EVENT_LEN,
            delivery_timeout: Duration::from_secs(120),
            end_timeout: Duration::from_secs(10),
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(10)),
            when_full: WhenFull::Fail,
            time_notes: TimeNotes::ByHand,
            writer_name: None,
            seed: None,
            bugs: Bugs::default(),
        }
    }
}

impl Config {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            limits: Limits {
                max_block_bytes: self.max_block_bytes,
                max_blocks_in_flight: self.max_blocks_in_flight,
                piece_bytes: self.piece_bytes,
            },
            delivery_timeout: self.delivery_timeout,
            request_timeout: REQUEST_TIMEOUT,
            silence_timeout: (self.delivery_timeout / 2).clamp(MIN_SILENCE, MAX_SILENCE),
            backoff: self.backoff,
            when_full: self.when_full,
        }
    }
}
