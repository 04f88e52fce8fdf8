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
    cut::{OffsetsById, WriterPosition, writer_position},
    error::CallResult,
    names,
    state::Catalog,
    stream::{Stream, WatermarkBounds, WriterMark, WriterTime},
};
use crate::{record::Millis, store::Step};

/// The attribute that revisioned streams keep their mark in.
const REVISION_MARK: Uuid = Uuid::from_u128(0x7df9_a874_246c_c9d6_9397_cdd1_9ead_68c5);
/// The stream of watermarks is truncated above this length, in bytes.
const MAX_MARKS: u64 = 256 * 1024;

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
        step.reserve(0)?;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::InternalError);
        };
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
        self.note(
            &info.scope,
            &info.stream,
            writer,
            WriterMark { time, position, at: step.at.now },
            step,
        );
        Ok(Status::Success)
    }

    /// Records the time of a writer, unless it noted a later one.
    pub(super) fn note(
        &mut self,
        scope: &str,
        stream: &str,
        writer: &str,
        mark: WriterMark,
        step: &mut Step<'_>,
    ) {
        let Some(found) = self.stream_mut(scope, stream) else { return };
        if found.writers.get(writer).is_none_or(|known| known.time <= mark.time) {
            found.writers.insert(writer.to_owned(), mark);
            self.save_stream(step.journal, scope, stream);
        }
    }

    /// Forgets the time of a writer.
    pub fn remove_writer(
        &mut self,
        info: &StreamInfo,
        writer: &str,
        step: &mut Step<'_>,
    ) -> CallResult<remove_writer_response::Status> {
        use remove_writer_response::Status;
        step.reserve(0)?;
        let Some(found) = self.stream_mut(&info.scope, &info.stream) else {
            return Ok(Status::StreamDoesNotExist);
        };
        if found.writers.remove(writer).is_none() {
            return Ok(Status::UnknownWriter);
        }
        self.save_stream(step.journal, &info.scope, &info.stream);
        Ok(Status::Success)
    }

    /// Writes the watermark of each stream whose writers have all advanced.
    pub(crate) fn emit_watermarks(&mut self, step: &mut Step<'_>) {
        let (mut due, mut left) = (Vec::new(), Vec::new());
        for (scope, found) in &mut self.scopes {
            for (stream, found) in &mut found.streams {
                let writers = found.writers.len();
                if writers > 0
                    && let Some((bounds, positions)) = next_watermark(found, step.at.now)
                {
                    due.push((scope.clone(), stream.clone(), bounds, positions));
                }
                if found.writers.len() < writers {
                    left.push((scope.clone(), stream.clone()));
                }
            }
        }
        for (scope, stream) in left {
            self.save_stream(step.journal, &scope, &stream);
        }
        for (scope, stream, bounds, positions) in due {
            self.write_watermark(&scope, &stream, bounds, positions, step);
        }
    }

    fn write_watermark(
        &mut self,
        scope: &str,
        stream: &str,
        bounds: WatermarkBounds,
        positions: WriterPosition,
        step: &mut Step<'_>,
    ) {
        let Some(found) = self.stream_mut(scope, stream) else { return };
        let ranged = positions.iter().filter_map(|(id, offset)| {
            let record = found.segment(*id)?;
            let range = KeyRange::new(record.low, record.high).ok()?;
            Some(WatermarkSegment::new(*id, range, SegmentOffset::from_wire(offset.0)))
        });
        let ranged: Vec<_> = ranged.collect();
        let lower = Timestamp::from_millis(bounds.lower.0);
        let upper = Timestamp::from_millis(bounds.upper.0);
        let Ok(mark) = Watermark::encode(lower, upper, &ranged) else { return };
        found.watermark = Some(bounds);
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
        if step.append_internal(&segment, framed.freeze(), attributes).is_ok()
            && before.len - before.start > MAX_MARKS
            && let Some(older) = older
        {
            step.truncate(&segment, Offset(older)).ok();
        }
        self.save_stream(step.journal, scope, stream);
    }
}

/// The watermark that is due, and the positions after which no event of an earlier time follows.
fn next_watermark(stream: &mut Stream, now: Millis) -> Option<(WatermarkBounds, WriterPosition)> {
    let last = stream.watermark.map_or(WriterTime(i64::MIN), |watermark| watermark.lower);
    let timeout = stream.config.timestamp_aggregation_timeout;
    // A writer that has lagged for as long as the timeout no longer counts.
    stream.writers.retain(|_, mark| mark.time > last || now.since(mark.at) < timeout);
    let lower = stream.writers.values().map(|mark| mark.time).min()?;
    let upper = stream.writers.values().map(|mark| mark.time).max()?;
    if lower <= last {
        return None;
    }
    let positions = furthest(stream);
    (!positions.is_empty()).then_some((WatermarkBounds { lower, upper }, positions))
}

/// The furthest offset that any writer noted, for each segment of the newest epoch that one of them
/// knew.
fn furthest(stream: &Stream) -> WriterPosition {
    let mut furthest: HashMap<SegmentId, Offset> = HashMap::new();
    for (id, offset) in stream.writers.values().flat_map(|mark| &mark.position) {
        let found = furthest.entry(*id).or_default();
        *found = (*found).max(*offset);
    }
    let newest = furthest.keys().map(|id| id.epoch()).max();
    let Some(epoch) = newest.and_then(|newest| stream.epoch(newest)) else {
        return WriterPosition::new();
    };
    let reached = |id: SegmentId| furthest.get(&id).copied().unwrap_or_default();
    epoch.segments.iter().map(|record| (record.id, reached(record.id))).collect()
}
