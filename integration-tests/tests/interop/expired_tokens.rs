//! A server with accounts and without TLS, so that a proxy can put an expired token into a frame.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{AccessOperation, Credentials};
use pravega_sdk_integration_tests::harness::{new_stream, tokens, url};

fn variable(name: &str) -> String {
    std::env::var(name).expect("run these tests with `cargo xtask interop`, which starts a server")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_is_answered_by_a_close_gets_another_token() {
    let credentials = Credentials::basic("admin", &variable("PRAVEGA_TEST_PASSWORD")).unwrap();
    let config = ClientConfig::from_url(&url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::new(config).unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    factory.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    // Tokens of one second are the same.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let expired = std::fs::read_to_string(variable("PRAVEGA_TEST_EXPIRED_TOKEN")).unwrap();
    tokens::a_writer_replaces_a_token_after_which_connections_are_closed(
        &factory,
        &stream,
        Some(expired),
    )
    .await;
}
