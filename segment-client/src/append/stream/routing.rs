//! Routing of events to segments, and the end of a segment or of the whole writer.

use std::sync::Arc;

use pravega_sdk_types::{
    Endpoint, ErrorKind, Outcome, ScopedSegment, SegmentId, WriterId, segment_name,
};
use uuid::Uuid;

use super::{
    machine::{Target, WriterMachine},
    segment_writer::{SegmentWriter, State},
};
use crate::{
    append::segment::{item::Item, machine::AppendMachine},
    error::WriteError,
    machine::Cause,
};

impl<T, W> WriterMachine<T, W> {
    pub(super) fn route(&mut self, item: Item<T>) {
        let error = match (&self.ended, self.map.segment_for(item.position)) {
            (None, Some(segment)) => return self.push(segment, item),
            (Some(error), _) => error.with_outcome(Outcome::NotApplied),
            (None, None) => {
                WriteError::new(ErrorKind::Sealed, Outcome::NotApplied, "the stream is sealed")
                    .with_stream(&self.stream)
            }
        };
        self.completions.push(item.complete(Err(error)));
    }

    pub(super) fn push(&mut self, segment: SegmentId, item: Item<T>) {
        if !self.writers.contains_key(&segment) {
            self.add_writer(segment);
        }
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        if writer.appends.is_empty() {
            let due = item.enqueued + self.settings.delivery_timeout;
            self.timer = Some(self.timer.map_or(due, |timer| timer.min(due)));
        }
        writer.appends.push(item);
        match writer.state {
            State::At(_) => self.queue(segment),
            State::Idle => self.locate(segment),
            // The back-off may have ended while there was no event.
            State::SealedWaiting(until) => self.arm(until),
            State::Locating | State::Waiting(_) | State::Sealed => {}
        }
    }

    pub(super) fn add_writer(&mut self, segment: SegmentId) {
        let flow = self.flow_ids.next_flow();
        let writer_id = WriterId(Uuid::from_u64_pair((self.random)(), (self.random)()));
        let scoped = ScopedSegment::new(&self.stream, segment);
        let name = match self.target {
            Target::Stream | Target::Bytes => scoped.to_string(),
            Target::Transaction(id) => segment_name::transaction(&scoped, id),
        };
        let limits = self.settings.limits;
        let appends =
            AppendMachine::new(Arc::new(scoped), name.into(), writer_id, flow, limits, self.bugs);
        self.flows.insert(flow, segment);
        self.writers.insert(segment, SegmentWriter::new(appends));
    }

    pub(super) fn fail_segment(
        &mut self,
        segment: SegmentId,
        error: &WriteError,
        endpoint: Option<Endpoint>,
    ) {
        if let Some(writer) = self.writers.get_mut(&segment) {
            let error = error.clone().with_segment(segment, endpoint, writer.attempts);
            writer.appends.fail_all(&error, &mut self.completions);
        }
    }

    pub(super) fn end_because(&mut self, kind: ErrorKind, detail: &str, cause: Option<Cause>) {
        self.end(
            WriteError::new(kind, Outcome::NotApplied, detail)
                .with_stream(&self.stream)
                .with_source(cause),
        );
    }

    pub(super) fn fraction(&mut self) -> f64 {
        pravega_sdk_types::routing::fraction((self.random)())
    }
}
