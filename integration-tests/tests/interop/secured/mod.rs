//! Servers with TLS, with accounts, and with both: each of the modules runs against those that it
//! is about.

mod access;
mod accounts;
mod data;
mod expired_tokens;
mod jvm;
mod tls;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{Creation, Credentials};
use pravega_sdk_integration_tests::harness::{unique, url};
use pravega_sdk_types::{ScopedStream, StreamConfiguration};

fn variable(name: &str) -> String {
    std::env::var(name).expect("run these tests with `cargo xtask interop`, which starts a server")
}

/// A client that trusts the server, if that has TLS.
fn config() -> ClientConfig {
    let config = ClientConfig::from_url(&url()).unwrap();
    match std::env::var("PRAVEGA_TEST_TRUST_STORE") {
        Ok(certificate) => config.with_trust_store(certificate),
        Err(_) => config,
    }
}

/// A client that may do everything.
fn admin() -> ClientFactory {
    match std::env::var("PRAVEGA_TEST_PASSWORD") {
        Ok(_) => user("admin"),
        Err(_) => ClientFactory::new(config()).unwrap(),
    }
}

fn user(name: &str) -> ClientFactory {
    let credentials = Credentials::basic(name, &variable("PRAVEGA_TEST_PASSWORD")).unwrap();
    ClientFactory::new(config().with_credentials(credentials)).unwrap()
}

async fn new_stream(factory: &ClientFactory) -> ScopedStream {
    let stream: ScopedStream = format!("{}/orders", unique("secured")).parse().unwrap();
    assert_eq!(factory.controller().create_scope(stream.scope()).await.unwrap(), Creation::Created);
    factory.controller().create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
    stream
}
