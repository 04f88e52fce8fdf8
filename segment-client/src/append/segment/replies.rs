//! Replies of the store, and the meaning of each for the events of the segment.

use pravega_sdk_types::{ErrorKind, EventNumber, Offset, Outcome};
use pravega_sdk_wire_protocol::{
    RequestId, WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{AppendSetup, ConditionalCheckFailed, DataAppended},
};

use super::{
    appended::Appended,
    item::{Completion, Payload, known_offset},
    machine::{AppendMachine, Block, Reply, State},
    transfer::Step,
};
use crate::{error::WriteError, seeded_bugs::SeededBug};

/// Returns the offset `len` bytes before `end`.
fn before(end: Offset, len: usize) -> Offset {
    Offset(end.0 - len as i64)
}

/// Returns the offset `len` bytes after `start`.
fn after(start: Offset, len: usize) -> Offset {
    Offset(start.0 + len as i64)
}

impl<T> AppendMachine<T> {
    /// Handles a reply of the store. Puts events that are done into `out`.
    pub(crate) fn handle(&mut self, command: WireCommand, out: &mut Vec<Completion<T>>) -> Reply {
        let is_stale =
            command.request_id().is_some_and(|id| RequestId(id).is_before(self.set_up_request));
        if is_stale || matches!(self.state, State::Detached | State::ToSetUp) {
            return Reply::Ok;
        }
        match command {
            WireCommand::AppendSetup(reply) if reply.writer_id == self.writer_id.0 => {
                self.handle_set_up(&reply, out)
            }
            WireCommand::DataAppended(reply) if reply.writer_id == self.writer_id.0 => {
                self.handle_ack(&reply, out)
            }
            WireCommand::ConditionalCheckFailed(reply) if reply.writer_id == self.writer_id.0 => {
                self.handle_condition_failed(&reply, out)
            }
            WireCommand::WrongHost(_) => Reply::WrongHost,
            WireCommand::AuthTokenCheckFailed(reply)
                if reply.error_code == TokenFailure::Expired =>
            {
                Reply::TokenExpired
            }
            WireCommand::AuthTokenCheckFailed(_) => {
                let detail = "the segment store refused the delegation token";
                Reply::Refused(ErrorKind::PermissionDenied, detail.to_owned())
            }
            WireCommand::OperationUnsupported(reply) => {
                let detail = format!("the server cannot do {}", reply.operation_name);
                match self.state {
                    State::Transferring(_) => self.refuse_large(&detail, out),
                    _ => Reply::Refused(ErrorKind::Unsupported, detail),
                }
            }
            WireCommand::ErrorMessage(reply)
                if reply.error_code == FailureCode::IllegalArgument =>
            {
                Reply::Refused(
                    ErrorKind::InvalidArgument,
                    format!("the segment store says: {}", reply.message),
                )
            }
            // The store may be able to later, as one that has no space left.
            WireCommand::ErrorMessage(reply) => {
                Reply::Protocol(format!("the segment store says: {}", reply.message))
            }
            WireCommand::SegmentIsSealed(_) => {
                self.rest_is_not_stored();
                Reply::Sealed
            }
            WireCommand::NoSuchSegment(reply) if reply.segment == self.name => {
                self.rest_is_not_stored();
                Reply::Missing
            }
            WireCommand::InvalidEventNumber(reply) => Reply::Protocol(format!(
                "the segment store calls event number {} invalid",
                reply.event_number
            )),
            other => self.handle_in_transfer(other, out),
        }
    }

    /// Notes that events in flight are not stored: a failed append is answered after all before it.
    pub(super) fn rest_is_not_stored(&mut self) {
        if matches!(self.state, State::Open) {
            self.sent_number = self.acknowledged;
        }
    }

    /// Fails a large event at a server without transient segments, which takes all others.
    pub(super) fn refuse_large(&mut self, detail: &str, out: &mut Vec<Completion<T>>) -> Reply {
        self.state = State::Open;
        if let Some(item) = self.items.pop_front() {
            self.unsent_bytes -= item.bytes;
            let error = WriteError::new(ErrorKind::Unsupported, Outcome::NotApplied, detail);
            let error = error.with_stream(&self.segment.scoped_stream()).with_segment(
                self.segment.id(),
                None,
                0,
            );
            out.push(item.complete(Err(error)));
        }
        Reply::Progress
    }

    pub(super) fn handle_set_up(
        &mut self,
        reply: &AppendSetup,
        out: &mut Vec<Completion<T>>,
    ) -> Reply {
        if !matches!(self.state, State::SettingUp) {
            return Reply::Protocol(
                "the segment store answered a set-up that was not sent".to_owned(),
            );
        }
        let stored = EventNumber(reply.last_event_number);
        if stored > self.sent_number {
            return Reply::Protocol(format!(
                "it claims event number {stored}, {} was the last sent",
                self.sent_number
            ));
        }
        if stored < self.acknowledged {
            let acknowledged = self.acknowledged;
            return Reply::Protocol(format!(
                "it has event number {stored} only, {acknowledged} was acknowledged"
            ));
        }
        self.acknowledged = stored;
        self.state = State::Open;
        #[cfg(feature = "seeded-bugs")]
        self.spoil_resend(stored, out);
        let stored_items = self.items.iter().take_while(|item| item.number <= stored).count();
        for item in self.items.drain(..stored_items) {
            self.unsent_bytes -= item.bytes;
            // The set-up does not tell their offsets.
            let appended =
                Appended::new(&self.segment, None, item.bytes, item.payload.events().len());
            out.push(item.complete(Ok(appended)));
        }
        if stored_items > 0 { Reply::Progress } else { Reply::Ok }
    }

    pub(super) fn handle_ack(
        &mut self,
        reply: &DataAppended,
        out: &mut Vec<Completion<T>>,
    ) -> Reply {
        let number = EventNumber(reply.event_number);
        let Some(at) = self.blocks.iter().position(|block| block.last_number == number) else {
            return Reply::Protocol(format!(
                "the segment store acknowledged event number {number}, which is not in flight"
            ));
        };
        let previous = EventNumber(reply.previous_event_number);
        if self.items.front().is_some_and(|first| previous >= first.number) {
            return Reply::Protocol(format!(
                "the segment store acknowledged {number} after {previous}"
            ));
        }
        let at =
            if self.bugs.has(SeededBug::AcknowledgesTooMuch) { self.blocks.len() - 1 } else { at };
        let end = known_offset(reply.current_segment_write_offset);
        self.tail_offset = self.tail_offset.max(end);
        self.acknowledged = number;
        for (later, block) in (0..=at).rev().zip(self.blocks.drain(..=at)) {
            // Other writers' events may be between blocks, so only the offset of the last block is
            // known.
            let mut offset = end.filter(|_| later == 0).map(|end| before(end, block.bytes));
            for item in self.items.drain(..block.items) {
                let appended =
                    Appended::new(&self.segment, offset, item.bytes, item.payload.events().len());
                offset = offset.map(|offset| after(offset, item.bytes));
                out.push(item.complete(Ok(appended)));
            }
            self.sent -= block.items;
        }
        Reply::Progress
    }

    pub(super) fn handle_condition_failed(
        &mut self,
        reply: &ConditionalCheckFailed,
        out: &mut Vec<Completion<T>>,
    ) -> Reply {
        if matches!(self.items.front().map(|item| &item.payload), Some(Payload::Bytes { .. })) {
            return self.handle_lost_offset(reply);
        }
        let is_known =
            |block: &Block| block.is_conditional && block.last_number.0 == reply.event_number;
        if !self.blocks.front().is_some_and(is_known) {
            return Reply::Protocol(
                "the segment store refused a condition that is not in flight".to_owned(),
            );
        }
        self.blocks.pop_front();
        self.sent = 0;
        if let Some(item) = self.items.pop_front() {
            let detail = "the segment does not end at the offset given";
            let error = WriteError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail)
                .with_stream(&self.segment.scoped_stream())
                .with_segment(self.segment.id(), None, 0);
            out.push(item.complete(Err(error)));
        }
        Reply::Progress
    }

    /// Another writer appended to a byte stream: neither these bytes nor any after them can be
    /// stored at their offset.
    pub(super) fn handle_lost_offset(&mut self, reply: &ConditionalCheckFailed) -> Reply {
        if self.blocks.front().is_none_or(|block| block.last_number.0 != reply.event_number) {
            return Reply::Protocol(
                "the segment store refused a condition that is not in flight".to_owned(),
            );
        }
        self.sent_number = self.acknowledged;
        let detail =
            "another writer appended to the byte stream, so the offset of these bytes is taken";
        Reply::Refused(ErrorKind::ConditionFailed, detail.to_owned())
    }

    /// Handles the replies that only the transfer of a large event expects.
    pub(super) fn handle_in_transfer(
        &mut self,
        command: WireCommand,
        out: &mut Vec<Completion<T>>,
    ) -> Reply {
        let State::Transferring(transfer) = &mut self.state else {
            return Reply::Protocol(format!(
                "the segment store answered {} to an append",
                command.name()
            ));
        };
        match transfer.handle(command) {
            Step::Next => Reply::Ok,
            Step::Merged(end) => {
                // The merge changed the event number that the store has of this writer, so it must
                // be read again.
                self.state = State::ToSetUp;
                self.tail_offset = self.tail_offset.max(end);
                if let Some(item) = self.items.pop_front() {
                    self.unsent_bytes -= item.bytes;
                    self.acknowledged = item.number;
                    let appended = Appended::new(
                        &self.segment,
                        end.map(|end| before(end, item.bytes)),
                        item.bytes,
                        item.payload.events().len(),
                    );
                    out.push(item.complete(Ok(appended)));
                }
                Reply::Progress
            }
            Step::Again => {
                // The set-up shows if an earlier attempt was stored.
                self.state = State::ToSetUp;
                Reply::Ok
            }
            Step::Broken(reason) => Reply::Protocol(reason),
        }
    }
}
