//! A server with TLS: what it is to clients that do not trust it, or speak none.

use pravega_sdk_client_factory::{ClientConfig, ClientFactory, tls::TlsProblem};
use pravega_sdk_integration_tests::harness::{factory, tls_error, url};
use pravega_sdk_types::{ErrorKind, Scope, ScopedSegment};

use super::{admin, new_stream};

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_as_such() {
    // The operating system does not trust the self-signed certificate of the server.
    let factory = factory().await;
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error:?}");
    let endpoint = admin();
    let stream = new_stream(&endpoint).await;
    let store =
        endpoint.endpoints().endpoint(&ScopedSegment::new(&stream, 0.into())).await.unwrap();
    let error = factory.raw_client().connection(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn a_client_without_tls_learns_that_the_ports_speak_tls_or_may_do_so() {
    let plain = url().replace("tls://", "tcp://");
    let config = ClientConfig::from_url(&format!("{plain}?retry_attempts=1")).unwrap();
    let factory = ClientFactory::new(config).unwrap();
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    // The server closes the connection without a word, as one that ends does.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.is_retryable(), "{error:?}");
    let found = tls_error(&error).unwrap_or_else(|| panic!("{error:?}"));
    let text = found.to_string();
    assert_eq!(found.problem(), TlsProblem::ServerMayBeTlsOnly, "{error:?}");
    assert!(text.contains("its port may speak TLS only"), "{text}");

    let trusting = admin();
    let stream = new_stream(&trusting).await;
    let segment = ScopedSegment::new(&stream, 0.into());
    let store = trusting.endpoints().endpoint(&segment).await.unwrap();
    let error = factory.raw_client().connection(&store).await.unwrap_err();
    // The segment store sends an alert before it closes, so it is certain there.
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    let found = tls_error(&error).unwrap_or_else(|| panic!("{error:?}"));
    let text = found.to_string();
    assert_eq!(found.problem(), TlsProblem::ServerIsTlsOnly, "{error:?}");
    assert!(text.contains("the server speaks TLS"), "{text}");
}
