//! Calls of the controller that are cancelled as soon as they are sent.

use anyhow::Result;
use pravega_sdk_proto::ScopeInfo;
use tokio::task::yield_now;

use crate::soak::attacker::Attacker;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let controller = attacker.controller().await?;
    let scope = attacker.scope();
    for _ in 0..500 {
        attacker.attempt();
        let (mut controller, scope) = (controller.clone(), scope.clone());
        let call = tokio::spawn(async move { controller.create_scope(ScopeInfo { scope }).await });
        yield_now().await;
        call.abort();
    }
    Ok(())
}
