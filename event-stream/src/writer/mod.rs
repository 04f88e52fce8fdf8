//! Writing events: the writer, its settings, permits and sinks.

mod config;
mod encoder;
mod event_writer;
mod keyed;
mod permit;
mod sink;

pub use self::{
    config::{LargeEvents, WriterConfig},
    event_writer::{EventWriter, TryEnqueueError},
    keyed::KeyedEventWriter,
    permit::Permit,
    sink::EventSink,
};
