//! What stores and the controller of a cluster may get wrong, as a test sets it.

use std::time::Duration;

use pravega_sdk_server_core::{catalog::Catalog, placement::Placement, store::MemoryLimit};
use pravega_sdk_wire_protocol::WireCommand;

/// Makes other replies of a store's reply: none, one or several.
pub type Misbehaviour = Box<dyn FnMut(WireCommand) -> Vec<WireCommand> + Send>;

/// Faults of the segment stores.
#[derive(Default)]
pub(crate) struct StoreFaults {
    /// The time that a store takes to acknowledge an append.
    pub(crate) ack_delay: Duration,
    /// The longest time by which a reply is late; replies overtake each other.
    pub(crate) reply_delay: Duration,
    /// Appends are stored and not acknowledged.
    pub(crate) is_deaf: bool,
    /// The most bytes of the reply to a read, as at the end of a store's cache.
    pub(crate) max_reply: Option<usize>,
    /// The most memory that stores use, while they have no space.
    pub(crate) memory_limit: Option<MemoryLimit>,
    pub(crate) misbehaviour: Option<Misbehaviour>,
}

impl StoreFaults {
    /// The replies that are sent in place of one.
    pub(crate) fn change(&mut self, reply: WireCommand) -> Vec<WireCommand> {
        if self.is_deaf && matches!(reply, WireCommand::DataAppended(_)) {
            return Vec::new();
        }
        match &mut self.misbehaviour {
            Some(misbehaviour) => misbehaviour(reply),
            None => vec![reply],
        }
    }
}

/// How a store takes new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connects {
    /// At once.
    Accepted,
    /// They are refused: the process has ended.
    Refused,
    /// They are neither accepted nor refused until that changes: the machine has died, or its
    /// packets are dropped.
    Unanswered,
}

/// Returns true for the names of some calls.
pub(crate) type NamesCall = Box<dyn Fn(&str) -> bool + Send>;

/// Faults of the controller.
#[derive(Default)]
pub(crate) struct ControllerFaults {
    /// Every call fails.
    pub(crate) is_away: bool,
    /// Of a hundred calls that change something, the number that are carried out, at once or late,
    /// without an answer.
    pub(crate) lost_answers: u32,
    /// The calls that are not answered before their deadlines.
    pub(crate) unanswered: Option<NamesCall>,
    pub(crate) stale: Option<StaleInstances>,
}

/// Instances of the controller that do not know the latest changes.
pub(crate) struct StaleInstances {
    /// Of a hundred queries, the number that they answer.
    pub(crate) percent: u32,
    /// Each knows what there was at another time.
    pub(crate) instances: Vec<Stale>,
}

/// An instance of the controller that does not know the latest changes.
pub(crate) struct Stale {
    pub(crate) catalog: Catalog,
    pub(crate) placement: Placement,
}

/// The instance of the controller that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instance {
    /// It knows everything.
    Present,
    /// One that does not, by its number.
    Stale(usize),
}
