//! Decides for a whole stream: which segments are read, which wait for others, and where each event
//! begins.
//!
//! A segment is read when all its predecessors have been read to their ends, so events of one
//! routing key are in order across scaling. [`ReadMachine`] below returns the bytes; this machine
//! parses events and follows the segments.
//!
//! *Invariant:* another reader can always continue from [`StreamMachine::cut`] without a gap or a
//! repeat: the cut contains each segment from when it may be read until its successors replace it.

mod deliveries;
mod state;
mod successors;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

pub use self::state::CorruptEvents;
pub(crate) use self::state::{Bounds, Effect, Ends, Found, Settings, Start, StreamMachine};
