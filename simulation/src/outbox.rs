//! The replies of one connection on their way out, in any order that the protocol allows.
//!
//! Replies to different requests may overtake each other. The replies to the appends of one writer
//! keep their order, from one set-up of it to the next.

use std::collections::{HashMap, HashSet, VecDeque};

use pravega_sdk_types::WriterId;
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{sync::mpsc, time::Instant};

use crate::gates::GateId;

/// A reply, and the time at which it leaves.
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) reply: WireCommand,
}

/// The replies of one connection.
pub(crate) struct Outbox {
    /// A connection has at most one reply for each request, and its client limits the requests in
    /// flight; so the channel needs no bound of its own.
    due: mpsc::UnboundedSender<Due>,
    /// The time of the last reply to an append of each writer.
    last: HashMap<WriterId, Instant>,
    held: VecDeque<Held>,
    /// The writers of which a reply to an append was lost since their last set-up.
    lost: HashSet<WriterId>,
}

struct Held {
    gate: GateId,
    writer: Option<WriterId>,
    reply: WireCommand,
}

impl Outbox {
    pub(crate) fn new(due: mpsc::UnboundedSender<Due>) -> Self {
        Self { due, last: HashMap::new(), held: VecDeque::new(), lost: HashSet::new() }
    }

    /// Sends a reply at a time, or after the replies that it must not overtake.
    pub(crate) fn send(&mut self, mut at: Instant, writer: Option<WriterId>, reply: WireCommand) {
        match in_order_of(writer, &reply) {
            Some(writer) => {
                let last = self.last.entry(writer).or_insert(at);
                *last = at.max(*last);
                at = *last;
            }
            // Replies after a set-up belong to it.
            None => {
                if let Some(writer) = writer {
                    self.last.remove(&writer);
                    self.lost.remove(&writer);
                }
            }
        }
        // A client that has gone takes no replies.
        self.due.send(Due { at, reply }).ok();
    }

    /// Returns the gate that holds a reply which this one must not overtake.
    pub(crate) fn gate_before(
        &self,
        writer: Option<WriterId>,
        reply: &WireCommand,
    ) -> Option<GateId> {
        let writer = in_order_of(writer, reply)?;
        let before = self.held.iter().find(|held| held.writer == Some(writer));
        before.map(|held| held.gate)
    }

    /// Holds a reply back.
    pub(crate) fn hold(&mut self, gate: GateId, writer: Option<WriterId>, reply: WireCommand) {
        let writer = in_order_of(writer, &reply);
        self.held.push_back(Held { gate, writer, reply });
    }

    /// Loses a reply. A store acknowledges no append after one whose reply it lost, until the next
    /// set-up of the writer.
    pub(crate) fn lose(&mut self, writer: Option<WriterId>, reply: &WireCommand) {
        self.lost.extend(in_order_of(writer, reply));
    }

    /// Returns true if a reply follows one to an append that was lost.
    pub(crate) fn has_lost_before(&self, writer: Option<WriterId>, reply: &WireCommand) -> bool {
        in_order_of(writer, reply).is_some_and(|writer| self.lost.contains(&writer))
    }

    /// Sends the replies that a gate held back.
    pub(crate) fn release(&mut self, gate: GateId) {
        let (released, kept) =
            std::mem::take(&mut self.held).into_iter().partition(|held| held.gate == gate);
        self.held = kept;
        let released: VecDeque<Held> = released;
        for Held { writer, reply, .. } in released {
            self.send(Instant::now(), writer, reply);
        }
    }
}

/// The writer whose other replies a reply must not overtake. The reply to a set-up may overtake
/// those to appends before it, as the set-up reads what the store has at that time.
fn in_order_of(writer: Option<WriterId>, reply: &WireCommand) -> Option<WriterId> {
    writer.filter(|_| !matches!(reply, WireCommand::AppendSetup(_)))
}
