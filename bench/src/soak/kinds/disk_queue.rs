//! A megabyte to one key of a table, or to a segment that is truncated, as fast as it is taken.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    TableEntry, TableKey, TableValue,
    commands::{TruncateSegment, UpdateTableEntries},
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, append, create_table, frame, set_up},
};

const REQUESTS: i64 = 100;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let data = Bytes::from(vec![attacker.number as u8; 1 << 20]);
    let mut wire = Wire::connect(&attacker).await?;
    if attacker.number.is_multiple_of(2) {
        let segment = attacker.segment(0);
        wire.ask(create_table(&segment)).await?;
        let put = frame(UpdateTableEntries {
            request_id: 2,
            segment: segment.as_str().into(),
            delegation_token: "".into(),
            table_entries: vec![TableEntry {
                key: TableKey {
                    data: Bytes::from_static(b"key"),
                    key_version: TableKey::NO_VERSION,
                },
                value: TableValue { data },
            }],
            table_segment_offset: -1,
        })?;
        for _ in 0..REQUESTS {
            if !wire.push(&put, Duration::from_secs(5)).await {
                break;
            }
        }
    } else {
        let segment = attacker.segment(1);
        wire.create_new(&segment).await?;
        let writer = Uuid::from_u128(fastrand::u128(..));
        wire.ask(set_up(&segment, writer)).await?;
        for number in 1..=REQUESTS {
            let truncate = TruncateSegment {
                request_id: 4,
                segment: segment.as_str().into(),
                truncation_offset: number << 20,
                delegation_token: "".into(),
            };
            let both = [frame(append(writer, number, data.clone()))?, frame(truncate)?].concat();
            if !wire.push(&both, Duration::from_secs(5)).await {
                break;
            }
        }
    }
    sleep(Duration::from_secs(1)).await;
    Ok(())
}
