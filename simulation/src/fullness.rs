//! Stores without space for a while: they refuse what needs more memory than they use.

use pravega_sdk_server_core::{machine::Machine, store::MemoryLimit};
use pravega_sdk_wire_protocol::{WireCommand, codes::FailureCode};

/// The limit of stores that have space.
pub(crate) const UNLIMITED: MemoryLimit = MemoryLimit(u64::MAX);

/// Lets a machine handle a command under the limit of its stores.
pub(crate) fn limited<T>(
    machine: &mut Machine,
    limit: Option<MemoryLimit>,
    handle: impl FnOnce(&mut Machine) -> T,
) -> T {
    machine.memory_limit = limit.unwrap_or(UNLIMITED);
    let handled = handle(machine);
    machine.memory_limit = UNLIMITED;
    handled
}

/// Returns the name under which a reply that refuses for lack of space is counted.
pub(crate) fn refusal(reply: &WireCommand, is_full: bool) -> Option<&'static str> {
    match reply {
        WireCommand::ErrorMessage(message) if message.error_code == FailureCode::OutOfSpace => {
            Some("request refused for lack of space")
        }
        WireCommand::ConditionalCheckFailed(_) if is_full => Some("append refused by a full store"),
        _ => None,
    }
}
