//! A leak that is meant: what is watched is not silent.

use pravega_sdk_integration_tests::harness::{canary, factory};

#[tokio::test]
#[ignore = "it ends its process: another test runs it in one of its own"]
async fn a_token_is_logged() {
    // The first client starts the server, and the watch with it.
    factory().await;
    tracing::trace!(token = canary::TOKEN, "a token");
    panic!("a leak does not end the process");
}
