//! Primitives, hashes, and the choice of a segment for a key.

use anyhow::{Context as _, Result, bail};
use pravega_sdk_types::{
    KeyRange, RoutingKey, SegmentId, SegmentMap, Successor, routing,
    serial::{SerialReader, SerialWriter},
};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use super::context::Context;
use crate::vectors::line::{hex, list, number, same, text};

pub(super) fn bits(what: &str, found: f64, line: &Json) -> Result<()> {
    same(what, format!("{:016x}", found.to_bits()), text(line, "bits")?.to_owned())?;
    rounded(what, found, line, "value")
}

/// Compares with a number in decimal, which a parser of JSON may round.
fn rounded(what: &str, found: f64, line: &Json, name: &str) -> Result<()> {
    let shown = line[name].as_f64().with_context(|| format!("{name} is not a number"))?;
    if (found - shown).abs() > 1e-15 {
        bail!("{what} is {found}, not {shown}");
    }
    Ok(())
}

pub(super) fn primitive(line: &Json) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let mut writer = SerialWriter::new();
    let mut reader = SerialReader::new(&bytes);
    match text(line, "kind")? {
        "compact_int" => {
            let value = i32::try_from(number(line, "value")?)?;
            writer.compact_int(value)?;
            same("the value", reader.compact_int()?, value)?;
        }
        "compact_long" => {
            writer.compact_long(number(line, "value")?)?;
            same("the value", reader.compact_long()?, number(line, "value")?)?;
        }
        "compact_signed_long" => {
            writer.compact_signed_long(number(line, "value")?)?;
            same("the value", reader.compact_signed_long()?, number(line, "value")?)?;
        }
        "utf" => {
            writer.utf(text(line, "value")?)?;
            same("the value", reader.utf()?.into_owned(), text(line, "value")?.to_owned())?;
        }
        _ => {
            let value = text(line, "value")?.parse()?;
            writer.uuid(value);
            same("the value", reader.uuid()?, value)?;
        }
    }
    same("the bytes left over", reader.remaining(), 0)?;
    same("the bytes", to_hex(&writer.finish()), to_hex(&bytes))
}

pub(super) fn layout(entries: &[Json]) -> Result<SegmentMap> {
    let entries = entries.iter().map(|entry| {
        let bound =
            |name: &str| entry[name].as_f64().with_context(|| format!("{name} is not a number"));
        let range = KeyRange::new(bound("low")?, bound("high")?)?;
        Ok((bound("key")?, SegmentId::from(number(entry, "segmentId")?), range))
    });
    Ok(SegmentMap::with_upper_bounds(entries.collect::<Result<Vec<_>>>()?))
}

pub(super) fn layouts(line: &Json, context: &Context) -> Result<()> {
    for (name, map) in &context.layouts {
        same("the layout", &layout(list(line, name)?)?, map)?;
    }
    // The controller's own rounding of equal ranges.
    for (name, count) in [("of3", 3), ("of7", 7)] {
        same("equal ranges", context.layouts.get(name), Some(&SegmentMap::equal_ranges(count)))?;
    }
    Ok(())
}

pub(super) fn routing_key(line: &Json, context: &Context) -> Result<()> {
    let key = RoutingKey::from(text(line, "key")?);
    let (hash, _) = routing::hash_text(routing::EVENT_SEED, key.as_str());
    same("the hash", format!("{hash:016x}"), text(line, "hash64")?.to_owned())?;
    bits("the position", key.position(), line)?;
    for layout in ["of3", "of7", "mixed"] {
        let map = context.layouts.get(layout).context("no such layout")?;
        let chosen = map.segment_for(key.position()).map(i64::from);
        same(layout, chosen, Some(number(line, layout)?))?;
    }
    Ok(())
}

pub(super) fn segment_for_position(line: &Json, context: &Context) -> Result<()> {
    let map = context.layouts.get(text(line, "layout")?).context("no such layout")?;
    let position = f64::from_bits(u64::from_str_radix(text(line, "bits")?, 16)?);
    rounded("the position", position, line, "position")?;
    same("the segment", map.segment_for(position).map(i64::from), Some(number(line, "value")?))
}

pub(super) fn replace_sealed(line: &Json) -> Result<()> {
    let mut map = layout(list(line, "before")?)?;
    let successor = |json: &Json| {
        let bound =
            |name: &str| json[name].as_f64().with_context(|| format!("{name} is not a number"));
        let predecessors = list(json, "predecessors")?
            .iter()
            .filter_map(Json::as_i64)
            .map(SegmentId::from)
            .collect();
        let range = KeyRange::new(bound("low")?, bound("high")?)?;
        Ok(Successor { id: number(json, "segmentId")?.into(), range, predecessors })
    };
    let successors = list(line, "successors")?.iter().map(successor).collect::<Result<Vec<_>>>()?;
    let replaced = map.replace_sealed(number(line, "sealed")?.into(), &successors);
    if !line["error"].is_null() {
        return match replaced {
            Ok(()) => bail!("was taken"),
            Err(_) => Ok(()),
        };
    }
    replaced?;
    same("the map", map, layout(list(line, "after")?)?)
}
