//! A seed as a reader group with faults: readers join, read, leave, stop for a while or die, over
//! connections that break, while replies are lost, stores stop, segments move, the stream scales,
//! and dead readers are taken offline at their last positions or at their last checkpoints.
//!
//! | check | holds |
//! |---|---|
//! | R4 | each event is returned, and again only if its reader was taken offline at or before it |
//! | R5 | the events of a reader in a segment are in order, and those of a successor come after all of its predecessors |
//! | R13 | a reader that was taken offline returns nothing more than the time of a refresh and a request after it |
//! | C7 | an event is returned by the reader to which its segment is assigned |
//! | C8 | a checkpoint is shown to all its readers, and divides their events |
//! | C14 | every call ends, and everything is read after the repair |

mod checks;
mod log;
mod readers;
mod stage;

use crate::Report;

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { stage::Stage::new(seed).run().await })
}
