//! Reads that wait at the ends of segments, and the bounds that all connections share.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_wire_protocol::{WireCommand, commands::SegmentRead};

use crate::{ids::ConnectionId, record::Sequence};

/// The most reads that wait at the ends of segments, before a connection with more than its share
/// has to ask again and again instead. A reader of thousands of segments has one at each.
const MAX_WAITING_READS: usize = 8192;
/// The waiting reads that each connection may have in any case.
const MIN_WAITING_READS: usize = 16;

/// The reply to a read that waited.
#[derive(Debug)]
pub struct Woken {
    /// The connection that the reply goes to.
    pub connection: ConnectionId,
    /// The batch that must be durable before the reply leaves.
    pub after: Sequence,
    /// The reply.
    pub reply: WireCommand,
}

impl Woken {
    /// The same reply with at most `max_len` bytes, which share no memory with others. The client
    /// asks for the rest.
    #[must_use]
    pub fn shortened(self, max_len: usize) -> Self {
        let reply = match self.reply {
            WireCommand::SegmentRead(read) if read.data.len() > max_len => {
                let data = Bytes::copy_from_slice(read.data.get(..max_len).unwrap_or_default());
                SegmentRead { data, at_tail: false, end_of_segment: false, ..read }.into()
            }
            other => other,
        };
        Self { reply, ..self }
    }
}

/// A read, which may have to wait at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRead {
    /// The connection that the reply goes to.
    pub connection: ConnectionId,
    /// The id of the request.
    pub request_id: i64,
    /// The first offset to read.
    pub offset: u64,
    /// The most bytes to read.
    pub max_len: usize,
}

/// The reads that wait at one segment, by the offsets that they wait for. Boxed, as none ever waits
/// at most segments.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a segment without any should be small")]
pub(crate) struct Waits(Option<Box<BTreeMap<u64, Vec<WaitingRead>>>>);

impl Waits {
    pub(super) fn add(&mut self, read: WaitingRead) {
        self.0.get_or_insert_default().entry(read.offset).or_default().push(read);
    }

    /// Removes and returns the reads of an offset before `end`, those of the lowest one first;
    /// `None` means every offset.
    pub(super) fn take_before(&mut self, end: Option<u64>) -> Vec<WaitingRead> {
        let mut taken = Vec::new();
        let Some(reads) = &mut self.0 else { return taken };
        while let Some(first) = reads.first_entry()
            && end.is_none_or(|end| *first.key() < end)
        {
            taken.append(&mut first.remove());
        }
        taken
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        let Some(all) = &mut self.0 else { return };
        all.retain(|_, reads| {
            reads.retain(|read| read.connection != connection);
            !reads.is_empty()
        });
    }
}

/// The waiting reads of all connections.
#[derive(Debug)]
pub(super) struct WaitingReads {
    shares: Shares,
    /// The segments at which the reads of each connection wait, and how many at each.
    places: HashMap<ConnectionId, HashMap<ByteString, usize>>,
}

impl Default for WaitingReads {
    fn default() -> Self {
        let shares = Shares::new(MAX_WAITING_READS, MIN_WAITING_READS);
        Self { shares, places: HashMap::new() }
    }
}

impl WaitingReads {
    /// Counts one more at a segment; returns false if the connection has its share already.
    pub(super) fn add(&mut self, connection: ConnectionId, segment: &ByteString) -> bool {
        let allowed = self.shares.add(connection);
        if allowed {
            let places = self.places.entry(connection).or_default();
            *places.entry(segment.clone()).or_default() += 1;
        }
        allowed
    }

    pub(super) fn remove(&mut self, connection: ConnectionId, segment: &str) {
        self.shares.remove(connection);
        if let Some(places) = self.places.get_mut(&connection)
            && let Some(count) = places.get_mut(segment)
        {
            *count -= 1;
            if *count == 0 {
                places.remove(segment);
            }
            if places.is_empty() {
                self.places.remove(&connection);
            }
        }
    }

    /// Forgets a connection; returns the segments at which its reads wait.
    pub(super) fn forget(&mut self, connection: ConnectionId) -> Vec<ByteString> {
        self.shares.forget(connection);
        self.places.remove(&connection).unwrap_or_default().into_keys().collect()
    }
}

/// The number of things that each connection has, with a bound for all of them together.
///
/// When the bound is reached, a connection gets more only up to its share, so that one that has
/// taken everything leaves something to each of the others.
#[derive(Debug)]
pub(super) struct Shares {
    counts: HashMap<ConnectionId, usize>,
    total: usize,
    bound: usize,
    /// What every connection may have.
    least: usize,
}

impl Shares {
    pub(super) fn new(bound: usize, least: usize) -> Self {
        Self { counts: HashMap::new(), total: 0, bound, least }
    }

    /// Counts one more; returns false if the connection has its share already.
    pub(super) fn add(&mut self, connection: ConnectionId) -> bool {
        let count = self.counts.get(&connection).copied().unwrap_or_default();
        let connections = self.counts.len() + usize::from(count == 0);
        let share = self.bound.checked_div(connections).unwrap_or_default().max(self.least);
        let allowed = self.total < self.bound || count < share;
        if allowed {
            self.counts.insert(connection, count + 1);
            self.total += 1;
        }
        allowed
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) {
        let Some(count) = self.counts.get_mut(&connection) else { return };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.counts.remove(&connection);
        }
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.total -= self.counts.remove(&connection).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_took_everything_leaves_each_other_one_a_share() {
        let mut shares = Shares::new(100, 4);
        let count = |shares: &mut Shares, connection: u64| {
            (0..1000).filter(|_| shares.add(ConnectionId(connection))).count()
        };
        assert_eq!(count(&mut shares, 1), 100);
        assert_eq!(count(&mut shares, 2), 50);
        assert_eq!(count(&mut shares, 3), 33);
        for connection in 4..100 {
            assert!(count(&mut shares, connection) >= 4);
        }
        shares.forget(ConnectionId(1));
        shares.remove(ConnectionId(2));
        for connection in 3..100 {
            shares.forget(ConnectionId(connection));
        }
        assert_eq!(shares.total, 49);
        assert_eq!(count(&mut shares, 2), 51);
    }

    #[test]
    fn waiting_reads_are_taken_in_the_order_of_their_offsets() {
        let mut waits = Waits::default();
        for offset in [5, 9, 5, 7, 1 << 62] {
            let (connection, request_id, max_len) = (ConnectionId(offset), 0, 1);
            waits.add(WaitingRead { connection, request_id, offset, max_len });
        }
        let offsets = |reads: Vec<WaitingRead>| -> Vec<u64> {
            reads.iter().map(|read| read.offset).collect()
        };
        assert!(offsets(waits.take_before(Some(5))).is_empty());
        assert_eq!(offsets(waits.take_before(Some(8))), [5, 5, 7]);
        waits.forget(ConnectionId(9));
        assert_eq!(offsets(waits.take_before(None)), [1 << 62]);
    }
}
