//! Key-value tables: partitions that are table segments with keys of one length.

use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableConfigResponse, KeyValueTableInfo, SegmentRanges, StreamInfo,
    create_key_value_table_status, delete_kv_table_status, key_value_table_config_response,
};
use pravega_sdk_types::{Epoch, KeyRange, SegmentId, SegmentNumber};

use super::{
    change::Part,
    error::{CallError, CallResult},
    history::SegmentRecord,
    names,
    plan::Plan,
    segments::new_segments,
    state::{Catalog, Table},
};
use crate::{
    record::{Attributes, Each},
    store::{SegmentKind, Step},
};

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
        let kind = SegmentKind::Table {
            key_len: key_len.unsigned_abs(),
            rollover: config.rollover_size_bytes,
        };
        let mut plan = Plan::new();
        // A table that is created again continues the numbers of its partitions, whose versions
        // begin again: a client that knows the old table never takes the new one for it.
        let stream = names::table_stream(&table);
        let first = found.numbers.first_of(&stream);
        let ranges = KeyRange::equal(config.partition_count.unsigned_abs());
        let created = new_segments(Epoch(0), first, &ranges)?;
        if found.numbers.get(&stream).is_some() {
            plan.scope(&scope, Part::Number(stream.clone(), None));
        }
        let ids = created.iter().map(|record| record.id);
        let stream = names::scoped(&scope, &stream);
        plan.each(step.creations(stream, ids, kind, Attributes::new()), step);
        plan.scope(&scope, Part::Table(table, Some(Table { config, first })));
        self.carry_out(plan, step)?;
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
        let segment_ranges =
            table.partitions().map(|record| record.message(&info.scope, &info.kvt_name)).collect();
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
        step.check_growth(0)?;
        if self.table(&info.scope, &info.kvt_name).is_none() {
            return Ok(Status::TableNotFound);
        }
        let mut plan = Plan::new();
        self.plan_table_removal(&mut plan, &info.scope, &info.kvt_name, step);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Plans the removal of a table with its entries.
    pub(super) fn plan_table_removal(
        &self,
        plan: &mut Plan,
        scope: &str,
        table: &str,
        step: &Step<'_>,
    ) {
        let Some(found) = self.table(scope, table) else { return };
        found.plan_deletion(plan, scope, table, step);
        self.plan_number(plan, scope, &names::table_stream(table), found.end());
        plan.scope(scope, Part::Table(table.to_owned(), None));
    }
}

impl Table {
    /// Plans the deletion of the segments of the table; returns their number.
    pub(super) fn plan_deletion(
        &self,
        plan: &mut Plan,
        scope: &str,
        table: &str,
        step: &Step<'_>,
    ) -> usize {
        let stream = names::scoped(scope, &names::table_stream(table));
        let ids = self.partitions().map(|record| record.id);
        let all = step.many(stream, ids, Each::Deleted);
        let count = all.ids.len();
        plan.each(all, step);
        count
    }

    /// The partitions; they never change.
    fn partitions(&self) -> impl Iterator<Item = SegmentRecord> {
        let ranges = KeyRange::equal(self.config.partition_count.unsigned_abs());
        let record = |(number, range): (i32, KeyRange)| SegmentRecord {
            id: SegmentId::new(Epoch(0), SegmentNumber(number)),
            low: range.low(),
            high: range.high(),
        };
        (self.first.0..self.end().0).zip(ranges).map(record)
    }

    /// The number after that of the last partition.
    fn end(&self) -> SegmentNumber {
        SegmentNumber(self.first.0.saturating_add(self.config.partition_count))
    }
}
