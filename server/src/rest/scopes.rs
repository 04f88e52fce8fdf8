//! Calls about scopes.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use pravega_sdk_proto::{create_scope_status, delete_scope_status};
use pravega_sdk_server_core::{
    access::{Need, Operation},
    catalog::{Catalog, Slice},
};
use pravega_sdk_types::Scope;
use serde::{Deserialize, Serialize};

use super::{
    body::Json,
    call::{Answer, Refusal, call, json},
    listing::{self, Around, List, list},
};
use crate::{needs, state::ServerState};

type Server = State<Arc<ServerState>>;

/// A scope, in requests and responses.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScopeProperty {
    pub(super) scope_name: String,
}

/// All scopes, in the pages of the controller's own call.
struct Scopes;

impl List for Scopes {
    type Item = String;
    type Place = String;

    fn needs(&self) -> Need<'_> {
        needs::scopes(Operation::Read)
    }

    fn needs_of<'a>(&'a self, scope: &'a String) -> Need<'a> {
        needs::scope(Operation::Read, scope)
    }

    fn slice(&self, catalog: &Catalog, from: Option<&String>) -> Option<Slice<String, String>> {
        let page = catalog.list_scopes(from.map_or("", String::as_str));
        // A page without names ends the list.
        let next = page.scopes.last().cloned();
        Some(Slice { items: page.scopes, next })
    }

    fn around(&self) -> Around {
        Around { before: "{\"scopes\":[".to_owned(), after: "]}", empty: "{}".to_owned() }
    }

    fn put(&mut self, scope_name: String, to: &mut listing::Json) -> Option<String> {
        to.entry(&ScopeProperty { scope_name });
        None
    }
}

pub(super) async fn show_all(State(state): Server, headers: HeaderMap) -> Answer {
    list(state, headers, Scopes).await
}

pub(super) async fn create(
    State(state): Server,
    headers: HeaderMap,
    Json(scope): Json<ScopeProperty>,
) -> Answer {
    use create_scope_status::Status;
    // The controller's own call accepts internal names, too.
    Scope::new(&scope.scope_name).map_err(|error| Refusal::bad(error.to_string()))?;
    let need = (&headers, needs::scopes(Operation::Write));
    let created = call(&state, need, |catalog, step| catalog.create_scope(&scope.scope_name, step));
    match created.await?? {
        Status::Success => json(StatusCode::CREATED, &scope),
        Status::ScopeExists => Err(StatusCode::CONFLICT.into()),
        Status::InvalidScopeName => Err(StatusCode::BAD_REQUEST.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}

pub(super) async fn show(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
) -> Answer {
    let need = (&headers, needs::scope(Operation::Read, &scope));
    let found = call(&state, need, |catalog, _| catalog.scope_exists(&scope));
    if !found.await?.exists {
        return Err(StatusCode::NOT_FOUND.into());
    }
    json(StatusCode::OK, &ScopeProperty { scope_name: scope })
}

pub(super) async fn delete(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
) -> Answer {
    use delete_scope_status::Status;
    let need = (&headers, needs::scopes(Operation::Write));
    let deleted = call(&state, need, |catalog, step| catalog.delete_scope(&scope, step)).await??;
    match deleted {
        Status::Success => Ok(no_content()),
        Status::ScopeNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::ScopeNotEmpty => Err(StatusCode::PRECONDITION_FAILED.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
