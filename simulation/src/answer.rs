//! The errors of the simulated controller's calls, as the client makes them of the codes and
//! statuses that the real controller returns.

use pravega_sdk_controller_client::{
    ControllerError, Creation, Deletion, KeyValueTableConfiguration, Page, ScaleStart, ScaleState,
};
use pravega_sdk_proto::{
    KeyValueTableConfigResponse, KvTablesInScopeResponse, ScaleResponse,
    create_key_value_table_status, create_scope_status, create_stream_status,
    delete_kv_table_status, delete_scope_status, delete_stream_status, kv_tables_in_scope_response,
    scale_response::ScaleStreamStatus, scale_status_response::ScaleStatus, txn_status::Status,
    update_stream_status,
};
use pravega_sdk_server_core::catalog::CallError;
use pravega_sdk_types::{Epoch, ErrorKind, Outcome, ScopedKeyValueTable};

use crate::messages;

pub(crate) fn failed(error: CallError) -> ControllerError {
    let (kind, outcome, detail) = match error {
        CallError::NotFound(detail) => (ErrorKind::NotFound, Outcome::NotApplied, detail),
        CallError::Invalid(detail) => (ErrorKind::InvalidArgument, Outcome::NotApplied, detail),
        CallError::ResourceExhausted(detail) => {
            (ErrorKind::OutOfSpace, Outcome::NotApplied, detail)
        }
        CallError::Unavailable(detail) => (ErrorKind::Unavailable, Outcome::Unknown, detail),
        CallError::Internal(detail) | CallError::Unknown(detail) => {
            (ErrorKind::ServerFailure, Outcome::Unknown, detail)
        }
    };
    ControllerError::new(kind, outcome, detail)
}

pub(crate) fn unavailable(detail: &str) -> ControllerError {
    ControllerError::new(ErrorKind::Unavailable, Outcome::Unknown, detail)
}

pub(crate) fn timed_out() -> ControllerError {
    ControllerError::new(ErrorKind::Timeout, Outcome::Unknown, "the controller did not answer")
}

fn failure() -> ControllerError {
    let (kind, outcome) = (ErrorKind::ServerFailure, Outcome::Unknown);
    ControllerError::new(kind, outcome, "the controller failed without a reason")
}

fn no_scope() -> ControllerError {
    refused(ErrorKind::NotFound, "the scope is not found")
}

fn no_stream() -> ControllerError {
    refused(ErrorKind::NotFound, "the stream is not found")
}

fn bad_name() -> ControllerError {
    refused(ErrorKind::InvalidName, "the controller refuses this name")
}

pub(crate) fn refused(kind: ErrorKind, detail: &str) -> ControllerError {
    ControllerError::new(kind, Outcome::NotApplied, detail)
}

pub(crate) fn unsupported() -> ControllerError {
    refused(ErrorKind::Unsupported, "the simulated controller does not have this call")
}

/// The answer to a commit or an abort.
pub(crate) fn decided(status: Status) -> Result<(), ControllerError> {
    match status {
        Status::Success => Ok(()),
        Status::Failure => Err(refused(ErrorKind::ConditionFailed, "the transaction is not open")),
        Status::StreamNotFound | Status::TransactionNotFound => {
            Err(refused(ErrorKind::NotFound, "the transaction is not found"))
        }
    }
}

pub(crate) fn scope_created(
    status: create_scope_status::Status,
) -> Result<Creation, ControllerError> {
    use create_scope_status::Status;
    match status {
        Status::Success => Ok(Creation::Created),
        Status::ScopeExists => Ok(Creation::AlreadyExisted),
        Status::InvalidScopeName => Err(bad_name()),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn scope_deleted(
    status: delete_scope_status::Status,
) -> Result<Deletion, ControllerError> {
    use delete_scope_status::Status;
    match status {
        Status::Success => Ok(Deletion::Deleted),
        Status::ScopeNotFound => Ok(Deletion::NotFound),
        Status::ScopeNotEmpty => Err(refused(ErrorKind::NotEmpty, "the scope is not empty")),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn stream_created(
    status: create_stream_status::Status,
) -> Result<Creation, ControllerError> {
    use create_stream_status::Status;
    match status {
        Status::Success => Ok(Creation::Created),
        Status::StreamExists => Ok(Creation::AlreadyExisted),
        Status::ScopeNotFound => Err(no_scope()),
        Status::InvalidStreamName => Err(bad_name()),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn table_created(
    status: create_key_value_table_status::Status,
) -> Result<Creation, ControllerError> {
    use create_key_value_table_status::Status;
    match status {
        Status::Success => Ok(Creation::Created),
        Status::TableExists => Ok(Creation::AlreadyExisted),
        Status::ScopeNotFound => Err(no_scope()),
        Status::InvalidTableName => Err(bad_name()),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn table_deleted(
    status: delete_kv_table_status::Status,
) -> Result<Deletion, ControllerError> {
    use delete_kv_table_status::Status;
    match status {
        Status::Success => Ok(Deletion::Deleted),
        Status::TableNotFound => Ok(Deletion::NotFound),
        Status::Failure => Err(failure()),
    }
}

/// A page of the tables of a scope.
pub(crate) fn tables_page(
    answer: &KvTablesInScopeResponse,
) -> Result<Page<ScopedKeyValueTable>, ControllerError> {
    use kv_tables_in_scope_response::Status;
    match answer.status() {
        Status::Success => Ok(messages::tables_page(answer)),
        Status::ScopeNotFound => Err(no_scope()),
        Status::Failure => Err(failure()),
    }
}

/// The answer to the question for the configuration of a table.
pub(crate) fn table_config(
    answer: &KeyValueTableConfigResponse,
) -> Result<KeyValueTableConfiguration, ControllerError> {
    let Some(config) = &answer.config else {
        return Err(refused(ErrorKind::NotFound, "there is no such key-value table"));
    };
    Ok(messages::table_configuration(config))
}

/// The answer to an update or a seal.
pub(crate) fn updated(status: update_stream_status::Status) -> Result<(), ControllerError> {
    use update_stream_status::Status;
    match status {
        Status::Success => Ok(()),
        Status::StreamNotFound => Err(no_stream()),
        Status::ScopeNotFound => Err(no_scope()),
        Status::StreamSealed => Err(refused(ErrorKind::Sealed, "the stream is sealed")),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn truncated(status: update_stream_status::Status) -> Result<(), ControllerError> {
    if status == update_stream_status::Status::Failure {
        let detail = "the cut does not cover the stream, or is before its head";
        return Err(refused(ErrorKind::InvalidStreamCut, detail));
    }
    updated(status)
}

pub(crate) fn stream_deleted(
    status: delete_stream_status::Status,
) -> Result<Deletion, ControllerError> {
    use delete_stream_status::Status;
    match status {
        Status::Success => Ok(Deletion::Deleted),
        Status::StreamNotFound => Ok(Deletion::NotFound),
        Status::StreamNotSealed => Err(refused(ErrorKind::NotSealed, "the stream is not sealed")),
        Status::Failure => Err(failure()),
    }
}

pub(crate) fn scale_started(response: &ScaleResponse) -> Result<ScaleStart, ControllerError> {
    match response.status() {
        ScaleStreamStatus::Started => Ok(ScaleStart::Started {
            epoch: Epoch(response.epoch),
            segments: messages::segments(&response.segments),
        }),
        ScaleStreamStatus::PreconditionFailed => Ok(ScaleStart::PreconditionFailed),
        ScaleStreamStatus::Failure => {
            Err(refused(ErrorKind::InvalidArgument, "the ranges do not fit the segments"))
        }
    }
}

pub(crate) fn scale_state(status: ScaleStatus) -> Result<ScaleState, ControllerError> {
    match status {
        ScaleStatus::InProgress => Ok(ScaleState::InProgress),
        ScaleStatus::Success => Ok(ScaleState::Done),
        ScaleStatus::InvalidInput => {
            Err(refused(ErrorKind::InvalidArgument, "the stream has not reached this epoch"))
        }
        ScaleStatus::InternalError => Err(failure()),
    }
}
