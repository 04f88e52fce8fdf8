//! The reads of bytes that are not in memory, until those are fetched.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    ops::Range,
};

use bytestring::ByteString;

use super::{
    gathered::Gathered,
    segment::Segment,
    spares::{PIECE_LEN, Spares},
    waiting::WaitingRead,
};
use crate::{ids::ConnectionId, log::SegmentNumber};

/// The bytes that are fetched at once, if a segment is read in order.
const AHEAD: u64 = 4 * PIECE_LEN as u64;

/// Bytes of a segment that were evicted, and that a read waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    id: u64,
    /// The connection whose read asked for them first.
    pub connection: ConnectionId,
    /// The segment.
    pub segment: ByteString,
    /// The offset of the first byte.
    pub from: u64,
    /// The offset after the last byte. Fewer bytes are enough; at least one is needed.
    pub to: u64,
    /// The segments in whose records of the log the bytes are, and the ranges there, in order.
    /// They are those of the moment at which the fetch was taken: a later merge moves no byte.
    pub parts: Vec<(SegmentNumber, Range<u64>)>,
    /// The buffers of the segments.
    pub(super) spares: Spares,
}

impl Fetch {
    /// Where its first bytes are put, before the store has them.
    #[must_use]
    pub fn gather(&self) -> Gathered {
        Gathered::new(self.to.saturating_sub(self.from), self.spares.clone())
    }
}

/// The fetches of all segments that have not ended.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    last: u64,
    under_way: BTreeMap<ByteString, Vec<UnderWay>>,
    /// Those that the driver has not taken.
    new: VecDeque<Fetch>,
}

#[derive(Debug)]
struct UnderWay {
    id: u64,
    from: u64,
    to: u64,
    reads: Vec<WaitingRead>,
}

impl Fetches {
    /// Adds a read of bytes of a segment that were evicted up to an offset.
    pub(super) fn add(&mut self, name: &ByteString, segment: &Segment, read: WaitingRead, to: u64) {
        let under_way = self.under_way.entry(name.clone()).or_default();
        let has = |fetch: &&mut UnderWay| fetch.from <= read.offset && read.offset < fetch.to;
        if let Some(fetch) = under_way.iter_mut().find(has) {
            fetch.reads.push(read);
            return;
        }
        let is_before = |fetch: &UnderWay| fetch.to == read.offset;
        let is_in_order = segment.bytes().is_some_and(|bytes| bytes.is_read_in_order(read.offset))
            || under_way.iter().any(is_before);
        let len = if is_in_order { AHEAD } else { PIECE_LEN as u64 };
        let to = to.min(read.offset.saturating_add(len));
        self.last += 1;
        let (id, from, connection) = (self.last, read.offset, read.connection);
        under_way.push(UnderWay { id, from, to, reads: vec![read] });
        let (segment, parts, spares) = (name.clone(), Vec::new(), Spares::default());
        self.new.push_back(Fetch { id, connection, segment, from, to, parts, spares });
    }

    /// Continues with ids that no fetch of others had.
    pub(super) fn continue_after(&mut self, others: &Self) {
        self.last = self.last.max(others.last);
    }

    /// Takes those that are new.
    pub(super) fn take_new(&mut self) -> Vec<Fetch> {
        mem::take(&mut self.new).into()
    }

    /// The reads that wait for a fetch, which has ended; `None` if its segment was deleted.
    pub(super) fn take(&mut self, fetch: &Fetch) -> Option<Vec<WaitingRead>> {
        let under_way = self.under_way.get_mut(&fetch.segment)?;
        let index = under_way.iter().position(|other| other.id == fetch.id)?;
        let reads = under_way.swap_remove(index).reads;
        if under_way.is_empty() {
            self.under_way.remove(&fetch.segment);
        }
        Some(reads)
    }

    /// The reads of a segment that is deleted: what its fetches find is not of the next one with
    /// its name.
    pub(super) fn take_all(&mut self, name: &ByteString) -> Vec<WaitingRead> {
        let under_way = self.under_way.remove(name).unwrap_or_default();
        self.new.retain(|fetch| fetch.segment != *name);
        under_way.into_iter().flat_map(|fetch| fetch.reads).collect()
    }

    /// Forgets the reads of a closed connection. Their fetches go on: others may join them.
    pub(super) fn forget(&mut self, name: &ByteString, connection: ConnectionId) {
        for fetch in self.under_way.get_mut(name).into_iter().flatten() {
            fetch.reads.retain(|read| read.connection != connection);
        }
    }
}
