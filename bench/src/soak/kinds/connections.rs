//! Connections that are opened and closed as fast as possible, on each port.

use anyhow::Result;
use tokio::task::JoinSet;

use crate::soak::attacker::Attacker;

const CONNECTIONS: usize = 300;
const AT_ONCE: usize = 50;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut open = JoinSet::new();
    for number in 0..CONNECTIONS {
        let attacker = attacker.clone();
        open.spawn(async move {
            drop(attacker.connect(attacker.target.port(number)).await);
        });
        if open.len() >= AT_ONCE {
            open.join_next().await;
        }
    }
    while open.join_next().await.is_some() {}
    Ok(())
}
