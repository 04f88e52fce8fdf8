//! Clients with tokens that another party has signed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{
    AccessOperation, Authorization, CredentialError, CredentialProvider, Credentials,
};
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_identity::OpenId;
use pravega_sdk_integration_tests::harness::{
    self, eventually,
    jwt::{AUDIENCE, Realm, Signer, claims, key_set, now},
    rest::Rest,
};
use pravega_sdk_proto::{ScopeInfo, controller_service_client::ControllerServiceClient};
use pravega_sdk_server::{EmbeddedServer, JwtAccounts, ServerBuilder};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};
use ring::hmac;
use serde_json::{Value, json};
use tonic::{Code, Request, transport::Channel};

use super::support::{numbers, stream, write};

/// A client with credentials.
fn client(server: &EmbeddedServer, credentials: Credentials) -> ClientFactory {
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    ClientFactory::new(config).unwrap()
}

fn with_token(server: &EmbeddedServer, token: String) -> ClientFactory {
    client(server, Credentials::bearer(token).unwrap())
}

fn root(server: &EmbeddedServer) -> ClientFactory {
    client(server, Credentials::basic("root", "pw").unwrap())
}

/// A server with an account that may do everything, and the keys of a signer.
fn server_of(signer: &Signer) -> ServerBuilder {
    builder(JwtAccounts::with_key_set(&key_set(&[signer]), AUDIENCE))
}

fn builder(jwt: JwtAccounts) -> ServerBuilder {
    harness::builder().with_rest_port(0).with_account("root", "pw").with_jwt_accounts(jwt)
}

fn rest(server: &EmbeddedServer, token: &str) -> Rest {
    let address = format!("127.0.0.1:{}", server.rest_port().unwrap());
    Rest::at(&address).with("Authorization", &format!("Bearer {token}"))
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

#[tokio::test]
async fn a_token_opens_what_the_account_of_its_user_and_its_permissions_allow() {
    let signer = Signer::new("one");
    let accounts = JwtAccounts::with_key_set(&key_set(&[&signer]), AUDIENCE)
        .with_user("ann", "prn::/scope:scope/stream:stream,READ");
    let server = builder(accounts).start().await.unwrap();
    let root = root(&server);
    let stream = stream(&root, 2).await;
    write(&root, &stream, 0..10).await;

    let reader = with_token(&server, signer.sign(&claims("ann")));
    assert_eq!(numbers(&reader, &stream).await, (0..10).collect::<Vec<_>>());
    let denied = match reader.event_writer(&stream, Utf8).await {
        Ok(writer) => writer.write("key", "no").await.unwrap_err().kind(),
        Err(error) => error.kind(),
    };
    assert_eq!(denied, ErrorKind::PermissionDenied);

    // What Keycloak grants, to a user without an account.
    let permissions = json!({ "permissions": [
        { "rsid": "1", "rsname": "prn::/scope:scope/stream:*", "scopes": ["READ", "READ_UPDATE"] },
        { "rsid": "2", "rsname": "prn::/scope:scope", "scopes": ["READ"] },
    ] });
    let granted = signer.sign(&with(claims("bob"), "authorization", permissions));
    let writer = with_token(&server, granted.clone());
    write(&writer, &stream, 10..20).await;
    assert_eq!(numbers(&writer, &stream).await, (0..20).collect::<Vec<_>>());
    let other: ScopedStream = "scope/other".parse().unwrap();
    let denied = writer.controller().create_stream(&other, &Default::default()).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied}");
    let neither = with_token(&server, signer.sign(&claims("bob")));
    let denied = neither.controller().stream_exists(&stream).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied}");

    for (method, path, status) in [
        ("GET", "/v1/scopes/scope", 200),
        ("GET", "/v1/scopes/scope/streams/stream", 200),
        ("GET", "/v1/scopes", 403),
        ("DELETE", "/v1/scopes/scope", 403),
    ] {
        assert_eq!(rest(&server, &granted).ask(method, path).await.status, status, "{path}");
    }
    let all = rest(&server, &signer.sign(&claims("root"))).ask("GET", "/v1/scopes").await;
    assert_eq!(all.status, 200, "the user of an account with a password");
}

const ISSUER: &str = "https://id.example.com/realms/test";

/// Tokens that are wrong in one way each.
fn wrong_tokens(signer: &Signer) -> Vec<(&'static str, String)> {
    let good = || with(claims("root"), "iss", ISSUER);
    let token = signer.sign(&good());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = signed.split_once('.').unwrap();
    let of_header = |header: Value| BASE64.encode(header.to_string());
    let none = format!("{}.{payload}.", of_header(json!({ "alg": "none", "kid": "one" })));
    let hs256 = {
        let signed = format!("{}.{payload}", of_header(json!({ "alg": "HS256", "kid": "one" })));
        let key = hmac::Key::new(hmac::HMAC_SHA256, signer.jwk().to_string().as_bytes());
        format!("{signed}.{}", BASE64.encode(hmac::sign(&key, signed.as_bytes())))
    };
    let header = signer.header().to_string();
    let twice = format!(r#"{{"exp":{},{}"#, now() + 300, &good().to_string()[1..]);
    let mut eternal = good();
    eternal.as_object_mut().unwrap().remove("exp");
    vec![
        ("expired", signer.sign(&with(good(), "exp", now() - 60))),
        ("without an end", signer.sign(&eternal)),
        ("not yet valid", signer.sign(&with(good(), "nbf", now() + 60))),
        ("of another issuer", signer.sign(&with(good(), "iss", "https://other"))),
        ("for others", signer.sign(&with(good(), "aud", json!(["account"])))),
        ("of an unknown key", Signer::new("two").sign(&good())),
        ("of another key", Signer::new("one").sign(&good())),
        ("without a signature", none),
        ("signed with the public key", hs256),
        ("without its last character", token[..token.len() - 1].to_owned()),
        ("without its signature", signed.to_owned()),
        ("with a part too many", format!("{token}.{signature}")),
        ("with a claim twice", signer.sign_text(&header, &twice)),
        ("with no JSON", signer.sign_text(&header, "\u{e4}")),
        ("with other characters", token.replacen('e', "\u{e4}", 1)),
        ("empty", String::new()),
        ("no token", "x".to_owned()),
    ]
}

async fn ask(
    client: &mut ControllerServiceClient<Channel>,
    token: &str,
) -> Result<(), tonic::Status> {
    let mut request = Request::new(ScopeInfo { scope: "scope".to_owned() });
    let header = tonic::metadata::MetadataValue::try_from(format!("Bearer {token}").as_bytes());
    request.metadata_mut().insert("authorization", header.unwrap());
    client.check_scope_exists(request).await.map(|_| ())
}

async fn controller(server: &EmbeddedServer) -> ControllerServiceClient<Channel> {
    let url = server.url().replace("tcp:", "http:");
    ControllerServiceClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn a_token_that_is_wrong_in_any_way_is_refused_without_the_reason() {
    let signer = Signer::new("one");
    let accounts = JwtAccounts::with_key_set(&key_set(&[&signer]), AUDIENCE).with_issuer(ISSUER);
    let server = builder(accounts).start().await.unwrap();
    let mut client = controller(&server).await;
    let good = signer.sign(&with(claims("root"), "iss", ISSUER));
    ask(&mut client, &good).await.unwrap();
    assert_eq!(rest(&server, &good).ask("GET", "/v1/scopes").await.status, 200);
    for (what, token) in wrong_tokens(&signer) {
        let refused = ask(&mut client, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{what}");
        assert_eq!(refused.message(), "the credentials are missing or wrong", "{what}");
        let refused = rest(&server, &token).ask("GET", "/v1/scopes").await;
        assert_eq!((refused.status, &*refused.body), (401, ""), "{what}");
    }
    // Longer than all that is read of a call.
    let long = "a".repeat(1 << 20);
    assert!(ask(&mut client, &long).await.is_err());
    let request = format!(
        "GET /v1/scopes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {long}\r\n\r\n"
    );
    drop(rest(&server, "").begin(request.as_bytes()).await);
    let mut client = controller(&server).await;
    ask(&mut client, &good).await.unwrap();
}

/// What a program may print of an error: itself and its causes, in both forms.
fn shown(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error} {error:?} {error:#?}\n")).collect()
}

#[tokio::test]
async fn a_client_with_a_wrong_token_fails_at_once_and_shows_no_part_of_it() {
    let signer = Signer::new("one");
    let accounts = JwtAccounts::with_key_set(&key_set(&[&signer]), AUDIENCE).with_issuer(ISSUER);
    let server = builder(accounts).start().await.unwrap();
    let stream = stream(&root(&server), 1).await;
    let mut sent = 0;
    for (what, token) in wrong_tokens(&signer) {
        // No server reads the header of a token: it is shown by none either.
        let hides = |text: &str| {
            let parts = token.split('.').skip(1).filter(|part| part.len() > 1);
            for part in parts.chain([&*token].into_iter().filter(|token| token.len() > 1)) {
                assert!(!text.contains(part), "{what}: {part} is in {text}");
            }
        };
        let credentials = match Credentials::bearer(token.clone()) {
            Ok(credentials) => credentials,
            // It is not sent.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}");
                hides(&shown(&error));
                continue;
            }
        };
        let calls = Arc::new(AtomicUsize::new(0));
        let (counter, of_function) = (Arc::clone(&calls), token.clone());
        let function = Credentials::bearer_from(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let token = of_function.clone();
            async { Ok::<_, std::io::Error>(token) }
        });
        for credentials in [credentials, function] {
            let factory = client(&server, credentials);
            hides(&format!("{factory:?}"));
            let refused = factory.controller().stream_exists(&stream).await.unwrap_err();
            let found = (refused.kind(), refused.outcome(), refused.attempts());
            assert_eq!(found, (ErrorKind::Unauthenticated, Outcome::NotApplied, 1), "{what}");
            assert!(!refused.is_retryable(), "{what}");
            hides(&shown(&refused));
            let refused = factory.event_writer(&stream, Utf8).await.unwrap_err();
            let found = (refused.kind(), refused.outcome(), refused.is_retryable());
            assert_eq!(found, (ErrorKind::Unauthenticated, Outcome::NotApplied, false), "{what}");
            assert!(refused.attempts() <= 1, "{what}");
            hides(&shown(&refused));
        }
        // A token that seems to last is kept for the second call.
        let calls = calls.load(Ordering::SeqCst);
        assert!((1..=2).contains(&calls), "{what}: {calls} calls");
        sent += 1;
    }
    assert!(sent >= 8, "{sent}");
}

/// Credentials that a test sets.
#[derive(Debug)]
struct Set(Mutex<String>);

#[async_trait]
impl CredentialProvider for Set {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        Authorization::new("Bearer", self.0.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn a_delegation_token_ends_with_the_token_that_it_was_issued_for() {
    let signer = Signer::new("one");
    let server = server_of(&signer).with_standing_clock().start().await.unwrap();
    let stream = stream(&root(&server), 2).await;
    let end = now() + 60;
    let set = Arc::new(Set(Mutex::new(signer.sign(&with(claims("root"), "exp", end)))));
    let factory = client(&server, Credentials::provider(Arc::clone(&set) as _));
    let asked = factory.controller().delegation_token(&stream, AccessOperation::Write);
    let expires = asked.await.unwrap().claims().unwrap().expires_at;
    assert_eq!(expires, end + 30, "with the skew, by which the token itself is accepted longer");

    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "0").await.unwrap();
    let before = server.connection_count();
    server.advance_clock(Duration::from_secs(80)).unwrap();
    writer.write("key", "1").await.unwrap();
    assert_eq!(server.connection_count(), before);
    *set.0.lock().unwrap() = signer.sign(&claims("root"));
    server.advance_clock(Duration::from_secs(12)).unwrap();
    let has_ended = async || server.connection_count() < before;
    eventually("the connection of the writer ends", has_ended).await;
    writer.write("key", "2").await.unwrap();
    assert_eq!(numbers(&factory, &stream).await, [0, 1, 2]);

    // Without another token no call is made any more.
    server.advance_clock(Duration::from_secs(400)).unwrap();
    let refused = factory.controller().stream_exists(&stream).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_realm_changes_its_keys_while_clients_go_on() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let realm = Realm::start(Some(key_set(&[&old]))).await;
    let accounts = JwtAccounts::of_realm(realm.url(), AUDIENCE)
        .with_shortest_refresh_interval(Duration::from_millis(100));
    let server = builder(accounts).start().await.unwrap();
    let token = |signer: &Signer| signer.sign(&with(claims("root"), "iss", realm.url()));
    let factory = with_token(&server, token(&old));
    let stream = stream(&factory, 2).await;
    realm.publish(Some(key_set(&[&old, &new])));
    let with_new = with_token(&server, token(&new));
    let is_in = async || with_new.controller().stream_exists(&stream).await.is_ok();
    eventually("the new key is fetched", is_in).await;
    write(&with_new, &stream, 0..10).await;
    assert_eq!(numbers(&factory, &stream).await, (0..10).collect::<Vec<_>>());
    let stranger = with_token(&server, old.sign(&claims("root")));
    let refused = stranger.controller().stream_exists(&stream).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "it has not the issuer");
    assert!(realm.fetches() >= 2);
}

#[tokio::test]
async fn a_client_of_an_issuer_goes_on_when_a_token_that_it_keeps_is_refused() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let realm = Realm::start(Some(key_set(&[&old]))).await;
    let often = Duration::from_millis(50);
    let accounts = JwtAccounts::of_realm(realm.url(), AUDIENCE)
        .with_shortest_refresh_interval(often)
        .with_refresh_interval(often);
    let server = builder(accounts).start().await.unwrap();
    let token = |signer: &Signer| signer.sign(&with(claims("root"), "iss", realm.url()));
    realm.issue(token(&old));
    let issuer = OpenId::new(realm.url(), "client", "secret").unwrap();
    let factory = client(&server, issuer.credentials().unwrap());
    let stream = stream(&factory, 2).await;
    // The issuer has lost its keys: what it has issued is worth nothing any more.
    realm.publish(Some(key_set(&[&new])));
    let with_old = with_token(&server, token(&old));
    let is_out = async || with_old.controller().stream_exists(&stream).await.is_err();
    eventually("the old key is not accepted", is_out).await;
    realm.issue(token(&new));
    let goes_on = async || factory.controller().stream_exists(&stream).await.is_ok();
    eventually("the client has another token", goes_on).await;
}

#[tokio::test]
async fn a_realm_that_answers_nothing_holds_up_no_client_with_a_password() {
    let signer = Signer::new("one");
    let realm = Realm::start(None).await;
    let server = builder(JwtAccounts::of_realm(realm.url(), AUDIENCE)).start().await.unwrap();
    let token = signer.sign(&with(claims("root"), "iss", realm.url()));
    // It waits until the keys are fetched, or cannot be.
    let url = server.url();
    let waiting = tokio::spawn(async move {
        let once = (1, Duration::from_millis(1), Duration::from_millis(1));
        let config = ClientConfig::from_url(&url)
            .unwrap()
            .with_credentials(Credentials::bearer(token).unwrap())
            .with_default_retry(once.0, once.1, once.2);
        let factory = ClientFactory::new(config).unwrap();
        factory.controller().create_scope(&"of-token".parse().unwrap()).await
    });
    let root = root(&server);
    let stream = stream(&root, 2).await;
    write(&root, &stream, 0..10).await;
    assert_eq!(numbers(&root, &stream).await, (0..10).collect::<Vec<_>>());
    drop(realm);
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(refused.is_retryable());
}
