//! Updates of groups, and the entries that hold them.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use pravega_sdk_event_stream::group::{
    GroupInitial, GroupSegment, GroupUpdate, SegmentCompletion, SegmentRelease,
};
use pravega_sdk_table_synchronizer::StateEntry;
use pravega_sdk_types::{KeyRange, Offset, ScopedSegment, SegmentId, SegmentOffset};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use super::configurations::same_configuration;
use crate::vectors::line::{hex, list, number, same, text};

/// An initial state, and the entry that holds it with zero bytes after it.
pub(in crate::vectors::semantics) fn init(line: &Json) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let initial = GroupInitial::from_bytes(&bytes)?;
    same("the bytes", to_hex(&initial.to_bytes()?), to_hex(&bytes))?;
    same_init(&initial, &line["update"])?;
    same_entry(&bytes, &hex(line, "syncEntryHex")?)
}

/// Checks that an entry is the initial state, with zero bytes after it.
pub(super) fn same_entry(initial: &[u8], entry: &[u8]) -> Result<()> {
    let StateEntry::Initial(found) = StateEntry::parse(Bytes::copy_from_slice(entry))? else {
        bail!("the entry is no initial state");
    };
    let (found, padding) = found.split_at_checked(initial.len()).context("the entry is short")?;
    same("the initial state of the entry", to_hex(found), to_hex(initial))?;
    same("the padding", padding.iter().any(|byte| *byte != 0), false)
}

/// Compares an initial state with its members.
pub(super) fn same_init(found: &GroupInitial, expected: &Json) -> Result<()> {
    let GroupInitial::Init(init) = found else { bail!("it is a compaction") };
    same("the type", number(expected, "type")?, 0)?;
    same("the name", text(expected, "name")?, "Init")?;
    same_configuration(&init.configuration, &expected["config"])?;
    same("the segments", &init.segments, &ranged(list(expected, "startingSegments")?)?)?;
    same("the ends", &init.ends, &ends(list(expected, "endSegments")?)?)?;
    let is_updating = expected["updatingConfig"].as_bool().context("updatingConfig")?;
    same("the flag", init.is_updating_configuration, is_updating)
}

pub(in crate::vectors::semantics) fn update(line: &Json) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let update = GroupUpdate::from_bytes(&bytes)?;
    same_update(&update, &line["update"])?;
    same_bytes(&update, &bytes)?;
    let entry = StateEntry::updates([Bytes::from(bytes)])?;
    same("the entry", to_hex(&entry), text(line, "syncEntryHex")?.to_owned())
}

/// An entry of several updates.
pub(in crate::vectors::semantics) fn batch(line: &Json) -> Result<()> {
    entry(&hex(line, "hex")?, list(line, "updates")?).map(|_| ())
}

/// Checks an entry of updates, and returns them.
pub(super) fn entry(bytes: &[u8], expected: &[Json]) -> Result<Vec<GroupUpdate>> {
    let StateEntry::Updates(updates) = StateEntry::parse(Bytes::copy_from_slice(bytes))? else {
        bail!("the entry is no entry of updates");
    };
    let updates: Vec<Bytes> = updates.collect();
    let again = StateEntry::updates(updates.iter().cloned())?;
    same("the entry", to_hex(&again), to_hex(bytes))?;
    same("the number of updates", updates.len(), expected.len())?;
    let pairs = updates.iter().zip(expected);
    pairs
        .map(|(bytes, expected)| {
            let update = GroupUpdate::from_bytes(bytes)?;
            same_update(&update, expected)?;
            same_bytes(&update, bytes)?;
            Ok(update)
        })
        .collect()
}

/// Checks that an update has these bytes. The ranges of a completed segment and its successors are
/// a map, in the order of Java's hashes.
fn same_bytes(update: &GroupUpdate, bytes: &[u8]) -> Result<()> {
    let written = update.to_bytes()?;
    same("the update of the bytes written", &GroupUpdate::from_bytes(&written)?, update)?;
    match update {
        GroupUpdate::SegmentCompleted(_) => same_in_another_order(&written, bytes),
        _ => same("the bytes", to_hex(&written), to_hex(bytes)),
    }
}

/// Checks that two texts have the same bytes, in whatever order.
pub(super) fn same_in_another_order(found: &[u8], expected: &[u8]) -> Result<()> {
    let sorted = |bytes: &[u8]| {
        let mut sorted = bytes.to_vec();
        sorted.sort_unstable();
        to_hex(&sorted)
    };
    same("the sorted bytes", sorted(found), sorted(expected))
}

fn same_update(found: &GroupUpdate, expected: &Json) -> Result<()> {
    same("the name", found.name(), text(expected, "name")?)?;
    if let GroupUpdate::Init(init) = found {
        return same_init(&GroupInitial::Init(init.clone()), expected);
    }
    same("the update", found, &parse(expected)?)
}

fn parse(json: &Json) -> Result<GroupUpdate> {
    let named = |name: &str| text(json, name).map(Arc::<str>::from);
    let segment = |name: &str| Ok::<_, anyhow::Error>(text(json, name)?.parse()?);
    let flag = |name: &str| json[name].as_bool().context("a flag is missing");
    Ok(match number(json, "type")? {
        2 => GroupUpdate::AddReader { reader: named("readerId")? },
        3 => GroupUpdate::RemoveReader {
            reader: named("readerId")?,
            offsets: offsets(list(json, "ownedSegments")?)?,
        },
        4 => GroupUpdate::ReleaseSegment(SegmentRelease {
            reader: named("readerId")?,
            segment: segment("segment")?,
            offset: SegmentOffset::from_wire(number(json, "offset")?),
        }),
        5 => {
            GroupUpdate::AcquireSegment { reader: named("readerId")?, segment: segment("segment")? }
        }
        6 => GroupUpdate::UpdateDistanceToTail {
            reader: named("readerId")?,
            lag_ms: number(json, "distanceToTail")?,
            read: ranged(list(json, "lastReadPositions")?)?,
        },
        7 => GroupUpdate::SegmentCompleted(completion(json)?),
        8 => GroupUpdate::CheckpointReader {
            checkpoint: named("checkpointId")?,
            reader: named("readerId")?,
            offsets: offsets(list(json, "positions")?)?,
        },
        9 => GroupUpdate::CreateCheckpoint { checkpoint: named("checkpointId")? },
        10 => GroupUpdate::ClearCheckpointsBefore { checkpoint: named("checkpointId")? },
        11 => GroupUpdate::UpdateCheckpointPublished { is_published: flag("published")? },
        12 => GroupUpdate::UpdatingConfig { is_updating: flag("updatingConfig")? },
        13 => GroupUpdate::RemoveOutstandingCheckpoints,
        other => bail!("type {other} is not known"),
    })
}

fn completion(json: &Json) -> Result<SegmentCompletion> {
    let completed = &json["segmentCompleted"];
    let successor = |json: &Json| {
        let ids = json[2].as_array().context("no predecessors")?;
        let ids = ids.iter().map(|id| id.as_i64().map(SegmentId::from).context("an id"));
        Ok((group_segment(&json[0], &json[1])?, ids.collect::<Result<Vec<_>>>()?))
    };
    Ok(SegmentCompletion {
        reader: text(json, "readerId")?.into(),
        segment: group_segment(&completed["segment"], &completed["range"])?,
        successors: list(json, "successors")?.iter().map(successor).collect::<Result<Vec<_>>>()?,
    })
}

fn group_segment(name: &Json, range: &Json) -> Result<GroupSegment> {
    let segment = name.as_str().context("a segment is not a text")?.parse()?;
    let range = match range {
        Json::Null => None,
        bounds => Some(KeyRange::new(
            bounds[0].as_f64().context("low")?,
            bounds[1].as_f64().context("high")?,
        )?),
    };
    Ok(GroupSegment { segment, range })
}

fn ranged(entries: &[Json]) -> Result<Vec<(GroupSegment, SegmentOffset)>> {
    let entry = |json: &Json| {
        let offset = SegmentOffset::from_wire(json[2].as_i64().context("an offset")?);
        Ok((group_segment(&json[0], &json[1])?, offset))
    };
    entries.iter().map(entry).collect()
}

fn pair(json: &Json) -> Result<(ScopedSegment, i64)> {
    let segment = json[0].as_str().context("a segment is not a text")?.parse()?;
    Ok((segment, json[1].as_i64().context("an offset")?))
}

fn offsets(entries: &[Json]) -> Result<Vec<(ScopedSegment, SegmentOffset)>> {
    let offset = |(segment, offset)| (segment, SegmentOffset::from_wire(offset));
    entries.iter().map(|json| pair(json).map(offset)).collect()
}

fn ends(entries: &[Json]) -> Result<Vec<(ScopedSegment, SegmentOffset)>> {
    let end = |(segment, end)| match end {
        i64::MAX => (segment, SegmentOffset::End),
        end => (segment, SegmentOffset::At(Offset(end))),
    };
    entries.iter().map(|json| pair(json).map(end)).collect()
}
