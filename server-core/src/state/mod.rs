//! The state of the server as the log keeps it: changes, and the keys and values of checkpoints.
//!
//! ```text
//! change of the server ──> change ──> log                  appended, in the order of changes
//!                    └───> key, touched ──> value ──> checkpoint         taken at any moment
//!
//! values of a checkpoint, then changes of the log after it ──> folded ──> the server
//! ```
//!
//! A change has absolute values only: offsets, versions, and the parts of what was merged. So it
//! can be applied again to a value that has it already, or that is newer: the changes after it
//! follow, and the last value of each key is the same. Segments are named by numbers that are never
//! used again; what belongs to a segment has its number in its key, and leaves with it.

mod change;
mod folded;
mod key;
mod parts;
mod touched;

pub use self::touched::{FreedRanges, Touched};
pub(crate) use self::{
    change::{
        AppendedMeta, ENTRY_HEADER_LEN, ManyState, NextNumbers, PartOf, SegmentState, StateChange,
        decode, encode,
    },
    folded::{Folded, ManyLeft, Unfolded},
    key::StateKey,
    parts::Parts,
    touched::TouchedKeys,
};
