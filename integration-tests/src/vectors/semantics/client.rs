//! Credentials, URIs and retries of a client.

use std::{num::NonZeroU32, time::Duration};

use anyhow::{Context as _, Result, bail};
use pravega_sdk_controller_client::{ControllerUri, Credentials};
use pravega_sdk_types::{Jitter, RetryPolicy};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use crate::vectors::line::{list, number, same, text};

pub(super) fn credentials(line: &Json, credentials: Credentials) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let header =
        runtime.block_on(credentials.authorization())?.context("no header")?.header_value();
    same("the header", header.expose_secret(), text(line, "header")?)
}

/// Java refuses an address that starts with a number and has no scheme, and a scheme in upper case;
/// this SDK accepts both: the first is unambiguous, and a scheme has no case (RFC 3986, 3.1).
pub(super) fn controller_uri(line: &Json) -> Result<()> {
    let given = text(line, "text")?;
    let found = given.parse::<ControllerUri>();
    let expected = &line["result"];
    let Some(uri) = expected["uri"].as_str() else {
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
    same("whether TLS is on", Some(found.scheme().is_tls()), expected["tls"].as_bool())
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
