//! Decides for all segments of a stream: which segment an event goes to, which connection a segment
//! uses, and what happens when either fails.
//!
//! Events enter through [`WriterMachine::write`]; replies and results of effects through the
//! `handle_*` methods, each with the time since the writer was created. Work leaves through
//! [`WriterMachine::poll_effect`] (ask the controller, connect), [`WriterMachine::transmit`] (bytes
//! for a connection), [`WriterMachine::take_completions`] (events that are done),
//! [`WriterMachine::poll_flushed`], and [`WriterMachine::timeout`] (when to call
//! [`WriterMachine::handle_timeout`]).
//!
//! *Invariant:* events of one routing key are in one segment writer, in the order of the writes. A
//! segment writer whose segment was sealed keeps its events, and takes new ones, until the
//! successors are known; then all of them move, in order.

pub(crate) mod connection;
mod connections;
mod controller;
pub(crate) mod flush;
pub(crate) mod machine;
mod replies;
mod resume;
mod routing;
mod segment_writer;
#[cfg(test)]
mod tests;
mod time;
