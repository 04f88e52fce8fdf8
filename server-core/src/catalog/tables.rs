//! Key-value tables: partitions that are table segments with keys of one length.

use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableConfigResponse, KeyValueTableInfo, SegmentRanges, StreamInfo,
    create_key_value_table_status, delete_kv_table_status, key_value_table_config_response,
};
use pravega_sdk_types::{Epoch, KeyRange, SegmentId, SegmentNumber};

use super::{
    error::{CallError, CallResult},
    names,
    state::{Catalog, Table},
    stream::SegmentRecord,
};
use crate::store::{Refusal, Step};

/// The most partitions of a table. A request for more is a mistake.
const MAX_PARTITIONS: i32 = 10_000;
/// The longest key of a table segment with keys of one length, in bytes.
const MAX_KEY_LEN: i32 = 256;

impl Catalog {
    /// Creates a key-value table with its partitions.
    pub fn create_table(
        &mut self,
        config: KeyValueTableConfig,
        step: &mut Step<'_>,
    ) -> CallResult<create_key_value_table_status::Status> {
        use create_key_value_table_status::Status;
        let key_len = config.primary_key_length.saturating_add(config.secondary_key_length);
        let is_valid = (1..=MAX_PARTITIONS).contains(&config.partition_count)
            && config.primary_key_length > 0
            && config.secondary_key_length >= 0
            && key_len <= MAX_KEY_LEN;
        if !is_valid {
            return Err(CallError::unspecified());
        }
        let (scope, table) = (config.scope.clone(), config.kvt_name.clone());
        if !names::is_table(&table) {
            return Ok(Status::InvalidTableName);
        }
        let Some(found) = self.scopes.get(&scope) else {
            return Ok(Status::ScopeNotFound);
        };
        if found.tables.contains_key(&table) {
            return Ok(Status::TableExists);
        }
        step.reserve(config.partition_count.unsigned_abs() as usize)?;
        for record in partitions(&config) {
            let segment = names::segment(&scope, &names::table_stream(&table), record.id);
            match step.create_table(&segment, key_len, config.rollover_size_bytes) {
                Ok(()) | Err(Refusal::AlreadyExists) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        if let Some(found) = self.scopes.get_mut(&scope) {
            found.tables.insert(table.clone(), Table { config });
        }
        self.save_table(step.journal, &scope, &table);
        Ok(Status::Success)
    }

    /// The partitions of a key-value table.
    pub fn table_segments(
        &self,
        info: &KeyValueTableInfo,
        step: &Step<'_>,
    ) -> CallResult<SegmentRanges> {
        let missing = || {
            CallError::NotFound(format!(
                "key-value table {}/{} is not found",
                info.scope, info.kvt_name
            ))
        };
        let table = self.table(&info.scope, &info.kvt_name).ok_or_else(missing)?;
        let segment_ranges = partitions(&table.config)
            .map(|record| record.message(&info.scope, &info.kvt_name))
            .collect();
        let info = StreamInfo {
            scope: info.scope.clone(),
            stream: info.kvt_name.clone(),
            access_operation: 0,
        };
        Ok(SegmentRanges { segment_ranges, delegation_token: self.token(&info, step) })
    }

    /// The configuration of a key-value table.
    pub fn table_config(&self, info: &KeyValueTableInfo) -> KeyValueTableConfigResponse {
        use key_value_table_config_response::Status;
        let found = self.table(&info.scope, &info.kvt_name);
        let status = if found.is_some() { Status::Success } else { Status::TableNotFound };
        KeyValueTableConfigResponse {
            config: found.map(|table| table.config.clone()),
            status: status.into(),
        }
    }

    /// Deletes a key-value table with its entries.
    pub fn delete_table(
        &mut self,
        info: &KeyValueTableInfo,
        step: &mut Step<'_>,
    ) -> CallResult<delete_kv_table_status::Status> {
        use delete_kv_table_status::Status;
        step.reserve(0)?;
        if self.table(&info.scope, &info.kvt_name).is_none() {
            return Ok(Status::TableNotFound);
        }
        self.drop_table(&info.scope, &info.kvt_name, step);
        Ok(Status::Success)
    }

    /// Removes a table with its entries.
    pub(super) fn drop_table(&mut self, scope: &str, table: &str, step: &mut Step<'_>) {
        let Some(dropped) = self.scopes.get_mut(scope).and_then(|scope| scope.tables.remove(table))
        else {
            return;
        };
        for record in partitions(&dropped.config) {
            step.delete(&names::segment(scope, &names::table_stream(table), record.id)).ok();
        }
        self.save_table(step.journal, scope, table);
    }
}

/// The partitions of a table; they never change.
fn partitions(config: &KeyValueTableConfig) -> impl Iterator<Item = SegmentRecord> {
    let ranges = KeyRange::equal(config.partition_count.unsigned_abs());
    let record = |(number, range): (i32, KeyRange)| SegmentRecord {
        id: SegmentId::new(Epoch(0), SegmentNumber(number)),
        low: range.low(),
        high: range.high(),
    };
    (0..).zip(ranges).map(record)
}
