//! Deliveries of the read machine, and what each means for the stream.

use pravega_sdk_segment_client::{
    error::ReadError,
    read::machine::{Delivery, ReaderId, StartOffset},
};
use pravega_sdk_types::{ErrorKind, Offset, SegmentId};

use super::{
    parser::Parser,
    state::{CorruptEvents, Effect, Follow, Passed, StreamMachine, Successors},
};

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
                active.place(offset.0);
                active.parser.push(data);
                self.current = Some(id);
            }
            Delivery::Truncated { asked, head } => {
                active.is_placed = true;
                self.reads.release(active.parser.restart(head.0));
                let detail = format_args!(
                    "the segment was truncated up to {head}; reading goes on from there"
                );
                let error = ReadError::new(ErrorKind::Truncated, detail).with_offset(asked);
                self.errors.push_back(error.with_stream(&self.stream).with_segment(id, None, 0));
            }
            Delivery::End { offset } => {
                active.place(offset.0);
                self.end(id);
            }
            Delivery::Missing => self.pass(id, true),
            Delivery::Short { length } => self.short(id, length.0),
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
        let is_wanted_end = self.ends.as_ref().is_some_and(|ends| ends.contains_key(&id));
        if is_wanted_end || self.settings.follow == Follow::Nothing {
            let offset = active.parser.offset();
            self.forget(id);
            self.finished.insert(id, offset);
            self.unblock();
        } else {
            self.pass(id, false);
        }
    }

    /// A segment was read to its end, or is gone: its successors are next.
    pub(super) fn pass(&mut self, id: SegmentId, is_missing: bool) {
        let Some(active) = self.forget(id) else { return };
        if self.settings.follow == Follow::Nothing {
            let detail =
                "the segment does not exist anymore: it was truncated, or its stream was deleted";
            let error = ReadError::new(ErrorKind::Truncated, detail)
                .with_offset(Offset(active.parser.offset()));
            return self.fail(error.with_stream(&self.stream).with_segment(id, None, 0));
        }
        let passed = Passed {
            segment: active.segment,
            end: active.parser.offset(),
            predecessors: active.predecessors,
            successors: Successors::Asking,
            attempts: 0,
            is_missing,
        };
        self.passed.insert(id, passed);
        self.effects.push_back(Effect::FindSuccessors(id));
    }

    /// A segment does not reach as far as was known, or as was claimed.
    pub(super) fn short(&mut self, id: SegmentId, length: i64) {
        let Some(active) = self.active.get(&id) else { return };
        let offset = active.parser.offset();
        let held = active.parser.held();
        if held > 0 && offset + held as i64 <= length {
            return self.corrupt(id, offset, "the event is longer than the segment");
        }
        let (kind, detail) = if active.is_placed {
            let detail = format!(
                "the segment has only {length} bytes: its stream was deleted and created again"
            );
            (ErrorKind::NotFound, detail)
        } else {
            (ErrorKind::InvalidStreamCut, format!("the segment has only {length} bytes"))
        };
        self.fail(
            ReadError::new(kind, detail)
                .with_offset(Offset(offset))
                .with_stream(&self.stream)
                .with_segment(id, None, 0),
        );
    }

    /// The bytes at `offset` are not a valid event.
    pub(super) fn corrupt(&mut self, id: SegmentId, offset: i64, what: &str) {
        let skips = self.settings.corrupt_events == CorruptEvents::Skip;
        let next = if skips {
            "what follows up to the segment's tail is skipped"
        } else {
            "reading stops here"
        };
        let error = ReadError::new(
            ErrorKind::Corrupt,
            format_args!("the bytes are not an event ({what}); {next}"),
        );
        let error =
            error.with_offset(Offset(offset)).with_stream(&self.stream).with_segment(id, None, 0);
        if !skips {
            return self.fail(error);
        }
        self.errors.push_back(error);
        if let Some(active) = self.forget(id) {
            // Appends are whole events, so the next one begins where the segment ends now.
            self.open(id, StartOffset::Tail, active.predecessors);
            if let Some(again) = self.active.get_mut(&id) {
                again.parser = Parser::new(offset);
            }
        }
    }
}
