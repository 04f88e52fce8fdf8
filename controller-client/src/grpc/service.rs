//! One method a call: arguments to messages, statuses to results.

use std::time::Duration;

use async_trait::async_trait;
use pravega_sdk_proto as proto;
use pravega_sdk_types::{
    BoundedCut, Endpoint, Epoch, ErrorKind, KeyRange, Offset, Outcome, ReaderGroupConfiguration,
    Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentId,
    StreamConfiguration, StreamCut, Successor, Tag, TransactionId, WriterName, check_cover,
};

use super::{
    ControllerClient,
    call::{Answer, Operation, Repeat},
    convert,
};
use crate::{
    AccessOperation, CompletedTransaction, Controller, ControllerError, CreatedTransaction,
    Creation, CutRange, DelegationToken, Deletion, KeyValueTableConfiguration, Page, PageToken,
    PingStatus, ScaleStart, ScaleState, SegmentWithRange, Subscriber, TransactionOutcome,
    TransactionState, model::DEFAULT_LEASE_RANGE,
};

type Result<T> = std::result::Result<T, ControllerError>;

/// Calls `$method` of the generated client with all attempts, and names the call in errors.
macro_rules! call {
    ($self:ident, $name:literal, $repeat:ident, $target:expr, $method:ident, $message:expr) => {{
        let operation = Operation { name: $name, repeat: Repeat::$repeat };
        $self
            .inner
            .call(operation, &$target, $message, |mut client, request| {
                Box::pin(async move { client.$method(request).await })
            })
            .await
    }};
}

/// What the answer's status means: a value, or the kind of the error.
macro_rules! judge {
    ($name:literal, $target:expr, $answer:expr, $status:ty, $number:expr, { $($arm:pat => $meaning:expr,)* }) => {{
        let Answer { endpoint, .. } = &$answer;
        let judged: Result<_> = match <$status>::try_from($number) {
            $(Ok($arm) => $meaning,)*
            Err(_) => Err(convert::unknown_status($number)),
        };
        judged.map_err(|error| error.during($name, &$target).after(Some(endpoint.clone()), 1))
    }};
}

fn refused<T>(kind: ErrorKind, detail: &str) -> Result<T> {
    Err(ControllerError::new(kind, Outcome::NotApplied, detail))
}

/// The server says that it failed, and nothing else.
fn failed<T>() -> Result<T> {
    let detail = "the controller answered that it failed, without a reason";
    Err(ControllerError::new(ErrorKind::ServerFailure, Outcome::Unknown, detail))
}

fn no_scope<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such scope")
}

fn no_stream<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such stream")
}

fn token(token: &PageToken) -> Option<proto::ContinuationToken> {
    Some(proto::ContinuationToken { token: token.0.clone() })
}

fn next_token(token: Option<proto::ContinuationToken>) -> PageToken {
    PageToken(token.map(|token| token.token).unwrap_or_default())
}

/// Puts the call's name to an error that came from reading its answer.
fn read<T>(
    name: &'static str,
    target: &dyn std::fmt::Display,
    endpoint: &Endpoint,
    value: Result<T>,
) -> Result<T> {
    value.map_err(|error| error.during(name, target).after(Some(endpoint.clone()), 1))
}

#[async_trait]
impl Controller for ControllerClient {
    async fn controllers(&self) -> Result<Vec<Endpoint>> {
        let answer = call!(
            self,
            "getControllerServerList",
            Harmless,
            "the cluster",
            get_controller_server_list,
            proto::ServerRequest {}
        )?;
        let asked = &answer.endpoint;
        let endpoints =
            answer.message.node_uri.iter().map(|uri| convert::endpoint(uri, asked)).collect();
        read("getControllerServerList", &"the cluster", asked, endpoints)
    }

    async fn create_scope(&self, scope: &Scope) -> Result<Creation> {
        use proto::create_scope_status::Status;
        let answer =
            call!(self, "createScope", Harmless, scope, create_scope, convert::scope_info(scope))?;
        judge!("createScope", scope, answer, Status, answer.message.status, {
            Status::Success => Ok(Creation::Created),
            Status::ScopeExists => Ok(Creation::AlreadyExisted),
            Status::InvalidScopeName => refused(ErrorKind::InvalidName, "the controller does not take this name"),
            Status::Failure => failed(),
        })
    }

    async fn delete_scope(&self, scope: &Scope) -> Result<Deletion> {
        use proto::delete_scope_status::Status;
        self.refuse_if_not_empty(scope).await?;
        let answer =
            call!(self, "deleteScope", Harmless, scope, delete_scope, convert::scope_info(scope))?;
        judge!("deleteScope", scope, answer, Status, answer.message.status, {
            Status::Success => Ok(Deletion::Deleted),
            Status::ScopeNotFound => Ok(Deletion::NotFound),
            Status::ScopeNotEmpty => refused(ErrorKind::NotEmpty, "the scope is not empty"),
            Status::Failure => failed(),
        })
    }

    async fn delete_scope_recursive(&self, scope: &Scope) -> Result<Deletion> {
        use proto::delete_scope_status::Status;
        let message = convert::scope_info(scope);
        let answer =
            call!(self, "deleteScopeRecursive", Harmless, scope, delete_scope_recursive, message)?;
        judge!("deleteScopeRecursive", scope, answer, Status, answer.message.status, {
            Status::Success => Ok(Deletion::Deleted),
            Status::ScopeNotFound => Ok(Deletion::NotFound),
            Status::ScopeNotEmpty => refused(ErrorKind::NotEmpty, "the scope is not empty"),
            Status::Failure => failed(),
        })
    }

    async fn scope_exists(&self, scope: &Scope) -> Result<bool> {
        let message = convert::scope_info(scope);
        Ok(call!(self, "checkScopeExists", Harmless, scope, check_scope_exists, message)?
            .message
            .exists)
    }

    async fn scopes_page(&self, start: &PageToken) -> Result<Page<Scope>> {
        let message = proto::ScopesRequest { continuation_token: token(start) };
        let answer = call!(self, "listScopes", Harmless, "the cluster", list_scopes, message)?;
        let items = answer.message.scopes.iter().map(|name| convert::scope(name)).collect();
        let items = read("listScopes", &"the cluster", &answer.endpoint, items)?;
        Ok(Page { items, next: next_token(answer.message.continuation_token) })
    }

    async fn create_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<Creation> {
        use proto::create_stream_status::Status;
        let message = convert::stream_config(stream, configuration)?;
        let answer = call!(self, "createStream", Harmless, stream, create_stream, message)?;
        judge!("createStream", stream, answer, Status, answer.message.status, {
            Status::Success => Ok(Creation::Created),
            Status::StreamExists => Ok(Creation::AlreadyExisted),
            Status::ScopeNotFound => no_scope(),
            Status::InvalidStreamName => refused(ErrorKind::InvalidName, "the controller does not take this name"),
            Status::Failure => failed(),
        })
    }

    async fn update_stream(
        &self,
        stream: &ScopedStream,
        configuration: &StreamConfiguration,
    ) -> Result<()> {
        let message = convert::stream_config(stream, configuration)?;
        let answer = call!(self, "updateStream", Harmless, stream, update_stream, message)?;
        update_status("updateStream", stream, &answer)
    }

    async fn truncate_stream(&self, cut: &BoundedCut) -> Result<()> {
        let answer = call!(
            self,
            "truncateStream",
            Harmless,
            cut.stream(),
            truncate_stream,
            convert::stream_cut(cut)
        )?;
        update_status("truncateStream", cut.stream(), &answer)
    }

    async fn seal_stream(&self, stream: &ScopedStream) -> Result<()> {
        let answer =
            call!(self, "sealStream", Harmless, stream, seal_stream, convert::stream_info(stream))?;
        update_status("sealStream", stream, &answer)
    }

    async fn delete_stream(&self, stream: &ScopedStream) -> Result<Deletion> {
        use proto::delete_stream_status::Status;
        let answer = call!(
            self,
            "deleteStream",
            Harmless,
            stream,
            delete_stream,
            convert::stream_info(stream)
        )?;
        judge!("deleteStream", stream, answer, Status, answer.message.status, {
            Status::Success => Ok(Deletion::Deleted),
            Status::StreamNotFound => Ok(Deletion::NotFound),
            Status::StreamNotSealed => refused(ErrorKind::NotSealed, "the stream must be sealed before it is deleted"),
            Status::Failure => failed(),
        })
    }

    async fn stream_exists(&self, stream: &ScopedStream) -> Result<bool> {
        let message = convert::stream_info(stream);
        Ok(call!(self, "checkStreamExists", Harmless, stream, check_stream_exists, message)?
            .message
            .exists)
    }

    async fn stream_configuration(&self, stream: &ScopedStream) -> Result<StreamConfiguration> {
        let message = convert::stream_info(stream);
        let answer = call!(
            self,
            "getStreamConfiguration",
            Harmless,
            stream,
            get_stream_configuration,
            message
        )?;
        read(
            "getStreamConfiguration",
            stream,
            &answer.endpoint,
            convert::configuration(&answer.message),
        )
    }

    async fn streams_page(&self, scope: &Scope, start: &PageToken) -> Result<Page<ScopedStream>> {
        let message = proto::StreamsInScopeRequest {
            scope: Some(convert::scope_info(scope)),
            continuation_token: token(start),
        };
        let answer =
            call!(self, "listStreamsInScope", Harmless, scope, list_streams_in_scope, message)?;
        streams_page("listStreamsInScope", scope, answer)
    }

    async fn streams_by_tag_page(
        &self,
        scope: &Scope,
        tag: &Tag,
        start: &PageToken,
    ) -> Result<Page<ScopedStream>> {
        let message = proto::StreamsInScopeWithTagRequest {
            scope: Some(convert::scope_info(scope)),
            tag: tag.to_string(),
            continuation_token: token(start),
        };
        let answer = call!(
            self,
            "listStreamsInScopeForTag",
            Harmless,
            scope,
            list_streams_in_scope_for_tag,
            message
        )?;
        streams_page("listStreamsInScopeForTag", scope, answer)
    }

    async fn current_segments(&self, stream: &ScopedStream) -> Result<Vec<SegmentWithRange>> {
        // Without an access operation the controller wants more rights and issues a token that
        // nobody asked for.
        let message = convert::stream_info_for(stream, proto::stream_info::AccessOperation::None);
        let answer =
            call!(self, "getCurrentSegments", Harmless, stream, get_current_segments, message)?;
        let segments = convert::covering_segments(&answer.message.segment_ranges);
        read("getCurrentSegments", stream, &answer.endpoint, segments)
    }

    async fn epoch_segments(
        &self,
        stream: &ScopedStream,
        epoch: Epoch,
    ) -> Result<Vec<SegmentWithRange>> {
        let message = proto::GetEpochSegmentsRequest {
            stream_info: Some(convert::stream_info(stream)),
            epoch: epoch.0,
        };
        let answer =
            call!(self, "getEpochSegments", Harmless, stream, get_epoch_segments, message)?;
        let segments = convert::covering_segments(&answer.message.segment_ranges);
        read("getEpochSegments", stream, &answer.endpoint, segments)
    }

    async fn head_segments(&self, stream: &ScopedStream) -> Result<Vec<(SegmentId, Offset)>> {
        // The server does not look at the timestamp: it always answers with the head.
        let message = proto::GetSegmentsRequest {
            stream_info: Some(convert::stream_info(stream)),
            timestamp: 0,
        };
        let answer = call!(self, "getSegments", Harmless, stream, get_segments, message)?;
        read("getSegments", stream, &answer.endpoint, convert::head(&answer.message))
    }

    async fn successors(&self, segment: &ScopedSegment) -> Result<Vec<Successor>> {
        let message = convert::segment_id(segment);
        let name = "getSegmentsImmediatelyFollowing";
        let answer = call!(
            self,
            "getSegmentsImmediatelyFollowing",
            Harmless,
            segment,
            get_segments_immediately_following,
            message
        )?;
        read(name, segment, &answer.endpoint, convert::successors(&answer.message))
    }

    async fn segments_between(
        &self,
        stream: &ScopedStream,
        range: &CutRange,
    ) -> Result<Vec<ScopedSegment>> {
        let name = "getSegmentsBetween";
        if range.from == StreamCut::Unbounded && range.to == StreamCut::Unbounded {
            return Err(ControllerError::invalid("one of the two cuts must not be unbounded")
                .during(name, stream));
        }
        for cut in [&range.from, &range.to].into_iter().filter_map(StreamCut::bounded) {
            if cut.stream() != stream {
                let detail =
                    format!("a cut of stream {} is given for stream {stream}", cut.stream());
                return Err(ControllerError::new(
                    ErrorKind::InvalidStreamCut,
                    Outcome::NotApplied,
                    detail,
                )
                .during(name, stream));
            }
        }
        let message = proto::StreamCutRange {
            stream_info: Some(convert::stream_info(stream)),
            from: convert::cut_map(&range.from),
            to: convert::cut_map(&range.to),
        };
        let answer =
            call!(self, "getSegmentsBetween", Harmless, stream, get_segments_between, message)?;
        let segments = answer.message.segments.iter().map(convert::scoped_segment).collect();
        read(name, stream, &answer.endpoint, segments)
    }

    async fn segment_endpoint(&self, segment: &ScopedSegment) -> Result<Endpoint> {
        let answer =
            call!(self, "getURI", Harmless, segment, get_uri, convert::segment_id(segment))?;
        read(
            "getURI",
            segment,
            &answer.endpoint,
            convert::endpoint(&answer.message, &answer.endpoint),
        )
    }

    async fn is_segment_open(&self, segment: &ScopedSegment) -> Result<bool> {
        let message = convert::segment_id(segment);
        Ok(call!(self, "isSegmentValid", Harmless, segment, is_segment_valid, message)?
            .message
            .response)
    }

    async fn is_stream_cut_valid(&self, cut: &BoundedCut) -> Result<bool> {
        let message = convert::stream_cut(cut);
        Ok(call!(self, "isStreamCutValid", Harmless, cut.stream(), is_stream_cut_valid, message)?
            .message
            .response)
    }

    async fn scale(
        &self,
        stream: &ScopedStream,
        sealed: &[SegmentId],
        ranges: &[KeyRange],
    ) -> Result<ScaleStart> {
        use proto::scale_response::ScaleStreamStatus as Status;
        if sealed.is_empty() {
            return Err(
                ControllerError::invalid("no segments to seal are given").during("scale", stream)
            );
        }
        check_pieces(ranges).map_err(|error| error.during("scale", stream))?;
        let entry = |range: &KeyRange| proto::scale_request::KeyRangeEntry {
            start: range.low(),
            end: range.high(),
        };
        let message = proto::ScaleRequest {
            stream_info: Some(convert::stream_info(stream)),
            sealed_segments: sealed.iter().map(|id| i64::from(*id)).collect(),
            new_key_ranges: ranges.iter().map(entry).collect(),
            scale_timestamp: milliseconds_since_1970(),
        };
        let answer = call!(self, "scale", Harmful, stream, scale, message)?;
        judge!("scale", stream, answer, Status, answer.message.status, {
            Status::Started => Ok(ScaleStart::Started {
                epoch: Epoch(answer.message.epoch),
                segments: convert::segments_with_ranges(&answer.message.segments)?,
            }),
            Status::PreconditionFailed => Ok(ScaleStart::PreconditionFailed),
            Status::Failure => refused(
                ErrorKind::InvalidArgument,
                "the controller refused: the ranges do not match the segments to seal, or the stream is sealed",
            ),
        })
    }

    async fn scale_state(&self, stream: &ScopedStream, epoch: Epoch) -> Result<ScaleState> {
        use proto::scale_status_response::ScaleStatus as Status;
        let message = proto::ScaleStatusRequest {
            stream_info: Some(convert::stream_info(stream)),
            epoch: epoch.0,
        };
        let answer = call!(self, "checkScale", Harmless, stream, check_scale, message)?;
        judge!("checkScale", stream, answer, Status, answer.message.status, {
            Status::InProgress => Ok(ScaleState::InProgress),
            Status::Success => Ok(ScaleState::Done),
            Status::InvalidInput => {
                refused(ErrorKind::InvalidArgument, "the stream does not exist, or has not reached this epoch")
            },
            Status::InternalError => failed(),
        })
    }

    async fn create_transaction(
        &self,
        stream: &ScopedStream,
        lease: Duration,
    ) -> Result<CreatedTransaction> {
        let name = "createTransaction";
        if lease < *DEFAULT_LEASE_RANGE.start() {
            let detail =
                format!("a lease of {lease:?} is too short; servers take {}", lease_range());
            return Err(ControllerError::invalid(detail).during(name, stream));
        }
        let message = proto::CreateTxnRequest {
            stream_info: Some(convert::stream_info(stream)),
            lease: convert::millis("lease", lease)?,
            ..proto::CreateTxnRequest::default()
        };
        let answer = call!(self, "createTransaction", Harmful, stream, create_transaction, message);
        let answer = answer.map_err(|error| match error.kind() {
            // A lease that the server does not take looks like any other failure of it.
            ErrorKind::ServerFailure if !DEFAULT_LEASE_RANGE.contains(&lease) => error.with_hint(&format!(
                "the lease of {lease:?} may be more than the server takes, which is {} by default",
                lease_range()
            )),
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

    async fn ping_transaction(
        &self,
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
        let answer = call!(self, "pingTransaction", Harmless, id, ping_transaction, message)?;
        judge!("pingTransaction", id, answer, Status, answer.message.status, {
            Status::Ok => Ok(PingStatus::Open),
            Status::Committed => Ok(PingStatus::Committed),
            Status::Aborted => Ok(PingStatus::Aborted),
            Status::LeaseTooLarge => Ok(PingStatus::LeaseTooLarge),
            Status::MaxExecutionTimeExceeded => Ok(PingStatus::MaxExecutionTimeExceeded),
            Status::Disconnected => Ok(PingStatus::Disconnected),
            Status::Unknown => refused(ErrorKind::NotFound, "there is no such transaction"),
            // Retired with its own limit; servers of old may still say it.
            _ => Ok(PingStatus::MaxExecutionTimeExceeded),
        })
    }

    async fn commit_transaction(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
        note: Option<(&WriterName, i64)>,
    ) -> Result<()> {
        let message = proto::TxnRequest {
            stream_info: Some(convert::stream_info(stream)),
            txn_id: Some(convert::transaction_id(id)),
            writer_id: note.map(|(writer, _)| writer.to_string()).unwrap_or_default(),
            timestamp: note.map_or(NO_TIME, |(_, time)| time),
        };
        let answer = call!(self, "commitTransaction", Harmless, id, commit_transaction, message)?;
        transaction_status("commitTransaction", id, &answer)
    }

    async fn abort_transaction(&self, stream: &ScopedStream, id: TransactionId) -> Result<()> {
        let answer = call!(
            self,
            "abortTransaction",
            Harmless,
            id,
            abort_transaction,
            transaction_request(stream, id)
        )?;
        transaction_status("abortTransaction", id, &answer)
    }

    async fn transaction_state(
        &self,
        stream: &ScopedStream,
        id: TransactionId,
    ) -> Result<TransactionState> {
        use proto::txn_state::State;
        let message = transaction_request(stream, id);
        let answer =
            call!(self, "checkTransactionState", Harmless, id, check_transaction_state, message)?;
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

    async fn completed_transactions(
        &self,
        stream: &ScopedStream,
    ) -> Result<Vec<CompletedTransaction>> {
        use proto::txn_response::Status;
        let message =
            proto::ListCompletedTxnRequest { stream_info: Some(convert::stream_info(stream)) };
        let answer = call!(
            self,
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

    async fn note_time(&self, writer: &WriterName, position: &BoundedCut, time: i64) -> Result<()> {
        use proto::timestamp_response::Status;
        let message = proto::TimestampFromWriter {
            writer: writer.to_string(),
            position: Some(convert::stream_cut(position)),
            timestamp: time,
        };
        let stream = position.stream();
        let answer = call!(
            self,
            "noteTimestampFromWriter",
            Harmless,
            stream,
            note_timestamp_from_writer,
            message
        )?;
        judge!("noteTimestampFromWriter", stream, answer, Status, answer.message.result, {
            Status::Success => Ok(()),
            Status::InvalidTime => refused(ErrorKind::ConditionFailed, "the writer noted a later time before"),
            Status::InvalidPosition => {
                refused(ErrorKind::ConditionFailed, "the writer noted a later position before")
            },
            Status::InternalError => failed(),
        })
    }

    async fn remove_writer(&self, stream: &ScopedStream, writer: &WriterName) -> Result<bool> {
        use proto::remove_writer_response::Status;
        let message = proto::RemoveWriterRequest {
            writer: writer.to_string(),
            stream: Some(convert::stream_info(stream)),
        };
        let answer = call!(self, "removeWriter", Harmless, stream, remove_writer, message)?;
        judge!("removeWriter", stream, answer, Status, answer.message.result, {
            Status::Success => Ok(true),
            Status::UnknownWriter => Ok(false),
            Status::StreamDoesNotExist => no_stream(),
            Status::InternalError => failed(),
        })
    }

    async fn delegation_token(
        &self,
        stream: &ScopedStream,
        access: AccessOperation,
    ) -> Result<DelegationToken> {
        let message = convert::stream_info_for(stream, convert::access(access));
        let answer =
            call!(self, "getDelegationToken", Harmless, stream, get_delegation_token, message)?;
        Ok(DelegationToken::new(answer.message.delegation_token))
    }

    async fn create_key_value_table(
        &self,
        table: &ScopedKeyValueTable,
        configuration: &KeyValueTableConfiguration,
    ) -> Result<Creation> {
        use proto::create_key_value_table_status::Status;
        let name = "createKeyValueTable";
        let message = convert::table_config(table, configuration)
            .map_err(|error| error.during(name, table))?;
        let answer =
            call!(self, "createKeyValueTable", Harmless, table, create_key_value_table, message)?;
        judge!("createKeyValueTable", table, answer, Status, answer.message.status, {
            Status::Success => Ok(Creation::Created),
            Status::TableExists => Ok(Creation::AlreadyExisted),
            Status::ScopeNotFound => no_scope(),
            Status::InvalidTableName => refused(ErrorKind::InvalidName, "the controller does not take this name"),
            Status::Failure => failed(),
        })
    }

    async fn delete_key_value_table(&self, table: &ScopedKeyValueTable) -> Result<Deletion> {
        use proto::delete_kv_table_status::Status;
        let message = convert::table_info(table);
        let answer =
            call!(self, "deleteKeyValueTable", Harmless, table, delete_key_value_table, message)?;
        judge!("deleteKeyValueTable", table, answer, Status, answer.message.status, {
            Status::Success => Ok(Deletion::Deleted),
            Status::TableNotFound => Ok(Deletion::NotFound),
            Status::Failure => failed(),
        })
    }

    async fn key_value_table_configuration(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<KeyValueTableConfiguration> {
        use proto::key_value_table_config_response::Status;
        let message = convert::table_info(table);
        let answer = call!(
            self,
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

    async fn key_value_table_segments(
        &self,
        table: &ScopedKeyValueTable,
    ) -> Result<Vec<SegmentWithRange>> {
        let message = convert::table_info(table);
        let name = "getCurrentSegmentsKeyValueTable";
        let answer = call!(
            self,
            "getCurrentSegmentsKeyValueTable",
            Harmless,
            table,
            get_current_segments_key_value_table,
            message
        )?;
        read(
            name,
            table,
            &answer.endpoint,
            convert::covering_segments(&answer.message.segment_ranges),
        )
    }

    async fn key_value_tables_page(
        &self,
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
            self,
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

    async fn create_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<ReaderGroupConfiguration> {
        use proto::create_reader_group_response::Status;
        let name = "createReaderGroup";
        if configuration.id().is_nil() {
            return Err(ControllerError::invalid("a reader group needs an id that is not nil")
                .during(name, group));
        }
        // The server keeps the generation that it is given for its subscribers, but answers with 0:
        // only 0 makes both agree.
        let first = configuration.clone().with_identity(configuration.id(), 0);
        let message = convert::group_config(group, &first)?;
        let answer =
            call!(self, "createReaderGroup", Harmless, group, create_reader_group, message)?;
        judge!("createReaderGroup", group, answer, Status, answer.message.status, {
            Status::Success => match &answer.message.config {
                Some(config) => convert::group_configuration(config),
                None => Err(ControllerError::protocol("the answer lacks a configuration")),
            },
            Status::ScopeNotFound => no_scope(),
            Status::InvalidRgName => refused(ErrorKind::InvalidName, "the controller does not take this name"),
            Status::Failure => failed(),
        })
    }

    async fn reader_group_configuration(
        &self,
        group: &ScopedReaderGroup,
    ) -> Result<ReaderGroupConfiguration> {
        use proto::reader_group_config_response::Status;
        let message = proto::ReaderGroupInfo {
            scope: group.scope().to_string(),
            reader_group: group.group().to_string(),
            ..proto::ReaderGroupInfo::default()
        };
        let answer =
            call!(self, "getReaderGroupConfig", Harmless, group, get_reader_group_config, message)?;
        judge!("getReaderGroupConfig", group, answer, Status, answer.message.status, {
            Status::Success => match &answer.message.config {
                Some(config) => convert::group_configuration(config),
                None => Err(ControllerError::protocol("the answer lacks a configuration")),
            },
            Status::RgNotFound => no_group(),
            Status::Failure => failed(),
        })
    }

    async fn update_reader_group(
        &self,
        group: &ScopedReaderGroup,
        configuration: &ReaderGroupConfiguration,
    ) -> Result<i64> {
        use proto::update_reader_group_response::Status;
        let message = convert::group_config(group, configuration)?;
        let answer =
            call!(self, "updateReaderGroup", Harmful, group, update_reader_group, message)?;
        judge!("updateReaderGroup", group, answer, Status, answer.message.status, {
            Status::Success => Ok(answer.message.generation),
            Status::RgNotFound => no_group(),
            Status::InvalidConfig => {
                refused(ErrorKind::ConditionFailed, "the group has another id or generation by now; read it again")
            },
            Status::Failure => failed(),
        })
    }

    async fn delete_reader_group(
        &self,
        group: &ScopedReaderGroup,
        id: uuid::Uuid,
    ) -> Result<Deletion> {
        use proto::delete_reader_group_status::Status;
        let message = proto::ReaderGroupInfo {
            scope: group.scope().to_string(),
            reader_group: group.group().to_string(),
            reader_group_id: id.to_string(),
            ..proto::ReaderGroupInfo::default()
        };
        let answer =
            call!(self, "deleteReaderGroup", Harmless, group, delete_reader_group, message)?;
        judge!("deleteReaderGroup", group, answer, Status, answer.message.status, {
            Status::Success => Ok(Deletion::Deleted),
            Status::RgNotFound => Ok(Deletion::NotFound),
            Status::Failure => failed(),
        })
    }

    async fn subscribers(&self, stream: &ScopedStream) -> Result<Vec<String>> {
        use proto::subscribers_response::Status;
        let answer = call!(
            self,
            "listSubscribers",
            Harmless,
            stream,
            list_subscribers,
            convert::stream_info(stream)
        )?;
        judge!("listSubscribers", stream, answer, Status, answer.message.status, {
            Status::Success => Ok(()),
            Status::StreamNotFound => no_stream(),
            Status::Failure => failed(),
        })?;
        Ok(answer.message.subscribers)
    }

    async fn update_subscriber_cut(&self, subscriber: &Subscriber, cut: &BoundedCut) -> Result<()> {
        use proto::update_subscriber_status::Status;
        let message = proto::SubscriberStreamCut {
            subscriber: subscriber.group.to_string(),
            generation: subscriber.generation,
            reader_group_id: subscriber.id.to_string(),
            stream_cut: Some(convert::stream_cut(cut)),
        };
        let group = &subscriber.group;
        let answer = call!(
            self,
            "updateSubscriberStreamCut",
            Harmless,
            group,
            update_subscriber_stream_cut,
            message
        )?;
        judge!("updateSubscriberStreamCut", group, answer, Status, answer.message.status, {
            Status::Success => Ok(()),
            Status::StreamNotFound => no_stream(),
            Status::SubscriberNotFound => refused(ErrorKind::NotFound, "the stream has no such subscriber"),
            Status::StreamCutNotValid => refused(ErrorKind::InvalidStreamCut, "the controller does not take this cut"),
            Status::GenerationMismatch => refused(ErrorKind::ConditionFailed, "the group has another generation by now"),
            Status::Failure => failed(),
        })
    }
}

impl ControllerClient {
    /// A server that is asked to delete a scope which is not empty refuses, and has damaged it by
    /// then.
    async fn refuse_if_not_empty(&self, scope: &Scope) -> Result<()> {
        let start = PageToken::start();
        let found = match self.streams_page(scope, &start).await {
            Ok(page) => page.items.first().map(|stream| format!("stream {}", stream.stream())),
            // Nothing is there to damage; the call itself says so again.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = match found {
            Some(found) => Some(found),
            None => {
                let page = self.key_value_tables_page(scope, &start).await?;
                page.items.first().map(|table| format!("table {}", table.table()))
            }
        };
        match found {
            Some(found) => {
                let detail = format!("the scope is not empty: it holds {found}");
                Err(ControllerError::new(ErrorKind::NotEmpty, Outcome::NotApplied, detail)
                    .during("deleteScope", scope))
            }
            None => Ok(()),
        }
    }
}

/// No time is noted with a commit.
const NO_TIME: i64 = i64::MIN;

fn no_group<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such reader group")
}

fn lease_range() -> String {
    format!("{:?} to {:?}", DEFAULT_LEASE_RANGE.start(), DEFAULT_LEASE_RANGE.end())
}

fn milliseconds_since_1970() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

fn transaction_request(stream: &ScopedStream, id: TransactionId) -> proto::TxnRequest {
    proto::TxnRequest {
        stream_info: Some(convert::stream_info(stream)),
        txn_id: Some(convert::transaction_id(id)),
        ..proto::TxnRequest::default()
    }
}

/// Each run of neighbouring ranges must be without gaps inside; runs may lie apart, as a scale can
/// seal any segments.
fn check_pieces(ranges: &[KeyRange]) -> Result<()> {
    match check_cover(ranges) {
        Ok(_) | Err(pravega_sdk_types::KeyRangeError::Gap { .. }) => Ok(()),
        Err(error) => {
            Err(ControllerError::invalid(format!("the new key ranges cannot be: {error}")))
        }
    }
}

fn update_status(
    name: &'static str,
    stream: &ScopedStream,
    answer: &Answer<proto::UpdateStreamStatus>,
) -> Result<()> {
    use proto::update_stream_status::Status;
    let judged = match Status::try_from(answer.message.status) {
        Ok(Status::Success) => Ok(()),
        Ok(Status::StreamNotFound) => no_stream(),
        Ok(Status::ScopeNotFound) => no_scope(),
        Ok(Status::StreamSealed) => refused(ErrorKind::Sealed, "the stream is sealed"),
        Ok(Status::Failure) if name == "truncateStream" => refused(
            ErrorKind::InvalidStreamCut,
            "the controller refused: the cut does not cover the stream, or lies before its head",
        ),
        Ok(Status::Failure) => failed(),
        Err(_) => Err(convert::unknown_status(answer.message.status)),
    };
    read(name, stream, &answer.endpoint, judged)
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
        // A 0.13.0 server says nothing better of one that ended the other way, or never was.
        Ok(Status::Failure) => {
            refused(ErrorKind::ConditionFailed, "the transaction is not open; ask for its state")
        }
        Err(_) => Err(convert::unknown_status(answer.message.status)),
    };
    read(name, &id, &answer.endpoint, judged)
}

fn streams_page(
    name: &'static str,
    scope: &Scope,
    answer: Answer<proto::StreamsInScopeResponse>,
) -> Result<Page<ScopedStream>> {
    use proto::streams_in_scope_response::Status;
    let judged = match Status::try_from(answer.message.status) {
        // Servers before the status was there send other numbers with a good page.
        Ok(Status::Success) | Err(_) => Ok(()),
        Ok(Status::ScopeNotFound) => no_scope(),
        Ok(Status::Failure) => failed(),
    };
    read(name, scope, &answer.endpoint, judged)?;
    let items = answer.message.streams.iter().map(convert::scoped_stream).collect();
    let items = read(name, scope, &answer.endpoint, items)?;
    Ok(Page { items, next: next_token(answer.message.continuation_token) })
}
