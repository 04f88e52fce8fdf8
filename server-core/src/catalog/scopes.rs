//! Scopes, and the lists of their streams and tables.

use std::ops::Bound;

use pravega_sdk_proto::{
    ContinuationToken, ExistsResponse, KeyValueTableInfo, KvTablesInScopeResponse, ScopesResponse,
    StreamInfo, StreamsInScopeResponse, create_scope_status, delete_scope_status,
    kv_tables_in_scope_response, streams_in_scope_response,
};

use super::{
    change::{Part, ScopeRecord},
    error::{CallError, CallResult},
    names,
    plan::Plan,
    state::Catalog,
};
use crate::store::Step;

/// The most names of one page.
const PAGE: usize = 1000;

impl Catalog {
    /// Creates a scope.
    pub fn create_scope(
        &mut self,
        scope: &str,
        step: &mut Step<'_>,
    ) -> CallResult<create_scope_status::Status> {
        use create_scope_status::Status;
        if scope.is_empty() {
            return Err(CallError::unspecified());
        }
        if !names::is_scope(scope) {
            return Ok(Status::InvalidScopeName);
        }
        if self.scopes.contains_key(scope) {
            return Ok(Status::ScopeExists);
        }
        self.check_not_leaving(scope)?;
        let mut plan = Plan::new();
        plan.scope(scope, Part::Scope(Some(ScopeRecord::default())));
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Deletes an empty scope.
    pub fn delete_scope(
        &mut self,
        scope: &str,
        step: &mut Step<'_>,
    ) -> CallResult<delete_scope_status::Status> {
        use delete_scope_status::Status;
        step.check_growth(0)?;
        let Some(found) = self.scopes.get(scope) else {
            return Ok(Status::ScopeNotFound);
        };
        let is_empty =
            found.streams.is_empty() && found.tables.is_empty() && found.groups.is_empty();
        if !is_empty || scope == names::SYSTEM_SCOPE {
            return Ok(Status::ScopeNotEmpty);
        }
        let mut plan = Plan::new();
        plan.scope(scope, Part::Scope(None));
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Whether a scope exists.
    pub fn scope_exists(&self, scope: &str) -> ExistsResponse {
        ExistsResponse { exists: self.scopes.contains_key(scope) }
    }

    /// Whether a stream exists.
    pub fn stream_exists(&self, scope: &str, stream: &str) -> ExistsResponse {
        ExistsResponse { exists: self.stream(scope, stream).is_some() }
    }

    /// A page of all scopes, after the name in `token`.
    pub fn list_scopes(&self, token: &str) -> ScopesResponse {
        let (scopes, continuation_token) =
            page(self.scopes.range::<str, _>(after(token)).map(|(name, _)| name), token);
        ScopesResponse { scopes, continuation_token }
    }

    /// A page of the streams of a scope, if asked for only those with a tag.
    pub fn list_streams(
        &self,
        scope: &str,
        tag: Option<&str>,
        token: &str,
    ) -> CallResult<StreamsInScopeResponse> {
        use streams_in_scope_response::Status;
        if tag == Some("") {
            return Err(CallError::unspecified());
        }
        let Some(found) = self.scopes.get(scope) else {
            let token = ContinuationToken { token: token.to_owned() };
            let (streams, continuation_token) = (Vec::new(), Some(token));
            return Ok(StreamsInScopeResponse {
                streams,
                continuation_token,
                status: Status::ScopeNotFound.into(),
            });
        };
        let after = after(token);
        let (streams, continuation_token) = match tag {
            None => page(found.streams.range::<str, _>(after).map(|(name, _)| name), token),
            Some(tag) => {
                let tagged = found.tagged.get(tag).into_iter();
                page(tagged.flat_map(|streams| streams.range::<str, _>(after)), token)
            }
        };
        let info = |stream| StreamInfo { scope: scope.to_owned(), stream, access_operation: 0 };
        let streams = streams.into_iter().map(info).collect();
        Ok(StreamsInScopeResponse { streams, continuation_token, status: Status::Success.into() })
    }

    /// A page of the key-value tables of a scope.
    pub fn list_tables(&self, scope: &str, token: &str) -> KvTablesInScopeResponse {
        use kv_tables_in_scope_response::Status;
        let Some(found) = self.scopes.get(scope) else {
            let continuation_token = Some(ContinuationToken { token: token.to_owned() });
            let (kvtables, status) = (Vec::new(), Status::ScopeNotFound.into());
            return KvTablesInScopeResponse { kvtables, continuation_token, status };
        };
        let (tables, continuation_token) =
            page(found.tables.range::<str, _>(after(token)).map(|(name, _)| name), token);
        let info = |kvt_name| KeyValueTableInfo { scope: scope.to_owned(), kvt_name };
        let kvtables = tables.into_iter().map(info).collect();
        KvTablesInScopeResponse { kvtables, continuation_token, status: Status::Success.into() }
    }
}

/// The names after a token, which is the last name of the previous page.
fn after(token: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Excluded(token), Bound::Unbounded)
}

/// A page of names, and the token of the next. A page without names ends the list and has the same
/// token.
fn page<'a>(
    names: impl Iterator<Item = &'a String>,
    token: &str,
) -> (Vec<String>, Option<ContinuationToken>) {
    let names: Vec<String> = names.take(PAGE).cloned().collect();
    let token = names.last().map_or(token, String::as_str).to_owned();
    (names, Some(ContinuationToken { token }))
}
