//! Replies of the store, and the meaning of each for the events of the segment.

use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, EventNumber, Offset, Outcome};
use pravega_sdk_wire_protocol::{
    RequestId, WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{AppendSetup, ConditionalCheckFailed, DataAppended, StreamSegmentInfo},
};

use super::{
    appended::Appended,
    item::{Completion, Content, Item, known_offset},
    machine::{AppendMachine, BlockKind, Reply, Seal, State},
    transfer::Step,
};
use crate::{error::WriteError, seeded_bugs::SeededBug};

/// The refusal of an append, which comes without a text.
const NO_SPACE: &str =
    "the segment store has no space for it: truncate or delete streams, or raise its limit";

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
                    State::Transferring(_) => self.refuse_large(reply.request_id, &detail, out),
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
            WireCommand::ErrorMessage(reply) if reply.error_code == FailureCode::OutOfSpace => self
                .out_of_space(
                    reply.request_id,
                    format!("the segment store says: {}", reply.message),
                ),
            // The store may be able to later.
            WireCommand::ErrorMessage(reply) => {
                Reply::Protocol(format!("the segment store says: {}", reply.message))
            }
            WireCommand::SegmentIsSealed(reply) if !self.is_about_transient(&reply.segment) => {
                self.handle_sealed(reply.request_id)
            }
            WireCommand::NoSuchSegment(reply) if reply.segment == self.name => {
                self.refused_since_set_up(reply.request_id);
                Reply::Missing
            }
            WireCommand::StreamSegmentInfo(reply) if reply.segment_name == self.name => {
                self.handle_info(&reply)
            }
            WireCommand::InvalidEventNumber(reply) => Reply::Protocol(format!(
                "the segment store calls event number {} invalid",
                reply.event_number
            )),
            other => self.handle_in_transfer(other, out),
        }
    }

    /// Handles the refusal of a full store, which ends the set-up.
    fn out_of_space(&mut self, request: i64, detail: String) -> Reply {
        self.refused_since_set_up(request);
        if self.bugs.has(SeededBug::BelievesRefusals) {
            self.in_doubt = self.acknowledged;
        }
        Reply::OutOfSpace(detail)
    }

    fn is_about_transient(&self, segment: &ByteString) -> bool {
        matches!(&self.state, State::Transferring(transfer) if transfer.owns(segment))
    }

    /// Handles the refusal of a sealed segment. What was sent before the last set-up may be stored
    /// nevertheless: it may have come between the set-up and the seal.
    fn handle_sealed(&mut self, request: i64) -> Reply {
        if self.bugs.has(SeededBug::BelievesSeals) {
            self.in_doubt = self.acknowledged;
            return Reply::Sealed;
        }
        let is_set_up = !matches!(self.state, State::CheckingSeal | State::SettingUp);
        self.refused_since_set_up(request);
        if !self.has_earlier() {
            return Reply::Sealed;
        }
        if !is_set_up {
            // No segment store refuses a set-up for that, which alone would tell what is stored.
            return Reply::Missing;
        }
        self.seal = Seal::Reported;
        self.interrupt(State::ToSetUp);
        Reply::Ok
    }

    fn handle_info(&mut self, reply: &StreamSegmentInfo) -> Reply {
        if !matches!(self.state, State::CheckingSeal) {
            return Reply::Protocol(
                "the segment store answered a question that was not asked".to_owned(),
            );
        }
        self.state = State::ToSetUp;
        if !reply.is_sealed {
            return Reply::Again("the seal of the segment is not durable yet".to_owned());
        }
        self.seal = Seal::Durable;
        Reply::Ok
    }

    /// Fails a large event at a server without transient segments, which takes all others.
    fn refuse_large(&mut self, request: i64, detail: &str, out: &mut Vec<Completion<T>>) -> Reply {
        self.state = State::Open;
        self.refused_since_set_up(request);
        if let Some(item) = self.items.pop_front() {
            self.unsent_bytes -= item.bytes;
            let error = self.failure(ErrorKind::Unsupported, &item, detail);
            out.push(item.complete(Err(error)));
        }
        Reply::Progress
    }

    /// Returns the error of an event that is not tried again.
    fn failure(&self, kind: ErrorKind, item: &Item<T>, detail: &str) -> WriteError {
        let outcome = if self.is_in_doubt(item) { Outcome::Unknown } else { Outcome::NotApplied };
        WriteError::new(kind, outcome, detail)
            .with_stream(&self.segment.scoped_stream())
            .with_segment(self.segment.id(), None, 0)
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
        let has_advanced = stored > self.acknowledged;
        self.acknowledged = stored;
        self.state = State::Open;
        #[cfg(feature = "seeded-bugs")]
        self.spoil_resend(stored, out);
        let stored_items = self.items.iter().take_while(|item| item.number <= stored).count();
        for item in self.items.drain(..stored_items) {
            self.unsent_bytes -= item.bytes;
            // The set-up does not tell their offsets.
            let appended =
                Appended::new(&self.segment, None, item.bytes, item.content.events().len());
            out.push(item.complete(Ok(appended)));
        }
        if self.seal == Seal::Durable {
            // Nothing can be applied any more.
            self.interrupt(State::Detached);
            self.in_doubt = stored;
            return Reply::Sealed;
        }
        // An event that failed before may have been stored now.
        if has_advanced { Reply::Progress } else { Reply::Ok }
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
            let is_known = later == 0 && !block.has_holes;
            let mut offset = end.filter(|_| is_known).map(|end| before(end, block.bytes));
            for item in self.items.drain(..block.items) {
                let appended =
                    Appended::new(&self.segment, offset, item.bytes, item.content.events().len());
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
        let kind = self
            .blocks
            .front()
            .and_then(|first| (first.last_number.0 == reply.event_number).then_some(first.kind));
        match kind {
            Some(BlockKind::Bytes) => self.handle_lost_offset(),
            Some(BlockKind::Conditional) => {
                self.fail_condition(out);
                Reply::Progress
            }
            // Events without a condition have only that their store has space for them.
            Some(BlockKind::Events) => self.out_of_space(reply.request_id, NO_SPACE.to_owned()),
            None => Reply::Protocol(
                "the segment store refused a condition that is not in flight".to_owned(),
            ),
        }
    }

    /// Fails the conditional event in flight, which is alone.
    fn fail_condition(&mut self, out: &mut Vec<Completion<T>>) {
        let Some(block) = self.blocks.pop_front() else { return };
        self.sent -= block.items;
        let items: Vec<Item<T>> = self.items.drain(..block.items).collect();
        for item in items {
            let Content::Pinned { offset, .. } = item.content else { continue };
            // A segment that was as long as the offset is longer now, which refuses an earlier
            // attempt too. Otherwise that may still find the segment as long as it wants.
            if item.number > self.earlier_number || self.tail_offset >= Some(offset) {
                self.in_doubt = self.acknowledged;
            }
            let detail = "the segment does not end at the offset given";
            let error = self.failure(ErrorKind::ConditionFailed, &item, detail);
            out.push(item.complete(Err(error)));
        }
    }

    /// The byte stream does not end at the offset of the bytes in flight, so neither these nor any
    /// after them can be stored at theirs.
    ///
    /// If all bytes before them are acknowledged, the stream was as long as the offset when they
    /// were first sent: another writer appended since, which refuses an earlier attempt too.
    /// Otherwise the stream may be shorter, and reach the offset before that attempt arrives.
    fn handle_lost_offset(&mut self) -> Reply {
        let first = self.items.front().map(|first| (first.number, first.content.event_count()));
        let is_next =
            first.is_none_or(|(number, events)| number.0 - events <= self.acknowledged.0.max(0));
        let trusts = self.bugs.has(SeededBug::TrustsRefusedBytes);
        if is_next || trusts || first.is_some_and(|(number, _)| number > self.earlier_number) {
            self.in_doubt = self.acknowledged;
        }
        let detail = if is_next {
            "another writer appended to the byte stream, so the offset of these bytes is taken"
        } else {
            "bytes before these were not stored in time, so the byte stream does not end at their \
             offset"
        };
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
                self.interrupt(State::ToSetUp);
                self.tail_offset = self.tail_offset.max(end);
                if let Some(item) = self.items.pop_front() {
                    self.unsent_bytes -= item.bytes;
                    self.acknowledged = item.number;
                    let appended = Appended::new(
                        &self.segment,
                        end.map(|end| before(end, item.bytes)),
                        item.bytes,
                        item.content.events().len(),
                    );
                    out.push(item.complete(Ok(appended)));
                }
                Reply::Progress
            }
            Step::Again(reason) => {
                // The set-up shows if an earlier attempt was stored.
                self.interrupt(State::ToSetUp);
                Reply::Again(reason.to_owned())
            }
            Step::Broken(reason) => Reply::Protocol(reason),
        }
    }
}
