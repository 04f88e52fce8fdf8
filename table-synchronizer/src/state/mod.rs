//! The state synchronizer: a state that clients agree on, as the entries of a revisioned stream.
//!
//! ```text
//! entry     kind i32 = 1 | initial state                       replaces the state
//!           kind i32 = 2 | (length i32 | update) ...           change it, in order
//! revision  (offset after the entry, number of the update in it)
//! mark      the revision before the newest compaction
//! ```
//!
//! The layout and the rules are those of Java's client. Java adds zero bytes after an initial
//! state, so a serializer must know where its own bytes end.

mod codecs;
mod config;
mod driver;
mod entry;
mod error;
mod machine;
mod shared_state;
mod state_synchronizer;

pub use self::{
    codecs::StateCodecs,
    config::StateConfig,
    entry::{StateEntry, StateEntryError, StateUpdates},
    error::StateError,
    shared_state::{SharedState, StateSerializer},
    state_synchronizer::StateSynchronizer,
};
