//! Answers to the read machine's effects: locations, bytes, lengths and refusals.

use std::sync::Arc;

use pravega_sdk_types::{ErrorKind, Offset};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{SegmentRead, StreamSegmentInfo},
};

use super::{
    delivery::{ReadKind, StartOffset},
    segment_reader::{LengthProbe, LocateState, Question, Terminal},
    state::{Effect, ReadMachine, ReaderId},
    stretch::after,
    window::Window,
};
use crate::{
    error::ReadError,
    machine::{Location, LookupError, Misbehaviour, Now, Token},
    seeded_bugs::SeededBug,
};

impl ReadMachine {
    /// Handles the location of a segment, or the failure to find it.
    pub fn handle_located(&mut self, id: ReaderId, found: Result<Location, LookupError>, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        if !matches!(reader.state, LocateState::Locating) {
            return;
        }
        match found {
            Ok(location) => {
                reader.state = LocateState::At(location);
                self.inspect(id);
                self.update_queues(id);
            }
            Err(error) if error.kind.is_retryable() => self.failed(id, error, now),
            Err(error) => {
                let failure = ReadError::new(error.kind, "the segment's store cannot be found");
                self.give_up(id, failure.with_source(Some(error.cause)));
            }
        }
    }

    /// Takes a newer token for a segment, before the old one expires.
    pub fn handle_renewed(&mut self, id: ReaderId, token: Token) {
        if let Some(reader) = self.readers.get_mut(&id)
            && let LocateState::At(location) = &mut reader.state
        {
            location.token = token;
        }
    }

    /// Handles the answer to a read, or its failure.
    pub fn handle_read(
        &mut self,
        id: ReaderId,
        read: u64,
        answer: Result<WireCommand, LookupError>,
        now: Now,
    ) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let Some(asked) = reader.reads.remove(&read) else { return };
        self.settle(asked);
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let is_old = read < reader.first_valid_read;
        match answer {
            Ok(WireCommand::SegmentRead(reply)) if reply.offset == asked.offset.0 => {
                self.take_data(id, read, reply, now);
            }
            other => {
                reader.window.fail(read);
                match other {
                    // A tail without new bytes for long is probed: the store may have forgotten the
                    // read.
                    Err(error)
                        if asked.kind == ReadKind::Tail && error.kind == ErrorKind::Timeout =>
                    {
                        self.probe_again(id);
                    }
                    Err(error) if !is_old => self.lost(id, error, now),
                    Err(_) => {}
                    Ok(refusal) => self.refused(id, &refusal, is_old, now),
                }
            }
        }
        self.update_queues(id);
    }

    /// Handles the length of a segment, or the failure to find it.
    pub fn handle_inspected(
        &mut self,
        id: ReaderId,
        number: u64,
        answer: Result<WireCommand, LookupError>,
        now: Now,
    ) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let LengthProbe::InFlight(question) = reader.probe else { return };
        // The answer to a question that was given up since says nothing about a later one.
        if question.number != number && !self.settings.bugs.has(SeededBug::JudgesOldLengths) {
            return;
        }
        reader.probe = LengthProbe::Idle;
        match answer {
            Ok(WireCommand::StreamSegmentInfo(info)) => self.take_info(id, question, &info, now),
            other => {
                reader.probe = question.again();
                match other {
                    Ok(refusal) => self.refused(id, &refusal, false, now),
                    Err(error) => self.lost(id, error, now),
                }
            }
        }
        self.update_queues(id);
    }

    pub(super) fn take_data(&mut self, id: ReaderId, read: u64, reply: SegmentRead, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let (is_empty, is_old) = (reply.data.is_empty(), read < reader.first_valid_read);
        let end = after(Offset(reply.offset), reply.data.len() as u64);
        let useful = reader.window.arrive(read, reply.data);
        self.held += useful;
        let reached = if is_empty { Ok(()) } else { reader.reach(end) };
        let ended = if reply.end_of_segment { reader.set_end(end) } else { Ok(()) };
        let is_end = reply.end_of_segment && ended.is_ok();
        let known_len = reader.known_len;
        if useful > 0 || is_end {
            (reader.attempts, reader.protocol_errors, reader.failing_since) = (0, 0, None);
            let is_behind =
                !reply.at_tail && !reply.end_of_segment && reader.window.frontier() >= known_len;
            if is_behind && reader.probe == LengthProbe::Idle {
                // There is more, so the length is asked for.
                reader.probe = LengthProbe::Wanted;
                self.inspect(id);
            }
        }
        if reached.and(ended).is_err() {
            // What it has sent is taken, and the rest is asked for again.
            self.ends_early(id, is_old, now);
        } else if is_empty && !is_end {
            self.nothing_came(id, Offset(reply.offset) < known_len, now);
        }
    }

    /// A read was answered without a byte, of which the segment has some or not.
    fn nothing_came(&mut self, id: ReaderId, is_known: bool, now: Now) {
        if is_known {
            return self.misbehaves(id, "it has none of the bytes that it claims", now);
        }
        // A segment without appends for a while, or a deleted one.
        let Some(reader) = self.readers.get_mut(&id) else { return };
        reader.probe = LengthProbe::Needed;
        reader.attempts = reader.attempts.saturating_add(1);
        self.wait(id, now);
    }

    /// A store contradicts what is known of a segment. That fails the attempt, and another store
    /// may have the segment: without an end to it, no reader would be told.
    fn misbehaves(&mut self, id: ReaderId, how: &str, now: Now) {
        let cause = Misbehaviour(how.to_owned()).into();
        self.lost(id, LookupError { kind: ErrorKind::Unavailable, cause }, now);
    }

    fn ends_early(&mut self, id: ReaderId, is_old: bool, now: Now) {
        if !is_old {
            self.misbehaves(id, "it ends the segment before bytes that the segment has", now);
        }
    }

    /// Replies to different requests come in any order, so the length is compared with what was
    /// known when it was asked for.
    fn take_info(&mut self, id: ReaderId, asked: Question, info: &StreamSegmentInfo, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let length = Offset(info.write_offset);
        match reader.start.take() {
            None => {}
            Some(StartOffset::Known(offset)) => reader.window = Window::new(offset),
            Some(StartOffset::Tail) => {
                let end = reader.limit.map_or(length, |limit| limit.min(length));
                reader.window = Window::new(end);
            }
            Some(StartOffset::Claimed(offset)) => {
                reader.window = Window::new(offset);
                if offset > length {
                    reader.terminal = Some(Terminal::Short(length));
                    return;
                }
            }
        }
        if length < asked.known_len {
            reader.terminal = Some(Terminal::Short(length));
            return;
        }
        let mut ended = reader.reach(length);
        reader.head = reader.head.max(Offset(info.start_offset));
        if info.is_sealed {
            ended = reader.set_end(length);
            if self.settings.bugs.has(SeededBug::EndsEarly) && reader.window.next() < length {
                reader.limit = Some(reader.window.next());
            }
        }
        if ended.is_err() {
            return self.ends_early(id, false, now);
        }
        let expected = if self.settings.bugs.has(SeededBug::JudgesOldLengths) {
            reader.expected
        } else {
            asked.expected
        };
        if expected > reader.known_len {
            reader.terminal = Some(Terminal::Short(reader.known_len));
        } else if reader.expected > reader.known_len {
            reader.probe = LengthProbe::Wanted;
            self.inspect(id);
        } else if reader.lacks_end() {
            self.misbehaves(id, "it has the segment open, which others follow", now);
        }
    }

    /// Handles a reply that is not success.
    pub(super) fn refused(&mut self, id: ReaderId, refusal: &WireCommand, is_old: bool, now: Now) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        match refusal {
            WireCommand::SegmentIsSealed(sealed) => {
                if reader.set_end(Offset(sealed.offset)).is_err() {
                    self.ends_early(id, is_old, now);
                }
            }
            WireCommand::SegmentIsTruncated(truncated) => {
                let head = Offset(truncated.start_offset);
                reader.head = reader.head.max(head);
                let reached = reader.reach(head);
                // The head must be after the offset of the read, or reading would never advance.
                if reached.is_err() {
                    self.ends_early(id, is_old, now);
                } else if truncated.start_offset <= truncated.offset {
                    self.protocol_error(
                        id,
                        "it reports a truncation before the offset of the read",
                        now,
                    );
                }
            }
            WireCommand::NoSuchSegment(_) => reader.terminal = Some(Terminal::Missing),
            _ if is_old => {}
            WireCommand::WrongHost(_) => {
                if let LocateState::At(location) = &reader.state {
                    let endpoint = location.endpoint.clone();
                    self.effects.push_back(Effect::Forget(Arc::clone(&reader.segment), endpoint));
                }
                let cause = Misbehaviour("another segment store has the segment".to_owned()).into();
                self.move_on(id, LookupError { kind: ErrorKind::WrongHost, cause }, now);
            }
            WireCommand::AuthTokenCheckFailed(failed)
                if failed.error_code == TokenFailure::Expired =>
            {
                if let LocateState::At(location) = &reader.state {
                    let token = location.token.clone();
                    self.effects
                        .push_back(Effect::TokenExpired(Arc::clone(&reader.segment), token));
                }
                let cause = Misbehaviour("the delegation token expired".to_owned()).into();
                self.move_on(id, LookupError { kind: ErrorKind::TokenExpired, cause }, now);
            }
            WireCommand::AuthTokenCheckFailed(_) => {
                let detail = "the segment store refused the delegation token";
                self.give_up(id, ReadError::new(ErrorKind::PermissionDenied, detail));
            }
            WireCommand::OperationUnsupported(_) => {
                self.give_up(
                    id,
                    ReadError::new(ErrorKind::Unsupported, "the segment store cannot read"),
                );
            }
            WireCommand::ErrorMessage(message)
                if message.error_code == FailureCode::IllegalArgument =>
            {
                let detail = format_args!("the segment store says: {}", message.message);
                self.give_up(id, ReadError::new(ErrorKind::InvalidArgument, detail));
            }
            WireCommand::ErrorMessage(message) => {
                let cause =
                    Misbehaviour(format!("the segment store says: {}", message.message)).into();
                let kind = match message.error_code {
                    FailureCode::Damaged => ErrorKind::Corrupt,
                    _ => ErrorKind::ServerFailure,
                };
                self.failed(id, LookupError { kind, cause }, now);
            }
            other => {
                self.protocol_error(id, &format!("it answered {} to a read", other.name()), now);
            }
        }
    }
}
