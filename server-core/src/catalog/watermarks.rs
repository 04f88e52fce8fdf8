//! Watermarks: what is written once all writers of a stream have advanced.
//!
//! The times of thousands of writers are gathered in slices. A time and a position never go back,
//! so a watermark of those that were gathered holds for those that were noted meanwhile.

use std::{collections::HashMap, ops::Bound};

use bytes::Bytes;
use pravega_sdk_types::{
    Epoch, KeyRange, Offset, SegmentId, SegmentOffset, Timestamp, Watermark, WatermarkSegment,
};
use pravega_sdk_wire_protocol::event;
use uuid::Uuid;

use super::{
    change::StreamPart,
    cut::WriterPosition,
    error::CallResult,
    names,
    plan::Plan,
    rounds::{Place, Round, SLICE},
    state::Catalog,
    stream::{Stream, WatermarkBounds, WriterMark, WriterTime},
};
use crate::{record::Millis, store::Step};

/// The attribute that revisioned streams keep their mark in.
const REVISION_MARK: Uuid = Uuid::from_u128(0x7df9_a874_246c_c9d6_9397_cdd1_9ead_68c5);
/// The stream of watermarks is truncated above this length, in bytes.
const MAX_MARKS: u64 = 256 * 1024;
/// The steps of a writer, besides the offsets of its position.
const WRITER: usize = 10;

/// A round of the watermarks of all streams.
pub(crate) type WatermarkRound = Round<Gathered>;

/// What the writers of a stream noted, as far as it is gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    place: Place,
    /// The first segment of the stream. One that is created again has another.
    first: Option<SegmentId>,
    /// The last writer that was looked at.
    after: Option<String>,
    bounds: Option<WatermarkBounds>,
    /// The furthest offset that any writer noted, for each segment.
    furthest: HashMap<SegmentId, Offset>,
    newest: Epoch,
}

impl Gathered {
    fn of(place: Place) -> Self {
        let (first, after, bounds) = (None, None, None);
        Self { place, first, after, bounds, furthest: HashMap::new(), newest: Epoch(0) }
    }

    fn add(&mut self, mark: &WriterMark) {
        let bounds =
            self.bounds.get_or_insert(WatermarkBounds { lower: mark.time, upper: mark.time });
        bounds.lower = bounds.lower.min(mark.time);
        bounds.upper = bounds.upper.max(mark.time);
        for (id, offset) in &mark.position {
            let found = self.furthest.entry(*id).or_default();
            *found = (*found).max(*offset);
            self.newest = self.newest.max(id.epoch());
        }
    }

    /// The watermark that is due, and the positions after which no event of an earlier time
    /// follows: in each segment of the newest epoch that a writer knew.
    fn due(&self, stream: &Stream) -> Option<(WatermarkBounds, WriterPosition)> {
        let bounds = self.bounds.filter(|bounds| bounds.lower > last_watermark(stream))?;
        if self.furthest.is_empty() {
            return None;
        }
        let segments = stream.history.segments_of(self.newest)?;
        let reached = |id: SegmentId| self.furthest.get(&id).copied().unwrap_or_default();
        Some((bounds, segments.iter().map(|record| (record.id, reached(record.id))).collect()))
    }
}

impl Catalog {
    /// Writes the watermark of each stream whose writers have all advanced: the next slice of a
    /// round. Returns the rest of the round.
    pub(crate) fn emit_watermarks(
        &mut self,
        round: WatermarkRound,
        step: &mut Step<'_>,
    ) -> Option<WatermarkRound> {
        let work = |stream: &Stream| (!stream.writers.is_empty()).then(|| steps_of(stream));
        self.next_of_round(round, work, Gathered::of, Self::gather, step)
    }

    /// Gathers the times of the next writers of a stream, and writes the watermark after the last
    /// one. A writer that has lagged for as long as the timeout no longer counts.
    fn gather(&mut self, mut gathered: Gathered, step: &mut Step<'_>) -> Option<Gathered> {
        let Place { scope, stream } = gathered.place.clone();
        let found = self.stream(&scope, &stream)?;
        let first = found.history.first();
        if gathered.first.is_some() && gathered.first != first {
            return None;
        }
        gathered.first = first;
        let (mut left, mut steps) = (Plan::new(), 0);
        let from = gathered.after.take();
        let from = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        for (name, mark) in found.writers.range::<str, _>((from, Bound::Unbounded)) {
            let now = step.at.now;
            if counts(found, mark, now) {
                gathered.add(mark);
                if mark.at > now {
                    // A clock that was ahead noted it: from now on it lags as others do.
                    let mark = WriterMark { at: now, ..mark.clone() };
                    left.stream(&scope, &stream, StreamPart::Writer(name.clone(), Some(mark)));
                }
            } else {
                left.stream(&scope, &stream, StreamPart::Writer(name.clone(), None));
            }
            steps += WRITER + mark.position.len();
            if steps >= SLICE {
                gathered.after = Some(name.clone());
                break;
            }
        }
        // After the journal has failed the round ends.
        self.carry_out(left, step).ok()?;
        if gathered.after.is_some() {
            return Some(gathered);
        }
        // At the memory limit the watermark waits for the next time.
        self.emit_watermark(&gathered, step).ok();
        None
    }

    fn emit_watermark(&mut self, gathered: &Gathered, step: &mut Step<'_>) -> CallResult<()> {
        let Place { scope, stream } = &gathered.place;
        let Some(found) = self.stream(scope, stream) else { return Ok(()) };
        let Some((bounds, positions)) = gathered.due(found) else { return Ok(()) };
        let mut mark = Plan::new();
        self.plan_watermark(&mut mark, scope, stream, bounds, &positions, step);
        self.carry_out(mark, step)
    }

    fn plan_watermark(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        bounds: WatermarkBounds,
        positions: &WriterPosition,
        step: &Step<'_>,
    ) {
        let Some(found) = self.stream(scope, stream) else { return };
        let ranged = positions.iter().filter_map(|(id, offset)| {
            let record = found.history.segment(*id)?;
            let range = KeyRange::new(record.low, record.high).ok()?;
            Some(WatermarkSegment::new(*id, range, SegmentOffset::from_wire(offset.0)))
        });
        let ranged: Vec<_> = ranged.collect();
        let lower = Timestamp::from_millis(bounds.lower.0);
        let upper = Timestamp::from_millis(bounds.upper.0);
        let Ok(mark) = Watermark::encode(lower, upper, &ranged) else { return };
        let marks = names::mark_stream(stream);
        let Some(record) =
            self.stream(scope, &marks).and_then(|found| found.active().first().copied())
        else {
            return;
        };
        let segment = names::segment(scope, &marks, record.id);
        let mut framed = bytes::BytesMut::new();
        if event::put(&mut framed, &Bytes::from(mark)).is_err() {
            return;
        }
        // Readers that start late begin at the mark, so one whole entry always follows it.
        let Ok(before) = step.store.info(&segment) else { return };
        let attributes = vec![(REVISION_MARK, before.len as i64)];
        let older = step.store.attribute(&segment, REVISION_MARK).ok().flatten();
        let appended = step.appending(&segment, framed.freeze(), attributes);
        let is_long = appended.is_some() && before.len - before.start > MAX_MARKS;
        plan.segment(appended);
        if let Some(older) = older.filter(|_| is_long) {
            plan.segment(step.truncation(&segment, Offset(older)));
        }
        plan.stream(scope, stream, StreamPart::Watermark(bounds));
    }
}

/// The steps of gathering the times of all writers of a stream, or those of a slice.
fn steps_of(stream: &Stream) -> usize {
    let mut steps = 0;
    for mark in stream.writers.values() {
        steps += WRITER + mark.position.len();
        if steps >= SLICE {
            break;
        }
    }
    steps
}

/// Returns true if a writer has advanced, or may still do so.
fn counts(stream: &Stream, mark: &WriterMark, now: Millis) -> bool {
    let timeout = stream.config().timestamp_aggregation_timeout;
    mark.time > last_watermark(stream) || now.since(mark.at) < timeout
}

fn last_watermark(stream: &Stream) -> WriterTime {
    stream.watermark.map_or(WriterTime(i64::MIN), |watermark| watermark.lower)
}
