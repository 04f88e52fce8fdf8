//! Reads that wait at the ends of segments, and the replies to those that waited.

use std::collections::HashMap;

use pravega_sdk_wire_protocol::WireCommand;

use crate::{ids::ConnectionId, record::Sequence};

/// The most reads of one connection that wait at the ends of segments. A reader of thousands of
/// segments has one at each.
const MAX_WAITING_READS: usize = 100_000;

/// The reply to a read that waited.
#[derive(Debug)]
pub struct Woken {
    /// The connection that the reply goes to.
    pub connection: ConnectionId,
    /// The batch that must be durable before the reply leaves.
    pub after: Sequence,
    /// The reply.
    pub reply: WireCommand,
}

/// A read, which may have to wait at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRead {
    /// The connection that the reply goes to.
    pub connection: ConnectionId,
    /// The id of the request.
    pub request_id: i64,
    /// The first offset to read.
    pub offset: u64,
    /// The most bytes to read.
    pub max_len: usize,
}

/// The number of waiting reads of each connection.
#[derive(Debug, Default)]
pub(super) struct WaitingReads(HashMap<ConnectionId, usize>);

impl WaitingReads {
    /// Counts one more; returns false if the connection has too many already.
    pub(super) fn add(&mut self, connection: ConnectionId) -> bool {
        let count = self.0.entry(connection).or_default();
        let allowed = *count < MAX_WAITING_READS;
        *count += usize::from(allowed);
        allowed
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) {
        if let Some(count) = self.0.get_mut(&connection) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }
}
