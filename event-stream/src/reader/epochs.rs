//! Segments that a caller names, at a controller that may not know the latest changes.

use pravega_sdk_controller_client::{ControllerError, SegmentWithRange};
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_types::{Epoch, ErrorKind, ScopedStream, SegmentId, SegmentNumber};

/// Returns the segments of the epoch in which a segment was created. A controller that does not
/// know the epoch, or names it without the segment, as it still knows an earlier stream of the same
/// name, is asked again for as long as an instance of it may lag, unless the segment itself is one
/// of an earlier stream.
///
/// The error is of kind [`NotFound`](ErrorKind::NotFound) if the stream does not exist or does not
/// have the epoch.
pub(crate) async fn segments_beside(
    context: &SegmentContext,
    stream: &ScopedStream,
    id: SegmentId,
) -> Result<Vec<SegmentWithRange>, ControllerError> {
    let mut lag = context.lag();
    loop {
        let found = context.controller().epoch_segments(stream, id.epoch()).await;
        let is_answer = match &found {
            Ok(segments) => segments.iter().any(|segment| segment.id == id),
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        if is_answer || !may_come(context, stream, id).await? || !lag.wait().await {
            return found;
        }
    }
}

/// As [`segments_beside`], for an epoch that the stream has.
pub(crate) async fn segments_of_epoch(
    context: &SegmentContext,
    stream: &ScopedStream,
    epoch: Epoch,
) -> Result<Vec<SegmentWithRange>, ControllerError> {
    let mut lag = context.lag();
    loop {
        match context.controller().epoch_segments(stream, epoch).await {
            Err(error) if error.kind() == ErrorKind::NotFound && lag.wait().await => {}
            found => return found,
        }
    }
}

/// Returns false if a segment that the controller does not know is one of an earlier stream of the
/// same name: the numbers of the segments go on from one stream to the next.
pub(crate) async fn may_come(
    context: &SegmentContext,
    stream: &ScopedStream,
    id: SegmentId,
) -> Result<bool, ControllerError> {
    match context.controller().epoch_segments(stream, Epoch(0)).await {
        Ok(first) => {
            let lowest = first.iter().map(|segment| segment.id.number()).min();
            Ok(lowest.is_none_or(|lowest: SegmentNumber| id.number() >= lowest))
        }
        // The controller demands more than the right to read.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
        // The stream does not exist.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
