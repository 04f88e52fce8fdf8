//! Replies that are taken so slowly that each takes minutes.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::{io::AsyncReadExt as _, time::sleep};

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, frame, read},
};

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    wire.create_new(&segment).await?;
    wire.append(&segment, Bytes::from(vec![3; 500_000])).await?;
    let mut slow = Wire::connect(&attacker).await?;
    slow.push(&frame(read(&segment, 0, i32::MAX))?.repeat(100), Duration::from_secs(1)).await;
    let mut piece = [0; 1024];
    for _ in 0..300 {
        if slow.socket.read_exact(&mut piece).await.is_err() {
            attacker.ended();
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
