//! The entries of a group of Java readers, as they were found on a server.

use anyhow::{Context as _, Result};
use pravega_sdk_table_synchronizer::Revision;
use serde_json::Value as Json;

use super::{scenario::Replay, updates::entry};
use crate::vectors::line::{hex, list, number, same, text};

/// The header of an event before each entry.
const HEADER: i64 = 8;

/// An entry with its place.
pub(in crate::vectors) struct Captured {
    line: Json,
}

/// Records an entry for the lines that follow from it.
pub(in crate::vectors::semantics) fn prepare(line: &Json, entries: &mut Vec<Captured>) {
    if line["kind"] == "captured_rg_entry" {
        entries.push(Captured { line: line.clone() });
    }
}

fn end(line: &Json) -> Result<Revision> {
    Ok(text(line, "endRevision")?.parse()?)
}

/// An entry begins where the one before it ends.
pub(in crate::vectors::semantics) fn captured_entry(
    line: &Json,
    entries: &[Captured],
) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let updates = list(line, "updates")?;
    match number(line, "entryKind")? {
        1 => {
            same("the number of initial states", updates.len(), 1)?;
            Replay::begin("", &bytes, &updates[0])?;
        }
        kind => {
            same("the kind", kind, 2)?;
            entry(&bytes, updates)?;
        }
    }
    let start = match usize::try_from(number(line, "seq")?)?.checked_sub(1) {
        None => 0,
        Some(before) => end(&entries.get(before).context("no such entry")?.line)?.offset().0,
    };
    let end = end(line)?;
    same("the end", end.offset().0, start + HEADER + bytes.len() as i64)?;
    // Java's log names the entry, not the last of its updates.
    same("the index", end.index(), 0)
}

/// The state after all entries.
pub(in crate::vectors::semantics) fn captured_final(
    line: &Json,
    entries: &[Captured],
) -> Result<()> {
    let (first, rest) = entries.split_first().context("no entries")?;
    let segment = end(&first.line)?.segment().to_string();
    let updates = list(&first.line, "updates")?;
    let mut replay = Replay::begin(&segment, &hex(&first.line, "hex")?, &updates[0])?;
    let mut at = usize::try_from(end(&first.line)?.offset().0)?;
    for Captured { line } in rest {
        let bytes = hex(line, "hex")?;
        let updates = entry(&bytes, list(line, "updates")?)?;
        same("fitting the state", replay.apply(at, bytes.len(), updates), true)?;
        at = usize::try_from(end(line)?.offset().0)?;
    }
    replay.check(&line["state"])
}
