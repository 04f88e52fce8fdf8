//! Decides what the bytes of a revisioned stream are.

mod entries;

pub(crate) use self::entries::{EntriesMachine, Found};

/// The longest value that is written: 8 MiB, the limit of Java's client. An entry of another writer
/// may be longer, as long as it fits one command.
pub const MAX_ENTRY_LEN: usize = pravega_sdk_wire_protocol::event::MAX_EVENT_LEN;
