//! What a reader of a group does, and when: by the state of the group, the time, and the events
//! that it has returned.
//!
//! ```text
//! poll_effect(state, moment) ──▶ Effect ──▶ its owner carries it out ──▶ handle_*
//!
//! at a checkpoint    answer it ─▶ complete segments, give one back, publish
//! else               fetch ─▶ next checkpoint ─▶ take segments ─▶ report ─▶ read events
//! ```
//!
//! A reader changes the state only on the condition that its copy is the latest. What a change
//! consists of is decided by the latest state, with [`ChangePlan::updates`]. The times are
//! those of Java's client, so that readers of both share segments fairly.
//!
//! *Invariant:* a segment is read only between the update that assigns it to this reader and the
//! one that takes it away. Segments are given back and completed only right after a checkpoint, so
//! that the program has kept the position before another reader goes on; or between any two events,
//! if the program says that it handles each before it asks for the next ([`HandOver`]). While a
//! checkpoint waits for the reader, its segments stay what they are.

mod assignment;
mod change;
mod latest_values;
mod owned;
mod reader;
mod results;
mod seeded_bugs;
mod steps;
#[cfg(test)]
mod tests;
mod timers;
mod updates;

#[allow(unused_imports, reason = "only builds with seeded bugs use it")]
#[doc(hidden)]
pub use self::seeded_bugs::GroupBug;
pub use self::{
    assignment::{HandOver, SegmentAssignment, StaticShare, StaticShareError},
    change::Change,
    reader::{Effect, GroupReaderMachine, GroupReaderSettings, LossReason, Moment, SegmentEnd},
    updates::ChangePlan,
};
