//! Credentials, URIs and retries of a client.

use std::{num::NonZeroU32, time::Duration};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL};
use pravega_sdk_controller_client::{ControllerUri, Credentials};
use pravega_sdk_event_stream::TransactionConfig;
use pravega_sdk_types::{Jitter, RetryPolicy};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use crate::vectors::line::{list, number, same, text};

pub(super) fn ping_interval(line: &Json) -> Result<()> {
    let lease = Duration::from_millis(u64::try_from(number(line, "leaseMillis")?)?);
    let interval = TransactionConfig::default().with_lease(lease).ping_interval();
    let expected = u64::try_from(number(line, "intervalMillis")?)?;
    same("the interval", interval, Duration::from_millis(expected))
}

pub(super) fn credentials(line: &Json, credentials: Credentials) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    header(&runtime, &credentials, text(line, "header")?)?;
    same("the key of the header", "authorization", text(line, "metadataKey")?)
}

/// The header that credentials send is this one.
pub(super) fn header(runtime: &Runtime, credentials: &Credentials, expected: &str) -> Result<()> {
    let header = runtime.block_on(credentials.authorization())?.context("no header")?;
    same("the header", header.header_value().expose_secret(), expected)
}

/// The parts of a token are those that the line shows, if it does.
pub(super) fn token_parts(line: &Json) -> Result<()> {
    if line["header"].is_null() {
        return Ok(());
    }
    let mut parts = text(line, "token")?.split('.');
    for name in ["header", "body"] {
        let part = BASE64_URL.decode(parts.next().context("a part is missing")?)?;
        same(name, std::str::from_utf8(&part)?, text(line, name)?)?;
    }
    let header: Json = serde_json::from_str(text(line, "header")?)?;
    same("the algorithm", text(&header, "alg")?, text(line, "alg")?)
}

/// Java refuses an address that starts with a number and has no scheme, and a scheme in upper case;
/// this SDK accepts both: the first is unambiguous, and a scheme has no case (RFC 3986, 3.1).
pub(super) fn controller_uri(line: &Json) -> Result<()> {
    let given = text(line, "text")?;
    let found = given.parse::<ControllerUri>();
    let expected = &line["result"];
    let Some(uri) = expected["uri"].as_str() else {
        text(expected, "error")?;
        let scheme = given.split_once("://").map(|(scheme, _)| scheme);
        return match (found, scheme) {
            (Ok(uri), Some(scheme)) if !scheme.chars().any(char::is_uppercase) => {
                bail!("was taken as {uri}")
            }
            _ => Ok(()),
        };
    };
    let found = found?;
    // `ssl` is another way to write `tls`.
    same("the address", found.to_string(), uri.replace("ssl://", "tls://"))?;
    // By default one scheme decides about both kinds of servers.
    for server in ["tls", "tlsController", "tlsSegmentStore"] {
        same(server, Some(found.scheme().is_tls()), expected[server].as_bool())?;
    }
    Ok(())
}

pub(super) fn retry_delays(line: &Json) -> Result<()> {
    let millis = |name: &str| {
        Ok::<_, anyhow::Error>(Duration::from_millis(u64::try_from(number(line, name)?)?))
    };
    let policy = RetryPolicy::new(
        millis("initialMillis")?,
        u32::try_from(number(line, "multiplier")?)?,
        millis("maxMillis")?,
        u32::try_from(number(line, "attempts")?)?,
    )?;
    let delays: Vec<u64> = policy
        .with_jitter(Jitter::None)
        .delays(|| 0.5)
        .map(|delay| delay.as_millis() as u64)
        .collect();
    same("the waits", delays, list(line, "delaysMillis")?.iter().filter_map(Json::as_u64).collect())
}

pub(super) fn at_least_one(line: &Json, name: &str) -> Result<NonZeroU32> {
    u32::try_from(number(line, name)?)
        .ok()
        .and_then(NonZeroU32::new)
        .with_context(|| format!("{name} is 0"))
}
