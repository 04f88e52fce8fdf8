//! Calls about streams: their life cycle, configuration and scaling.

use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, Epoch, ErrorKind, KeyRange, KeyRangeError, Scope, ScopedStream, SegmentId,
    StreamConfiguration, Tag, check_cover,
};

use super::answer::{
    Result, call, failed, judge, next_token, no_scope, no_stream, read, refused, token,
};
use crate::{
    ControllerError, Creation, Deletion, Page, PageToken, ScaleStart, ScaleState,
    grpc::{call::Answer, client::ControllerClient, convert},
};

pub(super) async fn create_stream(
    client: &ControllerClient,
    stream: &ScopedStream,
    configuration: &StreamConfiguration,
) -> Result<Creation> {
    use proto::create_stream_status::Status;
    let message = convert::stream_config(stream, configuration)?;
    let answer = call!(client, "createStream", Harmless, stream, create_stream, message)?;
    judge!("createStream", stream, answer, Status, answer.message.status, {
        Status::Success => Ok(Creation::Created),
        Status::StreamExists => Ok(Creation::AlreadyExisted),
        Status::ScopeNotFound => no_scope(),
        Status::InvalidStreamName => {
            refused(ErrorKind::InvalidName, "the controller refuses this name")
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn update_stream(
    client: &ControllerClient,
    stream: &ScopedStream,
    configuration: &StreamConfiguration,
) -> Result<()> {
    let message = convert::stream_config(stream, configuration)?;
    let answer = call!(client, "updateStream", Harmless, stream, update_stream, message)?;
    update_status("updateStream", stream, &answer)
}

pub(super) async fn truncate_stream(client: &ControllerClient, cut: &BoundedCut) -> Result<()> {
    let answer = call!(
        client,
        "truncateStream",
        Harmless,
        cut.stream(),
        truncate_stream,
        convert::stream_cut(cut)
    )?;
    update_status("truncateStream", cut.stream(), &answer)
}

pub(super) async fn seal_stream(client: &ControllerClient, stream: &ScopedStream) -> Result<()> {
    let answer =
        call!(client, "sealStream", Harmless, stream, seal_stream, convert::stream_info(stream))?;
    update_status("sealStream", stream, &answer)
}

pub(super) async fn delete_stream(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Deletion> {
    use proto::delete_stream_status::Status;
    let answer = call!(
        client,
        "deleteStream",
        Harmless,
        stream,
        delete_stream,
        convert::stream_info(stream)
    )?;
    judge!("deleteStream", stream, answer, Status, answer.message.status, {
        Status::Success => Ok(Deletion::Deleted),
        Status::StreamNotFound => Ok(Deletion::NotFound),
        Status::StreamNotSealed => {
            refused(ErrorKind::NotSealed, "the stream must be sealed before it is deleted")
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn stream_exists(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<bool> {
    let message = convert::stream_info(stream);
    Ok(call!(client, "checkStreamExists", Harmless, stream, check_stream_exists, message)?
        .message
        .exists)
}

pub(super) async fn stream_configuration(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<StreamConfiguration> {
    let message = convert::stream_info(stream);
    let answer = call!(
        client,
        "getStreamConfiguration",
        Harmless,
        stream,
        get_stream_configuration,
        message
    )?;
    read(
        "getStreamConfiguration",
        stream,
        &answer.endpoint,
        convert::configuration(&answer.message),
    )
}

pub(super) async fn streams_page(
    client: &ControllerClient,
    scope: &Scope,
    start: &PageToken,
) -> Result<Page<ScopedStream>> {
    let message = proto::StreamsInScopeRequest {
        scope: Some(convert::scope_info(scope)),
        continuation_token: token(start),
    };
    let answer =
        call!(client, "listStreamsInScope", Harmless, scope, list_streams_in_scope, message)?;
    read_page("listStreamsInScope", scope, answer)
}

pub(super) async fn streams_by_tag_page(
    client: &ControllerClient,
    scope: &Scope,
    tag: &Tag,
    start: &PageToken,
) -> Result<Page<ScopedStream>> {
    let message = proto::StreamsInScopeWithTagRequest {
        scope: Some(convert::scope_info(scope)),
        tag: tag.to_string(),
        continuation_token: token(start),
    };
    let answer = call!(
        client,
        "listStreamsInScopeForTag",
        Harmless,
        scope,
        list_streams_in_scope_for_tag,
        message
    )?;
    read_page("listStreamsInScopeForTag", scope, answer)
}

pub(super) async fn scale(
    client: &ControllerClient,
    stream: &ScopedStream,
    sealed: &[SegmentId],
    ranges: &[KeyRange],
) -> Result<ScaleStart> {
    use proto::scale_response::ScaleStreamStatus as Status;
    if sealed.is_empty() {
        return Err(ControllerError::invalid("no segments to seal are given")
            .with_operation("scale", stream));
    }
    check_pieces(ranges).map_err(|error| error.with_operation("scale", stream))?;
    let entry = |range: &KeyRange| proto::scale_request::KeyRangeEntry {
        start: range.low(),
        end: range.high(),
    };
    let message = proto::ScaleRequest {
        stream_info: Some(convert::stream_info(stream)),
        sealed_segments: sealed.iter().map(|id| i64::from(*id)).collect(),
        new_key_ranges: ranges.iter().map(entry).collect(),
        scale_timestamp: milliseconds_since_1970(),
    };
    let answer = call!(client, "scale", Harmful, stream, scale, message)?;
    judge!("scale", stream, answer, Status, answer.message.status, {
        Status::Started => Ok(ScaleStart::Started {
            epoch: Epoch(answer.message.epoch),
            segments: convert::segments_with_ranges(&answer.message.segments)?,
        }),
        Status::PreconditionFailed => Ok(ScaleStart::PreconditionFailed),
        Status::Failure => refused(
            ErrorKind::InvalidArgument,
            "the controller refused: the ranges do not match the segments to seal, \
             or the stream is sealed",
        ),
    })
}

pub(super) async fn scale_state(
    client: &ControllerClient,
    stream: &ScopedStream,
    epoch: Epoch,
) -> Result<ScaleState> {
    use proto::scale_status_response::ScaleStatus as Status;
    let message = proto::ScaleStatusRequest {
        stream_info: Some(convert::stream_info(stream)),
        epoch: epoch.0,
    };
    let answer = call!(client, "checkScale", Harmless, stream, check_scale, message)?;
    judge!("checkScale", stream, answer, Status, answer.message.status, {
        Status::InProgress => Ok(ScaleState::InProgress),
        Status::Success => Ok(ScaleState::Done),
        Status::InvalidInput => {
            refused(
                ErrorKind::InvalidArgument,
                "the stream does not exist, or has not reached this epoch",
            )
        },
        Status::InternalError => failed(),
    })
}

fn milliseconds_since_1970() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// Checks that each run of neighboring ranges has no gaps; runs may be apart, as a scale can seal
/// any segments.
fn check_pieces(ranges: &[KeyRange]) -> Result<()> {
    match check_cover(ranges) {
        Ok(_) | Err(KeyRangeError::Gap { .. }) => Ok(()),
        Err(error) => {
            Err(ControllerError::invalid(format!("the new key ranges cannot be: {error}")))
        }
    }
}

fn update_status(
    name: &'static str,
    stream: &ScopedStream,
    answer: &Answer<proto::UpdateStreamStatus>,
) -> Result<()> {
    use proto::update_stream_status::Status;
    let judged = match Status::try_from(answer.message.status) {
        Ok(Status::Success) => Ok(()),
        Ok(Status::StreamNotFound) => no_stream(),
        Ok(Status::ScopeNotFound) => no_scope(),
        Ok(Status::StreamSealed) => refused(ErrorKind::Sealed, "the stream is sealed"),
        Ok(Status::Failure) if name == "truncateStream" => refused(
            ErrorKind::InvalidStreamCut,
            "the controller refused: the cut does not cover the stream, or lies before its head",
        ),
        Ok(Status::Failure) => failed(),
        Err(_) => Err(convert::unknown_status(answer.message.status)),
    };
    read(name, stream, &answer.endpoint, judged)
}

fn read_page(
    name: &'static str,
    scope: &Scope,
    answer: Answer<proto::StreamsInScopeResponse>,
) -> Result<Page<ScopedStream>> {
    use proto::streams_in_scope_response::Status;
    let judged = match Status::try_from(answer.message.status) {
        // Servers without this status send other numbers with a valid page.
        Ok(Status::Success) | Err(_) => Ok(()),
        Ok(Status::ScopeNotFound) => no_scope(),
        Ok(Status::Failure) => failed(),
    };
    read(name, scope, &answer.endpoint, judged)?;
    let items = answer.message.streams.iter().map(convert::scoped_stream).collect();
    let items = read(name, scope, &answer.endpoint, items)?;
    Ok(Page { items, next: next_token(answer.message.continuation_token) })
}
