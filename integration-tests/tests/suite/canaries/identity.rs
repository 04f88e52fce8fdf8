//! Clients of issuers: tokens that a server accepts, and issuers that refuse, repeat what they were
//! sent, or are away.

use std::{fs, time::Duration};

use pravega_sdk_controller_client::Credentials;
use pravega_sdk_identity::{ClientAuthentication, Keycloak, OpenId};
use pravega_sdk_integration_tests::harness::{issuer::Issuer, port::Refusing};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::Scope;
use serde_json::json;

use super::{
    secrets::{CLIENT, Secrets},
    story::show,
    usage,
};

/// Less than any test waits.
const SOON: Duration = Duration::from_secs(5);

pub(super) async fn everything(secrets: &Secrets, server: &EmbeddedServer) {
    let issuer = Issuer::issuing(&secrets.tokens.good).unwrap();
    let keycloak = Keycloak::new(&issuer.url(), "realm", "client", CLIENT).unwrap();
    show(secrets, "a client of Keycloak", &keycloak);
    let credentials = keycloak.credentials().unwrap();
    show(secrets, "its credentials", &credentials);
    usage::events(secrets, &secrets.client(server, credentials.clone())).await;
    show(secrets, "its credentials with a token", &credentials);

    // Its tokens are none of this server's.
    let other = Issuer::start(200).unwrap();
    for authentication in [ClientAuthentication::Basic, ClientAuthentication::Post] {
        let client = OpenId::new(format!("{}/realms/r", other.url()), "client", CLIENT).unwrap();
        let client = client.with_client_authentication(authentication);
        show(secrets, "a client of an issuer", &client);
        refused(secrets, server, client.credentials().unwrap()).await;
    }
    let keycloak = Keycloak::new(&other.url(), "realm", "client", CLIENT).unwrap();
    refused(secrets, server, keycloak.credentials().unwrap()).await;

    let (refusing, repeating) = (Issuer::start(401).unwrap(), Issuer::repeating().unwrap());
    let away = Refusing::bind();
    let urls = [refusing.url(), repeating.url(), format!("http://{}", away.address())];
    for url in urls {
        let keycloak = Keycloak::new(&url, "realm", "client", CLIENT).unwrap().with_timeout(SOON);
        refused(secrets, server, keycloak.credentials().unwrap()).await;
        let client = OpenId::new(format!("{url}/realms/r"), "client", CLIENT).unwrap();
        refused(secrets, server, client.with_timeout(SOON).credentials().unwrap()).await;
    }
    configurations(secrets);
}

/// Uses credentials that a server does not accept, or of which there are none.
async fn refused(secrets: &Secrets, server: &EmbeddedServer, credentials: Credentials) {
    let client = secrets.client(server, credentials.clone());
    let scope = Scope::new("none").unwrap();
    let error = client.controller().create_scope(&scope).await.unwrap_err();
    secrets.scanner.error("a call without credentials", &error);
    if let Err(error) = credentials.authorization().await {
        secrets.scanner.error("credentials", &error);
    }
    show(secrets, "credentials that are refused", &credentials);
}

/// Adapter configurations with something wrong beside the secret, or in its place.
fn configurations(secrets: &Secrets) {
    let whole = json!({
        "realm": "r", "auth-server-url": "http://localhost:1", "resource": "c",
        "credentials": { "secret": CLIENT },
    });
    let mut wrong = vec![
        CLIENT.to_owned(),
        format!("{whole}x"),
        whole.to_string().replace("}}", "}"),
        json!({ "credentials": { "secret": CLIENT } }).to_string(),
        json!({ "credentials": CLIENT }).to_string(),
        json!({ "credentials": { "secret": [CLIENT] } }).to_string(),
        json!([CLIENT]).to_string(),
    ];
    for field in ["realm", "auth-server-url", "resource"] {
        let mut other = whole.clone();
        other[field] = json!([CLIENT]);
        wrong.push(other.to_string());
    }
    let mut url = whole.clone();
    url["auth-server-url"] = format!("http://client:{CLIENT}@localhost:1").into();
    wrong.push(url.to_string());
    for (number, text) in wrong.iter().enumerate() {
        let error = Keycloak::from_json(text).unwrap_err();
        secrets.scanner.error("an adapter configuration", &error);
        let path = secrets.file(&format!("adapter-{number}.json"), text);
        let error = Keycloak::from_file(&path).unwrap_err();
        secrets.scanner.error("a file with an adapter configuration", &error);
        fs::remove_file(path).unwrap();
    }
    for url in [format!("http://client:{CLIENT}@localhost:1"), CLIENT.to_owned()] {
        for error in [
            Keycloak::new(&url, "realm", "client", "secret").map(|_| ()),
            OpenId::new(&url, "client", "secret").map(|_| ()),
        ] {
            secrets.scanner.error("an address", &error.unwrap_err());
        }
    }
    show(secrets, "a configuration", &Keycloak::from_json(&whole.to_string()).unwrap());
}
