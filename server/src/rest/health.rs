//! The health of the server, which needs no account.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde_json::json;

use super::call::{Answer, caller, json};
use crate::state::ServerState;

type Server = State<Arc<ServerState>>;

/// Returns true if changes are possible.
pub(super) fn is_ready(state: &ServerState) -> bool {
    let works = state.run(|machine, _| machine.journal.failure().is_none()).0;
    works && !state.faults.controller_is_away()
}

fn status_of(is_ready: bool) -> &'static str {
    if is_ready { "UP" } else { "DOWN" }
}

pub(super) async fn ping() -> StatusCode {
    StatusCode::OK
}

pub(super) async fn all(State(state): Server) -> Answer {
    let readiness = is_ready(&state);
    let health = json!({
        // As the Java server shows the whole of its parts.
        "name": "",
        "status": status_of(readiness),
        "readiness": readiness,
        "liveness": true,
        "details": {},
        "children": {},
    });
    json(StatusCode::OK, &health)
}

pub(super) async fn status(State(state): Server) -> Answer {
    json(StatusCode::OK, &status_of(is_ready(&state)))
}

pub(super) async fn readiness(State(state): Server) -> Answer {
    json(StatusCode::OK, &is_ready(&state))
}

pub(super) async fn liveness() -> Answer {
    json(StatusCode::OK, &true)
}

pub(super) async fn details(State(state): Server, headers: HeaderMap) -> Answer {
    caller(&state, &headers).await?;
    json(StatusCode::OK, &json!({}))
}

/// The health of a part of the server: it has none of its own.
pub(super) async fn part(Path(_): Path<String>) -> StatusCode {
    StatusCode::NOT_FOUND
}
