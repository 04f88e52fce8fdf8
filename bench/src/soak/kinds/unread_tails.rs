//! Reads of a long tail over many connections, whose replies are never read.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame, read},
};

const TAIL: usize = 260_000;
const CONNECTIONS: usize = 10;
const READS: usize = 200;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    wire.create_new(&segment).await?;
    wire.append(&segment, Bytes::from(vec![7; TAIL])).await?;
    let reads = frame(read(&segment, 0, i32::MAX))?.repeat(READS);
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut wire = Wire::connect(&attacker).await?;
        attacker.attempts(READS);
        wire.push(&reads, Duration::from_secs(1)).await;
        unread.push(wire);
    }
    sleep(Duration::from_secs(3)).await;
    Ok(())
}
