//! The history of what clients did and saw; [`checks`](crate::checks) compares it with the streams.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use pravega_sdk_types::{Offset, Outcome, SegmentId};

/// Identifies an event by its writer, its routing key, and its number among the events of both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The writer.
    pub writer: u32,
    /// The routing key.
    pub key: String,
    /// The number of the event, from 0, for that writer and key.
    pub number: u64,
}

/// A place in a stream.
pub type Position = (SegmentId, Offset);

/// The end of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was acknowledged, with its position if the client was told.
    Acknowledged(Option<Position>),
    /// It failed, with an outcome.
    Failed(Outcome),
    /// It was not applied, as its condition did not hold.
    ConditionFailed,
}

/// A write of an event.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) hash: u64,
    pub(crate) begun: Duration,
    pub(crate) ended: Option<(Duration, Ended)>,
    /// Where its segment must end, if the write is conditional.
    pub(crate) condition: Option<Position>,
    /// The time within which it ends, if that is another than that of most writes.
    pub(crate) limit: Option<Duration>,
}

/// An event that the stream holds or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The event.
    pub id: EventId,
    /// The hash of its bytes.
    pub hash: u64,
    /// Its segment, and its offset there.
    pub position: Position,
}

/// A flush of one writer.
#[derive(Debug, Clone)]
pub(crate) struct Flush {
    /// The writes that it waited for.
    pub(crate) ids: Vec<EventId>,
    pub(crate) ended: Duration,
    pub(crate) succeeded: bool,
}

/// What links carried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carried {
    pub(crate) events: BTreeSet<EventId>,
    /// The times at which links ended. What was handed to such a link may have left no trace.
    pub(crate) link_ends: Vec<Duration>,
}

/// Everything that clients did and saw.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub(crate) writes: BTreeMap<EventId, Write>,
    pub(crate) found: Vec<Found>,
    pub(crate) resources: Vec<(&'static str, u64, u64)>,
    pub(crate) flushes: Vec<Flush>,
    pub(crate) read: Vec<(EventId, Position)>,
    pub(crate) carried: Option<Carried>,
    /// The lengths of the segments that take events in the end.
    pub(crate) tails: BTreeMap<SegmentId, Offset>,
}

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check, as the table names it.
    pub check: &'static str,
    /// The details.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of writer {} with key {:?}", self.number, self.writer, self.key)
    }
}

impl Write {
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.ended, Some((_, Ended::Acknowledged(_))))
    }

    /// Returns true if the client was told that the event is not stored.
    pub(crate) fn has_failed_for_certain(&self) -> bool {
        matches!(self.ended, Some((_, Ended::Failed(Outcome::NotApplied) | Ended::ConditionFailed)))
    }
}

impl History {
    /// Notes the beginning of a write.
    pub fn begin(&mut self, id: EventId, hash: u64, now: Duration) {
        let (ended, condition, limit) = (None, None, None);
        self.writes.insert(id, Write { hash, begun: now, ended, condition, limit });
    }

    /// Notes the beginning of a write that must end within a limit of its own.
    pub fn begin_within(&mut self, id: EventId, hash: u64, limit: Duration, now: Duration) {
        let (ended, condition, limit) = (None, None, Some(limit));
        self.writes.insert(id, Write { hash, begun: now, ended, condition, limit });
    }

    /// Notes the beginning of a write on the condition that its segment ends at a place.
    pub fn begin_at(&mut self, id: EventId, hash: u64, condition: Position, now: Duration) {
        let (ended, condition, limit) = (None, Some(condition), None);
        self.writes.insert(id, Write { hash, begun: now, ended, condition, limit });
    }

    /// Notes the end of a write.
    pub fn end(&mut self, id: &EventId, ended: Ended, now: Duration) {
        if let Some(write) = self.writes.get_mut(id) {
            write.ended = Some((now, ended));
        }
    }

    /// Notes the end of a flush, and the writes that it waited for: those since the flush before.
    pub fn flushed(&mut self, ids: Vec<EventId>, succeeded: bool, now: Duration) {
        self.flushes.push(Flush { ids, ended: now, succeeded });
    }

    /// Notes an event that the stream holds or held. The order of the calls is that of the stream.
    pub fn found(&mut self, found: Found) {
        self.found.push(found);
    }

    /// Notes an event that a reader returned.
    pub fn read(&mut self, id: EventId, position: Position) {
        self.read.push((id, position));
    }

    /// Notes what links carried, and when links ended.
    pub fn carried(&mut self, events: BTreeSet<EventId>, link_ends: Vec<Duration>) {
        self.carried = Some(Carried { events, link_ends });
    }

    /// Notes the length of a segment that takes events in the end.
    pub fn tail(&mut self, segment: SegmentId, length: Offset) {
        self.tails.insert(segment, length);
    }

    /// Notes the present use of a resource, and its limit.
    pub fn resource(&mut self, what: &'static str, used: u64, limit: u64) {
        self.resources.push((what, used, limit));
    }

    /// The number of acknowledged writes.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.writes.values().filter(|write| write.is_acknowledged()).count()
    }

    /// The number of writes that failed with an outcome.
    #[must_use]
    pub fn failed(&self, outcome: Outcome) -> usize {
        let has_failed = |ended: &Ended| *ended == Ended::Failed(outcome);
        let ends = self.writes.values().filter_map(|write| write.ended.as_ref());
        ends.filter(|(_, ended)| has_failed(ended)).count()
    }

    /// The number of writes whose condition did not hold.
    #[must_use]
    pub fn refused(&self) -> usize {
        let ends = self.writes.values().filter_map(|write| write.ended.as_ref());
        ends.filter(|(_, ended)| *ended == Ended::ConditionFailed).count()
    }

    /// The number of conditional writes that ended in the given way.
    #[must_use]
    pub fn conditional(&self, succeeded: bool) -> usize {
        let ended = |write: &&Write| match &write.ended {
            Some((_, Ended::Acknowledged(_))) => succeeded,
            Some((_, Ended::ConditionFailed)) => !succeeded,
            _ => false,
        };
        self.writes.values().filter(|write| write.condition.is_some()).filter(ended).count()
    }

    /// A number that differs between histories that differ, in times and positions too.
    #[must_use]
    pub fn digest(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = std::hash::DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }
}
