//! Key-value tables: the bytes of keys, the ends of iterations, versions.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use pravega_sdk_table_synchronizer::{Key, KeyCondition, KeyLayout, Keys};
use pravega_sdk_types::SegmentId;
use pravega_sdk_wire_protocol::{TableKey, value::to_hex};
use serde_json::Value as Json;

use crate::vectors::line::{hex, number, same, text};

fn layout(line: &Json) -> Result<KeyLayout> {
    let length = |name| anyhow::Ok(u32::try_from(number(line, name)?)?);
    Ok(KeyLayout::new(length("primaryKeyLength")?, length("secondaryKeyLength")?)?)
}

/// Bytes that a line may not have.
fn some_hex(line: &Json, name: &str) -> Result<Option<Bytes>> {
    match line.get(name).with_context(|| format!("{name} is missing"))? {
        Json::Null => Ok(None),
        _ => Ok(Some(hex(line, name)?.into())),
    }
}

pub(super) fn key(line: &Json) -> Result<()> {
    let layout = layout(line)?;
    let secondary = some_hex(line, "secondaryKey")?.unwrap_or_default();
    let key = Key::new(hex(line, "primaryKey")?).with_secondary(secondary);
    let stored = layout.join(&key)?;
    same("the stored key", to_hex(&stored), text(line, "hex")?.to_owned())?;
    same("the key", layout.split(&stored), Some(key))
}

pub(super) fn bounds(line: &Json) -> Result<()> {
    let (first, second) = (some_hex(line, "arg1")?, some_hex(line, "arg2")?);
    let given = |arg: &Option<Bytes>| arg.clone().context("an argument is missing");
    let keys = match text(line, "op")? {
        "all" => Keys::all(),
        "forPrefix" => Keys::prefix(given(&first)?),
        "forRange" | "forRangeFrom" | "forRangeTo" => Keys::range(first, second),
        "forPrimaryKey" => Keys::of(given(&first)?),
        "forPrimaryKeySecondaryPrefix" => {
            Keys::of(given(&first)?).secondary_prefix(given(&second)?)
        }
        other => bail!("the operation {other} is not known"),
    };
    let (from, to) = layout(line)?.bounds(&keys)?.into_inner();
    same("the first key", to_hex(&from), text(line, "fromKey")?.to_owned())?;
    same("the last key", to_hex(&to), text(line, "toKey")?.to_owned())
}

pub(super) fn next(line: &Json) -> Result<()> {
    let (from, to): (Bytes, Bytes) = (hex(line, "from")?.into(), hex(line, "to")?.into());
    let last = Bytes::from(hex(line, "lastKey")?);
    if !(&from..=&to).contains(&&last) {
        bail!("the last key is not within the range");
    }
    let layout = KeyLayout::new(u32::try_from(last.len())?, 0)?;
    same("the next key", layout.next(&last, &to), some_hex(line, "nextFrom")?)
}

pub(super) fn version(line: &Json) -> Result<()> {
    let condition: KeyCondition = text(line, "text")?.parse()?;
    same("the text", condition.to_string(), text(line, "text")?.to_owned())?;
    let segment = number(line, "segmentId")?;
    let version = number(line, "segmentVersion")?;
    let (found, is_any, is_absent) = match condition {
        KeyCondition::Any => ((i64::MIN, TableKey::NO_VERSION), true, false),
        KeyCondition::Absent => ((i64::MIN, TableKey::NOT_EXISTS), false, true),
        KeyCondition::At(at) => ((at.segment().into(), at.version().get()), false, false),
    };
    same("the version", found, (segment, version))?;
    let parsed = format!("{segment} {version} {is_any} {is_absent}");
    same("what was parsed", parsed, text(line, "parsed")?.to_owned())?;
    let bytes = condition.to_bytes()?;
    same("the bytes", to_hex(&bytes), text(line, "hex")?.to_owned())?;
    same("the version read", KeyCondition::from_bytes(SegmentId::from(segment), &bytes)?, condition)
}
