//! How much of the changes of clients may wait for the disk.
//!
//! Changes are durable in their order, so each waits for all bytes that were queued before it. A
//! long queue gives the disk long writes, which are the fastest; but a client that writes little
//! now and then would wait for it each time. So the queue is long only while all clients that write
//! write much. Clients that write little may always add to it.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::locks::lock;

/// The bytes that clients which write much may have queued while others write little.
const SHORT: u64 = 1 << 20;
/// How long the queue stays short after a client has written little.
const STAYS: Duration = Duration::from_secs(1);
/// How long a client waits for a short queue at most: those that write little may be so many that
/// it never is.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time after which half of what a client has written no longer counts.
const HALF_LIFE: Duration = Duration::from_millis(250);
/// Less is little, in bytes: 1.4 MiB in each second, in the long run.
const LITTLE: f64 = (512 << 10) as f64;

/// How much one client writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    Little,
    Much,
}

/// The bytes that one client has written lately.
#[derive(Debug)]
pub(crate) struct Written {
    bytes: f64,
    /// The moment at which it was that much.
    at: Instant,
}

impl Written {
    /// None yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { bytes: 0.0, at: now }
    }

    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        (self.bytes, self.at) = (self.at(now) + bytes as f64, now);
    }

    /// How much that is at a moment.
    pub(crate) fn writes(&self, now: Instant) -> Writes {
        if self.at(now) < LITTLE { Writes::Little } else { Writes::Much }
    }

    fn at(&self, now: Instant) -> f64 {
        let half_lives = now.saturating_duration_since(self.at).div_duration_f64(HALF_LIFE);
        self.bytes * 0.5_f64.powf(half_lives)
    }
}

/// The limits of the queue for the disk.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    /// The most bytes of all clients: not more than memory can hold beside the rest.
    most: u64,
    /// When a client has written little.
    little: Mutex<Option<Instant>>,
}

impl DiskQueue {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, little: Mutex::default() }
    }

    /// Notes that a client that writes so much has changed something.
    pub(crate) fn note(&self, writes: Writes, now: Instant) {
        if writes == Writes::Little {
            *lock(&self.little) = Some(now);
        }
    }

    /// The queued bytes from which on a client that writes so much waits, after it has waited for a
    /// while.
    pub(crate) fn limit(&self, writes: Writes, waited: Duration, now: Instant) -> u64 {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < STAYS;
        let is_short = writes == Writes::Much
            && waited < PATIENCE
            && lock(&self.little).is_some_and(is_recent);
        if is_short { self.most.min(SHORT) } else { self.most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 12 << 20;

    /// The limit for a client that has not waited.
    fn limit(queue: &DiskQueue, writes: Writes, now: Instant) -> u64 {
        queue.limit(writes, Duration::ZERO, now)
    }

    #[test]
    fn the_queue_is_short_for_a_while_after_a_client_has_written_little() {
        let (queue, now) = (DiskQueue::new(MOST), Instant::now());
        queue.note(Writes::Much, now);
        assert_eq!(limit(&queue, Writes::Much, now), MOST);
        queue.note(Writes::Little, now);
        let soon = now + STAYS - Duration::from_millis(1);
        assert_eq!(limit(&queue, Writes::Much, soon), SHORT);
        assert_eq!(limit(&queue, Writes::Little, soon), MOST);
        assert_eq!(limit(&queue, Writes::Much, now + STAYS), MOST);
        assert_eq!(limit(&DiskQueue::new(9), Writes::Much, now), 9);
    }

    #[test]
    fn a_client_that_writes_much_has_its_turn_while_many_that_write_little_fill_the_disk() {
        // They add as much as the disk takes, up to the limit that counts for them.
        let (queue, begun) = (DiskQueue::new(MOST), Instant::now());
        let goes_on = (0..10_000).map(|tick| tick * Duration::from_millis(1)).find(|waited| {
            let now = begun + *waited;
            queue.note(Writes::Little, now);
            let queued = queue.limit(Writes::Little, Duration::ZERO, now) / 2;
            queued < queue.limit(Writes::Much, *waited, now)
        });
        assert_eq!(goes_on, Some(PATIENCE));
    }

    #[test]
    fn a_client_writes_much_while_it_writes_megabytes_each_second() {
        let begun = Instant::now();
        let after = |rate: usize, seconds: u32| {
            let mut written = Written::new(begun);
            for tick in 1..=100 * seconds {
                written.add(begun + 10 * tick * Duration::from_millis(1), rate / 100);
            }
            (written, begun + seconds * Duration::from_secs(1))
        };
        let (little, now) = after(1 << 20, 10);
        assert_eq!(little.writes(now), Writes::Little);
        let (much, now) = after(2 << 20, 10);
        assert_eq!(much.writes(now), Writes::Much);
        assert_eq!(much.writes(now + HALF_LIFE), Writes::Little);
    }
}
