//! Reads that wait at the end of a segment, from connections that are reset.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame, read},
};

const READS: usize = 2_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut owner = Wire::connect(&attacker).await?;
    owner.create_new(&segment).await?;
    for _ in 0..5 {
        let mut wire = Wire::connect(&attacker).await?;
        attacker.attempts(READS);
        wire.push(&frame(read(&segment, 0, 100))?.repeat(READS), Duration::from_secs(1)).await;
        sleep(Duration::from_millis(200)).await;
        // Unread bytes make the kernel send a reset.
        drop(wire);
    }
    // All that still wait are answered.
    owner.append(&segment, Bytes::from_static(b"data")).await?;
    Ok(())
}
