//! Calls about streams.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use pravega_sdk_proto::{
    StreamConfig, StreamInfo, create_stream_status, delete_stream_status, update_stream_status,
};
use pravega_sdk_server_core::catalog::{Catalog, Slice, StreamFilter};
use pravega_sdk_types::Stream;
use serde::{Deserialize, Serialize};

use super::{
    body::Json,
    call::{Answer, Refusal, call, json},
    listing::{self, Around, List, list},
    policy::{Settings, StreamProperty},
    scopes::no_content,
};
use crate::state::ServerState;

type Server = State<Arc<ServerState>>;
type Parameters = Query<HashMap<String, String>>;
/// The scope and the stream in a path.
type Named = Path<(String, String)>;

/// A request to create a stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateStream {
    stream_name: String,
    #[serde(flatten)]
    settings: Settings,
}

/// The state of a stream that can be asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamState {
    stream_state: SealedState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SealedState {
    Sealed,
}

fn info((scope, stream): (String, String)) -> StreamInfo {
    StreamInfo { scope, stream, access_operation: 0 }
}

/// Streams of a scope.
struct Streams {
    scope: String,
    filter: StreamFilter,
}

impl List for Streams {
    type Item = (String, StreamConfig);
    type Place = String;

    fn slice(&self, catalog: &Catalog, from: Option<&String>) -> Option<Slice<Self::Item, String>> {
        catalog.streams_after(&self.scope, &self.filter, from.map_or("", String::as_str))
    }

    fn around(&self) -> Around {
        Around {
            before: "{\"streams\":[".to_owned(),
            after: "]}",
            empty: "{\"streams\":[]}".to_owned(),
        }
    }

    fn put(&mut self, (stream, config): Self::Item, to: &mut listing::Json) -> Option<Self::Item> {
        to.entry(&StreamProperty::of(&self.scope, &stream, config));
        None
    }
}

pub(super) async fn show_all(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
    Query(mut parameters): Parameters,
) -> Answer {
    let value = parameters.remove("filter_value");
    let filter = match (parameters.get("filter_type").map(String::as_str), value) {
        (Some("showInternalStreams"), _) => StreamFilter::Internal,
        (Some("tag"), Some(tag)) if tag.is_empty() => return Err(Refusal::bad("a tag is empty")),
        (Some("tag"), Some(tag)) => StreamFilter::Tagged(tag),
        _ => StreamFilter::Own,
    };
    list(state, headers, Streams { scope, filter }).await
}

pub(super) async fn create(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
    Json(CreateStream { stream_name, settings }): Json<CreateStream>,
) -> Answer {
    use create_stream_status::Status;
    // The controller's own call accepts internal names, too.
    Stream::new(&stream_name).map_err(|error| Refusal::bad(error.to_string()))?;
    let config = settings.into_config(&scope, &stream_name)?;
    let shown = StreamProperty::of(&scope, &stream_name, config.clone());
    let created =
        call(&state, &headers, |catalog, step| catalog.create_stream(config, step)).await??;
    match created {
        Status::Success => json(StatusCode::CREATED, &shown),
        Status::StreamExists => Err(StatusCode::CONFLICT.into()),
        Status::ScopeNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::InvalidStreamName => Err(StatusCode::BAD_REQUEST.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}

pub(super) async fn show(State(state): Server, headers: HeaderMap, Path(named): Named) -> Answer {
    let info = info(named);
    let config = call(&state, &headers, |catalog, _| catalog.stream_configuration(&info)).await?;
    let config = config.map_err(|_| StatusCode::NOT_FOUND)?;
    json(StatusCode::OK, &StreamProperty::of(&info.scope, &info.stream, config))
}

pub(super) async fn update(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, stream)): Named,
    Json(settings): Json<Settings>,
) -> Answer {
    let config = settings.into_config(&scope, &stream)?;
    let shown = StreamProperty::of(&scope, &stream, config.clone());
    let updated = call(&state, &headers, |catalog, step| catalog.update_stream(config, step));
    check_update(updated.await??)?;
    json(StatusCode::OK, &shown)
}

pub(super) async fn set_state(
    State(state): Server,
    headers: HeaderMap,
    Path(named): Named,
    Json(sealed): Json<StreamState>,
) -> Answer {
    let info = info(named);
    let updated = call(&state, &headers, |catalog, step| catalog.seal_stream(&info, step));
    check_update(updated.await??)?;
    json(StatusCode::OK, &sealed)
}

fn check_update(status: update_stream_status::Status) -> Result<(), Refusal> {
    use update_stream_status::Status;
    match status {
        Status::Success => Ok(()),
        Status::StreamNotFound | Status::ScopeNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::StreamSealed => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the stream is sealed"))
        }
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}

pub(super) async fn delete(State(state): Server, headers: HeaderMap, Path(named): Named) -> Answer {
    use delete_stream_status::Status;
    let info = info(named);
    let deleted =
        call(&state, &headers, |catalog, step| catalog.delete_stream(&info, step)).await??;
    match deleted {
        Status::Success => Ok(no_content()),
        Status::StreamNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::StreamNotSealed => Err(StatusCode::PRECONDITION_FAILED.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}
