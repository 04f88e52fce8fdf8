//! Attributes by the ten thousand on one segment.

use std::time::Duration;

use anyhow::Result;
use pravega_sdk_wire_protocol::commands::UpdateSegmentAttribute;
use uuid::Uuid;

use crate::soak::{
    attack::delete,
    attacker::Attacker,
    wire::{Wire, frame},
};

const ATTRIBUTES: usize = 20_000;
const BATCH: usize = 500;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    wire.create_new(&segment).await?;
    for _ in 0..ATTRIBUTES / BATCH {
        let mut updates = Vec::new();
        for _ in 0..BATCH {
            updates.extend(frame(UpdateSegmentAttribute {
                request_id: 1,
                segment_name: segment.as_str().into(),
                attribute_id: Uuid::from_u128(attacker.random.u128(..)),
                new_value: 1,
                expected_value: i64::MIN,
                delegation_token: "".into(),
            })?);
        }
        if !wire.push(&updates, Duration::from_secs(30)).await {
            break;
        }
        for _ in 0..BATCH {
            wire.next().await?;
        }
    }
    delete(&mut wire, &segment).await
}
