//! The controller's gRPC service, which passes each call to the catalog.

use std::sync::Arc;

use pravega_sdk_proto::{controller_service_server::ControllerService, *};
use pravega_sdk_server_core::{
    catalog::{CallError, CallResult, Catalog, id_of},
    ids::{Moment, StoreIndex},
    machine::Machine,
    store::{Progress, Step},
};
use prost::Message;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::{
    answer::{Lent, not_taken},
    journal::NotDurable,
    limits::{ANSWER_WAITS, OWN_ANSWER_BYTES, OWN_BYTES},
    state::ServerState,
    watched::OnlyCall,
};

/// How much longer an answer is before it is encoded, about: its names are strings of their own.
const DECODED_TIMES: usize = 4;

/// The addresses of a server.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) host: String,
    pub(crate) controller: u16,
    pub(crate) stores: Vec<u16>,
    pub(crate) rest: Option<u16>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    state: Arc<ServerState>,
    addresses: Addresses,
}

/// The status of a failed call.
fn status_of(error: CallError) -> Status {
    match error {
        CallError::NotFound(message) => Status::not_found(message),
        CallError::Internal(message) => Status::internal(message),
        CallError::Unknown(message) => Status::unknown(message),
        CallError::Invalid(message) => Status::invalid_argument(message),
        CallError::ResourceExhausted(message) => Status::resource_exhausted(message),
        CallError::Unavailable(message) => Status::unavailable(message),
    }
}

impl Service {
    pub(crate) fn new(state: Arc<ServerState>, addresses: Addresses) -> Self {
        Self { state, addresses }
    }

    /// Makes a call, and responds once the changes that it reveals are durable.
    async fn call<Q, A: Message>(
        &self,
        request: Request<Q>,
        call: impl FnOnce(&mut Catalog, Q, &mut Step<'_>) -> CallResult<A>,
    ) -> Result<Response<A>, Status> {
        if self.state.faults.controller_is_away() {
            return Err(Status::unavailable("the controller is away"));
        }
        let delay = self.state.faults.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let header =
            request.metadata().get("authorization").and_then(|header| header.to_str().ok());
        let header = header.unwrap_or_default().to_owned();
        let is_only = request.extensions().get::<OnlyCall>().is_some();
        let own = if is_only { OWN_ANSWER_BYTES } else { OWN_BYTES };
        let request = request.into_inner();
        let work = |machine: &mut Machine, at: Moment| {
            if machine.access.as_ref().is_some_and(|access| !access.admits(&header)) {
                return Err(Status::unauthenticated("the credentials are missing or wrong"));
            }
            let (catalog, mut step) = machine.call(at);
            let answer = call(catalog, request, &mut step).map_err(status_of)?;
            Ok((answer, step.progress))
        };
        let not_durable = |error: NotDurable| Status::unavailable(error.to_string());
        let (done, after) = self.state.run(work);
        let lent = match &done {
            Ok((answer, _)) => self.lend(answer, own).await?,
            Err(_) => None,
        };
        self.state.wait_durable(after).await.map_err(not_durable)?;
        let (answer, progress) = done?;
        if progress == Progress::Unfinished {
            self.state.finish_work().await.map_err(not_durable)?;
        }
        let mut response = Response::new(answer);
        if let Some(lent) = lent {
            response.extensions_mut().insert(lent);
        }
        Ok(response)
    }

    /// The memory of an answer until it is encoded, above what the call has to itself; fails if
    /// others do not take theirs.
    async fn lend(&self, answer: &impl Message, own: usize) -> Result<Option<Lent>, Status> {
        let bytes = answer.encoded_len() * DECODED_TIMES;
        if bytes <= own {
            return Ok(None);
        }
        let budget = &self.state.budget;
        if let Some(charge) = budget.replies.try_charge(bytes) {
            return Ok(Some(Arc::new(charge)));
        }
        let _waits = budget.waiting_answers.try_acquire().map_err(|_| not_taken())?;
        let charge = timeout(ANSWER_WAITS, budget.replies.charge(bytes)).await;
        charge.map(|charge| Some(Arc::new(charge))).map_err(|_| not_taken())
    }

    fn node(&self, store: StoreIndex) -> NodeUri {
        let port = self.addresses.stores.get(store.0).copied().unwrap_or_default();
        NodeUri { endpoint: self.addresses.host.clone(), port: i32::from(port) }
    }
}

/// The calls: the request and the response of each, and the method of the catalog.
macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty =
        |$service:pat_param, $catalog:pat_param, $asked:pat_param, $step:pat_param| $body:expr;)*
    ) => {
        #[tonic::async_trait]
        impl ControllerService for Service {
            $(async fn $name(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                let $service = self;
                self.call(request, |$catalog, $asked, $step| $body).await
            })*
        }
    };
}

/// A response that has only a status.
macro_rules! status {
    ($response:ident, $status:expr) => {
        Ok($response { status: $status?.into() })
    };
}

fn info(info: Option<StreamInfo>) -> StreamInfo {
    info.unwrap_or_default()
}

fn scope(scope: Option<ScopeInfo>) -> String {
    scope.unwrap_or_default().scope
}

fn token(token: Option<ContinuationToken>) -> String {
    token.unwrap_or_default().token
}

calls! {
    get_controller_server_list(ServerRequest) -> ServerResponse = |service, _, _, _| {
        let Addresses { host, controller, .. } = &service.addresses;
        let node = NodeUri { endpoint: host.clone(), port: i32::from(*controller) };
        Ok(ServerResponse { node_uri: vec![node] })
    };

    create_scope(ScopeInfo) -> CreateScopeStatus = |_, c, q, step| {
        status!(CreateScopeStatus, c.create_scope(&q.scope, step))
    };
    delete_scope(ScopeInfo) -> DeleteScopeStatus = |_, c, q, step| {
        status!(DeleteScopeStatus, c.delete_scope(&q.scope, step))
    };
    delete_scope_recursive(ScopeInfo) -> DeleteScopeStatus = |_, c, q, step| {
        status!(DeleteScopeStatus, c.delete_scope_recursive(&q.scope, step))
    };
    check_scope_exists(ScopeInfo) -> ExistsResponse = |_, c, q, _| {
        Ok(c.scope_exists(&q.scope))
    };
    check_stream_exists(StreamInfo) -> ExistsResponse = |_, c, q, _| {
        Ok(c.stream_exists(&q.scope, &q.stream))
    };
    list_scopes(ScopesRequest) -> ScopesResponse = |_, c, q, _| {
        Ok(c.list_scopes(&token(q.continuation_token)))
    };
    list_streams_in_scope(StreamsInScopeRequest) -> StreamsInScopeResponse = |_, c, q, _| {
        c.list_streams(&scope(q.scope), None, &token(q.continuation_token))
    };
    list_streams_in_scope_for_tag(StreamsInScopeWithTagRequest) -> StreamsInScopeResponse =
        |_, c, q, _| {
        c.list_streams(&scope(q.scope), Some(&q.tag), &token(q.continuation_token))
    };
    list_key_value_tables_in_scope(KvTablesInScopeRequest) -> KvTablesInScopeResponse =
        |_, c, q, _| {
        Ok(c.list_tables(&scope(q.scope), &token(q.continuation_token)))
    };

    create_stream(StreamConfig) -> CreateStreamStatus = |_, c, q, step| {
        status!(CreateStreamStatus, c.create_stream(q, step))
    };
    update_stream(StreamConfig) -> UpdateStreamStatus = |_, c, q, step| {
        status!(UpdateStreamStatus, c.update_stream(q, step))
    };
    truncate_stream(StreamCut) -> UpdateStreamStatus = |_, c, q, step| {
        status!(UpdateStreamStatus, c.truncate_stream(&info(q.stream_info), q.cut, step))
    };
    seal_stream(StreamInfo) -> UpdateStreamStatus = |_, c, q, step| {
        status!(UpdateStreamStatus, c.seal_stream(&q, step))
    };
    delete_stream(StreamInfo) -> DeleteStreamStatus = |_, c, q, step| {
        status!(DeleteStreamStatus, c.delete_stream(&q, step))
    };
    get_stream_configuration(StreamInfo) -> StreamConfig = |_, c, q, _| {
        c.stream_configuration(&q)
    };
    get_current_segments(StreamInfo) -> SegmentRanges = |_, c, q, step| {
        c.current_segments(&q, step)
    };
    get_epoch_segments(GetEpochSegmentsRequest) -> SegmentRanges = |_, c, q, step| {
        c.epoch_segments(&info(q.stream_info), q.epoch, step)
    };
    get_segments(GetSegmentsRequest) -> SegmentsAtTime = |_, c, q, step| {
        c.head_segments(&info(q.stream_info), step)
    };
    get_segments_immediatly_following(SegmentId) -> SuccessorResponse = |_, c, q, step| {
        c.successors(&info(q.stream_info), q.segment_id, step)
    };
    get_segments_immediately_following(SegmentId) -> SuccessorResponse = |_, c, q, step| {
        c.successors(&info(q.stream_info), q.segment_id, step)
    };
    get_segments_between(StreamCutRange) -> StreamCutRangeResponse = |_, c, q, step| {
        c.segments_between(&info(q.stream_info), &q.from, &q.to, step)
    };
    get_uri(SegmentId) -> NodeUri = |service, _, q, step| {
        Ok(service.node(Catalog::store_of(&info(q.stream_info), q.segment_id, step)))
    };
    is_segment_valid(SegmentId) -> SegmentValidityResponse = |_, c, q, _| {
        let response = c.is_segment_open(&info(q.stream_info), q.segment_id)?;
        Ok(SegmentValidityResponse { response })
    };
    is_stream_cut_valid(StreamCut) -> StreamCutValidityResponse = |_, c, q, _| {
        Ok(StreamCutValidityResponse { response: c.is_cut_complete(&info(q.stream_info), &q.cut)? })
    };
    scale(ScaleRequest) -> ScaleResponse = |_, c, q, step| {
        c.scale(&q, step)
    };
    check_scale(ScaleStatusRequest) -> ScaleStatusResponse = |_, c, q, _| {
        Ok(ScaleStatusResponse { status: c.check_scale(&info(q.stream_info), q.epoch).into() })
    };
    get_delegation_token(StreamInfo) -> DelegationToken = |_, c, q, step| {
        Ok(DelegationToken { delegation_token: c.token(&q, step) })
    };

    create_transaction(CreateTxnRequest) -> CreateTxnResponse = |_, c, q, step| {
        c.create_transaction(&info(q.stream_info), q.lease, step)
    };
    commit_transaction(TxnRequest) -> TxnStatus = |_, c, q, step| {
        let (info, id) = (info(q.stream_info), id_of(q.txn_id));
        let status = c.commit_transaction(&info, id, &q.writer_id, q.timestamp, step);
        status!(TxnStatus, status)
    };
    abort_transaction(TxnRequest) -> TxnStatus = |_, c, q, step| {
        status!(TxnStatus, c.abort_transaction(&info(q.stream_info), id_of(q.txn_id), step))
    };
    ping_transaction(PingTxnRequest) -> PingTxnStatus = |_, c, q, step| {
        let (info, id) = (info(q.stream_info), id_of(q.txn_id));
        status!(PingTxnStatus, c.ping_transaction(&info, id, q.lease, step))
    };
    check_transaction_state(TxnRequest) -> TxnState = |_, c, q, _| {
        Ok(TxnState { state: c.transaction_state(&info(q.stream_info), id_of(q.txn_id))?.into() })
    };
    list_completed_transactions(ListCompletedTxnRequest) -> ListCompletedTxnResponse =
        |_, c, q, _| {
        c.completed_transactions(&info(q.stream_info))
    };
    remove_writer(RemoveWriterRequest) -> RemoveWriterResponse = |_, c, q, step| {
        let result = c.remove_writer(&info(q.stream), &q.writer, step)?.into();
        Ok(RemoveWriterResponse { result })
    };
    note_timestamp_from_writer(TimestampFromWriter) -> TimestampResponse = |_, c, q, step| {
        let cut = q.position.unwrap_or_default();
        let info = info(cut.stream_info);
        let result = c.note_time(&info, &q.writer, cut.cut, q.timestamp, step)?.into();
        Ok(TimestampResponse { result })
    };

    create_key_value_table(KeyValueTableConfig) -> CreateKeyValueTableStatus = |_, c, q, step| {
        status!(CreateKeyValueTableStatus, c.create_table(q, step))
    };
    get_current_segments_key_value_table(KeyValueTableInfo) -> SegmentRanges = |_, c, q, step| {
        c.table_segments(&q, step)
    };
    get_key_value_table_configuration(KeyValueTableInfo) -> KeyValueTableConfigResponse =
        |_, c, q, _| {
        Ok(c.table_config(&q))
    };
    delete_key_value_table(KeyValueTableInfo) -> DeleteKvTableStatus = |_, c, q, step| {
        status!(DeleteKvTableStatus, c.delete_table(&q, step))
    };

    list_subscribers(StreamInfo) -> SubscribersResponse = |_, c, q, _| {
        Ok(c.subscribers(&q))
    };
    update_subscriber_stream_cut(SubscriberStreamCut) -> UpdateSubscriberStatus = |_, c, q, step| {
        status!(UpdateSubscriberStatus, c.update_subscriber(q, step))
    };
    create_reader_group(ReaderGroupConfiguration) -> CreateReaderGroupResponse = |_, c, q, step| {
        c.create_group(q, step)
    };
    get_reader_group_config(ReaderGroupInfo) -> ReaderGroupConfigResponse = |_, c, q, _| {
        Ok(c.group_config(&q))
    };
    update_reader_group(ReaderGroupConfiguration) -> UpdateReaderGroupResponse = |_, c, q, step| {
        c.update_group(q, step)
    };
    delete_reader_group(ReaderGroupInfo) -> DeleteReaderGroupStatus = |_, c, q, step| {
        status!(DeleteReaderGroupStatus, c.delete_group(&q, step))
    };
}
