//! Headers that claim 16 MB, then nothing, or a byte a second.

use std::time::Duration;

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, task::JoinSet, time::sleep};

use crate::soak::attacker::Attacker;

const CONNECTIONS: usize = 15;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut held = JoinSet::new();
    for number in 0..CONNECTIONS {
        held.spawn(claim(attacker.clone(), number));
    }
    while held.join_next().await.is_some() {}
    Ok(())
}

async fn claim(attacker: Attacker, number: usize) -> Result<()> {
    let mut socket = attacker.connect(attacker.target.store).await?;
    let header = [4_i32.to_be_bytes(), 0x00FF_FF00_i32.to_be_bytes()].concat();
    socket.write_all(&header).await?;
    if number.is_multiple_of(2) {
        attacker.read_to_the_end(&mut socket, Duration::from_secs(60)).await;
        return Ok(());
    }
    for _ in 0..60 {
        if socket.write_all(&[0]).await.is_err() {
            attacker.ended();
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
