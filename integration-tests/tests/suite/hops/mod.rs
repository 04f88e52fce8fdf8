//! The two hops of a client, to controllers and to segment stores, each with TLS or without.

#[path = "../../../../tls/tests/common/accept.rs"]
mod accept;
#[path = "../../../../tls/tests/common/authority.rs"]
pub(crate) mod authority;
pub(crate) mod proxy;

use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory, TlsMode,
    event_stream::codec::Utf8,
    tls::{TlsConfig, TlsError, TlsProblem},
};
use pravega_sdk_integration_tests::harness::{new_stream, read_all, tls_error};
use pravega_sdk_server::{EmbeddedServer, ServerTls};
use pravega_sdk_types::{ErrorKind, Scope, ScopedSegment, SegmentId};

use self::authority::{Authority, server};

fn config(url: &str) -> ClientConfig {
    ClientConfig::from_url(url).unwrap()
}

/// Writes events and reads them back.
async fn exchange(config: ClientConfig) {
    let factory = ClientFactory::new(config).unwrap();
    let stream = new_stream(factory.controller(), 2).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for number in 0..20 {
        writer.write(&format!("key-{}", number % 4), number.to_string()).await.unwrap();
    }
    let mut numbers: Vec<u32> = read_all(&factory, &stream)
        .await
        .iter()
        .map(|event| str::from_utf8(event.event()).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    assert!(factory.close().await.is_empty());
}

/// Connects to the segment store of a stream that the controller creates, and fails for a reason
/// of TLS.
async fn refused_by_the_store(config: ClientConfig) -> TlsProblem {
    let factory = ClientFactory::new(config).unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let store = factory.controller().segment_endpoint(&segment).await.unwrap();
    let error = factory.raw_client().connection(&store).await.unwrap_err();
    tls_error(&error).unwrap_or_else(|| panic!("{error:?}")).problem()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_with_tls_to_the_controller_and_without_it_to_the_segment_store() {
    let plain = EmbeddedServer::builder().start().await.unwrap();
    let authority = Authority::new();
    let proxy = proxy::with_tls(plain.port(), server(&authority.server("localhost"), None)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let trusted = || TlsConfig::new().with_trust_pem("test", authority.pem());
    let (port, path) = (proxy.port(), file.path().display());
    let by_url = format!("localhost:{port}?trust_store={path}");
    let alone = format!("localhost:{port}");
    let settings = [
        config(&format!("tls://{by_url}&tls_to_segment_store=off")),
        config(&format!("tcp://{by_url}&tls_to_controller=on")),
        config(&format!("tls://{alone}"))
            .with_tls_to_segment_store(TlsMode::Off)
            .with_controller_tls(trusted()),
        config(&format!("tcp://{alone}"))
            .with_tls_to_controller(TlsMode::On)
            .with_controller_tls(trusted()),
    ];
    let mut before = 0;
    for config in settings {
        exchange(config.clone()).await;
        assert!(proxy.forwarded() > before, "without TLS: {config:?}");
        before = proxy.forwarded();
    }
    // The setting of the other hop is no other name of this one.
    let both = config(&format!("tls://{by_url}"));
    let found = refused_by_the_store(both).await;
    assert!(matches!(found, TlsProblem::ServerIsPlain | TlsProblem::Ended), "{found:?}");
    let of_store = config(&format!("tls://{alone}?tls_to_segment_store=off"))
        .with_segment_store_tls(trusted())
        .with_controller_tls(Authority::new().trusted());
    let factory = ClientFactory::new(of_store).unwrap();
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    assert_eq!(tls_error(&error).map(TlsError::problem), Some(TlsProblem::Untrusted), "{error:?}");
    plain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_without_tls_to_the_controller_and_with_it_to_the_segment_store() {
    let secure = EmbeddedServer::builder().with_tls(ServerTls::made_in_memory());
    let secure = secure.start().await.unwrap();
    let certificate = secure.certificate().unwrap();
    let proxy = proxy::without_tls(secure.port(), &certificate).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &certificate).unwrap();
    let trusted = || TlsConfig::new().with_trust_pem("test", certificate.as_str());
    let (port, path) = (proxy.port(), file.path().display());
    let by_url = format!("localhost:{port}?trust_store={path}");
    let alone = format!("localhost:{port}");
    let settings = [
        config(&format!("tcp://{by_url}&tls_to_segment_store=on")),
        config(&format!("tls://{by_url}&tls_to_controller=off")),
        config(&format!("tcp://{alone}"))
            .with_tls_to_segment_store(TlsMode::On)
            .with_segment_store_tls(trusted()),
        config(&format!("tls://{alone}"))
            .with_tls_to_controller(TlsMode::Off)
            .with_segment_store_tls(trusted()),
    ];
    let mut before = 0;
    for config in settings {
        exchange(config.clone()).await;
        assert!(proxy.forwarded() > before, "{config:?}");
        before = proxy.forwarded();
    }
    let neither = config(&format!("tcp://{alone}"));
    let found = refused_by_the_store(neither).await;
    // The alert of the store may be lost with what the store has not read.
    let expected = [TlsProblem::ServerIsTlsOnly, TlsProblem::ServerMayBeTlsOnly];
    assert!(expected.contains(&found), "{found:?}");
    let others = config(&format!("tcp://{alone}"))
        .with_tls_to_segment_store(TlsMode::On)
        .with_controller_tls(trusted())
        .with_segment_store_tls(Authority::new().trusted());
    assert_eq!(refused_by_the_store(others).await, TlsProblem::Untrusted);
    secure.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_discovered_over_tls_and_called_there() {
    let secure = EmbeddedServer::builder().with_tls(ServerTls::made_in_memory());
    let secure = secure.start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secure.certificate().unwrap()).unwrap();
    let discovering = secure.url().replace("tls://", "pravegas://");
    let trusting = config(&discovering).with_trust_store(file.path());
    exchange(trusting.clone()).await;
    let factory = ClientFactory::new(trusting).unwrap();
    let found = factory.controller().controllers().await.unwrap();
    assert!(secure.url().ends_with(&found[0].to_string()), "{found:?}");
    // The scheme without TLS, with the settings of the hops.
    let settings = discovering.replace("pravegas://", "pravega://");
    let settings = config(&settings)
        .with_trust_store(file.path())
        .with_tls_to_controller(TlsMode::On)
        .with_tls_to_segment_store(TlsMode::On);
    exchange(settings).await;

    let untrusting = config(&discovering).with_controller_tls(Authority::new().trusted());
    let factory = ClientFactory::new(untrusting.with_segment_store_tls(Authority::new().trusted()));
    let factory = factory.unwrap();
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    let problem = tls_error(&error).map(TlsError::problem);
    assert_eq!((error.kind(), problem), (ErrorKind::Tls, Some(TlsProblem::Untrusted)));
    secure.shutdown().await;
}
