//! Every call of the controller, as a request and the rule of an account that it needs.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pravega_sdk_proto::{
    controller_service_client::ControllerServiceClient, stream_info::AccessOperation, *,
};
use tonic::{Code, Request, transport::Channel};

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The method of the service.
    pub method: &'static str,
    /// The method, and what is special about the request.
    pub name: &'static str,
    /// The only rule that an account needs for it; empty if it needs no account.
    pub needs: &'static str,
}

/// Connects to the controller at an URL without TLS.
///
/// # Panics
///
/// If it cannot be reached.
pub async fn connect(url: &str) -> ControllerServiceClient<Channel> {
    let url = url.replace("tcp:", "http:");
    ControllerServiceClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap())
}

/// Returns the header of a call by an account.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn info(operation: AccessOperation) -> StreamInfo {
    let (scope, stream) = ("a".to_owned(), "t".to_owned());
    StreamInfo { scope, stream, access_operation: operation.into() }
}

fn of(stream: &str, operation: AccessOperation) -> StreamInfo {
    StreamInfo { stream: stream.to_owned(), ..info(operation) }
}

fn plain() -> Option<StreamInfo> {
    Some(info(AccessOperation::Unspecified))
}

fn cut() -> StreamCut {
    StreamCut { stream_info: plain(), ..StreamCut::default() }
}

fn scope() -> ScopeInfo {
    ScopeInfo { scope: "a".to_owned() }
}

fn segment() -> SegmentId {
    SegmentId { stream_info: plain(), segment_id: 0 }
}

fn segment_of(stream: &str) -> SegmentId {
    SegmentId { stream_info: Some(of(stream, AccessOperation::Unspecified)), segment_id: 0 }
}

fn transaction() -> TxnRequest {
    TxnRequest { stream_info: plain(), ..TxnRequest::default() }
}

fn table() -> KeyValueTableInfo {
    KeyValueTableInfo { scope: "a".to_owned(), kvt_name: "t".to_owned() }
}

fn group() -> ReaderGroupInfo {
    let (scope, reader_group) = ("a".to_owned(), "t".to_owned());
    ReaderGroupInfo { scope, reader_group, ..ReaderGroupInfo::default() }
}

fn group_configuration() -> ReaderGroupConfiguration {
    let (scope, reader_group_name) = ("a".to_owned(), "t".to_owned());
    ReaderGroupConfiguration { scope, reader_group_name, ..ReaderGroupConfiguration::default() }
}

/// Every call: what is special about its request, the request, and the rule that it needs.
macro_rules! calls {
    ($($method:ident $($special:literal)? ($request:expr) $needs:literal;)*) => {
        /// Every call of the controller.
        pub const CALLS: &[Call] = &[$(Call {
            method: stringify!($method),
            name: concat!(stringify!($method) $(, " ", $special)?),
            needs: $needs,
        }),*];

        /// Makes the call with a number, which is its place in [`CALLS`]; returns its code.
        ///
        /// # Panics
        ///
        /// If there is no such call.
        pub async fn ask(
            client: &mut ControllerServiceClient<Channel>,
            number: usize,
            header: Option<&str>,
        ) -> Code {
            let mut at = 0..;
            $(if at.next() == Some(number) {
                let mut request = Request::new($request);
                if let Some(header) = header {
                    request.metadata_mut().insert("authorization", header.parse().unwrap());
                }
                let answer = Box::pin(client.$method(request)).await;
                return answer.map_or_else(|status| status.code(), |_| Code::Ok);
            })*
            panic!("there is no call {number}")
        }
    };
}

calls! {
    get_controller_server_list(ServerRequest::default()) "";
    create_stream(StreamConfig { stream_info: plain(), ..StreamConfig::default() })
        "prn::/scope:a,READ_UPDATE";
    create_stream "of a group" (StreamConfig {
        stream_info: Some(of("_RGt", AccessOperation::Unspecified)),
        ..StreamConfig::default()
    }) "prn::/scope:a,READ";
    update_stream(StreamConfig { stream_info: plain(), ..StreamConfig::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    update_stream "of a group" (StreamConfig {
        stream_info: Some(of("_RGt", AccessOperation::Unspecified)),
        ..StreamConfig::default()
    }) "prn::/scope:a/reader-group:t,READ_UPDATE";
    truncate_stream(cut()) "prn::/scope:a/stream:t,READ_UPDATE";
    seal_stream(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    delete_stream(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    get_current_segments(info(AccessOperation::None)) "prn::/scope:a/stream:t,READ";
    get_current_segments "with a token" (info(AccessOperation::Unspecified))
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_current_segments "of a group" (of("_RGt", AccessOperation::None))
        "prn::/scope:a/reader-group:t,READ";
    get_epoch_segments(GetEpochSegmentsRequest { stream_info: plain(), epoch: 0 })
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_segments "with a token" (GetSegmentsRequest { stream_info: plain(), timestamp: 0 })
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_segments(GetSegmentsRequest {
        stream_info: Some(info(AccessOperation::None)),
        timestamp: 0,
    })
        "prn::/scope:a/stream:t,READ";
    get_segments_immediatly_following(segment()) "prn::/scope:a/stream:t,READ";
    get_segments_immediately_following(segment()) "prn::/scope:a/stream:t,READ";
    get_segments_between(StreamCutRange { stream_info: plain(), ..StreamCutRange::default() })
        "prn::/scope:a/stream:t,READ";
    scale(ScaleRequest { stream_info: plain(), ..ScaleRequest::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    check_scale(ScaleStatusRequest { stream_info: plain(), epoch: 0 })
        "prn::/scope:a/stream:t,READ";
    get_uri(segment()) "prn::/scope:a/stream:t,READ";
    get_uri "of a group" (segment_of("_RGt")) "prn::/scope:a/reader-group:t,READ";
    get_uri "of marks" (segment_of("_MARKt")) "prn::/scope:a/stream:t,READ";
    get_uri "of a table" (segment_of("t_kvtable")) "prn::/scope:a/key-value-table:t,READ";
    is_segment_valid(segment()) "prn::/scope:a/stream:t,READ";
    is_stream_cut_valid(cut()) "prn::/scope:a/stream:t,READ";
    create_transaction(CreateTxnRequest { stream_info: plain(), ..CreateTxnRequest::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    commit_transaction(transaction()) "prn::/scope:a/stream:t,READ_UPDATE";
    abort_transaction(transaction()) "prn::/scope:a/stream:t,READ_UPDATE";
    ping_transaction(PingTxnRequest { stream_info: plain(), ..PingTxnRequest::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    check_transaction_state(transaction()) "prn::/scope:a/stream:t,READ";
    list_completed_transactions(ListCompletedTxnRequest { stream_info: plain() })
        "prn::/scope:a/stream:t,READ";
    create_scope(scope()) "prn::/,READ_UPDATE";
    list_scopes(ScopesRequest::default()) "prn::/,READ";
    check_scope_exists(scope()) "prn::/scope:a,READ";
    check_stream_exists(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ";
    list_streams_in_scope(StreamsInScopeRequest {
        scope: Some(scope()),
        ..StreamsInScopeRequest::default()
    }) "prn::/scope:a,READ";
    list_streams_in_scope_for_tag(StreamsInScopeWithTagRequest {
        scope: Some(scope()),
        tag: "x".to_owned(),
        ..StreamsInScopeWithTagRequest::default()
    }) "prn::/scope:a,READ";
    delete_scope(scope()) "prn::/,READ_UPDATE";
    delete_scope_recursive(scope()) "prn::/,READ_UPDATE";
    get_delegation_token "to read" (info(AccessOperation::Read)) "prn::/scope:a/stream:t,READ";
    get_delegation_token "to read and write" (info(AccessOperation::ReadWrite))
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token "of old clients" (info(AccessOperation::Unspecified))
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token "to write" (info(AccessOperation::Write))
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token "to write a table" (info(AccessOperation::Write))
        "prn::/scope:a/key-value-table:t,READ_UPDATE";
    get_delegation_token "to write a group" (of("_RGt", AccessOperation::Write))
        "prn::/scope:a/reader-group:t,READ";
    get_delegation_token "to write marks" (of("_MARKt", AccessOperation::Write))
        "prn::/scope:a/stream:t,READ";
    get_delegation_token "of old clients of a group" (of("_RGt", AccessOperation::Unspecified))
        "prn::/scope:a/reader-group:t,READ_UPDATE";
    get_delegation_token "of old clients of marks" (of("_MARKt", AccessOperation::Unspecified))
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token "for nothing" (info(AccessOperation::None))
        "prn::/scope:a/stream:t,READ";
    get_delegation_token "to read a group" (of("_RGt", AccessOperation::Read))
        "prn::/scope:a/reader-group:t,READ";
    get_delegation_token "to read a table by its segments" (of("t_kvtable", AccessOperation::Read))
        "prn::/scope:a/key-value-table:t,READ";
    remove_writer(RemoveWriterRequest { stream: plain(), ..RemoveWriterRequest::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    note_timestamp_from_writer(TimestampFromWriter {
        position: Some(cut()),
        ..TimestampFromWriter::default()
    }) "prn::/scope:a/stream:t,READ_UPDATE";
    create_key_value_table(KeyValueTableConfig {
        scope: "a".to_owned(),
        kvt_name: "t".to_owned(),
        ..KeyValueTableConfig::default()
    }) "prn::/scope:a,READ_UPDATE";
    get_current_segments_key_value_table(table()) "prn::/scope:a/key-value-table:t,READ_UPDATE";
    list_key_value_tables_in_scope(KvTablesInScopeRequest {
        scope: Some(scope()),
        ..KvTablesInScopeRequest::default()
    }) "prn::/scope:a,READ";
    get_key_value_table_configuration(table()) "prn::/scope:a/key-value-table:t,READ";
    delete_key_value_table(table()) "prn::/scope:a/key-value-table:t,READ_UPDATE";
    list_subscribers(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    update_subscriber_stream_cut(SubscriberStreamCut {
        stream_cut: Some(cut()),
        ..SubscriberStreamCut::default()
    }) "prn::/scope:a/stream:t,READ_UPDATE";
    create_reader_group(group_configuration()) "prn::/scope:a,READ";
    get_reader_group_config(group()) "prn::/scope:a,READ";
    delete_reader_group(group()) "prn::/scope:a,READ";
    update_reader_group(group_configuration()) "prn::/scope:a,READ";
    get_stream_configuration(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ";
}
