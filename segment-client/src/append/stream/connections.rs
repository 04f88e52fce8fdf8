//! The connections of a writer: established, lost, and filled with commands.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Buf as _;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, SegmentId};
use pravega_sdk_wire_protocol::SendBuffer;

use super::{
    connection::{Connection, ConnectionId, ConnectionState, Group},
    machine::{Effect, SUSPICION_INTERVAL, WriterMachine},
    segment_writer::State,
};
use crate::{
    error::WriteError,
    machine::{LookupError, Now, Token},
    seeded_bugs::SeededBug,
};

/// Commands are put into a connection's buffer only below this length; waiting events grow into
/// larger blocks.
const SEND_HIGH_WATER: usize = 1 << 20;

impl<T, W> WriterMachine<T, W> {
    /// A connection was established.
    pub(crate) fn handle_connected(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            self.effects.push_back(Effect::Close(id));
            return;
        };
        match connection.state {
            ConnectionState::Connecting => {}
            ConnectionState::Open => return,
            // Nothing waits for it before the back-off ends.
            ConnectionState::Waiting(_) => {
                self.effects.push_back(Effect::Close(id));
                return;
            }
        }
        connection.state = ConnectionState::Open;
        for segment in connection.segments.clone() {
            self.queue(segment);
        }
    }

    /// A connection failed to establish, or ended.
    pub(crate) fn handle_lost(&mut self, id: ConnectionId, error: LookupError, now: Now) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let was_open = connection.state == ConnectionState::Open;
        // A connection without a reply counts as one that was not established.
        connection.attempts = connection.attempts.saturating_add(1);
        connection.ready.clear();
        connection.waiting = 0;
        let (attempts, endpoint) = (connection.attempts, connection.endpoint.clone());
        let segments = std::mem::take(&mut connection.segments);
        // An unused connection is forgotten, with its attempts; segments that wait for it keep
        // theirs. The one that fared best counts: the connection served it.
        let failures = segments
            .iter()
            .filter_map(|segment| self.writers.get(segment))
            .map(|writer| writer.attempts + 1)
            .min();
        let until = now + self.backoff(attempts.max(failures.unwrap_or(0)));
        tracing::debug!(
            stream = %self.stream,
            %endpoint,
            error = %error.cause,
            ?until,
            "connection of the writer ended"
        );
        let mut kept = BTreeSet::new();
        for segment in segments {
            let is_suspect = self.suspect_token(segment, now);
            let Some(writer) = self.writers.get_mut(&segment) else { continue };
            writer.appends.detach();
            (writer.is_queued, writer.is_waiting) = (false, false);
            if writer.appends.is_empty() {
                writer.state = State::Idle;
            } else {
                writer.failed(Arc::clone(&error.cause));
                if was_open && attempts == 1 && !is_suspect {
                    // The store served until now: it is tried once more before the controller is
                    // asked.
                    kept.insert(segment);
                    continue;
                }
                writer.state = State::Waiting(until);
            }
            self.effects.push_back(Effect::Forget(segment, endpoint.clone()));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.segments = kept;
            connection.state = ConnectionState::Waiting(until);
        }
        if !error.kind.is_retryable() {
            self.give_up_on(&endpoint, &error);
        }
        self.arm(until);
    }

    /// Forgets the token of a segment whose set-up was answered by the end of its connection: a
    /// store closes the connection if the token of a set-up has expired. Returns true if the token
    /// was forgotten.
    fn suspect_token(&mut self, segment: SegmentId, now: Now) -> bool {
        let Some(writer) = self.writers.get(&segment) else { return false };
        let token = writer.appends.token();
        let was_suspected = self.suspected.as_ref().is_some_and(|(suspected, since)| {
            suspected == token && now < *since + SUSPICION_INTERVAL
        });
        let is_suspect = writer.appends.is_presenting_token()
            && *token != Token::default()
            && !was_suspected
            && !self.bugs.has(SeededBug::TrustsTokens);
        if is_suspect {
            self.suspected = Some((token.clone(), now));
            self.effects.push_back(Effect::TokenExpired(token.clone()));
        }
        is_suspect
    }

    /// Fails the segments that wait for a store that cannot be used (wrong protocol or
    /// certificate).
    pub(super) fn give_up_on(&mut self, endpoint: &Endpoint, error: &LookupError) {
        if error.kind == ErrorKind::Protocol {
            return;
        }
        let failure =
            WriteError::new(error.kind, Outcome::NotApplied, "the segment store cannot be used");
        let failure = failure.with_stream(&self.stream).with_source(Some(Arc::clone(&error.cause)));
        for (segment, writer) in &mut self.writers {
            let is_same =
                writer.last_error.as_ref().is_some_and(|last| Arc::ptr_eq(last, &error.cause));
            if is_same {
                let failure =
                    failure.clone().with_segment(*segment, Some(endpoint.clone()), writer.attempts);
                writer.appends.fail_all(&failure, &mut self.completions);
            }
        }
    }

    /// Puts the commands for a connection into `out`, segment after segment, up to the high-water
    /// mark.
    pub(crate) fn transmit(&mut self, id: ConnectionId, out: &mut SendBuffer, now: Now) {
        let Some(connection) = self
            .connections
            .get_mut(&id)
            .filter(|connection| connection.state == ConnectionState::Open)
        else {
            return;
        };
        let mut silent_from = None;
        while out.remaining() < SEND_HIGH_WATER
            && let Some(segment) = connection.ready.pop_front()
        {
            let Some(writer) = self.writers.get_mut(&segment) else { continue };
            writer.appends.transmit(out);
            if writer.appends.is_waiting() && !writer.is_waiting {
                writer.is_waiting = true;
                writer.silent_since = now;
                connection.waiting += 1;
                let patience = self.settings.patience(writer.appends.is_setting_up());
                let until = now + patience;
                silent_from = Some(silent_from.map_or(until, |from: Now| from.min(until)));
            }
            if writer.appends.wants_to_send() {
                connection.ready.push_back(segment);
            } else {
                writer.is_queued = false;
            }
        }
        if let Some(at) = silent_from {
            self.arm(at);
        }
    }

    /// Notes a reply to a segment.
    pub(super) fn answered(&mut self, segment: SegmentId, id: ConnectionId, now: Now) {
        if let Some(writer) = self.writers.get_mut(&segment) {
            writer.silent_since = now;
        }
        self.refresh(segment, id);
    }

    /// Updates the outstanding replies of a connection, and queues the segment.
    pub(super) fn refresh(&mut self, segment: SegmentId, id: ConnectionId) {
        if let (Some(writer), Some(connection)) =
            (self.writers.get_mut(&segment), self.connections.get_mut(&id))
            && writer.is_waiting
            && !writer.appends.is_waiting()
        {
            writer.is_waiting = false;
            connection.waiting = connection.waiting.saturating_sub(1);
        }
        self.queue(segment);
    }

    /// Queues a segment with something to send on its connection.
    pub(super) fn queue(&mut self, segment: SegmentId) {
        let Some(writer) = self.writers.get_mut(&segment) else { return };
        let State::At(id) = writer.state else { return };
        if writer.is_queued || !writer.appends.wants_to_send() {
            return;
        }
        if let Some(connection) = self
            .connections
            .get_mut(&id)
            .filter(|connection| connection.state == ConnectionState::Open)
        {
            writer.is_queued = true;
            connection.ready.push_back(segment);
        }
    }

    /// Returns the connection of a group to an endpoint, or a new one.
    pub(super) fn connection_to(
        &mut self,
        endpoint: Endpoint,
        group: Group,
        now: Now,
    ) -> ConnectionId {
        let is_it =
            |connection: &Connection| connection.endpoint == endpoint && connection.group == group;
        if let Some((id, connection)) =
            self.connections.iter().find(|(_, connection)| is_it(connection))
        {
            let id = *id;
            match connection.state {
                ConnectionState::Waiting(until) if until <= now => self.connect(id),
                ConnectionState::Waiting(until) => self.arm(until),
                ConnectionState::Connecting | ConnectionState::Open => {}
            }
            return id;
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(id, Connection::new(endpoint, group));
        self.connect(id);
        id
    }

    pub(super) fn connect(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.state = ConnectionState::Connecting;
        self.effects.push_back(Effect::Connect(id, connection.endpoint.clone()));
        for segment in connection.segments.clone() {
            if let Some(writer) = self.writers.get_mut(&segment) {
                let token = writer.appends.token().clone();
                writer.appends.attach(token);
            }
        }
    }

    /// Takes a segment off its connection. That stays, unless it was the last one in trouble there.
    /// Returns the connection's endpoint.
    pub(super) fn leave(&mut self, segment: SegmentId) -> Option<Endpoint> {
        let writer = self.writers.get_mut(&segment)?;
        writer.appends.detach();
        writer.is_queued = false;
        let State::At(id) = std::mem::replace(&mut writer.state, State::Idle) else { return None };
        let connection = self.connections.get_mut(&id)?;
        connection.waiting -= usize::from(std::mem::take(&mut writer.is_waiting));
        connection.segments.remove(&segment);
        connection.ready.retain(|ready| *ready != segment);
        let endpoint = connection.endpoint.clone();
        if connection.group == Group::Troubled && connection.segments.is_empty() {
            self.connections.remove(&id);
            self.effects.push_back(Effect::Close(id));
        }
        Some(endpoint)
    }

    /// Returns a segment whose trouble is over to the connection of the others, once nothing is in
    /// flight.
    pub(super) fn recover(&mut self, segment: SegmentId) {
        let Some(writer) = self.writers.get(&segment) else { return };
        if writer.appends.is_waiting() {
            return;
        }
        let is_done = writer.appends.is_empty();
        self.leave(segment);
        if !is_done {
            self.locate(segment);
        }
    }

    /// Gives a segment up that its store does not serve as it should, and sets it up again on a
    /// connection apart: others on this one go on.
    pub(super) fn set_apart(
        &mut self,
        segment: SegmentId,
        id: ConnectionId,
        error: LookupError,
        now: Now,
    ) {
        if self.bugs.has(SeededBug::ClosesForOneSegment) {
            self.effects.push_back(Effect::Close(id));
            return self.handle_lost(id, error, now);
        }
        tracing::debug!(
            stream = %self.stream,
            %segment,
            error = %error.cause,
            "segment is set up again on a connection apart"
        );
        let endpoint = self.leave(segment);
        if let Some(writer) = self.writers.get_mut(&segment) {
            writer.group = Group::Troubled;
        }
        self.move_on(segment, endpoint, error.cause, now);
    }
}
