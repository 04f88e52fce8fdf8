//! A stream of hundreds of segments that is scaled again and again.

use anyhow::Result;
use pravega_sdk_proto::{ScaleRequest, scale_request::KeyRangeEntry};

use super::costly_calls::create;
use crate::soak::attacker::Attacker;

const SEGMENTS: i32 = 300;
const SCALES: usize = 40;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let name = format!("scaled-{:x}", attacker.random.u64(..));
    let Some(info) = create(&attacker, &mut controller, &name, SEGMENTS).await else {
        return Ok(());
    };
    for _ in 0..SCALES {
        let Some(ranges) = attacker.count(controller.get_current_segments(info.clone()).await)
        else {
            return Ok(());
        };
        let Some(first) = ranges.segment_ranges.first().cloned() else { break };
        let request = ScaleRequest {
            stream_info: Some(info.clone()),
            sealed_segments: first.segment_id.iter().map(|id| id.segment_id).collect(),
            new_key_ranges: vec![KeyRangeEntry { start: first.min_key, end: first.max_key }],
            scale_timestamp: 1,
        };
        attacker.count(controller.scale(request).await);
    }
    attacker.count(controller.seal_stream(info.clone()).await);
    attacker.count(controller.delete_stream(info).await);
    Ok(())
}
