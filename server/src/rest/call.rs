//! A call of the catalog: accounts before it, the wait for the disk after it.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use pravega_sdk_proto::StreamInfo;
use pravega_sdk_server_core::{
    access::Need,
    catalog::{CallError, Catalog},
    ids::Moment,
    machine::Machine,
    store::{Progress, Step},
};
use serde::Serialize;

use crate::{
    durable::NotDurable,
    identity::{self, Caller, Refused},
    state::ServerState,
};

/// A response without what was asked for: the code, and for mistakes a reason.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {why}")]
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    /// A refusal that tells the user what is wrong.
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// The request cannot be understood, or breaks a rule.
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self { status, why: String::new() }
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotFound(why) => Self::new(StatusCode::NOT_FOUND, why),
            CallError::Invalid(why) => Self::bad(why),
            CallError::ResourceExhausted(why) => Self::new(StatusCode::INSUFFICIENT_STORAGE, why),
            CallError::Unavailable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
            CallError::Internal(why) | CallError::Unknown(why) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => StatusCode::UNAUTHORIZED.into(),
            Refused::Forbidden(need) => {
                Self::new(StatusCode::FORBIDDEN, format!("the account may not: {need}"))
            }
            Refused::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, identity::BUSY),
            #[cfg(feature = "jwt")]
            Refused::NoKeys => Self::new(StatusCode::SERVICE_UNAVAILABLE, identity::NO_KEYS),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.why.is_empty() {
            return self.status.into_response();
        }
        (self.status, self.why + "\n").into_response()
    }
}

/// The response of a call.
pub(super) type Answer = Result<Response, Refusal>;

/// Responds with JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Calls the catalog for a client that may do what the call needs; returns once the changes that
/// the outcome reveals are durable.
pub(super) async fn call<T>(
    state: &ServerState,
    (headers, need): (&HeaderMap, Need<'_>),
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T,
) -> Result<T, Refusal> {
    call_reading(state, (headers, need), None, call).await
}

/// Makes a [`call`] that reads the segments of a stream, once no changes of them are left.
pub(super) async fn call_of<T>(
    state: &ServerState,
    (headers, need): (&HeaderMap, Need<'_>),
    stream: &StreamInfo,
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T,
) -> Result<T, Refusal> {
    call_reading(state, (headers, need), Some(stream), call).await
}

async fn call_reading<T>(
    state: &ServerState,
    (headers, need): (&HeaderMap, Need<'_>),
    reads: Option<&StreamInfo>,
    call: impl FnOnce(&mut Catalog, &mut Step<'_>) -> T,
) -> Result<T, Refusal> {
    let caller = caller(state, headers).await?;
    identity::authorize(&caller, &need)?;
    if state.faults.controller_is_away() {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the controller is away"));
    }
    let delay = state.faults.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let not_durable =
        |error: NotDurable| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let mut call = Some(call);
    let (outcome, progress) = loop {
        let work = |machine: &mut Machine, at: Moment| -> Result<_, Refusal> {
            let is_settled =
                reads.is_none_or(|read| machine.store.is_stream_settled(&read.scope, &read.stream));
            // The call waits until the segments of its stream are settled.
            let Some(call) = call.take_if(|_| is_settled) else { return Ok(None) };
            let (catalog, mut step) = machine.call_by(caller.as_ref(), at);
            let outcome = call(catalog, &mut step);
            Ok(Some((outcome, step.progress)))
        };
        if let Some(made) = state.run_durably(work).await.map_err(not_durable)?? {
            break made;
        }
        state.run_durably(Machine::work).await.map_err(not_durable)?;
        tokio::task::yield_now().await;
    };
    if progress == Progress::Unfinished {
        state.finish_work().await.map_err(not_durable)?;
    }
    Ok(outcome)
}

/// What a client may do; fails for one without an account, before anything else of its request is
/// read.
pub(super) async fn caller(state: &ServerState, headers: &HeaderMap) -> Result<Caller, Refusal> {
    // The first header counts, as on the other ports.
    let credentials = headers.get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    Ok(state.caller(credentials.unwrap_or_default()).await?)
}
