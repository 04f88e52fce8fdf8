//! One line: its fields, and the verdict.

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

/// The result of checking one line that does not fail.
pub(crate) enum Verdict {
    Passed,
    /// No check covers lines of this kind.
    Uncovered(String),
}

pub(crate) fn text<'a>(json: &'a Json, name: &str) -> Result<&'a str> {
    json.get(name).and_then(Json::as_str).with_context(|| format!("{name} is not a text"))
}

pub(crate) fn hex(json: &Json, name: &str) -> Result<Vec<u8>> {
    pravega_sdk_wire_protocol::value::from_hex(text(json, name)?)
        .with_context(|| format!("{name} is not hexadecimal"))
}

pub(crate) fn list<'a>(json: &'a Json, name: &str) -> Result<&'a [Json]> {
    Ok(json.get(name).and_then(Json::as_array).with_context(|| format!("{name} is not a list"))?)
}

pub(crate) fn number(json: &Json, name: &str) -> Result<i64> {
    let value = json.get(name).with_context(|| format!("{name} is missing"))?;
    let parsed = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    parsed.with_context(|| format!("{name} is not a number"))
}

/// Fails if two values differ; the error shows both.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<()> {
    if found != expected {
        bail!("{what} is {found:?}, not {expected:?}");
    }
    Ok(())
}
