//! Accounts and their rules: every call of the controller, and what clients with an account can do.

mod bearers;
mod commands;
mod rights;

use std::{collections::BTreeSet, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{
    self,
    calls::{CALLS, Call, ask, basic, connect},
    eventually,
    rest::Rest,
};
use pravega_sdk_proto::{ScopeInfo, ScopesRequest, StreamsInScopeRequest};
use pravega_sdk_server::{EmbeddedServer, ServerBuilder, account_line};
use pravega_sdk_types::{ErrorKind, ScopedStream};
use tonic::{Code, Request};

use super::support::{numbers, stream, write};

/// The headers of accounts, all with the password `pw`.
fn header(user: &str) -> String {
    basic(user, "pw")
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
    let tested: BTreeSet<String> = CALLS.iter().map(|call| plain(call.method)).collect();
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
    for (number, Call { needs, .. }) in CALLS.iter().enumerate() {
        builder = builder.with_limited_account(&format!("exact{number}"), "pw", needs);
    }
    let server = builder.start().await.unwrap();
    let mut client = connect(&server.url()).await;
    for (number, Call { name, needs, .. }) in CALLS.iter().enumerate() {
        let rule = format!("{name} needs {needs}");
        let needs_nothing = needs.is_empty();
        let without = ask(&mut client, number, None).await;
        assert_eq!(without != Code::Unauthenticated, needs_nothing, "{rule}: without an account");
        for wrong in ["Basic !", &header("stranger"), &header("full2")] {
            let code = ask(&mut client, number, Some(wrong)).await;
            assert_eq!(code, Code::Unauthenticated, "{rule}: {wrong}");
        }
        for other in ["", "Basic", "Bearer x"] {
            let code = ask(&mut client, number, Some(other)).await;
            assert_eq!(code != Code::Unauthenticated, needs_nothing, "{rule}: {other}");
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
    let mut grpc = connect(&server.url()).await;
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
