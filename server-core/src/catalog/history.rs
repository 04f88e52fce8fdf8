//! The segments of a stream, from its first epoch to the newest.
//!
//! ```text
//! epoch 0   [ 0.0      0.5 ][ 0.5      1.0 ]
//! epoch 1   [ 2 ][    3    ][    1 stays   ]      each epoch covers the key space
//! ```
//!
//! A segment is kept once, with the epoch that ended it, so a scale costs what it changes, however
//! many segments stay and however many epochs there were.

use std::collections::{BTreeMap, HashSet};

use pravega_sdk_proto::{SegmentId as SegmentIdMessage, SegmentRange, StreamInfo};
use pravega_sdk_types::{Epoch, SegmentId, SegmentNumber};
use serde::{Deserialize, Serialize};

use crate::record::Millis;

/// A segment and its part of the key space.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentRecord {
    pub(super) id: SegmentId,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The difference between an epoch and the one before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EpochRecord {
    /// The epoch whose segments have the same numbers. It differs only after a rolling commit.
    pub(super) reference: Epoch,
    pub(super) at: Millis,
    /// The segments that ended with the epoch before.
    pub(super) sealed: Vec<SegmentId>,
    /// The segments that began with this epoch.
    pub(super) created: Vec<SegmentRecord>,
}

/// The part of the key space of a segment, and its life.
#[derive(Debug, Clone, Copy)]
struct Span {
    low: f64,
    high: f64,
    /// The first epoch without the segment; `None` while it is active.
    ended: Option<Epoch>,
}

/// An epoch, without the segments that began with it.
#[derive(Debug)]
struct Begun {
    reference: Epoch,
    at: Millis,
    sealed: Box<[SegmentId]>,
}

/// All segments that a stream has or had, and its epochs.
#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of their epochs, and of their numbers in each.
    segments: BTreeMap<SegmentId, Span>,
    epochs: Vec<Begun>,
    /// In the order of their ranges.
    active: Vec<SegmentRecord>,
    next_number: SegmentNumber,
}

impl SegmentRecord {
    pub(super) fn number(self) -> SegmentNumber {
        self.id.number()
    }

    /// The epoch in which the segment was created.
    pub(super) fn epoch_created(self) -> Epoch {
        self.id.epoch()
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.low < other.high && other.low < self.high
    }

    pub(super) fn message(self, scope: &str, stream: &str) -> SegmentRange {
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let (stream_info, segment_id) = (Some(stream_info), self.id.into());
        let segment_id = SegmentIdMessage { stream_info, segment_id };
        SegmentRange { segment_id: Some(segment_id), min_key: self.low, max_key: self.high }
    }
}

fn record((id, span): (&SegmentId, &Span)) -> SegmentRecord {
    SegmentRecord { id: *id, low: span.low, high: span.high }
}

fn sort(segments: &mut [SegmentRecord]) {
    segments.sort_by(|a, b| a.low.total_cmp(&b.low));
}

impl History {
    /// Begins the next epoch.
    pub(super) fn begin(&mut self, epoch: EpochRecord) {
        let EpochRecord { reference, at, sealed, created } = epoch;
        let number = self.next_epoch();
        for id in &sealed {
            if let Some(span) = self.segments.get_mut(id) {
                span.ended = Some(number);
            }
        }
        let ended: HashSet<SegmentId> = sealed.iter().copied().collect();
        self.active.retain(|record| !ended.contains(&record.id));
        for SegmentRecord { id, low, high } in &created {
            self.segments.insert(*id, Span { low: *low, high: *high, ended: None });
            let next = SegmentNumber(id.number().0.saturating_add(1));
            self.next_number = self.next_number.max(next);
        }
        self.active.extend(created);
        sort(&mut self.active);
        self.epochs.push(Begun { reference, at, sealed: sealed.into() });
    }

    /// The numbers of all epochs.
    pub(super) fn epochs(&self) -> impl Iterator<Item = Epoch> + use<> {
        (0..self.next_epoch().0).map(Epoch)
    }

    /// The difference between an epoch and the one before it; `None` if it is unknown.
    pub(super) fn difference(&self, number: Epoch) -> Option<EpochRecord> {
        let epoch = self.epoch(number)?;
        let created = self.created_in(number).collect();
        let (reference, at, sealed) = (epoch.reference, epoch.at, epoch.sealed.to_vec());
        Some(EpochRecord { reference, at, sealed, created })
    }

    /// The time at which the next epoch begins: not before the last one did, even if the clock was
    /// ahead then.
    pub(super) fn next_begins(&self, now: Millis) -> Millis {
        self.epochs.last().map_or(now, |last| last.at.max(now))
    }

    /// The number of the first epoch that began after a time; the next one if none did.
    pub(super) fn first_after(&self, time: Millis) -> Epoch {
        let before = self.epochs.partition_point(|epoch| epoch.at <= time);
        Epoch(i32::try_from(before).unwrap_or(i32::MAX))
    }

    /// The number of epochs.
    pub(super) fn epoch_count(&self) -> usize {
        self.epochs.len()
    }

    /// The number of segments that the stream has or had.
    pub(super) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The number of the next segment.
    pub(super) fn next_number(&self) -> SegmentNumber {
        self.next_number
    }

    /// The number of the next epoch.
    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch(i32::try_from(self.epochs.len()).unwrap_or(i32::MAX))
    }

    /// The number of the newest epoch.
    pub(super) fn active_epoch(&self) -> Epoch {
        Epoch(self.next_epoch().0 - 1)
    }

    /// The segments that are written to, unless the stream is sealed, in the order of their ranges.
    pub(super) fn active(&self) -> &[SegmentRecord] {
        &self.active
    }

    fn epoch(&self, number: Epoch) -> Option<&Begun> {
        usize::try_from(number.0).ok().and_then(|index| self.epochs.get(index))
    }

    /// The epoch whose segments have the numbers of the active ones.
    pub(super) fn reference(&self) -> Epoch {
        self.epochs.last().map_or(Epoch(0), |epoch| epoch.reference)
    }

    /// The segments of an epoch, in the order of their ranges; `None` if it is unknown.
    pub(super) fn segments_of(&self, number: Epoch) -> Option<Vec<SegmentRecord>> {
        self.epoch(number)?;
        if number == self.active_epoch() {
            return Some(self.active.clone());
        }
        let begun = self.segments.range(..SegmentId::new(Epoch(number.0 + 1), SegmentNumber(0)));
        let alive = begun.filter(|(_, span)| span.ended.is_none_or(|ended| ended > number));
        let mut segments: Vec<SegmentRecord> = alive.map(record).collect();
        sort(&mut segments);
        Some(segments)
    }

    /// A segment that the stream has or had.
    pub(super) fn segment(&self, id: SegmentId) -> Option<SegmentRecord> {
        self.segments.get(&id).map(|span| record((&id, span)))
    }

    /// Returns true if a segment is one of the newest epoch.
    pub(super) fn is_active(&self, id: SegmentId) -> bool {
        self.segments.get(&id).is_some_and(|span| span.ended.is_none())
    }

    /// Every segment that the stream has or had, in the order in which they were created.
    pub(super) fn all(&self) -> impl Iterator<Item = SegmentRecord> + '_ {
        self.segments.iter().map(record)
    }

    /// The first segment of the stream. A stream that is created again has another.
    pub(super) fn first(&self) -> Option<SegmentId> {
        self.all().next().map(|record| record.id)
    }

    /// The segments after one, in the order in which they were created.
    pub(super) fn all_after(
        &self,
        after: Option<SegmentId>,
    ) -> impl Iterator<Item = SegmentRecord> + '_ {
        let start = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.segments.range((start, std::ops::Bound::Unbounded)).map(record)
    }

    fn created_in(&self, epoch: Epoch) -> impl Iterator<Item = SegmentRecord> + '_ {
        let first = SegmentId::new(epoch, SegmentNumber(0));
        let last = SegmentId::new(epoch, SegmentNumber(i32::MAX));
        self.segments.range(first..=last).map(record)
    }

    /// The segments that follow a segment, each with all its predecessors; empty if the segment is
    /// open or unknown.
    pub(super) fn successors(&self, id: SegmentId) -> Vec<(SegmentRecord, Vec<SegmentId>)> {
        let Some(span) = self.segments.get(&id) else {
            return Vec::new();
        };
        let ended = span.ended.and_then(|number| Some((number, self.epoch(number)?)));
        let Some((number, epoch)) = ended else {
            return Vec::new();
        };
        // Segments of one epoch share no key, so their ends are in the order of their starts.
        let mut old: Vec<SegmentRecord> =
            epoch.sealed.iter().filter_map(|id| self.segment(*id)).collect();
        sort(&mut old);
        let followed = |successor: &SegmentRecord| {
            let first = old.partition_point(|old| old.high <= successor.low);
            let met = old.iter().skip(first).take_while(|old| old.low < successor.high);
            met.map(|old| old.id).collect()
        };
        let this = record((&id, span));
        let mut successors: Vec<SegmentRecord> =
            self.created_in(number).filter(|successor| successor.overlaps(this)).collect();
        sort(&mut successors);
        successors.into_iter().map(|successor| (successor, followed(&successor))).collect()
    }

    /// Copies of the segments of an epoch, with the same numbers and ranges, for another epoch.
    pub(super) fn duplicates(&self, epoch: Epoch, under: Epoch) -> Vec<SegmentRecord> {
        let segments = self.segments_of(epoch).unwrap_or_default();
        let duplicate = |record: SegmentRecord| SegmentRecord {
            id: SegmentId::new(under, record.number()),
            ..record
        };
        segments.into_iter().map(duplicate).collect()
    }
}
