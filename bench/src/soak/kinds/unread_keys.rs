//! Pages of a large table that are asked for in a row, and never read.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    IterationArgs, TableEntry, TableKey, TableValue,
    commands::{DeleteTableSegment, ReadTableEntries, ReadTableKeys, UpdateTableEntries},
};
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, create_table, frame},
};

const KEYS: u32 = 20_000;
const BATCH: usize = 2_000;
const REQUESTS: usize = 1_200;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    wire.ask(DeleteTableSegment {
        request_id: 1,
        segment: segment.as_str().into(),
        must_be_empty: false,
        delegation_token: "".into(),
    })
    .await?;
    wire.ask(create_table(&segment)).await?;
    let numbers: Vec<u32> = (0..KEYS).collect();
    for batch in numbers.chunks(BATCH) {
        let entry = |number: &u32| TableEntry {
            key: TableKey {
                data: Bytes::copy_from_slice(&number.to_be_bytes()),
                key_version: TableKey::NO_VERSION,
            },
            value: TableValue { data: Bytes::new() },
        };
        wire.ask(UpdateTableEntries {
            request_id: 2,
            segment: segment.as_str().into(),
            delegation_token: "".into(),
            table_entries: batch.iter().map(entry).collect(),
            table_segment_offset: -1,
        })
        .await?;
    }
    let keys = frame(ReadTableKeys {
        request_id: 3,
        segment: segment.as_str().into(),
        delegation_token: "".into(),
        suggested_key_count: i32::MAX,
        args: IterationArgs::default(),
    })?;
    let entries = frame(ReadTableEntries {
        request_id: 4,
        segment: segment.as_str().into(),
        delegation_token: "".into(),
        suggested_entry_count: i32::MAX,
        args: IterationArgs::default(),
    })?;
    for request in [keys, entries] {
        let mut unread = Wire::connect(&attacker).await?;
        attacker.attempts(REQUESTS);
        unread.push(&request.repeat(REQUESTS), Duration::from_secs(3)).await;
        sleep(Duration::from_secs(3)).await;
    }
    Ok(())
}
