//! The connections to the stores: commands arrive, wait at gates, and are handled; replies leave.
//!
//! A command that a gate holds is like one that lies in the store's queue: it takes effect when the
//! gate opens, also if its connection has ended by then. Other commands of the connection pass it,
//! except appends of the same writer, which keep their order.

use std::{collections::VecDeque, time::Duration};

use pravega_sdk_server_core::{
    ids::{ConnectionId, StoreIndex},
    record::Millis,
};
use pravega_sdk_types::{EventNumber, WriterId};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{NoSuchSegment, SegmentIsSealed, SegmentRead},
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    cluster::Cluster,
    connection::{Connection, Waiting},
    fullness,
    gates::{Departure, Effect, GateId, is_append},
    messages,
    outbox::{Due, Outbox},
};

/// A connection has ended: the server closed it.
pub(crate) struct Ended;

impl Cluster {
    /// Opens a connection to a store.
    pub(crate) fn connect(
        &mut self,
        store: StoreIndex,
        replies: mpsc::UnboundedSender<Due>,
    ) -> ConnectionId {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let connection = Connection::new(id, store, Outbox::new(replies));
        self.connections.insert(id, connection);
        id
    }

    /// Ends a connection. Its held commands stay; its reads no longer wait.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.outbox = None;
        for session in &mut connection.sessions {
            session.end(&mut self.machine.store);
        }
        if connection.held.is_empty() {
            self.connections.remove(&id);
        }
    }

    /// Takes a command of a connection.
    pub(crate) fn arrive(&mut self, id: ConnectionId, command: WireCommand) -> Result<(), Ended> {
        let connection = self.connections.get_mut(&id).ok_or(Ended)?;
        if connection.outbox.is_none() {
            return Err(Ended);
        }
        let waiting = connection.receive(id, command);
        self.admit(id, waiting)
    }

    /// Handles a command unless a gate takes it.
    fn admit(&mut self, id: ConnectionId, mut waiting: Waiting) -> Result<(), Ended> {
        let connection = self.connections.get_mut(&id).ok_or(Ended)?;
        let before = connection.held.iter().find(|earlier| waiting.follows(earlier));
        if let Some(gate) = before.and_then(|earlier| earlier.gate) {
            self.gates.took(gate);
            waiting.gate = Some(gate);
            connection.held.push_back(waiting);
            return Ok(());
        }
        if connection.has_lost_before(&waiting) {
            self.count("command lost");
            return Ok(());
        }
        match self.gates.arrives(&waiting.arrival(id, connection.store)) {
            None => self.handle(id, waiting),
            Some((gate, Effect::Hold)) => {
                waiting.gate = Some(gate);
                connection.held.push_back(waiting);
                self.count("command held");
                Ok(())
            }
            Some((_, Effect::Lose)) => {
                connection.lose(&waiting);
                self.count("command lost");
                Ok(())
            }
            Some((_, Effect::Close)) => {
                self.count("command answered by closing");
                self.close(id);
                Err(Ended)
            }
        }
    }

    /// Handles a command.
    fn handle(&mut self, id: ConnectionId, waiting: Waiting) -> Result<(), Ended> {
        let Waiting { mut command, session, segment, writer, .. } = waiting;
        if let (WireCommand::ReadSegment(read), Some(most)) = (&mut command, self.faults.max_reply)
        {
            let most = i32::try_from(most).unwrap_or(i32::MAX);
            read.suggested_length = read.suggested_length.min(most);
        }
        let is_append = is_append(&command);
        let is_set_up = matches!(command, WireCommand::SetupAppend(_));
        // The protocol orders the replies to appends only.
        let writer = writer.filter(|_| is_append || is_set_up);
        let token_expires = self.token_expiry(&command);
        let store = self.connections.get(&id).ok_or(Ended)?.store;
        let at = self.moment_at(store);
        let connection = self.connections.get_mut(&id).ok_or(Ended)?;
        let session = connection.sessions.get_mut(session).ok_or(Ended)?;
        let mut made = Vec::new();
        let is_plain = matches!(command, WireCommand::AppendBlockEnd(_));
        let handled = fullness::limited(&mut self.machine, self.faults.memory_limit, |machine| {
            session.handle(command, &mut machine.context(at, &mut made))
        });
        if made.iter().any(|reply| matches!(reply.command, WireCommand::AppendSetup(_))) {
            connection.token_expires =
                [connection.token_expires, token_expires].into_iter().flatten().min();
        }
        let refusal = made.last().and_then(|last| fullness::refusal(&last.command, is_plain));
        if let Some(refusal) = refusal {
            self.count(refusal);
        }
        if handled.is_err() && made.is_empty() {
            if is_append {
                self.count("append violation");
            } else if is_set_up {
                self.count("set-up refused by closing");
            }
        }
        for reply in made {
            self.depart(id, segment.as_deref(), writer, reply.command);
        }
        self.settle();
        handled.map_err(|_| {
            self.close(id);
            Ended
        })
    }

    /// Sends the replies to the reads that waited.
    pub(crate) fn wake(&mut self) {
        drop(self.machine.store.take_discarded());
        for woken in self.machine.store.take_woken() {
            let segment = match &woken.reply {
                WireCommand::SegmentRead(SegmentRead { segment, .. })
                | WireCommand::SegmentIsSealed(SegmentIsSealed { segment, .. })
                | WireCommand::NoSuchSegment(NoSuchSegment { segment, .. }) => {
                    Some(segment.clone())
                }
                _ => None,
            };
            self.depart(woken.connection, segment.as_deref(), None, woken.reply);
        }
    }

    /// Sends what the faults of the stores make of a reply.
    fn depart(
        &mut self,
        id: ConnectionId,
        segment: Option<&str>,
        writer: Option<WriterId>,
        reply: WireCommand,
    ) {
        if let WireCommand::AppendSetup(set_up) = &reply
            && set_up.last_event_number != EventNumber::NONE.0
        {
            self.count("set-up of a known writer");
        }
        for reply in self.faults.change(reply) {
            self.count(reply.name());
            let at = self.time_of_leaving(&reply);
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let Some(outbox) = &mut connection.outbox else { return };
            if let Some(gate) = outbox.gate_before(writer, &reply) {
                self.gates.took(gate);
                outbox.hold(gate, writer, reply);
                continue;
            }
            if outbox.has_lost_before(writer, &reply) {
                self.count("reply lost");
                continue;
            }
            let (connection, store) = (id.0, connection.store.0);
            let departure = Departure { connection, store, segment, writer, reply: &reply };
            match self.gates.departs(&departure) {
                None => outbox.send(at, writer, reply),
                Some((gate, Effect::Hold)) => {
                    outbox.hold(gate, writer, reply);
                    self.count("reply held");
                }
                Some((_, Effect::Lose)) => {
                    outbox.lose(writer, &reply);
                    self.count("reply lost");
                }
                Some((_, Effect::Close)) => {
                    self.count("connection closed in place of a reply");
                    self.close(id);
                }
            }
        }
    }

    fn time_of_leaving(&mut self, reply: &WireCommand) -> Instant {
        let mut at = Instant::now();
        if matches!(reply, WireCommand::DataAppended(_)) {
            at += self.faults.ack_delay;
        }
        let most = self.faults.reply_delay;
        let is_at_once = matches!(reply, WireCommand::Hello(_) | WireCommand::KeepAlive(_));
        if !most.is_zero() && !is_at_once {
            at += most.mul_f64(self.random.f64());
        }
        at
    }

    /// Closes a connection, after the replies on their way.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.outbox = None;
        }
    }

    /// Opens a gate: what it held takes effect, in the order of the connections.
    pub(crate) fn open(&mut self, gate: GateId) {
        self.gates.remove(gate);
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let (released, kept) = std::mem::take(&mut connection.held)
                .into_iter()
                .partition(|waiting| waiting.gate == Some(gate));
            connection.held = kept;
            if let Some(outbox) = &mut connection.outbox {
                outbox.release(gate);
            }
            let released: VecDeque<Waiting> = released;
            for waiting in released {
                // The end of the connection does not keep back what other writers sent.
                self.admit(id, waiting).ok();
            }
            let connection = self.connections.get(&id);
            if connection.is_some_and(|connection| connection.outbox.is_none()) {
                self.disconnect(id);
            }
        }
    }

    // Tokens.

    /// The time at which the token of a set-up expires.
    fn token_expiry(&self, command: &WireCommand) -> Option<Millis> {
        let WireCommand::SetupAppend(set_up) = command else { return None };
        self.machine.access.as_ref()?;
        messages::token_expiry(&set_up.delegation_token)
    }

    /// The time at which the store closes a connection because the token of a set-up expires;
    /// `None` if it is closed already.
    pub(crate) fn expiry(&self, id: ConnectionId) -> Option<Instant> {
        let connection = self.connections.get(&id).filter(|found| found.outbox.is_some())?;
        let left = connection.token_expires?.since(self.now_at(connection.store));
        Some(Instant::now() + millis(left))
    }

    /// Closes the connections on which the token of a set-up has expired.
    pub(crate) fn close_expired(&mut self) {
        let is_expired = |cluster: &Self, connection: &Connection| {
            let now = cluster.now_at(connection.store);
            connection.token_expires.is_some_and(|at| at <= now)
        };
        let expired: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.outbox.is_some() && is_expired(self, connection))
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.count("connection closed as its token expired");
            self.close(id);
        }
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
