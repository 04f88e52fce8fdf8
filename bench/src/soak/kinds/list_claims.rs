//! Frames whose lists claim as many elements as the frame has bytes.

use std::time::Duration;

use anyhow::Result;

use crate::soak::{attacker::Attacker, wire::Wire};

/// Codes of `UpdateTableEntries`, `MergeSegments` and `MergeSegmentsBatch`.
const UPDATE: i32 = 74;
const MERGE: i32 = 58;
const MERGE_BATCH: i32 = 90;
const PAYLOAD: usize = 16_700_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let code = [UPDATE, MERGE, MERGE_BATCH][attacker.number % 3];
    let names: &[u8] = match code {
        // A segment and a token; two segments and a token; a segment.
        UPDATE => &[0, 1, b'a', 0, 0],
        MERGE => &[0, 1, b'a', 0, 1, b'b', 0, 0],
        _ => &[0, 1, b'a'],
    };
    let mut bytes = Vec::with_capacity(PAYLOAD + 8);
    bytes.extend(code.to_be_bytes());
    bytes.extend((PAYLOAD as i32).to_be_bytes());
    bytes.extend(7_i64.to_be_bytes());
    bytes.extend(names);
    bytes.extend((PAYLOAD as i32 - 100).to_be_bytes());
    bytes.resize(PAYLOAD + 8, 0);
    let mut wire = Wire::connect(&attacker).await?;
    if wire.push(&bytes, Duration::from_secs(20)).await {
        attacker.read_to_the_end(&mut wire.socket, Duration::from_secs(5)).await;
    }
    Ok(())
}
