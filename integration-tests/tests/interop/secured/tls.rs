//! A server with TLS: what it is to clients that do not trust it, or speak none.

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_integration_tests::harness::{factory, url};
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
async fn a_client_without_tls_gets_no_answer_and_may_try_again() {
    let plain = url().replace("tls://", "tcp://");
    let config = ClientConfig::from_url(&format!("{plain}?retry_attempts=1")).unwrap();
    let factory = ClientFactory::new(config).unwrap();
    let error = factory.controller().scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    // The server closes the connection without a word, as one that ends does.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.is_retryable(), "{error:?}");
}
