//! Requests with the longest names, whose replies repeat them and are never read.

use std::time::Duration;

use anyhow::Result;
use pravega_sdk_wire_protocol::commands::GetStreamSegmentInfo;
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame},
};

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let request = frame(GetStreamSegmentInfo {
        request_id: 1,
        segment_name: "n".repeat(65_000).into(),
        delegation_token: "".into(),
    })?;
    let mut wire = Wire::connect(&attacker).await?;
    let mut sent = 0;
    while sent < 2_000 && wire.push(&request, Duration::from_secs(1)).await {
        sent += 1;
    }
    sleep(Duration::from_secs(3)).await;
    Ok(())
}
