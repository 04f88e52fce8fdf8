//! The writer machine: its data, the calls of a writer, and its results.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    time::Duration,
};

use pravega_sdk_types::{
    Backoff, Endpoint, Offset, ScopedStream, SegmentId, SegmentMap, TransactionId,
};
use pravega_sdk_wire_protocol::{FlowId, FlowIds};

use super::{
    connection::{Connection, ConnectionId, ConnectionState},
    flush::{Flushes, Waiter},
    segment_writer::SegmentWriter,
};
use crate::{
    append::{
        segment::{
            item::{Completion, Content, Item, Key, Routed, Write},
            machine::Limits,
        },
        when_full::WhenFull,
    },
    error::WriteError,
    machine::{Now, Random, Token},
    seeded_bugs::Bugs,
};

/// The segments that a handle appends to, which decides the successors of a sealed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The segments of a stream, and their successors.
    Stream,
    /// The segments of a transaction, which have no successors.
    Transaction(TransactionId),
    /// The one segment of a byte stream. An append that is refused ends the writer, as the bytes
    /// after it would follow a gap.
    Bytes,
    /// One segment, which has no successors. No append depends on another: a refused one fails
    /// alone, and the others of its segment that were in hand with it.
    Segment,
}

/// The settings of a writer machine.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// How long an event may wait for its acknowledgement.
    pub(crate) delivery_timeout: Duration,
    /// How long a set-up may wait for its answer.
    pub(crate) request_timeout: Duration,
    /// How long a segment may have appends in flight without any answer.
    pub(crate) silence_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) when_full: WhenFull,
}

impl Settings {
    /// Returns how long a segment may wait for the next reply of its store.
    pub(super) fn patience(&self, is_setting_up: bool) -> Duration {
        if is_setting_up { self.request_timeout } else { self.silence_timeout }
    }
}

/// Work for the driver.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Find the store of a segment, and a token: answered by [`WriterMachine::handle_located`].
    Locate(SegmentId),
    /// The endpoint does not serve the segment: forget that it does.
    Forget(SegmentId, Endpoint),
    /// The token expired, or may have: forget it.
    TokenExpired(Token),
    /// Connect: answered by [`WriterMachine::handle_connected`] or [`WriterMachine::handle_lost`].
    Connect(ConnectionId, Endpoint),
    /// Close the connection.
    Close(ConnectionId),
    /// Find the successors of a sealed segment: answered by [`WriterMachine::handle_successors`].
    FindSuccessors(SegmentId),
    /// Find out why a sealed segment has no successors: answered by
    /// [`WriterMachine::handle_segments`].
    FindSegments(SegmentId),
}

/// A token is forgotten at most once in this time while connections end during set-ups: they may
/// have another reason. It is forgotten again then, as a controller issues the same token twice
/// within a second.
pub(super) const SUSPICION_INTERVAL: Duration = Duration::from_secs(5);

/// After this many invalid replies in a row the events fail: a bad request, or a bad server, would
/// repeat them forever.
pub(super) const MAX_PROTOCOL_ERRORS: u32 = 5;

/// Writes to many segments; see the module.
pub(crate) struct WriterMachine<T, W> {
    pub(super) stream: ScopedStream,
    pub(super) target: Target,
    pub(super) settings: Settings,
    pub(super) map: SegmentMap,
    /// The segments that were written to.
    pub(super) writers: BTreeMap<SegmentId, SegmentWriter<T>>,
    pub(super) flows: HashMap<FlowId, SegmentId>,
    pub(super) flow_ids: FlowIds,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) next_connection: u64,
    pub(super) effects: VecDeque<Effect>,
    pub(super) completions: Vec<Completion<T>>,
    pub(super) flushes: Flushes<W>,
    pub(super) random: Random,
    pub(super) timer: Option<Now>,
    /// The token that was forgotten last because a connection ended during a set-up, and when.
    pub(super) suspected: Option<(Token, Now)>,
    /// Why the writer has ended.
    pub(super) ended: Option<WriteError>,
    pub(super) bugs: Bugs,
}

impl<T, W> WriterMachine<T, W> {
    pub(crate) fn new(
        stream: ScopedStream,
        target: Target,
        map: SegmentMap,
        settings: Settings,
        random: Random,
        bugs: Bugs,
    ) -> Self {
        Self {
            stream,
            target,
            settings,
            map,
            writers: BTreeMap::new(),
            flows: HashMap::new(),
            flow_ids: FlowIds::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            effects: VecDeque::new(),
            completions: Vec::new(),
            flushes: Flushes::default(),
            random,
            timer: None,
            suspected: None,
            ended: None,
            bugs,
        }
    }

    /// Takes an append that its caller waits for since `enqueued`. One without a routing key goes
    /// to a random position.
    pub(crate) fn write(&mut self, write: Write, enqueued: Now, ticket: T) {
        let generation = self.flushes.begin();
        match write {
            Write::Routed { key, payload } => {
                let position = match key {
                    Key::Hashed(position) => position,
                    Key::Any => self.fraction(),
                };
                self.route(Routed::new(position, payload, enqueued, generation, ticket));
            }
            Write::Pinned { position, segment, offset, payload } => {
                let content = Content::Pinned { offset, payload };
                let item = Item::new(content, enqueued, generation, ticket);
                self.write_at(segment, position, item);
            }
        }
    }

    /// Registers a waiter for all events accepted so far.
    pub(crate) fn flush(&mut self, waiter: W)
    where
        W: Waiter,
    {
        self.flushes.wait(waiter);
    }

    /// Ends the writer: every event fails, also later ones.
    pub(crate) fn end(&mut self, error: WriteError) {
        for writer in self.writers.values_mut() {
            writer.appends.fail_all(&error, &mut self.completions);
        }
        self.writers.clear();
        self.flows.clear();
        for connection in std::mem::take(&mut self.connections).into_keys() {
            self.effects.push_back(Effect::Close(connection));
        }
        self.ended.get_or_insert(error);
    }

    /// Returns the known length of each current segment.
    pub(crate) fn tail_offsets(&self) -> Vec<(SegmentId, Option<Offset>)> {
        let mut tails = BTreeMap::new();
        for (_, id, _) in self.map.iter() {
            let tail = self.writers.get(&id).and_then(|writer| writer.appends.tail_offset());
            tails.insert(id, tail);
        }
        tails.into_iter().collect()
    }

    /// Returns the number of events that are not done.
    pub(crate) fn outstanding(&self) -> usize {
        self.flushes.outstanding()
    }

    /// Returns true if the events are those of a transaction.
    pub(crate) fn is_transaction(&self) -> bool {
        matches!(self.target, Target::Transaction(_))
    }

    /// Returns true if a store owes a reply on `connection`.
    pub(crate) fn is_waiting(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|connection| connection.waiting > 0)
    }

    /// Returns true if a connection is in use.
    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|connection| connection.state == ConnectionState::Open)
    }

    /// Returns true if there is something to put into a connection's buffer.
    pub(crate) fn has_to_send(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|connection| {
            connection.state == ConnectionState::Open && !connection.ready.is_empty()
        })
    }

    /// Returns the next effect to carry out.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes all events that are done.
    pub(crate) fn take_completions(&mut self) -> std::vec::Drain<'_, Completion<T>> {
        for completion in &self.completions {
            self.flushes.end(completion.generation, completion.result.as_ref().err());
        }
        self.completions.drain(..)
    }

    pub(crate) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    /// Returns the next waiter of a flush whose events are all done. Call it after
    /// [`Self::take_completions`].
    pub(crate) fn poll_flushed(&mut self) -> Option<(W, Option<WriteError>)> {
        self.flushes.poll_done()
    }
}

impl<T, W> fmt::Debug for WriterMachine<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterMachine").field("stream", &self.stream).finish_non_exhaustive()
    }
}
