//! Decides for a whole stream: which segments are read, which wait for others, and where each event
//! begins.
//!
//! A segment is read when all its predecessors have been read to their ends, so events of one
//! routing key come in order across scaling. [`ReadMachine`] below brings the bytes; this one makes
//! events of them and follows the segments.
//!
//! *Invariant:* [`StreamMachine::cut`] is always a place from which another reader goes on without
//! a gap or a repeat: each segment stands in it from when it may be read until all that follows it
//! stands there in its place.

mod deliveries;
mod parser;
mod state;
mod successors;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

pub use self::state::CorruptEvents;
pub(crate) use self::state::{Effect, Follow, Found, Settings, StreamMachine};
