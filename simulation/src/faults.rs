//! What stores and the controller of a cluster may get wrong, as a test sets it.

use std::time::Duration;

use pravega_sdk_wire_protocol::WireCommand;

/// Makes other replies of a store's reply: none, one or several.
pub type Misbehaviour = Box<dyn FnMut(WireCommand) -> Vec<WireCommand> + Send>;

/// Faults of the segment stores.
#[derive(Default)]
pub(crate) struct StoreFaults {
    /// The time that a store takes to acknowledge an append.
    pub(crate) ack_delay: Duration,
    /// Appends are stored and not acknowledged.
    pub(crate) is_deaf: bool,
    /// The most bytes of the reply to a read, as at the end of a store's cache.
    pub(crate) max_reply: Option<usize>,
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

/// Faults of the controller.
#[derive(Debug, Default)]
pub(crate) struct ControllerFaults {
    /// Every call fails.
    pub(crate) is_away: bool,
    /// Of a hundred requests about transactions, the number that are carried out, at once or late,
    /// without an answer.
    pub(crate) lost_answers: u32,
}
