//! Segments of large events that are created, filled and left, over one connection after another.

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_wire_protocol::{WireCommand, commands::CreateTransientSegment};
use uuid::Uuid;

use crate::soak::{attack::delete, attacker::Attacker, wire::Wire};

const SEGMENTS: usize = 50;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let parent = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    let mut made = Vec::new();
    for _ in 0..SEGMENTS {
        let create = CreateTransientSegment {
            request_id: 1,
            writer_id: Uuid::from_u128(attacker.random.u128(..)),
            parent_segment: parent.as_str().into(),
            delegation_token: "".into(),
        };
        if let WireCommand::SegmentCreated(created) = wire.ask(create).await? {
            attacker.made_segment(&created.segment);
            wire.append(&created.segment, Bytes::from(vec![1; 20_000])).await?;
            made.push(created.segment);
        }
    }
    for segment in made {
        delete(&mut wire, &segment).await?;
    }
    Ok(())
}
