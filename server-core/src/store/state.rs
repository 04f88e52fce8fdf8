//! The segments of the server, and requests that change nothing.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bytestring::ByteString;
use pravega_sdk_types::{
    EventNumber, ScopedSegment, SegmentId, TransactionId, WriterId, segment_name,
};
use uuid::Uuid;

use super::{
    copying::Copying,
    pressing::Pressing,
    refusal::{Refusal, Result},
    segment::{Content, Segment, Traffic, attribute},
    table::Table,
    waiting::{Shares, WaitingReads, Woken},
};
use crate::record::{Millis, Sequence};

/// The most writers on all connections, before one with more than its share is refused more.
const MAX_WRITERS: usize = 16_384;
/// The writers that each connection may have in any case.
const MIN_WRITERS: usize = 16;

/// All segments of the server.
#[derive(Debug, Default)]
pub struct Store {
    /// In order, for copies; and a map that grows by moving all of it would hold up all clients.
    pub(super) segments: BTreeMap<ByteString, Segment>,
    /// Segments that were merged into others, so that a repeated merge is recognized.
    pub(super) merged: HashSet<ByteString>,
    /// The same segments in the order of their merges.
    pub(super) merges: VecDeque<ByteString>,
    /// The bytes of their names.
    pub(super) merged_bytes: usize,
    pub(super) held: u64,
    pub(super) woken: Vec<Woken>,
    pub(super) waiting: WaitingReads,
    /// The writers that set up appends on each connection.
    pub(super) writers: Writers,
    /// The writers whose appends find no memory.
    pub(super) pressing: Pressing,
    /// The copy that is being made.
    pub(super) copying: Option<Copying>,
}

/// The writers that set up appends on all connections.
#[derive(Debug)]
pub(super) struct Writers(pub(super) Shares);

impl Default for Writers {
    fn default() -> Self {
        Self(Shares::new(MAX_WRITERS, MIN_WRITERS))
    }
}

/// The state of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// The first offset that can be read.
    pub start: u64,
    /// The offset after the last byte.
    pub len: u64,
    /// True if appends are refused.
    pub sealed: bool,
    /// The time of the last change.
    pub last_modified: Millis,
}

impl Store {
    /// Approximate memory that the segments use, in bytes.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The state of a segment.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if it does not exist.
    pub fn info(&self, segment: &str) -> Result<Info> {
        let found = self.segment(segment)?;
        Ok(Info {
            start: found.start(),
            len: found.len(),
            sealed: found.sealed,
            last_modified: found.last_modified,
        })
    }

    /// The batch that a reply about a segment waits for: the last one that changed it.
    pub fn changed(&self, segment: &str) -> Sequence {
        self.segment(segment).map_or(Sequence::default(), |segment| segment.changed)
    }

    /// The value of an attribute; `None` if the segment does not have it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if the segment does not exist.
    pub fn attribute(&self, segment: &str, id: Uuid) -> Result<Option<i64>> {
        Ok(self.segment(segment)?.attribute(id))
    }

    /// The last event number of a writer, for a set-up.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if the segment does not exist, [`Refusal::Close`] if it is a
    /// table with keys of one length.
    pub fn last_event_number(&self, segment: &str, writer: WriterId) -> Result<EventNumber> {
        let found = self.segment(segment)?;
        match &found.content {
            Content::Table(table, _) if table.key_len() > 0 => {
                Err(Refusal::Close("appends to a table"))
            }
            _ => Ok(found.last_event_number(writer)),
        }
    }

    /// The entries of a table segment, and its length.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`] if it does not exist, [`Refusal::Close`] if it is not a table.
    pub fn table(&self, segment: &str) -> Result<(&Table, u64)> {
        self.segment(segment)?.table().ok_or(Refusal::Close("the segment is not a table"))
    }

    /// Takes the amounts appended to each segment that scales by rate since the last call.
    pub fn take_traffic(&mut self) -> Vec<(ByteString, Traffic)> {
        let scales = |segment: &Segment| {
            segment.attribute(attribute::SCALE_TYPE).is_some_and(|kind| kind > 0) && !segment.sealed
        };
        let scaling = self.segments.iter_mut().filter(|(_, segment)| scales(segment));
        scaling
            .map(|(name, segment)| (name.clone(), std::mem::take(&mut segment.traffic)))
            .collect()
    }

    pub(super) fn segment(&self, name: &str) -> Result<&Segment> {
        match self.segments.get(name) {
            Some(segment) => Ok(segment),
            None => canonical(name)
                .and_then(|name| self.segments.get(&*name))
                .ok_or(Refusal::NoSuchSegment),
        }
    }

    /// The name under which a segment is kept, which shares no memory with the request.
    pub(super) fn name_of(&self, name: &ByteString) -> ByteString {
        let kept = |name: &str| self.segments.get_key_value(name).map(|(kept, _)| kept.clone());
        kept(name)
            .or_else(|| canonical(name).and_then(|name| kept(&name)))
            .unwrap_or_else(|| name.clone())
    }

    /// A name that a connection keeps: the segment's own if it is the same.
    pub(super) fn name_to_keep(&self, name: &ByteString) -> ByteString {
        let kept = self.segments.get_key_value(name).map(|(kept, _)| kept.clone());
        kept.unwrap_or_else(|| ByteString::from(&**name))
    }
}

/// The name of a transaction's segment as the controller creates it: with the epoch of the
/// transaction, even if the client knows the segment of another epoch.
fn canonical(name: &str) -> Option<String> {
    let parent = segment_name::parent(name).filter(|_| segment_name::is_transaction(name))?;
    let id = Uuid::try_parse(name.get(name.len().checked_sub(32)?..)?).ok()?;
    let parent: ScopedSegment = parent.parse().ok()?;
    Some(transaction_segment(&parent, TransactionId(id)))
}

/// The name of the segment of a transaction in a segment of a stream.
pub fn transaction_segment(parent: &ScopedSegment, transaction: TransactionId) -> String {
    let id = SegmentId::new(transaction.epoch(), parent.id().number());
    segment_name::transaction(&ScopedSegment::new(&parent.scoped_stream(), id), transaction)
}
