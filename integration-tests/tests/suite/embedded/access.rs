//! Accounts and their rules: every call of the controller, and what clients with an account can do.

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, eventually, rest::Rest};
use pravega_sdk_proto::{
    controller_service_client::ControllerServiceClient, stream_info::AccessOperation, *,
};
use pravega_sdk_server::{EmbeddedServer, ServerBuilder, account_line};
use pravega_sdk_types::{ErrorKind, ScopedStream};
use tonic::{Code, Request, transport::Channel};

use super::support::{numbers, stream, write};

/// The headers of accounts, all with the password `pw`.
fn header(user: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:pw")))
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

/// Every call: its request, and the rule that it needs; none if it needs no account.
macro_rules! calls {
    ($($method:ident($request:expr) $needs:literal;)*) => {
        const CALLS: &[(&str, &str)] = &[$((stringify!($method), $needs)),*];

        /// Makes the call with a number; returns its code.
        async fn ask(
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
    create_stream(StreamConfig {
        stream_info: Some(of("_RGt", AccessOperation::Unspecified)),
        ..StreamConfig::default()
    }) "prn::/scope:a,READ";
    update_stream(StreamConfig { stream_info: plain(), ..StreamConfig::default() })
        "prn::/scope:a/stream:t,READ_UPDATE";
    truncate_stream(cut()) "prn::/scope:a/stream:t,READ_UPDATE";
    seal_stream(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    delete_stream(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    get_current_segments(info(AccessOperation::None)) "prn::/scope:a/stream:t,READ";
    get_current_segments(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    get_current_segments(of("_RGt", AccessOperation::None)) "prn::/scope:a/reader-group:t,READ";
    get_epoch_segments(GetEpochSegmentsRequest { stream_info: plain(), epoch: 0 })
        "prn::/scope:a/stream:t,READ_UPDATE";
    get_segments(GetSegmentsRequest { stream_info: plain(), timestamp: 0 })
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
    get_delegation_token(info(AccessOperation::Read)) "prn::/scope:a/stream:t,READ";
    get_delegation_token(info(AccessOperation::ReadWrite)) "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token(info(AccessOperation::Unspecified)) "prn::/scope:a/stream:t,READ_UPDATE";
    get_delegation_token(info(AccessOperation::Write))
        "prn::/scope:a/key-value-table:t,READ_UPDATE";
    get_delegation_token(of("_RGt", AccessOperation::Write)) "prn::/scope:a/reader-group:t,READ";
    get_delegation_token(of("_MARKt", AccessOperation::Write)) "prn::/scope:a/stream:t,READ";
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

async fn controller(server: &EmbeddedServer) -> ControllerServiceClient<Channel> {
    let url = server.url().replace("tcp:", "http:");
    ControllerServiceClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap())
}

fn is_let_in(code: Code) -> bool {
    !matches!(code, Code::Unauthenticated | Code::PermissionDenied)
}

#[test]
fn every_call_is_in_the_table() {
    let generated = include_str!("../../../../proto/src/generated.rs");
    let start = "ControllerService/";
    let names: BTreeSet<&str> = generated
        .match_indices(start)
        .map(|(at, _)| generated[at + start.len()..].split('"').next().unwrap())
        .collect();
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let all: BTreeSet<String> = names.into_iter().map(plain).collect();
    let tested: BTreeSet<String> = CALLS.iter().map(|(name, _)| plain(name)).collect();
    assert_eq!(tested, all);
    assert_eq!(all.len(), 46);
}

#[tokio::test]
async fn a_call_is_made_for_those_who_may_make_it_and_no_others() {
    let mut builder = harness::builder()
        .with_account("full", "pw")
        .with_limited_account("reader", "pw", "prn::*,READ")
        .with_limited_account(
            "other",
            "pw",
            "prn::/scope:aa*,READ_UPDATE;prn::/scope:b*,READ_UPDATE",
        )
        .with_limited_account("neighbour", "pw", "prn::/scope:a/*:tt,READ_UPDATE");
    for (number, (_, needs)) in CALLS.iter().enumerate() {
        builder = builder.with_limited_account(&format!("exact{number}"), "pw", needs);
    }
    let server = builder.start().await.unwrap();
    let mut client = controller(&server).await;
    for (number, (name, needs)) in CALLS.iter().enumerate() {
        let rule = format!("{name} needs {needs}");
        let needs_nothing = needs.is_empty();
        let without = ask(&mut client, number, None).await;
        assert_eq!(without != Code::Unauthenticated, needs_nothing, "{rule}: without an account");
        for wrong in ["Basic", "Basic !", "Bearer x", &header("stranger"), &header("full2")] {
            let code = ask(&mut client, number, Some(wrong)).await;
            assert_eq!(code, Code::Unauthenticated, "{rule}: {wrong}");
        }
        for (user, may) in [
            ("full", true),
            ("reader", !needs.ends_with("READ_UPDATE")),
            ("other", needs_nothing),
            ("neighbour", needs_nothing),
            (&*format!("exact{number}"), true),
        ] {
            let code = ask(&mut client, number, Some(&header(user))).await;
            assert_eq!(is_let_in(code), may, "{rule}: {user}: {code:?}");
            assert_ne!(code, Code::Unauthenticated, "{rule}: {user}");
        }
    }
}

/// A client with an account.
async fn client(server: &EmbeddedServer, user: &str) -> ClientFactory {
    let credentials = Credentials::basic(user, "pw").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    ClientFactory::new(config).unwrap()
}

async fn start(builder: ServerBuilder) -> (EmbeddedServer, ClientFactory, ScopedStream) {
    let server = builder.start().await.unwrap();
    let factory = client(&server, "full").await;
    let stream = stream(&factory, 2).await;
    (server, factory, stream)
}

#[tokio::test]
async fn an_account_that_may_read_a_stream_cannot_write_it() {
    let rules = "prn::/scope:scope/stream:stream,READ";
    let builder =
        harness::builder().with_account("full", "pw").with_limited_account("ann", "pw", rules);
    let (server, full, stream) = start(builder).await;
    write(&full, &stream, 0..10).await;
    let ann = client(&server, "ann").await;
    assert_eq!(numbers(&ann, &stream).await, (0..10).collect::<Vec<_>>());
    let denied = match ann.event_writer(&stream, Utf8).await {
        Ok(writer) => writer.write("key", "no").await.unwrap_err().kind(),
        Err(error) => error.kind(),
    };
    assert_eq!(denied, ErrorKind::PermissionDenied);
    let denied = ann.controller().seal_stream(&stream).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert!(
        denied.to_string().contains("READ_UPDATE on prn::/scope:scope/stream:stream"),
        "{denied}"
    );
    assert_eq!(numbers(&full, &stream).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn lists_have_what_an_account_may_read() {
    let builder =
        harness::builder().with_rest_port(0).with_account("full", "pw").with_limited_account(
            "ann",
            "pw",
            "prn::/,READ;prn::/scope:s2,READ;prn::/scope:s2/stream:b,READ",
        );
    let server = builder.start().await.unwrap();
    let full = client(&server, "full").await;
    for name in ["s1/a", "s2/a", "s2/b", "s3/a"] {
        let stream: ScopedStream = name.parse().unwrap();
        full.create_stream_if_absent(&stream, &Default::default()).await.unwrap();
    }
    let mut grpc = controller(&server).await;
    let ann = || header("ann").parse().unwrap();
    let mut request = Request::new(ScopesRequest::default());
    request.metadata_mut().insert("authorization", ann());
    assert_eq!(grpc.list_scopes(request).await.unwrap().into_inner().scopes, ["s2"]);
    let scope = Some(ScopeInfo { scope: "s2".to_owned() });
    let mut request =
        Request::new(StreamsInScopeRequest { scope, ..StreamsInScopeRequest::default() });
    request.metadata_mut().insert("authorization", ann());
    let streams = grpc.list_streams_in_scope(request).await.unwrap().into_inner().streams;
    let streams: Vec<_> = streams.into_iter().map(|info| info.stream).collect();
    assert_eq!(streams, ["b"]);

    let address = format!("127.0.0.1:{}", server.rest_port().unwrap());
    let rest = Rest::at(&address).with("Authorization", &header("ann"));
    let scopes = rest.ask("GET", "/v1/scopes").await;
    assert_eq!(scopes.body, r#"{"scopes":[{"scopeName":"s2"}]}"#);
    let streams = rest.ask("GET", "/v1/scopes/s2/streams").await.body;
    assert!(streams.contains(r#""streamName":"b""#), "{streams}");
    assert!(!streams.contains(r#""streamName":"a""#), "{streams}");
    for (method, path, status) in [
        ("GET", "/v1/scopes/s2", 200),
        ("GET", "/v1/scopes/s1", 403),
        ("DELETE", "/v1/scopes/s2", 403),
        ("GET", "/v1/scopes/s1/streams", 403),
        ("GET", "/v1/scopes/s2/streams/b", 200),
        ("GET", "/v1/scopes/s2/streams/a", 403),
        ("DELETE", "/v1/scopes/s2/streams/b", 403),
        ("GET", "/v1/scopes/s2/readergroups", 200),
        ("GET", "/v1/scopes/s2/readergroups/g", 403),
    ] {
        assert_eq!(rest.ask(method, path).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_file_of_accounts_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts");
    let set = |lines: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, lines).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    set(&account_line("full", "pw", "prn::*,READ_UPDATE"));
    let (server, full, stream) = start(harness::builder().with_accounts_file(&file)).await;
    write(&full, &stream, 0..10).await;
    let ann = client(&server, "ann").await;
    let kind = async || ann.controller().stream_exists(&stream).await.map_err(|e| e.kind());
    assert_eq!(kind().await, Err(ErrorKind::Unauthenticated));
    set(&account_line("ann", "pw", "prn::/scope:scope/*,READ"));
    eventually("the new account is let in", async || kind().await == Ok(true)).await;
    let gone = full.controller().stream_exists(&stream).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_connection_ends_when_a_token_of_its_writers_expires_and_the_writers_go_on() {
    let lifetime = Duration::from_secs(60);
    let builder = harness::builder()
        .with_standing_clock()
        .with_token_lifetime(lifetime)
        .with_account("full", "pw");
    let (server, factory, stream) = start(builder).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "0").await.unwrap();
    let before = server.connection_count();
    server.advance_clock(lifetime - Duration::from_secs(10)).unwrap();
    writer.write("key", "1").await.unwrap();
    assert_eq!(server.connection_count(), before);
    server.advance_clock(lifetime).unwrap();
    let has_ended = async || server.connection_count() < before;
    eventually("the connection of the writer ends", has_ended).await;
    writer.write("key", "2").await.unwrap();
    assert_eq!(numbers(&factory, &stream).await, [0, 1, 2]);
}
