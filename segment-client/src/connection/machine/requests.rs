//! The requests of a connection, from the queue to the reply.
//!
//! A request waits in the queue until the limits admit it, then for its reply. Its place does not
//! depend on its caller: one that does not poll holds up no other, and one that leaves is skipped.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use pravega_sdk_wire_protocol::{CommandKind, WireCommand, codes::TokenFailure};

use super::{keep_alive::Now, reads::Reads};
use crate::seeded_bugs::{Bugs, SeededBug};

/// Maximum number of requests and bytes in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
}

/// A request to be sent.
#[derive(Debug)]
pub(crate) struct Request<W> {
    /// Unique on the connection.
    pub(crate) id: i64,
    pub(crate) command: WireCommand,
    pub(crate) waiter: W,
    /// Bytes that count towards the limits; `None` for a read, which its caller limits.
    pub(crate) cost: Option<usize>,
    /// `None` means that it never times out.
    pub(crate) deadline: Option<Now>,
}

/// All requests of a connection.
#[derive(Debug)]
pub(crate) struct Requests<W> {
    limits: Limits,
    bugs: Bugs,
    by_id: HashMap<i64, Entry<W>>,
    /// Requests that count towards the limits, in the order in which they were made.
    limited: BTreeMap<Turn, (i64, WireCommand)>,
    /// The others. Those before them in the order do not hold them up.
    unlimited: BTreeMap<Turn, (i64, WireCommand)>,
    next_turn: Turn,
    deadlines: BTreeSet<(Now, i64)>,
    reads: Reads,
    /// Requests that wait for a reply.
    sent: usize,
    /// Those of them that count towards the limits, and their bytes.
    in_flight: usize,
    bytes: usize,
    /// Shares that a seeded bug keeps beyond the reply.
    kept: HashMap<i64, usize>,
    unknown: u64,
}

type Turn = u64;

#[derive(Debug)]
struct Entry<W> {
    waiter: W,
    cost: Option<usize>,
    deadline: Option<Now>,
    /// `None` once it is sent.
    turn: Option<Turn>,
}

/// The result of making a request.
#[derive(Debug, PartialEq)]
// Nearly all are sent at once: a box would cost an allocation per request.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Pushed<W> {
    /// It is sent at once.
    Sent(WireCommand),
    /// It waits until [`Requests::poll_send`] returns it.
    Queued,
    /// Its id is in use.
    Refused(W),
}

/// A waiter whose request ended without a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unanswered<W> {
    pub(crate) waiter: W,
    pub(crate) was_sent: bool,
}

/// Classification of a command from the peer.
#[derive(Debug, PartialEq)]
// Nearly all are replies, and the caller takes them apart at once: a box would cost an allocation
// per reply.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Incoming<W> {
    /// The reply to a waiting request.
    Reply(W, WireCommand),
    /// A reply that several reads share.
    Shared(Vec<W>, WireCommand),
    /// A harmless command without a waiter: counted and dropped.
    Ignored,
    /// A command that a segment store never sends.
    Violation,
}

impl<W> Requests<W> {
    pub(crate) fn new(limits: Limits, bugs: Bugs) -> Self {
        Self {
            limits,
            bugs,
            by_id: HashMap::new(),
            limited: BTreeMap::new(),
            unlimited: BTreeMap::new(),
            next_turn: 0,
            deadlines: BTreeSet::new(),
            reads: Reads::default(),
            sent: 0,
            in_flight: 0,
            bytes: 0,
            kept: HashMap::new(),
            unknown: 0,
        }
    }

    // -------------------------------------------------------------------------------------- events

    /// A request was made. With `may_send` it is sent at once if it is the first in the order and
    /// the limits admit it.
    pub(crate) fn push(&mut self, request: Request<W>, may_send: bool) -> Pushed<W> {
        let Request { id, command, waiter, cost, deadline } = request;
        let is_first = self.limited.is_empty() && self.unlimited.is_empty();
        let is_sent = may_send && is_first && cost.is_none_or(|cost| self.admits(cost));
        let hash_map::Entry::Vacant(free) = self.by_id.entry(id) else {
            return Pushed::Refused(waiter);
        };
        let turn = self.next_turn;
        self.next_turn += 1;
        free.insert(Entry { waiter, cost, deadline, turn: (!is_sent).then_some(turn) });
        self.deadlines.extend(deadline.map(|at| (at, id)));
        if is_sent {
            self.note_sent(id, cost, &command);
            return Pushed::Sent(command);
        }
        let queue = if cost.is_some() { &mut self.limited } else { &mut self.unlimited };
        queue.insert(turn, (id, command));
        Pushed::Queued
    }

    /// The waiter of `id` left, or is done with; a later reply to it is ignored.
    pub(crate) fn remove(&mut self, id: i64) -> Option<Unanswered<W>> {
        if let Some(cost) = self.kept.remove(&id) {
            self.in_flight -= 1;
            self.bytes -= cost;
        }
        let unanswered = self.take(id)?;
        self.reads.note_left(id);
        Some(unanswered)
    }

    /// A command arrived from the peer. Takes out its waiters.
    pub(crate) fn handle(&mut self, command: WireCommand) -> Incoming<W> {
        match command.kind() {
            // The peer may repeat its greeting at any time, and a keep-alive answers one.
            CommandKind::Both => {
                if matches!(command, WireCommand::Hello(_)) {
                    self.unknown += 1;
                }
                return Incoming::Ignored;
            }
            CommandKind::Reply | CommandKind::Failure => {}
            CommandKind::Request | CommandKind::Inside => return Incoming::Violation,
        }
        let Some(id) = command.request_id() else { return self.ignored() };
        let sent = self.by_id.get(&id).filter(|entry| entry.turn.is_none());
        if let Some(cost) = sent.map(|entry| entry.cost)
            && let Some(unanswered) = self.take(id)
        {
            if let Some(cost) = cost
                && self.bugs.has(SeededBug::UnpolledKeepsCapacity)
            {
                self.kept.insert(id, cost);
                self.in_flight += 1;
                self.bytes += cost;
            }
            self.reads.note_answered(id);
            return Incoming::Reply(unanswered.waiter, command);
        }
        self.reads.note_answered(id);
        self.refused_reads(id, command)
    }

    /// Time has passed. Takes out the requests whose deadline is over.
    pub(crate) fn handle_timeout(&mut self, now: Now) -> Vec<Unanswered<W>> {
        let mut late = Vec::new();
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            late.extend(self.take(id));
            self.reads.note_left(id);
        }
        late
    }

    // --------------------------------------------------------------------------------- what's next

    /// The next request to send: the first in the order that the limits admit.
    pub(crate) fn poll_send(&mut self) -> Option<(i64, WireCommand)> {
        let limited = self.limited.first_key_value().filter(|(_, (id, _))| self.is_admitted(*id));
        let limited = limited.map(|(turn, _)| *turn);
        let unlimited = self.unlimited.first_key_value().map(|(turn, _)| *turn);
        let turn = limited.into_iter().chain(unlimited).min()?;
        let (id, command) = self.limited.remove(&turn).or_else(|| self.unlimited.remove(&turn))?;
        let entry = self.by_id.get_mut(&id)?;
        entry.turn = None;
        let cost = entry.cost;
        self.note_sent(id, cost, &command);
        Some((id, command))
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Now> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes out all requests, in the order of their ids, so that a run can be reproduced.
    pub(crate) fn drain(&mut self) -> Vec<Unanswered<W>> {
        let mut ids: Vec<i64> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    // ------------------------------------------------------------------------------------- getters

    /// The waiter of a request.
    #[cfg(test)]
    pub(crate) fn waiter(&self, id: i64) -> Option<&W> {
        self.by_id.get(&id).map(|entry| &entry.waiter)
    }

    /// Returns the number of requests that wait for a reply.
    pub(crate) fn outstanding(&self) -> usize {
        self.sent
    }

    /// Returns the number of commands that arrived without a waiter.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }

    // --------------------------------------------------------------------------------- transitions

    /// Returns true if the request of `id` is within the limits. A single one always is.
    fn is_admitted(&self, id: i64) -> bool {
        self.admits(self.by_id.get(&id).and_then(|entry| entry.cost).unwrap_or(0))
    }

    fn admits(&self, cost: usize) -> bool {
        let has_bytes = self.bytes.saturating_add(cost) <= self.limits.bytes;
        self.in_flight == 0 || (self.in_flight < self.limits.requests && has_bytes)
    }

    /// A request is sent.
    fn note_sent(&mut self, id: i64, cost: Option<usize>, command: &WireCommand) {
        self.sent += 1;
        if let Some(cost) = cost {
            self.in_flight += 1;
            self.bytes += cost;
        }
        self.reads.note_sent(id, command);
    }

    /// Takes out a request, with its share of the limits.
    fn take(&mut self, id: i64) -> Option<Unanswered<W>> {
        let Entry { waiter, cost, deadline, turn } = self.by_id.remove(&id)?;
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, id));
        }
        match turn {
            Some(turn) => {
                self.limited.remove(&turn);
                self.unlimited.remove(&turn);
            }
            None => {
                self.sent -= 1;
                if let Some(cost) = cost {
                    self.in_flight -= 1;
                    self.bytes -= cost;
                }
            }
        }
        Some(Unanswered { waiter, was_sent: turn.is_none() })
    }

    /// A reply whose number is no id may refuse the token of reads, by their offset.
    fn refused_reads(&mut self, offset: i64, command: WireCommand) -> Incoming<W> {
        let WireCommand::AuthTokenCheckFailed(mut refusal) = command else {
            return self.ignored();
        };
        let shared = self.reads.take_refused(offset);
        let mut ids = shared.ids;
        if self.bugs.has(SeededBug::RefusesOneRead) {
            ids.truncate(1);
        } else if shared.is_ambiguous {
            // Each read asks with a new token. A request whose refusal has its id follows a failed
            // read, so the one that is refused for good gets to know it.
            refusal.error_code = TokenFailure::Expired;
        }
        let waiters = ids.into_iter().filter_map(|id| self.take(id));
        let waiters: Vec<W> = waiters.map(|unanswered| unanswered.waiter).collect();
        if waiters.is_empty() {
            return self.ignored();
        }
        Incoming::Shared(waiters, refusal.into())
    }

    fn ignored(&mut self) -> Incoming<W> {
        self.unknown += 1;
        Incoming::Ignored
    }
}
