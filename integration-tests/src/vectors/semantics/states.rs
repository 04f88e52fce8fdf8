//! Entries of state synchronizers. Their updates are those of reader groups.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use pravega_sdk_table_synchronizer::StateEntry;
use pravega_sdk_types::serial::SerialReader;
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::Value as Json;

use crate::vectors::line::{hex, list, number, same, text};

/// An entry of several updates: its bytes, and the type and the reader of each update.
pub(super) fn entry_of_updates(line: &Json) -> Result<()> {
    let StateEntry::Updates(updates) = StateEntry::parse(hex(line, "hex")?.into())? else {
        bail!("the entry is no entry of updates");
    };
    let updates: Vec<Bytes> = updates.collect();
    let entry = StateEntry::updates(updates.iter().cloned())?;
    same("the entry", to_hex(&entry), text(line, "hex")?.to_owned())?;
    let expected = list(line, "updates")?;
    same("the number of updates", updates.len(), expected.len())?;
    for (update, expected) in updates.iter().zip(expected) {
        // 00, the type, and then what follows the 00 of an object of one type.
        let [0, kind, rest @ ..] = &update[..] else { bail!("an update has no type") };
        same("the type", i64::from(*kind), number(expected, "type")?)?;
        let object = [&[0], rest].concat();
        let mut body = SerialReader::new(&object).versioned(&[0])?.require(0)?;
        let reader = body.utf().context("the reader")?;
        same("the reader", reader.into_owned(), text(expected, "readerId")?.to_owned())?;
    }
    Ok(())
}
