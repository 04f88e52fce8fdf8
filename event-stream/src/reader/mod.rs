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
    cuts::{CheckedCut, Cuts, StartedBy},
    epochs::segments_of_epoch,
    machine::{Bounds, Start},
    place::{explain_missing, head_cut, make_cut, segment_tails, tail_cut},
    sealed::final_successors,
};
