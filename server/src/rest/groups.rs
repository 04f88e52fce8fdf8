//! Calls about reader groups.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use pravega_sdk_proto::{ReaderGroupInfo, delete_reader_group_status};
use pravega_sdk_server_core::{
    access::{Need, Operation},
    catalog::{Catalog, Slice},
};
use serde::Serialize;

use super::{
    call::{Answer, call},
    listing::{self, Around, List, list},
    online,
    scopes::no_content,
};
use crate::{needs, state::ServerState};

type Server = State<Arc<ServerState>>;

/// The reader groups of a scope.
struct Groups {
    scope: String,
}

/// A reader group in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupName {
    reader_group_name: String,
}

impl List for Groups {
    type Item = String;
    type Place = String;

    fn needs(&self) -> Need<'_> {
        needs::scope(Operation::Read, &self.scope)
    }

    fn slice(&self, catalog: &Catalog, from: Option<&String>) -> Option<Slice<String, String>> {
        catalog.groups_after(&self.scope, from.map_or("", String::as_str))
    }

    fn around(&self) -> Around {
        Around { before: "{\"readerGroups\":[".to_owned(), after: "]}", empty: "{}".to_owned() }
    }

    fn put(&mut self, reader_group_name: String, to: &mut listing::Json) -> Option<String> {
        to.entry(&GroupName { reader_group_name });
        None
    }
}

pub(super) async fn show_all(
    State(state): Server,
    headers: HeaderMap,
    Path(scope): Path<String>,
) -> Answer {
    list(state, headers, Groups { scope }).await
}

/// The streams of one reader group.
struct GroupStreams {
    scope: String,
    group: String,
    /// The JSON of all properties but the streams.
    properties: String,
}

/// A reader group, without its streams.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupProperties<'a> {
    scope_name: &'a str,
    reader_group_name: &'a str,
    /// `None` if the state of the group cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    online_reader_ids: Option<Vec<String>>,
}

impl List for GroupStreams {
    type Item = String;
    type Place = usize;

    fn needs(&self) -> Need<'_> {
        needs::group(Operation::Read, &self.scope, &self.group)
    }

    fn slice(&self, catalog: &Catalog, from: Option<&usize>) -> Option<Slice<String, usize>> {
        catalog.group_streams(&self.scope, &self.group, from.copied().unwrap_or_default())
    }

    fn around(&self) -> Around {
        let open = self.properties.strip_suffix('}').unwrap_or_default();
        let before = format!("{open},\"streamList\":[");
        Around { empty: format!("{before}]}}"), before, after: "]}" }
    }

    fn put(&mut self, stream: String, to: &mut listing::Json) -> Option<String> {
        to.entry(&stream);
        None
    }
}

pub(super) async fn show(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, group)): Path<(String, String)>,
) -> Answer {
    let need = (&headers, needs::group(Operation::Read, &scope, &group));
    let found = call(&state, need, |catalog, _| catalog.group_streams(&scope, &group, 0));
    found.await?.ok_or(StatusCode::NOT_FOUND)?;
    let online = online::readers(&state, &headers, &scope, &group).await?;
    let properties = GroupProperties {
        scope_name: &scope,
        reader_group_name: &group,
        online_reader_ids: online.map(|readers| readers.into_iter().collect()),
    };
    let properties = serde_json::to_string(&properties).unwrap_or_default();
    list(state, headers, GroupStreams { scope, group, properties }).await
}

pub(super) async fn delete(
    State(state): Server,
    headers: HeaderMap,
    Path((scope, reader_group)): Path<(String, String)>,
) -> Answer {
    use delete_reader_group_status::Status;
    let (in_scope, named) = (scope.clone(), reader_group.clone());
    let need = (&headers, needs::group(Operation::Write, &in_scope, &named));
    let deleted = call(&state, need, |catalog, step| {
        let Some(reader_group_id) = catalog.group_id(&scope, &reader_group) else {
            return Ok(Status::RgNotFound);
        };
        let info = ReaderGroupInfo { scope, reader_group, reader_group_id, generation: 0 };
        catalog.delete_group(&info, step)
    });
    match deleted.await?? {
        Status::Success => Ok(no_content()),
        Status::RgNotFound => Err(StatusCode::NOT_FOUND.into()),
        Status::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
    }
}
