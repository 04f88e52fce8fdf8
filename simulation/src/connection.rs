//! The server's end of a connection: its sessions, and the commands that gates hold back.

use std::collections::{HashMap, HashSet, VecDeque};

use bytestring::ByteString;
use pravega_sdk_server_core::{
    ids::{ConnectionId, StoreIndex},
    record::Millis,
    store::{Session, segment_of},
};
use pravega_sdk_types::WriterId;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{
        AppendBlock, AppendBlockEnd, ConditionalAppend, ConditionalBlockEnd, MergeSegments,
        SetupAppend,
    },
};

use crate::{
    gates::{Arrival, GateId, is_append},
    outbox::Outbox,
};

/// The server's end of a connection.
pub(crate) struct Connection {
    pub(crate) store: StoreIndex,
    /// The session of the connection, and one for each set-up that came while appends of its writer
    /// were held: those belong to the set-up before it.
    pub(crate) sessions: Vec<Session>,
    /// The session of a writer, if it is not the first.
    session_of: HashMap<WriterId, usize>,
    /// The segment of each writer that was set up.
    segments: HashMap<WriterId, ByteString>,
    pub(crate) held: VecDeque<Waiting>,
    /// The writers of which an append was lost since their last set-up.
    lost: HashSet<WriterId>,
    /// `None` after the end of the connection.
    pub(crate) outbox: Option<Outbox>,
    /// The time at which the first token of a set-up expires.
    pub(crate) token_expires: Option<Millis>,
}

/// A command that arrived, with what the connection knew then.
pub(crate) struct Waiting {
    pub(crate) command: WireCommand,
    pub(crate) session: usize,
    pub(crate) segment: Option<ByteString>,
    /// The writer of a set-up or an append, and the one whose number a merge raises.
    pub(crate) writer: Option<WriterId>,
    /// The gate that holds it.
    pub(crate) gate: Option<GateId>,
}

impl Waiting {
    /// The command as gates see it.
    pub(crate) fn arrival(&self, id: ConnectionId, store: StoreIndex) -> Arrival<'_> {
        Arrival {
            connection: id.0,
            store: store.0,
            segment: self.segment.as_deref(),
            writer: self.writer,
            command: &self.command,
        }
    }

    /// Returns true if the command must not pass an earlier one.
    pub(crate) fn follows(&self, earlier: &Self) -> bool {
        is_append(&self.command) && self.writer == earlier.writer && earlier.is_of_writer()
    }

    fn is_of_writer(&self) -> bool {
        is_append(&self.command) || matches!(self.command, WireCommand::SetupAppend(_))
    }
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, store: StoreIndex, outbox: Outbox) -> Self {
        Self {
            store,
            sessions: vec![Session::new(id, store)],
            session_of: HashMap::new(),
            segments: HashMap::new(),
            held: VecDeque::new(),
            lost: HashSet::new(),
            outbox: Some(outbox),
            token_expires: None,
        }
    }

    /// Takes notes of a command that arrived.
    pub(crate) fn receive(&mut self, id: ConnectionId, command: WireCommand) -> Waiting {
        let writer = writer_of(&command);
        if let (WireCommand::SetupAppend(set_up), Some(writer)) = (&command, writer) {
            self.segments.insert(writer, set_up.segment.clone());
            self.lost.remove(&writer);
            let holds_appends = self
                .held
                .iter()
                .any(|held| held.writer == Some(writer) && is_append(&held.command));
            if holds_appends {
                self.session_of.insert(writer, self.sessions.len());
                self.sessions.push(Session::new(id, self.store));
            }
        }
        let of_append = writer.filter(|_| is_append(&command));
        let segment = match (&command, of_append) {
            (_, Some(writer)) => self.segments.get(&writer).cloned(),
            (WireCommand::MergeSegments(merge), _) => Some(merge.target.clone()),
            _ => segment_of(&command).cloned(),
        };
        let session =
            writer.and_then(|writer| self.session_of.get(&writer)).copied().unwrap_or_default();
        Waiting { command, session, segment, writer, gate: None }
    }

    /// Loses a command. A store takes no append after one that it lost, until the next set-up of
    /// the writer.
    pub(crate) fn lose(&mut self, waiting: &Waiting) {
        if is_append(&waiting.command) {
            self.lost.extend(waiting.writer);
        }
    }

    /// Returns true if a command follows an append that was lost.
    pub(crate) fn has_lost_before(&self, waiting: &Waiting) -> bool {
        is_append(&waiting.command)
            && waiting.writer.is_some_and(|writer| self.lost.contains(&writer))
    }
}

fn writer_of(command: &WireCommand) -> Option<WriterId> {
    let id = match command {
        WireCommand::SetupAppend(SetupAppend { writer_id, .. })
        | WireCommand::AppendBlock(AppendBlock { writer_id, .. })
        | WireCommand::AppendBlockEnd(AppendBlockEnd { writer_id, .. })
        | WireCommand::ConditionalAppend(ConditionalAppend { writer_id, .. })
        | WireCommand::ConditionalBlockEnd(ConditionalBlockEnd { writer_id, .. }) => writer_id,
        WireCommand::MergeSegments(MergeSegments { attribute_updates, .. }) => {
            &attribute_updates.first()?.attribute_id
        }
        _ => return None,
    };
    Some(WriterId(*id))
}
