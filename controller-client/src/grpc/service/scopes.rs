//! Calls about the cluster and its scopes.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_proto as proto;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, Scope};

use super::answer::{Result, call, failed, judge, next_token, read, refused, token};
use crate::{
    Controller, ControllerError, Creation, Deletion, Page, PageToken,
    grpc::{call::Operation, client::ControllerClient, convert},
    listing,
    machine::{Repeat, Route},
};

pub(super) async fn controllers(client: &ControllerClient) -> Result<Vec<Endpoint>> {
    let answer = call!(
        client,
        "getControllerServerList",
        Harmless,
        "the cluster",
        get_controller_server_list,
        proto::ServerRequest {}
    )?;
    let asked = &answer.endpoint;
    let endpoints =
        answer.message.node_uri.iter().map(|uri| convert::endpoint(uri, asked)).collect();
    read("getControllerServerList", &"the cluster", asked, endpoints)
}

pub(super) async fn create_scope(client: &ControllerClient, scope: &Scope) -> Result<Creation> {
    use proto::create_scope_status::Status;
    let answer =
        call!(client, "createScope", Harmless, scope, create_scope, convert::scope_info(scope))?;
    judge!("createScope", scope, answer, Status, answer.message.status, {
        Status::Success => Ok(Creation::Created),
        Status::ScopeExists => Ok(Creation::AlreadyExisted),
        Status::InvalidScopeName => {
            refused(ErrorKind::InvalidName, "the controller refuses this name")
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn delete_scope(client: &ControllerClient, scope: &Scope) -> Result<Deletion> {
    use proto::delete_scope_status::Status;
    refuse_if_not_empty(client, scope).await?;
    let answer =
        call!(client, "deleteScope", Harmless, scope, delete_scope, convert::scope_info(scope))?;
    judge!("deleteScope", scope, answer, Status, answer.message.status, {
        Status::Success => Ok(Deletion::Deleted),
        Status::ScopeNotFound => Ok(Deletion::NotFound),
        Status::ScopeNotEmpty => refused(ErrorKind::NotEmpty, "the scope is not empty"),
        Status::Failure => failed(),
    })
}

pub(super) async fn delete_scope_recursive(
    client: &ControllerClient,
    scope: &Scope,
) -> Result<Deletion> {
    use proto::delete_scope_status::Status;
    let message = convert::scope_info(scope);
    let answer =
        call!(client, "deleteScopeRecursive", Harmless, scope, delete_scope_recursive, message)?;
    judge!("deleteScopeRecursive", scope, answer, Status, answer.message.status, {
        Status::Success => Ok(Deletion::Deleted),
        Status::ScopeNotFound => Ok(Deletion::NotFound),
        Status::ScopeNotEmpty => refused(ErrorKind::NotEmpty, "the scope is not empty"),
        Status::Failure => failed(),
    })
}

pub(super) async fn scope_exists(client: &ControllerClient, scope: &Scope) -> Result<bool> {
    let message = convert::scope_info(scope);
    Ok(call!(client, "checkScopeExists", Harmless, scope, check_scope_exists, message)?
        .message
        .exists)
}

/// The scope of internal streams, which every cluster has.
const SYSTEM_SCOPE: &str = "_system";

impl ControllerClient {
    /// Makes one call without effect, to check that a controller answers and accepts the
    /// credentials. It also succeeds for a user without permission for the scope of the call.
    ///
    /// # Errors
    ///
    /// The error of the call if no controller answers within `limit`, with all attempts, or if the
    /// credentials are refused.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the call, which changes nothing.
    pub async fn check_reachable(&self, limit: Duration) -> Result<()> {
        let operation = Operation { name: "checkScopeExists", repeat: Repeat::Harmless };
        let message = proto::ScopeInfo { scope: SYSTEM_SCOPE.to_owned() };
        let answer = self.calls.call_by(
            Route::Any,
            limit,
            operation,
            &SYSTEM_SCOPE,
            message,
            |mut client, request| Box::pin(async move { client.check_scope_exists(request).await }),
        );
        match answer.await {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

pub(super) async fn scopes_page(
    client: &ControllerClient,
    start: &PageToken,
) -> Result<Page<Scope>> {
    let message = proto::ScopesRequest { continuation_token: token(start) };
    let answer = call!(client, "listScopes", Harmless, "the cluster", list_scopes, message)?;
    let items = answer.message.scopes.iter().map(|name| convert::scope(name)).collect();
    let items = read("listScopes", &"the cluster", &answer.endpoint, items)?;
    Ok(Page { items, next: next_token(answer.message.continuation_token) })
}

/// Describes a stream of a listing as its users know it: an internal one, which they cannot delete,
/// by the stream or the reader group to which it belongs.
fn described(stream: &str) -> String {
    let of = stream.strip_prefix("_MARK").unwrap_or(stream);
    match of.strip_prefix("_RG") {
        Some(group) => format!("reader group {group}"),
        None if of.starts_with('_') => format!("the internal stream {of}"),
        None => format!("stream {of}"),
    }
}

/// A server refuses to delete a scope that is not empty, but has damaged it by then.
async fn refuse_if_not_empty(client: &ControllerClient, scope: &Scope) -> Result<()> {
    // A page may be empty because the caller may not see its items.
    let controller: Arc<dyn Controller> = Arc::new(client.clone());
    let stream = listing::streams(Arc::clone(&controller), scope.clone()).next().await;
    let found = match stream {
        Some(Ok(stream)) => Some(described(stream.stream().as_str())),
        // A missing scope cannot be damaged; the call itself reports it.
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Some(Err(error)) => return Err(error),
        None => {
            let table = listing::key_value_tables(controller, scope.clone()).next().await;
            table.transpose()?.map(|table| format!("table {}", table.table()))
        }
    };
    match found {
        Some(found) => {
            let detail = format!("the scope is not empty: it holds {found}");
            Err(ControllerError::new(ErrorKind::NotEmpty, Outcome::NotApplied, detail)
                .with_operation("deleteScope", scope))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_stream_is_described_by_what_it_belongs_to() {
        for (stream, described_as) in [
            ("orders", "stream orders"),
            ("_MARKorders", "stream orders"),
            ("_RGreaders", "reader group readers"),
            ("_MARK_RGreaders", "reader group readers"),
            ("_SCALE", "the internal stream _SCALE"),
        ] {
            assert_eq!(described(stream), described_as);
        }
    }
}
