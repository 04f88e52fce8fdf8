//! Calls about streams.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use pravega_sdk_proto::{
    StreamConfig, StreamInfo, create_stream_status, delete_stream_status, update_stream_status,
};
use pravega_sdk_server_core::{
    access::{Need, Operation, Resource},
    catalog::{Catalog, Slice, StreamFilter},
    store::Step,
};
use pravega_sdk_types::Stream;
use serde::{Deserialize, Serialize};

use super::{
    body::Json,
    call::{Answer, Refusal, call, call_of, json},
    listing::{self, Around, List, list},
    policy::{Settings, StreamProperty},
    scopes::no_content,
};
use crate::{needs, state::ServerState};

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

    fn needs(&self) -> Need<'_> {
        needs::scope(Operation::Read, &self.scope)
    }

    fn needs_of<'a>(&'a self, (stream, _): &'a Self::Item) -> Need<'a> {
        Need::Allowed(Operation::Read, Resource::Stream(&self.scope, stream))
    }

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
    let need = (&headers, needs::scope(Operation::Write, &scope));
    let created = call(&state, need, |catalog, step| catalog.create_stream(config, step)).await??;
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
    let need = (&headers, needs::stream(Operation::Read, &info));
    let config = call(&state, need, |catalog, _| catalog.stream_configuration(&info)).await?;
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
    let info = info((scope, stream));
    let update = |catalog: &mut Catalog, step: &mut Step<'_>| catalog.update_stream(config, step);
    let need = (&headers, needs::stream(Operation::Write, &info));
    let updated = call_of(&state, need, &info, update);
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
    let need = (&headers, needs::stream(Operation::Write, &info));
    let updated = call(&state, need, |catalog, step| catalog.seal_stream(&info, step));
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
    let delete = |catalog: &mut Catalog, step: &mut Step<'_>| catalog.delete_stream(&info, step);
    let need = (&headers, needs::stream(Operation::Write, &info));
    let deleted = call_of(&state, need, &info, delete).await??;
    match deleted {
        Status::Success => Ok(no_content()),
        Status::StreamNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::StreamNotSealed => Err(StatusCode::PRECONDITION_FAILED.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_server_core::record::{Durability, Sequence};
    use tokio::sync::watch;

    use super::*;
    use crate::{builder::ServerBuilder, clock::Clock, durable::Durable};

    /// A server whose clients have just created a stream of 5,000 segments.
    fn changing(seal: bool) -> Arc<ServerState> {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        let state = Arc::new(ServerState::new(machine, Clock::standing(), durable, None));
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "scalingPolicy": {"type": "FIXED_NUM_SEGMENTS", "minSegments": 5000}
        }))
        .unwrap();
        let config = settings.into_config("s", "t").unwrap();
        state.run(|machine, at| {
            let (catalog, mut step) = machine.call(at);
            catalog.create_scope("s", &mut step).unwrap();
            catalog.create_stream(config, &mut step).unwrap();
            if seal {
                catalog.seal_stream(&info(named()), &mut step).unwrap();
            }
            assert!(!machine.store.is_stream_settled("s", "t"));
        });
        state
    }

    fn named() -> (String, String) {
        ("s".to_owned(), "t".to_owned())
    }

    #[tokio::test]
    async fn a_call_waits_while_the_segments_of_its_stream_change() {
        let state = changing(false);
        let settings = serde_json::json!({
            "scalingPolicy": {"type": "FIXED_NUM_SEGMENTS", "minSegments": 7}
        });
        let settings = Json(serde_json::from_value(settings).unwrap());
        let updated = update(State(state), HeaderMap::new(), Path(named()), settings);
        assert_eq!(updated.await.unwrap().status(), StatusCode::OK);
        let deleted = delete(State(changing(true)), HeaderMap::new(), Path(named())).await;
        assert_eq!(deleted.unwrap().status(), StatusCode::NO_CONTENT);
        let sealed = StreamState { stream_state: SealedState::Sealed };
        let sealed =
            set_state(State(changing(false)), HeaderMap::new(), Path(named()), Json(sealed)).await;
        assert_eq!(sealed.unwrap().status(), StatusCode::OK);
    }
}
