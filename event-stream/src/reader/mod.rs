//! Reading events: the reader, its settings, and positions in a stream.

mod config;
mod event;
mod event_reader;
pub(crate) mod machine;
mod place;

pub(crate) use self::place::{check_stream, head_cut, make_cut, segment_tails, tail_cut};
pub use self::{
    config::{ReadUntil, ReaderConfig},
    event::ReadEvent,
    event_reader::EventReader,
    machine::CorruptEvents,
};
