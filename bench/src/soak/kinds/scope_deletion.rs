//! Scopes of hundreds of streams, each deleted in one call.

use anyhow::Result;
use pravega_sdk_proto::ScopeInfo;

use super::costly_calls::create;
use crate::soak::attacker::Attacker;

const STREAMS: usize = 500;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    for number in 0..STREAMS {
        create(&attacker, &mut controller, &format!("stream-{number}"), 1).await;
    }
    let scope = attacker.scope();
    attacker.count(controller.delete_scope_recursive(ScopeInfo { scope }).await);
    Ok(())
}
