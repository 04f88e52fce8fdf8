//! Reads of offsets that no segment will ever reach.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame, read},
};

const READS: i64 = 20_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    // One segment for all, so that what waits there adds up.
    let segment = "attack/beyond_the_end/0.#epoch.0";
    attacker.made_segment(segment);
    let mut wire = Wire::connect(&attacker).await?;
    wire.ask(crate::soak::wire::create(segment)).await?;
    let mut reads = Vec::new();
    for number in 0..READS {
        reads.extend(frame(read(segment, i64::MAX - 6 - number % 1_000, 100))?);
    }
    attacker.attempts(READS as usize);
    wire.push(&reads, Duration::from_secs(5)).await;
    attacker.read_to_the_end(&mut wire.socket, Duration::from_secs(5)).await;
    sleep(Duration::from_secs(1)).await;
    Ok(())
}
