//! Rules of a test for what passes a store: commands that arrive and replies that leave are held
//! back or lost.
//!
//! ```text
//! connection ──> Arrival ──> held until its gate opens ──> Session
//!                   └──────> lost
//! connection <── Departure <── held until its gate opens <── Session
//!                   └──────> lost
//! ```

use std::collections::BTreeMap;

use pravega_sdk_types::{ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::sync::watch;

/// A command that arrives at a store.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The number of the connection, counted over all stores.
    pub connection: u64,
    /// The store.
    pub store: usize,
    /// The segment that the command is about; for a merge its target.
    pub segment: Option<&'a str>,
    /// The writer of a set-up or an append, and the one whose number a merge raises.
    pub writer: Option<WriterId>,
    /// The command.
    pub command: &'a WireCommand,
}

/// A reply that leaves a store.
#[derive(Debug, Clone, Copy)]
pub struct Departure<'a> {
    /// The number of the connection, counted over all stores.
    pub connection: u64,
    /// The store.
    pub store: usize,
    /// The segment that the reply is about; for a merge its target.
    pub segment: Option<&'a str>,
    /// The writer of the command that is answered.
    pub writer: Option<WriterId>,
    /// The reply.
    pub reply: &'a WireCommand,
}

impl Arrival<'_> {
    /// Returns true if the command is, or is a part of, an append.
    #[must_use]
    pub fn is_append(&self) -> bool {
        is_append(self.command)
    }

    /// Returns true if the command adds bytes to a segment: an append or a merge.
    #[must_use]
    pub fn adds_bytes(&self) -> bool {
        self.is_append() || matches!(self.command, WireCommand::MergeSegments(_))
    }

    /// Returns true if the command is a read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self.command, WireCommand::ReadSegment(_))
    }

    /// Returns true if the command is about a segment.
    #[must_use]
    pub fn is_about(&self, segment: &ScopedSegment) -> bool {
        self.segment.is_some_and(|name| name == segment.to_string())
    }
}

impl Departure<'_> {
    /// Returns true if the reply is about a segment.
    #[must_use]
    pub fn is_about(&self, segment: &ScopedSegment) -> bool {
        self.segment.is_some_and(|name| name == segment.to_string())
    }
}

pub(crate) fn is_append(command: &WireCommand) -> bool {
    matches!(
        command,
        WireCommand::AppendBlock(_)
            | WireCommand::AppendBlockEnd(_)
            | WireCommand::ConditionalAppend(_)
            | WireCommand::ConditionalBlockEnd(_)
            | WireCommand::Padding(_)
            | WireCommand::PartialEvent(_)
    )
}

/// Identifies a gate of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GateId(u64);

/// The commands or the replies that a gate is for.
pub(crate) enum Matches {
    Commands(Box<dyn FnMut(&Arrival<'_>) -> bool + Send>),
    Replies(Box<dyn FnMut(&Departure<'_>) -> bool + Send>),
}

/// What a gate does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is kept until the gate opens.
    Hold,
    /// It is dropped.
    Lose,
    /// It is dropped, and its connection closed.
    Close,
}

/// The gates of a cluster. The first one that matches decides.
#[derive(Default)]
pub(crate) struct Gates {
    gates: BTreeMap<GateId, Gate>,
    next: u64,
}

struct Gate {
    matches: Matches,
    effect: Effect,
    /// The number of commands or replies that it took.
    taken: watch::Sender<u64>,
}

impl Gates {
    /// Adds a gate; returns its id, and how much it took so far.
    pub(crate) fn add(
        &mut self,
        matches: Matches,
        effect: Effect,
    ) -> (GateId, watch::Receiver<u64>) {
        let id = GateId(self.next);
        self.next += 1;
        let (taken, receiver) = watch::channel(0);
        self.gates.insert(id, Gate { matches, effect, taken });
        (id, receiver)
    }

    /// Removes a gate; what it holds is kept elsewhere.
    pub(crate) fn remove(&mut self, id: GateId) {
        self.gates.remove(&id);
    }

    /// Returns the gate for a command, and its effect; `None` if the command passes.
    pub(crate) fn arrives(&mut self, arrival: &Arrival<'_>) -> Option<(GateId, Effect)> {
        self.find(|matches| match matches {
            Matches::Commands(matches) => matches(arrival),
            Matches::Replies(_) => false,
        })
    }

    /// Returns the gate for a reply, and its effect; `None` if the reply passes.
    pub(crate) fn departs(&mut self, departure: &Departure<'_>) -> Option<(GateId, Effect)> {
        self.find(|matches| match matches {
            Matches::Commands(_) => false,
            Matches::Replies(matches) => matches(departure),
        })
    }

    /// Counts a command or reply that a gate took because of an earlier one.
    pub(crate) fn took(&self, id: GateId) {
        if let Some(gate) = self.gates.get(&id) {
            gate.taken.send_modify(|taken| *taken += 1);
        }
    }

    fn find(&mut self, mut is: impl FnMut(&mut Matches) -> bool) -> Option<(GateId, Effect)> {
        for (id, gate) in &mut self.gates {
            if is(&mut gate.matches) {
                gate.taken.send_modify(|taken| *taken += 1);
                return Some((*id, gate.effect));
            }
        }
        None
    }
}
