//! Answers of the controller: locations of segments, and successors of sealed ones.

use pravega_sdk_types::{ErrorKind, Outcome, SegmentId, Successor};

use super::{
    machine::{Effect, WriterMachine},
    segment_writer::State,
};
use crate::{
    append::segment::item::Item,
    error::WriteError,
    machine::{Location, LookupError, Misbehaviour, Now},
    seeded_bugs::SeededBug,
};

impl<T, W> WriterMachine<T, W> {
    /// Handles the location of a segment, or the failure to find it.
    pub(crate) fn handle_located(
        &mut self,
        segment: SegmentId,
        found: Result<Location, LookupError>,
        now: Now,
    ) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        if writer.state != State::Locating {
            return;
        }
        match found {
            Ok(location) => {
                writer.appends.attach(location.token);
                let group = writer.group;
                let id = self.connection_to(location.endpoint, group, now);
                if let Some(writer) = self.writers.get_mut(&segment) {
                    writer.state = State::At(id);
                    writer.is_queued = false;
                }
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.segments.insert(segment);
                }
                self.queue(segment);
            }
            Err(error) if error.kind.is_retryable() => {
                writer.failed(error.cause);
                self.locate_later(segment, now);
            }
            Err(error) => {
                writer.state = State::Idle;
                let failure = WriteError::new(
                    error.kind,
                    Outcome::NotApplied,
                    "the segment's store cannot be found",
                );
                let failure = failure.with_stream(&self.stream).with_source(Some(error.cause));
                self.fail_segment(segment, &failure, None);
            }
        }
    }

    /// Handles the successors of a sealed segment, or the failure to find them.
    pub(crate) fn handle_successors(
        &mut self,
        segment: SegmentId,
        found: Result<Vec<Successor>, LookupError>,
        now: Now,
    ) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        if writer.state != State::Sealed {
            return;
        }
        let error = match found {
            Ok(successors) if successors.is_empty() => {
                (writer.state, writer.asked) = (State::WithoutSuccessors, now);
                self.effects.push_back(Effect::FindSegments(segment));
                return;
            }
            Ok(successors) => match self.map.replace_sealed(segment, &successors) {
                Ok(()) => return self.move_to_successors(segment),
                Err(error) => LookupError {
                    kind: ErrorKind::Unavailable,
                    cause: Misbehaviour(format!("the controller's answer is invalid: {error}"))
                        .into(),
                },
            },
            Err(error) => error,
        };
        if error.kind.is_retryable() {
            writer.failed(error.cause);
            return self.find_successors_later(segment, now);
        }
        self.end_because(
            error.kind,
            "the successors of a sealed segment cannot be found",
            Some(error.cause),
        );
    }

    /// Handles the current segments of the stream, asked for as a sealed one has no successors.
    pub(crate) fn handle_segments(
        &mut self,
        segment: SegmentId,
        found: Result<Vec<SegmentId>, LookupError>,
        now: Now,
    ) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        if writer.state != State::WithoutSuccessors {
            return;
        }
        match found {
            Ok(segments) if segments.is_empty() => {
                self.end_because(ErrorKind::Sealed, "the stream is sealed", None);
            }
            Ok(segments) => {
                // In the middle of a scale segments are sealed before they have successors. An
                // instance that lags does not know the segment yet.
                let believes = self.bugs.has(SeededBug::BelievesStaleAnswers);
                let is_known = segments.contains(&segment);
                if !is_known && (writer.is_gone(now) || believes) {
                    return self.end_because(
                        ErrorKind::NotFound,
                        "the stream was deleted and created again",
                        None,
                    );
                }
                let why = if is_known {
                    "the segment is sealed and has no successors yet"
                } else {
                    "the controller names no successors of the segment, and does not name it as \
                     one of the stream's"
                };
                writer.failed(Misbehaviour(why.to_owned()).into());
                self.find_successors_later(segment, now);
            }
            Err(error) if error.kind.is_retryable() => {
                writer.failed(error.cause);
                self.find_successors_later(segment, now);
            }
            Err(error) => self.end_because(error.kind, "the stream is gone", Some(error.cause)),
        }
    }

    pub(super) fn locate(&mut self, segment: SegmentId) {
        if let Some(writer) = self.writers.get_mut(&segment) {
            writer.state = State::Locating;
            self.effects.push_back(Effect::Locate(segment));
        }
    }

    pub(super) fn find_successors(&mut self, segment: SegmentId) {
        if let Some(writer) = self.writers.get_mut(&segment) {
            writer.state = State::Sealed;
            self.effects.push_back(Effect::FindSuccessors(segment));
        }
    }

    /// Moves the events of a sealed segment to its successors, in order.
    ///
    /// What may be stored in the segment does not move: it no longer exists, or a set-up would have
    /// told, and readers may have seen those events before they were truncated away. Later events
    /// of their keys go on, as after any failure: nothing can be stored before them any more.
    pub(super) fn move_to_successors(&mut self, segment: SegmentId) {
        let Some(mut writer) = self.writers.remove(&segment) else { return };
        self.flows.retain(|_, of| *of != segment);
        #[cfg(feature = "seeded-bugs")]
        writer.appends.spoil_move(&mut self.completions);
        if !self.bugs.has(SeededBug::MovesEventsInDoubt) {
            let detail = "the segment was truncated away before the event was acknowledged";
            let error = WriteError::new(ErrorKind::Truncated, Outcome::Unknown, detail)
                .with_stream(&self.stream)
                .with_segment(segment, None, writer.attempts);
            writer.appends.fail_in_doubt(&error, &mut self.completions);
        }
        let items = writer.appends.take_items();
        tracing::debug!(
            stream = %self.stream,
            %segment,
            events = items.len(),
            "successors take over"
        );
        for item in items {
            match item.into_routed() {
                Ok(item) => self.route(item),
                Err(item) => self.stay_behind(segment, item),
            }
        }
    }

    /// Fails an item for an offset of a sealed segment.
    fn stay_behind(&mut self, segment: SegmentId, item: Item<T>) {
        let other = self.map.iter().next().map(|(_, id, _)| id);
        if let Some(other) = other.filter(|_| self.bugs.has(SeededBug::RoutesConditions)) {
            return self.push(other, item);
        }
        let error = self.condition_failed(segment);
        self.completions.push(item.complete(Err(error)));
    }
}
