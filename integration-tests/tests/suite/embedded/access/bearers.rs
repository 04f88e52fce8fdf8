//! Every call of the controller, by clients with tokens that another party has signed, with those
//! of the stores, and with some that are valid no more.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_integration_tests::harness::jwt::{AUDIENCE, Signer, claims, key_set, now};
use pravega_sdk_server::{EmbeddedServer, JwtAccounts};
use serde_json::{Value, json};
use tonic::Code;

use super::{CALLS, Call, ask, client, connect, is_let_in};

/// Claims of a user without an account, with a right that its issuer grants.
fn granted(rule: &str) -> Value {
    let mut claims = claims("stranger");
    if let Some((resource, right)) = rule.split_once(',') {
        let permission = json!({ "rsid": "1", "rsname": resource, "scopes": [right] });
        claims["authorization"] = json!({ "permissions": [permission] });
    }
    claims
}

/// Claims of a user, of which one is another.
fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims("root");
    claims[name] = value.into();
    claims
}

/// Headers with tokens of an account that may do everything, of which none is one for a call.
async fn wrong(server: &EmbeddedServer, signer: &Signer) -> Vec<(&'static str, String)> {
    let full = client(server, "full").await;
    let mut of_stores = Vec::new();
    for operation in [AccessOperation::Read, AccessOperation::ReadWrite] {
        let stream = "a/t".parse().unwrap();
        let token = full.controller().delegation_token(&stream, operation).await.unwrap();
        of_stores.push(token.expose().to_owned());
    }
    let [to_read, to_write] = of_stores.try_into().unwrap();
    let bearer = |token: &str| format!("Bearer {token}");
    let as_password = BASE64_STANDARD.encode(format!("full:{to_write}"));
    let valid = signer.sign(&claims("root"));
    vec![
        ("an expired token", bearer(&signer.sign(&with("exp", now() - 60)))),
        ("a token that is not valid yet", bearer(&signer.sign(&with("nbf", now() + 60)))),
        ("a token for others", bearer(&signer.sign(&with("aud", "account")))),
        ("a token of another signer", bearer(&Signer::new("one").sign(&claims("root")))),
        ("a token without its signature", bearer(valid.rsplit_once('.').unwrap().0)),
        ("a valid token of another scheme", format!("Basic {valid}")),
        ("a token to read at the stores", bearer(&to_read)),
        ("a token to write at the stores", bearer(&to_write)),
        ("a token of the stores of another scheme", format!("Basic {to_write}")),
        ("a token of the stores as a password", format!("Basic {as_password}")),
    ]
}

#[tokio::test]
async fn a_call_is_made_for_bearers_of_a_valid_token_with_the_right_and_no_others() {
    let signer = Signer::new("one");
    let mut accounts = JwtAccounts::with_key_set(&key_set(&[&signer]), AUDIENCE)
        .with_user("root", "prn::*,READ_UPDATE")
        .with_user("reader", "prn::*,READ")
        .with_user("other", "prn::/scope:aa*,READ_UPDATE;prn::/scope:b*,READ_UPDATE")
        .with_user("neighbour", "prn::/scope:a/*:tt,READ_UPDATE");
    for (number, Call { needs, .. }) in CALLS.iter().enumerate() {
        accounts = accounts.with_user(&format!("exact{number}"), needs);
    }
    let builder = EmbeddedServer::builder().with_account("full", "pw").with_jwt_accounts(accounts);
    let server = builder.start().await.unwrap();
    let wrong = wrong(&server, &signer).await;
    let mut client = connect(&server.url()).await;
    for (number, Call { name, needs, .. }) in CALLS.iter().enumerate() {
        let rule = format!("{name} needs {needs}");
        for (what, header) in &wrong {
            let code = ask(&mut client, number, Some(header)).await;
            assert_eq!(code, Code::Unauthenticated, "{rule}: {what}");
        }
        let needs_nothing = needs.is_empty();
        let changes = needs.ends_with(",READ_UPDATE");
        let to_read = needs.replace(",READ_UPDATE", ",READ");
        let beside = needs.replace("prn::/", "prn::/scope:aside/");
        for (claims, may) in [
            (claims("root"), true),
            (claims("reader"), !changes),
            (claims("other"), needs_nothing),
            (claims("neighbour"), needs_nothing),
            (claims("stranger"), needs_nothing),
            (claims(&format!("exact{number}")), true),
            (granted(needs), true),
            (granted(&to_read), !changes),
            (granted(&beside), needs_nothing),
        ] {
            let header = format!("Bearer {}", signer.sign(&claims));
            let code = ask(&mut client, number, Some(&header)).await;
            assert_eq!(is_let_in(code), may, "{rule}: {claims}: {code:?}");
            assert_ne!(code, Code::Unauthenticated, "{rule}: {claims}");
        }
    }
}
