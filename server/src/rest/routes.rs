//! The paths of the service.

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post, put},
};

use super::{groups, health, index, metrics, scaling, scopes, streams};
use crate::state::ServerState;

/// The service's paths.
pub(super) fn router(state: Arc<ServerState>) -> Router {
    Router::new()
        .route("/", get(index::show))
        .route("/metrics", get(metrics::show))
        .route("/ping", get(health::ping))
        .route("/v1/scopes", get(scopes::show_all).merge(post(scopes::create)))
        .route("/v1/scopes/{scope}", get(scopes::show).merge(delete(scopes::delete)))
        .route("/v1/scopes/{scope}/streams", get(streams::show_all).merge(post(streams::create)))
        .route(
            "/v1/scopes/{scope}/streams/{stream}",
            get(streams::show).merge(put(streams::update)).merge(delete(streams::delete)),
        )
        .route("/v1/scopes/{scope}/streams/{stream}/state", put(streams::set_state))
        .route("/v1/scopes/{scope}/streams/{stream}/scaling-events", get(scaling::show))
        .route("/v1/scopes/{scope}/readergroups", get(groups::show_all))
        .route(
            "/v1/scopes/{scope}/readergroups/{group}",
            get(groups::show).merge(delete(groups::delete)),
        )
        .route("/v1/health", get(health::all))
        .route("/v1/health/status", get(health::status))
        .route("/v1/health/readiness", get(health::readiness))
        .route("/v1/health/liveness", get(health::liveness))
        .route("/v1/health/details", get(health::details))
        .route("/v1/health/{part}", get(health::part))
        .route("/v1/health/status/{part}", get(health::part))
        .route("/v1/health/readiness/{part}", get(health::part))
        .route("/v1/health/liveness/{part}", get(health::part))
        .route("/v1/health/details/{part}", get(health::part))
        .with_state(state)
}
