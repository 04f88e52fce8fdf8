//! What the handles of a writer and its task share.

use std::sync::atomic::{AtomicU64, Ordering};

use pravega_sdk_types::ScopedStream;
use tokio::sync::Semaphore;

use super::{ack::Acks, config::MIN_COST};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stream: ScopedStream,
    /// Bytes that may be written before something is acknowledged. Closed with the writer.
    pub(super) room: Semaphore,
    /// All of the room.
    pub(super) capacity: u32,
    pub(super) acks: Acks,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    pub(super) fn new(stream: ScopedStream, capacity: u32) -> Self {
        Self {
            stream,
            room: Semaphore::new(capacity as usize),
            capacity,
            acks: Acks::new(),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self, is_acknowledged: bool) {
        let counter = if is_acknowledged { &self.acknowledged } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes were acknowledged, and how many failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.acknowledged.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// How much room something of that many bytes takes. What is larger than all of it takes all of it.
pub(super) fn cost_of(bytes: usize, capacity: u32) -> u32 {
    u32::try_from(bytes.max(MIN_COST)).unwrap_or(u32::MAX).min(capacity)
}
