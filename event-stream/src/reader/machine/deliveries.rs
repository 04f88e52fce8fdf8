//! Deliveries of the read machine, and what each means for the stream.

use std::fmt;

use pravega_sdk_segment_client::{
    error::ReadError,
    read::{
        machine::{Delivery, ReaderId, StartOffset},
        parser::EventParser,
    },
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, Offset, SegmentId, SegmentOffset};

use super::state::{CorruptEvents, Effect, Passed, Search, StreamMachine, Successors};

impl StreamMachine {
    pub(super) fn take(&mut self, reader: ReaderId, delivery: Delivery) {
        let Some(&id) = self.readers.get(&reader) else {
            if let Delivery::Data { data, .. } = delivery {
                self.reads.release(data.len());
            }
            return;
        };
        let Some(active) = self.active.get_mut(&id) else { return };
        match delivery {
            Delivery::Data { offset, data } => {
                active.place(offset);
                active.parser.push(data);
                self.current = Some(id);
            }
            Delivery::Truncated { asked, head } => {
                active.unplaced = None;
                self.reads.release(active.parser.restart(head.0));
                let detail = format_args!(
                    "the segment was truncated up to {head}; reading goes on from there"
                );
                let error = self.error_at(ErrorKind::Truncated, detail, id, asked.into());
                self.errors.push_back(error);
            }
            Delivery::End { offset } => {
                active.place(offset);
                self.end(id);
            }
            Delivery::Missing => self.pass(id, true),
            Delivery::Short { length } => self.short(id, length),
            Delivery::Stalled(error) => self.errors.push_back(error),
            Delivery::Failed(error) => self.fail(error),
        }
    }

    /// A segment was read to its end, or to the end that the caller wants.
    pub(super) fn end(&mut self, id: SegmentId) {
        let Some(active) = self.active.get(&id) else { return };
        if active.parser.held() > 0 {
            let offset = active.parser.offset();
            return self.corrupt(id, offset, "the event is cut off by the end");
        }
        if self.is_last(id) {
            let position = active.position();
            self.forget(id);
            self.finish(id, position);
        } else {
            self.pass(id, false);
        }
    }

    /// Returns true if reading ends with that segment, so that its successors are not read.
    pub(super) fn is_last(&self, id: SegmentId) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.contains_key(&id))
    }

    /// Nothing of a segment is left to read, and nothing that follows it is wanted.
    pub(super) fn finish(&mut self, id: SegmentId, position: SegmentOffset) {
        self.passed.remove(&id);
        self.finished.insert(id, position);
        self.unblock();
    }

    /// A segment was read to its end, or is gone: its successors are next.
    pub(super) fn pass(&mut self, id: SegmentId, is_missing: bool) {
        let Some(active) = self.forget(id) else { return };
        let passed = Passed {
            end: active.position(),
            segment: active.segment,
            predecessors: active.predecessors,
            successors: Successors::Asking,
            search: Search::default(),
            is_missing,
        };
        self.passed.insert(id, passed);
        self.effects.push_back(Effect::FindSuccessors(id));
    }

    /// A segment that does not exist was truncated away, as it has successors.
    pub(super) fn was_truncated(&mut self, id: SegmentId, position: SegmentOffset) {
        let is_last = self.is_last(id);
        let detail = if is_last {
            "the segment was truncated; reading ends with it"
        } else {
            "the segment was truncated; reading goes on with its successors"
        };
        let error = self.error_at(ErrorKind::Truncated, detail, id, position);
        self.errors.push_back(error);
        if is_last && !self.settings.bugs.has(SeededBug::ReadsPastTruncatedEnds) {
            // The next reader begins after the end, as if its events had been read.
            let end = self.ends.as_ref().and_then(|ends| ends.get(&id)).copied();
            self.finish(id, end.map_or(position, |end| end.max(position)));
        }
    }

    /// A segment does not reach as far as was known, or as was claimed.
    pub(super) fn short(&mut self, id: SegmentId, length: Offset) {
        let Some(active) = self.active.get(&id) else { return };
        let (offset, held) = (active.parser.offset(), active.parser.held());
        if held > 0 && offset + held as i64 <= length.0 {
            return self.corrupt(id, offset, "the event is longer than the segment");
        }
        let (kind, detail) = if active.unplaced.is_none() {
            let detail = format!(
                "the segment has only {length} bytes: its stream was deleted and created again"
            );
            (ErrorKind::NotFound, detail)
        } else {
            (ErrorKind::InvalidStreamCut, format!("the segment has only {length} bytes"))
        };
        let error = self.error_at(kind, detail, id, active.position());
        self.fail(error);
    }

    /// The bytes at `offset` are not a valid event.
    pub(super) fn corrupt(&mut self, id: SegmentId, offset: i64, what: &str) {
        let skips = self.settings.corrupt_events == CorruptEvents::Skip;
        let detail = self.settings.corrupt_events.detail(what);
        let position = SegmentOffset::At(Offset(offset));
        let error = self.error_at(ErrorKind::Corrupt, detail, id, position);
        if !skips {
            return self.fail(error);
        }
        self.errors.push_back(error);
        if let Some(active) = self.forget(id) {
            // Appends are whole events, so the next one begins where the segment ends now.
            self.open(id, StartOffset::Tail, active.predecessors);
            if let Some(again) = self.active.get_mut(&id) {
                again.unplaced = Some(position);
                again.parser = EventParser::new(offset);
            }
        }
    }

    /// Creates an error about a position in a segment.
    pub(super) fn error_at(
        &self,
        kind: ErrorKind,
        detail: impl fmt::Display,
        id: SegmentId,
        position: SegmentOffset,
    ) -> ReadError {
        let error = ReadError::new(kind, detail).with_stream(&self.stream);
        let error = error.with_segment(id, None, 0);
        match position {
            SegmentOffset::At(offset) => error.with_offset(offset),
            SegmentOffset::End => error,
        }
    }
}
