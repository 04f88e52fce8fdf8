//! Bytes that are not in memory: what is evicted, and the reads that wait until it is fetched.
//!
//! ```text
//! read ──evicted──> Fetch, taken by the driver ──bytes──> filled in, and the reads are answered
//!                                              └─damage─> the reads fail, and nothing else does
//! ```
//!
//! Pieces are evicted as a clock does it: a hand goes round all segments that have bytes in memory,
//! and a piece that was not used since the hand passed it last goes. Only what is durable goes. A
//! call looks at some pieces only, so that other clients are not held up.

use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{WireCommand, codes::FailureCode, commands::ErrorMessage};

use super::{
    bytes::Found,
    fetches::Fetch,
    gathered::Gathered,
    residents::Residence,
    segment::Content,
    state::Store,
    waiting::{WaitingRead, Woken},
};
use crate::{log::SegmentNumber, record::Sequence};

/// Bytes of a segment, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The bytes; none at the end of the segment.
    Bytes(Bytes),
    /// They are not in memory: the segments in whose records of the log they are, and the ranges
    /// there, in order.
    Evicted(Vec<(SegmentNumber, Range<u64>)>),
}

/// Why bytes cannot be read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable<'a> {
    /// They are damaged, or in no file: another attempt does not help.
    Damaged(&'a str),
    /// They cannot be read now.
    Now(&'a str),
}

/// The most pieces that one call looks at.
const LOOKS: usize = 1000;

/// The most parts of others of which one fetch has bytes: each is looked for on the disk.
const FETCHED_PARTS: usize = 256;

impl Store {
    /// Gives back the memory of bytes that are durable, and were not used for the longest time,
    /// until enough is freed, or some pieces were looked at. Returns what was freed.
    pub fn evict(&mut self, durable: Sequence, enough: u64) -> u64 {
        let (mut freed, mut looks) = (0, LOOKS);
        self.spares.keep(enough);
        while freed < enough && looks > 0 && !self.residents.is_empty() {
            let Some((name, from)) = self.residents.next() else {
                looks -= 1;
                continue;
            };
            let Some(segment) = self.segments.get_mut(&name) else {
                self.residents.remove(&name);
                continue;
            };
            let changed = segment.changed;
            if let Content::Stream(bytes) = &mut segment.content {
                let swept = bytes.evict(from, durable, changed, (enough - freed, looks));
                freed += swept.freed;
                looks -= swept.looks.min(looks);
                self.residents.go_on(name.clone(), swept.next);
            }
            if Residence::of(segment) == Residence::None {
                self.residents.remove(&name);
            }
        }
        self.held = self.held.saturating_sub(freed);
        freed
    }

    /// The number of buffers of evicted bytes that are kept for the next ones.
    #[cfg(test)]
    pub(crate) fn spare_count(&self) -> usize {
        self.spares.count()
    }

    /// Takes the fetches that reads wait for, since the last call.
    pub fn take_fetches(&mut self) -> Vec<Fetch> {
        let mut fetches = self.fetches.take_new();
        for fetch in &mut fetches {
            fetch.spares = self.spares.clone();
            if let Some(found) = self.segments.get(&fetch.segment) {
                // What was truncated meanwhile is in no record: maybe all of it.
                fetch.from = fetch.from.max(found.start()).min(fetch.to);
                fetch.parts =
                    found.parts.first_ranges(found.number, fetch.from..fetch.to, FETCHED_PARTS);
            }
        }
        fetches
    }

    /// Takes no bytes that were fetched for another store, which this one replaces: its segments
    /// may have other bytes.
    pub fn continue_fetches(&mut self, replaced: &Self) {
        self.fetches.continue_after(&replaced.fetches);
    }

    /// Up to `max_len` bytes of a segment at an offset, as many as are together, or where they are.
    /// Nothing waits for them. `None` if there is no such segment of a stream, or if the offset is
    /// not within it.
    #[must_use]
    pub fn look(&self, segment: &str, offset: u64, max_len: usize) -> Option<Look> {
        let found = self.segment(segment).ok()?;
        let bytes = found.bytes()?;
        if offset < found.start() || offset > found.len() {
            return None;
        }
        Some(match bytes.read(offset, max_len) {
            Found::Bytes(bytes) => Look::Bytes(bytes),
            Found::Evicted { to } => {
                let to = to.min(offset.saturating_add(max_len as u64));
                Look::Evicted(found.parts.ranges(found.number, offset..to))
            }
        })
    }

    /// Fills in bytes that were fetched, and answers the reads that waited for them.
    pub fn fetched(&mut self, fetch: &Fetch, bytes: Gathered) {
        if bytes.is_empty() {
            self.lost(fetch, Unreadable::Damaged("its bytes are in no file"));
            return;
        }
        let Some(reads) = self.fetches.take(fetch) else { return };
        if let Some(segment) = self.segments.get_mut(&fetch.segment) {
            let (before, residence) = (segment.held(), Residence::of(segment));
            if let Content::Stream(content) = &mut segment.content {
                content.fill(fetch.from, bytes, &self.spares);
            }
            self.residents.note(&fetch.segment, residence, Residence::of(segment));
            self.held = (self.held + segment.held()).saturating_sub(before);
        }
        for read in reads {
            self.waiting.remove(read.connection, &fetch.segment);
            self.answer(&fetch.segment, read);
        }
    }

    /// Fails the reads that waited for bytes which cannot be read. All else goes on. Returns false
    /// if the first of them were truncated meanwhile, or the segment was deleted: then they may be
    /// in no file, and are not missing.
    pub fn lost(&mut self, fetch: &Fetch, why: Unreadable<'_>) -> bool {
        let (error_code, why) = match why {
            Unreadable::Damaged(why) => (FailureCode::Damaged, why),
            Unreadable::Now(why) => (FailureCode::Unspecified, why),
        };
        let Some(reads) = self.fetches.take(fetch) else { return false };
        let start = self.segments.get(&fetch.segment).map(|found| found.start());
        for read in reads {
            let WaitingRead { connection, request_id, offset, .. } = read;
            self.waiting.remove(connection, &fetch.segment);
            if start.is_some_and(|start| offset < start || fetch.from < start) {
                // The first bytes were truncated, and may be in no file any longer. What is after
                // them is looked for again, without them.
                self.answer(&fetch.segment, read);
                continue;
            }
            let message = format!("the segment cannot be read at offset {offset}: {why}");
            let (segment, message) = (fetch.segment.clone(), message.into());
            let reply = ErrorMessage { request_id, segment, message, error_code }.into();
            self.woken.push(Woken { connection, after: Sequence::default(), reply });
        }
        start.is_some_and(|start| fetch.from >= start)
    }

    /// Answers a read as if it came now.
    fn answer(&mut self, name: &ByteString, read: WaitingRead) {
        let after = self.changed(name);
        let (offset, request_id) = (Offset(read.offset as i64), read.request_id);
        let reply: WireCommand = match self.read(name, read) {
            Ok(found) => match found.reply(name.clone(), offset, request_id) {
                Some(reply) => reply.into(),
                // It waits for other bytes now.
                None => return,
            },
            Err(refusal) => {
                let reply = refusal.reply(request_id, name, Some(offset), "readSegment");
                let Some(reply) = reply else { return };
                reply
            }
        };
        self.woken.push(Woken { connection: read.connection, after, reply });
    }
}
