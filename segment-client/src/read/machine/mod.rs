//! Decides which bytes of many segments are read, and when, so that they arrive in order and within
//! one budget.
//!
//! ```text
//!   open ──▶ Locating ──▶ At(location) ──▶ reads ──▶ data, in order ──▶ end of the segment
//!                ▲            │
//!                └── Waiting ◀┘ a store failed, or does not serve the segment
//! ```
//!
//! There are two kinds of reads. Below the known length of a segment, several are in flight at
//! once, and one budget bounds them together with the bytes that arrived. At the tail, where a
//! store answers only after an append, each segment has one, short enough for all of them to be
//! answered at once.
//!
//! Deliberately absent: the meaning of the bytes, and the successors of a segment.

mod answers;
mod delivery;
mod driven;
mod failures;
mod schedule;
mod segment_reader;
mod state;
mod stretch;
#[cfg(test)]
mod tests;
mod window;

pub use self::{
    delivery::{Delivery, ReadKind, StartOffset},
    driven::{Answer, Driven},
    state::{Effect, MAX_READ, ReadMachine, ReaderId, Settings},
};
