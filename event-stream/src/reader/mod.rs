//! Reading events: the reader, its settings, and positions in a stream.

mod config;
mod coverage;
mod cuts;
mod epochs;
mod event;
mod event_reader;
pub(crate) mod machine;
mod place;
mod sealed;

pub use self::{
    config::{ReadUntil, ReaderConfig},
    event::ReadEvent,
    event_reader::EventReader,
    machine::CorruptEvents,
};
pub(crate) use self::{
    cuts::{CheckedCut, Cuts, StartedBy, is_missing},
    epochs::segments_of_epoch,
    machine::{Bounds, Start},
    place::{bounds_of, explain_missing, head_cut, make_cut, position_of, segment_tails, tail_cut},
    sealed::final_successors,
};
