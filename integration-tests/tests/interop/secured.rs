//! A server with TLS and accounts: credentials, rights, tokens, certificates.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{AccessOperation, Creation, Credentials};
use pravega_sdk_event_stream::{ReaderConfig, StreamPosition, TransactionConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{self, factory, unique, url};
use pravega_sdk_types::{
    ErrorKind, Outcome, Scope, ScopedSegment, ScopedStream, SegmentId, StreamConfiguration,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::TokenFailure,
    commands::{GetStreamSegmentInfo, ReadSegment, SetupAppend},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

fn variable(name: &str) -> String {
    std::env::var(name).expect("run these tests with `cargo xtask interop`, which starts a server")
}

fn config() -> ClientConfig {
    ClientConfig::from_url(&url()).unwrap().with_trust_store(variable("PRAVEGA_TEST_TRUST_STORE"))
}

async fn admin() -> ClientFactory {
    user("admin").await
}

async fn user(name: &str) -> ClientFactory {
    let credentials = Credentials::basic(name, &variable("PRAVEGA_TEST_PASSWORD")).unwrap();
    ClientFactory::new(config().with_credentials(credentials)).unwrap()
}

async fn new_stream(factory: &ClientFactory) -> ScopedStream {
    let stream: ScopedStream = format!("{}/orders", unique("secured")).parse().unwrap();
    assert_eq!(factory.controller().create_scope(stream.scope()).await.unwrap(), Creation::Created);
    factory.controller().create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
    stream
}

fn info(segment: &ScopedSegment, token: &str) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.to_string().into(),
        delegation_token: token.into(),
    }
}

#[tokio::test]
async fn the_right_password_is_accepted_and_a_token_opens_the_segment_store() {
    let factory = admin().await;
    let stream = new_stream(&factory).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
    let token = factory.tokens().token(&stream, AccessOperation::ReadWrite).await.unwrap();
    let claims = token.claims().unwrap();
    assert_eq!(claims.lifetime(0).as_secs(), 600, "the server's default");
    let answer =
        factory.raw_client().request(&endpoint, info(&segment, token.expose())).await.unwrap();
    assert_eq!(answer.write_offset, 0);
    let setup = SetupAppend {
        request_id: 0,
        writer_id: Uuid::new_v4(),
        segment: segment.to_string().into(),
        delegation_token: token.expose().into(),
    };
    factory.raw_client().request(&endpoint, setup).await.unwrap();
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_refused_once_and_not_shown() {
    let scope = Scope::new("any").unwrap();
    let wrong = Credentials::basic("admin", "hunter2").unwrap();
    for credentials in [wrong, Credentials::anonymous()] {
        let factory = ClientFactory::new(config().with_credentials(credentials)).unwrap();
        let error = factory.controller().scope_exists(&scope).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome(), error.attempts()),
            (ErrorKind::Unauthenticated, Outcome::NotApplied, 1)
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_user_without_the_right_is_refused_with_permission_denied() {
    let scope = Scope::new(unique("forbidden")).unwrap();
    let error = user("reader").await.controller().create_scope(&scope).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::PermissionDenied, 1), "{error}");
}

#[tokio::test]
async fn a_segment_store_refuses_invalid_tokens() {
    let factory = admin().await;
    let stream = new_stream(&factory).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
    for token in ["", "nonsense"] {
        let error =
            factory.raw_client().request(&endpoint, info(&segment, token)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::PermissionDenied, Outcome::NotApplied)
        );
        match error.reply() {
            Some(WireCommand::AuthTokenCheckFailed(failed)) => {
                assert_eq!(failed.error_code, TokenFailure::CheckFailed)
            }
            other => panic!("{other:?}"),
        }
        // The refusal of a read carries its offset in place of its id, and still finds its waiter.
        let read = ReadSegment {
            segment: segment.to_string().into(),
            offset: 123_456,
            suggested_length: 8,
            delegation_token: token.into(),
            request_id: 0,
        };
        let error = factory.raw_client().request(&endpoint, read).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    let other = new_stream(&factory).await;
    let token = factory.tokens().token(&other, AccessOperation::Read).await.unwrap();
    let error =
        factory.raw_client().request(&endpoint, info(&segment, token.expose())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "the token is for another stream");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_as_such() {
    // The operating system does not trust the self-signed certificate of the server.
    let factory = factory().await;
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error:?}");
    let endpoint = admin().await;
    let stream = new_stream(&endpoint).await;
    let store =
        endpoint.endpoints().endpoint(&ScopedSegment::new(&stream, 0.into())).await.unwrap();
    let error = factory.raw_client().connection(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn plain_to_tls_fails_with_a_hint() {
    let plain = url().replace("tls://", "tcp://");
    let config = ClientConfig::from_url(&format!("{plain}?retry_attempts=1")).unwrap();
    let factory = ClientFactory::new(config).unwrap();
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_writer_writes_over_tls_with_a_token_and_without_rights_it_is_refused() {
    let factory = admin().await;
    let stream = new_stream(&factory).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let first = writer.write("k", "first").await.unwrap();
    writer.write("k", "x".repeat(1 << 20)).await.unwrap();
    let found = harness::read_all(&factory, &stream).await;
    assert_eq!((Some(found[0].offset()), &found[0].event()[..]), (first.offset(), &b"first"[..]));
    assert_eq!((found.len(), found[1].event().len()), (2, 1 << 20));
    // The controller may refuse to list the segments; if not, the segment store refuses the write.
    let refused = match user("reader").await.event_writer(&stream, Utf8).await {
        Err(error) => error,
        Ok(writer) => writer.write("k", "not allowed").await.unwrap_err(),
    };
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::PermissionDenied, Outcome::NotApplied),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_bytes_and_reading_at_the_tail_work_over_tls_with_tokens() {
    let factory = admin().await;
    let stream = new_stream(&factory).await;
    let config = ReaderConfig::default().with_start(StreamPosition::Tail);
    let mut reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
    let config = TransactionConfig::default().with_lease(Duration::from_secs(30));
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let mut transaction = writer.begin().await.unwrap();
    transaction.write("k", "event").await.unwrap();
    transaction.commit().await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(60), reader.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(event.event(), "event");

    let stream = new_stream(&factory).await;
    let mut bytes = factory.byte_writer(&stream).await.unwrap();
    bytes.write_all(b"some bytes").await.unwrap();
    bytes.flush().await.unwrap();
    let mut found = [0; 10];
    factory.byte_reader(&stream).await.unwrap().read_exact(&mut found).await.unwrap();
    assert_eq!(&found, b"some bytes");
    bytes.truncate(5.into()).await.unwrap();
    bytes.seal().await.unwrap();
}
