//! Transactions that are begun and aborted, or begun and left.

use anyhow::Result;
use pravega_sdk_proto::{CreateTxnRequest, TxnRequest};

use super::costly_calls::create;
use crate::soak::attacker::Attacker;

const TRANSACTIONS: usize = 500;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let Some(info) = create(&attacker, &mut controller, "transactions", 2).await else {
        return Ok(());
    };
    for number in 0..TRANSACTIONS {
        let begin = CreateTxnRequest {
            stream_info: Some(info.clone()),
            lease: 10_000,
            ..Default::default()
        };
        let begun = attacker.count(controller.create_transaction(begin).await);
        let Some(begun) = begun.filter(|_| number % 10 != 0) else { continue };
        let abort = TxnRequest {
            stream_info: Some(info.clone()),
            txn_id: begun.txn_id,
            ..Default::default()
        };
        let ended = if number % 2 == 0 {
            controller.abort_transaction(abort).await
        } else {
            controller.commit_transaction(abort).await
        };
        attacker.count(ended);
    }
    Ok(())
}
