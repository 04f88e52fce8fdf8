//! Event time: the times that writers note, and watermarks.

use std::collections::HashMap;

use bytes::Bytes;
use pravega_sdk_proto::{StreamInfo, remove_writer_response, timestamp_response};
use pravega_sdk_types::{
    KeyRange, Offset, SegmentId, SegmentOffset, Timestamp, Watermark, WatermarkSegment,
};
use pravega_sdk_wire_protocol::event;
use uuid::Uuid;

use super::{
    change::StreamPart,
    cut::{OffsetsById, WriterPosition, writer_position},
    error::{CallError, CallResult},
    names,
    plan::Plan,
    rounds::Place,
    state::Catalog,
    stream::{Stream, WatermarkBounds, WriterMark, WriterTime},
};
use crate::{record::Millis, store::Step};

/// The attribute that revisioned streams keep their mark in.
const REVISION_MARK: Uuid = Uuid::from_u128(0x7df9_a874_246c_c9d6_9397_cdd1_9ead_68c5);
/// The stream of watermarks is truncated above this length, in bytes.
const MAX_MARKS: u64 = 256 * 1024;
/// The longest name of a writer, in bytes.
const MAX_WRITER_LEN: usize = 255;

impl Catalog {
    /// Records the time and the position of a writer. Neither may go back.
    pub fn note_time(
        &mut self,
        info: &StreamInfo,
        writer: &str,
        position: OffsetsById,
        time: i64,
        step: &mut Step<'_>,
    ) -> CallResult<timestamp_response::Status> {
        use timestamp_response::Status;
        step.check_growth(0)?;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::InternalError);
        };
        check_writer(writer)?;
        if !found.knows_all(&position) {
            return Ok(Status::InvalidPosition);
        }
        let (time, position) = (WriterTime(time), writer_position(position));
        if let Some(known) = found.writers.get(writer) {
            if time < known.time {
                return Ok(Status::InvalidTime);
            }
            let went_back = |(id, offset): (&SegmentId, &Offset)| {
                known.position.get(id).is_some_and(|known| offset < known)
            };
            if position.iter().any(went_back) {
                return Ok(Status::InvalidPosition);
            }
        }
        let mut plan = Plan::new();
        let mark = WriterMark { time, position, at: step.at.now };
        plan_note(&mut plan, found, &info.scope, &info.stream, writer, mark);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Forgets the time of a writer.
    pub fn remove_writer(
        &mut self,
        info: &StreamInfo,
        writer: &str,
        step: &mut Step<'_>,
    ) -> CallResult<remove_writer_response::Status> {
        use remove_writer_response::Status;
        step.check_growth(0)?;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::StreamDoesNotExist);
        };
        if !found.writers.contains_key(writer) {
            return Ok(Status::UnknownWriter);
        }
        let mut plan = Plan::new();
        let part = StreamPart::Writer(writer.to_owned(), None);
        plan.stream(&info.scope, &info.stream, part);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Writes the watermark of each stream whose writers have all advanced: for the next slice of
    /// all streams. Returns where the round goes on.
    pub(crate) fn emit_watermarks(&mut self, after: &Place, step: &mut Step<'_>) -> Option<Place> {
        let work = |stream: &Stream| {
            let positions = stream.writers.values().map(|mark| mark.position.len());
            (!stream.writers.is_empty()).then(|| stream.writers.len() + positions.sum::<usize>())
        };
        let (noted, next) = self.next_in_round(after, work);
        for Place { scope, stream } in noted {
            // At the memory limit the watermark waits for the next time.
            self.emit_watermark(&scope, &stream, step).ok();
        }
        next
    }

    fn emit_watermark(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) -> CallResult<()> {
        let Some(found) = self.stream(scope, stream) else { return Ok(()) };
        let (counted, left) = writers(found, step.at.now);
        let (mut forget, mut mark) = (Plan::new(), Plan::new());
        for writer in left {
            forget.stream(scope, stream, StreamPart::Writer(writer.clone(), None));
        }
        if let Some((bounds, positions)) = next_watermark(found, &counted) {
            self.plan_watermark(&mut mark, scope, stream, bounds, &positions, step);
        }
        self.carry_out(forget, step)?;
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

/// Refuses a name that is too long to be kept.
pub(super) fn check_writer(writer: &str) -> CallResult<()> {
    if writer.len() > MAX_WRITER_LEN {
        return Err(CallError::Invalid(format!(
            "the name of the writer has {} bytes; it may have {MAX_WRITER_LEN}",
            writer.len()
        )));
    }
    Ok(())
}

/// Plans that the time of a writer is recorded, unless it noted a later one.
pub(super) fn plan_note(
    plan: &mut Plan,
    found: &Stream,
    scope: &str,
    stream: &str,
    writer: &str,
    mark: WriterMark,
) {
    if found.writers.get(writer).is_none_or(|known| known.time <= mark.time) {
        plan.stream(scope, stream, StreamPart::Writer(writer.to_owned(), Some(mark)));
    }
}

/// The writers of a stream that count, and the names of the others: one that has lagged for as long
/// as the timeout no longer counts.
fn writers(stream: &Stream, now: Millis) -> (Vec<&WriterMark>, Vec<&String>) {
    let last = last_watermark(stream);
    let timeout = stream.config().timestamp_aggregation_timeout;
    let (mut counted, mut left) = (Vec::new(), Vec::new());
    for (name, mark) in &stream.writers {
        if mark.time > last || now.since(mark.at) < timeout {
            counted.push(mark);
        } else {
            left.push(name);
        }
    }
    (counted, left)
}

fn last_watermark(stream: &Stream) -> WriterTime {
    stream.watermark.map_or(WriterTime(i64::MIN), |watermark| watermark.lower)
}

/// The watermark that is due, and the positions after which no event of an earlier time follows.
fn next_watermark(
    stream: &Stream,
    writers: &[&WriterMark],
) -> Option<(WatermarkBounds, WriterPosition)> {
    let lower = writers.iter().map(|mark| mark.time).min()?;
    let upper = writers.iter().map(|mark| mark.time).max()?;
    if lower <= last_watermark(stream) {
        return None;
    }
    let positions = furthest(stream, writers);
    (!positions.is_empty()).then_some((WatermarkBounds { lower, upper }, positions))
}

/// The furthest offset that any writer noted, for each segment of the newest epoch that one of them
/// knew.
fn furthest(stream: &Stream, writers: &[&WriterMark]) -> WriterPosition {
    let mut furthest: HashMap<SegmentId, Offset> = HashMap::new();
    for (id, offset) in writers.iter().flat_map(|mark| &mark.position) {
        let found = furthest.entry(*id).or_default();
        *found = (*found).max(*offset);
    }
    let newest = furthest.keys().map(|id| id.epoch()).max();
    let Some(segments) = newest.and_then(|newest| stream.history.segments_of(newest)) else {
        return WriterPosition::new();
    };
    let reached = |id: SegmentId| furthest.get(&id).copied().unwrap_or_default();
    segments.iter().map(|record| (record.id, reached(record.id))).collect()
}
