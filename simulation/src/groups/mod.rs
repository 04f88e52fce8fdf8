//! A seed as a reader group with faults: readers with leases or without join, read, leave, die or
//! are stopped for longer than their leases, over connections that break, while replies are lost,
//! requests late, stores away, segments and the state moved, the stream scaled and truncated, and
//! the state compacted. Dead readers are taken out by living ones, or by another client.
//!
//! The checks are about what readers returned and when, and what was appended to the state when.
//! So they know at each moment which reader has which segment: its *tenure*.
//!
//! | check | holds |
//! |---|---|
//! | R4 | each event is returned, and again only if its reader was taken out at or before it |
//! | R5 | the events of a tenure are in order, and a segment is read after all its predecessors; a dead reader is taken out within the bound of its lease |
//! | R13 | a position does not go back, and a truncation is reported where there was one |
//! | R15 | the times of the windows of a reader do not go back, and no event is returned for the first time of a time that was complete |
//! | C7 | an event is returned by the reader whose segment it is at that moment; one that another client has taken out returns nothing more than the time of a refresh and a request after it |
//! | C8 | a checkpoint is shown to all its readers, and divides all events |
//! | C14 | every call ends, everything is read after the repair, and readers that renew their leases stay in the group |

mod bug;
mod checkpoints;
mod checks;
mod deaths;
mod log;
mod names;
mod readers;
mod stage;
mod tenures;
mod troubles;
mod windows;

pub use bug::Bug;

use crate::Report;

/// Runs a seed, with the code as it is or with a bug.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<Bug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { stage::Stage::new(seed, bug).run().await })
}
