//! A connection of a writer, as the machine sees it.

use std::collections::{BTreeSet, VecDeque};

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::{Endpoint, SegmentId};

/// Names a connection of a writer, through all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LinkState {
    Connecting,
    Open,
    /// It is tried again at that time, if a segment wants it.
    Waiting(Now),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    pub(super) state: LinkState,
    /// The segments that use it.
    pub(super) lanes: BTreeSet<SegmentId>,
    /// Those of them that have something to send, in turn.
    pub(super) ready: VecDeque<SegmentId>,
    /// How many segments the store owes an answer.
    pub(super) waiting: usize,
    /// How often it failed since a store last answered on it.
    pub(super) attempts: u32,
}

impl Link {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            state: LinkState::Connecting,
            lanes: BTreeSet::new(),
            ready: VecDeque::new(),
            waiting: 0,
            attempts: 0,
        }
    }
}
