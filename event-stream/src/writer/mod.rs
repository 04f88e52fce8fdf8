//! Writing events: the writer, its settings, permits and sinks.

mod config;
mod encoder;
mod event_writer;
mod permit;
mod sink;

pub use self::{
    config::{LargeEvents, WriterConfig},
    event_writer::{EventWriter, TryEnqueueError},
    permit::Permit,
    sink::EventSink,
};
