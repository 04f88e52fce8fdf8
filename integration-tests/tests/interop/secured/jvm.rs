//! Java's client on a server with TLS and accounts.

use std::path::Path;

use pravega_sdk_integration_tests::harness::url;

use super::variable;
use crate::peers;

/// The embedded server passes the same test. A standalone server wants the right to change for a
/// reader group.
#[tokio::test]
async fn accounts_let_the_java_client_do_what_they_may_and_give_it_its_own_errors() {
    let certificate = variable("PRAVEGA_TEST_TRUST_STORE");
    let password = variable("PRAVEGA_TEST_PASSWORD");
    peers::accounts(&url(), Path::new(&certificate), &password, "streams").await;
}
