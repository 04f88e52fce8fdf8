//! A connection of a writer, as the machine sees it.

use std::collections::{BTreeSet, VecDeque};

use crate::machine::Now;
use pravega_sdk_types::{Endpoint, SegmentId};

/// Identifies a connection of a writer, through all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ConnectionState {
    Connecting,
    Open,
    /// Tried again at that time, if a segment needs it.
    Waiting(Now),
}

/// The segments that share a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Healthy,
    /// Segments that the store does not serve as it should, so that they do not hold up others.
    Troubled,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    pub(super) group: Group,
    pub(super) state: ConnectionState,
    /// The segments that use it.
    pub(super) segments: BTreeSet<SegmentId>,
    /// The segments with something to send, in turn.
    pub(super) ready: VecDeque<SegmentId>,
    /// The number of segments that wait for a reply of the store.
    pub(super) waiting: usize,
    /// Failures since the last reply on it.
    pub(super) attempts: u32,
}

impl Connection {
    pub(super) fn new(endpoint: Endpoint, group: Group) -> Self {
        Self {
            endpoint,
            group,
            state: ConnectionState::Connecting,
            segments: BTreeSet::new(),
            ready: VecDeque::new(),
            waiting: 0,
            attempts: 0,
        }
    }
}
