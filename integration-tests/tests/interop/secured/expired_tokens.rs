//! A server with accounts and without TLS: a proxy can put an expired token into a frame, and REST
//! can be compared.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_integration_tests::harness::{self, new_stream, rest::Rest, tokens, unique};
use serde_json::{Value, json};

use super::{admin, variable};

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_is_answered_by_a_close_gets_another_token() {
    let factory = admin();
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

#[tokio::test]
async fn both_rest_services_answer_alike_without_with_a_wrong_and_with_an_account() {
    let password = variable("PRAVEGA_TEST_PASSWORD");
    let builder = harness::builder().with_account("admin", &password).with_rest_port(0);
    let server = builder.start().await.unwrap();
    let real = Rest::at(&variable("PRAVEGA_TEST_REST"));
    let embedded = Rest::at(&format!("127.0.0.1:{}", server.rest_port().unwrap()));
    let basic = |scheme: &str, account: &str| Some(format!("{scheme} {}", BASE64.encode(account)));
    let accounts = [
        ("no account", None),
        ("a wrong password", basic("Basic", "admin:wrong")),
        ("a wrong user", basic("Basic", &format!("bob:{password}"))),
        ("another scheme", basic("Bearer", &format!("admin:{password}"))),
        ("no scheme", Some(password.clone())),
        ("the account", basic("Basic", &format!("admin:{password}"))),
    ];
    let scope = unique("accounts");
    let path = format!("/v1/scopes/{scope}");
    let policy = json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": 1 });
    let stream = json!({ "streamName": "t", "scalingPolicy": policy });
    let sealed = json!({ "streamState": "SEALED" });
    let events = format!("{path}/streams/t/scaling-events?from=0&to=1");
    let calls: [(&str, &str, Option<Value>); 17] = [
        ("GET", "/ping", None),
        ("GET", "/v1/health/status", None),
        ("GET", "/v1/health/details", None),
        ("POST", "/v1/scopes", Some(json!({ "scopeName": scope }))),
        ("GET", "/v1/scopes", None),
        ("GET", &path, None),
        ("POST", &format!("{path}/streams"), Some(stream)),
        ("GET", &format!("{path}/streams"), None),
        ("GET", &format!("{path}/streams/t"), None),
        ("PUT", &format!("{path}/streams/t"), Some(json!({ "scalingPolicy": policy }))),
        ("GET", &events, None),
        ("GET", &format!("{path}/readergroups"), None),
        ("GET", &format!("{path}/readergroups/none"), None),
        ("DELETE", &format!("{path}/readergroups/none"), None),
        ("PUT", &format!("{path}/streams/t/state"), Some(sealed)),
        ("DELETE", &format!("{path}/streams/t"), None),
        ("DELETE", &path, None),
    ];
    for (account, header) in accounts {
        for (method, path, body) in &calls {
            let status = async |rest: &Rest| {
                let rest = match &header {
                    Some(header) => rest.clone().with("Authorization", header),
                    None => rest.clone(),
                };
                match body {
                    Some(body) => rest.put(method, path, body).await.status,
                    None => rest.ask(method, path).await.status,
                }
            };
            let (there, here) = (status(&real).await, status(&embedded).await);
            assert_eq!(here, there, "{account}: {method} {path}");
        }
    }
}
