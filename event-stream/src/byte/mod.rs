//! Byte streams: one segment, written and read as bytes without any framing.
//!
//! A stream is either one of events or one of bytes; what writes the one kind must not write the
//! other.

mod config;
mod reader;
mod segment;
mod writer;

pub(crate) use self::segment::{info, segment_of, to_write};
pub use self::{
    config::{ByteReaderConfig, ByteWriterConfig},
    reader::ByteReader,
    writer::ByteWriter,
};
