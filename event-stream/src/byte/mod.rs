//! Byte streams: one segment, written and read as bytes without any framing.
//!
//! A stream is either one of events or one of bytes; what writes the one kind must not write the
//! other.

mod reader;
mod writer;

use std::sync::Arc;

use pravega_sdk_types::{ErrorKind, Outcome, ScopedSegment, ScopedStream};
use pravega_sdk_wire_protocol::commands::StreamSegmentInfo;

pub use self::{
    reader::{ByteReader, ByteReaderConfig},
    writer::ByteWriter,
};
use crate::{
    error::{ReadError, WriteError},
    parts::StreamParts,
};

/// The one segment of a byte stream, and how long it is.
pub(crate) async fn segment_of(
    parts: &StreamParts,
    stream: &ScopedStream,
) -> Result<(ScopedSegment, StreamSegmentInfo), ReadError> {
    let head = parts.controller.head_segments(stream).await;
    let head = head.map_err(|error| {
        ReadError::from_controller(error, "the stream's head cannot be found", stream)
    })?;
    let &[(id, _)] = head.as_slice() else {
        let detail = format_args!("a byte stream has one segment, this stream has {}", head.len());
        return Err(ReadError::invalid(detail).of(stream));
    };
    let segment = ScopedSegment::new(stream, id);
    let info = info(parts, &segment).await?;
    Ok((segment, info))
}

pub(crate) async fn info(
    parts: &StreamParts,
    segment: &ScopedSegment,
) -> Result<StreamSegmentInfo, ReadError> {
    let info = parts.inspect(segment).await;
    info.map_err(|error| error.into_read(segment, "the segment's length cannot be found"))
}

/// A failure to look, as one of whoever writes.
pub(crate) fn to_write(error: ReadError, detail: &str, stream: &ScopedStream) -> WriteError {
    WriteError::new(error.kind(), Outcome::NotApplied, detail)
        .of(stream)
        .because(Some(Arc::new(error)))
}

/// What the standard library calls that kind of error.
fn io_kind(kind: ErrorKind) -> std::io::ErrorKind {
    use std::io::ErrorKind as Io;
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::InvalidName | ErrorKind::InvalidStreamCut => {
            Io::InvalidInput
        }
        ErrorKind::Timeout | ErrorKind::Unavailable => Io::TimedOut,
        ErrorKind::Unreachable => Io::NotConnected,
        ErrorKind::ConnectionLost => Io::ConnectionAborted,
        ErrorKind::NotFound => Io::NotFound,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::TokenExpired => {
            Io::PermissionDenied
        }
        ErrorKind::Unsupported => Io::Unsupported,
        ErrorKind::Closed | ErrorKind::Sealed => Io::BrokenPipe,
        ErrorKind::Protocol | ErrorKind::Corrupt => Io::InvalidData,
        _ => Io::Other,
    }
}

impl From<WriteError> for std::io::Error {
    fn from(error: WriteError) -> Self {
        Self::new(io_kind(error.kind()), error)
    }
}

impl From<ReadError> for std::io::Error {
    fn from(error: ReadError) -> Self {
        Self::new(io_kind(error.kind()), error)
    }
}
