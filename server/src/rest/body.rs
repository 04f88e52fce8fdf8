//! The JSON of a request.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    call::{Refusal, caller},
    limits::{BODY_TIMEOUT, MAX_BODY_LEN},
};
use crate::{budget::Charge, limits::OWN_BYTES, state::ServerState};

/// The body of a request, which is JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<ServerState>> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Arc<ServerState>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        caller(state, &parts.headers).await?;
        // A page of another site can send any text, but not call it JSON without asking first.
        if !is_json(&parts.headers) {
            let why = "the Content-Type of a body must be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        let reading = read(state, &parts.headers, body);
        let (bytes, _lent) = timeout(BODY_TIMEOUT, reading).await.map_err(|_| {
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
        })??;
        if !bytes.trim_ascii_start().starts_with(b"{") {
            // Lists of values would be taken for objects.
            return Err(Refusal::bad("the body is not a JSON object"));
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::bad(format!("the body is not the JSON of this call: {error}"))
        })?;
        Ok(Self(value))
    }
}

/// Reads a body into memory that is lent for it, unless it is short.
async fn read(
    state: &ServerState,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<Charge>), Refusal> {
    let too_long = || {
        let why = format!("the body is longer than {MAX_BODY_LEN} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let len = headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok());
    let len: usize = len.and_then(|len| len.parse().ok()).unwrap_or(MAX_BODY_LEN);
    if len > MAX_BODY_LEN {
        return Err(too_long());
    }
    let lent = match len {
        ..=OWN_BYTES => None,
        _ => Some(state.budget.requests.charge(len).await),
    };
    // Either the limit, or a client that left.
    Ok((to_bytes(body, MAX_BODY_LEN).await.map_err(|_| too_long())?, lent))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else { return false };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
