//! Changes of many segments: their segments, and which changes are not made yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    ops::{Bound, Range},
    sync::Arc,
};

use bytestring::ByteString;
use pravega_sdk_types::{SegmentId, SegmentNumber, TransactionId, segment_name};

use crate::{
    record::{Each, Many, Millis, Record, Sequence},
    state::{ManyLeft, ManyState},
};

/// The changes of many segments that are not made yet.
#[derive(Debug, Default)]
pub(super) struct Unmade {
    /// In the order of their commits.
    all: BTreeMap<u64, Rest>,
    /// Those of each stream.
    streams: HashMap<ByteString, BTreeSet<u64>>,
    next_key: u64,
    /// The memory that they still take.
    reserved: u64,
}

/// A change of many segments, and how far it is made.
#[derive(Debug)]
struct Rest {
    many: Arc<Many>,
    /// The batch that a reply about one of the segments waits for.
    after: Sequence,
    /// All segments before this index are done.
    done: usize,
    /// The others that are done, because they were named.
    early: BTreeSet<usize>,
    reserved: u64,
}

/// The change of one segment.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) many: Arc<Many>,
    pub(super) index: usize,
    /// The batch that a reply about the segment waits for.
    pub(super) after: Sequence,
    /// The key of the change of many segments.
    pub(super) key: u64,
}

impl Rest {
    fn due(&self, key: u64, index: usize) -> Due {
        Due { many: Arc::clone(&self.many), index, after: self.after, key }
    }

    fn state(&self) -> ManyState {
        let index = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        ManyState {
            many: Many::clone(&self.many),
            done: index(self.done),
            early: self.early.iter().map(|early| index(*early)).collect(),
        }
    }

    /// The indices of the segments that are left.
    fn left(&self) -> impl Iterator<Item = usize> + '_ {
        (self.done..self.many.ids.len()).filter(|index| !self.early.contains(index))
    }
}

impl Unmade {
    /// The memory that the changes still take, in bytes.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns true if a change of segments of a stream, named with its scope, is not made yet.
    pub(super) fn has(&self, stream: &str) -> bool {
        self.streams.contains_key(stream)
    }

    /// The streams whose segments change, with their scopes.
    pub(super) fn streams(&self) -> impl Iterator<Item = &ByteString> {
        self.streams.keys()
    }

    /// The key of the next change.
    pub(super) fn next_key(&self) -> u64 {
        self.next_key
    }

    pub(super) fn add(&mut self, many: Many, after: Sequence, reserved: u64) {
        self.reserved += reserved;
        self.streams.entry(many.stream.clone()).or_default().insert(self.next_key);
        let (many, early) = (Arc::new(many), BTreeSet::new());
        self.all.insert(self.next_key, Rest { many, after, done: 0, early, reserved });
        self.next_key += 1;
    }

    /// The changes of a segment that are due before a request that names it, in their order. They
    /// count as made.
    pub(super) fn due(&mut self, segment: &str) -> Vec<Due> {
        let Some((stream, number)) = place(segment) else { return Vec::new() };
        let mut due = Vec::new();
        for key in self.streams.get(stream).into_iter().flatten() {
            let Some(rest) = self.all.get_mut(key) else { continue };
            for index in rest.many.with_number(number) {
                if index >= rest.done && rest.early.insert(index) {
                    due.push(rest.due(*key, index));
                }
            }
        }
        due
    }

    /// The next change. It counts as made.
    pub(super) fn next(&mut self) -> Option<Due> {
        loop {
            let mut first = self.all.first_entry()?;
            let (key, rest) = (*first.key(), first.get_mut());
            let index = rest.done;
            if index >= rest.many.ids.len() {
                self.end(key);
                continue;
            }
            rest.done += 1;
            if !rest.early.remove(&index) {
                return Some(rest.due(key, index));
            }
        }
    }

    /// Gives back a part of the memory of a change.
    pub(super) fn give_back(&mut self, key: u64, bytes: u64) {
        let Some(rest) = self.all.get_mut(&key) else { return };
        let bytes = bytes.min(rest.reserved);
        rest.reserved -= bytes;
        self.reserved -= bytes;
    }

    /// Removes a change of which nothing is left.
    fn end(&mut self, key: u64) {
        let Some(rest) = self.all.remove(&key) else { return };
        self.reserved -= rest.reserved;
        if let Some(keys) = self.streams.get_mut(&rest.many.stream) {
            keys.remove(&key);
            if keys.is_empty() {
                self.streams.remove(&rest.many.stream);
            }
        }
    }

    /// The changes after a key, as a log has them.
    pub(super) fn values(&self, from: Bound<u64>) -> impl Iterator<Item = (u64, ManyState)> + '_ {
        let rest = self.all.range((from, Bound::Unbounded));
        rest.map(|(key, rest)| (*key, rest.state()))
    }

    /// A change as a log has it.
    pub(super) fn value(&self, key: u64) -> Option<ManyState> {
        self.all.get(&key).map(Rest::state)
    }

    /// Adds a change that was read back, with its key.
    pub(super) fn restore(&mut self, key: u64, left: ManyLeft, reserved: u64) {
        self.next_key = key;
        self.add(left.many, Sequence::default(), reserved);
        if let Some(rest) = self.all.get_mut(&key) {
            rest.early = left.made.into_iter().map(|index| index as usize).collect();
        }
    }

    /// Continues with a key that no earlier change had.
    pub(super) fn resume(&mut self, next_key: u64) {
        self.next_key = next_key;
    }

    /// The changes that are not made yet, as records of what is left of them.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.all.values().map(|rest| {
            let many = &rest.many;
            let ids = rest.left().filter_map(|index| many.ids.get(index).copied()).collect();
            let change = match &many.change {
                Each::Truncated { offsets } => {
                    let left = rest.left().filter_map(|index| offsets.get(index).copied());
                    Each::Truncated { offsets: left.collect() }
                }
                other => other.clone(),
            };
            Record::Many(Many { ids, change, stream: many.stream.clone(), ..**many })
        })
    }
}

/// The stream of a segment, and its number; `None` for a name that no segment of a stream has.
fn place(name: &str) -> Option<(&str, SegmentNumber)> {
    let (stream, number) = segment_name::primary(name).rsplit_once('/')?;
    Some((stream, SegmentNumber(number.parse().ok()?)))
}

impl Many {
    /// A change of segments of a stream.
    pub fn new(
        stream: ByteString,
        segments: impl IntoIterator<Item = SegmentId>,
        change: Each,
        at: Millis,
    ) -> Self {
        let mut ids: Vec<SegmentId> = segments.into_iter().collect();
        ids.sort_unstable_by_key(|id| (id.number(), id.epoch()));
        Self { stream, ids, transaction: None, change, at }
    }

    /// The truncation of segments of a stream, each at an offset.
    pub fn truncation(stream: ByteString, mut offsets: Vec<(SegmentId, u64)>, at: Millis) -> Self {
        offsets.sort_unstable_by_key(|(id, _)| (id.number(), id.epoch()));
        let (ids, offsets) = offsets.into_iter().unzip();
        Self { stream, ids, transaction: None, change: Each::Truncated { offsets }, at }
    }

    /// The same change, about the parts of a transaction.
    #[must_use]
    pub fn of_transaction(self, transaction: TransactionId) -> Self {
        Self { transaction: Some(transaction.0), ..self }
    }

    /// The segment that changes.
    pub(super) fn target(&self, id: SegmentId) -> ByteString {
        match self.change {
            Each::Merged => self.segment(id),
            _ => self.part(id).unwrap_or_else(|| self.segment(id)),
        }
    }

    fn segment(&self, id: SegmentId) -> ByteString {
        let mut name = String::with_capacity(self.stream.len() + 32);
        // Writing to memory does not fail.
        write!(name, "{}/{id}", self.stream).ok();
        name.into()
    }

    /// The transaction's part of a segment, which has the epoch of the transaction.
    pub(super) fn part(&self, id: SegmentId) -> Option<ByteString> {
        let transaction = TransactionId(self.transaction?);
        let id = SegmentId::new(transaction.epoch(), id.number());
        let mut name = String::with_capacity(self.stream.len() + 80);
        write!(name, "{}/{id}#transaction.{}", self.stream, transaction.0.simple()).ok();
        Some(name.into())
    }

    /// The indices of the segments with a number.
    fn with_number(&self, number: SegmentNumber) -> Range<usize> {
        let first = self.ids.partition_point(|id| id.number() < number);
        let end = self.ids.partition_point(|id| id.number() <= number);
        first..end
    }
}
