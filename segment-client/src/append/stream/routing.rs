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
    append::segment::{
        item::{Item, Routed},
        machine::AppendMachine,
    },
    error::WriteError,
    machine::Cause,
};

impl<T, W> WriterMachine<T, W> {
    pub(super) fn route(&mut self, item: Routed<T>) {
        match self.owner_of(item.position()) {
            Ok(segment) => self.push(segment, item.into_item()),
            Err(error) => self.completions.push(item.into_item().complete(Err(error))),
        }
    }

    /// Takes an item for an offset of a segment, which must own the position and take events.
    pub(super) fn write_at(&mut self, segment: SegmentId, position: Option<f64>, item: Item<T>) {
        let owner = match position {
            Some(position) => self.owner_of(position),
            None => self.owner_of(0.0).map(|first| {
                let has_it = self.map.iter().any(|(_, id, _)| id == segment);
                if has_it { segment } else { first }
            }),
        };
        let error = match owner {
            Ok(owner) if owner != segment => self.condition_failed(segment),
            Ok(_) if self.writers.get(&segment).is_some_and(SegmentWriter::is_sealed) => {
                self.condition_failed(segment)
            }
            Ok(_) => return self.push(segment, item),
            Err(error) => error,
        };
        self.completions.push(item.complete(Err(error)));
    }

    /// Returns the error of an item for an offset of a segment that takes no more events of its
    /// key. It is not moved: its offset means nothing in another segment.
    pub(super) fn condition_failed(&self, segment: SegmentId) -> WriteError {
        let detail = "the segment of the condition takes no events of the key: it is sealed, or \
                      never owned the key";
        WriteError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail)
            .with_stream(&self.stream)
            .with_segment(segment, None, 0)
    }

    fn owner_of(&self, position: f64) -> Result<SegmentId, WriteError> {
        match (&self.ended, self.map.segment_for(position)) {
            (None, Some(segment)) => Ok(segment),
            (Some(error), _) => Err(error.with_outcome(Outcome::NotApplied)),
            (None, None) => {
                let detail = "the stream is sealed";
                Err(WriteError::new(ErrorKind::Sealed, Outcome::NotApplied, detail)
                    .with_stream(&self.stream))
            }
        }
    }

    pub(super) fn push(&mut self, segment: SegmentId, item: Item<T>) {
        if !self.writers.contains_key(&segment) {
            self.add_writer(segment);
        }
        // An event may have waited longer than those before it.
        self.arm(item.enqueued + self.settings.delivery_timeout);
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        writer.appends.push(item);
        match writer.state {
            State::At(_) => self.queue(segment),
            State::Idle => self.locate(segment),
            // The back-off may have ended while there was no event.
            State::SealedWaiting(until) => self.arm(until),
            State::Locating | State::Waiting(_) | State::Sealed | State::WithoutSuccessors => {}
        }
    }

    pub(super) fn add_writer(&mut self, segment: SegmentId) {
        let flow = self.flow_ids.next_flow();
        let writer_id = WriterId(Uuid::from_u64_pair((self.random)(), (self.random)()));
        let scoped = ScopedSegment::new(&self.stream, segment);
        let name = match self.target {
            Target::Stream | Target::Bytes | Target::Segment => scoped.to_string(),
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
