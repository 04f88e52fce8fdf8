//! Segments that are filled and truncated to their very ends, again and again.

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_wire_protocol::commands::TruncateSegment;

use crate::soak::{attack::delete, attacker::Attacker, wire::Wire};

const SEGMENTS: usize = 16;
const LENGTH: usize = 254 << 10;
const TIMES: i64 = 4;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut wire = Wire::connect(&attacker).await?;
    let segments: Vec<String> = (0..SEGMENTS).map(|number| attacker.segment(number)).collect();
    for segment in &segments {
        wire.create_new(segment).await?;
    }
    for time in 1..=TIMES {
        for segment in &segments {
            wire.append(segment, Bytes::from(vec![5; LENGTH])).await?;
            wire.ask(TruncateSegment {
                request_id: 1,
                segment: segment.as_str().into(),
                truncation_offset: time * LENGTH as i64,
                delegation_token: "".into(),
            })
            .await?;
        }
    }
    for segment in &segments {
        delete(&mut wire, segment).await?;
    }
    Ok(())
}
