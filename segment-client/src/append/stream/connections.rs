//! The connections of a writer: established, lost, and filled with commands.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Buf as _;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, SegmentId};
use pravega_sdk_wire_protocol::SendBuffer;

use super::{
    connection::{Connection, ConnectionId, ConnectionState},
    machine::{Effect, WriterMachine},
    segment_writer::State,
};
use crate::{
    error::WriteError,
    machine::{LookupError, Now},
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
        // theirs.
        let failures = segments
            .iter()
            .filter_map(|segment| self.writers.get(segment))
            .map(|writer| writer.attempts + 1)
            .max();
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
            let Some(writer) = self.writers.get_mut(&segment) else { continue };
            writer.appends.detach();
            (writer.is_queued, writer.is_waiting) = (false, false);
            if writer.appends.is_empty() {
                writer.state = State::Idle;
            } else {
                writer.failed(Arc::clone(&error.cause));
                if was_open && attempts == 1 {
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
        let mut set_up_by = None;
        while out.remaining() < SEND_HIGH_WATER
            && let Some(segment) = connection.ready.pop_front()
        {
            let Some(writer) = self.writers.get_mut(&segment) else { continue };
            writer.appends.transmit(out);
            if writer.appends.is_waiting() && !writer.is_waiting {
                writer.is_waiting = true;
                connection.waiting += 1;
            }
            if writer.appends.is_setting_up() {
                writer.set_up_at = now;
                set_up_by = Some(now + self.settings.request_timeout);
            }
            if writer.appends.wants_to_send() {
                connection.ready.push_back(segment);
            } else {
                writer.is_queued = false;
            }
        }
        if let Some(at) = set_up_by {
            self.arm(at);
        }
    }

    /// Updates the outstanding replies of a connection, and queues the segment.
    pub(super) fn answered(&mut self, segment: SegmentId, id: ConnectionId) {
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

    /// Returns the connection to an endpoint, or a new one.
    pub(super) fn connection_to(&mut self, endpoint: Endpoint, now: Now) -> ConnectionId {
        if let Some((id, connection)) =
            self.connections.iter().find(|(_, connection)| connection.endpoint == endpoint)
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
        self.connections.insert(id, Connection::new(endpoint));
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

    /// Takes a segment off its connection, which stays. Returns the connection's endpoint.
    pub(super) fn leave(&mut self, segment: SegmentId) -> Option<Endpoint> {
        let writer = self.writers.get_mut(&segment)?;
        writer.appends.detach();
        writer.is_queued = false;
        let State::At(id) = std::mem::replace(&mut writer.state, State::Idle) else { return None };
        let connection = self.connections.get_mut(&id)?;
        connection.waiting -= usize::from(std::mem::take(&mut writer.is_waiting));
        connection.segments.remove(&segment);
        connection.ready.retain(|ready| *ready != segment);
        Some(connection.endpoint.clone())
    }
}
