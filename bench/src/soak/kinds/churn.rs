//! Streams, tables and reader groups with names of their own, created and deleted.

use anyhow::Result;
use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableInfo, ReaderGroupConfiguration, ReaderGroupInfo,
};

use super::costly_calls::create;
use crate::soak::attacker::Attacker;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let mut controller = attacker.controller().await?;
    let scope = attacker.scope();
    for _ in 0..40 {
        let name = format!("churn-{:x}", attacker.random.u64(..));
        if let Some(info) = create(&attacker, &mut controller, &name, 3).await {
            attacker.count(controller.seal_stream(info.clone()).await);
            attacker.count(controller.delete_stream(info).await);
        }
        let reader_group_id = uuid::Uuid::from_u128(attacker.random.u128(..)).to_string();
        let group = ReaderGroupConfiguration {
            scope: scope.clone(),
            reader_group_name: name.clone(),
            reader_group_id: reader_group_id.clone(),
            ..Default::default()
        };
        attacker.count(controller.create_reader_group(group).await);
        let group = ReaderGroupInfo {
            scope: scope.clone(),
            reader_group: name.clone(),
            reader_group_id,
            generation: 0,
        };
        attacker.count(controller.delete_reader_group(group).await);
        let table = KeyValueTableConfig {
            scope: scope.clone(),
            kvt_name: name.clone(),
            partition_count: 2,
            primary_key_length: 4,
            ..Default::default()
        };
        attacker.count(controller.create_key_value_table(table).await);
        let table = KeyValueTableInfo { scope: scope.clone(), kvt_name: name };
        attacker.count(controller.delete_key_value_table(table).await);
    }
    Ok(())
}
