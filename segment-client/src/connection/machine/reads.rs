//! The reads that a refused token may be about.
//!
//! A store that refuses the token of a read replies with the read's offset in place of its id, so
//! reads of one offset cannot be told apart: they share the refusal.

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_wire_protocol::{WireCommand, commands::ReadSegment};

use crate::machine::Token;

/// What identifies a read in a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadMark {
    offset: i64,
    token: Token,
}

/// The reads that were sent, by offset.
#[derive(Debug, Default)]
pub(super) struct Reads {
    waiting: BTreeMap<i64, ReadMark>,
    by_offset: BTreeMap<i64, BTreeSet<i64>>,
    /// Reads without a waiter whose answer is still to come, the oldest first: those that were
    /// forgotten, and those that took a refusal which may be about another.
    left: BTreeMap<i64, ReadMark>,
}

/// A refusal that reads share.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// The reads, by id.
    pub(super) ids: Vec<i64>,
    /// True if the refusal may be about another token than that of a read that takes it.
    pub(super) is_ambiguous: bool,
}

/// Number of reads without a waiter that are remembered.
const MAX_LEFT: usize = 256;

impl Reads {
    /// A request is sent.
    pub(super) fn note_sent(&mut self, id: i64, command: &WireCommand) {
        if let WireCommand::ReadSegment(ReadSegment { offset, delegation_token, .. }) = command {
            let mark = ReadMark { offset: *offset, token: Token(delegation_token.clone()) };
            self.waiting.insert(id, mark);
            self.by_offset.entry(*offset).or_default().insert(id);
        }
    }

    /// The reply with that id arrived.
    pub(super) fn note_answered(&mut self, id: i64) {
        self.take(id);
        self.left.remove(&id);
    }

    /// The waiter of a request left before the reply.
    pub(super) fn note_left(&mut self, id: i64) {
        if let Some(mark) = self.take(id) {
            self.left.insert(id, mark);
            if self.left.len() > MAX_LEFT {
                self.left.pop_first();
            }
        }
    }

    /// Takes out the reads that a refusal with the number `offset` may be about.
    pub(super) fn take_refused(&mut self, offset: i64) -> Shared {
        let ids: Vec<i64> = self.by_offset.get(&offset).into_iter().flatten().copied().collect();
        let waiting = ids.iter().filter_map(|id| self.waiting.get(id));
        let left = self.left.values().filter(|mark| mark.offset == offset);
        let mut tokens = waiting.chain(left).map(|mark| &mark.token);
        let first = tokens.next();
        let is_ambiguous = tokens.any(|token| Some(token) != first);
        for id in &ids {
            if is_ambiguous {
                // The answer to all but one of them is still to come.
                self.note_left(*id);
            } else {
                self.take(*id);
            }
        }
        Shared { ids, is_ambiguous }
    }

    fn take(&mut self, id: i64) -> Option<ReadMark> {
        let mark = self.waiting.remove(&id)?;
        if let Some(ids) = self.by_offset.get_mut(&mark.offset) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_offset.remove(&mark.offset);
            }
        }
        Some(mark)
    }
}
