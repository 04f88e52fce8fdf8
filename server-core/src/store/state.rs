//! The segments of the server, and requests that change nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use bytestring::ByteString;
use pravega_sdk_types::{
    EventNumber, ScopedSegment, SegmentId, TransactionId, WriterId, segment_name,
};
use uuid::Uuid;

use super::{
    discarded::Discarded,
    encoded::SegmentLog,
    fetches::Fetches,
    pressing::Pressing,
    refusal::{Refusal, Result},
    residents::Residents,
    segment::{Content, Segment, Traffic, attribute},
    spares::Spares,
    table::Table,
    unmade::Unmade,
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
    /// Boxed, as the nodes of the map are half empty.
    pub(super) segments: BTreeMap<ByteString, Box<Segment>>,
    /// Segments that were merged into others, so that a repeated merge is recognized.
    pub(super) merged: HashMap<ByteString, u64>,
    /// The same segments by the places in the order of their merges.
    pub(super) merges: BTreeMap<u64, ByteString>,
    /// The place of the next merge.
    pub(super) next_merge: u64,
    /// The bytes of their names.
    pub(super) merged_bytes: usize,
    /// The open segments whose streams scale by rate.
    scaling: BTreeSet<ByteString>,
    /// The segments that hold parts of large events.
    transient: BTreeSet<ByteString>,
    pub(super) held: u64,
    /// The changes of many segments that are not made yet.
    pub(super) unmade: Unmade,
    /// The most segments that a call changes at once, in tests of more.
    #[cfg(test)]
    pub(crate) few: Option<usize>,
    /// The number of times that a segment was looked up.
    #[cfg(test)]
    pub(crate) looks: std::cell::Cell<usize>,
    /// The number of records that were applied.
    #[cfg(test)]
    pub(crate) applied: usize,
    pub(super) woken: Vec<Woken>,
    /// What was deleted and truncated, and has yet to be freed.
    pub(super) discarded: Discarded,
    /// The reads of bytes that are not in memory.
    pub(super) fetches: Fetches,
    /// The segments with bytes that can be evicted.
    pub(super) residents: Residents,
    /// The buffers of evicted bytes, for the next ones.
    pub(super) spares: Spares,
    pub(super) waiting: WaitingReads,
    /// The writers that set up appends on each connection.
    pub(super) writers: Writers,
    /// The writers whose appends find no memory.
    pub(super) pressing: Pressing,
    /// What a log needs; `None` without one.
    pub(super) log: Option<Box<SegmentLog>>,
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
        self.held.saturating_add(self.unmade.reserved())
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

    /// Takes the amounts appended to some segments that scale by rate since they were taken last:
    /// to the next ones after a name, in the order of their names.
    pub fn take_traffic(&mut self, after: &ByteString, most: usize) -> Vec<(ByteString, Traffic)> {
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let names: Vec<ByteString> =
            self.scaling.range::<ByteString, _>(rest).take(most).cloned().collect();
        let traffic = |name: ByteString| {
            let segment = self.segments.get_mut(&name)?;
            Some((name, std::mem::take(&mut segment.traffic)))
        };
        names.into_iter().filter_map(traffic).collect()
    }

    /// The next transient segments after a name, and the last of them if there may be more.
    pub(super) fn transient_after(
        &self,
        after: &ByteString,
        most: usize,
    ) -> (Vec<ByteString>, Option<ByteString>) {
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let names: Vec<ByteString> =
            self.transient.range::<ByteString, _>(rest).take(most).cloned().collect();
        let last = names.last().filter(|_| names.len() == most).cloned();
        (names, last)
    }

    /// Notes whether a segment is one of those that periodic work looks at, after it was created or
    /// its attributes changed.
    pub(super) fn note_kind(&mut self, name: &ByteString) {
        let Some((name, segment)) = self.segments.get_key_value(name) else {
            self.scaling.remove(name);
            self.transient.remove(name);
            return;
        };
        let scales = segment.attribute(attribute::SCALE_TYPE).is_some_and(|kind| kind > 0);
        if scales && !segment.sealed {
            self.scaling.insert(name.clone());
        } else if !self.scaling.is_empty() {
            self.scaling.remove(name);
        }
        if segment_name::is_transient(name) {
            self.transient.insert(name.clone());
        }
    }

    /// The segment with exactly this name.
    pub(super) fn exact(&self, name: &str) -> Option<&Segment> {
        self.count_look();
        self.segments.get(name).map(Box::as_ref)
    }

    /// Counts a look at a segment, in tests.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "nothing is counted"))]
    fn count_look(&self) {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
    }

    pub(super) fn segment(&self, name: &str) -> Result<&Segment> {
        self.count_look();
        match self.segments.get(name) {
            Some(segment) => Ok(segment),
            None => canonical(name)
                .and_then(|name| self.segments.get(&*name).map(Box::as_ref))
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
