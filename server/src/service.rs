//! The controller's gRPC service: each call handed to the machine.

use std::sync::Arc;

use pravega_sdk_proto::{controller_service_server::ControllerService, *};
use tonic::{Request, Response, Status};

use pravega_sdk_server_core::{
    catalog::{Fault, transactions::id_of},
    ids::Moment,
    machine::Machine,
};

use crate::hub::Hub;

/// Where the segment stores listen.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) host: String,
    pub(crate) controller: u16,
    pub(crate) stores: Vec<u16>,
    pub(crate) rest: Option<u16>,
}

/// The service, as tonic drives it.
#[derive(Debug)]
pub(crate) struct Service {
    hub: Arc<Hub>,
    addresses: Addresses,
}

/// The status that a failed call is answered with.
fn status_of(fault: Fault) -> Status {
    match fault {
        Fault::NotFound(message) => Status::not_found(message),
        Fault::Internal(message) => Status::internal(message),
        Fault::Unknown(message) => Status::unknown(message),
        Fault::ResourceExhausted(message) => Status::resource_exhausted(message),
        Fault::Unavailable(message) => Status::unavailable(message),
    }
}

impl Service {
    pub(crate) fn new(hub: Arc<Hub>, addresses: Addresses) -> Self {
        Self { hub, addresses }
    }

    /// Has a call carried out, and answers once what it tells of is durable.
    async fn call<Q, A>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&mut Machine, Q, Moment) -> Result<A, Fault>,
    ) -> Result<Response<A>, Status> {
        if self.hub.faults.controller_is_away() {
            return Err(Status::unavailable("the controller is away"));
        }
        let delay = self.hub.faults.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let header =
            request.metadata().get("authorization").and_then(|header| header.to_str().ok());
        let header = header.unwrap_or_default().to_owned();
        let request = request.into_inner();
        let work = |machine: &mut Machine, at: Moment| {
            if machine.store.access.as_ref().is_some_and(|access| !access.admits(&header)) {
                return Err(Status::unauthenticated("the credentials are missing or wrong"));
            }
            work(machine, request, at).map_err(status_of)
        };
        let done = self.hub.run_durably(work).await.map_err(Status::unavailable)?;
        done.map(Response::new)
    }

    fn node(&self, store: usize) -> NodeUri {
        let port = self.addresses.stores.get(store).copied().unwrap_or_default();
        NodeUri { endpoint: self.addresses.host.clone(), port: i32::from(port) }
    }
}

/// The calls: what each takes and gives, and what it asks of the machine.
macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty = |$service:pat_param, $machine:ident, $asked:ident, $at:pat_param| $body:expr;)*) => {
        #[tonic::async_trait]
        impl ControllerService for Service {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let $service = self;
                self.call(request, |$machine, $asked, $at| $body).await
            })*
        }
    };
}

/// A call answered with nothing but a status.
macro_rules! status {
    ($response:ident, $status:expr) => {
        Ok($response { status: $status?.into() })
    };
}

fn info(info: Option<StreamInfo>) -> StreamInfo {
    info.unwrap_or_default()
}

fn token(token: Option<ContinuationToken>) -> String {
    token.unwrap_or_default().token
}

calls! {
    get_controller_server_list(ServerRequest) -> ServerResponse = |service, _m, _q, _| {
        let Addresses { host, controller, .. } = &service.addresses;
        let node = NodeUri { endpoint: host.clone(), port: i32::from(*controller) };
        Ok(ServerResponse { node_uri: vec![node] })
    };

    create_scope(ScopeInfo) -> CreateScopeStatus = |_, m, q, _| status!(CreateScopeStatus, m.create_scope(&q.scope));
    delete_scope(ScopeInfo) -> DeleteScopeStatus = |_, m, q, _| status!(DeleteScopeStatus, m.delete_scope(&q.scope));
    delete_scope_recursive(ScopeInfo) -> DeleteScopeStatus = |_, m, q, _| {
        status!(DeleteScopeStatus, m.delete_scope_recursive(&q.scope))
    };
    check_scope_exists(ScopeInfo) -> ExistsResponse = |_, m, q, _| Ok(m.scope_exists(&q.scope));
    check_stream_exists(StreamInfo) -> ExistsResponse = |_, m, q, _| Ok(m.stream_exists(&q.scope, &q.stream));
    list_scopes(ScopesRequest) -> ScopesResponse = |_, m, q, _| Ok(m.list_scopes(&token(q.continuation_token)));
    list_streams_in_scope(StreamsInScopeRequest) -> StreamsInScopeResponse = |_, m, q, _| {
        m.list_streams(&q.scope.unwrap_or_default().scope, None, &token(q.continuation_token))
    };
    list_streams_in_scope_for_tag(StreamsInScopeWithTagRequest) -> StreamsInScopeResponse = |_, m, q, _| {
        m.list_streams(&q.scope.unwrap_or_default().scope, Some(&q.tag), &token(q.continuation_token))
    };
    list_key_value_tables_in_scope(KvTablesInScopeRequest) -> KvTablesInScopeResponse = |_, m, q, _| {
        Ok(m.list_tables(&q.scope.unwrap_or_default().scope, &token(q.continuation_token)))
    };

    create_stream(StreamConfig) -> CreateStreamStatus = |_, m, q, at| status!(CreateStreamStatus, m.create_stream(q, at));
    update_stream(StreamConfig) -> UpdateStreamStatus = |_, m, q, at| status!(UpdateStreamStatus, m.update_stream(q, at));
    truncate_stream(StreamCut) -> UpdateStreamStatus = |_, m, q, at| {
        status!(UpdateStreamStatus, m.truncate_stream(&info(q.stream_info), q.cut, at))
    };
    seal_stream(StreamInfo) -> UpdateStreamStatus = |_, m, q, at| status!(UpdateStreamStatus, m.seal_stream(&q, at));
    delete_stream(StreamInfo) -> DeleteStreamStatus = |_, m, q, _| status!(DeleteStreamStatus, m.delete_stream(&q));
    get_stream_configuration(StreamInfo) -> StreamConfig = |_, m, q, _| m.stream_configuration(&q);
    get_current_segments(StreamInfo) -> SegmentRanges = |_, m, q, at| m.current_segments(&q, at);
    get_epoch_segments(GetEpochSegmentsRequest) -> SegmentRanges = |_, m, q, at| {
        m.epoch_segments(&info(q.stream_info), q.epoch, at)
    };
    get_segments(GetSegmentsRequest) -> SegmentsAtTime = |_, m, q, at| m.head_segments(&info(q.stream_info), at);
    get_segments_immediatly_following(SegmentId) -> SuccessorResponse = |_, m, q, at| {
        m.successors(&info(q.stream_info), q.segment_id, at)
    };
    get_segments_immediately_following(SegmentId) -> SuccessorResponse = |_, m, q, at| {
        m.successors(&info(q.stream_info), q.segment_id, at)
    };
    get_segments_between(StreamCutRange) -> StreamCutRangeResponse = |_, m, q, at| {
        m.segments_between(&info(q.stream_info), &q.from, &q.to, at)
    };
    get_uri(SegmentId) -> NodeUri = |service, m, q, _| {
        Ok(service.node(m.store_of(&info(q.stream_info), q.segment_id)))
    };
    is_segment_valid(SegmentId) -> SegmentValidityResponse = |_, m, q, _| {
        Ok(SegmentValidityResponse { response: m.is_segment_open(&info(q.stream_info), q.segment_id)? })
    };
    is_stream_cut_valid(StreamCut) -> StreamCutValidityResponse = |_, m, q, _| {
        Ok(StreamCutValidityResponse { response: m.is_cut_whole(&info(q.stream_info), &q.cut)? })
    };
    scale(ScaleRequest) -> ScaleResponse = |_, m, q, at| m.scale(&q, at);
    check_scale(ScaleStatusRequest) -> ScaleStatusResponse = |_, m, q, _| {
        Ok(ScaleStatusResponse { status: m.check_scale(&info(q.stream_info), q.epoch).into() })
    };
    get_delegation_token(StreamInfo) -> DelegationToken = |_, m, q, at| {
        Ok(DelegationToken { delegation_token: m.token(&q, at) })
    };

    create_transaction(CreateTxnRequest) -> CreateTxnResponse = |_, m, q, at| {
        m.create_transaction(&info(q.stream_info), q.lease, at)
    };
    commit_transaction(TxnRequest) -> TxnStatus = |_, m, q, at| {
        status!(TxnStatus, m.commit_transaction(&info(q.stream_info), id_of(q.txn_id), &q.writer_id, q.timestamp, at))
    };
    abort_transaction(TxnRequest) -> TxnStatus = |_, m, q, at| {
        status!(TxnStatus, m.abort_transaction(&info(q.stream_info), id_of(q.txn_id), at))
    };
    ping_transaction(PingTxnRequest) -> PingTxnStatus = |_, m, q, at| {
        Ok(PingTxnStatus { status: m.ping_transaction(&info(q.stream_info), id_of(q.txn_id), q.lease, at).into() })
    };
    check_transaction_state(TxnRequest) -> TxnState = |_, m, q, _| {
        Ok(TxnState { state: m.transaction_state(&info(q.stream_info), id_of(q.txn_id))?.into() })
    };
    list_completed_transactions(ListCompletedTxnRequest) -> ListCompletedTxnResponse = |_, m, q, _| {
        m.completed_transactions(&info(q.stream_info))
    };
    remove_writer(RemoveWriterRequest) -> RemoveWriterResponse = |_, m, q, _| {
        Ok(RemoveWriterResponse { result: m.remove_writer(&info(q.stream), &q.writer).into() })
    };
    note_timestamp_from_writer(TimestampFromWriter) -> TimestampResponse = |_, m, q, at| {
        let cut = q.position.unwrap_or_default();
        Ok(TimestampResponse { result: m.note_time(&info(cut.stream_info), &q.writer, cut.cut, q.timestamp, at).into() })
    };

    create_key_value_table(KeyValueTableConfig) -> CreateKeyValueTableStatus = |_, m, q, at| {
        status!(CreateKeyValueTableStatus, m.create_table(q, at))
    };
    get_current_segments_key_value_table(KeyValueTableInfo) -> SegmentRanges = |_, m, q, at| m.table_segments(&q, at);
    get_key_value_table_configuration(KeyValueTableInfo) -> KeyValueTableConfigResponse = |_, m, q, _| {
        Ok(m.table_config(&q))
    };
    delete_key_value_table(KeyValueTableInfo) -> DeleteKvTableStatus = |_, m, q, _| {
        status!(DeleteKvTableStatus, m.delete_table(&q))
    };

    list_subscribers(StreamInfo) -> SubscribersResponse = |_, m, q, _| Ok(m.subscribers(&q));
    update_subscriber_stream_cut(SubscriberStreamCut) -> UpdateSubscriberStatus = |_, m, q, _| {
        status!(UpdateSubscriberStatus, m.update_subscriber(q))
    };
    create_reader_group(ReaderGroupConfiguration) -> CreateReaderGroupResponse = |_, m, q, at| m.create_group(q, at);
    get_reader_group_config(ReaderGroupInfo) -> ReaderGroupConfigResponse = |_, m, q, _| Ok(m.group_config(&q));
    update_reader_group(ReaderGroupConfiguration) -> UpdateReaderGroupResponse = |_, m, q, _| m.update_group(q);
    delete_reader_group(ReaderGroupInfo) -> DeleteReaderGroupStatus = |_, m, q, _| {
        status!(DeleteReaderGroupStatus, m.delete_group(&q))
    };
}
