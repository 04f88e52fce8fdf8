//! The reading half of the controller's REST service, for dashboards and curl.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use pravega_sdk_server_core::{
    catalog::{Catalog, StreamFilter},
    machine::Machine,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::state::ServerState;

type Server = State<Arc<ServerState>>;

/// The service's paths.
pub(crate) fn router(state: Arc<ServerState>) -> Router {
    let health = || async {
        json_of(StatusCode::OK, &json!({ "status": "UP", "readiness": true, "liveness": true }))
    };
    Router::new()
        .route("/v1/scopes", get(scopes))
        .route("/v1/scopes/{scope}", get(scope))
        .route("/v1/scopes/{scope}/streams", get(streams))
        .route("/v1/scopes/{scope}/streams/{stream}", get(stream))
        .route("/v1/scopes/{scope}/streams/{stream}/scaling-events", get(scaling))
        .route("/v1/scopes/{scope}/readergroups", get(groups))
        .route("/v1/scopes/{scope}/readergroups/{group}", get(group))
        .route("/v1/health", get(health))
        .route("/v1/health/status", get(|| async { json_of(StatusCode::OK, &json!("UP")) }))
        .route("/v1/health/readiness", get(|| async { json_of(StatusCode::OK, &json!(true)) }))
        .route("/v1/health/liveness", get(|| async { json_of(StatusCode::OK, &json!(true)) }))
        .with_state(state)
}

fn json_of(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Sends a description to a client that has an account, once the changes that it reveals are
/// durable.
async fn show<T: Serialize>(
    state: &ServerState,
    headers: &HeaderMap,
    describe: impl FnOnce(&Catalog) -> Option<T>,
) -> Response {
    if state.faults.controller_is_away() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let credentials = headers
        .get(header::AUTHORIZATION)
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    let describe = |machine: &mut Machine, _| {
        let refused = machine.access.as_ref().is_some_and(|access| !access.admits(credentials));
        if refused {
            Err(StatusCode::UNAUTHORIZED)
        } else {
            describe(&machine.catalog).ok_or(StatusCode::NOT_FOUND)
        }
    };
    match state.run_durably(describe).await {
        Ok(Ok(found)) => match serde_json::to_value(found) {
            Ok(found) => json_of(StatusCode::OK, &found),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        Ok(Err(status)) => status.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn scopes(State(state): Server, headers: HeaderMap) -> Response {
    show(&state, &headers, |catalog| Some(catalog.describe_scopes())).await
}

async fn scope(State(state): Server, headers: HeaderMap, Path(scope): Path<String>) -> Response {
    show(&state, &headers, |catalog| catalog.describe_scope(&scope)).await
}

async fn streams(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let value = || query.get("filter_value").cloned().unwrap_or_default();
    let filter = match query.get("filter_type").map(String::as_str) {
        Some("showInternalStreams") => StreamFilter::Internal,
        Some("tag") => StreamFilter::Tagged(value()),
        _ => StreamFilter::Own,
    };
    show(&state, &headers, |catalog| catalog.describe_streams(&scope, &filter)).await
}

async fn stream(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, stream)): Path<(String, String)>,
) -> Response {
    show(&state, &headers, |catalog| catalog.describe_stream(&scope, &stream)).await
}

async fn scaling(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, stream)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let time = |name: &str, default| {
        query.get(name).map_or(Some(default), |time| time.parse::<i64>().ok())
    };
    let (Some(from), Some(to)) = (time("from", 0), time("to", i64::MAX)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    show(&state, &headers, |catalog| catalog.describe_scaling(&scope, &stream, from..=to)).await
}

async fn groups(State(state): Server, headers: HeaderMap, Path(scope): Path<String>) -> Response {
    show(&state, &headers, |catalog| catalog.describe_groups(&scope)).await
}

async fn group(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, group)): Path<(String, String)>,
) -> Response {
    show(&state, &headers, |catalog| catalog.describe_group(&scope, &group)).await
}
