//! Everything that a client and a server do, with secrets of every kind.

use std::{fmt::Debug, time::Duration};

use pravega_sdk_controller_client::Credentials;
use pravega_sdk_integration_tests::harness::{FAR, rest::Rest};
use tokio::time::timeout;

use super::{
    failures, identity,
    secrets::{PASSWORD, ROOT, Secrets, WRONG},
    tool, usage,
};

/// Crates that have to be heard, so that silence is not taken for discretion. hyper is not among
/// them: it logs nothing in a usual build.
const HEARD: &[&str] = &[
    "h2",
    "rustls",
    "tonic",
    "tower",
    "pravega_sdk_controller_client",
    "pravega_sdk_connection_pool",
    "pravega_sdk_segment_client",
    "pravega_sdk_identity",
    "pravega_sdk_server",
    // What this test shows itself, and the tool.
    "debug",
    "error",
    "rest",
    "tool",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the log of a process: another test runs it in one of its own"]
async fn everything_is_used_with_secrets_and_none_is_shown() {
    let secrets = Secrets::make().await;
    let builder = secrets
        .accounts()
        .with_tls(secrets.tls())
        .with_segment_stores(2)
        .with_directory(secrets.path("data"));
    show(&secrets, "a configuration of a server", &builder);
    let server = builder.start().await.unwrap();
    show(&secrets, "a server", &server);

    let client = secrets.client(&server, secrets.basic());
    timeout(FAR, usage::everything(&secrets, &client)).await.unwrap();
    // As users of a program, and by a token of another party.
    for credentials in [
        Credentials::basic("root", ROOT).unwrap(),
        Credentials::bearer(secrets.tokens.good.clone()).unwrap(),
    ] {
        let client = secrets.client(&server, credentials);
        timeout(FAR, usage::events(&secrets, &client)).await.unwrap();
    }
    timeout(FAR, identity::everything(&secrets, &server)).await.unwrap();
    timeout(FAR, tool::everything(&secrets, &server)).await.unwrap();
    timeout(FAR, failures::everything(&secrets, server)).await.unwrap();
    timeout(FAR, rest(&secrets)).await.unwrap();

    secrets.scanner.require_none(HEARD);
    hears_a_leak(&secrets);
}

/// Scans what a value shows of itself.
pub(super) fn show(secrets: &Secrets, what: &str, value: &dyn Debug) {
    secrets.scanner.debug(what, value);
}

/// Requires that a secret is found in the log, in a span and in a record of `log`.
fn hears_a_leak(secrets: &Secrets) {
    let is_heard = |form: &str| {
        let leaks = secrets.scanner.take_leaks();
        let found = leaks.iter().map(|leak| (leak.canary.as_str(), leak.form.as_str()));
        let expected = ("the password of the program", form);
        assert!(found.clone().any(|leak| leak == expected), "{form}: {leaks:?}");
    };
    tracing::trace!(password = ROOT, "a leak");
    is_heard("raw");
    tracing::trace_span!("a leak", password = ?ROOT.as_bytes()).in_scope(|| ());
    is_heard("list");
    log::trace!("a leak: {ROOT:?}");
    is_heard("escaped");
}

/// Calls of REST, also with wrong credentials, of a server without TLS, through which all else goes
/// as well.
async fn rest(secrets: &Secrets) {
    let server = secrets.accounts().start().await.unwrap();
    let client = secrets.client(&server, secrets.basic());
    usage::events(secrets, &client).await;
    let address = format!("127.0.0.1:{}", server.rest_port().unwrap());
    for (method, token) in [
        ("Basic", usage::basic_token(PASSWORD)),
        ("Basic", usage::basic_token(WRONG)),
        ("Basic", WRONG.to_owned()),
        ("Bearer", secrets.tokens.good.clone()),
        ("Bearer", secrets.tokens.expired.clone()),
        ("Bearer", secrets.tokens.foreign.clone()),
        ("Other", secrets.tokens.good.clone()),
    ] {
        // The head of a request has no other characters.
        let token: String = token.chars().filter(char::is_ascii).collect();
        let rest = Rest::at(&address).with("Authorization", &format!("{method} {token}"));
        for (verb, path) in [
            ("GET", "/v1/scopes"),
            ("GET", "/v1/scopes/none/streams"),
            ("POST", "/v1/scopes"),
            ("DELETE", "/v1/scopes/none"),
            ("PATCH", "/v1"),
        ] {
            let response = rest.ask(verb, path).await;
            secrets.scanner.scan("rest", response.head.as_bytes());
            secrets.scanner.scan("rest", response.body.as_bytes());
        }
    }
    show(secrets, "a server without TLS", &server);
    timeout(Duration::from_secs(60), server.shutdown()).await.unwrap();
}
