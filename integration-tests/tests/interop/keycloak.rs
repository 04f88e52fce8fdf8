//! Tokens of a real Keycloak, for clients of a realm that each test creates.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pravega_sdk_client_factory::{ClientConfig, ClientFactory, FactoryError};
use pravega_sdk_controller_client::{CredentialError, Credentials};
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_identity::{ClientAuthentication, Keycloak, OpenId};
use pravega_sdk_integration_tests::harness::{self, FAR, rest::Rest, unique};
use pravega_sdk_server::{EmbeddedServer, JwtAccounts};
use pravega_sdk_types::{ErrorKind, Scope, ScopedStream, StreamConfiguration};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// Secrets whose two forms in a header are the same, and differ.
const PLAIN: &str = "Sx7q2vHn3Kd9";
const ODD: &str = "s3cr:t/+ %é&=";

fn variable(name: &str) -> String {
    std::env::var(name).expect("run these tests with `cargo xtask interop`, which starts a server")
}

fn server() -> Rest {
    Rest::at(&variable("PRAVEGA_TEST_KEYCLOAK"))
}

fn url() -> String {
    format!("http://{}", variable("PRAVEGA_TEST_KEYCLOAK"))
}

/// A client with a service account.
fn client(id: &str, secret: &str) -> Value {
    json!({
        "clientId": id, "secret": secret, "enabled": true, "publicClient": false,
        "serviceAccountsEnabled": true, "standardFlowEnabled": false,
    })
}

/// The client of Pravega's controller. The client `writer` may change a scope and its streams, and
/// read the streams of another.
fn controller() -> Value {
    let scopes = json!([{ "name": "READ" }, { "name": "READ_UPDATE" }]);
    let resource = |name: &str| json!({ "name": name, "scopes": scopes });
    let permission = |name: &str, resource: &str, scope: &str| {
        json!({
            "name": name, "type": "scope", "logic": "POSITIVE", "decisionStrategy": "UNANIMOUS",
            "config": {
                "resources": json!([resource]).to_string(),
                "scopes": json!([scope]).to_string(),
                "applyPolicies": json!(["the writer"]).to_string(),
            },
        })
    };
    let mut controller = client("pravega-controller", PLAIN);
    controller["authorizationServicesEnabled"] = true.into();
    controller["authorizationSettings"] = json!({
        "allowRemoteResourceManagement": true,
        "policyEnforcementMode": "ENFORCING",
        "resources": [
            resource("prn::/scope:shop"),
            resource("prn::/scope:shop/stream:*"),
            resource("prn::/scope:archive/stream:*"),
        ],
        "scopes": scopes,
        "policies": [
            {
                "name": "the writer", "type": "client", "logic": "POSITIVE",
                "decisionStrategy": "UNANIMOUS",
                "config": { "clients": json!(["writer"]).to_string() },
            },
            permission("creates", "prn::/scope:shop", "READ_UPDATE"),
            permission("changes", "prn::/scope:shop/stream:*", "READ_UPDATE"),
            permission("reads", "prn::/scope:archive/stream:*", "READ"),
        ],
    });
    controller
}

/// Creates a realm whose tokens live this long, and returns its name.
async fn new_realm(lifetime: Duration) -> String {
    let password = variable("PRAVEGA_TEST_PASSWORD");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let body =
        format!("grant_type=password&client_id=admin-cli&username=admin&password={password}");
    let path = "/realms/master/protocol/openid-connect/token";
    let answer = server().send("POST", path, form, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let admin = server().with("Authorization", &format!("Bearer {token}"));
    let realm = unique("realm");
    let clients =
        [client("writer", PLAIN), client("odd", ODD), client("stranger", PLAIN), controller()];
    let description = json!({
        "realm": realm, "enabled": true, "sslRequired": "none",
        "accessTokenLifespan": lifetime.as_secs(), "clients": clients,
    });
    let created = admin.put("POST", "/admin/realms", &description).await;
    assert_eq!(created.status, 201, "{created:?}");
    realm
}

const MINUTES: Duration = Duration::from_secs(300);

fn keycloak(realm: &str, id: &str, secret: &str) -> Keycloak {
    Keycloak::new(&url(), realm, id, secret).unwrap()
}

async fn token(credentials: &Credentials) -> Result<String, CredentialError> {
    let header = credentials.authorization().await?.unwrap().header_value();
    Ok(header.expose_secret().strip_prefix("Bearer ").unwrap().to_owned())
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

/// Requires that there is no token, for a reason of this kind, which does not show the secret.
async fn refused(client: Keycloak, kind: ErrorKind, text: &str) {
    let error = token(&client.credentials().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!error.is_retryable());
    let shown = format!("{error:?}");
    assert!(shown.contains(text), "{shown}");
    assert!(!shown.contains(PLAIN) && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_client_gets_a_token_with_its_permissions() {
    let realm = new_realm(MINUTES).await;
    let token = token(&keycloak(&realm, "writer", PLAIN).credentials().unwrap()).await.unwrap();
    let claims = claims(&token);
    assert_eq!(claims["azp"], "writer", "{claims}");
    assert_eq!(claims["aud"], "pravega-controller", "{claims}");
    let permissions = claims["authorization"]["permissions"].as_array().unwrap();
    let mut granted: Vec<(&str, &Value)> = permissions
        .iter()
        .map(|granted| (granted["rsname"].as_str().unwrap(), &granted["scopes"]))
        .collect();
    granted.sort_by_key(|(name, _)| *name);
    let (read, update) = (json!(["READ"]), json!(["READ_UPDATE"]));
    assert_eq!(
        granted,
        [
            ("prn::/scope:archive/stream:*", &read),
            ("prn::/scope:shop", &update),
            ("prn::/scope:shop/stream:*", &update),
        ]
    );
}

#[tokio::test]
async fn what_keycloak_refuses_has_a_kind_and_its_reason() {
    use ErrorKind::{NotFound, PermissionDenied, Unauthenticated};
    let realm = new_realm(MINUTES).await;
    refused(keycloak(&realm, "writer", "hunter2"), Unauthenticated, "status 401").await;
    refused(keycloak(&realm, "no-such-client", PLAIN), Unauthenticated, "invalid_client").await;
    refused(keycloak(&realm, "stranger", PLAIN), PermissionDenied, "access_denied").await;
    let elsewhere = keycloak(&realm, "writer", PLAIN).with_audience("no-such-audience");
    refused(elsewhere, PermissionDenied, "no-such-audience").await;
    refused(keycloak("no-such-realm", "writer", PLAIN), NotFound, "status 404").await;
}

#[tokio::test]
async fn a_secret_of_any_characters_is_accepted() {
    let realm = new_realm(MINUTES).await;
    // It has no permission, which is found out after the login.
    let denied = ErrorKind::PermissionDenied;
    refused(keycloak(&realm, "odd", ODD), denied, "access_denied").await;
    let issuer = format!("{}/realms/{realm}", url());
    for authentication in [ClientAuthentication::Basic, ClientAuthentication::Post] {
        let client = OpenId::new(&issuer, "odd", ODD).unwrap();
        let client = client.with_client_authentication(authentication).with_scope("openid");
        let token = token(&client.credentials().unwrap()).await.unwrap();
        let claims = claims(&token);
        assert_eq!((&claims["azp"], &claims["iss"]), (&json!("odd"), &json!(issuer)), "{claims}");
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let realm = new_realm(Duration::from_secs(3)).await;
    let credentials = keycloak(&realm, "writer", PLAIN).credentials().unwrap();
    let first = token(&credentials).await.unwrap();
    assert_eq!(token(&credentials).await.unwrap(), first);
    let renewed = async {
        loop {
            let now = token(&credentials).await.unwrap();
            if now != first {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let renewed = tokio::time::timeout(FAR, renewed).await.unwrap();
    let (first, renewed) = (claims(&first), claims(&renewed));
    assert_ne!(first["jti"], renewed["jti"]);
    assert_eq!(first["exp"].as_u64().unwrap() - first["iat"].as_u64().unwrap(), 3);
}

#[tokio::test]
async fn a_client_of_pravega_takes_the_adapter_configuration() {
    let realm = new_realm(MINUTES).await;
    let adapter = json!({
        "realm": realm, "auth-server-url": format!("{}/", url()), "resource": "writer",
        "ssl-required": "none", "confidential-port": 0, "credentials": { "secret": PLAIN },
    });
    let keycloak = Keycloak::from_json(&adapter.to_string()).unwrap();
    let config = ClientConfig::from_url("tcp://localhost:1").unwrap();
    let config: Result<ClientConfig, FactoryError> = config.with_keycloak(keycloak);
    let token = token(config.unwrap().credentials()).await.unwrap();
    assert_eq!(claims(&token)["azp"], "writer");
}

/// The client of a server for one party.
fn factory(server: &EmbeddedServer, credentials: Credentials) -> ClientFactory {
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    ClientFactory::new(config).unwrap()
}

/// Writes an event a moment, and returns how many.
async fn write_for(factory: &ClientFactory, stream: &ScopedStream, time: Duration) -> usize {
    let writer = factory.event_writer(stream, Utf8).await.unwrap();
    let (begun, mut written) = (Instant::now(), 0);
    while written == 0 || begun.elapsed() < time {
        writer.write("key", written.to_string()).await.unwrap();
        written += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    written
}

async fn read(factory: &ClientFactory, stream: &ScopedStream, count: usize) -> Vec<String> {
    let mut reader = factory.event_reader(stream, Utf8).await.unwrap();
    let mut events = Vec::new();
    while events.len() < count {
        let event = tokio::time::timeout(FAR, reader.next()).await.unwrap().unwrap();
        events.push(event.unwrap().into_event());
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_server_takes_tokens_of_the_realm_by_its_published_keys() {
    const LIFETIME: Duration = Duration::from_secs(3);
    let realm = new_realm(LIFETIME).await;
    let issuer = format!("{}/realms/{realm}", url());
    let accounts = JwtAccounts::of_realm(&issuer, "pravega-controller");
    let builder = harness::builder().with_account("root", "pw").with_jwt_accounts(accounts);
    let server = builder.start().await.unwrap();
    let root = factory(&server, Credentials::basic("root", "pw").unwrap());
    let [shop, archive]: [ScopedStream; 2] =
        ["shop/orders", "archive/orders"].map(|name| name.parse().unwrap());
    for stream in [&shop, &archive] {
        root.controller().create_scope(stream.scope()).await.unwrap();
        root.controller().create_stream(stream, &StreamConfiguration::default()).await.unwrap();
    }
    let archived = write_for(&root, &archive, Duration::ZERO).await;

    let writer = factory(&server, keycloak(&realm, "writer", PLAIN).credentials().unwrap());
    // Every token of the writer expires twice at least.
    let written = write_for(&writer, &shop, 2 * LIFETIME + LIFETIME / 2).await;
    let expected: Vec<_> = (0..written).map(|number| number.to_string()).collect();
    assert_eq!(read(&writer, &shop, written).await, expected);
    assert_eq!(read(&writer, &archive, archived).await.len(), archived);
    let denied = match writer.event_writer(&archive, Utf8).await {
        Ok(writer) => writer.write("key", "no").await.unwrap_err().kind(),
        Err(error) => error.kind(),
    };
    assert_eq!(denied, ErrorKind::PermissionDenied);
    let elsewhere = Scope::new("elsewhere").unwrap();
    let denied = writer.controller().create_scope(&elsewhere).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied}");

    // A token of the realm for another audience.
    let stranger = OpenId::new(&issuer, "stranger", PLAIN).unwrap().credentials().unwrap();
    assert!(token(&stranger).await.is_ok());
    let refused = factory(&server, stranger).controller().stream_exists(&shop).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
}
