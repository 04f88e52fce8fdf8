//! The controller's gRPC service, which passes each call to the catalog.

use std::sync::Arc;

use pravega_sdk_proto::{controller_service_server::ControllerService, *};
use pravega_sdk_server_core::{
    access::{Need, Operation, Resource, operation_to_write},
    catalog::{CallResult, Catalog, id_of},
    ids::{Moment, StoreIndex},
    machine::Machine,
    store::{Progress, Step},
};
use prost::Message;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::{
    answer::{Lent, not_taken},
    budget::Charge,
    durable::NotDurable,
    identity::{self, Caller},
    limits::{ANSWER_WAITS, OWN_ANSWER_BYTES, OWN_BYTES, REPLY_BYTES},
    needs::{self, Named as _},
    state::ServerState,
    status,
    watched::{OnlyCall, Watch},
};

/// How much longer an answer is before it is encoded, about: its names are strings of their own.
const DECODED_TIMES: usize = 4;

/// The addresses of a server.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// The scheme of the URL.
    pub(crate) scheme: &'static str,
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

/// The outcome of an attempt to make a call.
enum Attempt<A> {
    /// It was made.
    Made(Made<A>),
    /// Nothing has changed: it needs this many bytes for its answer.
    Needs(usize),
    /// Nothing has changed: it reads segments of a stream that are changing.
    Waits,
    /// It was made before.
    Repeated,
}

/// A call that was made.
struct Made<A> {
    answer: CallResult<A>,
    progress: Progress,
    /// True if something has changed.
    changes: bool,
}

/// The header of a call that names its account; empty if it has none.
fn authorization<Q>(request: &Request<Q>) -> String {
    let header = request.metadata().get("authorization");
    header.and_then(|header| header.to_str().ok()).unwrap_or_default().to_owned()
}

/// Notes that the client of a call is no stranger, if it has shown who it is.
fn keep_seat<Q>(request: &Request<Q>, caller: &Caller) {
    let watch = request.extensions().get::<Arc<Watch>>();
    if let Some(watch) = watch.filter(|_| caller.is_some()) {
        watch.admit();
    }
}

/// Returns true if no changes of the segments of a stream are left to be made.
fn is_settled(machine: &Machine, of: &StreamInfo) -> bool {
    machine.store.is_stream_settled(&of.scope, &of.stream)
}

impl Service {
    pub(crate) fn new(state: Arc<ServerState>, addresses: Addresses) -> Self {
        Self { state, addresses }
    }

    /// What the client of a call may do, if it is what the call needs.
    async fn admit(&self, header: &str, need: &Need<'_>) -> Result<Caller, Status> {
        // As on the Java server, a client of another scheme has no account.
        if *need == Need::Nothing && !self.state.knows_scheme_of(header) {
            return Ok(None);
        }
        let caller = self.state.caller(header).await.map_err(status::of_refused)?;
        identity::authorize(&caller, need).map_err(status::of_refused)?;
        Ok(caller)
    }

    /// Makes a call, and responds once the changes that it reveals are durable. `most` is the
    /// longest answer, in bytes, of a call that changes something: its memory is lent before the
    /// call is made, so that a call that was refused for want of it has changed nothing. A call
    /// that `reads` the segments of a stream waits until no changes of them are left.
    async fn call<Q, A: Message>(
        &self,
        request: Request<Q>,
        needs: fn(&Q) -> Need<'_>,
        most: impl Fn(&Catalog, &Q) -> usize,
        reads: fn(&Q) -> Option<&StreamInfo>,
        call: impl FnOnce(&mut Catalog, Q, &mut Step<'_>) -> CallResult<A>,
    ) -> Result<Response<A>, Status> {
        if self.state.faults.controller_is_away() {
            return Err(Status::unavailable("the controller is away"));
        }
        let delay = self.state.faults.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let caller = self.admit(&authorization(&request), &needs(request.get_ref())).await?;
        keep_seat(&request, &caller);
        let is_only = request.extensions().get::<OnlyCall>().is_some();
        let own = if is_only { OWN_ANSWER_BYTES } else { OWN_BYTES };
        let mut asked = Some((request.into_inner(), call));
        let not_durable = |error: NotDurable| Status::unavailable(error.to_string());
        let mut lent: Option<Charge> = None;
        let (made, after) = loop {
            let has = lent.as_ref().map_or(own, Charge::bytes);
            let work = |machine: &mut Machine, at: Moment| {
                let read = asked.as_ref().and_then(|(request, _)| reads(request));
                if !read.is_none_or(|read| is_settled(machine, read)) {
                    return Attempt::Waits;
                }
                let needs = |(request, _): &(Q, _)| most(&machine.catalog, request);
                let needs = asked.as_ref().map_or(0, needs).saturating_mul(DECODED_TIMES);
                // The whole pool is the most that can be lent.
                let needs = needs.min(REPLY_BYTES);
                if needs > has {
                    return Attempt::Needs(needs);
                }
                let Some((request, call)) = asked.take() else { return Attempt::Repeated };
                let before = machine.journal.changes();
                let (catalog, mut step) = machine.call_by(caller.as_ref(), at);
                let answer = call(catalog, request, &mut step);
                let progress = step.progress;
                let changes = machine.journal.changes() != before;
                Attempt::Made(Made { answer, progress, changes })
            };
            match self.state.run_call(work).await {
                (Attempt::Made(made), after) => break (made, after),
                (Attempt::Needs(bytes), _) => {
                    drop(lent.take());
                    lent = Some(self.lend(bytes).await?);
                }
                (Attempt::Waits, _) => {
                    self.state.run_durably(Machine::work).await.map_err(not_durable)?;
                    tokio::task::yield_now().await;
                }
                (Attempt::Repeated, _) => return Err(Status::internal("it was made before")),
            }
        };
        let Made { answer, progress, changes } = made;
        let needs = answer.as_ref().map_or(0, |answer| answer.encoded_len() * DECODED_TIMES);
        match &mut lent {
            _ if needs <= own => drop(lent.take()),
            Some(lent) => lent.shrink_to(needs),
            // A change has its answer in any case.
            None if changes => lent = self.state.budget.replies.try_charge(needs),
            None => lent = Some(self.lend(needs).await?),
        }
        self.state.wait_durable(after).await.map_err(not_durable)?;
        let answer = answer.map_err(status::of_failed)?;
        if progress == Progress::Unfinished {
            self.state.finish_work().await.map_err(not_durable)?;
        }
        let mut response = Response::new(answer);
        if let Some(lent) = lent {
            response.extensions_mut().insert::<Lent>(Arc::new(lent));
        }
        Ok(response)
    }

    /// Lends memory for an answer until it is encoded; fails if others do not take theirs.
    async fn lend(&self, bytes: usize) -> Result<Charge, Status> {
        let budget = &self.state.budget;
        if let Some(charge) = budget.replies.try_charge(bytes) {
            return Ok(charge);
        }
        let _waits = budget.waiting_answers.try_acquire().map_err(|_| not_taken())?;
        timeout(ANSWER_WAITS, budget.replies.charge(bytes)).await.map_err(|_| not_taken())
    }

    fn node(&self, store: StoreIndex) -> NodeUri {
        let port = self.addresses.stores.get(store.0).copied().unwrap_or_default();
        NodeUri { endpoint: self.addresses.host.clone(), port: i32::from(port) }
    }
}

/// The calls: the request and the response of each, what it needs to be allowed, the longest answer
/// of one that changes something if it may be long, the stream whose segments it reads, if it does,
/// and the method of the catalog. The lists have only names that the client may read: their page is
/// one that has any, or the last, and continues after a name that is in it.
macro_rules! calls {
    (lists {
        $($list:ident($asks:ty) needs |$asking:pat_param| $list_needs:block -> $lists:ty,
            $names:ident |$of_list:pat_param, $one:pat_param| $resource:expr
            => |$from:pat_param, $page_of:pat_param| $page:expr;)*
    }
    $($name:ident($request:ty) needs |$needing:pat_param| $needs:block -> $response:ty
        $(, at most |$known:pat_param, $of:pat_param| $most:expr,)?
        $(, reads |$named:ident| $stream:block)? =
        |$service:pat_param, $catalog:pat_param, $asked:pat_param, $step:pat_param| $body:expr;)*
    ) => {
        #[tonic::async_trait]
        impl ControllerService for Service {
            $(async fn $list(
                &self,
                request: Request<$asks>,
            ) -> Result<Response<$lists>, Status> {
                let needs: fn(&$asks) -> Need<'_> = |$asking| $list_needs;
                let need = needs(request.get_ref());
                let caller = self.admit(&authorization(&request), &need).await?;
                let (metadata, extensions, mut asked) = request.into_parts();
                let first = asked.continuation_token.clone().unwrap_or_default();
                loop {
                    let (metadata, extensions) = (metadata.clone(), extensions.clone());
                    let request = Request::from_parts(metadata, extensions, asked.clone());
                    let page = |$from: &mut Catalog, $page_of: $asks, _: &mut Step<'_>| $page;
                    let mut response = self.call(request, needs, |_, _| 0, |_| None, page).await?;
                    let Some(client) = &caller else { return Ok(response) };
                    let found = response.get_mut();
                    let is_end = found.$names.is_empty();
                    let $of_list = &asked;
                    found.$names.retain(|$one| client.rules().may(Operation::Read, &$resource));
                    let last = found.$names.last().map(|$one| $resource.name().to_owned());
                    if let Some(token) = last {
                        found.continuation_token = Some(ContinuationToken { token });
                        return Ok(response);
                    }
                    if is_end {
                        found.continuation_token = Some(first);
                        return Ok(response);
                    }
                    asked.continuation_token = found.continuation_token.take();
                }
            })*

            $(async fn $name(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                let $service = self;
                let most = at_most!($request $(, $known, $of, $most)?);
                self.call(
                    request,
                    |$needing| $needs,
                    most,
                    reads!($(|$named| $stream)?),
                    |$catalog, $asked, $step| $body,
                ).await
            })*
        }
    };
}

/// The longest answer of a call that changes something; 0 if it is short, or changes nothing.
macro_rules! at_most {
    ($request:ty) => {
        |_: &Catalog, _: &$request| 0
    };
    ($request:ty, $known:pat_param, $of:pat_param, $most:expr) => {
        |$known: &Catalog, $of: &$request| $most
    };
}

/// The stream whose segments a call reads.
macro_rules! reads {
    () => {
        |_| None
    };
    (|$asked:ident| $stream:block) => {
        |$asked| $stream
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

/// The name of a scope in a request.
fn name_of(scope: &Option<ScopeInfo>) -> &str {
    scope.as_ref().map_or("", |info| &info.scope)
}

/// The stream of a cut in a request.
fn of_cut(cut: &Option<StreamCut>) -> &Option<StreamInfo> {
    cut.as_ref().map_or(&None, |cut| &cut.stream_info)
}

/// What creating a stream needs. Readers create the state of their group.
fn to_create(config: &StreamConfig) -> Need<'_> {
    let (scope, stream) = (&config.stream_info).named();
    needs::scope(operation_to_write(stream), scope)
}

/// What the head of a stream needs.
fn of_head(request: &GetSegmentsRequest) -> Need<'_> {
    let info = &request.stream_info;
    let operation = info.as_ref().map_or(Operation::Write, needs::segments_with_token);
    needs::stream(operation, info)
}

fn token(token: Option<ContinuationToken>) -> String {
    token.unwrap_or_default().token
}

calls! {
    lists {
        list_scopes(ScopesRequest) needs |_| { needs::scopes(Operation::Read) } -> ScopesResponse,
            scopes |_, name| Resource::Scope(name)
            => |c, q| Ok(c.list_scopes(&token(q.continuation_token)));
        list_streams_in_scope(StreamsInScopeRequest)
            needs |q| { needs::scope(Operation::Read, name_of(&q.scope)) }
            -> StreamsInScopeResponse,
            streams |q, info| Resource::Stream(name_of(&q.scope), &info.stream)
            => |c, q| c.list_streams(&scope(q.scope), None, &token(q.continuation_token));
        list_streams_in_scope_for_tag(StreamsInScopeWithTagRequest)
            needs |q| { needs::scope(Operation::Read, name_of(&q.scope)) }
            -> StreamsInScopeResponse,
            streams |q, info| Resource::Stream(name_of(&q.scope), &info.stream)
            => |c, q| c.list_streams(&scope(q.scope), Some(&q.tag), &token(q.continuation_token));
        list_key_value_tables_in_scope(KvTablesInScopeRequest)
            needs |q| { needs::scope(Operation::Read, name_of(&q.scope)) }
            -> KvTablesInScopeResponse,
            kvtables |q, info| Resource::Table(name_of(&q.scope), &info.kvt_name)
            => |c, q| Ok(c.list_tables(&scope(q.scope), &token(q.continuation_token)));
    }

    get_controller_server_list(ServerRequest)
        needs |_| { Need::Nothing }
        -> ServerResponse = |service, _, _, _| {
        let Addresses { host, controller, .. } = &service.addresses;
        let node = NodeUri { endpoint: host.clone(), port: i32::from(*controller) };
        Ok(ServerResponse { node_uri: vec![node] })
    };

    create_scope(ScopeInfo)
        needs |_| { needs::scopes(Operation::Write) }
        -> CreateScopeStatus = |_, c, q, step| {
        status!(CreateScopeStatus, c.create_scope(&q.scope, step))
    };
    delete_scope(ScopeInfo)
        needs |_| { needs::scopes(Operation::Write) }
        -> DeleteScopeStatus = |_, c, q, step| {
        status!(DeleteScopeStatus, c.delete_scope(&q.scope, step))
    };
    delete_scope_recursive(ScopeInfo)
        needs |_| { needs::scopes(Operation::Write) }
        -> DeleteScopeStatus = |_, c, q, step| {
        status!(DeleteScopeStatus, c.delete_scope_recursive(&q.scope, step))
    };
    check_scope_exists(ScopeInfo)
        needs |q| { needs::scope(Operation::Read, &q.scope) }
        -> ExistsResponse = |_, c, q, _| {
        Ok(c.scope_exists(&q.scope))
    };
    check_stream_exists(StreamInfo)
        needs |q| { needs::stream(Operation::Read, q) }
        -> ExistsResponse = |_, c, q, _| {
        Ok(c.stream_exists(&q.scope, &q.stream))
    };


    create_stream(StreamConfig)
        needs |q| { to_create(q) }
        -> CreateStreamStatus = |_, c, q, step| {
        status!(CreateStreamStatus, c.create_stream(q, step))
    };
    update_stream(StreamConfig)
        needs |q| { needs::owner(Operation::Write, &q.stream_info) }
        -> UpdateStreamStatus, reads |q| { q.stream_info.as_ref() } =
        |_, c, q, step| {
        status!(UpdateStreamStatus, c.update_stream(q, step))
    };
    truncate_stream(StreamCut)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> UpdateStreamStatus, reads |q| { q.stream_info.as_ref() } =
        |_, c, q, step| {
        status!(UpdateStreamStatus, c.truncate_stream(&info(q.stream_info), q.cut, step))
    };
    seal_stream(StreamInfo)
        needs |q| { needs::stream(Operation::Write, q) }
        -> UpdateStreamStatus = |_, c, q, step| {
        status!(UpdateStreamStatus, c.seal_stream(&q, step))
    };
    delete_stream(StreamInfo)
        needs |q| { needs::stream(Operation::Write, q) }
        -> DeleteStreamStatus, reads |q| { Some(q) } =
        |_, c, q, step| {
        status!(DeleteStreamStatus, c.delete_stream(&q, step))
    };
    get_stream_configuration(StreamInfo)
        needs |q| { needs::stream(Operation::Read, q) }
        -> StreamConfig = |_, c, q, _| {
        c.stream_configuration(&q)
    };
    get_current_segments(StreamInfo)
        needs |q| { needs::owner(needs::segments_with_token(q), q) }
        -> SegmentRanges = |_, c, q, step| {
        c.current_segments(&q, step)
    };
    get_epoch_segments(GetEpochSegmentsRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> SegmentRanges = |_, c, q, step| {
        c.epoch_segments(&info(q.stream_info), q.epoch, step)
    };
    get_segments(GetSegmentsRequest)
        needs |q| { of_head(q) }
        -> SegmentsAtTime = |_, c, q, step| {
        c.head_segments(&info(q.stream_info), step)
    };
    get_segments_immediatly_following(SegmentId)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> SuccessorResponse = |_, c, q, step| {
        c.successors(&info(q.stream_info), q.segment_id, step)
    };
    get_segments_immediately_following(SegmentId)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> SuccessorResponse = |_, c, q, step| {
        c.successors(&info(q.stream_info), q.segment_id, step)
    };
    get_segments_between(StreamCutRange)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> StreamCutRangeResponse = |_, c, q, step| {
        c.segments_between(&info(q.stream_info), &q.from, &q.to, step)
    };
    get_uri(SegmentId)
        needs |q| { needs::owner(Operation::Read, &q.stream_info) }
        -> NodeUri = |service, _, q, step| {
        Ok(service.node(Catalog::store_of(&info(q.stream_info), q.segment_id, step)))
    };
    is_segment_valid(SegmentId)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> SegmentValidityResponse = |_, c, q, _| {
        let response = c.is_segment_open(&info(q.stream_info), q.segment_id)?;
        Ok(SegmentValidityResponse { response })
    };
    is_stream_cut_valid(StreamCut)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> StreamCutValidityResponse = |_, c, q, _| {
        Ok(StreamCutValidityResponse { response: c.is_cut_complete(&info(q.stream_info), &q.cut)? })
    };
    scale(ScaleRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> ScaleResponse, at most |c, q| c.most_of_scale(q), = |_, c, q, step| {
        c.scale(&q, step)
    };
    check_scale(ScaleStatusRequest)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> ScaleStatusResponse = |_, c, q, _| {
        Ok(ScaleStatusResponse { status: c.check_scale(&info(q.stream_info), q.epoch).into() })
    };
    get_delegation_token(StreamInfo)
        needs |q| { needs::token(q) }
        -> DelegationToken = |_, c, q, step| {
        Ok(DelegationToken { delegation_token: c.token(&q, step) })
    };

    create_transaction(CreateTxnRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> CreateTxnResponse,
        at most |c, q| q.stream_info.as_ref().map_or(0, |info| c.most_of_transaction(info)),
    = |_, c, q, step| {
        c.create_transaction(&info(q.stream_info), q.lease, step)
    };
    commit_transaction(TxnRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> TxnStatus, reads |q| { q.stream_info.as_ref() } =
        |_, c, q, step| {
        let (info, id) = (info(q.stream_info), id_of(q.txn_id));
        let status = c.commit_transaction(&info, id, &q.writer_id, q.timestamp, step);
        status!(TxnStatus, status)
    };
    abort_transaction(TxnRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> TxnStatus = |_, c, q, step| {
        status!(TxnStatus, c.abort_transaction(&info(q.stream_info), id_of(q.txn_id), step))
    };
    ping_transaction(PingTxnRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream_info) }
        -> PingTxnStatus = |_, c, q, step| {
        let (info, id) = (info(q.stream_info), id_of(q.txn_id));
        status!(PingTxnStatus, c.ping_transaction(&info, id, q.lease, step))
    };
    check_transaction_state(TxnRequest)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> TxnState = |_, c, q, _| {
        Ok(TxnState { state: c.transaction_state(&info(q.stream_info), id_of(q.txn_id))?.into() })
    };
    list_completed_transactions(ListCompletedTxnRequest)
        needs |q| { needs::stream(Operation::Read, &q.stream_info) }
        -> ListCompletedTxnResponse =
        |_, c, q, _| {
        c.completed_transactions(&info(q.stream_info))
    };
    remove_writer(RemoveWriterRequest)
        needs |q| { needs::stream(Operation::Write, &q.stream) }
        -> RemoveWriterResponse = |_, c, q, step| {
        let result = c.remove_writer(&info(q.stream), &q.writer, step)?.into();
        Ok(RemoveWriterResponse { result })
    };
    note_timestamp_from_writer(TimestampFromWriter)
        needs |q| { needs::stream(Operation::Write, of_cut(&q.position)) }
        -> TimestampResponse = |_, c, q, step| {
        let cut = q.position.unwrap_or_default();
        let info = info(cut.stream_info);
        let result = c.note_time(&info, &q.writer, cut.cut, q.timestamp, step)?.into();
        Ok(TimestampResponse { result })
    };

    create_key_value_table(KeyValueTableConfig)
        needs |q| { needs::scope(Operation::Write, &q.scope) }
        -> CreateKeyValueTableStatus = |_, c, q, step| {
        status!(CreateKeyValueTableStatus, c.create_table(q, step))
    };
    get_current_segments_key_value_table(KeyValueTableInfo)
        needs |q| { needs::table(Operation::Write, &q.scope, &q.kvt_name) }
        -> SegmentRanges = |_, c, q, step| {
        c.table_segments(&q, step)
    };
    get_key_value_table_configuration(KeyValueTableInfo)
        needs |q| { needs::table(Operation::Read, &q.scope, &q.kvt_name) }
        -> KeyValueTableConfigResponse =
        |_, c, q, _| {
        Ok(c.table_config(&q))
    };
    delete_key_value_table(KeyValueTableInfo)
        needs |q| { needs::table(Operation::Write, &q.scope, &q.kvt_name) }
        -> DeleteKvTableStatus = |_, c, q, step| {
        status!(DeleteKvTableStatus, c.delete_table(&q, step))
    };

    list_subscribers(StreamInfo)
        needs |q| { needs::stream(Operation::Write, q) }
        -> SubscribersResponse = |_, c, q, _| {
        Ok(c.subscribers(&q))
    };
    update_subscriber_stream_cut(SubscriberStreamCut)
        needs |q| { needs::stream(Operation::Write, of_cut(&q.stream_cut)) }
        -> UpdateSubscriberStatus = |_, c, q, step| {
        status!(UpdateSubscriberStatus, c.update_subscriber(q, step))
    };
    create_reader_group(ReaderGroupConfiguration)
        needs |q| { needs::scope(Operation::Read, &q.scope) }
        -> CreateReaderGroupResponse,
        at most |c, q| c.most_of_group(q),
    = |_, c, q, step| {
        c.create_group(q, step)
    };
    get_reader_group_config(ReaderGroupInfo)
        needs |q| { needs::scope(Operation::Read, &q.scope) }
        -> ReaderGroupConfigResponse = |_, c, q, _| {
        Ok(c.group_config(&q))
    };
    update_reader_group(ReaderGroupConfiguration)
        needs |q| { needs::scope(Operation::Read, &q.scope) }
        -> UpdateReaderGroupResponse = |_, c, q, step| {
        c.update_group(q, step)
    };
    delete_reader_group(ReaderGroupInfo)
        needs |q| { needs::scope(Operation::Read, &q.scope) }
        -> DeleteReaderGroupStatus = |_, c, q, step| {
        status!(DeleteReaderGroupStatus, c.delete_group(&q, step))
    };
}

#[cfg(test)]
mod tests {
    use pravega_sdk_proto::scale_request::KeyRangeEntry;
    use pravega_sdk_server_core::record::{Durability, Sequence};
    use tokio::sync::watch;
    use tonic::Code;

    use super::*;
    use crate::{builder::ServerBuilder, clock::Clock, durable::Durable};

    /// As many segments as a stream may have.
    const SEGMENTS: i32 = 10_000;

    fn stream() -> Option<StreamInfo> {
        let (scope, stream) = ("s".to_owned(), "t".to_owned());
        Some(StreamInfo { scope, stream, access_operation: 0 })
    }

    async fn service() -> Service {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        let state = Arc::new(ServerState::new(machine, Clock::standing(), durable, None));
        let host = "127.0.0.1".to_owned();
        let addresses =
            Addresses { scheme: "tcp", host, controller: 1, stores: vec![2], rest: None };
        let service = Service::new(state, addresses);
        service.create_scope(Request::new(ScopeInfo { scope: "s".to_owned() })).await.unwrap();
        let policy = ScalingPolicy { min_num_segments: SEGMENTS, ..ScalingPolicy::default() };
        let (stream_info, scaling_policy) = (stream(), Some(policy));
        let config = StreamConfig { stream_info, scaling_policy, ..StreamConfig::default() };
        service.create_stream(Request::new(config)).await.unwrap();
        service
    }

    fn begin() -> Request<CreateTxnRequest> {
        let stream_info = stream();
        Request::new(CreateTxnRequest { stream_info, lease: 20_000, ..CreateTxnRequest::default() })
    }

    /// Replaces all segments by as many.
    fn scale() -> Request<ScaleRequest> {
        let end = |part: i32| f64::from(part) / f64::from(SEGMENTS);
        let range = |part| KeyRangeEntry { start: end(part), end: end(part + 1) };
        Request::new(ScaleRequest {
            stream_info: stream(),
            sealed_segments: (0..i64::from(SEGMENTS)).collect(),
            new_key_ranges: (0..SEGMENTS).map(range).collect(),
            scale_timestamp: 0,
        })
    }

    fn group() -> Request<ReaderGroupConfiguration> {
        let cut = |number: i32| StreamCut {
            stream_info: Some(StreamInfo { stream: number.to_string(), ..stream().unwrap() }),
            ..StreamCut::default()
        };
        Request::new(ReaderGroupConfiguration {
            scope: "s".to_owned(),
            reader_group_name: "g".to_owned(),
            reader_group_id: uuid::Uuid::from_u128(1).to_string(),
            starting_stream_cuts: (0..SEGMENTS).map(cut).collect(),
            ..ReaderGroupConfiguration::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_memory_for_its_answer_changes_nothing() {
        let service = service().await;
        let held = || service.state.run(|machine, _| machine.held()).0;
        let (replies, before) = (&service.state.budget.replies, held());
        let all = replies.try_charge(REPLY_BYTES).unwrap();
        let refused = [
            service.create_transaction(begin()).await.unwrap_err(),
            service.scale(scale()).await.unwrap_err(),
            service.create_reader_group(group()).await.unwrap_err(),
        ];
        assert_eq!(refused.map(|status| status.code()), [Code::Unavailable; 3]);
        assert_eq!(held(), before, "a call that was refused has changed something");
        // A call with a short answer waits for nothing.
        let scope = ScopeInfo { scope: "other".to_owned() };
        service.create_scope(Request::new(scope)).await.unwrap();
        drop(all);
        let begun = service.create_transaction(begin()).await.unwrap();
        assert_eq!(begun.get_ref().active_segments.len(), SEGMENTS as usize);
        let lent = begun.extensions().get::<Lent>().map(|lent| lent.bytes());
        assert_eq!(lent, Some(begun.get_ref().encoded_len() * DECODED_TIMES));
        drop(begun);
        service.scale(scale()).await.unwrap();
        service.create_reader_group(group()).await.unwrap();
        assert_eq!(replies.lent(), 0);
    }
}
