//! Calls about transactions, and about the times that writers note.

use std::time::Duration;

use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, ScopedStream, Timestamp, TransactionId, WriterName,
};

use super::answer::{Result, call, failed, judge, no_stream, read, refused};
use crate::{
    CompletedTransaction, ControllerError, CreatedTransaction, PingStatus, TransactionOutcome,
    TransactionState,
    grpc::{call::Answer, client::ControllerClient, convert},
    model::DEFAULT_LEASE_RANGE,
};

pub(super) async fn create_transaction(
    client: &ControllerClient,
    stream: &ScopedStream,
    lease: Duration,
) -> Result<CreatedTransaction> {
    let name = "createTransaction";
    if lease < *DEFAULT_LEASE_RANGE.start() {
        let detail = format!("a lease of {lease:?} is too short; servers take {}", lease_range());
        return Err(ControllerError::invalid(detail).with_operation(name, stream));
    }
    let message = proto::CreateTxnRequest {
        stream_info: Some(convert::stream_info(stream)),
        lease: convert::millis("lease", lease)?,
        ..proto::CreateTxnRequest::default()
    };
    let answer = call!(client, "createTransaction", Harmful, stream, create_transaction, message);
    let answer = answer.map_err(|error| match error.kind() {
        // A lease that the server refuses looks like any other failure.
        ErrorKind::ServerFailure if !DEFAULT_LEASE_RANGE.contains(&lease) => {
            let range = lease_range();
            error.map(|failure| {
                failure.with_hint(format_args!(
                    "the lease of {lease:?} may be more than the server takes, which is \
                     {range} by default"
                ))
            })
        }
        _ => error,
    })?;
    let transaction = || {
        let id = answer
            .message
            .txn_id
            .ok_or_else(|| ControllerError::protocol("the answer lacks an id"))?;
        let segments = convert::covering_segments(&answer.message.active_segments)?;
        Ok(CreatedTransaction {
            id: TransactionId::from_halves(id.high_bits, id.low_bits),
            segments,
        })
    };
    read(name, stream, &answer.endpoint, transaction())
}

pub(super) async fn ping_transaction(
    client: &ControllerClient,
    stream: &ScopedStream,
    id: TransactionId,
    lease: Duration,
) -> Result<PingStatus> {
    use proto::ping_txn_status::Status;
    let message = proto::PingTxnRequest {
        stream_info: Some(convert::stream_info(stream)),
        txn_id: Some(convert::transaction_id(id)),
        lease: convert::millis("lease", lease)?,
    };
    let answer = call!(client, "pingTransaction", Harmless, id, ping_transaction, message)?;
    judge!("pingTransaction", id, answer, Status, answer.message.status, {
        Status::Ok => Ok(PingStatus::Open),
        Status::Committed => Ok(PingStatus::Committed),
        Status::Aborted => Ok(PingStatus::Aborted),
        Status::LeaseTooLarge => Ok(PingStatus::LeaseTooLarge),
        Status::MaxExecutionTimeExceeded => Ok(PingStatus::MaxExecutionTimeExceeded),
        Status::Disconnected => Ok(PingStatus::Disconnected),
        Status::Unknown => refused(ErrorKind::NotFound, "there is no such transaction"),
        // No longer used; old servers may still send it.
        _ => Ok(PingStatus::MaxExecutionTimeExceeded),
    })
}

pub(super) async fn commit_transaction(
    client: &ControllerClient,
    stream: &ScopedStream,
    id: TransactionId,
    note: Option<(&WriterName, Timestamp)>,
) -> Result<()> {
    let message = proto::TxnRequest {
        stream_info: Some(convert::stream_info(stream)),
        txn_id: Some(convert::transaction_id(id)),
        writer_id: note.map(|(writer, _)| writer.to_string()).unwrap_or_default(),
        timestamp: note.map_or(NO_TIME, |(_, time)| time.as_millis()),
    };
    let answer = call!(client, "commitTransaction", Harmless, id, commit_transaction, message)?;
    transaction_status("commitTransaction", id, &answer)
}

pub(super) async fn abort_transaction(
    client: &ControllerClient,
    stream: &ScopedStream,
    id: TransactionId,
) -> Result<()> {
    let answer = call!(
        client,
        "abortTransaction",
        Harmless,
        id,
        abort_transaction,
        transaction_request(stream, id)
    )?;
    transaction_status("abortTransaction", id, &answer)
}

pub(super) async fn transaction_state(
    client: &ControllerClient,
    stream: &ScopedStream,
    id: TransactionId,
) -> Result<TransactionState> {
    use proto::txn_state::State;
    let message = transaction_request(stream, id);
    let answer =
        call!(client, "checkTransactionState", Harmless, id, check_transaction_state, message)?;
    judge!("checkTransactionState", id, answer, State, answer.message.state, {
        State::Open => Ok(TransactionState::Open),
        State::Committing => Ok(TransactionState::Committing),
        State::Committed => Ok(TransactionState::Committed),
        State::Aborting => Ok(TransactionState::Aborting),
        State::Aborted => Ok(TransactionState::Aborted),
        State::Unknown => {
            refused(ErrorKind::NotFound, "there is no such transaction, or it ended too long ago")
        },
    })
}

pub(super) async fn completed_transactions(
    client: &ControllerClient,
    stream: &ScopedStream,
) -> Result<Vec<CompletedTransaction>> {
    use proto::txn_response::Status;
    let message =
        proto::ListCompletedTxnRequest { stream_info: Some(convert::stream_info(stream)) };
    let answer = call!(
        client,
        "listCompletedTransactions",
        Harmless,
        stream,
        list_completed_transactions,
        message
    )?;
    let completed = |transaction: &proto::TxnResponse| {
        let id = transaction
            .txn_id
            .ok_or_else(|| ControllerError::protocol("the answer lacks an id"))?;
        let outcome = match Status::try_from(transaction.status) {
            Ok(Status::Committed) => TransactionOutcome::Committed,
            Ok(Status::Aborted) => TransactionOutcome::Aborted,
            Err(_) => return Err(convert::unknown_status(transaction.status)),
        };
        Ok(CompletedTransaction {
            id: TransactionId::from_halves(id.high_bits, id.low_bits),
            outcome,
        })
    };
    let transactions = answer.message.response.iter().map(completed).collect();
    read("listCompletedTransactions", stream, &answer.endpoint, transactions)
}

pub(super) async fn note_time(
    client: &ControllerClient,
    writer: &WriterName,
    position: &BoundedCut,
    time: Timestamp,
) -> Result<()> {
    use proto::timestamp_response::Status;
    let message = proto::TimestampFromWriter {
        writer: writer.to_string(),
        position: Some(convert::stream_cut(position)),
        timestamp: time.as_millis(),
    };
    let stream = position.stream();
    let answer = call!(
        client,
        "noteTimestampFromWriter",
        Harmless,
        stream,
        note_timestamp_from_writer,
        message
    )?;
    judge!("noteTimestampFromWriter", stream, answer, Status, answer.message.result, {
        Status::Success => Ok(()),
        Status::InvalidTime => {
            refused(ErrorKind::ConditionFailed, "the writer noted a later time before")
        },
        Status::InvalidPosition => {
            refused(ErrorKind::ConditionFailed, "the writer noted a later position before")
        },
        Status::InternalError => failed(),
    })
}

pub(super) async fn remove_writer(
    client: &ControllerClient,
    stream: &ScopedStream,
    writer: &WriterName,
) -> Result<bool> {
    use proto::remove_writer_response::Status;
    let message = proto::RemoveWriterRequest {
        writer: writer.to_string(),
        stream: Some(convert::stream_info(stream)),
    };
    let answer = call!(client, "removeWriter", Harmless, stream, remove_writer, message)?;
    judge!("removeWriter", stream, answer, Status, answer.message.result, {
        Status::Success => Ok(true),
        Status::UnknownWriter => Ok(false),
        Status::StreamDoesNotExist => no_stream(),
        Status::InternalError => failed(),
    })
}

/// The number that means that no time is noted with a commit.
const NO_TIME: i64 = i64::MIN;

fn lease_range() -> String {
    format!("{:?} to {:?}", DEFAULT_LEASE_RANGE.start(), DEFAULT_LEASE_RANGE.end())
}

fn transaction_request(stream: &ScopedStream, id: TransactionId) -> proto::TxnRequest {
    proto::TxnRequest {
        stream_info: Some(convert::stream_info(stream)),
        txn_id: Some(convert::transaction_id(id)),
        ..proto::TxnRequest::default()
    }
}

fn transaction_status(
    name: &'static str,
    id: TransactionId,
    answer: &Answer<proto::TxnStatus>,
) -> Result<()> {
    use proto::txn_status::Status;
    let judged = match Status::try_from(answer.message.status) {
        Ok(Status::Success) => Ok(()),
        Ok(Status::StreamNotFound) => no_stream(),
        Ok(Status::TransactionNotFound) => {
            refused(ErrorKind::NotFound, "there is no such transaction")
        }
        // A 0.13.0 server sends the same for a transaction that ended the other way or never
        // existed.
        Ok(Status::Failure) => {
            refused(ErrorKind::ConditionFailed, "the transaction is not open; ask for its state")
        }
        Err(_) => Err(convert::unknown_status(answer.message.status)),
    };
    read(name, &id, &answer.endpoint, judged)
}
