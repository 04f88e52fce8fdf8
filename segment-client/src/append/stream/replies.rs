//! Replies of segment stores, and the meaning of each for its segment and its connection.

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, SegmentId};
use pravega_sdk_wire_protocol::{RequestId, WireCommand};

use super::{
    connection::{ConnectionId, Group},
    machine::{Effect, MAX_PROTOCOL_ERRORS, Target, WriterMachine},
    segment_writer::State,
};
use crate::{
    append::{segment::machine::Reply, when_full::WhenFull},
    error::WriteError,
    machine::{Cause, LookupError, Misbehaviour, Now},
    seeded_bugs::SeededBug,
};

impl<T, W> WriterMachine<T, W> {
    /// Handles a reply. An invalid one concerns its segment, and no other on the connection.
    pub(crate) fn handle_command(&mut self, id: ConnectionId, command: WireCommand, now: Now) {
        let flow = command.request_id().map(|request| RequestId(request).flow());
        let Some(&segment) = flow.and_then(|flow| self.flows.get(&flow)) else {
            tracing::debug!(
                stream = %self.stream,
                command = command.name(),
                "reply does not match any segment; ignored"
            );
            return;
        };
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        if writer.state != State::At(id) {
            return;
        }
        let name = command.name();
        match writer.appends.handle(command, &mut self.completions) {
            Reply::Ok => self.answered(segment, id, now),
            Reply::Progress => {
                writer.made_progress();
                let Some(connection) = self.connections.get_mut(&id) else { return };
                connection.attempts = 0;
                let is_apart = connection.group == Group::Troubled;
                if is_apart {
                    writer.appends.drain();
                }
                self.answered(segment, id, now);
                if is_apart {
                    self.recover(segment);
                }
            }
            Reply::Sealed | Reply::Missing => {
                tracing::debug!(
                    stream = %self.stream,
                    %segment,
                    reply = name,
                    "segment takes no more events"
                );
                self.leave(segment);
                self.sealed(segment);
            }
            Reply::Again(reason) => {
                self.leave(segment);
                self.move_on(segment, None, Misbehaviour(reason).into(), now);
            }
            Reply::WrongHost => {
                let endpoint = self.leave(segment);
                self.move_on(
                    segment,
                    endpoint,
                    Misbehaviour("another segment store serves the segment".to_owned()).into(),
                    now,
                );
            }
            Reply::TokenExpired => {
                let token = writer.appends.token().clone();
                self.leave(segment);
                self.effects.push_back(Effect::TokenExpired(token));
                self.move_on(
                    segment,
                    None,
                    Misbehaviour("the delegation token expired".to_owned()).into(),
                    now,
                );
            }
            Reply::Refused(kind, reason) => {
                let error =
                    WriteError::new(kind, Outcome::NotApplied, reason).with_stream(&self.stream);
                let endpoint = self.leave(segment);
                self.fail_segment(segment, &error, endpoint);
                if self.target == Target::Bytes {
                    // Later bytes would follow a gap.
                    self.end(error);
                }
            }
            Reply::OutOfSpace(reason) => self.out_of_space(segment, reason, now),
            Reply::Protocol(reason) => {
                self.handle_violation(segment, id, &reason, now);
            }
        }
    }

    /// Handles a store without space for what was sent, of which it stored nothing.
    fn out_of_space(&mut self, segment: SegmentId, reason: String, now: Now) {
        let endpoint = self.leave(segment);
        match self.settings.when_full {
            WhenFull::Fail => {
                let error = WriteError::new(ErrorKind::OutOfSpace, Outcome::NotApplied, reason)
                    .with_stream(&self.stream);
                self.fail_segment(segment, &error, endpoint);
                if self.target == Target::Bytes {
                    // Later bytes would follow a gap.
                    self.end(error);
                }
            }
            WhenFull::Wait => {
                let Some(writer) = self.writers.get_mut(&segment) else { return };
                #[cfg(feature = "seeded-bugs")]
                writer.appends.spoil_refused();
                writer.found_no_space(Misbehaviour(reason).into());
                self.locate_later(segment, now);
            }
        }
    }

    /// Handles an answer that breaks the protocol. The next event after the failure is tried as
    /// often again.
    fn handle_violation(&mut self, segment: SegmentId, id: ConnectionId, reason: &str, now: Now) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        writer.protocol_errors += 1;
        if writer.protocol_errors >= MAX_PROTOCOL_ERRORS {
            writer.protocol_errors = 0;
            let error = WriteError::new(ErrorKind::Protocol, Outcome::Unknown, reason)
                .with_stream(&self.stream);
            let endpoint = self.connections.get(&id).map(|at| at.endpoint.clone());
            self.fail_segment(segment, &error, endpoint);
        }
        let cause = Misbehaviour(reason.to_owned()).into();
        self.set_apart(segment, id, LookupError { kind: ErrorKind::Protocol, cause }, now);
    }

    /// Locates a segment again that its store does not serve: at once the first time, then after a
    /// back-off.
    pub(super) fn move_on(
        &mut self,
        segment: SegmentId,
        endpoint: Option<Endpoint>,
        reason: Cause,
        now: Now,
    ) {
        if let Some(endpoint) = endpoint.filter(|_| !self.bugs.has(SeededBug::KeepsStaleEndpoint)) {
            self.effects.push_back(Effect::Forget(segment, endpoint));
        }
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        writer.failed(reason);
        let attempts = writer.attempts;
        if writer.appends.is_empty() {
            writer.state = State::Idle;
        } else if attempts == 1 {
            self.locate(segment);
        } else {
            self.locate_later(segment, now);
        }
    }

    /// Handles a segment that takes no more events.
    pub(super) fn sealed(&mut self, segment: SegmentId) {
        match self.target {
            Target::Stream => {
                let error = self.condition_failed(segment);
                if let Some(writer) = self.writers.get_mut(&segment)
                    && !self.bugs.has(SeededBug::RoutesConditions)
                {
                    writer.appends.fail_pinned(&error, &mut self.completions);
                }
                self.find_successors(segment);
            }
            Target::Transaction(_) => {
                self.end_because(
                    ErrorKind::TransactionNotOpen,
                    "the transaction is no longer open",
                    None,
                );
            }
            Target::Bytes => {
                self.end_because(ErrorKind::Sealed, "the byte stream is sealed, or deleted", None);
            }
            Target::Segment => {
                self.end_because(ErrorKind::Sealed, "the segment is sealed, or deleted", None);
            }
        }
    }
}
