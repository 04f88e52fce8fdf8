//! Calls about the segments of streams: their lists, their segment stores, and tokens for them.

use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream,
    SegmentId, StreamCut, Successor,
};

use super::answer::{Result, call, read};
use crate::{
    AccessOperation, ControllerError, CutRange, DelegationToken, SegmentWithRange,
    grpc::{client::ControllerClient, convert},
    machine::Route,
};

pub(super) async fn current_segments(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Vec<SegmentWithRange>> {
    // Without an access operation the controller requires more rights and issues a token for
    // more operations.
    let message = convert::stream_info_for(stream, proto::stream_info::AccessOperation::None);
    let answer =
        call!(client, "getCurrentSegments", Harmless, stream, get_current_segments, message)?;
    let segments = convert::covering_segments(&answer.message.segment_ranges);
    read("getCurrentSegments", stream, &answer.endpoint, segments)
}

pub(super) async fn epoch_segments(
    client: &ControllerClient,
    stream: &ScopedStream,
    epoch: Epoch,
) -> Result<Vec<SegmentWithRange>> {
    let message = proto::GetEpochSegmentsRequest {
        stream_info: Some(convert::stream_info(stream)),
        epoch: epoch.0,
    };
    let answer = call!(client, "getEpochSegments", Harmless, stream, get_epoch_segments, message)?;
    let segments = convert::covering_segments(&answer.message.segment_ranges);
    read("getEpochSegments", stream, &answer.endpoint, segments)
}

pub(super) async fn head_segments(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Vec<(SegmentId, Offset)>> {
    // As for the current segments. The server ignores the timestamp: it always returns the head.
    let info = convert::stream_info_for(stream, proto::stream_info::AccessOperation::None);
    let message = proto::GetSegmentsRequest { stream_info: Some(info), timestamp: 0 };
    let answer = call!(client, "getSegments", Harmless, stream, get_segments, message)?;
    read("getSegments", stream, &answer.endpoint, convert::head(&answer.message))
}

pub(super) async fn successors(
    client: &ControllerClient,
    segment: &ScopedSegment,
) -> Result<Vec<Successor>> {
    successors_by(Route::Any, client, segment).await
}

async fn successors_by(
    route: Route,
    client: &ControllerClient,
    segment: &ScopedSegment,
) -> Result<Vec<Successor>> {
    let message = convert::segment_id(segment);
    let name = "getSegmentsImmediatelyFollowing";
    let answer = call!(
        by route,
        client,
        "getSegmentsImmediatelyFollowing",
        Harmless,
        segment,
        get_segments_immediately_following,
        message
    )?;
    read(name, segment, &answer.endpoint, convert::successors(&answer.message))
}

/// Asks an instance whether a stream is sealed: if it is, returns the route to that instance, for
/// a second question.
async fn route_if_sealed(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Option<Route>> {
    let message = convert::stream_info_for(stream, proto::stream_info::AccessOperation::None);
    let present =
        call!(client, "getCurrentSegments", Harmless, stream, get_current_segments, message)?;
    Ok(present.message.segment_ranges.is_empty().then(|| present.route()))
}

/// The second question goes over the connection over which the first answer came, so that the same
/// instance answers both.
pub(super) async fn final_successors(
    client: &ControllerClient,
    segment: &ScopedSegment,
) -> Result<Option<Vec<Successor>>> {
    match route_if_sealed(client, &segment.scoped_stream()).await? {
        None => Ok(None),
        Some(route) => successors_by(route, client, segment).await.map(Some),
    }
}

/// As [`final_successors`], of a cut.
pub(super) async fn final_segments_after(
    client: &ControllerClient,
    cut: &BoundedCut,
) -> Result<Option<Vec<ScopedSegment>>> {
    let stream = cut.stream();
    let Some(route) = route_if_sealed(client, stream).await? else {
        return Ok(None);
    };
    let range = CutRange::new(cut.clone(), StreamCut::Unbounded);
    segments_between_by(route, client, stream, &range).await.map(Some)
}

pub(super) async fn segments_between(
    client: &ControllerClient,
    stream: &ScopedStream,
    range: &CutRange,
) -> Result<Vec<ScopedSegment>> {
    let name = "getSegmentsBetween";
    if range.from == StreamCut::Unbounded && range.to == StreamCut::Unbounded {
        return Err(ControllerError::invalid("one of the two cuts must not be unbounded")
            .with_operation(name, stream));
    }
    for cut in [&range.from, &range.to].into_iter().filter_map(StreamCut::bounded) {
        if cut.stream() != stream {
            let detail = format!("a cut of stream {} is given for stream {stream}", cut.stream());
            return Err(ControllerError::new(
                ErrorKind::InvalidStreamCut,
                Outcome::NotApplied,
                detail,
            )
            .with_operation(name, stream));
        }
    }
    segments_between_by(Route::Any, client, stream, range).await
}

async fn segments_between_by(
    route: Route,
    client: &ControllerClient,
    stream: &ScopedStream,
    range: &CutRange,
) -> Result<Vec<ScopedSegment>> {
    let message = proto::StreamCutRange {
        stream_info: Some(convert::stream_info(stream)),
        from: convert::cut_map(&range.from),
        to: convert::cut_map(&range.to),
    };
    let name = "getSegmentsBetween";
    let answer = call!(
        by route,
        client,
        "getSegmentsBetween",
        Harmless,
        stream,
        get_segments_between,
        message
    )?;
    let segments = answer.message.segments.iter().map(convert::scoped_segment).collect();
    read(name, stream, &answer.endpoint, segments)
}

pub(super) async fn segment_endpoint(
    client: &ControllerClient,
    segment: &ScopedSegment,
) -> Result<Endpoint> {
    let answer = call!(client, "getURI", Harmless, segment, get_uri, convert::segment_id(segment))?;
    read("getURI", segment, &answer.endpoint, convert::endpoint(&answer.message, &answer.endpoint))
}

pub(super) async fn is_segment_open(
    client: &ControllerClient,
    segment: &ScopedSegment,
) -> Result<bool> {
    let message = convert::segment_id(segment);
    Ok(call!(client, "isSegmentValid", Harmless, segment, is_segment_valid, message)?
        .message
        .response)
}

pub(super) async fn is_stream_cut_valid(
    client: &ControllerClient,
    cut: &BoundedCut,
) -> Result<bool> {
    let message = convert::stream_cut(cut);
    Ok(call!(client, "isStreamCutValid", Harmless, cut.stream(), is_stream_cut_valid, message)?
        .message
        .response)
}

pub(super) async fn delegation_token(
    client: &ControllerClient,
    stream: &ScopedStream,
    access: AccessOperation,
) -> Result<DelegationToken> {
    let message = convert::stream_info_for(stream, convert::access(access));
    let answer =
        call!(client, "getDelegationToken", Harmless, stream, get_delegation_token, message)?;
    Ok(DelegationToken::new(answer.message.delegation_token))
}
