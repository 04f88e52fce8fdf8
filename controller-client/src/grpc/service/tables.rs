//! Calls about key-value tables.

use pravega_sdk_proto as proto;
use pravega_sdk_types::{ErrorKind, Outcome, Scope, ScopedKeyValueTable};

use super::answer::{Result, call, failed, judge, next_token, no_scope, read, refused, token};
use crate::{
    ControllerError, Creation, Deletion, KeyValueTableConfiguration, Page, PageToken,
    SegmentWithRange,
    grpc::{client::ControllerClient, convert},
};

pub(super) async fn create_key_value_table(
    client: &ControllerClient,
    table: &ScopedKeyValueTable,
    configuration: &KeyValueTableConfiguration,
) -> Result<Creation> {
    use proto::create_key_value_table_status::Status;
    let name = "createKeyValueTable";
    let message = convert::table_config(table, configuration)
        .map_err(|error| error.with_operation(name, table))?;
    let answer =
        call!(client, "createKeyValueTable", Harmless, table, create_key_value_table, message)?;
    judge!("createKeyValueTable", table, answer, Status, answer.message.status, {
        Status::Success => Ok(Creation::Created),
        Status::TableExists => Ok(Creation::AlreadyExisted),
        Status::ScopeNotFound => no_scope(),
        Status::InvalidTableName => {
            refused(ErrorKind::InvalidName, "the controller refuses this name")
        },
        Status::Failure => failed(),
    })
}

pub(super) async fn delete_key_value_table(
    client: &ControllerClient,
    table: &ScopedKeyValueTable,
) -> Result<Deletion> {
    use proto::delete_kv_table_status::Status;
    let message = convert::table_info(table);
    let answer =
        call!(client, "deleteKeyValueTable", Harmless, table, delete_key_value_table, message)?;
    judge!("deleteKeyValueTable", table, answer, Status, answer.message.status, {
        Status::Success => Ok(Deletion::Deleted),
        Status::TableNotFound => Ok(Deletion::NotFound),
        Status::Failure => failed(),
    })
}

pub(super) async fn key_value_table_configuration(
    client: &ControllerClient,
    table: &ScopedKeyValueTable,
) -> Result<KeyValueTableConfiguration> {
    use proto::key_value_table_config_response::Status;
    let message = convert::table_info(table);
    let answer = call!(
        client,
        "getKeyValueTableConfiguration",
        Harmless,
        table,
        get_key_value_table_configuration,
        message
    )?;
    judge!("getKeyValueTableConfiguration", table, answer, Status, answer.message.status, {
        Status::Success => match &answer.message.config {
            Some(config) => convert::table_configuration(config),
            None => Err(ControllerError::protocol("the answer lacks a configuration")),
        },
        Status::TableNotFound => refused(ErrorKind::NotFound, "there is no such key-value table"),
        Status::Failure => failed(),
    })
}

pub(super) async fn key_value_table_segments(
    client: &ControllerClient,
    table: &ScopedKeyValueTable,
) -> Result<Vec<SegmentWithRange>> {
    let message = convert::table_info(table);
    let name = "getCurrentSegmentsKeyValueTable";
    let answer = call!(
        client,
        "getCurrentSegmentsKeyValueTable",
        Harmless,
        table,
        get_current_segments_key_value_table,
        message
    )
    .map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let detail = "there is no such key-value table";
            ControllerError::new(ErrorKind::NotFound, Outcome::NotApplied, detail)
                .with_operation(name, table)
                .with_attempts(error.endpoint().cloned(), error.attempts())
        }
        _ => error,
    })?;
    read(name, table, &answer.endpoint, convert::covering_segments(&answer.message.segment_ranges))
}

pub(super) async fn key_value_tables_page(
    client: &ControllerClient,
    scope: &Scope,
    start: &PageToken,
) -> Result<Page<ScopedKeyValueTable>> {
    use proto::kv_tables_in_scope_response::Status;
    let name = "listKeyValueTablesInScope";
    let message = proto::KvTablesInScopeRequest {
        scope: Some(convert::scope_info(scope)),
        continuation_token: token(start),
    };
    let answer = call!(
        client,
        "listKeyValueTablesInScope",
        Harmless,
        scope,
        list_key_value_tables_in_scope,
        message
    )?;
    judge!("listKeyValueTablesInScope", scope, answer, Status, answer.message.status, {
        Status::Success => Ok(()),
        Status::ScopeNotFound => no_scope(),
        Status::Failure => failed(),
    })?;
    let items = answer.message.kvtables.iter().map(convert::scoped_table).collect();
    let items = read(name, scope, &answer.endpoint, items)?;
    Ok(Page { items, next: next_token(answer.message.continuation_token) })
}
