//! Segments, containers and stores that are stuck: they take requests and answer nothing, while
//! others go on.

use pravega_sdk_server_core::placement::CONTAINERS;
use pravega_sdk_types::{ContainerId, ScopedSegment, segment_name};

use pravega_sdk_wire_protocol::WireCommand;

use crate::{
    World,
    gates::{Arrival, Departure},
    holds::Hold,
};

/// The part of a cluster that is stuck.
#[derive(Debug, Clone)]
pub enum Stuck {
    /// A segment.
    Segment(ScopedSegment),
    /// The container of a segment: all segments in it, with their transactions.
    Container(ScopedSegment),
    /// All segments of a store. It still answers keep-alives and new connections.
    Store(usize),
    /// A store that answers nothing, not even keep-alives and new connections.
    Silent(usize),
}

/// The requests that a stuck part does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// All.
    All,
    /// Appends and merges. Set-ups are answered.
    Appends,
    /// Reads.
    Reads,
}

/// What happens to the requests to a stuck part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// They are queued, and take effect when the part is no longer stuck.
    Queues,
    /// They are lost.
    Loses,
    /// They take effect, and their replies are lost.
    LosesReplies,
}

impl Stuck {
    /// Returns true if what a store is asked is stuck: about a segment, or about none.
    pub(crate) fn has(&self, store: usize, segment: Option<&str>) -> bool {
        let container = |name: &str| -> ContainerId { segment_name::container(name, CONTAINERS) };
        match self {
            Self::Segment(stuck) => segment.is_some_and(|name| name == stuck.to_string()),
            Self::Container(stuck) => {
                segment.is_some_and(|name| container(name) == container(&stuck.to_string()))
            }
            Self::Store(stuck) => store == *stuck && segment.is_some(),
            Self::Silent(stuck) => store == *stuck,
        }
    }
}

impl Requests {
    fn has(self, arrival: &Arrival<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Appends => arrival.adds_bytes(),
            Self::Reads => arrival.is_read(),
        }
    }

    fn has_reply(self, departure: &Departure<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Appends => match departure.reply {
                WireCommand::AppendSetup(_) => false,
                WireCommand::SegmentsMerged(_) => true,
                _ => departure.writer.is_some(),
            },
            Self::Reads => matches!(departure.reply, WireCommand::SegmentRead(_)),
        }
    }
}

impl World {
    /// Makes a part of the cluster stuck until the returned hold is released.
    pub fn stall(&self, stuck: Stuck, requests: Requests, stall: Stall) -> Hold {
        self.count("stall");
        if stall == Stall::LosesReplies {
            return self.lose_replies(move |departure| {
                stuck.has(departure.store, departure.segment) && requests.has_reply(departure)
            });
        }
        let is_stuck = move |arrival: &Arrival<'_>| {
            stuck.has(arrival.store, arrival.segment) && requests.has(arrival)
        };
        if stall == Stall::Loses { self.lose(is_stuck) } else { self.hold(is_stuck) }
    }
}
