//! Requests that wait for their replies, by request id.

use std::collections::HashMap;

use pravega_sdk_wire_protocol::{CommandKind, WireCommand};

/// Waiters by request id.
#[derive(Debug)]
pub(crate) struct Waiters<W> {
    by_id: HashMap<i64, Waiter<W>>,
    unknown: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    waiter: W,
    /// A store that refuses the token of a read replies with the read's offset in place of its id.
    read_offset: Option<i64>,
}

/// Classification of a command from the peer.
#[derive(Debug, PartialEq)]
// Nearly all are replies, and the caller takes them apart at once: a box would cost an allocation
// per reply.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Incoming<W> {
    /// The reply to a waiting request.
    Reply(W, WireCommand),
    /// A harmless command without a waiter: counted and dropped.
    Ignored,
    /// A command that a segment store never sends.
    Violation,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), unknown: 0 }
    }
}

impl<W> Waiters<W> {
    /// Registers a waiter for the reply to `request`. Returns the waiter if its id is in use.
    pub(crate) fn insert(&mut self, id: i64, request: &WireCommand, waiter: W) -> Option<W> {
        let read_offset = match request {
            WireCommand::ReadSegment(read) => Some(read.offset),
            _ => None,
        };
        match self.by_id.entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => Some(waiter),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(Waiter { waiter, read_offset });
                None
            }
        }
    }

    /// Removes the waiter of `id`; a later reply to it is ignored.
    pub(crate) fn remove(&mut self, id: i64) -> Option<W> {
        self.by_id.remove(&id).map(|waiter| waiter.waiter)
    }

    /// Returns true if no request waits for a reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Returns the number of waiters.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns the number of commands that arrived without a waiter.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Removes all waiters, in the order of their ids, so that a run can be reproduced.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = W> + '_ {
        let mut all: Vec<_> = self.by_id.drain().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, waiter)| waiter.waiter)
    }

    /// Classifies a command from the peer, and removes its waiter.
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
        let waiter = command
            .request_id()
            .and_then(|id| self.remove(id).or_else(|| self.refused_read(id, &command)));
        match waiter {
            Some(waiter) => Incoming::Reply(waiter, command),
            None => {
                self.unknown += 1;
                Incoming::Ignored
            }
        }
    }

    fn refused_read(&mut self, offset: i64, command: &WireCommand) -> Option<W> {
        if !matches!(command, WireCommand::AuthTokenCheckFailed(_)) {
            return None;
        }
        let mut reads = self.by_id.iter().filter(|(_, waiter)| waiter.read_offset == Some(offset));
        let (id, _) = reads.next()?;
        // Two reads of one offset cannot be distinguished: either may get the refusal, which is
        // true of both.
        let id = *id;
        self.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_wire_protocol::{codes::TokenFailure, commands::*};

    use super::*;

    fn sealed(request_id: i64) -> WireCommand {
        SegmentSealed { request_id, segment: "s".into() }.into()
    }

    fn seal(request_id: i64) -> WireCommand {
        SealSegment { request_id, segment: "s".into(), delegation_token: "".into() }.into()
    }

    #[test]
    fn replies_reach_their_waiter_in_any_order_and_only_once() {
        let mut waiters = Waiters::default();
        for id in 0..3 {
            assert_eq!(waiters.insert(id, &seal(id), id), None);
        }
        for id in [2, 0, 1] {
            assert_eq!(waiters.handle(sealed(id)), Incoming::Reply(id, sealed(id)));
        }
        assert_eq!(waiters.handle(sealed(1)), Incoming::Ignored);
        assert_eq!((waiters.unknown(), waiters.is_empty()), (1, true));
    }

    #[test]
    fn an_id_in_use_is_not_taken_over() {
        let mut waiters = Waiters::default();
        assert_eq!(waiters.insert(1, &seal(1), "first"), None);
        assert_eq!(waiters.insert(1, &seal(1), "second"), Some("second"));
    }

    #[test]
    fn a_reply_to_a_waiter_that_left_is_counted_and_ignored() {
        let mut waiters = Waiters::default();
        waiters.insert(1, &seal(1), ());
        assert_eq!(waiters.remove(1), Some(()));
        assert_eq!(waiters.handle(sealed(1)), Incoming::Ignored);
        assert_eq!(waiters.unknown(), 1);
    }

    #[test]
    fn a_refused_token_of_a_read_is_found_by_its_offset() {
        let mut waiters = Waiters::default();
        let read = ReadSegment {
            segment: "s".into(),
            offset: 4096,
            suggested_length: 8,
            delegation_token: "".into(),
            request_id: 7,
        };
        waiters.insert(7, &read.into(), "read");
        let refused = WireCommand::from(AuthTokenCheckFailed {
            request_id: 4096,
            server_stack_trace: "".into(),
            error_code: TokenFailure::Expired,
        });
        assert_eq!(waiters.handle(refused.clone()), Incoming::Reply("read", refused));
    }

    #[test]
    fn what_only_a_client_sends_is_a_violation() {
        let mut waiters = Waiters::<()>::default();
        assert_eq!(waiters.handle(seal(1)), Incoming::Violation);
        assert_eq!(waiters.handle(Padding { length: 3 }.into()), Incoming::Violation);
        assert_eq!(waiters.handle(KeepAlive {}.into()), Incoming::Ignored);
    }
}
