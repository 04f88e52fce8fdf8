//! The one segment of a byte stream.

use std::sync::Arc;

use pravega_sdk_segment_client::{
    context::SegmentContext,
    error::{ReadError, WriteError},
};
use pravega_sdk_types::{Outcome, ScopedSegment, ScopedStream};
use pravega_sdk_wire_protocol::commands::StreamSegmentInfo;

/// The one segment of a byte stream, and how long it is.
pub(crate) async fn segment_of(
    context: &SegmentContext,
    stream: &ScopedStream,
) -> Result<(ScopedSegment, StreamSegmentInfo), ReadError> {
    let head = context.controller().head_segments(stream).await;
    let head = head.map_err(|error| {
        ReadError::from_controller(error, "the stream's head cannot be found", stream)
    })?;
    let &[(id, _)] = head.as_slice() else {
        let segments = head.len();
        let detail = format_args!("a byte stream has one segment, this stream has {segments}");
        return Err(ReadError::invalid(detail).with_stream(stream));
    };
    let segment = ScopedSegment::new(stream, id);
    let info = info(context, &segment).await?;
    Ok((segment, info))
}

pub(crate) async fn info(
    context: &SegmentContext,
    segment: &ScopedSegment,
) -> Result<StreamSegmentInfo, ReadError> {
    let info = context.inspect(segment).await;
    info.map_err(|error| error.into_read(segment, "the segment's length cannot be found"))
}

/// Turns an error of an inspection into one of a writer.
pub(crate) fn to_write(error: ReadError, detail: &str, stream: &ScopedStream) -> WriteError {
    WriteError::new(error.kind(), Outcome::NotApplied, detail)
        .with_stream(stream)
        .with_source(Some(Arc::new(error)))
}
