//! The state of a reader group, its updates, and the bytes of both.
//!
//! ```text
//! group_state   configuration, assigned, unassigned and future segments, checkpoints
//! apply         what each update does to it
//! journal       what updates have changed in it, to store or to undo that
//! fair_share    what a reader should take or give back by it
//! serial        the bytes of Java's client
//! entries       the state as entries, of which an update changes few
//! ```

mod apply;
mod checkpoints;
mod configuration;
mod entries;
mod fair_share;
mod future_segments;
mod group_state;
mod init;
mod journal;
mod ordered;
mod segment_offsets;
mod serial;
#[cfg(test)]
mod tests;
mod update;
mod update_error;

pub use self::{
    checkpoints::CheckpointState,
    configuration::StoredConfiguration,
    fair_share::FairShare,
    group_state::ReaderGroupState,
    init::GroupInit,
    segment_offsets::{GroupSegment, SegmentOffsets},
    update::{GroupInitial, GroupUpdate, SegmentCompletion, SegmentRelease},
    update_error::GroupUpdateError,
};
pub(crate) use self::{
    entries::{Basis, EntryChanges, Refreshed, StageError, StoredState},
    group_state::Adoption,
};
