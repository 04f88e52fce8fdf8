//! Everything that a server refuses, and that cannot be used, with the secrets in it.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{Authorization, ControllerUri, Credentials, DelegationToken};
use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{self, jwt::AUDIENCE, new_stream};
use pravega_sdk_server::{
    EmbeddedServer, JwtAccounts, Presence, Refusal, ServerBuilder, ServerTls,
};
use pravega_sdk_types::{Endpoint, Scope};
use tokio::time::timeout;

use super::{
    secrets::{DATA, NO_KEY, PASSWORD, Secrets, TOKEN_KEY, USER, WRONG},
    story::show,
    usage,
};

/// Longer than a failure takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn everything(secrets: &Secrets, server: EmbeddedServer) {
    credentials(secrets, &server).await;
    settings(secrets);
    connections(secrets, &server).await;
    files(secrets).await;
    servers(secrets).await;
    faults(secrets, server).await;
}

/// Makes a call that fails.
async fn fails(secrets: &Secrets, what: &str, client: &ClientFactory) {
    let scope = Scope::new("none").unwrap();
    let error = timeout(PATIENCE, client.controller().create_scope(&scope)).await.unwrap();
    secrets.scanner.error(what, &error.unwrap_err());
    show(secrets, what, client);
}

async fn credentials(secrets: &Secrets, server: &EmbeddedServer) {
    let tokens = &secrets.tokens;
    let (signed, _) = tokens.good.rsplit_once('.').unwrap();
    for (what, credentials) in [
        ("a wrong password", Credentials::basic(USER, WRONG)),
        ("the password of a stranger", Credentials::basic("stranger", PASSWORD)),
        ("a password that is no base64", Credentials::custom("Basic", TOKEN_KEY)),
        ("a password without a user", Credentials::custom("Basic", usage::basic_token(WRONG))),
        ("an expired token", Credentials::bearer(tokens.expired.clone())),
        ("a foreign token", Credentials::bearer(tokens.foreign.clone())),
        ("a token without a signature", Credentials::bearer(signed)),
        ("a token that is none", Credentials::bearer(TOKEN_KEY)),
        ("a token of an unknown method", Credentials::custom("Other", tokens.good.clone())),
    ] {
        fails(secrets, what, &secrets.client(server, credentials.unwrap())).await;
    }
    let expired = tokens.expired.clone();
    let function = Credentials::bearer_from(move || {
        let token = expired.clone();
        async move { Ok::<_, std::io::Error>(token) }
    });
    fails(secrets, "a function with an expired token", &secrets.client(server, function)).await;
    let function = Credentials::bearer_from(|| async { Ok::<_, std::io::Error>(WRONG.to_owned()) });
    fails(secrets, "a function with text that is no token", &secrets.client(server, function))
        .await;

    // Tokens that no header can have.
    for error in [
        Credentials::bearer(PASSWORD).map(|_| ()),
        Credentials::custom("Basic", format!("{TOKEN_KEY}\r\n")).map(|_| ()),
        Authorization::new(PASSWORD, "token").map(|_| ()),
    ] {
        secrets.scanner.error("credentials", &error.unwrap_err());
    }
    show(secrets, "a token", &DelegationToken::new(TOKEN_KEY));
    show(secrets, "a header", &Authorization::new("Basic", TOKEN_KEY).unwrap());
}

/// Addresses with a password in them, of which some are none because of its characters.
fn settings(secrets: &Secrets) {
    let long = WRONG.replace(' ', "");
    for password in ["pass:%", "pass/%", "pass?%", "pass#%", "pass,%", "pass@%", "%/pass", "%,pass"]
    {
        let password = password.replace('%', &long);
        for scheme in ["tcp://", "tls://", "http://", ""] {
            let url = format!("{scheme}{USER}:{password}@localhost:9090");
            secrets.scanner.error("a URL", &ClientConfig::from_url(&url).unwrap_err());
            secrets.scanner.error("a URI", &url.parse::<ControllerUri>().unwrap_err());
        }
        let endpoint = format!("{USER}:{password}@localhost:9090");
        secrets.scanner.error("an endpoint", &endpoint.parse::<Endpoint>().unwrap_err());
    }
}

/// Peers that are not trusted, or do not speak as expected.
async fn connections(secrets: &Secrets, server: &EmbeddedServer) {
    let once = (Duration::from_millis(1), Duration::from_millis(1));
    let config = || secrets.config(server, secrets.basic()).with_retry(1, once.0, once.1);
    let untrusted = config().with_trust_store(secrets.path("client/server.crt"));
    fails(secrets, "a server that is not trusted", &ClientFactory::new(untrusted).unwrap()).await;

    let url = |scheme: &str, host: &str, port: u16| format!("{scheme}://{host}:{port}");
    let of = |url: &str| {
        let config = ClientConfig::from_url(url).unwrap().with_credentials(secrets.basic());
        let config = config.with_trust_store(secrets.certificate());
        ClientFactory::new(config.with_retry(1, once.0, once.1)).unwrap()
    };
    // The certificate is for other names.
    let other_name = of(&url("tls", "127.0.0.2", server.port()));
    fails(secrets, "a server of another name", &other_name).await;
    fails(secrets, "a server with TLS only", &of(&url("tcp", "127.0.0.1", server.port()))).await;
    let plain = secrets.accounts().start().await.unwrap();
    fails(secrets, "a server without TLS", &of(&url("tls", "127.0.0.1", plain.port()))).await;
    // Not a controller.
    let store = plain.store_ports()[0];
    fails(secrets, "a store", &of(&url("tcp", "127.0.0.1", store))).await;
    plain.shutdown().await;
}

/// Files of the client that cannot be used, though secrets are in them.
async fn files(secrets: &Secrets) {
    let key = fs::read_to_string(secrets.path("client/server.key")).unwrap();
    let certificate = secrets.path("client/server.crt");
    let no_key = format!("-----BEGIN PRIVATE KEY-----\n{NO_KEY}\n-----END PRIVATE KEY-----\n");
    let lines: Vec<&str> = key.lines().collect();
    for (number, wrong) in [
        no_key.clone(),
        NO_KEY.to_owned(),
        // A line is missing, the end, and the label is another.
        [&lines[..2], &lines[3..]].concat().join("\n"),
        lines[..3].join("\n"),
        key.replace("PRIVATE", "RSA PRIVATE"),
        key.replace("PRIVATE KEY", "CERTIFICATE"),
        format!("{no_key}{key}"),
        key.replacen("\nM", "\n!", 1),
    ]
    .iter()
    .enumerate()
    {
        let path = secrets.file(&format!("client-{number}.key"), wrong);
        let config = || ClientConfig::from_url("tls://127.0.0.1:1").unwrap();
        let as_key = config().with_client_certificate(&certificate, &path);
        if let Err(error) = ClientFactory::new(as_key) {
            secrets.scanner.error("a key of a client", &error);
        }
        let as_chain = config().with_client_certificate(&path, &path);
        if let Err(error) = ClientFactory::new(as_chain) {
            secrets.scanner.error("a certificate of a client", &error);
        }
        let as_trust = config().with_trust_store(&path);
        secrets.scanner.error("trust", &ClientFactory::new(as_trust).unwrap_err());
        let tls = ServerTls::with_files(secrets.certificate(), &path);
        starts_not(secrets, harness::builder().with_tls(tls)).await;
    }
}

/// Starts a server that cannot start, or can do with less.
async fn starts_not(secrets: &Secrets, builder: ServerBuilder) {
    show(secrets, "a configuration of a server", &builder);
    match timeout(PATIENCE, builder.start()).await.unwrap() {
        Ok(server) => server.shutdown().await,
        Err(error) => secrets.scanner.error("the start of a server", &error),
    }
}

/// Files of the server that cannot be used, though secrets are in them.
async fn servers(secrets: &Secrets) {
    let accounts = fs::read_to_string(secrets.path("accounts")).unwrap();
    let account = accounts.trim_end();
    let digest = account.split(':').nth(1).unwrap();
    let lines = [
        account.to_owned(),
        account.replacen(':', ";", 1),
        format!("{USER}:{PASSWORD}:prn::*,READ"),
        format!("{digest}:{USER}"),
        digest.to_owned(),
        format!("{account}\n{account}"),
        // An end of line is missing.
        format!("{account}{account}"),
        format!("{USER}:{}:prn::*,READ", &digest[1..]),
    ];
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    let all = secrets.file("bad-accounts", &lines.join("\n"));
    starts_not(secrets, harness::builder().with_accounts_file(&all)).await;
    open(&all);
    starts_not(secrets, harness::builder().with_accounts_file(&all)).await;

    let key = secrets.file("bad-token-key", &TOKEN_KEY[..31]);
    starts_not(secrets, secrets.accounts().with_token_key_file(&key)).await;
    open(&key);
    starts_not(secrets, secrets.accounts().with_token_key_file(&key)).await;
    starts_not(secrets, secrets.accounts().with_token_key(&TOKEN_KEY.as_bytes()[..20])).await;
    let limited = harness::builder().with_limited_account(USER, PASSWORD, "prn::[a-z]");
    starts_not(secrets, limited).await;

    // Keys that are secret, though none should be there.
    let shared = TOKEN_KEY.replace([':', '/', '='], "");
    let secret_set =
        format!(r#"{{"keys":[{{"kty":"oct","kid":"1","alg":"HS256","k":"{shared}"}}]}}"#);
    for text in [secret_set.as_str(), &shared, "{\"keys\":[]}"] {
        let signed = JwtAccounts::with_key_set(text, AUDIENCE);
        starts_not(secrets, harness::builder().with_jwt_accounts(signed)).await;
        let path = secrets.file("keys.json", text);
        let signed = JwtAccounts::with_key_set_file(path, AUDIENCE);
        starts_not(secrets, harness::builder().with_jwt_accounts(signed)).await;
    }
    let long = WRONG.replace([' ', '"', '\\', '%', '\u{f6}'], "");
    for url in [format!("https://{USER}:{long}@localhost:1/"), format!("{USER}:{long}")] {
        for signed in
            [JwtAccounts::of_realm(&url, AUDIENCE), JwtAccounts::with_key_set_url(&url, AUDIENCE)]
        {
            starts_not(secrets, harness::builder().with_jwt_accounts(signed)).await;
        }
    }
}

/// Connections that end, tokens that are taken back, a controller that is away, a server that ends.
async fn faults(secrets: &Secrets, server: EmbeddedServer) {
    let client = secrets.client(&server, secrets.basic());
    let stream = new_stream(client.controller(), 1).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(5));
    let writer = client.event_writer_with(&stream, Utf8, config).await.unwrap();
    writer.write("a", DATA).await.unwrap();
    server.faults().drop_connections();
    writer.write("a", DATA).await.unwrap();
    server.faults().expire_tokens();
    writer.write("a", DATA).await.unwrap();
    server.faults().drop_connection_after_answers(1);
    writer.write("a", DATA).await.unwrap();
    show(secrets, "the faults", &server.faults());
    server.faults().controller(Presence::Away);
    fails(secrets, "a controller that is away", &client).await;
    server.faults().controller(Presence::There);
    server.faults().refuse_connections(Refusal::All);
    server.faults().drop_connections();
    let error = timeout(PATIENCE, writer.write("a", DATA)).await.unwrap().unwrap_err();
    secrets.scanner.error("an event that is not stored", &error);
    show(secrets, "an event that is not stored", &error);
    let ack = writer.enqueue("a", DATA).await;
    server.shutdown().await;
    if let Ok(ack) = ack
        && let Ok(Err(error)) = timeout(PATIENCE, ack).await
    {
        secrets.scanner.error("an event after the server", &error);
    }
    fails(secrets, "a server that has ended", &client).await;
    let closed = timeout(PATIENCE, writer.close(Duration::from_secs(1))).await.unwrap();
    show(secrets, "the end of a writer", &closed);
}
