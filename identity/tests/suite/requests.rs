//! What is sent to issuers.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_identity::{ClientAuthentication, Keycloak, OpenId};

use crate::issuer::{Issuer, Reply, SECRET, Seen, sent, token};

fn basic(pair: &str) -> Option<String> {
    Some(format!("Basic {}", BASE64.encode(pair)))
}

const ENDPOINT: &str = "/realms/r%201/protocol/openid-connect/token";

#[tokio::test]
async fn a_client_of_keycloak_discovers_logs_in_and_exchanges_its_token() {
    let issuer = Issuer::usual();
    let credentials = issuer.credentials();
    assert!(issuer.seen().is_empty(), "no request before a token is needed");
    assert_eq!(sent(&credentials).await.unwrap(), "permitted-2");
    let seen = |method: &str, path: &str, authorization: Option<String>, body: &str| Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        authorization,
        body: body.to_owned(),
    };
    assert_eq!(
        issuer.seen(),
        [
            seen("GET", "/realms/r%201/.well-known/uma2-configuration", None, ""),
            seen(
                "POST",
                ENDPOINT,
                basic(&format!("client:{SECRET}")),
                "grant_type=client_credentials"
            ),
            seen(
                "POST",
                ENDPOINT,
                Some("Bearer access-1".to_owned()),
                "audience=pravega-controller&\
                 grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Auma-ticket"
            ),
        ]
    );
    let shown = format!("{credentials:?} {credentials:#?}");
    assert!(shown.contains("client client from localhost"), "{shown}");
    assert!(!shown.contains(SECRET) && !shown.contains("permitted"), "{shown}");
}

#[tokio::test]
async fn a_secret_with_other_characters_is_encoded_unless_that_is_switched_off() {
    let issuer = Issuer::usual();
    let client = || Keycloak::new(&issuer.url(), "r 1", "a:b", "s3cr:t/+").unwrap();
    sent(&client().credentials().unwrap()).await.unwrap();
    sent(&client().with_unencoded_secret().with_audience("x y").credentials().unwrap())
        .await
        .unwrap();
    let seen = issuer.seen();
    assert_eq!(seen[1].authorization, basic("a%3Ab:s3cr%3At%2F%2B"));
    assert_eq!(seen[4].authorization, basic("a:b:s3cr:t/+"));
    assert!(seen[5].body.starts_with("audience=x+y&"), "{}", seen[5].body);
}

#[tokio::test]
async fn a_public_client_names_itself_in_the_body() {
    let issuer = Issuer::usual();
    let json = format!(
        "{{\"realm\":\"r 1\",\"auth-server-url\":\"{}\",\"resource\":\"c\",\
         \"public-client\":true}}",
        issuer.url()
    );
    sent(&Keycloak::from_json(&json).unwrap().credentials().unwrap()).await.unwrap();
    let login = &issuer.seen()[1];
    assert_eq!(
        (login.authorization.as_deref(), &*login.body),
        (None, "client_id=c&grant_type=client_credentials")
    );
}

/// An issuer of OpenID Connect at the root.
fn open_id() -> Issuer {
    let port = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = std::sync::Arc::clone(&port);
    let issuer = Issuer::start(move |seen| {
        let base: &String = known.wait();
        seen.is_discovery().then(|| {
            let page = format!("{{\"issuer\":\"{base}\",\"token_endpoint\":\"{base}/token?t=1\"}}");
            Reply::Json(200, page)
        })
    });
    port.set(issuer.url()).unwrap();
    issuer
}

#[tokio::test]
async fn a_client_of_open_id_connect_sends_its_secret_in_the_header_or_the_body() {
    let issuer = open_id();
    let client = || OpenId::new(issuer.url(), "client", SECRET).unwrap();
    let plain = client().credentials().unwrap();
    assert_eq!(sent(&plain).await.unwrap(), "access-1");
    let post = client()
        .with_client_authentication(ClientAuthentication::Post)
        .with_scope("read write")
        .with_audience("pravega")
        .credentials()
        .unwrap();
    assert_eq!(sent(&post).await.unwrap(), "access-2", "an identity of its own");
    assert_eq!(sent(&plain).await.unwrap(), "access-1");
    let seen = issuer.seen();
    let paths: Vec<&str> = seen.iter().map(|seen| &*seen.path).collect();
    let discovery = "/.well-known/openid-configuration";
    assert_eq!(paths, [discovery, "/token?t=1", discovery, "/token?t=1"]);
    assert_eq!(seen[1].authorization, basic(&format!("client:{SECRET}")));
    assert_eq!(seen[1].body, "grant_type=client_credentials");
    assert_eq!(seen[3].authorization, None);
    assert_eq!(
        seen[3].body,
        format!(
            "audience=pravega&client_id=client&client_secret={SECRET}\
             &grant_type=client_credentials&scope=read+write"
        )
    );
}

#[tokio::test]
async fn several_identities_of_one_process_are_apart() {
    let issuer = Issuer::start(|seen| {
        let name = seen.authorization.clone()?;
        seen.is_login().then(|| {
            let number = if name == basic("ann:one").unwrap() { 1 } else { 2 };
            Reply::Json(200, token("access", number, "300"))
        })
    });
    let other = Issuer::start(|seen| {
        seen.is_for_permissions().then(|| Reply::Json(200, token("elsewhere", 7, "300")))
    });
    let client = |id, secret| Keycloak::new(&issuer.url(), "r 1", id, secret).unwrap();
    let ann = client("ann", "one").credentials().unwrap();
    let ben = client("ben", "two").credentials().unwrap();
    let cat = other.credentials();
    for _ in 0..3 {
        let found = [sent(&ann).await.unwrap(), sent(&ben).await.unwrap()];
        assert_eq!(found, ["permitted-1", "permitted-2"]);
        assert_eq!(sent(&cat).await.unwrap(), "elsewhere-7");
    }
    let bearers: Vec<_> = issuer.seen().into_iter().filter(Seen::is_for_permissions).collect();
    assert_eq!(bearers[0].authorization.as_deref(), Some("Bearer access-1"));
    assert_eq!(bearers[1].authorization.as_deref(), Some("Bearer access-2"));
}
