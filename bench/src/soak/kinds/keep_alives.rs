//! Hundreds of thousands of the smallest requests in a row.

use std::time::Duration;

use anyhow::Result;
use pravega_sdk_wire_protocol::{VersionRange, commands::KeepAlive};
use tokio::time::sleep;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame},
};

const REQUESTS: usize = 200_000;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let request = if attacker.number.is_multiple_of(2) {
        frame(KeepAlive {})?
    } else {
        frame(VersionRange::SUPPORTED.hello())?
    };
    let mut wire = Wire::connect(&attacker).await?;
    attacker.attempts(REQUESTS);
    // None of the replies is read.
    wire.push(&request.repeat(REQUESTS), Duration::from_secs(3)).await;
    sleep(Duration::from_secs(1)).await;
    Ok(())
}
