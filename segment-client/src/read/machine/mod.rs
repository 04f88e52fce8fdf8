//! Decides what is read of many segments, and when, so that their bytes come in order and never
//! more of them than there is room for.
//!
//! ```text
//!   open ──▶ Locating ──▶ At(location) ──▶ reads ──▶ data, in order ──▶ end of the segment
//!                ▲            │
//!                └── Waiting ◀┘ a store failed, or turned the segment away
//! ```
//!
//! Two kinds of reads differ. Below the length that a segment is known to have, several are under
//! way at once, and one budget bounds them all together with what has arrived. At the tail, where a
//! store answers only when something is appended, each segment has one, of a length that is small
//! enough for all of them to come back at once.
//!
//! What is deliberately absent: what the bytes mean, and what comes after a segment.

mod answers;
mod delivery;
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
    state::{Effect, MAX_READ, ReadMachine, ReaderId, Settings},
};
